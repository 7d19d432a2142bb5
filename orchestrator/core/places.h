/*
 * The places of open sagas: found by id, and by number.
 *
 * Hides how sagas of different sizes share one range of memory, which places are free,
 * and the index from ids. A place's number is its saga's until it is given back, and is
 * given to another one afterwards: timers and lines go by it. Inside the core; no threads.
 */
#ifndef SAGA_PLACES_H
#define SAGA_PLACES_H

#include "pool.h"
#include "saga.h"
#include "sent.h"

/* A place for one open saga. Saga and `sent` follow it in memory. Whose a field is stands beside
 * it; all are zero at first. */
struct saga_place {
    const struct saga_plan *plan;
    uint32_t number;
    bool is_entered;
    uint32_t line_next; /* lines.h: number + 1, in the line before a participant */
    uint32_t line_previous;
    uint16_t line;    /* lines.h: participant + 1; 0: stands in no line */
    uint16_t hurried; /* the coordinator's, and what follows */
    uint8_t quarantined;
    uint8_t status;
};

/* To where its saga stands. */
#define SAGA_PLACE_BYTES                                                                           \
    ((sizeof(struct saga_place) + SAGA_POOL_UNIT - 1) / SAGA_POOL_UNIT * SAGA_POOL_UNIT)

struct saga_places {
    struct saga_pool pool;
    struct saga_place **taken; /* by number; NULL: free */
    uint32_t *free;            /* numbers, a stack */
    uint32_t free_count;
    uint32_t max;
    uint32_t used;   /* numbers ever taken: all are below it */
    uint32_t *index; /* open addressing: number + 1 */
    uint32_t index_mask;
};

/* The size of the memory that so many places need, whatever sagas are in them. */
size_t saga_places_bytes(uint32_t max);

/* memory: zeroed, of that size, aligned to SAGA_POOL_UNIT. */
void saga_places_init(struct saga_places *places, void *memory, uint32_t max);

/* A place for a saga of this plan, zeroed but for plan and number; NULL: all are taken. */
struct saga_place *saga_places_take(struct saga_places *places, const struct saga_plan *plan);

/* From now on it is found by the id that its saga has. */
void saga_places_enter(struct saga_places *places, struct saga_place *place);

/* Frees it, entered or not. */
void saga_places_give(struct saga_places *places, struct saga_place *place);

/* NULL: not there. */
struct saga_place *saga_places_find(const struct saga_places *places, const struct saga_id *id);

/* By number, below `used`; NULL: that one is free. */
static inline struct saga_place *saga_places_at(const struct saga_places *places, uint32_t number) {
    return places->taken[number];
}

static inline struct saga *saga_place_saga(struct saga_place *place) {
    return (struct saga *)(void *)((uint8_t *)place + SAGA_PLACE_BYTES);
}

/* One for each step. */
static inline struct saga_sent *saga_place_sent(struct saga_place *place) {
    return (struct saga_sent *)(void *)((uint8_t *)saga_place_saga(place) +
                                        saga_size(place->plan->step_count));
}

#endif
