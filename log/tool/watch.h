/*
 * A watch on the log: waits until something was written to it.
 *
 * Hides how that is known. The daemon is not asked: there may be none.
 *
 * Threads: one.
 */
#ifndef SAGA_WATCH_H
#define SAGA_WATCH_H

#include <stdbool.h>

#include "error.h"

struct saga_watch {
    int notify;      /* inotify's descriptor */
    int patience_ms; /* until the next look without a sign */
};

/* Errors: FAILED. Close it in any case. */
SAGA_CHECKED enum saga_error saga_watch_open(struct saga_watch *watch, const char *data_dir,
                                             struct saga_fault *fault);
void saga_watch_close(struct saga_watch *watch);

/* Returns when the log may have more than at the last call, or when nobody
 * reads standard output any more (*gone). Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_watch_wait(struct saga_watch *watch, bool *gone,
                                             struct saga_fault *fault);

#endif
