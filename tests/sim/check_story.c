/* One saga's records, one after the other, by the checker's own rules. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check_state.h"
#include "disk.h"
#include "ids.h"
#include "marks.h"
#include "swarm.h"

/* What a record is about. */
struct scene {
    struct check_saga *saga;
    const struct saga_record *record;
    struct check_step *step; /* NULL: about the whole saga */
    const struct sim_step *plan;
};

_Noreturn static void fail(const char *name, const struct scene *scene, const char *why) {
    sim_violation(name, "%s, record %" PRIu64 " %s (step now %s): %s",
                  check_text(scene->saga, scene->record->step), scene->record->lsn,
                  saga_fact_name(scene->record->fact),
                  scene->step == NULL ? "-" : sim_state_names[scene->step->state], why);
}

static void demand(bool condition, const char *name, const struct scene *scene, const char *why) {
    if (!condition) {
        fail(name, scene, why);
    }
}

static const struct sim_patience *patience_of(const struct check_saga *saga, uint8_t index) {
    const struct check_step *step = &saga->steps[index];
    const struct sim_step *plan = &saga->shape->steps[index];
    if (step->op == SAGA_COMPENSATION) {
        return &plan->compensation;
    }
    return step->state == SIM_CLOSING ? &saga->shape->steps[plan->undone_by].compensation
                                      : &plan->action;
}

/* A move that the rules have; gives where it leads. */
static enum sim_state move(const struct scene *scene, enum sim_move which) {
    enum sim_state next = sim_rule(which, scene->step->state);
    if (next == 0) {
        sim_violation("L4", "%s, record %" PRIu64 ": '%s' where the step is '%s'",
                      check_text(scene->saga, scene->record->step), scene->record->lsn,
                      sim_move_names[which], sim_state_names[scene->step->state]);
    }
    sim_mark_move(which, scene->step->state);
    return next;
}

/* ------------------------------------------------------------- the whole saga */

static bool contradicts(const struct check_step *step) {
    return step->state == SIM_UNDONE && (step->said & SAID_DONE) != 0 &&
           (step->said & SAID_UNDO(SAGA_NOOP)) != 0 && !step->forced;
}

bool check_settled(const struct check_saga *saga, uint8_t index) {
    const struct check_step *step = &saga->steps[index];
    const struct sim_step *plan = &saga->shape->steps[index];
    switch (step->state) {
    case SIM_IDLE:
    case SIM_REFUSED:
    case SIM_NEVER_RAN:
        return true;
    case SIM_BARRED:
        return sim_parties[plan->party].fenced || plan->undo == SIM_UNDO_NONE;
    case SIM_UNDONE:
        return !contradicts(step);
    case SIM_OWED:
        return !step->retried;
    case SIM_CLOSING:
    case SIM_UNDOING:
        return false;
    case SIM_RUNNING:
    case SIM_DID:
    case SIM_DISBELIEVED:
    case SIM_DOUBTFUL:
    case SIM_ASKING:
        break;
    }
    return plan->undo == SIM_UNDO_NONE;
}

/* The pivot certainly had no effect, or there is none. */
bool check_may_turn_back(const struct check_saga *saga) {
    if (saga->shape->pivot == 0xff) {
        return true;
    }
    enum sim_state pivot = saga->steps[saga->shape->pivot].state;
    return pivot == SIM_IDLE || pivot == SIM_REFUSED || pivot == SIM_NEVER_RAN ||
           (pivot == SIM_BARRED &&
            sim_parties[saga->shape->steps[saga->shape->pivot].party].fenced);
}

static void unpark(struct check_saga *saga) {
    saga->parked = 0;
    saga->parked_step = SAGA_STEP_NONE;
}

/* ------------------------------------------------------------------ attempts */

