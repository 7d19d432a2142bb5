/* sagalog show: payloads on request, secrets masked, days and lanes. */
#include "sagalog_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

static struct scratch scratch;
static struct saga_id saga;
static char id[SAGA_ID_TEXT_SIZE];

static void set_up(void) {
    scratch_open(&scratch);
    daemon_open(scratch.path);
    (void)unsetenv("COLUMNS");
    saga = booking_start(
        "the-key",
        "{\"total\":7,\"card_number\":\"4111-1111\",\"guest\":{\"password\":\"swordfish\"}}");
    (void)saga_id_text(&saga, id);
    booking_answer(saga, "booking.create",
                   "{\"reply_state\":\"BOOKING_CREATED\",\"content\":{\"token\":\"ab-secret-cd\"}}",
                   0);
}

static void tear_down(void) {
    daemon_kill();
    scratch_close(&scratch);
}

static const char *const secrets[] = {"4111-1111", "swordfish", "ab-secret-cd"};

START_TEST(secrets_are_masked_unless_asked_for) {
    static const char *const commands[][3] = {
        {"show", id, "--payloads"}, {"show", id, "--json"}, {"list", "--json"}, {"tail"},
        {"tail", "--json"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const char *const *words = commands[i];
        ck_assert_int_eq(SAGALOG(scratch.path, words[0], words[1], words[2]), 0);
        expect_in(printed, "***");
        for (size_t j = 0; j < 3; j++) {
            expect_not_in(printed, secrets[j]);
        }
        ck_assert_int_eq(SAGALOG(scratch.path, "--secrets", words[0], words[1], words[2]), 0);
        expect_not_in(printed, "***");
        expect_in(printed, secrets[0]);
        expect_in(printed, secrets[1]);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0); /* without loss */
    for (size_t j = 0; j < 3; j++) {
        expect_in(printed, secrets[j]);
    }
}
END_TEST

START_TEST(payloads_are_shown_on_request) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    expect_not_in(printed, "input:");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id, "--payloads"), 0);
    expect_in(printed, "\n              start key: the-key\n"
                       "              input: {\"card_number\":\"***\","
                       "\"guest\":{\"password\":\"***\"},\"total\":7}\n"
                       "              body of create: {");
    expect_in(printed, "\n              reply of create: {\"reply_state\":\"BOOKING_CREATED\","
                       "\"content\":{\"token\":\"***\"}}\n");
}
END_TEST

START_TEST(a_new_day_is_named) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    expect_not_in(printed, "\n            2024-06-1");
    for (int hour = 0; hour < 16; hour++) {
        daemon_pass(3600000);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    expect_in(printed, "\n  +0.013 s  09:30:00.020 >   create#1 done");
    expect_in(printed, "\n+1 h 0 min  10:30:00.020 >   block#1 no reply before its deadline");
    expect_in(printed, "\n            2024-06-12\n+15 h 0 min  00:30:00.020   < block#7 ");
}
END_TEST

START_TEST(a_decision_that_turns_back_stands_between_the_lanes) {
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    for (int second = 0; second < 120; second++) {
        daemon_pass(1000);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    expect_in(printed, " >   create#1 done BOOKING_CREATED");
    expect_in(printed, "  \\  block#");
    expect_in(printed, "   < block#");
}
END_TEST

START_TEST(a_tail_of_one_definition_has_its_records_alone) {
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--saga", "booking", "--limit", "2"), 0);
    expect_in(printed, "create#1 done");
    expect_in(printed, "  -> block: parking.block\n");
    expect_not_in(printed, "started");
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--saga=booking"), 0);
    expect_in(printed, "definition booking version 3 loaded\n");
    expect_in(printed, "started with");
    expect_not_in(printed, "daemon started"); /* it is of no saga */
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--saga=other", "--json"), 0);
    ck_assert_str_eq(printed, "");
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--limit=1", "--json"), 0);
    expect_in(printed, "COMMAND_ISSUED");
    ck_assert_ptr_eq(strchr(printed, '\n'), printed + printed_size - 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog show");
    TCase *tests = tcase_create("show");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, secrets_are_masked_unless_asked_for);
    tcase_add_test(tests, payloads_are_shown_on_request);
    tcase_add_test(tests, a_new_day_is_named);
    tcase_add_test(tests, a_decision_that_turns_back_stands_between_the_lanes);
    tcase_add_test(tests, a_tail_of_one_definition_has_its_records_alone);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
