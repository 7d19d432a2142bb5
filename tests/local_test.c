/* The in-process transport: every command that is taken is answered, and none
 * waits for another's delay. */
#include "local.h"

#include <check.h>
#include <poll.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "check_run.h"
#include "delivery_queue.h"
#include "ids.h"
#include "monotonic.h"
#include "participant_fixture.h"
#include "shop_service.h"

static struct saga_inbox *inbox;
static struct saga_local *local;
static struct saga_participant *shop;
static const char *path;
static char complaint[1400]; /* written before the reply that shows it */

static const struct saga_definition_step steps[] = {{.name = "take"}, {.name = "other"}};
static const struct saga_definition definition = {.name = "shopping", .steps = steps};

static void complain(void *context, const char *participant, const char *text) {
    (void)context;
    (void)snprintf(complaint, sizeof complaint, "%s: %s", participant, text);
}

static void open_transport(uint32_t commands_max) {
    struct saga_fault fault;
    struct saga_local_options options = {.commands_max = commands_max, .complain = complain};
    complaint[0] = '\0';
    ck_assert_int_eq(saga_inbox_open(&inbox, &fault), SAGA_OK);
    options.inbox = inbox;
    ck_assert_int_eq(saga_local_open(&local, &options, &fault), SAGA_OK);
}

static void open_shop(struct saga_participant_options *options, uint32_t commands_max) {
    struct saga_fault fault;
    path = fixture_file();
    options->pause = saga_local_pause;
    shop = fixture_open(&shop_service, path, options);
    open_transport(commands_max);
    ck_assert_int_eq(saga_local_add(local, shop, &options->switches, &fault), SAGA_OK);
}

static void close_transport(void) {
    saga_local_close(local);
    struct saga_request *next;
    for (struct saga_request *request = saga_inbox_take(inbox); request != NULL; request = next) {
        next = request->next;
        request->answered(request);
    }
    saga_inbox_close(inbox);
}

static void close_shop(void) {
    close_transport();
    saga_participant_close(shop);
    fixture_file_remove();
}

static struct saga_dispatch dispatch_of(unsigned number, const char *name, const char *body) {
    struct saga_dispatch dispatch = {
        .id = {.step = 0, .operation = SAGA_ACTION, .incarnation = 1, .revision = 1},
        .definition = &definition,
        .participant = "shop",
        .name = name,
        .attempt = 3,
        .epoch = 1,
        .issued_at_ms = FIXTURE_BEGAN_MS + 1000,
        .command_at_ms = FIXTURE_BEGAN_MS,
        .body = body,
        .body_size = strlen(body),
    };
    ck_assert(saga_id_parse(fixture_saga(number), SAGA_WIRE_SAGA_BYTES, &dispatch.id.saga));
    return dispatch;
}

static bool send_command(unsigned number, const char *name) {
    struct saga_dispatch dispatch = dispatch_of(number, name, "{}");
    return saga_local_send(local, &dispatch);
}

/* The requests in the inbox, one after the other; waits for the next. */
static struct saga_request *next_reply(void) {
    static struct saga_request *taken;
    if (taken == NULL) {
        struct pollfd fd = {.fd = saga_inbox_fd(inbox), .events = POLLIN};
        ck_assert_int_eq(poll(&fd, 1, 30000), 1);
        taken = saga_inbox_take(inbox);
    }
    struct saga_request *reply = taken;
    taken = reply->next;
    reply->next = NULL;
    return reply;
}

static bool is_of(const struct saga_request *reply, unsigned number) {
    struct saga_id id;
    ck_assert(saga_id_parse(fixture_saga(number), SAGA_WIRE_SAGA_BYTES, &id));
    return memcmp(&reply->command.saga, &id, sizeof id) == 0;
}

