#include "wire_ends.h"

#include <check.h>

#include "monotonic.h"

#define FINISH_MS 5000

static void need(enum saga_error error, const struct saga_fault *fault) {
    ck_assert_msg(error == SAGA_OK, "%s", fault->text);
}

void wire_ends_open(struct wire_ends *ends, const char *url) {
    struct saga_fault fault = {0};
    need(saga_amqp_address_parse(&ends->address, url, &fault), &fault);
    const struct saga_amqp_link_options options = {
        .address = &ends->address,
        .name = "test",
        .timeout_ms = 20000,
        .heartbeat_s = 60,
        .body_bytes_max = 4u << 20,
    };
    need(saga_amqp_link_open(&ends->in, &options, 0, &fault), &fault);
    need(saga_amqp_link_open(&ends->out, &options, 0, &fault), &fault);
    need(saga_amqp_link_confirm(ends->out, &fault), &fault);
}

void wire_ends_consume(struct wire_ends *ends, const char *queue) {
    struct saga_fault fault = {0};
    const struct saga_amqp_queue ours = {.name = queue};
    need(saga_amqp_link_queue(ends->in, &ours, &fault), &fault);
    need(saga_amqp_link_consume(ends->in, queue, 0, 100, &fault), &fault);
}

void wire_ends_consume_bound(struct wire_ends *ends, const char *queue, const char *exchange,
                             const char *key) {
    struct saga_fault fault = {0};
    const struct saga_amqp_queue ours = {.name = queue};
    need(saga_amqp_link_exchange(ends->in, exchange, &fault), &fault);
    need(saga_amqp_link_queue(ends->in, &ours, &fault), &fault);
    need(saga_amqp_link_bind(ends->in, queue, exchange, key, &fault), &fault);
    need(saga_amqp_link_consume(ends->in, queue, 0, 100, &fault), &fault);
}

void wire_ends_close(struct wire_ends *ends) {
    saga_amqp_link_finish(ends->in, FINISH_MS);
    saga_amqp_link_finish(ends->out, FINISH_MS);
}

/* The next event of this type. False: not within this time. */
static bool await(struct saga_amqp_link *link, enum saga_amqp_event_type type,
                  struct saga_amqp_event *event, int64_t within_ms) {
    struct saga_fault fault = {0};
    const int64_t until_ms = monotonic_ms() + within_ms;
    for (;;) {
        need(saga_amqp_link_take(link, event, &fault), &fault);
        if (event->type == type) {
            return true;
        }
        ck_assert_int_ne(event->type, SAGA_AMQP_RETURNED);
        ck_assert_int_ne(event->type, SAGA_AMQP_REFUSED);
        if (event->type == SAGA_AMQP_NOTHING) {
            const int64_t left_ms = until_ms - monotonic_ms();
            if (left_ms <= 0) {
                return false;
            }
            saga_amqp_link_wait(link, -1, (int)left_ms);
        }
    }
}

bool wire_ends_hear(struct wire_ends *ends, struct saga_amqp_event *event, int64_t within_ms) {
    return await(ends->in, SAGA_AMQP_DELIVERED, event, within_ms);
}

void wire_ends_ack(struct wire_ends *ends, const struct saga_amqp_event *event) {
    struct saga_fault fault = {0};
    need(saga_amqp_link_ack(ends->in, event->tag, false, &fault), &fault);
}

void wire_ends_post(struct wire_ends *ends, const struct saga_amqp_message *message) {
    struct saga_fault fault = {0};
    need(saga_amqp_link_publish(ends->out, message, &fault), &fault);
}

void wire_ends_publish(struct wire_ends *ends, const struct saga_amqp_message *message) {
    struct saga_amqp_event event;
    wire_ends_post(ends, message);
    ck_assert(await(ends->out, SAGA_AMQP_CONFIRMED, &event, WIRE_ENDS_PATIENCE_MS));
}
