#include "delivery.h"

#include "fence_row.h"
#include "json_body.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one run of business code (or what stands in for it) came to. */
struct verdict {
    enum saga_wire_outcome outcome; /* DONE, REJECTED, RETRY */
    struct saga_fence_answer answer;
};

/* ---------------------------------------------------------------- refusals */

/* No answer is given where any answer could be wrong: the orchestrator then goes
 * by its rules for unknown outcomes. */
static bool refuse(struct saga_wire_reply *reply, uint64_t *count, const char *why) {
    reply->silent = true;
    reply->refusal = why;
    ++*count;
    return true;
}

static const struct saga_service_command *find(const struct saga_service *service, const char *name,
                                               enum saga_wire_operation operation) {
    for (size_t i = 0; i < service->command_count; i++) {
        if (service->commands[i].operation == operation &&
            strcmp(service->commands[i].name, name) == 0) {
            return &service->commands[i];
        }
    }
    return NULL;
}

/* A tombstone written for another service's command would say of its action that
 * it never happened. So what is not ours by name is not answered. */
static bool is_ours(const struct saga_service *service, const struct saga_wire_command *command,
                    enum saga_wire_operation operation) {
    size_t size = strlen(service->name);
    bool own_space = strncmp(command->name, service->name, size) == 0 && command->name[size] == '.';
    if (operation == SAGA_WIRE_FENCE) {
        return own_space && strcmp(command->name + size, ".fence") == 0;
    }
    if (operation == SAGA_WIRE_SETTLE) {
        return own_space && strcmp(command->name + size, ".settle") == 0;
    }
    return own_space || find(service, command->name, operation) != NULL;
}

/* A UUIDv7 begins with the ms at which it was made (RFC 9562, 5.7). */
static int64_t saga_began_ms(const char *saga) {
    if (saga[14] != '7') {
        return INT64_MAX;
    }
    char digits[13] = {0};
    memcpy(digits, saga, 8);
    memcpy(digits + 8, saga + 9, 4);
    return strtoll(digits, NULL, 16);
}

/* True if the row that this command does not find may have been purged. A row is
 * never older than its action's command; of another command only the saga's own
 * age is known. */
static bool may_be_purged(const struct saga_delivery_batch *batch,
                          const struct saga_wire_command *command,
                          enum saga_wire_operation operation) {
    /* A settle asks nothing about the action, and its tombstone is right in any case: so an
     * operator can still settle what is older than the rows. */
    if (batch->purged_before_ms == 0 || operation == SAGA_WIRE_SETTLE) {
        return false;
    }
    int64_t oldest_ms = command->issued_at_ms;
    if (operation != SAGA_WIRE_ACTION || oldest_ms <= 0) {
        int64_t began_ms = saga_began_ms(command->saga);
        oldest_ms = oldest_ms <= 0 || began_ms < oldest_ms ? began_ms : oldest_ms;
        if (oldest_ms == INT64_MAX) {
            return true; /* neither is said */
        }
    }
    return oldest_ms < batch->purged_before_ms + SAGA_PARTICIPANT_SKEW_MS;
}

/* ---------------------------------------------------------------- switches */

