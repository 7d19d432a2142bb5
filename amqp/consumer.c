#include "consumer.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "condition.h"
#include "dial.h"

#define FINISH_MS 1000
#define PULSE_MS  1000
/* A close that has not come to its end by then is no longer patient: the broker does not read the
 * last settlements, or does not stop talking. */
#define CLOSE_MS 3000

struct settlement {
    struct saga_amqp_ticket ticket;
    uint8_t how;
};

/* Settlements that were asked for, in no order. */
struct wishes {
    struct settlement *items;
    size_t count, capacity;
};

struct saga_amqp_consumer {
    struct saga_amqp_consumer_options options;
    size_t queue_count;
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t mutex; /* for all of these */
    pthread_cond_t woken;
    struct wishes wishes;
    bool called; /* the thread will look at them */
    bool stopping;
    bool closing;
    bool quiet;                  /* nothing more will be delivered */
    bool gone;                   /* the thread has ended */
    struct saga_amqp_link *link; /* NULL: not connected */
    struct saga_amqp_consumer_counts counts;

    /* The thread's own. */
    struct saga_amqp_dial dial;
    uint64_t connection;    /* from 1 */
    struct wishes granting; /* those that are being carried out */
    uint64_t *unsettled;    /* tags that were delivered, ascending */
    size_t unsettled_count, unsettled_max;
    uint64_t oversized_before; /* on earlier connections */
    bool cancelled;            /* nothing more will be delivered */
    int64_t look_ms;           /* when to look whether the queues are there */
    int64_t pulse_ms;
    char why[sizeof((struct saga_fault *)0)->text]; /* as last told */
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void lock(struct saga_amqp_consumer *consumer) {
    (void)pthread_mutex_lock(&consumer->mutex);
}

static void unlock(struct saga_amqp_consumer *consumer) {
    (void)pthread_mutex_unlock(&consumer->mutex);
}

static void wake(struct saga_amqp_consumer *consumer) {
    const uint64_t one = 1;
    const ssize_t written = write(consumer->wake_fd, &one, sizeof one);
    assert(written == sizeof one);
}

/* For the wishes; under the mutex. One system call, however many there are until they are taken. */
static void wake_for_wishes(struct saga_amqp_consumer *consumer) {
    if (!consumer->called) {
        consumer->called = true;
        wake(consumer);
    }
}

static bool flag(struct saga_amqp_consumer *consumer, const bool *which) {
    lock(consumer);
    const bool is_set = *which;
    unlock(consumer);
    return is_set;
}

/* --------------------------------------------------------------- settlements */

static int by_tag(const void *a, const void *b) {
    const struct settlement *one = a;
    const struct settlement *other = b;
    return (one->ticket.tag > other->ticket.tag) - (one->ticket.tag < other->ticket.tag);
}

/* Takes what was asked for, without what is about earlier connections; sorted. */
static void take_wishes(struct saga_amqp_consumer *consumer) {
    struct wishes *granting = &consumer->granting;
    size_t kept = 0;
    lock(consumer);
    consumer->called = false;
    struct wishes empty = *granting;
    empty.count = 0;
    *granting = consumer->wishes;
    consumer->wishes = empty;
    for (size_t i = 0; i < granting->count; i++) {
        if (granting->items[i].ticket.connection == consumer->connection) {
            granting->items[kept++] = granting->items[i];
        }
    }
    consumer->counts.void_settlements += granting->count - kept;
    unlock(consumer);
    granting->count = kept;
    if (kept > 0) {
        qsort(granting->items, kept, sizeof granting->items[0], by_tag);
    }
}

static enum saga_error send_settlement(struct saga_amqp_link *link,
                                       const struct settlement *settlement,
                                       struct saga_fault *fault) {
    return settlement->how == SAGA_AMQP_ACK
               ? saga_amqp_link_ack(link, settlement->ticket.tag, false, fault)
               : saga_amqp_link_reject(link, settlement->ticket.tag,
                                       settlement->how == SAGA_AMQP_REQUEUE, fault);
}

static void count_settlement(struct saga_amqp_consumer *consumer, uint8_t how) {
    struct saga_amqp_consumer_counts *counts = &consumer->counts;
    counts->acknowledged += how == SAGA_AMQP_ACK;
    counts->rejected += how == SAGA_AMQP_REJECT;
    counts->requeued += how == SAGA_AMQP_REQUEUE;
}

/* How many of the deliveries that are unsettled longest are to be acknowledged, without a gap:
 * one frame says that of all of them. */
static size_t acknowledged_prefix(const struct saga_amqp_consumer *consumer) {
    const struct wishes *granting = &consumer->granting;
    size_t prefix = 0;
    while (prefix < consumer->unsettled_count && prefix < granting->count &&
           granting->items[prefix].how == SAGA_AMQP_ACK &&
           granting->items[prefix].ticket.tag == consumer->unsettled[prefix]) {
        prefix++;
    }
    return prefix;
}

/* Takes the tags of the settlements out of the unsettled ones; both ascend. A tag that was
 * settled before is dropped from the settlements: the broker would close the channel. */
static void strike(struct saga_amqp_consumer *consumer) {
    struct wishes *granting = &consumer->granting;
    size_t at = 0, kept = 0, left = 0;
    for (size_t i = 0; i < consumer->unsettled_count; i++) {
        while (at < granting->count && granting->items[at].ticket.tag < consumer->unsettled[i]) {
            at++;
        }
        if (at < granting->count && granting->items[at].ticket.tag == consumer->unsettled[i]) {
            granting->items[kept++] = granting->items[at++];
        } else {
            consumer->unsettled[left++] = consumer->unsettled[i];
        }
    }
    consumer->unsettled_count = left;
    granting->count = kept;
}

static enum saga_error grant(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                             struct saga_fault *fault) {
    const struct wishes *granting = &consumer->granting;
    enum saga_error error = SAGA_OK;
    take_wishes(consumer);
    if (granting->count == 0) {
        return SAGA_OK;
    }
    const size_t prefix = acknowledged_prefix(consumer);
    const uint64_t up_to = prefix == 0 ? 0 : consumer->unsettled[prefix - 1];
    strike(consumer);
    if (prefix > 0) {
        error = saga_amqp_link_ack(link, up_to, true, fault);
    }
    for (size_t i = prefix; i < granting->count && error == SAGA_OK; i++) {
        error = send_settlement(link, &granting->items[i], fault);
    }
    lock(consumer);
    for (size_t i = 0; i < granting->count && error == SAGA_OK; i++) {
        count_settlement(consumer, granting->items[i].how);
    }
    unlock(consumer);
    return error;
}

/* Under the mutex. */
static void wish(struct saga_amqp_consumer *consumer, struct saga_amqp_ticket ticket,
                 enum saga_amqp_settlement how) {
    struct wishes *wishes = &consumer->wishes;
    if (wishes->count == wishes->capacity) {
        const size_t capacity = wishes->capacity == 0 ? 256 : 2 * wishes->capacity;
        struct settlement *items = realloc(wishes->items, capacity * sizeof *items);
        assert(items != NULL); /* some 20 bytes for each delivery that is unsettled */
        wishes->items = items;
        wishes->capacity = capacity;
    }
    wishes->items[wishes->count++] = (struct settlement){.ticket = ticket, .how = (uint8_t)how};
}

void saga_amqp_consumer_settle(struct saga_amqp_consumer *consumer, struct saga_amqp_ticket ticket,
                               enum saga_amqp_settlement how) {
    lock(consumer);
    wish(consumer, ticket, how);
    wake_for_wishes(consumer);
    unlock(consumer);
}

void saga_amqp_consumer_settle_later(struct saga_amqp_consumer *consumer,
                                     struct saga_amqp_ticket ticket,
                                     enum saga_amqp_settlement how) {
    lock(consumer);
    wish(consumer, ticket, how);
    unlock(consumer);
}

void saga_amqp_consumer_push(struct saga_amqp_consumer *consumer) {
    lock(consumer);
    if (consumer->wishes.count > 0) {
        wake_for_wishes(consumer);
    }
    unlock(consumer);
}

/* ----------------------------------------------------------------- deliveries */

static enum saga_error take_delivery(struct saga_amqp_consumer *consumer,
                                     const struct saga_amqp_event *event,
                                     struct saga_fault *fault) {
    if (event->queue >= consumer->queue_count ||
        consumer->unsettled_count == consumer->unsettled_max ||
        (consumer->unsettled_count > 0 &&
         event->tag <= consumer->unsettled[consumer->unsettled_count - 1])) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "the broker breaks the protocol: a delivery beyond the prefetch, of "
                              "another consumer, or with a number that was used");
    }
    if (consumer->cancelled) {
        return SAGA_OK; /* it goes back to the queue with the connection's end */
    }
    consumer->unsettled[consumer->unsettled_count++] = event->tag;
    lock(consumer);
    consumer->counts.delivered++;
    unlock(consumer);
    consumer->options.delivered(
        consumer->options.context, event->queue, &event->message,
        (struct saga_amqp_ticket){.connection = consumer->connection, .tag = event->tag});
    return SAGA_OK;
}

