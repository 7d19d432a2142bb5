/*
 * The routes: which method and path means what.
 *
 * Threads: no state.
 */
#ifndef SAGA_ROUTE_H
#define SAGA_ROUTE_H

#include "head.h"
#include "response.h"
#include "saga.h"

enum saga_resource {
    SAGA_RESOURCE_START = 1,
    SAGA_RESOURCE_LIST,
    SAGA_RESOURCE_SAGA,
    SAGA_RESOURCE_CANCEL,
    SAGA_RESOURCE_RETRY,
    SAGA_RESOURCE_RESOLVE,
    SAGA_RESOURCE_MARK_COMPENSATED,
    SAGA_RESOURCE_WRITE_OFF,
    SAGA_RESOURCE_STATS,
    SAGA_RESOURCE_DEFINITIONS,
    SAGA_RESOURCE_HEALTH,
    SAGA_RESOURCE_READY,
};

struct saga_route {
    enum saga_resource resource;
    const char *method;
    const char *path;  /* "*" stands for a saga's id */
    const char *query; /* the names it may have: "a, b"; "": none */
};

/* The route of a request, and the id in its path. NULL: `response` says why
 * there is none. */
const struct saga_route *saga_route_find(const struct saga_head *head, struct saga_id *id,
                                         struct saga_response *response);

#endif
