#include "engine.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failpoint.h"
#include "ids.h"
#include "json.h"
#include "recall.h"
#include "render.h"
#include "reply.h"
#include "revive.h"

/* Limits of what a client may say (docs/protocol.md). */
#define INPUT_BYTES_MAX (1u << 20)
#define KEY_BYTES_MAX   255
#define NOTE_BYTES_MAX  1000

/* What waits for the commit. */
struct pending {
    enum { PENDING_ANSWER = 1, PENDING_SEND, PENDING_CHANGED } type;
    uint64_t after_lsn;              /* durable first */
    struct saga_request *request;    /* ANSWER */
    const struct saga_plan *plan;    /* SEND */
    struct saga_outstanding command; /* SEND */
    struct saga_id saga;             /* CHANGED */
    const char *status;
};

struct saga_engine {
    struct saga_engine_config config;
    struct saga_log *log;
    struct saga_outlet outlet;
    struct saga_recall *recall; /* owns the following three */
    struct saga_coordinator *coordinator;
    struct saga_catalog *catalog;
    struct saga_registry *registry;
    struct saga_id_source ids;
    int64_t base_ms; /* the engine's time is boot_ms + this */
    uint64_t epoch_lsn;
    uint32_t epoch;
    bool draining;
    struct pending *pending;
    size_t pending_count;
    size_t pending_room;
    unsigned kinds; /* of failpoints in this batch */
    uint64_t batch_first_lsn;
    struct saga_engine_stats stats;
};

/* --------------------------------------------------------------- pending */

static struct pending *pend(struct saga_engine *engine) {
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

static void answer(struct saga_engine *engine, struct saga_request *request,
                   enum saga_result result) {
    struct pending *pending = pend(engine);
    pending->type = PENDING_ANSWER;
    pending->request = request;
    request->result = (uint8_t)result;
}

__attribute__((format(printf, 4, 5))) static void refuse(struct saga_engine *engine,
                                                         struct saga_request *request,
                                                         enum saga_result result,
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(request->text, sizeof request->text, format, arguments);
    va_end(arguments);
    answer(engine, request, result);
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
        break;
    }
    return 0;
}

static void append(struct saga_engine *engine, const struct saga_record *record) {
    unsigned kind = kind_of(record);
    if (kind != 0) {
        saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_BEFORE_APPEND);
    }
    if (saga_log_next_lsn(engine->log) == saga_log_durable(engine->log) + 1) {
        engine->batch_first_lsn = record->lsn;
    }
    saga_log_append(engine->log, record);
    engine->kinds |= 1u << kind;
    if (kind != 0) {
        saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_AFTER_APPEND);
    }
}

/* -------------------------------------------------------------- stepping */

static int64_t time_of(const struct saga_engine *engine, struct saga_moment now) {
    int64_t at_ms = engine->base_ms + now.boot_ms;
    int64_t seen_ms = saga_coordinator_now(engine->coordinator);
    return at_ms > seen_ms ? at_ms : seen_ms;
}

