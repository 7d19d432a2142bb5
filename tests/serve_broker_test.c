/* `parking serve` against a real broker, which is restarted, alarmed and paused,
 * as the service is killed, stopped and paused: every command is answered, and has
 * one effect. */
#include <check.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker_node.h"
#include "command_sender.h"
#include "parking.h"
#include "participant_fixture.h"
#include "service_process.h"

#define TESTS_MAX "16"
#define CONNECTED "connected to"
#define STOP_MS   15000 /* 10 s are promised; a busy machine is late */

static struct broker_node node;
static char url[192];
static char host[32]; /* the test's virtual host: queues of its own */
static const char *database;
static struct service_process service;
static struct command_sender sender;

/* --------------------------------------------------------------- beginning */

static void make_hosts(void) {
    (void)broker_node_ctl(
        &node, (const char *const[]){
                   "eval",
                   "lists:foreach(fun(N) -> V = list_to_binary(\"t\" ++ integer_to_list(N)), "
                   "rabbit_vhost:add(V, <<\"tests\">>), "
                   "rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, "
                   "<<\".*\">>, <<\".*\">>, <<\"tests\">>) end, lists:seq(1, " TESTS_MAX ")).",
                   NULL});
}

/* Each test has a virtual host and a database of its own. */
static void begin(int number) {
    (void)snprintf(host, sizeof host, "t%d", number);
    (void)snprintf(url, sizeof url, "%s/%s", node.url, host);
    database = fixture_file();
}

static void start_with(const char *option, const char *value) {
    service_process_start(&service,
                          (const char *const[]){"parking", "serve", "--db", database, "--amqp", url,
                                                "--http", "0", option, value, NULL});
}

static void start(void) {
    start_with(NULL, NULL);
    service_process_await(&service, CONNECTED);
}

static void stop(void) {
    const int status = service_process_end(&service, SIGTERM, STOP_MS);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d: %s", status,
                  service.said);
}

static void end(void) {
    command_sender_close(&sender);
    fixture_file_remove();
}

/* ------------------------------------------------------------------ commands */

static char slots[64][37];

static void make_slots(unsigned count) {
    struct saga_fault fault;
    struct saga_participant *parking = fixture_open(saga_parking_service(), database, NULL);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "Slot %u", i);
        slots[i][0] = '\0';
        ck_assert_int_eq(saga_parking_slot_create(parking, name, slots[i], &fault), SAGA_OK);
    }
    saga_participant_close(parking);
}

/* The command of the fixture's saga `number`, about a slot of its own. */
static struct saga_wire_command command_of(unsigned number, const char *name,
                                           const char *operation) {
    static char bodies[64][256];
    struct saga_wire_command command = fixture_command(name, operation, "block");
    command.saga = fixture_saga(number);
    fixture_identify(&command);
    (void)snprintf(bodies[number], sizeof bodies[0], "{\"parking_slot_ref_no\": \"%s:%s\"}",
                   slots[number], command.saga);
    return fixture_with_body(command, bodies[number]);
}

static void send_block(unsigned number) {
    const struct saga_wire_command command = command_of(number, "parking.block", "action");
    command_sender_send(&sender, &command);
}

static void expect_reply(unsigned number, const char *outcome, bool replayed) {
    struct command_reply reply;
    command_sender_next(&sender, &reply);
    ck_assert_msg(strstr(reply.id, fixture_saga(number)) != NULL, "%s", reply.id);
    ck_assert_str_eq(reply.exchange, COMMAND_SENDER_EXCHANGE);
    ck_assert_str_eq(reply.outcome, outcome);
    ck_assert_int_eq(reply.replayed, replayed);
}

