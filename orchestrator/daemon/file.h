/*
 * A small file, read whole.
 *
 * Threads: no state.
 */
#ifndef SAGA_FILE_H
#define SAGA_FILE_H

#include "error.h"

/* Reads at most `bytes_max` bytes; *text is malloc'd, NUL-terminated beyond its
 * size. Errors: NOT_FOUND, INVALID (larger, or no file), FAILED. */
SAGA_CHECKED enum saga_error saga_file_read(const char *path, size_t bytes_max, char **text,
                                            size_t *size, struct saga_fault *fault);

#endif
