/*
 * An errand: one command from its delivery by the broker to the reply that the
 * broker has taken, and a queue of such.
 *
 * Hides that all of it is one piece of memory: the command's copy, which delivery
 * it came with, and the reply as a message.
 *
 * Threads: an errand belongs to whoever holds it; a queue has no lock.
 */
#ifndef SAGA_ERRAND_H
#define SAGA_ERRAND_H

#include "consumer.h"
#include "publisher.h"
#include "wire.h"

struct saga_errand {
    struct saga_errand *next;
    struct saga_amqp_ticket ticket;
    int64_t due_ms;                   /* CLOCK_MONOTONIC; not before */
    uint32_t sends;                   /* of the reply, that came to nothing */
    struct saga_wire_command command; /* its texts and body are in bytes[] */
    const char *reply_exchange;       /* likewise */
    const char *reply_to;
    struct saga_wire_reply reply;
    struct saga_amqp_outgoing outgoing; /* the reply, once it was given */
    char bytes[];
};

/* Copies a command that was read from this message. NULL: no memory. */
struct saga_errand *saga_errand_make(const struct saga_amqp_message *message,
                                     const struct saga_wire_command *command,
                                     struct saga_amqp_ticket ticket);
/* NULL is allowed. */
void saga_errand_free(struct saga_errand *errand);

/* Takes the reply over (it must not be silent), and makes `outgoing.message` of it;
 * who is told of its fate is left to the caller. `app` is borrowed: who answers. */
void saga_errand_answer(struct saga_errand *errand, struct saga_wire_reply *reply, const char *app);

/* The errand that `outgoing` is in. */
struct saga_errand *saga_errand_of(struct saga_amqp_outgoing *outgoing);

/* First in, first out. All zero: empty. */
struct saga_errand_queue {
    struct saga_errand *first;
    struct saga_errand *last;
};
void saga_errand_queue_put(struct saga_errand_queue *queue, struct saga_errand *errand);
/* Puts all of `more` at the end, and empties it. */
void saga_errand_queue_append(struct saga_errand_queue *queue, struct saga_errand_queue *more);
/* NULL: empty. */
struct saga_errand *saga_errand_queue_take(struct saga_errand_queue *queue);
/* Frees those of all connections but this one. */
void saga_errand_queue_forget(struct saga_errand_queue *queue, uint64_t connection);
/* Frees all of them. */
void saga_errand_queue_clear(struct saga_errand_queue *queue);

#endif
