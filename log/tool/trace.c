#include "trace.h"

#include <inttypes.h>
#include <string.h>

#include "escape.h"
#include "ids.h"
#include "json.h"
#include "span.h"

bool saga_trace_is_cause(const struct saga_record *record) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_COMMAND_ISSUED:
    case SAGA_COMPENSATION_STARTED:
    case SAGA_PIVOT_PASSED:
    case SAGA_PARKED:
    case SAGA_ENDED:
        return false;
    case SAGA_DEFINITION_LOADED:
    case SAGA_STARTED:
    case SAGA_COMMAND_UNSENT:
    case SAGA_REPLY_RECEIVED:
    case SAGA_ATTEMPT_EXPIRED:
    case SAGA_CANCEL_REQUESTED:
    case SAGA_LATE_REPLY_RECEIVED:
    case SAGA_OPERATOR_ACTED:
    case SAGA_EPOCH_STARTED:
    case SAGA_OUTCOMES_TOLD:
    case SAGA_HISTORY_PURGED:
        break;
    }
    return true;
}

char *saga_trace_id(const struct saga_id *id, char *text) {
    char whole[SAGA_ID_TEXT_SIZE];
    memcpy(text, saga_id_text(id, whole) + SAGA_ID_TEXT_SIZE - SAGA_TRACE_ID_SIZE,
           SAGA_TRACE_ID_SIZE);
    return text;
}

/* ------------------------------------------------------------------- parts */

static void write_text(FILE *out, const char *lead, struct saga_bytes text,
                       const struct saga_trace_scene *scene) {
    if (text.size > 0) {
        (void)fputs(lead, out);
        saga_escape(out, text.data, text.size, scene->text_columns);
    }
}

static void write_step(FILE *out, uint8_t step, const struct saga_trace_scene *scene) {
    if (scene->definition != NULL && step < scene->definition->plan.step_count) {
        const char *name = scene->definition->steps[step].name;
        saga_escape(out, name, strlen(name), scene->text_columns);
    } else {
        (void)fprintf(out, "step %u", step);
    }
}

/* " PARKING_AVAILABLE", if the reply names an event other than its verdict. */
static void write_event(FILE *out, const struct saga_record *record,
                        const struct saga_trace_scene *scene) {
    json_t *json = NULL;
    if (record->payload.size == 0 ||
        saga_json_parse(record->payload.data, record->payload.size, &json, NULL) != SAGA_OK) {
        return;
    }
    const json_t *event = json_object_get(json, "reply_state");
    const char *verdict = saga_verdict_name(record->verdict);
    if (json_is_string(event) && strcmp(json_string_value(event), verdict) != 0) {
        const struct saga_bytes text = {.data = json_string_value(event),
                                        .size = (uint32_t)json_string_length(event)};
        write_text(out, " ", text, scene);
    }
    json_decref(json);
}

/* "block#2 compensation (revision 2)" */
static void write_attempt(FILE *out, const struct saga_record *record,
                          const struct saga_trace_scene *scene) {
    write_step(out, record->step, scene);
    if (record->attempt != 0) {
        (void)fprintf(out, "#%u", record->attempt);
    }
    if (record->operation != SAGA_ACTION) {
        (void)fprintf(out, " %s", saga_operation_name(record->operation));
    }
    if (record->revision > 1) {
        (void)fprintf(out, " (revision %u)", record->revision);
    }
}

/* "approve: booking.approve", "compensate block: parking.unblock" */
static void write_command(FILE *out, const struct saga_record *record,
                          const struct saga_trace_scene *scene) {
    const struct saga_definition *definition = scene->definition;
    const char *name = NULL;
    if (record->operation == SAGA_COMPENSATION) {
        (void)fputs("compensate ", out);
    } else if (record->operation == SAGA_FENCE) {
        (void)fputs("fence ", out);
    } else if (record->operation == SAGA_SETTLE) {
        (void)fputs("settle ", out);
    }
    write_step(out, record->step, scene);
    if (definition != NULL && record->step < definition->plan.step_count) {
        name = saga_definition_command_name(definition, record->step,
                                            (enum saga_operation)record->operation);
    }
    if (name != NULL) {
        (void)fputs(": ", out);
        saga_escape(out, name, strlen(name), scene->text_columns);
    }
    if (record->revision > 1) {
        (void)fprintf(out, " (revision %u)", record->revision);
    }
}