static void fresh_attempt(struct scene *scene, uint32_t attempt) {
    struct check_step *step = scene->step;
    const struct sim_patience *patience = patience_of(scene->saga, scene->record->step);
    step->attempt = attempt;
    step->spent = 0;
    step->open = true;
    step->in_progress = false;
    step->wired = false;
    step->sent_ms = -1;
    step->ended_ms = -1;
    bool alerts = step->op == SAGA_ACTION && scene->plan->place == SIM_BEHIND;
    step->deadline_ms = patience->deadline_ms == 0 || alerts
                            ? INT64_MAX
                            : scene->record->at_ms + patience->deadline_ms;
}

/* The step's attempt begins anew, though the record is not about the step. */
static void reopen(const struct scene *about, uint8_t index, enum sim_state state) {
    struct saga_record record = *about->record;
    struct scene scene = {
        .saga = about->saga,
        .record = &record,
        .step = &about->saga->steps[index],
        .plan = &about->saga->shape->steps[index],
    };
    record.step = index;
    scene.step->state = state;
    fresh_attempt(&scene, scene.step->attempt + 1);
}

/* E6: the data has what the steps before have added. */
static void check_body(const struct scene *scene) {
    const struct saga_bytes *body = &scene->record->payload;
    for (uint8_t i = 0; i < scene->saga->shape->step_count; i++) {
        const char *result = scene->saga->steps[i].result;
        if (scene->saga->steps[i].state == SIM_DID && result[0] != '\0' &&
            memmem(body->data, body->size, result, strlen(result)) == NULL) {
            sim_violation("E6", "%s, record %" PRIu64 ": the command lacks %s, the result of %s",
                          check_text(scene->saga, scene->record->step), scene->record->lsn, result,
                          scene->saga->shape->steps[i].name);
        }
    }
}

/* ------------------------------------------------------------------- issuing */

static void issue_action(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    demand(!saga->backward, "C5", scene, "an action is issued while the saga goes backward");
    demand(saga->wish == 0, "C5", scene, "an action is issued while somebody wants to go back");
    for (uint8_t i = 0; i < scene->record->step; i++) {
        demand(saga->steps[i].state == SIM_DID, "C3", scene,
               "an action is issued before every step before it is done");
    }
    scene->step->state = move(scene, SIM_ISSUE_ACTION);
}

static void issue_fence(struct scene *scene) {
    const struct check_saga *saga = scene->saga;
    const struct check_step *step = scene->step;
    demand(sim_parties[scene->plan->party].fenced, "L4", scene, "its participant has no fence");
    if (saga->backward) {
        demand(scene->plan->undo == SIM_UNDO_BY, "L4", scene, "nothing calls for a fence");
        scene->step->state = move(scene, SIM_ISSUE_CLOSE);
        return;
    }
    bool for_wish = scene->plan->place == SIM_AT_PIVOT && saga->wish != 0;
    bool for_doubt = step->state == SIM_DOUBTFUL && scene->plan->doubt == SIM_DOUBT_FENCE;
    demand(scene->plan->place != SIM_BEHIND, "L4", scene, "a fence is sent behind the pivot");
    demand(!step->fence_issued, "T3", scene, "a second fence is sent");
    demand(for_wish || for_doubt, "L4", scene, "nothing calls for a fence");
    scene->step->state = move(scene, SIM_ISSUE_FENCE);
}

static void issue_undo(struct scene *scene) {
    struct check_step *step = scene->step;
    demand(scene->saga->backward, "C6", scene, "a compensation is issued while it goes forward");
    demand(step->state != SIM_IDLE, "C2", scene, "a step is compensated that was never issued");
    demand(scene->plan->undo == SIM_UNDO_OWN, "L4", scene, "it has no compensation");
    if (contradicts(step)) {
        sim_mark(SIM_MARK_FORCED);
        step->forced = true;
    } else {
        demand(step->state != SIM_UNDONE, "C8", scene, "it is compensated already");
    }
    demand(step->state != SIM_OWED || step->retried, "C8", scene,
           "nobody wanted this debt to be tried again");
    step->state = move(scene, SIM_ISSUE_UNDO);
    step->said &= ~(SAID_UNDO(SAGA_DONE) | SAID_UNDO(SAGA_REJECTED) | SAID_UNDO(SAGA_NOOP));
}

