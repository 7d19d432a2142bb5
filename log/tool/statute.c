#include "statute.h"

#define IDLE     SAGA_STAND_BIT(SAGA_STAND_IDLE)
#define ASKED    SAGA_STAND_BIT(SAGA_STAND_ASKED)
#define DONE     SAGA_STAND_BIT(SAGA_STAND_DONE)
#define NO       SAGA_STAND_BIT(SAGA_STAND_NO)
#define UNSURE   SAGA_STAND_BIT(SAGA_STAND_UNSURE)
#define SHUT     SAGA_STAND_BIT(SAGA_STAND_SHUT)
#define UNKNOWN  SAGA_STAND_BIT(SAGA_STAND_UNKNOWN)
#define NEVER    SAGA_STAND_BIT(SAGA_STAND_NEVER)
#define QUERIED  SAGA_STAND_BIT(SAGA_STAND_QUERIED)
#define CLOSING  SAGA_STAND_BIT(SAGA_STAND_CLOSING)
#define UNDOING  SAGA_STAND_BIT(SAGA_STAND_UNDOING)
#define UNDONE   SAGA_STAND_BIT(SAGA_STAND_UNDONE)
#define OWED     SAGA_STAND_BIT(SAGA_STAND_OWED)
#define SETTLING SAGA_STAND_BIT(SAGA_STAND_SETTLING)
#define SETTLED  SAGA_STAND_BIT(SAGA_STAND_SETTLED)

/* From any of these a tiding leads to any of those. What is not here is forbidden. */
static const struct {
    uint8_t tiding;
    uint32_t from, to;
} statutes[] = {
    /* A command is issued where its time has come. */
    {SAGA_TIDING_ACTION, IDLE, ASKED},
    {SAGA_TIDING_QUERY, ASKED | UNKNOWN, QUERIED},
    {SAGA_TIDING_CLOSE, ASKED | DONE | UNSURE | UNKNOWN | QUERIED | OWED, CLOSING},
    /* SHUT: where the participant keeps no fence, its word for one is not believed. UNDONE: once
     * more, where it said both that it acted and that there was nothing to undo. */
    {SAGA_TIDING_COMPENSATION, ASKED | DONE | UNSURE | SHUT | UNKNOWN | QUERIED | UNDONE | OWED,
     UNDOING},
    {SAGA_TIDING_SETTLE, OWED, SETTLING},
    /* An attempt that came to nothing was the last one, or was not. */
    {SAGA_TIDING_NOTHING, ASKED, ASKED | UNKNOWN | NEVER},
    {SAGA_TIDING_NOTHING, QUERIED, QUERIED | UNKNOWN},
    {SAGA_TIDING_NOTHING, CLOSING, CLOSING | OWED},
    {SAGA_TIDING_NOTHING, UNDOING, UNDOING | OWED},
    {SAGA_TIDING_NOTHING, SETTLING, SETTLING},
    {SAGA_TIDING_ACCEPTED, ASKED, ASKED},
    {SAGA_TIDING_ACCEPTED, QUERIED, QUERIED},
    {SAGA_TIDING_ACCEPTED, CLOSING, CLOSING},
    {SAGA_TIDING_ACCEPTED, UNDOING, UNDOING},
    {SAGA_TIDING_ACCEPTED, SETTLING, SETTLING},
    /* Verdicts on the action, until its compensation is out. */
    {SAGA_TIDING_ACTION_DONE, ASKED | UNSURE | UNKNOWN | NEVER | QUERIED, DONE},
    {SAGA_TIDING_ACTION_REJECTED, ASKED | UNKNOWN | NEVER | QUERIED, NO | UNSURE},
    {SAGA_TIDING_ACTION_FENCED, ASKED | UNKNOWN | NEVER | QUERIED | CLOSING, SHUT},
    /* Verdicts of a fence: forward it asks, backward it settles. */
    {SAGA_TIDING_FENCE_DONE, UNKNOWN | QUERIED, DONE},
    {SAGA_TIDING_FENCE_DONE, CLOSING | OWED, UNDONE},
    {SAGA_TIDING_FENCE_REJECTED, UNKNOWN | QUERIED | CLOSING | OWED, NO},
    {SAGA_TIDING_FENCE_FENCED, UNKNOWN | QUERIED | CLOSING | OWED, SHUT},
    /* Verdicts on a compensation; silence that made a debt can still be broken. */
    {SAGA_TIDING_COMPENSATION_DONE, UNDOING | OWED, UNDONE},
    {SAGA_TIDING_COMPENSATION_REJECTED, UNDOING | OWED, OWED},
    {SAGA_TIDING_COMPENSATION_NOOP, UNDOING | OWED, UNDONE | OWED},
    {SAGA_TIDING_SETTLE_DONE, SETTLING, SETTLED},
    /* Operators. */
    {SAGA_TIDING_RESOLVED_DONE, UNSURE | UNKNOWN, DONE},
    {SAGA_TIDING_RESOLVED_REJECTED, UNSURE, UNSURE},
    {SAGA_TIDING_RESOLVED_REJECTED, UNKNOWN, UNSURE | UNKNOWN | QUERIED}, /* or a wish */
    {SAGA_TIDING_RESOLVED_REJECTED, ASKED, ASKED},                        /* a wish */
    {SAGA_TIDING_RESOLVED_REJECTED, QUERIED, QUERIED},
    {SAGA_TIDING_SETTLED, OWED, OWED | SETTLED},
    /* Of any step; only one that nobody has answered is tried again. */
    {SAGA_TIDING_RETRIED, UNKNOWN, UNKNOWN | ASKED | QUERIED},
    {SAGA_TIDING_WISHED, UNKNOWN, UNKNOWN | QUERIED},
};

