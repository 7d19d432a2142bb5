#include "turn.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failpoint.h"
#include "render.h"

/* --------------------------------------------------------------- pending */

struct pending *saga_turn_pend(struct saga_engine *engine) {
    if (engine->pending_count == engine->pending_room) {
        engine->pending_room = engine->pending_room == 0 ? 1024 : engine->pending_room * 2;
        engine->pending = realloc(engine->pending, engine->pending_room * sizeof *engine->pending);
        /* What was decided must leave after its commit; without memory for it, the process
         * ends, and recovery sends it. */
        assert(engine->pending != NULL);
    }
    struct pending *pending = &engine->pending[engine->pending_count++];
    memset(pending, 0, sizeof *pending);
    pending->after_lsn = saga_log_next_lsn(engine->log) - 1;
    return pending;
}

void saga_turn_answer(struct saga_engine *engine, struct saga_request *request,
                      enum saga_result result) {
    struct pending *pending = saga_turn_pend(engine);
    pending->type = PENDING_ANSWER;
    pending->request = request;
    request->result = (uint8_t)result;
}

void saga_turn_refuse(struct saga_engine *engine, struct saga_request *request,
                      enum saga_result result, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(request->text, sizeof request->text, format, arguments);
    va_end(arguments);
    saga_turn_answer(engine, request, result);
}

bool saga_turn_set_aside(const char *status) {
    return strcmp(status, "quarantined") == 0;
}

/* ---------------------------------------------------------------- looking */

_Noreturn void saga_turn_give_up(const struct saga_fault *fault) {
    (void)fprintf(stderr, "%s\n", fault->text);
    _exit(saga_error_exit_status(fault->error));
}

struct saga_log_reader *saga_turn_reader(struct saga_engine *engine) {
    struct saga_log_reader *reader;
    struct saga_fault fault;
    if (saga_log_committed(engine->log, &reader, &fault) != SAGA_OK) {
        saga_turn_give_up(&fault);
    }
    return reader;
}

bool saga_turn_find(struct saga_engine *engine, const struct saga_id *id,
                    struct saga_census_line *line) {
    struct saga_fault fault;
    const enum saga_error error =
        saga_census_find(engine->roster, saga_turn_reader(engine), id, line, &fault);
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        saga_turn_give_up(&fault);
    }
    return error == SAGA_OK;
}

bool saga_turn_next(struct saga_census *census, struct saga_census_line *line) {
    struct saga_fault fault;
    const enum saga_error error = saga_census_next(census, line, &fault);
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        saga_turn_give_up(&fault);
    }
    return error == SAGA_OK;
}

void saga_turn_begin_list(struct saga_engine *engine, const char *status,
                          const struct saga_id *before, struct saga_census *census) {
    struct saga_fault fault;
    if (saga_census_begin(census, engine->roster, saga_turn_reader(engine), status, before,
                          &fault) != SAGA_OK) {
        saga_turn_give_up(&fault);
    }
}

uint64_t saga_turn_count(struct saga_engine *engine) {
    struct saga_fault fault;
    uint64_t count = 0;
    if (saga_census_count(engine->roster, saga_turn_reader(engine), &count, &fault) != SAGA_OK) {
        saga_turn_give_up(&fault);
    }
    return count;
}

bool saga_turn_find_key(struct saga_engine *engine, const struct saga_start_key *key,
                        struct saga_start_key *earlier) {
    struct saga_fault fault;
    const enum saga_error error =
        saga_start_keys_find(engine->keys, engine->log, key->key_hash, earlier, &fault);
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        saga_turn_give_up(&fault);
    }
    return error == SAGA_OK;
}

struct saga_room_rows saga_turn_rows(const struct saga_engine *engine) {
    struct saga_start_keys_count keys;
    const uint64_t sagas = saga_roster_count(engine->roster);
    const uint64_t open = saga_coordinator_counters(engine->coordinator)->open;
    saga_start_keys_count(engine->keys, &keys);
    return (struct saga_room_rows){
        .ended = sagas > open ? sagas - open : 0,
        .keys_in_memory = keys.in_memory,
        .keys_in_runs = keys.in_runs,
    };
}

/* ------------------------------------------------------------- appending */

static unsigned kind_of(const struct saga_record *record) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_STARTED:
        return SAGA_FAILPOINT_START;
    case SAGA_COMMAND_ISSUED:
        return record->operation == SAGA_ACTION ? SAGA_FAILPOINT_COMMAND
                                                : SAGA_FAILPOINT_COMPENSATION;
    case SAGA_COMPENSATION_STARTED:
        return SAGA_FAILPOINT_COMPENSATION;
    case SAGA_REPLY_RECEIVED:
    case SAGA_LATE_REPLY_RECEIVED:
        return SAGA_FAILPOINT_REPLY;
    case SAGA_EPOCH_STARTED:
        return SAGA_FAILPOINT_RECOVERY;
    case SAGA_DEFINITION_LOADED:
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
    case SAGA_CANCEL_REQUESTED:
    case SAGA_PIVOT_PASSED:
    case SAGA_PARKED:
    case SAGA_OPERATOR_ACTED:
    case SAGA_ENDED:
    case SAGA_OUTCOMES_TOLD:
    case SAGA_HISTORY_PURGED:
        break;
    }
    return 0;
}

