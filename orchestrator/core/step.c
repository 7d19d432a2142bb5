#include "fold.h"

/*
 * The heart of the project: what may happen to a step. A row is what a record
 * does, a column is where the step stands, the entry is where it stands then.
 * An empty entry is a transition that does not exist: a log that has it is
 * corrupt.
 */
enum {
    ___, /* no such transition */
    PEN = SAGA_STEP_PENDING,
    RUN = SAGA_STEP_RUNNING,
    DON = SAGA_STEP_DONE,
    REJ = SAGA_STEP_REJECTED,
    DIS = SAGA_STEP_DISCLAIMED,
    FEN = SAGA_STEP_FENCED,
    UNK = SAGA_STEP_UNKNOWN,
    NEV = SAGA_STEP_NEVER_RAN,
    FNG = SAGA_STEP_FENCING,
    CLO = SAGA_STEP_CLOSING,
    CPG = SAGA_STEP_COMPENSATING,
    CPD = SAGA_STEP_COMPENSATED,
    DBT = SAGA_STEP_DEBT,
    STG = SAGA_STEP_SETTLING,
    STD = SAGA_STEP_SETTLED,
};

static const uint8_t table[SAGA_MOVE_COUNT + 1][SAGA_PHASE_COUNT + 1] = {
    /* clang-format off */
    /*                                  -    PEN  RUN  DON  REJ  DIS  FEN  UNK  NEV  FNG  CLO  CPG  CPD  DBT  STG  STD */
    [SAGA_MOVE_ISSUE_ACTION]          = {0, RUN, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___},
    [SAGA_MOVE_ISSUE_FENCE]           = {0, ___, FNG, ___, ___, ___, ___, FNG, ___, ___, ___, ___, ___, ___, ___, ___},
    [SAGA_MOVE_ISSUE_CLOSE]           = {0, ___, CLO, CLO, ___, CLO, ___, CLO, ___, CLO, ___, ___, ___, CLO, ___, ___},
    [SAGA_MOVE_ISSUE_COMPENSATION]    = {0, ___, CPG, CPG, ___, CPG, CPG, CPG, ___, CPG, ___, ___, CPG, CPG, ___, ___},
    [SAGA_MOVE_END_ATTEMPT]           = {0, ___, RUN, ___, ___, ___, ___, ___, ___, FNG, CLO, CPG, ___, ___, STG, ___},
    [SAGA_MOVE_ACCEPT]                = {0, ___, RUN, ___, ___, ___, ___, ___, ___, FNG, CLO, CPG, ___, ___, STG, ___},
    [SAGA_MOVE_ACTION_DONE]           = {0, ___, DON, ___, ___, DON, ___, DON, DON, DON, ___, ___, ___, ___, ___, ___},
    [SAGA_MOVE_ACTION_REJECTED]       = {0, ___, REJ, ___, ___, ___, ___, REJ, REJ, REJ, ___, ___, ___, ___, ___, ___},
    [SAGA_MOVE_ACTION_FENCED]         = {0, ___, FEN, ___, ___, ___, ___, FEN, FEN, FEN, FEN, ___, ___, ___, ___, ___},
    [SAGA_MOVE_FENCE_DONE]            = {0, ___, ___, ___, ___, ___, ___, DON, ___, DON, CPD, ___, ___, CPD, ___, ___},
    [SAGA_MOVE_FENCE_REJECTED]        = {0, ___, ___, ___, ___, ___, ___, REJ, ___, REJ, REJ, ___, ___, REJ, ___, ___},
    [SAGA_MOVE_FENCE_FENCED]          = {0, ___, ___, ___, ___, ___, ___, FEN, ___, FEN, FEN, ___, ___, FEN, ___, ___},
    [SAGA_MOVE_COMPENSATION_DONE]     = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, CPD, ___, CPD, ___, ___},
    [SAGA_MOVE_COMPENSATION_REJECTED] = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, DBT, ___, DBT, ___, ___},
    [SAGA_MOVE_COMPENSATION_NOOP]     = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, CPD, ___, CPD, ___, ___},
    [SAGA_MOVE_ISSUE_SETTLE]          = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, STG, ___, ___},
    [SAGA_MOVE_SETTLE_DONE]           = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, STD, ___},
    [SAGA_MOVE_OPERATOR_SETTLED]      = {0, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, ___, STD, ___, ___},
    [SAGA_MOVE_OPERATOR_DONE]         = {0, ___, ___, ___, ___, DON, ___, DON, ___, ___, ___, ___, ___, ___, ___, ___},
    [SAGA_MOVE_OPERATOR_REJECTED]     = {0, ___, ___, ___, ___, DIS, ___, DIS, ___, ___, ___, ___, ___, ___, ___, ___},
    /* clang-format on */
};

uint8_t saga_transition(enum saga_move move, uint8_t phase) {
    if (move < 1 || move > SAGA_MOVE_COUNT || phase > SAGA_PHASE_COUNT) {
        return 0;
    }
    return table[move][phase];
}

