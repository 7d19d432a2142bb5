#include "rules.h"

#include <stddef.h>

#include "saga.h"

const char *const sim_state_names[SIM_STATE_COUNT + 1] = {
    [0] = "?",
    [SIM_IDLE] = "idle",
    [SIM_RUNNING] = "running",
    [SIM_DID] = "done",
    [SIM_REFUSED] = "rejected",
    [SIM_DISBELIEVED] = "disbelieved",
    [SIM_BARRED] = "fenced",
    [SIM_DOUBTFUL] = "unknown",
    [SIM_NEVER_RAN] = "never ran",
    [SIM_ASKING] = "fencing",
    [SIM_CLOSING] = "closing",
    [SIM_UNDOING] = "compensating",
    [SIM_UNDONE] = "compensated",
    [SIM_OWED] = "debt",
    [SIM_CLEARING] = "settling",
    [SIM_CLEARED] = "settled",
};

const char *const sim_move_names[SIM_MOVE_COUNT + 1] = {
    [0] = "?",
    [SIM_ISSUE_ACTION] = "action issued",
    [SIM_ISSUE_FENCE] = "fence issued",
    [SIM_ISSUE_CLOSE] = "fence for compensation issued",
    [SIM_ISSUE_UNDO] = "compensation issued",
    [SIM_UNSENT] = "unsent",
    [SIM_EXPIRED] = "expired",
    [SIM_TOLD_RETRY] = "told to retry",
    [SIM_TOLD_UNKNOWN] = "told something unknown",
    [SIM_GIVES_UP] = "attempts used up",
    [SIM_NEVER_LEFT] = "attempts used up, none sent",
    [SIM_IS_ACCEPTED] = "accepted",
    [SIM_ACTION_DONE] = "action done",
    [SIM_ACTION_REJECTED] = "action rejected",
    [SIM_ACTION_FENCED] = "action fenced",
    [SIM_FENCE_DONE] = "fence says done",
    [SIM_FENCE_REJECTED] = "fence says rejected",
    [SIM_FENCE_FENCED] = "fence says fenced",
    [SIM_UNDO_DONE] = "compensation done",
    [SIM_UNDO_REJECTED] = "compensation rejected",
    [SIM_UNDO_NOOP] = "compensation noop",
    [SIM_ISSUE_SETTLE] = "settle issued",
    [SIM_SETTLE_DONE] = "settle done",
    [SIM_HAND_SETTLES] = "settled by hand",
    [SIM_HAND_DONE] = "resolved done",
    [SIM_HAND_REJECTED] = "resolved rejected",
};

/* A move, from where it may happen, and what then is. `broken` lists whence it can only
 * happen where a contract is broken. Lists end with 0. */
struct rule {
    enum sim_move move;
    enum sim_state to;
    enum sim_state from[9];
    enum sim_state broken[4];
};

