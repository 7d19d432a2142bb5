#include "pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LMDB_MAGIC   0xBEEFC0DEu
#define LMDB_VERSION 1u

#define PAGE_BYTES_MIN 512u
#define PAGE_BYTES_MAX 65536u
/* What a 64-bit process can map. */
#define MAP_BYTES_MAX ((uint64_t)1 << 47)

#define P_META         0x08
#define MDB_INTEGERKEY 0x08
_Static_assert(sizeof(struct saga_page_header) == 16, "a page's header has no holes");
_Static_assert(sizeof(struct saga_page_tree) == 48, "nor has a tree's row");
_Static_assert(sizeof(struct saga_page_meta) == 152, "nor has a meta page");

int saga_pages_read(int fd, void *bytes, size_t size, uint64_t offset) {
    ssize_t length = pread(fd, bytes, size, (off_t)offset);
    if (length < 0) {
        return -1;
    }
    return (size_t)length == size;
}

/* NULL: nothing is wrong with meta page `number`, as far as it goes by itself. */
static const char *meta_damage(const struct saga_page_meta *meta, uint64_t number) {
    if (meta->magic != LMDB_MAGIC) {
        return "it does not begin as a page of LMDB does";
    }
    if (meta->header.number != number || (meta->header.flags & P_META) == 0) {
        return "it is not a meta page";
    }
    uint32_t size = meta->free.page_bytes;
    if (size < PAGE_BYTES_MIN || size > PAGE_BYTES_MAX || (size & (size - 1)) != 0) {
        return "its size of a page is no such size";
    }
    if (meta->free.flags != MDB_INTEGERKEY || meta->main.flags != 0) {
        return "its flags are not those of a log";
    }
    if (meta->map_bytes > MAP_BYTES_MAX || meta->last_page >= meta->map_bytes / size) {
        return "its map is smaller than its pages";
    }
    if (meta->transaction != 0 && (meta->transaction & 1) != number) {
        return "it belongs in the other meta page's place";
    }
    return NULL;
}

static enum saga_error refuse(struct saga_fault *fault, const char *path, const char *where,
                              const char *what) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s is damaged: %s: %s. Restore it from a backup; nothing was "
                          "changed.",
                          path, where, what);
}

static enum saga_error read_meta(int fd, const char *path, uint64_t number, uint64_t offset,
                                 struct saga_page_meta *meta, struct saga_fault *fault) {
    char where[32];
    (void)snprintf(where, sizeof where, "meta page %" PRIu64, number);
    int result = saga_pages_read(fd, meta, sizeof *meta, offset);
    if (result < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s", path, strerror(errno));
    }
    if (result == 0) {
        return refuse(fault, path, where, "the file ends before it");
    }
    if (meta->magic == LMDB_MAGIC && meta->version != LMDB_VERSION) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s is in LMDB's data format %" PRIu32
                              ", and this sagad's LMDB knows format %u: use the version that wrote "
                              "it, or one built with a newer LMDB.",
                              path, meta->version, LMDB_VERSION);
    }
    const char *damage = meta_damage(meta, number);
    return damage == NULL ? SAGA_OK : refuse(fault, path, where, damage);
}

/* Transactions fill the two pages in turn, so they are one apart; in a log
 * nobody wrote to yet both are 0. */
static bool are_consecutive(const struct saga_page_meta metas[2]) {
    uint64_t a = metas[0].transaction;
    uint64_t b = metas[1].transaction;
    return a + 1 == b || b + 1 == a || (a == 0 && b == 0);
}

static enum saga_error check_once(int fd, const char *path, struct saga_page_meta *chosen,
                                  struct saga_fault *fault) {
    struct saga_page_meta metas[2];
    enum saga_error error = read_meta(fd, path, 0, 0, &metas[0], fault);
    if (error == SAGA_OK) {
        error = read_meta(fd, path, 1, metas[0].free.page_bytes, &metas[1], fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    if (metas[0].free.page_bytes != metas[1].free.page_bytes || !are_consecutive(metas)) {
        return refuse(fault, path, "meta pages", "the two do not follow one another");
    }
    const struct saga_page_meta *live = &metas[metas[0].transaction < metas[1].transaction];
    *chosen = *live;
    return SAGA_OK;
}

enum saga_error saga_pages_check(int fd, const char *path, bool shared, struct saga_page_meta *live,
                                 struct saga_fault *fault) {
    enum saga_error error = check_once(fd, path, live, fault);
    /* Between two reads a daemon may commit, and a read may see half of a
     * write. A commit takes a hundred times as long as this check. */
    for (int i = 0; shared && error == SAGA_ERROR_LOG_REFUSED && i < 20; i++) {
        error = check_once(fd, path, live, fault);
    }
    return error;
}

/* LMDB fills the two in turn. */
static enum saga_error find_once(int fd, const char *path, uint64_t transaction,
                                 struct saga_page_meta *meta, struct saga_fault *fault) {
    enum saga_error error = read_meta(fd, path, 0, 0, meta, fault);
    if (error == SAGA_OK && (transaction & 1) != 0) {
        error = read_meta(fd, path, 1, meta->free.page_bytes, meta, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    return meta->transaction == transaction ? SAGA_OK : SAGA_ERROR_NOT_FOUND;
}

enum saga_error saga_pages_find(int fd, const char *path, uint64_t transaction,
                                struct saga_page_meta *meta, struct saga_fault *fault) {
    struct saga_page_meta again;
    enum saga_error error = SAGA_ERROR_NOT_FOUND;
    /* What is the same twice was not being written. */
    for (int i = 0; i < 20; i++) {
        error = find_once(fd, path, transaction, meta, fault);
        if (error == SAGA_OK) {
            error = find_once(fd, path, transaction, &again, fault);
        }
        if (error == SAGA_ERROR_NOT_FOUND || error == SAGA_ERROR_FAILED ||
            (error == SAGA_OK && memcmp(meta, &again, sizeof again) == 0)) {
            return error;
        }
    }
    return error == SAGA_OK ? SAGA_ERROR_NOT_FOUND : error;
}
