#include "replay.h"

#include <stdio.h>

#include "guard.h"

struct replay {
    struct saga_coordinator *coordinator;
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

static enum saga_error fold(const struct replay *replay, const struct saga_record *record,
                            struct saga_fault *fault) {
    bool of_saga = !saga_fact_is_of_log(record->fact);
    bool left_out =
        of_saga && replay->guard != NULL && saga_guard_suspects(replay->guard, &record->saga);
    note(replay, &record->saga, left_out || !of_saga);
    if (record->fact == SAGA_DEFINITION_LOADED) {
        if (!replay->hooks->definition(replay->hooks->context, record)) {
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

static enum saga_error read_all(const struct replay *replay, struct saga_log_reader *reader,
                                struct saga_fault *fault) {
    struct saga_record record;
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
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

enum saga_error saga_replay_run(struct saga_log *log, struct saga_coordinator *coordinator,
                                const struct saga_replay_hooks *hooks,
                                const struct saga_replay_options *options,
                                struct saga_fault *fault) {
    struct replay replay = {.coordinator = coordinator, .hooks = hooks};
    struct saga_log_reader *reader = NULL;
    enum saga_error error = SAGA_OK;
    if (options->guard_path != NULL) {
        error = saga_guard_open(&replay.guard, options->guard_path, fault);
    }
    if (error == SAGA_OK) {
        error = saga_log_reader_open(log, &reader, fault);
    }
    if (error == SAGA_OK) {
        error = read_all(&replay, reader, fault);
    }
    if (error == SAGA_OK) {
        check_settled(&replay);
    }
    if (reader != NULL) {
        saga_log_reader_close(reader);
    }
    if (replay.guard != NULL) {
        saga_guard_close(replay.guard);
    }
    return error;
}
