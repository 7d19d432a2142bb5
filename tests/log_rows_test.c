/* The tables beside the records: rows come and go with their batch, in order,
 * and damage is named. (What the disk makes of them is asked by every test that reads the
 * ledger, whose records bring rows with them.) */
#include "check_run.h"
#include "log_scene.h"
#include "rows.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct saga_bytes text(const char *bytes) {
    return (struct saga_bytes){.data = bytes, .size = (uint32_t)strlen(bytes)};
}

static enum saga_error row_of(struct saga_log *log, enum saga_log_table table, const char *key,
                              struct saga_bytes *value, struct saga_fault *fault) {
    struct saga_log_reader *reader;
    ck_assert_msg(saga_log_committed(log, &reader, fault) == SAGA_OK, "%s", fault->text);
    return saga_log_reader_row(reader, table, text(key), value, fault);
}

static void assert_value(struct saga_log *log, enum saga_log_table table, const char *key,
                         const char *expected) {
    struct saga_bytes value;
    struct saga_fault fault = {0};
    const enum saga_error error = row_of(log, table, key, &value, &fault);
    if (expected == NULL) {
        ck_assert_int_eq(error, SAGA_ERROR_NOT_FOUND);
        return;
    }
    ck_assert_msg(error == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(value.size, strlen(expected));
    ck_assert_mem_eq(value.data, expected, value.size);
}

START_TEST(rows_are_seen_after_their_commit) {
    struct saga_log *log = scene_open();
    saga_log_put(log, SAGA_TABLE_OPEN, text("a"), text("one"));
    assert_value(log, SAGA_TABLE_OPEN, "a", NULL);
    scene_flush(log); /* no record came with it */
    assert_value(log, SAGA_TABLE_OPEN, "a", "one");
    assert_value(log, SAGA_TABLE_DONE, "a", NULL); /* each table is its own */
    assert_value(log, SAGA_TABLE_OPEN, "", NULL);
    assert_value(log, SAGA_TABLE_OPEN, "aa", NULL);
    saga_log_close(log);
    log = scene_open();
    assert_value(log, SAGA_TABLE_OPEN, "a", "one");
    saga_log_close(log);
}
END_TEST

START_TEST(the_last_change_of_a_batch_counts) {
    struct saga_log *log = scene_open();
    saga_log_put(log, SAGA_TABLE_OPEN, text("a"), text("one"));
    saga_log_put(log, SAGA_TABLE_OPEN, text("a"), text("another"));
    saga_log_put(log, SAGA_TABLE_OPEN, text("b"), text("two"));
    saga_log_remove(log, SAGA_TABLE_OPEN, text("b"));
    saga_log_remove(log, SAGA_TABLE_OPEN, text("c"));
    saga_log_put(log, SAGA_TABLE_OPEN, text("c"), text(""));
    saga_log_remove(log, SAGA_TABLE_OPEN, text("never there"));
    scene_flush(log);
    assert_value(log, SAGA_TABLE_OPEN, "a", "another");
    assert_value(log, SAGA_TABLE_OPEN, "b", NULL);
    assert_value(log, SAGA_TABLE_OPEN, "c", "");
    saga_log_close(log);
}
END_TEST

/* LMDB keeps the pages of a longer value for the shorter one that replaces it, and the walk over
 * its trees would count others than there are. */
START_TEST(a_row_may_become_shorter_and_longer) {
    static const uint32_t sizes[] = {0,    1,     100, 2000, 2100,
                                     4064, 20000, 3,   9000, SAGA_ROW_VALUE_BYTES_MAX};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    static uint8_t bytes[SAGA_ROW_VALUE_BYTES_MAX];
    memset(bytes, 'x', sizeof bytes);
    for (size_t before = 0; before < COUNT; before++) {
        for (size_t after = 0; after < COUNT; after++) {
            struct saga_log *log = scene_open(); /* which walks the trees */
            saga_log_put(log, SAGA_TABLE_KEPT, text("k"),
                         (struct saga_bytes){.data = bytes, .size = sizes[before]});
            scene_flush(log);
            saga_log_put(log, SAGA_TABLE_KEPT, text("k"),
                         (struct saga_bytes){.data = bytes, .size = sizes[after]});
            scene_flush(log);
            struct saga_bytes value;
            struct saga_fault fault;
            ck_assert_int_eq(row_of(log, SAGA_TABLE_KEPT, "k", &value, &fault), SAGA_OK);
            ck_assert_uint_eq(value.size, sizes[after]);
            saga_log_close(log);
        }
    }
    saga_log_close(scene_open());
}
END_TEST

static void put_numbers(struct saga_log *log) {
    static const char *const keys[] = {"30", "10", "20", "2", "9"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        saga_log_put(log, SAGA_TABLE_DONE, text(keys[i]), text(keys[i]));
    }
    scene_flush(log);
}

/* Says the keys one after the other, from where the reader stands. */
static void assert_steps(struct saga_log_reader *reader, bool forward,
                         const char *const *expected) {
    struct saga_log_row row;
    struct saga_fault fault;
    for (size_t i = 0; expected[i] != NULL; i++) {
        ck_assert_int_eq(saga_log_reader_step_row(reader, SAGA_TABLE_DONE, forward, &row, &fault),
                         SAGA_OK);
        ck_assert_uint_eq(row.key.size, strlen(expected[i]));
        ck_assert_mem_eq(row.key.data, expected[i], row.key.size);
        ck_assert_mem_eq(row.value.data, expected[i], row.value.size);
    }
    ck_assert_int_eq(saga_log_reader_step_row(reader, SAGA_TABLE_DONE, forward, &row, &fault),
                     SAGA_ERROR_NOT_FOUND);
}

START_TEST(a_table_is_walked_both_ways) {
    struct saga_log *log = scene_open();
    put_numbers(log);
    struct saga_log_reader *reader;
    struct saga_log_row row;
    struct saga_fault fault;
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, text("15"), &row, &fault),
                     SAGA_OK);
    ck_assert_mem_eq(row.key.data, "2", 1);
    ck_assert_uint_eq(row.key.size, 1);
    assert_steps(reader, true, (const char *const[]){"20", "30", "9", NULL});
    ck_assert_int_eq(saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, text("20"), &row, &fault),
                     SAGA_OK);
    assert_steps(reader, false, (const char *const[]){"2", "10", NULL});
    ck_assert_int_eq(saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, text(":"), &row, &fault),
                     SAGA_ERROR_NOT_FOUND);
    assert_steps(reader, false, (const char *const[]){"9", "30", "20", "2", "10", NULL});
    ck_assert_int_eq(
        saga_log_reader_seek_row(reader, SAGA_TABLE_DONE, (struct saga_bytes){0}, &row, &fault),
        SAGA_OK);
    ck_assert_mem_eq(row.key.data, "10", 2);
    uint64_t count;
    ck_assert_int_eq(saga_log_reader_row_count(reader, SAGA_TABLE_DONE, &count, &fault), SAGA_OK);
    ck_assert_uint_eq(count, 5);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

