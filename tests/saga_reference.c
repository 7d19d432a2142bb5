#include "saga_reference.h"
#include "saga_reference_operator.h"

#include <string.h>

/* ------------------------------------------------------------- what is asked */

/* What a row may ask of the state and the record. */
enum {
    FORWARD = 1 << 0,
    BACKWARD = 1 << 1,
    PARKED = 1 << 2,
    WISH = 1 << 3,
    PASSED = 1 << 4,
    MAY_TURN = 1 << 5, /* no pivot, or it certainly had no effect */
    FENCED = 1 << 6,
    CERTAIN_NO = 1 << 7, /* a rejection by this participant is definite */
    AFTER = 1 << 8,      /* the step stands after the pivot */
    UNDO_COMPENSATION = 1 << 9,
    UNDO_BY_STEP = 1 << 10,
    READY = 1 << 11, /* every step that this one waits for is done */
    DEPENDENTS_SETTLED = 1 << 12,
    CONTRADICTED = 1 << 13, /* done and noop, and not forced yet */
    RETRIED = 1 << 14,
    REFUSED = 1 << 15,
    FENCE_SENT = 1 << 16,
    OPEN = 1 << 17,
    DRIVEN = 1 << 18,         /* names the driven command */
    THIS_ATTEMPT = 1 << 19,   /* names its attempt, or is a reply that names none */
    OLDER = 1 << 20,          /* an older revision of the driven command */
    NEXT = 1 << 21,           /* the revision that a command issued now has, attempt 1 */
    USED_UP = 1 << 22,        /* the attempt that ends is the last one */
    NEVER_RAN = 1 << 23,      /* ... and none of them has left */
    FORCED_IN_VAIN = 1 << 24, /* the forced compensation's answer contradicts again */
    ABOUT_FENCE = 1 << 25,    /* the driven command is a fence */
    ABOUT_COMPENSATION = 1 << 26,
    SAID_SETTLED = 1 << 28,   /* an operator has said that the debt is paid, or given up */
    KNOWN_REVISION = 1 << 27, /* not newer than what was issued; actions have but one */
};

/* What a row may do besides changing the phase. */
enum effect {
    ISSUES = 1, /* a new command, with its budget before it */
    CONTINUES,  /* ends the attempt, opens the next one */
    ENDS,       /* ends the last attempt */
    PROGRESSES, /* in progress */
    SETTLES,    /* a definite verdict */
};

#define PHASE(phase) (1u << SAGA_STEP_##phase)
#define PEN          PHASE(PENDING)
#define RUN          PHASE(RUNNING)
#define DON          PHASE(DONE)
#define DIS          PHASE(DISCLAIMED)
#define FEN          PHASE(FENCED)
#define UNK          PHASE(UNKNOWN)
#define NEV          PHASE(NEVER_RAN)
#define FNG          PHASE(FENCING)
#define CLO          PHASE(CLOSING)
#define CPG          PHASE(COMPENSATING)
#define CPD          PHASE(COMPENSATED)
#define DBT          PHASE(DEBT)
#define STG          PHASE(SETTLING)
#define OUT          (RUN | FNG | CLO | CPG | STG) /* a command is outstanding */

/* The facts that end an attempt, and verdicts, as one word each. */
enum word {
    ISSUED = 1,
    ATTEMPT_ENDED, /* unsent, expired, replied retry or unknown */
    ACCEPTED,
    DONE,
    REJECTED,
    FENCED_WORD,
    NOOP,
};

#define ACTION       SAGA_ACTION
#define FENCE        SAGA_FENCE
#define COMPENSATION SAGA_COMPENSATION
#define SETTLE       SAGA_SETTLE

/* ---------------------------------------------------------------- the rows */

