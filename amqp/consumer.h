/*
 * The consumer: messages of some queues out, acknowledgements in, over a link of
 * its own.
 *
 * Hides the thread, the connection that comes and goes (as the publisher's), and
 * that a delivery's tag is void on any connection but its own.
 *
 * Promises:
 *  1. A delivery that was not settled comes again, to us or to somebody else.
 *  2. saga_amqp_consumer_settle() never blocks; about a delivery of an earlier
 *     connection it does nothing.
 *  3. A queue that is deleted is noticed within `passive_ms`, and everything is
 *     declared again.
 *
 * Threads: one opens and closes it; any may settle. Callbacks are called on the
 * consumer's thread.
 */
#ifndef SAGA_AMQP_CONSUMER_H
#define SAGA_AMQP_CONSUMER_H

#include "link.h"

struct saga_amqp_consumer;

#define SAGA_AMQP_CONSUMED_QUEUES_MAX 4

/* Which delivery. */
struct saga_amqp_ticket {
    uint64_t connection;
    uint64_t tag;
};

enum saga_amqp_settlement {
    SAGA_AMQP_ACK = 1,
    SAGA_AMQP_REJECT,  /* to the dead letters */
    SAGA_AMQP_REQUEUE, /* deliver it again */
};

struct saga_amqp_consumer_options {
    struct saga_amqp_link_options link;
    const char *queues[SAGA_AMQP_CONSUMED_QUEUES_MAX]; /* NULL after the last */
    uint16_t prefetch;                                 /* of each; 0: SAGA_AMQP_PREFETCH */
    uint32_t passive_ms; /* how often to look whether the queues are there; 0:
                            SAGA_AMQP_PASSIVE_MS */
    uint64_t seed;       /* of the jitter */
    void *context;
    /* Declares the queues, on each new connection. NULL: they are there. */
    enum saga_error (*prepare)(void *context, struct saga_amqp_link *link,
                               struct saga_fault *fault);
    /* A message has been delivered from the queue number `queue`: copy what is wanted, and settle
     * it some time. */
    void (*delivered)(void *context, size_t queue, const struct saga_amqp_message *message,
                      struct saga_amqp_ticket ticket);
    /* Nothing more is at hand for now: whoever gathers deliveries may begin. NULL: nobody does. */
    void (*gathered)(void *context);
    /* About once a second while it is connected. NULL: nobody wants it. */
    void (*pulse)(void *context);
    /* As the publisher's. */
    void (*turned)(void *context, bool up, const char *why);
};
#define SAGA_AMQP_PREFETCH   512
#define SAGA_AMQP_PASSIVE_MS 15000

/* Starts the thread, which connects by itself, for ever; *consumer is set before anything is called
 * back, and NULL on an error. Errors: FAILED. */
SAGA_CHECKED enum saga_error
saga_amqp_consumer_open(struct saga_amqp_consumer **consumer,
                        const struct saga_amqp_consumer_options *options, struct saga_fault *fault);

void saga_amqp_consumer_settle(struct saga_amqp_consumer *consumer, struct saga_amqp_ticket ticket,
                               enum saga_amqp_settlement how);

/* As settle, but the thread is not woken for it: it is carried out with what it is woken for next,
 * by a settlement, by saga_amqp_consumer_push(), by the broker or by its pulse. */
void saga_amqp_consumer_settle_later(struct saga_amqp_consumer *consumer,
                                     struct saga_amqp_ticket ticket, enum saga_amqp_settlement how);
/* What was settled later is carried out now. */
void saga_amqp_consumer_push(struct saga_amqp_consumer *consumer);

struct saga_amqp_consumer_counts {
    bool up;
    uint64_t delivered, acknowledged, rejected, requeued, oversized, void_settlements;
    uint64_t connections;
};
/* Any thread. */
void saga_amqp_consumer_count(struct saga_amqp_consumer *consumer,
                              struct saga_amqp_consumer_counts *counts);

/* Returns when nothing more will be delivered (`gathered` was called for what was);
 * goes on settling. */
void saga_amqp_consumer_stop(struct saga_amqp_consumer *consumer);
/* Carries out the settlements that were asked for, ends the thread, frees. NULL is
 * allowed. */
void saga_amqp_consumer_close(struct saga_amqp_consumer *consumer);

#endif
