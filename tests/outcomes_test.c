/* Whom an end is owed: until it is told, in order, and never more than that. */
#include "outcomes.h"

#include <check.h>
#include <string.h>

#include "check_run.h"

static struct saga_outcomes *outcomes;
static uint64_t lsn;

static void set_up(void) {
    outcomes = saga_outcomes_open();
    ck_assert_ptr_nonnull(outcomes);
    lsn = 0;
}

static void tear_down(void) {
    saga_outcomes_close(outcomes);
}

/* ------------------------------------------------------------------- the log */

static struct saga_id id_of(unsigned number) {
    struct saga_id id = {.bytes = {[6] = 0x70, [8] = 0x80}};
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static uint64_t fold(struct saga_record record) {
    record.lsn = ++lsn;
    record.step = SAGA_STEP_NONE;
    saga_outcomes_fold(outcomes, &record);
    return record.lsn;
}

static uint64_t start(unsigned number, const char *asker) {
    return fold((struct saga_record){
        .fact = SAGA_STARTED, .saga = id_of(number), .content = {asker, (uint32_t)strlen(asker)}});
}

static uint64_t end(unsigned number) {
    return fold(
        (struct saga_record){.fact = SAGA_ENDED, .saga = id_of(number), .outcome = SAGA_COMPLETED});
}

static uint64_t mark(uint64_t through) {
    return fold((struct saga_record){.fact = SAGA_OUTCOMES_TOLD, .through_lsn = through});
}

/* -------------------------------------------------------------------- asking */

static void ask(unsigned number, const char *asker) {
    const struct saga_id id = id_of(number);
    saga_outcomes_ask(outcomes, &id, (struct saga_bytes){asker, (uint32_t)strlen(asker)});
}

static bool tell(unsigned number) {
    const struct saga_id id = id_of(number);
    return saga_outcomes_tell(outcomes, &id);
}

static void expect_counts(uint64_t open, uint64_t untold) {
    struct saga_outcomes_counts counts;
    saga_outcomes_count(outcomes, &counts);
    ck_assert_uint_eq(counts.open, open);
    ck_assert_uint_eq(counts.untold, untold);
}

static void expect_next(unsigned number) {
    const struct saga_owed *next = saga_outcomes_next(outcomes, UINT64_MAX);
    const struct saga_id id = id_of(number);
    ck_assert_ptr_nonnull(next);
    ck_assert_mem_eq(&next->saga, &id, sizeof id);
}

static void give(unsigned number) {
    expect_next(number);
    saga_outcomes_give(outcomes);
}

static void expect_nothing(void) {
    ck_assert_ptr_null(saga_outcomes_next(outcomes, UINT64_MAX));
}

START_TEST(an_end_is_given_once_and_forgotten_when_it_is_told) {
    const uint64_t started = start(1, "a");
    expect_nothing();
    expect_counts(1, 0);
    const uint64_t ended = end(1);
    expect_counts(0, 1);
    const struct saga_owed *next = saga_outcomes_next(outcomes, ended);
    ck_assert_uint_eq(next->started_lsn, started);
    ck_assert_uint_eq(next->ended_lsn, ended);
    give(1);
    expect_nothing();
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0);
    ck_assert(tell(1));
    expect_counts(0, 0);
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended);
    ck_assert(!tell(1));
}
END_TEST

START_TEST(nobody_is_told_of_a_saga_that_nobody_asked_about) {
    (void)start(1, "");
    expect_counts(0, 0);
    (void)end(1);
    (void)end(2); /* nor of one that never started */
    expect_nothing();
    expect_counts(0, 0);
    ck_assert(!tell(1));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0);
}
END_TEST

START_TEST(what_is_not_durable_is_not_given) {
    (void)start(1, "a");
    const uint64_t ended = end(1);
    ck_assert_ptr_null(saga_outcomes_next(outcomes, ended - 1));
    ck_assert_ptr_nonnull(saga_outcomes_next(outcomes, ended));
}
END_TEST

START_TEST(ends_are_given_in_the_order_of_the_log) {
    for (unsigned i = 0; i < 500; i++) {
        (void)start(i, "a");
    }
    for (unsigned i = 0; i < 500; i++) {
        (void)end(i * 7919 % 500);
    }
    for (unsigned i = 0; i < 500; i++) {
        give(i * 7919 % 500);
    }
    expect_nothing();
    expect_counts(0, 500); /* freed with the others */
}
END_TEST

