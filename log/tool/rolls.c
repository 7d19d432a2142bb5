#include "rolls.h"

#include <string.h>

static enum saga_error refuse(const char *table, enum saga_record_error damage,
                              struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "the log is damaged: a row of its table %s: %s. Restore data.mdb from a "
                          "backup; nothing was changed.",
                          table, saga_record_error_text(damage));
}

/* The last row before `key`. */
static enum saga_error row_before(struct saga_log_reader *reader, enum saga_log_table table,
                                  const void *key, uint32_t size, struct saga_log_row *row,
                                  struct saga_fault *fault) {
    const struct saga_bytes bytes = {.data = key, .size = size};
    const enum saga_error error = saga_log_reader_seek_row(reader, table, bytes, row, fault);
    return error == SAGA_OK || error == SAGA_ERROR_NOT_FOUND
               ? saga_log_reader_step_row(reader, table, false, row, fault)
               : error;
}

static enum saga_error decode_open(const struct saga_log_row *stored, struct saga_open_row *row,
                                   struct saga *state, struct saga_fault *fault) {
    memset(state, 0, saga_size(SAGA_STEPS_MAX));
    const enum saga_record_error damage =
        saga_open_row_decode(row, state, stored->key, stored->value);
    return damage == SAGA_RECORD_OK ? SAGA_OK : refuse("open", damage, fault);
}

enum saga_error saga_rolls_open_before(struct saga_log_reader *reader, const struct saga_id *before,
                                       struct saga_open_row *row, struct saga *state,
                                       struct saga_fault *fault) {
    struct saga_log_row stored;
    const enum saga_error error =
        row_before(reader, SAGA_TABLE_OPEN, before->bytes, sizeof before->bytes, &stored, fault);
    return error == SAGA_OK ? decode_open(&stored, row, state, fault) : error;
}

enum saga_error saga_rolls_done_before(struct saga_log_reader *reader, uint8_t outcome,
                                       const struct saga_id *before, struct saga_done_row *row,
                                       struct saga_fault *fault) {
    uint8_t key[SAGA_DONE_KEY_BYTES];
    struct saga_log_row stored;
    saga_done_key(outcome, before, key);
    const enum saga_error error =
        row_before(reader, SAGA_TABLE_DONE, key, sizeof key, &stored, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const enum saga_record_error damage = saga_done_row_decode(row, stored.key, stored.value);
    if (damage != SAGA_RECORD_OK) {
        return refuse("done", damage, fault);
    }
    return row->outcome == outcome ? SAGA_OK : SAGA_ERROR_NOT_FOUND;
}

enum saga_error saga_rolls_open_find(struct saga_log_reader *reader, const struct saga_id *id,
                                     struct saga_open_row *row, struct saga *state,
                                     struct saga_fault *fault) {
    const struct saga_bytes key = {.data = id->bytes, .size = sizeof id->bytes};
    struct saga_log_row stored = {.key = key};
    const enum saga_error error =
        saga_log_reader_row(reader, SAGA_TABLE_OPEN, key, &stored.value, fault);
    return error == SAGA_OK ? decode_open(&stored, row, state, fault) : error;
}

/* The ids of a table end its keys. */
static enum saga_error visit_table(struct saga_log_reader *reader, enum saga_log_table table,
                                   uint32_t key_bytes,
                                   void (*visit)(void *context, const struct saga_id *id),
                                   void *context, struct saga_fault *fault) {
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(reader, table, (struct saga_bytes){0}, &row, fault);
    while (error == SAGA_OK) {
        struct saga_id id;
        if (row.key.size != key_bytes) {
            return refuse(table == SAGA_TABLE_OPEN ? "open" : "done", SAGA_RECORD_MALFORMED, fault);
        }
        memcpy(id.bytes, (const uint8_t *)row.key.data + key_bytes - sizeof id.bytes,
               sizeof id.bytes);
        visit(context, &id);
        error = saga_log_reader_step_row(reader, table, true, &row, fault);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

enum saga_error saga_rolls_visit(struct saga_log_reader *reader,
                                 void (*visit)(void *context, const struct saga_id *id),
                                 void *context, struct saga_fault *fault) {
    const enum saga_error error =
        visit_table(reader, SAGA_TABLE_OPEN, SAGA_OPEN_KEY_BYTES, visit, context, fault);
    return error == SAGA_OK
               ? visit_table(reader, SAGA_TABLE_DONE, SAGA_DONE_KEY_BYTES, visit, context, fault)
               : error;
}
