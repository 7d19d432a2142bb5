/*
 * A link: one connection to the broker, with one channel.
 *
 * Hides rabbitmq-c, whose headers have one home (rabbitmq.h). It reads frames
 * itself, so that a message's size is looked at before memory is given
 * for it, and so that no call waits for the rest of a message.
 *
 * Promises:
 *  1. Every call but saga_amqp_link_publish() is over within the timeouts of the
 *     options. A publish blocks as long as the broker does not read (a memory
 *     alarm): saga_amqp_link_cut(), from another thread, breaks it loose.
 *  2. After an error (UNREACHABLE) the link is of no use but to be closed. What was
 *     published and not confirmed may have arrived or not; deliveries that were
 *     not acknowledged come again.
 *  3. A message over `body_bytes_max` takes no memory: it is read past, and
 *     rejected without requeue.
 *
 * Threads: one link belongs to one thread; saga_amqp_link_cut() is for any other.
 */
#ifndef SAGA_AMQP_LINK_H
#define SAGA_AMQP_LINK_H

#include "address.h"
#include "error.h"
#include "message.h"

struct saga_amqp_link;

struct saga_amqp_link_options {
    const struct saga_amqp_address *address;
    const char *name;        /* as the broker shows the connection: "sagad: commands" */
    const char *ca_file;     /* amqps: whom to trust; NULL: the system's */
    const char *certificate; /* amqps: our own, with `key`; NULL: none */
    const char *key;
    uint32_t timeout_ms;   /* of connecting, of the login, and of each declaration */
    uint32_t heartbeat_s;  /* the broker, or the way to it, is dead after two of them */
    size_t body_bytes_max; /* of a message that is delivered */
};
#define SAGA_AMQP_TIMEOUT_MS  4000
#define SAGA_AMQP_HEARTBEAT_S 10
/* The stack of a thread that has a link: the library descends into headers that are tables in
 * tables, and a frame of them (which anybody who may publish can send) takes nearly 3 MiB. */
#define SAGA_AMQP_STACK_BYTES (8u << 20)

/* Connects to the address's host number `host`, logs in, opens the channel.
 * Errors: UNREACHABLE, with the host and the reason (also a login that was
 * refused). */
SAGA_CHECKED enum saga_error saga_amqp_link_open(struct saga_amqp_link **link,
                                                 const struct saga_amqp_link_options *options,
                                                 size_t host, struct saga_fault *fault);
/* NULL is allowed. Waits for nobody; what was written last may not arrive. */
void saga_amqp_link_close(struct saga_amqp_link *link);
/* Takes leave of the broker, for `timeout_ms` at most, so that everything that was
 * written arrives. After it the link is of no use but to be closed. */
void saga_amqp_link_farewell(struct saga_amqp_link *link, uint32_t timeout_ms);
/* Both, the farewell first. */
void saga_amqp_link_finish(struct saga_amqp_link *link, uint32_t timeout_ms);

/* Makes whatever the link's thread is doing fail. Any thread; the link must stay
 * open until the call is over. */
void saga_amqp_link_cut(struct saga_amqp_link *link);

/* ---------------------------------------------------------------- topology */

/* A durable topic exchange. Errors of all declarations: UNREACHABLE (the broker is
 * gone, or refuses: it is there already with other properties). */
SAGA_CHECKED enum saga_error saga_amqp_link_exchange(struct saga_amqp_link *link, const char *name,
                                                     struct saga_fault *fault);

struct saga_amqp_queue {
    const char *name;
    bool quorum; /* replicated; else classic. Durable in any case */
    /* Where rejected messages go: a queue of this name, by the default exchange. NULL: they are
     * dropped. */
    const char *dead_letter_queue;
    uint32_t delivery_limit; /* quorum: so many deliveries, then to the dead letters; 0: no limit */
};
SAGA_CHECKED enum saga_error saga_amqp_link_queue(struct saga_amqp_link *link,
                                                  const struct saga_amqp_queue *queue,
                                                  struct saga_fault *fault);