static enum saga_error take_events(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                                   struct saga_fault *fault) {
    struct saga_amqp_event event;
    enum saga_error error;
    bool delivered = false;
    for (;;) {
        error = saga_amqp_link_take(link, &event, fault);
        if (error != SAGA_OK || event.type == SAGA_AMQP_NOTHING) {
            break;
        }
        if (event.type == SAGA_AMQP_DELIVERED) {
            error = take_delivery(consumer, &event, fault);
            delivered = true;
        }
        if (error != SAGA_OK) {
            break;
        }
    }
    if (delivered && consumer->options.gathered != NULL) {
        consumer->options.gathered(consumer->options.context);
    }
    lock(consumer);
    consumer->counts.oversized = consumer->oversized_before + saga_amqp_link_oversized(link);
    unlock(consumer);
    return error;
}

/* A queue that is deleted ends our consuming, and the broker says so; this is for the broker that
 * does not (a node that is lost with its queue). */
static enum saga_error look(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                            struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    if (now_ms() < consumer->look_ms) {
        return SAGA_OK;
    }
    consumer->look_ms = now_ms() + consumer->options.passive_ms;
    for (size_t i = 0; i < consumer->queue_count && error == SAGA_OK; i++) {
        error = saga_amqp_link_find_queue(link, consumer->options.queues[i], fault);
    }
    return error;
}

