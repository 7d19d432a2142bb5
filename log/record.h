/*
 * The disk format of one record and of one block of records, and their codec.
 *
 * Hides msgpack, byte order and checksums. This comment is the format: a reader
 * in another language needs it, XXH3-64, and nothing else (log/README.md has
 * one in a dozen lines; the files around it are described there too).
 *
 * Promises:
 *  1. Decoding checks the checksum first and trusts no length: whatever the
 *     bytes, it reads none outside them and allocates nothing.
 *  2. One record has one encoding: equal records give equal bytes.
 *  3. What format 1 wrote is read for ever (tests/golden/format-1).
 *
 * Threads: no state.
 *
 *
 * A block, format 1
 * -----------------
 * A block holds 1 to 65,535 consecutive records of one batch. Numbers are
 * unsigned and big-endian. `size` is the size of the whole block, which
 * whatever stores it knows.
 *
 *    offset      bytes    what
 *    0           8        XXH3-64 of bytes 8 to size, seeded with the first LSN
 *    8           4        "SGBK"
 *    12          2        format: 1
 *    14          2        n: how many records
 *    16          8        LSN of the first record; the others follow without gaps
 *    24          ...      the records, one after the other
 *    size - 2n   2n       n times: the offset in the block at which record i begins
 *
 * Record i ends where record i + 1 begins, the last one where the offsets
 * begin. The first one begins at 24; none is empty. A block of several records
 * is at most 4,064 bytes, so that two bytes hold any offset; only a block of
 * one record may be larger. The offsets stand last so that records can be
 * encoded in place, before it is known how many fit.
 *
 * The key under which a block is stored is its first LSN. The checksum is
 * seeded with it, so a block at another place than its own does not verify.
 * Bytes 0 to 15 mean the same in every format: a reader can verify a block of
 * a newer format, and say so, instead of calling it damaged.
 *
 *
 * A record, format 1
 * ------------------
 * A msgpack map from small integers to values. A field that is 0 (or empty; or
 * `step`, where it is 255) is left out. Keys ascend.
 *
 *    key  field           value
 *    1    fact            uint      see enum saga_fact; always there
 *    2    saga            bin       16 bytes: the saga's UUID
 *    3    previous_lsn    uint      LSN of the same saga's record before this one
 *    4    at_ms           int       the engine's clock, ms since 1970 UTC
 *    5    wall_ms         int       the wall clock, ms since 1970 UTC
 *    6    epoch           uint      32 bits; which start of the daemon wrote it
 *    7    step            uint      8 bits, from 0; left out: no step
 *    8    operation       uint      8 bits, enum saga_operation
 *    9    incarnation     uint      16 bits
 *    10   revision        uint      16 bits
 *    11   attempt         uint      32 bits
 *    12   verdict         uint      8 bits, enum saga_verdict
 *    13   reason          uint      8 bits, enum saga_reason
 *    14   outcome         uint      8 bits, enum saga_outcome
 *    15   verb            uint      8 bits, enum saga_verb
 *    16   definition_lsn  uint      LSN of a DEFINITION_LOADED
 *    17   key             bin       at most 1,024 bytes
 *    18   payload         bin       at most 4 MiB
 *    19   content         bin       at most 4 MiB
 *    20   through_lsn     uint      LSN up to which an OUTCOMES_TOLD or HISTORY_PURGED speaks
 *
 * A record's own LSN is not in it: first LSN of its block + its index.
 *
 * The writer takes 3, 16 and 20 as uint 64 and 4 and 5 as int 64, always (nine
 * bytes: no branch on the hot path), every other number in its shortest form.
 * A reader takes any msgpack integer of any width whose value fits. It skips
 * keys that it does not know, whatever their value. It refuses: keys that do
 * not ascend, a value of another type or out of range, bytes after the map,
 * a record without a fact.
 *
 *
 * How to change the format
 * ------------------------
 *  1. A new field that an old reader may ignore takes the next free key. The
 *     format stays. Never use a key twice, not even of a field that is gone.
 *  2. Any other change (another meaning, a field that must not be ignored,
 *     another layout) takes the next format number: raise SAGA_RECORD_FORMAT.
 *     Keep reading every older one: a log holds blocks of all the formats it
 *     has seen. Old versions then refuse the log, naming both numbers.
 *  3. Write tests/golden/format-N: its blocks with `record_golden_test
 *     --write-golden DIRECTORY`, its log with `ledger_dump DIRECTORY 60` (log.id
 *     and data.mdb of it). Leave the older folders as they are: the tests read
 *     all of them.
 *  4. Change this comment and log/README.md in the same commit.
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
#define SAGA_KEY_BYTES_MAX     1024

enum saga_record_error {
    SAGA_RECORD_OK = 0,
    SAGA_RECORD_TRUNCATED,    /* the bytes end inside the record or block */
    SAGA_RECORD_CHECKSUM,     /* the block's checksum does not match */
    SAGA_RECORD_FORMAT_NEWER, /* written by a newer version */
    SAGA_RECORD_MALFORMED,    /* well summed, yet not a record of this format */
};
/* What is wrong, to follow "block 17: ". */
const char *saga_record_error_text(enum saga_record_error error);