/* Of whom, and why. */
static void write_note(FILE *out, const struct saga_record *record,
                       const struct saga_trace_scene *scene) {
    write_text(out, " by ", record->key, scene);
    write_text(out, ": ", record->payload, scene);
}

/* " block done with {"room": 7}": what an operator says of one step. */
static void write_deed(FILE *out, const struct saga_record *record,
                       const struct saga_trace_scene *scene) {
    if (record->verb > SAGA_VERB_RETRY && record->step != SAGA_STEP_NONE) {
        (void)fputc(' ', out);
        write_step(out, record->step, scene);
    }
    if (record->verdict != 0) {
        (void)fprintf(out, " %s", saga_verdict_name(record->verdict));
    }
    write_text(out, " with ", record->content, scene);
}

/* ---------------------------------------------------------------- attempts */

/* The step as it was before and is after the record; false: not known. */
static bool change_of(const struct saga_trace_scene *scene, uint8_t step,
                      const struct saga_step **before, const struct saga_step **after) {
    if (scene->before == NULL || scene->after == NULL || step >= scene->before->step_count) {
        return false;
    }
    *before = &scene->before->steps[step];
    *after = &scene->after->steps[step];
    return true;
}

/* The budget that the step's command had. */
static const struct saga_budget *budget_of(const struct saga_plan *plan, uint8_t step,
                                           const struct saga_step *before) {
    const struct saga_plan_step *planned = &plan->steps[step];
    if (before->operation == SAGA_COMPENSATION) {
        return &planned->compensation;
    }
    if (before->phase == SAGA_STEP_CLOSING) {
        return &plan->steps[planned->compensated_by].compensation;
    }
    return &planned->action; /* a settle has none, and no attempt of it is the last one */
}

/* ", attempt 3 of 3": why no other follows. */
static void write_last_attempt(FILE *out, const struct saga_record *record,
                               const struct saga_trace_scene *scene) {
    const struct saga_step *before;
    const struct saga_step *after;
    const bool unsent = record->fact == SAGA_COMMAND_UNSENT; /* costs no budget */
    if (unsent || record->reason != 0 || !change_of(scene, record->step, &before, &after) ||
        before->phase == after->phase || scene->definition == NULL) {
        return;
    }
    const uint32_t most = budget_of(&scene->definition->plan, record->step, before)->attempts_max;
    if (most != 0 && after->spent >= most) {
        (void)fprintf(out, ", attempt %u of %u", after->spent, most);
    }
}

static void write_deadline(FILE *out, const struct saga_record *record) {
    if (record->reason != 0) {
        (void)fputs(" before its deadline", out);
    }
}

static void write_reply(FILE *out, const struct saga_record *record,
                        const struct saga_trace_scene *scene) {
    write_attempt(out, record, scene);
    (void)fprintf(out, " %s%s", record->fact == SAGA_REPLY_RECEIVED ? "" : "late: ",
                  saga_verdict_name(record->verdict));
    write_event(out, record, scene);
    if (record->verdict == SAGA_RETRY || record->verdict == SAGA_UNKNOWN) {
        (void)fputs(record->reason != 0 ? ", its deadline is over" : "", out);
        write_last_attempt(out, record, scene);
    }
}

/* ------------------------------------------------------------------- words */

static void write_definition(FILE *out, const struct saga_trace_scene *scene) {
    (void)fputs("definition ", out);
    if (scene->definition != NULL) {
        const char *name = scene->definition->name;
        saga_escape(out, name, strlen(name), scene->text_columns);
        (void)fprintf(out, " version %u ", scene->definition->version);
    }
    (void)fputs("loaded", out);
}

