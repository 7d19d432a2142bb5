/* Percentiles against sorted numbers. */
#include "histogram.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "splitmix.h"

#define COUNT 1000

static int compare(const void *a, const void *b) {
    const int64_t *first = a;
    const int64_t *second = b;
    return (*first > *second) - (*first < *second);
}

START_TEST(a_percentile_is_rounded_up_by_less_than_a_sixteenth) {
    static struct saga_histogram histogram;
    struct splitmix random = {.state = (uint64_t)_i + 1};
    int64_t numbers[COUNT];
    memset(&histogram, 0, sizeof histogram);
    for (size_t i = 0; i < COUNT; i++) {
        numbers[i] = (int64_t)(splitmix_next(&random) >> (16 + splitmix_below(&random, 48)));
        saga_histogram_add(&histogram, numbers[i]);
    }
    qsort(numbers, COUNT, sizeof numbers[0], compare);
    ck_assert_int_eq(histogram.most_ms, numbers[COUNT - 1]);
    ck_assert_int_eq(saga_histogram_percentile(&histogram, 100), numbers[COUNT - 1]);
    for (unsigned percent = 1; percent < 100; percent++) {
        const int64_t exact = numbers[percent * COUNT / 100 - 1];
        const int64_t found = saga_histogram_percentile(&histogram, percent);
        ck_assert_int_ge(found, exact);
        ck_assert_int_le(found, exact + exact / 16);
    }
}
END_TEST

START_TEST(few_numbers_will_do) {
    static struct saga_histogram histogram;
    memset(&histogram, 0, sizeof histogram);
    ck_assert_int_eq(saga_histogram_percentile(&histogram, 50), 0);
    saga_histogram_add(&histogram, -1);
    ck_assert_uint_eq(histogram.count, 0);
    saga_histogram_add(&histogram, 1234567);
    ck_assert_int_eq(saga_histogram_percentile(&histogram, 1), 1234567);
    ck_assert_int_eq(saga_histogram_percentile(&histogram, 99), 1234567);
    saga_histogram_add(&histogram, INT64_MAX);
    ck_assert_int_eq(saga_histogram_percentile(&histogram, 100), INT64_MAX);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("histogram");
    TCase *tests = tcase_create("histogram");
    tcase_add_loop_test(tests, a_percentile_is_rounded_up_by_less_than_a_sixteenth, 0, 20);
    tcase_add_test(tests, few_numbers_will_do);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
