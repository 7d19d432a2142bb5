#include "audit.h"

#include <stdlib.h>
#include <string.h>

#include "docket.h"
#include "statute.h"

#define BIT(stand) SAGA_STAND_BIT(SAGA_STAND_##stand)

struct saga_audit {
    struct saga_docket *docket;
    struct saga_breach breaches[SAGA_RULE_COUNT + 1];
    uint64_t first_lsn; /* 0: nothing was read yet */
    uint64_t next_lsn;
    uint32_t epoch;
    bool holes; /* some records were not read */
};

/* 0: the record breaks no rule. */
typedef enum saga_rule verdict;

struct saga_audit *saga_audit_open(void) {
    struct saga_audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL) {
        return NULL;
    }
    audit->docket = saga_docket_open();
    if (audit->docket == NULL) {
        free(audit);
        return NULL;
    }
    return audit;
}

void saga_audit_close(struct saga_audit *audit) {
    if (audit != NULL) {
        saga_docket_close(audit->docket);
        free(audit);
    }
}

const struct saga_breach *saga_audit_breach(const struct saga_audit *audit, enum saga_rule rule) {
    return &audit->breaches[rule];
}

void saga_audit_miss(struct saga_audit *audit, uint64_t next_lsn) {
    audit->holes = true;
    audit->next_lsn = next_lsn;
    audit->first_lsn = audit->first_lsn == 0 ? next_lsn : audit->first_lsn;
}

static void breach(struct saga_audit *audit, enum saga_rule rule,
                   const struct saga_record *record) {
    struct saga_breach *breach = &audit->breaches[rule];
    if (breach->count++ == 0) {
        breach->lsn = record->lsn;
        breach->fact = record->fact;
        breach->saga = record->saga;
    }
}

/* -------------------------------------------------------------------- steps */

static const struct saga_plan_step *planned_of(const struct saga_case *open, uint8_t step) {
    return &open->definition->plan.steps[step];
}

/* Of what may be, only this; false: it cannot be. */
static bool narrow(struct saga_case_step *step, uint32_t to) {
    step->stands &= to;
    return step->stands != 0;
}

/* How a step may stand about which going back has nothing to do. */
static uint32_t settled_stands(const struct saga_plan_step *planned, bool at_the_end) {
    const uint32_t debts = BIT(OWED) | BIT(SETTLING);
    uint32_t stands = BIT(IDLE) | BIT(NO) | BIT(NEVER) | BIT(UNDONE) | BIT(SETTLED);
    if (planned->undo == SAGA_UNDO_NOTHING) {
        return UINT32_MAX & ~(at_the_end ? debts : 0);
    }
    stands |= planned->fenced ? BIT(SHUT) : 0;
    return stands | (at_the_end ? 0 : debts);
}

/* Those before it are done. */
static bool has_its_turn(struct saga_case *open, uint8_t index) {
    for (uint8_t i = 0; i < index; i++) {
        const bool waits = (planned_of(open, index)->after >> i & 1) != 0;
        if (waits && !narrow(&open->steps[i], BIT(DONE))) {
            return false;
        }
    }
    return true;
}

/* Those that were built on it, be it by way of others, are settled. */
static bool has_its_turn_back(struct saga_case *open, uint8_t index) {
    uint64_t built_on = UINT64_C(1) << index;
    for (uint8_t i = (uint8_t)(index + 1); i < open->definition->plan.step_count; i++) {
        if ((planned_of(open, i)->after & built_on) == 0) {
            continue;
        }
        if (!narrow(&open->steps[i], settled_stands(planned_of(open, i), false))) {
            return false;
        }
        built_on |= UINT64_C(1) << i;
    }
    return true;
}

/* ------------------------------------------------------------------ commands */

