/* Who is to be told of an end: given to the outlet, told again, and marked as told (turn.h). */
#include <string.h>

#include "turn.h"

/* So many ends are given out after one commit: what waits beside them must not wait for all that a
 * transport has missed. */
#define TELL_MAX 100
/* The outlet takes no more: it is asked again after this long. */
#define TELL_AGAIN_MS 1000
/* So long after an end was told it may be that only memory says so. */
#define MARK_MS 1000

/* A record of a saga. */
static void read_record(const struct saga_engine *engine, const struct saga_id *saga, uint64_t lsn,
                        struct saga_record *record) {
    struct saga_fault fault;
    if (saga_log_read(engine->log, saga, lsn, record, &fault) != SAGA_OK) {
        saga_turn_give_up(&fault);
    }
}

/* ---------------------------------------------------------------- asked again */

void saga_turn_ask(struct saga_engine *engine, const struct saga_id *id, struct saga_bytes asker) {
    const struct saga_plan *plan;
    const struct saga_owed *outcome = saga_outcomes_find(engine->outcomes, id);
    if (asker.size == 0 || saga_coordinator_find(engine->coordinator, id, &plan) == NULL) {
        return; /* nobody; or it has ended, which is what the answer says */
    }
    if (outcome != NULL && outcome->started_lsn != 0) {
        struct saga_record started;
        read_record(engine, id, outcome->started_lsn, &started);
        if (started.content.size == asker.size &&
            memcmp(started.content.data, asker.data, asker.size) == 0) {
            return; /* the same: a message that was delivered again */
        }
    }
    saga_outcomes_ask(engine->outcomes, id, asker);
}

/* -------------------------------------------------------------------- telling */

/* To its next asker. False: the outlet takes it later. */
static bool give(struct saga_engine *engine, const struct saga_owed *outcome) {
    struct saga_record record;
    struct saga_bytes asker = {.data = outcome->again, .size = outcome->again_size};
    read_record(engine, &outcome->saga, outcome->ended_lsn, &record);
    const char *status = saga_outcome_name(record.outcome);
    if (outcome->started_lsn != 0 && outcome->given == 0) {
        read_record(engine, &outcome->saga, outcome->started_lsn, &record);
        asker = record.content;
    }
    if (!engine->outlet.ended(engine->outlet.context, &outcome->saga, status, asker)) {
        return false;
    }
    saga_outcomes_give(engine->outcomes);
    return true;
}

static const struct saga_owed *next_to_tell(const struct saga_engine *engine) {
    return engine->outlet.ended != NULL && engine->opened
               ? saga_outcomes_next(engine->outcomes, saga_log_durable(engine->log))
               : NULL;
}

size_t saga_turn_tell(struct saga_engine *engine, struct saga_moment now) {
    const struct saga_owed *outcome;
    size_t given = 0;
    engine->tell_due = false;
    if (now.boot_ms < engine->tell_at_ms) {
        return 0;
    }
    while (given < TELL_MAX && (outcome = next_to_tell(engine)) != NULL) {
        if (!give(engine, outcome)) {
            engine->tell_at_ms = now.boot_ms + TELL_AGAIN_MS;
            return given;
        }
        given++;
    }
    return given;
}

void saga_turn_told(struct saga_engine *engine, struct saga_request *request,
                    struct saga_moment now) {
    if (saga_outcomes_tell(engine->outcomes, &request->id)) {
        engine->stats.outcomes_told++;
        if (engine->mark_at_ms == INT64_MAX) {
            engine->mark_at_ms = now.boot_ms + MARK_MS;
        }
    }
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
}

/* ------------------------------------------------------------------ remembering */

static void append_mark(struct saga_engine *engine, struct saga_moment now) {
    const struct saga_record record = {
        .lsn = saga_log_next_lsn(engine->log),
        .at_ms = saga_turn_time(engine, now),
        .wall_ms = now.wall_ms,
        .epoch = engine->epoch,
        .through_lsn = saga_outcomes_mark(engine->outcomes),
        .fact = SAGA_OUTCOMES_TOLD,
        .step = SAGA_STEP_NONE,
    };
    engine->mark_at_ms = INT64_MAX;
    if (record.through_lsn != 0) { /* else one before it is not told, and will be */
        saga_turn_append(engine, &record);
    }
}

int64_t saga_turn_remember(struct saga_engine *engine, struct saga_moment now) {
    int64_t wake_ms = INT64_MAX;
    if (engine->mark_at_ms <= now.boot_ms ||
        (engine->draining && engine->mark_at_ms != INT64_MAX)) {
        append_mark(engine, now);
    }
    if (next_to_tell(engine) != NULL) {
        engine->tell_due = engine->tell_at_ms <= now.boot_ms;
        wake_ms = engine->tell_due ? INT64_MAX : engine->tell_at_ms;
    }
    return engine->mark_at_ms < wake_ms ? engine->mark_at_ms : wake_ms;
}
