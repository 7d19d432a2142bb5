#include "met.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 1024
#define SLAB_ENTRIES 1024

struct slab {
    struct slab *older;
    struct saga_met_entry entries[SLAB_ENTRIES];
};

struct saga_met {
    struct saga_met_entry **places; /* a power of two of them */
    size_t place_count;
    size_t count;
    size_t unstarted;
    struct slab *slabs; /* the newest; all others are full */
    size_t used;        /* of the newest */
};

struct saga_met *saga_met_open(void) {
    struct saga_met *met = calloc(1, sizeof *met);
    if (met == NULL) {
        return NULL;
    }
    met->place_count = PLACES_FIRST;
    met->places = calloc(PLACES_FIRST, sizeof *met->places);
    if (met->places == NULL) {
        saga_met_close(met);
        return NULL;
    }
    return met;
}

void saga_met_close(struct saga_met *met) {
    if (met == NULL) {
        return;
    }
    for (struct slab *slab = met->slabs; slab != NULL;) {
        struct slab *older = slab->older;
        free(slab);
        slab = older;
    }
    free(met->places);
    free(met);
}

/* The random half of an id, mixed: ids that somebody has chosen cost time, and no more. */
static size_t place_of(const struct saga_id *id, size_t place_count) {
    uint64_t first;
    uint64_t second;
    memcpy(&first, id->bytes, sizeof first);
    memcpy(&second, id->bytes + 8, sizeof second);
    uint64_t word = (second ^ first * UINT64_C(0xff51afd7ed558ccd)) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(word ^ word >> 32) & (place_count - 1);
}

struct saga_met_entry *saga_met_find(const struct saga_met *met, const struct saga_id *id) {
    struct saga_met_entry *entry = met->places[place_of(id, met->place_count)];
    while (entry != NULL && memcmp(&entry->id, id, sizeof *id) != 0) {
        entry = entry->next;
    }
    return entry;
}

/* False: no memory. */
static bool grow(struct saga_met *met) {
    const size_t larger = 2 * met->place_count;
    struct saga_met_entry **places = calloc(larger, sizeof *places);
    if (places == NULL) {
        return false;
    }
    for (size_t i = 0; i < met->place_count; i++) {
        for (struct saga_met_entry *entry = met->places[i]; entry != NULL;) {
            struct saga_met_entry *next = entry->next;
            struct saga_met_entry **place = &places[place_of(&entry->id, larger)];
            entry->next = *place;
            *place = entry;
            entry = next;
        }
    }
    free(met->places);
    met->places = places;
    met->place_count = larger;
    return true;
}

static struct saga_met_entry *add(struct saga_met *met, const struct saga_id *id) {
    if (met->count >= met->place_count && !grow(met)) {
        return NULL;
    }
    if (met->slabs == NULL || met->used == SLAB_ENTRIES) {
        struct slab *slab = malloc(sizeof *slab);
        if (slab == NULL) {
            return NULL;
        }
        slab->older = met->slabs;
        met->slabs = slab;
        met->used = 0;
    }
    struct saga_met_entry *entry = &met->slabs->entries[met->used++];
    struct saga_met_entry **place = &met->places[place_of(id, met->place_count)];
    *entry = (struct saga_met_entry){.id = *id, .next = *place};
    *place = entry;
    met->count++;
    met->unstarted++;
    return entry;
}

struct saga_met_entry *saga_met_note(struct saga_met *met, const struct saga_record *record) {
    struct saga_met_entry *entry = saga_met_find(met, &record->saga);
    if (entry == NULL) {
        entry = add(met, &record->saga);
        if (entry == NULL) {
            return NULL;
        }
        entry->last_lsn = record->lsn;
    }
    if (record->fact == SAGA_ENDED && entry->outcome == 0) {
        entry->outcome = record->outcome;
        entry->ended_ms = record->at_ms;
    }
    if (record->fact == SAGA_STARTED && !entry->started) {
        entry->started = true;
        met->unstarted--;
    }
    return entry;
}

size_t saga_met_unstarted(const struct saga_met *met, struct saga_met_entry ***list) {
    size_t count = 0;
    *list = met->unstarted > 0 ? calloc(met->unstarted, sizeof **list) : NULL;
    if (*list == NULL) {
        return met->unstarted;
    }
    size_t used = met->used;
    for (struct slab *slab = met->slabs; slab != NULL; slab = slab->older, used = SLAB_ENTRIES) {
        for (size_t i = 0; i < used; i++) {
            if (!slab->entries[i].started) {
                (*list)[count++] = &slab->entries[i];
            }
        }
    }
    return count;
}
