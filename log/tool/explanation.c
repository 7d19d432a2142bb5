#include "explanation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "ids.h"
#include "prospect.h"
#include "time_text.h"

/* What explaining needs. */
struct explaining {
    const struct saga_story *story;
    const struct saga_explanation_scene *scene;
    struct saga *saga; /* owned: the state, with the daemon's latest start in it */
    json_t *waits, *next, *verbs;
    struct saga_fault *fault;
};

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for an explanation");
}

/* Takes the reference; NULL: no memory. */
static enum saga_error append(const struct explaining *explaining, json_t *list, json_t *item) {
    return json_array_append_new(list, item) == 0 ? SAGA_OK : no_memory(explaining->fault);
}

static const char *step_name(const struct explaining *explaining, uint8_t step) {
    return explaining->story->definition->steps[step].name;
}

/* ------------------------------------------------------------------- waiting */

/* What of an outstanding command is waited for: "pause", "answer" or "result". */
static const char *wait_of(const struct explaining *explaining,
                           const struct saga_outstanding *command) {
    if (command->send_at_ms > explaining->scene->now_ms) {
        return "pause";
    }
    return command->in_progress ? "result" : "answer";
}

/* Since its last record: that one opened the attempt, or said that it is being worked on. A start
 * of the daemon after it sends the attempt again. */
static int64_t waiting_since(const struct explaining *explaining, uint8_t step) {
    const struct saga_chain *chain = &explaining->story->chain;
    for (size_t i = chain->count; i > 0; i--) {
        if (chain->records[i - 1].step == step) {
            return chain->records[i - 1].wall_ms;
        }
    }
    return chain->records[0].wall_ms;
}

static enum saga_error add_command(const struct explaining *explaining,
                                   const struct saga_outstanding *command) {
    const struct saga_definition *definition = explaining->story->definition;
    const struct saga_definition_step *step = &definition->steps[command->id.step];
    char since[SAGA_TIME_TEXT_SIZE];
    /* clang-format off */
    return append(explaining, explaining->waits,
                  json_pack("{s:s, s:s, s:s, s:s?, s:s, s:I, s:s}",
                            "for", wait_of(explaining, command),
                            "step", step->name,
                            "operation", saga_operation_name(command->id.operation),
                            "command", saga_definition_command_name(
                                definition, command->id.step,
                                (enum saga_operation)command->id.operation),
                            "participant", definition->participants[step->participant].name,
                            "attempt", (json_int_t)command->attempt,
                            "since", saga_time_text(waiting_since(explaining, command->id.step),
                                                    since)));
    /* clang-format on */
}

/* "attention", as items of their own. */
static enum saga_error add_persons(const struct explaining *explaining) {
    const struct saga_story *story = explaining->story;
    const struct saga_view view = {.id = story->id,
                                   .chain = &story->chain,
                                   .saga = explaining->saga,
                                   .definition = story->definition};
    json_t *items = saga_attention_json(&view);
    json_t *item;
    size_t i;
    enum saga_error error = items != NULL ? SAGA_OK : no_memory(explaining->fault);
    json_array_foreach(items, i, item) {
        if (error == SAGA_OK) {
            (void)json_object_del(item, "verbs");
            json_t *wait = json_pack("{s:s}", "for", "person");
            if (json_object_update(wait, item) != 0) {
                json_decref(wait);
                wait = NULL;
            }
            error = append(explaining, explaining->waits, wait);
        }
    }
    json_decref(items);
    return error;
}

/* A wish to go back, while the pivot is in doubt. */
static enum saga_error add_wish(const struct explaining *explaining) {
    const struct saga *saga = explaining->saga;
    const uint8_t pivot = explaining->story->definition->plan.pivot;
    if (saga->wish == 0 || pivot == SAGA_STEP_NONE) {
        return SAGA_OK;
    }
    return append(explaining, explaining->waits,
                  json_pack("{s:s, s:s, s:s}", "for", "verdict of the pivot", "step",
                            step_name(explaining, pivot), "reason", saga_reason_name(saga->wish)));
}

/* ------------------------------------------------------------------ what follows */

static struct saga_event event_at(const struct explaining *explaining, int64_t at_ms,
                                  enum saga_input_type type) {
    const int64_t now_ms = explaining->scene->now_ms;
    return (struct saga_event){
        .at_ms = at_ms,
        .wall_ms = at_ms > now_ms ? at_ms : now_ms,
        .epoch = explaining->saga->epoch,
        .type = (uint8_t)type,
        .step = SAGA_STEP_NONE,
    };
}

