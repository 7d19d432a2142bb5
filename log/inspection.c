#include "inspection.h"

#include "reader.h"

#include <stdlib.h>
#include <string.h>

/* Read between two pauses. */
#define SLICE_BYTES ((uint64_t)1 << 20)
/* What a record or a row takes beside its payload or value, about. */
#define SMALL_BYTES 64

struct walk {
    struct saga_inspection *inspection;
    struct saga_log_reader *reader;
    struct saga_fault *fault;
    uint64_t slice; /* bytes of it that were read */
};

/* Counts what was read; between two slices, gives the view up for as long as it likes. */
static enum saga_error go_on(struct walk *walk, uint64_t bytes, bool *renewed) {
    walk->slice += bytes + SMALL_BYTES;
    *renewed = walk->slice >= SLICE_BYTES;
    if (!*renewed) {
        return SAGA_OK;
    }
    const uint64_t slice = walk->slice;
    walk->slice = 0;
    saga_log_reader_release(walk->reader);
    enum saga_error error = SAGA_OK;
    if (walk->inspection->paused != NULL) {
        error = walk->inspection->paused(walk->inspection->context, slice, walk->fault);
    }
    return error == SAGA_OK ? saga_log_reader_renew(walk->reader, walk->fault) : error;
}

static enum saga_error read_records(struct walk *walk) {
    const uint64_t last = saga_log_reader_last(walk->reader);
    struct saga_record record;
    enum saga_error error = SAGA_OK;
    saga_log_reader_seek(walk->reader, saga_log_reader_first(walk->reader));
    while (error == SAGA_OK && saga_log_reader_position(walk->reader) <= last) {
        bool renewed;
        /* Old records may go while it is not looking. */
        if (saga_log_reader_position(walk->reader) < saga_log_reader_first(walk->reader)) {
            saga_log_reader_seek(walk->reader, saga_log_reader_first(walk->reader));
            continue;
        }
        error = saga_log_reader_next(walk->reader, &record, walk->fault);
        if (error == SAGA_OK) {
            walk->inspection->records++;
            error = go_on(walk, record.payload.size, &renewed);
        }
    }
    return error;
}

/* The row after the one with this key, which may be gone. */
static enum saga_error find_after(struct walk *walk, enum saga_log_table table,
                                  struct saga_bytes key, struct saga_log_row *row) {
    const enum saga_error error =
        saga_log_reader_seek_row(walk->reader, table, key, row, walk->fault);
    if (error != SAGA_OK || row->key.size != key.size ||
        memcmp(row->key.data, key.data, key.size) != 0) {
        return error;
    }
    return saga_log_reader_step_row(walk->reader, table, true, row, walk->fault);
}

static enum saga_error read_rows(struct walk *walk, enum saga_log_table table) {
    uint8_t key[SAGA_ROW_KEY_BYTES_MAX];
    struct saga_log_row row;
    enum saga_error error =
        saga_log_reader_seek_row(walk->reader, table, (struct saga_bytes){0}, &row, walk->fault);
    while (error == SAGA_OK) {
        bool renewed;
        if (row.key.size > sizeof key) {
            return saga_fault_set(walk->fault, SAGA_ERROR_LOG_REFUSED,
                                  "%.300s/data.mdb is damaged: a key of its table %s has %u bytes.",
                                  saga_store_path(walk->reader->store),
                                  saga_store_table_name(table), row.key.size);
        }
        const struct saga_bytes last = {.data = key, .size = row.key.size};
        memcpy(key, row.key.data, row.key.size);
        walk->inspection->rows++;
        error = go_on(walk, row.value.size, &renewed);
        if (error == SAGA_OK) {
            error = renewed
                        ? find_after(walk, table, last, &row)
                        : saga_log_reader_step_row(walk->reader, table, true, &row, walk->fault);
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

enum saga_error saga_inspection_run(struct saga_inspection *inspection, struct saga_log *log,
                                    struct saga_fault *fault) {
    struct walk walk = {.inspection = inspection, .fault = fault};
    enum saga_error error = saga_log_reader_open(log, &walk.reader, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = read_records(&walk);
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT && error == SAGA_OK; table++) {
        error = read_rows(&walk, (enum saga_log_table)table);
    }
    saga_log_reader_close(walk.reader);
    return error;
}
