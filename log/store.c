#include "store.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Tables that this version and later ones have beside each other. */
#define TABLES_MAX 16
#define TABLE_LOG  "log"
#define ROW_META   "meta"
/* LMDB's own tree of pages that are free: key, the transaction that freed them; value, how many
 * (a word), and which. */
#define TREE_FREE 0
#define TREES_MAX (SAGA_LOG_TABLE_COUNT + 3)
/* Behind so many commits a reader is taken for one that keeps all that is free. */
#define HELD_COMMITS_MAX 256

/* By enum saga_log_table. */
static const char *const row_tables[SAGA_LOG_TABLE_COUNT + 1] = {
    [SAGA_TABLE_OPEN] = "open",
    [SAGA_TABLE_DONE] = "done",
    [SAGA_TABLE_KEYS] = "keys",
    [SAGA_TABLE_KEPT] = "kept",
    [SAGA_TABLE_DEFINITIONS] = "definitions",
    [SAGA_TABLE_OWED] = "owed",
};

struct saga_store {
    MDB_env *env;
    MDB_dbi log;
    MDB_dbi rows[SAGA_LOG_TABLE_COUNT + 1]; /* by enum saga_log_table */
    MDB_dbi main;
    char *path;
    uint32_t page_bytes;
    bool unlocked;
};

struct saga_store_view {
    struct saga_store *store;
    MDB_txn *txn;
    MDB_cursor *cursor; /* in the table of blocks */
    MDB_cursor *row_cursors[SAGA_LOG_TABLE_COUNT + 1];
    bool row_found[SAGA_LOG_TABLE_COUNT + 1]; /* the cursor stands on a row */
    struct saga_meta meta;
    bool active;
};

/* LMDB's word on the file rather than on the system. */
static bool blames_file(int code) {
    switch (code) {
    case MDB_NOTFOUND:
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
        return true;
    default:
        return false;
    }
}

static enum saga_error failed(const char *path, const char *doing, int code,
                              struct saga_fault *fault) {
    if (blames_file(code)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s/data.mdb is damaged: %s: %s. Restore it from a backup; "
                              "nothing was changed.",
                              path, doing, mdb_strerror(code));
    }
    const char *advice = "";
    if (code == MDB_READERS_FULL) {
        advice =
            ". All places for readers are taken: close some of the programs that read this log";
    } else if (code == MDB_MAP_RESIZED) {
        advice = ". A newly started daemon made the log's map larger: open the log again";
    } else if (code == ENOMEM) {
        advice = ". The log's map may be larger than this process may have: lower its limit, or "
                 "raise the process's (ulimit -v)";
    } else if (code == EACCES) {
        advice = ". Its files must be readable and writable for this user";
    }
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s: %s%s.", path, doing,
                          mdb_strerror(code), advice);
}

/* ----------------------------------------------------------------- opening */

static int open_env(const struct saga_store_options *options, MDB_env **env) {
    unsigned flags = MDB_NOTLS; /* a view may go from thread to thread */
    flags |= options->read_only ? MDB_RDONLY : 0;
    flags |= options->unlocked ? MDB_NOLOCK : 0;
    int code = mdb_env_create(env);
    if (code != MDB_SUCCESS) {
        *env = NULL;
        return code;
    }
    code = mdb_env_set_maxdbs(*env, TABLES_MAX);
    if (code == MDB_SUCCESS && options->map_bytes_max > 0) {
        code = mdb_env_set_mapsize(*env, options->map_bytes_max);
    }
    if (code == MDB_SUCCESS) {
        code = mdb_env_open(*env, options->path, flags, 0660);
    }
    return code;
}

/* The map's limit in whole pages, as LMDB wants it. */
static uint64_t whole_pages(uint64_t bytes) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* Puts the row, and in it the transaction's own number. */
static int put_meta(MDB_txn *txn, MDB_dbi main, const struct saga_meta *meta) {
    struct saga_meta row = *meta;
    uint8_t bytes[SAGA_META_BYTES];
    row.transaction = mdb_txn_id(txn);
    saga_meta_encode(&row, bytes);
    MDB_val key = {strlen(ROW_META), (void *)(uintptr_t)ROW_META};
    MDB_val value = {sizeof bytes, bytes};
    return mdb_put(txn, main, &key, &value, 0);
}

