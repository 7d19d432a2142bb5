/*
 * A saga's story as a script: what happens on the left, what is recorded on
 * the right.
 *
 * Hides the making of plans, events and ids, and the answering of EVALUATE.
 * Promises that every played line is also held against saga.h: the records fold
 * the old state into the new one byte by byte, their chain is whole, and
 * nothing is left that would follow by itself.
 *
 * Threads: one script, one thread.
 *
 * A plan is a line of steps, each the successor of the one before it:
 *
 *     "create block approve<create authorize reserve* confirm"
 *
 *     ~  its participant keeps no fence        *  the pivot
 *     1  single delivery                       -  without effect: nothing to undo
 *     ?  on_unknown: park                      !  on_unknown: compensate
 *     <step  is compensated by that step       @step,step  waits for those; @ alone: for none
 *
 * A step before the pivot has a compensation unless it says otherwise. Attempts:
 * 2 of 1 s each, deadline 60 s, backoff 200 ms. Compensations: without end.
 *
 * What happens is written
 *
 *     block done               a reply to the driven command (done, rejected, accepted,
 *                              retry, fenced, noop, unknown)
 *     block.action done        to that command; .fence, .compensation, .compensation.r1
 *     block/1 retry            about that attempt; block/0: the reply does not say
 *     block unsent             no byte of the open attempt has left
 *     block expires            the open attempt's time, or the deadline, is over
 *     block expires unsent     the same, of an attempt that has not left
 *     cancel, cancel unsent    the latter: and the open attempt of the pivot has not left
 *     deadline, deadline unsent   the saga's own
 *     retry                    an operator's
 *     resolve block done       an operator's verdict: done or rejected
 *     mark block, write_off block   an operator's settlement of a debt
 *     restart                  EPOCH_STARTED
 *     wait 5000                time passes
 *     unrendered               the next body cannot be made
 *
 * and what is recorded:
 *
 *     COMMAND block action | COMMAND block compensation r2 | REPLY block action done |
 *     UNSENT block action 1 | EXPIRED block action 1 | CANCEL cancelled | BACKWARD rejected |
 *     PIVOT_PASSED reserve | LATE block action done | PARKED block in_doubt | RETRY |
 *     RESOLVE block done | MARK block | WRITE_OFF block | ENDED compensated
 *
 * joined by "; ", with the answer in front where it is not TAKEN: "[late] LATE block ...".
 */
#ifndef SAGA_SCRIPT_H
#define SAGA_SCRIPT_H

#include "saga.h"

struct saga_script {
    struct saga_plan plan;
    char names[SAGA_STEPS_MAX][16];
    struct saga *saga;
    struct saga *before; /* the state as it was, for the comparison */
    struct saga_record records[256];
    size_t record_count;
    int64_t now_ms;
    uint32_t epoch;
    bool unrendered;
    char text[4096];
};

/* Reads the plan; its numbers may be changed before saga_script_start(). */
void saga_script_init(struct saga_script *script, const char *plan);
void saga_script_fini(struct saga_script *script);

/* The step of that name. A name that is not there fails the test. */
uint8_t saga_script_index(const struct saga_script *script, const char *name);
struct saga_plan_step *saga_script_plan(struct saga_script *script, const char *name);
const struct saga_step *saga_script_step(const struct saga_script *script, const char *name);

/* Starts the saga. Returns what was recorded after SAGA_STARTED. */
const char *saga_script_start(struct saga_script *script);

/* Plays what happens ("a | b": one after the other). Returns what was recorded,
 * valid until the next call. */
const char *saga_script_play(struct saga_script *script, const char *happens);

/* What is outstanding: "block action 1, authorize compensation 2", with
 * " in progress" where it is; "" for nothing. Valid until the next call. */
const char *saga_script_todo(struct saga_script *script);

/* Folds all records anew from SAGA_STARTED, and fails the test unless the state is the same. */
void saga_script_replay(struct saga_script *script);

#endif
