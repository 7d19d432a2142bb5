#include "reader.h"

#include "tables.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is wrong with which record; what to do is always the same. */
__attribute__((format(printf, 4, 5))) static enum saga_error
refuse(const struct saga_log_reader *reader, uint64_t lsn, struct saga_fault *fault,
       const char *format, ...) {
    char what[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s/data.mdb is damaged: record %" PRIu64
                          ": %s. Restore data.mdb from a backup; sagalog verify shows what is left "
                          "of this one. Nothing was changed.",
                          saga_store_path(reader->store), lsn, what);
}

/* -------------------------------------------------------------------- view */

/* Blocks point into the view's map. */
static void forget_blocks(struct saga_log_reader *reader) {
    reader->scanned.record_count = 0;
    reader->read.record_count = 0;
    reader->cursor_at_scanned = false;
}

enum saga_error saga_log_reader_init(struct saga_log_reader *reader, struct saga_store *store,
                                     struct saga_fault *fault) {
    *reader = (struct saga_log_reader){.store = store};
    enum saga_error error = saga_store_view_open(store, &reader->view, fault);
    if (error == SAGA_OK) {
        reader->meta = *saga_store_view_meta(reader->view);
        reader->next_lsn = reader->meta.base_lsn;
    }
    return error;
}

void saga_log_reader_fini(struct saga_log_reader *reader) {
    saga_store_view_close(reader->view);
}

void saga_log_reader_release(struct saga_log_reader *reader) {
    forget_blocks(reader);
    saga_store_view_release(reader->view);
}

enum saga_error saga_log_reader_renew(struct saga_log_reader *reader, struct saga_fault *fault) {
    forget_blocks(reader);
    enum saga_error error = saga_store_view_renew(reader->view, fault);
    if (error == SAGA_OK) {
        reader->meta = *saga_store_view_meta(reader->view);
    }
    return error;
}

uint64_t saga_log_reader_first(const struct saga_log_reader *reader) {
    return reader->meta.base_lsn;
}

uint64_t saga_log_reader_last(const struct saga_log_reader *reader) {
    return reader->meta.last_lsn;
}

/* ------------------------------------------------------------------ blocks */

static uint64_t last_of(const struct saga_block *block) {
    return block->first_lsn + block->record_count - 1;
}

static bool has(const struct saga_block *block, uint64_t lsn) {
    return block->record_count > 0 && lsn >= block->first_lsn && lsn <= last_of(block);
}

static bool in_view(const struct saga_log_reader *reader, uint64_t lsn) {
    return lsn >= reader->meta.base_lsn && lsn <= reader->meta.last_lsn;
}

static enum saga_error open_block(const struct saga_log_reader *reader,
                                  const struct saga_store_block *stored, struct saga_block *block,
                                  struct saga_fault *fault) {
    struct saga_block opened;
    enum saga_record_error damage =
        saga_block_open(&opened, stored->first_lsn, stored->bytes, stored->size);
    if (damage != SAGA_RECORD_OK) {
        return refuse(reader, stored->first_lsn, fault, "the block that begins with it: %s",
                      saga_record_error_text(damage));
    }
    if (opened.first_lsn < reader->meta.base_lsn || last_of(&opened) > reader->meta.last_lsn) {
        return refuse(reader, opened.first_lsn, fault,
                      "its block ends with %" PRIu64 ", but the log has %" PRIu64 " to %" PRIu64,
                      last_of(&opened), reader->meta.base_lsn, reader->meta.last_lsn);
    }
    *block = opened;
    return SAGA_OK;
}

/* The block with record `lsn`, wherever the cursor is. */
static enum saga_error find_block(struct saga_log_reader *reader, uint64_t lsn,
                                  struct saga_block *block, struct saga_fault *fault) {
    struct saga_store_block stored;
    reader->cursor_at_scanned = false;
    enum saga_error error = saga_store_view_find(reader->view, lsn, &stored, fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        return refuse(reader, lsn, fault, "it is missing, and all before it");
    }
    if (error == SAGA_OK) {
        error = open_block(reader, &stored, block, fault);
    }
    if (error == SAGA_OK && !has(block, lsn)) {
        uint64_t last = last_of(block);
        block->record_count = 0;
        return refuse(reader, lsn, fault, "it is missing: the block before it ends with %" PRIu64,
                      last);
    }
    return error;
}

