/*
 * A graft: a log that is made of records and rows which stood in another one, and goes on from
 * them.
 *
 * Hides that it grows beside its place, is read back from end to end, and gets its place by one
 * rename: killed at any moment, there is no log or a whole one. What was left of an attempt is
 * removed by the next; a daemon does not start on it.
 *
 * Threads: one.
 */
#ifndef SAGA_GRAFT_H
#define SAGA_GRAFT_H

#include "error.h"
#include "log.h"

struct saga_graft;

struct saga_graft_options {
    const char *data_dir;   /* empty, or not there yet: then it is made */
    uint64_t map_bytes_max; /* the most that the log may take; 0: as by default (log.h) */
    struct saga_log_origin origin;
};

/* Begins one. Errors: CONFLICT (data_dir is not empty), OWNED (a daemon or another restore is using
 * it), INVALID (the origin cannot be), FAILED. */
SAGA_CHECKED enum saga_error saga_graft_open(struct saga_graft **graft,
                                             const struct saga_graft_options *options,
                                             struct saga_fault *fault);

/* The log, to append to and to flush; stays the graft's. */
struct saga_log *saga_graft_log(struct saga_graft *graft);

/* Flushes, reads everything back, and puts the log into its place: then it is there to stay.
 * *records: that were read. The graft is gone in any case. Errors: LOG_REFUSED (what was
 * put together makes no log), LOG_WRITE, FAILED: then there is none in data_dir, unless the fault
 * says so. */
SAGA_CHECKED enum saga_error saga_graft_commit(struct saga_graft *graft, uint64_t *records,
                                               struct saga_fault *fault);

/* Removes it instead. */
void saga_graft_abort(struct saga_graft *graft);

#endif
