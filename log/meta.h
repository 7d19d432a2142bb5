/*
 * The meta row: what the log says of itself, beside its records.
 *
 * Hides the row's layout. LMDB has no checksums and can lose a subtree without
 * a word; last LSN and counts, written in the transaction of the records, are
 * what such a loss is noticed by. Every transaction writes the row, so that a
 * page which is older than its file is noticed too.
 *
 * The row stands in LMDB's main table under the key "meta". Numbers are
 * unsigned and big-endian:
 *
 *    offset      bytes    what
 *    0           8        XXH3-64 of all that follows, seeded with 0
 *    8           4        "SGMT"
 *    12          2        format: the newest that any block of the log has
 *    14          2        0
 *    16          16       the log's identity, as in log.id
 *    32          8        base: the LSN from which on the log has every record
 *    40          8        last LSN; base - 1: no records
 *    48          8        number of records: last - base + 1
 *    56          8        number of blocks
 *    64          4        epoch of the last record
 *    68          4        0
 *    72          8        LMDB's number of the transaction that wrote the row
 *    80          8        checkpoint: the tables are as of this LSN, or later; 0: there is none
 *    88          4        epoch of that record
 *    92          4        0
 *    96          8        when that epoch began, in ms since 1970 UTC (signed)
 *    104         8        the record's own time, likewise
 *
 * A reader takes a longer row and ignores what it does not know; the first 16
 * bytes mean the same in every format.
 *
 * Threads: no state.
 */
#ifndef SAGA_META_H
#define SAGA_META_H

#include "log.h"
#include "record.h"

#define SAGA_META_BYTES 112

struct saga_meta {
    uint16_t format;
    uint8_t identity[16];
    uint64_t base_lsn;
    uint64_t last_lsn;
    uint64_t record_count;
    uint64_t block_count;
    uint32_t epoch;
    uint64_t transaction; /* filled in by the store */
    struct saga_checkpoint checkpoint;
};

void saga_meta_encode(const struct saga_meta *meta, uint8_t bytes[SAGA_META_BYTES]);

/* Fills `meta`; FORMAT_NEWER fills its format alone. MALFORMED also where the
 * numbers contradict each other. */
SAGA_CHECKED enum saga_record_error saga_meta_decode(struct saga_meta *meta, const void *bytes,
                                                     size_t size);

#endif
