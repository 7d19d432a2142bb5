/* Blocks: as full as they can be, and refused for each cut, each flipped bit, each
 * other place, and for what contradicts itself under a right checksum. */
#include "record.h"

#include "check_run.h"
#include "record_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A block of up to `count` records like record_command(); returns its size. */
static size_t write_block(uint8_t *bytes, size_t room, uint64_t first_lsn, uint32_t count,
                          uint32_t *written) {
    struct saga_block_writer writer;
    saga_block_begin(&writer, first_lsn, bytes);
    struct saga_record record = record_command();
    for (uint32_t i = 0; i < count; i++) {
        record.lsn = first_lsn + i;
        record.previous_lsn = record.lsn - 1;
        ck_assert_uint_le(saga_block_room(&writer, &record), room);
        if (!saga_block_add(&writer, &record)) {
            break;
        }
    }
    *written = writer.record_count;
    return saga_block_commit(&writer);
}

START_TEST(a_block_gives_its_records_back) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    for (uint32_t count = 1; count <= 60; count++) {
        uint32_t written;
        uint64_t first_lsn = 1000 + count;
        size_t size = write_block(bytes, sizeof bytes, first_lsn, count, &written);
        ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
        struct saga_block block;
        ck_assert_int_eq(saga_block_open(&block, first_lsn, bytes, size), SAGA_RECORD_OK);
        ck_assert_uint_eq(block.record_count, written);
        ck_assert_uint_eq(block.first_lsn, first_lsn);
        for (uint32_t i = 0; i < written; i++) {
            struct saga_record record;
            ck_assert_int_eq(saga_block_record(&block, i, &record), SAGA_RECORD_OK);
            ck_assert_uint_eq(record.lsn, first_lsn + i);
            ck_assert_uint_eq(record.previous_lsn, first_lsn + i - 1);
            struct saga_record expected = record_command();
            expected.previous_lsn = record.previous_lsn;
            record_assert_same(&record, &expected);
        }
    }
}
END_TEST

START_TEST(a_full_block_is_nearly_a_page) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 1, 1000, &written);
    ck_assert_uint_gt(written, 20);
    ck_assert_uint_lt(written, 1000);
    struct saga_record record = record_command();
    uint8_t one[512];
    size_t record_size = saga_record_encode(&record, one);
    ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
    ck_assert_uint_gt(size + record_size + SAGA_BLOCK_OFFSET_BYTES, SAGA_BLOCK_BYTES);
}
END_TEST

START_TEST(a_block_of_the_smallest_records_holds_the_most) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    struct saga_block_writer writer;
    saga_block_begin(&writer, 1, bytes);
    struct saga_record record = record_smallest();
    uint32_t count = 0;
    for (record.lsn = 1; saga_block_add(&writer, &record); record.lsn++) {
        count++;
    }
    ck_assert_uint_eq(count, SAGA_BLOCK_RECORDS_MAX);
    size_t size = saga_block_commit(&writer);
    ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 1, bytes, size), SAGA_RECORD_OK);
    ck_assert_uint_eq(block.record_count, count);
}
END_TEST

START_TEST(a_large_record_has_a_block_of_its_own) {
    struct saga_record record = record_command();
    record.payload = (struct saga_bytes){record_longest, SAGA_PAYLOAD_BYTES_MAX};
    struct saga_block_writer writer;
    uint8_t *bytes = malloc(SAGA_PAYLOAD_BYTES_MAX + 8192);
    ck_assert_ptr_nonnull(bytes);
    saga_block_begin(&writer, 5, bytes);
    record.lsn = 5;
    ck_assert(saga_block_add(&writer, &record));
    struct saga_record next = record_smallest();
    next.lsn = 6;
    ck_assert(!saga_block_add(&writer, &next));
    size_t size = saga_block_commit(&writer);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 5, bytes, size), SAGA_RECORD_OK);
    struct saga_record read;
    ck_assert_int_eq(saga_block_record(&block, 0, &read), SAGA_RECORD_OK);
    record_assert_same(&read, &record);
    free(bytes);
}
END_TEST

START_TEST(a_block_being_written_can_be_read) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    struct saga_block_writer writer;
    saga_block_begin(&writer, 70, bytes);
    struct saga_record record = record_command();
    for (uint32_t i = 0; i < 10; i++) {
        record.lsn = 70 + i;
        record.attempt = i + 1;
        ck_assert(saga_block_add(&writer, &record));
        for (uint32_t k = 0; k <= i; k++) {
            struct saga_record peeked;
            saga_block_peek(&writer, k, &peeked);
            ck_assert_uint_eq(peeked.lsn, 70 + k);
            ck_assert_uint_eq(peeked.attempt, k + 1);
        }
    }
}
END_TEST

static enum saga_record_error open_copy(const uint8_t *bytes, size_t size, uint64_t first_lsn) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    CHECK_THAT(exact != NULL);
    memcpy(exact, bytes, size);
    struct saga_block block;
    enum saga_record_error error = saga_block_open(&block, first_lsn, exact, size);
    free(exact);
    return error;
}

