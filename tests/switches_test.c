/* --limit, --fail, --delay, --crash: what is taken, and what is said of the rest. */
#include "check_run.h"
#include "participant.h"
#include "participant_fixture.h"
#include "shop_service.h"

#include <argp.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum saga_participant_switch which;
    const char *argument;
} wrong[] = {
    {SAGA_PARTICIPANT_SWITCH_LIMIT, ""},
    {SAGA_PARTICIPANT_SWITCH_LIMIT, "-1"},
    {SAGA_PARTICIPANT_SWITCH_LIMIT, "100.00"},
    {SAGA_PARTICIPANT_SWITCH_LIMIT, "99999999999999999999"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, ""},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "=0.5"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "a b"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block="},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block=0"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block=1.01"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block=nan"},
    {SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block=often"},
    {SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block"},
    {SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block=-5"},
    {SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block=2s"},
    {SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block=600001"},
    {SAGA_PARTICIPANT_SWITCH_CRASH, "parking.block"},
    {SAGA_PARTICIPANT_SWITCH_CRASH, "parking.block=later"},
    {SAGA_PARTICIPANT_SWITCH_CRASH, "=after-commit"},
};

START_TEST(a_wrong_argument_is_named) {
    struct saga_participant_switches switches = {0};
    struct saga_fault fault = {0};
    ck_assert_int_eq(
        saga_participant_switches_add(&switches, wrong[_i].which, wrong[_i].argument, &fault),
        SAGA_ERROR_USAGE);
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "'%s': expected ", wrong[_i].argument);
    ck_assert_msg(strstr(fault.text, quoted) != NULL, "%s", fault.text);
    ck_assert(!switches.limited);
    ck_assert_uint_eq(switches.fail_count + switches.delay_count + switches.crash_count, 0);
}
END_TEST

START_TEST(right_arguments_are_taken) {
    struct saga_participant_switches switches = {0};
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_LIMIT, "0");
    ck_assert(switches.limited);
    ck_assert_int_eq(switches.limit, 0);
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_FAIL, "parking.reserve");
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_FAIL, "parking.block=0.5");
    ck_assert_uint_eq(switches.fail_count, 2);
    ck_assert_str_eq(switches.fails[0].command, "parking.reserve");
    ck_assert_double_eq(switches.fails[0].probability, 1);
    ck_assert_double_eq(switches.fails[1].probability, 0.5);
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block=0");
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_DELAY, "parking.block=600000");
    ck_assert_int_eq(switches.delays[1].delay_ms, 600000);
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_CRASH, "parking.block=before-commit");
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_CRASH, "parking.block=after-commit");
    ck_assert_int_eq(switches.crashes[0].moment, SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT);
    ck_assert_int_eq(switches.crashes[1].moment, SAGA_PARTICIPANT_CRASH_AFTER_COMMIT);
}
END_TEST

START_TEST(too_many_are_refused) {
    static const char *const arguments[] = {
        [SAGA_PARTICIPANT_SWITCH_FAIL] = "a",
        [SAGA_PARTICIPANT_SWITCH_DELAY] = "a=1",
        [SAGA_PARTICIPANT_SWITCH_CRASH] = "a=after-commit",
    };
    for (int which = SAGA_PARTICIPANT_SWITCH_FAIL; which <= SAGA_PARTICIPANT_SWITCH_CRASH;
         which++) {
        struct saga_participant_switches switches = {0};
        for (int i = 0; i < SAGA_PARTICIPANT_SWITCHES_MAX; i++) {
            fixture_add_switch(&switches, (enum saga_participant_switch)which, arguments[which]);
        }
        struct saga_fault fault = {0};
        ck_assert_int_eq(saga_participant_switches_add(&switches,
                                                       (enum saga_participant_switch)which,
                                                       arguments[which], &fault),
                         SAGA_ERROR_USAGE);
        ck_assert_msg(strstr(fault.text, "more than 32 times") != NULL, "%s", fault.text);
    }
}
END_TEST

START_TEST(a_command_that_no_service_has_is_named) {
    const struct saga_service *services[] = {&shop_service};
    struct saga_participant_switches switches = {0};
    struct saga_fault fault = {0};
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_FAIL, "shop.take");
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_DELAY, "till.take=1");
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.fence=after-commit");
    ck_assert_int_eq(saga_participant_switches_check(&switches, services, 1, &fault), SAGA_OK);
    fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.tale=after-commit");
    ck_assert_int_eq(saga_participant_switches_check(&switches, services, 1, &fault),
                     SAGA_ERROR_USAGE);
    ck_assert_str_eq(fault.text, "--crash 'shop.tale': no service here has such a command");
}
END_TEST

/* argp wants to reorder its arguments: they are the caller's to change. */
static void parse(struct saga_participant_switches *switches, size_t count,
                  const char *const given[]) {
    char texts[8][64];
    char *arguments[9] = {0};
    ck_assert_uint_le(count, 8);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%s", given[i]);
        arguments[i] = texts[i];
    }
    ck_assert_int_eq(
        argp_parse(&saga_participant_switches_argp, (int)count, arguments, 0, NULL, switches), 0);
}

START_TEST(the_switches_are_options_of_a_program) {
    static const char *const given[] = {"program",       "--fail=parking.block=0.25",
                                        "--limit=500",   "--delay",
                                        "booking.pay=7", "--crash=billing.refund=before-commit"};
    struct saga_participant_switches switches = {0};
    parse(&switches, 6, given);
    ck_assert_int_eq(switches.limit, 500);
    ck_assert_str_eq(switches.fails[0].command, "parking.block");
    ck_assert_str_eq(switches.delays[0].command, "booking.pay");
    ck_assert_int_eq(switches.delays[0].delay_ms, 7);
    ck_assert_str_eq(switches.crashes[0].command, "billing.refund");
}
END_TEST

START_TEST(a_wrong_switch_ends_the_program) {
    static const char *const given[] = {"program", "--fail=parking.block=2"};
    struct saga_participant_switches switches = {0};
    argp_err_exit_status = saga_error_exit_status(SAGA_ERROR_USAGE);
    parse(&switches, 2, given);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("switches");
    TCase *tests = tcase_create("switches");
    tcase_add_loop_test(tests, a_wrong_argument_is_named, 0, sizeof wrong / sizeof wrong[0]);
    tcase_add_test(tests, right_arguments_are_taken);
    tcase_add_test(tests, too_many_are_refused);
    tcase_add_test(tests, a_command_that_no_service_has_is_named);
    tcase_add_test(tests, the_switches_are_options_of_a_program);
    tcase_add_exit_test(tests, a_wrong_switch_ends_the_program, 2);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
