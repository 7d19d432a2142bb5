#include "desk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "command_message.h"
#include "condition.h"
#include "notices.h"
#include "waiting_room.h"

/* Room for the commands of one transaction. */
struct batch {
    struct saga_errand *errands[SAGA_PARTICIPANT_BATCH_MAX];
    struct saga_wire_command commands[SAGA_PARTICIPANT_BATCH_MAX];
    struct saga_wire_reply replies[SAGA_PARTICIPANT_BATCH_MAX];
};

enum broker_state { BROKER_UNKNOWN, BROKER_UP, BROKER_DOWN };

struct saga_desk {
    struct saga_desk_options options;
    struct saga_participant *participant;
    const char *name; /* the participant's */
    char consumer_name[128];
    char publisher_name[128];
    char broker[512]; /* the address, for people */
    struct saga_notices refusals;
    struct saga_notices turns;
    struct saga_amqp_publisher *publisher;
    struct saga_amqp_consumer *consumer;
    pthread_t thread;

    pthread_mutex_t mutex; /* of all down to the counts, and of the opening */
    pthread_cond_t condition;
    struct saga_errand_queue arrived;
    struct saga_errand_queue unsent; /* replies that could not leave */
    int64_t resend_due_ms;           /* of the unsent ones; INT64_MAX: there are none */
    uint64_t connection;             /* the latest that has delivered */
    bool gathered;                   /* no more than `arrived` is at hand */
    bool stopped;                    /* nothing more is to be carried out */
    bool closing;                    /* nothing more can be sent */
    bool consumer_up;
    bool publisher_up;
    enum broker_state told; /* what was last said of the broker */
    struct saga_desk_counts counts;

