/* sagalog list: which sagas it shows, with checkpoints in the log and without. */
#include "sagalog_fixture.h"
#include "sagalog_stories.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

/* The records of a checkpoint; the stories have some 230. */
static const uint64_t paces[] = {0, 7, 25, 60, 150};
#define PACE_COUNT (sizeof paces / sizeof paces[0])

static struct scratch scratch;

static void write_log(uint64_t records) {
    scratch_open(&scratch);
    daemon_checkpoint_every(records);
    stories_write(scratch.path);
    (void)unsetenv("COLUMNS");
}

static void write_each(void) {
    write_log(0);
}

static void remove_log(void) {
    scratch_close(&scratch);
}

/* The last characters of the ids that were listed, the newest first: "acadaeaf 9c9d9e9f". */
static const char *listed(void) {
    static char ids[1024];
    size_t used = 0;
    ids[0] = '\0';
    const char *line = strchr(printed, '\n');
    while (line != NULL && line[1] != '\0') {
        used += (size_t)snprintf(ids + used, sizeof ids - used, "%s%.8s", used > 0 ? " " : "",
                                 line + 1);
        line = strchr(line + 1, '\n');
    }
    return ids;
}

#define LIST(...) ck_assert_msg(SAGALOG(scratch.path, "list", __VA_ARGS__) == 0, "%s", complained)

/* ------------------------------------------------------------- with checkpoints */

/* All that is to be found, whatever the tables have of it. */
static char *print_everything(void) {
    static const char *const lists[][3] = {
        {"--json"},
        {"--status", "completed"},
        {"--status", "compensated"},
        {"--status", "running"},
        {"--status", "parked"},
        {"--status", "inconsistent", "--json"},
        {"--since", "2024-06-11T09:31:11", "--until=2024-06-11T09:32:40"},
        {"--attention"},
        {"--step", "block"},
        {"--limit", "3"},
        {"--saga", "booking"},
        {"--key", "key-parked"},
    };
    char *all = strdup("");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        LIST(lists[i][0], lists[i][1], lists[i][2]);
        char *more;
        ck_assert_int_ge(asprintf(&more, "%s-- %s\n%s", all, lists[i][0], printed), 0);
        free(all);
        all = more;
    }
    for (size_t i = 0; i < STORY_COUNT; i++) {
        char id[SAGA_ID_TEXT_SIZE];
        char *more;
        (void)saga_id_text(&stories[i], id);
        ck_assert_int_eq(SAGALOG(scratch.path, "show", i % 2 == 0 ? id : id + 28), 0);
        ck_assert_int_ge(asprintf(&more, "%s-- %s\n%s", all, id, printed), 0);
        free(all);
        all = more;
    }
    return all;
}

/* In a process of its own: the fixture's clock and ids are not set back. */
static int print_without_checkpoints(void *path) {
    write_log(0);
    char *all = print_everything();
    remove_log();
    file_write(path, all, strlen(all));
    free(all);
    return 0;
}

START_TEST(what_is_listed_does_not_depend_on_checkpoints) {
    struct scratch other;
    size_t size;
    scratch_open(&other);
    char path[SCRATCH_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s", scratch_file(&other, "expected"));
    ck_assert_int_eq(child_run(print_without_checkpoints, path), 0);
    char *expected = (char *)file_read(path, &size);
    expected[size] = '\0';
    write_log(paces[_i]);
    char *found = print_everything();
    size_t same = 0;
    while (found[same] == expected[same] && found[same] != '\0') {
        same++;
    }
    ck_assert_msg(found[same] == expected[same], "after %.200s: found %.300s, not %.300s",
                  found + (same > 200 ? same - 200 : 0), found + same, expected + same);
    remove_log();
    scratch_close(&other);
    free(found);
    free(expected);
}
END_TEST

/* ---------------------------------------------------------------------- filters */

START_TEST(a_status_is_asked_for) {
    LIST("--status", "completed");
    ck_assert_str_eq(listed(), "5c5d5e5f 0c0d0e0f");
    LIST("--status", "parked");
    ck_assert_str_eq(listed(), "7c7d7e7f");
    LIST("--status", "running");
    ck_assert_str_eq(listed(), "acadaeaf");
    LIST("--status", "quarantined");
    ck_assert_str_eq(listed(), "");
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--status", "finished"), 2);
    expect_in(complained, "'finished' is no status: there are running, ");
}
END_TEST

START_TEST(a_time_is_asked_for) {
    LIST("--since", "2024-06-11T09:33:09Z");
    ck_assert_str_eq(listed(), "acadaeaf");
    LIST("--until", "2024-06-11T09:31");
    ck_assert_str_eq(listed(), "1c1d1e1f 0c0d0e0f");
    LIST("--since", "2024-06-11T09:32:47", "--until", "2024-06-11T09:32:48");
    ck_assert_str_eq(listed(), "8c8d8e8f");
    LIST("--since", "1h");
    ck_assert_str_eq(listed(), "");
    LIST("--until", "7d", "--limit", "1");
    ck_assert_str_eq(listed(), "acadaeaf");
    static const char *const wrong[] = {"yesterday", "2024-13-01", "7", "-1d", "99999999999d", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char option[64];
        (void)snprintf(option, sizeof option, "--since=%s", wrong[i]);
        ck_assert_int_eq(SAGALOG(scratch.path, "list", option), 2);
        expect_in(complained, "is no time");
    }
}
END_TEST

START_TEST(a_step_is_asked_for) {
    LIST("--step", "block");
    ck_assert_str_eq(listed(), "acadaeaf");
    LIST("--step", "reserve"); /* parked about it; another was, and has ended */
    ck_assert_str_eq(listed(), "7c7d7e7f");
    LIST("--step", "create");
    ck_assert_str_eq(listed(), "");
}
END_TEST

START_TEST(a_key_is_asked_for) {
    LIST("--key", "key-settled");
    ck_assert_str_eq(listed(), "8c8d8e8f");
    LIST("--key", "key-settle");
    ck_assert_str_eq(listed(), "");
}
END_TEST

START_TEST(a_definition_is_asked_for) {
    LIST("--saga", "booking", "--status", "inconsistent");
    ck_assert_str_eq(listed(), "8c8d8e8f");
    LIST("--saga", "book");
    ck_assert_str_eq(listed(), "");
}
END_TEST

START_TEST(what_waits_for_a_person_is_asked_for) {
    LIST("--attention");
    ck_assert_str_eq(listed(), "7c7d7e7f");
}
END_TEST

START_TEST(a_limit_leaves_out_the_oldest_and_says_so) {
    LIST("--limit", "2");
    ck_assert_str_eq(listed(), "acadaeaf 9c9d9e9f");
    ck_assert_str_eq(complained, "there are more than 2; see --limit\n");
    LIST("--limit", "11");
    ck_assert_str_eq(complained, "");
    LIST("--limit", "0");
    ck_assert_str_eq(complained, "");
    LIST("--json", "--limit", "4");
    ck_assert_str_eq(complained, "there are more than 4; see --limit\n");
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--limit", "many"), 2);
    expect_in(complained, "'many' is no number");
}
END_TEST

START_TEST(people_get_fifty_and_programs_all) {
    struct scratch other;
    scratch_open(&other);
    daemon_open(other.path);
    for (int i = 0; i < 60; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "more-%d", i);
        (void)booking_start(key, "{}");
    }
    daemon_kill();
    ck_assert_int_eq(SAGALOG(other.path, "list"), 0);
    ck_assert_str_eq(complained, "there are more than 50; see --limit\n");
    ck_assert_int_eq(SAGALOG(other.path, "list", "--json"), 0);
    ck_assert_str_eq(complained, "");
    size_t lines = 0;
    for (const char *line = printed; (line = strchr(line, '\n')) != NULL; line++) {
        lines++;
    }
    ck_assert_uint_eq(lines, 60);
    scratch_close(&other);
}
END_TEST

