/*
 * The roster: the sagas that are in memory, by id and by age.
 *
 * These are the open ones, and those that have changed since the last checkpoint: of
 * every other saga the log's table `done` has a row. Hides a hash table of entries that
 * do not move, and a chain through them in the order of their ids, which is that of
 * their starts.
 *
 * Threads: one.
 */
#ifndef SAGA_ROSTER_H
#define SAGA_ROSTER_H

#include "saga.h"

struct saga_roster;

/* `id`, `older` and `newer` are the roster's; the rest is the owner's. */
struct saga_roster_entry {
    struct saga_id id;
    uint64_t started_lsn;
    uint64_t last_lsn;
    uint64_t definition_lsn;
    int64_t ended_ms;      /* where it has ended */
    const char *status;    /* a static text */
    uint64_t room_bytes;   /* what it may still need of the log (room.h); */
    uint64_t room_in_rows; /* of these */
    uint32_t body_bytes;   /* its data, at the most */
    uint8_t outcome;       /* enum saga_outcome; 0: open, or out of service */
    bool left_out;         /* do not fold it: it brought recovery down */
    bool has_row;          /* in the table `open` */
    bool recalled;         /* has a row in `done` as well; only by saga_roster_recall() */
    struct saga_roster_entry *older, *newer;
    struct saga_roster_entry *next; /* that has the same place in the table */
};

/* NULL: no memory. */
struct saga_roster *saga_roster_open(void);
void saga_roster_close(struct saga_roster *roster);

/* Adds a saga that is not there. Ends the process where there is no memory: a saga of which
 * nobody knows would be lost to whoever asks, and the log has it. Cheap for the newest; else as
 * long as the way back to its place. */
struct saga_roster_entry *saga_roster_add(struct saga_roster *roster, const struct saga_id *id);

/* NULL: not there. */
struct saga_roster_entry *saga_roster_find(const struct saga_roster *roster,
                                           const struct saga_id *id);

void saga_roster_remove(struct saga_roster *roster, struct saga_roster_entry *entry);

/* NULL: there is none. */
struct saga_roster_entry *saga_roster_newest(const struct saga_roster *roster);
struct saga_roster_entry *saga_roster_oldest(const struct saga_roster *roster);

/* The newest that is older than this id, which need not be there. */
struct saga_roster_entry *saga_roster_before(const struct saga_roster *roster,
                                             const struct saga_id *id);

uint64_t saga_roster_count(const struct saga_roster *roster);

/* Notes that the saga has a row in `done` as well; how many have. */
void saga_roster_recall(struct saga_roster *roster, struct saga_roster_entry *entry);
uint64_t saga_roster_recalled(const struct saga_roster *roster);

#endif
