/*
 * A tally: what the records of a log come to, for each definition.
 *
 * Hides which sagas are under way in the scan, and since when each of their commands is out. Needs
 * memory for the sagas that are open at a time.
 *
 * Threads: one.
 */
#ifndef SAGA_TALLY_H
#define SAGA_TALLY_H

#include "definition.h"
#include "error.h"
#include "histogram.h"

#define SAGA_TALLY_REASONS 32

struct saga_tally_step {
    struct saga_histogram action;       /* from its command to the verdict */
    struct saga_histogram compensation; /* likewise */
    uint64_t retries;                   /* attempts after the first of a command */
    uint64_t unanswered;                /* attempts that ended in silence */
    uint64_t unsent;
};

/* Of the sagas of one definition. */
struct saga_tally_row {
    uint64_t definition_lsn;
    const struct saga_definition *definition; /* NULL: cannot be read */
    uint64_t sagas;                           /* whose start was seen */
    uint64_t records, bytes;                  /* of theirs, as encoded */
    struct saga_histogram duration;           /* from start to end */
    uint64_t backward[SAGA_TALLY_REASONS];    /* went back, by enum saga_reason */
    uint64_t parked[SAGA_TALLY_REASONS];
    struct saga_tally_step *steps; /* as many as the definition has */
};

struct saga_tally;

/* NULL: no memory. */
struct saga_tally *saga_tally_open(void);
void saga_tally_close(struct saga_tally *tally);

/* Takes in a record of a saga, in the order of the log. `definition` is needed with a SAGA_STARTED
 * alone, and lives as long as the tally. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_tally_note(struct saga_tally *tally,
                                             const struct saga_record *record,
                                             const struct saga_definition *definition,
                                             struct saga_fault *fault);

/* The rows, in the order of their definitions' first sagas. */
size_t saga_tally_count(const struct saga_tally *tally);
const struct saga_tally_row *saga_tally_row(const struct saga_tally *tally, size_t index);

#endif