    /* The thread's. */
    struct saga_waiting_room room;
    struct saga_errand_queue ready;
    uint64_t known_connection;
    struct batch *batch;
    size_t batch_max; /* commands of the next transaction */
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* An initialised default mutex cannot fail to lock. */
static void lock(struct saga_desk *desk) {
    const int error = pthread_mutex_lock(&desk->mutex);
    assert(error == 0);
}

static void unlock(struct saga_desk *desk) {
    const int error = pthread_mutex_unlock(&desk->mutex);
    assert(error == 0);
}

static void wake(struct saga_desk *desk) {
    (void)pthread_cond_signal(&desk->condition);
}

/* ----------------------------------------------------------------- refusing */

/* `name` and `id` come from outside, and may be missing. */
static void refuse(struct saga_desk *desk, struct saga_amqp_ticket ticket, const char *name,
                   const char *id, const char *why) {
    saga_amqp_consumer_settle(desk->consumer, ticket, SAGA_AMQP_REJECT);
    saga_notices_say(&desk->refusals, "refused %.128s %.255s (it is in %s): %s",
                     name == NULL ? "a message" : name, id == NULL ? "without an id" : id,
                     desk->options.topology.dead_letter_queue, why);
}

/* ---------------------------------------------------------------- answering */

/* Keeps a reply that could not leave. It needs no bound of its own: its command is
 * not acknowledged, and so one of the prefetch; unless another connection delivers
 * by now: then the command comes again, and so does its reply. */
static void keep_unsent(struct saga_desk *desk, struct saga_errand *errand) {
    lock(desk);
    const bool kept = !desk->closing && errand->ticket.connection == desk->connection;
    if (kept) {
        if (desk->unsent.first == NULL) {
            desk->resend_due_ms = now_ms() + desk->options.again_ms;
        }
        saga_errand_queue_put(&desk->unsent, errand);
    }
    unlock(desk);
    if (kept) {
        wake(desk);
    } else {
        saga_errand_free(errand);
    }
}

/* The errand may be gone when this returns. */
static void send_reply(struct saga_desk *desk, struct saga_errand *errand) {
    if (!saga_amqp_publisher_put(desk->publisher, &errand->outgoing)) {
        keep_unsent(desk, errand);
    }
}

static void acknowledge(struct saga_desk *desk, struct saga_errand *errand, uint64_t *count) {
    lock(desk);
    ++*count;
    unlock(desk);
    saga_amqp_consumer_settle(desk->consumer, errand->ticket, SAGA_AMQP_ACK);
    saga_errand_free(errand);
}

/* On the publisher's thread: what became of a reply. */
static void settled(struct saga_amqp_outgoing *outgoing, enum saga_amqp_fate fate) {
    struct saga_desk *desk = outgoing->context;
    struct saga_errand *errand = saga_errand_of(outgoing);
    switch (fate) {
    case SAGA_AMQP_HANDED_OVER:
        acknowledge(desk, errand, &desk->counts.answered);
        return;
    case SAGA_AMQP_UNROUTABLE:
        /* The orchestrator that comes back for it asks again. */
        saga_notices_say(&desk->refusals, "nobody has a queue for the reply to %s: %s",
                         errand->command.id, errand->reply_to);
        acknowledge(desk, errand, &desk->counts.unroutable);
        return;
    case SAGA_AMQP_UNSENT:
    case SAGA_AMQP_IN_DOUBT:
        if (++errand->sends < SAGA_DESK_SENDS_MAX) {
            keep_unsent(desk, errand);
            return;
        }
        saga_notices_say(&desk->refusals, "the reply to %s was lost %d times and is given up",
                         errand->command.id, SAGA_DESK_SENDS_MAX);
        acknowledge(desk, errand, &desk->counts.given_up);
        return;
    }
    assert(!"a fate that is not in the list");
}

/* ------------------------------------------------------------- carrying out */

static size_t fill(struct saga_desk *desk) {
    struct batch *batch = desk->batch;
    size_t count = 0;
    while (count < desk->batch_max && desk->ready.first != NULL) {
        batch->errands[count] = saga_errand_queue_take(&desk->ready);
        batch->commands[count] = batch->errands[count]->command;
        count++;
    }
    return count;
}

static void postpone(struct saga_desk *desk, size_t count) {
    const int64_t due_ms = now_ms() + desk->options.again_ms;
    for (size_t i = 0; i < count; i++) {
        saga_wire_reply_free(&desk->batch->replies[i]);
        saga_waiting_room_put_again(&desk->room, desk->batch->errands[i], due_ms);
    }
    lock(desk);
    desk->counts.postponed += count;
    unlock(desk);
}

/* Answers one command that the transaction has dealt with, or throws it away. */
static void answer(struct saga_desk *desk, size_t i) {
    struct saga_errand *errand = desk->batch->errands[i];
    struct saga_wire_reply *reply = &desk->batch->replies[i];
    if (!reply->silent) {
        saga_errand_answer(errand, reply, desk->name);
        errand->outgoing.context = desk;
        errand->outgoing.settled = settled;
        send_reply(desk, errand);
        return;
    }
    if (reply->refusal != NULL) {
        lock(desk);
        desk->counts.refused++;
        unlock(desk);
        refuse(desk, errand->ticket, errand->command.name, errand->command.id, reply->refusal);
        saga_errand_free(errand);
        return;
    }
    /* Silent without a reason: a --crash that was only played, by whoever gave the participant
     * its `crash`. A process that was started again would get the command again. */
    saga_waiting_room_put_again(&desk->room, errand, now_ms() + desk->options.again_ms);
}

/* One transaction, of what is ready. One that fails as a whole is tried again in
 * halves, so that a command that cannot be carried out ends up alone and holds up
 * no other; with success they grow again. */
static void carry_out(struct saga_desk *desk) {
    struct batch *batch = desk->batch;
    struct saga_fault fault;
    const size_t count = fill(desk);
    if (saga_participant_apply(desk->participant, batch->commands, count, batch->replies, &fault) !=
        SAGA_OK) {
        saga_notices_say(&desk->refusals, "%zu commands wait for %" PRIu32 " ms: %s", count,
                         desk->options.again_ms, fault.text);
        postpone(desk, count);
        desk->batch_max = count > 1 ? count / 2 : 1;
        return;
    }
    desk->batch_max = desk->batch_max > SAGA_PARTICIPANT_BATCH_MAX / 2 ? SAGA_PARTICIPANT_BATCH_MAX
                                                                       : desk->batch_max * 2;
    for (size_t i = 0; i < count; i++) {
        answer(desk, i);
    }
}

/* ------------------------------------------------------------------- thread */

static bool is_stopped(struct saga_desk *desk) {
    lock(desk);
    const bool stopped = desk->stopped;
    unlock(desk);
    return stopped;
}

/* Takes what has arrived, and the replies that may be sent again now. */
static void collect(struct saga_desk *desk, struct saga_errand_queue *arrived,
                    struct saga_errand_queue *unsent, uint64_t *connection) {
    *arrived = desk->arrived;
    desk->arrived = (struct saga_errand_queue){0};
    desk->gathered = false;
    if (desk->resend_due_ms <= now_ms()) {
        *unsent = desk->unsent;
        desk->unsent = (struct saga_errand_queue){0};
        desk->resend_due_ms = INT64_MAX;
    }
    *connection = desk->connection;
}

static bool has_nothing_to_do(const struct saga_desk *desk, int64_t *due_ms) {
    const int64_t room_ms = saga_waiting_room_due_ms(&desk->room);
    *due_ms = room_ms < desk->resend_due_ms ? room_ms : desk->resend_due_ms;
    return !desk->stopped && !(desk->gathered && desk->arrived.first != NULL) && *due_ms > now_ms();
}

/* Waits for something to do. False: stopped. */
static bool await_work(struct saga_desk *desk, struct saga_errand_queue *arrived,
                       struct saga_errand_queue *unsent, uint64_t *connection) {
    int64_t due_ms;
    lock(desk);
    while (has_nothing_to_do(desk, &due_ms)) {
        if (due_ms == INT64_MAX) {
            (void)pthread_cond_wait(&desk->condition, &desk->mutex);
        } else {
            const struct timespec until = {.tv_sec = (time_t)(due_ms / 1000),
                                           .tv_nsec = (long)(due_ms % 1000) * 1000000};
            (void)pthread_cond_timedwait(&desk->condition, &desk->mutex, &until);
        }
    }
    const bool stopped = desk->stopped;
    if (!stopped) {
        collect(desk, arrived, unsent, connection);
    }
    unlock(desk);
    return !stopped;
}

static void *run(void *argument) {
    struct saga_desk *desk = argument;
    struct saga_errand_queue arrived = {0};
    struct saga_errand_queue unsent = {0};
    struct saga_errand *errand;
    uint64_t connection;
    (void)pthread_setname_np(pthread_self(), "carry out"); /* for top -H */
    while (await_work(desk, &arrived, &unsent, &connection)) {
        if (connection != desk->known_connection) {
            desk->known_connection = connection;
            saga_waiting_room_forget(&desk->room, connection);
        }
        while ((errand = saga_errand_queue_take(&unsent)) != NULL) {
            send_reply(desk, errand);
        }
        saga_waiting_room_admit(&desk->room, now_ms(), &arrived, &desk->ready);
        saga_waiting_room_call(&desk->room, now_ms(), &desk->ready);
        while (desk->ready.first != NULL && !is_stopped(desk)) {
            carry_out(desk);
        }
    }
    return NULL;
}

/* ---------------------------------------------------- called by the consumer */

static void delivered(void *context, size_t queue, const struct saga_amqp_message *message,
                      struct saga_amqp_ticket ticket) {
    struct saga_desk *desk = context;
    struct saga_wire_command command;
    (void)queue; /* there is one */
    const char *wrong = saga_command_message_read(message, &command);
    struct saga_errand *errand = wrong == NULL ? saga_errand_make(message, &command, ticket) : NULL;
    lock(desk); /* from here on desk->consumer is there */
    if (ticket.connection != desk->connection) {
        /* What earlier ones have delivered comes again; what is done of it is answered from its
         * row then. */
        desk->connection = ticket.connection;
        saga_errand_queue_forget(&desk->arrived, ticket.connection);
        saga_errand_queue_forget(&desk->unsent, ticket.connection);
    }
    if (errand != NULL) {
        saga_errand_queue_put(&desk->arrived, errand);
        desk->counts.delivered++;
    } else if (wrong != NULL) {
        desk->counts.refused++;
    }
    unlock(desk);
    if (wrong != NULL) {
        refuse(desk, ticket, message->type, message->message_id, wrong);
    } else if (errand == NULL) {
        /* Not settled: it comes again with the next connection, when there may be memory. */
        saga_notices_say(&desk->refusals, "no memory for the command %s", command.id);
    }
}

static void gathered(void *context) {
    struct saga_desk *desk = context;
    lock(desk);
    const bool begin = desk->arrived.first != NULL;
    desk->gathered = begin;
    unlock(desk);
    if (begin) {
        wake(desk);
    }
}

/* --------------------------------------------------------- the broker, or none */

/* Both connections have their own opinion; only what changes is worth a line.
 * `blocked`: it is there, and takes nothing. */
static void tell_of_broker(struct saga_desk *desk, bool up, bool blocked, const char *why) {
    lock(desk);
    const bool both = desk->consumer_up && desk->publisher_up;
    const enum broker_state now = both ? BROKER_UP : BROKER_DOWN;
    const bool news =
        !desk->stopped && (up ? both && desk->told != BROKER_UP : desk->told != BROKER_DOWN);
    const bool lost = desk->told == BROKER_UP;
    if (news) {
        desk->told = now;
    }
    unlock(desk);
    if (news && up) {
        saga_notices_say(&desk->turns, "connected to %s: carrying out the commands in the queue %s",
                         desk->broker, desk->options.topology.queue);
    } else if (news) {
        saga_notices_say(&desk->turns, "%s %s: %s; trying until that is over",
                         blocked ? "held up by the broker"
                         : lost  ? "lost the broker"
                                 : "no broker at",
                         desk->broker, why);
    }
}

static void consumer_turned(void *context, bool up, const char *why) {
    struct saga_desk *desk = context;
    lock(desk);
    desk->consumer_up = up;
    unlock(desk);
    tell_of_broker(desk, up, false, why);
}

static void publisher_turned(void *context, bool up, const char *why) {
    struct saga_desk *desk = context;
    struct saga_amqp_publisher_counts counts;
    lock(desk);
    saga_amqp_publisher_count(desk->publisher, &counts);
    desk->publisher_up = up;
    if (up && desk->unsent.first != NULL) {
        desk->resend_due_ms = now_ms();
    }
    unlock(desk);
    wake(desk);
    tell_of_broker(desk, up, counts.blocked, why);
}

static enum saga_error prepare_consumer(void *context, struct saga_amqp_link *link,
                                        struct saga_fault *fault) {
    const struct saga_desk *desk = context;
    return saga_topology_declare(&desk->options.topology, link, fault);
}

static enum saga_error prepare_publisher(void *context, struct saga_amqp_link *link,
                                         struct saga_fault *fault) {
    const struct saga_desk *desk = context;
    return saga_topology_declare_exchange(&desk->options.topology, link, fault);
}

/* --------------------------------------------------------------- open, close */

static void desk_free(struct saga_desk *desk) {
    saga_errand_queue_clear(&desk->arrived);
    saga_errand_queue_clear(&desk->unsent);
    saga_errand_queue_clear(&desk->ready);
    saga_waiting_room_clear(&desk->room);
    saga_notices_fini(&desk->refusals);
    saga_notices_fini(&desk->turns);
    (void)pthread_cond_destroy(&desk->condition);
    (void)pthread_mutex_destroy(&desk->mutex);
    free(desk->batch);
    free(desk);
}

static struct saga_desk *desk_make(struct saga_participant *participant,
                                   const struct saga_desk_options *options) {
    struct saga_desk *desk = calloc(1, sizeof *desk);
    struct batch *batch = malloc(sizeof *batch);
    if (desk == NULL || batch == NULL) {
        free(desk);
        free(batch);
        return NULL;
    }
    desk->options = *options;
    desk->options.prefetch = options->prefetch == 0 ? SAGA_AMQP_PREFETCH : options->prefetch;
    desk->options.again_ms = options->again_ms == 0 ? SAGA_DESK_AGAIN_MS : options->again_ms;
    desk->participant = participant;
    desk->name = saga_participant_name(participant);
    desk->batch = batch;
    desk->batch_max = SAGA_PARTICIPANT_BATCH_MAX;
    desk->resend_due_ms = INT64_MAX;
    (void)snprintf(desk->consumer_name, sizeof desk->consumer_name, "%s: commands", desk->name);
    (void)snprintf(desk->publisher_name, sizeof desk->publisher_name, "%s: replies", desk->name);
    saga_amqp_address_text(options->address, desk->broker, sizeof desk->broker);
    saga_waiting_room_init(&desk->room, options->switches);
    saga_notices_init(&desk->refusals, options->context, options->tell);
    saga_notices_init(&desk->turns, options->context, options->tell);
    const int error = pthread_mutex_init(&desk->mutex, NULL);
    assert(error == 0);
    saga_condition_init(&desk->condition);
    return desk;
}

static struct saga_amqp_link_options link_options(const struct saga_desk *desk, const char *name) {
    return (struct saga_amqp_link_options){
        .address = desk->options.address,
        .name = name,
        .ca_file = desk->options.ca_file,
        .certificate = desk->options.certificate,
        .key = desk->options.key,
        .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = SAGA_WIRE_BODY_BYTES_MAX,
    };
}

/* So that services that lost one broker do not come back to it in step. */
static uint64_t draw_seed(void) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = (uint64_t)now_ms();
    }
    return seed;
}

