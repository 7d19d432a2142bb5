#include "fold.h"

static bool time_ok(int64_t ms, int64_t least) {
    return ms >= least && ms <= SAGA_TIME_MS_MAX;
}

static bool budget_ok(const struct saga_budget *budget) {
    return time_ok(budget->timeout_ms, 1) && time_ok(budget->deadline_ms, 0) &&
           time_ok(budget->initial_ms, 0) && time_ok(budget->max_ms, 1) &&
           budget->factor_milli >= 1000 && budget->factor_milli <= 1000000 &&
           budget->attempts_max <= SAGA_ATTEMPTS_MAX;
}

static bool position_ok(const struct saga_plan *plan, uint8_t index) {
    uint8_t expected = SAGA_BEFORE_PIVOT;
    if (plan->pivot != SAGA_STEP_NONE && index >= plan->pivot) {
        expected = index == plan->pivot ? SAGA_PIVOT : SAGA_AFTER_PIVOT;
    }
    return plan->steps[index].position == expected;
}

/* Every step that this one waits for, be it by way of others. */
static uint64_t all_before(const struct saga_plan *plan, uint8_t index) {
    uint64_t before = plan->steps[index].after;
    for (int i = index - 1; i >= 0; i--) {
        if ((before & (UINT64_C(1) << i)) != 0) {
            before |= plan->steps[i].after;
        }
    }
    return before;
}

/* Before the pivot any way of undoing will do; from the pivot on there is none. */
static bool undo_ok(const struct saga_plan *plan, uint8_t index) {
    const struct saga_plan_step *step = &plan->steps[index];
    switch ((enum saga_undo)step->undo) {
    case SAGA_UNDO_NOTHING:
        return true;
    case SAGA_UNDO_COMPENSATION:
        return step->position == SAGA_BEFORE_PIVOT && budget_ok(&step->compensation);
    case SAGA_UNDO_BY_STEP:
        return step->position == SAGA_BEFORE_PIVOT && step->fenced &&
               step->compensated_by < index &&
               (all_before(plan, index) & (UINT64_C(1) << step->compensated_by)) != 0 &&
               plan->steps[step->compensated_by].undo == SAGA_UNDO_COMPENSATION;
    }
    return false;
}

/* The pivot waits for everything before it, and everything after it for the
 * pivot: otherwise a step could still fail when going back is no longer allowed. */
static bool order_ok(const struct saga_plan *plan, uint8_t index) {
    const struct saga_plan_step *step = &plan->steps[index];
    uint64_t earlier = (UINT64_C(1) << index) - 1;
    if ((step->after & ~earlier) != 0) {
        return false;
    }
    switch ((enum saga_position)step->position) {
    case SAGA_BEFORE_PIVOT:
        return true;
    case SAGA_PIVOT:
        return all_before(plan, index) == earlier;
    case SAGA_AFTER_PIVOT:
        return (all_before(plan, index) & (UINT64_C(1) << plan->pivot)) != 0;
    }
    return false;
}

bool saga_plan_check(const struct saga_plan *plan) {
    if (plan->step_count < 1 || plan->step_count > SAGA_STEPS_MAX ||
        !time_ok(plan->deadline_ms, 0) ||
        (plan->pivot != SAGA_STEP_NONE && plan->pivot >= plan->step_count)) {
        return false;
    }
    for (uint8_t i = 0; i < plan->step_count; i++) {
        const struct saga_plan_step *step = &plan->steps[i];
        if (!budget_ok(&step->action) || !position_ok(plan, i) || !undo_ok(plan, i) ||
            !order_ok(plan, i)) {
            return false;
        }
        if (step->on_unknown < SAGA_ON_UNKNOWN_FENCE || step->on_unknown > SAGA_ON_UNKNOWN_PARK ||
            (step->on_unknown == SAGA_ON_UNKNOWN_FENCE && !step->fenced)) {
            return false;
        }
    }
    return true;
}

const struct saga_budget *saga_step_budget(const struct saga_plan *plan, uint8_t index,
                                           const struct saga_step *step) {
    const struct saga_plan_step *planned = &plan->steps[index];
    if (step->operation == SAGA_COMPENSATION) {
        return &planned->compensation;
    }
    /* A fence that stands in for a compensation is as patient as that one; so is a settle. */
    if (step->operation == SAGA_SETTLE && planned->undo == SAGA_UNDO_COMPENSATION) {
        return &planned->compensation;
    }
    if (step->phase == SAGA_STEP_CLOSING || step->operation == SAGA_SETTLE) {
        return &plan->steps[planned->compensated_by].compensation;
    }
    return &planned->action;
}

static uint64_t mix(uint64_t value) { /* the finalizer of SplitMix64 */
    value ^= value >> 30;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    value ^= value >> 27;
    value *= UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t command_hash(const struct saga_command_id *id, uint32_t attempt) {
    uint64_t hash = attempt;
    for (size_t i = 0; i < sizeof id->saga.bytes; i += 8) {
        uint64_t word = 0;
        for (size_t j = 0; j < 8; j++) {
            word = word << 8 | id->saga.bytes[i + j];
        }
        hash = mix(hash ^ word);
    }
    uint64_t rest = (uint64_t)id->step << 40 | (uint64_t)id->operation << 32 |
                    (uint64_t)id->incarnation << 16 | id->revision;
    return mix(hash ^ rest);
}

int64_t saga_backoff_ms(const struct saga_budget *budget, const struct saga_command_id *id,
                        uint32_t attempt) {
    int64_t ceiling = budget->initial_ms;
    for (uint32_t i = 2; i < attempt && ceiling < budget->max_ms; i++) {
        /* In range: a checked plan keeps this product below 2^60. */
        int64_t grown = ceiling * (int64_t)budget->factor_milli / 1000;
        if (grown == ceiling) {
            break; /* a factor of 1 (or too small to move this) never grows */
        }
        ceiling = grown;
    }
    if (ceiling > budget->max_ms) {
        ceiling = budget->max_ms;
    }
    int64_t delay = (int64_t)(command_hash(id, attempt) % ((uint64_t)ceiling + 1));
    return delay < SAGA_BACKOFF_MIN_MS ? SAGA_BACKOFF_MIN_MS : delay;
}
