#include "topology.h"

enum saga_error saga_topology_declare_exchange(const struct saga_topology *topology,
                                               struct saga_amqp_link *link,
                                               struct saga_fault *fault) {
    return saga_amqp_link_exchange(link, topology->exchange, fault);
}

/* The dead letters first, and the bindings last: no command that is taken finds
 * nowhere to be thrown. */
enum saga_error saga_topology_declare(const struct saga_topology *topology,
                                      struct saga_amqp_link *link, struct saga_fault *fault) {
    const struct saga_amqp_queue dead = {
        .name = topology->dead_letter_queue,
        .quorum = topology->quorum,
    };
    const struct saga_amqp_queue queue = {
        .name = topology->queue,
        .quorum = topology->quorum,
        .dead_letter_queue = topology->dead_letter_queue,
        .delivery_limit = topology->quorum ? SAGA_TOPOLOGY_DELIVERY_LIMIT : 0,
    };
    enum saga_error error = saga_topology_declare_exchange(topology, link, fault);
    error = error != SAGA_OK ? error : saga_amqp_link_queue(link, &dead, fault);
    error = error != SAGA_OK ? error : saga_amqp_link_queue(link, &queue, fault);
    for (size_t i = 0;
         error == SAGA_OK && i < SAGA_TOPOLOGY_BINDINGS_MAX && topology->bindings[i] != NULL; i++) {
        error = saga_amqp_link_bind(link, topology->queue, topology->exchange,
                                    topology->bindings[i], fault);
    }
    return error;
}
