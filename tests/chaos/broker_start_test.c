/* Sagas that are started by a message to the queue saga.start: one for each key,
 * an answer for whoever wants one, whatever dies when, and the dead letters for what
 * starts nothing. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp_cutter.h"
#include "broker_fixture.h"
#include "check_run.h"

#define INPUT "{\"parking_slot_ref_no\": \"a:k\"}"

static struct raw_participant parking, customer;

static void begin(int host) {
    fixture_begin(host, NULL);
    raw_open(&parking, "parking");
    raw_open_queue(&customer, "answers");
    fixture_start_connected();
}

static void end(void) {
    raw_close(&parking);
    raw_close(&customer);
    fixture_stop();
}

static struct saga_amqp_message start_message(const char *key, const char *input) {
    return (struct saga_amqp_message){
        .exchange = "",
        .routing_key = "saga.start",
        .message_id = key,
        .type = "park",
        .correlation_id = "my order",
        .reply_to = "answers",
        .content_type = "application/json",
        .mandatory = true,
        .persistent = true,
        .body = input,
        .body_size = strlen(input),
    };
}

static void ask(const char *key, const char *input) {
    const struct saga_amqp_message message = start_message(key, input);
    raw_publish(&customer, &message);
}

/* The next answer: of this type, about the customer's order; a member of it. */
static const char *answer(const char *type, const char *member) {
    static char text[512];
    struct raw_command got;
    raw_next(&customer, &got);
    ck_assert_str_eq(got.name, type);
    ck_assert_str_eq(got.id, "my order");
    ck_assert_str_eq(customer.event.message.content_type, "application/json");
    json_t *json = json_loads(got.body, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json_is_object(json), "%s", got.body);
    ck_assert_uint_eq(json_object_size(json), strcmp(type, "saga.refused") == 0 ? 1 : 2);
    const char *value = json_string_value(json_object_get(json, member));
    ck_assert_msg(value != NULL, "%s", got.body);
    (void)snprintf(text, sizeof text, "%s", value);
    json_decref(json);
    return text;
}

static void reply_done(const char *name, const char *outcome) {
    struct raw_command command;
    raw_next_named(&parking, name, &command);
    raw_reply(&parking, &command, outcome, NULL);
}

