/*
 * Files, and standard input, read whole.
 *
 * Threads: no state.
 */
#ifndef SAGA_INPUT_H
#define SAGA_INPUT_H

#include "error.h"

/* Reads the file, "-": standard input, of at most `bytes_max` bytes. *text is
 * malloc'd, NUL-terminated beyond its size. Errors: NOT_FOUND, INVALID (larger),
 * FAILED. */
SAGA_CHECKED enum saga_error saga_input_read(const char *path, size_t bytes_max, char **text,
                                             size_t *size, struct saga_fault *fault);

#endif
