/*
 * The checkpointer: brings the log's tables up to date, a slice with each commit.
 *
 * Hides which rows are to be written, and when a checkpoint is complete. It is fuzzy: it
 * begins at a border between two batches, and each row is as of the slice that writes it,
 * which is never earlier. A saga that has ended moves from `open` to `done`, and leaves
 * the roster when that is durable. When all rows are, the checkpoint is set to the
 * border, and recovery begins there.
 *
 * Promises:
 *  1. Whatever dies when, the tables and the records after the last checkpoint that was set
 *     make the same sagas, start keys and definitions as all records.
 *  2. A slice is bounded; the slices of a checkpoint are spread over half the records
 *     that come between two of them.
 *
 * Threads: one, the log's appending thread.
 */
#ifndef SAGA_CHECKPOINTER_H
#define SAGA_CHECKPOINTER_H

#include "coordinator.h"
#include "error.h"
#include "log.h"
#include "outcomes.h"
#include "roster.h"
#include "start_keys.h"

struct saga_checkpointer;

/* What is written, and where to; all of it stays the caller's. */
struct saga_checkpoint_sources {
    struct saga_log *log;
    const struct saga_coordinator *coordinator;
    struct saga_roster *roster;
    struct saga_start_keys *keys;
    const struct saga_outcomes *outcomes;
};

struct saga_checkpoint_pace {
    uint64_t records;       /* a checkpoint begins after so many; at least 1 */
    uint64_t records_open;  /* or, if that is more, after so many for each open saga, */
    uint64_t records_most;  /* but after so many at the latest; 0: no limit */
    int64_t ms;             /* or after so long, if there were any; 0: never */
    uint32_t slice_entries; /* at least so many sagas a slice; at least 1 */
};
/* 1,000,000 records, or 10 for each open saga, but 2,000,000 at the most; an hour. */
extern const struct saga_checkpoint_pace saga_checkpoint_pace_default;

/* Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_checkpointer_open(struct saga_checkpointer **checkpointer,
                                                    const struct saga_checkpoint_sources *sources,
                                                    const struct saga_checkpoint_pace *pace,
                                                    struct saga_fault *fault);
void saga_checkpointer_close(struct saga_checkpointer *checkpointer);

/* A definition stands at this LSN, after the checkpoint. */
void saga_checkpointer_define(struct saga_checkpointer *checkpointer, uint64_t definition_lsn);

/* Now: of the batch that is to be flushed. */
struct saga_checkpoint_moment {
    int64_t at_ms;    /* the engine's time */
    uint32_t epoch;   /* the daemon's */
    int64_t epoch_ms; /* when that began */
};

/* Puts a slice into the batch, if it is time for one; call it once before each flush, with all
 * records of the batch appended. Errors: LOG_REFUSED, FAILED: the tables cannot be read, or there
 * is no memory; nothing is lost, and recovery reads more records. */
SAGA_CHECKED enum saga_error saga_checkpointer_slice(struct saga_checkpointer *checkpointer,
                                                     const struct saga_checkpoint_moment *moment,
                                                     struct saga_fault *fault);

/* True if there is something to put: an engine with nothing else to do flushes for it. */
SAGA_CHECKED bool saga_checkpointer_busy(const struct saga_checkpointer *checkpointer);

struct saga_checkpointer_counts {
    uint64_t checkpoints; /* completed */
    uint64_t rows;        /* of sagas, put */
    uint64_t lsn;         /* the last one that was set */
};
void saga_checkpointer_count(const struct saga_checkpointer *checkpointer,
                             struct saga_checkpointer_counts *counts);

#endif
