/*
 * One request of the API, from its head to its answer.
 *
 * Hides the routes, what each takes, which requests to the engine it makes of
 * it, and how a saga is read from the log. Knows no HTTP library and no thread:
 * each call says what the exchange needs next.
 *
 * Promises: an answer says only what is durable.
 *
 * Threads: one, the API's. While it needs the engine, its `request` is the
 * engine's.
 */
#ifndef SAGA_EXCHANGE_H
#define SAGA_EXCHANGE_H

#include <stdatomic.h>

#include "engine.h"
#include "head.h"
#include "response.h"
#include "stats.h"
#include "waiters.h"

#define SAGA_PAGE_DEFAULT 50
#define SAGA_PAGE_MAX     500
#define SAGA_WAIT_MS_MAX  300000
#define SAGA_KEY_TEXT_MAX 255

/* A definition that sagas can be started by. */
struct saga_api_definition {
    const char *name;
    uint32_t version;
    const char *hash;
};

/* What exchanges stand in. Theirs to read; the API's to change. */
struct saga_exchange_world {
    struct saga_listener listener;
    struct saga_log *log;
    const struct saga_engine *engine; /* for saga_engine_definition() alone */
    struct saga_api_definition *definitions;
    size_t definition_count;
    struct saga_waiters *waiters;
    struct saga_api_stats stats;
    json_t *(*more_stats)(void *context); /* NULL: none */
    json_t *(*more_ready)(void *context); /* NULL: none */
    void *more_context;
    uint64_t waiting_max;
    atomic_bool ready; /* any thread's to change */
};

enum saga_need {
    SAGA_NEED_BODY = 1, /* more of it, or saga_exchange_run() at its end */
    SAGA_NEED_ENGINE,   /* put exchange->request into the engine's inbox; then answered() */
    SAGA_NEED_CHANGE,   /* wake() at wait_until_ms at the latest */
    SAGA_NEED_NOTHING,  /* exchange->response is complete */
};

struct saga_route;

struct saga_exchange {
    struct saga_exchange_world *world;
    struct saga_head head; /* the caller fills it before begin() */
    const char *peer;      /* who is on the other side, "unix:1000"; NULL: not known */
    const struct saga_route *route;
    struct saga_response response;
    char *body;
    size_t body_size;
    json_t *json;                /* the body, read */
    char *text;                  /* what the request points to */
    char *content;               /* likewise */
    struct saga_request request; /* its context is the exchange */
    struct saga_listing listing; /* of one saga */
    struct saga_listing *page;   /* of many */
    struct saga_engine_stats *engine_stats;
    uint8_t verb_result;       /* what became of an operator's verb; 0: not known yet */
    struct saga_waiter waiter; /* its context is the exchange */
    bool waiting;              /* it is among the waiters, or was and is woken */
    bool asking;               /* its request is the engine's */
    bool woken;                /* while it was asking */
    int64_t wait_until_ms;     /* 0: it does not wait */
    int64_t now_ms;            /* as of the last call */
    void *context;             /* the caller's */
};

/* The head is complete. */
enum saga_need saga_exchange_begin(struct saga_exchange *exchange, int64_t now_ms);

/* Adds to the body. False: there is no memory, or far more than is allowed
 * comes: cut the connection. */
SAGA_CHECKED bool saga_exchange_add(struct saga_exchange *exchange, const void *bytes, size_t size);

/* The body is complete, if there was one. */
enum saga_need saga_exchange_run(struct saga_exchange *exchange, int64_t now_ms);

/* The engine has answered. */
enum saga_need saga_exchange_answered(struct saga_exchange *exchange, int64_t now_ms);

/* Its waiter was woken, or its time is over. SAGA_NEED_CHANGE: nothing new to do. */
enum saga_need saga_exchange_wake(struct saga_exchange *exchange, int64_t now_ms);

/* It gets no other answer than that the daemon is stopping. Its request must be
 * nobody else's any more. */
void saga_exchange_stop(struct saga_exchange *exchange);

void saga_exchange_fini(struct saga_exchange *exchange);

/* True if nothing more comes of such a status by itself. */
SAGA_CHECKED bool saga_status_is_final(const char *status);

#endif
