/*
 * Which record stands in which line of a text, and whether one stands in two.
 *
 * Threads: one.
 */
#ifndef SAGA_LINE_PLACES_H
#define SAGA_LINE_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saga.h"

struct saga_place {
    uint64_t lsn;
    uint64_t line;
};

struct saga_places {
    struct saga_place *places; /* owned */
    size_t count;
    size_t room;
};

/* A zeroed one is empty. */
void saga_places_fini(struct saga_places *places);

/* False: no memory. */
SAGA_CHECKED bool saga_places_add(struct saga_places *places, struct saga_place place);

/* True if a record stands in two lines: those of the lowest such. Sorts the places. */
SAGA_CHECKED bool saga_places_repeat(struct saga_places *places, struct saga_place *first,
                                     struct saga_place *second);

#endif