/* The block that begins with next_lsn, by the cursor's next step. */
static enum saga_error next_block(struct saga_log_reader *reader, struct saga_fault *fault) {
    struct saga_store_block stored;
    reader->cursor_at_scanned = false;
    reader->scanned.record_count = 0;
    enum saga_error error = saga_store_view_next(reader->view, &stored, fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        return refuse(reader, reader->next_lsn, fault, "it is missing, and all up to %" PRIu64,
                      reader->meta.last_lsn);
    }
    if (error == SAGA_OK && stored.first_lsn != reader->next_lsn) {
        return refuse(reader, reader->next_lsn, fault,
                      "it is missing: the next block begins with %" PRIu64, stored.first_lsn);
    }
    return error == SAGA_OK ? open_block(reader, &stored, &reader->scanned, fault) : error;
}

/* What a record alone can be checked for; `damage` is what its bytes were. */
static enum saga_error check_record(const struct saga_log_reader *reader, uint64_t lsn,
                                    const struct saga_record *record, enum saga_record_error damage,
                                    struct saga_fault *fault) {
    if (damage != SAGA_RECORD_OK) {
        return refuse(reader, lsn, fault, "%s", saga_record_error_text(damage));
    }
    if (record->previous_lsn >= lsn) {
        return refuse(reader, lsn, fault, "its saga's record before it is said to be %" PRIu64,
                      record->previous_lsn);
    }
    if (record->epoch > reader->meta.epoch) {
        return refuse(reader, lsn, fault, "it is of epoch %" PRIu32 ", the log of epoch %" PRIu32,
                      record->epoch, reader->meta.epoch);
    }
    return SAGA_OK;
}

/* Record `lsn` of its block, checked. */
static enum saga_error record_of(const struct saga_log_reader *reader,
                                 const struct saga_block *block, uint64_t lsn,
                                 struct saga_record *record, struct saga_fault *fault) {
    enum saga_record_error damage =
        saga_block_record(block, (uint32_t)(lsn - block->first_lsn), record);
    return check_record(reader, lsn, record, damage, fault);
}

static enum saga_error open_row(const struct saga_log_reader *reader, enum saga_log_table table,
                                const struct saga_store_row *stored, struct saga_log_row *row,
                                struct saga_fault *fault) {
    row->key = stored->key;
    if (saga_row_open(table, stored->key, stored->value, &row->value)) {
        return SAGA_OK;
    }
    char key[2 * SAGA_ROW_KEY_BYTES_MAX + 1] = "";
    for (uint32_t i = 0; i < stored->key.size && i < SAGA_ROW_KEY_BYTES_MAX; i++) {
        (void)snprintf(key + (size_t)2 * i, 3, "%02x", ((const uint8_t *)stored->key.data)[i]);
    }
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s/data.mdb is damaged: row %s of its table %s does not match its "
                          "checksum. Restore data.mdb from a backup; nothing was changed.",
                          saga_store_path(reader->store), key, saga_store_table_name(table));
}

/* ----------------------------------------------------------------- records */

void saga_log_reader_seek(struct saga_log_reader *reader, uint64_t lsn) {
    reader->next_lsn = lsn;
    reader->epoch = 0;
}

uint64_t saga_log_reader_position(const struct saga_log_reader *reader) {
    return reader->next_lsn;
}

static enum saga_error advance(struct saga_log_reader *reader, struct saga_fault *fault) {
    bool follows = reader->cursor_at_scanned && reader->scanned.record_count > 0 &&
                   reader->next_lsn == last_of(&reader->scanned) + 1;
    enum saga_error error = follows ? next_block(reader, fault)
                                    : find_block(reader, reader->next_lsn, &reader->scanned, fault);
    reader->cursor_at_scanned = error == SAGA_OK;
    return error;
}

