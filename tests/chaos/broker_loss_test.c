/* The daemon and a service, and a broker that dies, forgets, refuses, or is silent:
 * sagas wait and go on, effects happen once, and the daemon ends when it is told to. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "amqp_cutter.h"
#include "broker_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#define OPEN_MAX_COUNT 30
#define NOTICED_MS     30000 /* promised, of a queue that is gone */
#define ENDED_MS       10000 /* promised, of SIGTERM */

static struct daemon_process service;
static char ids[OPEN_MAX_COUNT][API_ID_SIZE];
static unsigned open_count;

static void tear_down(void) {
    if (service.pid != 0) {
        daemon_signal(&service, SIGCONT);
        daemon_kill(&service);
    }
    fixture_close_daemon();
}

static void start_service(const char *url) {
    char program[512], database[640];
    (void)snprintf(program, sizeof program, "%s/parking", SAGA_BIN_DIR);
    (void)snprintf(database, sizeof database, "%s/parking.db", fixture_data_dir());
    const char *const words[] = {program, "serve",  "--db", database, "--amqp",
                                 url,     "--http", "0",    NULL};
    daemon_start(&service, words, NULL, fixture_path("service"));
}

/* The daemon and the service, and slots. */
static void begin(int host) {
    fixture_begin(host, "timeout: 90s, retry: {attempts: 5, initial: 200ms, max: 2s, factor: 2}");
    start_service(fixture_url());
    fixture_start_connected();
    char slot[16];
    fixture_await_messages("parking", 0); /* the service is there, and its database */
    for (unsigned i = 0; i < OPEN_MAX_COUNT; i++) {
        (void)snprintf(slot, sizeof slot, "s%u", i);
        fixture_create_slot(slot);
    }
}

static void park(unsigned count) {
    char name[16];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "s%u", open_count);
        fixture_park(name, name, ids[open_count++]);
    }
}

/* Sagas whose first command is at the broker, while the service does nothing. */
static void park_unanswered(unsigned count) {
    daemon_signal(&service, SIGSTOP);
    park(count);
    fixture_await_count("broker.commands.handed_over", open_count);
    ck_assert_int_eq(fixture_count("sagas.open"), open_count);
}

/* They end, each with one effect of each step, and no attempt of theirs was given up: what was
 * lost was sent again, and cost nothing. */
static void expect_all_completed(void) {
    char count[16], like[API_ID_SIZE + 1];
    for (unsigned i = 0; i < open_count; i++) {
        fixture_expect(ids[i], "completed");
        (void)snprintf(like, sizeof like, "%s%%", ids[i]);
        ck_assert_str_eq(fixture_look("parking",
                                      "SELECT count(*) || ' ' || count(DISTINCT command_id) FROM "
                                      "effects WHERE command_id LIKE ?1",
                                      like),
                         "2 2");
    }
    ck_assert_int_eq(fixture_count("records.ATTEMPT_EXPIRED"), 0);
    (void)snprintf(count, sizeof count, "%u", open_count);
    ck_assert_str_eq(
        fixture_look("parking", "SELECT count(*) FROM parking_slots WHERE status = 'reserved'", ""),
        count);
    ck_assert_int_eq(fixture_count("sagas.open"), 0);
    ck_assert_int_eq(fixture_count("sagas.orphans_rearmed"), 0);
}

static void end(void) {
    fixture_stop();
    const int status = daemon_stop(&service);
    ck_assert_int_eq(status, 0);
}

/* --------------------------------------------------------------- it is lost */

START_TEST(a_broker_that_dies_takes_nothing_along) {
    begin(1);
    park_unanswered(15);
    broker_node_kill(&fixture_node); /* with the commands, which are transient */
    (void)fixture_await_connected(false, 20000);
    park(5);
    daemon_signal(&service, SIGCONT);
    broker_node_start(&fixture_node);
    const int64_t began_ms = monotonic_ms();
    expect_all_completed();
    (void)printf("broker killed: all ended %lld ms after it was back\n",
                 (long long)(monotonic_ms() - began_ms));
    end();
}
END_TEST

START_TEST(a_broker_that_is_stopped_in_the_middle_takes_nothing_along) {
    begin(2);
    park(OPEN_MAX_COUNT);
    broker_node_stop(&fixture_node);
    broker_node_start(&fixture_node);
    expect_all_completed();
    end();
}
END_TEST

