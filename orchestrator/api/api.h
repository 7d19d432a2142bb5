/*
 * The HTTP API: /v1/sagas and what is beside it (docs/protocol.md).
 *
 * Hides libmicrohttpd, sockets, and that one request may need several of the
 * engine's. Asks the engine through its inbox; reads sagas from the log by views
 * of its own.
 *
 * Promises:
 *  1. Who is told of a change is told when it is durable, not before.
 *  2. Who is slow, absent or hostile holds up nobody: connections, bodies, heads,
 *     waits and their times are limited.
 *  3. Over TCP it answers only who means this machine (Host, Origin).
 *
 * Threads: it runs one of its own. open, close, ready and address are for one
 * thread, changed for any.
 */
#ifndef SAGA_API_H
#define SAGA_API_H

#include "engine.h"
#include "exchange.h"
#include "inbox.h"

struct saga_api;

struct saga_api_options {
    const char *listen; /* "unix:PATH" or "tcp:HOST:PORT" */
    struct saga_inbox *inbox;
    struct saga_log *log;
    const struct saga_engine *engine; /* for saga_engine_definition() alone */
    /* What GET /v1/definitions shows; copied. */
    const struct saga_api_definition *definitions;
    size_t definition_count;
    /* More counters for GET /v1/stats: an object, whose reference is taken, and whose members
     * join the others. Called on the API's thread. NULL: there are none. */
    json_t *(*more_stats)(void *context);
    /* Likewise for GET /readyz, when it says yes. */
    json_t *(*more_ready)(void *context);
    void *more_context;
    /* Limits; 0: as said. */
    unsigned connections_max; /* 512; three quarters of them may wait for a saga to end */
    int64_t head_ms;          /* 10,000: for the head of a request, from its connection on */
    int64_t body_ms;          /* 30,000: for the body, from the head on */
    int64_t write_ms;         /* 30,000: for the answer to be taken */
    int64_t idle_ms;          /* 75,000: from an answer to the next request's head */
};

/* Listens, and answers from then on. Everything in `options` but `definitions`
 * and `listen` must stay until saga_api_close().
 *
 * Errors: USAGE (listen), FAILED (somebody listens there, a system's error). */
SAGA_CHECKED enum saga_error saga_api_open(struct saga_api **api,
                                           const struct saga_api_options *options,
                                           struct saga_fault *fault);

/* Stops listening; gives who still waits an answer, for a second at most. Call
 * it when the engine answers and tells nothing any more: requests that it has
 * not answered, taken from the inbox or not, are freed. */
void saga_api_close(struct saga_api *api);

/* A saga has another status: for the engine's outlet. */
void saga_api_changed(struct saga_api *api, const struct saga_id *id, const char *status);

/* What GET /readyz says; false at first. */
void saga_api_ready(struct saga_api *api, bool ready);

/* Where it listens: "unix:/path" or "http://127.0.0.1:8090". */
const char *saga_api_address(const struct saga_api *api);

#endif
