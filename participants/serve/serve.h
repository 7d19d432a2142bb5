/*
 * The verb `serve` of a service's program: it carries out commands from RabbitMQ
 * until SIGTERM or SIGINT.
 *
 * Hides its options, the signals, and how desk and health are put together.
 *
 * Threads: a program's main one, before there is another.
 */
#ifndef SAGA_SERVE_H
#define SAGA_SERVE_H

#include "command_line.h"
#include "topology.h"

/* Which service. */
struct saga_served {
    const struct saga_service *service;               /* its queue has its name */
    const char *title;                                /* "Parking" */
    uint16_t http_port;                               /* where --http says nothing */
    const char *bindings[SAGA_TOPOLOGY_BINDINGS_MAX]; /* "parking.#"; NULL after the last */
};

/* What stands in the table of verbs. */
extern const struct argp_option saga_serve_options[];
#define SAGA_SERVE_DOC                                                                             \
    "Carries out commands that arrive over RabbitMQ, and answers them, until SIGTERM."

/* Runs until a signal says that it is enough, then finishes what is at hand, within
 * 10 s. Errors: USAGE, FAILED. */
SAGA_CHECKED enum saga_error saga_serve(struct saga_verb_input *input,
                                        const struct saga_served *served, struct saga_fault *fault);

#endif