START_TEST(a_reply_queue_that_is_deleted_is_declared_again) {
    begin(3);
    park_unanswered(10);
    char host[] = "t3";
    daemon_signal(&service, SIGCONT); /* its replies go nowhere, or are in the queue */
    const int64_t began_ms = monotonic_ms();
    (void)broker_node_ctl(&fixture_node, (const char *const[]){"delete_queue", "-p", host,
                                                               fixture_reply_queue(), NULL});
    fixture_await_count("broker.replies.connections", 2);
    (void)fixture_await_connected(true, NOTICED_MS);
    const int64_t noticed_ms = monotonic_ms() - began_ms;
    (void)printf("reply queue deleted: there again after %lld ms\n", (long long)noticed_ms);
    ck_assert_int_lt(noticed_ms, NOTICED_MS);
    park(10);
    expect_all_completed();
    end();
}
END_TEST

START_TEST(a_broker_that_forgets_everything_is_told_again) {
    begin(0);
    park_unanswered(10);
    broker_node_kill(&fixture_node);
    broker_node_wipe(&fixture_node);
    daemon_signal(&service, SIGCONT);
    broker_node_start(&fixture_node);
    park(10);
    expect_all_completed();
    end();
}
END_TEST

/* ------------------------------------------------------------- it is not there */

START_TEST(without_a_broker_sagas_are_started_and_wait) {
    begin(4);
    fixture_stop();
    broker_node_stop(&fixture_node);
    fixture_start_at(SAGAD, fixture_url());
    (void)fixture_await_connected(false, 1000);
    park(5);
    ck_assert_int_eq(fixture_count("sagas.open"), 5);
    const int64_t until_ms = monotonic_ms() + 10000;
    while (strstr(fixture_reason(), "127.0.0.1") == NULL) { /* where it looks for one */
        ck_assert_msg(monotonic_ms() < until_ms, "%s", fixture_reason());
    }
    broker_node_start(&fixture_node);
    expect_all_completed();
    end();
}
END_TEST

/* ------------------------------------------------------------------- an alarm */

#define REPLIES 5

START_TEST(an_alarm_holds_up_commands_and_no_acknowledgements) {
    struct raw_participant parking;
    struct raw_command commands[REPLIES], more;
    char key[8];
    fixture_begin(5, NULL);
    raw_open(&parking, "parking");
    fixture_start_connected();
    for (int i = 0; i < REPLIES; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        fixture_park(key, "a", ids[i]);
        raw_next(&parking, &commands[i]);
    }
    daemon_signal(&fixture_daemon, SIGSTOP);
    for (int i = 0; i < REPLIES; i++) {
        raw_reply(&parking, &commands[i], "done", NULL); /* they wait in the queue */
    }
    broker_node_alarm(&fixture_node, true);
    daemon_signal(&fixture_daemon, SIGCONT);
    fixture_await_count("broker.replies.acknowledged", REPLIES);
    (void)fixture_await_connected(false, 20000);
    ck_assert_msg(strstr(fixture_reason(), "alarm") != NULL, "%s", fixture_reason());
    fixture_park("more", "a", ids[REPLIES]);
    ck_assert_int_eq(fixture_count("sagas.open"), REPLIES + 1);
    ck_assert(raw_hears_nothing(&parking, 1000));
    broker_node_alarm(&fixture_node, false);
    (void)fixture_await_connected(true, 20000);
    while (fixture_count("sagas.open") > 0) { /* a command may come twice */
        if (raw_try_next(&parking, &more, 100)) {
            raw_reply(&parking, &more, "done", NULL);
        }
    }
    for (int i = 0; i <= REPLIES; i++) {
        fixture_expect(ids[i], "completed");
    }
    ck_assert_int_eq(fixture_count("records.ATTEMPT_EXPIRED"), 0);
    raw_close(&parking);
    fixture_stop();
}
END_TEST

/* Nothing is lost with an alarm: what is with the participant is not sent again. What was refused
 * would wait for up to a minute, and is sent when the alarm is over. */
