#include "key_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BITS_FIRST   10
#define BEHIND_FIRST 64

int saga_key_hash_compare(const uint64_t a[2], const uint64_t b[2]) {
    const unsigned word = a[0] == b[0] ? 1 : 0;
    return (a[word] > b[word]) - (a[word] < b[word]);
}

static bool is_empty(const struct saga_start_key *place) {
    static const struct saga_id none = {{0}};
    return memcmp(&place->saga, &none, sizeof none) == 0;
}

static uint64_t home_of(const struct saga_key_table *table, const uint64_t key_hash[2]) {
    return key_hash[0] >> (64 - table->bits);
}

void saga_key_table_fini(struct saga_key_table *table) {
    free(table->places);
    *table = (struct saga_key_table){0};
}

/* Where a key of this hash stands, or is to stand: the first place from its home on that is empty
 * or has a hash not below it. */
static uint64_t place_of(const struct saga_key_table *table, const uint64_t key_hash[2]) {
    uint64_t at = home_of(table, key_hash);
    while (at < table->place_count && !is_empty(&table->places[at]) &&
           saga_key_hash_compare(table->places[at].key_hash, key_hash) < 0) {
        at++;
    }
    return at;
}

struct saga_start_key *saga_key_table_use(struct saga_key_table *table,
                                          const uint64_t key_hash[2]) {
    if (table->count == 0) {
        return NULL;
    }
    const uint64_t at = place_of(table, key_hash);
    const bool found = at < table->place_count && !is_empty(&table->places[at]) &&
                       saga_key_hash_compare(table->places[at].key_hash, key_hash) == 0;
    return found ? &table->places[at] : NULL;
}

const struct saga_start_key *saga_key_table_find(const struct saga_key_table *table,
                                                 const uint64_t key_hash[2]) {
    struct saga_key_table same = *table;
    return saga_key_table_use(&same, key_hash);
}

const struct saga_start_key *saga_key_table_next(const struct saga_key_table *table,
                                                 uint64_t *cursor) {
    while (*cursor < table->place_count) {
        const struct saga_start_key *place = &table->places[(*cursor)++];
        if (!is_empty(place)) {
            return place;
        }
    }
    return NULL;
}

/* True if all of `from`, in its order, fits into the empty `table`. */
static bool fill(struct saga_key_table *table, const struct saga_key_table *from) {
    const struct saga_start_key *key;
    uint64_t cursor = 0;
    uint64_t next = 0;
    while ((key = saga_key_table_next(from, &cursor)) != NULL) {
        const uint64_t home = home_of(table, key->key_hash);
        next = home > next ? home : next;
        if (next == table->place_count) {
            return false;
        }
        table->places[next++] = *key;
    }
    table->count = from->count;
    return true;
}

/* Makes room, until all fits. */
static bool resize(struct saga_key_table *table, unsigned bits, uint64_t behind) {
    for (;; behind *= 2) {
        struct saga_key_table resized = {
            .bits = bits, .behind = behind, .place_count = ((uint64_t)1 << bits) + behind};
        resized.places = calloc(resized.place_count, sizeof *resized.places);
        if (resized.places == NULL) {
            return false;
        }
        if (fill(&resized, table)) {
            free(table->places);
            *table = resized;
            return true;
        }
        free(resized.places);
    }
}

static bool double_homes(struct saga_key_table *table) {
    return table->bits == 0 ? resize(table, BITS_FIRST, BEHIND_FIRST)
                            : resize(table, table->bits + 1, table->behind);
}

/* Moves what stands from `at` on by one place. False: there is no empty one behind. */
static bool make_way(struct saga_key_table *table, uint64_t at) {
    uint64_t end = at;
    while (end < table->place_count && !is_empty(&table->places[end])) {
        end++;
    }
    if (end == table->place_count) {
        return false;
    }
    memmove(&table->places[at + 1], &table->places[at], (end - at) * sizeof *table->places);
    return true;
}

bool saga_key_table_add(struct saga_key_table *table, const struct saga_start_key *key) {
    assert(!is_empty(key));
    assert(saga_key_table_find(table, key->key_hash) == NULL);
    /* Half full at the most: whoever finds their home taken has not far to go. */
    if ((table->bits == 0 || table->count >= (uint64_t)1 << (table->bits - 1)) &&
        !double_homes(table)) {
        return false;
    }
    uint64_t at = place_of(table, key->key_hash);
    while (at == table->place_count || !make_way(table, at)) {
        if (!resize(table, table->bits, table->behind * 2)) {
            return false;
        }
        at = place_of(table, key->key_hash);
    }
    table->places[at] = *key;
    table->count++;
    return true;
}
