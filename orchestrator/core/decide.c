#include "fold.h"

#include <string.h>

/* The core may not print, so an impossible state simply ends the process; the
 * log survives it, and recovery begins from there. */
_Noreturn void abort(void);

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

/* ------------------------------------------------------- what follows by itself */

enum next_kind { NEXT_NOTHING, NEXT_RECORD, NEXT_RENDER };

/* The next thing that follows from a state. At most one at a time: after it,
 * one looks again. */
struct next {
    enum next_kind kind;
    uint8_t fact;
    uint8_t step;
    uint8_t operation; /* RENDER */
    uint8_t reason;
    uint8_t outcome;
};

static const struct next nothing = {.kind = NEXT_NOTHING};

static struct next render(uint8_t step, enum saga_operation operation) {
    return (struct next){.kind = NEXT_RENDER, .step = step, .operation = (uint8_t)operation};
}

static struct next park(uint8_t step, enum saga_reason reason) {
    return (struct next){
        .kind = NEXT_RECORD, .fact = SAGA_PARKED, .step = step, .reason = (uint8_t)reason};
}

static struct next turn_back(uint8_t step, enum saga_reason reason) {
    return (struct next){.kind = NEXT_RECORD,
                         .fact = SAGA_COMPENSATION_STARTED,
                         .step = step,
                         .reason = (uint8_t)reason};
}

static struct next end(uint8_t outcome) {
    return (struct next){
        .kind = NEXT_RECORD, .fact = SAGA_ENDED, .step = SAGA_STEP_NONE, .outcome = outcome};
}

static bool fence_sent(const struct saga_step *step) {
    return (step->flags & SAGA_STEP_FENCE_SENT) != 0;
}

/* An outcome that stayed unknown. Before the pivot fence and compensation are
 * equally safe; at the pivot only the fence is. */
static struct next resolve_unknown(const struct saga *saga, const struct saga_plan *plan,
                                   uint8_t index) {
    const struct saga_plan_step *planned = &plan->steps[index];
    const struct saga_step *step = &saga->steps[index];
    bool may_fence = planned->fenced && planned->position != SAGA_AFTER_PIVOT && !fence_sent(step);
    /* The pivot cannot be compensated, so only its fence helps; and a wish to go back asks it
     * even where the definition would rather park. */
    bool asks =
        planned->on_unknown == SAGA_ON_UNKNOWN_FENCE || saga->wish != 0 ||
        (planned->position == SAGA_PIVOT && planned->on_unknown == SAGA_ON_UNKNOWN_COMPENSATE);
    if (may_fence && asks) {
        return render(index, SAGA_FENCE);
    }
    if (planned->position != SAGA_BEFORE_PIVOT || planned->on_unknown == SAGA_ON_UNKNOWN_PARK) {
        return park(index, SAGA_REASON_IN_DOUBT);
    }
    return turn_back(index, SAGA_REASON_UNRESOLVED);
}

/* What a step's state demands while the saga goes forward. */
static struct next forward_step(const struct saga *saga, const struct saga_plan *plan,
                                uint8_t index) {
    const struct saga_plan_step *planned = &plan->steps[index];
    const struct saga_step *step = &saga->steps[index];
    bool after = planned->position == SAGA_AFTER_PIVOT;
    bool resolved = (step->flags & SAGA_STEP_RESOLVED) != 0;
    switch ((enum saga_phase)step->phase) {
    case SAGA_STEP_REJECTED:
        return after ? park(index, SAGA_REASON_CONTRACT_BROKEN)
                     : turn_back(index, SAGA_REASON_REJECTED);
    case SAGA_STEP_DISCLAIMED:
        if (after) {
            return park(index, SAGA_REASON_CONTRACT_BROKEN);
        }
        if (resolved) {
            return turn_back(index, SAGA_REASON_RESOLVED);
        }
        return planned->position == SAGA_PIVOT ? park(index, SAGA_REASON_REJECTION_IN_DOUBT)
                                               : turn_back(index, SAGA_REASON_REJECTED);
    case SAGA_STEP_FENCED: /* expected only as the answer of our own fence */
        return after || !fence_sent(step) ? park(index, SAGA_REASON_CONTRACT_BROKEN)
                                          : turn_back(index, SAGA_REASON_FENCED);
    case SAGA_STEP_NEVER_RAN:
        return turn_back(index, SAGA_REASON_NEVER_RAN);
    case SAGA_STEP_UNKNOWN:
        return resolve_unknown(saga, plan, index);
    case SAGA_STEP_DONE:
        if (planned->position == SAGA_PIVOT && !saga->pivot_passed) {
            return (struct next){.kind = NEXT_RECORD, .fact = SAGA_PIVOT_PASSED, .step = index};
        }
        return nothing;
    case SAGA_STEP_PENDING:
        return saga_step_ready(saga, plan, index) ? render(index, SAGA_ACTION) : nothing;
    case SAGA_STEP_RUNNING:
    case SAGA_STEP_FENCING:
    case SAGA_STEP_CLOSING:
    case SAGA_STEP_COMPENSATING:
    case SAGA_STEP_COMPENSATED:
    case SAGA_STEP_DEBT:
    case SAGA_STEP_SETTLING:
    case SAGA_STEP_SETTLED:
        break;
    }
    return nothing;
}

