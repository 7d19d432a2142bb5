/*
 * What a participant refuses to answer, what it rejects unread, and how long it
 * remembers.
 */
#include "participant_fixture.h"
#include "shop_fixture.h"
#include "shop_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- refusals */

START_TEST(one_id_with_another_body_is_refused_and_counted) {
    shop_deliver("shop.take", "action");
    struct saga_wire_command other =
        fixture_with_body(fixture_command("shop.take", "action", "step"), "{\"a\": 1}");
    struct saga_wire_reply reply = fixture_deliver(shop, other);
    expect_refusal(&reply, "another body");
    ck_assert_uint_eq(saga_participant_counts(shop).conflicts, 1);
    ck_assert_int_eq(shop_takings(), 1);
    /* What differs between attempts is no conflict. */
    struct saga_wire_command same = fixture_command("shop.take", "action", "step");
    same.attempt = 7;
    same.deadline_ms = 12345;
    reply = fixture_deliver(shop, same);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    ck_assert_uint_eq(saga_participant_counts(shop).conflicts, 1);
}
END_TEST

START_TEST(another_services_command_is_refused_whatever_it_asks) {
    static const char *const strange[][2] = {
        {"billing.refund", "compensation"}, {"billing.authorize_payment", "action"},
        {"billing.fence", "fence"},         {"shop.take", "fence"},
        {"shopping.fence", "fence"},        {"shop", "action"},
        {"billing.settle", "settle"},       {"shop.fence", "settle"},
        {"shop.settle", "fence"},           {"shop.take", "settle"},
    };
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct saga_wire_reply reply = shop_deliver(strange[i][0], strange[i][1]);
        expect_refusal(&reply, "not one of this participant's");
        ck_assert_uint_eq(saga_participant_counts(shop).foreign, i + 1);
    }
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 0);
}
END_TEST

START_TEST(a_command_without_identity_is_refused) {
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    command.saga = "nobody";
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    expect_refusal(&reply, "not a UUID");
    command = fixture_command("shop.take", "unblock", "step");
    reply = fixture_deliver(shop, command);
    expect_refusal(&reply, "operation is unknown");
    ck_assert_uint_eq(saga_participant_counts(shop).malformed, 2);
}
END_TEST

START_TEST(an_unknown_command_is_rejected_and_stays_so) {
    struct saga_wire_reply reply = shop_deliver("shop.fly", "action");
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "COMMAND_UNKNOWN", false);
    ck_assert_str_eq(shop_row_state(), "rejected");
    /* A compensation's name is no action's name. */
    struct saga_wire_command command = fixture_command("shop.give_back", "action", "other");
    reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "COMMAND_UNKNOWN", false);
}
END_TEST

START_TEST(an_unknown_compensation_is_asked_for_only_where_there_is_something_to_undo) {
    struct saga_wire_reply reply = shop_deliver("shop.fly_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
    fixture_deliver(shop, fixture_command("shop.take", "action", "other"));
    reply = fixture_deliver(shop, fixture_command("shop.fly_back", "compensation", "other"));
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "COMMAND_UNKNOWN", false);
    ck_assert_int_eq(shop_takings(), 1);
    reply = fixture_deliver(shop, fixture_command("shop.give_back", "compensation", "other"));
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", false);
}
END_TEST

START_TEST(a_command_may_have_another_name) {
    struct saga_wire_reply reply = shop_deliver("till.take", "action");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

/* ------------------------------------------------------------------ bodies */

static void expect_unreadable(const char *body, size_t size, const char *why) {
    static unsigned saga = 1;
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    command.saga = fixture_saga(saga++);
    command.body = body;
    command.body_size = size;
    fixture_identify(&command);
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "BODY_UNREADABLE", false);
    ck_assert_msg(strstr(reply.body, why) != NULL, "'%s' is not in %s", why, reply.body);
    ck_assert_int_eq(shop_runs(), 0);
    reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "BODY_UNREADABLE", true);
}

START_TEST(a_malformed_body_is_rejected) {
    static const char *const bodies[] = {
        "{",
        "{}}",
        "{\"a\":}",
        "{'a': 1}",
        "nul",
        "{\"a\": \"\xff\"}",
        "{\"a\": \"\\u0000\"}",
        "{\"a\": 1e999}",
        "{\"a\": 99999999999999999999}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_unreadable(bodies[i], strlen(bodies[i]), "no valid JSON");
    }
    expect_unreadable("{}\0", 3, "no valid JSON");
    expect_unreadable("[1]", 3, "no JSON object");
    expect_unreadable(NULL, 0, "empty");
}
END_TEST

START_TEST(a_body_with_a_key_twice_is_rejected) {
    const char *body = "{\"total\": 1, \"total\": 2}";
    expect_unreadable(body, strlen(body), "a key twice");
}
END_TEST

