/*
 * Start keys: which saga each of them has started, however long ago.
 *
 * Hides where a key is remembered: in memory since the last checkpoint, before that in sorted runs
 * in the log, merged in levels. The keys never stand in a tree at random places, and a question
 * about a new key costs a few filters.
 *
 * Promises:
 *  1. What was remembered is found: also while it is being written, and merged.
 *  2. Nothing is decided by a run that is not durable.
 *  3. A key may be used again once it is forgotten: then its newest use counts.
 *
 * Threads: one, the log's appending thread.
 */
#ifndef SAGA_START_KEYS_H
#define SAGA_START_KEYS_H

#include "error.h"
#include "key_table.h"
#include "log.h"

struct saga_start_keys;

/* So many runs of a level are merged into one of the next. */
#define SAGA_RUNS_OF_LEVEL 8

/* Reads which runs there are. `seed`: secret, so that nobody can craft keys that collide; a log
 * that has runs has its own. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_start_keys_open(struct saga_start_keys **keys,
                                                  struct saga_log_reader *reader, uint64_t seed,
                                                  struct saga_fault *fault);
void saga_start_keys_close(struct saga_start_keys *keys);

/* Makes the hashes of a key, and of what it is used with. */
void saga_start_keys_hash(const struct saga_start_keys *keys, struct saga_bytes key,
                          const char *saga, struct saga_bytes input, struct saga_start_key *hashed);

/* What a key was used for. Errors: NOT_FOUND (never; the fault is left alone), LOG_REFUSED, FAILED.
 */
SAGA_CHECKED enum saga_error saga_start_keys_find(struct saga_start_keys *keys,
                                                  struct saga_log *log, const uint64_t key_hash[2],
                                                  struct saga_start_key *found,
                                                  struct saga_fault *fault);

/* Remembers a key, in the place of an older saga that it started. Ends the process where there is
 * no memory: whose key it is could not be said any more, and the log has everything. */
void saga_start_keys_remember(struct saga_start_keys *keys, const struct saga_start_key *key);

/* The keys of sagas whose ids were made before this are forgotten, in ms since 1970 UTC: they are
 * not found any more, and leave the log as runs are merged, or go whole. At first there are none.
 */
void saga_start_keys_forget(struct saga_start_keys *keys, int64_t before_ms);

/* ------------------------------------------------------------- checkpoints */

/* What is remembered so far is to be written. Only when saga_start_keys_write() has come to its
 * end. */
void saga_start_keys_cut(struct saga_start_keys *keys);

/* Puts the next rows into the batch, about `rows_max` of them: those of the last cut, then what a
 * merge needs, then removes what is left over. What one call puts must be committed before the
 * next. *written: the keys of the cut are durable; the call's value: there is nothing more to do.
 * Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_start_keys_write(struct saga_start_keys *keys,
                                                   struct saga_log *log, uint32_t rows_max,
                                                   bool *written, bool *idle,
                                                   struct saga_fault *fault);

struct saga_start_keys_count {
    uint64_t in_memory; /* keys */
    uint64_t in_runs;   /* keys; one that was written twice is counted twice */
    uint64_t forgotten; /* that have left the log */
    uint32_t runs;
    uint64_t filter_bytes;
};
void saga_start_keys_count(const struct saga_start_keys *keys, struct saga_start_keys_count *count);

#endif
