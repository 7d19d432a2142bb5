#include "start_keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ids.h"
#include "key_run.h"
#include "key_seed.h"

/* To remove a row costs less than to write one: as many times more in a slice. */
#define SWEEP_FACTOR 4

enum stage {
    IDLE = 0,
    KEYS,         /* of the cut */
    FILTER,       /* of their run */
    ADOPT,        /* its head was put, and is durable by now */
    MERGE,        /* keys of the merged run */
    MERGE_FILTER, /* its filter */
    MERGE_ADOPT,  /* its head was put, and those of its parts removed: durable by now */
    SWEEP,
};

struct merge {
    struct saga_run_cursor *cursors; /* owned; one for each part */
    const struct saga_start_key **firsts;
    uint32_t count;
};

struct saga_start_keys {
    uint64_t seed;
    bool seed_stored;
    int64_t before_ms;             /* of keys that are forgotten */
    uint64_t forgotten;            /* keys that have left the log */
    struct saga_key_table recent;  /* since the last cut */
    struct saga_key_table leaving; /* of that cut, until their run is durable */
    struct saga_key_run *runs;     /* owned; by ascending number */
    uint32_t run_count;
    uint32_t run_room;
    uint32_t next_number;
    uint32_t *garbage; /* owned; numbers of what is to be swept */
    uint32_t garbage_count;
    enum stage stage;
    uint64_t cursor; /* KEYS: in `leaving` */
    uint32_t piece;  /* FILTER */
    struct saga_run_writer writer;
    struct saga_key_run finished; /* ADOPT */
    struct merge merge;
};

static void *grown(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (memory == NULL) {
        abort(); /* as saga_start_keys_remember() says */
    }
    return memory;
}

/* ----------------------------------------------------------------- opening */

static void add_run(struct saga_start_keys *keys, const struct saga_key_run *run) {
    if (keys->run_count == keys->run_room) {
        keys->run_room = keys->run_room == 0 ? 16 : keys->run_room * 2;
        keys->runs = grown(keys->runs, keys->run_room * sizeof *keys->runs);
    }
    keys->runs[keys->run_count++] = *run;
    if (run->number >= keys->next_number) {
        keys->next_number = run->number + 1;
    }
}

static void add_garbage(struct saga_start_keys *keys, uint32_t number) {
    keys->garbage = grown(keys->garbage, (keys->garbage_count + 1) * sizeof *keys->garbage);
    keys->garbage[keys->garbage_count++] = number;
    if (number >= keys->next_number) {
        keys->next_number = number + 1;
    }
}

static enum saga_error load_seed(struct saga_start_keys *keys, struct saga_log_reader *reader,
                                 struct saga_fault *fault) {
    const enum saga_error error = saga_key_seed_read(reader, &keys->seed, fault);
    keys->seed_stored = error == SAGA_OK;
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error load_runs(struct saga_start_keys *keys, struct saga_log_reader *reader,
                                 struct saga_fault *fault) {
    for (uint32_t number = 1;;) {
        struct saga_key_run run;
        uint32_t garbage;
        const enum saga_error error = saga_key_run_load(&run, number, &garbage, reader, fault);
        if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
            return error;
        }
        if (garbage != 0) { /* and perhaps more of it behind */
            add_garbage(keys, garbage);
            if (error == SAGA_OK) {
                saga_key_run_fini(&run);
            }
            number = garbage + 1;
            continue;
        }
        if (error == SAGA_ERROR_NOT_FOUND) {
            return SAGA_OK;
        }
        add_run(keys, &run);
        number = run.number + 1;
    }
}

enum saga_error saga_start_keys_open(struct saga_start_keys **keys, struct saga_log_reader *reader,
                                     uint64_t seed, struct saga_fault *fault) {
    struct saga_start_keys *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the start keys");
    }
    opened->seed = seed;
    opened->next_number = 1;
    opened->before_ms = INT64_MIN;
    enum saga_error error = load_seed(opened, reader, fault);
    if (error == SAGA_OK) {
        error = load_runs(opened, reader, fault);
    }
    if (error != SAGA_OK) {
        saga_start_keys_close(opened);
        return error;
    }
    *keys = opened;
    return SAGA_OK;
}

static void end_merge(struct merge *merge) {
    free(merge->cursors);
    free(merge->firsts);
    *merge = (struct merge){0};
}

void saga_start_keys_close(struct saga_start_keys *keys) {
    if (keys == NULL) {
        return;
    }
    for (uint32_t i = 0; i < keys->run_count; i++) {
        saga_key_run_fini(&keys->runs[i]);
    }
    saga_run_writer_abandon(&keys->writer);
    saga_key_run_fini(&keys->finished);
    end_merge(&keys->merge);
    saga_key_table_fini(&keys->recent);
    saga_key_table_fini(&keys->leaving);
    free(keys->runs);
    free(keys->garbage);
    free(keys);
}

