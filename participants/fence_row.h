/*
 * The fence's rows: one per (saga, step, incarnation), in the participant's own
 * database, read and written inside the transaction that decides.
 *
 * Hides the table:
 *
 *   saga_fence(
 *     saga, step, incarnation   the key
 *     state                     done | rejected | tombstone | compensated | settled
 *     command                   the action's name; NULL: none arrived (tombstone)
 *     body_hash                 XXH3-128 of the action's body, canonical; NULL likewise
 *     event, content            the action's reply: reply_state, and JSON or NULL
 *     undo_command, undo_revision, undo_event, undo_content
 *                               compensated: what undid it, and its reply
 *     decided_at                the latest write, ms since 1970 UTC)
 *
 *   saga_participant(service, format, purged_before)    one row
 *
 * A state that this version does not know makes the row unreadable, never
 * something else. States for effects outside the database would be new names in
 * `state`, and a new format number.
 *
 * Threads: as the database.
 */
#ifndef SAGA_FENCE_ROW_H
#define SAGA_FENCE_ROW_H

#include "database.h"
#include "fence.h"

#include <stdint.h>

#define SAGA_FENCE_FORMAT     2
#define SAGA_FENCE_HASH_BYTES 16

struct saga_fence_answer {
    char event[SAGA_WIRE_NAME_BYTES_MAX + 1]; /* "": none */
    char *content;                            /* malloc'd JSON text; NULL: null */
};

struct saga_fence_row {
    enum saga_fence_state state;
    unsigned char body_hash[SAGA_FENCE_HASH_BYTES];
    struct saga_fence_answer action;
    struct saga_fence_answer compensation;
};

/* Frees what the row holds. */
void saga_fence_row_fini(struct saga_fence_row *row);

/* Makes the tables, and those of `schema`, where they are missing. CONFLICT if the
 * database is another service's or of another format. */
SAGA_CHECKED enum saga_error saga_fence_tables_open(struct saga_database *database,
                                                    const char *service, const char *schema,
                                                    struct saga_fault *fault);

enum saga_fence_read {
    SAGA_FENCE_READ = 1, /* the row is in `row` (ABSENT: there is none) */
    SAGA_FENCE_DAMAGED,  /* there is a row, and it makes no sense */
    SAGA_FENCE_FAILED,   /* SQLite's error */
};

/* Reads the row of the command's (saga, step, incarnation); `row` is the
 * caller's to fini. */
enum saga_fence_read saga_fence_row_read(struct saga_database *database,
                                         const struct saga_wire_command *command,
                                         struct saga_fence_row *row);

/* Writes a new row with the action's verdict: DONE or REJECTED. False: SQLite's error. */
bool saga_fence_row_decide(struct saga_database *database, const struct saga_wire_command *command,
                           enum saga_fence_state state, const struct saga_fence_answer *answer,
                           int64_t now_ms);

/* Writes a tombstone where there is no row. */
bool saga_fence_row_bury(struct saga_database *database, const struct saga_wire_command *command,
                         int64_t now_ms);

/* Makes a DONE row COMPENSATED, with the compensation's reply. */
bool saga_fence_row_compensate(struct saga_database *database,
                               const struct saga_wire_command *command,
                               const struct saga_fence_answer *answer, int64_t now_ms);

/* Makes a DONE row SETTLED; the action's reply stays in it. */
bool saga_fence_row_settle(struct saga_database *database, const struct saga_wire_command *command,
                           int64_t now_ms);

/* Deletes the rows last written before `before_ms`, and remembers that they are
 * gone. In a transaction of the caller's. */
bool saga_fence_rows_purge(struct saga_database *database, int64_t before_ms, uint64_t *purged);

/* The latest `before_ms` of a purge; 0: nothing was ever purged. False: SQLite's error. */
bool saga_fence_purged_before(struct saga_database *database, int64_t *before_ms);

/* The hash that tells one body from another. */
void saga_fence_body_hash(const struct saga_wire_command *command,
                          unsigned char hash[SAGA_FENCE_HASH_BYTES]);

#endif
