/*
 * The counts of a log: filled by who reads it, told as JSON (docs/sagalog.md) or as text.
 *
 * Threads: one.
 */
#ifndef SAGA_COUNTS_H
#define SAGA_COUNTS_H

#include <jansson.h>

#include "census.h"
#include "output.h"
#include "tally.h"

/* running, compensating, parked; by outcome; quarantined. */
#define SAGA_COUNTS_STATUSES (3 + SAGA_OUTCOME_COUNT + 1)

/* The sagas of one definition, by status. */
struct saga_counts_group {
    uint64_t definition_lsn;
    uint64_t by_status[SAGA_COUNTS_STATUSES];
};

struct saga_counts {
    const char *identity;
    uint32_t epoch;
    uint64_t records, first_lsn, last_lsn, definitions, sagas;
    uint64_t by_fact[SAGA_FACT_COUNT + 1]; /* 0: facts of a later version */
    uint64_t by_status[SAGA_COUNTS_STATUSES];
    struct saga_counts_group *groups; /* owned */
    size_t group_count;
    struct saga_census_line oldest_open; /* status NULL: none is open */
    struct saga_log_usage usage;
    struct saga_tally *tally; /* the caller's */
};

/* Counts one saga; the newest comes first. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_counts_add(struct saga_counts *counts,
                                             const struct saga_census_line *line,
                                             struct saga_fault *fault);
void saga_counts_fini(struct saga_counts *counts);

/* The caller's; NULL: no memory. */
json_t *saga_counts_json(const struct saga_counts *counts);

/* Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_counts_print(const struct saga_counts *counts,
                                               const struct saga_output *output,
                                               struct saga_fault *fault);

#endif