/* Every transition of a step there is. The first row that fits is the one. */
static const struct row {
    const char *why;
    uint8_t word;
    uint8_t operation; /* 0: any */
    uint8_t next;      /* phase; 0: the same */
    uint8_t effect;
    uint32_t phases;
    uint32_t when;
    uint32_t unless;
} rows[] = {
    /* clang-format off */
    {"a step starts when those it waits for are done, and nobody wants to go back",
     ISSUED, ACTION, SAGA_STEP_RUNNING, ISSUES, PEN, FORWARD | READY | NEXT, PARKED | WISH},
    {"forward, the fence is asked once, and not after the pivot",
     ISSUED, FENCE, SAGA_STEP_FENCING, ISSUES, RUN | UNK, FORWARD | FENCED | NEXT, PARKED | AFTER | FENCE_SENT},
    {"backward, a fence takes the place of a step that another one compensates, if it may have run",
     ISSUED, FENCE, SAGA_STEP_CLOSING, ISSUES, RUN | DON | DIS | UNK | FNG,
     BACKWARD | UNDO_BY_STEP | DEPENDENTS_SETTLED | NEXT, PARKED},
    {"... again, when an operator wants the debt retried",
     ISSUED, FENCE, SAGA_STEP_CLOSING, ISSUES, DBT,
     BACKWARD | UNDO_BY_STEP | DEPENDENTS_SETTLED | NEXT | RETRIED, PARKED},
    {"backward, what may have run is compensated, its dependents first",
     ISSUED, COMPENSATION, SAGA_STEP_COMPENSATING, ISSUES, RUN | DON | DIS | UNK | FNG,
     BACKWARD | UNDO_COMPENSATION | DEPENDENTS_SETTLED | NEXT, PARKED},
    {"who keeps no fence cannot know that it never happened",
     ISSUED, COMPENSATION, SAGA_STEP_COMPENSATING, ISSUES, FEN,
     BACKWARD | UNDO_COMPENSATION | DEPENDENTS_SETTLED | NEXT, PARKED | FENCED},
    {"done and noop contradict: one forced compensation",
     ISSUED, COMPENSATION, SAGA_STEP_COMPENSATING, ISSUES, CPD,
     BACKWARD | UNDO_COMPENSATION | DEPENDENTS_SETTLED | NEXT | CONTRADICTED, PARKED},
    {"a debt is retried by a new revision",
     ISSUED, COMPENSATION, SAGA_STEP_COMPENSATING, ISSUES, DBT,
     BACKWARD | UNDO_COMPENSATION | DEPENDENTS_SETTLED | NEXT | RETRIED, PARKED},
    {"a debt that an operator settles: the participant's row is closed first",
     ISSUED, SETTLE, SAGA_STEP_SETTLING, ISSUES, DBT, BACKWARD | FENCED | NEXT | SAID_SETTLED, PARKED},

    {"used up, none open, every one unsent: it never ran",
     ATTEMPT_ENDED, 0, SAGA_STEP_NEVER_RAN, ENDS, RUN, OPEN | DRIVEN | THIS_ATTEMPT | USED_UP | NEVER_RAN, 0},
    {"used up, and it may have run",
     ATTEMPT_ENDED, 0, SAGA_STEP_UNKNOWN, ENDS, RUN | FNG, OPEN | DRIVEN | THIS_ATTEMPT | USED_UP, 0},
    {"a used-up compensation, or the fence in its place, is debt",
     ATTEMPT_ENDED, 0, SAGA_STEP_DEBT, ENDS, CLO | CPG, OPEN | DRIVEN | THIS_ATTEMPT | USED_UP, 0},
    {"budget is left: the next attempt, in the same fold",
     ATTEMPT_ENDED, 0, 0, CONTINUES, OUT, OPEN | DRIVEN | THIS_ATTEMPT, 0},
    {"in progress: the result follows",
     ACCEPTED, 0, 0, PROGRESSES, OUT, OPEN | DRIVEN | THIS_ATTEMPT, 0},

    {"the action took effect",
     DONE, ACTION, SAGA_STEP_DONE, SETTLES, RUN | UNK | FNG | NEV | DIS, KNOWN_REVISION, 0},
    {"a no that nobody can doubt",
     REJECTED, ACTION, SAGA_STEP_REJECTED, SETTLES, RUN | UNK | FNG | NEV, KNOWN_REVISION | CERTAIN_NO, 0},
    {"a no that may be the answer to a duplicate",
     REJECTED, ACTION, SAGA_STEP_DISCLAIMED, SETTLES, RUN | UNK | FNG | NEV, KNOWN_REVISION, 0},
    {"the id carries a tombstone (with its own fence outstanding: the fence's answer)",
     FENCED_WORD, ACTION, SAGA_STEP_FENCED, SETTLES, RUN | UNK | FNG | NEV | CLO, KNOWN_REVISION, 0},

    {"the fence's answer is about the action: it took effect",
     DONE, FENCE, SAGA_STEP_DONE, SETTLES, UNK | FNG, KNOWN_REVISION | FENCE_SENT, 0},
    {"... it was rejected",
     REJECTED, FENCE, SAGA_STEP_REJECTED, SETTLES, UNK | FNG | CLO, KNOWN_REVISION | FENCE_SENT, 0},
    {"... it never happened, and never will",
     FENCED_WORD, FENCE, SAGA_STEP_FENCED, SETTLES, UNK | FNG | CLO, KNOWN_REVISION | FENCE_SENT, 0},
    {"in the place of a compensation, done settles it: an earlier step undoes it",
     DONE, FENCE, SAGA_STEP_COMPENSATED, SETTLES, CLO, KNOWN_REVISION | FENCE_SENT, 0},
    {"a debt of silence is settled by the late answer", DONE, FENCE,
     SAGA_STEP_COMPENSATED, SETTLES, DBT, KNOWN_REVISION | FENCE_SENT | ABOUT_FENCE, REFUSED | SAID_SETTLED},
    {"... whatever it is", REJECTED, FENCE,
     SAGA_STEP_REJECTED, SETTLES, DBT, KNOWN_REVISION | FENCE_SENT | ABOUT_FENCE, REFUSED | SAID_SETTLED},
    {"... whatever it is", FENCED_WORD, FENCE,
     SAGA_STEP_FENCED, SETTLES, DBT, KNOWN_REVISION | FENCE_SENT | ABOUT_FENCE, REFUSED | SAID_SETTLED},

    {"compensated, by whichever revision",
     DONE, COMPENSATION, SAGA_STEP_COMPENSATED, SETTLES, CPG, KNOWN_REVISION, 0},
    {"a debt of silence is settled by the late answer",
     DONE, COMPENSATION, SAGA_STEP_COMPENSATED, SETTLES, DBT, KNOWN_REVISION | ABOUT_COMPENSATION,
     REFUSED | SAID_SETTLED},
    {"a rejected compensation is debt",
     REJECTED, COMPENSATION, SAGA_STEP_DEBT, SETTLES, CPG, KNOWN_REVISION, OLDER},
    {"a debt of silence, rejected late, is a debt by a word",
     REJECTED, COMPENSATION, SAGA_STEP_DEBT, SETTLES, DBT, KNOWN_REVISION | ABOUT_COMPENSATION,
     REFUSED | OLDER | SAID_SETTLED},
    {"contradicted again: somebody has to look",
     NOOP, COMPENSATION, SAGA_STEP_DEBT, SETTLES, CPG, KNOWN_REVISION | FORCED_IN_VAIN, OLDER},
    {"... also late",
     NOOP, COMPENSATION, SAGA_STEP_DEBT, SETTLES, DBT,
     KNOWN_REVISION | ABOUT_COMPENSATION | FORCED_IN_VAIN, REFUSED | OLDER | SAID_SETTLED},
    {"nothing to compensate",
     NOOP, COMPENSATION, SAGA_STEP_COMPENSATED, SETTLES, CPG, KNOWN_REVISION, OLDER},
    {"... said late",
     NOOP, COMPENSATION, SAGA_STEP_COMPENSATED, SETTLES, DBT, KNOWN_REVISION | ABOUT_COMPENSATION,
     REFUSED | OLDER | SAID_SETTLED},

    {"the participant has closed its row: now the debt is settled",
     DONE, SETTLE, SAGA_STEP_SETTLED, SETTLES, STG, KNOWN_REVISION, 0},
    /* clang-format on */
};

