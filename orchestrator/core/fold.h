/*
 * Inside the core: what apply, decide and todo share about one step.
 *
 * Not for anybody else.
 */
#ifndef SAGA_FOLD_H
#define SAGA_FOLD_H

#include "saga.h"

/* What a record does to a step: fact, operation and verdict in one word. */
enum saga_move {
    SAGA_MOVE_ISSUE_ACTION = 1,
    SAGA_MOVE_ISSUE_FENCE, /* forward: asks what became of the action */
    SAGA_MOVE_ISSUE_CLOSE, /* backward: the fence instead of a compensation */
    SAGA_MOVE_ISSUE_COMPENSATION,
    SAGA_MOVE_END_ATTEMPT, /* of the driven command: unsent, expired, retry or unknown */
    SAGA_MOVE_ACCEPT,      /* of the driven command */
    SAGA_MOVE_ACTION_DONE,
    SAGA_MOVE_ACTION_REJECTED,
    SAGA_MOVE_ACTION_FENCED,
    SAGA_MOVE_FENCE_DONE,
    SAGA_MOVE_FENCE_REJECTED,
    SAGA_MOVE_FENCE_FENCED,
    SAGA_MOVE_COMPENSATION_DONE,
    SAGA_MOVE_COMPENSATION_REJECTED,
    SAGA_MOVE_COMPENSATION_NOOP,
    SAGA_MOVE_ISSUE_SETTLE,
    SAGA_MOVE_SETTLE_DONE,
    SAGA_MOVE_OPERATOR_SETTLED,  /* where the participant has no row to close */
    SAGA_MOVE_OPERATOR_DONE,     /* resolved: it took effect */
    SAGA_MOVE_OPERATOR_REJECTED, /* resolved: it did not; decides the direction only */
};
#define SAGA_MOVE_COUNT 20

/* The table: the phase that `move` leads to from `phase`; 0: there is no such
 * transition. END_ATTEMPT may lead further, when the budget is used up. */
uint8_t saga_transition(enum saga_move move, uint8_t phase);

/* The definite verdict `verdict` on a command of `operation`, as a move; 0: it
 * is no definite verdict on such a command. */
enum saga_move saga_verdict_move(uint8_t operation, uint8_t verdict);

/* The flag that says this verdict is on record; 0: it is not definite. */
uint32_t saga_verdict_flag(uint8_t operation, uint8_t verdict);

/* Where a record is folded in. */
struct fold {
    struct saga *saga;
    const struct saga_plan *plan;
    const struct saga_record *record;
    struct saga_step *step; /* NULL: the record is about the whole saga */
    const struct saga_plan_step *planned;
};

/* Somebody or something wakes a parked saga. */
void saga_unpark(struct saga *saga);

/* The revision that a command issued now would have. */
uint16_t saga_step_next_revision(const struct saga_step *step, uint8_t operation);

/* The next attempt of fold->step's driven command, with all of its budget before it. */
void saga_attempt_again(struct fold *fold, uint8_t phase);

/* Folds in what operators (and the saga's deadline) want. */
SAGA_CHECKED enum saga_apply_error saga_fold_cancel(struct fold *fold);
SAGA_CHECKED enum saga_apply_error saga_fold_operator(struct fold *fold);

/* The outcome that the saga may end with as it stands; 0: it may not end. */
uint8_t saga_outcome_due(const struct saga *saga, const struct saga_plan *plan);

/* True if an operator has settled this step's debt, or is about to. */
bool saga_step_by_operator(const struct saga_step *step);

/* The budget of the driven command. */
const struct saga_budget *saga_step_budget(const struct saga_plan *plan, uint8_t index,
                                           const struct saga_step *step);

/* True if going backward has nothing (more) to do about this step. Debt counts
 * as settled, also while its row is being closed: the others go on. */
bool saga_step_settled(const struct saga_plan_step *plan, const struct saga_step *step);

/* True if the participant said both that it acted and that there was nothing to
 * compensate, and the one forced compensation has not been issued. */
bool saga_step_contradicts(const struct saga_step *step);

/* True if every step that this one waits for is done. */
bool saga_step_ready(const struct saga *saga, const struct saga_plan *plan, uint8_t index);

/* True if every started step that waited for this one, be it by way of others,
 * is settled. */
bool saga_step_dependents_settled(const struct saga *saga, const struct saga_plan *plan,
                                  uint8_t index);

/* True if the direction may still turn: there is no pivot, or it certainly had
 * no effect. */
bool saga_may_turn_back(const struct saga *saga, const struct saga_plan *plan);

#endif