static int create_tables(MDB_env *env, const struct saga_meta *meta) {
    MDB_txn *txn;
    MDB_dbi log, main, rows;
    int code = mdb_txn_begin(env, NULL, 0, &txn);
    if (code != MDB_SUCCESS) {
        return code;
    }
    code = mdb_dbi_open(txn, TABLE_LOG, MDB_CREATE | MDB_INTEGERKEY, &log);
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT && code == MDB_SUCCESS; table++) {
        code = mdb_dbi_open(txn, row_tables[table], MDB_CREATE, &rows);
    }
    if (code == MDB_SUCCESS) {
        code = mdb_dbi_open(txn, NULL, 0, &main);
    }
    if (code == MDB_SUCCESS) {
        code = put_meta(txn, main, meta);
    }
    if (code != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

enum saga_error saga_store_create(const char *path, uint64_t map_bytes_max,
                                  const struct saga_meta *meta, struct saga_fault *fault) {
    struct saga_store_options options = {.path = path, .map_bytes_max = whole_pages(map_bytes_max)};
    MDB_env *env;
    int code = open_env(&options, &env);
    if (code == MDB_SUCCESS) {
        code = create_tables(env, meta);
    }
    if (env != NULL) {
        mdb_env_close(env);
    }
    if (code != MDB_SUCCESS) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no log could be created in %.300s: %s.",
                              path, mdb_strerror(code));
    }
    return SAGA_OK;
}

/* A table's handle, and that it is what this version writes. */
static int open_table(MDB_txn *txn, const char *name, unsigned wanted, MDB_dbi *table) {
    unsigned flags = 0;
    int code = mdb_dbi_open(txn, name, 0, table);
    if (code == MDB_SUCCESS) {
        code = mdb_dbi_flags(txn, *table, &flags);
    }
    return code == MDB_SUCCESS && flags != wanted ? MDB_INCOMPATIBLE : code;
}

static int open_tables(struct saga_store *store) {
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code != MDB_SUCCESS) {
        return code;
    }
    code = mdb_dbi_open(txn, NULL, 0, &store->main);
    if (code == MDB_SUCCESS) {
        code = open_table(txn, TABLE_LOG, MDB_INTEGERKEY, &store->log);
    }
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT && code == MDB_SUCCESS; table++) {
        code = open_table(txn, row_tables[table], 0, &store->rows[table]);
    }
    if (code != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn); /* keeps the handles */
}

static enum saga_error check_map(const struct saga_store *store, uint64_t map_bytes_max,
                                 struct saga_fault *fault) {
    MDB_envinfo info;
    (void)mdb_env_info(store->env, &info); /* fails only without an environment */
    if (map_bytes_max == 0 || info.me_mapsize <= map_bytes_max) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_FAILED,
                          "%.300s takes %zu bytes, more than its limit of %" PRIu64
                          ": raise the limit.",
                          store->path, info.me_mapsize, map_bytes_max);
}

enum saga_error saga_store_open(struct saga_store **store, const struct saga_store_options *options,
                                struct saga_fault *fault) {
    struct saga_store_options rounded = *options;
    rounded.map_bytes_max = whole_pages(options->map_bytes_max);
    struct saga_store *opened = calloc(1, sizeof *opened);
    if (opened == NULL || (opened->path = strdup(options->path)) == NULL) {
        free(opened);
        return failed(options->path, "opening", ENOMEM, fault);
    }
    opened->unlocked = options->unlocked;
    int code = open_env(&rounded, &opened->env);
    enum saga_error error =
        code == MDB_SUCCESS ? SAGA_OK : failed(options->path, "opening", code, fault);
    if (error == SAGA_OK) {
        error = check_map(opened, rounded.map_bytes_max, fault);
    }
    if (error == SAGA_OK) {
        code = open_tables(opened);
        error = code == MDB_SUCCESS ? SAGA_OK
                                    : failed(options->path, "opening its tables", code, fault);
    }
    if (error != SAGA_OK) {
        saga_store_close(opened);
        return error;
    }
    MDB_stat status;
    (void)mdb_env_stat(opened->env, &status); /* fails only without an environment */
    opened->page_bytes = status.ms_psize;
    (void)saga_store_reap(opened);
    *store = opened;
    return SAGA_OK;
}

