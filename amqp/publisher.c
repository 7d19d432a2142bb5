#include "publisher.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"

/* So many are published between two looks at what has arrived. */
#define BURST 64
/* How often the watchdog looks. */
#define WATCH_MS  500
#define FINISH_MS 1000

struct list {
    struct saga_amqp_outgoing *first;
    struct saga_amqp_outgoing *last;
    uint32_t count;
};

struct saga_amqp_publisher {
    struct saga_amqp_publisher_options options;
    pthread_t thread;
    pthread_t watchdog;
    int wake_fd;

    pthread_mutex_t mutex; /* for all of these */
    pthread_cond_t ended;
    struct list waiting;
    bool woken; /* the thread will look at what waits */
    bool up;
    bool closing;
    bool gone;                   /* the thread has ended */
    struct saga_amqp_link *link; /* NULL: not connected */
    int64_t busy_since_ms;       /* with a call that may block; 0: not */
    bool cut;                    /* by the watchdog */
    int64_t close_by_ms;
    struct saga_amqp_publisher_counts counts;

    /* The thread's own. */
    struct saga_amqp_dial dial;
    struct saga_amqp_outgoing **unconfirmed; /* by number modulo the window */
    uint64_t first;                          /* the first unconfirmed number */
    uint64_t next;
    uint32_t unconfirmed_count;
    bool blocked;
    char why[sizeof((struct saga_fault *)0)->text]; /* as last told */
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void lock(struct saga_amqp_publisher *publisher) {
    (void)pthread_mutex_lock(&publisher->mutex);
}

static void unlock(struct saga_amqp_publisher *publisher) {
    (void)pthread_mutex_unlock(&publisher->mutex);
}

static void wake(struct saga_amqp_publisher *publisher) {
    const uint64_t one = 1;
    const ssize_t written = write(publisher->wake_fd, &one, sizeof one);
    assert(written == sizeof one); /* an eventfd takes it but after 2^64 of them */
}

/* For what waits; under the mutex. One system call, however much is put until it is taken. */
static void wake_for_waiting(struct saga_amqp_publisher *publisher) {
    if (!publisher->woken) {
        publisher->woken = true;
        wake(publisher);
    }
}

static void list_append(struct list *list, struct saga_amqp_outgoing *outgoing) {
    outgoing->next = NULL;
    *(list->last == NULL ? &list->first : &list->last->next) = outgoing;
    list->last = outgoing;
    list->count++;
}

static struct saga_amqp_outgoing *list_take(struct list *list) {
    struct saga_amqp_outgoing *first = list->first;
    if (first != NULL) {
        list->first = first->next;
        list->last = list->first == NULL ? NULL : list->last;
        list->count--;
    }
    return first;
}

/* -------------------------------------------------------------------- fates */

static void settle(struct saga_amqp_publisher *publisher, struct saga_amqp_outgoing *outgoing,
                   enum saga_amqp_fate fate) {
    struct saga_amqp_publisher_counts *counts = &publisher->counts;
    lock(publisher);
    counts->unconfirmed = publisher->unconfirmed_count;
    switch (fate) {
    case SAGA_AMQP_HANDED_OVER:
        counts->handed_over++;
        break;
    case SAGA_AMQP_UNROUTABLE:
        counts->unroutable++;
        break;
    case SAGA_AMQP_UNSENT:
        counts->unsent++;
        break;
    case SAGA_AMQP_IN_DOUBT:
        counts->in_doubt++;
        break;
    }
    unlock(publisher);
    outgoing->settled(outgoing, fate);
}

static struct saga_amqp_outgoing **place_of(struct saga_amqp_publisher *publisher,
                                            uint64_t number) {
    return &publisher->unconfirmed[number % publisher->options.window];
}

static void settle_number(struct saga_amqp_publisher *publisher, uint64_t number, bool refused) {
    struct saga_amqp_outgoing **place = place_of(publisher, number);
    struct saga_amqp_outgoing *outgoing = *place;
    if (outgoing == NULL || outgoing->number != number) {
        return; /* it was settled before: the broker repeats itself */
    }
    *place = NULL;
    publisher->unconfirmed_count--;
    settle(publisher, outgoing,
           refused              ? SAGA_AMQP_IN_DOUBT
           : outgoing->returned ? SAGA_AMQP_UNROUTABLE
                                : SAGA_AMQP_HANDED_OVER);
}

static void settle_numbers(struct saga_amqp_publisher *publisher,
                           const struct saga_amqp_event *event) {
    const bool refused = event->type == SAGA_AMQP_REFUSED;
    if (event->tag < publisher->first || event->tag >= publisher->next) {
        return;
    }
    for (uint64_t number = event->up_to ? publisher->first : event->tag; number <= event->tag;
         number++) {
        settle_number(publisher, number, refused);
    }
    while (publisher->first < publisher->next && *place_of(publisher, publisher->first) == NULL) {
        publisher->first++;
    }
    if (refused) {
        lock(publisher);
        publisher->counts.refused++;
        unlock(publisher);
    }
}

static bool same(const char *one, const char *other) {
    return strcmp(one == NULL ? "" : one, other == NULL ? "" : other) == 0;
}

/* Which message came back is said by its id and its way alone; where the same command is on its way
 * twice, the broker returns them in the order of publishing. */
static void note_returned(struct saga_amqp_publisher *publisher,
                          const struct saga_amqp_message *message) {
    for (uint64_t number = publisher->first; number < publisher->next; number++) {
        struct saga_amqp_outgoing *outgoing = *place_of(publisher, number);
        if (outgoing != NULL && outgoing->message.mandatory && !outgoing->returned &&
            same(message->message_id, outgoing->message.message_id) &&
            same(message->routing_key, outgoing->message.routing_key) &&
            same(message->exchange, outgoing->message.exchange)) {
            outgoing->returned = true;
            return;
        }
    }
}

static void settle_waiting(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    struct list waiting = publisher->waiting;
    publisher->waiting = (struct list){0};
    unlock(publisher);
    for (struct saga_amqp_outgoing *one; (one = list_take(&waiting)) != NULL;) {
        settle(publisher, one, SAGA_AMQP_UNSENT);
    }
}

static void settle_all(struct saga_amqp_publisher *publisher) {
    for (uint64_t number = publisher->first; number < publisher->next; number++) {
        struct saga_amqp_outgoing *outgoing = *place_of(publisher, number);
        if (outgoing != NULL) {
            *place_of(publisher, number) = NULL;
            publisher->unconfirmed_count--;
            settle(publisher, outgoing, SAGA_AMQP_IN_DOUBT);
        }
    }
    publisher->first = publisher->next;
    assert(publisher->unconfirmed_count == 0);
    settle_waiting(publisher);
}

/* -------------------------------------------------------------- up and down */

static void tell(struct saga_amqp_publisher *publisher, bool up, const char *why) {
    if (publisher->options.turned != NULL && (up || strcmp(why, publisher->why) != 0)) {
        publisher->options.turned(publisher->options.context, up, why);
    }
    (void)snprintf(publisher->why, sizeof publisher->why, "%s", up ? "" : why);
}

static void turn(struct saga_amqp_publisher *publisher, bool up, const char *why) {
    lock(publisher);
    publisher->up = up;
    publisher->counts.up = up;
    publisher->counts.blocked = publisher->blocked;
    unlock(publisher);
    if (!up) {
        settle_waiting(publisher);
    }
    tell(publisher, up, why);
}

static bool is_closing(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    const bool closing = publisher->closing;
    unlock(publisher);
    return closing;
}

/* For the watchdog: from here on the thread may be held up. */
static void begin_publish(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    publisher->busy_since_ms = now_ms();
    unlock(publisher);
}

static void end_publish(struct saga_amqp_publisher *publisher, enum saga_error error) {
    lock(publisher);
    publisher->busy_since_ms = 0;
    publisher->counts.published += error != SAGA_ERROR_INVALID;
    unlock(publisher);
}

static void keep_link(struct saga_amqp_publisher *publisher, struct saga_amqp_link *link) {
    lock(publisher);
    publisher->link = link;
    publisher->cut = false;
    publisher->counts.connections += link != NULL;
    unlock(publisher);
}

/* --------------------------------------------------------------- publishing */

static enum saga_error take_events(struct saga_amqp_publisher *publisher,
                                   struct saga_amqp_link *link, struct saga_fault *fault) {
    struct saga_amqp_event event;
    for (;;) {
        const enum saga_error error = saga_amqp_link_take(link, &event, fault);
        if (error != SAGA_OK || event.type == SAGA_AMQP_NOTHING) {
            return error;
        }
        switch ((enum saga_amqp_event_type)event.type) {
        case SAGA_AMQP_CONFIRMED:
        case SAGA_AMQP_REFUSED:
            settle_numbers(publisher, &event);
            break;
        case SAGA_AMQP_RETURNED:
            note_returned(publisher, &event.message);
            break;
        case SAGA_AMQP_BLOCKED:
        case SAGA_AMQP_UNBLOCKED:
            publisher->blocked = event.type == SAGA_AMQP_BLOCKED;
            turn(publisher, !publisher->blocked,
                 publisher->blocked ? "the broker has an alarm (memory or disk) and takes no "
                                      "messages until that is over"
                                    : "the broker's alarm is over");
            break;
        case SAGA_AMQP_DELIVERED:
        case SAGA_AMQP_NOTHING:
            break;
        }
    }
}

static struct list take_burst(struct saga_amqp_publisher *publisher) {
    const uint64_t under_way = publisher->next - publisher->first;
    struct list burst = {0};
    lock(publisher);
    while (burst.count < BURST && under_way + burst.count < publisher->options.window) {
        struct saga_amqp_outgoing *outgoing = list_take(&publisher->waiting);
        if (outgoing == NULL) {
            break;
        }
        list_append(&burst, outgoing);
    }
    /* What is left is beyond the burst, which is followed by another, or beyond the window, which
     * moves on by what arrives. */
    publisher->woken = publisher->waiting.count > 0;
    unlock(publisher);
    return burst;
}

static enum saga_error publish_one(struct saga_amqp_publisher *publisher,
                                   struct saga_amqp_link *link, struct saga_amqp_outgoing *outgoing,
                                   struct saga_fault *fault) {
    begin_publish(publisher);
    const enum saga_error error = saga_amqp_link_publish(link, &outgoing->message, fault);
    end_publish(publisher, error);
    if (error == SAGA_ERROR_INVALID) {
        settle(publisher, outgoing, SAGA_AMQP_UNSENT);
        return SAGA_OK;
    }
    if (error != SAGA_OK) {
        settle(publisher, outgoing, SAGA_AMQP_IN_DOUBT); /* some of it may have left */
        return error;
    }
    outgoing->number = publisher->next++;
    outgoing->returned = false;
    *place_of(publisher, outgoing->number) = outgoing;
    publisher->unconfirmed_count++;
    return SAGA_OK;
}

static void count_unconfirmed(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    publisher->counts.unconfirmed = publisher->unconfirmed_count;
    unlock(publisher);
}

/* Publishes a burst; `count` says how many it had. */
static enum saga_error publish_burst(struct saga_amqp_publisher *publisher,
                                     struct saga_amqp_link *link, uint32_t *count,
                                     struct saga_fault *fault) {
    struct list burst = take_burst(publisher);
    enum saga_error error = SAGA_OK;
    *count = burst.count;
    const bool many = burst.count > 1;
    if (many) {
        saga_amqp_link_cork(link, true);
    }
    for (struct saga_amqp_outgoing *one; (one = list_take(&burst)) != NULL;) {
        if (error == SAGA_OK) {
            error = publish_one(publisher, link, one, fault);
        } else {
            settle(publisher, one, SAGA_AMQP_UNSENT);
        }
    }
    if (many && error == SAGA_OK) {
        saga_amqp_link_cork(link, false);
    }
    if (*count > 0) {
        count_unconfirmed(publisher);
    }
    return error;
}

static bool has_drained(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    const bool over = publisher->closing && (publisher->waiting.count == 0 || !publisher->up) &&
                      publisher->unconfirmed_count == 0;
    const bool late = publisher->closing && now_ms() >= publisher->close_by_ms;
    unlock(publisher);
    return over || late;
}

static int patience_ms(struct saga_amqp_publisher *publisher) {
    int64_t left_ms = -1;
    lock(publisher);
    if (publisher->closing) {
        left_ms = publisher->close_by_ms - now_ms();
        left_ms = left_ms < 0 ? 0 : left_ms;
    }
    unlock(publisher);
    return (int)left_ms;
}

static void swallow_wake(struct saga_amqp_publisher *publisher) {
    uint64_t count;
    const ssize_t got = read(publisher->wake_fd, &count, sizeof count);
    (void)got; /* EAGAIN: nobody woke us */
}

/* One connection's life, from its first message to its end. */
static enum saga_error serve(struct saga_amqp_publisher *publisher, struct saga_amqp_link *link,
                             struct saga_fault *fault) {
    for (;;) {
        uint32_t published = 0;
        enum saga_error error = take_events(publisher, link, fault);
        if (error == SAGA_OK && !publisher->blocked) {
            error = publish_burst(publisher, link, &published, fault);
        }
        if (error != SAGA_OK || has_drained(publisher)) {
            return error;
        }
        if (published < BURST) { /* nothing waits, or the window is full */
            saga_amqp_link_wait(link, publisher->wake_fd, patience_ms(publisher));
            swallow_wake(publisher);
        }
    }
}

static enum saga_error prepare(struct saga_amqp_publisher *publisher, struct saga_amqp_link *link,
                               struct saga_fault *fault) {
    enum saga_error error = saga_amqp_link_confirm(link, fault);
    if (error == SAGA_OK && publisher->options.prepare != NULL) {
        error = publisher->options.prepare(publisher->options.context, link, fault);
    }
    return error;
}

/* The library says of a connection that we have cut ourselves that it is broken. */
static void explain_cut(struct saga_amqp_publisher *publisher, struct saga_fault *fault) {
    lock(publisher);
    if (publisher->cut) {
        (void)saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                             "the broker does not read what is published: nothing for %u ms",
                             publisher->options.stuck_ms);
    }
    unlock(publisher);
}

