/* Logs that LMDB and the checksums find whole, and that still cannot be: what
 * a bug, or a disk that loses whole writes, might leave. */
#include "log.h"

#include "check_run.h"
#include "meta.h"
#include "scratch.h"
#include "store.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define MAP_BYTES   ((uint64_t)64 << 20)
#define BLOCKS_MAX  4
#define RECORDS_MAX 8
#define BLOCK_ROOM  8192

/* A block to be forged: records from `first` to `last`; 0: no more blocks. */
struct forged_block {
    uint64_t first;
    uint64_t last;
};

struct forgery {
    const char *what;
    struct forged_block blocks[BLOCKS_MAX];
    uint32_t epochs[RECORDS_MAX + 1];   /* by LSN; 0: 1 */
    uint64_t previous[RECORDS_MAX + 1]; /* by LSN */
    uint64_t base, last, block_count;   /* as the row meta says */
    uint32_t epoch;
    const char *refusal; /* what the fault says; NULL: nothing is wrong */
};

static const struct forgery forgeries[] = {
    {.what = "whole",
     .blocks = {{1, 3}, {4, 6}},
     .previous = {[2] = 1, [6] = 2},
     .base = 1,
     .last = 6,
     .block_count = 2,
     .epoch = 1,
     .refusal = NULL},
    {.what = "whole, without its beginning",
     .blocks = {{4, 6}, {7, 7}},
     .previous = {[5] = 2},
     .base = 4,
     .last = 7,
     .block_count = 2,
     .epoch = 1,
     .refusal = NULL},
    {.what = "a record is missing",
     .blocks = {{1, 3}, {5, 6}},
     .base = 1,
     .last = 6,
     .block_count = 2,
     .epoch = 1,
     .refusal = "record 4: it is missing: the next block begins with 5"},
    {.what = "a record is there twice",
     .blocks = {{1, 4}, {4, 6}},
     .base = 1,
     .last = 6,
     .block_count = 2,
     .epoch = 1,
     .refusal = "record 5: it is missing: the next block begins with 4"},
    {.what = "the last record is missing",
     .blocks = {{1, 3}, {4, 6}},
     .base = 1,
     .last = 7,
     .block_count = 2,
     .epoch = 1,
     .refusal = "record 7: it is missing: the block before it ends with 6"},
    {.what = "a record too many in the last block",
     .blocks = {{1, 3}, {4, 6}},
     .base = 1,
     .last = 5,
     .block_count = 2,
     .epoch = 1,
     .refusal = "its block ends with 6, but the log has 1 to 5"},
    {.what = "a block too many",
     .blocks = {{1, 3}, {4, 6}},
     .base = 1,
     .last = 3,
     .block_count = 2,
     .epoch = 1,
     .refusal = "record 4: it is there, and the log says that it ends with 3"},
    {.what = "a block that is not counted",
     .blocks = {{1, 3}, {4, 6}},
     .base = 1,
     .last = 6,
     .block_count = 1,
     .epoch = 1,
     .refusal = "it has 2 blocks of records, and says that it has 1"},
    {.what = "blocks in an empty log",
     .blocks = {{1, 3}},
     .base = 1,
     .last = 0,
     .block_count = 0,
     .epoch = 0,
     .refusal = "it has 1 blocks of records, and says that it has 0"},
    {.what = "the first record is missing",
     .blocks = {{2, 3}},
     .base = 1,
     .last = 3,
     .block_count = 1,
     .epoch = 1,
     .refusal = "record 1: it is missing, and all before it"},
    {.what = "records before the base",
     .blocks = {{1, 3}},
     .base = 2,
     .last = 3,
     .block_count = 1,
     .epoch = 1,
     .refusal = "record 1: its block ends with 3, but the log has 2 to 3"},
    {.what = "another daemon's record between",
     .blocks = {{1, 3}, {4, 6}},
     .epochs = {[3] = 2, [4] = 1, [5] = 2, [6] = 2},
     .base = 1,
     .last = 6,
     .block_count = 2,
     .epoch = 2,
     .refusal = "record 4: it is of epoch 1, the one before it of epoch 2"},
    {.what = "a record of an epoch that never was",
     .blocks = {{1, 3}, {4, 6}},
     .epochs = {[3] = 9},
     .base = 1,
     .last = 6,
     .block_count = 2,
     .epoch = 1,
     .refusal = "record 3: it is of epoch 9, the log of epoch 1"},
    {.what = "the last epoch is another",
     .blocks = {{1, 3}},
     .base = 1,
     .last = 3,
     .block_count = 1,
     .epoch = 2,
     .refusal = "record 3: it is of epoch 1, and the log says its last is of epoch 2"},
    {.what = "a chain that leads forward",
     .blocks = {{1, 6}},
     .previous = {[3] = 5},
     .base = 1,
     .last = 6,
     .block_count = 1,
     .epoch = 1,
     .refusal = "record 3: its saga's record before it is said to be 5"},
    {.what = "a chain that leads nowhere",
     .blocks = {{1, 6}},
     .previous = {[3] = 3},
     .base = 1,
     .last = 6,
     .block_count = 1,
     .epoch = 1,
     .refusal = "record 3: its saga's record before it is said to be 3"},
    {.what = "counts that contradict each other",
     .blocks = {{1, 3}},
     .base = 1,
     .last = 3,
     .block_count = 7,
     .epoch = 1,
     .refusal = "the row meta: its checksum matches, yet it is not of this format"},
};
#define FORGERY_COUNT ((int)(sizeof forgeries / sizeof forgeries[0]))

