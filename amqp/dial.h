/*
 * Dialling: which of the broker's hosts to try next, and when.
 *
 * Full jitter: after the n-th failure in a row a random time between 0.1 s and
 * twice that to the power of n, 30 s at most, so that a broker which comes back is
 * not met by everybody at once. The hosts are tried in turn, from a random one on.
 *
 * Threads: as its owner.
 */
#ifndef SAGA_AMQP_DIAL_H
#define SAGA_AMQP_DIAL_H

#include "link.h"

#define SAGA_AMQP_DIAL_MS_MIN 100
#define SAGA_AMQP_DIAL_MS_MAX 30000

struct saga_amqp_dial {
    size_t host_count;
    size_t host;       /* the next one */
    uint32_t failures; /* in a row */
    uint64_t random;   /* state of the generator */
};

void saga_amqp_dial_init(struct saga_amqp_dial *dial, size_t host_count, uint64_t seed);

/* The host for this try. */
size_t saga_amqp_dial_host(struct saga_amqp_dial *dial);

/* It did not work, or did not last: how long to wait before the next try. */
uint32_t saga_amqp_dial_failed(struct saga_amqp_dial *dial);

/* It works: the next failure is the first one again. */
void saga_amqp_dial_worked(struct saga_amqp_dial *dial);

#endif
