#include "batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* 10,000 records of 200 bytes fit twice. Not touched, it costs nothing. */
#define BYTES_INITIAL  ((size_t)4 << 20)
#define BYTES_KEPT     ((size_t)16 << 20)
#define BLOCKS_INITIAL 1024

bool saga_batch_init(struct saga_batch *batch) {
    *batch = (struct saga_batch){
        .bytes = malloc(BYTES_INITIAL),
        .capacity = BYTES_INITIAL,
        .blocks = malloc(BLOCKS_INITIAL * sizeof *batch->blocks),
        .block_capacity = BLOCKS_INITIAL,
    };
    if (batch->bytes == NULL || batch->blocks == NULL) {
        saga_batch_fini(batch);
        return false;
    }
    return true;
}

void saga_batch_fini(struct saga_batch *batch) {
    free(batch->bytes);
    free(batch->blocks);
    batch->bytes = NULL;
    batch->blocks = NULL;
}

/* Moves the bytes; blocks and writer point into them. */
static bool resize(struct saga_batch *batch, size_t capacity) {
    uint8_t *bytes = realloc(batch->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < batch->block_count; i++) {
        batch->blocks[i].bytes = bytes + at;
        at += batch->blocks[i].size;
    }
    assert(at == batch->used);
    batch->bytes = bytes;
    batch->writer.bytes = bytes + at;
    batch->capacity = capacity;
    return true;
}

/* Makes room for `size` bytes behind the closed blocks. */
static bool reserve(struct saga_batch *batch, size_t size) {
    size_t capacity = batch->capacity;
    while (capacity - batch->used < size) {
        capacity *= 2;
    }
    return capacity == batch->capacity || resize(batch, capacity);
}

bool saga_batch_close(struct saga_batch *batch) {
    if (batch->writer.record_count == 0) {
        return true;
    }
    if (batch->block_count == batch->block_capacity) {
        uint32_t capacity = batch->block_capacity * 2;
        struct saga_block *blocks = realloc(batch->blocks, capacity * sizeof *blocks);
        if (blocks == NULL) {
            return false;
        }
        batch->blocks = blocks;
        batch->block_capacity = capacity;
    }
    struct saga_block_writer *writer = &batch->writer;
    size_t size = saga_block_commit(writer);
    batch->blocks[batch->block_count++] =
        (struct saga_block){writer->bytes, size, writer->first_lsn, writer->record_count};
    batch->used += size;
    writer->record_count = 0;
    return true;
}

static bool begin_block(struct saga_batch *batch, const struct saga_record *record) {
    saga_block_begin(&batch->writer, record->lsn, batch->bytes + batch->used);
    return reserve(batch, saga_block_room(&batch->writer, record));
}

bool saga_batch_add(struct saga_batch *batch, const struct saga_record *record) {
    struct saga_block_writer *writer = &batch->writer;
    if (writer->record_count > 0) {
        if (!reserve(batch, saga_block_room(writer, record))) {
            return false;
        }
        if (saga_block_add(writer, record)) {
            batch->record_count++;
            return true;
        }
        if (!saga_batch_close(batch)) {
            return false;
        }
    }
    if (!begin_block(batch, record)) {
        return false;
    }
    bool added = saga_block_add(writer, record);
    assert(added); /* an empty block takes any record */
    (void)added;
    if (batch->record_count++ == 0) {
        batch->first_lsn = record->lsn;
    }
    return true;
}

/* The last closed block that begins at or before `lsn`. */
static const struct saga_block *find_block(const struct saga_batch *batch, uint64_t lsn) {
    uint32_t low = 0;
    uint32_t high = batch->block_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (batch->blocks[middle].first_lsn <= lsn) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &batch->blocks[low];
}

void saga_batch_read(const struct saga_batch *batch, uint64_t lsn, struct saga_record *record) {
    assert(lsn >= batch->first_lsn && lsn - batch->first_lsn < batch->record_count);
    const struct saga_block_writer *writer = &batch->writer;
    if (writer->record_count > 0 && lsn >= writer->first_lsn) {
        saga_block_peek(writer, (uint32_t)(lsn - writer->first_lsn), record);
        return;
    }
    const struct saga_block *block = find_block(batch, lsn);
    enum saga_record_error error =
        saga_block_record(block, (uint32_t)(lsn - block->first_lsn), record);
    assert(error == SAGA_RECORD_OK); /* it was encoded by us, in our memory */
    (void)error;
}

size_t saga_batch_bytes(const struct saga_batch *batch) {
    return batch->used + (batch->writer.record_count > 0 ? batch->writer.used : 0);
}

void saga_batch_clear(struct saga_batch *batch) {
    batch->used = 0;
    batch->block_count = 0;
    batch->record_count = 0;
    batch->writer.record_count = 0;
    if (batch->capacity > BYTES_KEPT) {
        /* Where it cannot be made smaller it stays as it is. */
        (void)resize(batch, BYTES_INITIAL);
    }
}
