#include "trace.h"

#include <string.h>

#include "json.h"

#define PAYLOAD_COLUMNS 100

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
        break;
    }
    return true;
}

/* The length of the UTF-8 sequence at `text`, if it is one that a terminal
 * shows; 0 otherwise. */
static size_t printable(const unsigned char *text, size_t size) {
    if (text[0] >= 0x20 && text[0] < 0x7f) {
        return 1;
    }
    size_t length = text[0] >= 0xf0 && text[0] < 0xf5   ? 4
                    : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                    : text[0] >= 0xc3 && text[0] < 0xe0 ? 2 /* C2 80 to 9F are controls */
                                                        : 0;
    if (length == 0 || length > size) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* Marks that change the direction of writing could show what is not there. */
    bool bidirectional =
        length == 3 && text[0] == 0xe2 &&
        ((text[1] == 0x80 && text[2] >= 0x8b) || (text[1] == 0x81 && text[2] >= 0xa0));
    return bidirectional ? 0 : length;
}

void saga_trace_escape(FILE *out, const char *text, size_t size, size_t columns) {
    const unsigned char *bytes = (const unsigned char *)text;
    size_t shown = 0;
    for (size_t i = 0; i < size; shown++) {
        if (shown == columns) {
            (void)fputs("...", out);
            return;
        }
        size_t length = printable(bytes + i, size - i);
        if (length == 0) {
            (void)fprintf(out, "\\x%02x", bytes[i++]);
            continue;
        }
        (void)fwrite(bytes + i, 1, length, out);
        i += length;
    }
}

static const char *step_name(const struct saga_record *record,
                             const struct saga_definition *definition, char *number, size_t size) {
    if (definition != NULL && record->step < definition->plan.step_count) {
        return definition->steps[record->step].name;
    }
    (void)snprintf(number, size, "step %u", record->step);
    return number;
}

/* " PARKING_AVAILABLE", if the reply names its event. */
static void write_event(FILE *out, const struct saga_record *record) {
    json_t *json = NULL;
    if (record->payload.size == 0 ||
        saga_json_parse(record->payload.data, record->payload.size, &json, NULL) != SAGA_OK) {
        return;
    }
    const json_t *event = json_object_get(json, "reply_state");
    if (json_is_string(event)) {
        (void)fputc(' ', out);
        saga_trace_escape(out, json_string_value(event), json_string_length(event),
                          PAYLOAD_COLUMNS);
    }
    json_decref(json);
}

static void write_attempt(FILE *out, const struct saga_record *record, const char *step) {
    (void)fputs(step, out);
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

static void write_note(FILE *out, const struct saga_record *record) {
    if (record->key.size > 0) {
        (void)fputs(" by ", out);
        saga_trace_escape(out, record->key.data, record->key.size, PAYLOAD_COLUMNS);
    }
    if (record->payload.size > 0) {
        (void)fputs(": ", out);
        saga_trace_escape(out, record->payload.data, record->payload.size, PAYLOAD_COLUMNS);
    }
}

static void write_command(FILE *out, const struct saga_record *record,
                          const struct saga_definition *definition, const char *step) {
    const char *name = NULL;
    if (definition != NULL && record->step < definition->plan.step_count) {
        name = saga_definition_command_name(definition, record->step,
                                            (enum saga_operation)record->operation);
    }
    (void)fprintf(out, "%s: %s", step,
                  name != NULL ? name : saga_operation_name(record->operation));
    if (record->revision > 1) {
        (void)fprintf(out, " (revision %u)", record->revision);
    }
}

void saga_trace_write(FILE *out, const struct saga_record *record,
                      const struct saga_definition *definition) {
    char number[16];
    const char *step = step_name(record, definition, number, sizeof number);
    switch ((enum saga_fact)record->fact) {
    case SAGA_DEFINITION_LOADED:
        (void)fputs("definition loaded", out);
        return;
    case SAGA_STARTED:
        (void)fputs("started with ", out);
        saga_trace_escape(out, record->payload.data, record->payload.size, PAYLOAD_COLUMNS);
        return;
    case SAGA_COMMAND_ISSUED:
        write_command(out, record, definition, step);
        return;
    case SAGA_COMMAND_UNSENT:
        write_attempt(out, record, step);
        (void)fprintf(out, " could not be sent%s",
                      record->reason != 0 ? " before its deadline" : "");
        return;
    case SAGA_REPLY_RECEIVED:
    case SAGA_LATE_REPLY_RECEIVED:
        write_attempt(out, record, step);
        (void)fprintf(out, " %s%s", record->fact == SAGA_REPLY_RECEIVED ? "" : "late: ",
                      saga_verdict_name(record->verdict));
        write_event(out, record);
        return;
    case SAGA_ATTEMPT_EXPIRED:
        write_attempt(out, record, step);
        (void)fprintf(out, " no reply%s", record->reason != 0 ? " before its deadline" : "");
        return;
    case SAGA_CANCEL_REQUESTED:
        (void)fprintf(out, "cancel requested (%s)", saga_reason_name(record->reason));
        write_note(out, record);
        return;
    case SAGA_COMPENSATION_STARTED:
        (void)fprintf(out, "go back (%s)", saga_reason_name(record->reason));
        return;
    case SAGA_PIVOT_PASSED:
        (void)fputs("pivot passed", out);
        return;
    case SAGA_PARKED:
        (void)fprintf(out, "parked at %s (%s)", step, saga_reason_name(record->reason));
        return;
    case SAGA_OPERATOR_ACTED:
        (void)fprintf(out, "operator: %s", saga_verb_name(record->verb));
        write_note(out, record);
        return;
    case SAGA_ENDED:
        (void)fputs(saga_outcome_name(record->outcome), out);
        return;
    case SAGA_EPOCH_STARTED:
        (void)fprintf(out, "daemon started (epoch %u)", record->epoch);
        return;
    }
    (void)fprintf(out, "fact %u", record->fact);
}