static enum saga_error cancel(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                              struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < consumer->queue_count && error == SAGA_OK; i++) {
        error = saga_amqp_link_cancel(link, (uint16_t)i, fault);
    }
    consumer->cancelled = true;
    return error;
}

static void be_quiet(struct saga_amqp_consumer *consumer) {
    lock(consumer);
    consumer->quiet = true;
    (void)pthread_cond_broadcast(&consumer->woken);
    unlock(consumer);
}

static void pulse(struct saga_amqp_consumer *consumer) {
    if (consumer->options.pulse != NULL && now_ms() >= consumer->pulse_ms) {
        consumer->pulse_ms = now_ms() + PULSE_MS;
        consumer->options.pulse(consumer->options.context);
    }
}

/* --------------------------------------------------------------------- life */

static void tell(struct saga_amqp_consumer *consumer, bool up, const char *why) {
    lock(consumer);
    consumer->counts.up = up;
    unlock(consumer);
    if (consumer->options.turned != NULL && (up || strcmp(why, consumer->why) != 0)) {
        consumer->options.turned(consumer->options.context, up, why);
    }
    (void)snprintf(consumer->why, sizeof consumer->why, "%s", up ? "" : why);
}

static enum saga_error prepare(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                               struct saga_fault *fault) {
    enum saga_error error = consumer->options.prepare == NULL
                                ? SAGA_OK
                                : consumer->options.prepare(consumer->options.context, link, fault);
    for (size_t i = 0; i < consumer->queue_count && error == SAGA_OK; i++) {
        error = saga_amqp_link_consume(link, consumer->options.queues[i], (uint16_t)i,
                                       consumer->options.prefetch, fault);
    }
    return error;
}

