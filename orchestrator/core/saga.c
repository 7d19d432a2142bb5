#include "fold.h"

#include <string.h>

/* ------------------------------------------------- which fact has which field */

enum {
    HAS_STEP = 1 << 0,
    HAS_COMMAND = 1 << 1, /* operation, incarnation, revision */
    HAS_ATTEMPT = 1 << 2,
    HAS_VERDICT = 1 << 3,
    HAS_REASON = 1 << 4,
    HAS_OUTCOME = 1 << 5,
    HAS_VERB = 1 << 6,
    HAS_DEFINITION = 1 << 7,
    MAY_DEADLINE = 1 << 8, /* a reason, which can only be SAGA_REASON_DEADLINE */
    MAY_KEY = 1 << 9,
    MAY_PAYLOAD = 1 << 10,
    MAY_CONTENT = 1 << 11,
    HAS_THROUGH = 1 << 12,
};

static const uint16_t fields[SAGA_FACT_COUNT + 1] = {
    [SAGA_STARTED] = HAS_DEFINITION | MAY_KEY | MAY_PAYLOAD | MAY_CONTENT,
    [SAGA_COMMAND_ISSUED] = HAS_STEP | HAS_COMMAND | HAS_ATTEMPT | MAY_PAYLOAD,
    [SAGA_COMMAND_UNSENT] = HAS_STEP | HAS_COMMAND | HAS_ATTEMPT | MAY_DEADLINE,
    [SAGA_REPLY_RECEIVED] =
        HAS_STEP | HAS_COMMAND | HAS_ATTEMPT | HAS_VERDICT | MAY_DEADLINE | MAY_PAYLOAD,
    [SAGA_ATTEMPT_EXPIRED] = HAS_STEP | HAS_COMMAND | HAS_ATTEMPT | MAY_DEADLINE,
    [SAGA_CANCEL_REQUESTED] = HAS_REASON | MAY_KEY | MAY_PAYLOAD,
    [SAGA_COMPENSATION_STARTED] = HAS_STEP | HAS_REASON,
    [SAGA_PIVOT_PASSED] = HAS_STEP,
    [SAGA_LATE_REPLY_RECEIVED] = HAS_STEP | HAS_COMMAND | HAS_ATTEMPT | HAS_VERDICT | MAY_PAYLOAD,
    [SAGA_PARKED] = HAS_STEP | HAS_REASON,
    [SAGA_OPERATOR_ACTED] = HAS_VERB | MAY_KEY | MAY_PAYLOAD,
    [SAGA_ENDED] = HAS_OUTCOME,
    [SAGA_EPOCH_STARTED] = MAY_PAYLOAD,
    [SAGA_OUTCOMES_TOLD] = HAS_THROUGH,
    [SAGA_HISTORY_PURGED] = HAS_THROUGH,
};

/* What an operator does to one step names it; a verdict may come with a result. */
static uint16_t fields_of(const struct saga_record *record) {
    uint16_t has = fields[record->fact];
    if (record->fact != SAGA_OPERATOR_ACTED || record->verb <= SAGA_VERB_RETRY) {
        return has;
    }
    if (record->verb != SAGA_VERB_RESOLVE) {
        return has | HAS_STEP;
    }
    bool done = record->verdict == SAGA_DONE;
    return (uint16_t)(has | HAS_STEP | HAS_VERDICT | (done ? MAY_CONTENT : 0));
}

static bool reason_ok(uint16_t has, const struct saga_record *record) {
    if ((has & MAY_DEADLINE) != 0) {
        /* A word that ends no attempt does not say what ended it. */
        bool ends = record->verdict == 0 || record->verdict == SAGA_RETRY ||
                    record->verdict == SAGA_UNKNOWN;
        return record->reason == 0 || (ends && record->reason == SAGA_REASON_DEADLINE);
    }
    return ((has & HAS_REASON) != 0) == (record->reason != 0);
}

static bool bytes_ok(uint16_t has, const struct saga_record *record) {
    return ((has & MAY_KEY) != 0 || record->key.size == 0) &&
           ((has & MAY_PAYLOAD) != 0 || record->payload.size == 0) &&
           ((has & MAY_CONTENT) != 0 || record->content.size == 0);
}

