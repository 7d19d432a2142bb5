/*
 * A snapshot: data.mdb as of one view, page by page.
 *
 * Hides how a file is read that a daemon is writing: the view keeps LMDB from overwriting the pages
 * of its state, and the two meta pages, which a daemon overwrites in turn, are made anew: both lead
 * to that state. Pages that hold nothing are zeros, so what was deleted is not in a snapshot.
 *
 * Promises: the pages together are a data.mdb that opens with the state of the view.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_SNAPSHOT_H
#define SAGA_SNAPSHOT_H

#include "pages.h"
#include "store.h"

struct saga_snapshot {
    struct saga_store *store;
    struct saga_store_view *view; /* the caller's; it must stay as it is */
    char *path;                   /* of data.mdb; owned */
    struct saga_page_meta live;
    uint8_t *held; /* a bit for each page that holds something; owned */
};

/* Takes the state of now: renews the view, and checks all that LMDB would follow. Errors:
 * LOG_REFUSED (names the page), FAILED. */
SAGA_CHECKED enum saga_error saga_snapshot_open(struct saga_snapshot *snapshot,
                                                struct saga_store *store,
                                                struct saga_store_view *view,
                                                struct saga_fault *fault);
void saga_snapshot_close(struct saga_snapshot *snapshot);

uint32_t saga_snapshot_page_bytes(const struct saga_snapshot *snapshot);
uint64_t saga_snapshot_pages(const struct saga_snapshot *snapshot);

/* Reads `count` pages from `first` on, which are there. Errors: LOG_REFUSED (the file was cut),
 * FAILED. */
SAGA_CHECKED enum saga_error saga_snapshot_read(const struct saga_snapshot *snapshot,
                                                uint64_t first, size_t count, uint8_t *bytes,
                                                struct saga_fault *fault);

/* After the last read: whether the pages were still those of the view. Errors: CONFLICT (a daemon
 * that does not see the view was started meanwhile), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_snapshot_verify(const struct saga_snapshot *snapshot,
                                                  struct saga_fault *fault);

#endif