static void check_order(const struct scene *scene) {
    for (uint8_t i = (uint8_t)(scene->record->step + 1); i < scene->saga->shape->step_count; i++) {
        demand(check_settled(scene->saga, i), "C3", scene,
               "it is compensated before a step that was built on it");
    }
}

static void issued(struct scene *scene) {
    const struct saga_record *record = scene->record;
    struct check_step *step = scene->step;
    demand(scene->saga->parked == 0, "L4", scene, "a command is issued while the saga is parked");
    demand(record->attempt == 1 && record->incarnation == 1, "L4", scene,
           "a new command begins with attempt and incarnation 1");
    demand(record->revision == step->revisions[record->operation] + 1, "E5", scene,
           "an id is used for two intents, or one is left out");
    switch ((enum saga_operation)record->operation) {
    case SAGA_ACTION:
        issue_action(scene);
        break;
    case SAGA_FENCE:
        issue_fence(scene);
        step->fence_issued = true;
        break;
    case SAGA_COMPENSATION:
        issue_undo(scene);
        break;
    }
    if (scene->saga->backward) {
        check_order(scene);
    }
    check_body(scene);
    step->op = record->operation;
    step->revisions[record->operation] = record->revision;
    step->command_lsns[record->operation] = record->lsn;
    step->retried = false;
    step->refused = false;
    fresh_attempt(scene, 1);
}

/* -------------------------------------------------------------- attempts' ends */

static enum sim_move end_move(const struct saga_record *record) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_UNSENT:
        return SIM_UNSENT;
    case SAGA_ATTEMPT_EXPIRED:
        return SIM_EXPIRED;
    default:
        return record->verdict == SAGA_RETRY ? SIM_TOLD_RETRY : SIM_TOLD_UNKNOWN;
    }
}

static bool is_used_up(const struct scene *scene) {
    const struct check_step *step = scene->step;
    const struct sim_patience *patience = patience_of(scene->saga, scene->record->step);
    bool for_ever =
        patience->attempts == 0 || (step->op == SAGA_ACTION && scene->plan->place == SIM_BEHIND &&
                                    sim_parties[scene->plan->party].fenced);
    return scene->record->reason == SAGA_REASON_DEADLINE ||
           (!for_ever && step->spent >= patience->attempts);
}

/* Whether the attempt may end now, in this way. */
static void check_end(const struct scene *scene, enum sim_move which) {
    const struct saga_record *record = scene->record;
    const struct check_step *step = scene->step;
    bool overdue = record->at_ms >= step->deadline_ms;
    demand((record->reason == SAGA_REASON_DEADLINE) == overdue, "T3", scene,
           overdue ? "its deadline is over, and it goes on" : "its deadline is not over");
    demand(record->revision == step->revisions[step->op] && record->operation == step->op, "L4",
           scene, "it is not about the command that is out");
    demand(record->attempt == step->attempt ||
               (record->fact == SAGA_REPLY_RECEIVED && record->attempt == 0),
           "L4", scene, "it is not about the attempt that is open");
    demand(step->open, "L4", scene, "no attempt is open");
    if (which == SIM_UNSENT) {
        demand(!step->wired, "C7", scene, "an attempt that may arrive is called unsent");
        demand(!step->in_progress, "C7", scene, "an attempt that was accepted is called unsent");
    } else if (which == SIM_EXPIRED && !overdue) {
        const struct sim_patience *patience = patience_of(scene->saga, record->step);
        demand(!step->in_progress, "T3", scene, "an attempt in progress is given up");
        demand(step->sent_ms >= 0 && record->at_ms >= step->sent_ms + patience->timeout_ms, "T3",
               scene, "an attempt is given up before its time is over");
    }
}