/* "at" of what has no moment is null. */
static enum saga_error add_next(const struct explaining *explaining, const struct saga_event *event,
                                const char *step, const char *cause, bool timed) {
    char at[SAGA_TIME_TEXT_SIZE];
    struct saga_prospect prospect;
    enum saga_error error = saga_prospect_make(
        &prospect, explaining->saga, explaining->story->definition, event, explaining->fault);
    if (error != SAGA_OK || !prospect.recorded) {
        saga_prospect_fini(&prospect);
        return error;
    }
    const json_int_t in_ms = event->at_ms - explaining->scene->now_ms;
    error = append(explaining, explaining->next,
                   json_pack("{s:s?, s:o, s:s, s:s?, s:s}", "at",
                             timed ? saga_time_text(event->at_ms, at) : NULL, "in_ms",
                             timed ? json_integer(in_ms) : json_null(), "cause", cause, "step",
                             step, "then", prospect.then));
    saga_prospect_fini(&prospect);
    return error;
}

/* Something that is done without a record: an attempt is sent, or sent again. */
static enum saga_error add_sending(const struct explaining *explaining,
                                   const struct saga_outstanding *command, int64_t at_ms,
                                   const char *cause) {
    char at[SAGA_TIME_TEXT_SIZE];
    char then[64];
    (void)snprintf(then, sizeof then, "attempt %u is sent%s", command->attempt,
                   command->in_progress ? " again" : "");
    return append(explaining, explaining->next,
                  json_pack("{s:s, s:I, s:s, s:s, s:s}", "at", saga_time_text(at_ms, at), "in_ms",
                            (json_int_t)(at_ms - explaining->scene->now_ms), "cause", cause, "step",
                            step_name(explaining, command->id.step), "then", then));
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* What each word that decides something would come to. */
static enum saga_error add_answers(const struct explaining *explaining, uint8_t index,
                                   uint8_t operation) {
    /* Those that are definite on such a command (docs/semantics.md, "Verdicts"). */
    static const uint8_t verdicts[SAGA_OPERATION_COUNT + 1][3] = {
        [SAGA_ACTION] = {SAGA_DONE, SAGA_REJECTED, SAGA_FENCED},
        [SAGA_COMPENSATION] = {SAGA_DONE, SAGA_REJECTED, SAGA_NOOP},
        [SAGA_FENCE] = {SAGA_DONE, SAGA_REJECTED, SAGA_FENCED},
        [SAGA_SETTLE] = {SAGA_DONE},
    };
    const struct saga_step *step = &explaining->saga->steps[index];
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < 3 && verdicts[operation][i] != 0 && error == SAGA_OK; i++) {
        struct saga_event event = event_at(explaining, explaining->scene->now_ms, SAGA_INPUT_REPLY);
        struct saga_prospect prospect;
        char cause[64];
        event.step = index;
        event.operation = operation;
        event.verdict = verdicts[operation][i];
        event.incarnation = step->incarnation;
        event.revision = step->operation == operation ? step->revision : 1;
        event.payload = (struct saga_bytes){.data = "{}", .size = 2};
        error = saga_prospect_make(&prospect, explaining->saga, explaining->story->definition,
                                   &event, explaining->fault);
        const bool counts = error == SAGA_OK && prospect.answer == SAGA_ANSWER_TAKEN;
        saga_prospect_fini(&prospect);
        (void)snprintf(cause, sizeof cause, "%s", saga_verdict_name(verdicts[operation][i]));
        if (counts) {
            error = add_next(explaining, &event, step_name(explaining, index), cause, false);
        }
    }
    return error;
}

static enum saga_error add_end_of_wait(const struct explaining *explaining,
                                       const struct saga_outstanding *command) {
    const int64_t now_ms = explaining->scene->now_ms;
    const bool paused = command->send_at_ms > now_ms;
    const int64_t sent_ms = command->send_at_ms;
    enum saga_error error = SAGA_OK;
    if (paused && sent_ms < command->deadline_ms) {
        error = add_sending(explaining, command, sent_ms, "its pause is over");
    } else if (command->in_progress && sent_ms + command->poll_ms < command->deadline_ms) {
        error = add_sending(explaining, command, sent_ms + command->poll_ms, "no result");
    }
    const int64_t patience_ms = command->in_progress ? INT64_MAX : sent_ms + command->timeout_ms;
    const int64_t over_ms = earlier(patience_ms, command->deadline_ms);
    if (error != SAGA_OK || over_ms == INT64_MAX) {
        return error;
    }
    struct saga_event event = event_at(explaining, over_ms, SAGA_INPUT_TIMEOUT);
    event.step = command->id.step;
    event.unsent = paused && command->deadline_ms <= sent_ms;
    return add_next(explaining, &event, step_name(explaining, command->id.step),
                    over_ms == command->deadline_ms ? "its deadline is over" : "no answer", true);
}

