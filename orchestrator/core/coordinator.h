/*
 * All open sagas: the one door of the core.
 *
 * Hides where sagas are kept, their timers, and who is sent to when. The
 * caller (the engine) gives one input at a time, appends the records it gets
 * back, commits them, and only then does the effects, in order. EVALUATE is
 * the exception: it is answered at once, with a RENDERED input, so that both
 * halves of the decision are in one commit.
 *
 * Promises:
 *  1. No effect but EVALUATE may be needed before the update's records are
 *     durable; none is complete without them.
 *  2. Every open saga that is not parked or quarantined has a timer.
 *  3. No allocation, no clock, no I/O; the same inputs give the same updates.
 *  4. One step does a bounded amount of work; if more is due, wake_at_ms is not
 *     in the future.
 *
 * Threads: one at a time.
 */
#ifndef SAGA_COORDINATOR_H
#define SAGA_COORDINATOR_H

#include "saga.h"

struct saga_coordinator;

/* Every one is a number, and who reaches it is told so. */
struct saga_limits {
    uint32_t sagas_max;         /* open at a time; a log may have up to twice as many */
    uint32_t plans_max;         /* definitions ever loaded in this log */
    uint32_t participants_max;  /* saga_plan_step.participant is below this */
    uint32_t resend_per_second; /* commands sent again after a restart */
};

/* Bytes of memory that these limits need at most. It is touched only as sagas
 * are started, so it can be mapped without being reserved. */
size_t saga_coordinator_size(const struct saga_limits *limits);

/* Makes a coordinator in zeroed `memory` (aligned for any type), which stays
 * the caller's. */
struct saga_coordinator *saga_coordinator_init(void *memory, const struct saga_limits *limits);

/* Adds a definition's plan (checked, definition_lsn set, above every earlier
 * one). It is borrowed for as long as the coordinator lives. False: full. */
SAGA_CHECKED bool saga_coordinator_define(struct saga_coordinator *coordinator,
                                          const struct saga_plan *plan);

/* ------------------------------------------------------------------ inputs */

enum saga_door {
    SAGA_DOOR_START = 1, /* a new saga; id, plan, key and payload */
    SAGA_DOOR_EVENT,     /* something happened to a saga: id and event */
    SAGA_DOOR_TICK,      /* time has passed */
    SAGA_DOOR_EPOCH,     /* after recovery: the daemon starts; every open saga resumes */
    SAGA_DOOR_SWEEP,     /* look for sagas that nothing would wake, and arm them */
    SAGA_DOOR_RESEND,    /* what was handed over may be lost: send all that is outstanding again */
    SAGA_DOOR_HURRY,     /* what was refused may leave now: send what waits, and nothing again */
};

struct saga_input {
    uint8_t door;                 /* enum saga_door */
    uint64_t next_lsn;            /* of the first record that comes of it */
    struct saga_id saga;          /* START, EVENT */
    const struct saga_plan *plan; /* START: one that was defined */
    struct saga_event event;      /* at_ms, wall_ms, epoch: always. The rest: EVENT.
                                     START: key, payload and content too */
};

/* ----------------------------------------------------------------- updates */

enum saga_effect_type {
    SAGA_EFFECT_EVALUATE = 1, /* make the body of a command, answer with RENDERED, now */
    SAGA_EFFECT_SEND,         /* send a command's attempt */
    SAGA_EFFECT_CHANGED,      /* the saga's status is another one */
};

struct saga_effect {
    uint8_t type;      /* enum saga_effect_type */
    uint8_t step;      /* EVALUATE */
    uint8_t operation; /* EVALUATE */
    struct saga_id saga;
    const struct saga_plan *plan;
    uint64_t last_lsn;               /* the saga's latest record */
    const char *status;              /* CHANGED: its public name */
    struct saga_outstanding command; /* SEND */
};

/* The most records of one update. */
#define SAGA_UPDATE_RECORDS_MAX 64