START_TEST(a_reader_sees_the_rows_of_its_view) {
    struct saga_log *log = scene_open();
    struct saga_log_reader *reader;
    struct saga_bytes value;
    struct saga_fault fault;
    saga_log_put(log, SAGA_TABLE_OPEN, text("a"), text("old"));
    scene_flush(log);
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    saga_log_put(log, SAGA_TABLE_OPEN, text("a"), text("new"));
    scene_flush(log);
    ck_assert_int_eq(saga_log_reader_row(reader, SAGA_TABLE_OPEN, text("a"), &value, &fault),
                     SAGA_OK);
    ck_assert_mem_eq(value.data, "old", 3);
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_row(reader, SAGA_TABLE_OPEN, text("a"), &value, &fault),
                     SAGA_OK);
    ck_assert_mem_eq(value.data, "new", 3);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

START_TEST(a_checkpoint_is_set_with_its_batch) {
    struct saga_log *log = scene_open();
    scene_append(log, 10);
    ck_assert_uint_eq(saga_log_checkpoint(log).lsn, 0);
    const struct saga_checkpoint checkpoint = {.lsn = 7, .epoch = 1, .epoch_ms = -5};
    saga_log_set_checkpoint(log, &checkpoint);
    saga_log_close(log);
    log = scene_open(); /* it was not flushed */
    ck_assert_uint_eq(saga_log_checkpoint(log).lsn, 0);
    saga_log_set_checkpoint(log, &checkpoint);
    scene_flush(log); /* nothing else came with it */
    saga_log_close(log);
    log = scene_inspect();
    ck_assert_uint_eq(saga_log_checkpoint(log).lsn, 7);
    ck_assert_uint_eq(saga_log_checkpoint(log).epoch, 1);
    ck_assert_int_eq(saga_log_checkpoint(log).epoch_ms, -5);
    struct saga_log_reader *reader;
    struct saga_fault fault;
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_uint_eq(saga_log_reader_checkpoint(reader).lsn, 7);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

START_TEST(a_checkpoint_ahead_of_what_is_durable_is_an_assertion) {
    struct saga_log *log = scene_open();
    ledger_append(log, 10);
    saga_log_set_checkpoint(log, &(struct saga_checkpoint){.lsn = 10, .epoch = 1});
}
END_TEST

/* The place of `wanted` in data.mdb, which has it once. */
static off_t offset_of(const uint8_t *bytes, size_t size, const char *wanted) {
    const uint8_t *found = memmem(bytes, size, wanted, strlen(wanted));
    ck_assert_ptr_nonnull(found);
    const size_t after = (size_t)(found - bytes) + 1;
    ck_assert_ptr_null(memmem(bytes + after, size - after, wanted, strlen(wanted)));
    return found - bytes;
}

/* Writes over bytes of data.mdb. */
static void overwrite(const char *wanted, const char *by) {
    static uint8_t bytes[1 << 20];
    const int fd = open(scratch_file(&scene, "log/data.mdb"), O_RDWR | O_CLOEXEC);
    const ssize_t size = read(fd, bytes, sizeof bytes);
    ck_assert_int_gt(size, 0);
    const off_t offset = offset_of(bytes, (size_t)size, wanted);
    ck_assert_int_eq(pwrite(fd, by, strlen(by), offset), (ssize_t)strlen(by));
    ck_assert_int_eq(close(fd), 0);
}

static const struct {
    const char *wanted, *by;
} damages[] = {
    {"the value of row", "the value of Row"}, /* the value */
    {"KEY-OF-IT", "KEY-OF-XX"},               /* a row that stands for another one's */
};

START_TEST(a_damaged_row_is_named) {
    struct saga_log *log = scene_open();
    scene_append(log, 3);
    saga_log_put(log, SAGA_TABLE_OPEN, text("KEY-OF-IT"), text("the value of row"));
    scene_flush(log);
    saga_log_close(log);
    overwrite(damages[_i].wanted, damages[_i].by);
    log = scene_inspect();
    struct saga_log_reader *reader;
    struct saga_log_row row;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_seek_row(reader, SAGA_TABLE_OPEN, text("KEY"), &row, &fault),
                     SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "of its table open"));
    ck_assert_ptr_nonnull(strstr(fault.text, "row 4b45592d4f462d")); /* "KEY-OF-" */
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