static void lock_database(sqlite3 **other) {
    ck_assert_int_eq(sqlite3_open(path, other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(*other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_database(sqlite3 *other) {
    ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
}

/* ------------------------------------------------------------------- tests */

START_TEST(a_delivery_says_when_its_command_was_issued_not_its_attempt) {
    struct saga_dispatch dispatch = dispatch_of(1, "shop.take", "{}");
    struct saga_local_delivery *delivery = saga_local_delivery_make(&dispatch);
    char id[SAGA_COMMAND_TEXT_SIZE];
    char saga[SAGA_ID_TEXT_SIZE];
    ck_assert_ptr_nonnull(delivery);
    ck_assert_int_eq(saga_local_delivery_command(delivery, id, saga).issued_at_ms,
                     dispatch.command_at_ms);
    saga_local_delivery_free(delivery);
}
END_TEST

START_TEST(a_command_is_carried_out_and_answered) {
    struct saga_participant_options options = {0};
    open_shop(&options, 0);
    ck_assert(send_command(7, "shop.take"));
    struct saga_request *reply = next_reply();
    ck_assert_uint_eq(reply->type, SAGA_REQUEST_REPLY);
    ck_assert(is_of(reply, 7));
    ck_assert_uint_eq(reply->command.step, 0);
    ck_assert_uint_eq(reply->command.operation, SAGA_ACTION);
    ck_assert_uint_eq(reply->command.incarnation, 1);
    ck_assert_uint_eq(reply->command.revision, 1);
    ck_assert_uint_eq(reply->attempt, 3);
    ck_assert_uint_eq(reply->verdict, SAGA_DONE);
    ck_assert_ptr_nonnull(memmem(reply->body.data, reply->body.size, "\"TAKEN\"", 7));
    reply->answered(reply);
    ck_assert(send_command(7, "shop.take"));
    reply = next_reply();
    ck_assert_uint_eq(reply->verdict, SAGA_DONE);
    reply->answered(reply);
    saga_local_stop(local);
    ck_assert_int_eq(fixture_integer(shop, "SELECT sum(amount) FROM takings"), 1);
    ck_assert_uint_eq(saga_participant_counts(shop).replayed, 1);
    close_shop();
}
END_TEST

START_TEST(every_outcome_has_its_verdict) {
    static const struct {
        const char *name;
        uint8_t operation;
        uint8_t verdict;
    } cases[] = {
        {"shop.take", SAGA_ACTION, SAGA_DONE},
        {"shop.give_back", SAGA_COMPENSATION, SAGA_DONE},
        {"shop.refuse", SAGA_ACTION, SAGA_REJECTED},
        {"shop.later", SAGA_ACTION, SAGA_RETRY},
        {"shop.fence", SAGA_FENCE, SAGA_FENCED},
        {"shop.settle", SAGA_SETTLE, SAGA_DONE},
        {"shop.give_back", SAGA_COMPENSATION, SAGA_NOOP},
    };
    static const unsigned sagas[] = {1, 1, 2, 3, 4, 4, 5};
    struct saga_participant_options options = {0};
    open_shop(&options, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct saga_dispatch dispatch = dispatch_of(sagas[i], cases[i].name, "{}");
        dispatch.id.operation = cases[i].operation;
        ck_assert(saga_local_send(local, &dispatch));
        struct saga_request *reply = next_reply();
        ck_assert_msg(reply->verdict == cases[i].verdict, "%s: %u", cases[i].name, reply->verdict);
        ck_assert_uint_eq(reply->command.operation, cases[i].operation);
        reply->answered(reply);
    }
    close_shop();
}
END_TEST

START_TEST(nobody_here_is_refused) {
    struct saga_participant_options options = {0};
    struct saga_dispatch dispatch = dispatch_of(1, "cinema.seat", "{}");
    open_shop(&options, 0);
    dispatch.participant = "cinema";
    ck_assert(!saga_local_send(local, &dispatch));
    close_shop();
}
END_TEST

START_TEST(what_is_at_hand_is_one_transaction) {
    struct saga_participant_options options = {0};
    sqlite3 *other;
    open_shop(&options, 0);
    lock_database(&other);
    for (unsigned i = 0; i < 100; i++) { /* the first may be alone; the others wait for it */
        ck_assert(send_command(i, "shop.take"));
    }
    unlock_database(other);
    for (unsigned i = 0; i < 100; i++) {
        struct saga_request *reply = next_reply();
        ck_assert(is_of(reply, i));
        reply->answered(reply);
    }
    struct saga_local_counts counts[SAGA_LOCAL_PARTICIPANTS_MAX];
    ck_assert_uint_eq(saga_local_count(local, counts), 1);
    ck_assert_str_eq(counts[0].name, "shop");
    ck_assert_uint_eq(counts[0].waiting, 0);
    ck_assert_uint_eq(counts[0].participant.ran, 100);
    saga_local_stop(local);
    ck_assert_uint_le(saga_participant_counts(shop).batches, 2);
    ck_assert_uint_eq(saga_participant_counts(shop).ran, 100);
    close_shop();
}
END_TEST

START_TEST(more_than_the_limit_is_refused) {
    struct saga_participant_options options = {0};
    sqlite3 *other;
    open_shop(&options, 10);
    lock_database(&other);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(send_command(i, "shop.take"));
    }
    ck_assert(!send_command(10, "shop.take"));
    unlock_database(other);
    for (unsigned i = 0; i < 10; i++) {
        struct saga_request *reply = next_reply();
        reply->answered(reply);
    }
    ck_assert(send_command(10, "shop.take")); /* there is room again */
    struct saga_request *reply = next_reply();
    ck_assert(is_of(reply, 10));
    reply->answered(reply);
    close_shop();
}
END_TEST

START_TEST(a_delay_holds_up_none_but_its_own) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=400");
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "till.take=100");
    open_shop(&options, 0);
    int64_t begin_ms = monotonic_ms();
    ck_assert(send_command(1, "shop.take"));
    ck_assert(send_command(2, "till.take"));
    ck_assert(send_command(3, "shop.refuse"));
    static const unsigned order[] = {3, 2, 1};
    static const int64_t after_ms[] = {0, 100, 400};
    for (size_t i = 0; i < 3; i++) {
        struct saga_request *reply = next_reply();
        ck_assert(is_of(reply, order[i]));
        ck_assert_int_ge(monotonic_ms() - begin_ms, after_ms[i]);
        reply->answered(reply);
    }
    close_shop();
}
END_TEST

START_TEST(stopping_waits_for_no_delay) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=600000");
    open_shop(&options, 0);
    ck_assert(send_command(1, "shop.take"));
    saga_local_stop(local); /* would be the test's time limit, if it waited */
    ck_assert(!send_command(2, "shop.refuse"));
    ck_assert_ptr_null(saga_inbox_take(inbox));
    close_shop();
}
END_TEST