static long long count_of(const char *sql) {
    sqlite3 *file;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open_v2(database, &file, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_busy_timeout(file, 5000), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(file, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    const long long count = sqlite3_column_int64(statement, 0);
    ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(file), SQLITE_OK);
    return count;
}

static long long effects(void) {
    return count_of("SELECT count(*) FROM effects");
}

/* The messages in a queue, delivered or not. */
static long messages_in(const char *queue) {
    const char *printed =
        broker_node_ctl(&node, (const char *const[]){"list_queues", "-q", "--no-table-headers",
                                                     "-p", host, "name", "messages", NULL});
    for (const char *line = printed; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t size = strlen(queue);
        if (strncmp(line, queue, size) == 0 && line[size] == '\t') {
            return strtol(line + size, NULL, 10);
        }
    }
    ck_abort_msg("no queue %s in: %s", queue, printed);
    return -1;
}

/* -------------------------------------------------------------------- tests */

START_TEST(a_command_is_answered_and_a_duplicate_from_its_row) {
    begin(1);
    make_slots(1);
    start();
    command_sender_open(&sender, url);
    send_block(0);
    expect_reply(0, "done", false);
    send_block(0);
    expect_reply(0, "done", true);
    stop();
    ck_assert_int_eq(effects(), 1);
    ck_assert_int_eq(messages_in("parking"), 0);
    ck_assert_int_eq(messages_in("parking.dead"), 0);
    end();
}
END_TEST

START_TEST(a_fence_that_comes_first_keeps_the_action_from_happening) {
    begin(2);
    make_slots(1);
    start();
    command_sender_open(&sender, url);
    const struct saga_wire_command fence = command_of(0, "parking.fence", "fence");
    command_sender_send(&sender, &fence);
    expect_reply(0, "fenced", false);
    send_block(0);
    expect_reply(0, "fenced", true);
    stop();
    ck_assert_int_eq(effects(), 0);
    ck_assert_int_eq(count_of("SELECT count(*) FROM parking_slots WHERE status = 'available'"), 1);
    end();
}
END_TEST

START_TEST(poison_goes_to_the_dead_letters_once) {
    static char huge[SAGA_WIRE_BODY_BYTES_MAX + 2];
    begin(3);
    make_slots(2);
    start();
    command_sender_open(&sender, url);
    const struct saga_wire_command command = command_of(0, "parking.block", "action");
    struct saga_amqp_message message = command_sender_message(&command);
    message.header_count = 1; /* as the Python example's orchestrator sends it */
    command_sender_publish(&sender, &message);
    message = command_sender_message(&command);
    message.body = memset(huge, 'x', sizeof huge - 1);
    message.body_size = sizeof huge - 1; /* a byte too many: it is not even read */
    command_sender_publish(&sender, &message);
    message = command_sender_message(&command);
    message.type = "booking.create"; /* somebody else's, bound to us by mistake */
    command_sender_publish(&sender, &message);
    send_block(1); /* is not held up */
    expect_reply(1, "done", false);
    stop();
    ck_assert_int_eq(effects(), 1);
    ck_assert_int_eq(messages_in("parking"), 0);
    ck_assert_int_eq(messages_in("parking.dead"), 3);
    ck_assert_uint_eq(service_process_count(&service, "refused "), 2);
    ck_assert_ptr_nonnull(strstr(service.said, "there are no saga-* headers"));
    ck_assert_ptr_nonnull(strstr(service.said, "not one of this participant's"));
    end();
}
END_TEST

START_TEST(a_message_that_an_operator_moved_is_answered_the_way_it_came) {
    struct command_reply reply;
    begin(13);
    make_slots(1);
    start();
    command_sender_open(&sender, url);
    const struct saga_wire_command command = command_of(0, "parking.block", "action");
    struct saga_amqp_message message = command_sender_message(&command);
    message.exchange = "";
    message.routing_key = "parking"; /* straight into the queue */
    command_sender_publish(&sender, &message);
    command_sender_next(&sender, &reply);
    ck_assert_str_eq(reply.outcome, "done");
    ck_assert_str_eq(reply.exchange, "");
    stop();
    ck_assert_int_eq(effects(), 1);
    end();
}
END_TEST

START_TEST(a_queue_that_was_deleted_is_declared_again) {
    begin(14);
    make_slots(1);
    start();
    command_sender_open(&sender, url);
    (void)broker_node_ctl(&node,
                          (const char *const[]){"delete_queue", "-p", host, "parking", NULL});
    service_process_await(&service, "the queue is gone");
    service_process_await(&service, CONNECTED);
    send_block(0);
    expect_reply(0, "done", false);
    stop();
    end();
}
END_TEST

static const struct {
    const char *crash;
    bool replayed; /* the redelivery finds the row */
} deaths[] = {
    {"parking.block=after-commit", true},
    {"parking.block=before-commit", false},
};

START_TEST(a_death_around_the_commit_leaves_one_effect) {
    begin(4 + _i);
    make_slots(1);
    start_with("--crash", deaths[_i].crash);
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    send_block(0);
    const int status = service_process_end(&service, 0, 30000);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_eq(effects(), deaths[_i].replayed ? 1 : 0);
    ck_assert(command_sender_hears_nothing(&sender, 0));
    start();
    expect_reply(0, "done", deaths[_i].replayed);
    stop();
    ck_assert_int_eq(effects(), 1);
    ck_assert_int_eq(messages_in("parking"), 0);
    end();
}
END_TEST

START_TEST(a_service_finds_its_broker_again) {
    begin(6);
    make_slots(4);
    broker_node_stop(&node);
    start_with(NULL, NULL);
    service_process_await(&service, "no broker at");
    broker_node_start(&node);
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    send_block(0);
    expect_reply(0, "done", false);
    command_sender_close(&sender);

    broker_node_kill(&node);
    service_process_await(&service, "lost the broker");
    broker_node_start(&node);
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    send_block(1);
    expect_reply(1, "done", false);
    stop();
    ck_assert_int_eq(effects(), 2);
    ck_assert_uint_eq(service_process_count(&service, "no broker at"), 1);
    ck_assert_uint_eq(service_process_count(&service, "lost the broker"), 1);
    end();
}
END_TEST

#define DRAINED 60u

START_TEST(a_stop_in_the_middle_loses_nothing_and_doubles_nothing) {
    begin(7);
    make_slots(DRAINED);
    start_with("--prefetch", "5"); /* so that the queue is not empty when it is stopped */
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    for (unsigned i = 0; i < DRAINED; i++) {
        const struct saga_wire_command command = command_of(i, "parking.block", "action");
        command_sender_post(&sender, &command);
    }
    struct command_reply reply;
    command_sender_next(&sender, &reply);
    stop();
    start();
    bool answered[DRAINED] = {false};
    unsigned count = 0;
    for (;;) {
        for (unsigned i = 0; i < DRAINED; i++) {
            if (strstr(reply.id, fixture_saga(i)) != NULL && !answered[i]) {
                answered[i] = true;
                count++;
            }
        }
        ck_assert_str_eq(reply.outcome, "done");
        if (count == DRAINED) {
            break;
        }
        command_sender_next(&sender, &reply);
    }
    stop();
    ck_assert_int_eq(effects(), DRAINED);
    ck_assert_int_eq(messages_in("parking"), 0);
    ck_assert_int_eq(messages_in("parking.dead"), 0);
    end();
}
END_TEST

#define KILLS         12u
#define KILL_COMMANDS 600u

/* A command about a slot that is nobody's: rejected, and one effect all the same. */
static void post_hopeless(unsigned number) {
    struct saga_wire_command command = fixture_command("parking.block", "action", "block");
    char body[128];
    command.saga = fixture_saga(number);
    fixture_identify(&command);
    (void)snprintf(body, sizeof body, "{\"parking_slot_ref_no\": \"nowhere:%s\"}", command.saga);
    command = fixture_with_body(command, body);
    command_sender_post(&sender, &command);
}

/* Which command of the fixture's it answers; its saga's id ends with the number. */
static unsigned answered_by(const struct command_reply *reply) {
    const unsigned long number = strtoul(reply->id + SAGA_WIRE_SAGA_BYTES - 12, NULL, 16);
    ck_assert_uint_lt(number, KILL_COMMANDS);
    ck_assert_str_eq(reply->outcome, "rejected");
    return (unsigned)number;
}

/* Nobody sends anything again: what a death leaves unanswered, the next life answers. */
START_TEST(kills_at_any_time_leave_no_command_unanswered_and_none_done_twice) {
    static bool answered[KILL_COMMANDS];
    unsigned count = 0, lives = 1;
    begin(15);
    start_with("--prefetch", "40");
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    for (unsigned i = 0; i < KILL_COMMANDS; i++) {
        post_hopeless(i);
    }
    while (count < KILL_COMMANDS) {
        struct command_reply reply;
        command_sender_next(&sender, &reply);
        const unsigned number = answered_by(&reply);
        count += !answered[number];
        answered[number] = true;
        if (lives <= KILLS && count >= lives * (KILL_COMMANDS / (KILLS + 1))) {
            const int status = service_process_end(&service, SIGKILL, STOP_MS);
            ck_assert(WIFSIGNALED(status));
            start_with("--prefetch", "40");
            lives++;
        }
    }
    ck_assert_uint_eq(lives, KILLS + 1);
    service_process_await(&service, CONNECTED); /* its last life has begun: SIGTERM is heard */
    stop();
    ck_assert_int_eq(count_of("SELECT count(DISTINCT command_id) FROM effects"), KILL_COMMANDS);
    ck_assert_int_eq(effects(), KILL_COMMANDS);
    ck_assert_int_eq(messages_in("parking"), 0);
    ck_assert_int_eq(messages_in("parking.dead"), 0);
    end();
}
END_TEST

START_TEST(a_service_that_was_paused_goes_on) {
    begin(8);
    make_slots(3);
    start();
    command_sender_open(&sender, url);
    send_block(0);
    expect_reply(0, "done", false);
    ck_assert_int_eq(kill(service.pid, SIGSTOP), 0);
    send_block(1);
    send_block(2);
    ck_assert(command_sender_hears_nothing(&sender, 500));
    command_sender_close(&sender);
    /* What the broker does when it has heard nothing for two heartbeats. */
    (void)broker_node_ctl(&node, (const char *const[]){"close_all_connections", "--vhost", host,
                                                       "no sign of life", NULL});
    ck_assert_int_eq(kill(service.pid, SIGCONT), 0);
    service_process_await(&service, "lost the broker");
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    bool answered[3] = {false};
    while (!answered[1] || !answered[2]) {
        struct command_reply reply;
        command_sender_next(&sender, &reply);
        for (unsigned i = 0; i < 3; i++) {
            answered[i] = answered[i] || strstr(reply.id, fixture_saga(i)) != NULL;
        }
        ck_assert_str_eq(reply.outcome, "done");
    }
    stop();
    ck_assert_int_eq(effects(), 3);
    ck_assert_int_eq(messages_in("parking"), 0);
    end();
}
END_TEST

/* Three commands that have arrived and are carried out when the alarm is on: until
 * then the database is locked. */
static void run_into_the_alarm(void) {
    sqlite3 *lock;
    start();
    command_sender_open(&sender, url);
    ck_assert_int_eq(sqlite3_open(database, &lock), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(lock, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (unsigned i = 0; i < 3; i++) {
        send_block(i);
    }
    broker_node_alarm(&node, true);
    ck_assert_int_eq(sqlite3_exec(lock, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(lock), SQLITE_OK);
    service_process_await(&service, "held up by the broker"); /* it has tried to answer */
    while (effects() < 3) {
        ck_assert(command_sender_hears_nothing(&sender, 100));
    }
}

START_TEST(replies_wait_out_an_alarm) {
    begin(9);
    make_slots(3);
    run_into_the_alarm();
    ck_assert(command_sender_hears_nothing(&sender, 1000));
    ck_assert_int_eq(messages_in("parking"), 3); /* not acknowledged */
    broker_node_alarm(&node, false);
    for (unsigned i = 0; i < 3; i++) {
        struct command_reply reply;
        command_sender_next(&sender, &reply);
        ck_assert_str_eq(reply.outcome, "done");
    }
    stop();
    ck_assert_int_eq(effects(), 3);
    ck_assert_int_eq(messages_in("parking"), 0);
    end();
}
END_TEST

START_TEST(a_stop_during_an_alarm_does_not_wait_for_its_end) {
    begin(12);
    make_slots(3);
    run_into_the_alarm();
    stop();
    broker_node_alarm(&node, false);
    start();
    bool answered[3] = {false};
    while (!answered[0] || !answered[1] || !answered[2]) {
        struct command_reply reply;
        command_sender_next(&sender, &reply);
        for (unsigned i = 0; i < 3; i++) {
            answered[i] = answered[i] || strstr(reply.id, fixture_saga(i)) != NULL;
        }
        ck_assert_str_eq(reply.outcome, "done");
    }
    stop();
    ck_assert_int_eq(effects(), 3);
    ck_assert_int_eq(messages_in("parking"), 0);
    end();
}
END_TEST

/* Whatever became of the test before. */
static void end_alarm(void) {
    broker_node_alarm(&node, false);
}

START_TEST(a_delay_holds_up_its_own_command_alone) {
    begin(10);
    make_slots(2);
    start_with("--delay", "parking.block=60000");
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    send_block(0);
    const struct saga_wire_command fence = command_of(1, "parking.fence", "fence");
    command_sender_send(&sender, &fence);
    expect_reply(1, "fenced", false);
    stop(); /* which waits for no delay: the command goes back */
    ck_assert_int_eq(messages_in("parking"), 1);
    start();
    expect_reply(0, "done", false);
    stop();
    end();
}
END_TEST

/* What the broker asks of whoever connects from now on; 60 s is its default. */
static void set_heartbeat(const char *seconds) {
    char words[80];
    (void)snprintf(words, sizeof words, "application:set_env(rabbit, heartbeat, %s).", seconds);
    (void)broker_node_ctl(&node, (const char *const[]){"eval", words, NULL});
}

static void end_short_heartbeat(void) {
    set_heartbeat("60");
}

/* The connections of the test's host that agreed on a heartbeat of one second. */
static unsigned quick_connections(void) {
    const char *line =
        broker_node_ctl(&node, (const char *const[]){"list_connections", "-q", "--no-table-headers",
                                                     "timeout", NULL});
    unsigned count = 0;
    while (*line != '\0') {
        count += strncmp(line, "1\n", 2) == 0;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return count;
}

/* The broker gives up a client that has been silent for two heartbeats. A service that waits for
 * a delay is silent for six, but for its heartbeats. */
START_TEST(a_delay_of_many_heartbeats_costs_no_connection) {
    begin(15);
    make_slots(1);
    set_heartbeat("1");
    start_with("--delay", "parking.block=6000");
    service_process_await(&service, CONNECTED);
    set_heartbeat("60"); /* for us */
    command_sender_open(&sender, url);
    send_block(0);
    ck_assert(command_sender_hears_nothing(&sender, 5000));
    ck_assert_uint_eq(quick_connections(), 2); /* commands, replies */
    expect_reply(0, "done", false);
    stop();
    ck_assert_uint_eq(service_process_count(&service, CONNECTED), 1);
    ck_assert_uint_eq(service_process_count(&service, "lost the broker"), 0);
    ck_assert_int_eq(effects(), 1);
    end();
}
END_TEST

START_TEST(a_quorum_queue_serves_as_well) {
    begin(11);
    make_slots(1);
    start_with("--queue-type", "quorum");
    service_process_await(&service, CONNECTED);
    command_sender_open(&sender, url);
    send_block(0);
    expect_reply(0, "done", false);
    stop();
    start_with("--queue-type", "classic"); /* the queue is there, and is another */
    service_process_await(&service, "no broker at");
    service_process_await(&service, "inequivalent arg");
    stop();
    end();
}
END_TEST

int main(void) {
    broker_node_open(&node);
    make_hosts();
    Suite *suite = suite_create("serve_broker");
    TCase *tests = tcase_create("serve");
    tcase_set_timeout(tests, 400);
    tcase_add_test(tests, a_command_is_answered_and_a_duplicate_from_its_row);
    tcase_add_test(tests, a_fence_that_comes_first_keeps_the_action_from_happening);
    tcase_add_test(tests, poison_goes_to_the_dead_letters_once);
    tcase_add_test(tests, a_message_that_an_operator_moved_is_answered_the_way_it_came);
    tcase_add_test(tests, a_queue_that_was_deleted_is_declared_again);
    tcase_add_loop_test(tests, a_death_around_the_commit_leaves_one_effect, 0, 2);
    tcase_add_test(tests, a_service_finds_its_broker_again);
    tcase_add_test(tests, a_stop_in_the_middle_loses_nothing_and_doubles_nothing);
    tcase_add_test(tests, a_service_that_was_paused_goes_on);
    tcase_add_test(tests, a_delay_holds_up_its_own_command_alone);
    tcase_add_test(tests, a_quorum_queue_serves_as_well);
    suite_add_tcase(suite, tests);
    TCase *heartbeats = tcase_create("heartbeats");
    tcase_set_timeout(heartbeats, 400);
    tcase_add_unchecked_fixture(heartbeats, NULL, end_short_heartbeat);
    tcase_add_test(heartbeats, a_delay_of_many_heartbeats_costs_no_connection);
    suite_add_tcase(suite, heartbeats);
    TCase *alarms = tcase_create("alarms");
    tcase_set_timeout(alarms, 400);
    tcase_add_unchecked_fixture(alarms, NULL, end_alarm);
    tcase_add_test(alarms, replies_wait_out_an_alarm);
    tcase_add_test(alarms, a_stop_during_an_alarm_does_not_wait_for_its_end);
    suite_add_tcase(suite, alarms);
    TCase *kills = tcase_create("kills");
    tcase_set_timeout(kills, 400);
    tcase_add_test(kills, kills_at_any_time_leave_no_command_unanswered_and_none_done_twice);
    suite_add_tcase(suite, kills);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    broker_node_close(&node);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
