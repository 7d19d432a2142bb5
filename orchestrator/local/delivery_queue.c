#include "delivery_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"

static const char *copy(char **at, const void *from, size_t size) {
    char *to = *at;
    memcpy(to, from, size);
    *at += size;
    return to;
}

/* The engine has done with the reply: the command's story is over here. */
static void answered(struct saga_request *request) {
    saga_local_delivery_free((struct saga_local_delivery *)(void *)request);
}

struct saga_local_delivery *saga_local_delivery_make(const struct saga_dispatch *dispatch) {
    const struct saga_definition *definition = dispatch->definition;
    const char *step = definition->steps[dispatch->id.step].name;
    const size_t name_size = strlen(dispatch->name) + 1;
    const size_t type_size = strlen(definition->name) + 1;
    const size_t step_size = strlen(step) + 1;
    struct saga_local_delivery *delivery =
        malloc(sizeof *delivery + name_size + type_size + step_size + dispatch->body_size);
    if (delivery == NULL) {
        return NULL;
    }
    char *at = delivery->bytes;
    *delivery = (struct saga_local_delivery){
        .request = {.type = SAGA_REQUEST_REPLY,
                    .answered = answered,
                    .command = dispatch->id,
                    .attempt = dispatch->attempt},
        .issued_at_ms = dispatch->command_at_ms,
        .deadline_ms = dispatch->deadline_ms,
        .body_size = dispatch->body_size,
    };
    delivery->name = copy(&at, dispatch->name, name_size);
    delivery->saga_type = copy(&at, definition->name, type_size);
    delivery->step = copy(&at, step, step_size);
    delivery->body = dispatch->body_size == 0 ? at : copy(&at, dispatch->body, dispatch->body_size);
    return delivery;
}

void saga_local_delivery_free(struct saga_local_delivery *delivery) {
    free((void *)(uintptr_t)delivery->request.body.data);
    free(delivery);
}

static enum saga_wire_operation wire_operation(uint8_t operation) {
    switch ((enum saga_operation)operation) {
    case SAGA_ACTION:
        return SAGA_WIRE_ACTION;
    case SAGA_COMPENSATION:
        return SAGA_WIRE_COMPENSATION;
    case SAGA_FENCE:
        return SAGA_WIRE_FENCE;
    case SAGA_SETTLE:
        return SAGA_WIRE_SETTLE;
    }
    assert(!"an operation that is not in the list");
    return SAGA_WIRE_FENCE;
}

struct saga_wire_command saga_local_delivery_command(const struct saga_local_delivery *delivery,
                                                     char *id, char *saga) {
    const struct saga_command_id *command = &delivery->request.command;
    return (struct saga_wire_command){
        .name = delivery->name,
        .id = saga_command_text(command, delivery->step, id),
        .saga = saga_id_text(&command->saga, saga),
        .saga_type = delivery->saga_type,
        .step = delivery->step,
        .operation = saga_wire_operation_name(wire_operation(command->operation)),
        .incarnation = command->incarnation,
        .revision = command->revision,
        .attempt = delivery->request.attempt,
        .issued_at_ms = delivery->issued_at_ms,
        .deadline_ms = delivery->deadline_ms,
        .body = delivery->body,
        .body_size = delivery->body_size,
    };
}

static uint8_t verdict(enum saga_wire_outcome outcome) {
    switch (outcome) {
    case SAGA_WIRE_NONE:
        return 0; /* the event in the body decides */
    case SAGA_WIRE_DONE:
        return SAGA_DONE;
    case SAGA_WIRE_REJECTED:
        return SAGA_REJECTED;
    case SAGA_WIRE_ACCEPTED:
        return SAGA_ACCEPTED;
    case SAGA_WIRE_RETRY:
        return SAGA_RETRY;
    case SAGA_WIRE_FENCED:
        return SAGA_FENCED;
    case SAGA_WIRE_NOOP:
        return SAGA_NOOP;
    }
    assert(!"an outcome that is not in the list");
    return 0;
}

void saga_local_delivery_answer(struct saga_local_delivery *delivery,
                                struct saga_wire_reply *reply) {
    delivery->request.attempt = reply->attempt;
    delivery->request.verdict = verdict(reply->outcome);
    delivery->request.body =
        (struct saga_bytes){.data = reply->body, .size = (uint32_t)reply->body_size};
    reply->body = NULL;
    reply->body_size = 0;
}

/* ------------------------------------------------------------------- queue */

void saga_local_queue_put(struct saga_local_queue *queue, struct saga_local_delivery *delivery) {
    delivery->request.next = NULL;
    if (queue->first == NULL) {
        queue->first = delivery;
    } else {
        queue->last->request.next = &delivery->request;
    }
    queue->last = delivery;
}

void saga_local_queue_append(struct saga_local_queue *queue, struct saga_local_queue *more) {
    if (more->first == NULL) {
        return;
    }
    if (queue->first == NULL) {
        queue->first = more->first;
    } else {
        queue->last->request.next = &more->first->request;
    }
    queue->last = more->last;
    *more = (struct saga_local_queue){0};
}

struct saga_local_delivery *saga_local_queue_take(struct saga_local_queue *queue) {
    struct saga_local_delivery *delivery = queue->first;
    if (delivery != NULL) {
        queue->first = (struct saga_local_delivery *)(void *)delivery->request.next;
        delivery->request.next = NULL;
    }
    return delivery;
}

void saga_local_queue_clear(struct saga_local_queue *queue) {
    struct saga_local_delivery *delivery;
    while ((delivery = saga_local_queue_take(queue)) != NULL) {
        saga_local_delivery_free(delivery);
    }
}
