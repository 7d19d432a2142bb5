#include "restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"

struct restore {
    struct saga_coordinator *coordinator;
    struct saga_log_reader *reader;
    const struct saga_restore_hooks *hooks;
    struct saga_checkpoint checkpoint;
    struct saga *state; /* owned; room for any */
    struct {
        uint64_t lsn;
        const struct saga_plan *plan;
    } * plans; /* owned */
    size_t plan_count, plan_room;
    struct saga_fault *fault;
};

static enum saga_error refuse(const struct restore *restore, const char *table,
                              enum saga_record_error error) {
    return saga_fault_set(restore->fault, SAGA_ERROR_LOG_REFUSED,
                          "the log is damaged: a row of its table %s: %s. Restore data.mdb from a "
                          "backup; nothing was changed.",
                          table, saga_record_error_text(error));
}

static enum saga_error no_memory(const struct restore *restore) {
    return saga_fault_set(restore->fault, SAGA_ERROR_FAILED, "no memory for what the log says");
}

/* ------------------------------------------------------------- definitions */

static enum saga_error add_plan(struct restore *restore, uint64_t lsn,
                                const struct saga_plan *plan) {
    if (restore->plans == NULL || restore->plan_count == restore->plan_room) {
        const size_t room = restore->plan_room == 0 ? 16 : restore->plan_room * 2;
        void *grown = reallocarray(restore->plans, room, sizeof *restore->plans);
        if (grown == NULL) {
            return no_memory(restore);
        }
        restore->plans = grown;
        restore->plan_room = room;
    }
    restore->plans[restore->plan_count].lsn = lsn;
    restore->plans[restore->plan_count++].plan = plan;
    return SAGA_OK;
}

static const struct saga_plan *plan_at(const struct restore *restore, uint64_t lsn) {
    for (size_t i = 0; i < restore->plan_count; i++) {
        if (restore->plans[i].lsn == lsn) {
            return restore->plans[i].plan;
        }
    }
    return NULL;
}

static enum saga_error restore_definition(struct restore *restore, const struct saga_log_row *row) {
    struct saga_record record;
    const enum saga_record_error error = saga_definition_row_decode(&record, row->key, row->value);
    if (error != SAGA_RECORD_OK) {
        return refuse(restore, "definitions", error);
    }
    return add_plan(restore, record.lsn,
                    restore->hooks->definition(restore->hooks->context, &record));
}

/* ------------------------------------------------------------------- sagas */

/* A saga that was out of service, from all of its records. NULL: it still makes no sense. */
static struct saga *revive(const struct restore *restore, const struct saga_open_row *row) {
    const struct saga_plan *plan = plan_at(restore, row->definition_lsn);
    struct saga_chain chain;
    struct saga *saga = NULL;
    if (plan == NULL ||
        saga_chain_read(&chain, restore->reader, &row->id, row->last_lsn, NULL) != SAGA_OK) {
        return NULL;
    }
    if (saga_chain_fold(&chain, plan, &saga, NULL) != SAGA_OK ||
        (saga->outcome == 0 && !saga_settled(saga, plan))) {
        free(saga);
        saga = NULL;
    }
    saga_chain_fini(&chain);
    return saga;
}

static enum saga_error take(const struct restore *restore, const struct saga_open_row *row,
                            const struct saga *state) {
    const enum saga_replay result = saga_coordinator_restore(restore->coordinator, state);
    if (result == SAGA_REPLAY_FULL) {
        return saga_fault_set(restore->fault, SAGA_ERROR_FULL,
                              "the log has more open sagas than sagas_max allows. Raise sagas_max "
                              "and start again; nothing is lost.");
    }
    restore->hooks->restored(restore->hooks->context, row, result,
                             result == SAGA_REPLAY_NO_PLAN
                                 ? "is of a definition that the log does not have, or that this "
                                   "version cannot read"
                                 : "is where its stored state stands, which cannot be");
    return SAGA_OK;
}

