/*
 * What the rows of the tables say: the disk format of a checkpoint, and its codec.
 *
 * A row's checksum is not of its concern (rows.h). Numbers are big-endian, so that keys
 * stand in the order of what they mean; unsigned where nothing else is said. Times are
 * the engine's, in ms since 1970 UTC.
 *
 *
 * Table `open`: a saga that has not ended, as of a record of its own
 * ------------------------------------------------------------------
 * key: the saga's UUID, 16 bytes.
 *
 *    offset      bytes    what
 *    0           1        format of the row: 1
 *    1           1        bit 0: out of service (quarantined); no state follows
 *                         bit 1: its SAGA_STARTED names who is to be told of its end
 *    2           1        n: how many steps; 0 where no state follows
 *    3           1        c: its data has 2^(c div 8) * (1 + (c mod 8) / 8) bytes at the most
 *                         (for reckoning what it may need); 0: not said
 *    4           4        epoch that is folded into the state
 *    8           8        LSN of its SAGA_STARTED
 *    16          8        LSN of its latest record; the state is as of it
 *    24          8        LSN of its definition
 *    32          8        when it was started (signed)
 *    40          8        its deadline (signed); 2^63 - 1: none
 *    48          1        direction, enum saga_direction
 *    49          1        why it is parked, enum saga_reason; 0: it is not
 *    50          1        why it is to go backward once it can; 0: nobody wants it
 *    51          1        why it goes backward; 0: it does not
 *    52          1        1: the pivot is passed
 *    53          1        steps that have started
 *    54          1        the step that it is parked about; 255: none
 *    55          1        0
 *    56          40 n     the steps:
 *        0       1        phase, enum saga_phase
 *        1       1        operation of the driven command; 0: none yet
 *        2       1        the how-manieth step to start, from 1; 0: not started
 *        3       1        attempts that cost budget
 *        4       2        incarnation
 *        6       2        revision of the driven command
 *        8       4        flags, SAGA_STEP_OPEN and the following
 *        12      4        attempt of the driven command
 *        16      8        the open attempt is not sent before this (signed)
 *        24      8        deadline of the driven command (signed); 2^63 - 1: none
 *        32      8        LSN of the driven command
 *
 *
 * Table `done`: a saga that has ended
 * -----------------------------------
 * key: 1 byte outcome, enum saga_outcome; the saga's UUID, 16 bytes.
 *
 *    0           1        format of the row: 1
 *    1           7        0
 *    8           8        LSN of its SAGA_STARTED
 *    16          8        LSN of its latest record
 *    24          8        LSN of its definition
 *    32          8        when it ended (signed)
 *
 *
 * Table `definitions`: a definition that sagas were started by
 * ------------------------------------------------------------
 * key: 8 bytes, LSN of its DEFINITION_LOADED. Value: that record, as record.h encodes it.
 *
 *
 * Table `kept`: a record of a saga that outlives its block
 * --------------------------------------------------------
 * key: the saga's UUID, 16 bytes; LSN of the record, 8 bytes. Value: that record, as record.h
 * encodes it. Who wants the record looks here if its LSN is before the log's base, and nowhere
 * else; until then the row says nothing new.
 *
 *
 * Table `owed`: a saga that has ended, of which somebody is still to be told
 * --------------------------------------------------------------------------
 * key: 8 bytes, LSN of its SAGA_ENDED.
 *
 *    0           1        format of the row: 1
 *    1           7        0
 *    8           8        LSN of its SAGA_STARTED, which names who
 *    16          16       the saga's UUID
 *
 *
 * A row of a newer format is refused, naming both. Bytes that are 0 here are written so
 * and not looked at.
 *
 * Threads: no state.
 */
#ifndef SAGA_TABLES_H
#define SAGA_TABLES_H

#include "log.h"
#include "record.h"

#define SAGA_TABLES_FORMAT 1

#define SAGA_OPEN_KEY_BYTES       16
#define SAGA_OPEN_VALUE_BYTES_MAX (56 + 40 * SAGA_STEPS_MAX)
_Static_assert(SAGA_OPEN_VALUE_BYTES_MAX <= SAGA_ROW_PAGE_BYTES, "a row takes a page at most");

