#include "key_run.h"

#include <assert.h>
#include <string.h>

#include "bigendian.h"
#include "ids.h"

#define FORMAT      1
#define HEAD_BYTES  24
#define KEY_BYTES   48
#define PIECE_BYTES ((size_t)127 * SAGA_FILTER_BLOCK_BYTES)
_Static_assert(SAGA_RUN_BLOCK_KEYS *KEY_BYTES <= SAGA_ROW_PAGE_BYTES, "a block takes a page");
_Static_assert(PIECE_BYTES <= SAGA_ROW_PAGE_BYTES, "so does a piece of a filter");

/* What stands behind a run's number in a row's key. */
enum { PART_KEYS = 1, PART_FILTER = 2 };
#define ROW_KEY_BYTES_MAX 21

struct row_key {
    uint8_t bytes[ROW_KEY_BYTES_MAX];
    uint32_t size;
};

static struct saga_bytes bytes_of(const struct row_key *key) {
    return (struct saga_bytes){.data = key->bytes, .size = key->size};
}

static struct row_key head_key(uint32_t number) {
    struct row_key key = {.size = 4};
    saga_put32(key.bytes, number);
    return key;
}

static struct row_key block_key(uint32_t number, const uint64_t key_hash[2]) {
    struct row_key key = head_key(number);
    key.bytes[4] = PART_KEYS;
    saga_put64(key.bytes + 5, key_hash[0]);
    saga_put64(key.bytes + 13, key_hash[1]);
    key.size = 21;
    return key;
}

static struct row_key piece_key(uint32_t number, uint32_t piece) {
    struct row_key key = head_key(number);
    key.bytes[4] = PART_FILTER;
    saga_put32(key.bytes + 5, piece);
    key.size = 9;
    return key;
}

static uint32_t number_of(const struct saga_log_row *row) {
    return row->key.size >= 4 ? saga_get32(row->key.data) : 0;
}

static bool is_head(const struct saga_log_row *row) {
    return row->key.size == 4;
}

static bool is_block_of(const struct saga_log_row *row, uint32_t number) {
    return row->key.size == 21 && number_of(row) == number &&
           ((const uint8_t *)row->key.data)[4] == PART_KEYS;
}

static enum saga_error refuse(uint32_t number, const char *what, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "the log is damaged: run %u of its start keys: %s. Restore data.mdb from "
                          "a backup; nothing was changed.",
                          number, what);
}

void saga_key_run_fini(struct saga_key_run *run) {
    saga_key_filter_fini(&run->filter);
}

/* ----------------------------------------------------------------- loading */

static uint32_t piece_count(uint32_t block_count) {
    const uint64_t bytes = (uint64_t)block_count * SAGA_FILTER_BLOCK_BYTES;
    return (uint32_t)((bytes + PIECE_BYTES - 1) / PIECE_BYTES);
}