/* What touches every step, or whichever it is, leaves the others as they are. */
static bool spares(enum saga_tiding tiding) {
    return tiding == SAGA_TIDING_RETRIED || tiding == SAGA_TIDING_WISHED;
}

uint32_t saga_statute_follow(enum saga_tiding tiding, uint32_t before) {
    uint32_t after = spares(tiding) ? before : 0;
    for (size_t i = 0; i < sizeof statutes / sizeof statutes[0]; i++) {
        if (statutes[i].tiding == tiding && (statutes[i].from & before) != 0) {
            after |= statutes[i].to;
        }
    }
    return after;
}

uint32_t saga_statute_possible(enum saga_tiding tiding, const struct saga_plan_step *planned,
                               bool sent) {
    switch (tiding) {
    case SAGA_TIDING_NOTHING:
        return sent ? ~NEVER : ~UNKNOWN;
    case SAGA_TIDING_ACTION_REJECTED: /* who believes whom */
        return planned->fenced ? ~UNSURE : planned->single_delivery ? UINT32_MAX : ~NO;
    case SAGA_TIDING_SETTLED:
        return planned->fenced ? ~SETTLED : ~OWED;
    default:
        return UINT32_MAX;
    }
}

/* ----------------------------------------------------------------- tidings */

static enum saga_tiding issued(uint8_t operation, bool backward) {
    switch ((enum saga_operation)operation) {
    case SAGA_ACTION:
        return SAGA_TIDING_ACTION;
    case SAGA_COMPENSATION:
        return SAGA_TIDING_COMPENSATION;
    case SAGA_FENCE:
        return backward ? SAGA_TIDING_CLOSE : SAGA_TIDING_QUERY;
    case SAGA_SETTLE:
        return SAGA_TIDING_SETTLE;
    }
    return 0;
}

static enum saga_tiding replied(uint8_t operation, uint8_t verdict) {
    static const uint8_t words[SAGA_OPERATION_COUNT + 1][SAGA_VERDICT_COUNT + 1] = {
        [SAGA_ACTION] = {[SAGA_DONE] = SAGA_TIDING_ACTION_DONE,
                         [SAGA_REJECTED] = SAGA_TIDING_ACTION_REJECTED,
                         [SAGA_FENCED] = SAGA_TIDING_ACTION_FENCED},
        [SAGA_COMPENSATION] = {[SAGA_DONE] = SAGA_TIDING_COMPENSATION_DONE,
                               [SAGA_REJECTED] = SAGA_TIDING_COMPENSATION_REJECTED,
                               [SAGA_NOOP] = SAGA_TIDING_COMPENSATION_NOOP},
        [SAGA_FENCE] = {[SAGA_DONE] = SAGA_TIDING_FENCE_DONE,
                        [SAGA_REJECTED] = SAGA_TIDING_FENCE_REJECTED,
                        [SAGA_FENCED] = SAGA_TIDING_FENCE_FENCED},
        [SAGA_SETTLE] = {[SAGA_DONE] = SAGA_TIDING_SETTLE_DONE},
    };
    if (operation > SAGA_OPERATION_COUNT || verdict > SAGA_VERDICT_COUNT) {
        return 0;
    }
    switch ((enum saga_verdict)verdict) {
    case SAGA_ACCEPTED:
        return SAGA_TIDING_ACCEPTED;
    case SAGA_RETRY:
    case SAGA_UNKNOWN:
        return SAGA_TIDING_NOTHING;
    default:
        return (enum saga_tiding)words[operation][verdict];
    }
}

static enum saga_tiding done_by_hand(const struct saga_record *record) {
    switch ((enum saga_verb)record->verb) {
    case SAGA_VERB_RESOLVE:
        return record->verdict == SAGA_DONE ? SAGA_TIDING_RESOLVED_DONE
                                            : SAGA_TIDING_RESOLVED_REJECTED;
    case SAGA_VERB_MARK_COMPENSATED:
    case SAGA_VERB_WRITE_OFF:
        return SAGA_TIDING_SETTLED;
    case SAGA_VERB_RETRY:
        return SAGA_TIDING_RETRIED;
    case SAGA_VERB_CANCEL:
        break;
    }
    return 0;
}