void saga_store_close(struct saga_store *store) {
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    free(store->path);
    free(store);
}

const char *saga_store_path(const struct saga_store *store) {
    return store->path;
}

/* ----------------------------------------------------------------- writing */

const char *saga_store_table_name(enum saga_log_table table) {
    return row_tables[table];
}

static MDB_val val_of(struct saga_bytes bytes) {
    return (MDB_val){bytes.size, (void *)(uintptr_t)bytes.data}; /* LMDB only reads it */
}

static int put_block(const struct saga_store *store, MDB_txn *txn, const struct saga_block *block) {
    size_t first_lsn = block->first_lsn;
    MDB_val key = {sizeof first_lsn, &first_lsn};
    MDB_val value = {block->size, (void *)(uintptr_t)block->bytes};
    return mdb_put(txn, store->log, &key, &value, MDB_APPEND);
}

/* Drops the first `count` blocks: all of them begin before `base_lsn`. */
static int drop_blocks(const struct saga_store *store, MDB_txn *txn, uint32_t count,
                       uint64_t base_lsn) {
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, store->log, &cursor);
    if (code != MDB_SUCCESS) {
        return code;
    }
    for (uint32_t i = 0; i < count && code == MDB_SUCCESS; i++) {
        MDB_val key;
        MDB_val value;
        size_t first_lsn = 0;
        code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (code == MDB_SUCCESS) {
            memcpy(&first_lsn, key.mv_data, sizeof first_lsn);
            code = first_lsn < base_lsn ? mdb_cursor_del(cursor, 0) : MDB_CORRUPTED;
        }
    }
    mdb_cursor_close(cursor);
    return code;
}

static int remove_row(MDB_txn *txn, MDB_dbi table, MDB_val *key) {
    const int code = mdb_del(txn, table, key, NULL);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* LMDB puts a shorter value into the pages of the longer one, and keeps all of them: how many there
 * are would stand on the first of them alone. */
static int make_way(const struct saga_store *store, MDB_txn *txn, MDB_dbi table, MDB_val *key) {
    MDB_val old;
    const int code = mdb_get(txn, table, key, &old);
    if (code == MDB_SUCCESS && old.mv_size > store->page_bytes / 2) {
        return remove_row(txn, table, key);
    }
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

static int change_row(const struct saga_store *store, MDB_txn *txn,
                      const struct saga_row_change *change) {
    const MDB_dbi table = store->rows[change->table];
    MDB_val key = val_of(change->key);
    if (change->removes) {
        return remove_row(txn, table, &key);
    }
    MDB_val value = val_of(change->value);
    const int code = make_way(store, txn, table, &key);
    return code == MDB_SUCCESS ? mdb_put(txn, table, &key, &value, 0) : code;
}

static int put_all(const struct saga_store *store, MDB_txn *txn,
                   const struct saga_store_commit *commit) {
    int code = MDB_SUCCESS;
    if (commit->dropped_count > 0) {
        code = drop_blocks(store, txn, commit->dropped_count, commit->meta->base_lsn);
    }
    for (uint32_t i = 0; i < commit->block_count && code == MDB_SUCCESS; i++) {
        code = put_block(store, txn, &commit->blocks[i]);
    }
    for (uint32_t i = 0; i < commit->change_count && code == MDB_SUCCESS; i++) {
        code = change_row(store, txn, &commit->changes[i]);
    }
    return code == MDB_SUCCESS ? put_meta(txn, store->main, commit->meta) : code;
}

enum saga_error saga_store_commit(struct saga_store *store, const struct saga_store_commit *commit,
                                  struct saga_fault *fault) {
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code == MDB_SUCCESS) {
        code = put_all(store, txn, commit);
        if (code != MDB_SUCCESS) {
            mdb_txn_abort(txn);
        }
    }
    if (code != MDB_SUCCESS) {
        const char *advice =
            code == MDB_MAP_FULL ? ". The log has reached its limit: raise it" : "";
        return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE,
                              "%.300s: %s%s. Nothing of this batch was written.", store->path,
                              mdb_strerror(code), advice);
    }
    code = mdb_txn_commit(txn);
    if (code != MDB_SUCCESS) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_WRITE,
                              "%.300s: %s. Whether this batch is on disk is unknown: the next "
                              "start reads what is.",
                              store->path, mdb_strerror(code));
    }
    return SAGA_OK;
}

