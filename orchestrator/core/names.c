#include "saga.h"

#define NAME(table, number)                                                                        \
    ((number) < sizeof(table) / sizeof((table)[0]) && (table)[number] ? (table)[number] : "?")

const char *saga_fact_name(uint8_t fact) {
    static const char *const names[] = {
        [SAGA_DEFINITION_LOADED] = "DEFINITION_LOADED",
        [SAGA_STARTED] = "SAGA_STARTED",
        [SAGA_COMMAND_ISSUED] = "COMMAND_ISSUED",
        [SAGA_COMMAND_UNSENT] = "COMMAND_UNSENT",
        [SAGA_REPLY_RECEIVED] = "REPLY_RECEIVED",
        [SAGA_ATTEMPT_EXPIRED] = "ATTEMPT_EXPIRED",
        [SAGA_CANCEL_REQUESTED] = "CANCEL_REQUESTED",
        [SAGA_COMPENSATION_STARTED] = "COMPENSATION_STARTED",
        [SAGA_PIVOT_PASSED] = "PIVOT_PASSED",
        [SAGA_LATE_REPLY_RECEIVED] = "LATE_REPLY_RECEIVED",
        [SAGA_PARKED] = "SAGA_PARKED",
        [SAGA_OPERATOR_ACTED] = "OPERATOR_ACTED",
        [SAGA_ENDED] = "SAGA_ENDED",
        [SAGA_EPOCH_STARTED] = "EPOCH_STARTED",
        [SAGA_OUTCOMES_TOLD] = "OUTCOMES_TOLD",
        [SAGA_HISTORY_PURGED] = "HISTORY_PURGED",
    };
    return NAME(names, fact);
}

bool saga_fact_is_of_log(uint8_t fact) {
    return fact == SAGA_DEFINITION_LOADED || fact == SAGA_EPOCH_STARTED ||
           fact == SAGA_OUTCOMES_TOLD || fact == SAGA_HISTORY_PURGED;
}

const char *saga_verdict_name(uint8_t verdict) {
    static const char *const names[] = {
        [SAGA_DONE] = "done",       [SAGA_REJECTED] = "rejected", [SAGA_ACCEPTED] = "accepted",
        [SAGA_RETRY] = "retry",     [SAGA_FENCED] = "fenced",     [SAGA_NOOP] = "noop",
        [SAGA_UNKNOWN] = "unknown",
    };
    return NAME(names, verdict);
}

const char *saga_operation_name(uint8_t operation) {
    static const char *const names[] = {
        [SAGA_ACTION] = "action",
        [SAGA_COMPENSATION] = "compensation",
        [SAGA_FENCE] = "fence",
        [SAGA_SETTLE] = "settle",
    };
    return NAME(names, operation);
}

const char *saga_reason_name(uint8_t reason) {
    static const char *const names[] = {
        [SAGA_REASON_REJECTED] = "rejected",
        [SAGA_REASON_UNRESOLVED] = "unresolved",
        [SAGA_REASON_FENCED] = "fenced",
        [SAGA_REASON_NEVER_RAN] = "never_ran",
        [SAGA_REASON_CANCELLED] = "cancelled",
        [SAGA_REASON_SAGA_DEADLINE] = "saga_deadline",
        [SAGA_REASON_RESOLVED] = "resolved",
        [SAGA_REASON_DEADLINE] = "deadline",
        [SAGA_REASON_DEBT] = "debt",
        [SAGA_REASON_IN_DOUBT] = "in_doubt",
        [SAGA_REASON_CONTRACT_BROKEN] = "contract_broken",
        [SAGA_REASON_REJECTION_IN_DOUBT] = "rejection_in_doubt",
        [SAGA_REASON_UNRENDERED] = "unrendered",
    };
    return NAME(names, reason);
}

const char *saga_outcome_name(uint8_t outcome) {
    static const char *const names[] = {
        [SAGA_COMPLETED] = "completed",
        [SAGA_COMPENSATED] = "compensated",
        [SAGA_COMPLETED_MANUALLY] = "completed_manually",
        [SAGA_COMPENSATED_MANUALLY] = "compensated_manually",
        [SAGA_INCONSISTENT] = "inconsistent",
    };
    return NAME(names, outcome);
}

const char *saga_verb_name(uint8_t verb) {
    static const char *const names[] = {
        [SAGA_VERB_CANCEL] = "cancel",       [SAGA_VERB_RETRY] = "retry",
        [SAGA_VERB_RESOLVE] = "resolve",     [SAGA_VERB_MARK_COMPENSATED] = "mark-compensated",
        [SAGA_VERB_WRITE_OFF] = "write-off",
    };
    return NAME(names, verb);
}

const char *saga_phase_name(uint8_t phase) {
    static const char *const names[] = {
        [SAGA_STEP_PENDING] = "pending",
        [SAGA_STEP_RUNNING] = "running",
        [SAGA_STEP_DONE] = "done",
        [SAGA_STEP_REJECTED] = "rejected",
        [SAGA_STEP_DISCLAIMED] = "disclaimed",
        [SAGA_STEP_FENCED] = "fenced",
        [SAGA_STEP_UNKNOWN] = "unknown",
        [SAGA_STEP_NEVER_RAN] = "never_ran",
        [SAGA_STEP_FENCING] = "fencing",
        [SAGA_STEP_CLOSING] = "closing",
        [SAGA_STEP_COMPENSATING] = "compensating",
        [SAGA_STEP_COMPENSATED] = "compensated",
        [SAGA_STEP_DEBT] = "debt",
        [SAGA_STEP_SETTLING] = "settling",
        [SAGA_STEP_SETTLED] = "settled",
    };
    return NAME(names, phase);
}

/* The public vocabulary is smaller: a reader needs to know what is true of a
 * step, not how the core came to know it. */
const char *saga_step_status_name(const struct saga_step *step) {
    switch (step->phase) {
    case SAGA_STEP_DISCLAIMED:
        return "rejected";
    case SAGA_STEP_NEVER_RAN:
        return "pending";
    case SAGA_STEP_CLOSING:
        return "fencing";
    case SAGA_STEP_SETTLING: /* owed, until the participant has answered */
        return "debt";
    case SAGA_STEP_SETTLED: /* what is written off stays owed */
        return (step->flags & SAGA_STEP_WRITTEN_OFF) != 0 ? "debt" : "compensated";
    default:
        return saga_phase_name(step->phase);
    }
}

const char *saga_status_name(const struct saga *saga) {
    if (saga->outcome != 0) {
        return saga_outcome_name(saga->outcome);
    }
    if (saga->parked != 0) {
        return "parked";
    }
    return saga->direction == SAGA_BACKWARD ? "compensating" : "running";
}
