/* sagalog show: payloads on request, secrets masked, days and lanes. */
#include "sagalog_fixture.h"

#include <check.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What the program prints to a terminal of so many columns. */
static const char *on_terminal(unsigned short columns, const char *command, const char *word) {
    static char text[16384];
    const struct winsize window = {.ws_row = 24, .ws_col = columns};
    size_t size = 0;
    int master;
    const pid_t child = forkpty(&master, NULL, NULL, &window);
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)execl(SAGA_BIN_DIR "/sagalog", "sagalog", "--data-dir", scratch.path, command, word,
                    (char *)NULL);
        _exit(127);
    }
    for (ssize_t got; size + 1 < sizeof text; size += (size_t)got) {
        got = read(master, text + size, sizeof text - 1 - size);
        if (got <= 0) { /* EIO: nobody has the other end */
            break;
        }
    }
    text[size] = '\0';
    (void)close(master);
    ck_assert_int_eq(child_wait(child), 0);
    return text;
}

START_TEST(a_terminal_gets_colours_unless_it_wants_none) {
    ck_assert_int_eq(setenv("TERM", "xterm", 1), 0);
    (void)unsetenv("NO_COLOR");
    expect_in(on_terminal(100, "list", NULL), "\033[36mrunning\033[0m");
    expect_in(on_terminal(100, "show", id), "\033[36mrunning\033[0m, started");
    ck_assert_int_eq(setenv("NO_COLOR", "1", 1), 0);
    expect_not_in(on_terminal(100, "list", NULL), "\033[");
    ck_assert_int_eq(setenv("NO_COLOR", "", 1), 0);
    expect_in(on_terminal(100, "list", NULL), "\033[36m");
    ck_assert_int_eq(setenv("TERM", "dumb", 1), 0);
    expect_not_in(on_terminal(100, "list", NULL), "\033[");
    ck_assert_int_eq(setenv("TERM", "xterm", 1), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0); /* a file */
    expect_not_in(printed, "\033[");
}
END_TEST

START_TEST(a_table_fits_its_terminal) {
    (void)setenv("TERM", "dumb", 1);
    for (unsigned short columns = 60; columns <= 120; columns = (unsigned short)(columns + 20)) {
        for (const char *line = on_terminal(columns, "list", NULL); *line != '\0';
             line = strchr(line, '\n') + 1) {
            ck_assert_int_le(strchr(line, '\r') - line, columns);
        }
    }
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
    tcase_add_test(tests, a_terminal_gets_colours_unless_it_wants_none);
    tcase_add_test(tests, a_table_fits_its_terminal);
    tcase_add_test(tests, a_tail_of_one_definition_has_its_records_alone);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