static enum saga_error restore_saga(struct restore *restore, const struct saga_log_row *stored) {
    const struct saga_restore_hooks *hooks = restore->hooks;
    struct saga_open_row row;
    memset(restore->state, 0, saga_size(SAGA_STEPS_MAX));
    const enum saga_record_error error =
        saga_open_row_decode(&row, restore->state, stored->key, stored->value);
    if (error != SAGA_RECORD_OK) {
        return refuse(restore, "open", error);
    }
    if (hooks->shunned(hooks->context, &row.id)) {
        hooks->restored(hooks->context, &row, SAGA_REPLAY_LEFT_OUT,
                        "is of a saga that has brought recovery down three times");
        return SAGA_OK;
    }
    hooks->looking(hooks->context, &row.id);
    if (!row.quarantined) {
        return take(restore, &row, restore->state);
    }
    struct saga *saga = revive(restore, &row);
    if (saga == NULL) {
        hooks->restored(hooks->context, &row, SAGA_REPLAY_QUARANTINED,
                        "ends a saga that was out of service, and still makes no sense");
        return SAGA_OK;
    }
    const enum saga_error taken = take(restore, &row, saga);
    free(saga);
    return taken;
}

static enum saga_error restore_owed(struct restore *restore, const struct saga_log_row *stored) {
    struct saga_owed_row row;
    const enum saga_record_error error = saga_owed_row_decode(&row, stored->key, stored->value);
    if (error != SAGA_RECORD_OK) {
        return refuse(restore, "owed", error);
    }
    restore->hooks->owed(restore->hooks->context, &row);
    return SAGA_OK;
}

/* --------------------------------------------------------------------- all */

static enum saga_error restore_table(struct restore *restore, enum saga_log_table table,
                                     enum saga_error (*each)(struct restore *restore,
                                                             const struct saga_log_row *row)) {
    struct saga_log_row row;
    enum saga_error error = saga_log_reader_seek_row(restore->reader, table, (struct saga_bytes){0},
                                                     &row, restore->fault);
    while (error == SAGA_OK) {
        error = each(restore, &row);
        if (error == SAGA_OK) {
            error = saga_log_reader_step_row(restore->reader, table, true, &row, restore->fault);
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* Rows that are older than the daemon's last start before the checkpoint: nothing else has happened
 * to these sagas since. */
static void begin_epoch(const struct restore *restore) {
    const struct saga_record record = {
        .lsn = restore->checkpoint.lsn,
        .at_ms = restore->checkpoint.epoch_ms,
        .epoch = restore->checkpoint.epoch,
        .fact = SAGA_EPOCH_STARTED,
        .step = SAGA_STEP_NONE,
    };
    (void)!saga_coordinator_replay(restore->coordinator, &record);
}

enum saga_error saga_restore_run(struct saga_coordinator *coordinator,
                                 struct saga_log_reader *reader,
                                 const struct saga_restore_hooks *hooks, struct saga_fault *fault) {
    struct restore restore = {
        .coordinator = coordinator,
        .reader = reader,
        .hooks = hooks,
        .checkpoint = saga_log_reader_checkpoint(reader),
        .fault = fault,
    };
    restore.state = malloc(saga_size(SAGA_STEPS_MAX));
    if (restore.state == NULL) {
        return no_memory(&restore);
    }
    enum saga_error error = restore_table(&restore, SAGA_TABLE_DEFINITIONS, restore_definition);
    if (error == SAGA_OK) {
        error = restore_table(&restore, SAGA_TABLE_OPEN, restore_saga);
    }
    if (error == SAGA_OK) {
        error = restore_table(&restore, SAGA_TABLE_OWED, restore_owed);
    }
    if (error == SAGA_OK && restore.checkpoint.lsn > 0) {
        begin_epoch(&restore);
    }
    free(restore.state);
    free(restore.plans);
    return error;
}

enum saga_error saga_restore_done_by(struct saga_log_reader *reader, uint8_t outcome,
                                     const struct saga_id *id, struct saga_done_row *row,
                                     struct saga_fault *fault) {
    uint8_t bytes[SAGA_DONE_KEY_BYTES];
    const struct saga_bytes key = {.data = bytes, .size = sizeof bytes};
    struct saga_bytes value;
    saga_done_key(outcome, id, bytes);
    const enum saga_error error = saga_log_reader_row(reader, SAGA_TABLE_DONE, key, &value, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const enum saga_record_error damage = saga_done_row_decode(row, key, value);
    return damage == SAGA_RECORD_OK
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                "the log is damaged: a row of its table done: %s. Restore "
                                "data.mdb from a backup; nothing was changed.",
                                saga_record_error_text(damage));
}

enum saga_error saga_restore_done(struct saga_log_reader *reader, const struct saga_id *id,
                                  struct saga_done_row *row, struct saga_fault *fault) {
    enum saga_error error = SAGA_ERROR_NOT_FOUND;
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT && error == SAGA_ERROR_NOT_FOUND;
         outcome++) {
        error = saga_restore_done_by(reader, outcome, id, row, fault);
    }
    return error;
}
