/*
 * Every counter there is, as JSON.
 *
 * Threads: no state.
 */
#ifndef SAGA_STATS_H
#define SAGA_STATS_H

#include <jansson.h>

#include "engine.h"

/* Counted by the API itself. */
struct saga_api_stats {
    uint64_t requests;     /* whose head was read */
    uint64_t refused;      /* of those, by their head alone */
    uint64_t responses[6]; /* by the first digit of their status */
    uint64_t connections;  /* accepted */
    uint64_t connections_open;
    uint64_t connections_cut; /* too slow, or gone while they waited */
    uint64_t waiting;         /* for a saga to end, now */
};

/* The caller owns the result; NULL: no memory. */
json_t *saga_stats_json(const struct saga_engine_stats *engine, const struct saga_api_stats *api);

#endif
