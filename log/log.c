#include "log.h"

#include "batch.h"
#include "directory.h"
#include "identity.h"
#include "meta.h"
#include "pages.h"
#include "reader.h"
#include "rows.h"
#include "store.h"
#include "tables.h"
#include "trees.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_BYTES_DEFAULT ((uint64_t)16 << 30)
/* Room for the tables of an empty log. */
#define MAP_BYTES_MIN ((uint64_t)1 << 20)

/* A batch of so many bytes is flushed before it takes another decision, which
 * may have SAGA_DECISION_MAX payloads of SAGA_PAYLOAD_BYTES_MAX. */
#define BATCH_BYTES_FULL ((size_t)32 << 20)

/* What must stay free on the file system, or 15 % of a small one: other files
 * of the machine grow too. */
#define SYSTEM_BYTES_SPARED ((uint64_t)32 << 20)

/* Free rows are counted anew after so many commits: that takes milliseconds where many are free. */
#define ROWS_COMMITS 16

struct saga_log {
    struct saga_directory directory;
    struct saga_identity identity;
    struct saga_store *store;
    struct saga_meta meta; /* of what is committed */
    struct saga_log_reader committed;
    bool committed_current; /* `committed` sees the last flush */
    struct saga_batch batch;
    struct saga_rows rows;             /* of the batch */
    struct saga_checkpoint checkpoint; /* with the batch */
    uint64_t base_lsn;                 /* with the batch */
    uint32_t dropped_blocks;           /* of the batch */
    uint64_t first_block_last;         /* what saga_log_first_block() has just said; 0: nothing */
    uint32_t epoch;                    /* of the last record, batch included */
    uint64_t commits;
    uint64_t record_bytes;
    struct saga_store_fill fill; /* as of the last flush */
    bool fill_known;
    uint64_t free_in_rows;    /* for rows of */
    uint64_t row_pages;       /* so many pages, */
    uint64_t rows_at_commits; /* after so many commits; 0: not counted */
    bool read_only;
    uint32_t lost;  /* records of this batch that there was no memory for */
    bool lost_rows; /* there was none for a row */
    bool failed;    /* takes nothing more */
    struct saga_fault failure;
};

/* ----------------------------------------------------------------- opening */

static enum saga_error join(char path[PATH_MAX], const char *directory, const char *name,
                            struct saga_fault *fault) {
    int length = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= PATH_MAX) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the path of the data directory is longer "
                              "than the system takes: use a shorter one.");
    }
    return SAGA_OK;
}

static enum saga_error check_pages(int fd, const char *file, bool shared,
                                   struct saga_fault *fault) {
    struct saga_page_meta live;
    enum saga_error error = saga_pages_check(fd, file, shared, &live, fault);
    /* A daemon that is writing the trees has checked them at its start. */
    return error == SAGA_OK && !shared ? saga_trees_check(fd, file, &live, fault) : error;
}

/* data.mdb must be there and hold something, since log.id says that there is a
 * log; LMDB would make a new one of nothing. */
static enum saga_error check_data(int log_fd, const char *path,
                                  const struct saga_identity *identity, bool shared,
                                  struct saga_fault *fault) {
    int fd = openat(log_fd, SAGA_DATA_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 && errno == ENOENT) {
        return saga_fault_set(
            fault, SAGA_ERROR_LOG_REFUSED,
            "%.300s/" SAGA_DATA_FILE
            " is missing, but log.id says that this log was created %s: its sagas "
            "are lost with it. Restore data.mdb from a backup, or move the "
            "directory away to start an empty log.",
            path, identity->created);
    }
    if (fd < 0 || fstat(fd, &status) != 0) {
        int number = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s/" SAGA_DATA_FILE ": %s", path,
                              strerror(number));
    }
    enum saga_error error;
    if (status.st_size == 0) {
        error = saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                               "%.300s/" SAGA_DATA_FILE
                               " is empty, but log.id says that this log was created %s: its sagas "
                               "are missing. Restore data.mdb from a backup, or move the directory "
                               "away to start an empty log.",
                               path, identity->created);
    } else {
        char file[PATH_MAX];
        error = join(file, path, SAGA_DATA_FILE, fault);
        if (error == SAGA_OK) {
            error = check_pages(fd, file, shared, fault);
        }
    }
    (void)close(fd); /* it was only read */
    return error;
}

