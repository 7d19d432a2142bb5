/*
 * Whether two plans are the same, member by member: padding may differ.
 *
 * Threads: no state.
 */
#ifndef SAGA_DEFINITION_PLAN_H
#define SAGA_DEFINITION_PLAN_H

#include "saga.h"

static inline bool definition_budget_equal(const struct saga_budget *a,
                                           const struct saga_budget *b) {
    return a->timeout_ms == b->timeout_ms && a->deadline_ms == b->deadline_ms &&
           a->initial_ms == b->initial_ms && a->max_ms == b->max_ms &&
           a->factor_milli == b->factor_milli && a->attempts_max == b->attempts_max;
}

static inline bool definition_step_equal(const struct saga_plan_step *a,
                                         const struct saga_plan_step *b) {
    return a->after == b->after && a->participant == b->participant && a->position == b->position &&
           a->undo == b->undo && a->compensated_by == b->compensated_by &&
           a->on_unknown == b->on_unknown && a->fenced == b->fenced &&
           a->single_delivery == b->single_delivery &&
           definition_budget_equal(&a->action, &b->action) &&
           definition_budget_equal(&a->compensation, &b->compensation);
}

static inline bool definition_plan_equal(const struct saga_plan *a, const struct saga_plan *b) {
    if (a->definition_lsn != b->definition_lsn || a->deadline_ms != b->deadline_ms ||
        a->step_count != b->step_count || a->pivot != b->pivot) {
        return false;
    }
    for (uint8_t i = 0; i < a->step_count; i++) {
        if (!definition_step_equal(&a->steps[i], &b->steps[i])) {
            return false;
        }
    }
    return true;
}

#endif