static bool fields_ok(const struct saga_record *record) {
    uint16_t has = fields_of(record);
    bool command = (has & HAS_COMMAND) != 0;
    if (record->at_ms < 0 || record->at_ms > SAGA_CLOCK_MS_MAX) {
        return false;
    }
    return ((has & HAS_STEP) != 0 || record->step == SAGA_STEP_NONE) &&
           command == (record->operation != 0) && record->operation <= SAGA_OPERATION_COUNT &&
           command == (record->incarnation != 0) && command == (record->revision != 0) &&
           ((has & HAS_ATTEMPT) != 0 || record->attempt == 0) &&
           ((has & HAS_VERDICT) != 0) == (record->verdict != 0) &&
           record->verdict <= SAGA_VERDICT_COUNT && reason_ok(has, record) &&
           bytes_ok(has, record) && ((has & HAS_OUTCOME) != 0) == (record->outcome != 0) &&
           ((has & HAS_VERB) != 0) == (record->verb != 0) &&
           ((has & HAS_DEFINITION) != 0) == (record->definition_lsn != 0) &&
           ((has & HAS_THROUGH) != 0) == (record->through_lsn != 0) && record->reserved == 0;
}

static bool same_saga(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ------------------------------------------------------------------- begin */

size_t saga_size(uint8_t step_count) {
    return sizeof(struct saga) + step_count * sizeof(struct saga_step);
}

enum saga_apply_error saga_begin(struct saga *saga, const struct saga_plan *plan,
                                 const struct saga_record *started) {
    if (started->fact != SAGA_STARTED || !fields_ok(started) || started->previous_lsn != 0 ||
        started->definition_lsn != plan->definition_lsn) {
        return SAGA_APPLY_MISPLACED;
    }
    memset(saga, 0, saga_size(plan->step_count));
    saga->id = started->saga;
    saga->definition_lsn = started->definition_lsn;
    saga->last_lsn = started->lsn;
    saga->epoch = started->epoch;
    saga->started_ms = started->at_ms;
    saga->deadline_ms = plan->deadline_ms == 0 ? INT64_MAX : started->at_ms + plan->deadline_ms;
    saga->step_count = plan->step_count;
    saga->direction = SAGA_FORWARD;
    saga->parked_step = SAGA_STEP_NONE;
    for (uint8_t i = 0; i < plan->step_count; i++) {
        saga->steps[i].phase = SAGA_STEP_PENDING;
        saga->steps[i].incarnation = 1;
        saga->steps[i].deadline_ms = INT64_MAX;
    }
    return SAGA_APPLIED;
}

/* ---------------------------------------------------------------- attempts */

void saga_unpark(struct saga *saga) {
    saga->parked = 0;
    saga->parked_step = SAGA_STEP_NONE;
}

static int64_t deadline_after(int64_t at_ms, const struct saga_budget *budget) {
    return budget->deadline_ms == 0 ? INT64_MAX : at_ms + budget->deadline_ms;
}

/* The driven command, with all of its budget before it. */
static void refresh_budget(struct fold *fold) {
    struct saga_step *step = fold->step;
    const struct saga_budget *budget =
        saga_step_budget(fold->plan, (uint8_t)(step - fold->saga->steps), step);
    step->flags &= ~(uint32_t)(SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED);
    step->flags |= SAGA_STEP_OPEN;
    step->spent = 0;
    step->send_at_ms = fold->record->at_ms;
    step->deadline_ms = deadline_after(fold->record->at_ms, budget);
    /* After the pivot a deadline only alerts: the step is retried until done. So is a settle. */
    if (step->operation == SAGA_SETTLE ||
        (step->operation == SAGA_ACTION && fold->planned->position == SAGA_AFTER_PIVOT)) {
        step->deadline_ms = INT64_MAX;
    }
}

void saga_attempt_again(struct fold *fold, uint8_t phase) {
    fold->step->phase = phase;
    fold->step->attempt++;
    refresh_budget(fold);
}

static struct saga_command_id command_of(const struct saga *saga, const struct saga_step *step) {
    return (struct saga_command_id){
        .saga = saga->id,
        .step = (uint8_t)(step - saga->steps),
        .operation = step->operation,
        .incarnation = step->incarnation,
        .revision = step->revision,
    };
}

static bool budget_used_up(const struct fold *fold, const struct saga_budget *budget) {
    const struct saga_step *step = fold->step;
    if (step->operation == SAGA_SETTLE) {
        return false; /* until it is answered: nothing else makes the row harmless */
    }
    if (fold->record->reason == SAGA_REASON_DEADLINE) {
        return true;
    }
    /* After the pivot a fenced participant is asked until it is done; one without a fence may
     * be silent on duplicates for ever, so its attempts do count. */
    bool without_end =
        budget->attempts_max == 0 || (step->operation == SAGA_ACTION && fold->planned->fenced &&
                                      fold->planned->position == SAGA_AFTER_PIVOT);
    return !without_end && step->spent >= budget->attempts_max;
}

static uint8_t phase_without_attempts(const struct saga_step *step) {
    switch (step->phase) {
    case SAGA_STEP_RUNNING:
        return (step->flags & SAGA_STEP_REACHED) != 0 ? SAGA_STEP_UNKNOWN : SAGA_STEP_NEVER_RAN;
    case SAGA_STEP_FENCING:
        return SAGA_STEP_UNKNOWN;
    default:
        return SAGA_STEP_DEBT;
    }
}

/* Closes the open attempt, and opens the next one while there is budget: the
 * same fold does both, so that no crash can stand between them. */
static void end_attempt(struct fold *fold) {
    struct saga_step *step = fold->step;
    const struct saga_record *record = fold->record;
    uint8_t index = (uint8_t)(step - fold->saga->steps);
    const struct saga_budget *budget = saga_step_budget(fold->plan, index, step);
    bool unsent = record->fact == SAGA_COMMAND_UNSENT;
    bool silent = record->fact != SAGA_REPLY_RECEIVED;

    step->flags &= ~(uint32_t)(SAGA_STEP_OPEN | SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED);
    if (silent) {
        step->flags |= SAGA_STEP_UNANSWERED;
    }
    if (!unsent) {
        step->spent = (uint8_t)(step->spent < UINT8_MAX ? step->spent + 1 : UINT8_MAX);
        if (step->operation == SAGA_ACTION) {
            step->flags |= SAGA_STEP_REACHED;
            /* Only a `retry` that names the attempt says that this sending had no effect. */
            if (record->verdict != SAGA_RETRY || record->attempt == 0) {
                step->flags |= SAGA_STEP_UNRESOLVED;
            }
        }
    }
    bool turning = fold->saga->direction == SAGA_BACKWARD || fold->saga->wish != 0;
    bool let_go =
        step->operation == SAGA_ACTION && (fold->saga->direction == SAGA_BACKWARD ||
                                           (turning && (step->flags & SAGA_STEP_REACHED) == 0));
    if (let_go || budget_used_up(fold, budget)) {
        step->phase = phase_without_attempts(step);
        return;
    }
    struct saga_command_id id = command_of(fold->saga, step);
    step->attempt++;
    step->send_at_ms = record->at_ms + saga_backoff_ms(budget, &id, step->attempt);
    step->flags |= SAGA_STEP_OPEN;
}

/* ----------------------------------------------------------------- folding */

static enum saga_move issue_move(const struct fold *fold) {
    bool backward = fold->saga->direction == SAGA_BACKWARD;
    switch ((enum saga_operation)fold->record->operation) {
    case SAGA_ACTION:
        return backward ? 0 : SAGA_MOVE_ISSUE_ACTION;
    case SAGA_FENCE:
        return backward ? SAGA_MOVE_ISSUE_CLOSE : SAGA_MOVE_ISSUE_FENCE;
    case SAGA_COMPENSATION:
        return backward ? SAGA_MOVE_ISSUE_COMPENSATION : 0;
    case SAGA_SETTLE:
        return backward ? SAGA_MOVE_ISSUE_SETTLE : 0;
    }
    return 0;
}

/* Whether this command may be issued now: the rules of order. */
static bool issue_allowed(const struct fold *fold, enum saga_move move) {
    const struct saga_step *step = fold->step;
    uint8_t index = fold->record->step;
    switch (move) {
    case SAGA_MOVE_ISSUE_ACTION:
        return fold->saga->wish == 0 && saga_step_ready(fold->saga, fold->plan, index);
    case SAGA_MOVE_ISSUE_FENCE:
        return fold->planned->fenced && fold->planned->position != SAGA_AFTER_PIVOT &&
               (step->flags & SAGA_STEP_FENCE_SENT) == 0;
    case SAGA_MOVE_ISSUE_CLOSE:
        return fold->planned->undo == SAGA_UNDO_BY_STEP &&
               !saga_step_settled(fold->planned, step) &&
               saga_step_dependents_settled(fold->saga, fold->plan, index);
    case SAGA_MOVE_ISSUE_COMPENSATION:
        return fold->planned->undo == SAGA_UNDO_COMPENSATION &&
               !saga_step_settled(fold->planned, step) &&
               saga_step_dependents_settled(fold->saga, fold->plan, index);
    case SAGA_MOVE_ISSUE_SETTLE:
        return fold->planned->fenced && saga_step_by_operator(step);
    default:
        return false;
    }
}

/* A command of the same operation as the driven one is a new intent, so it has
 * a new revision: the same id with another payload would be answered from the
 * participant's inbox. A settle has the revision of the command whose debt it settles, so
 * that this one's late answers are still known for what they are. */
uint16_t saga_step_next_revision(const struct saga_step *step, uint8_t operation) {
    if (operation == SAGA_SETTLE) {
        return step->revision;
    }
    return step->operation == operation ? (uint16_t)(step->revision + 1) : 1;
}

static enum saga_apply_error fold_issued(struct fold *fold) {
    const struct saga_record *record = fold->record;
    struct saga_step *step = fold->step;
    enum saga_move move = issue_move(fold);
    uint8_t next = saga_transition(move, step->phase);
    if (next == 0 || fold->saga->parked != 0 || record->attempt != 1 ||
        record->incarnation != step->incarnation ||
        record->revision != saga_step_next_revision(step, record->operation) ||
        record->revision == 0 || !issue_allowed(fold, move)) {
        return SAGA_APPLY_ILLEGAL;
    }
    if (saga_step_contradicts(step)) {
        step->flags |= SAGA_STEP_FORCED;
    }
    if (move == SAGA_MOVE_ISSUE_ACTION) {
        step->order = ++fold->saga->started_count;
    }
    if (record->operation == SAGA_FENCE) {
        step->flags |= SAGA_STEP_FENCE_SENT;
    }
    if (record->operation == SAGA_COMPENSATION) { /* what an earlier revision was told is history */
        step->flags &= ~(uint32_t)(SAGA_STEP_SAID_COMPENSATED | SAGA_STEP_SAID_NOT_COMPENSATED |
                                   SAGA_STEP_SAID_NOOP);
    }
    step->flags &= ~(uint32_t)(SAGA_STEP_RETRIED | SAGA_STEP_REFUSED);
    step->phase = next;
    step->operation = record->operation;
    step->revision = record->revision;
    step->attempt = 1;
    step->command_lsn = record->lsn;
    refresh_budget(fold);
    return SAGA_APPLIED;
}

static bool names_driven(const struct fold *fold) {
    return fold->record->operation == fold->step->operation &&
           fold->record->revision == fold->step->revision &&
           fold->record->incarnation == fold->step->incarnation;
}

static bool names_attempt(const struct fold *fold) {
    const struct saga_record *record = fold->record;
    bool unsaid = record->fact == SAGA_REPLY_RECEIVED && record->attempt == 0;
    return names_driven(fold) && (fold->step->flags & SAGA_STEP_OPEN) != 0 &&
           (unsaid || record->attempt == fold->step->attempt);
}

static enum saga_apply_error fold_attempt_ended(struct fold *fold) {
    if (!names_attempt(fold) || saga_transition(SAGA_MOVE_END_ATTEMPT, fold->step->phase) == 0) {
        return SAGA_APPLY_ILLEGAL;
    }
    end_attempt(fold);
    return SAGA_APPLIED;
}

static enum saga_apply_error fold_accepted(struct fold *fold) {
    if (!names_attempt(fold) || saga_transition(SAGA_MOVE_ACCEPT, fold->step->phase) == 0) {
        return SAGA_APPLY_ILLEGAL;
    }
    fold->step->flags |= SAGA_STEP_IN_PROGRESS;
    if (fold->step->operation == SAGA_ACTION) {
        fold->step->flags |= SAGA_STEP_REACHED;
        /* It will be asked again from time to time, and one without a fence may act again. */
        if (!fold->planned->fenced) {
            fold->step->flags |= SAGA_STEP_UNRESOLVED;
        }
    }
    return SAGA_APPLIED;
}

/* A verdict that was waited for brings a parked saga back to life. */
static void verdict_unparks(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (saga->parked == SAGA_REASON_DEBT) {
        /* If another debt is left, it parks again, about that one. Debt does not hold up what
         * this word has made necessary elsewhere. */
        if (saga->steps[saga->parked_step].phase != SAGA_STEP_DEBT ||
            !saga_step_settled(fold->planned, fold->step)) {
            saga_unpark(saga);
        }
    } else if (saga->parked != SAGA_REASON_CONTRACT_BROKEN &&
               saga->parked_step == fold->record->step) {
        saga_unpark(saga);
    }
}

/* Whether a step's debt can be settled by this word: only silence can be
 * answered late, and only by the command that was silent. */
static bool debt_answerable(const struct fold *fold, enum saga_move move) {
    const struct saga_step *step = fold->step;
    if ((step->flags & SAGA_STEP_REFUSED) != 0 || saga_step_by_operator(step)) {
        return false;
    }
    bool about_fence = move == SAGA_MOVE_FENCE_DONE || move == SAGA_MOVE_FENCE_REJECTED ||
                       move == SAGA_MOVE_FENCE_FENCED;
    return step->operation == (about_fence ? SAGA_FENCE : SAGA_COMPENSATION);
}

/* Where a definite verdict leads; 0: nowhere (it is late). */
static uint8_t verdict_phase(const struct fold *fold) {
    const struct saga_record *record = fold->record;
    const struct saga_step *step = fold->step;
    enum saga_move move = saga_verdict_move(record->operation, record->verdict);
    uint8_t next = saga_transition(move, step->phase);
    bool older = record->operation == step->operation && record->revision < step->revision;
    bool wrong = record->incarnation != step->incarnation ||
                 (record->operation == step->operation && record->revision > step->revision) ||
                 (record->operation == SAGA_ACTION && record->revision != 1) ||
                 (record->operation == SAGA_FENCE && (step->flags & SAGA_STEP_FENCE_SENT) == 0);
    if (next == 0 || wrong || (step->phase == SAGA_STEP_DEBT && !debt_answerable(fold, move))) {
        return 0;
    }
    /* An older revision's word counts only where it settles: the row at the participant lets
     * one compensation take effect, whatever its revision. */
    if (older && record->operation == SAGA_COMPENSATION && record->verdict != SAGA_DONE) {
        return 0;
    }
    if (move == SAGA_MOVE_ACTION_REJECTED) {
        bool definite_no = fold->planned->fenced || (fold->planned->single_delivery &&
                                                     (step->flags & SAGA_STEP_UNRESOLVED) == 0);
        return definite_no ? SAGA_STEP_REJECTED : SAGA_STEP_DISCLAIMED;
    }
    if (move == SAGA_MOVE_COMPENSATION_NOOP && (step->flags & SAGA_STEP_FORCED) != 0 &&
        (step->flags & SAGA_STEP_SAID_DONE) != 0) {
        return SAGA_STEP_DEBT; /* contradicted twice: somebody has to look */
    }
    return next;
}

static enum saga_apply_error fold_verdict(struct fold *fold) {
    uint8_t next = verdict_phase(fold);
    if (next == 0) {
        return SAGA_APPLY_ILLEGAL;
    }
    struct saga_step *step = fold->step;
    step->phase = next;
    step->flags &= ~(uint32_t)(SAGA_STEP_OPEN | SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED |
                               SAGA_STEP_RETRIED);
    step->flags |= saga_verdict_flag(fold->record->operation, fold->record->verdict);
    if (next == SAGA_STEP_DEBT) {
        step->flags |= SAGA_STEP_REFUSED;
    }
    verdict_unparks(fold);
    return SAGA_APPLIED;
}

static enum saga_apply_error fold_reply(struct fold *fold) {
    switch ((enum saga_verdict)fold->record->verdict) {
    case SAGA_ACCEPTED:
        return fold_accepted(fold);
    case SAGA_RETRY:
    case SAGA_UNKNOWN:
        return fold_attempt_ended(fold);
    case SAGA_DONE:
    case SAGA_REJECTED:
    case SAGA_FENCED:
    case SAGA_NOOP:
        return fold_verdict(fold);
    }
    return SAGA_APPLY_ILLEGAL;
}

static enum saga_apply_error fold_late(struct fold *fold) {
    if (fold->step->phase == SAGA_STEP_PENDING ||
        fold->record->incarnation > fold->step->incarnation) {
        return SAGA_APPLY_ILLEGAL;
    }
    if (fold->record->incarnation == fold->step->incarnation) {
        fold->step->flags |= saga_verdict_flag(fold->record->operation, fold->record->verdict);
    }
    /* Another step's debt does not hold up a forced compensation. */
    if (fold->saga->parked == SAGA_REASON_DEBT && saga_step_contradicts(fold->step)) {
        saga_unpark(fold->saga);
    }
    return SAGA_APPLIED;
}

static enum saga_apply_error fold_compensation_started(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (saga->direction != SAGA_FORWARD || saga->pivot_passed || saga->parked != 0 ||
        !saga_may_turn_back(saga, fold->plan) || fold->record->reason > SAGA_REASON_RESOLVED) {
        return SAGA_APPLY_ILLEGAL;
    }
    saga->direction = SAGA_BACKWARD;
    saga->reason = fold->record->reason;
    saga->wish = 0;
    return SAGA_APPLIED;
}

static enum saga_apply_error fold_pivot_passed(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (fold->record->step != fold->plan->pivot || fold->step->phase != SAGA_STEP_DONE ||
        saga->pivot_passed || saga->direction != SAGA_FORWARD) {
        return SAGA_APPLY_ILLEGAL;
    }
    saga->pivot_passed = 1;
    saga->wish = 0; /* too late to go back: what was pending is void */
    return SAGA_APPLIED;
}

static enum saga_apply_error fold_parked(struct fold *fold) {
    if (fold->saga->parked != 0 || fold->record->reason < SAGA_REASON_DEBT ||
        fold->record->reason > SAGA_REASON_UNRENDERED) {
        return SAGA_APPLY_ILLEGAL;
    }
    fold->saga->parked = fold->record->reason;
    fold->saga->parked_step = fold->record->step;
    return SAGA_APPLIED;
}

uint8_t saga_outcome_due(const struct saga *saga, const struct saga_plan *plan) {
    bool forward = saga->direction == SAGA_FORWARD;
    uint32_t said = saga->reason == SAGA_REASON_RESOLVED ? SAGA_STEP_RESOLVED : 0;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        const struct saga_step *step = &saga->steps[i];
        bool right = forward ? step->phase == SAGA_STEP_DONE
                             : step->phase != SAGA_STEP_DEBT && step->phase != SAGA_STEP_SETTLING &&
                                   !(i == plan->pivot && step->phase == SAGA_STEP_DONE) &&
                                   saga_step_settled(&plan->steps[i], step);
        if (!right) {
            return 0;
        }
        said |= step->flags & (SAGA_STEP_RESOLVED | SAGA_STEP_MARKED | SAGA_STEP_WRITTEN_OFF);
    }
    if ((said & SAGA_STEP_WRITTEN_OFF) != 0) {
        return SAGA_INCONSISTENT;
    }
    if (forward) {
        return said != 0 ? SAGA_COMPLETED_MANUALLY : SAGA_COMPLETED;
    }
    return said != 0 ? SAGA_COMPENSATED_MANUALLY : SAGA_COMPENSATED;
}

