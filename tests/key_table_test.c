/* Start keys in memory: found, kept apart, and given in the order of their hashes, also where many
 * want the same place; and the filter before those on disk. */
#include "key_filter.h"
#include "key_table.h"

#include "check_run.h"
#include "splitmix.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct saga_key_table table;

static void set_up(void) {
    table = (struct saga_key_table){0};
}

static void tear_down(void) {
    saga_key_table_fini(&table);
}

/* How hashes come: anyhow; few different first words; all at the table's end. */
enum shape { ANYHOW, CROWDED, AT_THE_END };
#define SHAPES 3

static struct saga_start_key key_of(enum shape shape, uint64_t number) {
    struct splitmix random = {number + 1};
    struct saga_start_key key = {.key_hash = {splitmix_next(&random), splitmix_next(&random)},
                                 .input_hash = {number, ~number}};
    if (shape == CROWDED) {
        key.key_hash[0] = number % 7 * UINT64_C(0x2000000000000000);
    } else if (shape == AT_THE_END) {
        key.key_hash[0] |= UINT64_C(0xfffff00000000000);
    }
    memcpy(key.saga.bytes, &number, sizeof number);
    key.saga.bytes[15] = 1;
    return key;
}

static void assert_has(enum shape shape, uint64_t number) {
    const struct saga_start_key key = key_of(shape, number);
    const struct saga_start_key *found = saga_key_table_find(&table, key.key_hash);
    ck_assert_ptr_nonnull(found);
    ck_assert_mem_eq(found, &key, sizeof key);
}

static void assert_ordered(uint64_t count) {
    const struct saga_start_key *before = NULL;
    const struct saga_start_key *key;
    uint64_t cursor = 0;
    uint64_t seen = 0;
    while ((key = saga_key_table_next(&table, &cursor)) != NULL) {
        ck_assert(before == NULL || saga_key_hash_compare(before->key_hash, key->key_hash) < 0);
        before = key;
        seen++;
    }
    ck_assert_uint_eq(seen, count);
    ck_assert_uint_eq(table.count, count);
}

START_TEST(an_empty_table_has_nothing) {
    const uint64_t hash[2] = {1, 2};
    uint64_t cursor = 0;
    ck_assert_ptr_null(saga_key_table_find(&table, hash));
    ck_assert_ptr_null(saga_key_table_next(&table, &cursor));
}
END_TEST

START_TEST(keys_are_found_and_given_in_order) {
    static const uint64_t counts[SHAPES] = {50000, 3000, 3000};
    const enum shape shape = (enum shape)_i;
    for (uint64_t number = 0; number < counts[shape]; number++) {
        const struct saga_start_key key = key_of(shape, number);
        ck_assert_ptr_null(saga_key_table_find(&table, key.key_hash));
        ck_assert(saga_key_table_add(&table, &key));
        if (number % 997 == 0) {
            assert_ordered(number + 1);
        }
    }
    assert_ordered(counts[shape]);
    for (uint64_t number = 0; number < counts[shape]; number++) {
        assert_has(shape, number);
    }
    const struct saga_start_key other = key_of(shape, counts[shape] + 1);
    ck_assert_ptr_null(saga_key_table_find(&table, other.key_hash));
}
END_TEST

START_TEST(smallest_and_largest_hashes_are_no_borders) {
    static const uint64_t words[] = {0, 1, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            struct saga_start_key key = key_of(ANYHOW, i * 4 + j);
            key.key_hash[0] = words[i];
            key.key_hash[1] = words[j];
            ck_assert(saga_key_table_add(&table, &key));
        }
    }
    assert_ordered(16);
}
END_TEST

START_TEST(adding_a_key_twice_is_an_assertion) {
    const struct saga_start_key key = key_of(ANYHOW, 1);
    ck_assert(saga_key_table_add(&table, &key));
    (void)!saga_key_table_add(&table, &key);
}
END_TEST

START_TEST(a_filter_lets_its_own_through_and_few_others) {
    static const uint64_t counts[] = {1, 100, 10000, 200000};
    const uint64_t count = counts[_i];
    struct saga_key_filter filter;
    ck_assert(saga_key_filter_init(&filter, saga_key_filter_blocks(count)));
    for (uint64_t number = 0; number < count; number++) {
        saga_key_filter_add(&filter, key_of(ANYHOW, number).key_hash);
    }
    for (uint64_t number = 0; number < count; number++) {
        ck_assert(saga_key_filter_has(&filter, key_of(ANYHOW, number).key_hash));
    }
    const uint64_t asked = 200000;
    uint64_t let_through = 0;
    for (uint64_t number = count; number < count + asked; number++) {
        let_through += saga_key_filter_has(&filter, key_of(ANYHOW, number).key_hash);
    }
    ck_assert_uint_lt(let_through, asked / 200);
    saga_key_filter_fini(&filter);
}
END_TEST

/* A filter that is stored is read by later versions. */
START_TEST(the_bits_are_those_of_the_format) {
    static const uint8_t expected[SAGA_FILTER_BLOCK_BYTES] = {
        [0] = 0x00,
    };
    struct saga_key_filter filter;
    const uint64_t hash[2] = {UINT64_C(0x8000000000000000), 1};
    ck_assert(saga_key_filter_init(&filter, 2));
    saga_key_filter_add(&filter, hash);
    ck_assert_mem_eq(filter.bytes, expected, sizeof expected); /* the other block */
    uint8_t block[SAGA_FILTER_BLOCK_BYTES] = {0};
    static const unsigned bits[8] = {0x47b6137bU >> 27, 0x44974d91U >> 27, 0x8824ad5bU >> 27,
                                     0xa2b7289dU >> 27, 0x705495c7U >> 27, 0x2df1424bU >> 27,
                                     0x9efc4947U >> 27, 0x5c6bfb31U >> 27};
    for (unsigned word = 0; word < 8; word++) {
        block[4 * word + bits[word] / 8] = (uint8_t)(1u << bits[word] % 8);
    }
    ck_assert_mem_eq(filter.bytes + SAGA_FILTER_BLOCK_BYTES, block, sizeof block);
    saga_key_filter_fini(&filter);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("key_table");
    TCase *keys = tcase_create("keys");
    tcase_add_checked_fixture(keys, set_up, tear_down);
    tcase_set_timeout(keys, 60);
    tcase_add_test(keys, an_empty_table_has_nothing);
    tcase_add_loop_test(keys, keys_are_found_and_given_in_order, 0, SHAPES);
    tcase_add_test(keys, smallest_and_largest_hashes_are_no_borders);
    tcase_add_test_raise_signal(keys, adding_a_key_twice_is_an_assertion, 6);
    suite_add_tcase(suite, keys);
    TCase *filter = tcase_create("filter");
    tcase_set_timeout(filter, 60);
    tcase_add_loop_test(filter, a_filter_lets_its_own_through_and_few_others, 0, 4);
    tcase_add_test(filter, the_bits_are_those_of_the_format);
    suite_add_tcase(suite, filter);
    return check_run(suite);
}