uint64_t saga_store_file_bytes(const struct saga_store *store, uint64_t *bytes_max) {
    MDB_envinfo info;
    (void)mdb_env_info(store->env, &info); /* fails only without an environment */
    *bytes_max = info.me_mapsize;
    return ((uint64_t)info.me_last_pgno + 1) * store->page_bytes;
}

int saga_store_file(const struct saga_store *store) {
    int fd = -1;
    (void)mdb_env_get_fd(store->env, &fd); /* fails only without an environment */
    return fd;
}

bool saga_store_is_unlocked(const struct saga_store *store) {
    return store->unlocked;
}

uint32_t saga_store_reap(struct saga_store *store) {
    int dead = 0;
    if (!store->unlocked) {
        /* What it cannot free now it will find again. */
        (void)mdb_reader_check(store->env, &dead);
    }
    return (uint32_t)dead;
}

/* ------------------------------------------------------------------- views */

/* Reads the meta row of the view's state. */
static enum saga_error read_meta(struct saga_store_view *view, struct saga_fault *fault) {
    const char *path = view->store->path;
    MDB_val key = {strlen(ROW_META), (void *)(uintptr_t)ROW_META};
    MDB_val value = {0};
    int code = mdb_get(view->txn, view->store->main, &key, &value);
    if (code != MDB_SUCCESS) {
        return failed(path, "reading the row " ROW_META, code, fault);
    }
    enum saga_record_error damage = saga_meta_decode(&view->meta, value.mv_data, value.mv_size);
    if (damage == SAGA_RECORD_FORMAT_NEWER) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s is of format %u, and this sagad knows formats up to %d: use "
                              "the newer version that wrote it.",
                              path, view->meta.format, SAGA_RECORD_FORMAT);
    }
    if (damage != SAGA_RECORD_OK) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s/data.mdb is damaged: the row " ROW_META
                              ": %s. Restore it from a backup; nothing was changed.",
                              path, saga_record_error_text(damage));
    }
    return SAGA_OK;
}

/* A compacted copy (mdb_copy -c) starts to count anew, at 1. */
static enum saga_error check_transaction(const struct saga_store_view *view,
                                         struct saga_fault *fault) {
    size_t transaction = mdb_txn_id(view->txn);
    if (view->meta.transaction == transaction || transaction <= 1) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s/data.mdb is damaged: the row " ROW_META
                          " is of transaction %" PRIu64
                          ", the file of %zu: a page of it was not written. Restore it from a "
                          "backup; nothing was changed.",
                          view->store->path, view->meta.transaction, transaction);
}

static enum saga_error renew_once(struct saga_store_view *view, struct saga_fault *fault) {
    saga_store_view_release(view);
    int code = mdb_txn_renew(view->txn);
    if (code == MDB_SUCCESS) {
        view->active = true;
        code = mdb_cursor_renew(view->txn, view->cursor);
    }
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT && code == MDB_SUCCESS; table++) {
        view->row_found[table] = false;
        code = mdb_cursor_renew(view->txn, view->row_cursors[table]);
    }
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "reading", code, fault);
    }
    enum saga_error error = read_meta(view, fault);
    return error == SAGA_OK ? check_transaction(view, fault) : error;
}

