#include "errand.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(const char *text) {
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *copy(char **at, const char *from, size_t size) {
    if (from == NULL) {
        return NULL;
    }
    char *to = *at;
    if (size > 0) {
        memcpy(to, from, size);
    }
    *at += size;
    return to;
}

struct saga_errand *saga_errand_make(const struct saga_amqp_message *message,
                                     const struct saga_wire_command *command,
                                     struct saga_amqp_ticket ticket) {
    const char *const exchange = message->exchange == NULL ? "" : message->exchange;
    const size_t sizes[] = {
        size_of(command->name), size_of(command->id),        size_of(command->saga),
        size_of(command->step), size_of(command->operation), size_of(command->saga_type),
        size_of(exchange),      size_of(message->reply_to),  command->body_size,
    };
    size_t size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size += sizes[i];
    }
    struct saga_errand *errand = malloc(sizeof *errand + size);
    if (errand == NULL) {
        return NULL;
    }
    *errand = (struct saga_errand){.ticket = ticket, .command = *command};
    char *at = errand->bytes;
    errand->command.name = copy(&at, command->name, sizes[0]);
    errand->command.id = copy(&at, command->id, sizes[1]);
    errand->command.saga = copy(&at, command->saga, sizes[2]);
    errand->command.step = copy(&at, command->step, sizes[3]);
    errand->command.operation = copy(&at, command->operation, sizes[4]);
    errand->command.saga_type = copy(&at, command->saga_type, sizes[5]);
    errand->reply_exchange = copy(&at, exchange, sizes[6]);
    errand->reply_to = copy(&at, message->reply_to, sizes[7]);
    errand->command.body = copy(&at, command->body, sizes[8]);
    return errand;
}

void saga_errand_free(struct saga_errand *errand) {
    if (errand != NULL) {
        saga_wire_reply_free(&errand->reply);
        free(errand);
    }
}

void saga_errand_answer(struct saga_errand *errand, struct saga_wire_reply *reply,
                        const char *app) {
    assert(!reply->silent && reply->body != NULL && errand->reply.body == NULL);
    errand->reply = *reply;
    *reply = (struct saga_wire_reply){0};
    /* To the exchange from which the command came: there the orchestrator has bound its queue.
     * Transient: what a broker forgets is asked for again. The message_id tells the publisher
     * which reply came back, if no queue takes it. */
    struct saga_amqp_message *message = &errand->outgoing.message;
    *message = (struct saga_amqp_message){
        .exchange = errand->reply_exchange,
        .routing_key = errand->reply_to,
        .message_id = errand->reply.id,
        .correlation_id = errand->reply.id,
        .content_type = "application/json",
        .app_id = app,
        .mandatory = true,
        .body = errand->reply.body,
        .body_size = errand->reply.body_size,
    };
    const char *outcome = saga_wire_outcome_name(errand->reply.outcome);
    if (outcome != NULL) {
        saga_amqp_message_add_text(message, "saga-outcome", outcome);
    }
    if (errand->reply.attempt > 0) {
        saga_amqp_message_add_number(message, "saga-attempt", errand->reply.attempt);
    }
    if (errand->reply.replayed) {
        saga_amqp_message_add_number(message, "saga-replayed", 1);
    }
}

struct saga_errand *saga_errand_of(struct saga_amqp_outgoing *outgoing) {
    return (struct saga_errand *)(void *)((char *)outgoing -
                                          offsetof(struct saga_errand, outgoing));
}

/* ------------------------------------------------------------------- queue */

void saga_errand_queue_put(struct saga_errand_queue *queue, struct saga_errand *errand) {
    errand->next = NULL;
    if (queue->first == NULL) {
        queue->first = errand;
    } else {
        queue->last->next = errand;
    }
    queue->last = errand;
}

void saga_errand_queue_append(struct saga_errand_queue *queue, struct saga_errand_queue *more) {
    if (more->first == NULL) {
        return;
    }
    if (queue->first == NULL) {
        queue->first = more->first;
    } else {
        queue->last->next = more->first;
    }
    queue->last = more->last;
    *more = (struct saga_errand_queue){0};
}

struct saga_errand *saga_errand_queue_take(struct saga_errand_queue *queue) {
    struct saga_errand *errand = queue->first;
    if (errand != NULL) {
        queue->first = errand->next;
        errand->next = NULL;
    }
    return errand;
}

void saga_errand_queue_forget(struct saga_errand_queue *queue, uint64_t connection) {
    struct saga_errand_queue kept = {0};
    struct saga_errand *errand;
    while ((errand = saga_errand_queue_take(queue)) != NULL) {
        if (errand->ticket.connection == connection) {
            saga_errand_queue_put(&kept, errand);
        } else {
            saga_errand_free(errand);
        }
    }
    *queue = kept;
}

void saga_errand_queue_clear(struct saga_errand_queue *queue) {
    struct saga_errand *errand;
    while ((errand = saga_errand_queue_take(queue)) != NULL) {
        saga_errand_free(errand);
    }
}
