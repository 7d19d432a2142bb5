/*
 * What tests of the daemon behind a broker share, beyond daemon_fixture.h: the
 * broker, a virtual host for each test, the saga "park", and participants that are
 * the test's own hands on the wire.
 *
 * The saga: block (parking.block: PARKING_AVAILABLE, PARKING_UNAVAILABLE; undone by
 * parking.unblock, PARKING_UNBLOCKED), then reserve, the pivot (parking.reserve:
 * PARKING_RESERVED, PARKING_RESERVATION_FAILED).
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef BROKER_FIXTURE_H
#define BROKER_FIXTURE_H

#include "broker_node.h"
#include "daemon_fixture.h"
#include "wire_ends.h"

#define PARK_EXCHANGE "BOOKING_TX_EVENT_STORE" /* where services are by default */

extern struct broker_node fixture_node;

/* In main(), before any test: the node, and its virtual hosts t1 to t<count>. */
void fixture_open_node(int hosts);
void fixture_close_node(void);

/* A test's beginning: its virtual host (0: the default one), a data directory, and the definition,
 * with these lines as its `defaults` (NULL: a timeout of 60 s). */
void fixture_begin(int host, const char *defaults);
/* Its URL; of the host alone, at another port. */
const char *fixture_url(void);
const char *fixture_url_at(uint16_t port);

/* Starts the daemon at this URL, which need not be reached. */
void fixture_start_at(const char *program, const char *url);
/* Starts it at fixture_url(), and waits until it is connected. */
void fixture_start_connected(void);
/* Waits until readyz says so; returns after how many milliseconds. */
int64_t fixture_await_connected(bool connected, int64_t within_ms);
/* What readyz says is the reason. */
const char *fixture_reason(void);

/* Starts a "park" over the API, which must accept it. */
void fixture_park(const char *key, const char *slot, char id[API_ID_SIZE]);
/* Waits for its end, which must be this status. */
void fixture_expect(const char *id, const char *status);
/* How often the step was sent, as the API tells it. */
int fixture_attempts(const char *id, const char *step);
/* A counter of /v1/stats: "broker.replies.malformed". */
int64_t fixture_count(const char *path);
/* Waits until it is at least that. */
void fixture_await_count(const char *path, int64_t least);

/* "saga.replies.<log id>" of the daemon's log, which must have been created. */
const char *fixture_reply_queue(void);
/* The messages in a queue of the host, delivered or not; -1: there is no such queue. About 2 s. */
long fixture_messages_in(const char *queue);
/* Waits until there are so many. */
void fixture_await_messages(const char *queue, long count);

/* ------------------------------------------------------------- participants */

/* Both ends of the wire, by hand. */
struct raw_participant {
    struct wire_ends wire;
    struct saga_amqp_event event; /* the last delivery */
};

struct raw_command {
    char id[256];
    char name[256];
    char reply_to[256];
    char operation[32];
    int64_t attempt;
    char body[1024];
};

/* Connects, declares the exchange and `queue`, binds it to "<queue>.#", and consumes. */
void raw_open(struct raw_participant *raw, const char *queue);
/* Connects, and consumes this queue, which is declared; no exchange. */
void raw_open_queue(struct raw_participant *raw, const char *queue);
void raw_close(struct raw_participant *raw);

/* The next delivery, acknowledged (its message stays in raw->event); it must come. */
void raw_next(struct raw_participant *raw, struct raw_command *command);
/* The same; false: none comes within this time. */
bool raw_try_next(struct raw_participant *raw, struct raw_command *command, int64_t within_ms);
/* The next command, however often it was seen before: the next one of this name. */
void raw_next_named(struct raw_participant *raw, const char *name, struct raw_command *command);
/* True: nothing comes within this time. */
bool raw_hears_nothing(struct raw_participant *raw, int64_t within_ms);

/* Publishes, and waits for the confirmation. */
void raw_publish(struct raw_participant *raw, const struct saga_amqp_message *message);
/* A reply's message: outcome NULL: no header; body NULL: none. */
struct saga_amqp_message raw_reply_message(const struct raw_command *command, const char *outcome,
                                           const char *body);
void raw_reply(struct raw_participant *raw, const struct raw_command *command, const char *outcome,
               const char *body);

#endif
