#include "arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16 << 10)

struct saga_arena_block {
    struct saga_arena_block *next;
    size_t used, size;
    max_align_t bytes[];
};

void saga_arena_init(struct saga_arena *arena) {
    arena->blocks = NULL;
}

void saga_arena_fini(struct saga_arena *arena) {
    while (arena->blocks != NULL) {
        struct saga_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}

void *saga_arena_take(struct saga_arena *arena, size_t size) {
    assert(size < SIZE_MAX / 2);
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct saga_arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = calloc(1, sizeof *block + room);
        assert(block != NULL);
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *taken = (char *)block->bytes + block->used;
    block->used += size;
    return taken;
}

char *saga_arena_copy(struct saga_arena *arena, const char *text, size_t size) {
    char *copy = saga_arena_take(arena, size + 1);
    memcpy(copy, text, size);
    return copy;
}

char *saga_arena_format(struct saga_arena *arena, const char *format, ...) {
    va_list arguments;
    va_list again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *text = saga_arena_take(arena, (size_t)length + 1);
    (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
