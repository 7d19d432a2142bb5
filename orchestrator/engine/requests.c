#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "reply.h"
#include "revive.h"
#include "turn.h"

/* Limits of what a client may say (docs/protocol.md). */
#define INPUT_BYTES_MAX (1u << 20)
#define KEY_BYTES_MAX   255

/* ------------------------------------------------------------------- start */

static void give_listing(struct saga_request *request, const struct saga_census_line *line) {
    request->listings[request->listing_count++] = (struct saga_listing){
        .id = line->id,
        .last_lsn = line->last_lsn,
        .definition_lsn = line->definition_lsn,
        .status = line->status,
        .left_out = line->left_out,
    };
}

/* Of a saga that was started, though perhaps so long ago that only its key is left. */
static void give_listing_of(struct saga_engine *engine, struct saga_request *request,
                            const struct saga_id *id) {
    struct saga_census_line line;
    if (!saga_turn_find(engine, id, &line)) {
        line = (struct saga_census_line){.id = *id, .status = "purged"};
    }
    give_listing(request, &line);
}

/* Answers a start whose key was used before: with its saga, or with a refusal
 * if the input is another one. False: the key is new. */
static bool start_again(struct saga_engine *engine, struct saga_request *request,
                        const struct saga_start_key *hashed) {
    struct saga_start_key earlier;
    char id[SAGA_ID_TEXT_SIZE];
    if (!saga_turn_find_key(engine, hashed, &earlier)) {
        return false;
    }
    if (memcmp(earlier.input_hash, hashed->input_hash, sizeof hashed->input_hash) != 0) {
        engine->stats.start_conflicts++;
        saga_turn_refuse(
            engine, request, SAGA_RESULT_CONFLICT,
            "this key started saga %s, with another input; use a new key for a new saga",
            saga_id_text(&earlier.saga, id));
        return true;
    }
    engine->stats.started_again++;
    saga_turn_ask(engine, &earlier.saga, request->content);
    give_listing_of(engine, request, &earlier.saga);
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
    return true;
}

static unsigned long long kib(uint64_t bytes) {
    return (unsigned long long)(bytes + 1023) / 1024;
}

/* Whether the log has room to finish and to compensate all that is open, and this one. Else it is
 * refused here. */
static bool has_room(struct saga_engine *engine, struct saga_request *request,
                     const struct saga_plan *plan, uint32_t input_bytes) {
    const uint32_t full = saga_log_full_percent(engine->log);
    if (full >= engine->config.full_percent) {
        saga_turn_refuse(
            engine, request, SAGA_RESULT_FULL,
            "the log is %u %% full; from %u %% on no saga is started, so that those that run "
            "can end. Make room, or raise the log's size.",
            full, engine->config.full_percent);
        return false;
    }
    struct saga_log_room log;
    const struct saga_room_rows rows = saga_turn_rows(engine);
    const struct saga_room_need more =
        saga_room_of_start(plan, request->key.size + request->content.size, input_bytes);
    saga_log_room(engine->log, &log);
    const uint64_t largest =
        engine->room.needed.largest > more.largest ? engine->room.needed.largest : more.largest;
    if (saga_room_fits(&engine->room, &log, &rows, &more, 0) ||
        (largest > 0 && saga_room_fits(&engine->room, &log, &rows, &more,
                                       saga_log_free_in_rows(engine->log, largest)))) {
        return true;
    }
    saga_turn_refuse(engine, request, SAGA_RESULT_FULL,
                     "of the log's %llu KiB %llu are in use; what is open may need %llu more to "
                     "end, and this saga %llu. Try again when some have ended, make room, or raise "
                     "the log's size.",
                     kib(log.bytes_max), kib(log.bytes),
                     kib(saga_room_needed(&engine->room, &log, &rows)), kib(more.bytes));
    return false;
}

static void start_new(struct saga_engine *engine, struct saga_request *request,
                      const struct saga_definition *definition, struct saga_bytes input_text,
                      struct saga_start_key *hashed, struct saga_moment now) {
    struct saga_update update;
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_START, now);
    if (!has_room(engine, request, &definition->plan, input_text.size)) {
        engine->stats.starts_refused++;
        return;
    }
    input.saga = saga_id_make(&engine->ids, now.wall_ms);
    input.plan = &definition->plan;
    input.event.key = request->key;
    input.event.payload = input_text;
    input.event.content = request->content;
    saga_coordinator_step(engine->coordinator, &input, &update);
    if (update.answer == SAGA_ANSWER_FULL) {
        engine->stats.starts_refused++;
        saga_turn_refuse(engine, request, SAGA_RESULT_FULL,
                         "%u sagas are open, the limit (sagas_max); try again when some have ended",
                         engine->config.limits.sagas_max);
        return;
    }
    struct saga_roster_entry *entry = saga_roster_add(engine->roster, &input.saga);
    entry->started_lsn = input.next_lsn;
    entry->definition_lsn = definition->plan.definition_lsn;
    entry->status = "running";
    if (request->key.size > 0) {
        hashed->saga = input.saga;
        saga_start_keys_remember(engine->keys, hashed);
    }
    engine->stats.started++;
    saga_turn_take_over(engine, &update, now);
    give_listing_of(engine, request, &input.saga);
    saga_turn_answer(engine, request, SAGA_RESULT_CREATED);
}

