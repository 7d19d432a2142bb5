/*
 * The census: every saga of the log, those in memory and those that have ended long ago.
 *
 * Hides that the ones are in the roster and the others in the table `done`, by outcome.
 * Where both know a saga, the roster is right.
 *
 * Threads: the roster's; a reader's view is as old as it is.
 */
#ifndef SAGA_CENSUS_H
#define SAGA_CENSUS_H

#include "error.h"
#include "log.h"
#include "roster.h"
#include "tables.h"

/* What is known of a saga without reading its records. */
struct saga_census_line {
    struct saga_id id;
    uint64_t started_lsn;
    uint64_t last_lsn;
    uint64_t definition_lsn;
    const char *status; /* public name; static */
    int64_t ended_ms;
    uint8_t outcome; /* enum saga_outcome; 0: it has not ended */
    bool left_out;   /* do not fold it: it brought recovery down */
};

/* Errors: NOT_FOUND (the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error
saga_census_find(const struct saga_roster *roster, struct saga_log_reader *reader,
                 const struct saga_id *id, struct saga_census_line *line, struct saga_fault *fault);

struct saga_census_line saga_census_line(const struct saga_done_row *row);

/* The entry of a saga that was found; one that has ended long ago comes back into the roster:
 * something is recorded of it. */
struct saga_roster_entry *saga_census_admit(struct saga_roster *roster,
                                            const struct saga_census_line *line);

/* A walk over them, the newest first. Fields are its own. */
struct saga_census {
    const struct saga_roster *roster;
    struct saga_log_reader *reader;
    const char *status;
    const struct saga_roster_entry *next;
    bool has_done[SAGA_OUTCOME_COUNT + 1];
    struct saga_done_row done[SAGA_OUTCOME_COUNT + 1]; /* the next of each outcome */
};

/* Begins with those older than `before`; NULL: with the newest. `status`: only those; NULL: any.
 * While it goes on, the roster and the reader's view must stay as they are. Errors: LOG_REFUSED,
 * FAILED. */
SAGA_CHECKED enum saga_error saga_census_begin(struct saga_census *census,
                                               const struct saga_roster *roster,
                                               struct saga_log_reader *reader, const char *status,
                                               const struct saga_id *before,
                                               struct saga_fault *fault);

/* Errors: NOT_FOUND (no more; the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_census_next(struct saga_census *census,
                                              struct saga_census_line *line,
                                              struct saga_fault *fault);

/* How many there are. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_census_count(const struct saga_roster *roster,
                                               struct saga_log_reader *reader, uint64_t *count,
                                               struct saga_fault *fault);

#endif