START_TEST(options_of_another_command_are_refused) {
    ck_assert_int_eq(SAGALOG(scratch.path, "stats", "--status", "parked"), 2);
    expect_in(complained, "'stats' does not take --status");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "1", "--limit=1"), 2);
    expect_in(complained, "'show' does not take --limit");
}
END_TEST

/* --------------------------------------------------------- debts, out of service */

START_TEST(debts_and_what_is_out_of_service_want_attention) {
    struct scratch other;
    scratch_open(&other);
    daemon_checkpoint_every((uint64_t)_i);
    daemon_open(other.path);
    const struct saga_id debtor = booking_start("debtor", "{}");
    booking_say(debtor, "booking.create", "BOOKING_CREATED");
    booking_say(debtor, "parking.block", "PARKING_AVAILABLE");
    booking_operate(debtor, SAGA_VERB_CANCEL, "ann", "");
    booking_say(debtor, "booking.fence", "fenced");
    booking_say(debtor, "parking.unblock", "PARKING_STUCK"); /* its other compensation is out */
    ck_assert_str_eq(booking_state(debtor), "compensating");
    const struct saga_id torn = booking_start("torn", "{}");
    const struct saga_id fine = booking_start("fine", "{}");
    booking_say(fine, "booking.create", "BOOKING_CREATED");
    daemon_kill();
    (void)record_append(other.path, (struct saga_record){.saga = torn,
                                                         .previous_lsn = 1,
                                                         .at_ms = 1718098299000,
                                                         .wall_ms = 1718098299000,
                                                         .fact = SAGA_PIVOT_PASSED,
                                                         .step = 4});
    char id[SAGA_ID_TEXT_SIZE];
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%.8s ", saga_id_text(&torn, id) + 28);
    (void)snprintf(expected + 9, sizeof expected - 9, "%.8s", saga_id_text(&debtor, id) + 28);
    ck_assert_int_eq(SAGALOG(other.path, "list", "--attention"), 0);
    ck_assert_str_eq(listed(), expected);
    ck_assert_int_eq(SAGALOG(other.path, "list", "--status", "quarantined"), 0);
    expected[8] = '\0';
    ck_assert_str_eq(listed(), expected);
    ck_assert_int_eq(SAGALOG(other.path, "list", "--step=block", "--status=compensating"), 0);
    ck_assert_str_eq(listed(), expected + 9); /* where it owes */
    scratch_close(&other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog list");
    TCase *tests = tcase_create("list");
    tcase_add_checked_fixture(tests, write_each, remove_log);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_status_is_asked_for);
    tcase_add_test(tests, a_time_is_asked_for);
    tcase_add_test(tests, a_step_is_asked_for);
    tcase_add_test(tests, a_key_is_asked_for);
    tcase_add_test(tests, a_definition_is_asked_for);
    tcase_add_test(tests, what_waits_for_a_person_is_asked_for);
    tcase_add_test(tests, a_limit_leaves_out_the_oldest_and_says_so);
    tcase_add_test(tests, people_get_fifty_and_programs_all);
    tcase_add_test(tests, options_of_another_command_are_refused);
    suite_add_tcase(suite, tests);
    TCase *made = tcase_create("checkpoints");
    tcase_set_timeout(made, 120);
    tcase_add_loop_test(made, what_is_listed_does_not_depend_on_checkpoints, 1, PACE_COUNT);
    tcase_add_loop_test(made, debts_and_what_is_out_of_service_want_attention, 0, 8);
    suite_add_tcase(suite, made);
    return check_run(suite);
}
