/*
 * The log in a simulation: log.h on a disk in memory. Records go through the
 * production codec, into blocks and out of them again; rows go through none.
 */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "daemon.h"
#include "disk.h"
#include "draw.h"
#include "marks.h"
#include "record.h"
#include "swarm.h"
#include "tables.h"
#include "trace.h"

#define DISK_BYTES  ((size_t)1 << 30) /* of addresses; what is written is used */
#define BLOCKS_MAX  200000
#define ROWS_BYTES  ((size_t)1 << 28)
#define ROWS_MAX    200000
#define CHANGES_MAX 20000

struct place {
    size_t offset;
    size_t size;
    uint64_t first_lsn;
    uint32_t count;
};

/* A row, or what a batch makes of one. */
struct row {
    uint8_t table;
    bool removes;
    struct saga_bytes key, value; /* in rows.bytes */
};

/* The tables' rows, by table and key, and what the batch is to change. */
static struct {
    uint8_t *bytes; /* what was ever put; begun anew with the disk */
    size_t used;
    struct row rows[ROWS_MAX];
    size_t count;
    struct row changes[CHANGES_MAX];
    size_t change_count;
    struct saga_checkpoint checkpoint; /* durable */
    bool slicing;                      /* rows were written since */
} rows;

static struct {
    uint8_t *bytes;
    struct place blocks[BLOCKS_MAX];
    size_t block_count;
    size_t dropped;    /* of these, the first ones */
    size_t used;       /* bytes of durable blocks */
    uint64_t base_lsn; /* of the first block that is not dropped */
    uint64_t last_lsn;
    uint32_t epoch;
    uint64_t commits;
} disk;

/* What a daemon has of it. One at a time. */
struct saga_log {
    struct saga_block_writer writer; /* the batch's last block, behind all others */
    bool writing;
    size_t batch_blocks; /* closed ones of the batch, behind the durable ones */
    size_t batch_used;
    uint64_t next_lsn;
    uint32_t epoch; /* with the batch */
    uint32_t batch_records;
    bool failed;
    struct saga_checkpoint checkpoint; /* with the batch */
    size_t dropped;                    /* likewise */
    uint64_t first_block_last;         /* what saga_log_first_block() has just said; 0: nothing */
    struct saga_log_usage usage;
};

struct saga_log_reader {
    uint64_t first, last, position;
    size_t row[SAGA_LOG_TABLE_COUNT + 1]; /* found last, + 1; 0: none */
};

static struct saga_log the_log;
static struct saga_log_reader the_reader;
static struct saga_log_reader committed; /* the log's own */

/* What saga_log_read() gave is valid until the next append or flush; so that a
 * later use is found out, it is a copy, which then is spoilt. */
static uint8_t lent[4][64 * 1024];
static size_t lent_sizes[4];
static unsigned lent_next;