static void attempt_ended(struct scene *scene) {
    struct check_step *step = scene->step;
    const struct saga_record *record = scene->record;
    enum sim_move which = end_move(record);
    check_end(scene, which);
    (void)move(scene, which);
    step->open = false;
    step->in_progress = false;
    if (which != SIM_UNSENT) {
        step->spent++;
        if (step->op == SAGA_ACTION) {
            step->maybe_ran = true;
            step->unresolved = step->unresolved || which != SIM_TOLD_RETRY || record->attempt == 0;
        }
    }
    if (record->reason == SAGA_REASON_DEADLINE) {
        sim_mark(SIM_MARK_STEP_DEADLINE);
    }
    bool let_go = step->op == SAGA_ACTION &&
                  (scene->saga->backward || (scene->saga->wish != 0 && !step->maybe_ran));
    if (let_go || is_used_up(scene)) {
        bool never = step->state == SIM_RUNNING && !step->maybe_ran;
        step->state = move(scene, never ? SIM_NEVER_LEFT : SIM_GIVES_UP);
        return;
    }
    step->attempt++;
    step->open = true;
    step->wired = false;
    step->sent_ms = -1;
    step->ended_ms = record->at_ms;
    step->ended_lsn = record->lsn;
    step->by_word = record->fact == SAGA_REPLY_RECEIVED;
}

static void accepted(struct scene *scene) {
    struct check_step *step = scene->step;
    const struct saga_record *record = scene->record;
    demand(record->operation == step->op && record->revision == step->revisions[step->op] &&
               (record->attempt == step->attempt || record->attempt == 0) && step->open,
           "L4", scene, "it is not about the attempt that is open");
    demand(!step->in_progress, "L4", scene, "a repeat is recorded");
    step->state = move(scene, SIM_IS_ACCEPTED);
    step->in_progress = true;
    if (step->op == SAGA_ACTION) {
        step->maybe_ran = true;
        step->unresolved = step->unresolved || !sim_parties[scene->plan->party].fenced;
    }
}

/* ------------------------------------------------------------------ verdicts */

/* Where a definite verdict leads; 0: nowhere. */
static enum sim_state verdict_state(const struct scene *scene, enum sim_move *which) {
    const struct saga_record *record = scene->record;
    const struct check_step *step = scene->step;
    *which = sim_rule_verdict(record->operation, record->verdict);
    enum sim_state next = *which == 0 ? 0 : sim_rule(*which, step->state);
    if (next == 0 || record->incarnation != 1 ||
        record->revision > step->revisions[record->operation]) {
        return 0;
    }
    /* Silence can be answered late, by the command that was silent; a word cannot. */
    if (step->state == SIM_OWED && (step->refused || record->operation != step->op)) {
        return 0;
    }
    bool older = record->revision < step->revisions[record->operation];
    if (older && record->operation == SAGA_COMPENSATION && record->verdict != SAGA_DONE) {
        return 0;
    }
    if (*which == SIM_ACTION_REJECTED) {
        bool believed = sim_parties[scene->plan->party].fenced ||
                        (sim_parties[scene->plan->party].single && !step->unresolved);
        return believed ? SIM_REFUSED : SIM_DISBELIEVED;
    }
    if (*which == SIM_UNDO_NOOP && step->forced && (step->said & SAID_DONE) != 0) {
        return SIM_OWED; /* contradicted twice */
    }
    return next;
}

/* What the step adds to the data, as it must be found in later commands. */
static void note_result(struct scene *scene) {
    const struct saga_record *record = scene->record;
    struct check_step *step = scene->step;
    char start[16];
    step->result[0] = '\0';
    if (scene->saga->shape->booking) {
        return;
    }
    int size = snprintf(start, sizeof start, "\"%s\": \"", scene->plan->name);
    const char *found = memmem(record->payload.data, record->payload.size, start, (size_t)size);
    if (found != NULL && found[size] != 'x') { /* of what is bloated the name must do */
        (void)snprintf(step->result, sizeof step->result, "\"%s\":\"%.8s", scene->plan->name,
                       found + size);
    }
}