/* ----------------------------------------------------------- what is the case */

static bool has(const struct saga_step *step, uint32_t flags) {
    return (step->flags & flags) == flags;
}

static uint32_t bit(bool condition, uint32_t bits) {
    return condition ? bits : 0;
}

static uint32_t saga_context(const struct saga *saga, const struct saga_plan *plan) {
    return (saga->direction == SAGA_FORWARD ? FORWARD : BACKWARD) | bit(saga->parked != 0, PARKED) |
           bit(saga->wish != 0, WISH) | bit(saga->pivot_passed != 0, PASSED) |
           bit(saga_reference_may_turn(saga, plan), MAY_TURN);
}

static uint32_t plan_context(const struct saga *saga, const struct saga_plan *plan, uint8_t index) {
    const struct saga_plan_step *planned = &plan->steps[index];
    const struct saga_step *step = &saga->steps[index];
    bool certain =
        planned->fenced || (planned->single_delivery && !has(step, SAGA_STEP_UNRESOLVED));
    return bit(planned->fenced, FENCED) | bit(certain, CERTAIN_NO) |
           bit(planned->position == SAGA_AFTER_PIVOT, AFTER) |
           bit(planned->undo == SAGA_UNDO_COMPENSATION, UNDO_COMPENSATION) |
           bit(planned->undo == SAGA_UNDO_BY_STEP, UNDO_BY_STEP) |
           bit(saga_reference_ready(saga, plan, index), READY) |
           bit(saga_reference_dependents_settled(saga, plan, index), DEPENDENTS_SETTLED);
}

