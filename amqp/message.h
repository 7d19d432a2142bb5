/*
 * A message as AMQP 0-9-1 carries it: where to, properties, headers, body.
 *
 * It has no opinion of what the bytes mean. Names and values are UTF-8; a short
 * string (everything but a header's text and the body) has at most 255 bytes.
 *
 * Threads: no state.
 */
#ifndef SAGA_AMQP_MESSAGE_H
#define SAGA_AMQP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAGA_AMQP_SHORT_BYTES_MAX 255
#define SAGA_AMQP_HEADERS_MAX     48 /* a command's own, and the 32 of a definition */

/* A header is a text or a whole number; others are not carried (streams and
 * federation drop them). */
struct saga_amqp_header {
    const char *name;
    const char *text; /* NULL: `number` counts */
    int64_t number;
};

/* All pointers are borrowed: for the call that publishes, or for the call that
 * delivers. NULL: not said. */
struct saga_amqp_message {
    const char *exchange;    /* "" is the default exchange: straight to the queue `routing_key` */
    const char *routing_key; /* a delivery: the one that it was published with */
    const char *message_id;
    const char *correlation_id;
    const char *reply_to;
    const char *type;
    const char *content_type;
    const char *app_id;
    bool persistent;
    bool mandatory;       /* publish: come back if no queue takes it */
    uint64_t timestamp_s; /* since 1970 UTC; 0: not said */
    size_t header_count;
    struct saga_amqp_header headers[SAGA_AMQP_HEADERS_MAX];
    const void *body;
    size_t body_size;
};

/* Adds a header; one too many is an assertion. `name` and `text` are borrowed. */
void saga_amqp_message_add_text(struct saga_amqp_message *message, const char *name,
                                const char *text);
void saga_amqp_message_add_number(struct saga_amqp_message *message, const char *name,
                                  int64_t number);

/* The text of a header; NULL: there is none, or it is a number. */
const char *saga_amqp_message_text(const struct saga_amqp_message *message, const char *name);

/* The number of a header, also where it is spelled as a text of digits. False:
 * there is none, or it is none. */
bool saga_amqp_message_number(const struct saga_amqp_message *message, const char *name,
                              int64_t *number);

#endif
