/* The daemon as those behind the broker see it: the commands that come, and what
 * becomes of replies, good ones, bad ones, and those that nobody should send. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker_fixture.h"
#include "check_run.h"
#include "ids.h"
#include "monotonic.h"

#define AVAILABLE "{\"reply_state\": \"PARKING_AVAILABLE\"}"
#define RESERVED  "{\"reply_state\": \"PARKING_RESERVED\"}"

static struct raw_participant parking;
static struct raw_command command;

static void begin(int host, const char *defaults) {
    fixture_begin(host, defaults);
    raw_open(&parking, "parking");
    fixture_start_connected();
}

static void end(void) {
    raw_close(&parking);
    fixture_stop();
}

/* Plays the rest of a saga whose next command is this step's. */
static void finish_from(const char *id, const char *step) {
    if (strcmp(step, "block") == 0) {
        raw_next_named(&parking, "parking.block", &command);
        raw_reply(&parking, &command, "done", NULL);
    }
    raw_next_named(&parking, "parking.reserve", &command);
    raw_reply(&parking, &command, NULL, RESERVED);
    fixture_expect(id, "completed");
}

static const char *dead_queue(void) {
    static char queue[160];
    (void)snprintf(queue, sizeof queue, "%s.dead", fixture_reply_queue());
    return queue;
}

/* ----------------------------------------------------------------- commands */

static const char *text_of(const char *name) {
    const char *text = saga_amqp_message_text(&parking.event.message, name);
    ck_assert_msg(text != NULL, "no header %s", name);
    return text;
}

static int64_t number_of(const char *name) {
    int64_t number = -1;
    ck_assert_msg(saga_amqp_message_number(&parking.event.message, name, &number), "no number %s",
                  name);
    return number;
}

static void expect_moment(const char *text) {
    struct tm moment = {0};
    ck_assert_uint_eq(strlen(text), 24);
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &moment);
    ck_assert_ptr_nonnull(rest);
    ck_assert_int_eq(rest[0], '.');
    ck_assert_int_eq(rest[4], 'Z');
    ck_assert_int_le(llabs((long long)timegm(&moment) - (long long)time(NULL)), 400);
}

static void expect_command(const char *id, const char *name, const char *step,
                           const char *operation) {
    const struct saga_amqp_message *message = &parking.event.message;
    char text[256], capitals[64];
    raw_next(&parking, &command);
    (void)snprintf(text, sizeof text, "%s/%s/1/%s/1", id, step, operation);
    ck_assert_str_eq(message->exchange, PARK_EXCHANGE);
    ck_assert_str_eq(message->routing_key, name);
    ck_assert_str_eq(message->type, name);
    ck_assert_str_eq(message->message_id, text);
    ck_assert_str_eq(message->correlation_id, text);
    ck_assert_str_eq(message->reply_to, fixture_reply_queue());
    ck_assert_str_eq(message->content_type, "application/json");
    ck_assert(!message->persistent);
    ck_assert_int_le(llabs((long long)message->timestamp_s - (long long)time(NULL)), 60);
    (void)snprintf(capitals, sizeof capitals, "%s", text_of("COMMAND"));
    ck_assert_int_eq(strncmp(capitals, "PARKING_", 8), 0);
    ck_assert_str_eq(text_of("CLIENT"), "TESTS");
    ck_assert_str_eq(text_of("saga-id"), id);
    ck_assert_str_eq(text_of("saga-type"), "park");
    ck_assert_str_eq(text_of("saga-step"), step);
    ck_assert_str_eq(text_of("saga-operation"), operation);
    ck_assert_int_eq(number_of("saga-incarnation"), 1);
    ck_assert_int_eq(number_of("saga-revision"), 1);
    ck_assert_int_eq(number_of("saga-attempt"), 1);
    ck_assert_int_ge(number_of("saga-epoch"), 1);
    expect_moment(text_of("saga-issued-at"));
    ck_assert_uint_eq(strlen(text_of("traceparent")), 55);
}