static enum saga_apply_error fold_ended(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (saga->parked != 0 || fold->record->outcome != saga_outcome_due(saga, fold->plan)) {
        return SAGA_APPLY_ILLEGAL;
    }
    saga->outcome = fold->record->outcome;
    saga->ended_lsn = fold->record->lsn;
    return SAGA_APPLIED;
}

/* A daemon's start: what was on its way may have arrived or not. Everything
 * outstanding will be sent again as the same attempt, and no deadline fires
 * before the answers that wait at the broker can be heard. */
static void fold_epoch(struct fold *fold) {
    struct saga *saga = fold->saga;
    int64_t at_ms = fold->record->at_ms;
    saga->epoch = fold->record->epoch;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        struct saga_step *step = &saga->steps[i];
        bool open = (step->flags & SAGA_STEP_OPEN) != 0;
        if (!open && step->phase != SAGA_STEP_UNKNOWN) { /* no answer of it is waited for */
            continue;
        }
        int64_t grace_ms = at_ms + saga_step_budget(fold->plan, i, step)->timeout_ms;
        if (saga->deadline_ms < grace_ms) {
            saga->deadline_ms = grace_ms;
        }
        if (!open) {
            continue;
        }
        if (step->operation == SAGA_ACTION) {
            step->flags |= SAGA_STEP_REACHED | SAGA_STEP_UNRESOLVED;
        }
        step->flags &= ~(uint32_t)SAGA_STEP_IN_PROGRESS;
        if (step->send_at_ms < at_ms) {
            step->send_at_ms = at_ms;
        }
        if (step->deadline_ms < grace_ms) {
            step->deadline_ms = grace_ms;
        }
    }
}

