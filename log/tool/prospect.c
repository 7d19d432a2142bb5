#include "prospect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define TEXT_COLUMNS 60
/* Each render is answered by at least one record, and a decision has few of those. */
#define ROUNDS_MAX 8

/* A copy of the saga, before and after the record at hand, and the words so far. */
struct course {
    struct saga *before;
    struct saga *after;
    const struct saga_definition *definition;
    FILE *out;
    size_t words;
};

/* Words of one kind, behind those before. */
static void put(struct course *course,
                void (*write)(FILE *out, const struct saga_record *record,
                              const struct saga_trace_scene *scene),
                const struct saga_record *record) {
    const struct saga_trace_scene scene = {
        .definition = course->definition,
        .before = course->before,
        .after = course->after,
        .text_columns = TEXT_COLUMNS,
    };
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory != NULL) {
        write(memory, record, &scene);
        (void)fclose(memory);
    }
    if (size > 0) {
        (void)fprintf(course->out, "%s%s", course->words++ > 0 ? ", " : "", text);
    }
    free(text);
}

/* What happened is known to whoever asks: only what follows is told. */
static void tell(struct course *course, const struct saga_decision *decision) {
    const struct saga_plan *plan = &course->definition->plan;
    for (uint8_t i = 0; i < decision->record_count; i++) {
        const struct saga_record *record = &decision->records[i];
        memcpy(course->before, course->after, saga_size(plan->step_count));
        if (saga_apply(course->after, plan, record) != SAGA_APPLIED) {
            return; /* it cannot be: the core has applied it, too */
        }
        if (!saga_trace_is_cause(record)) {
            put(course, saga_trace_write, record);
        }
        put(course, saga_trace_conclude, record);
    }
}

/* The body that the core asks for is there at once. */
static struct saga_event rendered(const struct saga_event *event,
                                  const struct saga_decision *decision) {
    return (struct saga_event){
        .at_ms = event->at_ms,
        .wall_ms = event->wall_ms,
        .epoch = event->epoch,
        .type = SAGA_INPUT_RENDERED,
        .step = decision->render_step,
        .operation = decision->render_operation,
        .payload = {.data = "{}", .size = 2},
    };
}

static void run(struct saga_prospect *prospect, struct saga *scratch, struct course *course,
                const struct saga_event *event) {
    const struct saga_plan *plan = &course->definition->plan;
    struct saga_decision decision;
    saga_decide(scratch, plan, event, scratch->last_lsn + 1, &decision);
    prospect->answer = decision.answer;
    prospect->recorded = decision.record_count > 0;
    tell(course, &decision);
    for (int i = 0; i < ROUNDS_MAX && decision.render_step != SAGA_STEP_NONE; i++) {
        const struct saga_event next = rendered(event, &decision);
        saga_decide(scratch, plan, &next, scratch->last_lsn + 1, &decision);
        tell(course, &decision);
    }
}

static struct saga *copy_of(const struct saga *saga) {
    const size_t size = saga_size(saga->step_count);
    struct saga *copy = malloc(size);
    return copy != NULL ? memcpy(copy, saga, size) : NULL;
}

enum saga_error saga_prospect_make(struct saga_prospect *prospect, const struct saga *saga,
                                   const struct saga_definition *definition,
                                   const struct saga_event *event, struct saga_fault *fault) {
    size_t size = 0;
    *prospect = (struct saga_prospect){0};
    struct saga *scratch = copy_of(saga);
    struct course course = {
        .before = copy_of(saga),
        .after = copy_of(saga),
        .definition = definition,
        .out = open_memstream(&prospect->then, &size),
    };
    bool whole =
        scratch != NULL && course.before != NULL && course.after != NULL && course.out != NULL;
    if (whole) {
        run(prospect, scratch, &course, event);
    }
    whole = course.out != NULL && fclose(course.out) == 0 && whole;
    free(scratch);
    free(course.before);
    free(course.after);
    if (!whole) {
        saga_prospect_fini(prospect);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for what may follow");
    }
    return SAGA_OK;
}

void saga_prospect_fini(struct saga_prospect *prospect) {
    free(prospect->then);
    prospect->then = NULL;
}
