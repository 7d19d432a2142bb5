/*
 * The rules of a step, written a second time, by hand, from docs/semantics.md:
 * what may happen to it where it stands, and where it stands then.
 *
 * This is the checker's own data: it is not made of the core's table
 * (orchestrator/core/step.c), and where the two differ, one of them is wrong.
 *
 * Threads: no state.
 */
#ifndef SIM_RULES_H
#define SIM_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum sim_state {
    SIM_IDLE = 1,
    SIM_RUNNING,     /* its action is out */
    SIM_DID,         /* done */
    SIM_REFUSED,     /* rejected, and that is believed */
    SIM_DISBELIEVED, /* rejected, which may be the answer to a duplicate */
    SIM_BARRED,      /* fenced */
    SIM_DOUBTFUL,    /* used up, and it may have run */
    SIM_NEVER_RAN,   /* used up, and it cannot have run */
    SIM_ASKING,      /* forward, its fence is out */
    SIM_CLOSING,     /* backward, its fence is out */
    SIM_UNDOING,     /* its compensation is out */
    SIM_UNDONE,
    SIM_OWED,     /* its compensation has failed */
    SIM_CLEARING, /* an operator settles that: its row is being closed */
    SIM_CLEARED,  /* settled by an operator */
};
#define SIM_STATE_COUNT 15

enum sim_move {
    SIM_ISSUE_ACTION = 1,
    SIM_ISSUE_FENCE, /* forward */
    SIM_ISSUE_CLOSE, /* backward */
    SIM_ISSUE_UNDO,
    /* an attempt ends, and another begins */
    SIM_UNSENT,
    SIM_EXPIRED,
    SIM_TOLD_RETRY,
    SIM_TOLD_UNKNOWN,
    /* ... or none */
    SIM_GIVES_UP,
    SIM_NEVER_LEFT,
    SIM_IS_ACCEPTED,
    /* verdicts: of an action, a fence, a compensation */
    SIM_ACTION_DONE,
    SIM_ACTION_REJECTED,
    SIM_ACTION_FENCED,
    SIM_FENCE_DONE,
    SIM_FENCE_REJECTED,
    SIM_FENCE_FENCED,
    SIM_UNDO_DONE,
    SIM_UNDO_REJECTED,
    SIM_UNDO_NOOP,
    /* by an operator's hand */
    SIM_ISSUE_SETTLE,
    SIM_SETTLE_DONE,
    SIM_HAND_SETTLES, /* where there is no row */
    SIM_HAND_DONE,    /* resolved */
    SIM_HAND_REJECTED,
};
#define SIM_MOVE_COUNT 25

extern const char *const sim_state_names[SIM_STATE_COUNT + 1];
extern const char *const sim_move_names[SIM_MOVE_COUNT + 1];

/* Where a step stands after the move; 0: there is no such move from there. */
enum sim_state sim_rule(enum sim_move move, enum sim_state state);

/* False: it cannot happen while everybody keeps his contract, so a simulation may
 * not meet it (the core's own tests do). */
bool sim_rule_is_met(enum sim_move move, enum sim_state state);

/* The verdict on a command of this operation, as a move; 0: it is no definite one. */
enum sim_move sim_rule_verdict(uint8_t operation, uint8_t verdict);

#endif
