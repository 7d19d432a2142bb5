#include "raw_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "bench_saga.h"
#include "command_message.h"
#include "link.h"
#include "wire.h"

/* As long as the daemon's: it is in every command. */
#define REPLY_QUEUE "saga.replies.00000000-0000-7000-8000-000000000000"

struct raw {
    struct saga_amqp_link *link;
    struct saga_command_message *command;
    size_t in_flight;
    uint64_t answered;
};

static double now_s(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_link(struct raw *raw, const struct saga_bench_site *site) {
    const struct saga_amqp_link_options options = {
        .address = &site->address,
        .name = "bench: raw",
        .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = SAGA_WIRE_BODY_BYTES_MAX,
    };
    const struct saga_amqp_queue queue = {.name = REPLY_QUEUE,
                                          .dead_letter_queue = REPLY_QUEUE ".dead"};
    struct saga_fault fault;
    if (saga_amqp_link_open(&raw->link, &options, 0, &fault) != SAGA_OK ||
        saga_amqp_link_exchange(raw->link, SAGA_BENCH_EXCHANGE, &fault) != SAGA_OK ||
        saga_amqp_link_queue(raw->link, &queue, &fault) != SAGA_OK ||
        saga_amqp_link_bind(raw->link, REPLY_QUEUE, SAGA_BENCH_EXCHANGE, REPLY_QUEUE, &fault) !=
            SAGA_OK ||
        saga_amqp_link_confirm(raw->link, &fault) != SAGA_OK ||
        saga_amqp_link_consume(raw->link, REPLY_QUEUE, 0, SAGA_BENCH_PREFETCH, &fault) != SAGA_OK) {
        saga_bench_die("raw client", fault.text);
    }
}

static void make_command(struct raw *raw, struct saga_definition *definition, bool persistent) {
    const struct saga_command_envelope envelope = {
        .exchange = SAGA_BENCH_EXCHANGE, .reply_to = REPLY_QUEUE, .persistent = persistent};
    const struct timespec now = {.tv_sec = time(NULL)};
    struct saga_dispatch dispatch = {
        .id = {.operation = SAGA_ACTION, .incarnation = 1, .revision = 1},
        .definition = definition,
        .participant = "echo",
        .name = saga_definition_command_name(definition, 0, SAGA_ACTION),
        .attempt = 1,
        .epoch = 1,
        .issued_at_ms = now.tv_sec * 1000,
        .command_at_ms = now.tv_sec * 1000,
        .deadline_ms = now.tv_sec * 1000 + 300000,
        .body = saga_bench_saga_input,
        .body_size = strlen(saga_bench_saga_input),
    };
    if (getrandom(&dispatch.id.saga, sizeof dispatch.id.saga, 0) !=
        (ssize_t)sizeof dispatch.id.saga) {
        saga_bench_die("raw client", "no random bytes");
    }
    raw->command = saga_command_message_make(&dispatch, &envelope);
    if (raw->command == NULL) {
        saga_bench_die("raw client", "no memory");
    }
}

/* A command of an earlier run, whose echo died before it acknowledged, is answered again by this
 * one's. */
static void count_reply(struct raw *raw, const struct saga_amqp_message *reply) {
    if (reply->correlation_id == NULL ||
        strcmp(reply->correlation_id, raw->command->outgoing.message.correlation_id) != 0) {
        return;
    }
    if (raw->in_flight == 0) {
        saga_bench_die("raw client", "there are more replies than commands");
    }
    raw->answered++;
    raw->in_flight--;
}

/* Everything that has arrived. */
static enum saga_error take(struct raw *raw, struct saga_fault *fault) {
    struct saga_amqp_event event;
    uint64_t last = 0;
    enum saga_error error = saga_amqp_link_take(raw->link, &event, fault);
    while (error == SAGA_OK && event.type != SAGA_AMQP_NOTHING) {
        switch ((enum saga_amqp_event_type)event.type) {
        case SAGA_AMQP_DELIVERED:
            last = event.tag;
            count_reply(raw, &event.message);
            break;
        case SAGA_AMQP_RETURNED:
        case SAGA_AMQP_REFUSED:
            saga_bench_die("raw client", "the broker gives a command back");
        case SAGA_AMQP_CONFIRMED: /* the reply has said so, too */
        case SAGA_AMQP_NOTHING:
        case SAGA_AMQP_BLOCKED:
        case SAGA_AMQP_UNBLOCKED:
            break;
        }
        error = saga_amqp_link_take(raw->link, &event, fault);
    }
    return error == SAGA_OK && last != 0 ? saga_amqp_link_ack(raw->link, last, true, fault) : error;
}

static void turn(struct raw *raw, size_t target) {
    struct saga_fault fault;
    enum saga_error error = SAGA_OK;
    const bool many = raw->in_flight + 1 < target; /* as the publisher does it */
    if (many) {
        saga_amqp_link_cork(raw->link, true);
    }
    while (error == SAGA_OK && raw->in_flight < target) {
        error = saga_amqp_link_publish(raw->link, &raw->command->outgoing.message, &fault);
        raw->in_flight++;
    }
    if (many) {
        saga_amqp_link_cork(raw->link, false);
    }
    if (error == SAGA_OK && raw->in_flight > 0) {
        saga_amqp_link_wait(raw->link, -1, -1);
        error = take(raw, &fault);
    }
    if (error != SAGA_OK) {
        saga_bench_die("raw client", fault.text);
    }
}

/* At least one command. */
static void turn_for(struct raw *raw, size_t target, double seconds) {
    const double until = now_s() + seconds;
    const uint64_t before = raw->answered;
    while (now_s() < until || raw->answered == before) {
        turn(raw, target);
    }
}

struct saga_bench_rate saga_bench_raw(const struct saga_bench_site *site,
                                      const struct saga_bench_load *load) {
    struct raw raw = {0};
    struct saga_definition *definition = saga_bench_saga_definition();
    open_link(&raw, site);
    make_command(&raw, definition, load->persistent);
    turn_for(&raw, load->in_flight, SAGA_BENCH_WARM_S);
    const struct saga_bench_clocks before = saga_bench_clocks_read(site, load);
    const uint64_t answered = raw.answered;
    turn_for(&raw, load->in_flight, load->seconds);
    const struct saga_bench_clocks after = saga_bench_clocks_read(site, load);
    const struct saga_bench_rate rate =
        saga_bench_rate_between(&before, &after, (double)(raw.answered - answered), 0);
    while (raw.in_flight > 0) { /* the next load begins with empty queues */
        turn(&raw, 0);
    }
    saga_amqp_link_finish(raw.link, SAGA_AMQP_TIMEOUT_MS);
    free(raw.command);
    saga_definition_free(definition);
    return rate;
}
