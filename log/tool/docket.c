#include "docket.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 1024

struct saga_docket {
    struct saga_docket_entry **places; /* a power of two of them */
    struct saga_case **keys;           /* as many */
    size_t place_count, count;
};

struct saga_docket *saga_docket_open(void) {
    struct saga_docket *docket = calloc(1, sizeof *docket);
    if (docket == NULL) {
        return NULL;
    }
    docket->place_count = PLACES_FIRST;
    docket->places = calloc(PLACES_FIRST, sizeof(struct saga_docket_entry *));
    docket->keys = calloc(PLACES_FIRST, sizeof(struct saga_case *));
    if (docket->places == NULL || docket->keys == NULL) {
        saga_docket_close(docket);
        return NULL;
    }
    return docket;
}

static void free_case(struct saga_case *open) {
    if (open != NULL) {
        free(open->key);
        free(open);
    }
}

void saga_docket_close(struct saga_docket *docket) {
    if (docket == NULL) {
        return;
    }
    for (size_t i = 0; docket->places != NULL && i < docket->place_count; i++) {
        for (struct saga_docket_entry *entry = docket->places[i]; entry != NULL;) {
            struct saga_docket_entry *next = entry->next;
            free_case(entry->open);
            free(entry);
            entry = next;
        }
    }
    free(docket->places);
    free(docket->keys);
    free(docket);
}

/* FNV-1a, mixed: whoever chooses keys that collide makes an audit slow, and no more. */
static size_t place_of(const void *bytes, size_t size, size_t place_count) {
    const uint8_t *byte = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return (size_t)(hash ^ hash >> 29) & (place_count - 1);
}

struct saga_docket_entry *saga_docket_find(const struct saga_docket *docket,
                                           const struct saga_id *id) {
    struct saga_docket_entry *entry = docket->places[place_of(id, sizeof *id, docket->place_count)];
    while (entry != NULL && memcmp(&entry->id, id, sizeof *id) != 0) {
        entry = entry->next;
    }
    return entry;
}

static void hang(struct saga_docket *docket, struct saga_docket_entry *entry) {
    struct saga_docket_entry **place =
        &docket->places[place_of(&entry->id, sizeof entry->id, docket->place_count)];
    entry->next = *place;
    *place = entry;
}

static void hang_key(struct saga_docket *docket, struct saga_case *open) {
    struct saga_case **place =
        &docket->keys[place_of(open->key, open->key_size, docket->place_count)];
    open->next_key = *place;
    *place = open;
}

/* False: no memory. */
static bool grow(struct saga_docket *docket) {
    const size_t count = docket->place_count;
    struct saga_docket_entry **places = docket->places;
    struct saga_docket_entry **larger = calloc(2 * count, sizeof(struct saga_docket_entry *));
    struct saga_case **keys = calloc(2 * count, sizeof(struct saga_case *));
    if (larger == NULL || keys == NULL) {
        free(larger);
        free(keys);
        return false;
    }
    free(docket->keys);
    docket->places = larger;
    docket->keys = keys;
    docket->place_count = 2 * count;
    for (size_t i = 0; i < count; i++) {
        for (struct saga_docket_entry *entry = places[i]; entry != NULL;) {
            struct saga_docket_entry *next = entry->next;
            hang(docket, entry);
            if (entry->open != NULL && entry->open->key != NULL) {
                hang_key(docket, entry->open);
            }
            entry = next;
        }
    }
    free(places);
    return true;
}

struct saga_docket_entry *saga_docket_add(struct saga_docket *docket, const struct saga_id *id) {
    if (docket->count >= docket->place_count && !grow(docket)) {
        return NULL;
    }
    struct saga_docket_entry *entry = calloc(1, sizeof *entry);
    if (entry != NULL) {
        entry->id = *id;
        hang(docket, entry);
        docket->count++;
    }
    return entry;
}

bool saga_docket_begin(struct saga_docket *docket, struct saga_docket_entry *entry,
                       const struct saga_definition *definition, struct saga_bytes key) {
    const size_t steps = definition->plan.step_count;
    struct saga_case *open = calloc(1, sizeof *open + steps * sizeof open->steps[0]);
    if (open == NULL) {
        return false;
    }
    open->definition = definition;
    open->entry = entry;
    if (key.size > 0) {
        open->key = malloc(key.size);
        if (open->key == NULL) {
            free(open);
            return false;
        }
        memcpy(open->key, key.data, key.size);
        open->key_size = key.size;
        hang_key(docket, open);
    }
    entry->open = open;
    return true;
}

void saga_docket_end(struct saga_docket *docket, struct saga_docket_entry *entry) {
    struct saga_case *open = entry->open;
    if (open != NULL && open->key != NULL) {
        struct saga_case **place =
            &docket->keys[place_of(open->key, open->key_size, docket->place_count)];
        while (*place != open) {
            place = &(*place)->next_key;
        }
        *place = open->next_key;
    }
    free_case(open);
    entry->open = NULL;
}

const struct saga_docket_entry *saga_docket_by_key(const struct saga_docket *docket,
                                                   struct saga_bytes key) {
    if (key.size == 0) {
        return NULL;
    }
    const struct saga_case *open = docket->keys[place_of(key.data, key.size, docket->place_count)];
    while (open != NULL &&
           (open->key_size != key.size || memcmp(open->key, key.data, key.size) != 0)) {
        open = open->next_key;
    }
    return open != NULL ? open->entry : NULL;
}
