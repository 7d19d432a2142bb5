/*
 * The purger: what the log lets go of, and when.
 *
 * Hides the two steps of forgetting. A saga that has ended, and was kept for as long as its
 * outcome is, leaves the table `done`, and its kept records with it: from then on nobody knows it.
 * And blocks go from the log's front when they are older than the shortest retention, and some; of
 * a block that goes, the records of sagas that are still known come into the table `kept`. It
 * goes in passes: first rows, then blocks, then a rest.
 *
 * Where the log takes up more than it should, sagas go before their time, those in the same
 * proportion of it first, but never those that are kept for ever.
 *
 * Promises:
 *  1. A saga that is known has all of its records: one that is open or out of service, one of whose
 *     end somebody is still to be told, and any other whose retention is not over.
 *  2. Nothing goes that a restart would read: only what the last checkpoint covers.
 *  3. Where the log has no more room than for finishing (SAGA_LOG_FULL_PERCENT), nothing is copied
 *     that would take more than goes.
 *  4. A slice is bounded by what its batch appends: the log shrinks twice as fast as it grows.
 *
 * Threads: one, the log's appending thread.
 */
#ifndef SAGA_PURGER_H
#define SAGA_PURGER_H

#include "error.h"
#include "log.h"
#include "outcomes.h"
#include "roster.h"
#include "start_keys.h"

struct saga_purger;

/* How long what is remembered. INT64_MAX: for ever. */
struct saga_retention {
    int64_t ms[SAGA_OUTCOME_COUNT + 1]; /* by outcome: a saga, from its end on */
    int64_t keys_ms;    /* a start key, from its saga's start on, and while an older one is open */
    uint64_t bytes_max; /* of data.mdb in use: what is above goes before its time; 0: no limit */
};
/* Everything for ever. */
extern const struct saga_retention saga_retention_for_ever;

/* From this part of the log's room on (saga_log_full_percent()) sagas go before their time: work
 * comes before history. */
#define SAGA_PURGE_HURRY_PERCENT 60

/* What is looked at; all of it stays the caller's. */
struct saga_purger_sources {
    struct saga_log *log;
    const struct saga_roster *roster;
    const struct saga_outcomes *outcomes;
    struct saga_start_keys *keys;
};

/* NULL: no memory. */
struct saga_purger *saga_purger_open(const struct saga_purger_sources *sources,
                                     const struct saga_retention *retention);
void saga_purger_close(struct saga_purger *purger);

/* Puts into the batch what one slice lets go of; call it once before each flush, after the
 * checkpointer's. *through_lsn: the log has nothing any more up to here, but for what is kept; 0:
 * no block went in this slice. Errors: LOG_REFUSED, FAILED: nothing is lost, and more is kept than
 * had to be. */
SAGA_CHECKED enum saga_error saga_purger_slice(struct saga_purger *purger, int64_t now_ms,
                                               uint64_t *through_lsn, struct saga_fault *fault);

/* True if there is more to let go of by now: an engine with nothing else to do flushes for it. */
SAGA_CHECKED bool saga_purger_busy(const struct saga_purger *purger);

/* When to look again, at the latest. */
int64_t saga_purger_due(const struct saga_purger *purger);

struct saga_purger_counts {
    uint64_t sagas;   /* that are not known any more */
    uint64_t blocks;  /* that went */
    uint64_t records; /* that came into `kept` */
    double share;     /* of its retention that a saga is kept for; below 1: the log is too large */
};
void saga_purger_count(const struct saga_purger *purger, struct saga_purger_counts *counts);

#endif
