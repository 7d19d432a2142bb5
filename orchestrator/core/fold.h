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
};
#define SAGA_MOVE_COUNT 15

/* The table: the phase that `move` leads to from `phase`; 0: there is no such
 * transition. END_ATTEMPT may lead further, when the budget is used up. */
uint8_t saga_transition(enum saga_move move, uint8_t phase);

/* The definite verdict `verdict` on a command of `operation`, as a move; 0: it
 * is no definite verdict on such a command. */
enum saga_move saga_verdict_move(uint8_t operation, uint8_t verdict);

/* The flag that says this verdict is on record; 0: it is not definite. */
uint32_t saga_verdict_flag(uint8_t operation, uint8_t verdict);

/* The budget of the driven command. */
const struct saga_budget *saga_step_budget(const struct saga_plan *plan, uint8_t index,
                                           const struct saga_step *step);

/* True if going backward has nothing (more) to do about this step. Debt counts
 * as settled: the others go on. */
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