void sim_disk_begin(void) {
    if (disk.bytes == NULL) {
        disk.bytes = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(disk.bytes != MAP_FAILED);
    }
    if (rows.bytes == NULL) {
        rows.bytes = mmap(NULL, ROWS_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(rows.bytes != MAP_FAILED);
    }
    rows.used = 0;
    rows.count = 0;
    rows.change_count = 0;
    rows.checkpoint = (struct saga_checkpoint){0};
    rows.slicing = false;
    disk.block_count = 0;
    disk.used = 0;
    disk.dropped = 0;
    disk.base_lsn = 1;
    disk.last_lsn = 0;
    disk.epoch = 0;
    disk.commits = 0;
}

struct saga_log *sim_disk_open(void) {
    memset(&the_log, 0, sizeof the_log);
    the_log.next_lsn = disk.last_lsn + 1;
    the_log.epoch = disk.epoch;
    the_log.batch_used = disk.used;
    the_log.checkpoint = rows.checkpoint;
    the_log.dropped = disk.dropped;
    rows.change_count = 0;
    if (rows.checkpoint.lsn > 0) {
        sim_mark(SIM_MARK_CHECKPOINT_BEGUN);
    }
    if (rows.slicing) {
        sim_mark(SIM_MARK_CHECKPOINT_CUT);
    }
    return &the_log;
}

void sim_disk_crash(void) {
    memset(&the_log, 0, sizeof the_log);
    memset(&the_reader, 0, sizeof the_reader);
}

uint64_t sim_disk_durable(void) {
    return disk.last_lsn;
}

uint64_t sim_disk_commits(void) {
    return disk.commits;
}

/* ----------------------------------------------------------------- reading */

static const struct place *find(uint64_t lsn, size_t count) {
    size_t low = 0;
    while (count > 1) {
        size_t half = count / 2;
        if (disk.blocks[low + half].first_lsn <= lsn) {
            low += half;
            count -= half;
        } else {
            count = half;
        }
    }
    return &disk.blocks[low];
}

static void read_block(const struct place *place, uint64_t lsn, struct saga_record *record) {
    struct saga_block block;
    enum saga_record_error error =
        saga_block_open(&block, place->first_lsn, disk.bytes + place->offset, place->size);
    if (error == SAGA_RECORD_OK) {
        error = saga_block_record(&block, (uint32_t)(lsn - place->first_lsn), record);
    }
    if (error != SAGA_RECORD_OK) {
        sim_violation("L1", "record %llu cannot be read back: %s", (unsigned long long)lsn,
                      saga_record_error_text(error));
    }
}

void sim_disk_read(uint64_t lsn, struct saga_record *record) {
    assert(lsn >= 1 && lsn <= disk.last_lsn);
    read_block(find(lsn, disk.block_count), lsn, record);
}

static void spoil_lent(void) {
    for (unsigned i = 0; i < 4; i++) {
        memset(lent[i], 0xdd, lent_sizes[i]);
        lent_sizes[i] = 0;
    }
}

static void lend(struct saga_record *record) {
    if (record->payload.size == 0 || record->payload.size > sizeof lent[0]) {
        return;
    }
    unsigned place = lent_next++ % 4;
    memcpy(lent[place], record->payload.data, record->payload.size);
    lent_sizes[place] = record->payload.size;
    record->payload.data = lent[place];
}

static enum saga_error read_kept(const struct saga_id *saga, uint64_t lsn,
                                 struct saga_record *record, struct saga_fault *fault);

enum saga_error saga_log_read(struct saga_log *log, const struct saga_id *saga, uint64_t lsn,
                              struct saga_record *record, struct saga_fault *fault) {
    if (lsn != 0 && lsn < disk.base_lsn) {
        const enum saga_error error = read_kept(saga, lsn, record, fault);
        if (error == SAGA_OK) {
            lend(record);
        }
        return error;
    }
    if (lsn == 0 || lsn >= log->next_lsn) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "no record %llu",
                              (unsigned long long)lsn);
    }
    if (log->writing && lsn >= log->writer.first_lsn) {
        saga_block_peek(&log->writer, (uint32_t)(lsn - log->writer.first_lsn), record);
    } else {
        read_block(find(lsn, disk.block_count + log->batch_blocks), lsn, record);
    }
    lend(record);
    return SAGA_OK;
}

/* --------------------------------------------------------------- appending */

uint64_t saga_log_next_lsn(const struct saga_log *log) {
    return log->next_lsn;
}

uint32_t saga_log_epoch(const struct saga_log *log) {
    return log->epoch;
}

bool saga_log_batch_full(const struct saga_log *log) {
    return log->batch_records + SAGA_DECISION_MAX > 200;
}

uint64_t saga_log_durable(const struct saga_log *log) {
    (void)log;
    return disk.last_lsn;
}

static void open_block(struct saga_log *log) {
    saga_block_begin(&log->writer, log->next_lsn, disk.bytes + log->batch_used);
    log->writing = true;
}

static void close_block(struct saga_log *log) {
    size_t size = saga_block_commit(&log->writer);
    size_t number = disk.block_count + log->batch_blocks++;
    assert(number < BLOCKS_MAX && log->batch_used + size + (8u << 20) < DISK_BYTES);
    disk.blocks[number] = (struct place){
        .offset = log->batch_used,
        .size = size,
        .first_lsn = log->writer.first_lsn,
        .count = log->writer.record_count,
    };
    log->batch_used += size;
    log->writing = false;
}

