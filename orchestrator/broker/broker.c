#include "broker.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "askers.h"
#include "command_message.h"
#include "delivered_message.h"
#include "ids.h"
#include "reply.h"

/* So long what was handed over may take to be confirmed at the end. */
#define DRAIN_MS 1000
/* How often it is said that commands find no queue. */
#define UNROUTABLE_EVERY_MS 10000
/* So many answers to starts are kept while nothing leaves; whoever hears nothing asks again. */
#define UNTOLD_MAX 100000
/* No end is taken while so many answers wait: the engine keeps it, which is smaller. */
#define ENDS_MAX  1000
#define NAME_SIZE (SAGA_AMQP_SHORT_BYTES_MAX + 1)

enum { QUEUE_REPLIES = 0, QUEUE_STARTS };

/* What the engine is asked about all sagas at once: one request, however often it comes up while
 * that is under way. */
struct plea {
    struct saga_request request; /* the first: its address is the plea's */
    bool under_way, again;
};

struct saga_broker {
    struct saga_broker_options options;
    char reply_queue[NAME_SIZE];
    char reply_dead[NAME_SIZE];
    struct saga_command_envelope envelope;
    struct saga_amqp_publisher *publisher;
    struct saga_amqp_consumer *consumer;

    /* The consumer's thread alone. */
    struct saga_request *gathered_first;
    struct saga_request *gathered_last;
    uint64_t connection; /* the newest that has delivered anything */

    pthread_mutex_t mutex; /* for all of these */
    bool stopped;
    bool publishes, consumes; /* connected, and no alarm */
    bool lost;                /* one of the connections was, since both were there */
    struct plea resend, hurry;
    struct saga_request *held;                             /* starts for which there was no room */
    struct saga_amqp_outgoing *untold_first, *untold_last; /* answers that wait for the publisher */
    size_t untold_count;
    int64_t unroutable_said_ms;
    uint64_t unroutable_unsaid;
    struct saga_broker_state state; /* but for the counts of publisher and consumer */
};

static void lock(struct saga_broker *broker) {
    (void)pthread_mutex_lock(&broker->mutex);
}

static void unlock(struct saga_broker *broker) {
    (void)pthread_mutex_unlock(&broker->mutex);
}