static uint32_t step_context(const struct saga_step *step) {
    return bit(saga_reference_contradicted(step), CONTRADICTED) |
           bit(has(step, SAGA_STEP_RETRIED), RETRIED) | bit(has(step, SAGA_STEP_REFUSED), REFUSED) |
           bit(has(step, SAGA_STEP_FENCE_SENT), FENCE_SENT) | bit(has(step, SAGA_STEP_OPEN), OPEN) |
           bit(has(step, SAGA_STEP_FORCED | SAGA_STEP_SAID_DONE), FORCED_IN_VAIN) |
           bit(saga_reference_said_settled(step), SAID_SETTLED) |
           bit(step->operation == SAGA_FENCE, ABOUT_FENCE) |
           bit(step->operation == SAGA_COMPENSATION, ABOUT_COMPENSATION);
}

static uint32_t command_context(const struct saga_step *step, const struct saga_record *record) {
    bool same = record->operation == step->operation;
    bool known = record->operation == SAGA_ACTION ? record->revision == 1
                                                  : !same || record->revision <= step->revision;
    bool attempt = record->attempt == step->attempt ||
                   (record->attempt == 0 && record->fact == SAGA_REPLY_RECEIVED);
    uint16_t next = (uint16_t)(same ? step->revision + 1 : 1);
    next = record->operation == SAGA_SETTLE ? step->revision : next; /* of what it settles */
    return bit(same && record->revision == step->revision, DRIVEN) | bit(attempt, THIS_ATTEMPT) |
           bit(same && record->revision < step->revision, OLDER) | bit(known, KNOWN_REVISION) |
           bit(record->revision == next && record->attempt == 1, NEXT);
}

/* --------------------------------------------------------------- attempts */

static bool costs(const struct saga_record *record) {
    return record->fact != SAGA_COMMAND_UNSENT;
}

/* The budget of the driven command: a fence's is the step's; in the place of a
 * compensation it is that compensation's. */
static const struct saga_budget *budget_of(const struct saga_plan *plan, uint8_t index,
                                           const struct saga_step *step) {
    const struct saga_plan_step *planned = &plan->steps[index];
    if (step->phase == SAGA_STEP_CLOSING) {
        return &plan->steps[planned->compensated_by].compensation;
    }
    return step->operation == SAGA_COMPENSATION ? &planned->compensation : &planned->action;
}

