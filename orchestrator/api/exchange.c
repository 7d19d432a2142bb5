#include "exchange.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "deed.h"
#include "duration.h"
#include "ids.h"
#include "json.h"
#include "route.h"
#include "show.h"

/* What is read and thrown away of a body that is too large, so that its sender
 * sees the answer; who sends more is cut off. */
#define DISCARDED_BYTES_MAX (4u << 20)

/* Each returns what the exchange needs next. */
static enum saga_need complete(struct saga_exchange *exchange) {
    assert(exchange->response.status != 0);
    return SAGA_NEED_NOTHING;
}

static enum saga_need no_memory(struct saga_exchange *exchange) {
    saga_response_problem(&exchange->response, SAGA_PROBLEM_INTERNAL, exchange->head.path,
                          "there is no memory for this request; try again");
    return complete(exchange);
}

#define REFUSE(exchange, problem, ...)                                                             \
    (saga_response_problem(&(exchange)->response, problem, (exchange)->head.path, __VA_ARGS__),    \
     complete(exchange))

static enum saga_need ask(struct saga_exchange *exchange, enum saga_request_type type) {
    exchange->request.type = (uint8_t)type;
    exchange->request.context = exchange;
    exchange->asking = true;
    return SAGA_NEED_ENGINE;
}

/* ------------------------------------------------------------------ engine's no */

static enum saga_problem problem_of(const struct saga_request *request) {
    switch ((enum saga_result)request->result) {
    case SAGA_RESULT_INVALID:
        return SAGA_PROBLEM_INVALID;
    case SAGA_RESULT_NO_SAGA:
        return SAGA_PROBLEM_NO_SAGA;
    case SAGA_RESULT_NO_DEFINITION:
        return SAGA_PROBLEM_NO_DEFINITION;
    case SAGA_RESULT_CONFLICT:
        return request->type == SAGA_REQUEST_START ? SAGA_PROBLEM_KEY_CONFLICT
                                                   : SAGA_PROBLEM_REFUSED;
    case SAGA_RESULT_TOO_LARGE:
        return SAGA_PROBLEM_TOO_LARGE;
    case SAGA_RESULT_FULL:
        return SAGA_PROBLEM_FULL;
    case SAGA_RESULT_DRAINING:
        return SAGA_PROBLEM_STOPPING;
    case SAGA_RESULT_OK:
    case SAGA_RESULT_CREATED:
    case SAGA_RESULT_ACCEPTED:
        break;
    }
    return SAGA_PROBLEM_INTERNAL;
}

/* True if the engine said yes. */
static bool granted(const struct saga_exchange *exchange) {
    const uint8_t result = exchange->request.result;
    return result == SAGA_RESULT_OK || result == SAGA_RESULT_CREATED ||
           result == SAGA_RESULT_ACCEPTED;
}

/* ----------------------------------------------------------------------- start */

/* Reads the body as an object that has no other members than these. */
static bool read_object(struct saga_exchange *exchange, const char *const *members,
                        const char *expected) {
    struct saga_fault fault;
    const char *name;
    json_t *value;
    if (saga_json_parse(exchange->body, exchange->body_size, &exchange->json, &fault) != SAGA_OK) {
        (void)REFUSE(exchange, SAGA_PROBLEM_INVALID, "the body: %s; expected: %s", fault.text,
                     expected);
        return false;
    }
    if (!json_is_object(exchange->json)) {
        (void)REFUSE(exchange, SAGA_PROBLEM_INVALID, "the body is not an object; expected: %s",
                     expected);
        return false;
    }
    json_object_foreach(exchange->json, name, value) {
        const char *const *known = members;
        while (*known != NULL && strcmp(*known, name) != 0) {
            known++;
        }
        if (*known == NULL) {
            (void)REFUSE(exchange, SAGA_PROBLEM_INVALID,
                         "the body has an unknown member '%.64s'; expected: %s", name, expected);
            return false;
        }
    }
    return true;
}

/* A start key is 1 to 255 characters of printable ASCII. */
static bool key_ok(struct saga_exchange *exchange) {
    const char *key = exchange->head.key;
    if (key == NULL) {
        return true;
    }
    const size_t size = strlen(key);
    bool printable = true;
    for (const char *c = key; *c != '\0'; c++) {
        printable = printable && *c >= 0x20 && *c < 0x7f;
    }
    if (size < 1 || size > SAGA_KEY_TEXT_MAX || !printable) {
        (void)REFUSE(exchange, SAGA_PROBLEM_INVALID,
                     "an Idempotency-Key has 1 to %d characters of printable ASCII",
                     SAGA_KEY_TEXT_MAX);
        return false;
    }
    exchange->request.key = (struct saga_bytes){key, (uint32_t)size};
    return true;
}

