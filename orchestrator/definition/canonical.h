/*
 * The canonical form of a definition: JSON with nothing left to defaults.
 *
 * Hides the order of the keys and how each value is written. Promises that
 * equal definitions have equal forms, byte for byte, and that reading the form
 * gives the same definition, and the same form, again.
 *
 * Threads: no state.
 */
#ifndef SAGA_CANONICAL_H
#define SAGA_CANONICAL_H

#include "draft.h"

/* Writes the form of a checked draft into the arena, NUL-terminated. */
const char *saga_canonical_write(struct saga_arena *arena, const struct saga_draft *draft,
                                 size_t *size);

/* The form's XXH3-128, lower-case hex. */
void saga_canonical_hash(const char *canonical, size_t size, char hash[33]);

#endif