/* ------------------------------------------------------------------ finding */

void saga_start_keys_hash(const struct saga_start_keys *keys, struct saga_bytes key,
                          const char *saga, struct saga_bytes input,
                          struct saga_start_key *hashed) {
    const uint64_t name = XXH3_64bits_withSeed(saga, strlen(saga), keys->seed);
    const XXH128_hash_t content = XXH3_128bits_withSeed(input.data, input.size, name);
    *hashed = (struct saga_start_key){.input_hash = {content.high64, content.low64}};
    saga_key_seed_hash(keys->seed, key, hashed->key_hash);
}

static bool is_forgotten(const struct saga_start_keys *keys, const struct saga_start_key *key) {
    return saga_id_ms(&key->saga) < keys->before_ms;
}

/* Whether the first of two sagas was started after the second. */
static bool is_newer(const struct saga_start_key *a, const struct saga_start_key *b) {
    return memcmp(a->saga.bytes, b->saga.bytes, sizeof a->saga.bytes) > 0;
}

/* The newest use is in the run of the highest number: merges have come to their end before the next
 * run is written. */
static enum saga_error find_in_runs(const struct saga_start_keys *keys, struct saga_log *log,
                                    const uint64_t key_hash[2], struct saga_start_key *found,
                                    struct saga_fault *fault) {
    for (uint32_t i = keys->run_count; i > 0; i--) {
        const struct saga_key_run *run = &keys->runs[i - 1];
        struct saga_log_reader *reader;
        if (!saga_key_filter_has(&run->filter, key_hash)) {
            continue;
        }
        enum saga_error error = saga_log_committed(log, &reader, fault);
        if (error == SAGA_OK) {
            error = saga_key_run_find(run, reader, key_hash, found, fault);
        }
        if (error != SAGA_ERROR_NOT_FOUND) {
            return error;
        }
    }
    return SAGA_ERROR_NOT_FOUND;
}

enum saga_error saga_start_keys_find(struct saga_start_keys *keys, struct saga_log *log,
                                     const uint64_t key_hash[2], struct saga_start_key *found,
                                     struct saga_fault *fault) {
    const struct saga_start_key *key = saga_key_table_find(&keys->recent, key_hash);
    enum saga_error error = SAGA_OK;
    if (key == NULL) {
        key = saga_key_table_find(&keys->leaving, key_hash);
    }
    if (key != NULL) {
        *found = *key;
    } else {
        error = find_in_runs(keys, log, key_hash, found, fault);
    }
    return error == SAGA_OK && is_forgotten(keys, found) ? SAGA_ERROR_NOT_FOUND : error;
}

void saga_start_keys_remember(struct saga_start_keys *keys, const struct saga_start_key *key) {
    struct saga_start_key *earlier = saga_key_table_use(&keys->recent, key->key_hash);
    if (earlier == NULL) {
        if (!saga_key_table_add(&keys->recent, key)) {
            abort();
        }
    } else if (is_newer(key, earlier)) {
        *earlier = *key;
    }
}

void saga_start_keys_forget(struct saga_start_keys *keys, int64_t before_ms) {
    keys->before_ms = before_ms;
}

/* ------------------------------------------------------------------ writing */

void saga_start_keys_cut(struct saga_start_keys *keys) {
    assert(keys->stage == IDLE && keys->leaving.count == 0);
    saga_key_table_fini(&keys->leaving);
    keys->leaving = keys->recent;
    keys->recent = (struct saga_key_table){0};
}

static enum saga_error begin_run(struct saga_start_keys *keys, uint8_t level, uint64_t key_count,
                                 struct saga_fault *fault) {
    if (!saga_run_writer_begin(&keys->writer, keys->next_number, level, key_count)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory to write the start keys");
    }
    keys->next_number++;
    keys->cursor = 0;
    keys->piece = 0;
    return SAGA_OK;
}

static enum saga_error begin_keys(struct saga_start_keys *keys, struct saga_log *log,
                                  struct saga_fault *fault) {
    if (!keys->seed_stored) {
        saga_key_seed_put(log, keys->seed);
        keys->seed_stored = true;
    }
    keys->stage = KEYS;
    return begin_run(keys, 0, keys->leaving.count, fault);
}

static void write_keys(struct saga_start_keys *keys, struct saga_log *log, uint32_t rows_max) {
    for (uint64_t left = (uint64_t)rows_max * SAGA_RUN_BLOCK_KEYS; left > 0; left--) {
        const struct saga_start_key *key = saga_key_table_next(&keys->leaving, &keys->cursor);
        if (key == NULL) {
            keys->stage = FILTER;
            return;
        }
        saga_run_writer_add(&keys->writer, log, key);
    }
}