/* The same bytes under another key, or in another table, are no row. */
START_TEST(a_value_is_good_in_its_place_alone) {
    struct saga_rows rows = {0};
    struct saga_bytes value;
    ck_assert(saga_rows_put(&rows, SAGA_TABLE_OPEN, text("a"), text("one")));
    saga_rows_close(&rows);
    const struct saga_bytes stored = rows.changes[0].value;
    ck_assert(saga_row_open(SAGA_TABLE_OPEN, text("a"), stored, &value));
    ck_assert_uint_eq(value.size, 3);
    ck_assert(!saga_row_open(SAGA_TABLE_OPEN, text("b"), stored, &value));
    ck_assert(!saga_row_open(SAGA_TABLE_DONE, text("a"), stored, &value));
    for (uint32_t size = 0; size < stored.size; size++) {
        const struct saga_bytes cut = {.data = stored.data, .size = size};
        ck_assert(!saga_row_open(SAGA_TABLE_OPEN, text("a"), cut, &value));
    }
    saga_rows_fini(&rows);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log rows");
    TCase *rows = scene_group(suite, "rows");
    tcase_add_test(rows, rows_are_seen_after_their_commit);
    tcase_add_test(rows, the_last_change_of_a_batch_counts);
    tcase_add_test(rows, a_row_may_become_shorter_and_longer);
    tcase_add_test(rows, a_table_is_walked_both_ways);
    tcase_add_test(rows, a_reader_sees_the_rows_of_its_view);
    TCase *checkpoint = scene_group(suite, "checkpoint");
    tcase_add_test(checkpoint, a_checkpoint_is_set_with_its_batch);
    tcase_add_test_raise_signal(checkpoint, a_checkpoint_ahead_of_what_is_durable_is_an_assertion,
                                SIGABRT);
    TCase *damage = scene_group(suite, "damage");
    tcase_add_loop_test(damage, a_damaged_row_is_named, 0, 2);
    tcase_add_test(damage, a_value_is_good_in_its_place_alone);
    return check_run(suite);
}