START_TEST(a_body_over_the_limit_is_rejected) {
    size_t size = SAGA_WIRE_BODY_BYTES_MAX + 1;
    char *body = malloc(size);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', size);
    body[0] = '{';
    body[size - 1] = '}';
    expect_unreadable(body, size, "at most 1048576");
    body[size - 2] = '}';
    struct saga_wire_command command = fixture_command("shop.take", "action", "largest");
    command.body = body;
    command.body_size = size - 1; /* exactly the limit */
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    free(body);
}
END_TEST

/* {"a": {"a": ... {} ... }} of so many levels. */
static char *nested(int levels) {
    char *text = malloc((size_t)levels * 6 + 1);
    ck_assert_ptr_nonnull(text);
    char *end = text;
    for (int i = 1; i < levels; i++) {
        end = stpcpy(end, "{\"a\":");
    }
    end = stpcpy(end, "{");
    memset(end, '}', (size_t)levels);
    end[levels] = '\0';
    return text;
}

START_TEST(a_body_nested_too_deep_is_rejected) {
    char *body = nested(SAGA_WIRE_JSON_DEPTH_MAX + 1);
    expect_unreadable(body, strlen(body), "deeper than 32");
    free(body);
    body = nested(100000);
    expect_unreadable(body, strlen(body), "deeper than 32");
    free(body);
    body = nested(SAGA_WIRE_JSON_DEPTH_MAX);
    struct saga_wire_reply reply = fixture_deliver(
        shop, fixture_with_body(fixture_command("shop.take", "action", "deepest"), body));
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    free(body);
    /* Brackets in a string are no levels. */
    reply = fixture_deliver(
        shop, fixture_with_body(fixture_command("shop.take", "action", "string"),
                                "{\"a\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"));
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

START_TEST(an_unreadable_body_keeps_a_compensation_possible) {
    shop_deliver("shop.take", "action");
    struct saga_wire_command command =
        fixture_with_body(fixture_command("shop.give_back", "compensation", "step"), "oops");
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "BODY_UNREADABLE", false);
    ck_assert_str_eq(shop_row_state(), "done");
    command.revision = 2;
    command = fixture_with_body(command, "{}");
    fixture_identify(&command);
    reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", false);
}
END_TEST

START_TEST(a_fence_and_a_null_compensation_need_no_body) {
    struct saga_wire_reply reply = fixture_deliver(
        shop, fixture_with_body(fixture_command("shop.fence", "fence", "step"), "oops"));
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", false);
    reply = fixture_deliver(
        shop, fixture_with_body(fixture_command("shop.give_back", "compensation", "other"), ""));
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
}
END_TEST

/* --------------------------------------------------------------- retention */

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int64_t clock_ms;

static int64_t tell_clock(void *context) {
    (void)context;
    return clock_ms;
}

/* A saga that began so many days after the fixture's. */
static const char *saga_of_day(int day) {
    return fixture_saga((unsigned)(day * DAY_MS));
}

static struct saga_wire_command command_of_day(const char *name, const char *operation, int began,
                                               int issued) {
    struct saga_wire_command command = fixture_command(name, operation, "step");
    command.saga = saga_of_day(began);
    command.issued_at_ms = FIXTURE_BEGAN_MS + issued * DAY_MS;
    fixture_identify(&command);
    return command;
}

static void open_with_clock(void) {
    struct saga_participant_options options = {.now_ms = tell_clock, .retention_ms = 30 * DAY_MS};
    clock_ms = FIXTURE_BEGAN_MS;
    shop_reopen(&options);
}

static void purge_on_day(int day, uint64_t expected) {
    struct saga_fault fault;
    uint64_t purged;
    clock_ms = FIXTURE_BEGAN_MS + day * DAY_MS;
    ck_assert_int_eq(saga_participant_purge(shop, &purged, &fault), SAGA_OK);
    ck_assert_uint_eq(purged, expected);
}

START_TEST(a_late_action_is_refused_once_its_tombstone_may_be_purged) {
    open_with_clock();
    fixture_deliver(shop, command_of_day("shop.fence", "fence", 0, 0));
    purge_on_day(29, 0);
    struct saga_wire_reply reply =
        fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    purge_on_day(31, 1);
    reply = fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    expect_refusal(&reply, "older than the rows");
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_uint_eq(saga_participant_counts(shop).expired, 1);
    /* An action that was issued since has no row that could have gone, however old
     * its saga is. */
    reply = fixture_deliver(shop, command_of_day("shop.take", "action", 0, 20));
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

START_TEST(a_compensation_of_a_purged_action_is_refused_never_a_noop) {
    open_with_clock();
    fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    purge_on_day(40, 1);
    /* Issued today, for an action that is forgotten: noop would be a lie. */
    struct saga_wire_reply reply =
        fixture_deliver(shop, command_of_day("shop.give_back", "compensation", 0, 40));
    expect_refusal(&reply, "older than the rows");
    reply = fixture_deliver(shop, command_of_day("shop.fence", "fence", 0, 40));
    expect_refusal(&reply, "older than the rows");
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 0);
    /* A young saga's is not in doubt. */
    reply = fixture_deliver(shop, command_of_day("shop.give_back", "compensation", 20, 40));
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
}
END_TEST

