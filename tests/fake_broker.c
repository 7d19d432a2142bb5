#include "fake_broker.h"

#include <check.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PUTS_MAX        1024
#define SETTLEMENTS_MAX 1024
#define PATIENCE_MS     30000

/* The handles mean nothing: there is one of each. */
struct saga_amqp_publisher {
    int nothing;
};
struct saga_amqp_consumer {
    int nothing;
};

static struct saga_amqp_publisher publisher_handle;
static struct saga_amqp_consumer consumer_handle;
static struct saga_amqp_publisher_options publisher;
static struct saga_amqp_consumer_options consumer;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static struct saga_amqp_outgoing *put_messages[PUTS_MAX];
static size_t put_count, put_taken;
static struct fake_settlement settlements[SETTLEMENTS_MAX];
static size_t settlement_count, settlement_taken;
static bool publisher_up, publisher_blocked;
static bool stopped;
static char declarations[4096];

void fake_broker_reset(void) {
    put_count = put_taken = settlement_count = settlement_taken = 0;
    publisher_up = publisher_blocked = stopped = false;
    declarations[0] = '\0';
}

/* ------------------------------------------------------------ the test's side */

static void set_up(bool up, bool blocked) {
    (void)pthread_mutex_lock(&mutex);
    publisher_up = up;
    publisher_blocked = blocked;
    (void)pthread_mutex_unlock(&mutex);
}

void fake_broker_turn(bool up, const char *why) {
    set_up(up, false);
    publisher.turned(publisher.context, up, why);
    consumer.turned(consumer.context, up, why);
}

void fake_broker_alarm(bool on) {
    set_up(!on, on);
    publisher.turned(publisher.context, !on, on ? "it has an alarm" : "the alarm is over");
}

void fake_broker_deliver(const struct saga_amqp_message *message, struct saga_amqp_ticket ticket) {
    consumer.delivered(consumer.context, 0, message, ticket);
}

void fake_broker_gathered(void) {
    consumer.gathered(consumer.context);
}

/* Waits until `count` goes beyond `taken`. False: not within this time. */
static bool await(const size_t *count, size_t taken, int64_t within_ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(within_ms / 1000);
    until.tv_nsec += (long)(within_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&mutex);
    while (*count <= taken && pthread_cond_timedwait(&condition, &mutex, &until) == 0) {
    }
    const bool there = *count > taken;
    (void)pthread_mutex_unlock(&mutex);
    return there;
}

struct saga_amqp_outgoing *fake_broker_next_put(void) {
    ck_assert_msg(await(&put_count, put_taken, PATIENCE_MS), "nothing was put");
    return put_messages[put_taken++];
}

bool fake_broker_puts_nothing(int64_t within_ms) {
    return !await(&put_count, put_taken, within_ms);
}

struct fake_settlement fake_broker_next_settlement(void) {
    ck_assert_msg(await(&settlement_count, settlement_taken, PATIENCE_MS), "nothing was settled");
    return settlements[settlement_taken++];
}

size_t fake_broker_settlement_count(void) {
    (void)pthread_mutex_lock(&mutex);
    const size_t count = settlement_count - settlement_taken;
    (void)pthread_mutex_unlock(&mutex);
    return count;
}

bool fake_broker_stopped(void) {
    return stopped;
}

const char *fake_broker_declarations(void) {
    struct saga_fault fault;
    declarations[0] = '\0';
    ck_assert_int_eq(publisher.prepare(publisher.context, NULL, &fault), SAGA_OK);
    ck_assert_int_eq(consumer.prepare(consumer.context, NULL, &fault), SAGA_OK);
    return declarations;
}

/* --------------------------------------------------------- amqp/publisher.h */

enum saga_error saga_amqp_publisher_open(struct saga_amqp_publisher **opened,
                                         const struct saga_amqp_publisher_options *options,
                                         struct saga_fault *fault) {
    (void)fault;
    publisher = *options;
    *opened = &publisher_handle;
    return SAGA_OK;
}

