/*
 * Room: what the open sagas may still need of the log, to finish and to compensate.
 *
 * Hides how a plan becomes bytes. A start is refused while what is taken, what is needed and what
 * commits copy would not fit: so whoever was accepted can end.
 *
 *
 * The bound
 * ---------
 * Of a step, what may still come is reckoned by where it stands: its action, its fence where its
 * participant keeps one, and its compensation (or the fence that stands in for it), though hardly
 * any saga needs all three. Each of these commands is
 *
 *    COMMAND_ISSUED with the saga's data: the latest body, what replies have brought since, and
 *        SAGA_ROOM_REPLY_BYTES for each step that is not done; never more than a command carries
 *    so many ends of attempts as its budget has (SAGA_ROOM_ATTEMPTS where it has no end, or the
 *        participant is asked without end), each with a word of SAGA_ROOM_WORD_BYTES at the most
 *    a reply of SAGA_ROOM_REPLY_BYTES
 *
 * and of the saga itself cancel, turn, pivot, parking, an operator's word and the end; its rows in
 * `open`, `done` and `owed`; its start key, twice, since runs are merged.
 *
 * A record is reckoned as a commit of its own: a block's head, LMDB's node, and its share of a page
 * that has as many of them as there is room for, since blocks are appended. (Blocks up to half
 * a page stand in the tree's pages, so a commit takes what it has, not a page.) Rows are reckoned
 * 9/4 times, since pages of other trees may be half empty. What is larger than half a page takes
 * whole pages, and those have to lie in a row: pages that are free again are seldom in
 * a row, so these are reckoned with what is behind the file's last page; where that is used up,
 * with half of the free ones that were found in rows. (Half, since LMDB does not look for them for
 * long, and gives single pages out of rows as well. That is no proof; where it does not do, the
 * process ends as below, and a larger map lets all go on.)
 *
 * LMDB copies each page that it changes, and the copied one is free two commits later. So room for
 * the copies of three commits is left: of all pages of the trees, or, where there are many, of as
 * many as a commit with a checkpoint's slice may touch.
 *
 * Not bounded, and so not reckoned: replies larger than SAGA_ROOM_REPLY_BYTES (once they have come,
 * they are: the data has grown), attempts without end, what follows from participants that
 * contradict themselves, from a debt before there is one, and from what operators do, the daemon's
 * starts, and definitions. For all of these there are the percents that no start takes
 * (SAGA_LOG_FULL_PERCENT). Where even they are used up, the process ends (status 8), nothing that
 * was acknowledged is lost, and each saga goes on when there is room again.
 *
 * Threads: one.
 */
#ifndef SAGA_ROOM_H
#define SAGA_ROOM_H

#include "log.h"
#include "roster.h"
#include "saga.h"

#define SAGA_ROOM_REPLY_BYTES 256
#define SAGA_ROOM_WORD_BYTES  64
#define SAGA_ROOM_ATTEMPTS    8
/* The data of a saga whose row does not say how much it has. */
#define SAGA_ROOM_BODY_BYTES 1024

/* Bytes, in all. */
struct saga_room_need {
    uint64_t bytes;
    uint64_t in_rows; /* of these: in records of several pages */
    uint64_t largest; /* of these: what one of them takes */
};

/* The most that one commit takes for a record with so many bytes of key, payload and content. */
struct saga_room_need saga_room_of_record(uint64_t bytes);

/* What a saga may need that is started by this plan, with so many bytes of key and of who is to be
 * told, and so many of input. */
struct saga_room_need saga_room_of_start(const struct saga_plan *plan, uint32_t key_bytes,
                                         uint32_t input_bytes);

/* What an open saga may still need, if its data has so many bytes. */
struct saga_room_need saga_room_of_saga(const struct saga_plan *plan, const struct saga *saga,
                                        uint32_t body_bytes);

/* What the data has after this record, at the most. */
uint32_t saga_room_body(uint32_t body_bytes, const struct saga_record *record);

/* What all open sagas need. All zero: there is none. */
struct saga_room {
    struct saga_room_need needed;
};

/* The saga is as `saga` says now; NULL: it needs nothing any more. `entry` keeps what is
 * reckoned for it. */
void saga_room_set(struct saga_room *room, struct saga_roster_entry *entry,
                   const struct saga_plan *plan, const struct saga *saga);

/* What the next checkpoint writes that no open saga has to do with. */
struct saga_room_rows {
    uint64_t ended;          /* sagas whose row in `done` is not written yet */
    uint64_t keys_in_memory; /* start keys that are in no run yet */
    uint64_t keys_in_runs;   /* and those that may be merged: then they are there twice */
};

/* What is needed before one more saga is. */
uint64_t saga_room_needed(const struct saga_room *room, const struct saga_log_room *log,
                          const struct saga_room_rows *rows);

/* True if one that needs `more` can be started, too. `free_in_rows`: how many bytes of free pages
 * are in rows of the largest record; 0: nobody has counted. */
SAGA_CHECKED bool saga_room_fits(const struct saga_room *room, const struct saga_log_room *log,
                                 const struct saga_room_rows *rows,
                                 const struct saga_room_need *more, uint64_t free_in_rows);

#endif
