#include "places.h"

#include <string.h>

static size_t aligned(size_t size) {
    return (size + SAGA_POOL_UNIT - 1) / SAGA_POOL_UNIT * SAGA_POOL_UNIT;
}

static size_t place_size(uint8_t step_count) {
    return SAGA_PLACE_BYTES + saga_size(step_count) + step_count * sizeof(struct saga_sent);
}

/* ------------------------------------------------------------------ memory */

static uint32_t index_size(uint32_t max) {
    uint32_t size = 16;
    while (size < 2 * (uint64_t)max) {
        size *= 2;
    }
    return size;
}

/* The parts of the memory, in order; the pool takes the rest. */
struct layout {
    size_t taken, free, index, pool, end;
};

static struct layout layout_of(uint32_t max) {
    struct layout layout = {0};
    layout.free = aligned(max * sizeof(struct saga_place *));
    layout.index = aligned(layout.free + max * sizeof(uint32_t));
    layout.pool = aligned(layout.index + index_size(max) * sizeof(uint32_t));
    layout.end = layout.pool + max * aligned(place_size(SAGA_STEPS_MAX));
    return layout;
}

size_t saga_places_bytes(uint32_t max) {
    return layout_of(max).end;
}

void saga_places_init(struct saga_places *places, void *memory, uint32_t max) {
    const struct layout layout = layout_of(max);
    uint8_t *base = memory;
    places->taken = (struct saga_place **)(void *)(base + layout.taken);
    places->free = (uint32_t *)(void *)(base + layout.free);
    places->index = (uint32_t *)(void *)(base + layout.index);
    places->index_mask = index_size(max) - 1;
    places->max = max;
    places->free_count = 0;
    places->used = 0;
    saga_pool_init(&places->pool, base + layout.pool, layout.end - layout.pool);
}

/* ------------------------------------------------------------------- by id */

static uint32_t home_of(const struct saga_places *places, const struct saga_id *id) {
    uint64_t word;
    memcpy(&word, id->bytes + 8, sizeof word); /* the random half of a UUIDv7 */
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) & places->index_mask;
}

static bool same_id(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct saga_place *saga_places_find(const struct saga_places *places, const struct saga_id *id) {
    uint32_t at = home_of(places, id);
    while (places->index[at] != 0) {
        struct saga_place *place = places->taken[places->index[at] - 1];
        if (same_id(&saga_place_saga(place)->id, id)) {
            return place;
        }
        at = (at + 1) & places->index_mask;
    }
    return NULL;
}

void saga_places_enter(struct saga_places *places, struct saga_place *place) {
    uint32_t at = home_of(places, &saga_place_saga(place)->id);
    while (places->index[at] != 0) {
        at = (at + 1) & places->index_mask;
    }
    places->index[at] = place->number + 1;
    place->is_entered = true;
}

/* Closes the gap that a removed entry leaves, so that no marker of the dead is
 * needed and a lookup stays short however many sagas have come and gone. */
static void leave_index(struct saga_places *places, struct saga_place *place) {
    const uint32_t mask = places->index_mask;
    uint32_t gap = home_of(places, &saga_place_saga(place)->id);
    while (places->index[gap] != place->number + 1) {
        gap = (gap + 1) & mask;
    }
    for (uint32_t at = (gap + 1) & mask; places->index[at] != 0; at = (at + 1) & mask) {
        struct saga_place *other = places->taken[places->index[at] - 1];
        const uint32_t home = home_of(places, &saga_place_saga(other)->id);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            places->index[gap] = places->index[at];
            gap = at;
        }
    }
    places->index[gap] = 0;
}

/* --------------------------------------------------------------- by number */

struct saga_place *saga_places_take(struct saga_places *places, const struct saga_plan *plan) {
    const bool is_used_again = places->free_count > 0;
    if (!is_used_again && places->used == places->max) {
        return NULL;
    }
    struct saga_place *place = saga_pool_take(&places->pool, place_size(plan->step_count));
    if (place == NULL) {
        return NULL;
    }
    memset(place, 0, place_size(plan->step_count));
    place->plan = plan;
    place->number = is_used_again ? places->free[--places->free_count] : places->used++;
    places->taken[place->number] = place;
    return place;
}

void saga_places_give(struct saga_places *places, struct saga_place *place) {
    if (place->is_entered) {
        leave_index(places, place);
    }
    places->taken[place->number] = NULL;
    places->free[places->free_count++] = place->number;
    saga_pool_give(&places->pool, place, place_size(place->plan->step_count));
}