/* The store of the log in `log_fd`, its files checked first. */
static enum saga_error open_store(struct saga_log *log, const struct saga_log_options *options,
                                  int log_fd, struct saga_fault *fault) {
    char path[PATH_MAX];
    struct saga_store_options store_options = {.path = path, .read_only = options->read_only};
    struct saga_sharing sharing = {0};
    enum saga_error error = join(path, options->data_dir, SAGA_DIRECTORY_LOG, fault);
    if (error == SAGA_OK && options->read_only) {
        error = saga_directory_sharing(&log->directory, log_fd, &sharing, fault);
        store_options.unlocked = sharing.unlocked;
    } else {
        store_options.map_bytes_max = options->map_bytes_max;
    }
    if (error == SAGA_OK) {
        error = saga_identity_read(&log->identity, log_fd, path, fault);
    }
    if (error == SAGA_OK) {
        error = check_data(log_fd, path, &log->identity, sharing.owned, fault);
    }
    return error == SAGA_OK ? saga_store_open(&log->store, &store_options, fault) : error;
}

/* Identity and meta row of a log that goes on from what stood elsewhere. */
static enum saga_error take_origin(const struct saga_log_origin *origin,
                                   struct saga_identity *identity, struct saga_meta *meta,
                                   struct saga_fault *fault) {
    const bool at_first = origin->first_lsn == 1;
    if (origin->first_lsn == 0 || origin->before.lsn != origin->first_lsn - 1 ||
        (origin->before.epoch == 0) != at_first ||
        !saga_identity_parse(identity, origin->identity, origin->created)) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "no log can go on from record %" PRIu64
                              " so: its identity, its date or the checkpoint before it is none.",
                              origin->first_lsn);
    }
    meta->base_lsn = origin->first_lsn;
    meta->last_lsn = origin->first_lsn - 1;
    meta->epoch = origin->before.epoch;
    meta->checkpoint = origin->before;
    return SAGA_OK;
}