static void resume(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    uint8_t before = saga->parked;
    if (saga->parked == SAGA_REASON_DEBT) {
        if (saga->steps[saga->parked_step].state != SIM_OWED || contradicts(scene->step)) {
            unpark(saga);
        }
    } else if (saga->parked != SAGA_REASON_CONTRACT_BROKEN &&
               saga->parked_step == scene->record->step) {
        unpark(saga);
    }
    if (before != saga->parked) {
        sim_mark(SIM_MARK_RESUMED_BY_REPLY);
    }
}

static void verdict(struct scene *scene) {
    struct check_step *step = scene->step;
    enum sim_move which;
    enum sim_state next = verdict_state(scene, &which);
    demand(next != 0, "L4", scene, "a verdict that decides nothing is taken for one that does");
    sim_mark_move(which, step->state);
    step->state = next;
    step->open = false;
    step->in_progress = false;
    step->retried = false;
    step->refused = step->refused || next == SIM_OWED;
    step->said |= SAID(scene->record->operation, scene->record->verdict);
    if (scene->record->operation != SAGA_COMPENSATION && scene->record->verdict == SAGA_DONE) {
        step->done_lsn = scene->record->lsn;
        note_result(scene);
    }
    resume(scene);
}

static void reply(struct scene *scene) {
    if (scene->record->verdict != SAGA_RETRY) {
        check_answer_lsns[scene->plan->party] = scene->record->lsn;
    }
    if (scene->record->verdict == SAGA_ACCEPTED) {
        accepted(scene);
    } else if (scene->record->verdict == SAGA_RETRY || scene->record->verdict == SAGA_UNKNOWN) {
        attempt_ended(scene);
    } else {
        verdict(scene);
    }
}

static void late(struct scene *scene) {
    enum sim_move which;
    const struct saga_record *record = scene->record;
    demand(scene->saga->outcome != 0 || verdict_state(scene, &which) == 0, "L4", scene,
           "a verdict that decides something is called late");
    demand(scene->step->revisions[record->operation] > 0, "L4", scene,
           "a reply to a command that was never issued is recorded");
    demand((scene->step->said & SAID(record->operation, record->verdict)) == 0, "L4", scene,
           "a repeat is recorded");
    scene->step->said |= SAID(record->operation, record->verdict);
    if (scene->saga->parked == SAGA_REASON_DEBT && contradicts(scene->step)) {
        unpark(scene->saga);
        sim_mark(SIM_MARK_RESUMED_BY_REPLY);
    }
}

/* ----------------------------------------------------------------- directions */

static void cancel_requested(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    uint8_t pivot = saga->shape->pivot;
    demand(!saga->pivot_passed, "C6", scene, "a wish to go back, behind the pivot");
    demand(!saga->backward && saga->wish == 0, "L4", scene, "it goes back already");
    if (scene->record->reason == SAGA_REASON_SAGA_DEADLINE) {
        sim_mark(SIM_MARK_SAGA_DEADLINE);
        demand(scene->record->at_ms >= saga->deadline_ms, "T3", scene,
               "the saga's deadline is not over");
    } else {
        demand(scene->record->reason == SAGA_REASON_CANCELLED, "L4", scene, "no such wish");
        saga->cancelled = true;
    }
    saga->wish = scene->record->reason;
    if (check_may_turn_back(saga)) {
        unpark(saga);
    } else if (saga->steps[pivot].state == SIM_DOUBTFUL &&
               sim_parties[saga->shape->steps[pivot].party].fenced) {
        unpark(saga); /* its fence is asked, or asked again */
        if (saga->steps[pivot].fence_issued) {
            reopen(scene, pivot, SIM_ASKING);
        }
    }
}

