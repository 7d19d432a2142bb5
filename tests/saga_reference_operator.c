#include "saga_reference_operator.h"

const char *saga_reference_cancel(struct saga *saga, const struct saga_plan *plan,
                                  const struct saga_record *record) {
    bool reason =
        record->reason == SAGA_REASON_CANCELLED || record->reason == SAGA_REASON_SAGA_DEADLINE;
    if (!reason || saga->direction != SAGA_FORWARD || saga->pivot_passed != 0 || saga->wish != 0) {
        return NULL;
    }
    saga->wish = record->reason;
    if (saga_reference_may_turn(saga, plan)) {
        saga_reference_unpark(saga);
        return "a wish that can be fulfilled wakes a parked saga";
    }
    struct saga_step *pivot = &saga->steps[plan->pivot];
    if (pivot->phase != SAGA_STEP_UNKNOWN || !plan->steps[plan->pivot].fenced) {
        return "pending: until the pivot's verdict";
    }
    saga_reference_unpark(saga);
    if ((pivot->flags & SAGA_STEP_FENCE_SENT) != 0) {
        saga_reference_ask_again(pivot);
    }
    return "the fence of a pivot in doubt is asked at once";
}

static const char *retried(struct saga *saga) {
    if (saga->parked == SAGA_REASON_CONTRACT_BROKEN ||
        saga->parked == SAGA_REASON_REJECTION_IN_DOUBT) {
        return NULL;
    }
    if (saga->parked == SAGA_REASON_IN_DOUBT) {
        if (saga->steps[saga->parked_step].phase != SAGA_STEP_UNKNOWN) {
            return NULL;
        }
        saga_reference_ask_again(&saga->steps[saga->parked_step]);
    }
    saga_reference_unpark(saga);
    for (uint8_t i = 0; i < saga->step_count; i++) {
        struct saga_step *step = &saga->steps[i];
        if (step->phase == SAGA_STEP_DEBT && !saga_reference_said_settled(step)) {
            step->flags |= SAGA_STEP_RETRIED;
        }
    }
    return "retry: what was unanswered is asked again, what is owed is tried again";
}

/* Where a verdict by an operator may be given, and what it does. */
static const struct resolution {
    const char *why;
    uint8_t verdict;
    uint8_t position; /* 0: any */
    uint8_t parked;   /* a reason, about this step; 0: not about this step */
    uint8_t phase;    /* 0: any */
    int fenced;       /* -1: either */
    enum { DECIDES = 1, WISHES, ASKS } effect;
} resolutions[] = {
    /* clang-format off */
    {"in doubt: it took effect", SAGA_DONE, 0, SAGA_REASON_IN_DOUBT, SAGA_STEP_UNKNOWN, -1, DECIDES},
    {"a rejection in doubt: it took effect",
     SAGA_DONE, 0, SAGA_REASON_REJECTION_IN_DOUBT, SAGA_STEP_DISCLAIMED, -1, DECIDES},
    {"before the pivot: backward, and the step is compensated",
     SAGA_REJECTED, SAGA_BEFORE_PIVOT, SAGA_REASON_IN_DOUBT, SAGA_STEP_UNKNOWN, -1, DECIDES},
    {"a pivot whose participant nobody can ask: backward",
     SAGA_REJECTED, SAGA_PIVOT, SAGA_REASON_IN_DOUBT, SAGA_STEP_UNKNOWN, 0, DECIDES},
    {"... nor believe", SAGA_REJECTED, SAGA_PIVOT, SAGA_REASON_REJECTION_IN_DOUBT,
     SAGA_STEP_DISCLAIMED, -1, DECIDES},
    {"a pivot in doubt that has a fence: only the fence can say no",
     SAGA_REJECTED, SAGA_PIVOT, SAGA_REASON_IN_DOUBT, SAGA_STEP_UNKNOWN, 1, ASKS},
    {"a pivot whose command is out: pending", SAGA_REJECTED, SAGA_PIVOT, 0, SAGA_STEP_RUNNING, -1, WISHES},
    {"... its fence is out", SAGA_REJECTED, SAGA_PIVOT, 0, SAGA_STEP_FENCING, -1, WISHES},
    /* clang-format on */
};

static const char *resolved(struct saga *saga, const struct saga_plan *plan,
                            const struct saga_record *record) {
    struct saga_step *step = &saga->steps[record->step];
    const struct saga_plan_step *planned = &plan->steps[record->step];
    bool doubt =
        saga->parked_step == record->step &&
        (saga->parked == SAGA_REASON_IN_DOUBT || saga->parked == SAGA_REASON_REJECTION_IN_DOUBT);
    if (saga->direction != SAGA_FORWARD) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof resolutions / sizeof resolutions[0]; i++) {
        const struct resolution *row = &resolutions[i];
        bool place = row->position == 0 || row->position == planned->position;
        bool parked = row->parked == (doubt ? saga->parked : 0);
        bool fence = row->fenced < 0 || (row->fenced != 0) == planned->fenced;
        if (row->verdict != record->verdict || !place || !parked || !fence ||
            row->phase != step->phase) {
            continue;
        }
        if (row->effect == WISHES && saga->wish == SAGA_REASON_RESOLVED) {
            return NULL;
        }
        if (row->effect == DECIDES) {
            step->phase = row->verdict == SAGA_DONE ? SAGA_STEP_DONE : SAGA_STEP_DISCLAIMED;
            step->flags |= SAGA_STEP_RESOLVED;
            saga_reference_unpark(saga);
            return row->why;
        }
        saga->wish = SAGA_REASON_RESOLVED;
        if (row->effect == ASKS) {
            saga_reference_unpark(saga);
            if ((step->flags & SAGA_STEP_FENCE_SENT) != 0) {
                saga_reference_ask_again(step);
            }
        }
        return row->why;
    }
    return NULL;
}

static const char *settled(struct saga *saga, const struct saga_plan *plan,
                           const struct saga_record *record) {
    struct saga_step *step = &saga->steps[record->step];
    if (saga->direction != SAGA_BACKWARD || step->phase != SAGA_STEP_DEBT ||
        saga_reference_said_settled(step)) {
        return NULL;
    }
    saga_reference_unpark(saga);
    step->flags &= ~(uint32_t)SAGA_STEP_RETRIED;
    step->flags |=
        record->verb == SAGA_VERB_MARK_COMPENSATED ? SAGA_STEP_MARKED : SAGA_STEP_WRITTEN_OFF;
    if (plan->steps[record->step].fenced) {
        return "a debt that somebody settles: its row is closed first";
    }
    step->phase = SAGA_STEP_SETTLED;
    return "a debt that somebody settles: at once, where there is no row";
}

const char *saga_reference_operator(struct saga *saga, const struct saga_plan *plan,
                                    const struct saga_record *record) {
    switch ((enum saga_verb)record->verb) {
    case SAGA_VERB_RETRY:
        return retried(saga);
    case SAGA_VERB_RESOLVE:
        return resolved(saga, plan, record);
    case SAGA_VERB_MARK_COMPENSATED:
    case SAGA_VERB_WRITE_OFF:
        return settled(saga, plan, record);
    case SAGA_VERB_CANCEL:
        break;
    }
    return NULL;
}
