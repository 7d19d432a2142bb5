/*
 * Whoever sends commands to a service over a real broker, and reads the replies:
 * the orchestrator's end of the wire, and no more of it.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef COMMAND_SENDER_H
#define COMMAND_SENDER_H

#include "wire.h"
#include "wire_ends.h"

#define COMMAND_SENDER_EXCHANGE "BOOKING_TX_EVENT_STORE"
#define COMMAND_SENDER_REPLIES  "replies"

struct command_sender {
    struct wire_ends wire;
};

/* Connects to `url`, declares the exchange and its reply queue. */
void command_sender_open(struct command_sender *sender, const char *url);
void command_sender_close(struct command_sender *sender);

/* The command as a message, with all properties and headers; texts and body are borrowed. */
struct saga_amqp_message command_sender_message(const struct saga_wire_command *command);

/* Publishes, and waits until the broker has confirmed it, which must not return it. */
void command_sender_publish(struct command_sender *sender, const struct saga_amqp_message *message);
void command_sender_send(struct command_sender *sender, const struct saga_wire_command *command);
/* Publishes without waiting: it may take long to be confirmed. */
void command_sender_post(struct command_sender *sender, const struct saga_wire_command *command);

struct command_reply {
    char id[SAGA_WIRE_ID_BYTES_MAX + 1];
    char exchange[64];
    char outcome[32]; /* "": not said */
    bool replayed;
    int64_t attempt;
    char body[1024];
};
/* The next reply; waits for it. It is acknowledged. */
void command_sender_next(struct command_sender *sender, struct command_reply *reply);
/* True: none comes within this time. */
bool command_sender_hears_nothing(struct command_sender *sender, int64_t within_ms);

#endif