/* LMDB notes the number of the last transaction first, and copies the roots of
 * its trees then. A reader that is stopped between the two while more is
 * committed gets roots that are newer than the number, perhaps not durable
 * yet. The meta row tells: so take another view. What is still so after a few
 * is damage. */
enum saga_error saga_store_view_renew(struct saga_store_view *view, struct saga_fault *fault) {
    enum saga_error error = renew_once(view, fault);
    for (int i = 0; i < 20 && error == SAGA_ERROR_LOG_REFUSED; i++) {
        error = renew_once(view, fault);
    }
    return error;
}

static int open_cursors(struct saga_store_view *view) {
    int code = mdb_cursor_open(view->txn, view->store->log, &view->cursor);
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT && code == MDB_SUCCESS; table++) {
        code = mdb_cursor_open(view->txn, view->store->rows[table], &view->row_cursors[table]);
    }
    return code;
}

enum saga_error saga_store_view_open(struct saga_store *store, struct saga_store_view **view,
                                     struct saga_fault *fault) {
    struct saga_store_view *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return failed(store->path, "reading", ENOMEM, fault);
    }
    opened->store = store;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &opened->txn);
    if (code != MDB_SUCCESS) {
        free(opened);
        return failed(store->path, "reading", code, fault);
    }
    opened->active = true;
    code = open_cursors(opened);
    if (code != MDB_SUCCESS) {
        saga_store_view_close(opened);
        return failed(store->path, "reading", code, fault);
    }
    enum saga_error error = saga_store_view_renew(opened, fault);
    if (error != SAGA_OK) {
        saga_store_view_close(opened);
        return error;
    }
    *view = opened;
    return SAGA_OK;
}

static void close_cursor(MDB_cursor *cursor) {
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
}

void saga_store_view_close(struct saga_store_view *view) {
    close_cursor(view->cursor);
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT; table++) {
        close_cursor(view->row_cursors[table]);
    }
    mdb_txn_abort(view->txn);
    free(view);
}

void saga_store_view_release(struct saga_store_view *view) {
    if (view->active) {
        mdb_txn_reset(view->txn);
        view->active = false;
    }
}

const struct saga_meta *saga_store_view_meta(const struct saga_store_view *view) {
    return &view->meta;
}

uint64_t saga_store_view_transaction(const struct saga_store_view *view) {
    assert(view->active);
    return mdb_txn_id(view->txn);
}

enum saga_error saga_store_view_count(struct saga_store_view *view, uint64_t *count,
                                      struct saga_fault *fault) {
    assert(view->active);
    MDB_stat status;
    int code = mdb_stat(view->txn, view->store->log, &status);
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "counting its blocks", code, fault);
    }
    *count = status.ms_entries;
    return SAGA_OK;
}

/* ---------------------------------------------------------------- its fill */

static int count_pages(struct saga_store_view *view, uint64_t *pages, uint64_t *copied) {
    const struct saga_store *store = view->store;
    MDB_dbi trees[TREES_MAX] = {TREE_FREE, store->main, store->log};
    for (unsigned table = 1; table <= SAGA_LOG_TABLE_COUNT; table++) {
        trees[2 + table] = store->rows[table];
    }
    *pages = 2; /* the meta pages */
    *copied = 0;
    int code = MDB_SUCCESS;
    for (unsigned i = 0; i < TREES_MAX && code == MDB_SUCCESS; i++) {
        MDB_stat status = {0};
        code = mdb_stat(view->txn, trees[i], &status);
        *copied += status.ms_branch_pages + status.ms_leaf_pages;
        *pages += status.ms_overflow_pages;
    }
    *pages += *copied;
    return code;
}