/* Connects, works until that breaks, and says why it did. */
static void live_once(struct saga_amqp_publisher *publisher) {
    struct saga_fault fault = {0};
    struct saga_amqp_link *link = NULL;
    enum saga_error error = saga_amqp_link_open(&link, &publisher->options.link,
                                                saga_amqp_dial_host(&publisher->dial), &fault);
    publisher->blocked = false;
    if (error == SAGA_OK) {
        keep_link(publisher, link);
        publisher->first = publisher->next = 1; /* the broker counts from 1, too */
        error = prepare(publisher, link, &fault);
    }
    if (error == SAGA_OK) {
        saga_amqp_dial_worked(&publisher->dial);
        turn(publisher, true, "connected");
        error = serve(publisher, link, &fault);
    }
    publisher->blocked = false;
    explain_cut(publisher, &fault);
    lock(publisher);
    publisher->up = false; /* before the fates are told: who hears one puts nothing more */
    unlock(publisher);
    settle_all(publisher);
    if (error == SAGA_OK) {
        saga_amqp_link_farewell(link, FINISH_MS);
    }
    keep_link(publisher, NULL);
    saga_amqp_link_close(link);
    turn(publisher, false, error == SAGA_OK ? "closed" : fault.text);
}

static void sleep_until(struct saga_amqp_publisher *publisher, uint32_t delay_ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += delay_ms / 1000;
    until.tv_nsec += (long)(delay_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock(publisher);
    while (!publisher->closing &&
           pthread_cond_timedwait(&publisher->ended, &publisher->mutex, &until) == 0) {
    }
    unlock(publisher);
}

static void *publish_for_ever(void *context) {
    struct saga_amqp_publisher *publisher = context;
    while (!is_closing(publisher)) {
        live_once(publisher);
        if (!is_closing(publisher)) {
            sleep_until(publisher, saga_amqp_dial_failed(&publisher->dial));
        }
    }
    settle_all(publisher);
    lock(publisher);
    publisher->gone = true;
    (void)pthread_cond_broadcast(&publisher->ended);
    unlock(publisher);
    return NULL;
}

/* ----------------------------------------------------------------- watchdog */

/* A broker that does not read holds up a publish for ever; nothing but the end of the connection
 * lets go of it. The same for whatever goes on when all should be over. */
static void look(struct saga_amqp_publisher *publisher) {
    const int64_t now = now_ms();
    const bool busy = publisher->busy_since_ms != 0;
    const bool stuck = busy && now - publisher->busy_since_ms >= publisher->options.stuck_ms;
    const bool late =
        publisher->closing && now >= publisher->close_by_ms + (busy ? 0 : 2 * FINISH_MS);
    if (publisher->link != NULL && !publisher->cut && (stuck || late)) {
        saga_amqp_link_cut(publisher->link);
        publisher->cut = true;
        publisher->counts.stuck += busy;
    }
}

static void *watch(void *context) {
    struct saga_amqp_publisher *publisher = context;
    lock(publisher);
    while (!publisher->gone) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)WATCH_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&publisher->ended, &publisher->mutex, &until);
        look(publisher);
    }
    unlock(publisher);
    return NULL;
}

