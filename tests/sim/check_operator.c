/* What operators do to a saga, by the checker's own rules. */
#include <string.h>

#include "check_state.h"
#include "marks.h"

void check_reopen(const struct scene *about, uint8_t index, enum sim_state state) {
    struct saga_record record = *about->record;
    struct scene scene = {
        .saga = about->saga,
        .record = &record,
        .step = &about->saga->steps[index],
        .plan = &about->saga->shape->steps[index],
    };
    record.step = index;
    scene.step->state = state;
    check_attempt_begins(&scene, scene.step->attempt + 1);
}

bool check_is_manual(const struct check_saga *saga) {
    bool manual = saga->resolved;
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        manual = manual || step->resolved || step->marked || step->written_off;
    }
    return manual;
}

uint8_t check_outcome_due(const struct check_saga *saga) {
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        if (saga->steps[i].written_off) {
            return SAGA_INCONSISTENT;
        }
    }
    if (saga->backward) {
        return check_is_manual(saga) ? SAGA_COMPENSATED_MANUALLY : SAGA_COMPENSATED;
    }
    return check_is_manual(saga) ? SAGA_COMPLETED_MANUALLY : SAGA_COMPLETED;
}

static void retried(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    check_demand(saga->parked != SAGA_REASON_CONTRACT_BROKEN &&
                     saga->parked != SAGA_REASON_REJECTION_IN_DOUBT,
                 "L4", scene, "a retry cannot help");
    if (saga->parked == SAGA_REASON_IN_DOUBT) {
        uint8_t index = saga->parked_step;
        check_demand(saga->steps[index].state == SIM_DOUBTFUL, "L4", scene, "nothing is in doubt");
        check_reopen(scene, index, saga->steps[index].op == SAGA_FENCE ? SIM_ASKING : SIM_RUNNING);
    }
    check_unpark(saga);
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        struct check_step *step = &saga->steps[i];
        bool owed = step->state == SIM_OWED && !step->marked && !step->written_off;
        step->retried = step->retried || owed;
        step->ended_ms = -1; /* its backoff ends */
    }
}

/* The pivot's command is out, or was: only its fence, or its own word, can say no. */
static void wish_to_reject(struct scene *scene, bool doubt) {
    struct check_saga *saga = scene->saga;
    check_demand(doubt || saga->wish != SAGA_REASON_RESOLVED, "L4", scene,
                 "what is wished for already is recorded again");
    saga->wish = SAGA_REASON_RESOLVED;
    if (doubt) {
        check_unpark(saga);
        if (scene->step->fence_issued) {
            check_reopen(scene, saga->shape->pivot, SIM_ASKING);
        }
    }
}

static void resolved(struct scene *scene) {
    struct check_saga *saga = scene->saga;
    struct check_step *step = scene->step;
    bool no = scene->record->verdict == SAGA_REJECTED;
    bool doubt =
        saga->parked_step == scene->record->step &&
        (saga->parked == SAGA_REASON_IN_DOUBT || saga->parked == SAGA_REASON_REJECTION_IN_DOUBT);
    check_demand(no || scene->record->verdict == SAGA_DONE, "L4", scene, "no such verdict");
    check_demand(!saga->backward, "L4", scene, "it goes back already");
    check_demand(!no || scene->plan->place != SIM_BEHIND, "C6", scene,
                 "a step behind the pivot is rejected");
    if (no && scene->plan->place == SIM_AT_PIVOT) {
        bool fenced = sim_parties[scene->plan->party].fenced;
        bool out = step->state == SIM_RUNNING || step->state == SIM_ASKING;
        if (doubt ? fenced && step->state == SIM_DOUBTFUL : out) {
            wish_to_reject(scene, doubt);
            return;
        }
    }
    check_demand(doubt, "L4", scene, "this step is not in doubt");
    step->state = check_move(scene, no ? SIM_HAND_REJECTED : SIM_HAND_DONE);
    step->resolved = true;
    check_unpark(saga);
    if (!no && scene->record->content.size > 0) {
        check_note_result(scene, &scene->record->content);
    }
}

static void settled(struct scene *scene) {
    struct check_step *step = scene->step;
    check_demand(scene->saga->backward && step->state == SIM_OWED, "L4", scene,
                 "what is no debt is settled");
    check_demand(!step->marked && !step->written_off, "L4", scene, "it is settled already");
    step->marked = scene->record->verb == SAGA_VERB_MARK_COMPENSATED;
    step->written_off = !step->marked;
    step->retried = false;
    check_unpark(scene->saga);
    if (!sim_parties[scene->plan->party].fenced) {
        step->state = check_move(scene, SIM_HAND_SETTLES);
    }
}

void check_operator(struct scene *scene) {
    const struct saga_record *record = scene->record;
    check_demand(record->key.size > 0 && record->payload.size > 0, "O1", scene,
                 "nobody knows who did it, and why");
    check_demand((record->verb == SAGA_VERB_RETRY) == (scene->step == NULL), "L4", scene,
                 "about which step?");
    switch ((enum saga_verb)record->verb) {
    case SAGA_VERB_RETRY:
        retried(scene);
        break;
    case SAGA_VERB_RESOLVE:
        resolved(scene);
        break;
    case SAGA_VERB_MARK_COMPENSATED:
    case SAGA_VERB_WRITE_OFF:
        settled(scene);
        break;
    default:
        check_fail("L4", scene, "no such verb");
    }
    scene->saga->deeds |= UINT32_C(1) << record->verb;
}