START_TEST(a_second_end_or_start_changes_nothing) {
    const uint64_t started = start(1, "a");
    (void)start(1, "b");
    const uint64_t ended = end(1);
    (void)end(1);
    const struct saga_owed *next = saga_outcomes_next(outcomes, UINT64_MAX);
    ck_assert_uint_eq(next->started_lsn, started);
    ck_assert_uint_eq(next->ended_lsn, ended);
    give(1);
    expect_nothing();
    expect_counts(0, 1);
}
END_TEST

START_TEST(the_mark_passes_nobody_who_is_not_told) {
    uint64_t ended[4];
    for (unsigned i = 0; i < 4; i++) {
        (void)start(i, "a");
    }
    for (unsigned i = 0; i < 4; i++) {
        ended[i] = end(i);
        give(i);
    }
    ck_assert(tell(2));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended[0] - 1);
    ck_assert(tell(0));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended[1] - 1);
    (void)mark(saga_outcomes_mark(outcomes));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0); /* it stands in the log */
    expect_counts(0, 2);
    ck_assert(tell(1));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended[2]); /* before the last one's */
    ck_assert(tell(3));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended[3]);
    (void)mark(ended[3]);
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0);
    expect_counts(0, 0);
}
END_TEST

START_TEST(a_mark_in_the_log_forgets_what_ended_before_it) {
    (void)start(1, "a");
    (void)start(2, "a");
    (void)start(3, "a");
    const uint64_t first = end(1);
    (void)end(2);
    (void)mark(first);
    expect_next(2);
    expect_counts(1, 1);
    (void)end(3);
    give(2);
    give(3);
    ck_assert(!tell(1));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0);
    (void)mark(first); /* an older one changes nothing */
    expect_counts(0, 2);
}
END_TEST

/* What a daemon has told and could not note in time, it tells again after its restart: but no more
 * than that, and it goes on from there. */
START_TEST(what_is_told_again_is_marked_like_anything_else) {
    (void)start(1, "a");
    (void)start(2, "a");
    const uint64_t first = end(1);
    (void)mark(first);
    const uint64_t second = end(2);
    give(2);
    ck_assert(tell(2));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), second);
}
END_TEST

START_TEST(nobody_can_be_told_what_was_not_given) {
    (void)start(1, "a");
    ck_assert(!tell(1));
    (void)end(1);
    ck_assert(!tell(1));
    expect_counts(0, 1);
}
END_TEST

START_TEST(who_asks_later_is_told_too) {
    (void)start(1, "a");
    ask(1, "somebody");
    ask(1, "another");
    (void)end(1);
    const struct saga_owed *next = saga_outcomes_next(outcomes, UINT64_MAX);
    ck_assert_uint_eq(next->again_size, 7);
    ck_assert_mem_eq(next->again, "another", 7);
    give(1);
    ck_assert(tell(1));
    expect_counts(0, 1);
    ck_assert(!tell(1));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), 0);
    give(1);
    expect_nothing();
    ck_assert(tell(1));
    expect_counts(0, 0);
}
END_TEST

START_TEST(who_asks_about_anybodys_saga_is_told) {
    ask(1, "somebody"); /* its start named nobody */
    expect_counts(1, 0);
    const uint64_t ended = end(1);
    ck_assert_uint_eq(saga_outcomes_next(outcomes, UINT64_MAX)->started_lsn, 0);
    give(1);
    expect_nothing();
    ck_assert(tell(1));
    ck_assert_uint_eq(saga_outcomes_mark(outcomes), ended);
    expect_counts(0, 0);
}
END_TEST

START_TEST(what_was_told_long_ago_takes_no_room) {
    for (unsigned i = 0; i < 20000; i++) {
        (void)start(i, "a");
        (void)end(i);
        give(i);
        if (i > 0) { /* the first one never hears */
            ck_assert(tell(i));
        }
        expect_counts(0, 1);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("outcomes");
    TCase *tests = tcase_create("outcomes");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_end_is_given_once_and_forgotten_when_it_is_told);
    tcase_add_test(tests, nobody_is_told_of_a_saga_that_nobody_asked_about);
    tcase_add_test(tests, what_is_not_durable_is_not_given);
    tcase_add_test(tests, ends_are_given_in_the_order_of_the_log);
    tcase_add_test(tests, a_second_end_or_start_changes_nothing);
    tcase_add_test(tests, the_mark_passes_nobody_who_is_not_told);
    tcase_add_test(tests, a_mark_in_the_log_forgets_what_ended_before_it);
    tcase_add_test(tests, what_is_told_again_is_marked_like_anything_else);
    tcase_add_test(tests, nobody_can_be_told_what_was_not_given);
    tcase_add_test(tests, who_asks_later_is_told_too);
    tcase_add_test(tests, who_asks_about_anybodys_saga_is_told);
    tcase_add_test(tests, what_was_told_long_ago_takes_no_room);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