START_TEST(an_alarm_that_is_over_repeats_nothing_and_lets_go_of_what_waits) {
    enum { LEFT = 3, HELD_UP = 8 };
    struct raw_participant parking;
    struct raw_command left[LEFT], command;
    char key[8];
    fixture_begin(10, "timeout: 90s, retry: {attempts: 5, initial: 60s, max: 60s, factor: 1}");
    raw_open(&parking, "parking");
    fixture_start_connected();
    for (int i = 0; i < LEFT; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        fixture_park(key, "a", ids[i]);
        raw_next(&parking, &left[i]);
    }
    broker_node_alarm(&fixture_node, true);
    fixture_park("first", "a", ids[LEFT]); /* the broker says it to who publishes */
    (void)fixture_await_connected(false, 20000);
    const int64_t sent = fixture_count("commands.attempts.action");
    const int64_t resent = fixture_count("commands.resent");
    for (int i = 0; i < HELD_UP; i++) {
        (void)snprintf(key, sizeof key, "h%d", i);
        fixture_park(key, "a", ids[LEFT + 1 + i]);
    }
    fixture_await_count("commands.refused", HELD_UP);
    broker_node_alarm(&fixture_node, false);
    const int64_t over_ms = monotonic_ms();
    for (int i = 0; i < 1 + HELD_UP; i++) {
        raw_next(&parking, &command);
        for (int k = 0; k < LEFT; k++) {
            ck_assert_str_ne(command.id, left[k].id);
        }
        raw_reply(&parking, &command, "rejected", NULL);
    }
    const int64_t took_ms = monotonic_ms() - over_ms;
    ck_assert_int_lt(took_ms, 10000);
    ck_assert(raw_hears_nothing(&parking, 1000));
    ck_assert_int_eq(fixture_count("commands.resent"), resent);
    (void)printf("alarm over: what waited was there after %lld ms; %lld attempts\n",
                 (long long)took_ms, (long long)(fixture_count("commands.attempts.action") - sent));
    for (int i = 0; i < LEFT; i++) {
        raw_reply(&parking, &left[i], "rejected", NULL);
    }
    for (int i = 0; i < LEFT + 1 + HELD_UP; i++) {
        fixture_expect(ids[i], "compensated");
    }
    raw_close(&parking);
    fixture_stop();
}
END_TEST

/* The commands' connection stands, and what came over the other one may be lost. */
START_TEST(what_is_lost_during_an_alarm_is_sent_again_after_it) {
    struct raw_participant parking;
    struct raw_command left, command;
    fixture_begin(11, NULL);
    raw_open(&parking, "parking");
    fixture_start_connected();
    fixture_park("k", "a", ids[0]);
    raw_next(&parking, &left);
    const int64_t resent = fixture_count("commands.resent");
    broker_node_alarm(&fixture_node, true);
    fixture_park("first", "a", ids[1]);
    (void)fixture_await_connected(false, 20000);
    (void)broker_node_ctl(&fixture_node, (const char *const[]){"delete_queue", "-p", "t11",
                                                               fixture_reply_queue(), NULL});
    fixture_await_count("broker.replies.connections", 2);
    broker_node_alarm(&fixture_node, false);
    do {
        raw_next(&parking, &command);
    } while (strcmp(command.id, left.id) != 0);
    ck_assert_int_gt(fixture_count("commands.resent"), resent);
    ck_assert_int_eq(fixture_count("broker.commands.connections"), 1);
    raw_close(&parking);
    fixture_stop();
}
END_TEST

/* ---------------------------------------------------------------- it is silent */

#define SAMPLES_MAX 4096