static void take_start(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now) {
    struct saga_fault fault;
    json_t *json = NULL;
    const struct saga_definition *definition =
        saga_registry_current(engine->registry, request->saga);
    if (engine->draining) {
        saga_turn_refuse(engine, request, SAGA_RESULT_DRAINING,
                         "the daemon is stopping; try again");
        return;
    }
    if (definition == NULL) {
        char names[160];
        saga_registry_names(engine->registry, names, sizeof names);
        saga_turn_refuse(engine, request, SAGA_RESULT_NO_DEFINITION,
                         "there is no saga '%.64s' here; there is: %s", request->saga,
                         names[0] != '\0' ? names : "none (start sagad with --definitions DIR)");
        return;
    }
    if (request->body.size > INPUT_BYTES_MAX || request->key.size > KEY_BYTES_MAX) {
        saga_turn_refuse(engine, request, SAGA_RESULT_TOO_LARGE,
                         "an input has at most %u bytes, a key at most %u", INPUT_BYTES_MAX,
                         KEY_BYTES_MAX);
        return;
    }
    if (request->content.size > SAGA_ASKER_BYTES_MAX) {
        saga_turn_refuse(engine, request, SAGA_RESULT_TOO_LARGE,
                         "who is to be told of the end has at most %u bytes", SAGA_ASKER_BYTES_MAX);
        return;
    }
    if (saga_json_parse(request->body.data, request->body.size, &json, &fault) != SAGA_OK) {
        saga_turn_refuse(engine, request, SAGA_RESULT_INVALID, "the input: %.200s", fault.text);
        return;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        saga_turn_refuse(engine, request, SAGA_RESULT_INVALID, "the input must be a JSON object");
        return;
    }
    size_t size = 0;
    char *canonical = saga_json_canonical(json, &size);
    json_decref(json);
    if (canonical == NULL) {
        saga_turn_refuse(engine, request, SAGA_RESULT_FULL, "no memory for the input; try again");
        return;
    }
    struct saga_bytes text = {.data = canonical, .size = (uint32_t)size};
    struct saga_start_key hashed;
    saga_start_keys_hash(engine->keys, request->key, definition->name, text, &hashed);
    if (request->key.size == 0 || !start_again(engine, request, &hashed)) {
        start_new(engine, request, definition, text, &hashed, now);
    }
    free(canonical);
}

/* ------------------------------------------------------------------ replies */

/* A reply to a saga that has ended: recorded once, counted, and no more. */
static enum saga_answer reply_to_ended(struct saga_engine *engine, struct saga_event *event,
                                       const struct saga_census_line *line,
                                       const struct saga_plan *plan) {
    struct saga_decision decision;
    if (saga_turn_set_aside(line->status)) {
        return SAGA_ANSWER_REFUSED;
    }
    struct saga *saga = saga_revive(engine->log, plan, &line->id, line->last_lsn);
    if (saga == NULL) {
        return SAGA_ANSWER_STALE;
    }
    saga_decide(saga, plan, event, saga_log_next_lsn(engine->log), &decision);
    free(saga);
    assert(decision.render_step == SAGA_STEP_NONE);
    for (size_t i = 0; i < decision.record_count; i++) {
        saga_turn_append(engine, &decision.records[i]);
        saga_census_admit(engine->roster, line)->last_lsn = decision.records[i].lsn;
    }
    return decision.answer;
}

static void take_reply(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now) {
    const struct saga_plan *plan = NULL;
    struct saga_census_line line;
    const struct saga_definition *definition =
        saga_turn_find(engine, &request->command.saga, &line)
            ? saga_registry_at(engine->registry, line.definition_lsn)
            : NULL;
    bool open = saga_coordinator_find(engine->coordinator, &request->command.saga, &plan) != NULL;
    uint8_t verdict = SAGA_UNKNOWN;
    bool listed = true;
    engine->stats.replies++;
    if (definition == NULL) {
        engine->stats.replies_unknown_saga++;
        saga_turn_refuse(engine, request, SAGA_RESULT_NO_SAGA,
                         "a reply for a saga that is not in the log");
        return;
    }
    if (request->step.size > 0) {
        request->command.step = saga_definition_step(definition, &request->step);
    }
    if (request->command.step >= definition->plan.step_count ||
        !saga_reply_read(definition, &request->command, request->verdict, request->body, &verdict,
                         &listed)) {
        engine->stats.replies_malformed++;
        saga_turn_refuse(
            engine, request, SAGA_RESULT_INVALID,
            "a reply that cannot be read (its body must be a JSON object of at most %u bytes)",
            SAGA_REPLY_BYTES_MAX);
        return;
    }
    engine->stats.replies_unlisted += !listed;
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_EVENT, now);
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
        (uint8_t)(open ? saga_turn_step(engine, &input, now)
                       : reply_to_ended(engine, &input.event, &line, &definition->plan));
    engine->stats.replies_stale += request->answer == SAGA_ANSWER_STALE;
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
}

