/*
 * A saga as the API shows it, read from the log.
 *
 * Threads: the API's; reads by a view of its own, which it keeps short.
 */
#ifndef SAGA_SHOW_H
#define SAGA_SHOW_H

#include <jansson.h>

#include "engine.h"

struct saga_exchange_world;

/* One saga, whole. One that is quarantined has a member `detail` more: what is
 * wrong with it. The caller owns the result. NULL: the fault says why; with no
 * error in it there is no memory. */
json_t *saga_show(const struct saga_exchange_world *world, const struct saga_listing *listing,
                  struct saga_fault *fault);

/* A line of a list: {"id", "saga", "version", "status", "started_at"}, without
 * reading the log: the start's time is its id's. NULL: no memory. */
json_t *saga_show_row(const struct saga_exchange_world *world, const struct saga_listing *listing);

#endif
