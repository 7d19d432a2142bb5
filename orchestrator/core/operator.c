#include "fold.h"

/* ------------------------------------------------------- a wish to go backward */

/* The pivot is in doubt: its fence is asked at once, anew if it was silent before. */
static void ask_the_fence(struct fold *fold) {
    struct saga *saga = fold->saga;
    fold->step = &saga->steps[fold->plan->pivot];
    fold->planned = &fold->plan->steps[fold->plan->pivot];
    if (fold->step->phase == SAGA_STEP_UNKNOWN && fold->planned->fenced) {
        saga_unpark(saga);
        if ((fold->step->flags & SAGA_STEP_FENCE_SENT) != 0) {
            saga_attempt_again(fold, SAGA_STEP_FENCING);
        }
    }
}

enum saga_apply_error saga_fold_cancel(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (saga->direction != SAGA_FORWARD || saga->pivot_passed || saga->wish != 0 ||
        (fold->record->reason != SAGA_REASON_CANCELLED &&
         fold->record->reason != SAGA_REASON_SAGA_DEADLINE)) {
        return SAGA_APPLY_ILLEGAL;
    }
    saga->wish = fold->record->reason;
    if (saga_may_turn_back(saga, fold->plan)) {
        saga_unpark(saga);
        return SAGA_APPLIED;
    }
    ask_the_fence(fold);
    return SAGA_APPLIED;
}

/* ------------------------------------------------------------------- retry */

static void retry_step(struct fold *fold) {
    struct saga_step *step = fold->step;
    if (step->phase == SAGA_STEP_DEBT && step->revision < UINT16_MAX &&
        !saga_step_by_operator(step)) {
        step->flags |= SAGA_STEP_RETRIED;
    } else if ((step->flags & SAGA_STEP_OPEN) != 0 && step->send_at_ms > fold->record->at_ms) {
        step->send_at_ms = fold->record->at_ms; /* its backoff ends */
    }
}

static enum saga_apply_error fold_retry(struct fold *fold) {
    struct saga *saga = fold->saga;
    if (saga->parked == SAGA_REASON_CONTRACT_BROKEN ||
        saga->parked == SAGA_REASON_REJECTION_IN_DOUBT) {
        return SAGA_APPLY_ILLEGAL;
    }
    if (saga->parked == SAGA_REASON_IN_DOUBT) { /* unanswered: fresh budget, same id */
        fold->step = &saga->steps[saga->parked_step];
        fold->planned = &fold->plan->steps[saga->parked_step];
        if (fold->step->phase != SAGA_STEP_UNKNOWN) {
            return SAGA_APPLY_ILLEGAL;
        }
        saga_attempt_again(fold, fold->step->operation == SAGA_FENCE ? SAGA_STEP_FENCING
                                                                     : SAGA_STEP_RUNNING);
    }
    saga_unpark(saga);
    for (uint8_t i = 0; i < saga->step_count; i++) {
        fold->step = &saga->steps[i];
        retry_step(fold);
    }
    return SAGA_APPLIED;
}

/* ----------------------------------------------------------------- resolve */

/* True if the saga is parked since nobody here can know what became of the step. */
static bool parked_about(const struct fold *fold) {
    const struct saga *saga = fold->saga;
    return saga->parked_step == fold->record->step &&
           (saga->parked == SAGA_REASON_IN_DOUBT || saga->parked == SAGA_REASON_REJECTION_IN_DOUBT);
}

/* ... and the step stands where it was left then. */
static bool in_doubt(const struct fold *fold) {
    uint8_t phase =
        fold->saga->parked == SAGA_REASON_IN_DOUBT ? SAGA_STEP_UNKNOWN : SAGA_STEP_DISCLAIMED;
    return parked_about(fold) && fold->step->phase == phase;
}

/* From the pivot's command to its verdict "rejected" is a wish, however sure the operator is:
 * an attempt may still arrive. Only the fence can say that none does. */
static bool only_wishes(const struct fold *fold) {
    uint8_t phase = fold->step->phase;
    bool out = phase == SAGA_STEP_RUNNING || phase == SAGA_STEP_FENCING;
    bool asks = phase == SAGA_STEP_UNKNOWN && fold->planned->fenced;
    return fold->record->verdict == SAGA_REJECTED && fold->record->step == fold->plan->pivot &&
           (parked_about(fold) ? in_doubt(fold) && asks : out);
}

static enum saga_apply_error fold_resolve(struct fold *fold) {
    struct saga *saga = fold->saga;
    struct saga_step *step = fold->step;
    bool done = fold->record->verdict == SAGA_DONE;
    if (saga->direction != SAGA_FORWARD || (!done && fold->record->verdict != SAGA_REJECTED) ||
        (!done && fold->planned->position == SAGA_AFTER_PIVOT)) {
        return SAGA_APPLY_ILLEGAL;
    }
    if (only_wishes(fold)) {
        if (saga->wish == SAGA_REASON_RESOLVED && !in_doubt(fold)) {
            return SAGA_APPLY_ILLEGAL; /* it is wished for already */
        }
        saga->wish = SAGA_REASON_RESOLVED;
        ask_the_fence(fold);
        return SAGA_APPLIED;
    }
    uint8_t next =
        saga_transition(done ? SAGA_MOVE_OPERATOR_DONE : SAGA_MOVE_OPERATOR_REJECTED, step->phase);
    if (!in_doubt(fold) || next == 0) {
        return SAGA_APPLY_ILLEGAL;
    }
    step->phase = next;
    step->flags |= SAGA_STEP_RESOLVED;
    saga_unpark(saga);
    return SAGA_APPLIED;
}

/* ------------------------------------------------- mark-compensated, write-off */

/* The operator's word closes the debt. Where the participant keeps a row it is
 * closed first: until then a late compensation, or a late action, could still
 * act on what somebody has put in order by hand. */
static enum saga_apply_error fold_settlement(struct fold *fold) {
    struct saga_step *step = fold->step;
    uint8_t next = saga_transition(SAGA_MOVE_OPERATOR_SETTLED, step->phase);
    if (next == 0 || fold->saga->direction != SAGA_BACKWARD || saga_step_by_operator(step)) {
        return SAGA_APPLY_ILLEGAL;
    }
    step->flags &= ~(uint32_t)SAGA_STEP_RETRIED;
    step->flags |=
        fold->record->verb == SAGA_VERB_WRITE_OFF ? SAGA_STEP_WRITTEN_OFF : SAGA_STEP_MARKED;
    if (!fold->planned->fenced) {
        step->phase = next;
    }
    saga_unpark(fold->saga);
    return SAGA_APPLIED;
}

enum saga_apply_error saga_fold_operator(struct fold *fold) {
    switch ((enum saga_verb)fold->record->verb) {
    case SAGA_VERB_RETRY:
        return fold_retry(fold);
    case SAGA_VERB_RESOLVE:
        return fold_resolve(fold);
    case SAGA_VERB_MARK_COMPENSATED:
    case SAGA_VERB_WRITE_OFF:
        return fold_settlement(fold);
    case SAGA_VERB_CANCEL: /* has a fact of its own */
        break;
    }
    return SAGA_APPLY_ILLEGAL;
}
