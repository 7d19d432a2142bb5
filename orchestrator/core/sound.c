#include "saga.h"

/* A state that was stored and read back: checked for what the rest of the core takes for granted,
 * and would read outside of its bounds without. */

#define FLAGS_ALL (((uint32_t)SAGA_STEP_WRITTEN_OFF << 1) - 1)

static bool time_is_sound(int64_t at_ms) {
    return at_ms == INT64_MAX || (at_ms >= 0 && at_ms <= 2 * SAGA_CLOCK_MS_MAX);
}

static bool step_is_sound(const struct saga *saga, const struct saga_step *step) {
    const bool driven = step->operation != 0;
    return step->phase >= SAGA_STEP_PENDING && step->phase <= SAGA_PHASE_COUNT &&
           step->operation <= SAGA_OPERATION_COUNT && step->order <= saga->started_count &&
           (step->flags & ~FLAGS_ALL) == 0 && time_is_sound(step->send_at_ms) &&
           time_is_sound(step->deadline_ms) && step->command_lsn <= saga->last_lsn &&
           (!driven || (step->incarnation > 0 && step->revision > 0 && step->command_lsn > 0));
}

bool saga_is_sound(const struct saga *saga, const struct saga_plan *plan) {
    if (saga->step_count != plan->step_count || saga->definition_lsn != plan->definition_lsn ||
        (saga->direction != SAGA_FORWARD && saga->direction != SAGA_BACKWARD) ||
        saga->outcome > SAGA_OUTCOME_COUNT || (saga->outcome == 0) != (saga->ended_lsn == 0) ||
        saga->parked > SAGA_REASON_UNRENDERED || saga->wish > SAGA_REASON_UNRENDERED ||
        saga->reason > SAGA_REASON_UNRENDERED || saga->pivot_passed > 1 ||
        saga->started_count > saga->step_count || saga->ended_lsn > saga->last_lsn ||
        (saga->parked_step >= saga->step_count && saga->parked_step != SAGA_STEP_NONE) ||
        saga->last_lsn == 0 || saga->epoch == 0 || !time_is_sound(saga->started_ms) ||
        !time_is_sound(saga->deadline_ms)) {
        return false;
    }
    for (uint8_t i = 0; i < saga->step_count; i++) {
        if (!step_is_sound(saga, &saga->steps[i])) {
            return false;
        }
    }
    return true;
}
