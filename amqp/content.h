/*
 * A message as AMQP's frames carry it: its properties, and its body in pieces.
 *
 * Hides the encoding of properties and headers, and how a message is put together:
 * an envelope (delivery or return), a frame that announces the body's size and has
 * the properties, and the body's frames. The size is looked at before memory is
 * given for it.
 *
 * Private to the link. Threads: as the link.
 */
#ifndef SAGA_AMQP_CONTENT_H
#define SAGA_AMQP_CONTENT_H

#include "link.h"
#include "rabbitmq.h"

/* All header names and texts of one message that is published. */
#define SAGA_AMQP_HEADER_BYTES_MAX (64u << 10)

/* --------------------------------------------------------- frames out of a message */

/* Whether it can be encoded, into frames of at most so many bytes: the library finds
 * out when half of it has left. */
SAGA_CHECKED bool saga_amqp_properties_fit(const struct saga_amqp_message *message, int frame_max);

/* Points into the message and `entries`. */
void saga_amqp_properties_make(const struct saga_amqp_message *message,
                               amqp_table_entry_t entries[SAGA_AMQP_HEADERS_MAX],
                               amqp_basic_properties_t *properties);

/* -------------------------------------------------------- a message out of frames */

/* All zero: none is under way. */
struct saga_amqp_content {
    struct saga_amqp_event event; /* what it will be */
    char *texts;                  /* of event.message, in one piece */
    uint8_t *body;
    uint64_t expected; /* bytes of the body, all together */
    uint64_t arrived;
    enum {
        SAGA_AMQP_CONTENT_HEADER = 1, /* comes next */
        SAGA_AMQP_CONTENT_BODY,       /* likewise */
    } state;
    bool oversized; /* it is read past, and never shown */
};

/* The envelope: where it came from. Errors of all of these: UNREACHABLE: what comes
 * makes no sense, or there is no memory for it. */
SAGA_CHECKED enum saga_error
saga_amqp_content_begin(struct saga_amqp_content *content, enum saga_amqp_event_type type,
                        amqp_bytes_t exchange, amqp_bytes_t routing_key, struct saga_fault *fault);

/* The frame with the properties; a body over `body_bytes_max` makes it oversized. */
SAGA_CHECKED enum saga_error saga_amqp_content_header(struct saga_amqp_content *content,
                                                      const amqp_frame_t *frame,
                                                      size_t body_bytes_max,
                                                      struct saga_fault *fault);

/* A piece of the body. */
SAGA_CHECKED enum saga_error saga_amqp_content_body(struct saga_amqp_content *content,
                                                    amqp_bytes_t fragment,
                                                    struct saga_fault *fault);

SAGA_CHECKED bool saga_amqp_content_is_complete(const struct saga_amqp_content *content);

/* Frees what it holds; none is under way then. */
void saga_amqp_content_clear(struct saga_amqp_content *content);

/* "the broker breaks the protocol: ..." */
enum saga_error saga_amqp_nonsense(struct saga_fault *fault, const char *what);

#endif
