#include "inspection.h"

#include "reader.h"

#include <inttypes.h>
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
    bool lost;      /* no view could be taken again */
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
    if (error == SAGA_OK) {
        error = saga_log_reader_renew(walk->reader, walk->fault);
        walk->lost = error != SAGA_OK;
    }
    return error;
}

/* Somebody hears of it, and the rest is looked at; or that is all. */
static enum saga_error report(struct walk *walk) {
    const struct saga_inspection *inspection = walk->inspection;
    const struct saga_fault damage = *walk->fault;
    walk->inspection->damages++;
    return inspection->damaged != NULL
               ? inspection->damaged(inspection->context, &damage, walk->fault)
               : SAGA_ERROR_LOG_REFUSED;
}

/* ----------------------------------------------------------------- records */

static enum saga_error break_chain(const struct walk *walk, uint64_t lsn, const char *what) {
    return saga_fault_set(walk->fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s/data.mdb is damaged: record %" PRIu64
                          ": %s. Restore data.mdb from a backup; sagalog verify shows what is left "
                          "of this one. Nothing was changed.",
                          saga_store_path(walk->reader->store), lsn, what);
}

/* The record before it, of the same saga, is where it says; unless it is gone. What is damaged
 * itself is told of where it stands. */
static enum saga_error check_chain(const struct walk *walk, const struct saga_record *record) {
    static const struct saga_id none = {{0}};
    struct saga_record previous;
    if (memcmp(&record->saga, &none, sizeof none) == 0) {
        return SAGA_OK;
    }
    if ((record->fact == SAGA_STARTED) != (record->previous_lsn == 0)) {
        return break_chain(walk, record->lsn,
                           record->fact == SAGA_STARTED ? "it starts a saga that was there before"
                                                        : "it names no record before it");
    }
    if (record->previous_lsn == 0 ||
        saga_log_reader_read(walk->reader, &record->saga, record->previous_lsn, &previous,
                             walk->fault) != SAGA_OK) {
        return SAGA_OK;
    }
    return memcmp(&record->saga, &previous.saga, sizeof previous.saga) == 0
               ? SAGA_OK
               : break_chain(walk, record->lsn, "the record that it names is of another saga");
}

/* Behind what is damaged; NOT_FOUND: there is no more. */
static enum saga_error pass_over_record(struct walk *walk) {
    const enum saga_error error = report(walk);
    return error == SAGA_OK ? saga_log_reader_skip(walk->reader, walk->fault) : error;
}

static enum saga_error read_record(struct walk *walk) {
    struct saga_record record;
    bool renewed;
    enum saga_error error = saga_log_reader_next(walk->reader, &record, walk->fault);
    if (error == SAGA_ERROR_LOG_REFUSED) {
        return pass_over_record(walk);
    }
    if (error != SAGA_OK) {
        return error;
    }
    walk->inspection->records++;
    if (walk->inspection->chained && check_chain(walk, &record) != SAGA_OK) {
        error = report(walk);
    }
    return error == SAGA_OK ? go_on(walk, record.payload.size, &renewed) : error;
}

static enum saga_error read_records(struct walk *walk) {
    const uint64_t last = saga_log_reader_last(walk->reader);
    enum saga_error error = SAGA_OK;
    saga_log_reader_seek(walk->reader, saga_log_reader_first(walk->reader));
    while (error == SAGA_OK && saga_log_reader_position(walk->reader) <= last) {
        /* Old records may go while it is not looking. */
        if (saga_log_reader_position(walk->reader) < saga_log_reader_first(walk->reader)) {
            saga_log_reader_seek(walk->reader, saga_log_reader_first(walk->reader));
            continue;
        }
        error = read_record(walk);
    }
    return error == SAGA_ERROR_NOT_FOUND && walk->inspection->damages > 0 ? SAGA_OK : error;
}

/* -------------------------------------------------------------------- rows */

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
    while (error == SAGA_OK || (error == SAGA_ERROR_LOG_REFUSED && !walk->lost)) {
        bool renewed;
        if (error == SAGA_ERROR_LOG_REFUSED) {
            error = report(walk);
            if (error != SAGA_OK) {
                return error;
            }
            /* The reader stands on it, or nowhere: then that is all. */
            error = saga_log_reader_step_row(walk->reader, table, true, &row, walk->fault);
            continue;
        }
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
    if (error == SAGA_OK && inspection->damages == 0) { /* else it was said what is missing */
        error = saga_log_reader_check(walk.reader, fault);
        error = error == SAGA_ERROR_LOG_REFUSED ? report(&walk) : error;
    }
    saga_log_reader_close(walk.reader);
    return error;
}
