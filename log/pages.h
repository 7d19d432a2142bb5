/*
 * The pages of data.mdb, looked at before LMDB maps them.
 *
 * Hides LMDB's meta pages, of which the newer one counts. LMDB has no
 * checksums and trusts what it maps: an empty file is a new log to it, a
 * truncated one a SIGBUS, a damaged page an abort or a division by zero. Here
 * and in trees.h these are refused, with the page's name.
 *
 * Threads: no state.
 */
#ifndef SAGA_PAGES_H
#define SAGA_PAGES_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SAGA_PAGE_NONE UINT64_MAX

/* LMDB's structures (data format 1), as a 64-bit machine lays them out; LMDB
 * writes numbers in the machine's own order. */
struct saga_page_header {
    uint64_t number;
    uint16_t unused;
    uint16_t flags;
    uint16_t lower; /* end of the nodes' offsets */
    uint16_t upper; /* begin of the nodes */
};

struct saga_page_tree {
    uint32_t page_bytes; /* of the free tree: the size of a page; else unused */
    uint16_t flags;
    uint16_t depth;
    uint64_t branch_pages;
    uint64_t leaf_pages;
    uint64_t overflow_pages;
    uint64_t entries;
    uint64_t root; /* SAGA_PAGE_NONE: empty */
};

struct saga_page_meta {
    struct saga_page_header header;
    uint32_t magic;
    uint32_t version;
    uint64_t address;
    uint64_t map_bytes;
    struct saga_page_tree free; /* pages that can be used again, by transaction */
    struct saga_page_tree main;
    uint64_t last_page;
    uint64_t transaction;
};

/* Checks both meta pages of the open file `fd`; gives the newer one. The file may
 * be shorter than they say: pages at its end that were taken and given back in one transaction are
 * never written. trees.h knows which are in use. `path` is for the fault; `shared`: a daemon may be
 * writing them. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_pages_check(int fd, const char *path, bool shared,
                                              struct saga_page_meta *live,
                                              struct saga_fault *fault);

/* The meta page of one transaction, of a file that a daemon may be writing. Errors: NOT_FOUND
 * (there is none any more, or not yet; the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_pages_find(int fd, const char *path, uint64_t transaction,
                                             struct saga_page_meta *meta, struct saga_fault *fault);

/* Reads all of `size`. 1: read, 0: the file ends before, -1: errno. */
SAGA_CHECKED int saga_pages_read(int fd, void *bytes, size_t size, uint64_t offset);

#endif
