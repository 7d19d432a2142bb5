#include "replay.h"

#include <stdio.h>

#include "guard.h"
#include "restore.h"

struct replay {
    struct saga_coordinator *coordinator;
    struct saga_log_reader *reader;
    const struct saga_replay_hooks *hooks;
    struct saga_guard *guard; /* NULL: none */
};

static void report(const struct replay *replay, const struct saga_record *record, const char *why) {
    char text[256];
    (void)snprintf(text, sizeof text, "record %llu (%s) %s", (unsigned long long)record->lsn,
                   saga_fact_name(record->fact), why);
    replay->hooks->quarantined(replay->hooks->context, &record->saga, text);
}

/* What a record that was not simply folded in means. */
static enum saga_error judge(const struct replay *replay, const struct saga_record *record,
                             enum saga_replay result, struct saga_fault *fault) {
    switch (result) {
    case SAGA_REPLAYED:
    case SAGA_REPLAY_LEFT_OUT:
    case SAGA_REPLAY_KNOWN:
        break;
    case SAGA_REPLAY_NO_SAGA:
        if (record->fact != SAGA_LATE_REPLY_RECEIVED) {
            report(replay, record, "is of a saga that has ended or never started");
        }
        break;
    case SAGA_REPLAY_QUARANTINED:
        report(replay, record, "makes no legal transition");
        break;
    case SAGA_REPLAY_NO_PLAN:
        report(replay, record,
               "starts a saga by a definition that the log does not have, or "
               "that this version cannot read");
        break;
    case SAGA_REPLAY_FULL:
        return saga_fault_set(fault, SAGA_ERROR_FULL,
                              "the log has more open sagas than sagas_max allows (at record "
                              "%llu). Raise sagas_max and start again; nothing is lost.",
                              (unsigned long long)record->lsn);
    case SAGA_REPLAY_ILLEGAL:
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %llu (%s) cannot be: its time or its fields are out of "
                              "range. Run sagalog verify, and restore the log from a backup.",
                              (unsigned long long)record->lsn, saga_fact_name(record->fact));
    }
    return SAGA_OK;
}

/* Who is to blame if the process dies before the next note: nobody, while a record of the log
 * itself is read (its saga is zero), or a saga is left out. */
static void note(const struct replay *replay, const struct saga_id *id, bool left_out) {
    static const struct saga_id nobody = {{0}};
    if (replay->guard != NULL) {
        saga_guard_note(replay->guard, left_out ? &nobody : id);
    }
}

/* Of a saga that has ended before the checkpoint, or by a record before this one that is in its row
 * already. *known: the row has this record, too. */