static enum saga_error look_ahead(const struct explaining *explaining) {
    const struct saga *saga = explaining->saga;
    const struct saga_plan *plan = &explaining->story->definition->plan;
    struct saga_outstanding commands[SAGA_STEPS_MAX];
    const size_t count = saga_todo(saga, plan, commands);
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < count && error == SAGA_OK; i++) {
        error = add_command(explaining, &commands[i]);
        if (error == SAGA_OK) {
            error = add_end_of_wait(explaining, &commands[i]);
        }
        if (error == SAGA_OK) {
            error = add_answers(explaining, commands[i].id.step, commands[i].id.operation);
        }
    }
    for (uint8_t i = 0; i < saga->step_count && error == SAGA_OK; i++) {
        const bool silent =
            saga->steps[i].phase == SAGA_STEP_UNKNOWN || saga->steps[i].phase == SAGA_STEP_DEBT;
        if (silent && saga->outcome == 0) { /* an answer may come after all */
            error = add_answers(explaining, i, saga->steps[i].operation);
        }
    }
    if (error == SAGA_OK && saga_deadline_counts(saga, plan)) {
        const struct saga_event event =
            event_at(explaining, saga->deadline_ms, SAGA_INPUT_SAGA_DEADLINE);
        error = add_next(explaining, &event, NULL, "the saga's deadline is over", true);
    }
    return error;
}

/* ------------------------------------------------------------------- operators */

/* What an operator may say, as sagactl has it. */
static const struct {
    const char *name;
    const char *verdict; /* NULL: none */
    uint8_t input;
    uint8_t said; /* enum saga_verdict */
    bool about_step;
} verbs[] = {
    {"cancel", NULL, SAGA_INPUT_CANCEL, 0, false},
    {"retry", NULL, SAGA_INPUT_RETRY, 0, false},
    {"resolve", "done", SAGA_INPUT_RESOLVE, SAGA_DONE, true},
    {"resolve", "rejected", SAGA_INPUT_RESOLVE, SAGA_REJECTED, true},
    {"mark-compensated", NULL, SAGA_INPUT_MARK_COMPENSATED, 0, true},
    {"write-off", NULL, SAGA_INPUT_WRITE_OFF, 0, true},
};

static enum saga_error add_verb(const struct explaining *explaining, size_t verb, uint8_t step) {
    char id[SAGA_ID_TEXT_SIZE];
    char command[SAGA_NAME_BYTES_MAX + 128];
    struct saga_prospect prospect;
    struct saga_event event =
        event_at(explaining, explaining->scene->now_ms, (enum saga_input_type)verbs[verb].input);
    event.step = step;
    event.verdict = verbs[verb].said;
    enum saga_error error = saga_prospect_make(
        &prospect, explaining->saga, explaining->story->definition, &event, explaining->fault);
    const bool taken =
        error == SAGA_OK && prospect.recorded &&
        (prospect.answer == SAGA_ANSWER_TAKEN || prospect.answer == SAGA_ANSWER_PENDING);
    if (!taken) {
        saga_prospect_fini(&prospect);
        return error;
    }
    const char *name = step != SAGA_STEP_NONE ? step_name(explaining, step) : NULL;
    const char *verdict = verbs[verb].verdict;
    (void)snprintf(command, sizeof command, "sagactl %s %s%s%s%s%s%s", verbs[verb].name,
                   saga_id_text(&explaining->saga->id, id), name != NULL ? " --step " : "",
                   name != NULL ? name : "", verdict != NULL ? " --verdict " : "",
                   verdict != NULL ? verdict : "", name != NULL ? " --reason TEXT" : "");
    /* clang-format off */
    error = append(explaining, explaining->verbs,
                   json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:s}",
                             "verb", verbs[verb].name,
                             "step", name,
                             "verdict", verdict,
                             "answer", prospect.answer == SAGA_ANSWER_PENDING ? "pending"
                                                                              : "accepted",
                             "then", prospect.then,
                             "command", command));
    /* clang-format on */
    saga_prospect_fini(&prospect);
    return error;
}

static enum saga_error add_verbs(const struct explaining *explaining) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && error == SAGA_OK; i++) {
        if (!verbs[i].about_step) {
            error = add_verb(explaining, i, SAGA_STEP_NONE);
            continue;
        }
        for (uint8_t step = 0; step < explaining->saga->step_count && error == SAGA_OK; step++) {
            error = add_verb(explaining, i, step);
        }
    }
    return error;
}

/* ----------------------------------------------------------------------- all */

