/* The second pass: the saga as a whole. */
#include "draft.h"
#include "spelling.h"
#include "value.h"

#include <assert.h>
#include <string.h>

static struct saga_span value_place(const struct saga_draft_step *step, enum saga_draft_key key) {
    return saga_yaml_place(step->keys[key]->value);
}

/* "the step 'reserve' in line 37" */
static const char *step_text(struct saga_report *report, const struct saga_draft_step *step) {
    unsigned line = saga_report_line(report, step->node->span.start);
    return saga_arena_format(report->arena, "'%s' in line %u",
                             step->name != NULL ? step->name : "the step", line);
}

static const char *step_title(struct saga_report *report, const struct saga_draft_step *step) {
    return step->name != NULL ? saga_arena_format(report->arena, "step '%s'", step->name)
                              : "this step";
}

/* -------------------------------------------------------------- names, order */

static void names_check(struct saga_report *report, const struct saga_draft *draft) {
    for (uint8_t i = 0; i < draft->step_count; i++) {
        const struct saga_draft_step *step = &draft->steps[i];
        for (uint8_t j = 0; j < i && step->name != NULL; j++) {
            const struct saga_draft_step *other = &draft->steps[j];
            if (other->name == NULL || strcmp(step->name, other->name) != 0) {
                continue;
            }
            const char *hint = saga_arena_format(report->arena, "the first is %s; rename one",
                                                 step_text(report, other));
            saga_report_add(report, value_place(step, SAGA_KEY_NAME), hint,
                            "two steps are called '%s'", step->name);
            break;
        }
    }
}

/* One after the other, for now; the plan could hold any graph. */
static void positions_set(struct saga_report *report, struct saga_draft *draft) {
    draft->pivot = SAGA_STEP_NONE;
    for (uint8_t i = 0; i < draft->step_count; i++) {
        struct saga_draft_step *step = &draft->steps[i];
        step->plan.after = i == 0 ? 0 : UINT64_C(1) << (i - 1);
        step->plan.position = draft->pivot == SAGA_STEP_NONE ? SAGA_BEFORE_PIVOT : SAGA_AFTER_PIVOT;
        if (!step->pivot) {
            continue;
        }
        if (draft->pivot == SAGA_STEP_NONE) {
            draft->pivot = i;
            step->plan.position = SAGA_PIVOT;
        } else {
            const char *hint =
                saga_arena_format(report->arena, "%s is one already; a saga has at most one",
                                  step_text(report, &draft->steps[draft->pivot]));
            saga_report_add(report, step->keys[SAGA_KEY_PIVOT]->span, hint, "a second pivot");
        }
    }
}

/* ------------------------------------------------------------- participants */

static struct saga_draft_participant *participant_find(struct saga_draft *draft, const char *name) {
    for (uint16_t i = 0; i < draft->participant_count; i++) {
        const char *declared = draft->participants[i].declared.name;
        if (declared != NULL && strcmp(declared, name) == 0) {
            return &draft->participants[i];
        }
    }
    return NULL;
}

/* Names of the participants, for a guess at what was meant. */
static const char *nearest_listed(const struct saga_draft *draft, const char *name) {
    const char *names[SAGA_YAML_CHILDREN_MAX];
    for (uint16_t i = 0; i < draft->participant_count; i++) {
        names[i] = draft->participants[i].declared.name;
    }
    return saga_spelling_nearest(name, names, draft->participant_count);
}

/* A file without `participants` says that none keeps a fence; one with them
 * lists them all: otherwise a slip of the pen would take a participant's fence
 * away in silence. */
static struct saga_draft_participant *participant_of(struct saga_report *report,
                                                     struct saga_draft *draft,
                                                     const struct saga_draft_command *command) {
    struct saga_draft_participant *participant = participant_find(draft, command->participant);
    if (participant != NULL) {
        return participant;
    }
    if (draft->participants_listed) {
        const char *nearest = nearest_listed(draft, command->participant);
        const char *hint =
            nearest != NULL
                ? saga_arena_format(report->arena, "did you mean '%s'?", nearest)
                : saga_arena_format(report->arena, "add '%s: {fenced: true}', or false, to them",
                                    command->participant);
        saga_report_add(report, command->key->value->span, hint,
                        "participant '%s' is not listed under 'participants'",
                        command->participant);
        return NULL;
    }
    assert(draft->participant_count < SAGA_YAML_CHILDREN_MAX); /* at most one a step */
    participant = &draft->participants[draft->participant_count++];
    participant->declared.name = command->participant;
    return participant;
}

