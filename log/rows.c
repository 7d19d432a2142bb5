#include "rows.h"

#include "bigendian.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BYTES_INITIAL   ((size_t)64 << 10)
#define BYTES_KEPT      ((size_t)4 << 20)
#define CHANGES_INITIAL 256

static uint64_t checksum_of(enum saga_log_table table, struct saga_bytes key, const void *value,
                            size_t size) {
    const uint64_t place = XXH3_64bits_withSeed(key.data, key.size, (uint64_t)table);
    return XXH3_64bits_withSeed(value, size, place);
}

bool saga_row_open(enum saga_log_table table, struct saga_bytes key, struct saga_bytes stored,
                   struct saga_bytes *value) {
    if (stored.size < SAGA_ROW_CHECKSUM_BYTES) {
        return false;
    }
    const uint8_t *bytes = stored.data;
    const struct saga_bytes body = {.data = bytes + SAGA_ROW_CHECKSUM_BYTES,
                                    .size = stored.size - SAGA_ROW_CHECKSUM_BYTES};
    if (saga_get64(bytes) != checksum_of(table, key, body.data, body.size)) {
        return false;
    }
    *value = body;
    return true;
}

void saga_rows_fini(struct saga_rows *rows) {
    free(rows->bytes);
    free(rows->changes);
    *rows = (struct saga_rows){0};
}

/* Room for `size` more bytes and one more change. */
static bool reserve(struct saga_rows *rows, size_t size) {
    size_t capacity = rows->capacity == 0 ? BYTES_INITIAL : rows->capacity;
    while (capacity - rows->used < size) {
        capacity *= 2;
    }
    if (capacity != rows->capacity) {
        uint8_t *bytes = realloc(rows->bytes, capacity);
        if (bytes == NULL) {
            return false;
        }
        rows->bytes = bytes;
        rows->capacity = capacity;
    }
    if (rows->count == rows->room) {
        const uint32_t room = rows->room == 0 ? CHANGES_INITIAL : rows->room * 2;
        struct saga_row_change *changes = realloc(rows->changes, room * sizeof *changes);
        if (changes == NULL) {
            return false;
        }
        rows->changes = changes;
        rows->room = room;
    }
    return true;
}

static void copy(struct saga_rows *rows, const void *bytes, size_t size) {
    if (size > 0) {
        memcpy(rows->bytes + rows->used, bytes, size);
        rows->used += size;
    }
}

bool saga_rows_put(struct saga_rows *rows, enum saga_log_table table, struct saga_bytes key,
                   struct saga_bytes value) {
    assert(key.size > 0 && key.size <= SAGA_ROW_KEY_BYTES_MAX);
    assert(value.size <= SAGA_ROW_VALUE_BYTES_MAX);
    if (!reserve(rows, key.size + SAGA_ROW_CHECKSUM_BYTES + (size_t)value.size)) {
        return false;
    }
    rows->changes[rows->count++] = (struct saga_row_change){
        .table = (uint8_t)table,
        .key.size = key.size,
        .value.size = value.size + SAGA_ROW_CHECKSUM_BYTES,
    };
    copy(rows, key.data, key.size);
    saga_put64(rows->bytes + rows->used, checksum_of(table, key, value.data, value.size));
    rows->used += SAGA_ROW_CHECKSUM_BYTES;
    copy(rows, value.data, value.size);
    return true;
}

bool saga_rows_remove(struct saga_rows *rows, enum saga_log_table table, struct saga_bytes key) {
    assert(key.size > 0 && key.size <= SAGA_ROW_KEY_BYTES_MAX);
    if (!reserve(rows, key.size)) {
        return false;
    }
    rows->changes[rows->count++] =
        (struct saga_row_change){.table = (uint8_t)table, .removes = true, .key.size = key.size};
    copy(rows, key.data, key.size);
    return true;
}

void saga_rows_close(struct saga_rows *rows) {
    const uint8_t *at = rows->bytes;
    for (uint32_t i = 0; i < rows->count; i++) {
        struct saga_row_change *change = &rows->changes[i];
        change->key.data = at;
        at += change->key.size;
        change->value.data = at;
        at += change->value.size;
    }
    assert(at == rows->bytes + rows->used);
}

void saga_rows_clear(struct saga_rows *rows) {
    rows->used = 0;
    rows->count = 0;
    if (rows->capacity > BYTES_KEPT) {
        saga_rows_fini(rows);
    }
}