void saga_trace_write(FILE *out, const struct saga_record *record,
                      const struct saga_trace_scene *scene) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_DEFINITION_LOADED:
        write_definition(out, scene);
        return;
    case SAGA_STARTED:
        (void)fputs("started", out);
        write_text(out, " with ", record->payload, scene);
        write_text(out, ", end to be told to ", record->content, scene);
        return;
    case SAGA_COMMAND_ISSUED:
        write_command(out, record, scene);
        return;
    case SAGA_COMMAND_UNSENT:
        write_attempt(out, record, scene);
        (void)fputs(" could not be sent", out);
        write_deadline(out, record);
        return;
    case SAGA_REPLY_RECEIVED:
    case SAGA_LATE_REPLY_RECEIVED:
        write_reply(out, record, scene);
        return;
    case SAGA_ATTEMPT_EXPIRED:
        write_attempt(out, record, scene);
        (void)fputs(" no reply", out);
        write_deadline(out, record);
        write_last_attempt(out, record, scene);
        return;
    case SAGA_CANCEL_REQUESTED:
        (void)fprintf(out, "cancel requested (%s)", saga_reason_name(record->reason));
        write_note(out, record, scene);
        return;
    case SAGA_COMPENSATION_STARTED:
        (void)fprintf(out, "go back (%s)", saga_reason_name(record->reason));
        return;
    case SAGA_PIVOT_PASSED:
        (void)fputs("pivot passed", out);
        return;
    case SAGA_PARKED:
        (void)fputs("parked at ", out);
        write_step(out, record->step, scene);
        (void)fprintf(out, " (%s)", saga_reason_name(record->reason));
        return;
    case SAGA_OPERATOR_ACTED:
        (void)fprintf(out, "operator: %s", saga_verb_name(record->verb));
        write_deed(out, record, scene);
        write_note(out, record, scene);
        return;
    case SAGA_ENDED:
        (void)fputs(saga_outcome_name(record->outcome), out);
        return;
    case SAGA_EPOCH_STARTED:
        (void)fprintf(out, "daemon started (epoch %u)", record->epoch);
        return;
    case SAGA_OUTCOMES_TOLD:
        (void)fprintf(out, "ends told up to record %" PRIu64, record->through_lsn);
        return;
    case SAGA_HISTORY_PURGED:
        (void)fprintf(out, "history purged up to record %" PRIu64, record->through_lsn);
        return;
    }
    (void)fprintf(out, "fact %u, which this version does not know", record->fact);
}

/* ------------------------------------------------------------- conclusions */

/* What a step came to without a record that says so; NULL: nothing. */
static const char *silent_phase(uint8_t phase) {
    switch (phase) {
    case SAGA_STEP_UNKNOWN:
        return "unknown";
    case SAGA_STEP_NEVER_RAN:
        return "never ran";
    case SAGA_STEP_DEBT:
        return "debt";
    case SAGA_STEP_DISCLAIMED:
        return "not to be believed";
    case SAGA_STEP_SETTLED:
        return "settled";
    default: /* the words of the record say it */
        return NULL;
    }
}

/* A list of conclusions: "unknown, attempt 2 in 213 ms". */
struct list {
    FILE *out;
    size_t count;
};

static void next_item(struct list *list) {
    (void)fputs(list->count++ > 0 ? ", " : "", list->out);
}

static void conclude_attempt(struct list *list, const struct saga_record *record,
                             const struct saga_step *before, const struct saga_step *after) {
    const bool open = (after->flags & SAGA_STEP_OPEN) != 0;
    const bool next = after->attempt > before->attempt;
    if (!open || (!next && after->send_at_ms >= before->send_at_ms)) {
        return;
    }
    char span[SAGA_SPAN_TEXT_SIZE];
    next_item(list);
    (void)fprintf(list->out, "attempt %u", after->attempt);
    if (after->send_at_ms > record->at_ms) {
        (void)fprintf(list->out, " in %s", saga_span_text(record->at_ms, after->send_at_ms, span));
    } else if (!next) {
        (void)fputs(" now", list->out);
    }
}

static void conclude_step(struct list *list, const struct saga_record *record, uint8_t step,
                          const struct saga_trace_scene *scene) {
    const struct saga_step *before;
    const struct saga_step *after;
    if (!change_of(scene, step, &before, &after)) {
        return;
    }
    const char *phase = before->phase != after->phase ? silent_phase(after->phase) : NULL;
    if (phase != NULL) {
        next_item(list);
        (void)fputs(phase, list->out);
    }
    conclude_attempt(list, record, before, after);
}

void saga_trace_conclude(FILE *out, const struct saga_record *record,
                         const struct saga_trace_scene *scene) {
    const struct saga *after = scene->after;
    if (!saga_trace_is_cause(record) || scene->before == NULL || after == NULL) {
        return;
    }
    struct list list = {.out = out};
    if (scene->before->parked != 0 && after->parked == 0) {
        next_item(&list);
        (void)fputs("goes on", out);
    }
    for (uint8_t i = 0; i < after->step_count; i++) {
        conclude_step(&list, record, i, scene);
    }
    if (scene->before->wish == 0 && after->wish != 0 && scene->definition != NULL &&
        saga_settled(after, &scene->definition->plan)) {
        next_item(&list);
        (void)fputs("waits for the pivot's verdict", out);
    }
}
