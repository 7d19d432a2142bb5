/* Runs of start keys on disk: each key is found, and no other; what is unfinished is no run; what
 * is damaged is refused. */
#include "key_run.h"

#include "check_run.h"
#include "log_scene.h"
#include "splitmix.h"

#include <string.h>

static struct saga_start_key key_of(uint64_t number) {
    struct splitmix random = {number + 1};
    struct saga_start_key key = {.key_hash = {splitmix_next(&random), splitmix_next(&random)},
                                 .input_hash = {number, ~number}};
    const uint64_t started_ms = 1767225600000 + number;
    for (int i = 0; i < 6; i++) { /* as a UUIDv7 begins */
        key.saga.bytes[i] = (uint8_t)(started_ms >> (8 * (5 - i)));
    }
    key.saga.bytes[6] = 0x70;
    memcpy(key.saga.bytes + 8, &number, sizeof number);
    return key;
}

/* Writes keys [from, from + count) as a run, without its head. */
static void write_keys(struct saga_log *log, struct saga_run_writer *writer, uint32_t number,
                       uint64_t from, uint64_t count) {
    struct saga_key_table table = {0};
    const struct saga_start_key *key;
    uint64_t cursor = 0;
    uint32_t piece = 0;
    for (uint64_t i = from; i < from + count; i++) {
        const struct saga_start_key added = key_of(i);
        ck_assert(saga_key_table_add(&table, &added));
    }
    ck_assert(saga_run_writer_begin(writer, number, 0, count));
    while ((key = saga_key_table_next(&table, &cursor)) != NULL) {
        saga_run_writer_add(writer, log, key);
    }
    while (!saga_run_writer_filter(writer, log, &piece, 3)) {
        scene_flush(log);
    }
    saga_key_table_fini(&table);
}

static struct saga_key_run write_run(struct saga_log *log, uint32_t number, uint64_t from,
                                     uint64_t count) {
    struct saga_run_writer writer;
    struct saga_key_run run;
    write_keys(log, &writer, number, from, count);
    saga_run_writer_finish(&writer, log, &run);
    scene_flush(log);
    return run;
}

static struct saga_log_reader *reader_of(struct saga_log *log) {
    struct saga_log_reader *reader;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_committed(log, &reader, &fault) == SAGA_OK, "%s", fault.text);
    return reader;
}

static void assert_keys(struct saga_log *log, const struct saga_key_run *run, uint64_t from,
                        uint64_t count) {
    struct saga_log_reader *reader = reader_of(log);
    struct saga_start_key found;
    struct saga_fault fault;
    for (uint64_t i = from; i < from + count; i++) {
        const struct saga_start_key key = key_of(i);
        ck_assert_int_eq(saga_key_run_find(run, reader, key.key_hash, &found, &fault), SAGA_OK);
        ck_assert_mem_eq(&found, &key, sizeof key);
    }
    for (uint64_t i = from + count; i < from + count + 20000; i++) {
        const struct saga_start_key key = key_of(i);
        ck_assert_int_eq(saga_key_run_find(run, reader, key.key_hash, &found, &fault),
                         SAGA_ERROR_NOT_FOUND);
    }
}

static struct saga_key_run load(struct saga_log *log, uint32_t number, uint32_t *garbage) {
    struct saga_key_run run;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_key_run_load(&run, number, garbage, reader_of(log), &fault) == SAGA_OK, "%s",
                  fault.text);
    return run;
}

static bool is_none(struct saga_log *log, uint32_t number, uint32_t *garbage) {
    struct saga_key_run run;
    struct saga_fault fault;
    return saga_key_run_load(&run, number, garbage, reader_of(log), &fault) == SAGA_ERROR_NOT_FOUND;
}

static const uint64_t counts[] = {1, 83, 84, 85, 168, 20000};

