/*
 * What a log says, boiled down: its records, and the sagas that they make; once as a restart of the
 * daemon finds them, by the tables of the last checkpoint and the records after it, and once from
 * all of the records without a table.
 *
 * Threads: one.
 */
#ifndef SAGA_LOG_STORY_H
#define SAGA_LOG_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

struct log_story {
    uint64_t last_lsn;
    uint64_t records;      /* of every record in all of its fields, and of their order */
    uint64_t sagas;        /* of every saga: whether and how it has ended, its last record, and the
                            * state of an open one, byte for byte: by the tables */
    uint64_t sagas_folded; /* the same, of the records alone */
    uint64_t rows;         /* of every row of the tables */
    uint64_t read;         /* how many records recovery has read */
    unsigned count, open;  /* of the sagas */
    unsigned quarantined;
    bool recalled; /* the sagas by the tables are known, whatever came then */
    uint64_t in_table[SAGA_LOG_TABLE_COUNT + 1]; /* how many rows */
    uint64_t *after; /* `records` as it was after each LSN; the caller's array; NULL: none */
    uint64_t after_room;
};

#define LOG_STORY_SAGAS_MAX 2000

/* Opens the log (`own`: as a daemon does), reads everything there is, and closes it. The fields
 * above `after` are filled. Errors: those of opening and reading. */
SAGA_CHECKED enum saga_error log_story_read(struct log_story *story, const char *data_dir, bool own,
                                            struct saga_fault *fault);

#endif
