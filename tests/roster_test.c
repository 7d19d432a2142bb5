/* Sagas in memory: found by id, in the order of their ids, while they come and go. */
#include "roster.h"

#include "check_run.h"
#include "splitmix.h"

#include <check.h>
#include <string.h>

#define MANY 5000

static struct saga_roster *roster;

static void set_up(void) {
    roster = saga_roster_open();
    ck_assert_ptr_nonnull(roster);
}

static void tear_down(void) {
    saga_roster_close(roster);
}

/* As a UUIDv7: its time first, then noise. */
static struct saga_id id_of(uint64_t number) {
    struct saga_id id = {{0}};
    struct splitmix random = {number};
    const uint64_t noise = splitmix_next(&random);
    for (int i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(number >> (8 * (5 - i)));
    }
    memcpy(id.bytes + 8, &noise, sizeof noise);
    return id;
}

static struct saga_roster_entry *add(uint64_t number) {
    const struct saga_id id = id_of(number);
    struct saga_roster_entry *entry = saga_roster_add(roster, &id);
    ck_assert_uint_eq(entry->last_lsn, 0);
    ck_assert_ptr_null(entry->status);
    entry->last_lsn = number;
    return entry;
}

static struct saga_roster_entry *find(uint64_t number) {
    const struct saga_id id = id_of(number);
    return saga_roster_find(roster, &id);
}

/* The roster has just these, both ways. */
static void assert_is(const bool *there) {
    const struct saga_roster_entry *entry = saga_roster_oldest(roster);
    const struct saga_roster_entry *last = NULL;
    uint64_t count = 0;
    for (uint64_t number = 0; number < MANY; number++) {
        ck_assert((find(number) != NULL) == there[number]);
        if (!there[number]) {
            continue;
        }
        ck_assert_ptr_nonnull(entry);
        ck_assert_uint_eq(entry->last_lsn, number);
        ck_assert_ptr_eq(entry->older, last);
        last = entry;
        entry = entry->newer;
        count++;
    }
    ck_assert_ptr_null(entry);
    ck_assert_ptr_eq(saga_roster_newest(roster), last);
    ck_assert_uint_eq(saga_roster_count(roster), count);
}

START_TEST(an_empty_roster_has_nobody) {
    const struct saga_id id = id_of(1);
    ck_assert_ptr_null(saga_roster_find(roster, &id));
    ck_assert_ptr_null(saga_roster_newest(roster));
    ck_assert_ptr_null(saga_roster_oldest(roster));
    ck_assert_ptr_null(saga_roster_before(roster, &id));
    ck_assert_uint_eq(saga_roster_count(roster), 0);
}
END_TEST

START_TEST(sagas_come_and_go_in_any_order) {
    static bool there[MANY];
    struct splitmix random = {(uint64_t)_i + 1};
    memset(there, 0, sizeof there);
    for (int round = 0; round < 20000; round++) {
        /* Mostly near the newest, as in life. */
        const uint64_t number = splitmix_below(&random, 3) == 0 ? splitmix_below(&random, MANY)
                                                                : (uint64_t)round % MANY;
        if (there[number]) {
            struct saga_roster_entry *entry = find(number);
            ck_assert_ptr_nonnull(entry);
            ck_assert_uint_eq(entry->last_lsn, number);
            saga_roster_remove(roster, entry);
        } else {
            (void)add(number);
        }
        there[number] = !there[number];
        if (round % 2500 == 0) {
            assert_is(there);
        }
    }
    assert_is(there);
}
END_TEST

START_TEST(entries_stay_where_they_are) {
    static struct saga_roster_entry *entries[MANY];
    for (uint64_t number = 0; number < MANY; number++) {
        entries[number] = add(number);
    }
    for (uint64_t number = 0; number < MANY; number++) {
        ck_assert_ptr_eq(find(number), entries[number]);
    }
}
END_TEST

START_TEST(the_one_before_is_found_for_who_is_not_there_too) {
    for (uint64_t number = 10; number <= 100; number += 10) {
        (void)add(number);
    }
    for (uint64_t number = 0; number <= 110; number++) {
        const struct saga_id id = id_of(number);
        const struct saga_roster_entry *before = saga_roster_before(roster, &id);
        if (number <= 10) {
            ck_assert_ptr_null(before);
        } else {
            ck_assert_uint_eq(before->last_lsn, number > 100 ? 100 : (number - 1) / 10 * 10);
        }
    }
}
END_TEST

START_TEST(adding_a_saga_twice_is_an_assertion) {
    (void)add(1);
    (void)add(1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("roster");
    TCase *tests = tcase_create("roster");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_empty_roster_has_nobody);
    tcase_add_loop_test(tests, sagas_come_and_go_in_any_order, 0, 4);
    tcase_add_test(tests, entries_stay_where_they_are);
    tcase_add_test(tests, the_one_before_is_found_for_who_is_not_there_too);
    tcase_add_test_raise_signal(tests, adding_a_saga_twice_is_an_assertion, 6);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