static const struct rule rules[] = {
    {SIM_ISSUE_ACTION, SIM_RUNNING, {SIM_IDLE}, {0}},

    /* "Forward, and unknown outcomes": the fence asks what became of it. While it still
     * runs, only a wish to go back asks, at the pivot. */
    {SIM_ISSUE_FENCE, SIM_ASKING, {SIM_RUNNING, SIM_DOUBTFUL}, {0}},

    /* "Backward": whatever may have run. In debt: once more, told by an operator. */
    {SIM_ISSUE_CLOSE,
     SIM_CLOSING,
     {SIM_RUNNING, SIM_DID, SIM_DISBELIEVED, SIM_DOUBTFUL, SIM_ASKING, SIM_OWED},
     {0}},
    {SIM_ISSUE_UNDO,
     SIM_UNDOING,
     {SIM_RUNNING, SIM_DID, SIM_DISBELIEVED, SIM_DOUBTFUL, SIM_ASKING, SIM_OWED, SIM_UNDONE},
     {SIM_BARRED}}, /* one without a fence says `fenced`, which it cannot know */

    {SIM_UNSENT, SIM_RUNNING, {SIM_RUNNING}, {0}},
    {SIM_UNSENT, SIM_ASKING, {SIM_ASKING}, {0}},
    {SIM_UNSENT, SIM_CLOSING, {SIM_CLOSING}, {0}},
    {SIM_UNSENT, SIM_UNDOING, {SIM_UNDOING}, {0}},
    {SIM_EXPIRED, SIM_RUNNING, {SIM_RUNNING}, {0}},
    {SIM_EXPIRED, SIM_ASKING, {SIM_ASKING}, {0}},
    {SIM_EXPIRED, SIM_CLOSING, {SIM_CLOSING}, {0}},
    {SIM_EXPIRED, SIM_UNDOING, {SIM_UNDOING}, {0}},
    {SIM_TOLD_RETRY, SIM_RUNNING, {SIM_RUNNING}, {0}},
    {SIM_TOLD_RETRY, SIM_ASKING, {SIM_ASKING}, {SIM_ASKING}}, /* a fence always answers */
    {SIM_TOLD_RETRY, SIM_CLOSING, {SIM_CLOSING}, {SIM_CLOSING}},
    {SIM_TOLD_RETRY, SIM_UNDOING, {SIM_UNDOING}, {0}},
    {SIM_TOLD_UNKNOWN, SIM_RUNNING, {SIM_RUNNING}, {0}},
    {SIM_TOLD_UNKNOWN, SIM_ASKING, {SIM_ASKING}, {0}},
    {SIM_TOLD_UNKNOWN, SIM_CLOSING, {SIM_CLOSING}, {0}},
    {SIM_TOLD_UNKNOWN, SIM_UNDOING, {SIM_UNDOING}, {0}},
    {SIM_GIVES_UP, SIM_DOUBTFUL, {SIM_RUNNING, SIM_ASKING}, {0}},
    {SIM_GIVES_UP, SIM_OWED, {SIM_CLOSING, SIM_UNDOING}, {0}},
    {SIM_NEVER_LEFT, SIM_NEVER_RAN, {SIM_RUNNING}, {0}},
    {SIM_IS_ACCEPTED, SIM_RUNNING, {SIM_RUNNING}, {0}},
    {SIM_IS_ACCEPTED, SIM_ASKING, {SIM_ASKING}, {0}},
    {SIM_IS_ACCEPTED, SIM_CLOSING, {SIM_CLOSING}, {0}},
    {SIM_IS_ACCEPTED, SIM_UNDOING, {SIM_UNDOING}, {0}},

    /* What never left cannot be answered; if it is all the same, the word counts. */
    {SIM_ACTION_DONE,
     SIM_DID,
     {SIM_RUNNING, SIM_DISBELIEVED, SIM_DOUBTFUL, SIM_ASKING, SIM_NEVER_RAN},
     {SIM_NEVER_RAN}},
    {SIM_ACTION_REJECTED,
     SIM_REFUSED, /* or SIM_DISBELIEVED */
     {SIM_RUNNING, SIM_DOUBTFUL, SIM_ASKING, SIM_NEVER_RAN},
     {SIM_NEVER_RAN}},
    /* `fenced` for an action whose own fence is out is the fence's answer. */
    {SIM_ACTION_FENCED,
     SIM_BARRED,
     {SIM_RUNNING, SIM_DOUBTFUL, SIM_ASKING, SIM_CLOSING, SIM_NEVER_RAN},
     {SIM_NEVER_RAN}},
    {SIM_FENCE_DONE, SIM_DID, {SIM_DOUBTFUL, SIM_ASKING}, {0}},
    {SIM_FENCE_REJECTED, SIM_REFUSED, {SIM_DOUBTFUL, SIM_ASKING}, {0}},
    {SIM_FENCE_FENCED, SIM_BARRED, {SIM_DOUBTFUL, SIM_ASKING}, {0}},
    /* In the place of a compensation every answer settles it. */
    {SIM_FENCE_DONE, SIM_UNDONE, {SIM_CLOSING, SIM_OWED}, {0}},
    {SIM_FENCE_REJECTED, SIM_REFUSED, {SIM_CLOSING, SIM_OWED}, {0}},
    {SIM_FENCE_FENCED, SIM_BARRED, {SIM_CLOSING, SIM_OWED}, {0}},
    {SIM_UNDO_DONE, SIM_UNDONE, {SIM_UNDOING, SIM_OWED}, {0}},
    {SIM_UNDO_REJECTED, SIM_OWED, {SIM_UNDOING, SIM_OWED}, {0}},
    {SIM_UNDO_NOOP, SIM_UNDONE, {SIM_UNDOING, SIM_OWED}, {0}},

    /* "Operators": a debt is settled by hand, and at a participant with a fence not before its
     * row is closed. A verdict that an operator gives decides the direction, and no more. */
    {SIM_ISSUE_SETTLE, SIM_CLEARING, {SIM_OWED}, {0}},
    {SIM_UNSENT, SIM_CLEARING, {SIM_CLEARING}, {0}},
    {SIM_EXPIRED, SIM_CLEARING, {SIM_CLEARING}, {0}},
    {SIM_TOLD_RETRY, SIM_CLEARING, {SIM_CLEARING}, {SIM_CLEARING}}, /* it always answers */
    {SIM_TOLD_UNKNOWN, SIM_CLEARING, {SIM_CLEARING}, {0}},
    {SIM_IS_ACCEPTED, SIM_CLEARING, {SIM_CLEARING}, {0}},
    {SIM_SETTLE_DONE, SIM_CLEARED, {SIM_CLEARING}, {0}},
    {SIM_HAND_SETTLES, SIM_CLEARED, {SIM_OWED}, {0}},
    {SIM_HAND_DONE, SIM_DID, {SIM_DOUBTFUL, SIM_DISBELIEVED}, {0}},
    {SIM_HAND_REJECTED, SIM_DISBELIEVED, {SIM_DOUBTFUL, SIM_DISBELIEVED}, {0}},
};

