/*
 * A recollection: what a restart of the daemon would make of the log.
 *
 * Hides how much memory that takes, and keeps for every saga that would be out
 * of service the reason why.
 *
 * Threads: one.
 */
#ifndef SAGA_RECOLLECTION_H
#define SAGA_RECOLLECTION_H

#include "census.h"
#include "recall.h"

/* A saga (or a definition: no id) that makes no sense, and why. */
struct saga_problem {
    struct saga_id id;
    char why[256];
};

struct saga_recollection {
    struct saga_log_reader *reader; /* all of it is as of this view */
    struct saga_recall *recall;
    struct saga_problem *problems; /* in the order in which they were met */
    size_t problem_count;
    size_t problem_room;
    bool forgetful; /* there was no memory for all of them */
};

/* Reads the whole log. Errors: LOG_REFUSED, FAILED. Close it in any case. */
SAGA_CHECKED enum saga_error saga_recollection_open(struct saga_recollection *recollection,
                                                    struct saga_log *log, struct saga_fault *fault);
void saga_recollection_close(struct saga_recollection *recollection);

/* Why a saga is out of service, as it was first met; NULL: it is in order. */
const char *saga_recollection_problem(const struct saga_recollection *recollection,
                                      const struct saga_id *id);

/* How many sagas are out of service. */
uint64_t saga_recollection_quarantined(const struct saga_recollection *recollection);

/* A walk over all sagas, the newest first; goes on with saga_census_next(). Errors: LOG_REFUSED,
 * FAILED. */
SAGA_CHECKED enum saga_error saga_recollection_walk(const struct saga_recollection *recollection,
                                                    struct saga_census *census,
                                                    struct saga_fault *fault);

#endif