static enum saga_error open_links(struct saga_desk *desk, struct saga_fault *fault) {
    const struct saga_amqp_publisher_options publisher = {
        .link = link_options(desk, desk->publisher_name),
        /* Two connections' worth: beyond that, replies wait here and can be forgotten. */
        .queue_max = 2 * (uint32_t)desk->options.prefetch,
        .seed = draw_seed(),
        .context = desk,
        .prepare = prepare_publisher,
        .turned = publisher_turned,
    };
    const struct saga_amqp_consumer_options consumer = {
        .link = link_options(desk, desk->consumer_name),
        .queues = {desk->options.topology.queue},
        .prefetch = desk->options.prefetch,
        .seed = draw_seed(),
        .context = desk,
        .prepare = prepare_consumer,
        .delivered = delivered,
        .gathered = gathered,
        .turned = consumer_turned,
    };
    /* Locked, because their threads call us before they are known here. */
    lock(desk);
    enum saga_error error = saga_amqp_publisher_open(&desk->publisher, &publisher, fault);
    if (error == SAGA_OK) {
        error = saga_amqp_consumer_open(&desk->consumer, &consumer, fault);
    }
    unlock(desk);
    return error;
}

static void stop(struct saga_desk *desk) {
    lock(desk);
    desk->stopped = true;
    unlock(desk);
    wake(desk);
}

