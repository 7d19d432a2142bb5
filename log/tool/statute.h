/*
 * The statutes: what a record may do to a step, written by hand from docs/semantics.md, as data.
 *
 * They are not made from the core's table, nor share code with it: where the two disagree, one of
 * them has a bug. They know no budgets and no times. So where a record alone does not say what it
 * came to (was that attempt the last one?), a statute names everything that it may have come to,
 * and who goes by them (audit.h) keeps the set of all that a step may be.
 *
 * Threads: no state.
 */
#ifndef SAGA_STATUTE_H
#define SAGA_STATUTE_H

#include "saga.h"

/* How a step may stand. */
enum saga_stand {
    SAGA_STAND_IDLE = 1, /* no command yet */
    SAGA_STAND_ASKED,    /* the action is out */
    SAGA_STAND_DONE,     /* it took effect */
    SAGA_STAND_NO,       /* rejected, by somebody who knows */
    SAGA_STAND_UNSURE,   /* rejected, by somebody who may not know */
    SAGA_STAND_SHUT,     /* a tombstone stands */
    SAGA_STAND_UNKNOWN,  /* no more attempts, and it may have run */
    SAGA_STAND_NEVER,    /* no more attempts, and none was sent */
    SAGA_STAND_QUERIED,  /* forward: the fence is out */
    SAGA_STAND_CLOSING,  /* backward: the fence is out */
    SAGA_STAND_UNDOING,  /* the compensation is out */
    SAGA_STAND_UNDONE,   /* it is settled */
    SAGA_STAND_OWED,     /* a debt */
    SAGA_STAND_SETTLING, /* the settle is out */
    SAGA_STAND_SETTLED,  /* by an operator */
};
#define SAGA_STAND_COUNT 15

/* A set of them. */
#define SAGA_STAND_BIT(stand) (1u << (stand))

/* What a record says of a step. */
enum saga_tiding {
    SAGA_TIDING_ACTION = 1,   /* issued */
    SAGA_TIDING_QUERY,        /* a fence, issued while the saga goes forward */
    SAGA_TIDING_CLOSE,        /* a fence, issued while it goes back */
    SAGA_TIDING_COMPENSATION, /* issued */
    SAGA_TIDING_SETTLE,       /* issued */
    SAGA_TIDING_NOTHING,      /* an attempt ended without a verdict */
    SAGA_TIDING_ACCEPTED,
    SAGA_TIDING_ACTION_DONE,
    SAGA_TIDING_ACTION_REJECTED,
    SAGA_TIDING_ACTION_FENCED,
    SAGA_TIDING_FENCE_DONE,
    SAGA_TIDING_FENCE_REJECTED,
    SAGA_TIDING_FENCE_FENCED,
    SAGA_TIDING_COMPENSATION_DONE,
    SAGA_TIDING_COMPENSATION_REJECTED,
    SAGA_TIDING_COMPENSATION_NOOP,
    SAGA_TIDING_SETTLE_DONE,
    SAGA_TIDING_RESOLVED_DONE,     /* by an operator */
    SAGA_TIDING_RESOLVED_REJECTED, /* likewise */
    SAGA_TIDING_SETTLED,           /* marked or written off */
    SAGA_TIDING_RETRIED,           /* by an operator; said of every step */
    SAGA_TIDING_WISHED,            /* a cancel; said of the pivot */
};
#define SAGA_TIDING_COUNT 22

/* What a record says of its step; 0: nothing. `backward`: the saga goes back. */
enum saga_tiding saga_statute_tiding(const struct saga_record *record, bool backward);

/* All that a step may be after the tiding, if it was one of `before`; 0: it cannot be. */
uint32_t saga_statute_follow(enum saga_tiding tiding, uint32_t before);

/* What else is known: of those that it may be after the tiding, which a step of this plan can be.
 * `sent`: an attempt of it may have arrived, or it was no action's. */
uint32_t saga_statute_possible(enum saga_tiding tiding, const struct saga_plan_step *planned,
                               bool sent);

/* True if a record of a saga has the fields that its fact has to have, and none that it may not. */
SAGA_CHECKED bool saga_statute_fields(const struct saga_record *record);

#endif