static size_t piece_size(uint32_t block_count, uint32_t piece) {
    const size_t left = (size_t)block_count * SAGA_FILTER_BLOCK_BYTES - (size_t)piece * PIECE_BYTES;
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

static enum saga_error load_filter(struct saga_key_run *run, struct saga_log_reader *reader,
                                   struct saga_fault *fault) {
    const uint32_t block_count = run->filter.block_count;
    for (uint32_t piece = 0; piece < piece_count(block_count); piece++) {
        const struct row_key key = piece_key(run->number, piece);
        struct saga_bytes value;
        const enum saga_error error =
            saga_log_reader_row(reader, SAGA_TABLE_KEYS, bytes_of(&key), &value, fault);
        if (error == SAGA_ERROR_NOT_FOUND) {
            return refuse(run->number, "its filter is not whole", fault);
        }
        if (error != SAGA_OK) {
            return error;
        }
        if (value.size != piece_size(block_count, piece)) {
            return refuse(run->number, "its filter is not whole", fault);
        }
        memcpy(run->filter.bytes + (size_t)piece * PIECE_BYTES, value.data, value.size);
    }
    return SAGA_OK;
}

static enum saga_error read_head(struct saga_key_run *run, const struct saga_log_row *head,
                                 uint32_t *block_count, struct saga_fault *fault) {
    const uint8_t *at = head->value.data;
    *run = (struct saga_key_run){.number = number_of(head)};
    if (head->value.size != HEAD_BYTES || at[0] != FORMAT) {
        return refuse(run->number, "its head is of no format that this version knows", fault);
    }
    run->level = at[1];
    run->key_count = saga_get64(at + 4);
    *block_count = saga_get32(at + 12);
    run->newest_ms = (int64_t)saga_get64(at + 16);
    return SAGA_OK;
}

static enum saga_error load(struct saga_key_run *run, const struct saga_log_row *head,
                            struct saga_log_reader *reader, struct saga_fault *fault) {
    uint32_t block_count = 0;
    const enum saga_error known = read_head(run, head, &block_count, fault);
    if (known != SAGA_OK) {
        return known;
    }
    const struct row_key last = piece_key(run->number, piece_count(block_count) - 1);
    struct saga_bytes piece;
    /* Before there is memory for all of it. */
    if (block_count == 0 ||
        saga_log_reader_row(reader, SAGA_TABLE_KEYS, bytes_of(&last), &piece, fault) != SAGA_OK) {
        return refuse(run->number, "its filter is not whole", fault);
    }
    if (!saga_key_filter_init(&run->filter, block_count)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the start keys' filters");
    }
    const enum saga_error error = load_filter(run, reader, fault);
    if (error != SAGA_OK) {
        saga_key_run_fini(run);
    }
    return error;
}

/* The first head from `number` on. */
static enum saga_error seek_head(uint32_t number, uint32_t *garbage, struct saga_log_reader *reader,
                                 struct saga_log_row *row, struct saga_fault *fault) {
    *garbage = 0;
    for (;;) {
        const struct row_key key = head_key(number);
        const enum saga_error error =
            saga_log_reader_seek_row(reader, SAGA_TABLE_KEYS, bytes_of(&key), row, fault);
        if (error != SAGA_OK || is_head(row)) {
            return error;
        }
        number = number_of(row);
        if (number == 0) {
            return refuse(number, "a row has no number", fault);
        }
        *garbage = *garbage == 0 ? number : *garbage;
        if (number++ == UINT32_MAX) {
            return SAGA_ERROR_NOT_FOUND;
        }
    }
}

enum saga_error saga_key_run_load(struct saga_key_run *run, uint32_t number, uint32_t *garbage,
                                  struct saga_log_reader *reader, struct saga_fault *fault) {
    struct saga_log_row row;
    const enum saga_error error = seek_head(number, garbage, reader, &row, fault);
    return error == SAGA_OK ? load(run, &row, reader, fault) : error;
}

enum saga_error saga_key_run_head(struct saga_key_run *run, uint32_t number,
                                  struct saga_log_reader *reader, struct saga_fault *fault) {
    struct saga_log_row row;
    uint32_t garbage;
    uint32_t block_count;
    const enum saga_error error = seek_head(number, &garbage, reader, &row, fault);
    return error == SAGA_OK ? read_head(run, &row, &block_count, fault) : error;
}

/* ------------------------------------------------------------------ finding */

static void read_key(const uint8_t *at, struct saga_start_key *key) {
    key->key_hash[0] = saga_get64(at);
    key->key_hash[1] = saga_get64(at + 8);
    key->input_hash[0] = saga_get64(at + 16);
    key->input_hash[1] = saga_get64(at + 24);
    memcpy(key->saga.bytes, at + 32, sizeof key->saga.bytes);
}

static void write_key(uint8_t *at, const struct saga_start_key *key) {
    saga_put64(at, key->key_hash[0]);
    saga_put64(at + 8, key->key_hash[1]);
    saga_put64(at + 16, key->input_hash[0]);
    saga_put64(at + 24, key->input_hash[1]);
    memcpy(at + 32, key->saga.bytes, sizeof key->saga.bytes);
}

/* How many keys a block has; 0: it is none. */
static uint32_t block_count_of(struct saga_bytes block) {
    const uint32_t count = block.size / KEY_BYTES;
    return block.size % KEY_BYTES == 0 && count <= SAGA_RUN_BLOCK_KEYS ? count : 0;
}

/* The block in which a key of this hash is, if it is anywhere. */
static enum saga_error find_block(uint32_t number, struct saga_log_reader *reader,
                                  const uint64_t key_hash[2], struct saga_bytes *block,
                                  struct saga_fault *fault) {
    const struct row_key key = block_key(number, key_hash);
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_KEYS, bytes_of(&key), &row, fault);
    const bool exact = error == SAGA_OK && row.key.size == key.size &&
                       memcmp(row.key.data, key.bytes, key.size) == 0;
    if ((error == SAGA_OK && !exact) || error == SAGA_ERROR_NOT_FOUND) {
        error = saga_log_reader_step_row(reader, SAGA_TABLE_KEYS, false, &row, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    if (!is_block_of(&row, number)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    *block = row.value;
    return SAGA_OK;
}

enum saga_error saga_key_run_find(const struct saga_key_run *run, struct saga_log_reader *reader,
                                  const uint64_t key_hash[2], struct saga_start_key *found,
                                  struct saga_fault *fault) {
    struct saga_bytes block;
    if (run->filter.bytes != NULL && !saga_key_filter_has(&run->filter, key_hash)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    const enum saga_error error = find_block(run->number, reader, key_hash, &block, fault);
    if (error != SAGA_OK) {
        return error;
    }
    uint32_t low = 0;
    uint32_t high = block_count_of(block);
    if (high == 0) {
        return refuse(run->number, "a block of it has no whole number of keys", fault);
    }
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        read_key((const uint8_t *)block.data + (size_t)middle * KEY_BYTES, found);
        const int order = saga_key_hash_compare(found->key_hash, key_hash);
        if (order == 0) {
            return SAGA_OK;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return SAGA_ERROR_NOT_FOUND;
}

/* ------------------------------------------------------------------ reading */

static enum saga_error next_block(struct saga_run_cursor *cursor, struct saga_log_reader *reader,
                                  struct saga_fault *fault) {
    static const uint64_t first[2] = {0, 0};
    const struct row_key key =
        block_key(cursor->number, cursor->begun ? cursor->block_hash : first);
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_KEYS, bytes_of(&key), &row, fault);
    if (error == SAGA_OK && cursor->begun) { /* that one was read */
        error = saga_log_reader_step_row(reader, SAGA_TABLE_KEYS, true, &row, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    if (!is_block_of(&row, cursor->number)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    cursor->count = block_count_of(row.value);
    if (cursor->count == 0) {
        return refuse(cursor->number, "a block of it has no whole number of keys", fault);
    }
    for (uint32_t i = 0; i < cursor->count; i++) {
        read_key((const uint8_t *)row.value.data + (size_t)i * KEY_BYTES, &cursor->keys[i]);
    }
    memcpy(cursor->block_hash, cursor->keys[0].key_hash, sizeof cursor->block_hash);
    cursor->begun = true;
    cursor->next = 0;
    return SAGA_OK;
}

enum saga_error saga_run_cursor_next(struct saga_run_cursor *cursor, struct saga_log_reader *reader,
                                     const struct saga_start_key **key, struct saga_fault *fault) {
    if (cursor->next == cursor->count) {
        const enum saga_error error = next_block(cursor, reader, fault);
        if (error != SAGA_OK) {
            return error;
        }
    }
    *key = &cursor->keys[cursor->next++];
    return SAGA_OK;
}

/* ------------------------------------------------------------------ writing */

bool saga_run_writer_begin(struct saga_run_writer *writer, uint32_t number, uint8_t level,
                           uint64_t key_count) {
    writer->held = 0;
    writer->run = (struct saga_key_run){.number = number, .level = level, .newest_ms = INT64_MIN};
    return saga_key_filter_init(&writer->run.filter, saga_key_filter_blocks(key_count));
}

void saga_run_writer_abandon(struct saga_run_writer *writer) {
    saga_key_run_fini(&writer->run);
}

static void put_block(struct saga_run_writer *writer, struct saga_log *log) {
    uint8_t value[SAGA_RUN_BLOCK_KEYS * KEY_BYTES];
    const struct row_key key = block_key(writer->run.number, writer->keys[0].key_hash);
    for (uint32_t i = 0; i < writer->held; i++) {
        write_key(value + (size_t)i * KEY_BYTES, &writer->keys[i]);
    }
    saga_log_put(log, SAGA_TABLE_KEYS, bytes_of(&key),
                 (struct saga_bytes){.data = value, .size = writer->held * KEY_BYTES});
    writer->held = 0;
}

void saga_run_writer_add(struct saga_run_writer *writer, struct saga_log *log,
                         const struct saga_start_key *key) {
    assert(writer->held == 0 ||
           saga_key_hash_compare(writer->keys[writer->held - 1].key_hash, key->key_hash) < 0);
    const int64_t started_ms = saga_id_ms(&key->saga);
    writer->run.newest_ms = started_ms > writer->run.newest_ms ? started_ms : writer->run.newest_ms;
    writer->run.key_count++;
    saga_key_filter_add(&writer->run.filter, key->key_hash);
    writer->keys[writer->held++] = *key;
    if (writer->held == SAGA_RUN_BLOCK_KEYS) {
        put_block(writer, log);
    }
}

bool saga_run_writer_filter(struct saga_run_writer *writer, struct saga_log *log, uint32_t *piece,
                            uint32_t rows_max) {
    const struct saga_key_filter *filter = &writer->run.filter;
    const uint32_t count = piece_count(filter->block_count);
    for (; *piece < count && rows_max > 0; (*piece)++, rows_max--) {
        const struct row_key key = piece_key(writer->run.number, *piece);
        saga_log_put(log, SAGA_TABLE_KEYS, bytes_of(&key),
                     (struct saga_bytes){
                         .data = filter->bytes + (size_t)*piece * PIECE_BYTES,
                         .size = (uint32_t)piece_size(filter->block_count, *piece),
                     });
    }
    return *piece == count;
}

void saga_run_writer_finish(struct saga_run_writer *writer, struct saga_log *log,
                            struct saga_key_run *run) {
    uint8_t value[HEAD_BYTES] = {FORMAT, writer->run.level};
    const struct row_key key = head_key(writer->run.number);
    if (writer->held > 0) {
        put_block(writer, log);
    }
    saga_put64(value + 4, writer->run.key_count);
    saga_put32(value + 12, writer->run.filter.block_count);
    saga_put64(value + 16, (uint64_t)writer->run.newest_ms);
    saga_log_put(log, SAGA_TABLE_KEYS, bytes_of(&key),
                 (struct saga_bytes){.data = value, .size = sizeof value});
    *run = writer->run;
    writer->run = (struct saga_key_run){0};
}

void saga_key_run_remove(uint32_t number, struct saga_log *log) {
    const struct row_key key = head_key(number);
    saga_log_remove(log, SAGA_TABLE_KEYS, bytes_of(&key));
}

enum saga_error saga_key_run_sweep(uint32_t number, struct saga_log *log,
                                   struct saga_log_reader *reader, uint32_t rows_max, bool *clean,
                                   struct saga_fault *fault) {
    const struct row_key first = head_key(number);
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_KEYS, bytes_of(&first), &row, fault);
    for (; error == SAGA_OK && number_of(&row) == number && rows_max > 0; rows_max--) {
        assert(!is_head(&row));
        saga_log_remove(log, SAGA_TABLE_KEYS, row.key);
        error = saga_log_reader_step_row(reader, SAGA_TABLE_KEYS, true, &row, fault);
    }
    *clean = error == SAGA_ERROR_NOT_FOUND || (error == SAGA_OK && number_of(&row) != number);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}