/* The participant of a step, if it can be relied on. */
static const struct saga_draft_participant *step_participant(const struct saga_draft *draft,
                                                             const struct saga_draft_step *step) {
    if (step->plan.participant >= draft->participant_count) {
        return NULL;
    }
    const struct saga_draft_participant *participant = &draft->participants[step->plan.participant];
    return participant->broken ? NULL : participant;
}

static bool known_unfenced(const struct saga_draft *draft, const struct saga_draft_step *step) {
    const struct saga_draft_participant *participant = step_participant(draft, step);
    return participant != NULL && !participant->declared.fenced;
}

static void participants_set(struct saga_report *report, struct saga_draft *draft) {
    bool all_known = draft->step_count > 0;
    for (uint8_t i = 0; i < draft->step_count; i++) {
        struct saga_draft_step *step = &draft->steps[i];
        struct saga_draft_participant *participant =
            step->action.name == NULL ? NULL : participant_of(report, draft, &step->action);
        step->plan.participant = UINT16_MAX;
        all_known &= step->action.name != NULL;
        if (participant == NULL) {
            continue;
        }
        participant->used = true;
        step->plan.participant = (uint16_t)(participant - draft->participants);
        step->plan.fenced = participant->declared.fenced;
        step->plan.single_delivery = participant->declared.single_delivery;
        const char *other = step->compensation.participant;
        if (other != NULL && strcmp(other, step->action.participant) != 0) {
            saga_report_add(report, step->compensation.key->value->span,
                            "a step is taken back by the participant that did it",
                            "the compensation is a command of '%s', the step's is one of '%s'",
                            other, step->action.participant);
        }
    }
    for (uint16_t i = 0; i < draft->participant_count && all_known; i++) {
        const struct saga_draft_participant *participant = &draft->participants[i];
        if (!participant->used && participant->declared.name != NULL) {
            saga_report_add(report, participant->key->span, "remove it, or correct its name",
                            "no step has a command of participant '%s'",
                            participant->declared.name);
        }
    }
}

/* --------------------------------------------------------------------- undo */

static uint8_t step_find(const struct saga_draft *draft, const char *name) {
    for (uint8_t i = 0; i < draft->step_count; i++) {
        if (draft->steps[i].name != NULL && strcmp(draft->steps[i].name, name) == 0) {
            return i;
        }
    }
    return SAGA_STEP_NONE;
}

static const char *nearest_step(struct saga_report *report, const struct saga_draft *draft,
                                const char *name) {
    const char *names[SAGA_STEPS_MAX];
    for (uint8_t i = 0; i < draft->step_count; i++) {
        names[i] = draft->steps[i].name;
    }
    const char *nearest = saga_spelling_nearest(name, names, draft->step_count);
    return nearest != NULL ? saga_arena_format(report->arena, "did you mean '%s'?", nearest)
                           : "name an earlier step that has a compensation";
}

static void compensated_by_check(struct saga_report *report, struct saga_draft *draft,
                                 uint8_t index) {
    struct saga_draft_step *step = &draft->steps[index];
    const struct saga_yaml_node *key = step->keys[SAGA_KEY_COMPENSATED_BY];
    if (known_unfenced(draft, step)) {
        saga_report_add(report, key->span,
                        "give the step a compensation of its own, or the participant a fence",
                        "'compensated_by' needs a fence, and '%s' has none",
                        step->action.participant);
    }
    if (step->compensated_by == NULL) {
        return;
    }
    struct saga_span span = value_place(step, SAGA_KEY_COMPENSATED_BY);
    uint8_t other = step_find(draft, step->compensated_by);
    if (other == SAGA_STEP_NONE) {
        saga_report_add(report, span, nearest_step(report, draft, step->compensated_by),
                        "there is no step '%s'", step->compensated_by);
    } else if (other >= index) {
        saga_report_add(report, span, "name an earlier step that has a compensation",
                        other == index ? "'%s' is this step itself" : "'%s' is a later step",
                        step->compensated_by);
    } else if (draft->steps[other].keys[SAGA_KEY_COMPENSATION] == NULL) {
        saga_report_add(report, span, "name an earlier step that has one",
                        "step '%s' has no compensation", step->compensated_by);
    } else {
        step->plan.compensated_by = other;
    }
}

/* At the pivot nothing is taken back that is done, and after it nothing at all. */
static void undo_refuse(struct saga_report *report, const struct saga_draft_step *step) {
    static const enum saga_draft_key keys[] = {SAGA_KEY_COMPENSATION, SAGA_KEY_COMPENSATED_BY};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct saga_yaml_node *key = step->keys[keys[i]];
        if (key != NULL) {
            saga_report_add(report, key->span,
                            "remove it: once the pivot is done, a saga never goes backward",
                            step->plan.position == SAGA_PIVOT ? "the pivot has a '%s'"
                                                              : "a step after the pivot has a '%s'",
                            key->text);
        }
    }
}

