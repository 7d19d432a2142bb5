/*
 * A batch: the records that are to be committed together, packed in blocks.
 *
 * Hides how memory grows and where a block ends. No block has records of two
 * batches, so any border between batches is a border between blocks.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_BATCH_H
#define SAGA_BATCH_H

#include "record.h"

struct saga_batch {
    uint8_t *bytes; /* owned; blocks one after the other, then the open one */
    size_t capacity;
    size_t used;               /* of the closed blocks */
    struct saga_block *blocks; /* owned; the closed ones, pointing into bytes */
    uint32_t block_count;
    uint32_t block_capacity;
    struct saga_block_writer writer; /* the open one; no records: there is none */
    uint32_t record_count;           /* of all blocks */
    uint64_t first_lsn;              /* of the first record */
};

/* False: no memory. */
SAGA_CHECKED bool saga_batch_init(struct saga_batch *batch);
void saga_batch_fini(struct saga_batch *batch);

/* Copies `record` in; its lsn follows the one before. False: no memory; the
 * batch is as it was. */
SAGA_CHECKED bool saga_batch_add(struct saga_batch *batch, const struct saga_record *record);

/* Reads record `lsn`, which must be in the batch; key and payload are valid
 * until the next add, close or clear. */
void saga_batch_read(const struct saga_batch *batch, uint64_t lsn, struct saga_record *record);

/* Bytes that the records take so far. */
size_t saga_batch_bytes(const struct saga_batch *batch);

/* Closes the open block, so that blocks[] is all there is. False: no memory;
 * the batch is as it was. */
SAGA_CHECKED bool saga_batch_close(struct saga_batch *batch);

/* Empties it; gives memory back that only an unusual batch needs. */
void saga_batch_clear(struct saga_batch *batch);

#endif