static void swallow_wake(struct saga_amqp_consumer *consumer) {
    uint64_t count;
    const ssize_t got = read(consumer->wake_fd, &count, sizeof count);
    (void)got; /* EAGAIN: nobody woke us */
}

/* One connection's life; SAGA_OK: it was asked to end. */
static enum saga_error serve(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link,
                             struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK) {
        const bool closing = flag(consumer, &consumer->closing); /* before the last settlements */
        error = grant(consumer, link, fault);
        if (error == SAGA_OK && closing) {
            return SAGA_OK;
        }
        if (error == SAGA_OK && !consumer->cancelled && flag(consumer, &consumer->stopping)) {
            error = cancel(consumer, link, fault);
            be_quiet(consumer);
        }
        pulse(consumer);
        if (error == SAGA_OK && !consumer->cancelled) {
            error = look(consumer, link, fault);
        }
        if (error == SAGA_OK) {
            error = take_events(consumer, link, fault);
        }
        if (error == SAGA_OK) {
            saga_amqp_link_wait(link, consumer->wake_fd,
                                consumer->options.pulse != NULL
                                    ? PULSE_MS
                                    : (int)(consumer->options.passive_ms / 2));
            swallow_wake(consumer);
        }
    }
    return error;
}

static void keep_link(struct saga_amqp_consumer *consumer, struct saga_amqp_link *link) {
    lock(consumer);
    consumer->link = link;
    consumer->counts.connections += link != NULL;
    unlock(consumer);
}

static void live_once(struct saga_amqp_consumer *consumer) {
    struct saga_fault fault = {0};
    struct saga_amqp_link *link = NULL;
    enum saga_error error = saga_amqp_link_open(&link, &consumer->options.link,
                                                saga_amqp_dial_host(&consumer->dial), &fault);
    consumer->unsettled_count = 0;
    consumer->cancelled = false;
    consumer->connection++;
    consumer->look_ms = now_ms() + consumer->options.passive_ms;
    if (error == SAGA_OK) {
        keep_link(consumer, link);
        error = prepare(consumer, link, &fault);
    }
    if (error == SAGA_OK) {
        saga_amqp_dial_worked(&consumer->dial);
        tell(consumer, true, "connected");
        error = serve(consumer, link, &fault);
    }
    if (error == SAGA_OK) {
        saga_amqp_link_farewell(link, FINISH_MS);
    }
    if (link != NULL) {
        consumer->oversized_before += saga_amqp_link_oversized(link);
        keep_link(consumer, NULL);
    }
    saga_amqp_link_close(link);
    tell(consumer, false, error == SAGA_OK ? "closed" : fault.text);
}

/* With the lock. */
static void sleep_for(struct saga_amqp_consumer *consumer, int64_t duration_ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += duration_ms / 1000;
    until.tv_nsec += (long)(duration_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&consumer->woken, &consumer->mutex, &until);
}

static void sleep_before_next(struct saga_amqp_consumer *consumer, uint32_t delay_ms) {
    const int64_t until_ms = now_ms() + delay_ms;
    lock(consumer);
    while (!consumer->stopping && now_ms() < until_ms) {
        sleep_for(consumer, until_ms - now_ms());
    }
    unlock(consumer);
}

static void *consume_for_ever(void *context) {
    struct saga_amqp_consumer *consumer = context;
    while (!flag(consumer, &consumer->stopping)) {
        live_once(consumer);
        if (!flag(consumer, &consumer->stopping)) {
            sleep_before_next(consumer, saga_amqp_dial_failed(&consumer->dial));
        }
    }
    lock(consumer);
    consumer->quiet = true;
    consumer->gone = true;
    (void)pthread_cond_broadcast(&consumer->woken);
    unlock(consumer);
    return NULL;
}

