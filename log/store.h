/*
 * Blocks, rows and the meta row in LMDB.
 *
 * Hides LMDB: store.c is the one file that includes lmdb.h. Knows no record
 * and no rule of the log; blocks and rows in, the same blocks and rows out.
 *
 * Tables: "log" has the blocks, key = the first LSN (a 64-bit integer in the
 * machine's order, MDB_INTEGERKEY); the tables of rows have their names in
 * saga_store_table_name(), and keys in the order of their bytes; the main table, which
 * every transaction writes anyway, has the row "meta". Rows and tables that later versions add
 * stand beside them.
 *
 * Promises: a commit is durable when it returns (LMDB's default mode; no flag
 * here weakens it), and atomic.
 *
 * Threads: commit belongs to one thread, a view to one at a time; views may be
 * in many threads beside it.
 */
#ifndef SAGA_STORE_H
#define SAGA_STORE_H

#include "error.h"
#include "meta.h"
#include "rows.h"

struct saga_store;

struct saga_store_options {
    const char *path;       /* the log's directory */
    uint64_t map_bytes_max; /* 0: as the file says (only for reading) */
    bool read_only;
    bool unlocked; /* without lock.mdb: for a reader where there can be no daemon */
};

/* Makes a store with no block and this meta row, durable, and closes it.
 * Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_store_create(const char *path, uint64_t map_bytes_max,
                                               const struct saga_meta *meta,
                                               struct saga_fault *fault);

/* Opens an existing one. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_store_open(struct saga_store **store,
                                             const struct saga_store_options *options,
                                             struct saga_fault *fault);
void saga_store_close(struct saga_store *store);

/* The log's directory, for faults. */
const char *saga_store_path(const struct saga_store *store);

/* What one transaction writes. */
struct saga_store_commit {
    uint32_t dropped_count;          /* blocks that go first: those before the meta row's base */
    const struct saga_block *blocks; /* appended: their keys ascend, and are above all there are */
    uint32_t block_count;
    const struct saga_row_change *changes; /* in order; removing what is not there does nothing */
    uint32_t change_count;
    const struct saga_meta *meta; /* takes the place of the row; its transaction is filled in */
};

/* One transaction. Errors: LOG_WRITE; the store must then not be written any
 * more. */
SAGA_CHECKED enum saga_error saga_store_commit(struct saga_store *store,
                                               const struct saga_store_commit *commit,
                                               struct saga_fault *fault);

/* Static; for faults and tools. */
const char *saga_store_table_name(enum saga_log_table table);

/* From the file's beginning to the last page ever in use; and the most that the map takes. */
uint64_t saga_store_file_bytes(const struct saga_store *store, uint64_t *bytes_max);

/* The open data.mdb, for reading whole pages of a view; stays the store's. */
int saga_store_file(const struct saga_store *store);

/* True if views of this store are not seen by a daemon that starts beside them. */
SAGA_CHECKED bool saga_store_is_unlocked(const struct saga_store *store);

/* Frees the places of readers that died; returns how many there were. */
uint32_t saga_store_reap(struct saga_store *store);

/* ------------------------------------------------------------------- views */

/* One consistent state of the store. */
struct saga_store_view;

struct saga_store_block {
    uint64_t first_lsn; /* the key */
    const void *bytes;  /* in the map: valid until the view is released */
    size_t size;
};

/* Errors of these: FAILED (no place left among the readers, a system's error),
 * LOG_REFUSED (the meta row is missing, damaged, or of another format or
 * transaction than this; or LMDB found the file damaged). */
SAGA_CHECKED enum saga_error saga_store_view_open(struct saga_store *store,
                                                  struct saga_store_view **view,
                                                  struct saga_fault *fault);
void saga_store_view_close(struct saga_store_view *view);

/* Lets go of its state, so that LMDB can reuse pages, but not of its place.
 * Only renew and close may follow. */
void saga_store_view_release(struct saga_store_view *view);
/* Takes the state of now; releases first where needed. */
SAGA_CHECKED enum saga_error saga_store_view_renew(struct saga_store_view *view,
                                                   struct saga_fault *fault);

