/*
 * The wire: one command and one reply, as every transport carries them.
 *
 * This is all that orchestrator and participants share (participants/PROTOCOL.md
 * is the same for other languages). It has no struct of the log's, and hides
 * nothing but the spelling of the words and of a reply's body.
 *
 * Threads: no state.
 */
#ifndef SAGA_WIRE_H
#define SAGA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of what is accepted from the other side. An id holds a saga's id (36
 * characters), a step's name (up to 128), three numbers and a word: 255 is what
 * AMQP's short strings hold. */
#define SAGA_WIRE_BODY_BYTES_MAX (1u << 20)
#define SAGA_WIRE_JSON_DEPTH_MAX 32
#define SAGA_WIRE_ID_BYTES_MAX   255
#define SAGA_WIRE_NAME_BYTES_MAX 128
#define SAGA_WIRE_SAGA_BYTES     36

enum saga_wire_operation {
    SAGA_WIRE_ACTION = 1,
    SAGA_WIRE_COMPENSATION,
    SAGA_WIRE_FENCE,
    SAGA_WIRE_SETTLE,
};
#define SAGA_WIRE_OPERATION_COUNT 4
/* "action", "compensation", "fence", "settle". */
const char *saga_wire_operation_name(enum saga_wire_operation operation);
/* 0 if unknown. */
enum saga_wire_operation saga_wire_operation_parse(const char *name);

/* A command as a participant sees it. All texts are NUL-terminated and borrowed
 * for the call. */
struct saga_wire_command {
    const char *name;      /* "parking.block", "parking.unblock", "parking.fence", ... */
    const char *id;        /* <saga>/<step>/<incarnation>/<operation>/<revision>: the same on every
                              attempt. A participant echoes it, and reads nothing out of it. */
    const char *saga;      /* the saga's id, 36 characters */
    const char *saga_type; /* the definition's name; NULL: not said */
    const char *step;      /* the step's name */
    const char *operation; /* "action", "compensation", "fence", "settle" */
    uint32_t incarnation;  /* from 1 */
    uint32_t revision;     /* from 1 */
    uint32_t attempt;      /* from 1; diagnostic, no part of the identity */
    int64_t issued_at_ms;  /* when the command (not this attempt) was issued; ms since 1970 UTC */
    int64_t deadline_ms;   /* likewise; 0: none */
    const char *body;      /* JSON; not NUL-terminated */
    size_t body_size;
};

/* NULL if the command's identity can be acted on; else what is wrong with it, a
 * constant text. Says nothing about its body. */
const char *saga_wire_command_check(const struct saga_wire_command *command);

/* True if `name` has 1 to `bytes_max` characters of A-Z a-z 0-9 . _ : - and no
 * other, so that it needs no escaping anywhere it is carried. */
bool saga_wire_name_check(const char *name, size_t bytes_max);

enum saga_wire_outcome {
    SAGA_WIRE_NONE = 0, /* not said: the event name decides */
    SAGA_WIRE_DONE,
    SAGA_WIRE_REJECTED,
    SAGA_WIRE_ACCEPTED,
    SAGA_WIRE_RETRY,
    SAGA_WIRE_FENCED,
    SAGA_WIRE_NOOP,
};
const char *
saga_wire_outcome_name(enum saga_wire_outcome outcome); /* "done", ... ; NULL for NONE */
enum saga_wire_outcome saga_wire_outcome_parse(const char *name, size_t size); /* NONE if unknown */

/* A reply. `body` is malloc'd JSON {"id": ..., "content": ..., "reply_state": ...},
 * owned by the reply, NUL-terminated beyond its size. */
struct saga_wire_reply {
    char id[SAGA_WIRE_ID_BYTES_MAX + 1]; /* of the command it answers */
    uint32_t attempt;                    /* of the command as received; 0: not said */
    enum saga_wire_outcome outcome;
    bool replayed;       /* the answer came from the fence row: this command changed nothing */
    bool silent;         /* no reply is to be sent: the participant crashed, gave up, or refused */
    const char *refusal; /* silent: why this command must never be delivered again (to the
                            dead-letter queue with it), a constant text; NULL: deliver it again */
    char *body;
    size_t body_size;
};

/* Writes the body of a reply whose `id` is set: `event` is a name
 * (saga_wire_name_check), `content` JSON or NULL for null. False, with no body,
 * if memory ran out or it would be over SAGA_WIRE_BODY_BYTES_MAX. */
bool saga_wire_reply_encode(struct saga_wire_reply *reply, const char *event, const char *content);

/* Frees the body; the reply may be used again. */
void saga_wire_reply_free(struct saga_wire_reply *reply);

#endif
