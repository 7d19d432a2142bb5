/*
 * Growth: how much larger a log's file may become while somebody keeps one view of it open.
 *
 * Meanwhile LMDB reuses no pages. Hides how much is too much: half of the room there is until the
 * daemon refuses to start sagas; of a log that is fuller, a quarter of the rest. By the file's
 * length: what is free in it now is not used while it is read.
 *
 * Threads: the reader's.
 */
#ifndef SAGA_GROWTH_H
#define SAGA_GROWTH_H

#include "error.h"
#include "log.h"

struct saga_store;

struct saga_growth {
    const struct saga_store *store; /* the reader's */
    uint64_t bytes_max;             /* beyond which the file must not grow */
    const char *why;                /* static */
};

/* `reader` is to outlive it. `why`, static, follows "since pages cannot be reused while". Errors:
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_growth_begin(struct saga_growth *growth,
                                               const struct saga_log_reader *reader,
                                               const char *why, struct saga_fault *fault);

/* Errors: FULL (it has grown too much). */
SAGA_CHECKED enum saga_error saga_growth_check(const struct saga_growth *growth,
                                               struct saga_fault *fault);

#endif