/* The meta row of the state; valid until the next renew. */
const struct saga_meta *saga_store_view_meta(const struct saga_store_view *view);

/* LMDB's number of the transaction that the state is of. Its meta row may say another one: that of
 * the log of which this is a compacted copy. */
uint64_t saga_store_view_transaction(const struct saga_store_view *view);

/* What is taken, and what could be. In use is what the state's trees and its free list have; free
 * pages count no more once LMDB may give them out again, which it does not while a reader may look
 * at them. */
struct saga_store_fill {
    uint64_t used;              /* bytes of pages in use */
    uint64_t held;              /* of free ones that a reader keeps from being used again */
    uint64_t copied;            /* of `used`: what commits copy rather than add to, all of it */
    uint64_t file_bytes;        /* from the file's beginning to the last page ever in use */
    uint64_t disk_bytes;        /* that the file system has given to the file */
    uint64_t bytes_max;         /* of the map */
    uint64_t system_bytes;      /* of the file system, */
    uint64_t system_bytes_free; /* and what of it this process could still write */
};

/* Looks at a record of each tree, at the readers and at the end of the free list: a few
 * microseconds. Errors: FAILED, LOG_REFUSED. */
SAGA_CHECKED enum saga_error saga_store_view_fill(struct saga_store_view *view,
                                                  struct saga_store_fill *fill,
                                                  struct saga_fault *fault);

/* How many free pages lie in rows of so many (> 1): of each stretch the whole rows that it has.
 * Those that a reader keeps are not counted. Reads all of the free list. Errors: FAILED,
 * LOG_REFUSED. */
SAGA_CHECKED enum saga_error saga_store_view_rows(struct saga_store_view *view, uint64_t row_pages,
                                                  uint64_t *pages, struct saga_fault *fault);

/* How many blocks there are. */
SAGA_CHECKED enum saga_error saga_store_view_count(struct saga_store_view *view, uint64_t *count,
                                                   struct saga_fault *fault);

/* The block with the largest key up to `lsn`; NOT_FOUND (the fault is left
 * alone): there is none. */
SAGA_CHECKED enum saga_error saga_store_view_find(struct saga_store_view *view, uint64_t lsn,
                                                  struct saga_store_block *block,
                                                  struct saga_fault *fault);

/* The block with the smallest key above `lsn`; NOT_FOUND likewise. */
SAGA_CHECKED enum saga_error saga_store_view_after(struct saga_store_view *view, uint64_t lsn,
                                                   struct saga_store_block *block,
                                                   struct saga_fault *fault);

/* The block after the one found last; NOT_FOUND likewise. */
SAGA_CHECKED enum saga_error saga_store_view_next(struct saga_store_view *view,
                                                  struct saga_store_block *block,
                                                  struct saga_fault *fault);

/* A row as it is on disk: in the map, valid until the view is released. */
struct saga_store_row {
    struct saga_bytes key, value;
};

/* The row with the smallest key from `key` on (size 0: from the first on);
 * NOT_FOUND likewise. */
SAGA_CHECKED enum saga_error saga_store_view_seek_row(struct saga_store_view *view,
                                                      enum saga_log_table table,
                                                      struct saga_bytes key,
                                                      struct saga_store_row *row,
                                                      struct saga_fault *fault);

/* The row after, or before, the one of this table that was found last; where
 * nothing was found, the last row is before. NOT_FOUND likewise. */
SAGA_CHECKED enum saga_error saga_store_view_step_row(struct saga_store_view *view,
                                                      enum saga_log_table table, bool forward,
                                                      struct saga_store_row *row,
                                                      struct saga_fault *fault);

/* The row with exactly this key; does not move the others. NOT_FOUND likewise. */
SAGA_CHECKED enum saga_error saga_store_view_row(struct saga_store_view *view,
                                                 enum saga_log_table table, struct saga_bytes key,
                                                 struct saga_store_row *row,
                                                 struct saga_fault *fault);

/* How many rows a table has. */
SAGA_CHECKED enum saga_error saga_store_view_row_count(struct saga_store_view *view,
                                                       enum saga_log_table table, uint64_t *count,
                                                       struct saga_fault *fault);

#endif