/* A wish to go back, while the pivot does not forbid it yet. */
static struct next pursue_wish(const struct saga *saga, const struct saga_plan *plan) {
    if (saga_may_turn_back(saga, plan)) {
        return turn_back(SAGA_STEP_NONE, (enum saga_reason)saga->wish);
    }
    const struct saga_step *pivot = &saga->steps[plan->pivot];
    if (pivot->phase == SAGA_STEP_RUNNING) {
        return plan->steps[plan->pivot].fenced ? render(plan->pivot, SAGA_FENCE) : nothing;
    }
    return forward_step(saga, plan, plan->pivot);
}

static struct next forward(const struct saga *saga, const struct saga_plan *plan) {
    if (saga->wish != 0) {
        return pursue_wish(saga, plan);
    }
    bool all_done = true;
    struct next start = nothing;
    /* Trouble anywhere comes before new work elsewhere. */
    for (uint8_t i = 0; i < saga->step_count; i++) {
        struct next next = forward_step(saga, plan, i);
        if (next.kind == NEXT_RENDER && next.operation == SAGA_ACTION) {
            start = start.kind == NEXT_NOTHING ? next : start;
        } else if (next.kind != NEXT_NOTHING) {
            return next;
        }
        all_done = all_done && saga->steps[i].phase == SAGA_STEP_DONE;
    }
    return all_done ? end(saga_outcome_due(saga, plan)) : start;
}

static struct next backward(const struct saga *saga, const struct saga_plan *plan) {
    bool settled = true;
    uint8_t debt = SAGA_STEP_NONE;
    for (uint8_t i = saga->step_count; i-- > 0;) {
        const struct saga_step *step = &saga->steps[i];
        if (step->phase == SAGA_STEP_DEBT && saga_step_by_operator(step)) {
            return render(i, SAGA_SETTLE);
        }
        if (step->phase == SAGA_STEP_SETTLING) { /* nobody waits for it but the end */
            settled = false;
            continue;
        }
        if (saga_step_settled(&plan->steps[i], step)) {
            debt = step->phase == SAGA_STEP_DEBT ? i : debt;
            continue;
        }
        settled = false;
        if (step->phase != SAGA_STEP_COMPENSATING && step->phase != SAGA_STEP_CLOSING &&
            saga_step_dependents_settled(saga, plan, i)) {
            return render(i, plan->steps[i].undo == SAGA_UNDO_BY_STEP ? SAGA_FENCE
                                                                      : SAGA_COMPENSATION);
        }
    }
    if (!settled) {
        return nothing;
    }
    if (debt != SAGA_STEP_NONE) {
        return park(debt, SAGA_REASON_DEBT);
    }
    /* It was taken for unsent, and says that it took effect: nothing can undo that. */
    if (plan->pivot != SAGA_STEP_NONE && saga->steps[plan->pivot].phase == SAGA_STEP_DONE) {
        return park(plan->pivot, SAGA_REASON_CONTRACT_BROKEN);
    }
    return end(saga_outcome_due(saga, plan));
}

static struct next next_of(const struct saga *saga, const struct saga_plan *plan) {
    if (saga->outcome != 0 || saga->parked != 0) {
        return nothing;
    }
    return saga->direction == SAGA_FORWARD ? forward(saga, plan) : backward(saga, plan);
}

bool saga_settled(const struct saga *saga, const struct saga_plan *plan) {
    return next_of(saga, plan).kind == NEXT_NOTHING;
}

/* ---------------------------------------------------------------- deciding */

/* One decision being made. */
struct draft {
    struct saga *saga;
    const struct saga_plan *plan;
    const struct saga_event *event;
    struct saga_decision *decision;
    uint64_t next_lsn;
};

