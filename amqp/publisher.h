/*
 * The publisher: messages in, their fates out, over a link of its own.
 *
 * Hides the thread, the connection that comes and goes (full jitter between 0.1
 * and 30 s, the hosts in turn), confirms, and the watchdog that cuts a publish
 * which the broker does not read.
 *
 * Promises:
 *  1. saga_amqp_publisher_put() never blocks.
 *  2. Every message that was put has exactly one fate, told in the end.
 *  3. UNSENT is only told of a message of which no byte has left.
 *  4. At most `window` messages are unconfirmed, and `queue_max` wait.
 *
 * Threads: one opens and closes it; any may put. Callbacks are called on the
 * publisher's thread.
 */
#ifndef SAGA_AMQP_PUBLISHER_H
#define SAGA_AMQP_PUBLISHER_H

#include "link.h"

struct saga_amqp_publisher;

enum saga_amqp_fate {
    SAGA_AMQP_HANDED_OVER = 1, /* confirmed, and not returned: a queue has it */
    SAGA_AMQP_UNROUTABLE,      /* returned: no queue takes it; it will not arrive */
    SAGA_AMQP_UNSENT,          /* no byte left, and none will */
    SAGA_AMQP_IN_DOUBT, /* the connection was lost, or the broker refused it: it may arrive */
};

/* A message on its way: the asker's memory, the publisher's from put to `settled`. */
struct saga_amqp_outgoing {
    struct saga_amqp_outgoing *next; /* the publisher's */
    uint64_t number;                 /* likewise */
    bool returned;                   /* likewise */
    struct saga_amqp_message message;
    void (*settled)(struct saga_amqp_outgoing *outgoing, enum saga_amqp_fate fate);
    void *context;
};

struct saga_amqp_publisher_options {
    struct saga_amqp_link_options link;
    uint32_t window;    /* unconfirmed messages; 0: SAGA_AMQP_WINDOW */
    uint32_t queue_max; /* waiting ones; 0: SAGA_AMQP_QUEUE_MAX */
    uint32_t stuck_ms;  /* a publish that takes longer is cut; 0: SAGA_AMQP_STUCK_MS */
    uint64_t seed;      /* of the jitter */
    void *context;
    /* Declares what the messages need, on each new connection. NULL: nothing. */
    enum saga_error (*prepare)(void *context, struct saga_amqp_link *link,
                               struct saga_fault *fault);
    /* It is connected and takes messages (`up`), or does not any more; `why` is a
     * sentence. Also for alarms of the broker: then the counts say `blocked`, the connection
     * stands, and what has left is confirmed when the alarm is over. */
    void (*turned)(void *context, bool up, const char *why);
};
#define SAGA_AMQP_WINDOW    1024
#define SAGA_AMQP_QUEUE_MAX 100000
#define SAGA_AMQP_STUCK_MS  15000

/* Starts the thread, which connects by itself, for ever; *publisher is set before anything is
 * called back, and NULL on an error. Errors: FAILED. */
SAGA_CHECKED enum saga_error
saga_amqp_publisher_open(struct saga_amqp_publisher **publisher,
                         const struct saga_amqp_publisher_options *options,
                         struct saga_fault *fault);

/* Takes a message over. False: not connected, the broker has an alarm, or too many
 * wait; it stays the caller's, and no byte has left. */
SAGA_CHECKED bool saga_amqp_publisher_put(struct saga_amqp_publisher *publisher,
                                          struct saga_amqp_outgoing *outgoing);

/* As put, but the thread is not woken for it: it leaves with what it is woken for next, by a put,
 * by saga_amqp_publisher_push() or by the broker. Of many in a row, each would wake the thread. */
SAGA_CHECKED bool saga_amqp_publisher_put_later(struct saga_amqp_publisher *publisher,
                                                struct saga_amqp_outgoing *outgoing);
/* What was put later leaves now. */
void saga_amqp_publisher_push(struct saga_amqp_publisher *publisher);

struct saga_amqp_publisher_counts {
    bool up;
    bool blocked; /* by an alarm of the broker */
    uint32_t waiting, unconfirmed;
    uint64_t published, handed_over, unroutable, unsent, in_doubt, refused;
    uint64_t connections, stuck;
};
/* Any thread. */
void saga_amqp_publisher_count(struct saga_amqp_publisher *publisher,
                               struct saga_amqp_publisher_counts *counts);

/* Ends the thread: waits up to `drain_ms` for what is on its way, tells the fate of
 * the rest, frees. NULL is allowed. */
void saga_amqp_publisher_close(struct saga_amqp_publisher *publisher, uint32_t drain_ms);

#endif
