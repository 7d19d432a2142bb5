/*
 * Seeded random numbers for tests (SplitMix64): equal seeds, equal numbers, on
 * every machine.
 *
 * Threads: a generator belongs to one.
 */
#ifndef SAGA_SPLITMIX_H
#define SAGA_SPLITMIX_H

#include <stdint.h>

struct splitmix {
    uint64_t state; /* the seed, to begin with */
};

static inline uint64_t splitmix_next(struct splitmix *random) {
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number below `bound` (> 0). */
static inline uint64_t splitmix_below(struct splitmix *random, uint64_t bound) {
    return splitmix_next(random) % bound;
}

#endif
