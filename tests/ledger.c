#include "ledger.h"

#include "splitmix.h"
#include "tables.h"

#include <pthread.h>
#include <string.h>

#define LARGEST ((uint32_t)100000)
/* The facts there were when the golden logs were written. */
#define LEDGER_FACTS 14

/* Bytes to take payloads from. */
static uint8_t noise_bytes[LARGEST + 256];

static void make_noise(void) {
    struct splitmix random = {42};
    for (size_t i = 0; i < sizeof noise_bytes; i++) {
        noise_bytes[i] = (uint8_t)splitmix_next(&random);
    }
}

static const uint8_t *noise(void) {
    static pthread_once_t made = PTHREAD_ONCE_INIT;
    (void)pthread_once(&made, make_noise);
    return noise_bytes;
}

static uint32_t payload_size(uint64_t lsn, struct splitmix *random) {
    if (lsn % 199 == 0) {
        return LARGEST;
    }
    if (lsn % 97 == 0) {
        return 3000 + (uint32_t)splitmix_below(random, 6000);
    }
    return lsn % 3 == 0 ? 0 : (uint32_t)splitmix_below(random, 300);
}

struct saga_record ledger_record(uint64_t lsn) {
    struct splitmix random = {lsn};
    struct saga_record record = {
        .lsn = lsn,
        .previous_lsn = lsn > 16 ? lsn - 16 : 0,
        .at_ms = 1767225600000 + (int64_t)lsn,
        .wall_ms = 1767225600000 - (int64_t)lsn,
        .epoch = (uint32_t)(1 + lsn / LEDGER_EPOCH_RECORDS),
        .attempt = (uint32_t)splitmix_below(&random, 4),
        .incarnation = 1,
        .revision = 1,
        .fact = (uint8_t)(1 + splitmix_below(&random, LEDGER_FACTS)),
        .step = (uint8_t)(splitmix_below(&random, 8)),
        .operation = (uint8_t)(1 + splitmix_below(&random, 3)),
    };
    memset(record.saga.bytes, (int)(1 + lsn % 16), sizeof record.saga.bytes);
    record.payload.size = payload_size(lsn, &random);
    record.payload.data = record.payload.size > 0 ? noise() + splitmix_below(&random, 256) : NULL;
    return record;
}

