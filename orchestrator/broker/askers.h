/*
 * Whoever started a saga by a message, and is to be told of its end.
 *
 * Hides how the open ones are found by the saga's id, and what an answer looks
 * like (docs/protocol.md). What is remembered is in memory alone: after a restart
 * whoever asks again with the same start key is told.
 *
 * Threads: one.
 */
#ifndef SAGA_ASKERS_H
#define SAGA_ASKERS_H

#include "engine.h"
#include "publisher.h"

struct saga_asker {
    struct saga_id saga;
    const char *reply_to; /* a queue */
    const char *correlation_id;
    bool persistent;
};

struct saga_askers;

/* NULL: no memory. */
struct saga_askers *saga_askers_open(void);
void saga_askers_close(struct saga_askers *askers);

/* Remembers a copy of an asker, unless the saga of this status has ended: nothing
 * more will be told of it. Who asks again takes the earlier one's place. False: no
 * memory. */
SAGA_CHECKED bool saga_askers_join(struct saga_askers *askers, const struct saga_id *id,
                                   const char *status, const struct saga_asker *asker);

/* Gives the asker back to be told, and then freed; NULL: there is none, or the saga
 * of this status has not ended. */
struct saga_asker *saga_askers_leave(struct saga_askers *askers, const struct saga_id *id,
                                     const char *status);

/* Bodies: {"id": ..., "status": ...} and {"error": ...}; malloc'd. NULL: no memory. */
char *saga_asker_outcome(const struct saga_id *id, const char *status);
char *saga_asker_refusal(const char *text);

/* The answer as a message, whose `settled` and `context` are the caller's to set; takes
 * `body` over. NULL: no memory, or no body. */
struct saga_amqp_outgoing *saga_asker_message(const struct saga_asker *asker, const char *type,
                                              char *body);
void saga_asker_message_free(struct saga_amqp_outgoing *outgoing);

#endif
