/*
 * A command as a message: its properties, its headers, its body.
 *
 * Hides what a participant reads where (docs/protocol.md). One piece of memory,
 * which is also the engine's request that says the command did not leave.
 *
 * Threads: belongs to whoever holds it.
 */
#ifndef SAGA_COMMAND_MESSAGE_H
#define SAGA_COMMAND_MESSAGE_H

#include "engine.h"
#include "publisher.h"

/* What holds for all commands of a daemon. */
struct saga_command_envelope {
    const char *exchange; /* where the definition names none */
    const char *reply_to;
    bool persistent;
};

struct saga_command_message {
    struct saga_amqp_outgoing outgoing; /* `context` and `settled` are the caller's to set */
    struct saga_request unsent;         /* likewise `answered` */
    char bytes[];
};

/* Copies a command; what `envelope` points to is borrowed for the message's life.
 * NULL: no memory. Free with free(). */
struct saga_command_message *
saga_command_message_make(const struct saga_dispatch *dispatch,
                          const struct saga_command_envelope *envelope);

#endif