/* The next record of the decision, with what every record has. */
static struct saga_record *write(struct draft *draft, enum saga_fact fact, uint8_t step) {
    require(draft->decision->record_count < SAGA_DECISION_MAX);
    struct saga_record *record = &draft->decision->records[draft->decision->record_count];
    memset(record, 0, sizeof *record);
    record->lsn = draft->next_lsn;
    record->previous_lsn = draft->saga->last_lsn;
    record->saga = draft->saga->id;
    record->at_ms = draft->event->at_ms;
    record->wall_ms = draft->event->wall_ms;
    record->epoch = draft->event->epoch;
    record->fact = (uint8_t)fact;
    record->step = step;
    return record;
}

/* Folds the record in. False: it has no place here, and the draft is as before. */
static bool apply(struct draft *draft, const struct saga_record *record) {
    if (saga_apply(draft->saga, draft->plan, record) != SAGA_APPLIED) {
        return false;
    }
    draft->decision->record_count++;
    draft->next_lsn++;
    return true;
}

static void follow(struct draft *draft) {
    for (;;) {
        struct next next = next_of(draft->saga, draft->plan);
        if (next.kind == NEXT_NOTHING) {
            return;
        }
        if (next.kind == NEXT_RENDER) {
            draft->decision->render_step = next.step;
            draft->decision->render_operation = next.operation;
            return;
        }
        struct saga_record *record = write(draft, (enum saga_fact)next.fact, next.step);
        record->reason = next.reason;
        record->outcome = next.outcome;
        require(apply(draft, record));
    }
}

/* The end of an attempt at or after its command's deadline is the last one. */
static uint8_t deadline_reason(const struct draft *draft, uint8_t index) {
    return draft->event->at_ms >= draft->saga->steps[index].deadline_ms ? SAGA_REASON_DEADLINE : 0;
}

/* The end of the driven command's open attempt, by other means than a reply. */
static struct saga_record *write_attempt_end(struct draft *draft, enum saga_fact fact,
                                             uint8_t index) {
    const struct saga_step *step = &draft->saga->steps[index];
    struct saga_record *record = write(draft, fact, index);
    record->operation = step->operation;
    record->incarnation = step->incarnation;
    record->revision = step->revision;
    record->attempt = step->attempt;
    record->reason = deadline_reason(draft, index);
    return record;
}

/* True if the driven command has an open attempt that still counts. */
static bool attempt_counts(const struct saga *saga, uint8_t index) {
    const struct saga_step *step = &saga->steps[index];
    return saga->outcome == 0 && (step->flags & SAGA_STEP_OPEN) != 0;
}

static struct saga_record *write_reply(struct draft *draft, enum saga_fact fact, uint8_t verdict) {
    const struct saga_event *event = draft->event;
    struct saga_record *record = write(draft, fact, event->step);
    record->operation = event->operation;
    record->incarnation = event->incarnation;
    record->revision = event->revision;
    record->attempt = event->attempt;
    record->verdict = verdict;
    record->payload = event->payload;
    return record;
}

/* A verdict that decides nothing: recorded once, then only counted. */
static enum saga_answer late_reply(struct draft *draft, uint8_t verdict) {
    const struct saga_event *event = draft->event;
    const struct saga_step *step = &draft->saga->steps[event->step];
    uint32_t flag = saga_verdict_flag(event->operation, verdict);
    bool same_command =
        event->incarnation == step->incarnation &&
        (event->operation != SAGA_COMPENSATION || event->revision == step->revision);
    if (same_command && (step->flags & flag) != 0) {
        return SAGA_ANSWER_ALREADY;
    }
    if (!same_command) { /* of an older revision or incarnation: nothing remembers it */
        return SAGA_ANSWER_STALE;
    }
    require(apply(draft, write_reply(draft, SAGA_LATE_REPLY_RECEIVED, verdict)));
    return SAGA_ANSWER_LATE;
}