/* Facts about one step; fold->step is there. */
static enum saga_apply_error fold_step_fact(struct fold *fold) {
    switch (fold->record->fact) {
    case SAGA_COMMAND_ISSUED:
        return fold_issued(fold);
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
        return fold_attempt_ended(fold);
    case SAGA_REPLY_RECEIVED:
        return fold_reply(fold);
    case SAGA_LATE_REPLY_RECEIVED:
        return fold_late(fold);
    case SAGA_PIVOT_PASSED:
        return fold_pivot_passed(fold);
    case SAGA_PARKED:
        return fold_parked(fold);
    case SAGA_COMPENSATION_STARTED:
        return fold_compensation_started(fold);
    case SAGA_OPERATOR_ACTED:
        return saga_fold_operator(fold);
    default:
        return SAGA_APPLY_MISPLACED;
    }
}

/* Facts about the whole saga. */
static enum saga_apply_error fold_saga_fact(struct fold *fold) {
    switch (fold->record->fact) {
    case SAGA_CANCEL_REQUESTED:
        return saga_fold_cancel(fold);
    case SAGA_COMPENSATION_STARTED:
        return fold_compensation_started(fold);
    case SAGA_OPERATOR_ACTED:
        return saga_fold_operator(fold);
    case SAGA_ENDED:
        return fold_ended(fold);
    default:
        return SAGA_APPLY_MISPLACED;
    }
}

