/*
 * One timer for each of a fixed number of sagas: a binary heap.
 *
 * Inside the core; no threads.
 */
#ifndef SAGA_TIMERS_H
#define SAGA_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#define SAGA_TIMER_OFF INT64_MAX

struct saga_timer {
    int64_t due_ms;
    uint32_t saga;
};

struct saga_timers {
    struct saga_timer *heap; /* [0] is the earliest */
    uint32_t *places;        /* of a saga in the heap, from 1; 0: no timer */
    uint32_t count;
};

/* heap and places: room for as many as there are sagas; places zeroed. */
void saga_timers_init(struct saga_timers *timers, struct saga_timer *heap, uint32_t *places);

/* Sets, moves or (SAGA_TIMER_OFF) clears the timer of a saga. */
void saga_timers_set(struct saga_timers *timers, uint32_t saga, int64_t due_ms);

/* SAGA_TIMER_OFF: none. */
int64_t saga_timers_due(const struct saga_timers *timers, uint32_t saga);
int64_t saga_timers_earliest(const struct saga_timers *timers);

/* The saga whose timer is the earliest; there must be one. */
uint32_t saga_timers_first(const struct saga_timers *timers);

#endif
