/*
 * The muster: every saga of the log, the newest first, without folding one.
 *
 * Hides where they are found: those that were started since the last checkpoint on the
 * way back from the log's end, the others in the tables `open` and `done`. What the
 * records since the checkpoint say of those is known by then. So the newest are there at
 * once, and what comes after them costs what it takes to name it.
 *
 * What a line says of an end is what the log says: whether the saga's records make sense
 * is for who folds them (story.h).
 *
 * Threads: the reader's.
 */
#ifndef SAGA_MUSTER_H
#define SAGA_MUSTER_H

#include "error.h"
#include "log.h"
#include "tables.h"

struct saga_muster;

struct saga_muster_line {
    struct saga_id id;
    uint64_t last_lsn;       /* its latest record */
    uint64_t started_lsn;    /* 0: not known */
    uint64_t definition_lsn; /* 0: not known */
    int64_t ended_ms;
    uint8_t outcome;          /* enum saga_outcome; 0: it has not ended */
    const struct saga *state; /* as of last_lsn, if its row has that; else NULL. Until the next */
};

/* Which sagas are wanted. */
struct saga_muster_scope {
    bool open;                             /* those that have not ended */
    bool outcomes[SAGA_OUTCOME_COUNT + 1]; /* those that have, by enum saga_outcome */
    int64_t since_ms;                      /* started at this time or later; 0: any */
    int64_t until_ms;                      /* and before this; INT64_MAX: any */
};
extern const struct saga_muster_scope saga_muster_all;

/* The reader stays the caller's; it may be renewed between two calls, or another take its place.
 * Errors: FAILED, LOG_REFUSED. */
SAGA_CHECKED enum saga_error saga_muster_open(struct saga_muster **muster,
                                              struct saga_log_reader *reader,
                                              const struct saga_muster_scope *scope,
                                              struct saga_fault *fault);
void saga_muster_close(struct saga_muster *muster);
void saga_muster_read_by(struct saga_muster *muster, struct saga_log_reader *reader);

/* Looks at a little more, and gives the next, older one where it has come to it: `found` says so.
 * Errors: NOT_FOUND (there are no more; the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_muster_step(struct saga_muster *muster,
                                              struct saga_muster_line *line, bool *found,
                                              struct saga_fault *fault);

/* False: what was started since the checkpoint has been given. Who knows an older one's id asks
 * saga_muster_matched() then. */
SAGA_CHECKED bool saga_muster_in_tail(const struct saga_muster *muster);

/* How much has been looked at, and of how much at most. */
uint64_t saga_muster_seen(const struct saga_muster *muster);
uint64_t saga_muster_total(const struct saga_muster *muster);

/* ---------------------------------------------------------------- finding one */

/* The line of one saga. Reads back only as far as its latest record. Only on a muster of which
 * nothing else was asked. Errors: NOT_FOUND (the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_muster_find(struct saga_muster *muster, const struct saga_id *id,
                                              struct saga_muster_line *line,
                                              struct saga_fault *fault);

#define SAGA_MUSTER_CANDIDATES 3

/* The sagas that have a text in their ids. */
struct saga_muster_match {
    uint64_t count;
    struct saga_id candidates[SAGA_MUSTER_CANDIDATES]; /* the newest, the newest first */
};

/* `part`: in lower case. Only on a muster of which nothing else was asked. Errors: LOG_REFUSED,
 * FAILED. */
SAGA_CHECKED enum saga_error saga_muster_match(struct saga_muster *muster, const char *part,
                                               struct saga_muster_match *match,
                                               struct saga_fault *fault);

/* The line of a saga that matched, or whose id was known. Errors: NOT_FOUND (the fault is left
 * alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_muster_matched(const struct saga_muster *muster,
                                                 const struct saga_id *id,
                                                 struct saga_muster_line *line,
                                                 struct saga_fault *fault);

/* The time that an id has in it: its saga's start. */
int64_t saga_muster_started_ms(const struct saga_id *id);

#endif