START_TEST(a_participant_sees_what_the_protocol_promises) {
    char id[API_ID_SIZE];
    begin(1, NULL);
    fixture_park("k", "a", id);
    expect_command(id, "parking.block", "block", "action");
    expect_moment(text_of("saga-deadline"));
    ck_assert_str_eq(command.body, "{\"parking_slot_ref_no\":\"a:k\"}");
    raw_reply(&parking, &command, "done", "{\"reply_state\": \"x\", \"content\": {\"floor\": 2}}");
    expect_command(id, "parking.reserve", "reserve", "action");
    ck_assert_str_eq(command.body, "{\"floor\":2,\"parking_slot_ref_no\":\"a:k\"}");
    raw_reply(&parking, &command, NULL, "{\"reply_state\": \"PARKING_RESERVATION_FAILED\"}");
    expect_command(id, "parking.unblock", "block", "compensation");
    ck_assert_ptr_null(saga_amqp_message_text(&parking.event.message, "saga-deadline"));
    raw_reply(&parking, &command, NULL, "{\"reply_state\": \"PARKING_UNBLOCKED\"}");
    fixture_expect(id, "compensated");
    end();
}
END_TEST

START_TEST(a_fence_is_a_command_of_its_own) {
    char id[API_ID_SIZE];
    begin(2, "timeout: 300ms, deadline: 1s, retry: {attempts: 1}");
    fixture_park("k", "a", id);
    expect_command(id, "parking.block", "block", "action"); /* silence */
    expect_command(id, "parking.fence", "block", "fence");
    raw_reply(&parking, &command, "fenced", NULL);
    fixture_expect(id, "compensated");
    end();
}
END_TEST

/* ------------------------------------------------------------------ replies */

/* What one bad reply may change, and nothing else does. */
struct tally {
    int64_t acknowledged, dead, malformed, refused, oversized, requeued;
};

static struct tally count(void) {
    return (struct tally){
        .acknowledged = fixture_count("broker.replies.acknowledged"),
        .dead = fixture_count("broker.replies.dead_lettered"),
        .malformed = fixture_count("broker.replies.malformed"),
        .refused = fixture_count("broker.replies.refused"),
        .oversized = fixture_count("broker.replies.oversized"),
        .requeued = fixture_count("broker.replies.requeued"),
    };
}

static void expect_grown(const struct tally *before, struct tally by, const char *what) {
    const int64_t until_ms = monotonic_ms() + 20000;
    struct tally now;
    do {
        now = count();
    } while ((now.acknowledged < before->acknowledged + by.acknowledged ||
              now.dead < before->dead + by.dead ||
              now.oversized < before->oversized + by.oversized) &&
             monotonic_ms() < until_ms);
    ck_assert_msg(now.acknowledged == before->acknowledged + by.acknowledged &&
                      now.dead == before->dead + by.dead &&
                      now.malformed == before->malformed + by.malformed &&
                      now.refused == before->refused + by.refused &&
                      now.oversized == before->oversized + by.oversized && now.requeued == 0,
                  "%s: acknowledged %lld, dead %lld, malformed %lld, refused %lld, oversized %lld, "
                  "requeued %lld",
                  what, (long long)(now.acknowledged - before->acknowledged),
                  (long long)(now.dead - before->dead),
                  (long long)(now.malformed - before->malformed),
                  (long long)(now.refused - before->refused),
                  (long long)(now.oversized - before->oversized), (long long)now.requeued);
}

static void send_with_id(const char *id, const char *outcome, const char *body) {
    struct raw_command other = command;
    (void)snprintf(other.id, sizeof other.id, "%s", id == NULL ? "" : id);
    struct saga_amqp_message message = raw_reply_message(&other, outcome, body);
    message.correlation_id = id == NULL ? NULL : other.id;
    raw_publish(&parking, &message);
}

static void send_header(const char *name, const char *text) {
    struct saga_amqp_message message = raw_reply_message(&command, NULL, AVAILABLE);
    saga_amqp_message_add_text(&message, name, text);
    raw_publish(&parking, &message);
}

static long resident_kib(void) {
    char path[64], line[128];
    long peak = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", fixture_daemon.pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmHWM: %ld kB", &peak);
    }
    (void)fclose(file);
    ck_assert_int_gt(peak, 0);
    return peak;
}

/* {"reply_state": EVENT, "more": "xxx..."} of `size` bytes in all. */
static void send_padded(const char *event, size_t size) {
    char *body = malloc(size + 1);
    ck_assert_ptr_nonnull(body);
    const int head = sprintf(body, "{\"reply_state\": \"%s\", \"more\": \"", event);
    memset(body + head, 'x', size - (size_t)head);
    memcpy(body + size - 2, "\"}", 3);
    raw_reply(&parking, &command, NULL, body);
    free(body);
}

