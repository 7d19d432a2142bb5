/* What stands in the log and is read by nobody is verified in the background: damage is found and
 * told, whatever else happens to the log meanwhile. */
#include "verifier.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bigendian.h"
#include "check_run.h"
#include "scratch.h"
#include "tables.h"
#include "trip_load.h"

#define STEPS              300
#define CHECKPOINT_RECORDS 100

static struct scratch scratch;
static struct saga_verifier *verifier;
static struct saga_journal journal = {.format = SAGA_JOURNAL_TEXT, .level = SAGA_JOURNAL_INFO};
static FILE *said; /* what the journal says, line by line */
static char line[4096];

static int make_log(void *unused) {
    (void)unused;
    struct trip_load load;
    trip_load_open(&load, scratch.path, 3, CHECKPOINT_RECORDS);
    for (int i = 0; i < STEPS; i++) {
        trip_load_step(&load);
    }
    trip_load_close();
    return 0;
}

static void set_up(void) {
    int fds[2];
    scratch_open_in_memory(&scratch);
    ck_assert_int_eq(pipe(fds), 0);
    journal.fd = fds[1];
    said = fdopen(fds[0], "r");
    ck_assert_ptr_nonnull(said);
    verifier = NULL;
}

static void tear_down(void) {
    (void)fclose(said);
    (void)close(journal.fd);
    scratch_close(&scratch);
}

/* The engine recovers from it, so recovery does not read what is damaged. */
static void open_all(void) {
    world_init(scratch.path);
    world.checkpoints.records = CHECKPOINT_RECORDS;
    world_sleep(INT64_C(90) * 86400000); /* ids are of their time: new ones */
    world_open();
}

static void start(int64_t interval_ms, uint64_t bytes_per_second) {
    const struct saga_verifier_options options = {.log = world.log,
                                                  .journal = &journal,
                                                  .interval_ms = interval_ms,
                                                  .bytes_per_second = bytes_per_second};
    struct saga_fault fault;
    ck_assert_int_eq(saga_verifier_start(&verifier, &options, &fault), SAGA_OK);
}

/* The next line that it says. */
static const char *listen(void) {
    ck_assert_ptr_nonnull(fgets(line, sizeof line, said));
    return line;
}

static struct saga_verifier_state state(void) {
    struct saga_verifier_state state;
    saga_verifier_look(verifier, &state);
    return state;
}

static uint64_t record_count(void) {
    struct saga_log_usage usage;
    saga_log_usage(world.log, &usage);
    return usage.records;
}

static void close_all(void) {
    saga_verifier_stop(verifier);
    world_close();
}

START_TEST(what_is_whole_is_said_to_be) {
    ck_assert_int_eq(child_run(make_log, NULL), 0);
    open_all();
    start(50, 0);
    ck_assert_ptr_nonnull(strstr(listen(), "are as they were written"));
    const struct saga_verifier_state found = state();
    ck_assert_uint_ge(found.runs, 1);
    ck_assert_uint_eq(found.records, record_count());
    ck_assert_uint_gt(found.rows, 20);
    ck_assert_uint_eq(found.damages_all, 0);
    ck_assert_int_gt(found.finished_ms, INT64_C(1600000000000));
    ck_assert_ptr_nonnull(strstr(listen(), "are as they were written")); /* and again */
    close_all();
}
END_TEST

/* ------------------------------------------------------------------- damage */

/* Flips a bit `offset` bytes behind wherever these bytes are in the file; copies of them may be in
 * pages that are free. */
static void flip_behind(const void *bytes, size_t size, size_t offset) {
    size_t file_size;
    const char *path = scratch_file(&scratch, "log/data.mdb");
    uint8_t *file = file_read(path, &file_size);
    unsigned count = 0;
    for (size_t at = 0; at + size + offset < file_size; at++) {
        if (memcmp(file + at, bytes, size) == 0) {
            file[at + size + offset] ^= 0x10;
            count++;
        }
    }
    ck_assert_uint_gt(count, 0);
    file_write(path, file, file_size);
    free(file);
}

/* In the block that begins with this record. */
static void flip_in_block(uint64_t lsn, uint32_t record_count) {
    uint8_t head[16] = {'S', 'G', 'B', 'K', 0, 1};
    saga_put16(head + 6, (uint16_t)record_count);
    saga_put64(head + 8, lsn);
    flip_behind(head, sizeof head, 20);
}

