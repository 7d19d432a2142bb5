/*
 * An inspection: everything in a log, read and checked once.
 *
 * Hides where the checks are: each record with its block's checksum, its LSN and its epoch; each
 * row of the tables with its checksum. A view is held for a slice only, so a daemon can write
 * beside it.
 *
 * Threads: one.
 */
#ifndef SAGA_INSPECTION_H
#define SAGA_INSPECTION_H

#include "log.h"

struct saga_inspection {
    /* Called between two slices, while no view is held; `bytes` were read. What it returns, if not
     * SAGA_OK, ends the inspection. NULL: not called. */
    enum saga_error (*paused)(void *context, uint64_t bytes, struct saga_fault *fault);
    void *context;
    /* What was found. */
    uint64_t records;
    uint64_t rows;
};

/* Reads the log as far as it went at the beginning. Errors: LOG_REFUSED (names the record or row),
 * FAILED, and those of `paused`. */
SAGA_CHECKED enum saga_error saga_inspection_run(struct saga_inspection *inspection,
                                                 struct saga_log *log, struct saga_fault *fault);

#endif
