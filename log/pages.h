/*
 * The pages of data.mdb, looked at before LMDB maps them.
 *
 * Hides the layout of LMDB's data file (version 1). LMDB has no checksums and
 * trusts what it maps: an empty file is a new log to it, a truncated one a
 * SIGBUS, a damaged page an abort or a division by zero. Here these are
 * refused, with the page's name.
 *
 * Threads: no state.
 */
#ifndef SAGA_PAGES_H
#define SAGA_PAGES_H

#include "error.h"

#include <stdbool.h>

/* Checks both meta pages of the open file `fd`, and that the file is as long
 * as they say. `path` is for the fault; `shared`: a daemon may be writing
 * them. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_pages_check(int fd, const char *path, bool shared,
                                              struct saga_fault *fault);

#endif