START_TEST(what_could_not_be_done_is_delivered_again) {
    struct saga_participant_options options = {0};
    sqlite3 *other;
    open_shop(&options, 0);
    sqlite3_busy_timeout(saga_participant_database(shop), 1);
    lock_database(&other);
    ck_assert(send_command(1, "shop.take"));
    struct pollfd fd = {.fd = saga_inbox_fd(inbox), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 200), 0); /* no answer while nothing is certain */
    unlock_database(other);
    struct saga_request *reply = next_reply();
    ck_assert(is_of(reply, 1));
    ck_assert_uint_eq(reply->verdict, SAGA_DONE);
    reply->answered(reply);
    ck_assert_ptr_nonnull(strstr(complaint, "shop: 1 commands wait"));
    close_shop();
}
END_TEST

/* A play of a crash: the participant keeps silent about the whole batch. */
static void play_dead(void *context, const char *command, enum saga_participant_crash moment) {
    (void)context;
    (void)command;
    (void)moment;
}

START_TEST(silence_is_not_an_answer) {
    struct saga_participant_options options = {.crash = play_dead};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.take=after-commit");
    open_shop(&options, 1);
    ck_assert(send_command(1, "shop.take"));
    while (!send_command(1, "shop.take")) { /* one at a time: until the silent one is gone */
        (void)sched_yield();
    }
    struct saga_request *reply = next_reply();
    ck_assert_uint_eq(reply->verdict, SAGA_DONE);
    reply->answered(reply);
    saga_local_stop(local);
    ck_assert_uint_eq(saga_participant_counts(shop).ran, 1);
    ck_assert_uint_eq(saga_participant_counts(shop).replayed, 1);
    close_shop();
}
END_TEST

START_TEST(a_refusal_is_complained_about) {
    struct saga_participant_options options = {0};
    open_shop(&options, 0);
    ck_assert(send_command(1, "cinema.seat"));
    ck_assert(send_command(2, "shop.take"));
    struct saga_request *reply = next_reply();
    ck_assert(is_of(reply, 2));
    reply->answered(reply);
    ck_assert_ptr_nonnull(strstr(complaint, "shop: refused cinema.seat"));
    ck_assert_ptr_nonnull(strstr(complaint, "not one of this participant's"));
    close_shop();
}
END_TEST

START_TEST(an_echo_answers_everything_done) {
    struct saga_fault fault;
    open_transport(0);
    ck_assert_int_eq(saga_local_add_echo(local, "shop", &fault), SAGA_OK);
    ck_assert_int_eq(saga_local_add_echo(local, "cinema", &fault), SAGA_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct saga_dispatch dispatch = dispatch_of(i, "any.thing", "{\"a\": 1}");
        dispatch.participant = i % 2 == 0 ? "shop" : "cinema";
        ck_assert(saga_local_send(local, &dispatch));
    }
    for (unsigned i = 0; i < 1000; i++) {
        struct saga_request *reply = next_reply();
        ck_assert(is_of(reply, i));
        ck_assert_uint_eq(reply->attempt, 3);
        ck_assert_uint_eq(reply->verdict, SAGA_DONE);
        ck_assert_uint_eq(reply->body.size, 0);
        reply->answered(reply);
    }
    close_transport();
}
END_TEST

START_TEST(one_process_has_room_for_so_many) {
    struct saga_fault fault;
    open_transport(0);
    for (unsigned i = 0; i < SAGA_LOCAL_PARTICIPANTS_MAX; i++) {
        ck_assert_int_eq(saga_local_add_echo(local, "shop", &fault), SAGA_OK);
    }
    ck_assert_int_eq(saga_local_add_echo(local, "cinema", &fault), SAGA_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(fault.text, "cinema"));
    close_transport();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("local");
    TCase *tests = tcase_create("local");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_delivery_says_when_its_command_was_issued_not_its_attempt);
    tcase_add_test(tests, a_command_is_carried_out_and_answered);
    tcase_add_test(tests, every_outcome_has_its_verdict);
    tcase_add_test(tests, nobody_here_is_refused);
    tcase_add_test(tests, what_is_at_hand_is_one_transaction);
    tcase_add_test(tests, more_than_the_limit_is_refused);
    tcase_add_test(tests, a_delay_holds_up_none_but_its_own);
    tcase_add_test(tests, stopping_waits_for_no_delay);
    tcase_add_test(tests, what_could_not_be_done_is_delivered_again);
    tcase_add_test(tests, silence_is_not_an_answer);
    tcase_add_test(tests, a_refusal_is_complained_about);
    tcase_add_test(tests, an_echo_answers_everything_done);
    tcase_add_test(tests, one_process_has_room_for_so_many);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