static enum saga_error create(const struct saga_log *log, const struct saga_log_options *options,
                              struct saga_fault *fault) {
    struct saga_identity identity;
    struct saga_meta meta = {.format = SAGA_RECORD_FORMAT, .base_lsn = 1};
    char path[PATH_MAX];
    enum saga_error error = options->origin != NULL
                                ? take_origin(options->origin, &identity, &meta, fault)
                                : saga_identity_make(&identity, fault);
    if (error == SAGA_OK) {
        error = join(path, options->data_dir, SAGA_DIRECTORY_NEW, fault);
    }
    int fd = -1;
    if (error == SAGA_OK) {
        error = saga_directory_begin_log(&log->directory, &fd, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    memcpy(meta.identity, identity.bytes, sizeof meta.identity);
    error = saga_identity_write(&identity, fd, fault);
    if (error == SAGA_OK) {
        error = saga_store_create(path, options->map_bytes_max, &meta, fault);
    }
    if (error == SAGA_OK) {
        error = saga_directory_commit_log(&log->directory, fd, fault);
    }
    (void)close(fd);
    return error;
}

/* Opens the directory of a log that is there, or creates one. */
static enum saga_error find_log(const struct saga_log *log, const struct saga_log_options *options,
                                int *fd, struct saga_fault *fault) {
    enum saga_error error = saga_directory_open_log(&log->directory, fd, fault);
    if (error == SAGA_OK && options->origin != NULL) {
        (void)close(*fd);
        return saga_fault_set(fault, SAGA_ERROR_CONFLICT, "there is a log in %.300s already.",
                              options->data_dir);
    }
    if (error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    if (options->read_only) {
        return saga_fault_set(
            fault, SAGA_ERROR_NOT_FOUND,
            "there is no log in %.300s: no sagad has run with this data directory.",
            options->data_dir);
    }
    error = create(log, options, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = saga_directory_open_log(&log->directory, fd, fault);
    assert(error != SAGA_ERROR_NOT_FOUND); /* its creation is durable, and we own the directory */
    return error;
}

/* What the meta row says must be what the files say. */
static enum saga_error check_content(struct saga_log *log, struct saga_fault *fault) {
    const struct saga_meta *meta = &log->committed.meta;
    if (memcmp(meta->identity, log->identity.bytes, sizeof meta->identity) != 0) {
        return saga_fault_set(
            fault, SAGA_ERROR_LOG_REFUSED,
            "%.300s: data.mdb is of another log than log.id, which is %s: put the "
            "files that belong together back together.",
            saga_store_path(log->store), log->identity.text);
    }
    return saga_log_reader_check(&log->committed, fault);
}

static enum saga_error open_content(struct saga_log *log, struct saga_fault *fault) {
    /* Takes its place among LMDB's readers now, before inspectors can have
     * taken them all. */
    enum saga_error error = saga_log_reader_init(&log->committed, log->store, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = check_content(log, fault);
    if (error == SAGA_OK && !saga_batch_init(&log->batch)) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the log's batch.");
    }
    if (error != SAGA_OK) {
        saga_log_reader_fini(&log->committed);
        return error;
    }
    log->meta = log->committed.meta;
    log->epoch = log->meta.epoch;
    log->checkpoint = log->meta.checkpoint;
    log->base_lsn = log->meta.base_lsn;
    saga_log_reader_release(&log->committed);
    return SAGA_OK;
}

static enum saga_error open_log(struct saga_log *log, const struct saga_log_options *options,
                                struct saga_fault *fault) {
    enum saga_error error =
        saga_directory_open(&log->directory, options->data_dir, !options->read_only, fault);
    if (error != SAGA_OK) {
        return error;
    }
    int fd = -1;
    error = find_log(log, options, &fd, fault);
    if (error == SAGA_OK) {
        error = open_store(log, options, fd, fault);
        (void)close(fd);
    }
    if (error == SAGA_OK) {
        error = open_content(log, fault);
        if (error != SAGA_OK) {
            saga_store_close(log->store);
        }
    }
    if (error != SAGA_OK) {
        saga_directory_close(&log->directory);
    }
    return error;
}

enum saga_error saga_log_open(struct saga_log **log, const struct saga_log_options *options,
                              struct saga_fault *fault) {
    struct saga_log_options chosen = *options;
    if (chosen.map_bytes_max == 0) {
        chosen.map_bytes_max = MAP_BYTES_DEFAULT;
    } else if (chosen.map_bytes_max < MAP_BYTES_MIN) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "a log of at most %" PRIu64
                              " bytes is too small: the least is %" PRIu64 ".",
                              chosen.map_bytes_max, MAP_BYTES_MIN);
    }
    struct saga_log *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the log.");
    }
    opened->read_only = chosen.read_only;
    enum saga_error error = open_log(opened, &chosen, fault);
    if (error != SAGA_OK) {
        free(opened);
        return error;
    }
    *log = opened;
    return SAGA_OK;
}

void saga_log_close(struct saga_log *log) {
    saga_log_reader_fini(&log->committed);
    saga_store_close(log->store);
    saga_batch_fini(&log->batch);
    saga_rows_fini(&log->rows);
    /* Last: from here on another daemon may own the log. */
    saga_directory_close(&log->directory);
    free(log);
}

const char *saga_log_identity(const struct saga_log *log) {
    return log->identity.text;
}

const char *saga_log_created(const struct saga_log *log) {
    return log->identity.created;
}

/* --------------------------------------------------------------- appending */

uint64_t saga_log_next_lsn(const struct saga_log *log) {
    return log->meta.last_lsn + log->batch.record_count + log->lost + 1;
}

uint32_t saga_log_epoch(const struct saga_log *log) {
    return log->epoch;
}

bool saga_log_batch_full(const struct saga_log *log) {
    return log->batch.record_count + SAGA_DECISION_MAX > SAGA_LOG_BATCH_MAX ||
           saga_batch_bytes(&log->batch) >= BATCH_BYTES_FULL;
}

void saga_log_append(struct saga_log *log, const struct saga_record *record) {
    assert(!log->read_only);
    assert(!log->failed);
    assert(record->lsn == saga_log_next_lsn(log));
    assert(record->previous_lsn < record->lsn);
    assert(record->epoch > 0 && record->epoch >= log->epoch);
    assert(log->batch.record_count + log->lost < SAGA_LOG_BATCH_MAX);
    log->epoch = record->epoch;
    size_t before = saga_batch_bytes(&log->batch);
    /* A batch with a hole is never written, so what follows is lost as well. */
    if (log->lost > 0 || !saga_batch_add(&log->batch, record)) {
        log->lost++;
        return;
    }
    log->record_bytes += saga_batch_bytes(&log->batch) - before;
}

/* From now on nothing can be written: what is on disk may not be what this
 * process believes. */
static enum saga_error fail(struct saga_log *log, struct saga_fault *fault) {
    log->failed = true;
    return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE, "%s", log->failure.text);
}