enum saga_error saga_log_reader_next(struct saga_log_reader *reader, struct saga_record *record,
                                     struct saga_fault *fault) {
    uint64_t lsn = reader->next_lsn;
    if (!in_view(reader, lsn)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    enum saga_error error = has(&reader->scanned, lsn) ? SAGA_OK : advance(reader, fault);
    if (error == SAGA_OK) {
        error = record_of(reader, &reader->scanned, lsn, record, fault);
    }
    if (error == SAGA_OK && record->epoch < reader->epoch) {
        return refuse(reader, lsn, fault,
                      "it is of epoch %" PRIu32 ", the one before it of epoch %" PRIu32,
                      record->epoch, reader->epoch);
    }
    if (error == SAGA_OK) {
        reader->epoch = record->epoch;
        reader->next_lsn++;
    }
    return error;
}

enum saga_error saga_log_reader_skip(struct saga_log_reader *reader, struct saga_fault *fault) {
    struct saga_store_block stored;
    forget_blocks(reader);
    enum saga_error error = saga_store_view_after(reader->view, reader->next_lsn, &stored, fault);
    if (error == SAGA_OK) {
        saga_log_reader_seek(reader, stored.first_lsn);
    }
    return error;
}

/* The block with record `lsn`, to `read`. */
static enum saga_error read_block(struct saga_log_reader *reader, uint64_t lsn,
                                  struct saga_fault *fault) {
    if (has(&reader->read, lsn)) {
        return SAGA_OK;
    }
    if (has(&reader->scanned, lsn)) {
        reader->read = reader->scanned;
        return SAGA_OK;
    }
    reader->read.record_count = 0;
    return find_block(reader, lsn, &reader->read, fault);
}

enum saga_error saga_log_reader_block(struct saga_log_reader *reader, uint64_t lsn,
                                      uint64_t *last_lsn, struct saga_fault *fault) {
    assert(in_view(reader, lsn));
    const enum saga_error error = read_block(reader, lsn, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (reader->read.first_lsn != lsn) {
        return refuse(reader, lsn, fault, "it should begin a block, and is in the one of %" PRIu64,
                      reader->read.first_lsn);
    }
    *last_lsn = last_of(&reader->read);
    return SAGA_OK;
}

/* A record whose block is gone. */
static enum saga_error read_kept(struct saga_log_reader *reader, const struct saga_id *saga,
                                 uint64_t lsn, struct saga_record *record,
                                 struct saga_fault *fault) {
    uint8_t bytes[SAGA_KEPT_KEY_BYTES];
    struct saga_bytes key = {.data = bytes};
    struct saga_store_row stored;
    struct saga_log_row row;
    if (saga != NULL) {
        saga_kept_key(saga, lsn, bytes);
        key.size = SAGA_KEPT_KEY_BYTES;
    } else {
        saga_definition_key(lsn, bytes);
        key.size = SAGA_DEFINITION_KEY_BYTES;
    }
    const enum saga_log_table table = saga != NULL ? SAGA_TABLE_KEPT : SAGA_TABLE_DEFINITIONS;
    enum saga_error error = saga_store_view_row(reader->view, table, key, &stored, fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "record %" PRIu64 " was purged: the log begins with record %" PRIu64,
                              lsn, reader->meta.base_lsn);
    }
    if (error == SAGA_OK) {
        error = open_row(reader, table, &stored, &row, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    return check_record(reader, lsn, record,
                        saga != NULL ? saga_kept_row_decode(record, row.key, row.value)
                                     : saga_definition_row_decode(record, row.key, row.value),
                        fault);
}

enum saga_error saga_log_reader_read(struct saga_log_reader *reader, const struct saga_id *saga,
                                     uint64_t lsn, struct saga_record *record,
                                     struct saga_fault *fault) {
    if (lsn > 0 && lsn < reader->meta.base_lsn) {
        return read_kept(reader, saga, lsn, record, fault);
    }
    if (!in_view(reader, lsn)) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "the log has no record %" PRIu64 ": it has %" PRIu64 " to %" PRIu64,
                              lsn, reader->meta.base_lsn, reader->meta.last_lsn);
    }
    const enum saga_error error = read_block(reader, lsn, fault);
    return error == SAGA_OK ? record_of(reader, &reader->read, lsn, record, fault) : error;
}

/* ---------------------------------------------------------------- checking */

/* Nothing is behind the last record. */
static enum saga_error check_end(struct saga_log_reader *reader, struct saga_fault *fault) {
    struct saga_store_block beyond;
    reader->cursor_at_scanned = false;
    enum saga_error error =
        saga_store_view_after(reader->view, reader->meta.last_lsn, &beyond, fault);
    if (error == SAGA_OK) {
        return refuse(reader, beyond.first_lsn, fault,
                      "it is there, and the log says that it ends with %" PRIu64,
                      reader->meta.last_lsn);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

enum saga_error saga_log_reader_check(struct saga_log_reader *reader, struct saga_fault *fault) {
    const struct saga_meta *meta = &reader->meta;
    uint64_t blocks = 0;
    enum saga_error error = saga_store_view_count(reader->view, &blocks, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (blocks != meta->block_count) {
        return saga_fault_set(
            fault, SAGA_ERROR_LOG_REFUSED,
            "%.300s/data.mdb is damaged: it has %" PRIu64 " blocks of records, and "
            "says that it has %" PRIu64 ". Restore it from a backup; nothing was changed.",
            saga_store_path(reader->store), blocks, meta->block_count);
    }
    if (meta->record_count == 0) {
        return SAGA_OK;
    }
    struct saga_record record = {0};
    uint64_t first_block_last;
    error = saga_log_reader_block(reader, meta->base_lsn, &first_block_last, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_read(reader, NULL, meta->base_lsn, &record, fault);
    }
    if (error == SAGA_OK) {
        error = saga_log_reader_read(reader, NULL, meta->last_lsn, &record, fault);
    }
    if (error == SAGA_OK && record.epoch != meta->epoch) {
        error = refuse(reader, meta->last_lsn, fault,
                       "it is of epoch %" PRIu32 ", and the log says its last is of epoch %" PRIu32,
                       record.epoch, meta->epoch);
    }
    return error == SAGA_OK ? check_end(reader, fault) : error;
}

/* -------------------------------------------------------------------- rows */

struct saga_checkpoint saga_log_reader_checkpoint(const struct saga_log_reader *reader) {
    return reader->meta.checkpoint;
}

enum saga_error saga_log_reader_seek_row(struct saga_log_reader *reader, enum saga_log_table table,
                                         struct saga_bytes key, struct saga_log_row *row,
                                         struct saga_fault *fault) {
    struct saga_store_row stored;
    const enum saga_error error =
        saga_store_view_seek_row(reader->view, table, key, &stored, fault);
    return error == SAGA_OK ? open_row(reader, table, &stored, row, fault) : error;
}

enum saga_error saga_log_reader_step_row(struct saga_log_reader *reader, enum saga_log_table table,
                                         bool forward, struct saga_log_row *row,
                                         struct saga_fault *fault) {
    struct saga_store_row stored;
    const enum saga_error error =
        saga_store_view_step_row(reader->view, table, forward, &stored, fault);
    return error == SAGA_OK ? open_row(reader, table, &stored, row, fault) : error;
}

enum saga_error saga_log_reader_row(struct saga_log_reader *reader, enum saga_log_table table,
                                    struct saga_bytes key, struct saga_bytes *value,
                                    struct saga_fault *fault) {
    struct saga_log_row row;
    const enum saga_error error = saga_log_reader_seek_row(reader, table, key, &row, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (row.key.size != key.size || memcmp(row.key.data, key.data, key.size) != 0) {
        return SAGA_ERROR_NOT_FOUND;
    }
    *value = row.value;
    return SAGA_OK;
}

enum saga_error saga_log_reader_row_count(struct saga_log_reader *reader, enum saga_log_table table,
                                          uint64_t *count, struct saga_fault *fault) {
    return saga_store_view_row_count(reader->view, table, count, fault);
}