/* Whether a command of this kind may be issued now. */
static verdict judge_order(struct saga_case *open, const struct saga_record *record) {
    const struct saga_plan_step *planned = planned_of(open, record->step);
    const struct saga_case_step *step = &open->steps[record->step];
    const bool began = step->revisions[SAGA_ACTION] != 0;
    switch ((enum saga_operation)record->operation) {
    case SAGA_ACTION:
        if (open->backward) {
            return SAGA_RULE_C5;
        }
        return has_its_turn(open, record->step) ? 0 : SAGA_RULE_L4;
    case SAGA_COMPENSATION:
        if (!began) {
            return SAGA_RULE_C2;
        }
        if (!open->backward || planned->undo != SAGA_UNDO_COMPENSATION) {
            return SAGA_RULE_L4;
        }
        return has_its_turn_back(open, record->step) ? 0 : SAGA_RULE_C3;
    case SAGA_FENCE:
        if (!began) {
            return SAGA_RULE_C2;
        }
        if (!open->backward) {
            return planned->fenced && planned->position != SAGA_AFTER_PIVOT ? 0 : SAGA_RULE_L4;
        }
        if (planned->undo != SAGA_UNDO_BY_STEP) {
            return SAGA_RULE_L4;
        }
        return has_its_turn_back(open, record->step) ? 0 : SAGA_RULE_C3;
    case SAGA_SETTLE:
        return open->backward && (step->marked || step->written_off) ? 0 : SAGA_RULE_L4;
    }
    return SAGA_RULE_L4;
}

static verdict judge_issue(struct saga_case *open, const struct saga_record *record) {
    struct saga_case_step *step = &open->steps[record->step];
    const verdict order = judge_order(open, record);
    if (order != 0) {
        return order;
    }
    if (record->attempt != 1) {
        return SAGA_RULE_L4;
    }
    if (record->revision <= step->revisions[record->operation]) {
        return SAGA_RULE_E5;
    }
    step->revisions[record->operation] = record->revision;
    step->driven = record->operation;
    step->attempts = 0;
    return 0;
}

/* Whether the command that the record speaks of was issued; and, of what is about the open attempt,
 * whether it is that one. */
static verdict judge_mention(const struct saga_case *open, const struct saga_record *record,
                             enum saga_tiding tiding) {
    const struct saga_case_step *step = &open->steps[record->step];
    if (record->operation == 0 || record->operation > SAGA_OPERATION_COUNT ||
        record->revision == 0 || record->revision > step->revisions[record->operation]) {
        return SAGA_RULE_E4;
    }
    if (tiding != SAGA_TIDING_NOTHING && tiding != SAGA_TIDING_ACCEPTED) {
        return 0;
    }
    const bool unsaid = record->fact == SAGA_REPLY_RECEIVED && record->attempt == 0;
    const bool right = record->operation == step->driven &&
                       record->revision == step->revisions[step->driven] &&
                       (unsaid || record->attempt == step->attempts + 1);
    return right ? 0 : SAGA_RULE_L4;
}

static void note_attempt(struct saga_case_step *step, const struct saga_record *record,
                         enum saga_tiding tiding) {
    if (tiding == SAGA_TIDING_NOTHING) {
        step->attempts++;
    }
    const bool arrived = (tiding == SAGA_TIDING_NOTHING && record->fact != SAGA_COMMAND_UNSENT) ||
                         tiding == SAGA_TIDING_ACCEPTED;
    if (arrived && record->operation == SAGA_ACTION) {
        step->reached = true;
    }
}

static verdict follow(struct saga_case *open, uint8_t index, enum saga_tiding tiding) {
    struct saga_case_step *step = &open->steps[index];
    const bool sent = step->reached || step->driven != SAGA_ACTION;
    const uint32_t after = saga_statute_follow(tiding, step->stands) &
                           saga_statute_possible(tiding, planned_of(open, index), sent);
    if (after == 0) {
        return SAGA_RULE_L4;
    }
    step->stands = after;
    return 0;
}

