/* One saga's records, one after the other, by the checker's own rules. */
#include <inttypes.h>
#include <string.h>

#include "check_state.h"
#include "daemon.h"
#include "marks.h"

/* ------------------------------------------------------------------- issuing */

/* E6: the data has what the steps before have added; of what several say, the latest. */
static void check_body(const struct scene *scene) {
    const struct saga_bytes *body = &scene->record->payload;
    struct check_saga *saga = scene->saga;
    if (saga->last[0] != '\0' &&
        memmem(body->data, body->size, saga->last, strlen(saga->last)) == NULL) {
        /* Rather an older body than none: a compensation must always be possible. */
        check_demand(saga->outgrown && scene->record->operation != SAGA_ACTION, "E6", scene,
                     "the command lacks the latest result");
        saga->last[0] = '\0';
    } else if (saga->results > 1) {
        sim_mark(SIM_MARK_LATER_WINS);
    }
    saga->outgrown = false;
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

static void issue_action(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    check_demand(!saga->backward, "C5", scene, "an action is issued while the saga goes backward");
    check_demand(saga->wish == 0, "C5", scene,
                 "an action is issued while somebody wants to go back");
    for (uint8_t i = 0; i < scene->record->step; i++) {
        check_demand(saga->steps[i].state == SIM_DID, "C3", scene,
                     "an action is issued before every step before it is done");
    }
    scene->step->state = check_move(scene, SIM_ISSUE_ACTION);
}

static void issue_fence(struct scene *scene) {
    const struct check_saga *saga = scene->saga;
    const struct check_step *step = scene->step;
    check_demand(sim_parties[scene->plan->party].fenced, "L4", scene,
                 "its participant has no fence");
    if (saga->backward) {
        check_demand(scene->plan->undo == SIM_UNDO_BY, "L4", scene, "nothing calls for a fence");
        scene->step->state = check_move(scene, SIM_ISSUE_CLOSE);
        return;
    }
    bool for_wish = scene->plan->place == SIM_AT_PIVOT && saga->wish != 0;
    bool for_doubt = step->state == SIM_DOUBTFUL && scene->plan->doubt == SIM_DOUBT_FENCE;
    check_demand(scene->plan->place != SIM_BEHIND, "L4", scene, "a fence is sent behind the pivot");
    check_demand(!step->fence_issued, "T3", scene, "a second fence is sent");
    check_demand(for_wish || for_doubt, "L4", scene, "nothing calls for a fence");
    bool waits = step->open && step->sent_ms < 0 && step->ended_ms >= 0 &&
                 scene->record->at_ms < step->ended_ms + SIM_BACKOFF_MIN_MS &&
                 check_answer_lsns[scene->plan->party] < step->ended_lsn &&
                 check_resent_lsn < step->ended_lsn;
    check_demand(step->maybe_ran || !waits, "L4", scene,
                 "a fence is asked about what has never left");
    scene->step->state = check_move(scene, SIM_ISSUE_FENCE);
}

static void issue_undo(struct scene *scene) {
    struct check_step *step = scene->step;
    check_demand(scene->saga->backward, "C6", scene,
                 "a compensation is issued while it goes forward");
    check_demand(step->state != SIM_IDLE, "C2", scene,
                 "a step is compensated that was never issued");
    check_demand(scene->plan->undo == SIM_UNDO_OWN, "L4", scene, "it has no compensation");
    if (check_contradicts(step)) {
        sim_mark(SIM_MARK_FORCED);
        step->forced = true;
    } else {
        check_demand(step->state != SIM_UNDONE, "C8", scene, "it is compensated already");
    }
    check_demand(step->state != SIM_OWED || step->retried, "C8", scene,
                 "nobody wanted this debt to be tried again");
    step->state = check_move(scene, SIM_ISSUE_UNDO);
    step->said &= ~(SAID_UNDO(SAGA_DONE) | SAID_UNDO(SAGA_REJECTED) | SAID_UNDO(SAGA_NOOP));
}

static void issue_settle(struct scene *scene) {
    struct check_step *step = scene->step;
    check_demand(scene->saga->backward, "C6", scene, "a settle is issued while it goes forward");
    check_demand(sim_parties[scene->plan->party].fenced, "L4", scene,
                 "its participant has no row to close");
    check_demand(step->marked || step->written_off, "O1", scene, "no operator has settled it");
    step->state = check_move(scene, SIM_ISSUE_SETTLE);
}

static void check_order(const struct scene *scene) {
    for (uint8_t i = (uint8_t)(scene->record->step + 1); i < scene->saga->shape->step_count; i++) {
        check_demand(check_settled(scene->saga, i), "C3", scene,
                     "it is compensated before a step that was built on it");
    }
}

static void issued(struct scene *scene) {
    const struct saga_record *record = scene->record;
    struct check_step *step = scene->step;
    check_demand(scene->saga->parked == 0, "L4", scene,
                 "a command is issued while the saga is parked");
    check_demand(record->attempt == 1 && record->incarnation == 1, "L4", scene,
                 "a new command begins with attempt and incarnation 1");
    /* A settle has the revision of what it settles. */
    unsigned next = record->operation == SAGA_SETTLE ? step->revisions[step->op]
                                                     : step->revisions[record->operation] + 1u;
    check_demand(record->revision == next && record->revision > step->revisions[record->operation],
                 "E5", scene, "an id is used for two intents, or one is left out");
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
    case SAGA_SETTLE:
        issue_settle(scene);
        break;
    }
    if (scene->saga->backward && record->operation != SAGA_SETTLE) {
        check_order(scene);
    }
    check_body(scene);
    step->op = record->operation;
    step->revisions[record->operation] = record->revision;
    step->command_lsns[record->operation] = record->lsn;
    step->retried = false;
    step->refused = false;
    check_attempt_begins(scene, 1);
}

