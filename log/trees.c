#include "trees.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define P_BRANCH       0x01
#define P_LEAF         0x02
#define MDB_INTEGERKEY 0x08
#define F_BIGDATA      0x01 /* the value stands on pages of its own */
#define F_SUBDATA      0x02 /* the value is a table's row: a tree */

/* LMDB's cursors go no deeper. */
#define DEPTH_MAX     32
#define KEY_BYTES_MAX 511
#define NODE_BYTES    8

/* The head of an entry on a page; its key follows, then its value. */
struct node {
    uint16_t low;
    uint16_t high;
    uint16_t flags;
    uint16_t key_size;
};
_Static_assert(sizeof(struct node) == NODE_BYTES, "a node has no holes");

struct trees {
    int fd;
    const char *path;
    const struct saga_page_meta *live;
    uint32_t page_bytes;
    uint64_t file_bytes;
    uint8_t *used;  /* a bit for each page */
    uint8_t *held;  /* likewise: those that are not free */
    uint8_t *pages; /* one for each level of the tree being walked, two trees deep */
    struct saga_fault *fault;
};

/* What is being walked, and what was met. */
struct walk {
    const struct saga_page_tree *tree;
    const char *name;
    bool tables;   /* values may be tables */
    bool free;     /* values are lists of free pages */
    unsigned base; /* the first level's buffer */
    struct saga_page_tree met;
    bool any_key;
    bool may_repeat; /* last_key was a branch's: what follows may be equal to it */
    uint16_t last_size;
    uint8_t last_key[KEY_BYTES_MAX];
};

/* A page in memory, and one of its entries. */
struct entry {
    const uint8_t *page;
    struct node node;
    const uint8_t *key;
    const uint8_t *value;
    size_t value_size; /* as LMDB would give it */
};

__attribute__((format(printf, 3, 4))) static enum saga_error
refuse(const struct trees *trees, uint64_t page, const char *format, ...) {
    char what[160];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return saga_fault_set(trees->fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s is damaged: page %" PRIu64 ": %s. Restore it from a backup; "
                          "nothing was changed.",
                          trees->path, page, what);
}

/* Marks `count` pages from `first` on as known. */
static enum saga_error take(struct trees *trees, uint64_t first, uint64_t count) {
    if (first < 2 || count == 0 || first > trees->live->last_page ||
        count > trees->live->last_page - first + 1) {
        return refuse(trees, first, "it is not among the %" PRIu64 " pages there are",
                      trees->live->last_page + 1);
    }
    for (uint64_t page = first; page < first + count; page++) {
        uint8_t bit = (uint8_t)(1u << (page % 8));
        if ((trees->used[page / 8] & bit) != 0) {
            return refuse(trees, page, "it is used twice");
        }
        trees->used[page / 8] |= bit;
    }
    return SAGA_OK;
}

/* Takes pages that hold something: they must be there. A free page at the file's end need not. */
static enum saga_error take_used(struct trees *trees, uint64_t first, uint64_t count) {
    const enum saga_error error = take(trees, first, count);
    const uint64_t end = (first + count) * trees->page_bytes;
    if (error != SAGA_OK) {
        return error;
    }
    if (end <= trees->file_bytes) {
        for (uint64_t page = first; page < first + count; page++) {
            trees->held[page / 8] |= (uint8_t)(1u << (page % 8));
        }
        return SAGA_OK;
    }
    return saga_fault_set(trees->fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s is truncated: it has %" PRIu64 " bytes, and page %" PRIu64
                          ", which is in use, ends at %" PRIu64
                          ". Restore it from a backup; nothing was changed.",
                          trees->path, trees->file_bytes, first + count - 1, end);
}

static enum saga_error read_pages(struct trees *trees, uint64_t first, size_t size,
                                  uint8_t *bytes) {
    int result = saga_pages_read(trees->fd, bytes, size, first * trees->page_bytes);
    if (result < 0) {
        return saga_fault_set(trees->fault, SAGA_ERROR_FAILED, "%.300s: %s", trees->path,
                              strerror(errno));
    }
    return result == 0 ? refuse(trees, first, "the file ends before it") : SAGA_OK;
}

