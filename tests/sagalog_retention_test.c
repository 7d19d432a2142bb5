/* sagalog on a log that has let go of its beginning: whoever is still known is shown as before,
 * from records that were kept, and nobody else is. */
#include "sagalog_fixture.h"
#include "sagalog_stories.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

#define DAY_MS INT64_C(86400000)

static struct scratch scratch;

/* Completed sagas are known for a day, all others for ever. */
static void write_log(void) {
    struct saga_retention retention = saga_retention_for_ever;
    retention.ms[SAGA_COMPLETED] = DAY_MS;
    scratch_open(&scratch);
    daemon_checkpoint_every(25);
    daemon_retain(&retention);
    stories_write(scratch.path);
}

static void remove_log(void) {
    scratch_close(&scratch);
}

static struct saga_id complete_one(unsigned number) {
    char key[32];
    (void)snprintf(key, sizeof key, "later %u", number);
    const struct saga_id id = booking_start(key, "{\"total\":1}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    booking_say(id, "parking.block", "PARKING_AVAILABLE");
    booking_say(id, "booking.approve", "BOOKING_APPROVED");
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    booking_say(id, "parking.reserve", "PARKING_RESERVED");
    booking_say(id, "booking.pay", "BOOKING_PAID");
    return id;
}

/* Days go by with work; the last that completes is returned. */
static struct saga_id let_days_pass(void) {
    struct saga_id last = {{0}};
    daemon_open(scratch.path);
    for (unsigned i = 0; i < 60; i++) {
        daemon_pass(DAY_MS / 12);
        last = complete_one(i);
    }
    daemon_kill();
    return last;
}

static bool is_gone(size_t story) {
    return story == STORY_COMPLETED || story == STORY_PENDING;
}

static char *shown(size_t story) {
    char id[SAGA_ID_TEXT_SIZE];
    (void)saga_id_text(&stories[story], id);
    ck_assert_msg(SAGALOG(scratch.path, "show", "--json", "--payloads", id) == 0, "%s: %s",
                  story_names[story], complained);
    return strdup(printed);
}

static char *state_at(size_t story, const char *lsn) {
    char id[SAGA_ID_TEXT_SIZE];
    (void)saga_id_text(&stories[story], id);
    ck_assert_msg(SAGALOG(scratch.path, "state", id, "--at", lsn) == 0, "%s", complained);
    return strdup(printed);
}

/* As a number of a JSON text says. */
static uint64_t number_after(const char *text, const char *name) {
    const char *at = strstr(text, name);
    ck_assert_msg(at != NULL, "%s: %s", name, text);
    return strtoull(at + strcspn(at, "0123456789"), NULL, 10);
}

START_TEST(who_is_known_is_shown_as_before) {
    char *before[STORY_COUNT];
    for (size_t i = 0; i < STORY_COUNT; i++) {
        before[i] = shown(i);
    }
    char *state = state_at(STORY_PARKED, "170");
    (void)let_days_pass();
    ck_assert_int_eq(SAGALOG(scratch.path, "stats", "--json"), 0);
    ck_assert_uint_gt(number_after(printed, "\"first_lsn\""), 200);
    for (size_t i = 0; i < STORY_COUNT; i++) {
        char id[SAGA_ID_TEXT_SIZE];
        (void)saga_id_text(&stories[i], id);
        if (is_gone(i)) {
            ck_assert_int_ne(SAGALOG(scratch.path, "show", id), 0);
            expect_in(complained, id);
        } else if (i != STORY_PARKED && i != STORY_RUNNING) { /* which restarts go through */
            char *after = shown(i);
            ck_assert_str_eq(after, before[i]);
            free(after);
        } else {
            char *after = shown(i);
            ck_assert_uint_ge(strlen(after), strlen(before[i]));
            free(after);
        }
        free(before[i]);
    }
    char *later = state_at(STORY_PARKED, "170");
    ck_assert_str_eq(later, state);
    free(later);
    free(state);
}
END_TEST

static size_t lines_of(const char *text) {
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

START_TEST(the_list_has_who_is_known) {
    const struct saga_id last = let_days_pass();
    char id[SAGA_ID_TEXT_SIZE];
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--json", "--limit", "1000"), 0);
    expect_in(printed, saga_id_text(&last, id));
    const size_t all = lines_of(printed);
    ck_assert_uint_gt(all, STORY_COUNT - 2);
    ck_assert_uint_lt(all, STORY_COUNT + 25); /* those of a day */
    for (size_t i = 0; i < STORY_COUNT; i++) {
        (void)saga_id_text(&stories[i], id);
        (is_gone(i) ? expect_not_in : expect_in)(printed, id);
    }
    char *quick = strdup(printed);
    ck_assert_int_eq(
        SAGALOG(scratch.path, "list", "--json", "--limit", "1000", "--saga", "booking"),
        0); /* which scans */
    ck_assert_str_eq(printed, quick);
    free(quick);
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--json", "--key", "key-parked"), 0);
    expect_in(printed, saga_id_text(&stories[STORY_PARKED], id));
}
END_TEST

START_TEST(every_command_answers) {
    (void)let_days_pass();
    ck_assert_int_eq(SAGALOG(scratch.path, "stats"), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--json"), 0);
    expect_in(printed, "HISTORY_PURGED");
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 0);
    char id[SAGA_ID_TEXT_SIZE];
    (void)saga_id_text(&stories[STORY_PARKED], id);
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", id), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--saga", id), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
}
END_TEST

/* The log as text, and as a log again: the same, and sagas that are not there stay away. */
START_TEST(an_export_is_whole) {
    char data_dir[SCRATCH_PATH_MAX];
    char file[SCRATCH_PATH_MAX];
    (void)let_days_pass();
    ck_assert_int_eq(SAGALOG(scratch.path, "verify", "--json"), 0);
    char *verdict = strdup(printed);
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
    char *exported = strdup(printed);
    (void)snprintf(file, sizeof file, "%s", scratch_file(&scratch, "export.jsonl"));
    (void)snprintf(data_dir, sizeof data_dir, "%s", scratch_file(&scratch, "imported"));
    file_write(file, exported, strlen(exported));
    ck_assert_msg(SAGALOG(data_dir, "import", file) == 0, "%s", complained);
    ck_assert_int_eq(SAGALOG(data_dir, "verify", "--json"), 0);
    ck_assert_str_eq(printed, verdict);
    ck_assert_int_eq(SAGALOG(data_dir, "export"), 0);
    ck_assert_str_eq(printed, exported);
    free(exported);
    free(verdict);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog retention");
    TCase *tests = tcase_create("retention");
    tcase_add_checked_fixture(tests, write_log, remove_log);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, who_is_known_is_shown_as_before);
    tcase_add_test(tests, the_list_has_who_is_known);
    tcase_add_test(tests, every_command_answers);
    tcase_add_test(tests, an_export_is_whole);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
