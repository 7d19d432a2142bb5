#include "broker_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "monotonic.h"
#include "scratch.h"

#define PATIENCE_MS 60000

struct broker_node fixture_node;
static char host[16]; /* "/t3" or "" */
static struct api_session *session;

/* ------------------------------------------------------------------- broker */

void fixture_open_node(int hosts) {
    char make[512];
    broker_node_open(&fixture_node);
    (void)snprintf(make, sizeof make,
                   "lists:foreach(fun(N) -> V = list_to_binary(\"t\" ++ integer_to_list(N)), "
                   "rabbit_vhost:add(V, <<\"tests\">>), "
                   "rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, "
                   "<<\".*\">>, <<\".*\">>, <<\"tests\">>) end, lists:seq(1, %d)).",
                   hosts);
    (void)broker_node_ctl(&fixture_node, (const char *const[]){"eval", make, NULL});
}

void fixture_close_node(void) {
    broker_node_close(&fixture_node);
}

const char *fixture_url_at(uint16_t port) {
    static char url[64];
    (void)snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%u%s", port, host);
    return url;
}

const char *fixture_url(void) {
    return fixture_url_at(fixture_node.port);
}

void fixture_begin(int number, const char *defaults) {
    char text[2048];
    host[0] = '\0';
    if (number != 0) {
        (void)snprintf(host, sizeof host, "/t%d", number);
    }
    fixture_make_data_dir();
    ck_assert_int_eq(mkdir(fixture_path("definitions"), 0750), 0);
    const int size =
        snprintf(text, sizeof text,
                 "saga: park\n"
                 "version: 1\n"
                 "exchange: " PARK_EXCHANGE "\n"
                 "headers: {CLIENT: TESTS}\n"
                 "participants:\n"
                 "  parking: {fenced: true}\n"
                 "defaults: {%s}\n"
                 "steps:\n"
                 "  - name: block\n"
                 "    command: parking.block\n"
                 "    done: [PARKING_AVAILABLE]\n"
                 "    rejected: [PARKING_UNAVAILABLE]\n"
                 "    compensation: {command: parking.unblock, done: [PARKING_UNBLOCKED]}\n"
                 "  - name: reserve\n"
                 "    command: parking.reserve\n"
                 "    done: [PARKING_RESERVED]\n"
                 "    rejected: [PARKING_RESERVATION_FAILED]\n"
                 "    pivot: true\n",
                 defaults == NULL ? "timeout: 60s" : defaults);
    file_write(fixture_path("definitions/park.yaml"), text, (size_t)size);
}

/* ------------------------------------------------------------------- daemon */

static struct api_session *api(void) {
    if (session == NULL) {
        session = fixture_session();
    }
    return session;
}

void fixture_start_at(const char *program, const char *url) {
    char definitions[SCRATCH_PATH_MAX];
    (void)snprintf(definitions, sizeof definitions, "%s", fixture_path("definitions"));
    fixture_start(program, "--data-dir", fixture_data_dir(), "--definitions", definitions, "--amqp",
                  url, NULL);
}

void fixture_start_connected(void) {
    fixture_start_at(SAGAD, fixture_url());
    (void)fixture_await_connected(true, PATIENCE_MS);
}

static void rest(void) {
    const struct timespec pause = {.tv_nsec = 10000000}; /* the API tells of ends alone */
    (void)nanosleep(&pause, NULL);
}

int64_t fixture_await_connected(bool connected, int64_t within_ms) {
    const int64_t began_ms = monotonic_ms();
    for (;;) {
        json_t *ready = api_session_get(api(), "/readyz");
        ck_assert_ptr_nonnull(ready);
        const json_t *state = json_object_get(json_object_get(ready, "broker"), "connected");
        ck_assert(json_is_boolean(state));
        const bool is_so = json_is_true(state) == connected;
        json_decref(ready);
        if (is_so) {
            return monotonic_ms() - began_ms;
        }
        ck_assert_msg(monotonic_ms() - began_ms < within_ms, "connected is never %d: %s", connected,
                      fixture_said());
        rest();
    }
}

const char *fixture_reason(void) {
    static char reason[1100];
    json_t *ready = api_session_get(api(), "/readyz");
    (void)snprintf(reason, sizeof reason, "%s",
                   api_text(json_object_get(ready, "broker"), "reason"));
    json_decref(ready);
    return reason;
}

void fixture_park(const char *key, const char *slot, char id[API_ID_SIZE]) {
    char input[256];
    (void)snprintf(input, sizeof input, "{\"parking_slot_ref_no\": \"%s:%s\"}", slot, key);
    ck_assert_int_eq(api_session_start(api(), "park", key, input, id), API_CREATED);
}

void fixture_expect(const char *id, const char *status) {
    fixture_expect_end(api(), id, status);
}

int fixture_attempts(const char *id, const char *step) {
    char path[128];
    size_t i;
    json_t *one;
    int attempts = -1;
    (void)snprintf(path, sizeof path, "/v1/sagas/%s", id);
    json_t *saga = api_session_get(api(), path);
    json_array_foreach(json_object_get(saga, "steps"), i, one) {
        if (strcmp(api_text(one, "name"), step) == 0) {
            attempts = (int)json_integer_value(json_object_get(one, "attempts"));
        }
    }
    json_decref(saga);
    ck_assert_int_ge(attempts, 0);
    return attempts;
}