static enum saga_need start(struct saga_exchange *exchange) {
    static const char *const members[] = {"saga", "input", NULL};
    static const char expected[] = "{\"saga\": \"<a definition's name>\", \"input\": {...}}";
    size_t size;
    if (!key_ok(exchange) || !read_object(exchange, members, expected)) {
        return complete(exchange);
    }
    const json_t *saga = json_object_get(exchange->json, "saga");
    const json_t *input = json_object_get(exchange->json, "input");
    if (!json_is_string(saga)) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID, "'saga' must be a text; expected: %s",
                      expected);
    }
    if (!json_is_object(input)) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID, "'input' must be an object; expected: %s",
                      expected);
    }
    exchange->text = saga_json_canonical(input, &size);
    if (exchange->text == NULL) {
        return no_memory(exchange);
    }
    exchange->request.saga = json_string_value(saga);
    exchange->request.body = (struct saga_bytes){exchange->text, (uint32_t)size};
    exchange->request.listings = &exchange->listing;
    return ask(exchange, SAGA_REQUEST_START);
}

static enum saga_need started(struct saga_exchange *exchange) {
    char id[SAGA_ID_TEXT_SIZE];
    const unsigned status = exchange->request.result == SAGA_RESULT_CREATED ? 201 : 200;
    (void)saga_id_text(&exchange->listing.id, id);
    saga_response_json(&exchange->response, status,
                       json_pack("{s:s, s:s, s:s}", "id", id, "saga", exchange->request.saga,
                                 "status", exchange->listing.status));
    (void)snprintf(exchange->response.location, sizeof exchange->response.location, "/v1/sagas/%s",
                   id);
    return complete(exchange);
}

/* ------------------------------------------------------------------ operators */

/* Who acts: what the header says, and whom the socket knows. */
static bool note_who(struct saga_exchange *exchange) {
    const char *said = exchange->head.who;
    const char *known = exchange->peer;
    for (const char *c = said; c != NULL && *c != '\0'; c++) {
        if (*c < 0x20 || *c >= 0x7f || c - said >= 128) {
            (void)REFUSE(exchange, SAGA_PROBLEM_INVALID,
                         "a Saga-Operator has at most 128 characters of printable ASCII");
            return false;
        }
    }
    const int size = said != NULL && *said != '\0'
                         ? asprintf(&exchange->text, known != NULL ? "%s (%s)" : "%s", said, known)
                         : asprintf(&exchange->text, "%s", known != NULL ? known : "api");
    if (size < 0) {
        exchange->text = NULL;
        (void)no_memory(exchange);
        return false;
    }
    exchange->request.key = (struct saga_bytes){exchange->text, (uint32_t)size};
    return true;
}

static enum saga_need act(struct saga_exchange *exchange, enum saga_request_type verb) {
    const char *expected = saga_deed_expected(verb);
    exchange->request.type = (uint8_t)verb;
    if (!note_who(exchange)) {
        return complete(exchange);
    }
    if (exchange->body_size > 0 || saga_deed_needs_body(verb)) {
        if (!read_object(exchange, saga_deed_members(verb), expected)) {
            return complete(exchange);
        }
        const char *wrong = saga_deed_read(exchange->json, &exchange->request, &exchange->content);
        if (wrong != NULL) {
            return REFUSE(exchange, SAGA_PROBLEM_INVALID, "%s; expected: %s", wrong, expected);
        }
    }
    return ask(exchange, verb);
}

/* Done; now where that has left the saga. */
static enum saga_need acted(struct saga_exchange *exchange) {
    exchange->verb_result = exchange->request.result;
    exchange->request.listings = &exchange->listing;
    return ask(exchange, SAGA_REQUEST_FIND);
}

static enum saga_need tell_acted(struct saga_exchange *exchange) {
    char id[SAGA_ID_TEXT_SIZE];
    const bool accepted = exchange->verb_result == SAGA_RESULT_ACCEPTED;
    const bool pending = exchange->request.answer == SAGA_ANSWER_PENDING;
    saga_response_json(&exchange->response, accepted ? 202 : 200,
                       json_pack("{s:s, s:s, s:s}", "id", saga_id_text(&exchange->listing.id, id),
                                 "status", exchange->listing.status, "result",
                                 pending    ? "pending"
                                 : accepted ? "accepted"
                                            : "already"));
    return complete(exchange);
}

