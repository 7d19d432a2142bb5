/*
 * Both ends of the wire in a test's own hands: a link that consumes and one that
 * publishes, to a real broker.
 *
 * Hides how a link is asked for an event, again and again, until it has come.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef WIRE_ENDS_H
#define WIRE_ENDS_H

#include "link.h"

#define WIRE_ENDS_PATIENCE_MS 60000 /* for what has to come */

struct wire_ends {
    struct saga_amqp_address address;
    struct saga_amqp_link *in, *out;
};

/* Connects both; `out` has its messages confirmed. `url` is read, not kept. */
void wire_ends_open(struct wire_ends *ends, const char *url);
/* Declares `queue`, and consumes it. */
void wire_ends_consume(struct wire_ends *ends, const char *queue);
/* Declares the exchange and `queue`, binds it by `key`, and consumes it. */
void wire_ends_consume_bound(struct wire_ends *ends, const char *queue, const char *exchange,
                             const char *key);
void wire_ends_close(struct wire_ends *ends);

/* The next delivery; it is valid until the next call. False: none within this time. */
bool wire_ends_hear(struct wire_ends *ends, struct saga_amqp_event *event, int64_t within_ms);
void wire_ends_ack(struct wire_ends *ends, const struct saga_amqp_event *event);

/* Publishes, and waits until the broker has confirmed it, which must not return it. */
void wire_ends_publish(struct wire_ends *ends, const struct saga_amqp_message *message);
/* Publishes without waiting: it may take long to be confirmed. */
void wire_ends_post(struct wire_ends *ends, const struct saga_amqp_message *message);

#endif