int64_t fixture_count(const char *path) {
    char part[64];
    json_t *stats = api_session_get(api(), "/v1/stats");
    const json_t *at = stats;
    for (const char *from = path; at != NULL; from += strcspn(from, ".") + 1) {
        (void)snprintf(part, sizeof part, "%.*s", (int)strcspn(from, "."), from);
        at = json_object_get(at, part);
        if (strchr(from, '.') == NULL) {
            break;
        }
    }
    ck_assert_msg(json_is_integer(at), "no counter %s", path);
    const int64_t count = json_integer_value(at);
    json_decref(stats);
    return count;
}

void fixture_await_count(const char *path, int64_t least) {
    const int64_t until_ms = monotonic_ms() + PATIENCE_MS;
    while (fixture_count(path) < least) {
        ck_assert_msg(monotonic_ms() < until_ms, "%s stays %lld: %s", path,
                      (long long)fixture_count(path), fixture_said());
        rest();
    }
}

/* ------------------------------------------------------------------- queues */

const char *fixture_reply_queue(void) {
    static char queue[128];
    size_t size;
    char path[SCRATCH_PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/log/log.id", fixture_data_dir());
    uint8_t *text = file_read(path, &size);
    /* A UUID is in it. */
    const char *at = (const char *)text;
    while (size > 36 && strspn(at, "0123456789abcdef-") < 36) {
        at++;
        size--;
    }
    (void)snprintf(queue, sizeof queue, "saga.replies.%.36s", at);
    free(text);
    return queue;
}

long fixture_messages_in(const char *queue) {
    const char *printed = broker_node_ctl(
        &fixture_node,
        (const char *const[]){"list_queues", "-q", "--no-table-headers", "-p",
                              host[0] == '/' ? host + 1 : "/", "name", "messages", NULL});
    for (const char *line = printed; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t size = strlen(queue);
        if (strncmp(line, queue, size) == 0 && line[size] == '\t') {
            return strtol(line + size, NULL, 10);
        }
    }
    return -1;
}

void fixture_await_messages(const char *queue, long count) {
    const int64_t until_ms = monotonic_ms() + PATIENCE_MS;
    long there;
    while ((there = fixture_messages_in(queue)) != count) {
        ck_assert_msg(monotonic_ms() < until_ms, "%s: %ld messages", queue, there);
    }
}

/* ------------------------------------------------------------- participants */

void raw_open_queue(struct raw_participant *raw, const char *queue) {
    wire_ends_open(&raw->wire, fixture_url());
    wire_ends_consume(&raw->wire, queue);
}

void raw_open(struct raw_participant *raw, const char *queue) {
    char key[64];
    (void)snprintf(key, sizeof key, "%s.#", queue);
    wire_ends_open(&raw->wire, fixture_url());
    wire_ends_consume_bound(&raw->wire, queue, PARK_EXCHANGE, key);
}

void raw_close(struct raw_participant *raw) {
    wire_ends_close(&raw->wire);
}

static void copy(char *to, size_t size, const char *from) {
    (void)snprintf(to, size, "%s", from == NULL ? "" : from);
}

bool raw_try_next(struct raw_participant *raw, struct raw_command *command, int64_t within_ms) {
    if (!wire_ends_hear(&raw->wire, &raw->event, within_ms)) {
        return false;
    }
    const struct saga_amqp_message *message = &raw->event.message;
    *command = (struct raw_command){0};
    copy(command->id, sizeof command->id, message->correlation_id);
    copy(command->name, sizeof command->name, message->type);
    copy(command->reply_to, sizeof command->reply_to, message->reply_to);
    copy(command->operation, sizeof command->operation,
         saga_amqp_message_text(message, "saga-operation"));
    (void)saga_amqp_message_number(message, "saga-attempt", &command->attempt);
    (void)snprintf(command->body, sizeof command->body, "%.*s", (int)message->body_size,
                   (const char *)message->body);
    wire_ends_ack(&raw->wire, &raw->event);
    return true;
}

void raw_next(struct raw_participant *raw, struct raw_command *command) {
    ck_assert_msg(raw_try_next(raw, command, PATIENCE_MS), "nothing comes: %s", fixture_said());
}

void raw_next_named(struct raw_participant *raw, const char *name, struct raw_command *command) {
    do {
        raw_next(raw, command);
    } while (strcmp(command->name, name) != 0);
}

bool raw_hears_nothing(struct raw_participant *raw, int64_t within_ms) {
    return !wire_ends_hear(&raw->wire, &raw->event, within_ms);
}

void raw_publish(struct raw_participant *raw, const struct saga_amqp_message *message) {
    wire_ends_publish(&raw->wire, message);
}

struct saga_amqp_message raw_reply_message(const struct raw_command *command, const char *outcome,
                                           const char *body) {
    struct saga_amqp_message message = {
        .exchange = PARK_EXCHANGE,
        .routing_key = command->reply_to,
        .correlation_id = command->id,
        .content_type = "application/json",
        .mandatory = true,
        .body = body,
        .body_size = body == NULL ? 0 : strlen(body),
    };
    if (outcome != NULL) {
        saga_amqp_message_add_text(&message, "saga-outcome", outcome);
    }
    return message;
}

void raw_reply(struct raw_participant *raw, const struct raw_command *command, const char *outcome,
               const char *body) {
    const struct saga_amqp_message message = raw_reply_message(command, outcome, body);
    raw_publish(raw, &message);
}
