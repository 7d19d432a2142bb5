#include "line_places.h"

#include <stdlib.h>

void saga_places_fini(struct saga_places *places) {
    free(places->places);
    *places = (struct saga_places){0};
}

bool saga_places_add(struct saga_places *places, struct saga_place place) {
    if (places->count == places->room) {
        const size_t room = places->room == 0 ? 1024 : 2 * places->room;
        struct saga_place *larger = realloc(places->places, room * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        places->places = larger;
        places->room = room;
    }
    places->places[places->count++] = place;
    return true;
}

static int by_lsn(const void *a, const void *b) {
    const struct saga_place *first = a;
    const struct saga_place *second = b;
    if (first->lsn != second->lsn) {
        return first->lsn < second->lsn ? -1 : 1;
    }
    return (first->line > second->line) - (first->line < second->line);
}

bool saga_places_repeat(struct saga_places *places, struct saga_place *first,
                        struct saga_place *second) {
    if (places->count > 1) {
        qsort(places->places, places->count, sizeof *places->places, by_lsn);
    }
    for (size_t i = 1; i < places->count; i++) {
        if (places->places[i].lsn == places->places[i - 1].lsn) {
            *first = places->places[i - 1];
            *second = places->places[i];
            return true;
        }
    }
    return false;
}
