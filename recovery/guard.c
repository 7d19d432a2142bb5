#include "guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6472617567616773) /* "sgaguard" */

/* The file. A damaged one is begun anew: it holds counts, no truth. */
struct page {
    uint64_t magic;
    struct saga_id current; /* zero: none */
    uint32_t count;
    uint32_t reserved;
    struct {
        struct saga_id id;
        uint32_t deaths;
    } suspects[SAGA_GUARD_SAGAS_MAX];
};

struct saga_guard {
    volatile struct page *shared; /* each store has to be there when the process dies at the next */
    struct page start;            /* as of the opening */
};

static bool same(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static void count_death(struct page *page) {
    const struct saga_id none = {{0}};
    if (same(&page->current, &none)) {
        return;
    }
    for (uint32_t i = 0; i < page->count; i++) {
        if (same(&page->suspects[i].id, &page->current)) {
            page->suspects[i].deaths++;
            return;
        }
    }
    uint32_t place = page->count < SAGA_GUARD_SAGAS_MAX ? page->count++ : SAGA_GUARD_SAGAS_MAX - 1;
    page->suspects[place].id = page->current;
    page->suspects[place].deaths = 1;
}

static enum saga_error failed(struct saga_fault *fault, const char *what, const char *path) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED,
                          "cannot %s %s: %s. It counts which saga brought recovery down; "
                          "make the directory writable for the daemon.",
                          what, path, strerror(errno));
}

static enum saga_error map(struct saga_guard *guard, const char *path, struct saga_fault *fault) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        return failed(fault, "open", path);
    }
    if (ftruncate(fd, (off_t)sizeof(struct page)) != 0) {
        enum saga_error error = failed(fault, "size", path);
        close(fd);
        return error;
    }
    void *memory = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        return failed(fault, "map", path);
    }
    guard->shared = memory;
    return SAGA_OK;
}

enum saga_error saga_guard_open(struct saga_guard **guard, const char *path,
                                struct saga_fault *fault) {
    struct saga_guard *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the recovery guard");
    }
    enum saga_error error = map(made, path, fault);
    if (error != SAGA_OK) {
        free(made);
        return error;
    }
    assert(made->shared != NULL);
    made->start = *made->shared;
    if (made->start.magic != MAGIC || made->start.count > SAGA_GUARD_SAGAS_MAX) {
        memset(&made->start, 0, sizeof made->start);
        made->start.magic = MAGIC;
    }
    count_death(&made->start);
    memset(&made->start.current, 0, sizeof made->start.current);
    *made->shared = made->start;
    *guard = made;
    return SAGA_OK;
}

/* Who was replayed well this time is not suspect any more; who was left out
 * stays left out, or recovery would die of it three times again. */
static void forgive(struct page *page) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < page->count; i++) {
        if (page->suspects[i].deaths >= SAGA_GUARD_DEATHS_MAX) {
            page->suspects[kept++] = page->suspects[i];
        }
    }
    page->count = kept;
}

void saga_guard_close(struct saga_guard *guard) {
    forgive(&guard->start);
    *guard->shared = guard->start;
    munmap((void *)(uintptr_t)guard->shared, sizeof(struct page));
    free(guard);
}

void saga_guard_note(struct saga_guard *guard, const struct saga_id *id) {
    guard->shared->current = *id;
}

bool saga_guard_suspects(const struct saga_guard *guard, const struct saga_id *id) {
    for (uint32_t i = 0; i < guard->start.count; i++) {
        if (same(&guard->start.suspects[i].id, id)) {
            return guard->start.suspects[i].deaths >= SAGA_GUARD_DEATHS_MAX;
        }
    }
    return false;
}
