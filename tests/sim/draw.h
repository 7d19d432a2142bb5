/*
 * The one source of chance in a simulation: SplitMix64, begun by the seed.
 *
 * Threads: one.
 */
#ifndef SIM_DRAW_H
#define SIM_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void sim_draw_begin(uint64_t seed);
uint64_t sim_draw(void);

/* A number below `bound` (> 0). */
uint64_t sim_draw_below(uint64_t bound);

/* A number from `least` to `most`. */
int64_t sim_draw_between(int64_t least, int64_t most);

/* True in `permille` of 1000 cases; draws nothing where that is 0. */
bool sim_draw_chance(unsigned permille);

void sim_draw_bytes(void *context, void *bytes, size_t size);

#endif
