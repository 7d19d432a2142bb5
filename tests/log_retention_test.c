/* The front of the log: blocks that are dropped, and records that are kept of them. */
#include "log.h"

#include "check_run.h"
#include "log_scene.h"
#include "tables.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* What is not kept cannot be had, whoever asks, and the text says why. */
static void assert_purged(struct saga_log *log, uint64_t lsn) {
    const struct saga_id saga = ledger_record(lsn).saga;
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_read(log, NULL, lsn, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, &saga, lsn, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(fault.text, "was purged: the log begins with record"));
}

static void assert_kept(struct saga_log *log, uint64_t lsn) {
    struct saga_id saga = ledger_record(lsn).saga;
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_read(log, &saga, lsn, &record, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(record.lsn, lsn);
    ck_assert(ledger_holds(&record));
    /* It is of that saga, and of no other. */
    ck_assert_int_eq(saga_log_read(log, NULL, lsn, &record, &fault), SAGA_ERROR_NOT_FOUND);
    saga.bytes[0] ^= 1;
    ck_assert_int_eq(saga_log_read(log, &saga, lsn, &record, &fault), SAGA_ERROR_NOT_FOUND);
}

static void purge(struct saga_log *log, uint64_t distance) {
    struct saga_fault fault = {0};
    ck_assert_msg(ledger_purge(log, distance, &fault) == SAGA_OK, "%s", fault.text);
}

/* All of the log, and what it says of itself. */
static void assert_whole(struct saga_log *log, uint64_t first, uint64_t last) {
    struct saga_log_usage usage;
    scene_assert_content(log, last);
    saga_log_usage(log, &usage);
    ck_assert_uint_eq(saga_log_first_lsn(log), first);
    ck_assert_uint_eq(usage.records, last - first + 1);
}

static struct saga_log *reopen(struct saga_log *log) {
    saga_log_close(log);
    return scene_open();
}

/* Batches of 10 records; several blocks each. */
static struct saga_log *open_with(uint64_t records) {
    struct saga_log *log = scene_open();
    for (uint64_t i = 0; i < records / 10; i++) {
        scene_append(log, 10);
    }
    return log;
}

START_TEST(what_is_dropped_is_gone_and_what_is_kept_stays) {
    struct saga_log *log = open_with(400);
    purge(log, 100);
    const uint64_t first = saga_log_first_lsn(log);
    ck_assert_uint_gt(first, 250);
    ck_assert_uint_le(first, 301);
    scene_assert_reads(log, 1); /* until the flush */
    scene_flush(log);
    for (int i = 0; i < 3; i++) {
        assert_whole(log, first, 400);
        for (uint64_t lsn = 1; lsn < first; lsn++) {
            if (ledger_keeps(lsn)) {
                assert_kept(log, lsn);
            } else {
                assert_purged(log, lsn);
            }
        }
        for (uint64_t lsn = first; lsn <= 400; lsn++) {
            scene_assert_reads(log, lsn);
        }
        log = reopen(log);
    }
    saga_log_close(log);
    log = scene_inspect();
    assert_whole(log, first, 400);
    saga_log_close(log);
}
END_TEST

/* A block at a time, each in a batch of its own or with others, with records or without. */
START_TEST(blocks_go_one_by_one) {
    struct saga_log *log = open_with(300);
    struct saga_fault fault = {0};
    uint64_t last = 300;
    unsigned dropped = 0;
    while (saga_log_first_lsn(log) < 250) {
        const uint64_t first = saga_log_first_lsn(log);
        uint64_t block_last = 0;
        ck_assert_int_eq(saga_log_first_block(log, &block_last, &fault), SAGA_OK);
        purge(log, saga_log_durable(log) - block_last);
        ck_assert_uint_eq(saga_log_first_lsn(log), block_last + 1);
        ck_assert_uint_gt(block_last + 1, first);
        dropped++;
        if (dropped % 3 == 0) {
            ledger_append(log, 2);
            last += 2;
        }
        if (dropped % 2 == 0) {
            scene_flush(log);
            assert_whole(log, block_last + 1, last);
        }
        if (dropped % 7 == 0) {
            scene_flush(log);
            log = reopen(log);
        }
    }
    ck_assert_uint_gt(dropped, 20);
    scene_flush(log);
    log = reopen(log);
    assert_whole(log, saga_log_first_lsn(log), last);
    saga_log_close(log);
}
END_TEST

/* Down to the last block, and then to none: LSNs and epochs go on. */
START_TEST(a_log_of_which_all_is_dropped_goes_on) {
    struct saga_log *log = open_with(300);
    struct saga_fault fault = {0};
    uint64_t last = 0;
    purge(log, 1);
    scene_flush(log);
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
    ck_assert_uint_eq(last, 300); /* one block is left */
    log = reopen(log);
    assert_whole(log, saga_log_first_lsn(log), 300);
    purge(log, 0);
    scene_flush(log);
    for (int i = 0; i < 2; i++) {
        assert_whole(log, 301, 300);
        ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_ERROR_NOT_FOUND);
        ck_assert_uint_eq(saga_log_next_lsn(log), 301);
        ck_assert_uint_eq(saga_log_epoch(log), ledger_record(300).epoch);
        assert_purged(log, 300);
        assert_kept(log, 291);
        log = reopen(log);
    }
    scene_append(log, 10);
    log = reopen(log);
    assert_whole(log, 301, 310);
    /* A block that is only in the batch is none that can go. */
    purge(log, 0);
    ledger_append(log, 10);
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_ERROR_NOT_FOUND);
    scene_flush(log);
    assert_whole(log, 311, 320);
    saga_log_close(log);
}
END_TEST