/* -------------------------------------------------------------------- one saga */

bool saga_status_is_final(const char *status) {
    return strcmp(status, "running") != 0 && strcmp(status, "compensating") != 0;
}

/* Not among the waiters any more. */
static void stop_waiting(struct saga_exchange *exchange) {
    if (exchange->waiting) {
        saga_waiters_remove(exchange->world->waiters, &exchange->waiter);
        exchange->waiting = false;
        exchange->world->stats.waiting--;
    }
}

/* First among the waiters, then to the engine: what changes from here on is
 * either in the engine's answer, or wakes. */
static enum saga_need find(struct saga_exchange *exchange) {
    if (exchange->wait_until_ms > exchange->now_ms) {
        exchange->waiter.id = exchange->request.id;
        exchange->waiter.context = exchange;
        saga_waiters_add(exchange->world->waiters, &exchange->waiter);
        exchange->waiting = true;
        exchange->world->stats.waiting++;
    }
    exchange->request.listings = &exchange->listing;
    return ask(exchange, SAGA_REQUEST_FIND);
}

static enum saga_need look(struct saga_exchange *exchange) {
    const char *wait = saga_head_query(&exchange->head, "wait");
    int64_t wait_ms = 0;
    if (wait != NULL &&
        (!saga_duration_parse(wait, strlen(wait), &wait_ms) || wait_ms > SAGA_WAIT_MS_MAX)) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID,
                      "'wait' is a duration of at most 5m, such as 500ms, 30s or 2m");
    }
    if (wait_ms > 0 && exchange->world->stats.waiting >= exchange->world->waiting_max) {
        return REFUSE(exchange, SAGA_PROBLEM_BUSY,
                      "%" PRIu64 " requests wait for a saga already; try again, or without 'wait'",
                      exchange->world->waiting_max);
    }
    exchange->wait_until_ms = exchange->now_ms + wait_ms;
    return find(exchange);
}

static enum saga_need found(struct saga_exchange *exchange) {
    struct saga_fault fault = {0};
    if (exchange->waiting && !saga_status_is_final(exchange->listing.status)) {
        return exchange->woken ? saga_exchange_wake(exchange, exchange->now_ms) : SAGA_NEED_CHANGE;
    }
    stop_waiting(exchange);
    json_t *json = saga_show(exchange->world, &exchange->listing, &fault);
    if (json == NULL && fault.error != SAGA_OK) {
        return REFUSE(exchange, SAGA_PROBLEM_INTERNAL, "the saga cannot be read: %s", fault.text);
    }
    saga_response_json(&exchange->response, 200, json);
    return complete(exchange);
}

/* ------------------------------------------------------------------------ list */

static bool status_ok(const char *status) {
    static const char *const statuses[] = {
        "running",
        "compensating",
        "completed",
        "compensated",
        "completed_manually",
        "compensated_manually",
        "inconsistent",
        "parked",
        "quarantined",
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i], status) == 0) {
            return true;
        }
    }
    return false;
}

/* A number from 1 to `max`; 0: it is none. */
static uint64_t number_of(const char *text, uint64_t max) {
    uint64_t number = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || number > (max - (uint64_t)(*c - '0')) / 10) {
            return 0;
        }
        number = number * 10 + (uint64_t)(*c - '0');
    }
    return number;
}

static enum saga_need list(struct saga_exchange *exchange) {
    const char *status = saga_head_query(&exchange->head, "status");
    const char *limit = saga_head_query(&exchange->head, "limit");
    const char *cursor = saga_head_query(&exchange->head, "cursor");
    const uint64_t rows = limit != NULL ? number_of(limit, SAGA_PAGE_MAX) : SAGA_PAGE_DEFAULT;
    if (status != NULL && !status_ok(status)) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID,
                      "there is no status '%.64s'; there are: running, compensating, completed, "
                      "compensated, completed_manually, compensated_manually, inconsistent, "
                      "parked, quarantined",
                      status);
    }
    if (rows == 0) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID, "'limit' is a number from 1 to %d",
                      SAGA_PAGE_MAX);
    }
    if (cursor != NULL && !saga_id_parse(cursor, strlen(cursor), &exchange->request.id)) {
        return REFUSE(exchange, SAGA_PROBLEM_INVALID,
                      "'cursor' is not one that an answer gave as next_cursor");
    }
    /* One more than asked for tells whether there is a next page. */
    exchange->page = calloc((size_t)rows + 1, sizeof *exchange->page);
    if (exchange->page == NULL) {
        return no_memory(exchange);
    }
    exchange->request.listings = exchange->page;
    exchange->request.limit = (size_t)rows + 1;
    exchange->request.status = status;
    exchange->request.saga = saga_head_query(&exchange->head, "saga");
    return ask(exchange, SAGA_REQUEST_LIST);
}