static uint64_t draw(uint64_t *state) {
    /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool is_to_fail(struct saga_participant *participant, const char *name) {
    const struct saga_participant_switches *switches = &participant->options.switches;
    bool fails = false;
    for (size_t i = 0; i < switches->fail_count; i++) {
        if (strcmp(switches->fails[i].command, name) == 0) {
            double drawn = (double)(draw(&participant->draws) >> 11) * 0x1.0p-53;
            fails = fails || drawn < switches->fails[i].probability;
        }
    }
    return fails;
}

static void note_crash(struct saga_delivery_batch *batch, const char *name) {
    const struct saga_participant *participant = batch->participant;
    const struct saga_participant_switches *switches = &participant->options.switches;
    for (size_t i = 0; i < switches->crash_count && batch->crash == 0; i++) {
        if (!participant->crashed[i] && strcmp(switches->crashes[i].command, name) == 0) {
            batch->crash = i + 1;
        }
    }
}

/* ----------------------------------------------------------- business code */

static void set_verdict(struct verdict *verdict, enum saga_wire_outcome outcome, const char *event,
                        const char *message) {
    verdict->outcome = outcome;
    (void)snprintf(verdict->answer.event, sizeof verdict->answer.event, "%s", event);
    if (message != NULL) {
        json_t *content = json_pack("{s:s}", "message", message);
        verdict->answer.content = content == NULL ? NULL : json_dumps(content, 0);
        json_decref(content);
    }
}

/* Takes the answer out of a call that has returned DONE, REJECTED or RETRY. */
static bool take_answer(struct saga_call *call, enum saga_wire_outcome outcome,
                        struct verdict *verdict) {
    assert(call->event != NULL &&
           saga_wire_name_check(call->event, SAGA_WIRE_NAME_BYTES_MAX)); /* saga_call_answer() */
    if (call->content != NULL && !json_is_null(call->content)) {
        verdict->answer.content = json_dumps(call->content, JSON_ENCODE_ANY);
        if (verdict->answer.content == NULL) {
            return false;
        }
    }
    verdict->outcome = outcome;
    (void)snprintf(verdict->answer.event, sizeof verdict->answer.event, "%s", call->event);
    return true;
}

/* Runs the function. False if the database failed. */
static bool run(struct saga_delivery_batch *batch, const struct saga_service_command *entry,
                const struct saga_wire_command *command, const json_t *body, const json_t *result,
                struct verdict *verdict) {
    struct saga_participant *participant = batch->participant;
    struct saga_call call = {
        .database = participant->database.handle,
        .command = command,
        .body = body,
        .result = result,
        .switches = &participant->options.switches,
        .now_ms = batch->now_ms,
        .statements = &participant->database,
    };
    enum saga_wire_outcome outcome = entry->run(&call);
    if (outcome == SAGA_WIRE_NONE) {
        set_verdict(verdict, SAGA_WIRE_RETRY, "RETRY", call.failure);
        batch->counts.failed++;
    } else if (!take_answer(&call, outcome, verdict)) {
        set_verdict(verdict, SAGA_WIRE_RETRY, "RETRY", "the answer could not be encoded");
        batch->counts.failed++;
    }
    json_decref(call.content);
    saga_database_reset(&participant->database);
    return !call.database_failed && sqlite3_get_autocommit(participant->database.handle) == 0;
}

/* Reads what the function needs, and runs it. False if the database failed. */
static bool read_and_run(struct saga_delivery_batch *batch,
                         const struct saga_service_command *entry,
                         const struct saga_wire_command *command, const struct saga_fence_row *row,
                         struct verdict *verdict) {
    char why[SAGA_JSON_WHY_BYTES];
    bool out_of_memory;
    json_t *body = saga_json_body_read(command->body, command->body_size, why, &out_of_memory);
    if (body == NULL) {
        /* It reads the same on every attempt, so it will never take effect. */
        set_verdict(verdict, out_of_memory ? SAGA_WIRE_RETRY : SAGA_WIRE_REJECTED,
                    out_of_memory ? "RETRY" : "BODY_UNREADABLE", why);
        return true;
    }
    json_t *result = NULL;
    if (entry->operation == SAGA_WIRE_COMPENSATION) {
        result = row->action.content == NULL
                     ? json_null()
                     : json_loads(row->action.content, JSON_DECODE_ANY, NULL);
        if (result == NULL) {
            set_verdict(verdict, SAGA_WIRE_RETRY, "RETRY", "the stored result cannot be read");
            json_decref(body);
            return true;
        }
    }
    bool alive = run(batch, entry, command, body, result, verdict);
    json_decref(result);
    json_decref(body);
    return alive;
}

/* The verdict of the service on a command that the fence lets through. */
static bool ask(struct saga_delivery_batch *batch, const struct saga_wire_command *command,
                enum saga_wire_operation operation, const struct saga_fence_row *row,
                struct verdict *verdict) {
    struct saga_participant *participant = batch->participant;
    const struct saga_service_command *entry = find(participant->service, command->name, operation);
    if (entry == NULL) {
        /* Said at once, while everything can still be undone: repeating it would
         * not cure a definition that names a command nobody has. */
        set_verdict(verdict, SAGA_WIRE_REJECTED, "COMMAND_UNKNOWN",
                    "this participant has no such command");
        return true;
    }
    if (is_to_fail(participant, command->name)) {
        bool can_reject = entry->rejected_event != NULL;
        set_verdict(verdict, can_reject ? SAGA_WIRE_REJECTED : SAGA_WIRE_RETRY,
                    can_reject ? entry->rejected_event : "RETRY", "as told by --fail");
        return true;
    }
    return read_and_run(batch, entry, command, row, verdict);
}

/* Writes what the row must say after this verdict. */
static bool write_row(struct saga_delivery_batch *batch, const struct saga_wire_command *command,
                      enum saga_wire_operation operation, const struct verdict *verdict) {
    struct saga_database *database = &batch->participant->database;
    if (operation == SAGA_WIRE_COMPENSATION) {
        return saga_fence_row_compensate(database, command, &verdict->answer, batch->now_ms);
    }
    enum saga_fence_state state =
        verdict->outcome == SAGA_WIRE_DONE ? SAGA_FENCE_DONE : SAGA_FENCE_REJECTED;
    return saga_fence_row_decide(database, command, state, &verdict->answer, batch->now_ms);
}

/* Encodes the reply; one that cannot be given becomes `retry`, of no effect. */
static bool encode(struct saga_delivery_batch *batch, struct saga_wire_reply *reply,
                   struct verdict *verdict) {
    if (!saga_wire_reply_encode(reply, verdict->answer.event, verdict->answer.content)) {
        free(verdict->answer.content);
        verdict->answer.content = NULL;
        set_verdict(verdict, SAGA_WIRE_RETRY, "RETRY", "the answer is too large");
        batch->counts.failed++;
        if (!saga_wire_reply_encode(reply, verdict->answer.event, verdict->answer.content)) {
            return false;
        }
    }
    reply->outcome = verdict->outcome;
    return true;
}

/* Asks the service, and keeps what it wrote together with the row, or neither. */
static bool run_in_savepoint(struct saga_delivery_batch *batch,
                             const struct saga_wire_command *command,
                             enum saga_wire_operation operation, const struct saga_fence_row *row,
                             struct saga_wire_reply *reply) {
    struct saga_database *database = &batch->participant->database;
    struct verdict verdict = {0};
    bool alive = saga_database_run(database, "SAVEPOINT command") == SQLITE_OK &&
                 ask(batch, command, operation, row, &verdict) && encode(batch, reply, &verdict);
    if (alive) {
        /* A compensation's refusal is not kept: a later revision may succeed. */
        bool kept = verdict.outcome == SAGA_WIRE_DONE ||
                    (verdict.outcome == SAGA_WIRE_REJECTED && operation == SAGA_WIRE_ACTION);
        alive = (kept ? write_row(batch, command, operation, &verdict)
                      : saga_database_run(database, "ROLLBACK TO command") == SQLITE_OK) &&
                saga_database_run(database, "RELEASE command") == SQLITE_OK;
        batch->counts.ran += kept ? 1 : 0;
        batch->counts.retried += verdict.outcome == SAGA_WIRE_RETRY ? 1 : 0;
    }
    free(verdict.answer.content);
    return alive;
}

/* ------------------------------------------------------------------ orders */

static bool answer(struct saga_wire_reply *reply, enum saga_wire_outcome outcome, const char *event,
                   const char *content) {
    reply->outcome = outcome;
    return saga_wire_reply_encode(reply, event, content);
}

static bool bury(struct saga_delivery_batch *batch, const struct saga_wire_command *command) {
    batch->counts.buried++;
    return saga_fence_row_bury(&batch->participant->database, command, batch->now_ms);
}

static bool follow(struct saga_delivery_batch *batch, const struct saga_wire_command *command,
                   enum saga_fence_order order, const struct saga_fence_row *row,
                   struct saga_wire_reply *reply) {
    switch (order) {
    case SAGA_FENCE_RUN_ACTION:
        return run_in_savepoint(batch, command, SAGA_WIRE_ACTION, row, reply);
    case SAGA_FENCE_RUN_COMPENSATION:
        return run_in_savepoint(batch, command, SAGA_WIRE_COMPENSATION, row, reply);
    case SAGA_FENCE_BURY_NOOP:
        return bury(batch, command) && answer(reply, SAGA_WIRE_NOOP, "NOOP", NULL);
    case SAGA_FENCE_BURY_FENCED:
        return bury(batch, command) && answer(reply, SAGA_WIRE_FENCED, "FENCED", NULL);
    case SAGA_FENCE_BURY_SETTLED:
        return bury(batch, command) && answer(reply, SAGA_WIRE_DONE, "SETTLED", NULL);
    case SAGA_FENCE_CLOSE:
        return saga_fence_row_settle(&batch->participant->database, command, batch->now_ms) &&
               answer(reply, SAGA_WIRE_DONE, "SETTLED", NULL);
    case SAGA_FENCE_REPLAY_ACTION:
        return answer(reply,
                      row->state == SAGA_FENCE_REJECTED ? SAGA_WIRE_REJECTED : SAGA_WIRE_DONE,
                      row->action.event, row->action.content);
    case SAGA_FENCE_REPLAY_COMPENSATION:
        return answer(reply, SAGA_WIRE_DONE, row->compensation.event, row->compensation.content);
    case SAGA_FENCE_ANSWER_NOOP:
        return answer(reply, SAGA_WIRE_NOOP, "NOOP", NULL);
    case SAGA_FENCE_ANSWER_FENCED:
        return answer(reply, SAGA_WIRE_FENCED, "FENCED", NULL);
    case SAGA_FENCE_ANSWER_SETTLED:
        return answer(reply, SAGA_WIRE_DONE, "SETTLED", NULL);
    }
    assert(!"an order that is not in the list");
    return false;
}

static bool decide(struct saga_delivery_batch *batch, const struct saga_wire_command *command,
                   enum saga_wire_operation operation, const struct saga_fence_row *row,
                   struct saga_wire_reply *reply) {
    struct saga_participant_counts *counts = &batch->counts;
    if (row->state == SAGA_FENCE_ABSENT && may_be_purged(batch, command, operation)) {
        return refuse(reply, &counts->expired,
                      "the command is older than the rows that are kept here: nobody can tell what "
                      "became of its action");
    }
    enum saga_fence_order order = saga_fence_decide(row->state, operation);
    if (order == SAGA_FENCE_REPLAY_ACTION && operation == SAGA_WIRE_ACTION) {
        unsigned char hash[SAGA_FENCE_HASH_BYTES];
        saga_fence_body_hash(command, hash);
        if (memcmp(hash, row->body_hash, sizeof hash) != 0) {
            return refuse(reply, &counts->conflicts,
                          "the action was decided already, with another body");
        }
    }
    if (!follow(batch, command, order, row, reply)) {
        return false;
    }
    reply->replayed = saga_fence_order_replays(order);
    if (reply->replayed) {
        counts->replayed++;
    } else {
        note_crash(batch, command->name);
    }
    return true;
}

bool saga_delivery_carry_out(struct saga_delivery_batch *batch,
                             const struct saga_wire_command *command,
                             struct saga_wire_reply *reply) {
    struct saga_participant *participant = batch->participant;
    struct saga_participant_counts *counts = &batch->counts;
    counts->commands++;
    *reply = (struct saga_wire_reply){.attempt = command->attempt};
    const char *wrong = saga_wire_command_check(command);
    if (wrong != NULL) {
        return refuse(reply, &counts->malformed, wrong);
    }
    (void)snprintf(reply->id, sizeof reply->id, "%s", command->id);
    enum saga_wire_operation operation = saga_wire_operation_parse(command->operation);
    if (!is_ours(participant->service, command, operation)) {
        return refuse(reply, &counts->foreign, "the command is not one of this participant's");
    }
    struct saga_fence_row row;
    bool alive = false;
    switch (saga_fence_row_read(&participant->database, command, &row)) {
    case SAGA_FENCE_READ:
        alive = decide(batch, command, operation, &row, reply);
        break;
    case SAGA_FENCE_DAMAGED:
        alive = refuse(reply, &counts->damaged, "the row of this command cannot be read");
        break;
    case SAGA_FENCE_FAILED:
        break;
    }
    saga_fence_row_fini(&row);
    return alive;
}