void saga_log_append(struct saga_log *log, const struct saga_record *record) {
    if (log->failed) {
        sim_violation("X6", "the daemon goes on after a commit that failed");
    }
    assert(record->lsn == log->next_lsn && record->previous_lsn < record->lsn);
    assert(record->epoch >= log->epoch);
    if (sim_fault(SIM_FAULT_KILL_APPEND)) {
        sim_daemon_kill("in append");
    }
    spoil_lent();
    if (!log->writing) {
        open_block(log);
    }
    if (!saga_block_add(&log->writer, record)) {
        close_block(log);
        open_block(log);
        bool added = saga_block_add(&log->writer, record);
        assert(added);
    }
    log->next_lsn++;
    log->batch_records++;
    log->epoch = record->epoch;
}

/* -------------------------------------------------------------------- rows */

static int compare_rows(const struct row *a, uint8_t table, struct saga_bytes key) {
    const uint32_t size = a->key.size < key.size ? a->key.size : key.size;
    const int order = a->table != table ? a->table - table
                      : size == 0       ? 0
                                        : memcmp(a->key.data, key.data, size);
    return order != 0 ? order : (a->key.size > key.size) - (a->key.size < key.size);
}

/* The first row that is not before this place. */
static size_t find_row(uint8_t table, struct saga_bytes key) {
    size_t low = 0;
    size_t high = rows.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_rows(&rows.rows[middle], table, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct saga_bytes keep_bytes(struct saga_bytes bytes) {
    assert(rows.used + bytes.size < ROWS_BYTES);
    uint8_t *kept = rows.bytes + rows.used;
    if (bytes.size > 0) {
        memcpy(kept, bytes.data, bytes.size);
    }
    rows.used += bytes.size;
    return (struct saga_bytes){.data = kept, .size = bytes.size};
}

static void change_row(struct saga_log *log, enum saga_log_table table, bool removes,
                       struct saga_bytes key, struct saga_bytes value) {
    if (log->failed) {
        sim_violation("X6", "the daemon goes on after a commit that failed");
    }
    assert(key.size > 0 && key.size <= SAGA_ROW_KEY_BYTES_MAX && rows.change_count < CHANGES_MAX);
    rows.changes[rows.change_count++] = (struct row){.table = (uint8_t)table,
                                                     .removes = removes,
                                                     .key = keep_bytes(key),
                                                     .value = keep_bytes(value)};
}

void saga_log_put(struct saga_log *log, enum saga_log_table table, struct saga_bytes key,
                  struct saga_bytes value) {
    change_row(log, table, false, key, value);
}

void saga_log_remove(struct saga_log *log, enum saga_log_table table, struct saga_bytes key) {
    change_row(log, table, true, key, (struct saga_bytes){0});
}

struct saga_checkpoint saga_log_checkpoint(const struct saga_log *log) {
    return log->checkpoint;
}

void saga_log_set_checkpoint(struct saga_log *log, const struct saga_checkpoint *checkpoint) {
    assert(checkpoint->lsn >= log->checkpoint.lsn && checkpoint->lsn <= disk.last_lsn);
    log->checkpoint = *checkpoint;
}

static void apply_change(const struct row *change) {
    const size_t at = find_row(change->table, change->key);
    const bool there =
        at < rows.count && compare_rows(&rows.rows[at], change->table, change->key) == 0;
    if (change->removes) {
        if (there && change->table == SAGA_TABLE_DONE) {
            struct saga_id id;
            memcpy(&id, (const uint8_t *)change->key.data + 1, sizeof id);
            sim_check_gone(((const uint8_t *)change->key.data)[0], &id);
        }
        if (there) {
            rows.count--;
            memmove(&rows.rows[at], &rows.rows[at + 1], (rows.count - at) * sizeof rows.rows[0]);
        }
        return;
    }
    if (!there) {
        assert(rows.count < ROWS_MAX);
        memmove(&rows.rows[at + 1], &rows.rows[at], (rows.count - at) * sizeof rows.rows[0]);
        rows.count++;
    }
    rows.rows[at] = *change;
}

/* ------------------------------------------------------- blocks that go */

/* A row with exactly this key; NULL: none. */
static const struct row *row_at(enum saga_log_table table, struct saga_bytes key) {
    const size_t at = find_row((uint8_t)table, key);
    return at < rows.count && compare_rows(&rows.rows[at], (uint8_t)table, key) == 0
               ? &rows.rows[at]
               : NULL;
}

static enum saga_error read_kept(const struct saga_id *saga, uint64_t lsn,
                                 struct saga_record *record, struct saga_fault *fault) {
    uint8_t bytes[SAGA_KEPT_KEY_BYTES];
    struct saga_bytes key = {.data = bytes};
    const struct row *row;
    enum saga_record_error damage = SAGA_RECORD_OK;
    if (saga != NULL) {
        saga_kept_key(saga, lsn, bytes);
        key.size = SAGA_KEPT_KEY_BYTES;
        row = row_at(SAGA_TABLE_KEPT, key);
    } else {
        saga_definition_key(lsn, bytes);
        key.size = SAGA_DEFINITION_KEY_BYTES;
        row = row_at(SAGA_TABLE_DEFINITIONS, key);
    }
    if (row == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "record %llu was purged",
                              (unsigned long long)lsn);
    }
    damage = saga != NULL ? saga_kept_row_decode(record, row->key, row->value)
                          : saga_definition_row_decode(record, row->key, row->value);
    if (damage != SAGA_RECORD_OK) {
        sim_violation("X5", "record %llu was kept, and cannot be read back: %s",
                      (unsigned long long)lsn, saga_record_error_text(damage));
    }
    return SAGA_OK;
}

uint64_t saga_log_first_lsn(const struct saga_log *log) {
    return log->dropped < disk.block_count ? disk.blocks[log->dropped].first_lsn
                                           : disk.last_lsn + 1;
}

enum saga_error saga_log_first_block(struct saga_log *log, uint64_t *last_lsn,
                                     struct saga_fault *fault) {
    (void)fault;
    log->first_block_last = 0;
    if (log->dropped == disk.block_count) {
        return SAGA_ERROR_NOT_FOUND;
    }
    const struct place *place = &disk.blocks[log->dropped];
    *last_lsn = log->first_block_last = place->first_lsn + place->count - 1;
    return SAGA_OK;
}

void saga_log_drop_block(struct saga_log *log, uint64_t last_lsn) {
    if (log->failed) {
        sim_violation("X6", "the daemon goes on after a commit that failed");
    }
    assert(last_lsn != 0 && last_lsn == log->first_block_last);
    assert(last_lsn <= log->checkpoint.lsn);
    log->dropped++;
    log->first_block_last = 0;
}

void saga_log_keep(struct saga_log *log, const struct saga_record *record) {
    static uint8_t bytes[SAGA_ROW_VALUE_BYTES_MAX];
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    assert(saga_record_size_max(record) <= sizeof bytes);
    const size_t size = saga_record_encode(record, bytes);
    saga_kept_key(&record->saga, record->lsn, key);
    change_row(log, SAGA_TABLE_KEPT, false, (struct saga_bytes){.data = key, .size = sizeof key},
               (struct saga_bytes){.data = bytes, .size = (uint32_t)size});
}

/* What goes is looked at once more: the bytes stay, for the checker alone. */
static void drop_blocks(const struct saga_log *log) {
    for (; disk.dropped < log->dropped; disk.dropped++) {
        const struct place *place = &disk.blocks[disk.dropped];
        for (uint64_t lsn = place->first_lsn; lsn < place->first_lsn + place->count; lsn++) {
            struct saga_record record;
            uint8_t key[SAGA_KEPT_KEY_BYTES];
            sim_disk_read(lsn, &record);
            saga_kept_key(&record.saga, lsn, key);
            const bool kept = row_at(SAGA_TABLE_KEPT,
                                     (struct saga_bytes){.data = key, .size = sizeof key}) != NULL;
            sim_check_dropped(&record, kept);
        }
    }
    disk.base_lsn = saga_log_first_lsn(log);
}

static void make_rows_durable(const struct saga_log *log) {
    for (size_t i = 0; i < rows.change_count; i++) {
        const struct row *change = &rows.changes[i];
        sim_trace_hash(change->key.data, change->key.size);
        sim_trace_hash(change->value.data, change->value.size);
        apply_change(change);
    }
    rows.slicing = rows.slicing || rows.change_count > 0;
    rows.change_count = 0;
    if (log->checkpoint.lsn != rows.checkpoint.lsn) {
        rows.checkpoint = log->checkpoint;
        rows.slicing = false;
        sim_mark(SIM_MARK_CHECKPOINT);
    }
}

/* The batch is on the disk now, whatever the daemon comes to know. */
static void make_durable(struct saga_log *log) {
    uint64_t first_lsn = disk.last_lsn + 1;
    sim_trace_hash(disk.bytes + disk.used, log->batch_used - disk.used);
    disk.block_count += log->batch_blocks;
    disk.used = log->batch_used;
    disk.last_lsn = log->next_lsn - 1;
    disk.epoch = log->epoch;
    log->batch_blocks = 0;
    log->batch_records = 0;
    make_rows_durable(log);
    const size_t dropped = disk.dropped;
    disk.commits++;
    for (uint64_t lsn = first_lsn; lsn <= disk.last_lsn; lsn++) {
        struct saga_record record;
        sim_disk_read(lsn, &record);
        sim_check_record(&record);
    }
    if (log->dropped > dropped) {
        drop_blocks(log);
    }
    sim_check_committed();
    sim_check_base(disk.base_lsn);
}

enum saga_error saga_log_flush(struct saga_log *log, struct saga_fault *fault) {
    if (log->failed) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE, "the log has failed before");
    }
    spoil_lent();
    if (log->writing) {
        close_block(log);
    }
    if (log->batch_records == 0 && rows.change_count == 0 && log->dropped == disk.dropped &&
        log->checkpoint.lsn == rows.checkpoint.lsn) {
        return SAGA_OK;
    }
    bool dies = sim_fault(SIM_FAULT_KILL_COMMIT);
    bool fails = !dies && sim_fault(SIM_FAULT_COMMIT_FAILS);
    bool lands = !(dies || fails) || sim_draw_chance(500);
    if (dies || fails) {
        sim_mark(lands ? SIM_MARK_COMMIT_NEW : SIM_MARK_COMMIT_OLD);
    }
    if (lands) {
        make_durable(log);
    }
    if (dies) {
        sim_daemon_kill(lands ? "in a commit that landed" : "in a commit that was lost");
    }
    if (fails) {
        log->failed = true;
        return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE, "the disk failed");
    }
    return SAGA_OK;
}

