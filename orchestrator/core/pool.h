/*
 * Blocks of memory of a few sizes, out of one given range.
 *
 * Freed blocks are kept by size and used again for the same size. Inside the
 * core; no threads.
 */
#ifndef SAGA_POOL_H
#define SAGA_POOL_H

#include <stddef.h>
#include <stdint.h>

#define SAGA_POOL_UNIT      16
#define SAGA_POOL_UNITS_MAX 320

struct saga_pool {
    uint8_t *memory;
    size_t size;
    size_t used; /* never shrinks */
    void *free[SAGA_POOL_UNITS_MAX + 1];
};

void saga_pool_init(struct saga_pool *pool, void *memory, size_t size);

/* A block of at least `size` bytes (at most SAGA_POOL_UNITS_MAX units); NULL:
 * the range is used up. Its content is whatever was there. */
void *saga_pool_take(struct saga_pool *pool, size_t size);

/* Gives back a block that was taken with this `size`. */
void saga_pool_give(struct saga_pool *pool, void *block, size_t size);

#endif