static bool bytes_equal(struct saga_bytes a, struct saga_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool ledger_holds(const struct saga_record *record) {
    const struct saga_record *a = record;
    struct saga_record b = ledger_record(record->lsn);
    return bytes_equal(a->payload, b.payload) && bytes_equal(a->key, b.key) &&
           memcmp(&a->saga, &b.saga, sizeof b.saga) == 0 && a->previous_lsn == b.previous_lsn &&
           a->at_ms == b.at_ms && a->wall_ms == b.wall_ms &&
           a->definition_lsn == b.definition_lsn && a->epoch == b.epoch &&
           a->attempt == b.attempt && a->incarnation == b.incarnation &&
           a->revision == b.revision && a->fact == b.fact && a->step == b.step &&
           a->operation == b.operation && a->verdict == b.verdict && a->reason == b.reason &&
           a->outcome == b.outcome && a->verb == b.verb;
}

/* -------------------------------------------------------------------- rows */

#define ROWS 50 /* of each table, at most */

struct row {
    enum saga_log_table table;
    unsigned number;
    bool removed;
    uint8_t key[16];
    struct saga_bytes value;
};

static struct saga_bytes key_of(struct row *row) {
    const uint32_t size = 1 + row->number % 9;
    memset(row->key, (int)row->number, sizeof row->key);
    return (struct saga_bytes){.data = row->key, .size = size};
}

/* What becomes of a row with record `lsn`. */
static struct row row_of(uint64_t lsn) {
    struct splitmix random = {~lsn};
    struct row row = {
        .table = (enum saga_log_table)(1 + splitmix_below(&random, SAGA_LOG_TABLE_COUNT)),
        .number = (unsigned)splitmix_below(&random, ROWS),
        .removed = splitmix_below(&random, 4) == 0,
    };
    row.value.size = lsn % 61 == 0   ? SAGA_ROW_PAGE_BYTES
                     : lsn % 83 == 0 ? 20000
                                     : (uint32_t)splitmix_below(&random, 120);
    row.value.data = row.value.size > 0 ? noise() + splitmix_below(&random, 256) : NULL;
    return row;
}

static void change_row(struct saga_log *log, uint64_t lsn) {
    struct row row = row_of(lsn);
    if (row.removed) {
        saga_log_remove(log, row.table, key_of(&row));
    } else {
        saga_log_put(log, row.table, key_of(&row), row.value);
    }
}

/* By which record each row was put last; 0: it is not there. */
struct rows {
    uint64_t put[SAGA_LOG_TABLE_COUNT + 1][ROWS];
};

static void rows_after(struct rows *rows, uint64_t last) {
    memset(rows, 0, sizeof *rows);
    for (uint64_t lsn = 1; lsn <= last; lsn++) {
        const struct row row = row_of(lsn);
        rows->put[row.table][row.number] = row.removed ? 0 : lsn;
    }
}

/* The next row that is not of a kept record, of which it counts those; `found` is a row, if `error`
 * says so. */
static enum saga_error pass_kept(struct saga_log_reader *reader, enum saga_log_table table,
                                 enum saga_error error, struct saga_log_row *found, uint64_t *kept,
                                 struct saga_fault *fault) {
    while (error == SAGA_OK && found->key.size == SAGA_KEPT_KEY_BYTES) {
        (*kept)++;
        error = saga_log_reader_step_row(reader, table, true, found, fault);
    }
    return error;
}

/* The rows of a table are the expected ones, in their order, and `kept` counts those of kept
 * records beside them. */
static enum saga_error read_rows(struct saga_log_reader *reader, const struct rows *rows,
                                 enum saga_log_table table, uint64_t *kept,
                                 struct saga_fault *fault) {
    struct saga_log_row found;
    enum saga_error error =
        saga_log_reader_seek_row(reader, table, (struct saga_bytes){0}, &found, fault);
    error = pass_kept(reader, table, error, &found, kept, fault);
    for (unsigned number = 0; number < ROWS; number++) {
        const uint64_t lsn = rows->put[table][number];
        if (lsn == 0) {
            continue;
        }
        if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
            return error;
        }
        struct row row = row_of(lsn);
        if (error != SAGA_OK || !bytes_equal(found.key, key_of(&row)) ||
            !bytes_equal(found.value, row.value)) {
            return saga_fault_set(fault, SAGA_ERROR_INVALID, "row %u of table %d is another one",
                                  number, table);
        }
        error = saga_log_reader_step_row(reader, table, true, &found, fault);
        error = pass_kept(reader, table, error, &found, kept, fault);
    }
    if (error == SAGA_OK) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID, "table %d has a row too many", table);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* --------------------------------------------------------------------- log */

void ledger_append(struct saga_log *log, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct saga_record record = ledger_record(saga_log_next_lsn(log));
        saga_log_append(log, &record);
        change_row(log, record.lsn);
    }
}

bool ledger_keeps(uint64_t lsn) {
    return lsn % 16 < 4; /* of every fourth saga */
}

/* Keeps what is to be kept of the first block. */
static enum saga_error keep_records(struct saga_log *log, uint64_t last_lsn,
                                    struct saga_fault *fault) {
    struct saga_log_reader *reader;
    struct saga_record record;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    if (error == SAGA_OK) {
        saga_log_reader_seek(reader, saga_log_first_lsn(log));
    }
    while (error == SAGA_OK && saga_log_reader_position(reader) <= last_lsn) {
        error = saga_log_reader_next(reader, &record, fault);
        if (error == SAGA_OK && !ledger_holds(&record)) {
            error = saga_fault_set(fault, SAGA_ERROR_INVALID, "a record is another one");
        }
        if (error == SAGA_OK && ledger_keeps(record.lsn)) {
            saga_log_keep(log, &record);
        }
    }
    return error;
}

