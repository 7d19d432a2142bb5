/*
 * Recovery: what the last checkpoint says, and the records after it, folded into a
 * coordinator. Without a checkpoint: the log from end to end.
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
#include "tables.h"

/* Who is told what was read. */
struct saga_replay_hooks {
    void *context;
    /* A DEFINITION_LOADED record: gives its plan to the coordinator, unless it has that of this LSN
     * already. NULL: it cannot be read; sagas started by it are quarantined. */
    const struct saga_plan *(*definition)(void *context, const struct saga_record *record);
    /* A saga as the checkpoint has it, and what became of it. */
    void (*restored)(void *context, const struct saga_open_row *row, enum saga_replay result);
    /* An end, as the checkpoint has it, of which somebody is still to be told. */
    void (*owed)(void *context, const struct saga_owed_row *row);
    /* A saga that had ended before the checkpoint, and of which a record is about to be folded. */
    void (*recalled)(void *context, const struct saga_done_row *row);
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

/* Reads everything that the reader sees, and moves it. Errors: LOG_REFUSED (a record that cannot be
 * trusted, or a record of the log itself that cannot be), FULL (more open sagas than the
 * coordinator's limit), FAILED (the guard file). */
SAGA_CHECKED enum saga_error saga_replay_run(struct saga_log_reader *reader,
                                             struct saga_coordinator *coordinator,
                                             const struct saga_replay_hooks *hooks,
                                             const struct saga_replay_options *options,
                                             struct saga_fault *fault);

#endif