void saga_log_usage(struct saga_log *log, struct saga_log_usage *usage) {
    *usage = log->usage;
    usage->records = disk.last_lsn - disk.base_lsn + 1;
}

uint32_t saga_log_full_percent(struct saga_log *log) {
    (void)log;
    return sim_fault(SIM_FAULT_LOG_FULL) ? 85 : 10;
}

void saga_log_room(struct saga_log *log, struct saga_log_room *room) {
    (void)log;
    *room = (struct saga_log_room){.bytes = disk.used, .bytes_max = UINT64_MAX / 2};
}

uint64_t saga_log_free_in_rows(struct saga_log *log, uint64_t bytes) {
    (void)log;
    (void)bytes;
    return 0;
}

/* ------------------------------------------------------------------ readers */

enum saga_error saga_log_reader_open(struct saga_log *log, struct saga_log_reader **reader,
                                     struct saga_fault *fault) {
    (void)log;
    (void)fault;
    the_reader = (struct saga_log_reader){
        .first = disk.base_lsn, .last = disk.last_lsn, .position = disk.base_lsn};
    *reader = &the_reader;
    return SAGA_OK;
}

void saga_log_reader_close(struct saga_log_reader *reader) {
    (void)reader;
}

uint64_t saga_log_reader_first(const struct saga_log_reader *reader) {
    return reader->first;
}