static struct scratch scratch;

static void setup(void) {
    scratch_open(&scratch);
}

static void teardown(void) {
    scratch_close(&scratch);
}

static struct saga_log *open_log(bool read_only, enum saga_error *error, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scratch.path, .map_bytes_max = MAP_BYTES, .read_only = read_only};
    struct saga_log *log = NULL;
    *error = saga_log_open(&log, &options, fault);
    return log;
}

static struct saga_block forge_block(const struct forgery *forgery,
                                     const struct forged_block *wanted, uint8_t *bytes) {
    struct saga_block_writer writer;
    saga_block_begin(&writer, wanted->first, bytes);
    for (uint64_t lsn = wanted->first; lsn <= wanted->last; lsn++) {
        struct saga_record record = {
            .lsn = lsn,
            .fact = SAGA_ENDED,
            .epoch = forgery->epochs[lsn] > 0 ? forgery->epochs[lsn] : 1,
            .previous_lsn = forgery->previous[lsn],
        };
        ck_assert_uint_le(saga_block_room(&writer, &record), BLOCK_ROOM);
        ck_assert(saga_block_add(&writer, &record));
    }
    size_t size = saga_block_commit(&writer);
    return (struct saga_block){bytes, size, wanted->first, writer.record_count};
}

/* Writes into an empty log what saga_log_append() would not take. */
static void forge(const struct forgery *forgery) {
    struct saga_store_options options = {.path = scratch_file(&scratch, "log"),
                                         .map_bytes_max = MAP_BYTES};
    struct saga_store *store;
    struct saga_store_view *view;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_store_open(&store, &options, &fault), SAGA_OK);
    ck_assert_int_eq(saga_store_view_open(store, &view, &fault), SAGA_OK);
    struct saga_meta meta = *saga_store_view_meta(view); /* for the identity */
    saga_store_view_close(view);
    meta.base_lsn = forgery->base;
    meta.last_lsn = forgery->last;
    meta.record_count = forgery->last - forgery->base + 1;
    meta.block_count = forgery->block_count;
    meta.epoch = forgery->epoch;
    if (forgery->base > 1) { /* what was before it is in the tables */
        meta.checkpoint = (struct saga_checkpoint){.lsn = forgery->base - 1, .epoch = 1};
    }
    struct saga_block blocks[BLOCKS_MAX];
    static uint8_t bytes[BLOCKS_MAX][BLOCK_ROOM];
    uint32_t count = 0;
    while (count < BLOCKS_MAX && forgery->blocks[count].first > 0) {
        blocks[count] = forge_block(forgery, &forgery->blocks[count], bytes[count]);
        count++;
    }
    const struct saga_store_commit commit = {.blocks = blocks, .block_count = count, .meta = &meta};
    ck_assert_msg(saga_store_commit(store, &commit, &fault) == SAGA_OK, "%s", fault.text);
    saga_store_close(store);
}