START_TEST(a_bad_reply_is_buried_once_and_hurts_no_saga) {
    static const struct tally malformed = {.dead = 1, .malformed = 1};
    static const struct tally refused = {.dead = 1, .refused = 1};
    static const struct tally oversized = {.oversized = 1};
    char id[API_ID_SIZE], wrong[300];
    struct tally before;
    begin(3, NULL);
    fixture_park("k", "a", id);
    raw_next(&parking, &command);
#define EXPECT(by, send)                                                                           \
    do {                                                                                           \
        before = count();                                                                          \
        send;                                                                                      \
        expect_grown(&before, by, #send);                                                          \
    } while (0)
    EXPECT(malformed, send_with_id(NULL, "done", AVAILABLE));
    EXPECT(malformed, send_with_id("", "done", AVAILABLE));
    EXPECT(malformed, send_with_id("nobody's", "done", AVAILABLE));
    (void)snprintf(wrong, sizeof wrong, "%s/block/1/action/1/", id);
    EXPECT(malformed, send_with_id(wrong, "done", AVAILABLE));
    EXPECT(malformed, send_header("saga-outcome", "perhaps"));
    EXPECT(malformed, send_header("saga-attempt", "-1"));
    (void)snprintf(wrong, sizeof wrong, "%s/black/1/action/1", id); /* no such step */
    EXPECT(refused, send_with_id(wrong, "done", AVAILABLE));
    EXPECT(refused, send_with_id("01900000-0000-7000-8000-000000000000/block/1/action/1", "done",
                                 AVAILABLE)); /* no such saga */
    EXPECT(refused, raw_reply(&parking, &command, NULL, "{\"reply_state\": "));
    EXPECT(refused, raw_reply(&parking, &command, "done", "[1]"));
    EXPECT(refused, raw_reply(&parking, &command, "done", "\xff\xfe"));
    EXPECT(refused, raw_reply(&parking, &command, "done", "{\"a\":1,\"a\":2}"));
    const long peak_kib = resident_kib();
    EXPECT(oversized, send_padded("PARKING_AVAILABLE", (1u << 20) + 1));
    EXPECT(oversized, send_padded("PARKING_AVAILABLE", 64u << 20));
    ck_assert_int_lt(resident_kib() - peak_kib, 32 << 10); /* half of the larger one */
#undef EXPECT
    ck_assert_int_eq(fixture_count("replies.malformed"), 5);
    ck_assert_int_eq(fixture_count("replies.unknown_saga"), 1);
    ck_assert_int_eq(fixture_attempts(id, "block"), 1);
    send_padded("PARKING_AVAILABLE", 1u << 20); /* as large as may be */
    finish_from(id, "reserve");
    ck_assert(raw_hears_nothing(&parking, 0));
    fixture_await_messages(fixture_reply_queue(), 0);
    ck_assert_int_eq(fixture_messages_in(dead_queue()), 14);
    ck_assert_int_eq(fixture_count("broker.replies.connections"), 1); /* it was never lost */
    end();
}
END_TEST

START_TEST(a_strange_reply_is_acknowledged_and_counted) {
    static const struct tally taken = {.acknowledged = 1};
    char id[API_ID_SIZE];
    begin(4, "timeout: 60s, retry: {attempts: 5, initial: 100ms, max: 100ms}");
    fixture_park("k", "a", id);
    raw_next(&parking, &command);
    struct tally before = count();
    raw_reply(&parking, &command, NULL, "{\"reply_state\": \"PARKING_ON_FIRE\"}"); /* unlisted */
    expect_grown(&before, taken, "unlisted");
    ck_assert_int_eq(fixture_count("replies.unlisted"), 1);
    raw_next(&parking, &command); /* the outcome is unknown: asked again */
    ck_assert_int_eq(command.attempt, 2);
    before = count();
    raw_reply(&parking, &command, "done", NULL);
    expect_grown(&before, taken, "done");
    before = count();
    raw_reply(&parking, &command, "done", NULL); /* a duplicate */
    expect_grown(&before, taken, "a duplicate");
    const struct raw_command block = command;
    raw_next(&parking, &command);
    before = count();
    raw_reply(&parking, &block, "rejected", NULL); /* contradicts what was said first */
    expect_grown(&before, taken, "a contradiction");
    const int64_t answers = fixture_count("replies.answers.already") +
                            fixture_count("replies.answers.stale") +
                            fixture_count("replies.answers.late");
    ck_assert_int_eq(answers, 2);
    raw_reply(&parking, &command, "done", NULL);
    fixture_expect(id, "completed"); /* the first definite answer counts */
    before = count();
    raw_reply(&parking, &block, "done", NULL); /* to a saga that has ended */
    expect_grown(&before, taken, "late");
    fixture_await_messages(fixture_reply_queue(), 0);
    ck_assert_int_eq(fixture_messages_in(dead_queue()), 0);
    end();
}
END_TEST

/* ------------------------------------------------------------------- deaths */

static const struct {
    const char *point;
    int64_t taken; /* by the daemon after the one that died */
} deaths[] = {
    {"reply:before_append:1", 1},
    {"reply:after_append:1", 1},
    {"reply:after_commit:1", 0},
};

START_TEST(a_reply_is_acknowledged_after_its_commit) {
    char id[API_ID_SIZE];
    fixture_begin(5 + _i, NULL);
    raw_open(&parking, "parking");
    ck_assert_int_eq(setenv("SAGAD_FAILPOINT", deaths[_i].point, 1), 0);
    fixture_start_at(SAGAD_FAILPOINTS, fixture_url());
    (void)fixture_await_connected(true, 20000);
    fixture_park("k", "a", id);
    raw_next(&parking, &command);
    raw_reply(&parking, &command, "done", NULL);
    ck_assert(daemon_await_end(&fixture_daemon, 20000)); /* it died of it */
    fixture_await_messages(fixture_reply_queue(), 1);
    fixture_start_connected();
    fixture_await_count("replies.received", 1);
    fixture_await_count("broker.replies.acknowledged", 1);
    ck_assert_int_eq(fixture_count("replies.answers.taken"), deaths[_i].taken);
    finish_from(id, "reserve");
    ck_assert_int_eq(fixture_attempts(id, "block"), 1);
    ck_assert_int_eq(fixture_messages_in(fixture_reply_queue()), 0);
    ck_assert_int_eq(fixture_messages_in(dead_queue()), 0);
    end();
}
END_TEST

/* --------------------------------------------------------------- unroutable */

START_TEST(without_its_participants_queue_a_saga_waits) {
    char id[API_ID_SIZE];
    fixture_begin(8, "timeout: 60s, retry: {attempts: 2, initial: 200ms}");
    fixture_start_connected();
    fixture_park("k", "a", id);
    fixture_await_count("broker.commands.unroutable", 5); /* more than it may attempt */
    fixture_expect_said("no queue takes parking.block");
    ck_assert_int_eq(fixture_count("sagas.open"), 1);
    const int64_t began_ms = monotonic_ms();
    raw_open(&parking, "parking");
    raw_next(&parking, &command);
    const int64_t took_ms = monotonic_ms() - began_ms;
    (void)printf("unroutable: the queue is found after %lld ms\n", (long long)took_ms);
    ck_assert_int_lt(took_ms, 15000);
    raw_reply(&parking, &command, "done", NULL);
    finish_from(id, "reserve");
    end();
}
END_TEST

/* What the daemon frees is really free: a sanitizer would keep up to 256 MiB of it. */
static void keep_little(void) {
    const char *options = getenv("ASAN_OPTIONS");
    char text[512];
    (void)snprintf(text, sizeof text, "%s:quarantine_size_mb=4", options == NULL ? "" : options);
    (void)setenv("ASAN_OPTIONS", text, 1); /* no memory: the test finds out */
}

int main(void) {
    keep_little();
    Suite *suite = suite_create("broker wire");
    TCase *tests = tcase_create("wire");
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_participant_sees_what_the_protocol_promises);
    tcase_add_test(tests, a_fence_is_a_command_of_its_own);
    tcase_add_test(tests, a_bad_reply_is_buried_once_and_hurts_no_saga);
    tcase_add_test(tests, a_strange_reply_is_acknowledged_and_counted);
    tcase_add_loop_test(tests, a_reply_is_acknowledged_after_its_commit, 0, 3);
    tcase_add_test(tests, without_its_participants_queue_a_saga_waits);
    suite_add_tcase(suite, tests);
    fixture_open_node(8);
    const int status = check_run(suite);
    fixture_close_node();
    return status;
}
