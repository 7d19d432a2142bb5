/* The desk: nothing is acknowledged before its reply has been taken, nothing is
 * refused silently, and nothing is held for ever. */
#include "desk.h"

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_broker.h"
#include "notices.h"
#include "participant_fixture.h"
#include "shop_service.h"

static struct saga_amqp_address address = {
    .host_count = 1, .hosts = {{.name = "127.0.0.1", .port = 5672}}, .user = "guest", .vhost = "/"};
static struct saga_participant *participant;
static struct saga_desk *desk;
static const char *path;
static char told[16384];

static void tell(void *context, const char *text) {
    (void)context;
    const size_t used = strlen(told);
    (void)snprintf(told + used, sizeof told - used, "%s\n", text);
}

static void pause_elsewhere(void *context, int64_t delay_ms) {
    (void)context;
    (void)delay_ms;
}

static struct saga_desk_options desk_options(const struct saga_participant_switches *switches) {
    return (struct saga_desk_options){
        .address = &address,
        .topology = {.exchange = "events",
                     .queue = "shop",
                     .dead_letter_queue = "shop.dead",
                     .bindings = {"shop.#", "till.#"}},
        .switches = switches,
        .again_ms = 30,
        .tell = tell,
    };
}

static void open_desk_with(struct saga_participant_options *options) {
    struct saga_fault fault = {0};
    fake_broker_reset();
    told[0] = '\0';
    options->pause = pause_elsewhere;
    path = fixture_file();
    participant = fixture_open(&shop_service, path, options);
    const struct saga_desk_options desk_with = desk_options(&options->switches);
    ck_assert_msg(saga_desk_open(&desk, participant, &desk_with, &fault) == SAGA_OK, "%s",
                  fault.text);
    fake_broker_turn(true, "connected");
}

static void open_desk(void) {
    struct saga_participant_options options = {0};
    open_desk_with(&options);
}

static void close_desk(void) {
    saga_desk_close(desk);
    saga_participant_close(participant);
    fixture_file_remove();
}

/* The shop's command for the fixture's saga `number`, as a message. */
static struct saga_amqp_message message_of(unsigned number, const char *name) {
    static char ids[16][SAGA_WIRE_ID_BYTES_MAX + 1];
    static unsigned next;
    char *id = ids[next++ % 16];
    const char *saga = fixture_saga(number);
    (void)snprintf(id, sizeof ids[0], "%s/step/1/action/1", saga);
    struct saga_amqp_message message = {
        .exchange = "events",
        .routing_key = name,
        .message_id = id,
        .correlation_id = id,
        .reply_to = "replies",
        .type = name,
        .body = "{}",
        .body_size = 2,
    };
    saga_amqp_message_add_text(&message, "saga-id", saga);
    saga_amqp_message_add_text(&message, "saga-step", "step");
    saga_amqp_message_add_text(&message, "saga-operation", "action");
    saga_amqp_message_add_number(&message, "saga-incarnation", 1);
    saga_amqp_message_add_number(&message, "saga-revision", 1);
    saga_amqp_message_add_number(&message, "saga-attempt", 2);
    saga_amqp_message_add_text(&message, "saga-issued-at", "2024-07-12T00:00:00.000Z");
    return message;
}

/* The delivery `tag` of connection 1 is saga `tag`'s. */
static void deliver(unsigned tag, const char *name) {
    const struct saga_amqp_message message = message_of(tag, name);
    fake_broker_deliver(&message, (struct saga_amqp_ticket){1, tag});
    fake_broker_gathered();
}

static void confirm(struct saga_amqp_outgoing *reply) {
    reply->settled(reply, SAGA_AMQP_HANDED_OVER);
}

static void expect_settled(unsigned tag, enum saga_amqp_settlement how) {
    const struct fake_settlement settlement = fake_broker_next_settlement();
    ck_assert_uint_eq(settlement.ticket.tag, tag);
    ck_assert_int_eq(settlement.how, how);
}

