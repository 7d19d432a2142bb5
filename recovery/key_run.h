/*
 * A run: start keys that a checkpoint has written, sorted by their hash.
 *
 * Hides the rows that a run has in the table `keys`, and how one key is found among
 * millions: a filter in memory, then one block.
 *
 * The rows of run r (numbers big-endian; r from 1, 4 bytes):
 *
 *    key                            value
 *    r                              the head: 1 byte format (1), 1 byte level, 2 bytes 0, 8 bytes
 *                                   how many keys, 4 bytes how many blocks its filter has, 8 bytes
 *                                   the time of its newest saga, in ms since 1970 UTC
 *    r, 1, hash of its first key    1 to 84 keys by ascending hash, 48 bytes each: hash of the key
 *                                   (16), hash of definition's name and input (16), saga (16)
 *    r, 2, number (4 bytes)         127 blocks of the filter (key_filter.h), the last row fewer
 *
 * A run is there when its head is, which is written last; rows without a head are what was left
 * of one that was not finished, or has been taken into another.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_KEY_RUN_H
#define SAGA_KEY_RUN_H

#include "error.h"
#include "key_filter.h"
#include "key_table.h"
#include "log.h"

#define SAGA_RUN_BLOCK_KEYS 84

struct saga_key_run {
    uint32_t number;
    uint8_t level;
    uint64_t key_count;
    int64_t newest_ms;
    struct saga_key_filter filter;
};

void saga_key_run_fini(struct saga_key_run *run);

/* Reads head and filter of the first run from `number` on; NOT_FOUND (the fault is left alone):
 * there is none. *garbage: the first number up to there, or of all if there is none, that has rows
 * and no head; 0: none. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_key_run_load(struct saga_key_run *run, uint32_t number,
                                               uint32_t *garbage, struct saga_log_reader *reader,
                                               struct saga_fault *fault);

/* Reads the head alone of the first run from `number` on, for who only looks: the run has no
 * filter. Errors: the same. */
SAGA_CHECKED enum saga_error saga_key_run_head(struct saga_key_run *run, uint32_t number,
                                               struct saga_log_reader *reader,
                                               struct saga_fault *fault);

/* Finds a key; in a run without a filter that costs a look at its blocks. Errors: NOT_FOUND
 * (likewise), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_key_run_find(const struct saga_key_run *run,
                                               struct saga_log_reader *reader,
                                               const uint64_t key_hash[2],
                                               struct saga_start_key *found,
                                               struct saga_fault *fault);

/* ---------------------------------------------------------------- reading */

/* The keys of a run, one after the other. */
struct saga_run_cursor {
    uint32_t number;
    bool begun;
    uint64_t block_hash[2]; /* of the first key of the block being read */
    uint32_t next;          /* in it */
    uint32_t count;
    struct saga_start_key keys[SAGA_RUN_BLOCK_KEYS]; /* of that block: a copy, so that the log may
                                                        be flushed between two keys */
};

/* The next key, in place; a zeroed cursor with its number set gives the first. Errors: NOT_FOUND
 * (no more), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_run_cursor_next(struct saga_run_cursor *cursor,
                                                  struct saga_log_reader *reader,
                                                  const struct saga_start_key **key,
                                                  struct saga_fault *fault);

/* ---------------------------------------------------------------- writing */

/* A run being written. */
struct saga_run_writer {
    struct saga_key_run run; /* owned until saga_run_writer_finish() */
    uint32_t held;           /* keys that wait for their block to be full */
    struct saga_start_key keys[SAGA_RUN_BLOCK_KEYS];
};

/* Begins a run of at most `key_count` keys. False: no memory. */
SAGA_CHECKED bool saga_run_writer_begin(struct saga_run_writer *writer, uint32_t number,
                                        uint8_t level, uint64_t key_count);
void saga_run_writer_abandon(struct saga_run_writer *writer);

/* Adds a key, above all before it; puts a row whenever a block is full. */
void saga_run_writer_add(struct saga_run_writer *writer, struct saga_log *log,
                         const struct saga_start_key *key);

/* Puts the next rows of the filter, from row *piece on, at most `rows_max`. True: all are put. */
SAGA_CHECKED bool saga_run_writer_filter(struct saga_run_writer *writer, struct saga_log *log,
                                         uint32_t *piece, uint32_t rows_max);

/* Puts the head: with the flush to come the run is there. Gives it to `run`. */
void saga_run_writer_finish(struct saga_run_writer *writer, struct saga_log *log,
                            struct saga_key_run *run);

/* Removes the head: with the flush to come the run is garbage. */
void saga_key_run_remove(uint32_t number, struct saga_log *log);

/* Removes up to `rows_max` rows of garbage. True: none are left. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_key_run_sweep(uint32_t number, struct saga_log *log,
                                                struct saga_log_reader *reader, uint32_t rows_max,
                                                bool *clean, struct saga_fault *fault);

#endif
