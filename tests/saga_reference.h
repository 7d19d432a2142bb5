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

/* Sets every time of `saga` to 0: no transition depends on one. */
void saga_reference_strip_times(struct saga *saga);

#endif