static enum saga_need listed(struct saga_exchange *exchange) {
    const size_t rows = exchange->request.limit - 1;
    json_t *sagas = json_array();
    char cursor[SAGA_ID_TEXT_SIZE];
    const bool more = exchange->request.listing_count > rows;
    const size_t count = more ? rows : exchange->request.listing_count;
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(sagas, saga_show_row(exchange->world, &exchange->page[i])) != 0) {
            json_decref(sagas);
            return no_memory(exchange);
        }
    }
    if (more) {
        (void)saga_id_text(&exchange->page[count - 1].id, cursor);
    }
    saga_response_json(
        &exchange->response, 200,
        json_pack("{s:o, s:s?}", "sagas", sagas, "next_cursor", more ? cursor : NULL));
    return complete(exchange);
}

/* ---------------------------------------------------------------------- others */

static enum saga_need count(struct saga_exchange *exchange) {
    exchange->engine_stats = calloc(1, sizeof *exchange->engine_stats);
    if (exchange->engine_stats == NULL) {
        return no_memory(exchange);
    }
    exchange->request.stats = exchange->engine_stats;
    return ask(exchange, SAGA_REQUEST_STATS);
}

/* What others have to say as well; takes the reference of `json`. NULL: no memory. */
static json_t *join(json_t *json, json_t *(*more)(void *context), void *context) {
    if (json == NULL || more == NULL) {
        return json;
    }
    json_t *members = more(context);
    if (members == NULL || json_object_update(json, members) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(members);
    return json;
}

static enum saga_need counted(struct saga_exchange *exchange) {
    const struct saga_exchange_world *world = exchange->world;
    json_t *json = saga_stats_json(exchange->engine_stats, &world->stats);
    saga_response_json(&exchange->response, 200,
                       join(json, world->more_stats, world->more_context));
    return complete(exchange);
}

static enum saga_need definitions(struct saga_exchange *exchange) {
    const struct saga_exchange_world *world = exchange->world;
    json_t *array = json_array();
    for (size_t i = 0; i < world->definition_count; i++) {
        const struct saga_api_definition *definition = &world->definitions[i];
        if (json_array_append_new(array, json_pack("{s:s, s:I, s:s}", "saga", definition->name,
                                                   "version", (json_int_t)definition->version,
                                                   "hash", definition->hash)) != 0) {
            json_decref(array);
            return no_memory(exchange);
        }
    }
    saga_response_json(&exchange->response, 200, json_pack("{s:o}", "definitions", array));
    return complete(exchange);
}

static enum saga_need ready(struct saga_exchange *exchange) {
    if (!atomic_load(&exchange->world->ready)) {
        return REFUSE(exchange, SAGA_PROBLEM_STOPPING, "no saga is started now");
    }
    const struct saga_exchange_world *world = exchange->world;
    saga_response_json(
        &exchange->response, 200,
        join(json_pack("{s:s}", "status", "ready"), world->more_ready, world->more_context));
    return complete(exchange);
}

/* ------------------------------------------------------------------ its stages */

enum saga_need saga_exchange_begin(struct saga_exchange *exchange, int64_t now_ms) {
    const struct saga_head *head = &exchange->head;
    exchange->now_ms = now_ms;
    exchange->world->stats.requests++;
    if (saga_head_check(head, &exchange->world->listener, &exchange->response)) {
        exchange->route = saga_route_find(head, &exchange->request.id, &exchange->response);
    }
    if (exchange->response.status == 0) {
        return SAGA_NEED_BODY;
    }
    exchange->world->stats.refused++;
    /* A body that is on its way is let in, so that its sender reads the answer; not one that
     * waits to be asked for, or is beyond the limit. */
    const bool coming = (head->length != 0 || head->chunked) && !head->expects &&
                        head->length <= SAGA_BODY_BYTES_MAX && !exchange->response.close;
    return coming ? SAGA_NEED_BODY : complete(exchange);
}

bool saga_exchange_add(struct saga_exchange *exchange, const void *bytes, size_t size) {
    const size_t sum = exchange->body_size + size;
    if (sum > SAGA_BODY_BYTES_MAX && exchange->response.status == 0) {
        exchange->world->stats.refused++;
        (void)REFUSE(exchange, SAGA_PROBLEM_TOO_LARGE, "a body has at most %u bytes",
                     SAGA_BODY_BYTES_MAX);
    }
    if (exchange->response.status != 0) {
        exchange->body_size = sum;
        return sum <= DISCARDED_BYTES_MAX;
    }
    char *grown = realloc(exchange->body, sum);
    if (grown == NULL) {
        return false;
    }
    memcpy(grown + exchange->body_size, bytes, size);
    exchange->body = grown;
    exchange->body_size = sum;
    return true;
}

enum saga_need saga_exchange_run(struct saga_exchange *exchange, int64_t now_ms) {
    exchange->now_ms = now_ms;
    if (exchange->response.status != 0) {
        return complete(exchange);
    }
    switch (exchange->route->resource) {
    case SAGA_RESOURCE_START:
        return start(exchange);
    case SAGA_RESOURCE_LIST:
        return list(exchange);
    case SAGA_RESOURCE_SAGA:
        return look(exchange);
    case SAGA_RESOURCE_CANCEL:
        return act(exchange, SAGA_REQUEST_CANCEL);
    case SAGA_RESOURCE_RETRY:
        return act(exchange, SAGA_REQUEST_RETRY);
    case SAGA_RESOURCE_RESOLVE:
        return act(exchange, SAGA_REQUEST_RESOLVE);
    case SAGA_RESOURCE_MARK_COMPENSATED:
        return act(exchange, SAGA_REQUEST_MARK_COMPENSATED);
    case SAGA_RESOURCE_WRITE_OFF:
        return act(exchange, SAGA_REQUEST_WRITE_OFF);
    case SAGA_RESOURCE_STATS:
        return count(exchange);
    case SAGA_RESOURCE_DEFINITIONS:
        return definitions(exchange);
    case SAGA_RESOURCE_READY:
        return ready(exchange);
    case SAGA_RESOURCE_HEALTH:
        break;
    }
    saga_response_json(&exchange->response, 200, json_pack("{s:s}", "status", "ok"));
    return complete(exchange);
}

enum saga_need saga_exchange_answered(struct saga_exchange *exchange, int64_t now_ms) {
    exchange->now_ms = now_ms;
    exchange->asking = false;
    if (!granted(exchange)) {
        stop_waiting(exchange);
        return REFUSE(exchange, problem_of(&exchange->request), "%s", exchange->request.text);
    }
    switch (exchange->route->resource) {
    case SAGA_RESOURCE_START:
        return started(exchange);
    case SAGA_RESOURCE_LIST:
        return listed(exchange);
    case SAGA_RESOURCE_CANCEL:
    case SAGA_RESOURCE_RETRY:
    case SAGA_RESOURCE_RESOLVE:
    case SAGA_RESOURCE_MARK_COMPENSATED:
    case SAGA_RESOURCE_WRITE_OFF:
        return exchange->verb_result == 0 ? acted(exchange) : tell_acted(exchange);
    case SAGA_RESOURCE_STATS:
        return counted(exchange);
    case SAGA_RESOURCE_SAGA:
    case SAGA_RESOURCE_DEFINITIONS:
    case SAGA_RESOURCE_READY:
    case SAGA_RESOURCE_HEALTH:
        break;
    }
    return found(exchange);
}

enum saga_need saga_exchange_wake(struct saga_exchange *exchange, int64_t now_ms) {
    exchange->now_ms = now_ms;
    if (exchange->asking) { /* the answer that is on its way may be older than the change */
        exchange->woken = true;
        return SAGA_NEED_CHANGE;
    }
    exchange->woken = false;
    stop_waiting(exchange);
    return find(exchange);
}

void saga_exchange_stop(struct saga_exchange *exchange) {
    stop_waiting(exchange);
    (void)REFUSE(exchange, SAGA_PROBLEM_STOPPING,
                 "whether the request was carried out is not known; ask again when the daemon is "
                 "back, a start with the same key");
    exchange->response.close = true;
}

void saga_exchange_fini(struct saga_exchange *exchange) {
    stop_waiting(exchange);
    saga_response_fini(&exchange->response);
    json_decref(exchange->json);
    free(exchange->body);
    free(exchange->text);
    free(exchange->content);
    free(exchange->page);
    free(exchange->engine_stats);
}
