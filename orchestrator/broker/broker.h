/*
 * The transport to participants behind RabbitMQ: commands out, replies in, and
 * sagas that are started by a message.
 *
 * Hides both connections, what is declared at the broker, and when a message is
 * acknowledged: after the commit of what it caused.
 *
 *   exchange of the definition, topic    commands, by their names; replies, by reply_to
 *   saga.replies.<log id>                replies, bound to every exchange under its own name
 *   saga.start                           starts
 *   <queue>.dead                         what cannot be read, once
 *
 * Promises:
 *  1. saga_broker_send() never blocks, and copies what it is given.
 *  2. A command of which no byte left, or which no queue takes, is reported unsent.
 *  3. When the broker had been lost and is back, the engine is asked to send
 *     everything outstanding again; when an alarm of it is over, what was refused.
 *  4. Who is to be told of a saga's end is told until the broker has the answer, or
 *     has nobody who takes it; then the engine is told that.
 *  5. A reply or start that cannot be read, or is about no saga of this log, goes to
 *     the dead letters once, and is counted and complained of.
 *
 * Threads: one opens, stops and closes; send, push and ended are the engine's.
 */
#ifndef SAGA_BROKER_H
#define SAGA_BROKER_H

#include "consumer.h"
#include "engine.h"
#include "inbox.h"
#include "publisher.h"

struct saga_broker;

#define SAGA_BROKER_EXCHANGE    "saga.commands"
#define SAGA_BROKER_START_QUEUE "saga.start"

/* Everything that is pointed to must stay until saga_broker_close(). */
struct saga_broker_options {
    const struct saga_amqp_address *address;
    const char *ca_file, *certificate, *key; /* amqps; NULL: see link.h */
    const char *log_id;                      /* names the queue of the replies */
    const char *const *exchanges;            /* those of the definitions */
    size_t exchange_count;
    bool persistent; /* commands; else the log alone remembers them, and sends them again */
    uint64_t seed;
    struct saga_inbox *inbox;
    void *context;
    /* Something to be told: `alarming`, or good news. A sentence. Called on any thread. */
    void (*say)(void *context, bool alarming, const char *text);
};

/* Starts to connect, and goes on trying for ever. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_broker_open(struct saga_broker **broker,
                                              const struct saga_broker_options *options,
                                              struct saga_fault *fault);

/* In the shape of saga_outlet.send; `context` is the saga_broker. False: the broker
 * is not there, or takes nothing. */
SAGA_CHECKED bool saga_broker_send(void *context, const struct saga_dispatch *dispatch);

/* In the shape of saga_outlet.released. What was sent, and what was answered, may wait for it: they
 * leave in one piece. */
void saga_broker_push(void *context);

/* In the shape of saga_outlet.ended: whoever started the saga by a message is told. False: too many
 * wait, or there is no memory. */
SAGA_CHECKED bool saga_broker_ended(void *context, const struct saga_id *id, const char *status,
                                    struct saga_bytes asker);

struct saga_broker_state {
    bool up;        /* commands leave, and replies arrive */
    char why[1024]; /* if not */
    struct saga_amqp_publisher_counts publisher;
    struct saga_amqp_consumer_counts consumer;
    uint64_t malformed;      /* messages that cannot be read */
    uint64_t refused;        /* that the engine refused: unknown saga, unknown definition, ... */
    uint64_t starts_held_up; /* for want of room */
};
/* Any thread. */
void saga_broker_look(struct saga_broker *broker, struct saga_broker_state *state);

/* Nothing more arrives, and nothing more is reported: before the engine's loop is
 * stopped. */
void saga_broker_stop(struct saga_broker *broker);

/* After the loop has been stopped: acknowledges what was answered, disconnects, frees.
 * NULL is allowed. */
void saga_broker_close(struct saga_broker *broker);

#endif
