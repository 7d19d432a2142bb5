/*
 * An arena: memory that is given back all at once.
 *
 * Hides where the bytes come from. Promises zeroed, aligned memory: a failed
 * allocation ends the process, so no caller has to think about a definition
 * that is half there.
 *
 * Threads: an arena belongs to whoever fills it.
 */
#ifndef SAGA_ARENA_H
#define SAGA_ARENA_H

#include <stddef.h>

struct saga_arena_block;

struct saga_arena {
    struct saga_arena_block *blocks;
};

void saga_arena_init(struct saga_arena *arena);

/* Gives everything back. */
void saga_arena_fini(struct saga_arena *arena);

/* `size` zeroed bytes, aligned for any object. */
void *saga_arena_take(struct saga_arena *arena, size_t size);

/* A NUL-terminated copy of `size` bytes. */
char *saga_arena_copy(struct saga_arena *arena, const char *text, size_t size);

/* printf into the arena. */
__attribute__((format(printf, 2, 3))) char *saga_arena_format(struct saga_arena *arena,
                                                              const char *format, ...);

#endif