/* The next reply says this, and is to the command of saga `number`. */
static struct saga_amqp_outgoing *expect_reply(unsigned number, const char *outcome) {
    struct saga_amqp_outgoing *reply = fake_broker_next_put();
    const char *said = saga_amqp_message_text(&reply->message, "saga-outcome");
    ck_assert_str_eq(said, outcome);
    ck_assert_msg(strstr(reply->message.correlation_id, fixture_saga(number)) != NULL, "%s",
                  reply->message.correlation_id);
    return reply;
}

static long long takings(void) {
    return fixture_integer(participant, "SELECT coalesce(sum(amount), 0) FROM takings");
}

static void expect_told(const char *part) {
    ck_assert_msg(strstr(told, part) != NULL, "'%s' is not in: %s", part, told);
}

/* -------------------------------------------------------------------- tests */

START_TEST(a_command_is_acknowledged_when_its_reply_is_taken) {
    open_desk();
    deliver(1, "shop.take");
    struct saga_amqp_outgoing *reply = expect_reply(1, "done");
    const struct saga_amqp_message *message = &reply->message;
    int64_t number;
    ck_assert_str_eq(message->exchange, "events");
    ck_assert_str_eq(message->routing_key, "replies");
    ck_assert_str_eq(message->app_id, "shop");
    ck_assert_str_eq(message->content_type, "application/json");
    ck_assert(!message->persistent && message->mandatory);
    ck_assert(saga_amqp_message_number(message, "saga-attempt", &number) && number == 2);
    ck_assert(!saga_amqp_message_number(message, "saga-replayed", &number));
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{\"id\": \"%s\", \"content\": {\"number\": 1}, \"reply_state\": \"TAKEN\"}",
                   message->correlation_id);
    ck_assert_uint_eq(message->body_size, strlen(body));
    ck_assert_mem_eq(message->body, body, strlen(body));
    ck_assert_uint_eq(fake_broker_settlement_count(), 0); /* the reply may yet be lost */
    confirm(reply);
    expect_settled(1, SAGA_AMQP_ACK);
    struct saga_desk_counts counts;
    saga_desk_count(desk, &counts);
    ck_assert_uint_eq(counts.delivered, 1);
    ck_assert_uint_eq(counts.answered, 1);
    close_desk();
}
END_TEST

START_TEST(what_is_at_hand_is_one_transaction) {
    open_desk();
    for (unsigned i = 1; i <= 100; i++) {
        const struct saga_amqp_message message = message_of(i, "shop.take");
        fake_broker_deliver(&message, (struct saga_amqp_ticket){1, i});
    }
    fake_broker_gathered();
    for (unsigned i = 1; i <= 100; i++) {
        confirm(expect_reply(i, "done"));
        expect_settled(i, SAGA_AMQP_ACK);
    }
    saga_desk_close(desk);
    ck_assert_uint_eq(saga_participant_counts(participant).batches, 1);
    ck_assert_int_eq(takings(), 100);
    saga_participant_close(participant);
    fixture_file_remove();
}
END_TEST

START_TEST(a_duplicate_is_answered_from_its_row) {
    open_desk();
    int64_t number;
    deliver(1, "shop.take");
    confirm(expect_reply(1, "done"));
    expect_settled(1, SAGA_AMQP_ACK);
    const struct saga_amqp_message again = message_of(1, "shop.take");
    fake_broker_deliver(&again, (struct saga_amqp_ticket){1, 2});
    fake_broker_gathered();
    struct saga_amqp_outgoing *reply = expect_reply(1, "done");
    ck_assert(saga_amqp_message_number(&reply->message, "saga-replayed", &number) && number == 1);
    confirm(reply);
    expect_settled(2, SAGA_AMQP_ACK);
    saga_desk_close(desk);
    ck_assert_int_eq(takings(), 1);
    saga_participant_close(participant);
    fixture_file_remove();
}
END_TEST