static const char *pivot_of(const struct explaining *explaining) {
    const struct saga *saga = explaining->saga;
    const uint8_t pivot = explaining->story->definition->plan.pivot;
    if (pivot == SAGA_STEP_NONE) {
        return "none";
    }
    if (saga->pivot_passed) {
        return "passed";
    }
    switch ((enum saga_phase)saga->steps[pivot].phase) {
    case SAGA_STEP_RUNNING:
    case SAGA_STEP_UNKNOWN:
    case SAGA_STEP_FENCING:
        return "in doubt";
    default:
        return saga->direction == SAGA_FORWARD ? "ahead" : "not passed";
    }
}

/* The state, with what the daemon's latest start made of it. */
static enum saga_error take_state(struct explaining *explaining) {
    const struct saga_story *story = explaining->story;
    const struct saga_explanation_scene *scene = explaining->scene;
    const size_t size = saga_size(story->saga->step_count);
    explaining->saga = malloc(size);
    if (explaining->saga == NULL) {
        return no_memory(explaining->fault);
    }
    memcpy(explaining->saga, story->saga, size);
    if (scene->epoch > story->saga->epoch && story->saga->outcome == 0) {
        const struct saga_record epoch = {
            .fact = SAGA_EPOCH_STARTED,
            .step = SAGA_STEP_NONE,
            .epoch = scene->epoch,
            .at_ms = scene->epoch_ms,
        };
        (void)!saga_apply(explaining->saga, &story->definition->plan, &epoch);
    }
    return SAGA_OK;
}

static enum saga_error explain(struct explaining *explaining) {
    enum saga_error error = take_state(explaining);
    if (error == SAGA_OK) {
        error = add_persons(explaining);
    }
    if (error == SAGA_OK) {
        error = look_ahead(explaining);
    }
    if (error == SAGA_OK) {
        error = add_wish(explaining);
    }
    return error == SAGA_OK ? add_verbs(explaining) : error;
}

/* As the API gives the saga, without its data, and with what was found out. */
static json_t *whole(const struct explaining *explaining) {
    const bool known = explaining->saga != NULL;
    const struct saga_story *story = explaining->story;
    char now[SAGA_TIME_TEXT_SIZE];
    char since[SAGA_TIME_TEXT_SIZE];
    json_t *json = saga_story_json(story);
    const char *changed =
        story->chain.count > 0
            ? saga_time_text(story->chain.records[story->chain.count - 1].wall_ms, since)
            : NULL;
    (void)json_object_del(json, "data");
    (void)json_object_del(json, "attention");
    const char *direction = !known                                        ? NULL
                            : explaining->saga->direction == SAGA_FORWARD ? "forward"
                                                                          : "backward";
    /* clang-format off */
    json_t *more = json_pack("{s:s?, s:s, s:b, s:s?, s:s?, s:s?, s:O, s:O, s:O}",
                             "changed_at", changed,
                             "now", saga_time_text(explaining->scene->now_ms, now),
                             "daemon", explaining->scene->daemon,
                             "direction", direction,
                             "pivot", known ? pivot_of(explaining) : NULL,
                             "problem", story->problem[0] != '\0' ? story->problem : NULL,
                             "waits", explaining->waits,
                             "next", explaining->next,
                             "verbs", explaining->verbs);
    /* clang-format on */
    const bool made = json != NULL && more != NULL && json_object_update(json, more) == 0;
    json_decref(more);
    if (!made) {
        json_decref(json);
        return NULL;
    }
    return json;
}

enum saga_error saga_explanation_make(const struct saga_story *story,
                                      const struct saga_explanation_scene *scene, json_t **json,
                                      struct saga_fault *fault) {
    struct explaining explaining = {.story = story,
                                    .scene = scene,
                                    .waits = json_array(),
                                    .next = json_array(),
                                    .verbs = json_array(),
                                    .fault = fault};
    /* Of one that is out of service nothing follows, whatever its state. */
    const bool known = story->saga != NULL && story->problem[0] == '\0';
    enum saga_error error = SAGA_OK;
    if (explaining.waits == NULL || explaining.next == NULL || explaining.verbs == NULL) {
        error = no_memory(fault);
    } else if (known) {
        error = explain(&explaining);
    } else {
        error = append(&explaining, explaining.waits,
                       json_pack("{s:s, s:s, s:s}", "for", "person", "reason", "quarantined", "why",
                                 story->problem));
    }
    *json = error == SAGA_OK ? whole(&explaining) : NULL;
    json_decref(explaining.waits);
    json_decref(explaining.next);
    json_decref(explaining.verbs);
    free(explaining.saga);
    return error == SAGA_OK && *json == NULL ? no_memory(fault) : error;
}
