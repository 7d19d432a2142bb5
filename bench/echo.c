#include "echo.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "link.h"
#include "wire.h"

static struct saga_amqp_link *connect_echo(const struct saga_bench_site *site) {
    const struct saga_amqp_link_options options = {
        .address = &site->address,
        .name = "bench: echo",
        .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = SAGA_WIRE_BODY_BYTES_MAX,
    };
    const struct saga_amqp_queue queue = {.name = SAGA_BENCH_QUEUE};
    struct saga_amqp_link *link;
    struct saga_fault fault;
    if (saga_amqp_link_open(&link, &options, 0, &fault) != SAGA_OK ||
        saga_amqp_link_exchange(link, SAGA_BENCH_EXCHANGE, &fault) != SAGA_OK ||
        saga_amqp_link_queue(link, &queue, &fault) != SAGA_OK ||
        saga_amqp_link_bind(link, SAGA_BENCH_QUEUE, SAGA_BENCH_EXCHANGE, "echo.#", &fault) !=
            SAGA_OK ||
        saga_amqp_link_consume(link, SAGA_BENCH_QUEUE, 0, SAGA_BENCH_PREFETCH, &fault) != SAGA_OK) {
        saga_bench_die("echo", fault.text);
    }
    return link;
}

/* As a service's reply: the outcome in a header, and the body of PROTOCOL.md. */
static enum saga_error answer(struct saga_amqp_link *link, const struct saga_amqp_message *command,
                              struct saga_fault *fault) {
    char body[512];
    int64_t attempt = 1;
    (void)saga_amqp_message_number(command, "saga-attempt", &attempt);
    const int size =
        snprintf(body, sizeof body, "{\"id\":\"%s\",\"content\":null,\"reply_state\":\"DONE\"}",
                 command->correlation_id);
    struct saga_amqp_message reply = {
        .exchange = command->exchange,
        .routing_key = command->reply_to,
        .correlation_id = command->correlation_id,
        .content_type = "application/json",
        .app_id = "echo",
        .body = body,
        .body_size = (size_t)size,
    };
    saga_amqp_message_add_text(&reply, "saga-outcome", "done");
    saga_amqp_message_add_number(&reply, "saga-attempt", attempt);
    return saga_amqp_link_publish(link, &reply, fault);
}

static enum saga_error answer_what_is_at_hand(struct saga_amqp_link *link,
                                              struct saga_fault *fault) {
    struct saga_amqp_event event;
    uint64_t last = 0;
    saga_amqp_link_cork(link, true);
    enum saga_error error = saga_amqp_link_take(link, &event, fault);
    while (error == SAGA_OK && event.type != SAGA_AMQP_NOTHING) {
        if (event.type == SAGA_AMQP_DELIVERED && event.message.reply_to != NULL) {
            last = event.tag;
            error = answer(link, &event.message, fault);
        }
        if (error == SAGA_OK) {
            error = saga_amqp_link_take(link, &event, fault);
        }
    }
    if (error == SAGA_OK && last != 0) {
        error = saga_amqp_link_ack(link, last, true, fault);
    }
    saga_amqp_link_cork(link, false);
    return error;
}

static _Noreturn void echo(const struct saga_bench_site *site, int ready) {
    struct saga_fault fault;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct saga_amqp_link *link = connect_echo(site);
    if (write(ready, "", 1) != 1) {
        _exit(1);
    }
    (void)close(ready);
    while (answer_what_is_at_hand(link, &fault) == SAGA_OK) {
        saga_amqp_link_wait(link, -1, -1);
    }
    saga_bench_die("echo", fault.text);
}

pid_t saga_bench_echo_start(const struct saga_bench_site *site) {
    int ready[2];
    char byte;
    if (pipe(ready) != 0) {
        saga_bench_die("echo", "no pipe");
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)close(ready[0]);
        echo(site, ready[1]);
    }
    (void)close(ready[1]);
    if (child < 0 || read(ready[0], &byte, 1) != 1) {
        saga_bench_die("echo", "it does not start");
    }
    (void)close(ready[0]);
    return child;
}