enum saga_apply_error saga_apply(struct saga *saga, const struct saga_plan *plan,
                                 const struct saga_record *record) {
    struct fold fold = {.saga = saga, .plan = plan, .record = record};
    if (record->fact < 1 || record->fact > SAGA_FACT_COUNT || !fields_ok(record)) {
        return SAGA_APPLY_MISPLACED;
    }
    if (record->epoch < saga->epoch) { /* a daemon that was replaced wrote on */
        return SAGA_APPLY_MISPLACED;
    }
    if (record->fact == SAGA_EPOCH_STARTED) {
        if (saga->outcome == 0) {
            fold_epoch(&fold);
        }
        return SAGA_APPLIED;
    }
    if (!same_saga(&record->saga, &saga->id) || record->previous_lsn != saga->last_lsn ||
        record->lsn <= saga->last_lsn) {
        return SAGA_APPLY_MISPLACED;
    }
    if ((fields_of(record) & HAS_STEP) != 0) {
        bool whole = record->step == SAGA_STEP_NONE && record->fact == SAGA_COMPENSATION_STARTED;
        if (!whole && record->step >= saga->step_count) {
            return SAGA_APPLY_MISPLACED;
        }
        if (!whole) {
            fold.step = &saga->steps[record->step];
            fold.planned = &plan->steps[record->step];
        }
    }
    /* The end absorbs everything but a late word (Seata #5688 rolled back finished sagas). */
    if (saga->outcome != 0 && record->fact != SAGA_LATE_REPLY_RECEIVED) {
        return SAGA_APPLY_ILLEGAL;
    }
    enum saga_apply_error error = fold.step != NULL ? fold_step_fact(&fold) : fold_saga_fact(&fold);
    if (error == SAGA_APPLIED) {
        saga->last_lsn = record->lsn;
    }
    return error;
}
