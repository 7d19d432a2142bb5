/*
 * Start keys in memory, found by their hash and read in its order.
 *
 * Hides an ordered hash table: a key stands at the place that the first bits of its hash
 * say, or as close behind it as order allows. So all keys can be written as a sorted run
 * without ever being sorted, and growing is one pass from front to back.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_KEY_TABLE_H
#define SAGA_KEY_TABLE_H

#include "saga.h"

/* What a start key stands for. Hashes, of 128 bits each: nothing else is kept of what clients
 * sent. */
struct saga_start_key {
    uint64_t key_hash[2];
    uint64_t input_hash[2]; /* of the definition's name and the canonical input */
    struct saga_id saga;    /* never zero */
};

struct saga_key_table {
    struct saga_start_key *places; /* owned; saga zero: empty */
    uint64_t count;
    unsigned bits;        /* 2 to this power are homes; 0: no memory yet */
    uint64_t behind;      /* places behind the last home, for who finds it taken */
    uint64_t place_count; /* of both */
};

/* A zeroed table is empty. */
void saga_key_table_fini(struct saga_key_table *table);

/* The key of this hash; NULL: none. Valid until the next add. */
const struct saga_start_key *saga_key_table_find(const struct saga_key_table *table,
                                                 const uint64_t key_hash[2]);

/* The same, for who puts another saga in its place. */
struct saga_start_key *saga_key_table_use(struct saga_key_table *table, const uint64_t key_hash[2]);

/* Adds a key that is not there. False: no memory; the table is as it was. */
SAGA_CHECKED bool saga_key_table_add(struct saga_key_table *table,
                                     const struct saga_start_key *key);

/* The keys one after the other, by ascending hash: start with *cursor = 0; NULL at
 * the end. */
const struct saga_start_key *saga_key_table_next(const struct saga_key_table *table,
                                                 uint64_t *cursor);

/* Below 0, 0, above 0, as the first hash is below, the same as, or above the second. */
int saga_key_hash_compare(const uint64_t a[2], const uint64_t b[2]);

#endif
