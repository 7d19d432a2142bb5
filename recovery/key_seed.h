/*
 * The seed of a log's start keys, and what it makes of a key.
 *
 * Hides its row in the table `keys`, the one that belongs to no run: key 1 byte 0; value 8 bytes,
 * big-endian. The hash of a key is its XXH3-128 with this seed. It is secret, so that nobody can
 * craft keys that collide.
 *
 * Threads: the reader's, or the log's appending thread.
 */
#ifndef SAGA_KEY_SEED_H
#define SAGA_KEY_SEED_H

#include "error.h"
#include "key_table.h"
#include "log.h"

/* Errors: NOT_FOUND (the log has none yet, and no run; the fault is left alone), LOG_REFUSED,
 * FAILED. Then *seed is left alone. */
SAGA_CHECKED enum saga_error saga_key_seed_read(struct saga_log_reader *reader, uint64_t *seed,
                                                struct saga_fault *fault);

/* Puts it into the batch. */
void saga_key_seed_put(struct saga_log *log, uint64_t seed);

void saga_key_seed_hash(uint64_t seed, struct saga_bytes key, uint64_t key_hash[2]);

/* What the log's runs say of a key, for who only looks: its newest use. It costs a few looks at
 * blocks, however many keys there are. Errors: NOT_FOUND (nothing; the fault is left alone),
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_key_seed_find(struct saga_log_reader *reader,
                                                struct saga_bytes key, struct saga_start_key *found,
                                                struct saga_fault *fault);

#endif