static bool lists(const enum sim_state *list, size_t room, enum sim_state state) {
    for (size_t i = 0; i < room && list[i] != 0; i++) {
        if (list[i] == state) {
            return true;
        }
    }
    return false;
}

static const struct rule *find(enum sim_move move, enum sim_state state) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].move == move &&
            (lists(rules[i].from, 9, state) || lists(rules[i].broken, 4, state))) {
            return &rules[i];
        }
    }
    return NULL;
}

enum sim_state sim_rule(enum sim_move move, enum sim_state state) {
    const struct rule *rule = find(move, state);
    return rule == NULL ? 0 : rule->to;
}

bool sim_rule_is_met(enum sim_move move, enum sim_state state) {
    const struct rule *rule = find(move, state);
    return rule != NULL && !lists(rule->broken, 4, state);
}

enum sim_move sim_rule_verdict(uint8_t operation, uint8_t verdict) {
    static const struct {
        uint8_t operation, verdict;
        enum sim_move move;
    } verdicts[] = {
        {SAGA_ACTION, SAGA_DONE, SIM_ACTION_DONE},
        {SAGA_ACTION, SAGA_REJECTED, SIM_ACTION_REJECTED},
        {SAGA_ACTION, SAGA_FENCED, SIM_ACTION_FENCED},
        {SAGA_FENCE, SAGA_DONE, SIM_FENCE_DONE},
        {SAGA_FENCE, SAGA_REJECTED, SIM_FENCE_REJECTED},
        {SAGA_FENCE, SAGA_FENCED, SIM_FENCE_FENCED},
        {SAGA_COMPENSATION, SAGA_DONE, SIM_UNDO_DONE},
        {SAGA_COMPENSATION, SAGA_REJECTED, SIM_UNDO_REJECTED},
        {SAGA_COMPENSATION, SAGA_NOOP, SIM_UNDO_NOOP},
        {SAGA_SETTLE, SAGA_DONE, SIM_SETTLE_DONE},
    };
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        if (verdicts[i].operation == operation && verdicts[i].verdict == verdict) {
            return verdicts[i].move;
        }
    }
    return 0;
}