static bool nothing_to_write(const struct saga_log *log) {
    return log->batch.record_count == 0 && log->rows.count == 0 && log->dropped_blocks == 0 &&
           log->checkpoint.lsn == log->meta.checkpoint.lsn;
}

/* What the log says of itself once the batch is written. */
static struct saga_meta meta_after(const struct saga_log *log) {
    struct saga_meta meta = log->meta;
    meta.base_lsn = log->base_lsn;
    meta.last_lsn += log->batch.record_count;
    meta.record_count = meta.last_lsn - meta.base_lsn + 1;
    meta.block_count += log->batch.block_count;
    meta.block_count -= log->dropped_blocks;
    meta.epoch = log->epoch;
    meta.checkpoint = log->checkpoint;
    return meta;
}

enum saga_error saga_log_flush(struct saga_log *log, struct saga_fault *fault) {
    if (log->failed) {
        return fail(log, fault);
    }
    if (log->lost > 0 || log->lost_rows || !saga_batch_close(&log->batch)) {
        (void)saga_fault_set(&log->failure, SAGA_ERROR_LOG_WRITE,
                             "no memory for a batch of %" PRIu32
                             " records: nothing of it was written.",
                             log->batch.record_count + log->lost);
        return fail(log, fault);
    }
    if (nothing_to_write(log)) {
        return SAGA_OK;
    }
    /* A view kept open would keep LMDB from reusing pages. */
    saga_log_reader_release(&log->committed);
    log->committed_current = false;
    const struct saga_meta meta = meta_after(log);
    saga_rows_close(&log->rows);
    const struct saga_store_commit commit = {
        .dropped_count = log->dropped_blocks,
        .blocks = log->batch.blocks,
        .block_count = log->batch.block_count,
        .changes = log->rows.changes,
        .change_count = log->rows.count,
        .meta = &meta,
    };
    if (saga_store_commit(log->store, &commit, &log->failure) != SAGA_OK) {
        return fail(log, fault);
    }
    log->meta = meta;
    log->commits++;
    log->fill_known = false;
    log->dropped_blocks = 0;
    log->first_block_last = 0;
    saga_batch_clear(&log->batch);
    saga_rows_clear(&log->rows);
    return SAGA_OK;
}

uint64_t saga_log_durable(const struct saga_log *log) {
    return log->meta.last_lsn;
}

