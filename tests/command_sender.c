#include "command_sender.h"

#include <check.h>
#include <stdio.h>

void command_sender_open(struct command_sender *sender, const char *url) {
    wire_ends_open(&sender->wire, url);
    wire_ends_consume_bound(&sender->wire, COMMAND_SENDER_REPLIES, COMMAND_SENDER_EXCHANGE,
                            COMMAND_SENDER_REPLIES);
}

void command_sender_close(struct command_sender *sender) {
    wire_ends_close(&sender->wire);
}

struct saga_amqp_message command_sender_message(const struct saga_wire_command *command) {
    struct saga_amqp_message message = {
        .exchange = COMMAND_SENDER_EXCHANGE,
        .routing_key = command->name,
        .message_id = command->id,
        .correlation_id = command->id,
        .reply_to = COMMAND_SENDER_REPLIES,
        .type = command->name,
        .content_type = "application/json",
        .mandatory = true,
        .body = command->body,
        .body_size = command->body_size,
    };
    saga_amqp_message_add_text(&message, "CLIENT", "BOOKING_REQUEST_ORCHESTRATOR");
    saga_amqp_message_add_text(&message, "saga-id", command->saga);
    saga_amqp_message_add_text(&message, "saga-type", "booking");
    saga_amqp_message_add_text(&message, "saga-step", command->step);
    saga_amqp_message_add_number(&message, "saga-incarnation", command->incarnation);
    saga_amqp_message_add_number(&message, "saga-revision", command->revision);
    saga_amqp_message_add_text(&message, "saga-operation", command->operation);
    saga_amqp_message_add_number(&message, "saga-attempt", command->attempt);
    saga_amqp_message_add_text(&message, "saga-issued-at", "2024-07-12T00:00:00.000Z");
    saga_amqp_message_add_text(&message, "saga-deadline", "2024-07-12T00:05:00.000Z");
    return message;
}

void command_sender_publish(struct command_sender *sender,
                            const struct saga_amqp_message *message) {
    wire_ends_publish(&sender->wire, message);
}

void command_sender_send(struct command_sender *sender, const struct saga_wire_command *command) {
    const struct saga_amqp_message message = command_sender_message(command);
    command_sender_publish(sender, &message);
}

void command_sender_post(struct command_sender *sender, const struct saga_wire_command *command) {
    const struct saga_amqp_message message = command_sender_message(command);
    wire_ends_post(&sender->wire, &message);
}

static void read_reply(const struct saga_amqp_message *message, struct command_reply *reply) {
    const char *outcome = saga_amqp_message_text(message, "saga-outcome");
    int64_t number = 0;
    ck_assert_str_eq(message->content_type, "application/json");
    ck_assert(!message->persistent);
    *reply = (struct command_reply){0};
    (void)snprintf(reply->id, sizeof reply->id, "%s", message->correlation_id);
    (void)snprintf(reply->exchange, sizeof reply->exchange, "%s", message->exchange);
    (void)snprintf(reply->outcome, sizeof reply->outcome, "%s", outcome == NULL ? "" : outcome);
    (void)snprintf(reply->body, sizeof reply->body, "%.*s", (int)message->body_size,
                   (const char *)message->body);
    reply->replayed = saga_amqp_message_number(message, "saga-replayed", &number) && number == 1;
    ck_assert(saga_amqp_message_number(message, "saga-attempt", &reply->attempt));
}

void command_sender_next(struct command_sender *sender, struct command_reply *reply) {
    struct saga_amqp_event event;
    ck_assert_msg(wire_ends_hear(&sender->wire, &event, WIRE_ENDS_PATIENCE_MS), "no reply comes");
    read_reply(&event.message, reply);
    wire_ends_ack(&sender->wire, &event);
}

bool command_sender_hears_nothing(struct command_sender *sender, int64_t within_ms) {
    struct saga_amqp_event event;
    return !wire_ends_hear(&sender->wire, &event, within_ms);
}
