/*
 * How often each failpoint was reached, and what the points are called.
 *
 * Threads: one writes.
 */
#ifndef FAILPOINT_COUNTS_H
#define FAILPOINT_COUNTS_H

#include <stdint.h>

#include "failpoint.h"

struct failpoint_counts {
    uint64_t hits[SAGA_FAILPOINT_KIND_COUNT + 1][SAGA_FAILPOINT_PLACE_COUNT + 1];
};

/* "start", "before_append"; numbers of them, 0: no such name. */
const char *failpoint_kind_name(unsigned kind);
const char *failpoint_place_name(unsigned place);
unsigned failpoint_kind_number(const char *name);
unsigned failpoint_place_number(const char *name);

#endif