static const struct {
    enum saga_move move;
    uint32_t flag;
} definite[SAGA_OPERATION_COUNT + 1][SAGA_VERDICT_COUNT + 1] = {
    [SAGA_ACTION] =
        {
            [SAGA_DONE] = {SAGA_MOVE_ACTION_DONE, SAGA_STEP_SAID_DONE},
            [SAGA_REJECTED] = {SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_SAID_REJECTED},
            [SAGA_FENCED] = {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_SAID_FENCED},
        },
    [SAGA_FENCE] =
        {
            [SAGA_DONE] = {SAGA_MOVE_FENCE_DONE, SAGA_STEP_SAID_DONE},
            [SAGA_REJECTED] = {SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_SAID_REJECTED},
            [SAGA_FENCED] = {SAGA_MOVE_FENCE_FENCED, SAGA_STEP_SAID_FENCED},
        },
    [SAGA_COMPENSATION] =
        {
            [SAGA_DONE] = {SAGA_MOVE_COMPENSATION_DONE, SAGA_STEP_SAID_COMPENSATED},
            [SAGA_REJECTED] = {SAGA_MOVE_COMPENSATION_REJECTED, SAGA_STEP_SAID_NOT_COMPENSATED},
            [SAGA_NOOP] = {SAGA_MOVE_COMPENSATION_NOOP, SAGA_STEP_SAID_NOOP},
        },
    [SAGA_SETTLE] = {[SAGA_DONE] = {SAGA_MOVE_SETTLE_DONE, SAGA_STEP_SAID_SETTLED}},
};

enum saga_move saga_verdict_move(uint8_t operation, uint8_t verdict) {
    if (operation > SAGA_OPERATION_COUNT || verdict > SAGA_VERDICT_COUNT) {
        return 0;
    }
    return definite[operation][verdict].move;
}

uint32_t saga_verdict_flag(uint8_t operation, uint8_t verdict) {
    if (operation > SAGA_OPERATION_COUNT || verdict > SAGA_VERDICT_COUNT) {
        return 0;
    }
    return definite[operation][verdict].flag;
}

bool saga_step_contradicts(const struct saga_step *step) {
    const uint32_t both = SAGA_STEP_SAID_DONE | SAGA_STEP_SAID_NOOP;
    return step->phase == SAGA_STEP_COMPENSATED && (step->flags & both) == both &&
           (step->flags & SAGA_STEP_FORCED) == 0;
}

bool saga_step_by_operator(const struct saga_step *step) {
    return (step->flags & (SAGA_STEP_MARKED | SAGA_STEP_WRITTEN_OFF)) != 0;
}

bool saga_step_settled(const struct saga_plan_step *plan, const struct saga_step *step) {
    switch ((enum saga_phase)step->phase) {
    case SAGA_STEP_PENDING:
    case SAGA_STEP_REJECTED:
    case SAGA_STEP_NEVER_RAN:
        return true;
    case SAGA_STEP_FENCED: /* who keeps no fence cannot know */
        return plan->fenced || plan->undo == SAGA_UNDO_NOTHING;
    case SAGA_STEP_COMPENSATED:
        return !saga_step_contradicts(step);
    case SAGA_STEP_DEBT:
        return (step->flags & SAGA_STEP_RETRIED) == 0;
    case SAGA_STEP_SETTLING:
    case SAGA_STEP_SETTLED:
        return true;
    case SAGA_STEP_COMPENSATING:
    case SAGA_STEP_CLOSING:
        return false;
    case SAGA_STEP_RUNNING:
    case SAGA_STEP_DONE:
    case SAGA_STEP_DISCLAIMED:
    case SAGA_STEP_UNKNOWN:
    case SAGA_STEP_FENCING:
        break; /* may have run */
    }
    return plan->undo == SAGA_UNDO_NOTHING;
}

bool saga_step_ready(const struct saga *saga, const struct saga_plan *plan, uint8_t index) {
    for (uint8_t i = 0; i < index; i++) {
        if ((plan->steps[index].after & (UINT64_C(1) << i)) != 0 &&
            saga->steps[i].phase != SAGA_STEP_DONE) {
            return false;
        }
    }
    return true;
}

bool saga_step_dependents_settled(const struct saga *saga, const struct saga_plan *plan,
                                  uint8_t index) {
    /* Also those of its dependents: one without effect is settled before what is built on it. */
    uint64_t built_on = UINT64_C(1) << index;
    for (uint8_t i = (uint8_t)(index + 1); i < plan->step_count; i++) {
        if ((plan->steps[i].after & built_on) == 0) {
            continue;
        }
        if (!saga_step_settled(&plan->steps[i], &saga->steps[i])) {
            return false;
        }
        built_on |= UINT64_C(1) << i;
    }
    return true;
}

bool saga_may_turn_back(const struct saga *saga, const struct saga_plan *plan) {
    if (plan->pivot == SAGA_STEP_NONE) {
        return true;
    }
    switch ((enum saga_phase)saga->steps[plan->pivot].phase) {
    case SAGA_STEP_PENDING:
    case SAGA_STEP_REJECTED:
    case SAGA_STEP_NEVER_RAN:
        return true;
    case SAGA_STEP_FENCED:
        return plan->steps[plan->pivot].fenced;
    case SAGA_STEP_DISCLAIMED: /* whose participant cannot know; an operator may */
        return (saga->steps[plan->pivot].flags & SAGA_STEP_RESOLVED) != 0;
    case SAGA_STEP_RUNNING:
    case SAGA_STEP_DONE:
    case SAGA_STEP_UNKNOWN:
    case SAGA_STEP_FENCING:
    case SAGA_STEP_CLOSING:
    case SAGA_STEP_COMPENSATING:
    case SAGA_STEP_COMPENSATED:
    case SAGA_STEP_DEBT:
    case SAGA_STEP_SETTLING:
    case SAGA_STEP_SETTLED:
        break;
    }
    return false;
}