START_TEST(who_reads_sees_what_was_there) {
    struct saga_log *log = open_with(400);
    struct saga_log_reader *reader;
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
    for (int i = 0; i < 50; i++) { /* pages that were freed would be written over by now */
        purge(log, 100);
        scene_append(log, 20);
    }
    ck_assert_uint_eq(saga_log_reader_first(reader), 1);
    for (uint64_t lsn = 2; lsn <= 400; lsn++) {
        ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
        ck_assert_uint_eq(record.lsn, lsn);
        ck_assert(ledger_holds(&record));
    }
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_OK);
    ck_assert_uint_eq(saga_log_reader_first(reader), saga_log_first_lsn(log));
    /* Where it stood there is nothing any more. */
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_ERROR_NOT_FOUND);
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
    ck_assert(ledger_holds(&record));
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

/* Reading a kept record moves nothing that somebody steps through. */
START_TEST(kept_records_are_read_beside_the_rows) {
    struct saga_log *log = open_with(200);
    struct saga_log_reader *reader;
    struct saga_log_row row;
    struct saga_record record;
    struct saga_fault fault = {0};
    const struct saga_id saga = ledger_record(1).saga;
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    purge(log, 50);
    scene_flush(log);
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    saga_kept_key(&saga, 0, key);
    enum saga_error error = saga_log_reader_seek_row(
        reader, SAGA_TABLE_KEPT, (struct saga_bytes){.data = key, .size = sizeof key}, &row,
        &fault);
    unsigned count = 0;
    for (uint64_t lsn = 1; lsn < saga_log_first_lsn(log); lsn += 16, count++) {
        ck_assert_int_eq(error, SAGA_OK);
        ck_assert_int_eq(saga_kept_row_decode(&record, row.key, row.value), SAGA_RECORD_OK);
        ck_assert_uint_eq(record.lsn, lsn);
        ck_assert(ledger_holds(&record));
        ck_assert_int_eq(saga_log_reader_read(reader, &saga, 1, &record, &fault), SAGA_OK);
        error = saga_log_reader_step_row(reader, SAGA_TABLE_KEPT, true, &row, &fault);
    }
    ck_assert_uint_gt(count, 5);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

/* Puts a row, and drops the block that its record was in. */
static struct saga_log *drop_all_with(enum saga_log_table table, const void *key, uint32_t key_size,
                                      const void *value, uint32_t size) {
    struct saga_log *log = open_with(20);
    purge(log, 0);
    saga_log_put(log, table, (struct saga_bytes){.data = key, .size = key_size},
                 (struct saga_bytes){.data = value, .size = size});
    scene_flush(log);
    return log;
}

START_TEST(a_definition_is_found_where_it_is_kept) {
    static const struct saga_record loaded = {
        .fact = SAGA_DEFINITION_LOADED, .step = SAGA_STEP_NONE, .epoch = 1, .key = {"hash", 4}};
    uint8_t key[SAGA_DEFINITION_KEY_BYTES];
    uint8_t bytes[256];
    struct saga_record record;
    struct saga_fault fault = {0};
    saga_definition_key(5, key);
    const size_t size = saga_record_encode(&loaded, bytes);
    struct saga_log *log =
        drop_all_with(SAGA_TABLE_DEFINITIONS, key, sizeof key, bytes, (uint32_t)size);
    ck_assert_int_eq(saga_log_read(log, NULL, 5, &record, &fault), SAGA_OK);
    ck_assert_uint_eq(record.lsn, 5);
    ck_assert_int_eq(record.fact, SAGA_DEFINITION_LOADED);
    ck_assert_mem_eq(record.key.data, "hash", 4);
    ck_assert_int_eq(saga_log_read(log, NULL, 6, &record, &fault), SAGA_ERROR_NOT_FOUND);
    saga_log_close(log);
}
END_TEST

/* Rows with a good checksum, and yet none that the log could have written. */
START_TEST(kept_records_that_cannot_be_are_refused) {
    const struct saga_id saga = ledger_record(7).saga;
    struct saga_record wrong[4];
    for (int i = 0; i < 4; i++) {
        wrong[i] = ledger_record(7);
    }
    wrong[0].saga.bytes[3] ^= 1;
    wrong[1].previous_lsn = 7;
    wrong[2].epoch = 99;
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    uint8_t bytes[1024];
    struct saga_record record;
    struct saga_fault fault = {0};
    const uint32_t size = (uint32_t)saga_record_encode(&wrong[_i], bytes);
    saga_kept_key(&saga, 7, key);
    struct saga_log *log =
        drop_all_with(SAGA_TABLE_KEPT, key, sizeof key, bytes, _i == 3 ? size - 1 : size);
    ck_assert_int_eq(saga_log_read(log, &saga, 7, &record, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "record 7: "));
    ck_assert_ptr_nonnull(strstr(fault.text, "Restore"));
    saga_log_close(log);
}
END_TEST

START_TEST(the_largest_record_can_be_kept) {
    const size_t most = SAGA_PAYLOAD_BYTES_MAX;
    uint8_t *payload = malloc(most);
    ck_assert_ptr_nonnull(payload);
    memset(payload, 0x55, most);
    struct saga_record record = ledger_record(1);
    struct saga_fault fault = {0};
    record.payload = record.content =
        (struct saga_bytes){.data = payload, .size = SAGA_PAYLOAD_BYTES_MAX};
    record.key = (struct saga_bytes){.data = payload, .size = SAGA_KEY_BYTES_MAX};
    struct saga_log *log = scene_open();
    saga_log_append(log, &record);
    scene_flush(log);
    const struct saga_checkpoint checkpoint = {.lsn = 1, .epoch = record.epoch};
    uint64_t last = 0;
    saga_log_set_checkpoint(log, &checkpoint); /* in the same batch */
    saga_log_keep(log, &record);
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
    ck_assert_uint_eq(last, 1);
    saga_log_drop_block(log, last);
    scene_flush(log);
    log = reopen(log);
    const struct saga_id saga = record.saga;
    memset(&record, 0, sizeof record);
    ck_assert_int_eq(saga_log_read(log, &saga, 1, &record, &fault), SAGA_OK);
    ck_assert_uint_eq(record.content.size, SAGA_PAYLOAD_BYTES_MAX);
    ck_assert_mem_eq(record.content.data, payload, most);
    saga_log_close(log);
    free(payload);
}
END_TEST

/* ------------------------------------------------------------------- room */

/* At a constant distance the file does not grow. */
START_TEST(pages_that_are_freed_are_used_again) {
    enum { BATCH = 500, DISTANCE = 10000, RECORDS = 200000 };
    struct saga_log *log = scene_open();
    struct saga_log_usage usage;
    uint64_t bytes_early = 0;
    static const uint8_t payload[120] = {7};
    for (uint64_t lsn = 1; lsn <= RECORDS; lsn++) {
        const struct saga_record record = {.lsn = lsn,
                                           .saga.bytes = {1},
                                           .fact = SAGA_REPLY_RECEIVED,
                                           .epoch = 1,
                                           .step = SAGA_STEP_NONE,
                                           .payload = {payload, sizeof payload}};
        saga_log_append(log, &record);
        if (lsn % BATCH != 0) {
            continue;
        }
        const uint64_t through = lsn > DISTANCE + BATCH ? lsn - BATCH - DISTANCE : 0;
        const struct saga_checkpoint checkpoint = {.lsn = through, .epoch = through > 0 ? 1 : 0};
        struct saga_fault fault;
        uint64_t last = 0;
        saga_log_set_checkpoint(log, &checkpoint);
        while (saga_log_first_block(log, &last, &fault) == SAGA_OK && last <= through) {
            saga_log_drop_block(log, last);
        }
        scene_flush(log);
        if (lsn == RECORDS / 10) {
            saga_log_usage(log, &usage);
            bytes_early = usage.bytes;
        }
    }
    saga_log_usage(log, &usage);
    ck_assert_uint_gt(saga_log_first_lsn(log), RECORDS - DISTANCE - 2 * BATCH);
    ck_assert_uint_gt(bytes_early, (uint64_t)DISTANCE * sizeof payload);
    ck_assert_msg(usage.bytes <= bytes_early + bytes_early / 50, "%llu bytes became %llu",
                  (unsigned long long)bytes_early, (unsigned long long)usage.bytes);
    saga_log_close(log);
}
END_TEST

/* -------------------------------------------------------- what must not be */

static void set_checkpoint(struct saga_log *log, uint64_t lsn) {
    const struct saga_checkpoint checkpoint = {.lsn = lsn, .epoch = ledger_record(lsn).epoch};
    saga_log_set_checkpoint(log, &checkpoint);
}

static uint64_t first_block(struct saga_log *log) {
    struct saga_fault fault;
    uint64_t last = 0;
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
    return last;
}

START_TEST(dropping_beyond_the_checkpoint_is_an_assertion) {
    struct saga_log *log = open_with(100);
    const uint64_t last = first_block(log);
    ck_assert_uint_gt(last, 1);
    set_checkpoint(log, last - 1);
    saga_log_drop_block(log, last);
}
END_TEST

START_TEST(dropping_another_block_than_the_first_is_an_assertion) {
    struct saga_log *log = open_with(100);
    set_checkpoint(log, 100);
    saga_log_drop_block(log, first_block(log) + 1);
}
END_TEST

START_TEST(dropping_a_block_twice_is_an_assertion) {
    struct saga_log *log = open_with(100);
    const uint64_t last = first_block(log);
    set_checkpoint(log, 100);
    saga_log_drop_block(log, last);
    saga_log_drop_block(log, last);
}
END_TEST

START_TEST(dropping_after_a_flush_asks_again) {
    struct saga_log *log = open_with(100);
    set_checkpoint(log, 100);
    const uint64_t last = first_block(log);
    scene_flush(log);
    saga_log_drop_block(log, last);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("log retention");
    TCase *front = scene_group(suite, "the front");
    tcase_add_test(front, what_is_dropped_is_gone_and_what_is_kept_stays);
    tcase_add_test(front, blocks_go_one_by_one);
    tcase_add_test(front, a_log_of_which_all_is_dropped_goes_on);
    tcase_add_test(front, who_reads_sees_what_was_there);
    TCase *kept = scene_group(suite, "kept");
    tcase_add_test(kept, kept_records_are_read_beside_the_rows);
    tcase_add_test(kept, a_definition_is_found_where_it_is_kept);
    tcase_add_loop_test(kept, kept_records_that_cannot_be_are_refused, 0, 4);
    tcase_add_test(kept, the_largest_record_can_be_kept);
    TCase *room = scene_group(suite, "room");
    tcase_add_test(room, pages_that_are_freed_are_used_again);
    TCase *impossible = tcase_create("impossible states");
    tcase_add_unchecked_fixture(impossible, scene_setup, scene_teardown);
    tcase_add_test_raise_signal(impossible, dropping_beyond_the_checkpoint_is_an_assertion,
                                SIGABRT);
    tcase_add_test_raise_signal(impossible, dropping_another_block_than_the_first_is_an_assertion,
                                SIGABRT);
    tcase_add_test_raise_signal(impossible, dropping_a_block_twice_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, dropping_after_a_flush_asks_again, SIGABRT);
    suite_add_tcase(suite, impossible);
    return suite;
}

int main(void) {
    return check_run(suite());
}
