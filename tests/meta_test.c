/* The row meta: read if it is whole, of this format or an older one, and does not
 * contradict itself. */
#include "meta.h"

#include "check_run.h"
#include "record_fixture.h"

#include <check.h>
#include <xxhash.h>

/* Of a log that has lost nothing. */
static const struct saga_meta whole = {
    .format = SAGA_RECORD_FORMAT,
    .identity = {0x14, 0xd3, 0x56, 0x7e, 0x1e, 0x18, 0x4a, 0xd9, 0xa7, 0x98, 0x9e, 0x25},
    .base_lsn = 1001,
    .last_lsn = 0x123456789abcd,
    .record_count = 0x123456789abcd - 1000,
    .block_count = 77,
    .epoch = 5,
    .transaction = 0x1020304050607,
    .checkpoint = {.lsn = 0x12345678,
                   .epoch = 4,
                   .epoch_ms = 1767225600000,
                   .at_ms = 1767225600777},
};

START_TEST(damaged_and_cut_rows_are_refused) {
    uint8_t row[SAGA_META_BYTES];
    struct saga_meta meta;
    saga_meta_encode(&whole, row);
    for (size_t bit = 0; bit < sizeof row * 8; bit++) {
        row[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ck_assert_msg(saga_meta_decode(&meta, row, sizeof row) == SAGA_RECORD_CHECKSUM,
                      "bit %zu is flipped", bit);
        row[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < sizeof row; cut++) {
        ck_assert_msg(saga_meta_decode(&meta, row, cut) == SAGA_RECORD_TRUNCATED,
                      "cut after %zu bytes", cut);
    }
}
END_TEST

static void sum_row(uint8_t *row, size_t size) {
    XXH64_canonicalFromHash((XXH64_canonical_t *)row, XXH3_64bits(row + 8, size - 8));
}

START_TEST(a_longer_row_is_read_and_a_newer_one_named) {
    uint8_t row[SAGA_META_BYTES + 100] = {0};
    struct saga_meta meta;
    saga_meta_encode(&whole, row);
    row[SAGA_META_BYTES + 7] = 1;
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_OK);
    meta_assert_same(&meta, &whole);
    row[13] = SAGA_RECORD_FORMAT + 1;
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_FORMAT_NEWER);
    ck_assert_uint_eq(meta.format, SAGA_RECORD_FORMAT + 1);
    row[8] = 'X';
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_MALFORMED);
}
END_TEST

static void expect_contradiction(const char *what, struct saga_meta row) {
    uint8_t bytes[SAGA_META_BYTES];
    struct saga_meta meta;
    saga_meta_encode(&row, bytes);
    enum saga_record_error error = saga_meta_decode(&meta, bytes, sizeof bytes);
    ck_assert_msg(error == SAGA_RECORD_MALFORMED, "%s: %d", what, error);
}

START_TEST(rows_that_contradict_themselves_are_refused) {
    struct saga_meta row = whole;
    row.format = 0;
    expect_contradiction("format 0", row);
    row = whole;
    row.base_lsn = 0;
    expect_contradiction("base LSN 0", row);
    row = whole;
    row.last_lsn = 999;
    expect_contradiction("a last LSN before the base", row);
    row = whole;
    row.record_count++;
    expect_contradiction("more records than LSNs", row);
    row = whole;
    row.block_count = row.record_count + 1;
    expect_contradiction("more blocks than records", row);
    row = whole;
    row.block_count = 0;
    expect_contradiction("records, but no blocks", row);
    row = whole;
    row.base_lsn = row.last_lsn + 1;
    row.record_count = 0;
    expect_contradiction("no records, but blocks", row);
    row = whole;
    row.checkpoint.lsn = row.last_lsn + 1;
    expect_contradiction("a checkpoint behind the last record", row);
    row = whole;
    row.checkpoint.lsn = row.base_lsn - 2;
    expect_contradiction("records missing between the checkpoint and the base", row);
    row = whole;
    row.checkpoint.epoch = row.epoch + 1;
    expect_contradiction("a checkpoint of an epoch to come", row);
    row = whole;
    row.checkpoint.epoch = 0;
    expect_contradiction("a checkpoint without an epoch", row);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("meta");
    TCase *tests = tcase_create("row meta");
    tcase_add_test(tests, damaged_and_cut_rows_are_refused);
    tcase_add_test(tests, a_longer_row_is_read_and_a_newer_one_named);
    tcase_add_test(tests, rows_that_contradict_themselves_are_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
