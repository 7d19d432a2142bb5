#include "pool.h"

#include <string.h>

static size_t units(size_t size) {
    return (size + SAGA_POOL_UNIT - 1) / SAGA_POOL_UNIT;
}

void saga_pool_init(struct saga_pool *pool, void *memory, size_t size) {
    memset(pool, 0, sizeof *pool);
    pool->memory = memory;
    pool->size = size;
}

void *saga_pool_take(struct saga_pool *pool, size_t size) {
    size_t count = units(size);
    if (count == 0 || count > SAGA_POOL_UNITS_MAX) {
        return NULL;
    }
    void *block = pool->free[count];
    if (block != NULL) {
        memcpy(&pool->free[count], block, sizeof(void *));
        return block;
    }
    size_t bytes = count * SAGA_POOL_UNIT;
    if (bytes > pool->size - pool->used) {
        return NULL;
    }
    block = pool->memory + pool->used;
    pool->used += bytes;
    return block;
}

void saga_pool_give(struct saga_pool *pool, void *block, size_t size) {
    size_t count = units(size);
    memcpy(block, &pool->free[count], sizeof(void *));
    pool->free[count] = block;
}
