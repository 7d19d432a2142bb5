/*
 * Whoever started a saga by a message: who that is, as the log keeps it, and what is
 * said to them.
 *
 * Hides how an asker is written down (JSON, a start's content in the log) and what an
 * answer looks like (docs/protocol.md).
 *
 *     {"reply_to":"answers","correlation_id":"order 17","persistent":true}
 *
 * A text that is not UTF-8 is written in hexadecimal, as reply_to_hex and
 * correlation_id_hex.
 *
 * Threads: no state.
 */
#ifndef SAGA_ASKERS_H
#define SAGA_ASKERS_H

#include "engine.h"
#include "publisher.h"

/* Texts are borrowed, or stand behind the asker itself. */
struct saga_asker {
    const char *reply_to; /* a queue */
    const char *correlation_id;
    bool persistent;
};

/* The asker as text, at most SAGA_ASKER_BYTES_MAX bytes where its texts are AMQP's (255 bytes
 * each); malloc'd. NULL: no memory. */
char *saga_asker_text(const struct saga_asker *asker);

/* The asker that was written as this text; to be freed in one piece. NULL, and `why` is a constant
 * text: it is no such text; or NULL and `why` NULL: no memory. */
struct saga_asker *saga_asker_parse(struct saga_bytes text, const char **why);

/* Bodies: {"id": ..., "status": ...} and {"error": ...}; malloc'd. NULL: no memory. */
char *saga_asker_outcome(const struct saga_id *id, const char *status);
char *saga_asker_refusal(const char *text);

/* An answer on its way. */
struct saga_asker_answer {
    struct saga_amqp_outgoing outgoing; /* whose `settled` and `context` are the caller's to set */
    struct saga_request told;           /* of an end: for the engine, once it is told */
    bool is_end;                        /* the caller's */
    char *body;
    char texts[];
};

/* Takes `body` over; `type` is a static text. NULL: no memory, or no body. */
struct saga_asker_answer *saga_asker_answer_make(const struct saga_asker *asker, const char *type,
                                                 char *body);
void saga_asker_answer_free(struct saga_asker_answer *answer);

#endif