static verdict judge_step(struct saga_case *open, const struct saga_record *record) {
    const enum saga_tiding tiding = saga_statute_tiding(record, open->backward);
    verdict found = tiding == 0 ? SAGA_RULE_L4 : 0;
    if (found == 0) {
        found = record->fact == SAGA_COMMAND_ISSUED ? judge_issue(open, record)
                                                    : judge_mention(open, record, tiding);
    }
    if (found != 0) {
        return found;
    }
    if (record->fact != SAGA_COMMAND_ISSUED) {
        note_attempt(&open->steps[record->step], record, tiding);
    }
    return follow(open, record->step, tiding);
}

/* --------------------------------------------------------------- whole sagas */

static verdict judge_turn(struct saga_case *open, const struct saga_record *record) {
    const uint8_t pivot = open->definition->plan.pivot;
    if (open->passed) {
        return SAGA_RULE_C6;
    }
    if (open->backward) {
        return SAGA_RULE_L4;
    }
    if (record->reason == SAGA_REASON_NEVER_RAN && record->step != SAGA_STEP_NONE &&
        open->steps[record->step].reached) {
        return SAGA_RULE_C7;
    }
    if (pivot != SAGA_STEP_NONE) {
        struct saga_case_step *step = &open->steps[pivot];
        uint32_t harmless = BIT(IDLE) | BIT(NO) | BIT(NEVER);
        harmless |= planned_of(open, pivot)->fenced ? BIT(SHUT) : 0;
        harmless |= step->resolved || step->perhaps_resolved ? BIT(UNSURE) : 0;
        if (!narrow(step, harmless)) {
            return SAGA_RULE_C6;
        }
    }
    open->backward = true;
    open->wished = false;
    open->reason = record->reason;
    return 0;
}

static verdict judge_pivot(struct saga_case *open, const struct saga_record *record) {
    const bool right = record->step == open->definition->plan.pivot && !open->passed &&
                       !open->backward && narrow(&open->steps[record->step], BIT(DONE));
    open->passed = true;
    open->wished = false;
    return right ? 0 : SAGA_RULE_L4;
}

static verdict judge_cancel(struct saga_case *open, const struct saga_record *record) {
    const uint8_t pivot = open->definition->plan.pivot;
    (void)record;
    if (open->passed) {
        return SAGA_RULE_C6;
    }
    if (open->backward || open->wished) {
        return SAGA_RULE_L4;
    }
    open->wished = true;
    return pivot == SAGA_STEP_NONE ? 0 : follow(open, pivot, SAGA_TIDING_WISHED);
}

/* A word that only wishes leaves no mark; whether it did can depend on what nobody recorded. */
static void note_resolved(struct saga_case *open, const struct saga_record *record) {
    struct saga_case_step *step = &open->steps[record->step];
    const bool pivot = record->step == open->definition->plan.pivot;
    if (record->verdict == SAGA_DONE || !pivot) {
        step->resolved = true;
    } else {
        step->perhaps_resolved = true;
    }
}

static verdict judge_operator(struct saga_case *open, const struct saga_record *record) {
    const enum saga_tiding tiding = saga_statute_tiding(record, open->backward);
    if (tiding == SAGA_TIDING_RETRIED) {
        for (uint8_t i = 0; i < open->definition->plan.step_count; i++) {
            open->steps[i].stands = saga_statute_follow(tiding, open->steps[i].stands);
        }
        return 0;
    }
    if (tiding == 0 || record->step >= open->definition->plan.step_count ||
        open->backward != (tiding == SAGA_TIDING_SETTLED)) {
        return SAGA_RULE_L4;
    }
    const verdict found = follow(open, record->step, tiding);
    if (tiding != SAGA_TIDING_SETTLED) {
        note_resolved(open, record);
    } else if (record->verb == SAGA_VERB_WRITE_OFF) {
        open->steps[record->step].written_off = true;
    } else {
        open->steps[record->step].marked = true;
    }
    return found;
}

/* ------------------------------------------------------------------------ ends */