static void close_links(struct saga_desk *desk) {
    saga_amqp_publisher_close(desk->publisher, SAGA_DESK_DRAIN_MS);
    saga_amqp_consumer_close(desk->consumer); /* after the fates: they become its acks */
}

enum saga_error saga_desk_open(struct saga_desk **desk, struct saga_participant *participant,
                               const struct saga_desk_options *options, struct saga_fault *fault) {
    struct saga_desk *opened = desk_make(participant, options);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the commands of %s",
                              saga_participant_name(participant));
    }
    enum saga_error error = open_links(opened, fault);
    if (error == SAGA_OK && pthread_create(&opened->thread, NULL, run, opened) != 0) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for the commands of %s",
                               opened->name);
    }
    if (error != SAGA_OK) {
        stop(opened);
        close_links(opened);
        desk_free(opened);
        return error;
    }
    *desk = opened;
    return SAGA_OK;
}

void saga_desk_count(struct saga_desk *desk, struct saga_desk_counts *counts) {
    lock(desk);
    *counts = desk->counts;
    unlock(desk);
}

static void tell_the_sum(struct saga_desk *desk) {
    const struct saga_desk_counts *counts = &desk->counts; /* no thread is left to change them */
    saga_notices_say(&desk->turns,
                     "ended: %" PRIu64 " commands were delivered, %" PRIu64 " answered, %" PRIu64
                     " refused, %" PRIu64 " answered where nobody listened",
                     counts->delivered, counts->answered, counts->refused,
                     counts->unroutable + counts->given_up);
}

void saga_desk_close(struct saga_desk *desk) {
    if (desk == NULL) {
        return;
    }
    saga_amqp_consumer_stop(desk->consumer);
    stop(desk);
    const int error = pthread_join(desk->thread, NULL);
    assert(error == 0);
    lock(desk);
    desk->closing = true; /* a reply that cannot leave now will not */
    unlock(desk);
    close_links(desk);
    tell_the_sum(desk);
    desk_free(desk);
}
