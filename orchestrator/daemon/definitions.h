/*
 * The definitions that the daemon starts sagas by: those of a directory, or the
 * built-in one.
 *
 * Threads: once, at the start.
 */
#ifndef SAGA_DEFINITIONS_H
#define SAGA_DEFINITIONS_H

#include "definition.h"

#define SAGA_DEFINITIONS_MAX 256

struct saga_definitions {
    size_t count;
    struct saga_definition *items[SAGA_DEFINITIONS_MAX]; /* NULL: somebody took it over */
};

/* Loads every *.yaml in `path`, in the order of their names. Every error of every
 * file is printed on standard error, as compilers do. Errors: NOT_FOUND (no such
 * directory, or no definition in it), INVALID, FULL, FAILED. */
SAGA_CHECKED enum saga_error saga_definitions_load(struct saga_definitions *definitions,
                                                   const char *path, struct saga_fault *fault);

/* The booking example, as it was when this was built. */
SAGA_CHECKED enum saga_error saga_definitions_builtin(struct saga_definitions *definitions,
                                                      struct saga_fault *fault);

/* What was not taken over. */
void saga_definitions_free(struct saga_definitions *definitions);

#endif