__attribute__((format(printf, 3, 4))) static void say(struct saga_broker *broker, bool alarming,
                                                      const char *format, ...) {
    char text[1400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    broker->options.say(broker->options.context, alarming, text);
}

/* To the engine; false: it takes nothing any more. */
static bool put(struct saga_broker *broker, struct saga_request *requests) {
    lock(broker);
    const bool taken = !broker->stopped;
    if (taken) { /* under the mutex: nothing is put once saga_broker_stop() has been left */
        saga_inbox_put(broker->options.inbox, requests);
    }
    unlock(broker);
    return taken;
}

/* ----------------------------------------------------------------- topology */

static enum saga_error declare_queue(struct saga_amqp_link *link, const char *name,
                                     const char *dead, struct saga_fault *fault) {
    const struct saga_amqp_queue letters = {.name = dead};
    const struct saga_amqp_queue queue = {.name = name, .dead_letter_queue = dead};
    const enum saga_error error = saga_amqp_link_queue(link, &letters, fault);
    return error == SAGA_OK ? saga_amqp_link_queue(link, &queue, fault) : error;
}

static enum saga_error declare_exchange(struct saga_broker *broker, struct saga_amqp_link *link,
                                        const char *name, struct saga_fault *fault) {
    const enum saga_error error = saga_amqp_link_exchange(link, name, fault);
    return error == SAGA_OK
               ? saga_amqp_link_bind(link, broker->reply_queue, name, broker->reply_queue, fault)
               : error;
}

/* On each connection: whichever comes first, an answer finds its queue. */
static enum saga_error prepare(void *context, struct saga_amqp_link *link,
                               struct saga_fault *fault) {
    struct saga_broker *broker = context;
    enum saga_error error = declare_queue(link, broker->reply_queue, broker->reply_dead, fault);
    if (error == SAGA_OK) {
        error =
            declare_queue(link, SAGA_BROKER_START_QUEUE, SAGA_BROKER_START_QUEUE ".dead", fault);
    }
    if (error == SAGA_OK) {
        error = declare_exchange(broker, link, SAGA_BROKER_EXCHANGE, fault);
    }
    for (size_t i = 0; i < broker->options.exchange_count && error == SAGA_OK; i++) {
        error = declare_exchange(broker, link, broker->options.exchanges[i], fault);
    }
    return error;
}

/* ------------------------------------------------------------- lost and found */

static void plea_answered(struct saga_request *request) {
    struct plea *plea = (struct plea *)(void *)request;
    struct saga_broker *broker = request->context;
    lock(broker);
    const bool again = plea->again;
    plea->under_way = again;
    plea->again = false;
    unlock(broker);
    if (again) {
        (void)put(broker, request);
    }
}

static void ask(struct saga_broker *broker, struct plea *plea, enum saga_request_type type) {
    lock(broker);
    const bool first = !plea->under_way;
    plea->again = !first;
    plea->under_way = true;
    unlock(broker);
    if (first) {
        plea->request = (struct saga_request){
            .type = (uint8_t)type, .answered = plea_answered, .context = broker};
        (void)put(broker, &plea->request);
    }
}

/* Both connections are there. If one was not, whatever was handed over before may be lost, and so
 * may the answers. After an alarm nothing is: what had left is confirmed on the same connection.
 * But what was refused waits. */
static void go_on(struct saga_broker *broker, bool lost) {
    if (lost) {
        ask(broker, &broker->resend, SAGA_REQUEST_RESEND);
    } else {
        ask(broker, &broker->hurry, SAGA_REQUEST_HURRY);
    }
}

/* `alarm`: it is down, and the connection stands. */
static void turned(struct saga_broker *broker, bool *which, bool up, bool alarm, const char *what,
                   const char *why) {
    lock(broker);
    *which = up;
    const bool both = broker->publishes && broker->consumes;
    const bool lost = broker->lost || (!up && !alarm);
    broker->lost = lost && !both;
    broker->state.up = both;
    if (!up) {
        (void)snprintf(broker->state.why, sizeof broker->state.why, "%s", why);
    }
    const bool stopped = broker->stopped;
    unlock(broker);
    if (!stopped) {
        say(broker, !up, "broker: %s: %s", what, why);
    }
    if (both) {
        go_on(broker, lost);
    }
}

static void publisher_turned(void *context, bool up, const char *why) {
    struct saga_broker *broker = context;
    struct saga_amqp_publisher_counts counts;
    saga_amqp_publisher_count(broker->publisher, &counts);
    turned(broker, &broker->publishes, up, counts.blocked, "commands", why);
}

static void consumer_turned(void *context, bool up, const char *why) {
    struct saga_broker *broker = context;
    turned(broker, &broker->consumes, up, false, "replies", why);
}

/* ----------------------------------------------------------------- commands */

static struct saga_command_message *message_of(struct saga_amqp_outgoing *outgoing) {
    return (struct saga_command_message *)(void *)outgoing; /* its first member */
}

static void unsent_answered(struct saga_request *request) {
    free(request->context);
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void complain_unroutable(struct saga_broker *broker, const char *name) {
    const int64_t now = now_ms();
    lock(broker);
    const uint64_t more = broker->unroutable_unsaid;
    const bool due =
        broker->unroutable_said_ms == 0 || now - broker->unroutable_said_ms >= UNROUTABLE_EVERY_MS;
    broker->unroutable_unsaid = due ? 0 : more + 1;
    broker->unroutable_said_ms = due ? now : broker->unroutable_said_ms;
    unlock(broker);
    if (due) {
        say(broker, true,
            "broker: no queue takes %s (and %llu commands since it was said last): is the "
            "participant running, and its queue bound? It is tried again",
            name, (unsigned long long)more);
    }
}

static void settled(struct saga_amqp_outgoing *outgoing, enum saga_amqp_fate fate) {
    struct saga_command_message *message = message_of(outgoing);
    struct saga_broker *broker = outgoing->context;
    if (fate == SAGA_AMQP_UNROUTABLE) {
        complain_unroutable(broker, outgoing->message.routing_key);
    }
    message->unsent.answered = unsent_answered;
    message->unsent.context = message;
    const bool unsent = fate == SAGA_AMQP_UNROUTABLE || fate == SAGA_AMQP_UNSENT;
    if (!unsent || !put(broker, &message->unsent)) {
        free(message);
    }
}

bool saga_broker_send(void *context, const struct saga_dispatch *dispatch) {
    struct saga_broker *broker = context;
    struct saga_command_message *message = saga_command_message_make(dispatch, &broker->envelope);
    if (message == NULL) {
        return false;
    }
    message->outgoing.settled = settled;
    message->outgoing.context = broker;
    if (!saga_amqp_publisher_put_later(broker->publisher, &message->outgoing)) {
        free(message);
        return false;
    }
    return true;
}

void saga_broker_push(void *context) {
    struct saga_broker *broker = context;
    saga_amqp_publisher_push(broker->publisher);
    saga_amqp_consumer_push(broker->consumer);
}

/* ------------------------------------------------------------ whoever starts */

static struct saga_asker_answer *answer_of(struct saga_amqp_outgoing *outgoing) {
    return (struct saga_asker_answer *)(void *)outgoing; /* its first member */
}

/* Keeps an answer for the next pulse. False: there are too many, or nobody will look. An end is
 * kept in any case: no more are taken than there may be. */
static bool keep_untold(struct saga_broker *broker, struct saga_asker_answer *answer) {
    lock(broker);
    const bool kept = !broker->stopped && (answer->is_end || broker->untold_count < UNTOLD_MAX);
    if (kept) {
        answer->outgoing.next = NULL;
        *(broker->untold_last != NULL ? &broker->untold_last->next : &broker->untold_first) =
            &answer->outgoing;
        broker->untold_last = &answer->outgoing;
        broker->untold_count++;
    }
    unlock(broker);
    return kept;
}

static struct saga_amqp_outgoing *take_untold(struct saga_broker *broker) {
    lock(broker);
    struct saga_amqp_outgoing *answers = broker->untold_first;
    broker->untold_first = broker->untold_last = NULL;
    broker->untold_count = 0;
    unlock(broker);
    return answers;
}

static void told_answered(struct saga_request *request) {
    saga_asker_answer_free(request->context);
}

/* The engine need not remember it any more. Where it takes nothing, it tells once more after its
 * restart. */
static void report_told(struct saga_broker *broker, struct saga_asker_answer *answer) {
    answer->told.type = SAGA_REQUEST_TOLD;
    answer->told.answered = told_answered;
    answer->told.context = answer;
    if (!put(broker, &answer->told)) {
        saga_asker_answer_free(answer);
    }
}

static void told(struct saga_amqp_outgoing *outgoing, enum saga_amqp_fate fate) {
    struct saga_broker *broker = outgoing->context;
    struct saga_asker_answer *answer = answer_of(outgoing);
    const bool may_be_lost = fate == SAGA_AMQP_UNSENT || fate == SAGA_AMQP_IN_DOUBT;
    if (may_be_lost && keep_untold(broker, answer)) {
        return;
    }
    if (answer->is_end && !may_be_lost) {
        report_told(broker, answer);
    } else {
        saga_asker_answer_free(answer);
    }
}

/* Behind those that wait, so that who is told of an end was told of the start. */
static void tell(struct saga_broker *broker, struct saga_asker_answer *answer) {
    answer->outgoing.settled = told;
    answer->outgoing.context = broker;
    lock(broker);
    const bool is_first = broker->untold_first == NULL;
    unlock(broker);
    if (!is_first || !saga_amqp_publisher_put(broker->publisher, &answer->outgoing)) {
        told(&answer->outgoing, SAGA_AMQP_UNSENT);
    }
}

static void tell_untold(struct saga_broker *broker) {
    struct saga_amqp_outgoing *next;
    for (struct saga_amqp_outgoing *answer = take_untold(broker); answer != NULL; answer = next) {
        next = answer->next;
        if (!saga_amqp_publisher_put(broker->publisher, answer)) {
            told(answer, SAGA_AMQP_UNSENT);
        }
    }
}

/* Of a start. Without memory for it nothing is said: whoever hears nothing asks again. */
static void tell_at_once(struct saga_broker *broker, const struct saga_asker *asker,
                         const char *type, char *body) {
    struct saga_asker_answer *answer = saga_asker_answer_make(asker, type, body);
    if (answer != NULL) {
        tell(broker, answer);
    }
}

static void given_up(struct saga_request *request) {
    free(request);
}

/* Another version's words, perhaps. Those behind it are told. */
static bool give_up(struct saga_broker *broker, const struct saga_id *id, const char *why) {
    char text[SAGA_ID_TEXT_SIZE];
    struct saga_request *request = malloc(sizeof *request);
    if (request == NULL) {
        return false;
    }
    *request = (struct saga_request){.type = SAGA_REQUEST_TOLD, .answered = given_up, .id = *id};
    say(broker, true, "broker: nobody is told of the end of saga %s: what the log has is %s",
        saga_id_text(id, text), why);
    if (!put(broker, request)) {
        free(request);
    }
    return true;
}

bool saga_broker_ended(void *context, const struct saga_id *id, const char *status,
                       struct saga_bytes asker) {
    struct saga_broker *broker = context;
    lock(broker);
    const bool takes = !broker->stopped && broker->untold_count < ENDS_MAX;
    unlock(broker);
    if (!takes) {
        return false;
    }
    const char *why;
    struct saga_asker *parsed = saga_asker_parse(asker, &why);
    if (parsed == NULL) {
        return why != NULL && give_up(broker, id, why);
    }
    struct saga_asker_answer *answer =
        saga_asker_answer_make(parsed, "saga.ended", saga_asker_outcome(id, status));
    free(parsed);
    if (answer == NULL) {
        return false;
    }
    answer->is_end = true;
    answer->told.id = *id;
    tell(broker, answer);
    return true;
}

static void start_answered(struct saga_request *request) {
    struct saga_delivered_message *start = (struct saga_delivered_message *)(void *)request;
    struct saga_broker *broker = request->context;
    const struct saga_asker asker = {.reply_to = start->reply_to,
                                     .correlation_id = start->correlation_id,
                                     .persistent = start->persistent};
    const bool started =
        request->result == SAGA_RESULT_CREATED || request->result == SAGA_RESULT_OK;
    if (request->result == SAGA_RESULT_FULL) { /* later: until then the queue keeps the others */
        lock(broker);
        broker->state.starts_held_up++;
        request->next = broker->held;
        broker->held = request;
        unlock(broker);
        return;
    }
    if (request->result == SAGA_RESULT_DRAINING) { /* goes back to the queue with the connection */
        free(start);
        return;
    }
    if (started && asker.reply_to != NULL) {
        const struct saga_listing *saga = &start->listing;
        tell_at_once(broker, &asker, "saga.started", saga_asker_outcome(&saga->id, saga->status));
    } else if (asker.reply_to != NULL) {
        tell_at_once(broker, &asker, "saga.refused", saga_asker_refusal(request->text));
    }
    if (!started) {
        lock(broker);
        broker->state.refused++;
        unlock(broker);
        say(broker, true, "broker: a start is refused: %s", request->text);
    }
    saga_amqp_consumer_settle_later(broker->consumer, start->ticket,
                                    started ? SAGA_AMQP_ACK : SAGA_AMQP_REJECT);
    free(start);
}

/* ------------------------------------------------------------------- replies */

static void reply_answered(struct saga_request *request) {
    struct saga_delivered_message *reply = (struct saga_delivered_message *)(void *)request;
    struct saga_broker *broker = request->context;
    const bool taken = request->result == SAGA_RESULT_OK;
    if (!taken) {
        lock(broker);
        broker->state.refused++;
        unlock(broker);
        say(broker, true, "broker: a reply is refused, and goes to %s: %s", broker->reply_dead,
            request->text);
    }
    saga_amqp_consumer_settle_later(broker->consumer, reply->ticket,
                                    taken ? SAGA_AMQP_ACK : SAGA_AMQP_REJECT);
    free(reply);
}

static void delivered(void *context, size_t queue, const struct saga_amqp_message *message,
                      struct saga_amqp_ticket ticket) {
    struct saga_broker *broker = context;
    const bool is_reply = queue == QUEUE_REPLIES;
    const char *why;
    struct saga_delivered_message *made =
        is_reply ? saga_delivered_reply(message, &why) : saga_delivered_start(message, &why);
    if (made == NULL) {
        lock(broker);
        broker->state.malformed += why != NULL;
        unlock(broker);
        say(broker, true, "broker: %s", why != NULL ? why : "no memory for a message");
        saga_amqp_consumer_settle(broker->consumer, ticket,
                                  why != NULL ? SAGA_AMQP_REJECT : SAGA_AMQP_REQUEUE);
        return;
    }
    made->ticket = ticket;
    broker->connection = ticket.connection;
    made->request.answered = is_reply ? reply_answered : start_answered;
    made->request.context = broker;
    made->request.next = NULL;
    if (broker->gathered_last != NULL) {
        broker->gathered_last->next = &made->request;
    } else {
        broker->gathered_first = &made->request;
    }
    broker->gathered_last = &made->request;
}

static void free_requests(struct saga_request *requests) {
    while (requests != NULL) {
        struct saga_request *next = requests->next;
        free(requests); /* the first member of what was allocated */
        requests = next;
    }
}

static void gathered(void *context) {
    struct saga_broker *broker = context;
    struct saga_request *requests = broker->gathered_first;
    broker->gathered_first = broker->gathered_last = NULL;
    if (requests != NULL && !put(broker, requests)) {
        free_requests(requests);
    }
}

/* What an earlier connection delivered comes again on this one, if it has not yet: asking for both
 * would be asking twice. */
static struct saga_request *without_void(const struct saga_broker *broker,
                                         struct saga_request *held) {
    struct saga_request *kept = NULL;
    while (held != NULL) {
        struct saga_request *next = held->next;
        const struct saga_delivered_message *start = (struct saga_delivered_message *)(void *)held;
        if (start->ticket.connection == broker->connection) {
            held->next = kept;
            kept = held;
        } else {
            free(held);
        }
        held = next;
    }
    return kept; /* in the order of delivery: they were held with the newest first */
}

/* About once a second: perhaps there is room now, and somebody who carries answers. */
static void pulse(void *context) {
    struct saga_broker *broker = context;
    tell_untold(broker);
    lock(broker);
    struct saga_request *held = broker->held;
    broker->held = NULL;
    unlock(broker);
    held = without_void(broker, held);
    if (held != NULL && !put(broker, held)) {
        free_requests(held);
    }
}

/* ------------------------------------------------------------- open and close */

static struct saga_amqp_link_options link_options(const struct saga_broker_options *options,
                                                  const char *name) {
    return (struct saga_amqp_link_options){
        .address = options->address,
        .name = name,
        .ca_file = options->ca_file,
        .certificate = options->certificate,
        .key = options->key,
        .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
        .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
        .body_bytes_max = SAGA_REPLY_BYTES_MAX,
    };
}

static enum saga_error connect_both(struct saga_broker *broker, struct saga_fault *fault) {
    const struct saga_broker_options *options = &broker->options;
    const struct saga_amqp_consumer_options consumer = {
        .link = link_options(options, "sagad: replies"),
        .queues = {[QUEUE_REPLIES] = broker->reply_queue, [QUEUE_STARTS] = SAGA_BROKER_START_QUEUE},
        .seed = options->seed,
        .context = broker,
        .prepare = prepare,
        .delivered = delivered,
        .gathered = gathered,
        .pulse = pulse,
        .turned = consumer_turned,
    };
    const struct saga_amqp_publisher_options publisher = {
        .link = link_options(options, "sagad: commands"),
        .seed = ~options->seed,
        .context = broker,
        .prepare = prepare,
        .turned = publisher_turned,
    };
    enum saga_error error = saga_amqp_publisher_open(&broker->publisher, &publisher, fault);
    return error == SAGA_OK ? saga_amqp_consumer_open(&broker->consumer, &consumer, fault) : error;
}

enum saga_error saga_broker_open(struct saga_broker **broker,
                                 const struct saga_broker_options *options,
                                 struct saga_fault *fault) {
    struct saga_broker *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the broker's transport");
    }
    opened->options = *options;
    opened->lost = true; /* an earlier daemon's */
    (void)snprintf(opened->reply_queue, NAME_SIZE, "saga.replies.%s", options->log_id);
    (void)snprintf(opened->reply_dead, NAME_SIZE, "saga.replies.%s.dead", options->log_id);
    (void)snprintf(opened->state.why, sizeof opened->state.why, "not connected yet");
    opened->envelope = (struct saga_command_envelope){.exchange = SAGA_BROKER_EXCHANGE,
                                                      .reply_to = opened->reply_queue,
                                                      .persistent = options->persistent};
    (void)pthread_mutex_init(&opened->mutex, NULL);
    const enum saga_error error = connect_both(opened, fault);
    if (error != SAGA_OK) {
        saga_broker_close(opened);
        return error;
    }
    *broker = opened;
    return SAGA_OK;
}

void saga_broker_look(struct saga_broker *broker, struct saga_broker_state *state) {
    lock(broker);
    *state = broker->state;
    unlock(broker);
    saga_amqp_publisher_count(broker->publisher, &state->publisher);
    saga_amqp_consumer_count(broker->consumer, &state->consumer);
}

void saga_broker_stop(struct saga_broker *broker) {
    lock(broker);
    broker->stopped = true;
    unlock(broker);
    saga_amqp_consumer_stop(broker->consumer);
}

void saga_broker_close(struct saga_broker *broker) {
    if (broker == NULL) {
        return;
    }
    lock(broker);
    broker->stopped = true;
    unlock(broker);
    saga_amqp_consumer_close(broker->consumer);
    saga_amqp_publisher_close(broker->publisher, DRAIN_MS);
    free_requests(broker->held);
    free_requests(broker->gathered_first);
    struct saga_amqp_outgoing *next;
    for (struct saga_amqp_outgoing *answer = take_untold(broker); answer != NULL; answer = next) {
        next = answer->next;
        saga_asker_answer_free(answer_of(answer));
    }
    (void)pthread_mutex_destroy(&broker->mutex);
    free(broker);
}
