/*
 * An inspection: everything in a log, read and checked once.
 *
 * Hides where the checks are: what the log says of itself; each record with its block's checksum,
 * its LSN, its epoch and, if wanted, the record that it names as its saga's one before; each row of
 * the tables with its checksum. A view is held for a slice only, so a daemon can write beside it,
 * and what it drops meanwhile is passed over.
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
    /* Called for what is damaged, which is passed over then. What it returns, if not SAGA_OK, ends
     * the inspection. NULL: the first damage does. */
    enum saga_error (*damaged)(void *context, const struct saga_fault *damage,
                               struct saga_fault *fault);
    void *context;
    bool chained; /* the records' chains are checked, too: a look elsewhere for each record */
    /* What was found. */
    uint64_t records;
    uint64_t rows;
    uint64_t damages;
};

/* Reads the log as far as it went at the beginning. Errors: LOG_REFUSED (names the record or row),
 * FAILED, and those of `paused`. */
SAGA_CHECKED enum saga_error saga_inspection_run(struct saga_inspection *inspection,
                                                 struct saga_log *log, struct saga_fault *fault);

#endif
