#include "timers.h"

void saga_timers_init(struct saga_timers *timers, struct saga_timer *heap, uint32_t *places) {
    timers->heap = heap;
    timers->places = places;
    timers->count = 0;
}

static void put(struct saga_timers *timers, uint32_t place, struct saga_timer timer) {
    timers->heap[place] = timer;
    timers->places[timer.saga] = place + 1;
}

static void rise(struct saga_timers *timers, uint32_t place, struct saga_timer timer) {
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (timers->heap[parent].due_ms <= timer.due_ms) {
            break;
        }
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, timer);
}

static void sink(struct saga_timers *timers, uint32_t place, struct saga_timer timer) {
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count &&
            timers->heap[child + 1].due_ms < timers->heap[child].due_ms) {
            child++;
        }
        if (timers->heap[child].due_ms >= timer.due_ms) {
            break;
        }
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static void move(struct saga_timers *timers, uint32_t place, struct saga_timer timer) {
    if (place > 0 && timers->heap[(place - 1) / 2].due_ms > timer.due_ms) {
        rise(timers, place, timer);
    } else {
        sink(timers, place, timer);
    }
}

static void clear(struct saga_timers *timers, uint32_t saga) {
    uint32_t place = timers->places[saga] - 1;
    timers->places[saga] = 0;
    timers->count--;
    if (place < timers->count) {
        move(timers, place, timers->heap[timers->count]);
    }
}

void saga_timers_set(struct saga_timers *timers, uint32_t saga, int64_t due_ms) {
    struct saga_timer timer = {.due_ms = due_ms, .saga = saga};
    if (timers->places[saga] == 0) {
        if (due_ms != SAGA_TIMER_OFF) {
            rise(timers, timers->count++, timer);
        }
    } else if (due_ms == SAGA_TIMER_OFF) {
        clear(timers, saga);
    } else {
        move(timers, timers->places[saga] - 1, timer);
    }
}

int64_t saga_timers_due(const struct saga_timers *timers, uint32_t saga) {
    uint32_t place = timers->places[saga];
    return place == 0 ? SAGA_TIMER_OFF : timers->heap[place - 1].due_ms;
}

int64_t saga_timers_earliest(const struct saga_timers *timers) {
    return timers->count == 0 ? SAGA_TIMER_OFF : timers->heap[0].due_ms;
}

uint32_t saga_timers_first(const struct saga_timers *timers) {
    return timers->heap[0].saga;
}