/* NOT_FOUND, and the link is of no use any more, if there is no such queue. */
SAGA_CHECKED enum saga_error saga_amqp_link_find_queue(struct saga_amqp_link *link,
                                                       const char *name, struct saga_fault *fault);

SAGA_CHECKED enum saga_error saga_amqp_link_bind(struct saga_amqp_link *link, const char *queue,
                                                 const char *exchange, const char *routing_key,
                                                 struct saga_fault *fault);

/* ------------------------------------------------------- publishing, consuming */

/* From now on what is published is confirmed, in numbers from 1. */
SAGA_CHECKED enum saga_error saga_amqp_link_confirm(struct saga_amqp_link *link,
                                                    struct saga_fault *fault);

/* At most `prefetch` messages of this queue are delivered and not yet acknowledged.
 * `number` is in the events of its deliveries. */
SAGA_CHECKED enum saga_error saga_amqp_link_consume(struct saga_amqp_link *link, const char *queue,
                                                    uint16_t number, uint16_t prefetch,
                                                    struct saga_fault *fault);
/* Asks for no more deliveries from that queue; what was delivered can be settled. */
SAGA_CHECKED enum saga_error saga_amqp_link_cancel(struct saga_amqp_link *link, uint16_t number,
                                                   struct saga_fault *fault);

/* Errors: UNREACHABLE: it may have left or not; INVALID: it can never be published
 * (a short string that is too long), nothing left, and the link goes on. */
SAGA_CHECKED enum saga_error saga_amqp_link_publish(struct saga_amqp_link *link,
                                                    const struct saga_amqp_message *message,
                                                    struct saga_fault *fault);

/* What is published or acknowledged while the link is corked may wait for more of it, for 200 ms
 * at most; it leaves when the cork is pulled. For several messages in a row: they cost the broker
 * and us less in one piece. */
void saga_amqp_link_cork(struct saga_amqp_link *link, bool corked);

/* Acknowledges the delivery of this tag, or (`up_to`) all until it. */
SAGA_CHECKED enum saga_error saga_amqp_link_ack(struct saga_amqp_link *link, uint64_t tag,
                                                bool up_to, struct saga_fault *fault);
/* To the dead letters, or (`requeue`) back into the queue. */
SAGA_CHECKED enum saga_error saga_amqp_link_reject(struct saga_amqp_link *link, uint64_t tag,
                                                   bool requeue, struct saga_fault *fault);

/* ------------------------------------------------------------------ events */

enum saga_amqp_event_type {
    SAGA_AMQP_NOTHING = 1, /* nothing (more) has arrived */
    SAGA_AMQP_DELIVERED,   /* `message`, `tag` */
    SAGA_AMQP_RETURNED,    /* `message`: no queue took it. Comes before its confirmation */
    SAGA_AMQP_CONFIRMED,   /* `tag`, or (`up_to`) all until it */
    SAGA_AMQP_REFUSED,     /* likewise: the broker could not take it */
    SAGA_AMQP_BLOCKED,     /* the broker has an alarm: it takes no messages */
    SAGA_AMQP_UNBLOCKED,
};

struct saga_amqp_event {
    uint8_t type;
    uint16_t queue; /* DELIVERED: the number given to saga_amqp_link_consume() */
    uint64_t tag;
    bool up_to;
    bool redelivered;                 /* DELIVERED. (False proves nothing.) */
    struct saga_amqp_message message; /* until the next call about this link */
};

/* What has arrived. Never waits. Errors: UNREACHABLE: the connection is lost, or
 * the broker has closed it, the channel, or the consumer; the reason is in the
 * fault. */
SAGA_CHECKED enum saga_error saga_amqp_link_take(struct saga_amqp_link *link,
                                                 struct saga_amqp_event *event,
                                                 struct saga_fault *fault);

/* Waits until saga_amqp_link_take() may have something, `wake_fd` is readable, or
 * the time is over. */
void saga_amqp_link_wait(struct saga_amqp_link *link, int wake_fd, int timeout_ms);

/* Messages over the limit, rejected by promise 3. */
uint64_t saga_amqp_link_oversized(const struct saga_amqp_link *link);

#endif