/* ------------------------------------------------------------- open and close */

static void release(struct saga_amqp_publisher *publisher) {
    if (publisher->wake_fd >= 0) {
        (void)close(publisher->wake_fd);
    }
    (void)pthread_mutex_destroy(&publisher->mutex);
    (void)pthread_cond_destroy(&publisher->ended);
    free(publisher->unconfirmed);
    free(publisher);
}

static enum saga_error start_threads(struct saga_amqp_publisher *publisher,
                                     struct saga_fault *fault) {
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, SAGA_AMQP_STACK_BYTES);
    const int failed = pthread_create(&publisher->thread, &attributes, publish_for_ever, publisher);
    (void)pthread_attr_destroy(&attributes);
    if (failed != 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for publishing");
    }
    if (pthread_create(&publisher->watchdog, NULL, watch, publisher) != 0) {
        lock(publisher);
        publisher->closing = true;
        unlock(publisher);
        wake(publisher);
        (void)pthread_join(publisher->thread, NULL);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for the watchdog");
    }
    return SAGA_OK;
}

enum saga_error saga_amqp_publisher_open(struct saga_amqp_publisher **publisher,
                                         const struct saga_amqp_publisher_options *options,
                                         struct saga_fault *fault) {
    pthread_condattr_t attributes;
    struct saga_amqp_publisher *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the publisher");
    }
    opened->options = *options;
    opened->options.window = options->window != 0 ? options->window : SAGA_AMQP_WINDOW;
    opened->options.queue_max = options->queue_max != 0 ? options->queue_max : SAGA_AMQP_QUEUE_MAX;
    opened->options.stuck_ms = options->stuck_ms != 0 ? options->stuck_ms : SAGA_AMQP_STUCK_MS;
    opened->unconfirmed = calloc(opened->options.window, sizeof(struct saga_amqp_outgoing *));
    opened->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    opened->first = opened->next = 1;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&opened->mutex, NULL);
    (void)pthread_cond_init(&opened->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    saga_amqp_dial_init(&opened->dial, options->link.address->host_count, options->seed);
    *publisher = opened; /* before its first callback */
    enum saga_error error = opened->unconfirmed == NULL || opened->wake_fd < 0
                                ? saga_fault_set(fault, SAGA_ERROR_FAILED,
                                                 "no memory, or no descriptor, for the "
                                                 "publisher")
                                : start_threads(opened, fault);
    if (error != SAGA_OK) {
        *publisher = NULL;
        release(opened);
    }
    return error;
}