static verdict judge_hands(const struct saga_case *open, uint8_t outcome) {
    bool surely = open->backward && open->reason == SAGA_REASON_RESOLVED;
    bool perhaps = surely;
    bool written_off = false;
    for (uint8_t i = 0; i < open->definition->plan.step_count; i++) {
        const struct saga_case_step *step = &open->steps[i];
        surely = surely || step->resolved || step->marked;
        perhaps = perhaps || surely || step->perhaps_resolved;
        written_off = written_off || step->written_off;
    }
    switch ((enum saga_outcome)outcome) {
    case SAGA_COMPLETED:
    case SAGA_COMPENSATED:
        return surely || written_off ? SAGA_RULE_O1 : 0;
    case SAGA_COMPLETED_MANUALLY:
    case SAGA_COMPENSATED_MANUALLY:
        return !perhaps || written_off ? SAGA_RULE_O1 : 0;
    case SAGA_INCONSISTENT:
        return written_off ? 0 : SAGA_RULE_O1;
    }
    return SAGA_RULE_O1;
}

static verdict judge_end(struct saga_case *open, const struct saga_record *record) {
    const bool completed =
        record->outcome == SAGA_COMPLETED || record->outcome == SAGA_COMPLETED_MANUALLY;
    if (completed == open->backward) {
        return completed ? SAGA_RULE_E3 : SAGA_RULE_C1;
    }
    for (uint8_t i = 0; i < open->definition->plan.step_count; i++) {
        struct saga_case_step *step = &open->steps[i];
        const uint32_t debts = BIT(OWED) | BIT(SETTLING);
        if (!completed && (step->stands & ~debts) == 0) {
            return SAGA_RULE_C8;
        }
        if (!narrow(step, completed ? BIT(DONE) : settled_stands(planned_of(open, i), true))) {
            return completed ? SAGA_RULE_E3 : SAGA_RULE_C1;
        }
    }
    return judge_hands(open, record->outcome);
}

/* ------------------------------------------------------------------------- all */

/* An attempt that was out when a daemon died may have arrived. */
static void take_epoch(struct saga_case *open, uint32_t epoch) {
    for (uint8_t i = 0; epoch > open->epoch && i < open->definition->plan.step_count; i++) {
        struct saga_case_step *step = &open->steps[i];
        step->reached = step->reached || (step->stands & BIT(ASKED)) != 0;
    }
    open->epoch = epoch;
}

static verdict judge_late(const struct saga_case *open, const struct saga_record *record) {
    return record->step < open->definition->plan.step_count &&
                   open->steps[record->step].revisions[SAGA_ACTION] != 0
               ? 0
               : SAGA_RULE_E4;
}

static verdict judge_open(struct saga_case *open, const struct saga_record *record) {
    const bool known_step = record->step < open->definition->plan.step_count;
    if (!saga_statute_fields(record)) {
        return SAGA_RULE_F1;
    }
    take_epoch(open, record->epoch);
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
    case SAGA_COMMAND_UNSENT:
    case SAGA_REPLY_RECEIVED:
    case SAGA_ATTEMPT_EXPIRED:
        return known_step ? judge_step(open, record) : SAGA_RULE_L4;
    case SAGA_CANCEL_REQUESTED:
        return judge_cancel(open, record);
    case SAGA_COMPENSATION_STARTED:
        return known_step || record->step == SAGA_STEP_NONE ? judge_turn(open, record)
                                                            : SAGA_RULE_L4;
    case SAGA_PIVOT_PASSED:
        return known_step ? judge_pivot(open, record) : SAGA_RULE_L4;
    case SAGA_LATE_REPLY_RECEIVED:
        return judge_late(open, record);
    case SAGA_PARKED:
        return known_step && record->reason >= SAGA_REASON_DEBT ? 0 : SAGA_RULE_L4;
    case SAGA_OPERATOR_ACTED:
        return judge_operator(open, record);
    case SAGA_ENDED:
        return judge_end(open, record);
    default:
        return SAGA_RULE_L4; /* a second start, a fact of a later version */
    }
}

