/*
 * A command on its way to a participant of this process and back, and a queue of
 * such.
 *
 * Hides that a delivery is one piece of memory, made and freed on the engine's
 * thread, which holds the command's copy and, in the end, the reply as the
 * request that the engine takes.
 *
 * Threads: a delivery belongs to whoever holds it; a queue has no lock.
 */
#ifndef SAGA_DELIVERY_QUEUE_H
#define SAGA_DELIVERY_QUEUE_H

#include "engine.h"
#include "wire.h"

struct saga_local_delivery {
    struct saga_request request; /* the reply; its `next` links queues */
    int64_t due_ms;              /* CLOCK_MONOTONIC; not before */
    int64_t issued_at_ms;        /* the command, not this attempt */
    int64_t deadline_ms;
    const char *name; /* the texts are in bytes[] */
    const char *saga_type;
    const char *step;
    const char *body;
    size_t body_size;
    char bytes[];
};

/* Copies a command. NULL: no memory. */
struct saga_local_delivery *saga_local_delivery_make(const struct saga_dispatch *dispatch);
void saga_local_delivery_free(struct saga_local_delivery *delivery);

/* The command in the wire's terms. `id` has SAGA_COMMAND_TEXT_SIZE bytes, `saga`
 * SAGA_ID_TEXT_SIZE; all texts are borrowed from them and the delivery. */
struct saga_wire_command saga_local_delivery_command(const struct saga_local_delivery *delivery,
                                                     char *id, char *saga);

/* Makes the request say what the reply says; takes the reply's body over. */
void saga_local_delivery_answer(struct saga_local_delivery *delivery,
                                struct saga_wire_reply *reply);

/* First in, first out. All zero: empty. */
struct saga_local_queue {
    struct saga_local_delivery *first;
    struct saga_local_delivery *last;
};
void saga_local_queue_put(struct saga_local_queue *queue, struct saga_local_delivery *delivery);
/* Puts all of `more` at the end, and empties it. */
void saga_local_queue_append(struct saga_local_queue *queue, struct saga_local_queue *more);
/* NULL: empty. */
struct saga_local_delivery *saga_local_queue_take(struct saga_local_queue *queue);
/* Frees all of them. */
void saga_local_queue_clear(struct saga_local_queue *queue);

#endif
