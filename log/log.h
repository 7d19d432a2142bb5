/*
 * The saga log: an append-only sequence of records in LMDB.
 *
 * Hides LMDB, blocks, checksums, and how a log is created so that a crash at
 * any moment leaves either no log or a whole one.
 *
 * Promises:
 *  1. What saga_log_durable() covers survives kill -9, and power loss on
 *     storage that writes a 512-byte sector whole.
 *  2. A batch is durable as a whole or not at all.
 *  3. Whatever is read was checked: checksum, LSN, format. A record that
 *     cannot be trusted is an error that names it, never a wrong answer.
 *  4. There is no mode without durability. After a failed write the log takes
 *     nothing more: the caller ends the process (exit status 8) and recovers.
 *
 * Directory: DIR/log/{log.id,data.mdb,lock.mdb}, DIR/sagad.lock.
 *
 * Threads: one thread appends, flushes and uses saga_log_read(); any thread may
 * use a saga_log_reader of its own.
 */
#ifndef SAGA_LOG_H
#define SAGA_LOG_H

#include "error.h"
#include "saga.h"

struct saga_log;

/* Where the tables stand, and recovery begins. */
struct saga_checkpoint {
    uint64_t lsn;     /* the tables are as of this record, or later; 0: there is no checkpoint */
    uint32_t epoch;   /* of that record */
    int64_t epoch_ms; /* the engine's time at which that epoch began, */
    int64_t at_ms;    /* and that of the record */
};

/* What a log is made to go on from that stood elsewhere before (graft.h). */
struct saga_log_origin {
    const char *identity; /* as saga_log_identity() */
    const char *created;  /* as saga_log_created() */
    uint64_t first_lsn;   /* of the first record that it will have; at least 1 */
    /* As of the record before that, of which the tables are to tell; where it is 1, zero. */
    struct saga_checkpoint before;
};

struct saga_log_options {
    const char *data_dir;                 /* must exist */
    uint64_t map_bytes_max;               /* the most the log may ever take; 0: 16 GiB (sparse) */
    bool read_only;                       /* no lock on the data directory, nothing is written or
                                           * created */
    const struct saga_log_origin *origin; /* there must be no log yet: it is made so; NULL: no */
};

/* Opens, or creates where there is none, the log in data_dir.
 *
 * Errors: NOT_FOUND (no such directory, or read_only and no log in it), FAILED
 * (not writable, writable for everybody, on a network's file system, a
 * system's error), OWNED (another daemon), LOG_REFUSED (identity without data,
 * truncated, zeroed, newer format, a damaged page, last record or count that
 * do not match), INVALID (an origin that cannot be), CONFLICT (an origin, and there is a log). The
 * fault says what, where and what to do.
 *
 * read_only works while a daemon owns the directory, and without one; also on
 * a copy in a directory that cannot be written. It changes no byte of data.mdb. */
SAGA_CHECKED enum saga_error saga_log_open(struct saga_log **log,
                                           const struct saga_log_options *options,
                                           struct saga_fault *fault);
void saga_log_close(struct saga_log *log);

/* The log's identity: 36 characters, made at its creation. */
const char *saga_log_identity(const struct saga_log *log);

/* When that was: RFC 3339, UTC. */
const char *saga_log_created(const struct saga_log *log);

/* --------------------------------------------------------------- appending */

/* The LSN that the next appended record must have. */
uint64_t saga_log_next_lsn(const struct saga_log *log);

/* The last epoch in the log; 0: none yet. */
uint32_t saga_log_epoch(const struct saga_log *log);

/* The most records of one batch; saga_log_flush() at the latest then. */
#define SAGA_LOG_BATCH_MAX 10000

/* True if the batch may not take the records of one more decision
 * (SAGA_DECISION_MAX): flush it first. Ask before each decision; it bounds the
 * batch's memory to about 100 MiB, whatever the payloads. */
SAGA_CHECKED bool saga_log_batch_full(const struct saga_log *log);

/* Adds one record to the batch; copies key and payload. Asserts that
 * record->lsn is the next one, that previous_lsn is before it, that the epoch
 * is not below the last one, and that the batch is not full. Where memory runs
 * out, the batch is lost, and saga_log_flush() says so. */
void saga_log_append(struct saga_log *log, const struct saga_record *record);

/* Hands the batch over: one transaction; an empty batch costs nothing. Errors:
 * LOG_WRITE (the outcome is unknown; the log takes nothing more: from then on
 * saga_log_append() asserts, and this returns LOG_WRITE again). */
SAGA_CHECKED enum saga_error saga_log_flush(struct saga_log *log, struct saga_fault *fault);

/* Every record up to this LSN is durable. This log is durable when flush
 * returns; a replicated one will be later, so callers go by this alone. */
uint64_t saga_log_durable(const struct saga_log *log);