static enum saga_error begin(struct saga_audit *audit, const struct saga_record *record,
                             struct saga_docket_entry *entry,
                             const struct saga_definition *definition, struct saga_fault *fault) {
    if (saga_docket_by_key(audit->docket, record->key) != NULL) {
        breach(audit, SAGA_RULE_S2, record);
    }
    if (definition == NULL || record->definition_lsn >= record->lsn) {
        breach(audit, SAGA_RULE_S3, record);
        return SAGA_OK;
    }
    if (!saga_docket_begin(audit->docket, entry, definition, record->key)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for an open saga");
    }
    entry->open->epoch = record->epoch;
    for (uint8_t i = 0; i < definition->plan.step_count; i++) {
        entry->open->steps[i].stands = BIT(IDLE);
    }
    return SAGA_OK;
}

/* A saga that was not met before. */
static enum saga_error meet(struct saga_audit *audit, const struct saga_record *record,
                            const struct saga_definition *definition, struct saga_fault *fault) {
    struct saga_docket_entry *entry = saga_docket_add(audit->docket, &record->saga);
    if (entry == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a saga");
    }
    entry->last_lsn = record->lsn;
    if (record->fact == SAGA_STARTED && record->previous_lsn == 0) {
        return begin(audit, record, entry, definition, fault);
    }
    /* Its beginning may be purged, or be among what could not be read. */
    const bool gone = record->previous_lsn != 0 && record->previous_lsn < audit->first_lsn;
    if (!gone && !audit->holes) {
        breach(audit, SAGA_RULE_L3, record);
    }
    return SAGA_OK;
}

static void go_on(struct saga_audit *audit, const struct saga_record *record,
                  struct saga_docket_entry *entry) {
    verdict found = 0;
    bool forgive = false;
    if (record->previous_lsn != entry->last_lsn) {
        found = SAGA_RULE_L3;
        forgive = audit->holes;
    } else if (entry->ended) {
        found = record->fact != SAGA_LATE_REPLY_RECEIVED ? SAGA_RULE_L5
                : saga_statute_fields(record)            ? 0
                                                         : SAGA_RULE_F1;
    } else if (entry->open != NULL) {
        found = judge_open(entry->open, record);
    }
    entry->last_lsn = record->lsn;
    if (found != 0 && !forgive) {
        breach(audit, found, record);
    }
    entry->ended = entry->ended || (record->fact == SAGA_ENDED && entry->open != NULL);
    if (found != 0 || record->fact == SAGA_ENDED) {
        saga_docket_end(audit->docket, entry);
    }
}

static void judge_log(struct saga_audit *audit, const struct saga_record *record) {
    const bool rises = record->epoch > audit->epoch;
    if (audit->first_lsn == 0) {
        audit->first_lsn = record->lsn;
    } else if (record->lsn != audit->next_lsn) {
        breach(audit, SAGA_RULE_L2, record);
    }
    const bool first = record->lsn == audit->first_lsn || audit->holes;
    if (record->epoch < audit->epoch || (rises && !first && record->fact != SAGA_EPOCH_STARTED)) {
        breach(audit, SAGA_RULE_L6, record);
    }
    audit->epoch = rises ? record->epoch : audit->epoch;
    audit->next_lsn = record->lsn + 1;
}

enum saga_error saga_audit_note(struct saga_audit *audit, const struct saga_record *record,
                                const struct saga_definition *definition,
                                struct saga_fault *fault) {
    judge_log(audit, record);
    static const struct saga_id none;
    if (saga_fact_is_of_log(record->fact)) {
        if (memcmp(&record->saga, &none, sizeof none) != 0) {
            breach(audit, SAGA_RULE_F1, record);
        }
        return SAGA_OK;
    }
    struct saga_docket_entry *entry = saga_docket_find(audit->docket, &record->saga);
    if (entry == NULL) {
        return meet(audit, record, definition, fault);
    }
    go_on(audit, record, entry);
    return SAGA_OK;
}