enum saga_error saga_log_committed(struct saga_log *log, struct saga_log_reader **reader,
                                   struct saga_fault *fault) {
    if (!log->committed_current) {
        const enum saga_error error = saga_log_reader_renew(&log->committed, fault);
        if (error != SAGA_OK) {
            return error;
        }
        log->committed_current = true;
    }
    *reader = &log->committed;
    return SAGA_OK;
}

enum saga_error saga_log_read(struct saga_log *log, const struct saga_id *saga, uint64_t lsn,
                              struct saga_record *record, struct saga_fault *fault) {
    if (lsn > log->meta.last_lsn && lsn - log->meta.last_lsn <= log->batch.record_count) {
        saga_batch_read(&log->batch, lsn, record);
        return SAGA_OK;
    }
    if (lsn > log->meta.last_lsn && lsn < saga_log_next_lsn(log)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE,
                              "record %" PRIu64 " is lost: there was no memory for it.", lsn);
    }
    struct saga_log_reader *reader;
    const enum saga_error error = saga_log_committed(log, &reader, fault);
    return error == SAGA_OK ? saga_log_reader_read(reader, saga, lsn, record, fault) : error;
}

/* -------------------------------------------------------------------- rows */

void saga_log_put(struct saga_log *log, enum saga_log_table table, struct saga_bytes key,
                  struct saga_bytes value) {
    assert(!log->read_only && !log->failed);
    if (!saga_rows_put(&log->rows, table, key, value)) {
        log->lost_rows = true;
    }
}

void saga_log_remove(struct saga_log *log, enum saga_log_table table, struct saga_bytes key) {
    assert(!log->read_only && !log->failed);
    if (!saga_rows_remove(&log->rows, table, key)) {
        log->lost_rows = true;
    }
}

struct saga_checkpoint saga_log_checkpoint(const struct saga_log *log) {
    return log->checkpoint;
}

void saga_log_set_checkpoint(struct saga_log *log, const struct saga_checkpoint *checkpoint) {
    assert(!log->read_only && !log->failed);
    assert(checkpoint->lsn >= log->checkpoint.lsn && checkpoint->lsn <= log->meta.last_lsn);
    log->checkpoint = *checkpoint;
}

/* --------------------------------------------------------------- retention */

uint64_t saga_log_first_lsn(const struct saga_log *log) {
    return log->base_lsn;
}