START_TEST(keys_of_a_run_are_found_after_a_restart) {
    const uint64_t count = counts[_i];
    struct saga_log *log = scene_open();
    struct saga_key_run written = write_run(log, 7, 1000, count);
    assert_keys(log, &written, 1000, count);
    saga_log_close(log);
    log = scene_open();
    uint32_t garbage;
    struct saga_key_run run = load(log, 1, &garbage);
    ck_assert_uint_eq(garbage, 0);
    ck_assert_uint_eq(run.number, 7);
    ck_assert_uint_eq(run.level, 0);
    ck_assert_uint_eq(run.key_count, count);
    ck_assert_int_eq(run.newest_ms, 1767225600000 + 1000 + (int64_t)count - 1);
    ck_assert_uint_eq(run.filter.block_count, written.filter.block_count);
    assert_keys(log, &run, 1000, count);
    ck_assert(is_none(log, 8, &garbage));
    saga_key_run_fini(&run);
    saga_key_run_fini(&written);
    saga_log_close(log);
}
END_TEST

/* Without its filter a foreign hash between two blocks, before the first and behind the last must
 * be told apart too. */
START_TEST(a_filter_that_says_yes_to_all_changes_nothing) {
    struct saga_log *log = scene_open();
    struct saga_key_run before = write_run(log, 1, 50000, 500);
    struct saga_key_run run = write_run(log, 2, 0, 2000);
    struct saga_key_run behind = write_run(log, 3, 60000, 500);
    memset(run.filter.bytes, 0xff, (size_t)run.filter.block_count * SAGA_FILTER_BLOCK_BYTES);
    assert_keys(log, &run, 0, 2000);
    saga_key_run_fini(&before);
    saga_key_run_fini(&run);
    saga_key_run_fini(&behind);
    saga_log_close(log);
}
END_TEST

START_TEST(all_keys_are_read_in_order_while_the_log_goes_on) {
    struct saga_log *log = scene_open();
    struct saga_key_run other = write_run(log, 3, 90000, 100);
    struct saga_key_run run = write_run(log, 2, 0, 1000);
    struct saga_run_cursor cursor = {.number = 2};
    const struct saga_start_key *key;
    struct saga_start_key before = {{0}};
    struct saga_fault fault;
    enum saga_error error;
    uint64_t seen = 0;
    while ((error = saga_run_cursor_next(&cursor, reader_of(log), &key, &fault)) == SAGA_OK) {
        ck_assert(seen == 0 || saga_key_hash_compare(before.key_hash, key->key_hash) < 0);
        before = *key;
        if (++seen % 10 == 0) {
            scene_append(log, 1);
        }
    }
    ck_assert_int_eq(error, SAGA_ERROR_NOT_FOUND);
    ck_assert_uint_eq(seen, 1000);
    saga_key_run_fini(&run);
    saga_key_run_fini(&other);
    saga_log_close(log);
}
END_TEST

START_TEST(a_run_without_its_head_is_garbage_and_swept) {
    struct saga_log *log = scene_open();
    struct saga_run_writer writer;
    struct saga_key_run run;
    struct saga_fault fault;
    uint32_t garbage;
    ck_assert(is_none(log, 1, &garbage));
    ck_assert_uint_eq(garbage, 0);
    write_keys(log, &writer, 4, 0, 3000);
    saga_run_writer_abandon(&writer);
    scene_flush(log);
    ck_assert(is_none(log, 1, &garbage));
    ck_assert_uint_eq(garbage, 4);
    struct saga_key_run kept = write_run(log, 5, 5000, 300);
    run = load(log, 1, &garbage);
    ck_assert_uint_eq(run.number, 5);
    ck_assert_uint_eq(garbage, 4);
    saga_key_run_fini(&run);
    bool clean = false;
    int sweeps = 0;
    for (; !clean; sweeps++) {
        ck_assert_int_eq(saga_key_run_sweep(4, log, reader_of(log), 10, &clean, &fault), SAGA_OK);
        scene_flush(log);
    }
    ck_assert_int_gt(sweeps, 3);
    run = load(log, 1, &garbage);
    ck_assert_uint_eq(run.number, 5);
    ck_assert_uint_eq(garbage, 0);
    assert_keys(log, &run, 5000, 300);
    saga_key_run_remove(5, log);
    scene_flush(log);
    ck_assert(is_none(log, 1, &garbage));
    ck_assert_uint_eq(garbage, 5);
    saga_key_run_fini(&run);
    saga_key_run_fini(&kept);
    saga_log_close(log);
}
END_TEST

static struct saga_bytes bytes(const void *data, uint32_t size) {
    return (struct saga_bytes){.data = data, .size = size};
}