void saga_turn_append(struct saga_engine *engine, const struct saga_record *record) {
    unsigned kind = kind_of(record);
    if (kind != 0) {
        saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_BEFORE_APPEND);
    }
    saga_log_append(engine->log, record);
    saga_outcomes_fold(engine->outcomes, record);
    engine->kinds |= 1u << kind;
    if (kind != 0) {
        saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_AFTER_APPEND);
    }
}

/* -------------------------------------------------------------- stepping */

int64_t saga_turn_time(const struct saga_engine *engine, struct saga_moment now) {
    int64_t at_ms = engine->base_ms + now.boot_ms;
    int64_t seen_ms = saga_coordinator_now(engine->coordinator);
    return at_ms > seen_ms ? at_ms : seen_ms;
}

struct saga_input saga_turn_input(const struct saga_engine *engine, enum saga_door door,
                                  struct saga_moment now) {
    return (struct saga_input){
        .door = (uint8_t)door,
        .next_lsn = saga_log_next_lsn(engine->log),
        .event =
            {
                .at_ms = saga_turn_time(engine, now),
                .wall_ms = now.wall_ms,
                .epoch = engine->epoch,
                .step = SAGA_STEP_NONE,
            },
    };
}

/* What of an update has to be asked back at once. */
struct evaluation {
    struct saga_id saga;
    uint64_t last_lsn;
    uint8_t step;
    uint8_t operation;
};
#define EVALUATIONS_MAX 128

static void evaluate(struct saga_engine *engine, const struct evaluation *evaluation,
                     struct saga_moment now) {
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_EVENT, now);
    struct saga_update update;
    struct saga_fault fault;
    void *body = NULL;
    size_t size = 0;
    input.saga = evaluation->saga;
    input.event.type = SAGA_INPUT_RENDERED;
    input.event.step = evaluation->step;
    input.event.operation = evaluation->operation;
    input.event.failed =
        saga_render(engine->log, &evaluation->saga, (enum saga_operation)evaluation->operation,
                    evaluation->last_lsn, &body, &size, &fault) != SAGA_OK;
    input.event.payload = (struct saga_bytes){.data = body, .size = (uint32_t)size};
    saga_coordinator_step(engine->coordinator, &input, &update);
    assert(update.answer == SAGA_ANSWER_TAKEN); /* nothing came between question and answer */
    saga_turn_take_over(engine, &update, now);
    free(body);
}

/* The records of one decision stand one after the other. */
static bool is_last_of_saga(const struct saga_update *update, size_t index) {
    return index + 1 == update->record_count ||
           memcmp(&update->records[index].saga, &update->records[index + 1].saga,
                  sizeof(struct saga_id)) != 0;
}

static void reckon(struct saga_engine *engine, struct saga_roster_entry *entry) {
    const struct saga_plan *plan = NULL;
    const struct saga *saga = saga_coordinator_find(engine->coordinator, &entry->id, &plan);
    saga_room_set(&engine->room, entry, plan, saga);
}

void saga_turn_take_over(struct saga_engine *engine, const struct saga_update *update,
                         struct saga_moment now) {
    struct evaluation evaluations[EVALUATIONS_MAX];
    size_t evaluation_count = 0;
    for (size_t i = 0; i < update->record_count; i++) {
        const struct saga_record *record = &update->records[i];
        saga_turn_append(engine, record);
        struct saga_roster_entry *entry = saga_roster_find(engine->roster, &record->saga);
        if (entry != NULL) {
            entry->last_lsn = record->lsn;
        }
        if (entry != NULL && record->fact == SAGA_ENDED) {
            entry->outcome = record->outcome;
            entry->ended_ms = record->at_ms;
        }
        if (entry != NULL) {
            entry->body_bytes = saga_room_body(entry->body_bytes, record);
        }
        if (entry != NULL && is_last_of_saga(update, i)) {
            reckon(engine, entry);
        }
    }
    for (size_t i = 0; i < update->effect_count; i++) {
        const struct saga_effect *effect = &update->effects[i];
        struct pending *pending;
        struct saga_roster_entry *entry;
        switch ((enum saga_effect_type)effect->type) {
        case SAGA_EFFECT_EVALUATE:
            assert(evaluation_count < EVALUATIONS_MAX);
            evaluations[evaluation_count++] = (struct evaluation){effect->saga, effect->last_lsn,
                                                                  effect->step, effect->operation};
            break;
        case SAGA_EFFECT_SEND:
            pending = saga_turn_pend(engine);
            pending->type = PENDING_SEND;
            pending->plan = effect->plan;
            pending->command = effect->command;
            break;
        case SAGA_EFFECT_CHANGED:
            entry = saga_roster_find(engine->roster, &effect->saga);
            if (entry != NULL) { /* not yet: its start is being taken right now */
                entry->status = effect->status;
            }
            pending = saga_turn_pend(engine);
            pending->type = PENDING_CHANGED;
            pending->saga = effect->saga;
            pending->status = effect->status;
            break;
        }
    }
    for (size_t i = 0; i < evaluation_count; i++) {
        evaluate(engine, &evaluations[i], now);
    }
}

enum saga_answer saga_turn_step(struct saga_engine *engine, const struct saga_input *input,
                                struct saga_moment now) {
    struct saga_update update;
    saga_coordinator_step(engine->coordinator, input, &update);
    enum saga_answer said = update.answer;
    saga_turn_take_over(engine, &update, now);
    return said;
}