START_TEST(a_message_that_cannot_be_read_goes_to_the_dead_letters) {
    open_desk();
    struct saga_amqp_message message = message_of(1, "shop.take");
    message.header_count = 0;
    message.message_id = "evil\n\x1b[31m";
    fake_broker_deliver(&message, (struct saga_amqp_ticket){1, 1});
    fake_broker_gathered();
    expect_settled(1, SAGA_AMQP_REJECT);
    deliver(2, "shop.take"); /* and the next one is not held up */
    confirm(expect_reply(2, "done"));
    expect_settled(2, SAGA_AMQP_ACK);
    struct saga_desk_counts counts;
    saga_desk_count(desk, &counts);
    ck_assert_uint_eq(counts.refused, 1);
    ck_assert_uint_eq(counts.delivered, 1);
    close_desk();
    expect_told("refused shop.take evil??[31m (it is in shop.dead): there are no saga-* headers");
}
END_TEST

START_TEST(a_command_of_another_service_goes_to_the_dead_letters) {
    open_desk();
    deliver(1, "bank.take");
    expect_settled(1, SAGA_AMQP_REJECT);
    ck_assert(fake_broker_puts_nothing(0));
    close_desk();
    expect_told("is not one of this participant's");
}
END_TEST

START_TEST(a_command_that_is_delayed_holds_up_no_other) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=60000");
    open_desk_with(&options);
    deliver(1, "shop.take");
    deliver(2, "shop.refuse");
    confirm(expect_reply(2, "rejected"));
    expect_settled(2, SAGA_AMQP_ACK);
    ck_assert(fake_broker_puts_nothing(0));
    close_desk();
}
END_TEST

START_TEST(what_the_database_could_not_do_is_tried_again) {
    sqlite3 *other;
    open_desk();
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    deliver(1, "shop.take");
    struct saga_desk_counts counts = {0};
    while (counts.postponed == 0) { /* five seconds: how long SQLite waits for a lock */
        ck_assert(fake_broker_puts_nothing(50));
        saga_desk_count(desk, &counts);
    }
    ck_assert_uint_eq(fake_broker_settlement_count(), 0);
    ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    confirm(expect_reply(1, "done"));
    expect_settled(1, SAGA_AMQP_ACK);
    close_desk();
    expect_told("1 commands wait for 30 ms");
}
END_TEST

START_TEST(replies_wait_while_they_cannot_leave) {
    open_desk();
    fake_broker_alarm(true);
    for (unsigned i = 1; i <= 20; i++) {
        deliver(i, "shop.take");
    }
    ck_assert(fake_broker_puts_nothing(200));
    ck_assert_uint_eq(fake_broker_settlement_count(), 0);
    fake_broker_alarm(false);
    for (unsigned i = 1; i <= 20; i++) {
        confirm(fake_broker_next_put());
        ck_assert_int_eq(fake_broker_next_settlement().how, SAGA_AMQP_ACK);
    }
    ck_assert(fake_broker_puts_nothing(100));
    close_desk();
    expect_told("held up by the broker amqp://guest@127.0.0.1:5672/: it has an alarm");
}
END_TEST

START_TEST(a_reply_in_doubt_is_put_again_but_not_for_ever) {
    open_desk();
    deliver(1, "shop.take");
    struct saga_amqp_outgoing *reply = fake_broker_next_put();
    reply->settled(reply, SAGA_AMQP_UNSENT);
    confirm(fake_broker_next_put());
    expect_settled(1, SAGA_AMQP_ACK);
    deliver(2, "shop.take");
    for (int i = 0; i < SAGA_DESK_SENDS_MAX; i++) {
        ck_assert_uint_eq(fake_broker_settlement_count(), 0);
        reply = fake_broker_next_put();
        reply->settled(reply, SAGA_AMQP_IN_DOUBT);
    }
    expect_settled(2, SAGA_AMQP_ACK);
    ck_assert(fake_broker_puts_nothing(100));
    struct saga_desk_counts counts;
    saga_desk_count(desk, &counts);
    ck_assert_uint_eq(counts.answered, 1);
    ck_assert_uint_eq(counts.given_up, 1);
    close_desk();
    expect_told("was lost 5 times");
}
END_TEST

