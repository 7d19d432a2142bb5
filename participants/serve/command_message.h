/*
 * A command as a message of AMQP: which property and which header says what
 * (participants/PROTOCOL.md).
 *
 * Hides the names of the headers. Promises that what it lets through has a usable
 * identity and somebody to answer to; the body is looked at by the participant.
 *
 * Threads: no state.
 */
#ifndef SAGA_COMMAND_MESSAGE_H
#define SAGA_COMMAND_MESSAGE_H

#include "message.h"
#include "wire.h"

/* Reads the message; the command's texts and body are the message's own. NULL; or
 * what is wrong with it, a constant text: then no participant can ever act on it,
 * and it belongs to the dead letters. */
const char *saga_command_message_read(const struct saga_amqp_message *message,
                                      struct saga_wire_command *command);

#endif