enum saga_error saga_log_first_block(struct saga_log *log, uint64_t *last_lsn,
                                     struct saga_fault *fault) {
    struct saga_log_reader *reader;
    log->first_block_last = 0;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    if (error == SAGA_OK && log->base_lsn > saga_log_reader_last(reader)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (error == SAGA_OK) {
        error = saga_log_reader_block(reader, log->base_lsn, last_lsn, fault);
    }
    if (error == SAGA_OK) {
        log->first_block_last = *last_lsn;
    }
    return error;
}

void saga_log_drop_block(struct saga_log *log, uint64_t last_lsn) {
    assert(!log->read_only && !log->failed);
    assert(last_lsn != 0 && last_lsn == log->first_block_last);
    assert(last_lsn <= log->checkpoint.lsn);
    log->base_lsn = last_lsn + 1;
    log->dropped_blocks++;
    log->first_block_last = 0;
}

void saga_log_keep(struct saga_log *log, const struct saga_record *record) {
    assert(!log->read_only && !log->failed);
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    uint8_t *bytes = malloc(saga_record_size_max(record));
    if (bytes == NULL) {
        log->lost_rows = true;
        return;
    }
    const size_t size = saga_record_encode(record, bytes);
    saga_kept_key(&record->saga, record->lsn, key);
    saga_log_put(log, SAGA_TABLE_KEPT, (struct saga_bytes){.data = key, .size = sizeof key},
                 (struct saga_bytes){.data = bytes, .size = (uint32_t)size});
    free(bytes);
}

/* ------------------------------------------------------------------- usage */

/* As of the last flush. False: the log cannot be read; the next who reads says why. */
static bool look_at_fill(struct saga_log *log) {
    struct saga_log_reader *reader;
    struct saga_fault fault;
    if (log->fill_known && !log->read_only) {
        return true;
    }
    log->fill_known = saga_log_committed(log, &reader, &fault) == SAGA_OK &&
                      saga_store_view_fill(reader->view, &log->fill, &fault) == SAGA_OK;
    if (log->read_only) { /* nobody flushes, and somebody else writes */
        saga_log_reader_release(&log->committed);
        log->committed_current = false;
    }
    return log->fill_known;
}

void saga_log_usage(struct saga_log *log, struct saga_log_usage *usage) {
    uint64_t bytes_max;
    const uint64_t file_bytes = saga_store_file_bytes(log->store, &bytes_max);
    *usage = (struct saga_log_usage){
        .records = log->meta.record_count,
        .bytes = look_at_fill(log) ? log->fill.used : file_bytes,
        .bytes_max = bytes_max,
        .commits = log->commits,
        .record_bytes = log->record_bytes,
    };
}

/* What could ever be taken. */
static uint64_t bytes_max_of(const struct saga_store_fill *fill) {
    uint64_t spared = fill->system_bytes / 100 * (100 - SAGA_LOG_FULL_PERCENT);
    if (spared > SYSTEM_BYTES_SPARED) {
        spared = SYSTEM_BYTES_SPARED;
    }
    const uint64_t room = fill->system_bytes_free > spared ? fill->system_bytes_free - spared : 0;
    const uint64_t most = fill->disk_bytes + room;
    return most < fill->bytes_max ? most : fill->bytes_max;
}

void saga_log_room(struct saga_log *log, struct saga_log_room *room) {
    *room = (struct saga_log_room){0};
    if (look_at_fill(log)) {
        const struct saga_store_fill *fill = &log->fill;
        const uint64_t batch_bytes = saga_batch_bytes(&log->batch) + (uint64_t)log->rows.used;
        *room = (struct saga_log_room){
            .bytes = fill->used + fill->held + batch_bytes,
            .bytes_max = bytes_max_of(fill),
            .batch_bytes = batch_bytes,
            .file_bytes = fill->file_bytes,
            .copied = fill->copied,
        };
    }
}

uint64_t saga_log_free_in_rows(struct saga_log *log, uint64_t bytes) {
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t row_pages = (bytes + page_bytes - 1) / page_bytes;
    const bool known = log->rows_at_commits != 0 && log->row_pages == row_pages &&
                       log->commits - log->rows_at_commits < ROWS_COMMITS;
    if (!known) {
        struct saga_log_reader *reader;
        struct saga_fault fault;
        uint64_t pages = 0;
        if (saga_log_committed(log, &reader, &fault) != SAGA_OK ||
            saga_store_view_rows(reader->view, row_pages, &pages, &fault) != SAGA_OK) {
            return 0; /* the next who reads says why */
        }
        log->free_in_rows = pages * page_bytes;
        log->row_pages = row_pages;
        log->rows_at_commits = log->commits;
    }
    return log->free_in_rows;
}

uint32_t saga_log_full_percent(struct saga_log *log) {
    struct saga_log_room room;
    saga_log_room(log, &room);
    return room.bytes >= room.bytes_max ? 100
                                        : (uint32_t)(room.bytes / ((room.bytes_max + 99) / 100));
}

uint32_t saga_log_reap_readers(struct saga_log *log) {
    return saga_store_reap(log->store);
}

/* ----------------------------------------------------------------- readers */

enum saga_error saga_log_reader_open(struct saga_log *log, struct saga_log_reader **reader,
                                     struct saga_fault *fault) {
    struct saga_log_reader *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a reader of the log.");
    }
    enum saga_error error = saga_log_reader_init(opened, log->store, fault);
    if (error != SAGA_OK) {
        free(opened);
        return error;
    }
    *reader = opened;
    return SAGA_OK;
}

void saga_log_reader_close(struct saga_log_reader *reader) {
    saga_log_reader_fini(reader);
    free(reader);
}
