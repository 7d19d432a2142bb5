/* Start keys over checkpoints, merges and restarts: what was remembered is found, at every moment.
 */
#include "start_keys.h"

#include "check_run.h"
#include "ids.h"
#include "log_scene.h"
#include "splitmix.h"

#include <stdio.h>
#include <string.h>

static struct saga_log *the_log;
static struct saga_start_keys *keys;

static void open_keys(uint64_t seed) {
    struct saga_fault fault = {0};
    struct saga_log_reader *reader;
    the_log = scene_open();
    ck_assert_int_eq(saga_log_committed(the_log, &reader, &fault), SAGA_OK);
    ck_assert_msg(saga_start_keys_open(&keys, reader, seed, &fault) == SAGA_OK, "%s", fault.text);
}

static void close_keys(void) {
    saga_start_keys_close(keys);
    saga_log_close(the_log);
}

static struct saga_bytes text_of(uint64_t number, char text[32]) {
    const int size = snprintf(text, 32, "key-%llu", (unsigned long long)number);
    return (struct saga_bytes){.data = text, .size = (uint32_t)size};
}

static struct saga_start_key hash_of(uint64_t number, const char *input) {
    char text[32];
    struct saga_start_key key;
    const struct saga_bytes body = {.data = input, .size = (uint32_t)strlen(input)};
    saga_start_keys_hash(keys, text_of(number, text), "trip", body, &key);
    return key;
}

static void remember(uint64_t from, uint64_t count) {
    for (uint64_t i = from; i < from + count; i++) {
        struct saga_start_key key = hash_of(i, "{}");
        memcpy(key.saga.bytes, &i, sizeof i);
        key.saga.bytes[15] = 1;
        saga_start_keys_remember(keys, &key);
    }
}

static enum saga_error find(uint64_t number, struct saga_start_key *found) {
    struct saga_fault fault = {0};
    const struct saga_start_key key = hash_of(number, "{}");
    const enum saga_error error = saga_start_keys_find(keys, the_log, key.key_hash, found, &fault);
    ck_assert_msg(error == SAGA_OK || error == SAGA_ERROR_NOT_FOUND, "%s", fault.text);
    return error;
}

static void assert_found(uint64_t number) {
    const struct saga_start_key expected = hash_of(number, "{}");
    struct saga_start_key found;
    uint64_t saga;
    ck_assert_msg(find(number, &found) == SAGA_OK, "key %llu", (unsigned long long)number);
    memcpy(&saga, found.saga.bytes, sizeof saga);
    ck_assert_uint_eq(saga, number);
    ck_assert_mem_eq(found.input_hash, expected.input_hash, sizeof found.input_hash);
}

/* Some of [0, count), and some that were never remembered. */
static void assert_some(struct splitmix *random, uint64_t count) {
    struct saga_start_key found;
    for (int i = 0; i < 40; i++) {
        assert_found(splitmix_below(random, count));
        ck_assert_int_eq(find(count + splitmix_below(random, 100000), &found),
                         SAGA_ERROR_NOT_FOUND);
    }
}

/* One slice, committed. */
static bool write_slice(uint32_t rows, bool *written) {
    struct saga_fault fault = {0};
    bool idle;
    ck_assert_msg(saga_start_keys_write(keys, the_log, rows, written, &idle, &fault) == SAGA_OK,
                  "%s", fault.text);
    scene_flush(the_log);
    return idle;
}

static void write_all(void) {
    bool written;
    while (!write_slice(50, &written)) {
    }
}

static struct saga_start_keys_count count_now(void) {
    struct saga_start_keys_count count;
    saga_start_keys_count(keys, &count);
    return count;
}

START_TEST(keys_are_told_apart_by_key_and_input) {
    open_keys(1);
    remember(0, 100);
    assert_found(5);
    const struct saga_start_key same = hash_of(5, "{}");
    const struct saga_start_key other_input = hash_of(5, "{\"a\":1}");
    ck_assert_mem_eq(same.key_hash, other_input.key_hash, sizeof same.key_hash);
    ck_assert_mem_ne(same.input_hash, other_input.input_hash, sizeof same.input_hash);
    struct saga_start_key other_saga;
    char text[32];
    saga_start_keys_hash(keys, text_of(5, text), "tour", (struct saga_bytes){"{}", 2}, &other_saga);
    ck_assert_mem_ne(same.input_hash, other_saga.input_hash, sizeof same.input_hash);
    close_keys();
}
END_TEST