static uint32_t attempt_context(const struct saga *saga, const struct saga_plan *plan,
                                const struct saga_record *record) {
    const struct saga_plan_step *planned = &plan->steps[record->step];
    const struct saga_step *step = &saga->steps[record->step];
    bool action = step->operation == SAGA_ACTION;
    bool never_ran = action && !costs(record) && !has(step, SAGA_STEP_REACHED);
    uint32_t limit = budget_of(plan, record->step, step)->attempts_max;
    if (action && planned->position == SAGA_AFTER_PIVOT && planned->fenced) {
        limit = 0; /* retried until done */
    }
    bool spent = limit != 0 && step->spent + (costs(record) ? 1u : 0u) >= limit;
    /* Nobody wants this action any more. */
    bool unwanted = action && (saga->direction == SAGA_BACKWARD || (saga->wish != 0 && never_ran));
    bool endless = step->operation == SAGA_SETTLE; /* until answered */
    bool over = record->reason == SAGA_REASON_DEADLINE || spent || unwanted;
    return bit(over && !endless, USED_UP) | bit(never_ran, NEVER_RAN);
}

/* ----------------------------------------------------------------- effects */

void saga_reference_unpark(struct saga *saga) {
    saga->parked = 0;
    saga->parked_step = SAGA_STEP_NONE;
}

/* One attempt more of the same command, with a fresh budget. */
void saga_reference_ask_again(struct saga_step *step) {
    step->phase = step->operation == SAGA_FENCE ? SAGA_STEP_FENCING : SAGA_STEP_RUNNING;
    step->attempt++;
    step->spent = 0;
    step->flags &= ~(uint32_t)(SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED);
    step->flags |= SAGA_STEP_OPEN;
}

static void issue(struct saga *saga, struct saga_step *step, const struct saga_record *record) {
    step->flags &= ~(uint32_t)(SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED | SAGA_STEP_RETRIED |
                               SAGA_STEP_REFUSED);
    step->flags |= SAGA_STEP_OPEN;
    if (record->operation == SAGA_ACTION) {
        step->order = ++saga->started_count;
    } else if (record->operation == SAGA_FENCE) {
        step->flags |= SAGA_STEP_FENCE_SENT;
    } else if (record->operation ==
               SAGA_COMPENSATION) { /* what an earlier revision was told is history */
        step->flags &= ~(uint32_t)(SAGA_STEP_SAID_COMPENSATED | SAGA_STEP_SAID_NOT_COMPENSATED |
                                   SAGA_STEP_SAID_NOOP);
    }
    step->operation = record->operation;
    step->revision = record->revision;
    step->attempt = 1;
    step->spent = 0;
    step->command_lsn = record->lsn;
}

static void end_attempt(struct saga_step *step, const struct saga_record *record) {
    bool no_effect = record->verdict == SAGA_RETRY && record->attempt != 0;
    step->flags &= ~(uint32_t)(SAGA_STEP_OPEN | SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED);
    step->flags |= bit(record->fact != SAGA_REPLY_RECEIVED, SAGA_STEP_UNANSWERED);
    step->spent = (uint8_t)(step->spent + (costs(record) && step->spent < UINT8_MAX ? 1 : 0));
    if (step->operation == SAGA_ACTION && costs(record)) {
        step->flags |= SAGA_STEP_REACHED | bit(!no_effect, SAGA_STEP_UNRESOLVED);
    }
}

static uint32_t said(uint8_t operation, enum word word) {
    bool compensation = operation == SAGA_COMPENSATION;
    if (operation == SAGA_SETTLE) {
        return word == DONE ? SAGA_STEP_SAID_SETTLED : 0;
    }
    switch (word) {
    case DONE:
        return compensation ? SAGA_STEP_SAID_COMPENSATED : SAGA_STEP_SAID_DONE;
    case REJECTED:
        return compensation ? SAGA_STEP_SAID_NOT_COMPENSATED : SAGA_STEP_SAID_REJECTED;
    case FENCED_WORD:
        return compensation ? 0 : SAGA_STEP_SAID_FENCED;
    case NOOP:
        return compensation ? SAGA_STEP_SAID_NOOP : 0;
    case ISSUED:
    case ATTEMPT_ENDED:
    case ACCEPTED:
        break;
    }
    return 0;
}

