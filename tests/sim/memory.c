#include "memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(address, size)   __asan_poison_memory_region((address), (size))
#define UNPOISON(address, size) __asan_unpoison_memory_region((address), (size))
#define ZONE_BYTES              16
#else
#define POISON(address, size)   ((void)(address), (void)(size))
#define UNPOISON(address, size) ((void)(address), (void)(size))
#define ZONE_BYTES              0
#endif

#define REGION_BYTES ((size_t)256 << 20)
#define HEADER_BYTES 16
#define SMALL_MAX    1024
#define CLASS_COUNT  (SMALL_MAX / 16 + 32)
#define MAPPINGS_MAX 8

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);

struct header {
    size_t size; /* as asked for */
    unsigned size_class;
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header's room");

struct free_chunk {
    struct free_chunk *next;
};

static uint8_t *region;
static size_t used;
static size_t live;
static struct free_chunk *lists[CLASS_COUNT];
static int depth;
static struct {
    void *address;
    size_t size;
} mappings[MAPPINGS_MAX];
static size_t mapping_count;

void sim_memory_enter(void) {
    depth++;
}

void sim_memory_leave(void) {
    assert(depth > 0);
    depth--;
}

int sim_memory_suspend(void) {
    int before = depth;
    depth = 0;
    return before;
}

void sim_memory_resume(int before) {
    depth = before;
}

size_t sim_memory_live(void) {
    return live + mapping_count;
}

void sim_memory_drop(void) {
    depth = 0;
    if (region != NULL) {
        POISON(region, used);
    }
    used = 0;
    live = 0;
    memset(lists, 0, sizeof lists);
    while (mapping_count > 0) {
        mapping_count--;
        int status = __real_munmap(mappings[mapping_count].address, mappings[mapping_count].size);
        assert(status == 0);
    }
}

/* Small sizes by 16, larger ones by powers of two. */
static unsigned class_of(size_t size, size_t *room) {
    if (size <= SMALL_MAX) {
        unsigned number = (unsigned)((size + 15) / 16);
        *room = (size_t)number * 16;
        return number;
    }
    unsigned number = SMALL_MAX / 16;
    size_t larger = SMALL_MAX;
    while (larger < size) {
        larger *= 2;
        number++;
    }
    *room = larger;
    return number;
}

static struct header *header_of(void *memory) {
    return (struct header *)(void *)((uint8_t *)memory - HEADER_BYTES);
}

static void *take(size_t size) {
    size_t room;
    unsigned number = class_of(size == 0 ? 1 : size, &room);
    assert(number < CLASS_COUNT);
    uint8_t *memory;
    if (lists[number] != NULL) {
        memory = (uint8_t *)lists[number];
        UNPOISON(memory, sizeof(struct free_chunk));
        lists[number] = lists[number]->next;
        POISON(memory, sizeof(struct free_chunk));
        UNPOISON(memory - HEADER_BYTES, HEADER_BYTES);
    } else {
        if (region == NULL) {
            region = __real_mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            assert(region != MAP_FAILED);
        }
        assert(used + HEADER_BYTES + room + ZONE_BYTES <= REGION_BYTES);
        memory = region + used + HEADER_BYTES;
        used += HEADER_BYTES + room + ZONE_BYTES;
        POISON(memory, room + ZONE_BYTES);
        UNPOISON(memory - HEADER_BYTES, HEADER_BYTES);
    }
    live++;
    *header_of(memory) = (struct header){.size = size, .size_class = number};
    POISON(header_of(memory), HEADER_BYTES);
    UNPOISON(memory, size);
    return memory;
}

static struct header look(void *memory) {
    UNPOISON(header_of(memory), HEADER_BYTES);
    struct header header = *header_of(memory);
    POISON(header_of(memory), HEADER_BYTES);
    return header;
}

static void give(void *memory) {
    struct header header = look(memory);
    struct free_chunk *chunk = memory;
    live--;
    UNPOISON(memory, sizeof *chunk);
    chunk->next = lists[header.size_class];
    lists[header.size_class] = chunk;
    POISON(memory, header.size > sizeof *chunk ? header.size : sizeof *chunk);
}

static int is_ours(const void *memory) {
    const uint8_t *at = memory;
    return region != NULL && at >= region && at < region + REGION_BYTES;
}

void *__wrap_malloc(size_t size) {
    return depth > 0 ? take(size) : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    size_t bytes;
    if (depth == 0 || __builtin_mul_overflow(count, size, &bytes)) {
        return __real_calloc(count, size);
    }
    return memset(take(bytes), 0, bytes);
}

void __wrap_free(void *memory) {
    if (memory != NULL && is_ours(memory)) {
        give(memory);
    } else {
        __real_free(memory);
    }
}

void *__wrap_realloc(void *old, size_t size) {
    if (old == NULL) {
        return __wrap_malloc(size);
    }
    if (!is_ours(old)) {
        return __real_realloc(old, size);
    }
    size_t before = look(old).size;
    void *made = take(size);
    memcpy(made, old, before < size ? before : size);
    give(old);
    return made;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : __wrap_realloc(old, bytes);
}

char *__wrap_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    void *made = __real_mmap(address, size, protection, flags, fd, offset);
    if (depth > 0 && made != MAP_FAILED) {
        assert(mapping_count < MAPPINGS_MAX);
        mappings[mapping_count].address = made;
        mappings[mapping_count++].size = size;
    }
    return made;
}

int __wrap_munmap(void *address, size_t size) {
    for (size_t i = 0; i < mapping_count; i++) {
        if (mappings[i].address == address) {
            mappings[i] = mappings[--mapping_count];
            break;
        }
    }
    return __real_munmap(address, size);
}
