/*
 * A filter of start keys: says of most that are not in a run that they are not.
 *
 * A Bloom filter in blocks of 32 bytes, so that a question touches one line of the
 * processor's cache (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
 * Filters). Eight bits a key, one in each of a block's eight words. With SAGA_FILTER_BITS_PER_KEY
 * about one foreign key in 400 is let through.
 *
 * On disk it is its blocks: bit i of word w is bit i % 8 of byte 4 w + i / 8. Key h is in block
 * (h[0] >> 32) * blocks / 2^32; in word w it has bit (low 32 bits of h[1]) * salt w modulo 2^32,
 * divided by 2^27. The salts are Parquet's (its documentation, "Bloom Filter").
 *
 * Threads: one adds; then any may ask.
 */
#ifndef SAGA_KEY_FILTER_H
#define SAGA_KEY_FILTER_H

#include <stdint.h>

#include "saga.h"

#define SAGA_FILTER_BITS_PER_KEY 14
#define SAGA_FILTER_BLOCK_BYTES  32

struct saga_key_filter {
    uint8_t *bytes; /* owned */
    uint32_t block_count;
};

/* How many blocks a filter of so many keys has; at least 1. */
uint32_t saga_key_filter_blocks(uint64_t key_count);

/* Makes an empty one of saga_key_filter_blocks(). False: no memory. */
SAGA_CHECKED bool saga_key_filter_init(struct saga_key_filter *filter, uint32_t block_count);
void saga_key_filter_fini(struct saga_key_filter *filter);

void saga_key_filter_add(struct saga_key_filter *filter, const uint64_t key_hash[2]);

/* False: it was not added. */
bool saga_key_filter_has(const struct saga_key_filter *filter, const uint64_t key_hash[2]);

#endif
