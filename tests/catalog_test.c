/* Sagas by id, and start keys. */
#include "catalog.h"
#include "check_run.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct saga_catalog *catalog;

static void set_up(void) {
    catalog = saga_catalog_open(42);
    ck_assert_ptr_nonnull(catalog);
}

static void tear_down(void) {
    saga_catalog_close(catalog);
}

static struct saga_id id_of(uint64_t number) {
    struct saga_id id = {{0}};
    memcpy(id.bytes + 8, &number, sizeof number);
    return id;
}

static struct saga_bytes bytes(const char *text) {
    return (struct saga_bytes){.data = text, .size = (uint32_t)strlen(text)};
}

START_TEST(every_saga_is_found_again) {
    for (uint64_t i = 1; i <= 20000; i++) {
        struct saga_id id = id_of(i);
        ck_assert_uint_eq(saga_catalog_add(catalog, &id, 7, i * 10, "running"), i);
    }
    for (uint64_t i = 1; i <= 20000; i++) {
        struct saga_id id = id_of(i);
        struct saga_catalog_entry *entry = saga_catalog_find(catalog, &id);
        ck_assert_ptr_nonnull(entry);
        ck_assert_uint_eq(entry->last_lsn, i * 10);
        ck_assert_ptr_eq(entry, saga_catalog_at(catalog, i));
    }
    struct saga_id other = id_of(20001);
    ck_assert_ptr_null(saga_catalog_find(catalog, &other));
    ck_assert_uint_eq(saga_catalog_count(catalog), 20000);
}
END_TEST

START_TEST(an_empty_catalog_finds_nothing) {
    struct saga_id id = id_of(1);
    struct saga_catalog_key key;
    ck_assert_ptr_null(saga_catalog_find(catalog, &id));
    saga_catalog_hash(catalog, bytes("k"), "trip", bytes("{}"), &key);
    ck_assert_ptr_null(saga_catalog_recall(catalog, &key));
}
END_TEST

START_TEST(a_key_is_recalled_with_the_input_it_was_used_with) {
    char text[16];
    for (uint64_t i = 1; i <= 5000; i++) {
        struct saga_catalog_key key;
        (void)snprintf(text, sizeof text, "key %d", (int)i);
        saga_catalog_hash(catalog, bytes(text), "trip", bytes("{}"), &key);
        key.entry = i;
        saga_catalog_remember(catalog, &key);
    }
    for (uint64_t i = 1; i <= 5000; i++) {
        struct saga_catalog_key key;
        (void)snprintf(text, sizeof text, "key %d", (int)i);
        saga_catalog_hash(catalog, bytes(text), "trip", bytes("{\"a\":1}"), &key);
        const struct saga_catalog_key *earlier = saga_catalog_recall(catalog, &key);
        ck_assert_ptr_nonnull(earlier);
        ck_assert_uint_eq(earlier->entry, i);
        ck_assert_mem_ne(earlier->input_hash, key.input_hash, sizeof key.input_hash);
    }
}
END_TEST

START_TEST(the_same_input_for_another_saga_is_another_input) {
    struct saga_catalog_key a;
    struct saga_catalog_key b;
    saga_catalog_hash(catalog, bytes("k"), "trip", bytes("{}"), &a);
    saga_catalog_hash(catalog, bytes("k"), "tour", bytes("{}"), &b);
    ck_assert_mem_eq(a.key_hash, b.key_hash, sizeof a.key_hash);
    ck_assert_mem_ne(a.input_hash, b.input_hash, sizeof a.input_hash);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("catalog");
    TCase *tests = tcase_create("catalog");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_saga_is_found_again);
    tcase_add_test(tests, an_empty_catalog_finds_nothing);
    tcase_add_test(tests, a_key_is_recalled_with_the_input_it_was_used_with);
    tcase_add_test(tests, the_same_input_for_another_saga_is_another_input);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
