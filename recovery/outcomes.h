/*
 * Outcomes: of which sagas somebody is to be told the end, and does not know it yet.
 *
 * Hides how they are found, and how far it is known that everybody was told. The
 * records of the log are folded in, live as in recovery, so a restart knows of whom
 * the daemon before it knew; but for those who have asked again, who are in memory.
 *
 * Promises:
 *  1. Ends are given out in the order of the log, each to be told until it is told.
 *  2. The mark, which an OUTCOMES_TOLD makes durable, passes no end that is not told.
 *  3. It holds what is open or not told, whatever the log has of others: some 100
 *     bytes each.
 *
 * Memory: as with the catalog, a process that cannot remember whom to tell stops; the
 * log has it.
 *
 * Threads: one, the engine's.
 */
#ifndef SAGA_OUTCOMES_H
#define SAGA_OUTCOMES_H

#include "saga.h"

struct saga_outcomes;

/* A saga, and where the log says whom to tell. Fields are for reading. */
struct saga_owed {
    struct saga_id saga;
    uint64_t started_lsn;   /* its STARTED, which has the asker; 0: that names none */
    uint64_t ended_lsn;     /* its ENDED; 0: open */
    void *again;            /* the asker who came later, in memory; NULL: none */
    uint32_t again_size;    /* in bytes */
    uint8_t given, told;    /* of the askers, in this order: started_lsn's, `again` */
    struct saga_owed *next; /* in the order of the ends */
    struct saga_owed *previous;
    struct saga_owed *chain; /* of those that have the same place in the table */
};

/* NULL: no memory. */
struct saga_outcomes *saga_outcomes_open(void);
void saga_outcomes_close(struct saga_outcomes *outcomes);

/* Folds one record in, in the order of the log: a STARTED with content, an ENDED, an
 * OUTCOMES_TOLD; any other means nothing here. Whether the saga is quarantined is no
 * matter: an end that is in the log was one when it was written. */
void saga_outcomes_fold(struct saga_outcomes *outcomes, const struct saga_record *record);

/* What a checkpoint knows: somebody is to be told of this saga's end. ended_lsn: 0 while it is
 * open. Nothing new where that is known already. */
void saga_outcomes_restore(struct saga_outcomes *outcomes, const struct saga_id *id,
                           uint64_t started_lsn, uint64_t ended_lsn);

/* All there are were restored: whatever else has ended up to the checkpoint, was told. */
void saga_outcomes_restored(struct saga_outcomes *outcomes, uint64_t checkpoint_lsn);

/* The outcome that is owed of this saga; NULL: none is, to anybody. */
const struct saga_owed *saga_outcomes_find(const struct saga_outcomes *outcomes,
                                           const struct saga_id *id);

/* Somebody else is to be told, too, of a saga that has not ended: `asker` is copied, and takes
 * the place of the one who came later before. */
void saga_outcomes_ask(struct saga_outcomes *outcomes, const struct saga_id *id,
                       struct saga_bytes asker);

/* The first outcome with an asker to whom it has not been given, if it ended at or before
 * this LSN; NULL: none. Valid until the next call but find. */
const struct saga_owed *saga_outcomes_next(const struct saga_outcomes *outcomes,
                                           uint64_t durable_lsn);

/* The next asker of what saga_outcomes_next() said has been given it. */
void saga_outcomes_give(struct saga_outcomes *outcomes);

/* One of the saga's askers to whom it was given is told; an outcome that is told to all is
 * forgotten. False: there is no such outcome. */
bool saga_outcomes_tell(struct saga_outcomes *outcomes, const struct saga_id *id);

/* Every end at or before this LSN is told. 0: that is no news since the last OUTCOMES_TOLD. */
uint64_t saga_outcomes_mark(const struct saga_outcomes *outcomes);

struct saga_outcomes_counts {
    uint64_t open;   /* sagas whose end somebody waits for */
    uint64_t untold; /* that have ended */
};
void saga_outcomes_count(const struct saga_outcomes *outcomes, struct saga_outcomes_counts *counts);

#endif