/* An old block: its first record, and how many it has. */
struct block {
    uint64_t first_lsn;
    uint32_t record_count;
};

static int find_block(void *found) {
    struct block *block = found;
    struct saga_log_reader *reader;
    struct saga_fault fault;
    world_init(scratch.path);
    world_open_log();
    ck_assert_int_eq(saga_log_reader_open(world.log, &reader, &fault), SAGA_OK);
    ck_assert_uint_gt(saga_log_reader_checkpoint(reader).lsn, 200);
    saga_log_reader_close(reader);
    uint64_t last = 0;
    const struct saga_checkpoint checkpoint = saga_log_checkpoint(world.log);
    for (unsigned i = 0; i < 20; i++) { /* nothing is flushed */
        ck_assert_int_eq(saga_log_first_block(world.log, &last, &fault), SAGA_OK);
        block->first_lsn = saga_log_first_lsn(world.log);
        block->record_count = (uint32_t)(last - block->first_lsn + 1);
        ck_assert_uint_lt(last, checkpoint.lsn);
        saga_log_drop_block(world.log, last);
    }
    saga_log_close(world.log);
    return 0;
}

static struct block old_block(void) {
    struct block block = {0};
    find_block(&block);
    ck_assert_uint_gt(block.first_lsn, 1);
    return block;
}

START_TEST(a_flipped_bit_in_an_old_block_is_found) {
    ck_assert_int_eq(child_run(make_log, NULL), 0);
    const struct block block = old_block();
    flip_in_block(block.first_lsn, block.record_count);
    open_all();
    char expected[64];
    (void)snprintf(expected, sizeof expected, "record %llu: ", (unsigned long long)block.first_lsn);
    start(50, 0);
    ck_assert_msg(strstr(listen(), expected) != NULL, "%s", line);
    ck_assert_ptr_nonnull(strstr(line, " error "));
    ck_assert_ptr_nonnull(strstr(line, "Restore data.mdb from a backup"));
    ck_assert_ptr_nonnull(strstr(listen(), "1 damages were found"));
    ck_assert_uint_eq(state().damages, 1);
    ck_assert_uint_eq(state().records, record_count() - block.record_count);
    /* Nobody needs it: work goes on. */
    world_define(trip_definition);
    world_commit();
    ck_assert_int_eq(trip_start("one more", "{}"), SAGA_RESULT_CREATED);
    ck_assert_ptr_nonnull(strstr(listen(), expected)); /* and it is said again */
    close_all();
}
END_TEST