static void adopt(struct saga_start_keys *keys) {
    add_run(keys, &keys->finished);
    keys->finished = (struct saga_key_run){0};
    saga_key_table_fini(&keys->leaving);
    keys->stage = IDLE;
}

/* ------------------------------------------------------------------ merging */

static uint32_t runs_of_level(const struct saga_start_keys *keys, uint8_t level, uint64_t *count) {
    uint32_t runs = 0;
    *count = 0;
    for (uint32_t i = 0; i < keys->run_count; i++) {
        if (keys->runs[i].level == level) {
            runs++;
            *count += keys->runs[i].key_count;
        }
    }
    return runs;
}

/* A level that has as many runs as it may have. False: none. */
static bool full_level(const struct saga_start_keys *keys, uint8_t *level, uint64_t *count) {
    for (uint32_t i = 0; i < keys->run_count; i++) {
        *level = keys->runs[i].level;
        if (*level < UINT8_MAX && runs_of_level(keys, *level, count) >= SAGA_RUNS_OF_LEVEL) {
            return true;
        }
    }
    return false;
}

static enum saga_error next_of_part(struct merge *merge, uint32_t part,
                                    struct saga_log_reader *reader, struct saga_fault *fault) {
    const enum saga_error error =
        saga_run_cursor_next(&merge->cursors[part], reader, &merge->firsts[part], fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        merge->firsts[part] = NULL;
        return SAGA_OK;
    }
    return error;
}

static enum saga_error begin_merge(struct saga_start_keys *keys, uint8_t level, uint64_t count,
                                   struct saga_log *log, struct saga_fault *fault) {
    struct merge *merge = &keys->merge;
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    if (error != SAGA_OK) {
        return error;
    }
    merge->cursors = grown(NULL, keys->run_count * sizeof *merge->cursors);
    merge->firsts = grown(NULL, keys->run_count * sizeof *merge->firsts);
    merge->count = 0;
    for (uint32_t i = 0; i < keys->run_count && error == SAGA_OK; i++) {
        if (keys->runs[i].level == level) {
            struct saga_run_cursor *cursor = &merge->cursors[merge->count];
            memset(cursor, 0, sizeof *cursor);
            cursor->number = keys->runs[i].number;
            error = next_of_part(merge, merge->count++, reader, fault);
        }
    }
    if (error == SAGA_OK) {
        error = begin_run(keys, (uint8_t)(level + 1), count, fault);
    }
    keys->stage = MERGE;
    return error;
}

/* The part with the smallest key; merge->count: there are no more. */
static uint32_t smallest(const struct merge *merge) {
    uint32_t best = merge->count;
    for (uint32_t i = 0; i < merge->count; i++) {
        if (merge->firsts[i] != NULL &&
            (best == merge->count || saga_key_hash_compare(merge->firsts[i]->key_hash,
                                                           merge->firsts[best]->key_hash) < 0)) {
            best = i;
        }
    }
    return best;
}

/* The same key may be in two parts: a daemon that died between a run's head and its checkpoint
 * remembered it again, or it was used again when it was forgotten. The newest use is enough. */
static enum saga_error pass_repeats(struct merge *merge, struct saga_start_key *key,
                                    struct saga_log_reader *reader, struct saga_fault *fault) {
    for (uint32_t i = 0; i < merge->count; i++) {
        while (merge->firsts[i] != NULL &&
               saga_key_hash_compare(merge->firsts[i]->key_hash, key->key_hash) == 0) {
            if (is_newer(merge->firsts[i], key)) {
                *key = *merge->firsts[i];
            }
            const enum saga_error error = next_of_part(merge, i, reader, fault);
            if (error != SAGA_OK) {
                return error;
            }
        }
    }
    return SAGA_OK;
}

static enum saga_error merge_keys(struct saga_start_keys *keys, struct saga_log *log,
                                  uint32_t rows_max, struct saga_fault *fault) {
    struct merge *merge = &keys->merge;
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    uint64_t left = (uint64_t)rows_max * SAGA_RUN_BLOCK_KEYS;
    for (; left > 0 && error == SAGA_OK; left--) {
        const uint32_t part = smallest(merge);
        if (part == merge->count) {
            keys->stage = MERGE_FILTER;
            break;
        }
        struct saga_start_key key = *merge->firsts[part];
        error = pass_repeats(merge, &key, reader, fault);
        if (error == SAGA_OK && is_forgotten(keys, &key)) {
            keys->forgotten++;
        } else if (error == SAGA_OK) {
            saga_run_writer_add(&keys->writer, log, &key);
        }
    }
    return error;
}