enum saga_error ledger_purge(struct saga_log *log, uint64_t distance, struct saga_fault *fault) {
    const uint64_t durable = saga_log_durable(log);
    if (durable <= distance) {
        return SAGA_OK;
    }
    const uint64_t through = durable - distance;
    if (through > saga_log_checkpoint(log).lsn) {
        const struct saga_record record = ledger_record(through);
        const struct saga_checkpoint checkpoint = {
            .lsn = through, .epoch = record.epoch, .epoch_ms = 1, .at_ms = record.at_ms};
        saga_log_set_checkpoint(log, &checkpoint);
    }
    for (;;) {
        uint64_t last_lsn = 0;
        enum saga_error error = saga_log_first_block(log, &last_lsn, fault);
        if (error == SAGA_ERROR_NOT_FOUND || (error == SAGA_OK && last_lsn > through)) {
            return SAGA_OK;
        }
        if (error == SAGA_OK) {
            error = keep_records(log, last_lsn, fault);
        }
        if (error != SAGA_OK) {
            return error;
        }
        saga_log_drop_block(log, last_lsn);
    }
}

/* What lies before the log's first record; `kept`: how many of them are to be found. */
static enum saga_error read_purged(struct saga_log_reader *reader, uint64_t *kept,
                                   struct saga_fault *fault) {
    *kept = 0;
    for (uint64_t lsn = 1; lsn < saga_log_reader_first(reader); lsn++) {
        const struct saga_id saga = ledger_record(lsn).saga;
        struct saga_record record;
        const enum saga_error error = saga_log_reader_read(reader, &saga, lsn, &record, fault);
        if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
            return error;
        }
        if ((error == SAGA_OK) != ledger_keeps(lsn) ||
            (error == SAGA_OK && (record.lsn != lsn || !ledger_holds(&record)))) {
            return saga_fault_set(fault, SAGA_ERROR_INVALID, "record %llu was not kept as it was",
                                  (unsigned long long)lsn);
        }
        *kept += error == SAGA_OK;
    }
    return SAGA_OK;
}

static enum saga_error read_records(struct saga_log_reader *reader, uint64_t *last,
                                    struct saga_fault *fault) {
    struct saga_record record;
    enum saga_error error;
    *last = saga_log_reader_first(reader) - 1;
    while ((error = saga_log_reader_next(reader, &record, fault)) == SAGA_OK) {
        if (record.lsn != *last + 1 || !ledger_holds(&record)) {
            return saga_fault_set(fault, SAGA_ERROR_INVALID, "record %llu is another one",
                                  (unsigned long long)record.lsn);
        }
        *last = record.lsn;
    }
    if (error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    return *last == saga_log_reader_last(reader)
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_INVALID, "the reader stopped early");
}

enum saga_error ledger_read(struct saga_log *log, uint64_t *last, struct saga_fault *fault) {
    struct saga_log_reader *reader;
    struct rows rows;
    enum saga_error error = saga_log_reader_open(log, &reader, fault);
    if (error != SAGA_OK) {
        return error;
    }
    uint64_t expected = 0;
    uint64_t kept = 0;
    error = read_records(reader, last, fault);
    rows_after(&rows, *last);
    if (error == SAGA_OK) {
        error = read_purged(reader, &expected, fault);
    }
    for (int table = 1; table <= SAGA_LOG_TABLE_COUNT && error == SAGA_OK; table++) {
        error = read_rows(reader, &rows, (enum saga_log_table)table, &kept, fault);
    }
    if (error == SAGA_OK && kept != expected) {
        error = saga_fault_set(fault, SAGA_ERROR_INVALID, "%llu records are kept, and not %llu",
                               (unsigned long long)kept, (unsigned long long)expected);
    }
    saga_log_reader_close(reader);
    return error;
}