/* ------------------------------------------------------------------ entries */

static struct saga_page_header header_of(const uint8_t *page) {
    struct saga_page_header header;
    memcpy(&header, page, sizeof header);
    return header;
}

static unsigned entry_count(const uint8_t *page) {
    return (header_of(page).lower - (unsigned)sizeof(struct saga_page_header)) / 2;
}

/* The page that a branch's entry leads to. */
static uint64_t child_of(const struct node *node) {
    return node->low | (uint64_t)node->high << 16 | (uint64_t)node->flags << 32;
}

/* Entry `index`, all of it inside the page. */
static enum saga_error read_entry(const struct trees *trees, const uint8_t *page, unsigned index,
                                  struct entry *entry) {
    struct saga_page_header header = header_of(page);
    uint16_t offset = 0;
    memcpy(&offset, page + sizeof header + (size_t)2 * index, sizeof offset);
    if (offset < header.upper || offset % 2 != 0 ||
        (uint32_t)offset + NODE_BYTES > trees->page_bytes) {
        return refuse(trees, header.number, "entry %u is outside of it", index);
    }
    memcpy(&entry->node, page + offset, NODE_BYTES);
    size_t size = NODE_BYTES + (size_t)entry->node.key_size;
    entry->page = page;
    entry->key = page + offset + NODE_BYTES;
    entry->value = entry->key + entry->node.key_size;
    entry->value_size = 0;
    if (header.flags == P_LEAF) {
        entry->value_size = entry->node.low | (size_t)entry->node.high << 16;
        bool elsewhere = (entry->node.flags & F_BIGDATA) != 0;
        size += elsewhere ? sizeof(uint64_t) : entry->value_size;
    }
    if (offset + size > trees->page_bytes || entry->node.key_size > KEY_BYTES_MAX) {
        return refuse(trees, header.number, "entry %u reaches out of it", index);
    }
    return SAGA_OK;
}

/* In LMDB's order: numbers by what they are, all else by its bytes. */
static int compare_keys(const struct walk *walk, const struct entry *entry) {
    if ((walk->tree->flags & MDB_INTEGERKEY) != 0) {
        uint64_t key;
        uint64_t last;
        memcpy(&key, entry->key, sizeof key);
        memcpy(&last, walk->last_key, sizeof last);
        return (key > last) - (key < last);
    }
    const uint16_t size = entry->node.key_size;
    const int order =
        memcmp(entry->key, walk->last_key, size < walk->last_size ? size : walk->last_size);
    return order != 0 ? order : (size > walk->last_size) - (size < walk->last_size);
}

/* Keys ascend through the whole tree. A branch's key is above all before it,
 * and not above what follows. */
static enum saga_error check_key(const struct trees *trees, struct walk *walk,
                                 const struct entry *entry, bool branch) {
    const uint64_t page = header_of(entry->page).number;
    const uint16_t size = entry->node.key_size;
    if ((walk->tree->flags & MDB_INTEGERKEY) != 0 && size != sizeof(uint64_t)) {
        return refuse(trees, page, "a key of %s has %u bytes", walk->name, size);
    }
    if (walk->any_key) {
        const int order = compare_keys(walk, entry);
        if (order < 0 || (order == 0 && !walk->may_repeat)) {
            return refuse(trees, page, "a key of %s comes after a larger one", walk->name);
        }
    }
    memcpy(walk->last_key, entry->key, size);
    walk->last_size = size;
    walk->may_repeat = branch;
    walk->any_key = true;
    return SAGA_OK;
}

/* ------------------------------------------------------------------- values */

static enum saga_error walk_tree(struct trees *trees, const struct saga_page_tree *tree,
                                 const char *name, unsigned base, bool tables);

