#include <stdio.h>
#include <string.h>

#include "json.h"
#include "reply.h"
#include "turn.h"

/* Limits of what an operator may say (docs/api.md). */
#define NOTE_BYTES_MAX 1000

/* What is asked of which saga. */
struct deed {
    struct saga_request *request;
    struct saga_census_line line;
    const struct saga_definition *definition; /* NULL: the saga is quarantined */
    uint8_t step;                             /* or SAGA_STEP_NONE */
};

static bool about_step(const struct saga_request *request) {
    return request->type == SAGA_REQUEST_RESOLVE ||
           request->type == SAGA_REQUEST_MARK_COMPENSATED ||
           request->type == SAGA_REQUEST_WRITE_OFF;
}

/* ------------------------------------------------------------- what is wrong with it */

static bool find_step(struct deed *deed) {
    deed->step = saga_definition_step(deed->definition, &deed->request->step);
    return deed->step != SAGA_STEP_NONE;
}

static void name_steps(const struct saga_definition *definition, char *text, size_t room) {
    size_t used = 0;
    text[0] = '\0';
    for (uint8_t i = 0; i < definition->plan.step_count && used < room; i++) {
        int written = snprintf(text + used, room - used, "%s%s", i == 0 ? "" : ", ",
                               definition->steps[i].name);
        used += written > 0 ? (size_t)written : 0;
    }
}

/* True if the request makes sense, whatever the saga's state. */
static bool check(struct saga_engine *engine, struct deed *deed) {
    struct saga_request *request = deed->request;
    struct saga_fault fault;
    json_t *json = NULL;
    if (request->key.size > NOTE_BYTES_MAX || request->body.size > NOTE_BYTES_MAX) {
        saga_turn_refuse(engine, request, SAGA_RESULT_TOO_LARGE, "a reason has at most %u bytes",
                         NOTE_BYTES_MAX);
        return false;
    }
    if (about_step(request) && deed->definition != NULL && !find_step(deed)) {
        char names[128];
        name_steps(deed->definition, names, sizeof names);
        saga_turn_refuse(engine, request, SAGA_RESULT_INVALID,
                         "the saga has no step '%.*s'; there is: %s",
                         request->step.size < 40 ? (int)request->step.size : 40,
                         (const char *)request->step.data, names);
        return false;
    }
    if (request->type != SAGA_REQUEST_RESOLVE) {
        return true;
    }
    bool done = request->verdict == SAGA_DONE;
    if ((!done && request->verdict != SAGA_REJECTED) || (!done && request->content.size > 0)) {
        saga_turn_refuse(engine, request, SAGA_RESULT_INVALID,
                         "a step is resolved done, with or without a content, or rejected");
        return false;
    }
    if (request->content.size > SAGA_REPLY_BYTES_MAX) {
        saga_turn_refuse(engine, request, SAGA_RESULT_TOO_LARGE, "a content has at most %u bytes",
                         SAGA_REPLY_BYTES_MAX);
        return false;
    }
    if (request->content.size > 0 &&
        saga_json_parse(request->content.data, request->content.size, &json, &fault) != SAGA_OK) {
        saga_turn_refuse(engine, request, SAGA_RESULT_INVALID, "the content: %.200s", fault.text);
        return false;
    }
    json_decref(json);
    return true;
}

/* --------------------------------------------------------------- why it is refused */

static void refuse_resolution(struct saga_engine *engine, const struct deed *deed,
                              const struct saga *saga) {
    const char *name = deed->definition->steps[deed->step].name;
    const struct saga_plan_step *planned = &deed->definition->plan.steps[deed->step];
    const char *status = saga_step_status_name(&saga->steps[deed->step]);
    if (saga->direction == SAGA_BACKWARD) {
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "the saga goes backward: no verdict is waited for; a debt is settled by "
                         "mark-compensated or write-off");
    } else if (deed->request->verdict == SAGA_REJECTED && planned->position == SAGA_AFTER_PIVOT) {
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "step '%.64s' stands after the pivot, from where there is no way back: it "
                         "can be resolved done, or retried",
                         name);
    } else if (saga->parked == SAGA_REASON_CONTRACT_BROKEN) {
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "the saga is parked since a participant broke its contract, not in doubt");
    } else {
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "step '%.64s' is not in doubt (it is %s): only the step that a saga is "
                         "parked about, in doubt, can be resolved, and the pivot as rejected while "
                         "its command is out",
                         name, status);
    }
}

