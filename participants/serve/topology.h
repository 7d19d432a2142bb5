/*
 * What a service needs at the broker: the exchange, its queue, the dead letters,
 * the bindings (participants/PROTOCOL.md).
 *
 * Threads: no state.
 */
#ifndef SAGA_TOPOLOGY_H
#define SAGA_TOPOLOGY_H

#include "link.h"

/* A quorum queue gives up on a command that was delivered this often. */
#define SAGA_TOPOLOGY_DELIVERY_LIMIT 20
#define SAGA_TOPOLOGY_BINDINGS_MAX   4

struct saga_topology {
    const char *exchange;
    const char *queue;
    const char *dead_letter_queue;
    bool quorum;
    const char *bindings[SAGA_TOPOLOGY_BINDINGS_MAX]; /* NULL after the last */
};

/* Declares the exchange alone: all that replies need. */
SAGA_CHECKED enum saga_error saga_topology_declare_exchange(const struct saga_topology *topology,
                                                            struct saga_amqp_link *link,
                                                            struct saga_fault *fault);
/* Declares all of it. */
SAGA_CHECKED enum saga_error saga_topology_declare(const struct saga_topology *topology,
                                                   struct saga_amqp_link *link,
                                                   struct saga_fault *fault);

#endif