START_TEST(a_flipped_bit_in_a_row_is_found) {
    uint8_t key[SAGA_DONE_KEY_BYTES];
    ck_assert_int_eq(child_run(make_log, NULL), 0);
    world_init(scratch.path);
    world_open_log();
    struct saga_log_reader *reader;
    struct saga_log_row row;
    struct saga_fault fault;
    ck_assert_int_eq(saga_log_reader_open(world.log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(
        saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, (struct saga_bytes){0}, &row, &fault),
        SAGA_OK);
    ck_assert_uint_eq(row.key.size, sizeof key);
    memcpy(key, row.key.data, sizeof key);
    saga_log_reader_close(reader);
    saga_log_close(world.log);
    flip_behind(key, sizeof key, 12);
    open_all();
    start(50, 0);
    ck_assert_msg(strstr(listen(), "of its table done does not match") != NULL, "%s", line);
    ck_assert_ptr_nonnull(strstr(listen(), "1 damages were found"));
    ck_assert_uint_eq(state().damages, 1);
    ck_assert_uint_eq(state().records, record_count());
    ck_assert_uint_gt(state().rows, 20); /* those behind it as well */
    close_all();
}
END_TEST

/* ------------------------------------------------------------ logs by hand */

static const uint8_t payload[2000] = {7};

static void append(uint8_t saga, enum saga_fact fact, uint64_t previous_lsn) {
    const struct saga_record record = {.lsn = saga_log_next_lsn(world.log),
                                       .previous_lsn = previous_lsn,
                                       .saga.bytes = {saga},
                                       .fact = (uint8_t)fact,
                                       .epoch = 1,
                                       .step = SAGA_STEP_NONE,
                                       .payload = {payload, sizeof payload}};
    saga_log_append(world.log, &record);
}

static void flush(void) {
    struct saga_fault fault;
    ck_assert_msg(saga_log_flush(world.log, &fault) == SAGA_OK, "%s", fault.text);
}

static void open_by_hand(void) {
    world_init(scratch.path);
    world_open_log();
}

static void close_by_hand(void) {
    saga_verifier_stop(verifier);
    saga_log_close(world.log);
}

/* Well summed, and yet no chain. */
START_TEST(a_broken_chain_is_found) {
    static const char *const expected[] = {"record 3: the record that it names is of another saga",
                                           "record 4: it names no record before it",
                                           "record 5: it starts a saga that was there before"};
    open_by_hand();
    append(1, SAGA_STARTED, 0);
    append(2, SAGA_STARTED, 0);
    append(2, SAGA_REPLY_RECEIVED, _i == 0 ? 1 : 2);
    append(1, SAGA_REPLY_RECEIVED, _i == 1 ? 0 : 1);
    append(2, _i == 2 ? SAGA_STARTED : SAGA_REPLY_RECEIVED, 3);
    append(0, SAGA_EPOCH_STARTED, 0);
    flush();
    start(50, 0);
    ck_assert_msg(strstr(listen(), expected[_i]) != NULL, "%s", line);
    ck_assert_ptr_nonnull(strstr(listen(), "1 damages were found"));
    ck_assert_uint_eq(state().records, 6);
    close_by_hand();
}
END_TEST

/* Blocks go, and others come, while it reads. */
START_TEST(a_log_that_is_written_meanwhile_is_whole) {
    enum { RECORDS = 600, ROUNDS = 400 };
    struct saga_fault fault;
    uint64_t last = 0;
    open_by_hand();
    for (unsigned i = 0; i < RECORDS; i++) {
        append((uint8_t)(1 + i % 7), i < 7 ? SAGA_STARTED : SAGA_REPLY_RECEIVED,
               i < 7 ? 0 : saga_log_next_lsn(world.log) - 7);
    }
    flush();
    journal.level = SAGA_JOURNAL_ERROR;
    start(1, 0);
    for (unsigned round = 0; round < ROUNDS || state().runs < 20; round++) {
        const struct saga_checkpoint checkpoint = {.lsn = saga_log_durable(world.log), .epoch = 1};
        saga_log_set_checkpoint(world.log, &checkpoint);
        for (unsigned i = 0; i < 7; i++) {
            append((uint8_t)(1 + (saga_log_next_lsn(world.log) - 1) % 7), SAGA_REPLY_RECEIVED,
                   saga_log_next_lsn(world.log) - 7);
        }
        while (saga_log_first_lsn(world.log) + RECORDS < saga_log_durable(world.log) &&
               saga_log_first_block(world.log, &last, &fault) == SAGA_OK) {
            saga_log_drop_block(world.log, last);
        }
        flush();
    }
    ck_assert_uint_eq(state().damages_all, 0);
    close_by_hand();
    journal.level = SAGA_JOURNAL_INFO;
}
END_TEST

/* At a byte a second it would take weeks. It is stopped sooner or later after its beginning. */
START_TEST(a_run_that_rests_is_stopped_at_once) {
    open_by_hand();
    for (unsigned i = 0; i < 2000; i++) {
        append(1, i == 0 ? SAGA_STARTED : SAGA_REPLY_RECEIVED, i);
    }
    flush();
    for (unsigned i = 0; i < 40; i++) {
        start(1, 1);
        for (unsigned turn = 0; turn < i * 200; turn++) {
            (void)sched_yield();
        }
        ck_assert_uint_eq(state().runs, 0);
        saga_verifier_stop(verifier);
    }
    saga_log_close(world.log);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("verifier");
    TCase *verifying = tcase_create("verifying");
    tcase_add_checked_fixture(verifying, set_up, tear_down);
    tcase_set_timeout(verifying, 60);
    tcase_add_test(verifying, what_is_whole_is_said_to_be);
    tcase_add_test(verifying, a_flipped_bit_in_an_old_block_is_found);
    tcase_add_test(verifying, a_flipped_bit_in_a_row_is_found);
    tcase_add_loop_test(verifying, a_broken_chain_is_found, 0, 3);
    tcase_add_test(verifying, a_log_that_is_written_meanwhile_is_whole);
    tcase_add_test(verifying, a_run_that_rests_is_stopped_at_once);
    suite_add_tcase(suite, verifying);
    return suite;
}

int main(void) {
    return check_run(suite());
}
