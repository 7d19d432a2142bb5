/* One step's commands: their attempts, and what is said to them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check_state.h"
#include "marks.h"

_Noreturn void check_fail(const char *name, const struct scene *scene, const char *why) {
    sim_violation(name, "%s, record %" PRIu64 " %s (step now %s): %s",
                  check_text(scene->saga, scene->record->step), scene->record->lsn,
                  saga_fact_name(scene->record->fact),
                  scene->step == NULL ? "-" : sim_state_names[scene->step->state], why);
}

void check_demand(bool condition, const char *name, const struct scene *scene, const char *why) {
    if (!condition) {
        check_fail(name, scene, why);
    }
}

const struct sim_patience *check_patience(const struct check_saga *saga, uint8_t index) {
    const struct check_step *step = &saga->steps[index];
    const struct sim_step *plan = &saga->shape->steps[index];
    if (step->op == SAGA_COMPENSATION || (step->op == SAGA_SETTLE && plan->undo == SIM_UNDO_OWN)) {
        return &plan->compensation;
    }
    return step->state == SIM_CLOSING || step->op == SAGA_SETTLE
               ? &saga->shape->steps[plan->undone_by].compensation
               : &plan->action;
}

/* A move that the rules have; gives where it leads. */
enum sim_state check_move(const struct scene *scene, enum sim_move which) {
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

bool check_contradicts(const struct check_step *step) {
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
        return !check_contradicts(step);
    case SIM_CLEARING:
    case SIM_CLEARED:
        return true; /* the others do not wait for it */
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
           (pivot == SIM_DISBELIEVED && saga->steps[saga->shape->pivot].resolved) ||
           (pivot == SIM_BARRED &&
            sim_parties[saga->shape->steps[saga->shape->pivot].party].fenced);
}

void check_unpark(struct check_saga *saga) {
    saga->parked = 0;
    saga->parked_step = SAGA_STEP_NONE;
}

/* ------------------------------------------------------------------ attempts */

void check_attempt_begins(struct scene *scene, uint32_t attempt) {
    struct check_step *step = scene->step;
    const struct sim_patience *patience = check_patience(scene->saga, scene->record->step);
    step->attempt = attempt;
    step->spent = 0;
    step->open = true;
    step->in_progress = false;
    step->survived = false;
    step->wired = false;
    step->again = false;
    step->turned_away = false;
    step->sent_ms = -1;
    step->ended_ms = -1;
    bool alerts =
        (step->op == SAGA_ACTION && scene->plan->place == SIM_BEHIND) || step->op == SAGA_SETTLE;
    step->deadline_ms = patience->deadline_ms == 0 || alerts
                            ? INT64_MAX
                            : scene->record->at_ms + patience->deadline_ms;
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
    const struct sim_patience *patience = check_patience(scene->saga, scene->record->step);
    bool for_ever =
        patience->attempts == 0 || (step->op == SAGA_ACTION && scene->plan->place == SIM_BEHIND &&
                                    sim_parties[scene->plan->party].fenced);
    if (step->op == SAGA_SETTLE) {
        return false; /* until it is answered */
    }
    return scene->record->reason == SAGA_REASON_DEADLINE ||
           (!for_ever && step->spent >= patience->attempts);
}

/* Whether the attempt may end now, in this way. */
static void check_end(const struct scene *scene, enum sim_move which) {
    const struct saga_record *record = scene->record;
    const struct check_step *step = scene->step;
    bool overdue = record->at_ms >= step->deadline_ms;
    check_demand((record->reason == SAGA_REASON_DEADLINE) == overdue, "T3", scene,
                 overdue ? "its deadline is over, and it goes on" : "its deadline is not over");
    check_demand(record->revision == step->revisions[step->op] && record->operation == step->op,
                 "L4", scene, "it is not about the command that is out");
    check_demand(record->attempt == step->attempt ||
                     (record->fact == SAGA_REPLY_RECEIVED && record->attempt == 0),
                 "L4", scene, "it is not about the attempt that is open");
    check_demand(step->open, "L4", scene, "no attempt is open");
    if (which == SIM_UNSENT) {
        check_demand(!step->wired, "C7", scene, "an attempt that may arrive is called unsent");
        check_demand(!step->survived && !step->again, "C7", scene,
                     "an attempt that may have arrived earlier is called unsent");
        check_demand(!step->in_progress, "C7", scene,
                     "an attempt that was accepted is called unsent");
    } else if (which == SIM_EXPIRED && !overdue) {
        check_demand(!step->turned_away, "T3", scene,
                     "an attempt that never left is given up as sent");
        const struct sim_patience *patience = check_patience(scene->saga, record->step);
        check_demand(!step->in_progress, "T3", scene, "an attempt in progress is given up");
        check_demand(step->sent_ms >= 0 && record->at_ms >= step->sent_ms + patience->timeout_ms,
                     "T3", scene, "an attempt is given up before its time is over");
    }
}

void check_attempt_ends(struct scene *scene) {
    struct check_step *step = scene->step;
    const struct saga_record *record = scene->record;
    enum sim_move which = end_move(record);
    check_end(scene, which);
    (void)check_move(scene, which);
    if (which == SIM_EXPIRED && step->sent_ms < 0 && !step->survived) {
        step->unseen_attempt = step->attempt;
        step->unseen_op = step->op;
        step->unseen_commit = check_commit;
    }
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
        step->state = check_move(scene, never ? SIM_NEVER_LEFT : SIM_GIVES_UP);
        return;
    }
    step->attempt++;
    step->open = true;
    step->survived = false;
    step->wired = false;
    step->again = false;
    step->turned_away = false;
    step->sent_ms = -1;
    step->ended_ms = record->at_ms;
    step->ended_lsn = record->lsn;
    step->by_word = record->fact == SAGA_REPLY_RECEIVED;
}

