#include "command_sender.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 60000

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void need(enum saga_error error, const struct saga_fault *fault) {
    ck_assert_msg(error == SAGA_OK, "%s", fault->text);
}

void command_sender_open(struct command_sender *sender, const char *url) {
    struct saga_fault fault = {0};
    const struct saga_amqp_queue queue = {.name = COMMAND_SENDER_REPLIES};
    need(saga_amqp_address_parse(&sender->address, url, &fault), &fault);
    const struct saga_amqp_link_options options = {
        .address = &sender->address,
        .name = "test",
        .timeout_ms = 20000,
        .heartbeat_s = 60,
        .body_bytes_max = 4 * SAGA_WIRE_BODY_BYTES_MAX,
    };
    need(saga_amqp_link_open(&sender->commands, &options, 0, &fault), &fault);
    need(saga_amqp_link_open(&sender->replies, &options, 0, &fault), &fault);
    need(saga_amqp_link_confirm(sender->commands, &fault), &fault);
    need(saga_amqp_link_exchange(sender->replies, COMMAND_SENDER_EXCHANGE, &fault), &fault);
    need(saga_amqp_link_queue(sender->replies, &queue, &fault), &fault);
    need(saga_amqp_link_bind(sender->replies, COMMAND_SENDER_REPLIES, COMMAND_SENDER_EXCHANGE,
                             COMMAND_SENDER_REPLIES, &fault),
         &fault);
    need(saga_amqp_link_consume(sender->replies, COMMAND_SENDER_REPLIES, 0, 100, &fault), &fault);
}

void command_sender_close(struct command_sender *sender) {
    saga_amqp_link_finish(sender->commands, 5000);
    saga_amqp_link_finish(sender->replies, 5000);
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

/* The next event of this type. False: not within this time. */
static bool await(struct saga_amqp_link *link, enum saga_amqp_event_type type,
                  struct saga_amqp_event *event, int64_t within_ms) {
    struct saga_fault fault = {0};
    const int64_t until_ms = now_ms() + within_ms;
    for (;;) {
        need(saga_amqp_link_take(link, event, &fault), &fault);
        if (event->type == type) {
            return true;
        }
        ck_assert_int_ne(event->type, SAGA_AMQP_RETURNED);
        ck_assert_int_ne(event->type, SAGA_AMQP_REFUSED);
        if (event->type == SAGA_AMQP_NOTHING) {
            const int64_t left_ms = until_ms - now_ms();
            if (left_ms <= 0) {
                return false;
            }
            saga_amqp_link_wait(link, -1, (int)left_ms);
        }
    }
}

void command_sender_publish(struct command_sender *sender,
                            const struct saga_amqp_message *message) {
    struct saga_fault fault = {0};
    struct saga_amqp_event event;
    need(saga_amqp_link_publish(sender->commands, message, &fault), &fault);
    ck_assert(await(sender->commands, SAGA_AMQP_CONFIRMED, &event, PATIENCE_MS));
}

void command_sender_send(struct command_sender *sender, const struct saga_wire_command *command) {
    const struct saga_amqp_message message = command_sender_message(command);
    command_sender_publish(sender, &message);
}

void command_sender_post(struct command_sender *sender, const struct saga_wire_command *command) {
    struct saga_fault fault = {0};
    const struct saga_amqp_message message = command_sender_message(command);
    need(saga_amqp_link_publish(sender->commands, &message, &fault), &fault);
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
    struct saga_fault fault = {0};
    struct saga_amqp_event event;
    ck_assert_msg(await(sender->replies, SAGA_AMQP_DELIVERED, &event, PATIENCE_MS),
                  "no reply comes");
    read_reply(&event.message, reply);
    need(saga_amqp_link_ack(sender->replies, event.tag, false, &fault), &fault);
}

bool command_sender_hears_nothing(struct command_sender *sender, int64_t within_ms) {
    struct saga_amqp_event event;
    return !await(sender->replies, SAGA_AMQP_DELIVERED, &event, within_ms);
}
