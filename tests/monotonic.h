/*
 * How long something takes: a clock that nobody sets.
 *
 * Threads: no state.
 */
#ifndef SAGA_MONOTONIC_H
#define SAGA_MONOTONIC_H

#include <assert.h>
#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_ms(void) {
    struct timespec now;
    const int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(!failed);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
