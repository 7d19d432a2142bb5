/*
 * The wire: one command and one reply, as every transport carries them.
 *
 * This is all that orchestrator and participants share (participants/PROTOCOL.md
 * is the same for other languages). It has no struct of the log's.
 *
 * Threads: no state.
 */
#ifndef SAGA_WIRE_H
#define SAGA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of what is accepted from the other side. */
#define SAGA_WIRE_BODY_BYTES_MAX (1u << 20)
#define SAGA_WIRE_JSON_DEPTH_MAX 32
#define SAGA_WIRE_ID_BYTES_MAX 128

/* A command as a participant sees it. All texts are NUL-terminated and borrowed
 * for the call. */
struct saga_wire_command {
    const char *name;      /* "parking.block", "parking.unblock", "parking.fence" */
    const char *id;        /* <saga>/<step>/<incarnation>/<operation>/<revision>: the same on every attempt */
    const char *saga;      /* the saga's id, 36 characters */
    const char *saga_type; /* the definition's name */
    const char *step;      /* the step's name */
    const char *operation; /* "action", "compensation", "fence" */
    uint32_t incarnation;  /* from 1 */
    uint32_t revision;     /* from 1 */
    uint32_t attempt;      /* from 1; diagnostic, no part of the identity */
    int64_t issued_at_ms;  /* ms since 1970 UTC */
    int64_t deadline_ms;   /* likewise; 0: none */
    const char *body;      /* JSON; not NUL-terminated */
    size_t body_size;
};

enum saga_wire_outcome {
    SAGA_WIRE_NONE = 0,    /* not said: the event name decides */
    SAGA_WIRE_DONE,
    SAGA_WIRE_REJECTED,
    SAGA_WIRE_ACCEPTED,
    SAGA_WIRE_RETRY,
    SAGA_WIRE_FENCED,
    SAGA_WIRE_NOOP,
};
const char *saga_wire_outcome_name(enum saga_wire_outcome outcome); /* "done", ... ; NULL for NONE */
enum saga_wire_outcome saga_wire_outcome_parse(const char *name, size_t size); /* NONE if unknown */

/* A reply. `body` is malloc'd JSON {"id": ..., "content": ..., "reply_state": ...},
 * owned by the reply. */
struct saga_wire_reply {
    char id[SAGA_WIRE_ID_BYTES_MAX + 1]; /* of the command it answers */
    uint32_t attempt;      /* of the command as received; 0: not said */
    enum saga_wire_outcome outcome;
    bool replayed;         /* a stored answer, given again */
    bool silent;           /* no reply is to be sent: the participant crashed or gave up */
    char *body;
    size_t body_size;
};
void saga_wire_reply_free(struct saga_wire_reply *reply);

#endif