/* Reads record `lsn`, committed or still in the batch. key and payload are
 * valid until the next append or flush. Where it stood before the log's first one, it is looked
 * for among the records of `saga` that are kept; saga NULL: it is one of the log itself, of which
 * definitions are kept. Errors: NOT_FOUND (the text says whether it was purged), LOG_REFUSED,
 * FAILED (a system's error), LOG_WRITE (there was no memory for it). */
SAGA_CHECKED enum saga_error saga_log_read(struct saga_log *log, const struct saga_id *saga,
                                           uint64_t lsn, struct saga_record *record,
                                           struct saga_fault *fault);

/* -------------------------------------------------------------------- rows */

/* The tables that stand beside the records (log/README.md). What is in them can
 * be computed from the records, or was once; they are what a restart, a look and a
 * start key are quick by. */
enum saga_log_table {
    SAGA_TABLE_OPEN = 1,    /* sagas that have not ended: their state */
    SAGA_TABLE_DONE,        /* sagas that have: where their records are */
    SAGA_TABLE_KEYS,        /* start keys, in sorted runs */
    SAGA_TABLE_KEPT,        /* records that outlive their block */
    SAGA_TABLE_DEFINITIONS, /* definitions, by the LSN of their record */
    SAGA_TABLE_OWED,        /* ends of which somebody is still to be told */
};
#define SAGA_LOG_TABLE_COUNT 6

#define SAGA_ROW_KEY_BYTES_MAX 64
/* A value of so many bytes takes a page of its own; more takes several in a row. */
#define SAGA_ROW_PAGE_BYTES 4064
/* There is room for any record. */
#define SAGA_ROW_VALUE_BYTES_MAX (9u << 20)

/* Adds or replaces a row, or removes it if it is there: in the batch, with its
 * records, or without any. Copies key (1 to SAGA_ROW_KEY_BYTES_MAX bytes) and value. Where memory
 * runs out, the batch is lost, and saga_log_flush() says so. */
void saga_log_put(struct saga_log *log, enum saga_log_table table, struct saga_bytes key,
                  struct saga_bytes value);
void saga_log_remove(struct saga_log *log, enum saga_log_table table, struct saga_bytes key);

struct saga_checkpoint saga_log_checkpoint(const struct saga_log *log);

/* Sets it, in the batch. Its lsn must not go back, nor be above the durable one. */
void saga_log_set_checkpoint(struct saga_log *log, const struct saga_checkpoint *checkpoint);

/* --------------------------------------------------------------- retention */

/* The log grows at its end and goes from its front, a whole block at a time. Who drops a block
 * looks at its records first (saga_log_committed(), seek and next), and keeps, in the same batch,
 * those that are still needed: a crash leaves the block, or what was kept of it. */

/* The LSN from which on the log has every record; after the batch. */
uint64_t saga_log_first_lsn(const struct saga_log *log);

/* Up to which LSN the first block reaches, of those that are committed and that the batch does not
 * drop. Errors: NOT_FOUND (there is none; the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_log_first_block(struct saga_log *log, uint64_t *last_lsn,
                                                  struct saga_fault *fault);

/* Drops that block, in the batch; its records can be read until the flush. Asserts that
 * saga_log_first_block() has just said `last_lsn`, and that the checkpoint (the batch's, if it sets
 * one) is not before it: the tables have what a restart needs of it. */
void saga_log_drop_block(struct saga_log *log, uint64_t last_lsn);

/* Puts a record of a saga into the table `kept`, in the batch: saga_log_read() finds it there once
 * its block is gone. Copies it. Who needs it no more removes the row (saga_kept_key()). */
void saga_log_keep(struct saga_log *log, const struct saga_record *record);

/* ------------------------------------------------------------------- usage */

struct saga_log_usage {
    uint64_t records;
    uint64_t bytes;        /* of data.mdb that are in use */
    uint64_t bytes_max;    /* of the map */
    uint64_t commits;      /* of this process */
    uint64_t record_bytes; /* appended by this process, as encoded */
};
/* Where the log cannot be read, `bytes` is the file's length: whoever reads next says why. */
void saga_log_usage(struct saga_log *log, struct saga_log_usage *usage);

/* The log's room: of the last flush, and of the batch. */
struct saga_log_room {
    uint64_t bytes;     /* taken: by pages in use, by free ones that a reader keeps from being used
                           again, and by the batch */
    uint64_t bytes_max; /* that could ever be: the map, or less where the file system has less */
    uint64_t batch_bytes; /* of `bytes`: the batch's, as encoded */
    uint64_t file_bytes;  /* data.mdb's length: what needs several pages in a row may find them only
                             behind it */
    uint64_t copied;      /* of `bytes`: pages that commits copy, and free two commits later */
};
/* Cheap: asks once a flush at most. Where the log cannot be read, it is full. */
void saga_log_room(struct saga_log *log, struct saga_log_room *room);