static bool is_reason_to_turn(const struct scene *scene) {
    const struct check_step *step = scene->step;
    if (scene->saga->wish != 0) {
        return scene->record->reason == scene->saga->wish && step == NULL;
    }
    if (step == NULL) {
        return false;
    }
    switch ((enum saga_reason)scene->record->reason) {
    case SAGA_REASON_REJECTED:
        return step->state == SIM_REFUSED || step->state == SIM_DISBELIEVED;
    case SAGA_REASON_FENCED:
        return step->state == SIM_BARRED && step->fence_issued;
    case SAGA_REASON_NEVER_RAN:
        return step->state == SIM_NEVER_RAN;
    case SAGA_REASON_UNRESOLVED:
        return step->state == SIM_DOUBTFUL && scene->plan->place == SIM_BEFORE &&
               (scene->plan->doubt == SIM_DOUBT_COMPENSATE ||
                (scene->plan->doubt == SIM_DOUBT_FENCE && step->fence_issued));
    default:
        return false;
    }
}

static void compensation_started(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    demand(!saga->pivot_passed, "C6", scene, "behind the pivot");
    demand(!saga->backward && saga->parked == 0, "L4", scene, "it cannot turn here");
    demand(check_may_turn_back(saga), "C6", scene, "the pivot may have had its effect");
    demand(is_reason_to_turn(scene), "L4", scene, "there is no such reason");
    switch ((enum saga_reason)scene->record->reason) {
    case SAGA_REASON_REJECTED:
        sim_mark(SIM_MARK_TURNED_REJECTED);
        break;
    case SAGA_REASON_UNRESOLVED:
        sim_mark(SIM_MARK_TURNED_UNRESOLVED);
        break;
    case SAGA_REASON_FENCED:
        sim_mark(SIM_MARK_TURNED_FENCED);
        break;
    case SAGA_REASON_NEVER_RAN:
        sim_mark(SIM_MARK_TURNED_NEVER_RAN);
        break;
    case SAGA_REASON_CANCELLED:
        sim_mark(SIM_MARK_TURNED_CANCELLED);
        break;
    default:
        sim_mark(SIM_MARK_TURNED_DEADLINE);
        break;
    }
    saga->backward = true;
    saga->wish = 0;
}

static void pivot_passed(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    demand(scene->record->step == saga->shape->pivot && scene->step->state == SIM_DID &&
               !saga->pivot_passed && !saga->backward,
           "L4", scene, "the pivot is not done");
    if (saga->wish != 0) {
        sim_mark(SIM_MARK_VOIDED);
    }
    saga->pivot_passed = true;
    saga->wish = 0;
}

/* ------------------------------------------------------------ parked, and ended */

static void park_debt(const struct scene *scene) {
    sim_mark(SIM_MARK_PARKED_DEBT);
    demand(scene->saga->backward && scene->step->state == SIM_OWED, "L4", scene, "no debt");
    for (uint8_t i = 0; i < scene->saga->shape->step_count; i++) {
        demand(check_settled(scene->saga, i), "C8", scene,
               "a debt holds up the other compensations");
    }
}

static void park_in_doubt(const struct scene *scene) {
    const struct check_step *step = scene->step;
    bool can_ask = sim_parties[scene->plan->party].fenced && !step->fence_issued &&
                   scene->plan->place != SIM_BEHIND;
    sim_mark(SIM_MARK_PARKED_IN_DOUBT);
    demand(!scene->saga->backward && step->state == SIM_DOUBTFUL, "L4", scene, "no doubt");
    demand(!can_ask || (scene->plan->doubt != SIM_DOUBT_FENCE && scene->saga->wish == 0), "L4",
           scene, "its fence was not asked");
    demand(scene->plan->place != SIM_BEFORE || scene->plan->doubt == SIM_DOUBT_PARK, "L4", scene,
           "it could go backward");
}

