#include "definition.h"

#include "canonical.h"
#include "draft.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What saga_definition_parse() gives out is the first member of this. */
struct loaded {
    struct saga_definition definition;
    struct saga_arena arena; /* everything the definition points to, and the file's tree */
};

/* -------------------------------------------------------------------- build */

static void command_build(const struct saga_draft_command *draft,
                          struct saga_definition_command *command) {
    command->name = draft->name;
    command->done = draft->done;
    command->rejected = draft->rejected;
}

static void step_build(struct saga_arena *arena, const struct saga_draft *draft,
                       const struct saga_draft_step *from, struct saga_definition_step *step) {
    const struct saga_definition_participant *participant =
        &draft->participants[from->plan.participant].declared;
    step->name = from->name;
    step->participant = from->plan.participant;
    command_build(&from->action, &step->action);
    if (from->plan.undo == SAGA_UNDO_COMPENSATION) {
        command_build(&from->compensation, &step->compensation);
    }
    if (participant->fenced) {
        step->fence = saga_arena_format(arena, "%s.fence", participant->name);
        step->settle = saga_arena_format(arena, "%s.settle", participant->name);
    }
}

static void definition_build(struct saga_arena *arena, const struct saga_draft *draft,
                             struct saga_definition *definition) {
    struct saga_definition_participant *participants =
        saga_arena_take(arena, draft->participant_count * sizeof *participants);
    for (uint16_t i = 0; i < draft->participant_count; i++) {
        participants[i] = draft->participants[i].declared;
    }
    struct saga_definition_step *steps = saga_arena_take(arena, draft->step_count * sizeof *steps);
    definition->name = draft->name;
    definition->version = draft->version;
    definition->exchange = draft->exchange;
    definition->header_names = draft->header_names;
    definition->header_values = draft->header_values;
    definition->participant_count = draft->participant_count;
    definition->participants = participants;
    definition->steps = steps;
    definition->plan.deadline_ms = draft->deadline_ms;
    definition->plan.step_count = draft->step_count;
    definition->plan.pivot = draft->pivot;
    for (uint8_t i = 0; i < draft->step_count; i++) {
        step_build(arena, draft, &draft->steps[i], &steps[i]);
        definition->plan.steps[i] = draft->steps[i].plan;
    }
    /* A plan that the core would refuse had to be reported, not built. */
    assert(saga_plan_check(&definition->plan));
}

/* The log gives the canonical form back to this parser: one that is too large
 * would be lost there, so it is refused here. */
static void canonical_build(struct saga_report *report, const struct saga_draft *draft,
                            struct saga_definition *definition) {
    definition->canonical = saga_canonical_write(report->arena, draft, &definition->canonical_size);
    if (definition->canonical_size > SAGA_DEFINITION_BYTES_MAX) {
        saga_report_add(report, (struct saga_span){0, 1}, "shorten names, or lists of events",
                        "with every default written out, the definition has %zu bytes; at most %u "
                        "are kept",
                        definition->canonical_size, SAGA_DEFINITION_BYTES_MAX);
        return;
    }
    saga_canonical_hash(definition->canonical, definition->canonical_size, definition->hash);
}

enum saga_error saga_definition_parse(const char *text, size_t size,
                                      struct saga_definition **definition,
                                      struct saga_diagnostics *diagnostics) {
    struct loaded *loaded = calloc(1, sizeof *loaded);
    assert(loaded != NULL);
    saga_arena_init(&loaded->arena);
    struct saga_report report;
    /* No bytes may come with no address: a record without a payload. */
    saga_report_init(&report, &loaded->arena, size == 0 ? "" : text, size);

    struct saga_draft *draft = saga_arena_take(&loaded->arena, sizeof *draft);
    const struct saga_yaml_node *root = saga_yaml_read(&report);
    if (root != NULL) {
        saga_draft_read(&report, root, draft);
        saga_draft_check(&report, draft);
    }
    if (report.count == 0) {
        definition_build(&loaded->arena, draft, &loaded->definition);
        canonical_build(&report, draft, &loaded->definition);
    }
    saga_report_emit(&report, diagnostics);
    if (report.count != 0) {
        saga_definition_free(&loaded->definition);
        *definition = NULL;
        return SAGA_ERROR_INVALID;
    }
    *definition = &loaded->definition;
    return SAGA_OK;
}

void saga_definition_free(struct saga_definition *definition) {
    if (definition == NULL) {
        return;
    }
    struct loaded *loaded = (struct loaded *)definition;
    saga_arena_fini(&loaded->arena);
    free(loaded);
}

/* ------------------------------------------------------------------ queries */

static bool is_event(const char *name, const char *event, size_t size) {
    return strlen(name) == size && memcmp(name, event, size) == 0;
}

static bool is_listed(const char *const *events, const char *event, size_t size) {
    for (; events != NULL && *events != NULL; events++) {
        if (is_event(*events, event, size)) {
            return true;
        }
    }
    return false;
}

enum saga_verdict saga_definition_verdict(const struct saga_definition *definition, uint8_t step,
                                          enum saga_operation operation, const char *event,
                                          size_t size) {
    static const struct {
        const char *word;
        enum saga_verdict verdict;
    } words[] = {
        {"done", SAGA_DONE},   {"rejected", SAGA_REJECTED}, {"accepted", SAGA_ACCEPTED},
        {"retry", SAGA_RETRY}, {"fenced", SAGA_FENCED},     {"noop", SAGA_NOOP},
    };
    assert(step < definition->plan.step_count);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (is_event(words[i].word, event, size)) {
            return words[i].verdict;
        }
    }
    if (operation == SAGA_SETTLE) { /* a participant's own word, never an event of the file's */
        return is_event("SETTLED", event, size) ? SAGA_DONE : SAGA_UNKNOWN;
    }
    /* A fence answers about the action, in the action's events. */
    const struct saga_definition_command *command = operation == SAGA_COMPENSATION
                                                        ? &definition->steps[step].compensation
                                                        : &definition->steps[step].action;
    if (is_listed(command->done, event, size)) {
        return SAGA_DONE;
    }
    return is_listed(command->rejected, event, size) ? SAGA_REJECTED : SAGA_UNKNOWN;
}

uint8_t saga_definition_step(const struct saga_definition *definition,
                             const struct saga_bytes *name) {
    for (uint8_t i = 0; i < definition->plan.step_count; i++) {
        const char *own = definition->steps[i].name;
        if (strlen(own) == name->size && memcmp(own, name->data, name->size) == 0) {
            return i;
        }
    }
    return SAGA_STEP_NONE;
}

const char *saga_definition_command_name(const struct saga_definition *definition, uint8_t step,
                                         enum saga_operation operation) {
    assert(step < definition->plan.step_count);
    const struct saga_definition_step *of = &definition->steps[step];
    switch (operation) {
    case SAGA_ACTION:
        return of->action.name;
    case SAGA_COMPENSATION:
        return of->compensation.name;
    case SAGA_FENCE:
        return of->fence;
    case SAGA_SETTLE:
        return of->settle;
    }
    return NULL;
}