START_TEST(every_truncation_of_a_block_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 100, &written);
    for (size_t cut = 0; cut < size; cut++) {
        CHECK_THAT(open_copy(bytes, cut, 42) != SAGA_RECORD_OK);
    }
}
END_TEST

START_TEST(every_flipped_bit_of_a_block_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 100, &written);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct saga_block block;
        CHECK_THAT(saga_block_open(&block, 42, bytes, size) == SAGA_RECORD_CHECKSUM);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}
END_TEST

START_TEST(a_block_at_another_place_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 3, &written);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 41, bytes, size), SAGA_RECORD_CHECKSUM);
    ck_assert_int_eq(saga_block_open(&block, 43, bytes, size), SAGA_RECORD_CHECKSUM);
    ck_assert_int_eq(saga_block_open(&block, 0, bytes, size), SAGA_RECORD_CHECKSUM);
}
END_TEST

/* Puts the right checksum under wrong bytes. */
static void sum(uint8_t *bytes, size_t size, uint64_t first_lsn) {
    XXH64_canonicalFromHash((XXH64_canonical_t *)bytes,
                            XXH3_64bits_withSeed(bytes + 8, size - 8, first_lsn));
}

START_TEST(a_block_of_a_newer_format_says_so) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 3, &written);
    bytes[13] = SAGA_RECORD_FORMAT + 1;
    sum(bytes, size, 42);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 42, bytes, size), SAGA_RECORD_FORMAT_NEWER);
    bytes[13] = 0;
    sum(bytes, size, 42);
    ck_assert_int_eq(saga_block_open(&block, 42, bytes, size), SAGA_RECORD_MALFORMED);
}
END_TEST

/* What a program with a bug, or an attacker, could write: good checksum, bad
 * structure. */
START_TEST(a_well_summed_block_of_bad_structure_is_refused) {
    uint8_t good[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(good, sizeof good, 42, 5, &written);
    struct {
        const char *what;
        size_t at;
        uint16_t value;
    } changes[] = {
        {"magic", 8, 0x5858},
        {"no records", 14, 0},
        {"more records than offsets", 14, 6},
        {"more records than bytes", 14, 0xffff},
        {"fewer records than offsets", 14, 4},
        {"first LSN", 22, 43},
        {"first offset in the header", size - 10, 8},
        {"first offset behind the header", size - 10, 25},
        {"offset behind its successor", size - 8, 0xffff},
        {"offset before its predecessor", size - 6, 24},
        {"last offset in the offsets", size - 2, (uint16_t)(size - 10)},
        {"last offset behind the block", size - 2, 0xffff},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t bytes[sizeof good];
        memcpy(bytes, good, sizeof good);
        bytes[changes[i].at] = (uint8_t)(changes[i].value >> 8);
        bytes[changes[i].at + 1] = (uint8_t)changes[i].value;
        sum(bytes, size, 42);
        ck_assert_msg(open_copy(bytes, size, 42) == SAGA_RECORD_MALFORMED, "accepted: %s",
                      changes[i].what);
    }
    uint8_t header[SAGA_BLOCK_HEADER_BYTES];
    memcpy(header, good, sizeof header);
    sum(header, sizeof header, 42);
    ck_assert_int_eq(open_copy(header, sizeof header, 42), SAGA_RECORD_MALFORMED);
}
END_TEST

START_TEST(random_well_summed_blocks_are_read_inside_their_bytes) {
    struct splitmix random = {1234};
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 20, &written);
    unsigned read = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t *exact = malloc(size);
        CHECK_THAT(exact != NULL);
        memcpy(exact, bytes, size);
        for (uint64_t k = 0; k <= splitmix_below(&random, 8); k++) {
            exact[12 + splitmix_below(&random, size - 12)] = (uint8_t)splitmix_next(&random);
        }
        sum(exact, size, 42);
        struct saga_block block;
        if (saga_block_open(&block, 42, exact, size) == SAGA_RECORD_OK) {
            for (uint32_t k = 0; k < block.record_count; k++) {
                struct saga_record record;
                read += saga_block_record(&block, k, &record) == SAGA_RECORD_OK;
            }
        }
        free(exact);
    }
    CHECK_THAT(read > 20000); /* else it never came past saga_block_open() */
}
END_TEST

int main(void) {
    Suite *suite = suite_create("block");
    TCase *tests = tcase_create("blocks");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_block_gives_its_records_back);
    tcase_add_test(tests, a_full_block_is_nearly_a_page);
    tcase_add_test(tests, a_block_of_the_smallest_records_holds_the_most);
    tcase_add_test(tests, a_large_record_has_a_block_of_its_own);
    tcase_add_test(tests, a_block_being_written_can_be_read);
    tcase_add_test(tests, every_truncation_of_a_block_is_refused);
    tcase_add_test(tests, every_flipped_bit_of_a_block_is_refused);
    tcase_add_test(tests, a_block_at_another_place_is_refused);
    tcase_add_test(tests, a_block_of_a_newer_format_says_so);
    tcase_add_test(tests, a_well_summed_block_of_bad_structure_is_refused);
    tcase_add_test(tests, random_well_summed_blocks_are_read_inside_their_bytes);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