/* A line of mdb_reader_list(): process, thread, and the transaction that is read, or `-`. */
static int note_reader(const char *line, void *oldest) {
    const char *last = strrchr(line, ' ');
    char *end;
    errno = 0;
    const uint64_t transaction = last != NULL ? strtoull(last + 1, &end, 10) : 0;
    if (last != NULL && end != last + 1 && errno == 0 && transaction < *(uint64_t *)oldest) {
        *(uint64_t *)oldest = transaction;
    }
    return 0;
}

/* How many pages were freed by the transactions from `oldest` on: who reads that one's state may
 * look at them. */
static int count_held(struct saga_store_view *view, uint64_t oldest, uint64_t free_pages,
                      uint64_t *held) {
    MDB_cursor *cursor;
    *held = 0;
    int code = mdb_cursor_open(view->txn, TREE_FREE, &cursor);
    if (code != MDB_SUCCESS) {
        return code;
    }
    MDB_cursor_op operation = MDB_LAST;
    for (unsigned i = 0; code == MDB_SUCCESS; i++, operation = MDB_PREV) {
        MDB_val key;
        MDB_val value;
        size_t transaction = 0;
        size_t count = 0;
        code = mdb_cursor_get(cursor, &key, &value, operation);
        if (code == MDB_SUCCESS &&
            (key.mv_size != sizeof transaction || value.mv_size < sizeof count)) {
            code = MDB_CORRUPTED;
        }
        if (code != MDB_SUCCESS) {
            break;
        }
        memcpy(&transaction, key.mv_data, sizeof transaction);
        memcpy(&count, value.mv_data, sizeof count);
        if (transaction < oldest) {
            break;
        }
        *held = i < HELD_COMMITS_MAX ? *held + count : free_pages;
        if (*held >= free_pages) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

/* A bit for each page of the file. */
struct page_set {
    uint64_t *words;
    uint64_t count;
};

/* The free pages that can be given out now. */
static int mark_free(struct saga_store_view *view, uint64_t oldest, const struct page_set *set) {
    MDB_cursor *cursor;
    int code = mdb_cursor_open(view->txn, TREE_FREE, &cursor);
    if (code != MDB_SUCCESS) {
        return code;
    }
    for (MDB_cursor_op operation = MDB_FIRST; code == MDB_SUCCESS; operation = MDB_NEXT) {
        MDB_val key;
        MDB_val value;
        size_t transaction = 0;
        size_t count = 0;
        code = mdb_cursor_get(cursor, &key, &value, operation);
        if (code != MDB_SUCCESS) {
            break;
        }
        memcpy(&transaction, key.mv_data, sizeof transaction);
        memcpy(&count, value.mv_data, sizeof count);
        if (transaction >= oldest) {
            break;
        }
        if (value.mv_size / sizeof count <= count) {
            code = MDB_CORRUPTED;
        }
        for (size_t i = 1; i <= count && code == MDB_SUCCESS; i++) {
            size_t page;
            memcpy(&page, (const char *)value.mv_data + i * sizeof page, sizeof page);
            if (page < set->count) {
                set->words[page / 64] |= UINT64_C(1) << page % 64;
            }
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

static uint64_t count_in_rows(const struct page_set *set, uint64_t row_pages) {
    uint64_t pages = 0;
    uint64_t stretch = 0;
    for (uint64_t page = 0; page <= set->count; page++) {
        if (page < set->count && (set->words[page / 64] & UINT64_C(1) << page % 64) != 0) {
            stretch++;
            continue;
        }
        pages += stretch / row_pages * row_pages;
        stretch = 0;
    }
    return pages;
}

enum saga_error saga_store_view_rows(struct saga_store_view *view, uint64_t row_pages,
                                     uint64_t *pages, struct saga_fault *fault) {
    assert(view->active && row_pages > 0);
    const struct saga_store *store = view->store;
    uint64_t bytes_max;
    struct page_set set = {.count = saga_store_file_bytes(store, &bytes_max) / store->page_bytes};
    uint64_t oldest = mdb_txn_id(view->txn);
    set.words = calloc(set.count / 64 + 1, sizeof *set.words);
    int code = set.words == NULL ? ENOMEM : MDB_SUCCESS;
    if (code == MDB_SUCCESS) {
        code = mdb_reader_list(store->env, note_reader, &oldest) < 0 ? EIO : MDB_SUCCESS;
    }
    if (code == MDB_SUCCESS) {
        code = mark_free(view, oldest, &set);
    }
    *pages = code == MDB_SUCCESS ? count_in_rows(&set, row_pages) : 0;
    free(set.words);
    return code == MDB_SUCCESS ? SAGA_OK
                               : failed(store->path, "counting its free pages", code, fault);
}

/* What the file system says of itself and of the file. One that cannot say: the map alone counts.
 */
static void ask_system(const struct saga_store *store, struct saga_store_fill *fill) {
    const int fd = saga_store_file(store);
    struct statvfs system;
    struct stat file;
    fill->system_bytes = fill->system_bytes_free = UINT64_MAX / 2;
    if (fstatvfs(fd, &system) == 0) {
        fill->system_bytes = (uint64_t)system.f_blocks * system.f_frsize;
        fill->system_bytes_free = (uint64_t)system.f_bavail * system.f_frsize;
    }
    if (fstat(fd, &file) == 0) {
        const uint64_t given = (uint64_t)file.st_blocks * 512;
        const uint64_t size = (uint64_t)file.st_size;
        fill->disk_bytes = given < size ? given : size;
    }
}

enum saga_error saga_store_view_fill(struct saga_store_view *view, struct saga_store_fill *fill,
                                     struct saga_fault *fault) {
    assert(view->active);
    const struct saga_store *store = view->store;
    const uint64_t page_bytes = store->page_bytes;
    uint64_t pages = 0;
    uint64_t copied = 0;
    uint64_t held = 0;
    uint64_t bytes_max;
    const uint64_t file_bytes = saga_store_file_bytes(store, &bytes_max);
    const uint64_t file_pages = file_bytes / page_bytes;
    uint64_t oldest = mdb_txn_id(view->txn);
    int code = count_pages(view, &pages, &copied);
    if (code == MDB_SUCCESS) {
        code = mdb_reader_list(store->env, note_reader, &oldest) < 0 ? EIO : MDB_SUCCESS;
    }
    if (code == MDB_SUCCESS) {
        code = count_held(view, oldest, file_pages > pages ? file_pages - pages : 0, &held);
    }
    if (code != MDB_SUCCESS) {
        return failed(store->path, "counting its pages", code, fault);
    }
    *fill = (struct saga_store_fill){
        .used = pages * page_bytes,
        .held = held * page_bytes,
        .copied = copied * page_bytes,
        .file_bytes = file_bytes,
        .bytes_max = bytes_max,
    };
    ask_system(store, fill);
    return SAGA_OK;
}

/* One movement of the cursor. */
static enum saga_error move(struct saga_store_view *view, MDB_cursor_op operation, uint64_t lsn,
                            struct saga_store_block *block, struct saga_fault *fault) {
    assert(view->active);
    size_t wanted = lsn;
    MDB_val key = {sizeof wanted, &wanted};
    MDB_val value;
    int code = mdb_cursor_get(view->cursor, &key, &value, operation);
    if (code == MDB_NOTFOUND) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (code == MDB_SUCCESS && key.mv_size != sizeof block->first_lsn) {
        code = MDB_BAD_VALSIZE;
    }
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "reading its blocks", code, fault);
    }
    memcpy(&block->first_lsn, key.mv_data, sizeof block->first_lsn);
    block->bytes = value.mv_data;
    block->size = value.mv_size;
    return SAGA_OK;
}

enum saga_error saga_store_view_find(struct saga_store_view *view, uint64_t lsn,
                                     struct saga_store_block *block, struct saga_fault *fault) {
    enum saga_error error = move(view, MDB_SET_RANGE, lsn, block, fault);
    if (error == SAGA_ERROR_NOT_FOUND) { /* all keys are below */
        return move(view, MDB_LAST, 0, block, fault);
    }
    if (error == SAGA_OK && block->first_lsn > lsn) {
        return move(view, MDB_PREV, 0, block, fault);
    }
    return error;
}

enum saga_error saga_store_view_after(struct saga_store_view *view, uint64_t lsn,
                                      struct saga_store_block *block, struct saga_fault *fault) {
    if (lsn == UINT64_MAX) {
        return SAGA_ERROR_NOT_FOUND;
    }
    return move(view, MDB_SET_RANGE, lsn + 1, block, fault);
}

enum saga_error saga_store_view_next(struct saga_store_view *view, struct saga_store_block *block,
                                     struct saga_fault *fault) {
    return move(view, MDB_NEXT, 0, block, fault);
}

/* ---------------------------------------------------------- rows of a view */

static enum saga_error move_row(struct saga_store_view *view, enum saga_log_table table,
                                MDB_cursor_op operation, struct saga_bytes wanted,
                                struct saga_store_row *row, struct saga_fault *fault) {
    assert(view->active);
    MDB_val key = val_of(wanted);
    MDB_val value;
    int code = mdb_cursor_get(view->row_cursors[table], &key, &value, operation);
    view->row_found[table] = code == MDB_SUCCESS;
    if (code == MDB_NOTFOUND) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (code == MDB_SUCCESS && value.mv_size > UINT32_MAX) {
        code = MDB_BAD_VALSIZE;
    }
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "reading its tables", code, fault);
    }
    row->key = (struct saga_bytes){.data = key.mv_data, .size = (uint32_t)key.mv_size};
    row->value = (struct saga_bytes){.data = value.mv_data, .size = (uint32_t)value.mv_size};
    return SAGA_OK;
}

enum saga_error saga_store_view_seek_row(struct saga_store_view *view, enum saga_log_table table,
                                         struct saga_bytes key, struct saga_store_row *row,
                                         struct saga_fault *fault) {
    return move_row(view, table, key.size == 0 ? MDB_FIRST : MDB_SET_RANGE, key, row, fault);
}

enum saga_error saga_store_view_step_row(struct saga_store_view *view, enum saga_log_table table,
                                         bool forward, struct saga_store_row *row,
                                         struct saga_fault *fault) {
    const struct saga_bytes none = {0};
    if (!view->row_found[table]) {
        return forward ? SAGA_ERROR_NOT_FOUND : move_row(view, table, MDB_LAST, none, row, fault);
    }
    return move_row(view, table, forward ? MDB_NEXT : MDB_PREV, none, row, fault);
}

enum saga_error saga_store_view_row(struct saga_store_view *view, enum saga_log_table table,
                                    struct saga_bytes key, struct saga_store_row *row,
                                    struct saga_fault *fault) {
    assert(view->active);
    MDB_val wanted = val_of(key);
    MDB_val value;
    int code = mdb_get(view->txn, view->store->rows[table], &wanted, &value);
    if (code == MDB_NOTFOUND) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (code == MDB_SUCCESS && value.mv_size > UINT32_MAX) {
        code = MDB_BAD_VALSIZE;
    }
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "reading its tables", code, fault);
    }
    row->key = key;
    row->value = (struct saga_bytes){.data = value.mv_data, .size = (uint32_t)value.mv_size};
    return SAGA_OK;
}

enum saga_error saga_store_view_row_count(struct saga_store_view *view, enum saga_log_table table,
                                          uint64_t *count, struct saga_fault *fault) {
    assert(view->active);
    MDB_stat status;
    int code = mdb_stat(view->txn, view->store->rows[table], &status);
    if (code != MDB_SUCCESS) {
        return failed(view->store->path, "counting its rows", code, fault);
    }
    *count = status.ms_entries;
    return SAGA_OK;
}