static void accepted(struct scene *scene) {
    struct check_step *step = scene->step;
    const struct saga_record *record = scene->record;
    check_demand(record->operation == step->op && record->revision == step->revisions[step->op] &&
                     (record->attempt == step->attempt || record->attempt == 0) && step->open,
                 "L4", scene, "it is not about the attempt that is open");
    check_demand(!step->in_progress, "L4", scene, "a repeat is recorded");
    step->state = check_move(scene, SIM_IS_ACCEPTED);
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
    if (step->state == SIM_OWED &&
        (step->refused || record->operation != step->op || step->marked || step->written_off)) {
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
void check_note_result(struct scene *scene, const struct saga_bytes *text) {
    struct check_step *step = scene->step;
    char start[16];
    step->result[0] = '\0';
    if (scene->saga->shape->booking) {
        return;
    }
    /* A step that repeats its result, to a fence, is the latest, too. */
    if (memmem(text->data, text->size, "\"last\"", 6) != NULL) {
        scene->saga->results++;
        (void)snprintf(scene->saga->last, sizeof scene->saga->last, "\"last\":\"%s\"",
                       scene->plan->name);
    }
    int size = snprintf(start, sizeof start, "\"%s\": \"", scene->plan->name);
    const char *found = memmem(text->data, text->size, start, (size_t)size);
    if (found != NULL && found[size] == 'x') {
        scene->saga->outgrown = true;
    } else if (found != NULL) {
        (void)snprintf(step->result, sizeof step->result, "\"%s\":\"%.8s", scene->plan->name,
                       found + size);
    }
}

/* E6: whoever keeps his contract says what the definition lists. */
static void check_event(const struct scene *scene) {
    const struct saga_record *record = scene->record;
    const struct sim_step *plan = scene->plan;
    bool about_undo = record->operation == SAGA_COMPENSATION;
    char expected[64];
    const char *event = NULL;
    switch ((enum saga_verdict)record->verdict) {
    case SAGA_DONE:
        event = record->operation == SAGA_SETTLE ? "SETTLED"
                : about_undo                     ? plan->undone
                                                 : plan->done;
        break;
    case SAGA_REJECTED:
        event = about_undo ? plan->not_undone : plan->rejected;
        break;
    case SAGA_FENCED:
        event = "FENCED";
        break;
    case SAGA_NOOP:
        event = "NOOP";
        break;
    case SAGA_ACCEPTED:
    case SAGA_RETRY:
    case SAGA_UNKNOWN:
        break;
    }
    if (plan->party >= SIM_FENCED_COUNT || record->payload.size == 0) {
        return;
    }
    check_demand(event != NULL, "E6", scene, "it cannot be said of this step");
    int size = snprintf(expected, sizeof expected, "\"reply_state\": \"%s\"", event);
    check_demand(memmem(record->payload.data, record->payload.size, expected, (size_t)size) != NULL,
                 "E6", scene, "it is not what its participant says of this step");
}

static void resume(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    uint8_t before = saga->parked;
    if (saga->parked == SAGA_REASON_DEBT) {
        if (saga->steps[saga->parked_step].state != SIM_OWED || check_contradicts(scene->step)) {
            check_unpark(saga);
        }
    } else if (saga->parked != SAGA_REASON_CONTRACT_BROKEN &&
               saga->parked_step == scene->record->step) {
        check_unpark(saga);
    }
    if (before != saga->parked) {
        sim_mark(SIM_MARK_RESUMED_BY_REPLY);
    }
}

static void verdict(struct scene *scene) {
    struct check_step *step = scene->step;
    enum sim_move which;
    enum sim_state next = verdict_state(scene, &which);
    check_demand(next != 0, "L4", scene,
                 "a verdict that decides nothing is taken for one that does");
    check_event(scene);
    sim_mark_move(which, step->state);
    step->state = next;
    step->open = false;
    step->in_progress = false;
    step->retried = false;
    step->refused = step->refused || next == SIM_OWED;
    step->said |= SAID(scene->record->operation, scene->record->verdict);
    bool about_action =
        scene->record->operation == SAGA_ACTION || scene->record->operation == SAGA_FENCE;
    if (about_action && scene->record->verdict == SAGA_DONE) {
        step->done_lsn = scene->record->lsn;
        check_note_result(scene, &scene->record->payload);
    }
    resume(scene);
}

void check_reply(struct scene *scene) {
    if (scene->record->verdict != SAGA_RETRY) {
        check_answer_lsns[scene->plan->party] = scene->record->lsn;
    }
    if (scene->record->verdict == SAGA_ACCEPTED) {
        accepted(scene);
    } else if (scene->record->verdict == SAGA_RETRY || scene->record->verdict == SAGA_UNKNOWN) {
        check_attempt_ends(scene);
    } else {
        verdict(scene);
    }
}

void check_late(struct scene *scene) {
    enum sim_move which;
    const struct saga_record *record = scene->record;
    check_demand(scene->saga->outcome != 0 || verdict_state(scene, &which) == 0, "L4", scene,
                 "a verdict that decides something is called late");
    check_demand(scene->step->revisions[record->operation] > 0, "L4", scene,
                 "a reply to a command that was never issued is recorded");
    check_demand((scene->step->said & SAID(record->operation, record->verdict)) == 0, "L4", scene,
                 "a repeat is recorded");
    scene->step->said |= SAID(record->operation, record->verdict);
    if (scene->saga->parked == SAGA_REASON_DEBT && check_contradicts(scene->step)) {
        check_unpark(scene->saga);
        sim_mark(SIM_MARK_RESUMED_BY_REPLY);
    }
}