static void parked(struct scene *scene) {
    const struct check_step *step = scene->step;
    bool behind = scene->plan->place == SIM_BEHIND;
    demand(scene->saga->parked == 0, "L4", scene, "it is parked already");
    switch ((enum saga_reason)scene->record->reason) {
    case SAGA_REASON_DEBT:
        park_debt(scene);
        break;
    case SAGA_REASON_IN_DOUBT:
        park_in_doubt(scene);
        break;
    case SAGA_REASON_CONTRACT_BROKEN:
        sim_mark(SIM_MARK_PARKED_CONTRACT);
        demand(scene->saga->backward
                   ? scene->plan->place == SIM_AT_PIVOT && step->state == SIM_DID
                   : (behind && (step->state == SIM_REFUSED || step->state == SIM_DISBELIEVED)) ||
                         (step->state == SIM_BARRED && (behind || !step->fence_issued)),
               "L4", scene, "no contract is broken");
        break;
    case SAGA_REASON_REJECTION_IN_DOUBT:
        sim_mark(SIM_MARK_PARKED_REJECTION);
        demand(!scene->saga->backward && scene->plan->place == SIM_AT_PIVOT &&
                   step->state == SIM_DISBELIEVED,
               "L4", scene, "no rejection is in doubt");
        break;
    case SAGA_REASON_UNRENDERED:
        sim_mark(SIM_MARK_PARKED_UNRENDERED);
        demand(sim_swarm_bloats(), "E6", scene, "a command's body could not be made");
        break;
    default:
        fail("L4", scene, "no such reason");
    }
    scene->saga->parked = scene->record->reason;
    scene->saga->parked_step = scene->record->step;
}

static void operator_acted(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    demand(scene->record->verb == SAGA_VERB_RETRY, "L4", scene, "no such verb");
    demand(saga->parked != SAGA_REASON_CONTRACT_BROKEN &&
               saga->parked != SAGA_REASON_REJECTION_IN_DOUBT,
           "L4", scene, "a retry cannot help");
    saga->operated = true;
    if (saga->parked == SAGA_REASON_IN_DOUBT) {
        uint8_t index = saga->parked_step;
        demand(saga->steps[index].state == SIM_DOUBTFUL, "L4", scene, "nothing is in doubt");
        reopen(scene, index, saga->steps[index].op == SAGA_FENCE ? SIM_ASKING : SIM_RUNNING);
    }
    unpark(saga);
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        saga->steps[i].retried = saga->steps[i].retried || saga->steps[i].state == SIM_OWED;
        saga->steps[i].ended_ms = -1; /* its backoff ends */
    }
}

static void ended(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    bool completed = scene->record->outcome == SAGA_COMPLETED;
    demand(completed || scene->record->outcome == SAGA_COMPENSATED, "L4", scene, "no such outcome");
    demand(saga->parked == 0 && saga->backward != completed, "L4", scene, "it cannot end here");
    sim_mark(completed ? SIM_MARK_COMPLETED : SIM_MARK_COMPENSATED);
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        enum sim_state state = saga->steps[i].state;
        if (completed) {
            demand(state == SIM_DID, "E3", scene, "it is completed, and a step is not done");
        } else {
            demand(state != SIM_OWED, "C8", scene, "it ends with an open debt");
            demand(i != saga->shape->pivot || state != SIM_DID, "C6", scene,
                   "it is compensated, and its pivot is done");
            demand(check_settled(saga, i), "C7", scene,
                   "it is compensated, and a step that may have run is not");
        }
    }
    saga->outcome = scene->record->outcome;
    saga->ended_commit = check_commit;
}

/* ---------------------------------------------------------------- the story */

