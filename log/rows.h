/*
 * Rows: what the log keeps in tables beside its records, and the ones that the
 * next commit changes.
 *
 * Hides the checksum that each value carries on disk: LMDB has none.
 *
 * A row on disk: the key as it is; the value is 8 bytes of XXH3-64, big-endian, then what
 * was put. The checksum is of what was put, seeded with the XXH3-64 of the key, and that with the
 * number of the table: a row in another place than its own does not verify.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_ROWS_H
#define SAGA_ROWS_H

#include "log.h"

#define SAGA_ROW_CHECKSUM_BYTES 8

/* One row that is to be written, or to go. */
struct saga_row_change {
    uint8_t table; /* enum saga_log_table */
    bool removes;
    struct saga_bytes key;
    struct saga_bytes value; /* as on disk; of a removal: nothing */
};

/* The rows of one batch, in the order of their changes. */
struct saga_rows {
    uint8_t *bytes; /* owned; keys and values */
    size_t used;
    size_t capacity;
    struct saga_row_change *changes; /* owned; their bytes are set by saga_rows_close() */
    uint32_t count;
    uint32_t room;
};

void saga_rows_fini(struct saga_rows *rows);

/* Copies a row in; in a zeroed `rows` first. False: no memory; the rows are as
 * they were. */
SAGA_CHECKED bool saga_rows_put(struct saga_rows *rows, enum saga_log_table table,
                                struct saga_bytes key, struct saga_bytes value);
SAGA_CHECKED bool saga_rows_remove(struct saga_rows *rows, enum saga_log_table table,
                                   struct saga_bytes key);

/* Sets the keys and values of changes[]: until the next put, remove or clear. */
void saga_rows_close(struct saga_rows *rows);

/* Empties them; gives memory back that only an unusual batch needs. */
void saga_rows_clear(struct saga_rows *rows);

/* What was put, of a value as it is on disk. False: it is damaged, or is another
 * row's. */
SAGA_CHECKED bool saga_row_open(enum saga_log_table table, struct saga_bytes key,
                                struct saga_bytes stored, struct saga_bytes *value);

#endif
