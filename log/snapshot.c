#include "snapshot.h"

#include "directory.h"
#include "trees.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two commits between the view and the look at its meta page are rare. */
#define TRIES 100

/* A view, and the meta page that leads to its state. */
static enum saga_error agree(struct saga_snapshot *snapshot, struct saga_fault *fault) {
    const int fd = saga_store_file(snapshot->store);
    enum saga_error error = SAGA_ERROR_NOT_FOUND;
    for (int i = 0; i < TRIES && error == SAGA_ERROR_NOT_FOUND; i++) {
        error = saga_store_view_renew(snapshot->view, fault);
        if (error == SAGA_OK) {
            error = saga_pages_find(fd, snapshot->path, saga_store_view_transaction(snapshot->view),
                                    &snapshot->live, fault);
        }
    }
    if (error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    return saga_fault_set(
        fault, SAGA_ERROR_FAILED,
        "%.300s is written so fast that no state of it could be taken: try again.", snapshot->path);
}

enum saga_error saga_snapshot_open(struct saga_snapshot *snapshot, struct saga_store *store,
                                   struct saga_store_view *view, struct saga_fault *fault) {
    *snapshot = (struct saga_snapshot){.store = store, .view = view};
    if (asprintf(&snapshot->path, "%s/" SAGA_DATA_FILE, saga_store_path(store)) < 0) {
        snapshot->path = NULL;
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a backup.");
    }
    enum saga_error error = agree(snapshot, fault);
    if (error == SAGA_OK) {
        error = saga_trees_map(saga_store_file(store), snapshot->path, &snapshot->live,
                               &snapshot->held, fault);
    }
    if (error != SAGA_OK) {
        snapshot->held = NULL;
        saga_snapshot_close(snapshot);
    }
    return error;
}

void saga_snapshot_close(struct saga_snapshot *snapshot) {
    free(snapshot->held);
    free(snapshot->path);
    *snapshot = (struct saga_snapshot){0};
}

uint32_t saga_snapshot_page_bytes(const struct saga_snapshot *snapshot) {
    return snapshot->live.free.page_bytes;
}

uint64_t saga_snapshot_pages(const struct saga_snapshot *snapshot) {
    return snapshot->live.last_page + 1;
}

static bool holds(const struct saga_snapshot *snapshot, uint64_t page) {
    return (snapshot->held[page / 8] & 1u << (page % 8)) != 0;
}

/* Both lead to the state: the older one would lead to pages that it had and this has not. LMDB
 * takes the one with the larger number, and writes over the other next. */
static void make_meta(const struct saga_snapshot *snapshot, uint64_t number, uint8_t *bytes) {
    struct saga_page_meta meta = snapshot->live;
    meta.header.number = number;
    if (meta.transaction > 0 && (meta.transaction & 1) != number) {
        meta.transaction--;
    }
    memset(bytes, 0, saga_snapshot_page_bytes(snapshot));
    memcpy(bytes, &meta, sizeof meta);
}

/* As much as there is, and zeros: pages at the end of a file that hold nothing may never have been
 * written. */
static enum saga_error read_all(const struct saga_snapshot *snapshot, uint64_t offset, size_t size,
                                uint8_t *bytes, size_t *done, struct saga_fault *fault) {
    *done = 0;
    while (*done < size) {
        const ssize_t got = pread(saga_store_file(snapshot->store), bytes + *done, size - *done,
                                  (off_t)(offset + *done));
        if (got < 0 && errno != EINTR) {
            return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s", snapshot->path,
                                  strerror(errno));
        }
        if (got == 0) {
            break;
        }
        *done += got > 0 ? (size_t)got : 0;
    }
    memset(bytes + *done, 0, size - *done);
    return SAGA_OK;
}

enum saga_error saga_snapshot_read(const struct saga_snapshot *snapshot, uint64_t first,
                                   size_t count, uint8_t *bytes, struct saga_fault *fault) {
    const size_t page_bytes = saga_snapshot_page_bytes(snapshot);
    size_t done;
    assert(first + count <= saga_snapshot_pages(snapshot));
    const enum saga_error error =
        read_all(snapshot, first * page_bytes, count * page_bytes, bytes, &done, fault);
    for (size_t i = 0; i < count && error == SAGA_OK; i++) {
        const size_t offset = i * page_bytes;
        if (first + i < 2) {
            make_meta(snapshot, first + i, bytes + offset);
        } else if (!holds(snapshot, first + i)) {
            memset(bytes + offset, 0, page_bytes);
        } else if (offset + page_bytes > done) {
            return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                  "%.300s was cut while it was read: page %" PRIu64
                                  ", which is in use, is not there any more.",
                                  snapshot->path, first + i);
        }
    }
    return error;
}

enum saga_error saga_snapshot_verify(const struct saga_snapshot *snapshot,
                                     struct saga_fault *fault) {
    struct saga_page_meta now;
    if (!saga_store_is_unlocked(snapshot->store)) {
        return SAGA_OK;
    }
    const enum saga_error error =
        saga_pages_check(saga_store_file(snapshot->store), snapshot->path, true, &now, fault);
    /* What the second transaction after it writes may lie on pages of this state. */
    if (error != SAGA_OK || now.transaction <= snapshot->live.transaction + 1) {
        return error;
    }
    return saga_fault_set(
        fault, SAGA_ERROR_CONFLICT,
        "a daemon was started on %.300s while it was read, and could not see that "
        "it was: take the backup again, as a user of the daemon's group.",
        snapshot->path);
}
