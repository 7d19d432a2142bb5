/*
 * The server: connections, their deadlines, and the one loop of the API's thread.
 *
 * Hides libmicrohttpd. Carries exchanges (exchange.h) from their heads to their
 * answers: it suspends a connection whose exchange waits for the engine or for a
 * saga, and resumes it when there is an answer.
 *
 * Threads: it runs one of its own; open and close are for one thread.
 */
#ifndef SAGA_SERVER_H
#define SAGA_SERVER_H

#include "exchange.h"
#include "inbox.h"

struct saga_server;

struct saga_server_limits {
    unsigned connections_max;
    int64_t head_ms;  /* for the head of a request, from its connection on */
    int64_t body_ms;  /* for the body, from the head on */
    int64_t write_ms; /* for the answer to be taken */
    int64_t idle_ms;  /* from an answer to the next request's head */
};

/* Answers at world->listener, which stays the caller's, like `world` and the
 * engine's inbox. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_server_open(struct saga_server **server,
                                              struct saga_exchange_world *world,
                                              struct saga_inbox *engine,
                                              const struct saga_server_limits *limits,
                                              struct saga_fault *fault);

/* Tells who still waits, for a second at most, that it is over; frees all
 * requests, also those that the engine has not answered. */
void saga_server_close(struct saga_server *server);

#endif
