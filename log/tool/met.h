/*
 * Whom a walk back over the log has met: by id, what their latest records said.
 *
 * Hides a hash table of entries that do not move.
 *
 * Threads: one.
 */
#ifndef SAGA_MET_H
#define SAGA_MET_H

#include "saga.h"

struct saga_met;

struct saga_met_entry {
    struct saga_id id;
    uint64_t last_lsn; /* the first of its records that was met */
    int64_t ended_ms;
    uint8_t outcome;             /* that its SAGA_ENDED names; 0: none was met */
    bool started;                /* its SAGA_STARTED was met */
    struct saga_met_entry *next; /* that has the same place in the table */
};

/* NULL: no memory. */
struct saga_met *saga_met_open(void);
void saga_met_close(struct saga_met *met);

/* Takes in a record of a saga; its lsn is below those before. The entry of its saga; NULL: no
 * memory. */
struct saga_met_entry *saga_met_note(struct saga_met *met, const struct saga_record *record);

/* NULL: was not met. */
struct saga_met_entry *saga_met_find(const struct saga_met *met, const struct saga_id *id);

/* Those whose start was not met: how many, and a malloc'd list of them (NULL: none, or no
 * memory). */
size_t saga_met_unstarted(const struct saga_met *met, struct saga_met_entry ***list);

#endif
