/*
 * The disk format of one record and of one block of records.
 *
 * (the format's description stands here; see the end of this comment for how
 * to change it)
 */
#ifndef SAGA_RECORD_H
#define SAGA_RECORD_H

#include "saga.h"

/* Format of the blocks that this version writes, and the newest it reads. */
#define SAGA_RECORD_FORMAT 1

/* A block fits one page of LMDB (4,096 less its own header), unless a single
 * record is larger than that. */
#define SAGA_BLOCK_BYTES 4064
/* The largest payload of a record. */
#define SAGA_PAYLOAD_BYTES_MAX (4u << 20)
#define SAGA_KEY_BYTES_MAX 1024

enum saga_record_error {
    SAGA_RECORD_OK = 0,
    SAGA_RECORD_TRUNCATED,  /* the bytes end inside the record or block */
    SAGA_RECORD_CHECKSUM,   /* the block's checksum does not match */
    SAGA_RECORD_FORMAT_NEWER, /* written by a newer version */
    SAGA_RECORD_MALFORMED,  /* well summed, yet not a record of this format */
};
const char *saga_record_error_text(enum saga_record_error error);

/* The most bytes that `record` can take. */
size_t saga_record_size_max(const struct saga_record *record);

/* Writes `record` to `bytes` (room for saga_record_size_max()); returns its
 * size. */
size_t saga_record_encode(const struct saga_record *record, void *bytes);

/* Reads one record of exactly `size` bytes. key and payload point into
 * `bytes`. Hostile bytes are refused, never trusted for a length. */
SAGA_CHECKED enum saga_record_error saga_record_decode(const void *bytes, size_t size,
                                                       struct saga_record *record);

/* ------------------------------------------------------------------ blocks */

/* A block being written: consecutive records, from first_lsn on. */
struct saga_block_writer;

/* A block being read. Points into the caller's bytes. */
struct saga_block {
    const uint8_t *bytes;
    size_t size;
    uint64_t first_lsn;
    uint32_t record_count;
};

/* Checks header, offset table and checksum (seeded with `first_lsn`, so that a
 * block copied to another key is refused). */
SAGA_CHECKED enum saga_record_error saga_block_open(struct saga_block *block, uint64_t first_lsn,
                                                    const void *bytes, size_t size);

/* Record `index` (< record_count) of an opened block. */
SAGA_CHECKED enum saga_record_error saga_block_record(const struct saga_block *block,
                                                      uint32_t index, struct saga_record *record);

#endif