START_TEST(a_reply_that_nobody_takes_is_told_and_its_command_acknowledged) {
    open_desk();
    deliver(1, "shop.take");
    struct saga_amqp_outgoing *reply = fake_broker_next_put();
    reply->settled(reply, SAGA_AMQP_UNROUTABLE);
    expect_settled(1, SAGA_AMQP_ACK);
    close_desk();
    expect_told("ended: 1 commands were delivered, 0 answered, 0 refused, 1 answered where nobody");
    expect_told("nobody has a queue for the reply");
    expect_told(": replies");
}
END_TEST

START_TEST(what_an_earlier_connection_delivered_is_forgotten) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=1500");
    open_desk_with(&options);
    deliver(1, "shop.take"); /* waits, and its connection is lost */
    fake_broker_turn(false, "cut");
    fake_broker_turn(true, "connected");
    const struct saga_amqp_message again = message_of(1, "shop.take");
    fake_broker_deliver(&again, (struct saga_amqp_ticket){2, 1});
    fake_broker_gathered();
    confirm(expect_reply(1, "done"));
    const struct fake_settlement settlement = fake_broker_next_settlement();
    ck_assert_uint_eq(settlement.ticket.connection, 2);
    ck_assert(fake_broker_puts_nothing(2000)); /* once, not twice */
    close_desk();
}
END_TEST

START_TEST(replies_of_an_earlier_connection_are_forgotten_too) {
    open_desk();
    fake_broker_alarm(true);
    deliver(1, "shop.take");
    ck_assert(fake_broker_puts_nothing(100)); /* its reply waits */
    const struct saga_amqp_message again = message_of(1, "shop.take");
    fake_broker_deliver(&again, (struct saga_amqp_ticket){2, 1});
    fake_broker_gathered();
    ck_assert(fake_broker_puts_nothing(100));
    fake_broker_alarm(false);
    confirm(expect_reply(1, "done"));
    ck_assert_uint_eq(fake_broker_next_settlement().ticket.connection, 2);
    ck_assert(fake_broker_puts_nothing(100));
    close_desk();
}
END_TEST

START_TEST(the_end_answers_what_is_at_hand_and_leaves_the_rest) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.refuse=60000");
    open_desk_with(&options);
    deliver(1, "shop.refuse"); /* waits for a minute */
    deliver(2, "shop.take");
    confirm(expect_reply(2, "done"));
    expect_settled(2, SAGA_AMQP_ACK);
    deliver(3, "shop.take");
    while (fake_broker_puts_nothing(1000)) {
    }
    close_desk(); /* with a reply on its way whose fate nobody knows */
    ck_assert(fake_broker_stopped());
    ck_assert_uint_eq(fake_broker_settlement_count(), 0); /* both come again */
    ck_assert_ptr_null(strstr(told, "lost the broker"));
}
END_TEST

static bool died;

static void die(void *context, const char *command, enum saga_participant_crash moment) {
    (void)context;
    (void)command;
    (void)moment;
    died = true;
}

START_TEST(a_death_that_is_only_played_is_survived_by_the_command) {
    struct saga_participant_options options = {.crash = die};
    int64_t number;
    died = false;
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.take=after-commit");
    open_desk_with(&options);
    deliver(1, "shop.take");
    struct saga_amqp_outgoing *reply = expect_reply(1, "done");
    ck_assert(died);
    ck_assert(saga_amqp_message_number(&reply->message, "saga-replayed", &number));
    confirm(reply);
    expect_settled(1, SAGA_AMQP_ACK);
    saga_desk_close(desk);
    ck_assert_int_eq(takings(), 1);
    saga_participant_close(participant);
    fixture_file_remove();
}
END_TEST

