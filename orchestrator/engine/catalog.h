/*
 * The catalog: every saga of the log by id, and every start key.
 *
 * Hides two hash tables over two arrays that only grow. A saga's entry is its
 * place in the order of starts; a key is kept as 128 bits of hash, with the
 * hash of the input it was used with.
 *
 * Threads: one, the engine's.
 */
#ifndef SAGA_CATALOG_H
#define SAGA_CATALOG_H

#include "saga.h"

struct saga_catalog;

struct saga_catalog_entry {
    struct saga_id id;
    uint64_t last_lsn;
    uint64_t definition_lsn;
    const char *status; /* a static text */
    bool left_out;      /* do not fold it: it brought recovery down */
};

/* What a start key stands for. */
struct saga_catalog_key {
    uint64_t key_hash[2];
    uint64_t input_hash[2]; /* of the definition's name and the canonical input */
    uint64_t entry;         /* of the saga, from 1 */
};

/* `seed`: secret, so that nobody can craft keys that collide. NULL: no memory. */
struct saga_catalog *saga_catalog_open(uint64_t seed);
void saga_catalog_close(struct saga_catalog *catalog);

/* Adds a saga; returns its number, from 1, in the order of adding. */
uint64_t saga_catalog_add(struct saga_catalog *catalog, const struct saga_id *id,
                          uint64_t definition_lsn, uint64_t last_lsn, const char *status);

/* NULL: unknown. Valid until the next add. */
struct saga_catalog_entry *saga_catalog_find(struct saga_catalog *catalog,
                                             const struct saga_id *id);

/* By number, 1 to count. */
const struct saga_catalog_entry *saga_catalog_at(const struct saga_catalog *catalog,
                                                 uint64_t number);
uint64_t saga_catalog_count(const struct saga_catalog *catalog);

/* Makes the hashes of a key and what it is used with. */
void saga_catalog_hash(const struct saga_catalog *catalog, struct saga_bytes key, const char *saga,
                       struct saga_bytes input, struct saga_catalog_key *hashed);

/* The key's earlier use; NULL: none. Valid until the next remember. */
const struct saga_catalog_key *saga_catalog_recall(const struct saga_catalog *catalog,
                                                   const struct saga_catalog_key *hashed);

/* Remembers a key that was not there. */
void saga_catalog_remember(struct saga_catalog *catalog, const struct saga_catalog_key *hashed);

#endif
