/*
 * A sink: the open file or pipe that a backup is written to, at a pace.
 *
 * Hides waiting: for the pace, and for whoever reads a pipe. A reader that takes nothing for too
 * long is an error, since a backup keeps the log from reusing pages while it waits.
 *
 * Threads: one.
 */
#ifndef SAGA_SINK_H
#define SAGA_SINK_H

#include "error.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct saga_sink_options {
    int fd;
    const char *name;                 /* for faults */
    uint64_t bytes_per_second;        /* 0: as fast as it goes */
    int patience_ms;                  /* how long a reader of a pipe may take nothing */
    const volatile sig_atomic_t *end; /* not 0: somebody wants it to end; NULL: nobody will */
};

struct saga_sink {
    struct saga_sink_options options;
    bool file;         /* it takes whatever there is room for */
    uint64_t unsynced; /* bytes since the last sync of a file */
    int64_t due_ns;    /* when the next bytes are due */
};

void saga_sink_init(struct saga_sink *sink, const struct saga_sink_options *options);

/* Waits until `bytes` more may be read or written. Errors: FAILED (it is to end). */
SAGA_CHECKED enum saga_error saga_sink_wait(struct saga_sink *sink, uint64_t bytes,
                                            struct saga_fault *fault);

/* Writes all of it. Errors: FAILED (the system's: the disk is full, nobody reads any more; or it is
 * to end), TIMEOUT (a reader that takes nothing). */
SAGA_CHECKED enum saga_error saga_sink_write(struct saga_sink *sink, const void *bytes, size_t size,
                                             struct saga_fault *fault);

/* What was written to a file is on disk when this returns. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_sink_sync(struct saga_sink *sink, struct saga_fault *fault);

#endif