bool saga_amqp_publisher_put(struct saga_amqp_publisher *handle,
                             struct saga_amqp_outgoing *outgoing) {
    (void)handle;
    (void)pthread_mutex_lock(&mutex);
    const bool taken = publisher_up;
    if (taken) {
        ck_assert_uint_lt(put_count, PUTS_MAX);
        put_messages[put_count++] = outgoing;
    }
    (void)pthread_cond_broadcast(&condition);
    (void)pthread_mutex_unlock(&mutex);
    return taken;
}

void saga_amqp_publisher_count(struct saga_amqp_publisher *handle,
                               struct saga_amqp_publisher_counts *counts) {
    (void)handle;
    (void)pthread_mutex_lock(&mutex);
    *counts = (struct saga_amqp_publisher_counts){.up = publisher_up, .blocked = publisher_blocked};
    (void)pthread_mutex_unlock(&mutex);
}

/* What the test has not given a fate has none that is known. */
void saga_amqp_publisher_close(struct saga_amqp_publisher *handle, uint32_t drain_ms) {
    (void)handle;
    (void)drain_ms;
    set_up(false, false);
    while (put_taken < put_count) {
        struct saga_amqp_outgoing *outgoing = put_messages[put_taken++];
        outgoing->settled(outgoing, SAGA_AMQP_IN_DOUBT);
    }
    publisher.turned(publisher.context, false, "closed");
}

/* ---------------------------------------------------------- amqp/consumer.h */

enum saga_error saga_amqp_consumer_open(struct saga_amqp_consumer **opened,
                                        const struct saga_amqp_consumer_options *options,
                                        struct saga_fault *fault) {
    (void)fault;
    consumer = *options;
    *opened = &consumer_handle;
    return SAGA_OK;
}

void saga_amqp_consumer_settle(struct saga_amqp_consumer *handle, struct saga_amqp_ticket ticket,
                               enum saga_amqp_settlement how) {
    ck_assert_ptr_eq(handle, &consumer_handle);
    (void)pthread_mutex_lock(&mutex);
    ck_assert_uint_lt(settlement_count, SETTLEMENTS_MAX);
    settlements[settlement_count++] = (struct fake_settlement){ticket, how};
    (void)pthread_cond_broadcast(&condition);
    (void)pthread_mutex_unlock(&mutex);
}

void saga_amqp_consumer_stop(struct saga_amqp_consumer *handle) {
    (void)handle;
    stopped = true;
}

void saga_amqp_consumer_close(struct saga_amqp_consumer *handle) {
    (void)handle;
    consumer.turned(consumer.context, false, "closed");
}

/* -------------------------------------------------------------- amqp/link.h */

__attribute__((format(printf, 1, 2))) static void declare(const char *format, ...) {
    const size_t used = strlen(declarations);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(declarations + used, sizeof declarations - used, format, arguments);
    va_end(arguments);
}

enum saga_error saga_amqp_link_exchange(struct saga_amqp_link *link, const char *name,
                                        struct saga_fault *fault) {
    (void)link;
    (void)fault;
    declare("exchange %s\n", name);
    return SAGA_OK;
}

enum saga_error saga_amqp_link_queue(struct saga_amqp_link *link,
                                     const struct saga_amqp_queue *queue,
                                     struct saga_fault *fault) {
    (void)link;
    (void)fault;
    declare("queue %s %s dead=%s limit=%u\n", queue->name, queue->quorum ? "quorum" : "classic",
            queue->dead_letter_queue == NULL ? "-" : queue->dead_letter_queue,
            queue->delivery_limit);
    return SAGA_OK;
}

enum saga_error saga_amqp_link_bind(struct saga_amqp_link *link, const char *queue,
                                    const char *exchange, const char *routing_key,
                                    struct saga_fault *fault) {
    (void)link;
    (void)fault;
    declare("bind %s to %s by %s\n", queue, exchange, routing_key);
    return SAGA_OK;
}
