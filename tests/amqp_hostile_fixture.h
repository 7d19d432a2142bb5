/*
 * What tests of the link against a hostile broker share: a link to the scripted
 * broker, and what is expected of it.
 *
 * Failures end the test (Check).
 *
 * Threads: one, and the scripted broker's.
 */
#ifndef AMQP_HOSTILE_FIXTURE_H
#define AMQP_HOSTILE_FIXTURE_H

#include "link.h"
#include "scripted_broker.h"

#define HOSTILE_TIMEOUT_MS     1000
#define HOSTILE_BODY_BYTES_MAX (1u << 20)

struct saga_amqp_address hostile_address(uint16_t port);

/* To the scripted broker, which must have been started. */
enum saga_error hostile_try_to_open(struct saga_amqp_link **link, struct saga_fault *fault);
struct saga_amqp_link *hostile_open_link(void);

/* Waits for something; SAGA_ERROR_TIMEOUT: nothing within five seconds. */
enum saga_error hostile_next_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                                   struct saga_fault *fault);
/* It must be of this type. */
void hostile_expect_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                          enum saga_amqp_event_type type);

/* The fault says `text`, and no control bytes. */
void hostile_expect_text(const struct saga_fault *fault, const char *text);
/* Whatever else comes first, the link is lost, and says `text`. */
void hostile_expect_lost(struct saga_amqp_link *link, const char *text);

/* Of this process. */
long hostile_resident_kib(void);

/* What a broker tells after a login in good order, and what the link then says (""). */
struct hostile_story {
    void (*tell)(struct scripted_peer *peer);
    const char *text;
};
/* The script of the story that is its context. */
void hostile_play_story(struct scripted_peer *peer);

/* A field of a table. */
void hostile_put_header(struct script_bytes *headers, const char *name, char kind, unsigned width,
                        uint64_t number);

#endif