static void undo_check(struct saga_report *report, struct saga_draft *draft, uint8_t index) {
    struct saga_draft_step *step = &draft->steps[index];
    step->plan.undo = SAGA_UNDO_NOTHING;
    step->plan.compensated_by = SAGA_STEP_NONE;
    if (step->plan.position != SAGA_BEFORE_PIVOT) {
        undo_refuse(report, step);
        return;
    }
    const struct saga_yaml_node *compensation = step->keys[SAGA_KEY_COMPENSATION];
    const struct saga_yaml_node *compensated_by = step->keys[SAGA_KEY_COMPENSATED_BY];
    const struct saga_yaml_node *no_effect =
        step->no_effect ? step->keys[SAGA_KEY_NO_EFFECT] : NULL;
    if ((compensation != NULL) + (compensated_by != NULL) + (no_effect != NULL) > 1) {
        const struct saga_yaml_node *extra = no_effect != NULL ? no_effect : compensated_by;
        saga_report_add(report, extra->span, "keep one of them",
                        "'%s' beside '%s': a step is undone in one way", extra->text,
                        compensation != NULL ? "compensation" : "compensated_by");
    }
    if (compensation != NULL) {
        step->plan.undo = SAGA_UNDO_COMPENSATION;
    } else if (compensated_by != NULL) {
        step->plan.undo = SAGA_UNDO_BY_STEP;
    } else if (step->keys[SAGA_KEY_NO_EFFECT] == NULL || !step->no_effect) {
        saga_report_add(report, saga_yaml_place(step->node),
                        "before the pivot, a step needs 'compensation', 'compensated_by', or "
                        "'no_effect: true' if it changes nothing",
                        "%s has no compensation", step_title(report, step));
    }
    if (compensated_by != NULL) {
        compensated_by_check(report, draft, index);
    }
}

/* -------------------------------------------------------- unknown, the pivot */

/* What a step inherits is fitted to it; what it says itself must fit. */
static void on_unknown_check(struct saga_report *report, const struct saga_draft *draft,
                             struct saga_draft_step *step) {
    const struct saga_yaml_node *key = step->keys[SAGA_KEY_ON_UNKNOWN];
    bool before = step->plan.position == SAGA_BEFORE_PIVOT;
    if (key == NULL) {
        if (step->plan.on_unknown == SAGA_ON_UNKNOWN_FENCE && !step->plan.fenced) {
            step->plan.on_unknown = SAGA_ON_UNKNOWN_COMPENSATE;
        }
        if (step->plan.on_unknown == SAGA_ON_UNKNOWN_COMPENSATE && !before) {
            step->plan.on_unknown = SAGA_ON_UNKNOWN_PARK; /* nothing there is compensated */
        }
        return;
    }
    if (step->plan.position == SAGA_AFTER_PIVOT) {
        saga_report_add(report, key->span, "remove it",
                        "'on_unknown' means nothing after the pivot: the step is retried until "
                        "it is done");
    } else if (saga_value_is(key, "fence") && known_unfenced(draft, step)) {
        saga_report_add(report, value_place(step, SAGA_KEY_ON_UNKNOWN),
                        before ? "write compensate or park" : "write park",
                        "participant '%s' has no fence", step->action.participant);
    } else if (saga_value_is(key, "compensate") && !before) {
        saga_report_add(report, value_place(step, SAGA_KEY_ON_UNKNOWN), "write fence or park",
                        "the pivot cannot be compensated");
    }
}

static void after_pivot_check(struct saga_report *report, const struct saga_draft_step *step) {
    const struct saga_yaml_node *rejected = step->keys[SAGA_KEY_REJECTED];
    const struct saga_yaml_node *deadline = step->keys[SAGA_KEY_DEADLINE];
    if (rejected != NULL && rejected->value->count > 0) {
        saga_report_add(report, rejected->span, "remove it, or put the step before the pivot",
                        "%s can be rejected, and it is after the pivot", step_title(report, step));
    }
    if (deadline != NULL && step->plan.action.deadline_ms != 0) {
        saga_report_add(report, deadline->span,
                        "remove it (an inherited one alerts), or write none",
                        "%s sets a deadline, and it is after the pivot", step_title(report, step));
    }
}

void saga_draft_check(struct saga_report *report, struct saga_draft *draft) {
    names_check(report, draft);
    positions_set(report, draft);
    participants_set(report, draft);
    for (uint8_t i = 0; i < draft->step_count; i++) {
        struct saga_draft_step *step = &draft->steps[i];
        undo_check(report, draft, i);
        on_unknown_check(report, draft, step);
        if (step->plan.position == SAGA_AFTER_PIVOT && !step->pivot) {
            after_pivot_check(report, step);
        }
    }
}