void check_story(struct check_saga *saga, const struct saga_record *record) {
    struct scene scene = {.saga = saga, .record = record};
    if (record->step < saga->shape->step_count) {
        scene.step = &saga->steps[record->step];
        scene.plan = &saga->shape->steps[record->step];
    }
    demand(saga->outcome == 0 || record->fact == SAGA_LATE_REPLY_RECEIVED, "L5", &scene,
           "the saga has ended");
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
        issued(&scene);
        return;
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
        attempt_ended(&scene);
        return;
    case SAGA_REPLY_RECEIVED:
        reply(&scene);
        return;
    case SAGA_CANCEL_REQUESTED:
        cancel_requested(&scene);
        return;
    case SAGA_COMPENSATION_STARTED:
        compensation_started(&scene);
        return;
    case SAGA_PIVOT_PASSED:
        pivot_passed(&scene);
        return;
    case SAGA_LATE_REPLY_RECEIVED:
        late(&scene);
        return;
    case SAGA_PARKED:
        parked(&scene);
        return;
    case SAGA_OPERATOR_ACTED:
        operator_acted(&scene);
        return;
    case SAGA_ENDED:
        ended(&scene);
        return;
    case SAGA_STARTED:
    case SAGA_DEFINITION_LOADED:
    case SAGA_EPOCH_STARTED:
        break;
    }
    fail("L4", &scene, "no record of a saga's story");
}

void check_epoch(struct check_saga *saga, const struct saga_record *record) {
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        struct check_step *step = &saga->steps[i];
        if (!step->open && step->state != SIM_DOUBTFUL) {
            continue;
        }
        /* Answers that wait at the broker come before any deadline. */
        int64_t grace_ms = record->at_ms + patience_of(saga, i)->timeout_ms;
        saga->deadline_ms = saga->deadline_ms < grace_ms ? grace_ms : saga->deadline_ms;
        if (!step->open) {
            continue;
        }
        if (step->op == SAGA_ACTION) {
            step->maybe_ran = true;
            step->unresolved = true;
        }
        step->in_progress = false;
        step->wired = false;
        step->sent_ms = -1;
        step->deadline_ms = step->deadline_ms < grace_ms ? grace_ms : step->deadline_ms;
    }
}

/* -------------------------------------------------------------------- at rest */

static void check_forward_rest(const struct check_saga *saga) {
    uint8_t out = 0;
    if (saga->wish != 0 && check_may_turn_back(saga)) {
        sim_violation("D3", "%s wants to go back and could", check_text(saga, SAGA_STEP_NONE));
    }
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        bool fenced = sim_parties[saga->shape->steps[i].party].fenced;
        switch (step->state) {
        case SIM_RUNNING:
        case SIM_ASKING:
            out += step->open;
            if (saga->wish != 0 && step->state == SIM_RUNNING && fenced) {
                sim_violation("L4",
                              "%s: the pivot is out, somebody wants to go back, and its "
                              "fence is not asked",
                              check_text(saga, i));
            }
            break;
        case SIM_DID:
            if (i == saga->shape->pivot && !saga->pivot_passed) {
                sim_violation("D3", "%s is done, and the pivot is not passed", check_text(saga, i));
            }
            break;
        case SIM_IDLE:
            break;
        default:
            sim_violation("D3", "%s is '%s', and nothing follows", check_text(saga, i),
                          sim_state_names[step->state]);
        }
    }
    if (out != 1) {
        sim_violation("T2", "%s goes forward with %u commands out",
                      check_text(saga, SAGA_STEP_NONE), out);
    }
}

void check_rest(const struct check_saga *saga) {
    if (saga->outcome != 0 || saga->parked != 0) {
        return;
    }
    if (!saga->backward) {
        check_forward_rest(saga);
        return;
    }
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        if ((step->state == SIM_UNDOING || step->state == SIM_CLOSING) && step->open) {
            return;
        }
    }
    sim_violation("T2", "%s goes backward with no command out", check_text(saga, SAGA_STEP_NONE));
}
