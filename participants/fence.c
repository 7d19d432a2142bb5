#include "fence.h"

#include <assert.h>
#include <string.h>

static const char *const states[] = {
    [SAGA_FENCE_ABSENT] = "absent",           [SAGA_FENCE_DONE] = "done",
    [SAGA_FENCE_REJECTED] = "rejected",       [SAGA_FENCE_TOMBSTONE] = "tombstone",
    [SAGA_FENCE_COMPENSATED] = "compensated", [SAGA_FENCE_SETTLED] = "settled",
};

/*
 * The reasons, row by row:
 *
 * absent       Nothing was decided, so this command decides. A compensation or a
 *              fence decides that the action never happens: it may still be on
 *              its way, and must find the tombstone.
 *
 * done         A second delivery of the action is answered as the first was. The
 *              fence is asked what became of the action: the same answer.
 *
 * rejected     As done. The compensation has nothing to undo. The row stays as it
 *              is: it refuses a late action just as well as a tombstone does, and
 *              goes on telling a fence the truth.
 *
 * tombstone    An action comes too late. A compensation or a fence has nothing
 *              left to decide, and gets the answer that a first one of its kind
 *              would have got.
 *
 * compensated  A late action must neither run again nor be told "done": its
 *              effect is gone. A compensation of whatever revision is answered as
 *              the first was: at most one takes effect. A fence is about the
 *              action alone, and that took effect: `fenced` would claim that it
 *              never happened. (The orchestrator can ask only while it goes
 *              backward over this step, where `done` changes nothing.)
 *
 * settled      An operator has put in order, outside of this table, what the action
 *              had done, or has given it up: nothing may act on it any more. A late
 *              action and a fence are answered as after a compensation; a late
 *              compensation finds nothing to do.
 *
 * A settle makes no claim about the action: it closes what is open and answers
 * done. A row that is closed already, by whatever, stays as it is.
 */
static const enum saga_fence_order orders[SAGA_FENCE_STATE_COUNT + 1][SAGA_WIRE_SETTLE + 1] = {
    [SAGA_FENCE_ABSENT] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_RUN_ACTION,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_BURY_NOOP,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_BURY_FENCED,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_BURY_SETTLED,
        },
    [SAGA_FENCE_DONE] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_RUN_COMPENSATION,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_CLOSE,
        },
    [SAGA_FENCE_REJECTED] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_ANSWER_NOOP,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_ANSWER_SETTLED,
        },
    [SAGA_FENCE_TOMBSTONE] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_ANSWER_FENCED,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_ANSWER_NOOP,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_ANSWER_FENCED,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_ANSWER_SETTLED,
        },
    [SAGA_FENCE_COMPENSATED] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_ANSWER_FENCED,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_REPLAY_COMPENSATION,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_ANSWER_SETTLED,
        },
    [SAGA_FENCE_SETTLED] =
        {
            [SAGA_WIRE_ACTION] = SAGA_FENCE_ANSWER_FENCED,
            [SAGA_WIRE_COMPENSATION] = SAGA_FENCE_ANSWER_NOOP,
            [SAGA_WIRE_FENCE] = SAGA_FENCE_REPLAY_ACTION,
            [SAGA_WIRE_SETTLE] = SAGA_FENCE_ANSWER_SETTLED,
        },
};

const char *saga_fence_state_name(enum saga_fence_state state) {
    assert(state >= SAGA_FENCE_ABSENT && state <= SAGA_FENCE_STATE_COUNT);
    return states[state];
}

enum saga_fence_state saga_fence_state_parse(const char *name) {
    for (int i = SAGA_FENCE_ABSENT; name != NULL && i <= SAGA_FENCE_STATE_COUNT; i++) {
        if (strcmp(name, states[i]) == 0) {
            return (enum saga_fence_state)i;
        }
    }
    return (enum saga_fence_state)0;
}

enum saga_fence_order saga_fence_decide(enum saga_fence_state state,
                                        enum saga_wire_operation operation) {
    assert(state >= SAGA_FENCE_ABSENT && state <= SAGA_FENCE_STATE_COUNT);
    assert(operation >= SAGA_WIRE_ACTION && operation <= SAGA_WIRE_OPERATION_COUNT);
    enum saga_fence_order order = orders[state][operation];
    assert(order != 0);
    return order;
}

bool saga_fence_order_replays(enum saga_fence_order order) {
    return order >= SAGA_FENCE_REPLAY_ACTION;
}