/* The most bytes that `record` can take. */
size_t saga_record_size_max(const struct saga_record *record);

/* Writes `record`, all of it but its lsn, to `bytes` (room for
 * saga_record_size_max()); returns its size. Asserts that it has a fact, that
 * `reserved` is 0, and that key and payload are within their limits. */
size_t saga_record_encode(const struct saga_record *record, void *bytes);

/* Reads one record of exactly `size` bytes; its lsn is left 0. key and payload
 * point into `bytes`. Hostile bytes are refused, never trusted for a length. */
SAGA_CHECKED enum saga_record_error saga_record_decode(const void *bytes, size_t size,
                                                       struct saga_record *record);

/* ------------------------------------------------------------------ blocks */

/* Bytes of a block before its records, and behind them for each. */
#define SAGA_BLOCK_HEADER_BYTES 24
#define SAGA_BLOCK_OFFSET_BYTES 2
/* No record is smaller than a map of one fact: 3 bytes. */
#define SAGA_BLOCK_RECORDS_MAX                                                                     \
    ((SAGA_BLOCK_BYTES - SAGA_BLOCK_HEADER_BYTES) / (3 + SAGA_BLOCK_OFFSET_BYTES))

/* A block being written: consecutive records, from first_lsn on. Fields are
 * for reading. */
struct saga_block_writer {
    uint8_t *bytes; /* the caller's */
    size_t used;    /* header and records */
    uint64_t first_lsn;
    uint32_t record_count;
    uint16_t offsets[SAGA_BLOCK_RECORDS_MAX];
};

/* Begins a block at `bytes`, which stay the caller's and may move as long as
 * writer->bytes follows. */
void saga_block_begin(struct saga_block_writer *writer, uint64_t first_lsn, void *bytes);

/* The most bytes of the caller's memory, from the block's beginning on, that
 * saga_block_add(record) and the commit after it can touch. */
size_t saga_block_room(const struct saga_block_writer *writer, const struct saga_record *record);

/* Adds `record`. False: the block is full, and as it was; commit it and begin
 * another. A block takes at least one record, however large. */
SAGA_CHECKED bool saga_block_add(struct saga_block_writer *writer,
                                 const struct saga_record *record);

/* Writes offsets, header and checksum of a block that has records; returns its
 * size. */
size_t saga_block_commit(struct saga_block_writer *writer);

/* Record `index` of a block that is still being written; key and payload
 * point into it. */
void saga_block_peek(const struct saga_block_writer *writer, uint32_t index,
                     struct saga_record *record);

/* A block being read. Points into the caller's bytes. */
struct saga_block {
    const uint8_t *bytes;
    size_t size;
    uint64_t first_lsn;
    uint32_t record_count;
};

/* Checks header, offsets and checksum (seeded with `first_lsn`, so that a
 * block copied to another key is refused). On an error `block` is not set. */
SAGA_CHECKED enum saga_record_error saga_block_open(struct saga_block *block, uint64_t first_lsn,
                                                    const void *bytes, size_t size);

/* Record `index` (< record_count) of an opened block, with its lsn. */
SAGA_CHECKED enum saga_record_error saga_block_record(const struct saga_block *block,
                                                      uint32_t index, struct saga_record *record);

#endif