START_TEST(a_start_is_answered_at_once_and_at_the_end) {
    char id[API_ID_SIZE];
    begin(1);
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    ck_assert(raw_hears_nothing(&customer, 0)); /* the end has not come */
    reply_done("parking.block", "done");
    reply_done("parking.reserve", "done");
    fixture_expect(id, "completed");
    ck_assert_str_eq(answer("saga.ended", "status"), "completed");
    ask("refused", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    reply_done("parking.block", "rejected");
    ck_assert_str_eq(answer("saga.ended", "id"), id);
    fixture_expect(id, "compensated");
    ck_assert_int_eq(fixture_messages_in("saga.start"), 0);
    ck_assert_int_eq(fixture_messages_in("saga.start.dead"), 0);
    end();
}
END_TEST

START_TEST(a_key_starts_one_saga_however_often) {
    char id[API_ID_SIZE];
    begin(2);
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    ask("k", "{ \"parking_slot_ref_no\" : \"a:k\" }"); /* the same input */
    ck_assert_str_eq(answer("saga.started", "id"), id);
    ask("k", "{\"parking_slot_ref_no\": \"b:k\"}"); /* another one */
    ck_assert_ptr_nonnull(strstr(answer("saga.refused", "error"), id));
    ck_assert_int_eq(fixture_count("starts.started"), 1);
    ck_assert_int_eq(fixture_count("starts.started_again"), 1);
    ck_assert_int_eq(fixture_count("starts.conflicts"), 1);
    reply_done("parking.block", "done");
    reply_done("parking.reserve", "done");
    ck_assert_str_eq(answer("saga.ended", "id"), id); /* once, though it was asked for twice */
    ask("k", INPUT);                                  /* of a saga that has ended */
    ck_assert_str_eq(answer("saga.started", "status"), "completed");
    ck_assert(raw_hears_nothing(&customer, 300));
    ck_assert_int_eq(fixture_messages_in("saga.start"), 0);
    ck_assert_int_eq(fixture_messages_in("saga.start.dead"), 1);
    end();
}
END_TEST

START_TEST(what_starts_nothing_is_buried_once) {
    static char huge[(1u << 20) + 2];
    begin(3);
    struct saga_amqp_message message = start_message(NULL, INPUT);
    raw_publish(&customer, &message);
    message = start_message("caf\xc3\xa9", INPUT);
    raw_publish(&customer, &message);
    message = start_message("k1", INPUT);
    message.type = NULL;
    raw_publish(&customer, &message);
    fixture_await_count("broker.replies.malformed", 3);
    message = start_message("k2", INPUT);
    message.type = "p\xc3\xa4rk";
    raw_publish(&customer, &message);
    ck_assert_ptr_nonnull(strstr(answer("saga.refused", "error"), "park"));
    ask("k3", "[]");
    ck_assert_ptr_nonnull(strstr(answer("saga.refused", "error"), "object"));
    ask("k4", "");
    (void)answer("saga.refused", "error");
    memset(huge, ' ', sizeof huge - 1);
    ask("k5", huge); /* not even read */
    fixture_await_count("broker.replies.oversized", 1);
    fixture_await_count("broker.replies.dead_lettered", 6);
    ck_assert_int_eq(fixture_count("broker.replies.refused"), 3);
    ck_assert_int_eq(fixture_count("sagas.known"), 0);
    ask("k4", INPUT); /* no key was used up */
    (void)answer("saga.started", "id");
    reply_done("parking.block", "rejected");
    (void)answer("saga.ended", "id");
    ck_assert_int_eq(fixture_messages_in("saga.start.dead"), 7);
    ck_assert_int_eq(fixture_messages_in("saga.start"), 0);
    ck_assert_int_eq(fixture_count("broker.replies.connections"), 1);
    end();
}
END_TEST

START_TEST(an_asker_that_has_gone_holds_nobody_up) {
    begin(4);
    struct saga_amqp_message message = start_message("k", INPUT);
    message.reply_to = "no.such.queue";
    raw_publish(&customer, &message);
    message = start_message("k2", INPUT);
    message.reply_to = NULL;
    raw_publish(&customer, &message);
    for (int i = 0; i < 2; i++) {
        reply_done("parking.block", "rejected");
    }
    ask("k3", INPUT);
    (void)answer("saga.started", "id");
    reply_done("parking.block", "rejected");
    (void)answer("saga.ended", "id");
    ck_assert_int_eq(fixture_count("broker.commands.connections"), 1);
    end();
}
END_TEST

START_TEST(who_asked_is_told_though_the_daemon_was_killed_while_it_ran) {
    char id[API_ID_SIZE];
    begin(5);
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    fixture_await_messages("saga.start", 0); /* acknowledged: it does not come again itself */
    fixture_kill();
    fixture_start_connected();
    reply_done("parking.block", "done");
    reply_done("parking.reserve", "done");
    ck_assert_str_eq(answer("saga.ended", "id"), id);
    ck_assert(raw_hears_nothing(&customer, 300));
    end();
}
END_TEST

START_TEST(a_start_that_is_sent_again_after_a_restart_is_told_once) {
    char id[API_ID_SIZE];
    begin(9);
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    fixture_await_messages("saga.start", 0); /* acknowledged: it does not come again itself */
    fixture_kill();
    ask("k", INPUT);
    fixture_start_connected();
    ck_assert_str_eq(answer("saga.started", "id"), id);
    reply_done("parking.block", "done");
    reply_done("parking.reserve", "done");
    ck_assert_str_eq(answer("saga.ended", "id"), id);
    ck_assert(raw_hears_nothing(&customer, 300));
    end();
}
END_TEST

/* A saga that ends with the commit that the daemon dies of: its outcome has not left. Gives its
 * id. */
static void die_of_the_end(int host, char id[API_ID_SIZE]) {
    fixture_begin(host, NULL);
    raw_open(&parking, "parking");
    raw_open_queue(&customer, "answers");
    ck_assert_int_eq(setenv("SAGAD_FAILPOINT", "reply:after_commit:2", 1), 0);
    fixture_start_at(SAGAD_FAILPOINTS, fixture_url());
    (void)fixture_await_connected(true, 20000);
    ask("k", INPUT);
    (void)snprintf(id, API_ID_SIZE, "%s", answer("saga.started", "id"));
    fixture_await_messages("saga.start", 0);
    reply_done("parking.block", "done");
    reply_done("parking.reserve", "done");
    ck_assert(daemon_await_end(&fixture_daemon, 20000));
    ck_assert(raw_hears_nothing(&customer, 0));
}

/* Killed a moment later, and started again: the log knows who was told. */
static void expect_quiet_restart(void) {
    ck_assert(raw_hears_nothing(&customer, 1500));
    fixture_kill();
    fixture_start_connected();
    ck_assert_int_eq(fixture_count("outcomes.untold"), 0);
    ck_assert(raw_hears_nothing(&customer, 1500));
}

START_TEST(who_asked_is_told_though_the_daemon_was_killed_before_the_end_left) {
    char id[API_ID_SIZE];
    die_of_the_end(10, id);
    fixture_start_connected();
    ck_assert_str_eq(answer("saga.ended", "id"), id);
    fixture_expect(id, "completed");
    fixture_await_count("outcomes.told", 1);
    expect_quiet_restart();
    ask("k", INPUT); /* and that is remembered as ever */
    ck_assert_str_eq(answer("saga.started", "status"), "completed");
    ck_assert(raw_hears_nothing(&customer, 300));
    end();
}
END_TEST

START_TEST(who_asked_is_told_when_the_broker_is_back_too) {
    char id[API_ID_SIZE];
    die_of_the_end(11, id);
    raw_close(&parking);
    raw_close(&customer);
    broker_node_stop(&fixture_node);
    fixture_start_at(SAGAD, fixture_url());
    fixture_expect(id, "completed");
    fixture_await_count("outcomes.untold", 1);
    broker_node_start(&fixture_node);
    raw_open(&parking, "parking");
    raw_open_queue(&customer, "answers");
    (void)fixture_await_connected(true, 60000);
    ck_assert_str_eq(answer("saga.ended", "id"), id);
    fixture_await_count("outcomes.told", 1);
    expect_quiet_restart();
    end();
}
END_TEST

START_TEST(a_daemon_that_is_stopped_in_good_order_remembers_whom_it_told) {
    begin(12);
    ask("k", INPUT);
    (void)answer("saga.started", "id");
    reply_done("parking.block", "rejected");
    (void)answer("saga.ended", "id");
    fixture_await_count("outcomes.told", 1);
    fixture_stop(); /* at once: less than the second after which it is noted anyway */
    fixture_start_connected();
    ck_assert(raw_hears_nothing(&customer, 1500));
    end();
}
END_TEST

/* A client that has lost its queue, and comes back with another. */
START_TEST(who_comes_back_with_another_queue_is_told_there) {
    struct raw_participant returned;
    struct raw_command got;
    char id[API_ID_SIZE];
    begin(13);
    raw_open_queue(&returned, "more.answers");
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    struct saga_amqp_message message = start_message("k", INPUT);
    message.reply_to = "more.answers";
    raw_publish(&customer, &message);
    raw_next(&returned, &got);
    ck_assert_str_eq(got.name, "saga.started");
    ck_assert_ptr_nonnull(strstr(got.body, id));
    reply_done("parking.block", "rejected");
    raw_next(&returned, &got);
    ck_assert_str_eq(got.name, "saga.ended");
    ck_assert_ptr_nonnull(strstr(got.body, id));
    ck_assert_str_eq(answer("saga.ended", "id"), id); /* the first one may still be there */
    fixture_await_count("outcomes.told", 2);
    ck_assert_int_eq(fixture_count("outcomes.untold"), 0);
    raw_close(&returned);
    end();
}
END_TEST

START_TEST(a_start_is_acknowledged_after_its_commit) {
    fixture_begin(6, NULL);
    raw_open(&parking, "parking");
    raw_open_queue(&customer, "answers");
    ck_assert_int_eq(setenv("SAGAD_FAILPOINT", "start:after_append:1", 1), 0);
    fixture_start_at(SAGAD_FAILPOINTS, fixture_url());
    (void)fixture_await_connected(true, 20000);
    ask("k", INPUT);
    ck_assert(daemon_await_end(&fixture_daemon, 20000)); /* it died of it */
    ck_assert(raw_hears_nothing(&customer, 0));
    fixture_start_connected();
    (void)answer("saga.started", "id");
    ck_assert_int_eq(fixture_count("sagas.known"), 1);
    reply_done("parking.block", "rejected");
    (void)answer("saga.ended", "id");
    ck_assert_int_eq(fixture_messages_in("saga.start"), 0);
    end();
}
END_TEST

START_TEST(answers_wait_out_an_alarm) {
    char id[API_ID_SIZE];
    begin(8);
    ask("k", INPUT);
    (void)snprintf(id, sizeof id, "%s", answer("saga.started", "id"));
    struct raw_command command;
    raw_next_named(&parking, "parking.block", &command);
    daemon_signal(&fixture_daemon, SIGSTOP);
    ask("again", INPUT);
    raw_reply(&parking, &command, "rejected", NULL);
    broker_node_alarm(&fixture_node, true);
    daemon_signal(&fixture_daemon, SIGCONT);
    fixture_expect(id, "compensated");
    fixture_await_count("starts.started", 2);
    (void)fixture_await_connected(false, 20000);
    broker_node_alarm(&fixture_node, false);
    bool is_told_of_start = false, is_told_of_end = false;
    while (!is_told_of_start || !is_told_of_end) {
        raw_next(&customer, &command);
        is_told_of_end = is_told_of_end || strcmp(command.name, "saga.ended") == 0;
        is_told_of_start = is_told_of_start || strcmp(command.name, "saga.started") == 0;
    }
    end();
}
END_TEST

START_TEST(a_start_without_room_waits_once) {
    char definitions[512];
    fixture_begin(7, NULL);
    raw_open(&parking, "parking");
    raw_open_queue(&customer, "answers");
    struct amqp_cutter *cutter = cutter_open(fixture_node.port);
    (void)snprintf(definitions, sizeof definitions, "%s", fixture_path("definitions"));
    fixture_start("--data-dir", fixture_data_dir(), "--definitions", definitions, "--sagas-max",
                  "1", "--amqp", fixture_url_at(cutter_port(cutter)), NULL);
    (void)fixture_await_connected(true, 20000);
    ask("k1", INPUT);
    (void)answer("saga.started", "id");
    ask("k2", INPUT);
    fixture_await_count("broker.starts_held_up", 1);
    for (int i = 0; i < 5; i++) { /* each time it is delivered again */
        const struct cut never = {.direction = CUT_TO_BROKER, .frame = UINT32_MAX};
        cutter_arm(cutter, "sagad: replies", &never);
        fixture_await_count("broker.replies.connections", i + 2);
        fixture_await_count("broker.replies.delivered", i + 3);
    }
    (void)fixture_await_connected(true, 20000);
    const int64_t before = fixture_count("broker.starts_held_up");
    ck_assert(raw_hears_nothing(&customer, 4000));
    const int64_t tries = fixture_count("broker.starts_held_up") - before;
    ck_assert_int_ge(tries, 2); /* about one a second */
    ck_assert_int_le(tries, 6);
    reply_done("parking.block", "rejected");
    (void)answer("saga.ended", "id");
    (void)answer("saga.started", "id"); /* there is room now */
    ck_assert(raw_hears_nothing(&customer, 2500));
    struct raw_command command;
    while (raw_try_next(&parking, &command, 200)) { /* the first one's came more than once */
        raw_reply(&parking, &command, "rejected", NULL);
    }
    (void)answer("saga.ended", "id");
    ck_assert_int_eq(fixture_count("starts.started"), 2);
    ck_assert_int_eq(fixture_count("starts.started_again"), 0);
    ck_assert_int_eq(fixture_messages_in("saga.start"), 0);
    ck_assert_int_eq(fixture_messages_in("saga.start.dead"), 0);
    end();
    cutter_close(cutter);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("broker start");
    TCase *tests = tcase_create("start");
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_start_is_answered_at_once_and_at_the_end);
    tcase_add_test(tests, a_key_starts_one_saga_however_often);
    tcase_add_test(tests, what_starts_nothing_is_buried_once);
    tcase_add_test(tests, an_asker_that_has_gone_holds_nobody_up);
    tcase_add_test(tests, who_asked_is_told_though_the_daemon_was_killed_while_it_ran);
    tcase_add_test(tests, a_start_that_is_sent_again_after_a_restart_is_told_once);
    tcase_add_test(tests, who_asked_is_told_though_the_daemon_was_killed_before_the_end_left);
    tcase_add_test(tests, who_asked_is_told_when_the_broker_is_back_too);
    tcase_add_test(tests, a_daemon_that_is_stopped_in_good_order_remembers_whom_it_told);
    tcase_add_test(tests, who_comes_back_with_another_queue_is_told_there);
    tcase_add_test(tests, a_start_is_acknowledged_after_its_commit);
    tcase_add_test(tests, answers_wait_out_an_alarm);
    tcase_add_test(tests, a_start_without_room_waits_once);
    suite_add_tcase(suite, tests);
    fixture_open_node(13);
    const int status = check_run(suite);
    fixture_close_node();
    return status;
}
