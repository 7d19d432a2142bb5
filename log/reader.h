/*
 * A reader's inside. Its contract is in log.h; this is for log.c, which has one
 * of its own for what is committed already.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_READER_H
#define SAGA_READER_H

#include "log.h"
#include "meta.h"
#include "store.h"

struct saga_log_reader {
    struct saga_store *store;     /* the log's */
    struct saga_store_view *view; /* owned */
    struct saga_meta meta;        /* of the view */
    uint64_t next_lsn;            /* what saga_log_reader_next() gives */
    uint32_t epoch;               /* of the record before it; 0: not known */
    struct saga_block scanned;    /* the block that next stands in; record_count 0: none */
    struct saga_block read;       /* the block of the last saga_log_reader_read(); likewise */
    bool cursor_at_scanned;       /* else the view's cursor is elsewhere */
};

/* Opens `reader`, uninitialised memory of the caller. Errors: LOG_REFUSED,
 * FAILED. */
SAGA_CHECKED enum saga_error saga_log_reader_init(struct saga_log_reader *reader,
                                                  struct saga_store *store,
                                                  struct saga_fault *fault);
void saga_log_reader_fini(struct saga_log_reader *reader);

/* Gives the view up until the next renew. */
void saga_log_reader_release(struct saga_log_reader *reader);

/* Up to which LSN the block reaches that begins with `lsn`, which is in the view.
 * Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_log_reader_block(struct saga_log_reader *reader, uint64_t lsn,
                                                   uint64_t *last_lsn, struct saga_fault *fault);

/* Checks what can be checked at once: that the table has the blocks that the
 * meta row counts, and that the first and last record are where it says.
 * Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_log_reader_check(struct saga_log_reader *reader,
                                                   struct saga_fault *fault);

#endif
