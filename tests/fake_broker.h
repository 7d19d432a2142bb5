/*
 * The broker's two ends, played by the test: it is linked in place of amqp's
 * publisher, consumer and link. Deliveries and fates are made by the test, on its
 * own thread; what the code under test puts and settles is waited for.
 *
 * One publisher and one consumer at a time.
 */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include "consumer.h"
#include "publisher.h"

/* As before a test: not connected, nothing put, nothing settled. */
void fake_broker_reset(void);

/* Both ends connect, or lose their connection. */
void fake_broker_turn(bool up, const char *why);
/* The publisher takes nothing while it is on. */
void fake_broker_alarm(bool on);

/* Delivers; what is gathered is said by fake_broker_gathered(). */
void fake_broker_deliver(const struct saga_amqp_message *message, struct saga_amqp_ticket ticket);
void fake_broker_gathered(void);

/* The next message that was put; waits for it. Its fate is owed. */
struct saga_amqp_outgoing *fake_broker_next_put(void);
/* True: nothing is put within this time. */
bool fake_broker_puts_nothing(int64_t within_ms);

struct fake_settlement {
    struct saga_amqp_ticket ticket;
    enum saga_amqp_settlement how;
};
/* The next settlement; waits for it. */
struct fake_settlement fake_broker_next_settlement(void);
/* How many were not taken yet. */
size_t fake_broker_settlement_count(void);
bool fake_broker_stopped(void); /* the consumer was told to stop */

/* What both ends declare when they connect, a line each. */
const char *fake_broker_declarations(void);

#endif