/* A list of pages: how many, then their numbers. */
static enum saga_error check_free_list(struct trees *trees, uint64_t page, const uint8_t *list,
                                       size_t size) {
    uint64_t count;
    if (size < sizeof count) {
        return refuse(trees, page, "a list of free pages is cut");
    }
    memcpy(&count, list, sizeof count);
    if (count > size / sizeof count - 1) {
        return refuse(trees, page, "a list of free pages is cut");
    }
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t free;
        memcpy(&free, list + i * sizeof free, sizeof free);
        enum saga_error error = take(trees, free, 1);
        if (error != SAGA_OK) {
            return error;
        }
    }
    return SAGA_OK;
}

/* A value on pages of its own: they are taken; read only if they list pages. */
static enum saga_error check_large_value(struct trees *trees, struct walk *walk,
                                         const struct entry *entry) {
    const size_t header_bytes = sizeof(struct saga_page_header);
    uint64_t first;
    memcpy(&first, entry->value, sizeof first);
    uint64_t count = (header_bytes - 1 + entry->value_size) / trees->page_bytes + 1;
    walk->met.overflow_pages += count;
    enum saga_error error = take_used(trees, first, count);
    if (error != SAGA_OK || !walk->free) {
        return error;
    }
    uint8_t *list = malloc(header_bytes + entry->value_size);
    if (list == NULL) {
        return saga_fault_set(trees->fault, SAGA_ERROR_FAILED, "no memory to check %.300s.",
                              trees->path);
    }
    error = read_pages(trees, first, header_bytes + entry->value_size, list);
    if (error == SAGA_OK) {
        error = check_free_list(trees, first, list + header_bytes, entry->value_size);
    }
    free(list);
    return error;
}

static enum saga_error check_table(struct trees *trees, const struct walk *walk,
                                   const struct entry *entry) {
    struct saga_page_tree table;
    char name[32];
    if (!walk->tables || entry->value_size != sizeof table) {
        return refuse(trees, header_of(entry->page).number, "a table stands where none can be");
    }
    memcpy(&table, entry->value, sizeof table);
    (void)snprintf(name, sizeof name, "table %.*s", (int)entry->node.key_size,
                   (const char *)entry->key);
    return walk_tree(trees, &table, name, walk->base + walk->tree->depth, false);
}

static enum saga_error check_leaf_entry(struct trees *trees, struct walk *walk,
                                        const struct entry *entry) {
    walk->met.entries++;
    enum saga_error error = check_key(trees, walk, entry, false);
    if (error != SAGA_OK) {
        return error;
    }
    switch (entry->node.flags) {
    case 0:
        return walk->free ? check_free_list(trees, header_of(entry->page).number, entry->value,
                                            entry->value_size)
                          : SAGA_OK;
    case F_BIGDATA:
        return check_large_value(trees, walk, entry);
    case F_SUBDATA:
        return check_table(trees, walk, entry);
    default:
        return refuse(trees, header_of(entry->page).number, "an entry is of no known kind");
    }
}

/* -------------------------------------------------------------------- trees */

static enum saga_error walk_page(struct trees *trees, struct walk *walk, uint64_t number,
                                 unsigned level);

static enum saga_error check_branch_entry(struct trees *trees, struct walk *walk,
                                          const struct entry *entry, unsigned index,
                                          unsigned level) {
    /* The first key of a branch is not used: all before the second is there. */
    enum saga_error error = index == 0 ? SAGA_OK : check_key(trees, walk, entry, true);
    return error == SAGA_OK ? walk_page(trees, walk, child_of(&entry->node), level + 1) : error;
}

static enum saga_error check_header(const struct trees *trees, const struct walk *walk,
                                    const uint8_t *page, uint64_t number, bool leaf) {
    struct saga_page_header header = header_of(page);
    if (header.number != number) {
        return refuse(trees, number, "it says that it is page %" PRIu64, header.number);
    }
    if (header.flags != (leaf ? P_LEAF : P_BRANCH)) {
        return refuse(trees, number, "it is no %s of %s", leaf ? "leaf" : "branch", walk->name);
    }
    /* LMDB asserts that a branch has two entries. */
    unsigned least = (unsigned)sizeof header + (leaf ? 2 : 4);
    if (header.lower < least || header.lower % 2 != 0 || header.lower > header.upper ||
        header.upper > trees->page_bytes) {
        return refuse(trees, number, "its bounds make no sense");
    }
    return SAGA_OK;
}