/* It asks nothing about the action; and a saga so old could not be ended otherwise. */
START_TEST(a_settle_is_answered_however_old_its_saga_is) {
    open_with_clock();
    fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    purge_on_day(40, 1);
    struct saga_wire_reply reply =
        fixture_deliver(shop, command_of_day("shop.settle", "settle", 0, 40));
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", false);
    ck_assert_str_eq(shop_row_state(), "tombstone");
    reply = fixture_deliver(shop, command_of_day("shop.give_back", "compensation", 0, 40));
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", true);
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

START_TEST(a_row_that_is_kept_answers_however_old_its_command_is) {
    open_with_clock();
    clock_ms += 35 * DAY_MS; /* it took the command so long to arrive */
    fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    purge_on_day(40, 0);
    struct saga_wire_reply reply =
        fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    reply = fixture_deliver(shop, command_of_day("shop.give_back", "compensation", 0, 40));
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", false);
}
END_TEST

START_TEST(what_was_purged_is_remembered_by_the_file) {
    open_with_clock();
    purge_on_day(60, 0);
    shop_reopen(NULL);
    struct saga_wire_reply reply =
        fixture_deliver(shop, command_of_day("shop.take", "action", 0, 0));
    expect_refusal(&reply, "older than the rows");
    /* The clocks may differ by an hour. */
    struct saga_wire_command command = command_of_day("shop.take", "action", 0, 30);
    command.issued_at_ms += SAGA_PARTICIPANT_SKEW_MS - 1;
    reply = fixture_deliver(shop, command);
    expect_refusal(&reply, "older than the rows");
    command.issued_at_ms += 1;
    reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

/* An id that does not tell when its saga began leaves the command's own time. */
START_TEST(a_saga_without_a_time_is_judged_by_the_issue_of_its_command) {
    open_with_clock();
    purge_on_day(60, 0);
    struct saga_wire_command command = command_of_day("shop.give_back", "compensation", 0, 50);
    command.saga = "0190a8f0-1c2d-4e3f-8a4b-5c6d7e8f9a0b"; /* a UUIDv4 */
    fixture_identify(&command);
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
    command.step = "other";
    command.issued_at_ms = 0; /* and if that is not said either, nobody can tell */
    reply = fixture_deliver(shop, command);
    expect_refusal(&reply, "older than the rows");
}
END_TEST

START_TEST(nothing_is_refused_for_its_age_before_anything_is_purged) {
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    command.saga = "00000000-0000-7000-8000-000000000000";
    command.issued_at_ms = 0;
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

static void add_tests(TCase *tests) {
    tcase_add_test(tests, one_id_with_another_body_is_refused_and_counted);
    tcase_add_test(tests, another_services_command_is_refused_whatever_it_asks);
    tcase_add_test(tests, a_command_without_identity_is_refused);
    tcase_add_test(tests, an_unknown_command_is_rejected_and_stays_so);
    tcase_add_test(tests,
                   an_unknown_compensation_is_asked_for_only_where_there_is_something_to_undo);
    tcase_add_test(tests, a_command_may_have_another_name);
    tcase_add_test(tests, a_malformed_body_is_rejected);
    tcase_add_test(tests, a_body_with_a_key_twice_is_rejected);
    tcase_add_test(tests, a_body_over_the_limit_is_rejected);
    tcase_add_test(tests, a_body_nested_too_deep_is_rejected);
    tcase_add_test(tests, an_unreadable_body_keeps_a_compensation_possible);
    tcase_add_test(tests, a_fence_and_a_null_compensation_need_no_body);
    tcase_add_test(tests, a_late_action_is_refused_once_its_tombstone_may_be_purged);
    tcase_add_test(tests, a_compensation_of_a_purged_action_is_refused_never_a_noop);
    tcase_add_test(tests, a_settle_is_answered_however_old_its_saga_is);
    tcase_add_test(tests, a_row_that_is_kept_answers_however_old_its_command_is);
    tcase_add_test(tests, what_was_purged_is_remembered_by_the_file);
    tcase_add_test(tests, a_saga_without_a_time_is_judged_by_the_issue_of_its_command);
    tcase_add_test(tests, nothing_is_refused_for_its_age_before_anything_is_purged);
}

int main(void) {
    return shop_run("participant_refusal", add_tests);
}
