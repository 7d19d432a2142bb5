#include "saga_reference.h"

#define PHASE(phase) (1u << SAGA_STEP_##phase)
#define PEN          PHASE(PENDING)
#define DON          PHASE(DONE)
#define DIS          PHASE(DISCLAIMED)
#define FEN          PHASE(FENCED)
#define UNK          PHASE(UNKNOWN)
#define NEV          PHASE(NEVER_RAN)
#define CLO          PHASE(CLOSING)
#define CPG          PHASE(COMPENSATING)
#define CPD          PHASE(COMPENSATED)
#define DBT          PHASE(DEBT)
#define STG          PHASE(SETTLING)
#define STD          PHASE(SETTLED)

/* -------------------------------------------------------- what holds of a saga */

static bool has(const struct saga_step *step, uint32_t flags) {
    return (step->flags & flags) == flags;
}

bool saga_reference_contradicted(const struct saga_step *step) {
    return step->phase == SAGA_STEP_COMPENSATED &&
           has(step, SAGA_STEP_SAID_DONE | SAGA_STEP_SAID_NOOP) && !has(step, SAGA_STEP_FORCED);
}

bool saga_reference_said_settled(const struct saga_step *step) {
    return has(step, SAGA_STEP_MARKED) || has(step, SAGA_STEP_WRITTEN_OFF);
}

bool saga_reference_settled(const struct saga_plan_step *planned, const struct saga_step *step) {
    uint32_t phase = 1u << step->phase;
    if (phase & (PEN | NEV | PHASE(REJECTED))) {
        return true;
    }
    if (phase & (STG | STD)) { /* the others do not wait for an operator's settlement */
        return true;
    }
    if (phase & (CLO | CPG)) {
        return false;
    }
    if (phase & CPD) {
        return !saga_reference_contradicted(step);
    }
    if (phase & DBT) {
        return !has(step, SAGA_STEP_RETRIED);
    }
    return planned->undo == SAGA_UNDO_NOTHING || ((phase & FEN) != 0 && planned->fenced);
}

static bool depends(const struct saga_plan *plan, uint8_t step, uint8_t on) {
    for (uint8_t i = 0; i < step; i++) {
        if ((plan->steps[step].after & (UINT64_C(1) << i)) != 0 &&
            (i == on || depends(plan, i, on))) {
            return true;
        }
    }
    return false;
}

bool saga_reference_dependents_settled(const struct saga *saga, const struct saga_plan *plan,
                                       uint8_t index) {
    for (uint8_t i = 0; i < plan->step_count; i++) {
        if (depends(plan, i, index) && !saga_reference_settled(&plan->steps[i], &saga->steps[i])) {
            return false;
        }
    }
    return true;
}

bool saga_reference_ready(const struct saga *saga, const struct saga_plan *plan, uint8_t index) {
    for (uint8_t i = 0; i < plan->step_count; i++) {
        if ((plan->steps[index].after & (UINT64_C(1) << i)) != 0 &&
            saga->steps[i].phase != SAGA_STEP_DONE) {
            return false;
        }
    }
    return true;
}

bool saga_reference_may_turn(const struct saga *saga, const struct saga_plan *plan) {
    if (plan->pivot == SAGA_STEP_NONE) {
        return true;
    }
    uint32_t phase = 1u << saga->steps[plan->pivot].phase;
    return (phase & (PEN | NEV | PHASE(REJECTED))) != 0 ||
           ((phase & FEN) != 0 && plan->steps[plan->pivot].fenced) ||
           ((phase & DIS) != 0 && has(&saga->steps[plan->pivot], SAGA_STEP_RESOLVED));
}

uint8_t saga_reference_outcome(const struct saga *saga, const struct saga_plan *plan) {
    bool by_hand = saga->reason == SAGA_REASON_RESOLVED;
    bool given_up = false;
    bool done = true;
    bool undone = true;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        const struct saga_step *step = &saga->steps[i];
        bool pivot_done = i == plan->pivot && step->phase == SAGA_STEP_DONE;
        done = done && step->phase == SAGA_STEP_DONE;
        undone = undone && ((1u << step->phase) & (DBT | STG)) == 0 && !pivot_done &&
                 saga_reference_settled(&plan->steps[i], step);
        by_hand = by_hand || has(step, SAGA_STEP_RESOLVED) || has(step, SAGA_STEP_MARKED);
        given_up = given_up || has(step, SAGA_STEP_WRITTEN_OFF);
    }
    if (saga->direction == SAGA_FORWARD ? !done : !undone) {
        return 0;
    }
    if (given_up) { /* wins over everything */
        return SAGA_INCONSISTENT;
    }
    if (saga->direction == SAGA_FORWARD) {
        return by_hand ? SAGA_COMPLETED_MANUALLY : SAGA_COMPLETED;
    }
    return by_hand ? SAGA_COMPENSATED_MANUALLY : SAGA_COMPENSATED;
}