/* ----------------------------------------------------------------- directions */

static void cancel_requested(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    uint8_t pivot = saga->shape->pivot;
    check_demand(!saga->pivot_passed, "C6", scene, "a wish to go back, behind the pivot");
    check_demand(!saga->backward && saga->wish == 0, "L4", scene, "it goes back already");
    if (scene->record->reason == SAGA_REASON_SAGA_DEADLINE) {
        sim_mark(SIM_MARK_SAGA_DEADLINE);
        check_demand(scene->record->at_ms >= saga->deadline_ms, "T3", scene,
                     "the saga's deadline is not over");
    } else {
        check_demand(scene->record->reason == SAGA_REASON_CANCELLED, "L4", scene, "no such wish");
        saga->cancelled = true;
    }
    saga->wish = scene->record->reason;
    if (check_may_turn_back(saga)) {
        check_unpark(saga);
    } else if (saga->steps[pivot].state == SIM_DOUBTFUL &&
               sim_parties[saga->shape->steps[pivot].party].fenced) {
        check_unpark(saga); /* its fence is asked, or asked again */
        if (saga->steps[pivot].fence_issued) {
            check_reopen(scene, pivot, SIM_ASKING);
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
        return step->state == SIM_REFUSED || (step->state == SIM_DISBELIEVED && !step->resolved);
    case SAGA_REASON_RESOLVED:
        return step->state == SIM_DISBELIEVED && step->resolved;
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
    check_demand(!saga->pivot_passed, "C6", scene, "behind the pivot");
    check_demand(!saga->backward && saga->parked == 0, "L4", scene, "it cannot turn here");
    check_demand(check_may_turn_back(saga), "C6", scene, "the pivot may have had its effect");
    check_demand(is_reason_to_turn(scene), "L4", scene, "there is no such reason");
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
    case SAGA_REASON_RESOLVED:
        sim_mark(SIM_MARK_TURNED_RESOLVED);
        saga->resolved = true;
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
    check_demand(scene->record->step == saga->shape->pivot && scene->step->state == SIM_DID &&
                     !saga->pivot_passed && !saga->backward,
                 "L4", scene, "the pivot is not done");
    if (saga->wish != 0) {
        sim_mark(saga->wish == SAGA_REASON_RESOLVED ? SIM_MARK_RESOLUTION_VOIDED : SIM_MARK_VOIDED);
    }
    saga->pivot_passed = true;
    saga->wish = 0;
}

/* ------------------------------------------------------------ parked, and ended */

static void park_debt(const struct scene *scene) {
    sim_mark(SIM_MARK_PARKED_DEBT);
    check_demand(scene->saga->backward && scene->step->state == SIM_OWED, "L4", scene, "no debt");
    check_demand(!scene->step->marked && !scene->step->written_off, "O1", scene,
                 "an operator has settled this debt");
    for (uint8_t i = 0; i < scene->saga->shape->step_count; i++) {
        check_demand(check_settled(scene->saga, i), "C8", scene,
                     "a debt holds up the other compensations");
    }
}

static void park_in_doubt(const struct scene *scene) {
    const struct check_step *step = scene->step;
    bool can_ask = sim_parties[scene->plan->party].fenced && !step->fence_issued &&
                   scene->plan->place != SIM_BEHIND;
    sim_mark(SIM_MARK_PARKED_IN_DOUBT);
    check_demand(!scene->saga->backward && step->state == SIM_DOUBTFUL, "L4", scene, "no doubt");
    check_demand(!can_ask || (scene->plan->doubt != SIM_DOUBT_FENCE && scene->saga->wish == 0),
                 "L4", scene, "its fence was not asked");
    check_demand(scene->plan->place != SIM_BEFORE || scene->plan->doubt == SIM_DOUBT_PARK, "L4",
                 scene, "it could go backward");
}

static void parked(struct scene *scene) {
    const struct check_step *step = scene->step;
    bool behind = scene->plan->place == SIM_BEHIND;
    check_demand(scene->saga->parked == 0, "L4", scene, "it is parked already");
    switch ((enum saga_reason)scene->record->reason) {
    case SAGA_REASON_DEBT:
        park_debt(scene);
        break;
    case SAGA_REASON_IN_DOUBT:
        park_in_doubt(scene);
        break;
    case SAGA_REASON_CONTRACT_BROKEN:
        sim_mark(SIM_MARK_PARKED_CONTRACT);
        check_demand(
            scene->saga->backward
                ? scene->plan->place == SIM_AT_PIVOT && step->state == SIM_DID
                : (behind && (step->state == SIM_REFUSED || step->state == SIM_DISBELIEVED)) ||
                      (step->state == SIM_BARRED && (behind || !step->fence_issued)),
            "L4", scene, "no contract is broken");
        break;
    case SAGA_REASON_REJECTION_IN_DOUBT:
        sim_mark(SIM_MARK_PARKED_REJECTION);
        check_demand(!scene->saga->backward && scene->plan->place == SIM_AT_PIVOT &&
                         step->state == SIM_DISBELIEVED && !step->resolved,
                     "L4", scene, "no rejection is in doubt");
        break;
    case SAGA_REASON_UNRENDERED:
        sim_mark(SIM_MARK_PARKED_UNRENDERED);
        check_demand(scene->saga->outgrown && step->state == SIM_IDLE && !scene->saga->backward,
                     "E6", scene, "a command's body could not be made");
        break;
    default:
        check_fail("L4", scene, "no such reason");
    }
    scene->saga->parked = scene->record->reason;
    scene->saga->parked_step = scene->record->step;
}

static void ended(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    static const enum sim_mark marks[] = {
        [SAGA_COMPLETED] = SIM_MARK_COMPLETED,
        [SAGA_COMPENSATED] = SIM_MARK_COMPENSATED,
        [SAGA_COMPLETED_MANUALLY] = SIM_MARK_COMPLETED_MANUALLY,
        [SAGA_COMPENSATED_MANUALLY] = SIM_MARK_COMPENSATED_MANUALLY,
        [SAGA_INCONSISTENT] = SIM_MARK_INCONSISTENT,
    };
    check_demand(saga->parked == 0, "L4", scene, "it cannot end here");
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        enum sim_state state = saga->steps[i].state;
        if (!saga->backward) {
            check_demand(state == SIM_DID, "E3", scene, "it is completed, and a step is not done");
        } else {
            check_demand(state != SIM_OWED, "C8", scene, "it ends with an open debt");
            check_demand(state != SIM_CLEARING, "O3", scene,
                         "it ends, and a row may still be open");
            check_demand(i != saga->shape->pivot || state != SIM_DID, "C6", scene,
                         "it is compensated, and its pivot is done");
            check_demand(check_settled(saga, i), "C7", scene,
                         "it is compensated, and a step that may have run is not");
        }
    }
    check_demand(scene->record->outcome == check_outcome_due(saga), "O1", scene,
                 "its outcome is not what operators made of it");
    sim_mark(marks[scene->record->outcome]);
    saga->outcome = scene->record->outcome;
    saga->ended_commit = check_commit;
}

/* ---------------------------------------------------------------- the story */

/* What waited for its turn until its deadline was over says that it never left. */
static void check_unseen(const struct check_saga *saga) {
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        if (step->unseen_attempt != 0 && step->unseen_commit < check_commit) {
            sim_violation("T3", "%s: attempt %u is given up as sent, and never left",
                          check_text(saga, i), step->unseen_attempt);
        }
    }
}

