/*
 * Recovery: the log read from end to end, folded into a coordinator.
 *
 * There is no second algorithm: what is folded here is what a live daemon
 * folds, and what follows from it is what follows there.
 *
 * Promises:
 *  1. Replaying writes nothing into the log; killed half-way, it can be run
 *     again.
 *  2. Each saga is replayed alone. One whose records make no legal story, or
 *     whose definition cannot be read, or that has brought recovery down three
 *     times, is quarantined and shown; the rest run.
 *
 * Threads: the caller's.
 */
#ifndef SAGA_REPLAY_H
#define SAGA_REPLAY_H

#include "coordinator.h"
#include "error.h"
#include "log.h"

/* Who is told what was read. */
struct saga_replay_hooks {
    void *context;
    /* A DEFINITION_LOADED record: gives its plan to the coordinator. False: it
     * cannot be read; sagas started by it are quarantined. */
    bool (*definition)(void *context, const struct saga_record *record);
    /* Any other record, after it was folded in, and what became of it: for
     * indexes of the caller's own. */
    void (*folded)(void *context, const struct saga_record *record, enum saga_replay result);
    /* A saga was taken out of service, and why (a sentence). */
    void (*quarantined)(void *context, const struct saga_id *id, const char *why);
};

struct saga_replay_options {
    /* A small file beside the log that counts which saga brought recovery down;
     * NULL: not counted (a tool that only looks). */
    const char *guard_path;
};

/* Reads everything. Errors: LOG_REFUSED (a record that cannot be trusted, or a
 * record of the log itself that cannot be), FULL (more open sagas than the
 * coordinator's limit), FAILED (the guard file). */
SAGA_CHECKED enum saga_error saga_replay_run(struct saga_log *log,
                                             struct saga_coordinator *coordinator,
                                             const struct saga_replay_hooks *hooks,
                                             const struct saga_replay_options *options,
                                             struct saga_fault *fault);

#endif