static enum saga_error walk_page(struct trees *trees, struct walk *walk, uint64_t number,
                                 unsigned level) {
    bool leaf = level + 1 == walk->tree->depth;
    uint8_t *page = trees->pages + (size_t)(walk->base + level) * trees->page_bytes;
    enum saga_error error = take_used(trees, number, 1);
    if (error == SAGA_OK) {
        error = read_pages(trees, number, trees->page_bytes, page);
    }
    if (error == SAGA_OK) {
        error = check_header(trees, walk, page, number, leaf);
    }
    if (error != SAGA_OK) {
        return error;
    }
    walk->met.leaf_pages += leaf ? 1 : 0;
    walk->met.branch_pages += leaf ? 0 : 1;
    unsigned count = entry_count(page);
    for (unsigned i = 0; i < count && error == SAGA_OK; i++) {
        struct entry entry = {0};
        error = read_entry(trees, page, i, &entry);
        if (error == SAGA_OK) {
            error = leaf ? check_leaf_entry(trees, walk, &entry)
                         : check_branch_entry(trees, walk, &entry, i, level);
        }
    }
    return error;
}

static bool counts_match(const struct saga_page_tree *a, const struct saga_page_tree *b) {
    return a->branch_pages == b->branch_pages && a->leaf_pages == b->leaf_pages &&
           a->overflow_pages == b->overflow_pages && a->entries == b->entries;
}

static enum saga_error walk_tree(struct trees *trees, const struct saga_page_tree *tree,
                                 const char *name, unsigned base, bool tables) {
    struct walk walk = {
        .tree = tree,
        .name = name,
        .tables = tables,
        .free = tree == &trees->live->free,
        .base = base,
    };
    if ((tree->root == SAGA_PAGE_NONE) != (tree->depth == 0) || tree->depth > DEPTH_MAX) {
        return refuse(trees, tree->root, "%s has no root, or no depth", name);
    }
    enum saga_error error =
        tree->root == SAGA_PAGE_NONE ? SAGA_OK : walk_page(trees, &walk, tree->root, 0);
    if (error == SAGA_OK && !counts_match(tree, &walk.met)) {
        return refuse(trees, tree->root,
                      "%s has %" PRIu64 " entries, and says that it has %" PRIu64
                      "; or its pages are not as many as it says",
                      name, walk.met.entries, tree->entries);
    }
    return error;
}

static enum saga_error walk_all(struct trees *trees) {
    enum saga_error error = walk_tree(trees, &trees->live->main, "the main table", 0, true);
    return error == SAGA_OK
               ? walk_tree(trees, &trees->live->free, "the list of free pages", 0, false)
               : error;
}

enum saga_error saga_trees_map(int fd, const char *path, const struct saga_page_meta *live,
                               uint8_t **held, struct saga_fault *fault) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s", path, strerror(errno));
    }
    uint8_t *used = calloc(1, live->last_page / 8 + 1);
    uint8_t *kept = calloc(1, live->last_page / 8 + 1);
    uint8_t *pages = calloc((size_t)DEPTH_MAX * 2, live->free.page_bytes);
    enum saga_error error;
    if (used != NULL && kept != NULL && pages != NULL) {
        struct trees trees = {.fd = fd,
                              .path = path,
                              .live = live,
                              .page_bytes = live->free.page_bytes,
                              .file_bytes = (uint64_t)status.st_size,
                              .used = used,
                              .held = kept,
                              .pages = pages,
                              .fault = fault};
        error = walk_all(&trees);
    } else {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory to check %.300s.", path);
    }
    free(used);
    free(pages);
    if (error == SAGA_OK) {
        *held = kept;
    } else {
        free(kept);
    }
    return error;
}

enum saga_error saga_trees_check(int fd, const char *path, const struct saga_page_meta *live,
                                 struct saga_fault *fault) {
    uint8_t *held = NULL;
    const enum saga_error error = saga_trees_map(fd, path, live, &held, fault);
    free(held);
    return error;
}
