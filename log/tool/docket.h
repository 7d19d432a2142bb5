/*
 * The docket: what an audit keeps of each saga: little of those that have ended, and by its start
 * key each that has not.
 *
 * Hides two hash tables.
 *
 * Threads: one.
 */
#ifndef SAGA_DOCKET_H
#define SAGA_DOCKET_H

#include "definition.h"

/* One step, as far as its records say. */
struct saga_case_step {
    uint32_t stands;                              /* all that it may be (statute.h) */
    uint32_t attempts;                            /* of the latest command, that have ended */
    uint16_t revisions[SAGA_OPERATION_COUNT + 1]; /* the latest that was issued; 0: none */
    uint8_t driven;                               /* the latest command's operation */
    bool reached;                                 /* an attempt of the action may have arrived */
    bool resolved, perhaps_resolved, marked, written_off; /* by an operator */
};

/* One saga that has not ended. */
struct saga_case {
    const struct saga_definition *definition;
    uint32_t epoch;
    uint8_t reason; /* why it goes back */
    bool backward, passed, wished;
    char *key; /* owned; NULL: none */
    uint32_t key_size;
    struct saga_docket_entry *entry;
    struct saga_case *next_key; /* that has the same place */
    struct saga_case_step steps[];
};

struct saga_docket_entry {
    struct saga_id id;
    uint64_t last_lsn;
    struct saga_case *open; /* NULL: it has ended, or is not looked at any more */
    struct saga_docket_entry *next;
    bool ended;
};

struct saga_docket;

/* NULL: no memory. */
struct saga_docket *saga_docket_open(void);
void saga_docket_close(struct saga_docket *docket);

/* NULL: is not there. */
struct saga_docket_entry *saga_docket_find(const struct saga_docket *docket,
                                           const struct saga_id *id);

/* Adds one that is not there, with nothing open. NULL: no memory. */
struct saga_docket_entry *saga_docket_add(struct saga_docket *docket, const struct saga_id *id);

/* Opens its case. False: no memory. */
SAGA_CHECKED bool saga_docket_begin(struct saga_docket *docket, struct saga_docket_entry *entry,
                                    const struct saga_definition *definition,
                                    struct saga_bytes key);
void saga_docket_end(struct saga_docket *docket, struct saga_docket_entry *entry);

/* The open saga that was started with this key; NULL: none. */
const struct saga_docket_entry *saga_docket_by_key(const struct saga_docket *docket,
                                                   struct saga_bytes key);

#endif