/* What a row of run 4 becomes; the log's checksum is right. */
static const struct {
    const char *key;
    uint32_t key_size;
    uint32_t value_size; /* of zeros; UINT32_MAX: the row goes */
    uint8_t format;      /* its first byte */
} harms[] = {
    {"\0\0\0\4", 4, 23, 1},
    {"\0\0\0\4", 4, 24, 2},
    {"\0\0\0\4", 4, 24, 0},
    {"\0\0\0\4", 4, 24, 1}, /* a filter of no blocks */
    {"\0\0\0\4\2\0\0\0\0", 9, UINT32_MAX, 0},
    {"\0\0\0\4\2\0\0\0\0", 9, 4063, 0},
    {"\0\0\0\4\2\0\0\0\1", 9, UINT32_MAX, 0},
    {"\0\0\0\4\2\0\0\0\1", 9, 32, 0},
};
#define HARM_COUNT ((int)(sizeof harms / sizeof harms[0]))

START_TEST(a_damaged_run_is_refused_with_its_number) {
    static uint8_t value[SAGA_ROW_PAGE_BYTES];
    struct saga_log *log = scene_open();
    struct saga_key_run run = write_run(log, 4, 0, 4000);
    struct saga_fault fault = {0};
    uint32_t garbage;
    saga_key_run_fini(&run);
    value[0] = harms[_i].format;
    if (harms[_i].value_size == UINT32_MAX) {
        saga_log_remove(log, SAGA_TABLE_KEYS, bytes(harms[_i].key, harms[_i].key_size));
    } else {
        saga_log_put(log, SAGA_TABLE_KEYS, bytes(harms[_i].key, harms[_i].key_size),
                     bytes(value, harms[_i].value_size));
    }
    scene_flush(log);
    ck_assert_int_eq(saga_key_run_load(&run, 1, &garbage, reader_of(log), &fault),
                     SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "run 4 of its start keys"));
    saga_log_close(log);
}
END_TEST

START_TEST(a_block_of_broken_keys_is_refused) {
    static const uint8_t value[SAGA_ROW_PAGE_BYTES];
    static const uint32_t sizes[] = {0, 47, 49, 85 * 48 - 16};
    struct saga_log *log = scene_open();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct saga_key_run run = write_run(log, 4, 0, 1);
        struct saga_start_key key = key_of(0);
        struct saga_start_key found;
        struct saga_run_cursor cursor = {.number = 4};
        const struct saga_start_key *next;
        struct saga_log_row row;
        struct saga_fault fault;
        ck_assert_int_eq(saga_log_reader_seek_row(reader_of(log), SAGA_TABLE_KEYS,
                                                  bytes("\0\0\0\4\1", 5), &row, &fault),
                         SAGA_OK);
        uint8_t name[21];
        memcpy(name, row.key.data, sizeof name);
        saga_log_put(log, SAGA_TABLE_KEYS, bytes(name, sizeof name), bytes(value, sizes[i]));
        scene_flush(log);
        ck_assert_int_eq(saga_key_run_find(&run, reader_of(log), key.key_hash, &found, &fault),
                         SAGA_ERROR_LOG_REFUSED);
        ck_assert_int_eq(saga_run_cursor_next(&cursor, reader_of(log), &next, &fault),
                         SAGA_ERROR_LOG_REFUSED);
        saga_key_run_fini(&run);
    }
    saga_log_close(log);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("key_run");
    TCase *runs = scene_group(suite, "runs");
    tcase_add_loop_test(runs, keys_of_a_run_are_found_after_a_restart, 0,
                        (int)(sizeof counts / sizeof counts[0]));
    tcase_add_test(runs, a_filter_that_says_yes_to_all_changes_nothing);
    tcase_add_test(runs, all_keys_are_read_in_order_while_the_log_goes_on);
    tcase_add_test(runs, a_run_without_its_head_is_garbage_and_swept);
    TCase *damage = scene_group(suite, "damage");
    tcase_add_loop_test(damage, a_damaged_run_is_refused_with_its_number, 0, HARM_COUNT);
    tcase_add_test(damage, a_block_of_broken_keys_is_refused);
    return check_run(suite);
}