void saga_turn_unsent(struct saga_engine *engine, const struct saga_command_id *command,
                      uint32_t attempt, struct saga_moment now) {
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_EVENT, now);
    input.saga = command->saga;
    input.event.type = SAGA_INPUT_UNSENT;
    input.event.step = command->step;
    input.event.operation = command->operation;
    input.event.incarnation = command->incarnation;
    input.event.revision = command->revision;
    input.event.attempt = attempt;
    (void)saga_turn_step(engine, &input, now); /* stale, if something better is known by now */
}

/* ----------------------------------------------------------------- looking */

static void take_find(struct saga_engine *engine, struct saga_request *request) {
    struct saga_census_line line;
    if (!saga_turn_find(engine, &request->id, &line)) {
        saga_turn_refuse(engine, request, SAGA_RESULT_NO_SAGA, "there is no saga of this id");
        return;
    }
    give_listing(request, &line);
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
}

static bool listed(const struct saga_engine *engine, const struct saga_request *request,
                   const struct saga_census_line *line) {
    if (request->saga == NULL) {
        return true;
    }
    const struct saga_definition *definition =
        saga_registry_at(engine->registry, line->definition_lsn);
    return definition != NULL && strcmp(definition->name, request->saga) == 0;
}

static void take_list(struct saga_engine *engine, struct saga_request *request) {
    static const struct saga_id none = {{0}};
    const bool from_newest = memcmp(&request->id, &none, sizeof none) == 0;
    struct saga_census census;
    struct saga_census_line line;
    saga_turn_begin_list(engine, request->status, from_newest ? NULL : &request->id, &census);
    while (request->listing_count < request->limit && saga_turn_next(&census, &line)) {
        if (listed(engine, request, &line)) {
            give_listing(request, &line);
        }
    }
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
}

static void take_stats(struct saga_engine *engine, struct saga_request *request) {
    struct saga_engine_stats *stats = request->stats;
    *stats = engine->stats;
    stats->core = *saga_coordinator_counters(engine->coordinator);
    saga_log_usage(engine->log, &stats->log);
    struct saga_outcomes_counts outcomes;
    saga_outcomes_count(engine->outcomes, &outcomes);
    stats->outcomes_open = outcomes.open;
    stats->outcomes_untold = outcomes.untold;
    stats->sagas_known = saga_turn_count(engine);
    saga_checkpointer_count(engine->checkpointer, &stats->checkpoints);
    saga_purger_count(engine->purger, &stats->purged);
    stats->first_lsn = saga_log_first_lsn(engine->log);
    struct saga_log_room room;
    const struct saga_room_rows rows = saga_turn_rows(engine);
    saga_log_room(engine->log, &room);
    stats->log_bytes_usable = room.bytes_max;
    stats->log_bytes_needed = saga_room_needed(&engine->room, &room, &rows);
    stats->epoch = engine->epoch;
    stats->last_lsn = saga_log_next_lsn(engine->log) - 1;
    saga_turn_answer(engine, request, SAGA_RESULT_OK);
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
        saga_turn_unsent(engine, &request->command, request->attempt, now);
        saga_turn_answer(engine, request, SAGA_RESULT_OK);
        return;
    case SAGA_REQUEST_RESEND:
    case SAGA_REQUEST_HURRY: {
        const bool again = request->type == SAGA_REQUEST_RESEND;
        const struct saga_input input =
            saga_turn_input(engine, again ? SAGA_DOOR_RESEND : SAGA_DOOR_HURRY, now);
        (void)saga_turn_step(engine, &input, now);
        saga_turn_answer(engine, request, SAGA_RESULT_OK);
        return;
    }
    case SAGA_REQUEST_TOLD:
        saga_turn_told(engine, request, now);
        return;
    case SAGA_REQUEST_CANCEL:
    case SAGA_REQUEST_RETRY:
    case SAGA_REQUEST_RESOLVE:
    case SAGA_REQUEST_MARK_COMPENSATED:
    case SAGA_REQUEST_WRITE_OFF:
        saga_turn_operate(engine, request, now);
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
    saga_turn_refuse(engine, request, SAGA_RESULT_INVALID, "no such request");
}