/* How many bytes of free pages lie in rows, each for a record that takes `bytes`. Reads all of the
 * free list, unless it has within the last flushes: for when there is no other room. */
uint64_t saga_log_free_in_rows(struct saga_log *log, uint64_t bytes);

/* The room that is taken, 0 to 100. Starts are refused from SAGA_LOG_FULL_PERCENT on: the rest is
 * for finishing. Blocks that are dropped count no more once their flush has returned. */
#define SAGA_LOG_FULL_PERCENT 85
uint32_t saga_log_full_percent(struct saga_log *log);

/* Frees what inspectors that died still hold in the log; returns how many
 * there were. Call it now and then: such a reader keeps LMDB from reusing
 * pages. */
uint32_t saga_log_reap_readers(struct saga_log *log);

/* ----------------------------------------------------------------- reading */

/* One consistent view of the log, as of its opening. Keep it short: while one
 * is open, LMDB cannot reuse pages. */
struct saga_log_reader;

SAGA_CHECKED enum saga_error saga_log_reader_open(struct saga_log *log,
                                                  struct saga_log_reader **reader,
                                                  struct saga_fault *fault);
void saga_log_reader_close(struct saga_log_reader *reader);

/* Gives the view up, keeps its memory; then takes a new one. After an error
 * only renew and close may follow. */
SAGA_CHECKED enum saga_error saga_log_reader_renew(struct saga_log_reader *reader,
                                                   struct saga_fault *fault);

/* A reader of what is committed, for the thread that appends: the log's own, as of the last
 * flush, and not to be closed or used after the next. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error
saga_log_committed(struct saga_log *log, struct saga_log_reader **reader, struct saga_fault *fault);

/* First and last LSN of the view; last < first: empty. */
uint64_t saga_log_reader_first(const struct saga_log_reader *reader);
uint64_t saga_log_reader_last(const struct saga_log_reader *reader);

/* Positions the reader so that the next saga_log_reader_next() gives `lsn`. A
 * new or renewed reader stands at its first record, or where it stood. */
void saga_log_reader_seek(struct saga_log_reader *reader, uint64_t lsn);

/* The next record, in LSN order; key and payload are valid until the reader
 * is renewed or closed. Checks that records follow without gaps, that epochs
 * never go back, and that a saga's chain leads backwards. Errors: NOT_FOUND
 * (end of the view, or before its first; the fault is left alone), LOG_REFUSED
 * (names the record and what is wrong with it), FAILED (a system's error). */
SAGA_CHECKED enum saga_error saga_log_reader_next(struct saga_log_reader *reader,
                                                  struct saga_record *record,
                                                  struct saga_fault *fault);

/* After LOG_REFUSED: positions the reader at the next block there is, so that
 * what is left can be shown. Whoever goes on without saying what is missing
 * gives wrong answers. Errors: NOT_FOUND (there is none), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_log_reader_skip(struct saga_log_reader *reader,
                                                  struct saga_fault *fault);

/* The LSN that saga_log_reader_next() gives. */
uint64_t saga_log_reader_position(const struct saga_log_reader *reader);

/* Record `lsn`; key and payload valid until the reader is renewed or closed.
 * Does not move saga_log_reader_next(), nor the rows. `saga` and errors: as saga_log_read(). */
SAGA_CHECKED enum saga_error saga_log_reader_read(struct saga_log_reader *reader,
                                                  const struct saga_id *saga, uint64_t lsn,
                                                  struct saga_record *record,
                                                  struct saga_fault *fault);

/* The checkpoint of the view. */
struct saga_checkpoint saga_log_reader_checkpoint(const struct saga_log_reader *reader);

/* A row; key and value are valid until the reader is renewed or closed. */
struct saga_log_row {
    struct saga_bytes key, value;
};

/* The row with the smallest key from `key` on (size 0: the table's first). Errors:
 * NOT_FOUND (there is none; the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error
saga_log_reader_seek_row(struct saga_log_reader *reader, enum saga_log_table table,
                         struct saga_bytes key, struct saga_log_row *row, struct saga_fault *fault);

/* The row after, or before, the one of this table that was found last; where nothing
 * was found, the table's last one is before. Errors: the same. */
SAGA_CHECKED enum saga_error saga_log_reader_step_row(struct saga_log_reader *reader,
                                                      enum saga_log_table table, bool forward,
                                                      struct saga_log_row *row,
                                                      struct saga_fault *fault);

/* The row with exactly this key. Errors: the same. */
SAGA_CHECKED enum saga_error saga_log_reader_row(struct saga_log_reader *reader,
                                                 enum saga_log_table table, struct saga_bytes key,
                                                 struct saga_bytes *value,
                                                 struct saga_fault *fault);

/* How many rows a table has. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_log_reader_row_count(struct saga_log_reader *reader,
                                                       enum saga_log_table table, uint64_t *count,
                                                       struct saga_fault *fault);

#endif