/* accepted, retry, unknown: words about the open attempt, or about nothing. */
static enum saga_answer passing_reply(struct draft *draft, uint8_t verdict) {
    const struct saga_event *event = draft->event;
    const struct saga_step *step = &draft->saga->steps[event->step];
    bool about_driven = attempt_counts(draft->saga, event->step) &&
                        event->operation == step->operation && event->revision == step->revision &&
                        event->incarnation == step->incarnation &&
                        (event->attempt == 0 || event->attempt == step->attempt);
    /* What has not been sent cannot have been answered: a word about an earlier attempt. */
    if (!about_driven || event->unsent) {
        return SAGA_ANSWER_STALE;
    }
    if (verdict == SAGA_ACCEPTED && (step->flags & SAGA_STEP_IN_PROGRESS) != 0) {
        return SAGA_ANSWER_ALREADY;
    }
    struct saga_record *record = write_reply(draft, SAGA_REPLY_RECEIVED, verdict);
    record->reason = verdict == SAGA_ACCEPTED ? 0 : deadline_reason(draft, event->step);
    return apply(draft, record) ? SAGA_ANSWER_TAKEN : SAGA_ANSWER_STALE;
}

/* True if a command of this identity was ever issued. */
static bool was_issued(const struct saga *saga, const struct saga_plan *plan,
                       const struct saga_event *event) {
    if (event->step >= saga->step_count) {
        return false;
    }
    const struct saga_step *step = &saga->steps[event->step];
    if (step->phase == SAGA_STEP_PENDING || event->incarnation != step->incarnation ||
        event->revision == 0) {
        return false;
    }
    /* What a settle settles is what was issued before it, with the same revision. */
    uint8_t latest = step->operation;
    if (latest == SAGA_SETTLE) {
        latest =
            plan->steps[event->step].undo == SAGA_UNDO_BY_STEP ? SAGA_FENCE : SAGA_COMPENSATION;
    }
    switch (event->operation) {
    case SAGA_ACTION:
        return event->revision == 1;
    case SAGA_FENCE:
        return fence_sent(step) && event->revision <= (latest == SAGA_FENCE ? step->revision : 1);
    case SAGA_COMPENSATION:
        return latest == SAGA_COMPENSATION && event->revision <= step->revision;
    case SAGA_SETTLE:
        return step->operation == SAGA_SETTLE && event->revision == step->revision;
    default:
        return false;
    }
}

static enum saga_answer reply(struct draft *draft) {
    const struct saga_event *event = draft->event;
    if (!was_issued(draft->saga, draft->plan, event)) {
        return SAGA_ANSWER_STALE;
    }
    uint8_t verdict = event->verdict;
    if (verdict < 1 || verdict > SAGA_VERDICT_COUNT) {
        return SAGA_ANSWER_STALE;
    }
    if (saga_verdict_move(event->operation, verdict) == 0) { /* not definite on such a command */
        bool passing = verdict == SAGA_ACCEPTED || verdict == SAGA_RETRY;
        return passing_reply(draft, passing ? verdict : SAGA_UNKNOWN);
    }
    if (draft->saga->outcome == 0 &&
        apply(draft, write_reply(draft, SAGA_REPLY_RECEIVED, verdict))) {
        return SAGA_ANSWER_TAKEN;
    }
    return late_reply(draft, verdict);
}

static enum saga_answer unsent(struct draft *draft) {
    const struct saga_event *event = draft->event;
    if (event->step >= draft->saga->step_count || !attempt_counts(draft->saga, event->step)) {
        return SAGA_ANSWER_STALE;
    }
    const struct saga_step *step = &draft->saga->steps[event->step];
    if (event->operation != step->operation || event->revision != step->revision ||
        event->incarnation != step->incarnation || event->attempt != step->attempt ||
        (step->flags & SAGA_STEP_IN_PROGRESS) != 0) { /* it did arrive once */
        return SAGA_ANSWER_STALE;
    }
    return apply(draft, write_attempt_end(draft, SAGA_COMMAND_UNSENT, event->step))
               ? SAGA_ANSWER_TAKEN
               : SAGA_ANSWER_STALE;
}

static enum saga_answer timeout(struct draft *draft) {
    const struct saga_event *event = draft->event;
    if (event->step >= draft->saga->step_count || !attempt_counts(draft->saga, event->step)) {
        return SAGA_ANSWER_STALE;
    }
    /* An attempt that waited for its turn until the deadline was never sent, and says so:
     * otherwise a step that never ran would have to be resolved. */
    enum saga_fact fact = event->unsent ? SAGA_COMMAND_UNSENT : SAGA_ATTEMPT_EXPIRED;
    return apply(draft, write_attempt_end(draft, fact, event->step)) ? SAGA_ANSWER_TAKEN
                                                                     : SAGA_ANSWER_STALE;
}