static struct saga_input input_of(const struct saga_engine *engine, enum saga_door door,
                                  struct saga_moment now) {
    return (struct saga_input){
        .door = (uint8_t)door,
        .next_lsn = saga_log_next_lsn(engine->log),
        .event =
            {
                .at_ms = time_of(engine, now),
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

static void take_over(struct saga_engine *engine, const struct saga_update *update,
                      struct saga_moment now);

static void evaluate(struct saga_engine *engine, const struct evaluation *evaluation,
                     struct saga_moment now) {
    struct saga_input input = input_of(engine, SAGA_DOOR_EVENT, now);
    struct saga_update update;
    struct saga_fault fault;
    void *body = NULL;
    size_t size = 0;
    input.saga = evaluation->saga;
    input.event.type = SAGA_INPUT_RENDERED;
    input.event.step = evaluation->step;
    input.event.operation = evaluation->operation;
    input.event.failed =
        saga_render(engine->log, evaluation->last_lsn, &body, &size, &fault) != SAGA_OK;
    input.event.payload = (struct saga_bytes){.data = body, .size = (uint32_t)size};
    saga_coordinator_step(engine->coordinator, &input, &update);
    assert(update.answer == SAGA_ANSWER_TAKEN); /* nothing came between question and answer */
    take_over(engine, &update, now);
    free(body);
}

/* Appends what was decided, keeps the effects for after the commit, and
 * answers what the core asks back: all in this batch, so that no decision is
 * torn. */
static void take_over(struct saga_engine *engine, const struct saga_update *update,
                      struct saga_moment now) {
    struct evaluation evaluations[EVALUATIONS_MAX];
    size_t evaluation_count = 0;
    for (size_t i = 0; i < update->record_count; i++) {
        const struct saga_record *record = &update->records[i];
        append(engine, record);
        struct saga_catalog_entry *entry = saga_catalog_find(engine->catalog, &record->saga);
        if (entry != NULL) {
            entry->last_lsn = record->lsn;
        }
    }
    for (size_t i = 0; i < update->effect_count; i++) {
        const struct saga_effect *effect = &update->effects[i];
        struct pending *pending;
        struct saga_catalog_entry *entry;
        switch ((enum saga_effect_type)effect->type) {
        case SAGA_EFFECT_EVALUATE:
            assert(evaluation_count < EVALUATIONS_MAX);
            evaluations[evaluation_count++] = (struct evaluation){effect->saga, effect->last_lsn,
                                                                  effect->step, effect->operation};
            break;
        case SAGA_EFFECT_SEND:
            pending = pend(engine);
            pending->type = PENDING_SEND;
            pending->plan = effect->plan;
            pending->command = effect->command;
            break;
        case SAGA_EFFECT_CHANGED:
            entry = saga_catalog_find(engine->catalog, &effect->saga);
            if (entry != NULL) { /* not yet: its start is being taken right now */
                entry->status = effect->status;
            }
            pending = pend(engine);
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

static enum saga_answer step(struct saga_engine *engine, const struct saga_input *input,
                             struct saga_moment now) {
    struct saga_update update;
    saga_coordinator_step(engine->coordinator, input, &update);
    enum saga_answer said = update.answer;
    take_over(engine, &update, now);
    return said;
}

/* ------------------------------------------------------------------- start */

static void give_listing(struct saga_request *request, const struct saga_catalog_entry *entry,
                         uint64_t position) {
    request->listings[request->listing_count++] = (struct saga_listing){
        .id = entry->id,
        .last_lsn = entry->last_lsn,
        .definition_lsn = entry->definition_lsn,
        .status = entry->status,
        .position = position,
    };
}

/* The saga that this key started before, or 0 if it is new; SIZE_MAX if it was
 * used with another input. */
static bool start_again(struct saga_engine *engine, struct saga_request *request,
                        const struct saga_catalog_key *hashed) {
    const struct saga_catalog_key *earlier = saga_catalog_recall(engine->catalog, hashed);
    if (earlier == NULL) {
        return false;
    }
    const struct saga_catalog_entry *entry = saga_catalog_at(engine->catalog, earlier->entry);
    char id[SAGA_ID_TEXT_SIZE];
    if (memcmp(earlier->input_hash, hashed->input_hash, sizeof hashed->input_hash) != 0) {
        engine->stats.start_conflicts++;
        refuse(engine, request, SAGA_RESULT_CONFLICT,
               "this key started saga %s, with another input; use a new key for a new saga",
               saga_id_text(&entry->id, id));
        return true;
    }
    engine->stats.started_again++;
    give_listing(request, entry, earlier->entry);
    answer(engine, request, SAGA_RESULT_OK);
    return true;
}

static void start_new(struct saga_engine *engine, struct saga_request *request,
                      const struct saga_definition *definition, struct saga_bytes input_text,
                      struct saga_catalog_key *hashed, struct saga_moment now) {
    uint32_t full = saga_log_full_percent(engine->log);
    struct saga_update update;
    struct saga_input input = input_of(engine, SAGA_DOOR_START, now);
    if (full >= engine->config.full_percent) {
        engine->stats.starts_refused++;
        refuse(engine, request, SAGA_RESULT_FULL,
               "the log is %u %% full; from %u %% on no saga is started, so that those that run "
               "can end. Make room, or raise the log's size.",
               full, engine->config.full_percent);
        return;
    }
    input.saga = saga_id_make(&engine->ids, now.wall_ms);
    input.plan = &definition->plan;
    input.event.key = request->key;
    input.event.payload = input_text;
    saga_coordinator_step(engine->coordinator, &input, &update);
    if (update.answer == SAGA_ANSWER_FULL) {
        engine->stats.starts_refused++;
        refuse(engine, request, SAGA_RESULT_FULL,
               "%u sagas are open, the limit (sagas_max); try again when some have ended",
               engine->config.limits.sagas_max);
        return;
    }
    uint64_t number = saga_catalog_add(engine->catalog, &input.saga,
                                       definition->plan.definition_lsn, input.next_lsn, "running");
    if (request->key.size > 0) {
        hashed->entry = number;
        saga_catalog_remember(engine->catalog, hashed);
    }
    engine->stats.started++;
    take_over(engine, &update, now);
    give_listing(request, saga_catalog_at(engine->catalog, number), number);
    answer(engine, request, SAGA_RESULT_CREATED);
}

static void take_start(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now) {
    struct saga_fault fault;
    json_t *json = NULL;
    const struct saga_definition *definition =
        saga_registry_current(engine->registry, request->saga);
    if (engine->draining) {
        refuse(engine, request, SAGA_RESULT_DRAINING, "the daemon is stopping; try again");
        return;
    }
    if (definition == NULL) {
        char names[160];
        saga_registry_names(engine->registry, names, sizeof names);
        refuse(engine, request, SAGA_RESULT_NO_DEFINITION,
               "there is no saga '%.64s' here; there is: %s", request->saga,
               names[0] != '\0' ? names : "none (start sagad with --definitions DIR)");
        return;
    }
    if (request->body.size > INPUT_BYTES_MAX || request->key.size > KEY_BYTES_MAX) {
        refuse(engine, request, SAGA_RESULT_TOO_LARGE,
               "an input has at most %u bytes, a key at most %u", INPUT_BYTES_MAX, KEY_BYTES_MAX);
        return;
    }
    if (saga_json_parse(request->body.data, request->body.size, &json, &fault) != SAGA_OK) {
        refuse(engine, request, SAGA_RESULT_INVALID, "the input: %.200s", fault.text);
        return;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        refuse(engine, request, SAGA_RESULT_INVALID, "the input must be a JSON object");
        return;
    }
    size_t size = 0;
    char *canonical = saga_json_canonical(json, &size);
    json_decref(json);
    if (canonical == NULL) {
        refuse(engine, request, SAGA_RESULT_FULL, "no memory for the input; try again");
        return;
    }
    struct saga_bytes text = {.data = canonical, .size = (uint32_t)size};
    struct saga_catalog_key hashed = {0};
    saga_catalog_hash(engine->catalog, request->key, definition->name, text, &hashed);
    if (request->key.size == 0 || !start_again(engine, request, &hashed)) {
        start_new(engine, request, definition, text, &hashed, now);
    }
    free(canonical);
}

/* ------------------------------------------------------------------ replies */

static const struct saga_definition *definition_of(const struct saga_plan *plan) {
    return (const struct saga_definition *)(const void *)((const char *)plan -
                                                          offsetof(struct saga_definition, plan));
}

/* A reply to a saga that has ended: recorded once, counted, and no more. */
static enum saga_answer reply_to_ended(struct saga_engine *engine, struct saga_event *event,
                                       struct saga_catalog_entry *entry,
                                       const struct saga_plan *plan) {
    struct saga_decision decision;
    struct saga *saga = saga_revive(engine->log, plan, entry->last_lsn);
    if (saga == NULL) {
        return SAGA_ANSWER_STALE;
    }
    saga_decide(saga, plan, event, saga_log_next_lsn(engine->log), &decision);
    free(saga);
    assert(decision.render_step == SAGA_STEP_NONE);
    for (size_t i = 0; i < decision.record_count; i++) {
        append(engine, &decision.records[i]);
        entry->last_lsn = decision.records[i].lsn;
    }
    return decision.answer;
}

static void take_reply(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now) {
    const struct saga_plan *plan = NULL;
    struct saga_catalog_entry *entry = saga_catalog_find(engine->catalog, &request->command.saga);
    const struct saga_definition *definition =
        entry == NULL ? NULL : saga_registry_at(engine->registry, entry->definition_lsn);
    bool open = saga_coordinator_find(engine->coordinator, &request->command.saga, &plan) != NULL;
    uint8_t verdict = SAGA_UNKNOWN;
    bool listed = true;
    engine->stats.replies++;
    if (definition == NULL) {
        engine->stats.replies_unknown_saga++;
        refuse(engine, request, SAGA_RESULT_NO_SAGA, "a reply for a saga that is not in the log");
        return;
    }
    if (request->command.step >= definition->plan.step_count ||
        !saga_reply_read(definition, &request->command, request->verdict, request->body, &verdict,
                         &listed)) {
        engine->stats.replies_malformed++;
        refuse(engine, request, SAGA_RESULT_INVALID,
               "a reply that cannot be read (its body must be a JSON object of at most %u bytes)",
               SAGA_REPLY_BYTES_MAX);
        return;
    }
    engine->stats.replies_unlisted += !listed;
    struct saga_input input = input_of(engine, SAGA_DOOR_EVENT, now);
    input.saga = request->command.saga;
    input.event.type = SAGA_INPUT_REPLY;
    input.event.step = request->command.step;
    input.event.operation = request->command.operation;
    input.event.incarnation = request->command.incarnation;
    input.event.revision = request->command.revision;
    input.event.attempt = request->attempt;
    input.event.verdict = verdict;
    input.event.payload = request->body;
    request->answer =
        (uint8_t)(open ? step(engine, &input, now)
                       : reply_to_ended(engine, &input.event, entry, &definition->plan));
    engine->stats.replies_stale += request->answer == SAGA_ANSWER_STALE;
    answer(engine, request, SAGA_RESULT_OK);
}

static void unsent(struct saga_engine *engine, const struct saga_command_id *command,
                   uint32_t attempt, struct saga_moment now) {
    struct saga_input input = input_of(engine, SAGA_DOOR_EVENT, now);
    input.saga = command->saga;
    input.event.type = SAGA_INPUT_UNSENT;
    input.event.step = command->step;
    input.event.operation = command->operation;
    input.event.incarnation = command->incarnation;
    input.event.revision = command->revision;
    input.event.attempt = attempt;
    (void)step(engine, &input, now); /* stale, if something better is known by now */
}

/* --------------------------------------------------------------- operators */

static void take_operator(struct saga_engine *engine, struct saga_request *request,
                          struct saga_moment now) {
    struct saga_catalog_entry *entry = saga_catalog_find(engine->catalog, &request->id);
    bool cancel = request->type == SAGA_REQUEST_CANCEL;
    if (entry == NULL) {
        refuse(engine, request, SAGA_RESULT_NO_SAGA, "there is no saga of this id");
        return;
    }
    if (request->key.size > NOTE_BYTES_MAX || request->body.size > NOTE_BYTES_MAX) {
        refuse(engine, request, SAGA_RESULT_TOO_LARGE, "a reason has at most %u bytes",
               NOTE_BYTES_MAX);
        return;
    }
    struct saga_input input = input_of(engine, SAGA_DOOR_EVENT, now);
    input.saga = request->id;
    input.event.type = cancel ? SAGA_INPUT_CANCEL : SAGA_INPUT_RETRY;
    input.event.key = request->key;
    input.event.payload = request->body;
    request->answer = (uint8_t)step(engine, &input, now);
    switch ((enum saga_answer)request->answer) {
    case SAGA_ANSWER_TAKEN:
    case SAGA_ANSWER_PENDING:
        answer(engine, request, SAGA_RESULT_ACCEPTED);
        return;
    case SAGA_ANSWER_ALREADY:
        answer(engine, request, SAGA_RESULT_OK);
        return;
    case SAGA_ANSWER_NO_SAGA:
        refuse(engine, request, SAGA_RESULT_CONFLICT, "the saga has ended (%s)", entry->status);
        return;
    case SAGA_ANSWER_REFUSED:
    case SAGA_ANSWER_STALE:
    case SAGA_ANSWER_LATE:
    case SAGA_ANSWER_FULL:
        break;
    }
    refuse(engine, request, SAGA_RESULT_CONFLICT,
           cancel ? "the saga cannot go back any more: it has passed its pivot, or is quarantined"
                  : "a retry cannot help: a participant broke its contract, or the saga is "
                    "quarantined (see sagalog show)");
}

/* ----------------------------------------------------------------- looking */

static void take_find(struct saga_engine *engine, struct saga_request *request) {
    const struct saga_catalog_entry *entry = saga_catalog_find(engine->catalog, &request->id);
    if (entry == NULL) {
        refuse(engine, request, SAGA_RESULT_NO_SAGA, "there is no saga of this id");
        return;
    }
    give_listing(request, entry, 0);
    answer(engine, request, SAGA_RESULT_OK);
}

static bool listed(const struct saga_engine *engine, const struct saga_request *request,
                   const struct saga_catalog_entry *entry) {
    if (request->status != NULL && strcmp(request->status, entry->status) != 0) {
        return false;
    }
    if (request->saga == NULL) {
        return true;
    }
    const struct saga_definition *definition =
        saga_registry_at(engine->registry, entry->definition_lsn);
    return definition != NULL && strcmp(definition->name, request->saga) == 0;
}

static void take_list(struct saga_engine *engine, struct saga_request *request) {
    uint64_t count = saga_catalog_count(engine->catalog);
    uint64_t number =
        request->cursor != 0 && request->cursor <= count ? request->cursor - 1 : count;
    for (; number > 0 && request->listing_count < request->limit; number--) {
        const struct saga_catalog_entry *entry = saga_catalog_at(engine->catalog, number);
        if (listed(engine, request, entry)) {
            give_listing(request, entry, number);
        }
    }
    answer(engine, request, SAGA_RESULT_OK);
}

static void take_stats(struct saga_engine *engine, struct saga_request *request) {
    struct saga_engine_stats *stats = request->stats;
    *stats = engine->stats;
    stats->core = *saga_coordinator_counters(engine->coordinator);
    saga_log_usage(engine->log, &stats->log);
    stats->sagas_known = saga_catalog_count(engine->catalog);
    stats->epoch = engine->epoch;
    stats->last_lsn = saga_log_next_lsn(engine->log) - 1;
    answer(engine, request, SAGA_RESULT_OK);
}

void saga_engine_take(struct saga_engine *engine, struct saga_request *request,
                      struct saga_moment now) {
    request->next = NULL;
    request->listing_count = 0;
    request->text[0] = '\0';
    switch ((enum saga_request_type)request->type) {
    case SAGA_REQUEST_START:
        take_start(engine, request, now);
        return;
    case SAGA_REQUEST_REPLY:
        take_reply(engine, request, now);
        return;
    case SAGA_REQUEST_UNSENT:
        unsent(engine, &request->command, request->attempt, now);
        answer(engine, request, SAGA_RESULT_OK);
        return;
    case SAGA_REQUEST_CANCEL:
    case SAGA_REQUEST_RETRY:
        take_operator(engine, request, now);
        return;
    case SAGA_REQUEST_FIND:
        take_find(engine, request);
        return;
    case SAGA_REQUEST_LIST:
        take_list(engine, request);
        return;
    case SAGA_REQUEST_STATS:
        take_stats(engine, request);
        return;
    }
    refuse(engine, request, SAGA_RESULT_INVALID, "no such request");
}

/* -------------------------------------------------------------------- time */

int64_t saga_engine_tick(struct saga_engine *engine, struct saga_moment now) {
    struct saga_update update;
    struct saga_input input = input_of(engine, SAGA_DOOR_TICK, now);
    saga_coordinator_step(engine->coordinator, &input, &update);
    int64_t wake_at_ms = update.wake_at_ms;
    bool more = update.record_count > 0; /* what follows may be due earlier */
    take_over(engine, &update, now);
    if (more) {
        return now.boot_ms;
    }
    return wake_at_ms == INT64_MAX ? INT64_MAX : wake_at_ms - engine->base_ms;
}

void saga_engine_sweep(struct saga_engine *engine, struct saga_moment now) {
    struct saga_input input = input_of(engine, SAGA_DOOR_SWEEP, now);
    (void)step(engine, &input, now);
}

void saga_engine_drain(struct saga_engine *engine) {
    engine->draining = true;
}

/* ------------------------------------------------------------------ commit */

bool saga_engine_batch_full(const struct saga_engine *engine) {
    return saga_log_batch_full(engine->log);
}

bool saga_engine_pending(const struct saga_engine *engine) {
    return engine->pending_count > 0 ||
           saga_log_durable(engine->log) + 1 < saga_log_next_lsn(engine->log);
}

static void failpoints_after_commit(struct saga_engine *engine) {
    for (unsigned kind = 1; kind <= SAGA_FAILPOINT_KIND_COUNT; kind++) {
        if ((engine->kinds & 1u << kind) != 0) {
            saga_failpoint((enum saga_failpoint_kind)kind, SAGA_FAILPOINT_AFTER_COMMIT);
        }
    }
    engine->kinds = 0;
}

/* True: handed over. False: nobody carries it. */
static bool dispatch(struct saga_engine *engine, const struct pending *pending) {
    const struct saga_definition *definition = definition_of(pending->plan);
    const struct saga_command_id *id = &pending->command.id;
    const struct saga_definition_step *planned = &definition->steps[id->step];
    struct saga_record record;
    struct saga_fault fault;
    if (saga_log_read(engine->log, pending->command.command_lsn, &record, &fault) != SAGA_OK) {
        /* What was committed a moment ago cannot be read: nothing here can be trusted. */
        (void)fprintf(stderr, "%s\n", fault.text);
        abort();
    }
    struct saga_dispatch out = {
        .id = *id,
        .definition = definition,
        .participant = definition->participants[planned->participant].name,
        .name =
            saga_definition_command_name(definition, id->step, (enum saga_operation)id->operation),
        .attempt = pending->command.attempt,
        .epoch = engine->epoch,
        .issued_at_ms = saga_coordinator_now(engine->coordinator),
        .deadline_ms = pending->command.deadline_ms == INT64_MAX ? 0 : pending->command.deadline_ms,
        .body = record.payload.data,
        .body_size = record.payload.size,
    };
    if (!engine->outlet.send(engine->outlet.context, &out)) {
        engine->stats.commands_refused++;
        return false;
    }
    engine->stats.commands_sent++;
    bool again = pending->command.command_lsn < engine->epoch_lsn;
    saga_failpoint(again                          ? SAGA_FAILPOINT_RECOVERY
                   : id->operation == SAGA_ACTION ? SAGA_FAILPOINT_COMMAND
                                                  : SAGA_FAILPOINT_COMPENSATION,
                   SAGA_FAILPOINT_AFTER_SEND);
    return true;
}

static void release_answer(const struct pending *pending) {
    struct saga_request *request = pending->request;
    uint8_t type = request->type;
    request->answered(request); /* it may be gone now */
    if (type == SAGA_REQUEST_START) {
        saga_failpoint(SAGA_FAILPOINT_START, SAGA_FAILPOINT_AFTER_SEND);
    } else if (type == SAGA_REQUEST_REPLY) {
        saga_failpoint(SAGA_FAILPOINT_REPLY, SAGA_FAILPOINT_AFTER_SEND);
    }
}

/* Lets go of what waited, in order. Gives back the commands that nobody took:
 * they are moved to the front, and their number is returned. */
static size_t release(struct saga_engine *engine, struct pending *pending, size_t count) {
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        assert(pending[i].after_lsn <= saga_log_durable(engine->log));
        switch (pending[i].type) {
        case PENDING_ANSWER:
            release_answer(&pending[i]);
            break;
        case PENDING_SEND:
            if (!engine->draining && !dispatch(engine, &pending[i])) {
                pending[refused++] = pending[i];
            }
            break;
        case PENDING_CHANGED:
            if (engine->outlet.changed != NULL) {
                engine->outlet.changed(engine->outlet.context, &pending[i].saga, pending[i].status);
            }
            break;
        }
    }
    return refused;
}

enum saga_error saga_engine_commit(struct saga_engine *engine, struct saga_moment now,
                                   struct saga_fault *fault) {
    uint64_t records = saga_log_next_lsn(engine->log) - 1 - saga_log_durable(engine->log);
    if (records > 0) {
        enum saga_error error = saga_log_flush(engine->log, fault);
        if (error != SAGA_OK) {
            return error;
        }
        engine->stats.batches++;
        if (records > engine->stats.batch_records_max) {
            engine->stats.batch_records_max = records;
        }
        failpoints_after_commit(engine);
    }
    /* New effects may come while these leave: they wait for the next commit. */
    struct pending *leaving = engine->pending;
    size_t count = engine->pending_count;
    size_t room = engine->pending_room;
    engine->pending = NULL;
    engine->pending_count = 0;
    engine->pending_room = 0;
    size_t refused = release(engine, leaving, count);
    for (size_t i = 0; i < refused; i++) {
        unsent(engine, &leaving[i].command.id, leaving[i].command.attempt, now);
    }
    if (engine->pending == NULL) { /* keep the memory for the next batch */
        engine->pending = leaving;
        engine->pending_room = room;
    } else {
        free(leaving);
    }
    return SAGA_OK;
}

/* ----------------------------------------------------------------- opening */

static enum saga_error begin_epoch(struct saga_engine *engine, struct saga_moment now,
                                   struct saga_fault *fault) {
    int64_t seen_ms = saga_coordinator_now(engine->coordinator);
    int64_t begin_ms = now.wall_ms > seen_ms ? now.wall_ms : seen_ms;
    struct saga_input input;
    engine->base_ms = begin_ms - now.boot_ms;
    engine->epoch = saga_log_epoch(engine->log) + 1;
    input = input_of(engine, SAGA_DOOR_EPOCH, now);
    engine->epoch_lsn = input.next_lsn;
    (void)step(engine, &input, now);
    return saga_engine_commit(engine, now, fault);
}

static enum saga_error recover(struct saga_engine *engine, struct saga_moment now,
                               struct saga_recovery_report *report, struct saga_fault *fault) {
    const struct saga_recall_options options = {
        .limits = engine->config.limits,
        .hash_seed = engine->config.hash_seed,
        .guard_path = engine->config.guard_path,
    };
    enum saga_error error = saga_recall_open(&engine->recall, engine->log, &options, fault);
    if (error != SAGA_OK) {
        return error;
    }
    *report = engine->recall->report;
    engine->coordinator = engine->recall->coordinator;
    engine->catalog = engine->recall->catalog;
    engine->registry = engine->recall->registry;
    return begin_epoch(engine, now, fault);
}

void saga_engine_config_default(struct saga_engine_config *config) {
    *config = (struct saga_engine_config){
        .limits =
            {
                .sagas_max = 1000000,
                .plans_max = 1024,
                .participants_max = 1024,
                .resend_per_second = 20000,
            },
        .full_percent = SAGA_LOG_FULL_PERCENT,
    };
}

enum saga_error saga_engine_open(struct saga_engine **engine, struct saga_log *log,
                                 const struct saga_engine_config *config,
                                 const struct saga_outlet *outlet, struct saga_moment now,
                                 struct saga_recovery_report *report, struct saga_fault *fault) {
    struct saga_engine *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the engine");
    }
    made->config = *config;
    made->log = log;
    made->outlet = *outlet;
    made->ids =
        (struct saga_id_source){.random = config->random, .context = config->random_context};
    enum saga_error error = recover(made, now, report, fault);
    if (error != SAGA_OK) {
        saga_engine_close(made);
        return error;
    }
    *engine = made;
    return SAGA_OK;
}

void saga_engine_close(struct saga_engine *engine) {
    if (engine == NULL) {
        return;
    }
    saga_recall_close(engine->recall);
    free(engine->pending);
    free(engine);
}

static enum saga_error log_definition(struct saga_engine *engine,
                                      struct saga_definition *definition, struct saga_moment now,
                                      struct saga_fault *fault) {
    struct saga_record record = {
        .lsn = saga_log_next_lsn(engine->log),
        .at_ms = time_of(engine, now),
        .wall_ms = now.wall_ms,
        .epoch = engine->epoch,
        .fact = SAGA_DEFINITION_LOADED,
        .step = SAGA_STEP_NONE,
        .key = {.data = definition->hash, .size = (uint32_t)strlen(definition->hash)},
        .payload = {.data = definition->canonical, .size = (uint32_t)definition->canonical_size},
    };
    enum saga_error error = saga_registry_add(engine->registry, definition, record.lsn, fault);
    if (error != SAGA_OK) {
        return error;
    }
    bool defined = saga_coordinator_define(engine->coordinator, &definition->plan);
    assert(defined); /* the registry has the same limit */
    append(engine, &record);
    return SAGA_OK;
}

enum saga_error saga_engine_define(struct saga_engine *engine, struct saga_definition *definition,
                                   struct saga_moment now, struct saga_fault *fault) {
    const struct saga_definition *known = saga_registry_by_hash(engine->registry, definition->hash);
    if (known == NULL) {
        enum saga_error error = log_definition(engine, definition, now, fault);
        if (error != SAGA_OK) {
            saga_definition_free(definition);
            return error;
        }
        known = definition;
    } else {
        saga_definition_free(definition);
    }
    saga_registry_make_current(engine->registry, known);
    return SAGA_OK;
}

const struct saga_definition *saga_engine_definition(const struct saga_engine *engine,
                                                     uint64_t definition_lsn) {
    return saga_registry_at(engine->registry, definition_lsn);
}