uint64_t saga_log_reader_last(const struct saga_log_reader *reader) {
    return reader->last;
}

void saga_log_reader_seek(struct saga_log_reader *reader, uint64_t lsn) {
    reader->position = lsn;
}

uint64_t saga_log_reader_position(const struct saga_log_reader *reader) {
    return reader->position;
}

enum saga_error saga_log_reader_next(struct saga_log_reader *reader, struct saga_record *record,
                                     struct saga_fault *fault) {
    (void)fault;
    if (reader->position < reader->first || reader->position > reader->last) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (reader->position % 64 == 1 && sim_fault(SIM_FAULT_KILL_REPLAY)) {
        sim_daemon_kill("in replay");
    }
    sim_disk_read(reader->position++, record);
    return SAGA_OK;
}

enum saga_error saga_log_reader_read(struct saga_log_reader *reader, const struct saga_id *saga,
                                     uint64_t lsn, struct saga_record *record,
                                     struct saga_fault *fault) {
    if (lsn != 0 && lsn < reader->first) {
        return read_kept(saga, lsn, record, fault);
    }
    if (lsn < reader->first || lsn > reader->last) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "no record %llu",
                              (unsigned long long)lsn);
    }
    sim_disk_read(lsn, record);
    return SAGA_OK;
}

/* ---------------------------------------------------------- rows, read */

