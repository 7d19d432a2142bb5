/*
 * The fence: what a participant does with a command, by what it already knows.
 *
 * One table, pure: the state of the row of (saga, step, incarnation) x the
 * command's operation -> what is to be done. It promises that, whatever is lost,
 * doubled or late, an action takes effect at most once, a compensation takes
 * effect at most once and only after its action, no action takes effect after its
 * compensation or its fence was answered, and neither after its settle was.
 *
 * Threads: no state.
 */
#ifndef SAGA_FENCE_H
#define SAGA_FENCE_H

#include "wire.h"

/* What the row says. The names are the database's: never give one a new meaning. */
enum saga_fence_state {
    SAGA_FENCE_ABSENT = 1,  /* no row: nothing was decided */
    SAGA_FENCE_DONE,        /* the action took effect; its reply is in the row */
    SAGA_FENCE_REJECTED,    /* the action was rejected; its reply is in the row */
    SAGA_FENCE_TOMBSTONE,   /* the action never happened and never will */
    SAGA_FENCE_COMPENSATED, /* the action took effect and was undone; both replies are in the row */
    SAGA_FENCE_SETTLED,     /* the action took effect; an operator has seen to the rest */
};
#define SAGA_FENCE_STATE_COUNT 6

/* "absent", "done", "rejected", "tombstone", "compensated", "settled". */
const char *saga_fence_state_name(enum saga_fence_state state);
/* 0 if unknown. */
enum saga_fence_state saga_fence_state_parse(const char *name);

enum saga_fence_order {
    SAGA_FENCE_RUN_ACTION = 1,      /* run the business code; write the row with its verdict */
    SAGA_FENCE_RUN_COMPENSATION,    /* run the business code; done: the row is compensated */
    SAGA_FENCE_BURY_NOOP,           /* write the tombstone, answer noop */
    SAGA_FENCE_BURY_FENCED,         /* write the tombstone, answer fenced */
    SAGA_FENCE_BURY_SETTLED,        /* write the tombstone, answer done */
    SAGA_FENCE_CLOSE,               /* the row is settled, answer done */
    SAGA_FENCE_REPLAY_ACTION,       /* answer the action's stored reply */
    SAGA_FENCE_REPLAY_COMPENSATION, /* answer the compensation's stored reply */
    SAGA_FENCE_ANSWER_NOOP,
    SAGA_FENCE_ANSWER_FENCED,
    SAGA_FENCE_ANSWER_SETTLED, /* done: there is nothing (more) to close */
};
#define SAGA_FENCE_ORDER_COUNT 11

enum saga_fence_order saga_fence_decide(enum saga_fence_state state,
                                        enum saga_wire_operation operation);

/* True if the order is to be carried out without writing anything. */
bool saga_fence_order_replays(enum saga_fence_order order);

#endif