/* ------------------------------------------------------------- what follows */

static const char *parked_wrongly(const struct saga *saga, const struct saga_plan *plan) {
    const struct saga_step *step = &saga->steps[saga->parked_step];
    const struct saga_plan_step *planned = &plan->steps[saga->parked_step];
    uint32_t phase = 1u << step->phase;
    switch ((enum saga_reason)saga->parked) {
    case SAGA_REASON_DEBT:
        for (uint8_t i = 0; i < saga->step_count; i++) {
            if (!saga_reference_settled(&plan->steps[i], &saga->steps[i])) {
                return "parked for debt, and another step is not settled";
            }
        }
        return (phase & DBT) != 0 && saga->direction == SAGA_BACKWARD &&
                       !saga_reference_said_settled(step)
                   ? NULL
                   : "no debt there";
    case SAGA_REASON_IN_DOUBT:
        if (planned->position == SAGA_BEFORE_PIVOT && planned->on_unknown != SAGA_ON_UNKNOWN_PARK) {
            return "a doubt that could be resolved";
        }
        return (phase & UNK) != 0 && saga->direction == SAGA_FORWARD ? NULL : "no doubt there";
    case SAGA_REASON_CONTRACT_BROKEN: /* an unfenced one may say done after it said no */
        return (phase & (PHASE(REJECTED) | DIS | FEN | DON)) != 0 ? NULL : "no word that breaks it";
    case SAGA_REASON_REJECTION_IN_DOUBT:
        return (phase & DIS) != 0 && planned->position == SAGA_PIVOT ? NULL : "no such rejection";
    case SAGA_REASON_UNRENDERED:
        return NULL;
    case SAGA_REASON_REJECTED:
    case SAGA_REASON_UNRESOLVED:
    case SAGA_REASON_FENCED:
    case SAGA_REASON_NEVER_RAN:
    case SAGA_REASON_CANCELLED:
    case SAGA_REASON_SAGA_DEADLINE:
    case SAGA_REASON_RESOLVED:
    case SAGA_REASON_DEADLINE:
        break;
    }
    return "parked for a reason that is none";
}

static const char *forward_left(const struct saga *saga, const struct saga_plan *plan) {
    bool all_done = true;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        uint32_t phase = 1u << saga->steps[i].phase;
        all_done = all_done && (phase & DON) != 0;
        if ((phase & (PHASE(REJECTED) | DIS | FEN | NEV)) != 0) {
            return "a step has failed, and nothing came of it";
        }
        if ((phase & UNK) != 0) {
            return "an outcome stayed unknown, and nothing came of it";
        }
        if ((phase & PEN) != 0 && saga->wish == 0 && saga_reference_ready(saga, plan, i)) {
            return "a step could start";
        }
    }
    if (plan->pivot != SAGA_STEP_NONE && saga->steps[plan->pivot].phase == SAGA_STEP_DONE &&
        saga->pivot_passed == 0) {
        return "the pivot is done, and not passed";
    }
    if (saga->wish == 0) {
        return all_done ? "all is done, and the saga goes on" : NULL;
    }
    if (saga_reference_may_turn(saga, plan)) {
        return "a wish could be fulfilled";
    }
    return saga->steps[plan->pivot].phase == SAGA_STEP_RUNNING && plan->steps[plan->pivot].fenced
               ? "a wish waits, and the pivot's fence was not asked"
               : NULL;
}

static const char *backward_left(const struct saga *saga, const struct saga_plan *plan) {
    bool all_settled = true;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        bool undone = saga_reference_settled(&plan->steps[i], &saga->steps[i]);
        bool at_it = ((1u << saga->steps[i].phase) & (CLO | CPG)) != 0;
        all_settled = all_settled && undone && saga->steps[i].phase != SAGA_STEP_SETTLING;
        if (saga->steps[i].phase == SAGA_STEP_DEBT &&
            saga_reference_said_settled(&saga->steps[i])) {
            return "a settled debt's row could be closed";
        }
        if (!undone && !at_it && saga_reference_dependents_settled(saga, plan, i)) {
            return "a step could be undone";
        }
    }
    return all_settled ? "all is settled, and the saga goes on" : NULL;
}

const char *saga_reference_left_undone(const struct saga *saga, const struct saga_plan *plan) {
    if (saga->outcome != 0) {
        return saga->parked != 0 ? "ended, and parked" : NULL;
    }
    if (saga->parked != 0) {
        return parked_wrongly(saga, plan);
    }
    return saga->direction == SAGA_FORWARD ? forward_left(saga, plan) : backward_left(saga, plan);
}