static void settle(struct saga *saga, const struct saga_plan *plan,
                   const struct saga_record *record, enum word word) {
    struct saga_step *step = &saga->steps[record->step];
    step->flags &= ~(uint32_t)(SAGA_STEP_OPEN | SAGA_STEP_IN_PROGRESS | SAGA_STEP_UNANSWERED |
                               SAGA_STEP_RETRIED);
    step->flags |=
        said(record->operation, word) | bit(step->phase == SAGA_STEP_DEBT, SAGA_STEP_REFUSED);
    bool about_it = saga->parked_step == record->step;
    if (saga->parked == SAGA_REASON_DEBT) {
        about_it = saga->steps[saga->parked_step].phase != SAGA_STEP_DEBT ||
                   !saga_reference_settled(&plan->steps[record->step], step); /* the others go on */
    }
    if (saga->parked != SAGA_REASON_CONTRACT_BROKEN && about_it) {
        saga_reference_unpark(saga); /* a late verdict resumes the saga */
    }
}

static void progress(struct saga_step *step, bool fenced) {
    step->flags |= SAGA_STEP_IN_PROGRESS;
    if (step->operation == SAGA_ACTION) { /* asked again from time to time: sent twice */
        step->flags |= SAGA_STEP_REACHED | bit(!fenced, SAGA_STEP_UNRESOLVED);
    }
}

/* --------------------------------------------------------- facts about a step */

static enum word word_of(const struct saga_record *record) {
    if (record->fact == SAGA_COMMAND_ISSUED) {
        return ISSUED;
    }
    if (record->fact == SAGA_COMMAND_UNSENT || record->fact == SAGA_ATTEMPT_EXPIRED) {
        return ATTEMPT_ENDED;
    }
    static const uint8_t words[SAGA_VERDICT_COUNT + 1] = {
        0, DONE, REJECTED, ACCEPTED, ATTEMPT_ENDED, FENCED_WORD, NOOP, ATTEMPT_ENDED};
    return words[record->verdict];
}

static const char *fold_step(struct saga *saga, const struct saga_plan *plan,
                             const struct saga_record *record) {
    struct saga_step *step = &saga->steps[record->step];
    uint32_t context = saga_context(saga, plan) | plan_context(saga, plan, record->step) |
                       step_context(step) | command_context(step, record) |
                       attempt_context(saga, plan, record);
    enum word word = word_of(record);
    if (record->incarnation != step->incarnation) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        if (row->word != word || (row->operation != 0 && row->operation != record->operation) ||
            (row->phases & (1u << step->phase)) == 0 || (context & row->when) != row->when ||
            (context & row->unless) != 0) {
            continue;
        }
        step->flags |=
            bit(row->effect == ISSUES && saga_reference_contradicted(step), SAGA_STEP_FORCED);
        step->phase = row->next == 0 ? step->phase : row->next;
        switch ((enum effect)row->effect) {
        case ISSUES:
            issue(saga, step, record);
            break;
        case CONTINUES:
            end_attempt(step, record);
            step->attempt++;
            step->flags |= SAGA_STEP_OPEN;
            break;
        case ENDS:
            end_attempt(step, record);
            break;
        case PROGRESSES:
            progress(step, plan->steps[record->step].fenced);
            break;
        case SETTLES:
            settle(saga, plan, record, word);
            break;
        }
        return row->why;
    }
    return NULL;
}

/* -------------------------------------------------------- facts about a saga */

static const char *fold_backward(struct saga *saga, const struct saga_plan *plan,
                                 const struct saga_record *record) {
    uint32_t context = saga_context(saga, plan);
    if ((context & (FORWARD | MAY_TURN)) != (FORWARD | MAY_TURN) ||
        (context & (PASSED | PARKED)) != 0 || record->reason > SAGA_REASON_RESOLVED) {
        return NULL;
    }
    saga->direction = SAGA_BACKWARD;
    saga->reason = record->reason;
    saga->wish = 0;
    return "backward, where the pivot allows it";
}

static const char *fold_pivot(struct saga *saga, const struct saga_plan *plan,
                              const struct saga_record *record) {
    if (record->step != plan->pivot || saga->steps[plan->pivot].phase != SAGA_STEP_DONE ||
        saga->pivot_passed != 0 || saga->direction != SAGA_FORWARD) {
        return NULL;
    }
    saga->pivot_passed = 1;
    saga->wish = 0;
    return "the pivot is done: what was pending is void";
}