START_TEST(what_is_declared_is_what_the_protocol_says) {
    open_desk();
    ck_assert_str_eq(fake_broker_declarations(), "exchange events\n"
                                                 "exchange events\n"
                                                 "queue shop.dead classic dead=- limit=0\n"
                                                 "queue shop classic dead=shop.dead limit=0\n"
                                                 "bind shop to events by shop.#\n"
                                                 "bind shop to events by till.#\n");
    close_desk();

    struct saga_participant_switches none = {0};
    struct saga_desk_options quorum = desk_options(&none);
    struct saga_fault fault;
    fake_broker_reset();
    quorum.topology.quorum = true;
    participant = fixture_open(&shop_service, fixture_file(), NULL);
    ck_assert_int_eq(saga_desk_open(&desk, participant, &quorum, &fault), SAGA_OK);
    const char *declared = fake_broker_declarations();
    ck_assert_ptr_nonnull(strstr(declared, "queue shop quorum dead=shop.dead limit=20\n"));
    ck_assert_ptr_nonnull(strstr(declared, "queue shop.dead quorum dead=- limit=0\n"));
    close_desk();
}
END_TEST

START_TEST(a_flood_of_refusals_is_told_in_a_few_lines) {
    open_desk();
    for (unsigned i = 1; i <= 100; i++) {
        deliver(i, "bank.take");
        expect_settled(i, SAGA_AMQP_REJECT);
    }
    close_desk();
    size_t lines = 0;
    for (const char *at = told; (at = strstr(at, "refused bank.take")) != NULL; at++) {
        lines++;
    }
    ck_assert_uint_eq(lines, SAGA_NOTICES_MAX);
    expect_told("... and 80 notices more like these");
}
END_TEST

START_TEST(only_news_of_the_broker_is_told) {
    open_desk();
    for (int i = 0; i < 3; i++) {
        fake_broker_turn(false, "connection refused");
    }
    fake_broker_turn(true, "connected");
    close_desk();
    ck_assert_str_eq(told, "connected to amqp://guest@127.0.0.1:5672/: carrying out the commands "
                           "in the queue shop\n"
                           "lost the broker amqp://guest@127.0.0.1:5672/: connection refused; "
                           "trying until that is over\n"
                           "connected to amqp://guest@127.0.0.1:5672/: carrying out the commands "
                           "in the queue shop\n"
                           "ended: 0 commands were delivered, 0 answered, 0 refused, 0 answered "
                           "where nobody listened\n");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("desk");
    TCase *tests = tcase_create("desk");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_command_is_acknowledged_when_its_reply_is_taken);
    tcase_add_test(tests, what_is_at_hand_is_one_transaction);
    tcase_add_test(tests, a_duplicate_is_answered_from_its_row);
    tcase_add_test(tests, a_message_that_cannot_be_read_goes_to_the_dead_letters);
    tcase_add_test(tests, a_command_of_another_service_goes_to_the_dead_letters);
    tcase_add_test(tests, a_command_that_is_delayed_holds_up_no_other);
    tcase_add_test(tests, what_the_database_could_not_do_is_tried_again);
    tcase_add_test(tests, replies_wait_while_they_cannot_leave);
    tcase_add_test(tests, a_reply_in_doubt_is_put_again_but_not_for_ever);
    tcase_add_test(tests, a_reply_that_nobody_takes_is_told_and_its_command_acknowledged);
    tcase_add_test(tests, what_an_earlier_connection_delivered_is_forgotten);
    tcase_add_test(tests, replies_of_an_earlier_connection_are_forgotten_too);
    tcase_add_test(tests, the_end_answers_what_is_at_hand_and_leaves_the_rest);
    tcase_add_test(tests, a_death_that_is_only_played_is_survived_by_the_command);
    tcase_add_test(tests, what_is_declared_is_what_the_protocol_says);
    tcase_add_test(tests, a_flood_of_refusals_is_told_in_a_few_lines);
    tcase_add_test(tests, only_news_of_the_broker_is_told);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