static enum saga_answer rendered(struct draft *draft) {
    const struct saga_event *event = draft->event;
    struct next next = next_of(draft->saga, draft->plan);
    if (next.kind != NEXT_RENDER || next.step != event->step ||
        next.operation != event->operation) {
        return SAGA_ANSWER_STALE;
    }
    if (event->failed) {
        struct saga_record *record = write(draft, SAGA_PARKED, event->step);
        record->reason = SAGA_REASON_UNRENDERED;
        require(apply(draft, record));
        return SAGA_ANSWER_TAKEN;
    }
    const struct saga_step *step = &draft->saga->steps[event->step];
    struct saga_record *record = write(draft, SAGA_COMMAND_ISSUED, event->step);
    record->operation = event->operation;
    record->incarnation = step->incarnation;
    record->revision = saga_step_next_revision(step, event->operation);
    record->attempt = 1;
    record->payload = event->payload;
    require(apply(draft, record));
    return SAGA_ANSWER_TAKEN;
}

/* The step whose open action is known not to have left, if the event says so. */
static void close_unsent(struct draft *draft) {
    const struct saga_event *event = draft->event;
    if (!event->unsent || event->step >= draft->saga->step_count) {
        return;
    }
    const struct saga_step *step = &draft->saga->steps[event->step];
    if (step->phase == SAGA_STEP_RUNNING && attempt_counts(draft->saga, event->step) &&
        (step->flags & SAGA_STEP_REACHED) == 0) {
        require(apply(draft, write_attempt_end(draft, SAGA_COMMAND_UNSENT, event->step)));
    }
}

static enum saga_answer go_back(struct draft *draft, enum saga_reason reason) {
    struct saga *saga = draft->saga;
    if (saga->outcome != 0 || saga->pivot_passed) {
        return SAGA_ANSWER_REFUSED;
    }
    if (saga->direction == SAGA_BACKWARD) {
        return SAGA_ANSWER_ALREADY;
    }
    if (saga->wish != 0) {
        return SAGA_ANSWER_PENDING;
    }
    struct saga_record *record = write(draft, SAGA_CANCEL_REQUESTED, SAGA_STEP_NONE);
    record->reason = (uint8_t)reason;
    record->key = draft->event->key;
    record->payload = draft->event->payload;
    require(apply(draft, record));
    close_unsent(draft);
    return saga_may_turn_back(saga, draft->plan) ? SAGA_ANSWER_TAKEN : SAGA_ANSWER_PENDING;
}

/* What an operator does, as a record. */
static struct saga_record *write_deed(struct draft *draft, enum saga_verb verb) {
    const struct saga_event *event = draft->event;
    bool about_step = verb != SAGA_VERB_RETRY;
    struct saga_record *record =
        write(draft, SAGA_OPERATOR_ACTED, about_step ? event->step : SAGA_STEP_NONE);
    record->verb = (uint8_t)verb;
    record->key = event->key;
    record->payload = event->payload;
    return record;
}

static enum saga_answer retry(struct draft *draft) {
    if (draft->saga->outcome != 0) {
        return SAGA_ANSWER_REFUSED;
    }
    return apply(draft, write_deed(draft, SAGA_VERB_RETRY)) ? SAGA_ANSWER_TAKEN
                                                            : SAGA_ANSWER_REFUSED;
}

static enum saga_answer resolve(struct draft *draft) {
    struct saga *saga = draft->saga;
    if (saga->outcome != 0 || draft->event->step >= saga->step_count) {
        return SAGA_ANSWER_REFUSED;
    }
    bool wished = saga->wish == SAGA_REASON_RESOLVED;
    struct saga_record *record = write_deed(draft, SAGA_VERB_RESOLVE);
    record->verdict = draft->event->verdict;
    record->content = draft->event->content;
    if (!apply(draft, record)) {
        bool again = wished && draft->event->verdict == SAGA_REJECTED &&
                     draft->event->step == draft->plan->pivot;
        return again ? SAGA_ANSWER_PENDING : SAGA_ANSWER_REFUSED;
    }
    close_unsent(draft);
    bool pending = saga->wish == SAGA_REASON_RESOLVED && !saga_may_turn_back(saga, draft->plan);
    return pending ? SAGA_ANSWER_PENDING : SAGA_ANSWER_TAKEN;
}

