#include "roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ENTRIES 1024
#define PLACES_FIRST  1024

/* Entries are taken from chunks, which are never given back: who leaves makes room for another. */
struct chunk {
    struct chunk *next;
    struct saga_roster_entry entries[CHUNK_ENTRIES];
};

struct saga_roster {
    struct chunk *chunks;
    size_t chunk_used;              /* entries of the first chunk */
    struct saga_roster_entry *free; /* chained by `next` */
    struct saga_roster_entry **places;
    uint64_t place_count; /* a power of two */
    uint64_t count;
    uint64_t recalled;
    struct saga_roster_entry *oldest, *newest;
};

static void *got(void *memory) {
    if (memory == NULL) {
        abort(); /* as saga_roster_add() says */
    }
    return memory;
}

struct saga_roster *saga_roster_open(void) {
    struct saga_roster *roster = calloc(1, sizeof *roster);
    if (roster == NULL) {
        return NULL;
    }
    roster->place_count = PLACES_FIRST;
    roster->places = calloc(roster->place_count, sizeof *roster->places);
    if (roster->places == NULL) {
        free(roster);
        return NULL;
    }
    roster->chunk_used = CHUNK_ENTRIES;
    return roster;
}

void saga_roster_close(struct saga_roster *roster) {
    if (roster == NULL) {
        return;
    }
    while (roster->chunks != NULL) {
        struct chunk *next = roster->chunks->next;
        free(roster->chunks);
        roster->chunks = next;
    }
    free(roster->places);
    free(roster);
}

/* ------------------------------------------------------------------- table */

static struct saga_roster_entry **place_of(const struct saga_roster *roster,
                                           const struct saga_id *id) {
    uint64_t word;
    memcpy(&word, id->bytes + 8, sizeof word); /* the random half of a UUIDv7 */
    const uint64_t hash = word * UINT64_C(0x9e3779b97f4a7c15) >> 16;
    return &roster->places[hash & (roster->place_count - 1)];
}

static void put(struct saga_roster *roster, struct saga_roster_entry *entry) {
    struct saga_roster_entry **place = place_of(roster, &entry->id);
    entry->next = *place;
    *place = entry;
}

/* Every entry is in the chain, so the table can be made anew from it. */
static void grow(struct saga_roster *roster) {
    roster->place_count *= 2;
    free(roster->places);
    roster->places = got(calloc(roster->place_count, sizeof *roster->places));
    for (struct saga_roster_entry *entry = roster->oldest; entry != NULL; entry = entry->newer) {
        put(roster, entry);
    }
}

static int compare(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

struct saga_roster_entry *saga_roster_find(const struct saga_roster *roster,
                                           const struct saga_id *id) {
    struct saga_roster_entry *entry = *place_of(roster, id);
    while (entry != NULL && compare(&entry->id, id) != 0) {
        entry = entry->next;
    }
    return entry;
}

static struct saga_roster_entry *take(struct saga_roster *roster) {
    struct saga_roster_entry *entry = roster->free;
    if (entry != NULL) {
        roster->free = entry->next;
    } else {
        if (roster->chunk_used == CHUNK_ENTRIES) {
            struct chunk *chunk = got(malloc(sizeof *chunk));
            chunk->next = roster->chunks;
            roster->chunks = chunk;
            roster->chunk_used = 0;
        }
        entry = &roster->chunks->entries[roster->chunk_used++];
    }
    memset(entry, 0, sizeof *entry);
    return entry;
}

/* ------------------------------------------------------------------- chain */

static bool is_newest(const struct saga_roster *roster, const struct saga_id *id) {
    return roster->newest == NULL || compare(&roster->newest->id, id) < 0;
}

struct saga_roster_entry *saga_roster_before(const struct saga_roster *roster,
                                             const struct saga_id *id) {
    if (is_newest(roster, id)) { /* most are: nothing is looked up */
        return roster->newest;
    }
    const struct saga_roster_entry *known = saga_roster_find(roster, id);
    if (known != NULL) {
        return known->older;
    }
    struct saga_roster_entry *entry = roster->newest;
    while (entry != NULL && compare(&entry->id, id) > 0) {
        entry = entry->older;
    }
    return entry;
}

static void chain(struct saga_roster *roster, struct saga_roster_entry *entry) {
    entry->older = saga_roster_before(roster, &entry->id);
    entry->newer = entry->older != NULL ? entry->older->newer : roster->oldest;
    *(entry->older != NULL ? &entry->older->newer : &roster->oldest) = entry;
    *(entry->newer != NULL ? &entry->newer->older : &roster->newest) = entry;
}

struct saga_roster_entry *saga_roster_add(struct saga_roster *roster, const struct saga_id *id) {
    assert(is_newest(roster, id) || saga_roster_find(roster, id) == NULL);
    if (roster->count == roster->place_count) {
        grow(roster);
    }
    struct saga_roster_entry *entry = take(roster);
    entry->id = *id;
    chain(roster, entry);
    put(roster, entry);
    roster->count++;
    return entry;
}

void saga_roster_remove(struct saga_roster *roster, struct saga_roster_entry *entry) {
    struct saga_roster_entry **link = place_of(roster, &entry->id);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    *(entry->older != NULL ? &entry->older->newer : &roster->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &roster->newest) = entry->older;
    entry->next = roster->free;
    roster->free = entry;
    roster->count--;
    roster->recalled -= entry->recalled;
}

struct saga_roster_entry *saga_roster_newest(const struct saga_roster *roster) {
    return roster->newest;
}

struct saga_roster_entry *saga_roster_oldest(const struct saga_roster *roster) {
    return roster->oldest;
}

uint64_t saga_roster_count(const struct saga_roster *roster) {
    return roster->count;
}

void saga_roster_recall(struct saga_roster *roster, struct saga_roster_entry *entry) {
    roster->recalled += !entry->recalled;
    entry->recalled = true;
}

uint64_t saga_roster_recalled(const struct saga_roster *roster) {
    return roster->recalled;
}