enum saga_error saga_log_committed(struct saga_log *log, struct saga_log_reader **reader,
                                   struct saga_fault *fault) {
    (void)log;
    (void)fault;
    committed = (struct saga_log_reader){
        .first = disk.base_lsn, .last = disk.last_lsn, .position = disk.base_lsn};
    *reader = &committed;
    return SAGA_OK;
}

struct saga_checkpoint saga_log_reader_checkpoint(const struct saga_log_reader *reader) {
    (void)reader;
    return rows.checkpoint;
}

static enum saga_error give_row(struct saga_log_reader *reader, enum saga_log_table table,
                                size_t at, struct saga_log_row *row) {
    const bool there = at < rows.count && rows.rows[at].table == table;
    reader->row[table] = there ? at + 1 : 0;
    if (!there) {
        return SAGA_ERROR_NOT_FOUND;
    }
    row->key = rows.rows[at].key;
    row->value = rows.rows[at].value;
    return SAGA_OK;
}

enum saga_error saga_log_reader_seek_row(struct saga_log_reader *reader, enum saga_log_table table,
                                         struct saga_bytes key, struct saga_log_row *row,
                                         struct saga_fault *fault) {
    (void)fault;
    return give_row(reader, table, find_row((uint8_t)table, key), row);
}

enum saga_error saga_log_reader_step_row(struct saga_log_reader *reader, enum saga_log_table table,
                                         bool forward, struct saga_log_row *row,
                                         struct saga_fault *fault) {
    (void)fault;
    const size_t found = reader->row[table];
    if (found != 0) { /* before the first: no row either */
        return give_row(reader, table, forward ? found : found - 2, row);
    }
    if (forward) {
        return SAGA_ERROR_NOT_FOUND;
    }
    const struct saga_bytes none = {0};
    return give_row(reader, table, find_row((uint8_t)(table + 1), none) - 1, row);
}

enum saga_error saga_log_reader_row(struct saga_log_reader *reader, enum saga_log_table table,
                                    struct saga_bytes key, struct saga_bytes *value,
                                    struct saga_fault *fault) {
    struct saga_log_row row;
    const enum saga_error error = saga_log_reader_seek_row(reader, table, key, &row, fault);
    if (error != SAGA_OK || row.key.size != key.size ||
        memcmp(row.key.data, key.data, key.size) != 0) {
        return SAGA_ERROR_NOT_FOUND;
    }
    *value = row.value;
    return SAGA_OK;
}

enum saga_error saga_log_reader_row_count(struct saga_log_reader *reader, enum saga_log_table table,
                                          uint64_t *count, struct saga_fault *fault) {
    const struct saga_bytes none = {0};
    (void)reader;
    (void)fault;
    *count = find_row((uint8_t)(table + 1), none) - find_row((uint8_t)table, none);
    return SAGA_OK;
}
