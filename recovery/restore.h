/*
 * Restoring: what the last checkpoint says, before the records after it are replayed.
 *
 * Hides the tables' rows: definitions, and open sagas with their states, each as of a
 * record of its own. A saga that was out of service is tried once more, from all of its
 * records: perhaps this version can read what another could not.
 *
 * Threads: the caller's.
 */
#ifndef SAGA_RESTORE_H
#define SAGA_RESTORE_H

#include "coordinator.h"
#include "error.h"
#include "log.h"
#include "tables.h"

/* Who is told. */
struct saga_restore_hooks {
    void *context;
    /* As in replay.h; the plan of sagas that follow, or NULL: it cannot be read. */
    const struct saga_plan *(*definition)(void *context, const struct saga_record *record);
    /* This saga is about to be looked at. */
    void (*looking)(void *context, const struct saga_id *id);
    /* True: do not look, whatever its row says. */
    bool (*shunned)(void *context, const struct saga_id *id);
    /* A row, and what became of it: REPLAYED, LEFT_OUT, NO_PLAN, or QUARANTINED, with why (a
     * sentence's end, after the name of its last record). */
    void (*restored)(void *context, const struct saga_open_row *row, enum saga_replay result,
                     const char *why);
    /* An end of which somebody is still to be told. */
    void (*owed)(void *context, const struct saga_owed_row *row);
};

/* Also what a checkpoint has left that was not finished: such rows are newer than the last one that
 * was. Errors: LOG_REFUSED (a row that cannot be trusted), FULL, FAILED. */
SAGA_CHECKED enum saga_error saga_restore_run(struct saga_coordinator *coordinator,
                                              struct saga_log_reader *reader,
                                              const struct saga_restore_hooks *hooks,
                                              struct saga_fault *fault);

/* The row of an ended saga of this outcome. Errors: NOT_FOUND (the fault is left alone),
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_restore_done_by(struct saga_log_reader *reader, uint8_t outcome,
                                                  const struct saga_id *id,
                                                  struct saga_done_row *row,
                                                  struct saga_fault *fault);

/* The row of an ended saga, whatever its outcome. Errors: NOT_FOUND (the fault is left alone),
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_restore_done(struct saga_log_reader *reader,
                                               const struct saga_id *id, struct saga_done_row *row,
                                               struct saga_fault *fault);

#endif