void check_story(struct check_saga *saga, const struct saga_record *record) {
    struct scene scene = {.saga = saga, .record = record};
    check_unseen(saga);
    if (record->step < saga->shape->step_count) {
        scene.step = &saga->steps[record->step];
        scene.plan = &saga->shape->steps[record->step];
    }
    check_demand(saga->outcome == 0 || record->fact == SAGA_LATE_REPLY_RECEIVED, "L5", &scene,
                 "the saga has ended");
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
        issued(&scene);
        return;
    case SAGA_COMMAND_UNSENT:
    case SAGA_ATTEMPT_EXPIRED:
        check_attempt_ends(&scene);
        return;
    case SAGA_REPLY_RECEIVED:
        check_reply(&scene);
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
        check_late(&scene);
        return;
    case SAGA_PARKED:
        parked(&scene);
        return;
    case SAGA_OPERATOR_ACTED:
        check_operator(&scene);
        return;
    case SAGA_ENDED:
        ended(&scene);
        return;
    case SAGA_STARTED:
    case SAGA_DEFINITION_LOADED:
    case SAGA_EPOCH_STARTED:
    case SAGA_OUTCOMES_TOLD:
    case SAGA_HISTORY_PURGED:
        break;
    }
    check_fail("L4", &scene, "no record of a saga's story");
}