/* A row of `open`. */
struct saga_open_row {
    struct saga_id id;
    uint64_t started_lsn;
    uint64_t last_lsn;
    uint64_t definition_lsn;
    uint32_t body_bytes; /* its data, at the most: what is read is up to an eighth more than what
                            was written; 0: not said */
    bool quarantined;
    bool asked; /* somebody is to be told of its end */
};

/* Writes the row of a saga, with its state: `row` has what the state has not. `state` may
 * be NULL where the saga is out of service. Returns the value's size. */
size_t saga_open_row_encode(const struct saga_open_row *row, const struct saga *state,
                            uint8_t key[SAGA_OPEN_KEY_BYTES],
                            uint8_t value[SAGA_OPEN_VALUE_BYTES_MAX]);

/* Reads a row, and its state, if it has one, to `state`: zeroed memory of
 * saga_size(SAGA_STEPS_MAX). The state's numbers are as they stand there: whether they make a saga
 * is for saga_is_sound() to say. Errors: TRUNCATED, MALFORMED, FORMAT_NEWER. */
SAGA_CHECKED enum saga_record_error saga_open_row_decode(struct saga_open_row *row,
                                                         struct saga *state, struct saga_bytes key,
                                                         struct saga_bytes value);

#define SAGA_DONE_KEY_BYTES   17
#define SAGA_DONE_VALUE_BYTES 40

/* A row of `done`. */
struct saga_done_row {
    uint8_t outcome; /* enum saga_outcome */
    struct saga_id id;
    uint64_t started_lsn;
    uint64_t last_lsn;
    uint64_t definition_lsn;
    int64_t ended_ms;
};

/* The key alone, to find a row by. */
void saga_done_key(uint8_t outcome, const struct saga_id *id, uint8_t key[SAGA_DONE_KEY_BYTES]);

void saga_done_row_encode(const struct saga_done_row *row, uint8_t key[SAGA_DONE_KEY_BYTES],
                          uint8_t value[SAGA_DONE_VALUE_BYTES]);

/* Errors: TRUNCATED, MALFORMED, FORMAT_NEWER. */
SAGA_CHECKED enum saga_record_error
saga_done_row_decode(struct saga_done_row *row, struct saga_bytes key, struct saga_bytes value);

#define SAGA_DEFINITION_KEY_BYTES 8

/* The key of a definition's row. */
void saga_definition_key(uint64_t lsn, uint8_t key[SAGA_DEFINITION_KEY_BYTES]);

/* Reads the record of a row, which points into `value`. Errors: TRUNCATED, MALFORMED (also where it
 * is no definition). */
SAGA_CHECKED enum saga_record_error saga_definition_row_decode(struct saga_record *record,
                                                               struct saga_bytes key,
                                                               struct saga_bytes value);

#define SAGA_KEPT_KEY_BYTES 24
_Static_assert(SAGA_ROW_VALUE_BYTES_MAX >= 2 * SAGA_PAYLOAD_BYTES_MAX + SAGA_KEY_BYTES_MAX + 256,
               "any record can be kept");

/* The key of a kept record. With LSN 0 it is before all those of the saga. */
void saga_kept_key(const struct saga_id *saga, uint64_t lsn, uint8_t key[SAGA_KEPT_KEY_BYTES]);

/* Reads the record of a row, which points into `value`. Errors: TRUNCATED, MALFORMED (also where it
 * is of another saga than its key says). */
SAGA_CHECKED enum saga_record_error
saga_kept_row_decode(struct saga_record *record, struct saga_bytes key, struct saga_bytes value);

#define SAGA_OWED_KEY_BYTES   8
#define SAGA_OWED_VALUE_BYTES 32

/* A row of `owed`. */
struct saga_owed_row {
    uint64_t ended_lsn;
    uint64_t started_lsn;
    struct saga_id id;
};

void saga_owed_row_encode(const struct saga_owed_row *row, uint8_t key[SAGA_OWED_KEY_BYTES],
                          uint8_t value[SAGA_OWED_VALUE_BYTES]);

/* Errors: TRUNCATED, MALFORMED, FORMAT_NEWER. */
SAGA_CHECKED enum saga_record_error
saga_owed_row_decode(struct saga_owed_row *row, struct saga_bytes key, struct saga_bytes value);

#endif
