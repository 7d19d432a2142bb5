#include "catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A growing array, and an open-addressing index into it: slots hold the place
 * + 1, nothing is ever removed. */
struct table {
    uint8_t *rows;
    size_t row_size;
    uint64_t count;
    uint64_t room;
    uint64_t *index;
    uint64_t mask;
};

struct saga_catalog {
    uint64_t seed;
    struct table sagas;
    struct table keys;
};

typedef uint64_t (*row_hash)(const void *row);

/* A catalog that cannot grow cannot say which saga a key belongs to, so there
 * is nothing safe to do but stop; the log has everything. */
static void *grown(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void *row_at(const struct table *table, uint64_t place) {
    return table->rows + place * table->row_size;
}

static void index_put(struct table *table, uint64_t hash, uint64_t place) {
    uint64_t at = hash & table->mask;
    while (table->index[at] != 0) {
        at = (at + 1) & table->mask;
    }
    table->index[at] = place + 1;
}

static void grow(struct table *table, row_hash hash) {
    table->room = table->room == 0 ? 1024 : table->room * 2;
    table->rows = grown(table->rows, table->room * table->row_size);
    table->mask = table->room * 2 - 1;
    table->index = grown(table->index, (table->mask + 1) * sizeof *table->index);
    memset(table->index, 0, (table->mask + 1) * sizeof *table->index);
    for (uint64_t i = 0; i < table->count; i++) {
        index_put(table, hash(row_at(table, i)), i);
    }
}

static void *add(struct table *table, row_hash hash, const void *row) {
    if (table->count == table->room) {
        grow(table, hash);
    }
    void *place = row_at(table, table->count);
    memcpy(place, row, table->row_size);
    index_put(table, hash(place), table->count);
    table->count++;
    return place;
}

/* The row whose first `key_size` bytes are `key`. */
static void *lookup(const struct table *table, uint64_t hash, const void *key, size_t key_size) {
    if (table->count == 0) {
        return NULL;
    }
    for (uint64_t at = hash & table->mask; table->index[at] != 0; at = (at + 1) & table->mask) {
        void *row = row_at(table, table->index[at] - 1);
        if (memcmp(row, key, key_size) == 0) {
            return row;
        }
    }
    return NULL;
}

static uint64_t entry_hash(const void *row) {
    uint64_t word;
    memcpy(&word, (const uint8_t *)row + 8, sizeof word); /* the random half of a UUIDv7 */
    return word * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t key_hash(const void *row) {
    const struct saga_catalog_key *key = row;
    return key->key_hash[0];
}

struct saga_catalog *saga_catalog_open(uint64_t seed) {
    struct saga_catalog *catalog = calloc(1, sizeof *catalog);
    if (catalog != NULL) {
        catalog->seed = seed;
        catalog->sagas.row_size = sizeof(struct saga_catalog_entry);
        catalog->keys.row_size = sizeof(struct saga_catalog_key);
    }
    return catalog;
}

void saga_catalog_close(struct saga_catalog *catalog) {
    if (catalog != NULL) {
        free(catalog->sagas.rows);
        free(catalog->sagas.index);
        free(catalog->keys.rows);
        free(catalog->keys.index);
        free(catalog);
    }
}

uint64_t saga_catalog_add(struct saga_catalog *catalog, const struct saga_id *id,
                          uint64_t definition_lsn, uint64_t last_lsn, const char *status) {
    struct saga_catalog_entry entry = {
        .id = *id, .last_lsn = last_lsn, .definition_lsn = definition_lsn, .status = status};
    add(&catalog->sagas, entry_hash, &entry);
    return catalog->sagas.count;
}

struct saga_catalog_entry *saga_catalog_find(struct saga_catalog *catalog,
                                             const struct saga_id *id) {
    return lookup(&catalog->sagas, entry_hash(id), id, sizeof *id);
}

const struct saga_catalog_entry *saga_catalog_at(const struct saga_catalog *catalog,
                                                 uint64_t number) {
    assert(number >= 1 && number <= catalog->sagas.count);
    return row_at(&catalog->sagas, number - 1);
}

uint64_t saga_catalog_count(const struct saga_catalog *catalog) {
    return catalog->sagas.count;
}

void saga_catalog_hash(const struct saga_catalog *catalog, struct saga_bytes key, const char *saga,
                       struct saga_bytes input, struct saga_catalog_key *hashed) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(key.data, key.size, catalog->seed);
    uint64_t name = XXH3_64bits_withSeed(saga, strlen(saga), catalog->seed);
    XXH128_hash_t content = XXH3_128bits_withSeed(input.data, input.size, name);
    memset(hashed, 0, sizeof *hashed);
    hashed->key_hash[0] = hash.low64;
    hashed->key_hash[1] = hash.high64;
    hashed->input_hash[0] = content.low64;
    hashed->input_hash[1] = content.high64;
}

const struct saga_catalog_key *saga_catalog_recall(const struct saga_catalog *catalog,
                                                   const struct saga_catalog_key *hashed) {
    return lookup(&catalog->keys, key_hash(hashed), hashed->key_hash, sizeof hashed->key_hash);
}

void saga_catalog_remember(struct saga_catalog *catalog, const struct saga_catalog_key *hashed) {
    assert(saga_catalog_recall(catalog, hashed) == NULL);
    add(&catalog->keys, key_hash, hashed);
}
