/*
 * A delivered message as a request to the engine: a participant's reply, or a
 * saga that somebody wants started.
 *
 * Hides which property says what (docs/protocol.md). What cannot be one at all is
 * refused here, with a reason; what the engine refuses, it says itself.
 *
 * Threads: belongs to whoever holds it.
 */
#ifndef SAGA_DELIVERED_MESSAGE_H
#define SAGA_DELIVERED_MESSAGE_H

#include "consumer.h"
#include "engine.h"

struct saga_delivered_message {
    struct saga_request request; /* `answered` is the caller's to set; its texts are in bytes[] */
    struct saga_amqp_ticket ticket;
    const char *reply_to;       /* a start: who wants an answer; NULL: nobody */
    const char *correlation_id; /* of that answer; NULL: none */
    bool persistent;
    struct saga_listing listing; /* a start: the saga, once it has been started */
    char bytes[];
};

/* A reply. NULL, and `why` is a constant text; or NULL and `why` NULL: no memory. */
struct saga_delivered_message *saga_delivered_reply(const struct saga_amqp_message *message,
                                                    const char **why);

/* A start: type is the saga's name, message_id the start key, the body its input. Likewise. */
struct saga_delivered_message *saga_delivered_start(const struct saga_amqp_message *message,
                                                    const char **why);

#endif