/* With one flush the merged run is there, and its parts are not. */
static void finish_merge(struct saga_start_keys *keys, struct saga_log *log) {
    saga_run_writer_finish(&keys->writer, log, &keys->finished);
    for (uint32_t i = 0; i < keys->merge.count; i++) {
        saga_key_run_remove(keys->merge.cursors[i].number, log);
    }
    keys->stage = MERGE_ADOPT;
}

static bool is_part(const struct merge *merge, uint32_t number) {
    for (uint32_t i = 0; i < merge->count; i++) {
        if (merge->cursors[i].number == number) {
            return true;
        }
    }
    return false;
}

static void adopt_merged(struct saga_start_keys *keys) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < keys->run_count; i++) {
        if (is_part(&keys->merge, keys->runs[i].number)) {
            add_garbage(keys, keys->runs[i].number);
            saga_key_run_fini(&keys->runs[i]);
        } else {
            keys->runs[kept++] = keys->runs[i];
        }
    }
    keys->run_count = kept;
    add_run(keys, &keys->finished);
    keys->finished = (struct saga_key_run){0};
    end_merge(&keys->merge);
    keys->stage = IDLE;
}

/* ------------------------------------------------------------------ stages */

static enum saga_error sweep(struct saga_start_keys *keys, struct saga_log *log, uint32_t rows_max,
                             struct saga_fault *fault) {
    struct saga_log_reader *reader;
    bool clean = false;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    if (error == SAGA_OK) {
        error = saga_key_run_sweep(keys->garbage[keys->garbage_count - 1], log, reader, rows_max,
                                   &clean, fault);
    }
    keys->garbage_count -= clean;
    keys->stage = keys->garbage_count > 0 ? SWEEP : IDLE;
    return error;
}

/* The runs of which every key is forgotten: with the flush to come they are garbage. False: there
 * is none. */
static bool drop_forgotten(struct saga_start_keys *keys, struct saga_log *log) {
    const uint32_t count = keys->run_count;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct saga_key_run *run = &keys->runs[i];
        if (run->newest_ms < keys->before_ms) {
            saga_key_run_remove(run->number, log);
            add_garbage(keys, run->number);
            keys->forgotten += run->key_count;
            saga_key_run_fini(run);
        } else {
            keys->runs[kept++] = *run;
        }
    }
    keys->run_count = kept;
    return kept < count;
}

/* What is next, where nothing is under way. */
static enum saga_error begin(struct saga_start_keys *keys, struct saga_log *log, bool *idle,
                             struct saga_fault *fault) {
    uint8_t level;
    uint64_t count;
    if (keys->leaving.count > 0) {
        return begin_keys(keys, log, fault);
    }
    if (drop_forgotten(keys, log)) {
        return SAGA_OK;
    }
    if (full_level(keys, &level, &count)) {
        return begin_merge(keys, level, count, log, fault);
    }
    keys->stage = keys->garbage_count > 0 ? SWEEP : IDLE;
    *idle = keys->stage == IDLE;
    return SAGA_OK;
}

enum saga_error saga_start_keys_write(struct saga_start_keys *keys, struct saga_log *log,
                                      uint32_t rows_max, bool *written, bool *idle,
                                      struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    *idle = false;
    if (keys->stage == ADOPT) {
        adopt(keys);
    } else if (keys->stage == MERGE_ADOPT) {
        adopt_merged(keys);
    }
    if (keys->stage == IDLE) {
        error = begin(keys, log, idle, fault);
    }
    *written = keys->leaving.count == 0;
    if (error != SAGA_OK) {
        return error;
    }
    switch (keys->stage) {
    case KEYS:
        write_keys(keys, log, rows_max);
        break;
    case FILTER:
        if (saga_run_writer_filter(&keys->writer, log, &keys->piece, rows_max)) {
            saga_run_writer_finish(&keys->writer, log, &keys->finished);
            keys->stage = ADOPT;
        }
        break;
    case MERGE:
        error = merge_keys(keys, log, rows_max, fault);
        break;
    case MERGE_FILTER:
        if (saga_run_writer_filter(&keys->writer, log, &keys->piece, rows_max)) {
            finish_merge(keys, log);
        }
        break;
    case SWEEP:
        error = sweep(keys, log, rows_max * SWEEP_FACTOR, fault);
        break;
    case IDLE:
    case ADOPT:
    case MERGE_ADOPT:
        break;
    }
    return error;
}

void saga_start_keys_count(const struct saga_start_keys *keys,
                           struct saga_start_keys_count *count) {
    *count = (struct saga_start_keys_count){
        .in_memory = keys->recent.count + keys->leaving.count,
        .forgotten = keys->forgotten,
        .runs = keys->run_count,
    };
    for (uint32_t i = 0; i < keys->run_count; i++) {
        count->in_runs += keys->runs[i].key_count;
        count->filter_bytes += (uint64_t)keys->runs[i].filter.block_count * SAGA_FILTER_BLOCK_BYTES;
    }
}