enum saga_tiding saga_statute_tiding(const struct saga_record *record, bool backward) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
        return issued(record->operation, backward);
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
        return SAGA_TIDING_NOTHING;
    case SAGA_REPLY_RECEIVED:
        return replied(record->operation, record->verdict);
    case SAGA_OPERATOR_ACTED:
        return done_by_hand(record);
    case SAGA_CANCEL_REQUESTED:
        return SAGA_TIDING_WISHED;
    default:
        return 0;
    }
}

/* ------------------------------------------------------------------- fields */

enum {
    STEP = 1 << 0,
    COMMAND = 1 << 1, /* operation, incarnation, revision */
    ATTEMPT = 1 << 2,
    VERDICT = 1 << 3,
    REASON = 1 << 4,
    OUTCOME = 1 << 5,
    VERB = 1 << 6,
    DEFINITION = 1 << 7,
    KEY = 1 << 8,
    PAYLOAD = 1 << 9,
    CONTENT = 1 << 10,
    THROUGH = 1 << 11,
};

/* By the table of facts in docs/semantics.md: what each has, and what it may have. */
static const struct {
    uint16_t has, may;
} forms[SAGA_FACT_COUNT + 1] = {
    [SAGA_STARTED] = {DEFINITION, KEY | PAYLOAD | CONTENT},
    [SAGA_COMMAND_ISSUED] = {STEP | COMMAND | ATTEMPT, PAYLOAD},
    [SAGA_COMMAND_UNSENT] = {STEP | COMMAND | ATTEMPT, REASON},
    [SAGA_REPLY_RECEIVED] = {STEP | COMMAND | VERDICT, ATTEMPT | REASON | PAYLOAD},
    [SAGA_ATTEMPT_EXPIRED] = {STEP | COMMAND | ATTEMPT, REASON},
    [SAGA_CANCEL_REQUESTED] = {REASON, KEY | PAYLOAD},
    [SAGA_COMPENSATION_STARTED] = {REASON, STEP},
    [SAGA_PIVOT_PASSED] = {STEP, 0},
    [SAGA_LATE_REPLY_RECEIVED] = {STEP | COMMAND | VERDICT, ATTEMPT | PAYLOAD},
    [SAGA_PARKED] = {STEP | REASON, 0},
    [SAGA_OPERATOR_ACTED] = {VERB, STEP | VERDICT | KEY | PAYLOAD | CONTENT},
    [SAGA_ENDED] = {OUTCOME, 0},
};

static uint16_t fields_of(const struct saga_record *record) {
    uint16_t fields = 0;
    fields |= record->step != SAGA_STEP_NONE ? STEP : 0;
    fields |=
        record->operation != 0 || record->incarnation != 0 || record->revision != 0 ? COMMAND : 0;
    fields |= record->attempt != 0 ? ATTEMPT : 0;
    fields |= record->verdict != 0 ? VERDICT : 0;
    fields |= record->reason != 0 ? REASON : 0;
    fields |= record->outcome != 0 ? OUTCOME : 0;
    fields |= record->verb != 0 ? VERB : 0;
    fields |= record->definition_lsn != 0 ? DEFINITION : 0;
    fields |= record->key.size != 0 ? KEY : 0;
    fields |= record->payload.size != 0 ? PAYLOAD : 0;
    fields |= record->content.size != 0 ? CONTENT : 0;
    fields |= record->through_lsn != 0 ? THROUGH : 0;
    return fields;
}

/* A step is named by verbs about one, a verdict by the one that gives it, a result where it is
 * done. */
static bool verb_fits(const struct saga_record *record, uint16_t fields) {
    const bool resolve = record->verb == SAGA_VERB_RESOLVE;
    return ((fields & STEP) != 0) == (record->verb > SAGA_VERB_RETRY) &&
           ((fields & VERDICT) != 0) == resolve &&
           ((fields & CONTENT) == 0 || record->verdict == SAGA_DONE);
}

/* The end of an attempt may say that its deadline was over; a word that ends none says nothing. */
static bool deadline_fits(const struct saga_record *record) {
    const bool ends =
        record->verdict == 0 || record->verdict == SAGA_RETRY || record->verdict == SAGA_UNKNOWN;
    return record->reason == 0 || (ends && record->reason == SAGA_REASON_DEADLINE);
}

bool saga_statute_fields(const struct saga_record *record) {
    const uint16_t fields = fields_of(record);
    if (record->fact > SAGA_FACT_COUNT || forms[record->fact].has == 0) {
        return true; /* of a later version */
    }
    const uint16_t has = forms[record->fact].has;
    const bool whole = (fields & has) == has && (fields & ~(has | forms[record->fact].may)) == 0 &&
                       record->verdict <= SAGA_VERDICT_COUNT && record->at_ms >= 0;
    const bool command = (fields & COMMAND) == 0 ||
                         (record->operation != 0 && record->operation <= SAGA_OPERATION_COUNT &&
                          record->incarnation != 0 && record->revision != 0);
    switch ((enum saga_fact)record->fact) {
    case SAGA_OPERATOR_ACTED:
        return whole && command && verb_fits(record, fields);
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
    case SAGA_REPLY_RECEIVED:
        return whole && command && deadline_fits(record);
    default:
        return whole && command;
    }
}