/* Valid until the next step. */
struct saga_update {
    enum saga_answer answer; /* START, EVENT: what became of the input */
    const struct saga_record *records;
    size_t record_count;
    const struct saga_effect *effects;
    size_t effect_count;
    int64_t wake_at_ms; /* the next time something is due; INT64_MAX: never */
};

/* Takes one input. input->event.at_ms must not be earlier than in any input or
 * replayed record before. */
void saga_coordinator_step(struct saga_coordinator *coordinator, const struct saga_input *input,
                           struct saga_update *update);

/* ---------------------------------------------------------------- recovery */

enum saga_replay {
    SAGA_REPLAYED = 0,
    SAGA_REPLAY_NO_SAGA,     /* of a saga that is not open: ended, or never started */
    SAGA_REPLAY_QUARANTINED, /* it makes an illegal transition, or its saga is quarantined already
                              */
    SAGA_REPLAY_NO_PLAN,     /* started by a definition that is not there: quarantined */
    SAGA_REPLAY_FULL,        /* more open sagas than the limit */
    SAGA_REPLAY_ILLEGAL,     /* a record of the log itself that cannot be */
    SAGA_REPLAY_LEFT_OUT,    /* recovery's own: not replayed, since it brought recovery down */
    SAGA_REPLAY_KNOWN,       /* recovery's own: the saga's stored state has it already */
};

/* Folds one record of the log in. Writes nothing; decides nothing. An EPOCH_STARTED is
 * folded into the sagas that are of an earlier epoch. */
SAGA_CHECKED enum saga_replay saga_coordinator_replay(struct saga_coordinator *coordinator,
                                                      const struct saga_record *record);

/* Takes an open saga's state as it was stored, instead of all of its records up to
 * state->last_lsn; replaying those as well would be an error. REPLAYED; QUARANTINED: it is there
 * already, has ended, or is not sound (it was not taken); NO_PLAN, FULL as above. */
SAGA_CHECKED enum saga_replay saga_coordinator_restore(struct saga_coordinator *coordinator,
                                                       const struct saga *state);

/* Takes a saga out of service; it stays in the list. False: not open. */
SAGA_CHECKED bool saga_coordinator_quarantine(struct saga_coordinator *coordinator,
                                              const struct saga_id *id);

/* ----------------------------------------------------------------- looking */

/* An open saga; NULL if there is none of this id. Valid until the next step. */
const struct saga *saga_coordinator_find(const struct saga_coordinator *coordinator,
                                         const struct saga_id *id, const struct saga_plan **plan);

/* The open sagas one after the other: start with *cursor = 0; NULL at the end. */
const struct saga *saga_coordinator_next(const struct saga_coordinator *coordinator,
                                         uint32_t *cursor, const struct saga_plan **plan);

/* True if the saga was quarantined. */
SAGA_CHECKED bool saga_coordinator_quarantined(const struct saga_coordinator *coordinator,
                                               const struct saga_id *id);

/* The latest time it has seen, in inputs or replayed records. */
int64_t saga_coordinator_now(const struct saga_coordinator *coordinator);

/* Counted since the start. */
struct saga_counters {
    uint64_t open;                                 /* now */
    uint64_t quarantined;                          /* now */
    uint64_t parked;                               /* now */
    uint64_t facts[SAGA_FACT_COUNT + 1];           /* records decided, by enum saga_fact */
    uint64_t verdicts[SAGA_VERDICT_COUNT + 1];     /* replies heard, by enum saga_verdict */
    uint64_t reply_answers[SAGA_ANSWER_COUNT + 1]; /* what became of them, by enum saga_answer */
    uint64_t sent[SAGA_OPERATION_COUNT + 1];       /* attempts sent, by enum saga_operation */
    uint64_t asked_again;                          /* of which: in progress, asked again */
    uint64_t released;        /* waiting attempts sent early, since their participant answered */
    uint64_t resent;          /* sagas whose commands were sent again, since a peer was back */
    uint64_t hurried;         /* sagas that waited, and were sent since a peer takes again */
    uint64_t orphans_rearmed; /* must stay 0 */
};
const struct saga_counters *saga_coordinator_counters(const struct saga_coordinator *coordinator);

#endif