START_TEST(keys_are_found_at_every_moment_of_many_checkpoints) {
    enum { CUTS = 70, EACH = 300 }; /* more than 8 x 8 runs: merged twice */
    struct splitmix random = {3};
    uint8_t written_once = 0;
    open_keys(1);
    for (uint64_t cut = 0; cut < CUTS; cut++) {
        remember(cut * EACH, EACH / 2);
        saga_start_keys_cut(keys);
        remember(cut * EACH + EACH / 2, EACH / 2); /* belongs to the next */
        bool written = false;
        for (bool idle = false; !idle;) {
            assert_some(&random, (cut + 1) * EACH);
            idle = write_slice(1 + (uint32_t)splitmix_below(&random, 4), &written);
            written_once |= written && !idle; /* merges go on behind it */
        }
        ck_assert(written);
        ck_assert_uint_eq(count_now().in_memory, EACH / 2);
        ck_assert_uint_le(count_now().runs, 2 * SAGA_RUNS_OF_LEVEL);
    }
    ck_assert(written_once);
    ck_assert_uint_eq(count_now().in_runs + count_now().in_memory, CUTS * EACH);
    for (uint64_t i = 0; i < CUTS * EACH; i++) {
        assert_found(i);
    }
    close_keys();
}
END_TEST

START_TEST(keys_of_earlier_checkpoints_are_found_after_a_restart) {
    open_keys(1);
    for (uint64_t cut = 0; cut < 10; cut++) {
        remember(cut * 1000, 1000);
        saga_start_keys_cut(keys);
        write_all();
    }
    close_keys();
    open_keys(2); /* another seed: the log's own counts */
    ck_assert_uint_eq(count_now().in_memory, 0);
    ck_assert_uint_eq(count_now().in_runs, 10000);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_found(i);
    }
    close_keys();
}
END_TEST

/* Killed after any slice, and started again with what the log's tail has: nothing is forgotten, and
 * nothing is left over in the end. */