static const char *fold_late(struct saga *saga, const struct saga_record *record) {
    struct saga_step *step = &saga->steps[record->step];
    if (step->phase == SAGA_STEP_PENDING || record->incarnation > step->incarnation) {
        return NULL;
    }
    if (record->incarnation == step->incarnation) {
        step->flags |= said(record->operation, word_of(record));
    }
    if (saga->parked == SAGA_REASON_DEBT && saga_reference_contradicted(step)) {
        saga_reference_unpark(saga);
    }
    return "recorded; it decides nothing by itself";
}

static const char *fold_parked(struct saga *saga, const struct saga_record *record) {
    if (saga->parked != 0 || record->reason < SAGA_REASON_DEBT ||
        record->reason > SAGA_REASON_UNRENDERED) {
        return NULL;
    }
    saga->parked = record->reason;
    saga->parked_step = record->step;
    return "parked, with a reason";
}

static const char *fold_ended(struct saga *saga, const struct saga_plan *plan,
                              const struct saga_record *record) {
    if (record->outcome != saga_reference_outcome(saga, plan) || saga->parked != 0) {
        return NULL;
    }
    saga->outcome = record->outcome;
    saga->ended_lsn = record->lsn;
    return "completed: every step done; compensated: every step settled, and no debt";
}

static const char *fold_epoch(struct saga *saga, const struct saga_record *record) {
    if (saga->outcome != 0) {
        return "an ended saga has nothing outstanding";
    }
    saga->epoch = record->epoch;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        struct saga_step *step = &saga->steps[i];
        if (has(step, SAGA_STEP_OPEN)) {
            step->flags &= ~(uint32_t)SAGA_STEP_IN_PROGRESS;
            step->flags |=
                bit(step->operation == SAGA_ACTION, SAGA_STEP_REACHED | SAGA_STEP_UNRESOLVED);
        }
    }
    return "what was open may have arrived; it is sent again as the same attempt";
}

static const char *fold(struct saga *saga, const struct saga_plan *plan,
                        const struct saga_record *record) {
    if (saga->outcome != 0 && record->fact != SAGA_LATE_REPLY_RECEIVED &&
        record->fact != SAGA_EPOCH_STARTED) {
        return NULL;
    }
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
    case SAGA_REPLY_RECEIVED:
        return fold_step(saga, plan, record);
    case SAGA_CANCEL_REQUESTED:
        return saga_reference_cancel(saga, plan, record);
    case SAGA_COMPENSATION_STARTED:
        return fold_backward(saga, plan, record);
    case SAGA_PIVOT_PASSED:
        return fold_pivot(saga, plan, record);
    case SAGA_LATE_REPLY_RECEIVED:
        return fold_late(saga, record);
    case SAGA_PARKED:
        return fold_parked(saga, record);
    case SAGA_OPERATOR_ACTED:
        return saga_reference_operator(saga, plan, record);
    case SAGA_ENDED:
        return fold_ended(saga, plan, record);
    case SAGA_EPOCH_STARTED:
        return fold_epoch(saga, record);
    case SAGA_DEFINITION_LOADED:
    case SAGA_STARTED:
    case SAGA_OUTCOMES_TOLD:
    case SAGA_HISTORY_PURGED:
        break;
    }
    return NULL;
}

void saga_reference_strip_times(struct saga *saga) {
    saga->started_ms = 0;
    saga->deadline_ms = 0;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        saga->steps[i].send_at_ms = 0;
        saga->steps[i].deadline_ms = 0;
    }
}

const char *saga_reference_fold(const struct saga *before, const struct saga_plan *plan,
                                const struct saga_record *record, struct saga *after) {
    memcpy(after, before, saga_size(before->step_count));
    saga_reference_strip_times(after);
    const char *why = fold(after, plan, record);
    if (why != NULL && record->fact != SAGA_EPOCH_STARTED) {
        after->last_lsn = record->lsn;
    }
    return why;
}