/* ------------------------------------------------------------- open and close */

static void release(struct saga_amqp_consumer *consumer) {
    if (consumer->wake_fd >= 0) {
        (void)close(consumer->wake_fd);
    }
    (void)pthread_mutex_destroy(&consumer->mutex);
    (void)pthread_cond_destroy(&consumer->woken);
    free(consumer->wishes.items);
    free(consumer->granting.items);
    free(consumer->unsettled);
    free(consumer);
}

static bool start_thread(struct saga_amqp_consumer *consumer) {
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, SAGA_AMQP_STACK_BYTES);
    const int failed = pthread_create(&consumer->thread, &attributes, consume_for_ever, consumer);
    (void)pthread_attr_destroy(&attributes);
    return failed == 0;
}

enum saga_error saga_amqp_consumer_open(struct saga_amqp_consumer **consumer,
                                        const struct saga_amqp_consumer_options *options,
                                        struct saga_fault *fault) {
    struct saga_amqp_consumer *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the consumer");
    }
    opened->options = *options;
    opened->options.prefetch = options->prefetch != 0 ? options->prefetch : SAGA_AMQP_PREFETCH;
    opened->options.passive_ms =
        options->passive_ms != 0 ? options->passive_ms : SAGA_AMQP_PASSIVE_MS;
    while (opened->queue_count < SAGA_AMQP_CONSUMED_QUEUES_MAX &&
           options->queues[opened->queue_count] != NULL) {
        opened->queue_count++;
    }
    assert(opened->queue_count > 0);
    opened->unsettled_max = opened->queue_count * opened->options.prefetch;
    opened->unsettled = calloc(opened->unsettled_max, sizeof *opened->unsettled);
    opened->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&opened->mutex, NULL);
    saga_condition_init(&opened->woken);
    saga_amqp_dial_init(&opened->dial, options->link.address->host_count, options->seed);
    *consumer = opened; /* before its first callback */
    if (opened->unsettled == NULL || opened->wake_fd < 0 || !start_thread(opened)) {
        *consumer = NULL;
        release(opened);
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "no memory, no descriptor, or no thread, for the consumer");
    }
    return SAGA_OK;
}

void saga_amqp_consumer_count(struct saga_amqp_consumer *consumer,
                              struct saga_amqp_consumer_counts *counts) {
    lock(consumer);
    *counts = consumer->counts;
    unlock(consumer);
}

static void ask_to_end(struct saga_amqp_consumer *consumer, bool *which) {
    lock(consumer);
    consumer->stopping = true;
    *which = true;
    (void)pthread_cond_broadcast(&consumer->woken);
    unlock(consumer);
    wake(consumer);
}

/* Waits until the thread has set `which`; from CLOSE_MS on with no more patience for the broker. */
static void await(struct saga_amqp_consumer *consumer, const bool *which) {
    const int64_t late_ms = now_ms() + CLOSE_MS;
    lock(consumer);
    while (!*which) {
        const int64_t left_ms = late_ms - now_ms();
        if (left_ms <= 0 && consumer->link != NULL) {
            saga_amqp_link_cut(consumer->link);
        }
        sleep_for(consumer, left_ms > 0 ? left_ms : FINISH_MS);
    }
    unlock(consumer);
}

void saga_amqp_consumer_stop(struct saga_amqp_consumer *consumer) {
    ask_to_end(consumer, &consumer->stopping);
    await(consumer, &consumer->quiet);
}

void saga_amqp_consumer_close(struct saga_amqp_consumer *consumer) {
    if (consumer == NULL) {
        return;
    }
    ask_to_end(consumer, &consumer->closing);
    await(consumer, &consumer->gone);
    (void)pthread_join(consumer->thread, NULL);
    release(consumer);
}
