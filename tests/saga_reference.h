/*
 * What one record does to a saga, written a second time: as rows of conditions
 * and effects, by hand, from docs/semantics.md.
 *
 * Hides the rows. Promises that nothing of it is taken from the core but the
 * names of saga.h: where the two disagree, one of them is wrong.
 *
 * Threads: none of its own.
 */
#ifndef SAGA_REFERENCE_H
#define SAGA_REFERENCE_H

#include "saga.h"

/* The state after `record`, in `after` (saga_size() bytes), with every time in it
 * 0. Returns the reason of the row that was used, or NULL if the record has no place
 * here; then `after` is the state before, its times 0. The record's shape, saga and
 * predecessor are not looked at. */
const char *saga_reference_fold(const struct saga *before, const struct saga_plan *plan,
                                const struct saga_record *record, struct saga *after);

/* What is not done yet of what follows from the state, NULL if nothing: then a
 * decision was whole. Of a parked or ended saga nothing follows, and the state it
 * stands in must be one to park or end in. */
const char *saga_reference_left_undone(const struct saga *saga, const struct saga_plan *plan);

/* What the rows ask of a state. Done and noop contradict, and nothing was forced yet: */
bool saga_reference_contradicted(const struct saga_step *step);
/* An operator has said that this debt is paid, or given up. */
bool saga_reference_said_settled(const struct saga_step *step);
/* The outcome that the saga may end with; 0: none. */
uint8_t saga_reference_outcome(const struct saga *saga, const struct saga_plan *plan);
/* Going backward has nothing to do about it: what did not run, what is undone,
 * what has no effect; and debt, until somebody wants it retried (not while an operator settles it).
 */
bool saga_reference_settled(const struct saga_plan_step *planned, const struct saga_step *step);
bool saga_reference_dependents_settled(const struct saga *saga, const struct saga_plan *plan,
                                       uint8_t index);
/* Every step that it waits for is done. */
bool saga_reference_ready(const struct saga *saga, const struct saga_plan *plan, uint8_t index);
/* There is no pivot, or it has no command yet, or none that had or can have an effect. */
bool saga_reference_may_turn(const struct saga *saga, const struct saga_plan *plan);

/* Sets every time of `saga` to 0: no transition depends on one. */
void saga_reference_strip_times(struct saga *saga);

#endif