void check_epoch(struct check_saga *saga, const struct saga_record *record) {
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        struct check_step *step = &saga->steps[i];
        step->unseen_attempt = 0; /* the daemon died before it left */
        if (!step->open && step->state != SIM_DOUBTFUL) {
            continue;
        }
        /* Answers that wait at the broker come before any deadline. */
        int64_t grace_ms = record->at_ms + check_patience(saga, i)->timeout_ms;
        saga->deadline_ms = saga->deadline_ms < grace_ms ? grace_ms : saga->deadline_ms;
        if (!step->open) {
            continue;
        }
        if (step->op == SAGA_ACTION) {
            step->maybe_ran = true;
            step->unresolved = true;
        }
        step->in_progress = false;
        step->survived = true;
        step->wired = false;
        step->again = false;
        step->turned_away = false;
        step->sent_ms = -1;
        step->deadline_ms = step->deadline_ms < grace_ms ? grace_ms : step->deadline_ms;
    }
}

/* -------------------------------------------------------------------- at rest */

void check_overdue(const struct check_saga *saga, int64_t now_ms) {
    bool counts = !saga->backward && !saga->pivot_passed && saga->wish == 0;
    int64_t late_ms = now_ms - SIM_SLACK_MS;
    if (counts && saga->deadline_ms < late_ms && !sim_daemon_was_late(saga->deadline_ms)) {
        sim_violation("T3", "%s: its deadline is over since %lld s, and nothing happens",
                      check_text(saga, SAGA_STEP_NONE),
                      (long long)((now_ms - saga->deadline_ms) / 1000));
    }
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        bool driven =
            step->op == SAGA_ACTION || step->state == SIM_ASKING ? !saga->backward : saga->backward;
        if (step->open && driven && saga->parked == 0 && step->deadline_ms < late_ms &&
            !sim_daemon_was_late(step->deadline_ms)) {
            sim_violation("T3", "%s: its deadline is over since %lld s, and nothing happens",
                          check_text(saga, i), (long long)((now_ms - step->deadline_ms) / 1000));
        }
    }
}

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
        if ((step->state == SIM_UNDOING || step->state == SIM_CLOSING ||
             step->state == SIM_CLEARING) &&
            step->open) {
            return;
        }
    }
    sim_violation("T2", "%s goes backward with no command out", check_text(saga, SAGA_STEP_NONE));
}