/* Opens and reads it all; the first error. */
static enum saga_error read_all(bool read_only, const struct forgery *forgery,
                                struct saga_fault *fault) {
    enum saga_error error;
    struct saga_log *log = open_log(read_only, &error, fault);
    if (error != SAGA_OK) {
        return error;
    }
    struct saga_log_reader *reader;
    ck_assert_int_eq(saga_log_reader_open(log, &reader, fault), SAGA_OK);
    struct saga_record record;
    uint64_t lsn = forgery->base;
    while ((error = saga_log_reader_next(reader, &record, fault)) == SAGA_OK) {
        ck_assert_uint_eq(record.lsn, lsn++);
    }
    if (error == SAGA_ERROR_NOT_FOUND) {
        ck_assert_uint_eq(lsn, forgery->last + 1);
        error = SAGA_OK;
    }
    saga_log_reader_close(reader);
    saga_log_close(log);
    return error;
}

START_TEST(a_log_that_cannot_be_is_refused) {
    const struct forgery *forgery = &forgeries[_i];
    enum saga_error error;
    struct saga_fault fault = {0};
    saga_log_close(open_log(false, &error, &fault));
    forge(forgery);
    for (int read_only = 0; read_only < 2; read_only++) {
        error = read_all(read_only != 0, forgery, &fault);
        if (forgery->refusal == NULL) {
            ck_assert_msg(error == SAGA_OK, "%s: %s", forgery->what, fault.text);
        } else {
            ck_assert_msg(error == SAGA_ERROR_LOG_REFUSED, "%s: taken", forgery->what);
            ck_assert_msg(strstr(fault.text, forgery->refusal) != NULL, "%s: it says: %s",
                          forgery->what, fault.text);
            ck_assert_ptr_nonnull(strstr(fault.text, scratch.path));
            ck_assert_ptr_nonnull(strstr(fault.text, "Restore"));
        }
    }
}
END_TEST

/* A log that begins later, as it will when old records are deleted. */
START_TEST(a_log_without_its_beginning_goes_on) {
    enum saga_error error;
    struct saga_fault fault = {0};
    saga_log_close(open_log(false, &error, &fault));
    forge(&forgeries[1]);
    struct saga_log *log = open_log(false, &error, &fault);
    ck_assert_int_eq(error, SAGA_OK);
    ck_assert_uint_eq(saga_log_next_lsn(log), 8);
    struct saga_record record = {.lsn = 8, .fact = SAGA_ENDED, .epoch = 1, .previous_lsn = 3};
    saga_log_append(log, &record);
    ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_read(log, NULL, 3, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, NULL, 4, &record, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_read(log, NULL, 8, &record, &fault), SAGA_OK);
    ck_assert_uint_eq(record.previous_lsn, 3);
    saga_log_close(log);
}
END_TEST

static const struct {
    const char *what, *refusal;
} fronts[] = {
    {"a record is there twice", "record 5: it should begin a block, and is in the one of 4"},
    {"a record is missing", "record 4: it is missing: the block before it ends with 3"},
};

/* Blocks that overlap, or leave a gap, are noticed before the second of them is dropped. */
START_TEST(a_front_that_cannot_be_is_not_dropped) {
    const struct forgery *forgery = NULL;
    for (int i = 0; i < FORGERY_COUNT && forgery == NULL; i++) {
        forgery = strcmp(forgeries[i].what, fronts[_i].what) == 0 ? &forgeries[i] : NULL;
    }
    ck_assert_ptr_nonnull(forgery);
    enum saga_error error;
    struct saga_fault fault = {0};
    uint64_t last = 0;
    saga_log_close(open_log(false, &error, &fault));
    forge(forgery);
    struct saga_log *log = open_log(false, &error, &fault);
    ck_assert_int_eq(error, SAGA_OK);
    const struct saga_checkpoint checkpoint = {.lsn = forgery->last, .epoch = 1};
    saga_log_set_checkpoint(log, &checkpoint);
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_OK);
    saga_log_drop_block(log, last);
    ck_assert_int_eq(saga_log_first_block(log, &last, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_msg(strstr(fault.text, fronts[_i].refusal) != NULL, "it says: %s", fault.text);
    saga_log_close(log);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("log reader");
    TCase *forged = tcase_create("forged logs");
    tcase_add_checked_fixture(forged, setup, teardown);
    tcase_add_loop_test(forged, a_log_that_cannot_be_is_refused, 0, FORGERY_COUNT);
    tcase_add_test(forged, a_log_without_its_beginning_goes_on);
    tcase_add_loop_test(forged, a_front_that_cannot_be_is_not_dropped, 0, 2);
    suite_add_tcase(suite, forged);
    return suite;
}

int main(void) {
    return check_run(suite());
}