static int by_number(const void *a, const void *b) {
    const int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static int64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Starts sagas, twenty a second for so long, and gives the 99th percentile of the answers' times
 * in microseconds. */
static int64_t start_for(struct api_session *session, const char *prefix, int64_t for_ms) {
    static int64_t samples[SAMPLES_MAX];
    const struct timespec pause = {.tv_nsec = 50000000};
    const int64_t until_ms = monotonic_ms() + for_ms;
    size_t count = 0;
    while (monotonic_ms() < until_ms && count < SAMPLES_MAX) {
        char key[32], id[API_ID_SIZE];
        (void)snprintf(key, sizeof key, "%s%zu", prefix, count);
        const int64_t began_us = now_us();
        ck_assert_int_eq(
            api_session_start(session, "park", key, "{\"parking_slot_ref_no\": \"nowhere:x\"}", id),
            API_CREATED);
        samples[count++] = now_us() - began_us;
        (void)nanosleep(&pause, NULL);
    }
    qsort(samples, count, sizeof samples[0], by_number);
    return samples[count * 99 / 100];
}

static void await_all_ended(void) {
    const struct timespec pause = {.tv_nsec = 100000000};
    const int64_t until_ms = monotonic_ms() + 90000;
    while (fixture_count("sagas.open") > 0) {
        ck_assert_msg(monotonic_ms() < until_ms, "%lld are open",
                      (long long)fixture_count("sagas.open"));
        (void)nanosleep(&pause, NULL);
    }
}

START_TEST(a_broker_that_is_paused_for_a_minute_slows_down_nobody) {
    begin(6);
    struct api_session *session = fixture_session();
    const int64_t healthy_us = start_for(session, "healthy", 10000);
    broker_node_pause(&fixture_node);
    const int64_t paused_us = start_for(session, "paused", 60000);
    (void)fixture_await_connected(false, 1000); /* noticed long ago */
    broker_node_resume(&fixture_node);
    (void)fixture_await_connected(true, 60000);
    await_all_ended();
    ck_assert_int_eq(fixture_count("sagas.parked"), 0);
    (void)printf("p99 of a start: %.1f ms healthy, %.1f ms while the broker is paused\n",
                 (double)healthy_us / 1000, (double)paused_us / 1000);
    park(5);
    expect_all_completed();
    api_session_close(session);
    end();
}
END_TEST

/* -------------------------------------------------------------------- SIGTERM */

static void expect_end_in_time(const char *how) {
    const int64_t began_ms = monotonic_ms();
    daemon_signal(&fixture_daemon, SIGTERM);
    ck_assert_msg(daemon_await_end(&fixture_daemon, ENDED_MS), "%s: it does not end: %s", how,
                  fixture_said());
    (void)printf("SIGTERM, the broker %s: %lld ms\n", how, (long long)(monotonic_ms() - began_ms));
    ck_assert_int_eq(fixture_daemon.status, 0);
}

START_TEST(it_ends_though_the_broker_is_gone) {
    fixture_begin(7, NULL);
    fixture_start_connected();
    fixture_park("k", "a", ids[0]);
    broker_node_kill(&fixture_node);
    (void)fixture_await_connected(false, 20000);
    expect_end_in_time("gone");
    broker_node_start(&fixture_node);
}
END_TEST

START_TEST(it_ends_though_the_broker_is_paused) {
    fixture_begin(8, NULL);
    struct raw_participant parking;
    raw_open(&parking, "parking");
    fixture_start_connected();
    broker_node_pause(&fixture_node);
    fixture_park("k", "a", ids[0]); /* a command is on its way */
    expect_end_in_time("paused");
    fixture_start_at(SAGAD, fixture_url()); /* it tries to connect */
    expect_end_in_time("paused from the start");
    broker_node_resume(&fixture_node);
    raw_close(&parking);
}
END_TEST

START_TEST(it_ends_though_nothing_goes_through) {
    static char padding[200000], input[sizeof padding + 64];
    struct raw_participant parking;
    char key[16];
    fixture_begin(9, NULL);
    raw_open(&parking, "parking");
    struct amqp_cutter *cutter = cutter_open(fixture_node.port);
    fixture_start_at(SAGAD, fixture_url_at(cutter_port(cutter)));
    (void)fixture_await_connected(true, 20000);
    cutter_freeze(cutter, true);
    memset(padding, 'x', sizeof padding - 1);
    (void)snprintf(input, sizeof input, "{\"parking_slot_ref_no\": \"%s\"}", padding);
    struct api_session *session = fixture_session();
    for (int i = 0; i < 100; i++) { /* more than sockets hold: the publisher is stuck */
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(api_session_start(session, "park", key, input, ids[0]), API_CREATED);
    }
    expect_end_in_time("silent, and its sockets full");
    api_session_close(session);
    cutter_close(cutter);
    raw_close(&parking);
}
END_TEST

static TCase *test_case(Suite *suite, const char *name) {
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, fixture_open_daemon, tear_down);
    tcase_set_timeout(tests, 240);
    suite_add_tcase(suite, tests);
    return tests;
}

int main(void) {
    Suite *suite = suite_create("broker loss");
    TCase *lost = test_case(suite, "lost");
    tcase_add_test(lost, a_broker_that_dies_takes_nothing_along);
    tcase_add_test(lost, a_broker_that_is_stopped_in_the_middle_takes_nothing_along);
    tcase_add_test(lost, a_reply_queue_that_is_deleted_is_declared_again);
    tcase_add_test(lost, without_a_broker_sagas_are_started_and_wait);
    TCase *alarm = test_case(suite, "alarm");
    tcase_add_test(alarm, an_alarm_holds_up_commands_and_no_acknowledgements);
    tcase_add_test(alarm, an_alarm_that_is_over_repeats_nothing_and_lets_go_of_what_waits);
    tcase_add_test(alarm, what_is_lost_during_an_alarm_is_sent_again_after_it);
    tcase_add_test(test_case(suite, "pause"),
                   a_broker_that_is_paused_for_a_minute_slows_down_nobody);
    TCase *ends = test_case(suite, "end");
    tcase_add_test(ends, it_ends_though_the_broker_is_gone);
    tcase_add_test(ends, it_ends_though_the_broker_is_paused);
    tcase_add_test(ends, it_ends_though_nothing_goes_through);
    /* The last: it forgets the hosts, too. */
    tcase_add_test(test_case(suite, "wipe"), a_broker_that_forgets_everything_is_told_again);
    fixture_open_node(11);
    const int status = check_run(suite);
    fixture_close_node();
    return status;
}