START_TEST(killed_between_any_two_slices_nothing_is_forgotten) {
    enum { EACH = 200 };
    struct splitmix random = {(uint64_t)_i + 1};
    uint64_t count = 0;   /* keys so far */
    uint64_t in_tail = 0; /* from this one on: since the last checkpoint that was set */
    open_keys(1);
    for (int cut = 0; cut < 30; cut++) {
        const uint64_t border = count + EACH;
        bool written = false;
        remember(count, EACH);
        count += EACH;
        saga_start_keys_cut(keys);
        for (bool idle = false; !idle;) {
            idle = write_slice(2, &written);
            if (splitmix_below(&random, 12) == 0) {
                close_keys(); /* what was flushed is all there is */
                open_keys(1);
                remember(in_tail, count - in_tail);
                assert_some(&random, count);
                written = false;
                break;
            }
        }
        in_tail = written ? border : in_tail;
    }
    for (uint64_t i = 0; i < count; i++) {
        assert_found(i);
    }
    saga_start_keys_cut(keys);
    write_all();
    close_keys();
    open_keys(1);
    write_all();
    for (uint64_t i = 0; i < count; i++) {
        assert_found(i);
    }
    /* Rows: the blocks, heads and filters of the runs there are, and the seed. */
    struct saga_log_reader *reader;
    struct saga_fault fault;
    uint64_t rows;
    ck_assert_int_eq(saga_log_committed(the_log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_row_count(reader, SAGA_TABLE_KEYS, &rows, &fault), SAGA_OK);
    const struct saga_start_keys_count have = count_now();
    const uint64_t blocks_max = have.in_runs / 84 + have.runs;
    const uint64_t pieces_max = have.filter_bytes / 4064 + have.runs;
    ck_assert_uint_le(rows, 1 + blocks_max + pieces_max + have.runs);
    close_keys();
}
END_TEST

/* ---------------------------------------------------------------- forgetting */

enum { TEXTS = 100 };

struct use {
    uint64_t number;
    int64_t at_ms;
};
static struct {
    struct use uses[200000];
    size_t count;
    size_t in_tail;         /* from this use on: since the last checkpoint that was set */
    int64_t used_ms[TEXTS]; /* 0: never */
    int64_t now_ms;
    int64_t window_ms;
} past;

static void use(const struct use *use) {
    struct saga_start_key key = hash_of(use->number, "{}");
    for (int i = 0; i < 6; i++) {
        key.saga.bytes[i] = (uint8_t)(use->at_ms >> (40 - 8 * i));
    }
    key.saga.bytes[15] = 1;
    saga_start_keys_remember(keys, &key);
}

static bool is_remembered(uint64_t number) {
    return past.used_ms[number] != 0 && past.used_ms[number] >= past.now_ms - past.window_ms;
}

/* A start, as the engine takes it: one saga for a key, until it is forgotten. */
static void start(uint64_t number) {
    struct saga_start_key found;
    const enum saga_error error = find(number, &found);
    past.now_ms++;
    saga_start_keys_forget(keys, past.now_ms - past.window_ms);
    if (is_remembered(number)) {
        ck_assert_msg(error == SAGA_OK, "key %llu is forgotten %lld ms too early",
                      (unsigned long long)number,
                      (long long)(past.used_ms[number] + past.window_ms - past.now_ms));
        ck_assert_int_eq(saga_id_ms(&found.saga), past.used_ms[number]);
        return;
    }
    ck_assert_int_eq(find(number, &found), SAGA_ERROR_NOT_FOUND);
    past.uses[past.count] = (struct use){number, past.now_ms};
    use(&past.uses[past.count++]);
    past.used_ms[number] = past.now_ms;
}

static void restart(void) {
    close_keys();
    open_keys(1);
    for (size_t i = past.in_tail; i < past.count; i++) {
        use(&past.uses[i]);
    }
    saga_start_keys_forget(keys, past.now_ms - past.window_ms);
}

/* Sagas with few keys, used again and again; checkpoints, and kills between two slices of them. */
START_TEST(a_key_is_remembered_for_its_window_and_then_its_newest_use) {
    struct splitmix random = {(uint64_t)_i + 77};
    memset(&past, 0, sizeof past);
    past.now_ms = 1767225600000;
    past.window_ms = (const int64_t[]){30, 300, 1000, 2000}[_i % 4];
    open_keys(1);
    for (int cut = 0; cut < 150; cut++) {
        const size_t border = past.count;
        bool written = false;
        saga_start_keys_cut(keys);
        for (bool idle = false; !idle;) {
            for (uint64_t starts = splitmix_below(&random, 60); starts > 0; starts--) {
                start(splitmix_below(&random, TEXTS));
            }
            idle = write_slice(1, &written);
            if (splitmix_below(&random, 40) == 0) {
                restart();
                written = false;
                break;
            }
        }
        past.in_tail = written ? border : past.in_tail;
        write_all(); /* what an earlier daemon has left to do */
    }
    ck_assert_uint_gt(past.count, 2 * TEXTS);
    ck_assert_uint_lt(count_now().in_runs, past.count / 2); /* older uses have gone */
    close_keys();
}
END_TEST

/* At a constant rate of new keys the table keeps its size. */
START_TEST(keys_that_are_forgotten_leave_the_log) {
    enum { EACH = 500, CUTS = 200 };
    uint64_t most = 0;
    open_keys(1);
    for (uint64_t cut = 0; cut < CUTS; cut++) {
        for (uint64_t i = 0; i < EACH; i++) {
            const struct use key = {cut * EACH + i, (int64_t)(1 + cut)};
            use(&key);
        }
        saga_start_keys_forget(keys, (int64_t)cut - 10);
        saga_start_keys_cut(keys);
        write_all();
        most = count_now().in_runs > most ? count_now().in_runs : most;
    }
    ck_assert_uint_ge(most, (uint64_t)10 * EACH);
    ck_assert_uint_le(most, (uint64_t)30 * EACH); /* twice the window, and what is not merged */
    ck_assert_uint_eq(count_now().forgotten + count_now().in_runs, (uint64_t)CUTS * EACH);
    close_keys();
    open_keys(1);
    saga_start_keys_forget(keys, CUTS + 1);
    saga_start_keys_cut(keys);
    write_all();
    ck_assert_uint_eq(count_now().in_runs, 0);
    ck_assert_uint_eq(count_now().runs, 0);
    close_keys();
    open_keys(1);
    ck_assert_uint_eq(count_now().runs, 0);
    close_keys();
}
END_TEST

START_TEST(nothing_to_write_is_nothing_to_do) {
    bool written = false;
    open_keys(1);
    ck_assert(write_slice(10, &written));
    ck_assert(written);
    saga_start_keys_cut(keys);
    ck_assert(write_slice(10, &written));
    ck_assert(written);
    ck_assert_uint_eq(count_now().runs, 0);
    close_keys();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("start_keys");
    TCase *tests = scene_group(suite, "start keys");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, keys_are_told_apart_by_key_and_input);
    tcase_add_test(tests, keys_are_found_at_every_moment_of_many_checkpoints);
    tcase_add_test(tests, keys_of_earlier_checkpoints_are_found_after_a_restart);
    tcase_add_loop_test(tests, killed_between_any_two_slices_nothing_is_forgotten, 0, 4);
    tcase_add_loop_test(tests, a_key_is_remembered_for_its_window_and_then_its_newest_use, 0, 8);
    tcase_add_test(tests, keys_that_are_forgotten_leave_the_log);
    tcase_add_test(tests, nothing_to_write_is_nothing_to_do);
    return check_run(suite);
}
