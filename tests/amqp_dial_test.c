/* Which host is tried next, and when. */
#include "check_run.h"
#include "dial.h"

#include <check.h>
#include <stdlib.h>

START_TEST(the_wait_is_random_and_its_bound_doubles) {
    const uint32_t most_ms[] = {200,   400,   800,   1600,  3200,  6400,
                                12800, 25600, 30000, 30000, 30000, 30000};
    const size_t tries = sizeof most_ms / sizeof most_ms[0];
    uint32_t least[sizeof most_ms / sizeof most_ms[0]], most[sizeof most_ms / sizeof most_ms[0]];
    for (size_t i = 0; i < tries; i++) {
        least[i] = UINT32_MAX;
        most[i] = 0;
    }
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct saga_amqp_dial dial;
        saga_amqp_dial_init(&dial, 1, seed);
        for (size_t i = 0; i < tries; i++) {
            const uint32_t wait_ms = saga_amqp_dial_failed(&dial);
            ck_assert_uint_ge(wait_ms, SAGA_AMQP_DIAL_MS_MIN);
            ck_assert_uint_le(wait_ms, most_ms[i]);
            least[i] = wait_ms < least[i] ? wait_ms : least[i];
            most[i] = wait_ms > most[i] ? wait_ms : most[i];
        }
    }
    /* All of the range is used, from its beginning to its end: that is what spreads many clients.
     */
    for (size_t i = 0; i < tries; i++) {
        const uint32_t tenth = (most_ms[i] - SAGA_AMQP_DIAL_MS_MIN) / 10;
        ck_assert_uint_lt(least[i], SAGA_AMQP_DIAL_MS_MIN + tenth);
        ck_assert_uint_gt(most[i], most_ms[i] - tenth);
    }
}
END_TEST

START_TEST(failures_without_end_do_not_overflow) {
    struct saga_amqp_dial dial;
    saga_amqp_dial_init(&dial, 1, 7);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t wait_ms = saga_amqp_dial_failed(&dial);
        ck_assert(wait_ms >= SAGA_AMQP_DIAL_MS_MIN && wait_ms <= SAGA_AMQP_DIAL_MS_MAX);
    }
}
END_TEST

START_TEST(what_works_begins_anew) {
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct saga_amqp_dial dial;
        saga_amqp_dial_init(&dial, 1, seed);
        for (unsigned i = 0; i < 20; i++) {
            (void)saga_amqp_dial_failed(&dial);
        }
        saga_amqp_dial_worked(&dial);
        ck_assert_uint_le(saga_amqp_dial_failed(&dial), 200);
        ck_assert_uint_le(saga_amqp_dial_failed(&dial), 400);
    }
}
END_TEST

START_TEST(the_hosts_are_tried_in_turn_from_any_of_them_on) {
    unsigned first[5] = {0};
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct saga_amqp_dial dial;
        saga_amqp_dial_init(&dial, 5, seed);
        const size_t begin = saga_amqp_dial_host(&dial);
        ck_assert_uint_lt(begin, 5);
        first[begin]++;
        for (size_t i = 1; i < 12; i++) {
            ck_assert_uint_eq(saga_amqp_dial_host(&dial), (begin + i) % 5);
            if (i == 6) {
                saga_amqp_dial_worked(&dial); /* the next one is another, in any case */
            }
        }
    }
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_gt(first[i], 100); /* of 200 that are expected */
    }
}
END_TEST

START_TEST(a_single_host_is_tried_again) {
    struct saga_amqp_dial dial;
    saga_amqp_dial_init(&dial, 1, 0);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(saga_amqp_dial_host(&dial), 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_dial");
    TCase *tcase = tcase_create("dial");
    tcase_add_test(tcase, the_wait_is_random_and_its_bound_doubles);
    tcase_add_test(tcase, failures_without_end_do_not_overflow);
    tcase_add_test(tcase, what_works_begins_anew);
    tcase_add_test(tcase, the_hosts_are_tried_in_turn_from_any_of_them_on);
    tcase_add_test(tcase, a_single_host_is_tried_again);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