static void refuse_settlement(struct saga_engine *engine, const struct deed *deed,
                              const struct saga *saga) {
    const char *name = deed->definition->steps[deed->step].name;
    const struct saga_step *step = &saga->steps[deed->step];
    if ((step->flags & (SAGA_STEP_MARKED | SAGA_STEP_WRITTEN_OFF)) != 0) {
        saga_turn_refuse(
            engine, deed->request, SAGA_RESULT_CONFLICT, "step '%.64s' has been %s already", name,
            (step->flags & SAGA_STEP_MARKED) != 0 ? "marked compensated" : "written off");
        return;
    }
    saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                     "step '%.64s' is no debt (it is %s): only a compensation that was refused, or "
                     "whose budget is used up, can be settled by hand",
                     name, saga_step_status_name(step));
}

static void refuse_by_state(struct saga_engine *engine, const struct deed *deed) {
    const struct saga_plan *plan = NULL;
    const struct saga *saga = saga_coordinator_find(engine->coordinator, &deed->request->id, &plan);
    if (saga == NULL || deed->definition == NULL ||
        saga_coordinator_quarantined(engine->coordinator, &deed->request->id)) {
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "the saga is quarantined (see sagalog show)");
        return;
    }
    switch ((enum saga_request_type)deed->request->type) {
    case SAGA_REQUEST_RESOLVE:
        refuse_resolution(engine, deed, saga);
        return;
    case SAGA_REQUEST_MARK_COMPENSATED:
    case SAGA_REQUEST_WRITE_OFF:
        refuse_settlement(engine, deed, saga);
        return;
    case SAGA_REQUEST_CANCEL:
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "the saga cannot go back any more: it has passed its pivot");
        return;
    default:
        saga_turn_refuse(engine, deed->request, SAGA_RESULT_CONFLICT,
                         "a retry cannot help: a participant broke its contract, or its rejection "
                         "cannot be believed (see sagactl get)");
        return;
    }
}

/* ------------------------------------------------------------------------ doing it */

static uint8_t input_of(uint8_t type) {
    switch ((enum saga_request_type)type) {
    case SAGA_REQUEST_CANCEL:
        return SAGA_INPUT_CANCEL;
    case SAGA_REQUEST_RESOLVE:
        return SAGA_INPUT_RESOLVE;
    case SAGA_REQUEST_MARK_COMPENSATED:
        return SAGA_INPUT_MARK_COMPENSATED;
    case SAGA_REQUEST_WRITE_OFF:
        return SAGA_INPUT_WRITE_OFF;
    default:
        return SAGA_INPUT_RETRY;
    }
}

static enum saga_answer act(struct saga_engine *engine, const struct deed *deed,
                            struct saga_moment now) {
    const struct saga_request *request = deed->request;
    struct saga_input input = saga_turn_input(engine, SAGA_DOOR_EVENT, now);
    input.saga = request->id;
    input.event.type = input_of(request->type);
    input.event.step = deed->step;
    input.event.verdict = request->type == SAGA_REQUEST_RESOLVE ? request->verdict : 0;
    input.event.key = request->key;
    input.event.payload = request->body;
    input.event.content = request->content;
    return saga_turn_step(engine, &input, now);
}

void saga_turn_operate(struct saga_engine *engine, struct saga_request *request,
                       struct saga_moment now) {
    struct deed deed = {.request = request, .step = SAGA_STEP_NONE};
    if (!saga_turn_find(engine, &request->id, &deed.line)) {
        saga_turn_refuse(engine, request, SAGA_RESULT_NO_SAGA, "there is no saga of this id");
        return;
    }
    deed.definition = saga_registry_at(engine->registry, deed.line.definition_lsn);
    if (!check(engine, &deed)) {
        return;
    }
    request->answer = (uint8_t)act(engine, &deed, now);
    switch ((enum saga_answer)request->answer) {
    case SAGA_ANSWER_TAKEN:
    case SAGA_ANSWER_PENDING:
        saga_turn_answer(engine, request, SAGA_RESULT_ACCEPTED);
        return;
    case SAGA_ANSWER_ALREADY:
        saga_turn_answer(engine, request, SAGA_RESULT_OK);
        return;
    case SAGA_ANSWER_NO_SAGA:
        saga_turn_refuse(engine, request, SAGA_RESULT_CONFLICT,
                         saga_turn_set_aside(deed.line.status) ? "the saga is %s (see sagalog show)"
                                                               : "the saga has ended (%s)",
                         deed.line.status);
        return;
    case SAGA_ANSWER_REFUSED:
    case SAGA_ANSWER_STALE:
    case SAGA_ANSWER_LATE:
    case SAGA_ANSWER_FULL:
        break;
    }
    refuse_by_state(engine, &deed);
}
