/*
 * A saga as the world sees it: JSON, in the words of docs/protocol.md.
 *
 * Hides which records make a saga's data, times and reason.
 *
 * Threads: no state.
 */
#ifndef SAGA_VIEW_H
#define SAGA_VIEW_H

#include <jansson.h>

#include "chain.h"
#include "definition.h"
#include "saga.h"
#include "time_text.h"

/* What is known of a saga. Where something cannot be had (a quarantined saga),
 * what comes of it is null, and `steps` empty. */
struct saga_view {
    struct saga_id id;
    const struct saga_chain *chain;           /* its records; NULL: cannot be read */
    const struct saga *saga;                  /* their fold; NULL: there is none */
    const struct saga_definition *definition; /* NULL: cannot be read */
    const char *status;                       /* wins over the fold's; NULL: the fold's */
};

/*   {"id", "saga", "version", "status", "reason", "started_at", "ended_at",
 *    "data", "steps": [{"name", "status", "attempts"}]}
 *
 * and, where something waits for a person, "attention" (attention.h).
 *
 * reason: why it is parked, or why it goes (or went) backward. data: the input,
 * and merged into it the content of every done verdict on an action or a fence, be it an
 * operator's,
 * up to the last record that was folded. attempts: of the command that was
 * issued last for the step. The caller owns the result; NULL: no memory. */
json_t *saga_view_json(const struct saga_view *view);

#endif
