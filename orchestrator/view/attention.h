/*
 * What of a saga waits for a person: which step, since when, why, and what may
 * be done about it.
 *
 * Threads: no state.
 */
#ifndef SAGA_ATTENTION_H
#define SAGA_ATTENTION_H

#include "view.h"

/*   [{"step", "reason", "since", "why", "verbs"}]
 *
 * A debt has an item each, whatever else goes on; else the step that the saga is parked
 * about has one. reason: as the saga's. why: a sentence. verbs: "retry", "cancel", "resolve
 * done", "resolve rejected", "mark-compensated", "write-off": those that are not refused.
 * The caller owns the result: empty where nothing waits; NULL: no memory. */
json_t *saga_attention_json(const struct saga_view *view);

#endif