static enum saga_error look_up_ended(const struct replay *replay, const struct saga_record *record,
                                     bool *known, struct saga_fault *fault) {
    struct saga_done_row row;
    const enum saga_error error = saga_restore_done(replay->reader, &record->saga, &row, fault);
    *known = error == SAGA_OK && record->lsn <= row.last_lsn;
    if (error == SAGA_OK && !*known && record->fact == SAGA_LATE_REPLY_RECEIVED) {
        replay->hooks->recalled(replay->hooks->context, &row);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* A row of the tables may be newer than the checkpoint: then it has what this record says. */
static enum saga_error is_known(const struct replay *replay, const struct saga_record *record,
                                bool *known, struct saga_fault *fault) {
    const struct saga_plan *plan;
    const struct saga *saga = saga_coordinator_find(replay->coordinator, &record->saga, &plan);
    *known = saga != NULL && record->lsn <= saga->last_lsn;
    return saga == NULL && record->fact != SAGA_STARTED
               ? look_up_ended(replay, record, known, fault)
               : SAGA_OK;
}

static enum saga_error fold(const struct replay *replay, const struct saga_record *record,
                            struct saga_fault *fault) {
    bool of_saga = !saga_fact_is_of_log(record->fact);
    bool known = false;
    const enum saga_error looked = of_saga ? is_known(replay, record, &known, fault) : SAGA_OK;
    if (looked != SAGA_OK) {
        return looked;
    }
    if (known) {
        replay->hooks->folded(replay->hooks->context, record, SAGA_REPLAY_KNOWN);
        return SAGA_OK;
    }
    bool left_out =
        of_saga && replay->guard != NULL && saga_guard_suspects(replay->guard, &record->saga);
    note(replay, &record->saga, left_out || !of_saga);
    if (record->fact == SAGA_DEFINITION_LOADED) {
        if (replay->hooks->definition(replay->hooks->context, record) == NULL) {
            report(replay, record, "is a definition that this version cannot read");
        }
        return SAGA_OK;
    }
    enum saga_replay result;
    if (left_out) {
        result = SAGA_REPLAY_LEFT_OUT;
        if (record->fact == SAGA_STARTED) {
            report(replay, record, "begins a saga that has brought recovery down three times");
        }
    } else {
        bool before = of_saga && saga_coordinator_quarantined(replay->coordinator, &record->saga);
        result = saga_coordinator_replay(replay->coordinator, record);
        if (!before) { /* told once is enough */
            enum saga_error error = judge(replay, record, result, fault);
            if (error != SAGA_OK) {
                return error;
            }
        }
    }
    replay->hooks->folded(replay->hooks->context, record, result);
    return SAGA_OK;
}

/* Decisions are whole: after the last record nothing follows from a saga by
 * itself. If something does, its last decision was torn. */
static void check_settled(const struct replay *replay) {
    uint32_t cursor = 0;
    const struct saga_plan *plan;
    const struct saga *saga;
    while ((saga = saga_coordinator_next(replay->coordinator, &cursor, &plan)) != NULL) {
        note(replay, &saga->id, false);
        if (saga_coordinator_quarantined(replay->coordinator, &saga->id) ||
            saga_settled(saga, plan)) {
            continue;
        }
        char text[128];
        (void)snprintf(text, sizeof text, "its last decision, up to record %llu, is not whole",
                       (unsigned long long)saga->last_lsn);
        struct saga_id id = saga->id;
        if (saga_coordinator_quarantine(replay->coordinator, &id)) {
            replay->hooks->quarantined(replay->hooks->context, &id, text);
        }
    }
}

/* ------------------------------------------------------------------ checkpoint */

static const struct saga_plan *define(void *context, const struct saga_record *record) {
    const struct replay *replay = context;
    const struct saga_plan *plan = replay->hooks->definition(replay->hooks->context, record);
    if (plan == NULL) {
        report(replay, record, "is a definition that this version cannot read");
    }
    return plan;
}

static void look(void *context, const struct saga_id *id) {
    note(context, id, false);
}

static bool shun(void *context, const struct saga_id *id) {
    const struct replay *replay = context;
    const bool shunned = replay->guard != NULL && saga_guard_suspects(replay->guard, id);
    if (shunned) {
        note(replay, id, true);
    }
    return shunned;
}

static void take_restored(void *context, const struct saga_open_row *row, enum saga_replay result,
                          const char *why) {
    const struct replay *replay = context;
    replay->hooks->restored(replay->hooks->context, row, result);
    if (result != SAGA_REPLAYED) {
        char text[256];
        (void)snprintf(text, sizeof text, "record %llu %s", (unsigned long long)row->last_lsn, why);
        replay->hooks->quarantined(replay->hooks->context, &row->id, text);
    }
}

static void take_owed(void *context, const struct saga_owed_row *row) {
    const struct replay *replay = context;
    replay->hooks->owed(replay->hooks->context, row);
}

static enum saga_error restore(struct replay *replay, struct saga_fault *fault) {
    const struct saga_restore_hooks hooks = {
        .context = replay,
        .definition = define,
        .looking = look,
        .shunned = shun,
        .restored = take_restored,
        .owed = take_owed,
    };
    return saga_restore_run(replay->coordinator, replay->reader, &hooks, fault);
}

static enum saga_error read_tail(const struct replay *replay, struct saga_fault *fault) {
    struct saga_log_reader *reader = replay->reader;
    const uint64_t checkpoint = saga_log_reader_checkpoint(reader).lsn;
    struct saga_record record;
    saga_log_reader_seek(reader, checkpoint > 0 ? checkpoint + 1 : saga_log_reader_first(reader));
    for (;;) {
        enum saga_error error = saga_log_reader_next(reader, &record, fault);
        if (error == SAGA_ERROR_NOT_FOUND) {
            return SAGA_OK;
        }
        if (error == SAGA_OK) {
            error = fold(replay, &record, fault);
        }
        if (error != SAGA_OK) {
            return error;
        }
    }
}

enum saga_error saga_replay_run(struct saga_log_reader *reader,
                                struct saga_coordinator *coordinator,
                                const struct saga_replay_hooks *hooks,
                                const struct saga_replay_options *options,
                                struct saga_fault *fault) {
    struct replay replay = {.coordinator = coordinator, .reader = reader, .hooks = hooks};
    enum saga_error error = SAGA_OK;
    if (options->guard_path != NULL) {
        error = saga_guard_open(&replay.guard, options->guard_path, fault);
    }
    if (error == SAGA_OK) {
        error = restore(&replay, fault);
    }
    if (error == SAGA_OK) {
        error = read_tail(&replay, fault);
    }
    if (error == SAGA_OK) {
        check_settled(&replay);
    }
    if (replay.guard != NULL) {
        saga_guard_close(replay.guard);
    }
    return error;
}