/* Under the mutex. */
static bool take(struct saga_amqp_publisher *publisher, struct saga_amqp_outgoing *outgoing) {
    const bool taken = publisher->up && !publisher->closing &&
                       publisher->waiting.count < publisher->options.queue_max;
    if (taken) {
        list_append(&publisher->waiting, outgoing);
    }
    return taken;
}

bool saga_amqp_publisher_put(struct saga_amqp_publisher *publisher,
                             struct saga_amqp_outgoing *outgoing) {
    lock(publisher);
    const bool taken = take(publisher, outgoing);
    if (taken) {
        wake_for_waiting(publisher);
    }
    unlock(publisher);
    return taken;
}

bool saga_amqp_publisher_put_later(struct saga_amqp_publisher *publisher,
                                   struct saga_amqp_outgoing *outgoing) {
    lock(publisher);
    const bool taken = take(publisher, outgoing);
    unlock(publisher);
    return taken;
}

void saga_amqp_publisher_push(struct saga_amqp_publisher *publisher) {
    lock(publisher);
    if (publisher->waiting.count > 0) {
        wake_for_waiting(publisher);
    }
    unlock(publisher);
}

void saga_amqp_publisher_count(struct saga_amqp_publisher *publisher,
                               struct saga_amqp_publisher_counts *counts) {
    lock(publisher);
    *counts = publisher->counts;
    counts->waiting = publisher->waiting.count;
    unlock(publisher);
}

void saga_amqp_publisher_close(struct saga_amqp_publisher *publisher, uint32_t drain_ms) {
    if (publisher == NULL) {
        return;
    }
    lock(publisher);
    publisher->closing = true;
    publisher->close_by_ms = now_ms() + drain_ms;
    (void)pthread_cond_broadcast(&publisher->ended);
    unlock(publisher);
    wake(publisher);
    (void)pthread_join(publisher->thread, NULL);
    (void)pthread_join(publisher->watchdog, NULL);
    release(publisher);
}