/* mark-compensated and write-off. */
static enum saga_answer settle(struct draft *draft, enum saga_verb verb) {
    const struct saga *saga = draft->saga;
    if (saga->outcome != 0 || draft->event->step >= saga->step_count) {
        return SAGA_ANSWER_REFUSED;
    }
    uint32_t flag = verb == SAGA_VERB_WRITE_OFF ? SAGA_STEP_WRITTEN_OFF : SAGA_STEP_MARKED;
    if ((saga->steps[draft->event->step].flags & flag) != 0) {
        return SAGA_ANSWER_ALREADY;
    }
    return apply(draft, write_deed(draft, verb)) ? SAGA_ANSWER_TAKEN : SAGA_ANSWER_REFUSED;
}

static enum saga_answer react(struct draft *draft) {
    switch ((enum saga_input_type)draft->event->type) {
    case SAGA_INPUT_REPLY:
        return reply(draft);
    case SAGA_INPUT_UNSENT:
        return unsent(draft);
    case SAGA_INPUT_TIMEOUT:
        return timeout(draft);
    case SAGA_INPUT_RENDERED:
        return rendered(draft);
    case SAGA_INPUT_CANCEL:
        return go_back(draft, SAGA_REASON_CANCELLED);
    case SAGA_INPUT_RETRY:
        return retry(draft);
    case SAGA_INPUT_SAGA_DEADLINE:
        return go_back(draft, SAGA_REASON_SAGA_DEADLINE);
    case SAGA_INPUT_RESOLVE:
        return resolve(draft);
    case SAGA_INPUT_MARK_COMPENSATED:
        return settle(draft, SAGA_VERB_MARK_COMPENSATED);
    case SAGA_INPUT_WRITE_OFF:
        return settle(draft, SAGA_VERB_WRITE_OFF);
    }
    return SAGA_ANSWER_STALE;
}

static struct draft begin(struct saga *saga, const struct saga_plan *plan,
                          const struct saga_event *event, uint64_t next_lsn,
                          struct saga_decision *decision) {
    decision->answer = SAGA_ANSWER_TAKEN;
    decision->record_count = 0;
    decision->render_step = SAGA_STEP_NONE;
    decision->render_operation = 0;
    return (struct draft){
        .saga = saga, .plan = plan, .event = event, .decision = decision, .next_lsn = next_lsn};
}

void saga_decide(struct saga *saga, const struct saga_plan *plan, const struct saga_event *event,
                 uint64_t next_lsn, struct saga_decision *decision) {
    struct draft draft = begin(saga, plan, event, next_lsn, decision);
    decision->answer = react(&draft);
    if (decision->record_count > 0) {
        follow(&draft);
    }
}

void saga_follow(struct saga *saga, const struct saga_plan *plan, const struct saga_event *event,
                 uint64_t next_lsn, struct saga_decision *decision) {
    struct draft draft = begin(saga, plan, event, next_lsn, decision);
    follow(&draft);
}

/* -------------------------------------------------------------------- todo */

size_t saga_todo(const struct saga *saga, const struct saga_plan *plan,
                 struct saga_outstanding *outstanding) {
    size_t count = 0;
    if (saga->outcome != 0 || saga->parked != 0) {
        return 0;
    }
    for (uint8_t i = 0; i < saga->step_count; i++) {
        const struct saga_step *step = &saga->steps[i];
        bool forward_op = step->operation == SAGA_ACTION || step->phase == SAGA_STEP_FENCING;
        if ((step->flags & SAGA_STEP_OPEN) == 0 ||
            forward_op != (saga->direction == SAGA_FORWARD)) {
            continue;
        }
        const struct saga_budget *budget = saga_step_budget(plan, i, step);
        outstanding[count++] = (struct saga_outstanding){
            .id = {.saga = saga->id,
                   .step = i,
                   .operation = step->operation,
                   .incarnation = step->incarnation,
                   .revision = step->revision},
            .attempt = step->attempt,
            .in_progress = (step->flags & SAGA_STEP_IN_PROGRESS) != 0,
            .unanswered = (step->flags & SAGA_STEP_UNANSWERED) != 0,
            .send_at_ms = step->send_at_ms,
            .timeout_ms = budget->timeout_ms,
            .deadline_ms = step->deadline_ms,
            .poll_ms = budget->max_ms,
            .command_lsn = step->command_lsn,
            .participant = plan->steps[i].participant,
        };
    }
    return count;
}

bool saga_deadline_counts(const struct saga *saga, const struct saga_plan *plan) {
    return plan->deadline_ms != 0 && saga->outcome == 0 && saga->direction == SAGA_FORWARD &&
           !saga->pivot_passed && saga->wish == 0;
}
