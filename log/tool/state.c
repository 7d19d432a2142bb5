/* sagalog state: all that is known of a saga, as of any record of the log. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "mask.h"
#include "session.h"
#include "story.h"
#include "table.h"
#include "time_text.h"

/* ---------------------------------------------------------------------- as JSON */

static json_t *flags_json(uint32_t flags) {
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {SAGA_STEP_OPEN, "open"},
        {SAGA_STEP_REACHED, "reached"},
        {SAGA_STEP_UNRESOLVED, "unresolved"},
        {SAGA_STEP_IN_PROGRESS, "in_progress"},
        {SAGA_STEP_UNANSWERED, "unanswered"},
        {SAGA_STEP_FENCE_SENT, "fence_sent"},
        {SAGA_STEP_FORCED, "forced"},
        {SAGA_STEP_REFUSED, "refused"},
        {SAGA_STEP_RETRIED, "retried"},
        {SAGA_STEP_SAID_DONE, "said_done"},
        {SAGA_STEP_SAID_REJECTED, "said_rejected"},
        {SAGA_STEP_SAID_FENCED, "said_fenced"},
        {SAGA_STEP_SAID_COMPENSATED, "said_compensated"},
        {SAGA_STEP_SAID_NOT_COMPENSATED, "said_not_compensated"},
        {SAGA_STEP_SAID_NOOP, "said_noop"},
        {SAGA_STEP_SAID_SETTLED, "said_settled"},
        {SAGA_STEP_RESOLVED, "resolved"},
        {SAGA_STEP_MARKED, "marked"},
        {SAGA_STEP_WRITTEN_OFF, "written_off"},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((flags & names[i].flag) != 0 &&
            json_array_append_new(list, json_string(names[i].name)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* 0 and INT64_MAX: none, which is null. */
static const char *moment(int64_t ms, char text[SAGA_TIME_TEXT_SIZE]) {
    return ms == 0 || ms == INT64_MAX ? NULL : saga_time_text(ms, text);
}

static const char *name_of(const char *name, uint8_t number) {
    return number != 0 ? name : NULL;
}

static json_t *step_json(const struct saga_story *story, uint8_t index) {
    const struct saga_step *step = &story->saga->steps[index];
    char send[SAGA_TIME_TEXT_SIZE];
    char deadline[SAGA_TIME_TEXT_SIZE];
    const bool open = (step->flags & SAGA_STEP_OPEN) != 0;
    /* clang-format off */
    return json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:o, s:s?, s:s?, s:I}",
                     "name", story->definition->steps[index].name,
                     "status", saga_step_status_name(step),
                     "phase", saga_phase_name(step->phase),
                     "operation", name_of(saga_operation_name(step->operation), step->operation),
                     "order", (json_int_t)step->order,
                     "incarnation", (json_int_t)step->incarnation,
                     "revision", (json_int_t)step->revision,
                     "attempt", (json_int_t)step->attempt,
                     "spent", (json_int_t)step->spent,
                     "flags", flags_json(step->flags),
                     "send_at", open ? moment(step->send_at_ms, send) : NULL,
                     "deadline_at", open ? moment(step->deadline_ms, deadline) : NULL,
                     "command_lsn", (json_int_t)step->command_lsn);
    /* clang-format on */
}

static json_t *steps_json(const struct saga_story *story) {
    json_t *steps = json_array();
    for (uint8_t i = 0; i < story->saga->step_count; i++) {
        if (json_array_append_new(steps, step_json(story, i)) != 0) {
            json_decref(steps);
            return NULL;
        }
    }
    return steps;
}

/* What the state has beside what the API gives. */
static json_t *inner_json(const struct saga_story *story) {
    const struct saga *saga = story->saga;
    const bool step = saga->parked != 0 && saga->parked_step < saga->step_count;
    char deadline[SAGA_TIME_TEXT_SIZE];
    /* clang-format off */
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:b, s:I, s:s?, s:o}",
                     "direction", saga->direction == SAGA_FORWARD ? "forward" : "backward",
                     "parked", name_of(saga_reason_name(saga->parked), saga->parked),
                     "parked_step", step ? story->definition->steps[saga->parked_step].name : NULL,
                     "wish", name_of(saga_reason_name(saga->wish), saga->wish),
                     "pivot_passed", saga->pivot_passed != 0,
                     "settled", saga_settled(saga, &story->definition->plan),
                     "epoch", (json_int_t)saga->epoch,
                     "deadline_at", moment(saga->deadline_ms, deadline),
                     "steps", steps_json(story));
    /* clang-format on */
}

static json_t *state_json(const struct saga_story *story, uint64_t at_lsn, bool secrets) {
    json_t *json = saga_story_json(story);
    json_t *inner = story->saga != NULL ? inner_json(story) : json_object();
    const uint64_t last_lsn = story->chain.records[story->chain.count - 1].lsn;
    json_t *more = json_pack("{s:I, s:I, s:s?}", "at_lsn", (json_int_t)at_lsn, "last_lsn",
                             (json_int_t)last_lsn, "problem",
                             story->problem[0] != '\0' ? story->problem : NULL);
    const bool whole = json_object_update(json, inner) == 0 && json_object_update(json, more) == 0;
    json_decref(inner);
    json_decref(more);
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    (void)json_object_del(json, "attention"); /* is for explain, which knows the moment */
    if (!secrets) {
        (void)saga_mask_json(json_object_get(json, "data"));
    }
    return json;
}

/* ---------------------------------------------------------------------- as text */

static const char *text_of(const json_t *json, const char *name) {
    const char *text = json_string_value(json_object_get(json, name));
    return text != NULL ? text : "";
}

static void number_text(const json_t *json, const char *name, char text[24]) {
    (void)snprintf(text, 24, "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(json, name)));
}

/* "open, reached"; cut where there are too many. */
static void flags_text(const json_t *flags, char *text, size_t room) {
    const json_t *flag;
    size_t i;
    size_t used = 0;
    text[0] = '\0';
    json_array_foreach(flags, i, flag) {
        if (used < room) {
            used += (size_t)snprintf(text + used, room - used, "%s%s", i > 0 ? ", " : "",
                                     json_string_value(flag));
        }
    }
}

static enum saga_error print_steps(struct saga_session *session, const json_t *steps) {
    static const struct saga_column columns[] = {
        {.title = "STEP", .shrink = true},
        {.title = "PHASE", .status = true},
        {.title = "OPERATION"},
        {.title = "ATTEMPT", .right = true},
        {.title = "SPENT", .right = true},
        {.title = "REVISION", .right = true},
        {.title = "FLAGS", .shrink = true},
    };
    struct saga_table *table = saga_table_open(columns, 7);
    enum saga_error error =
        table != NULL ? SAGA_OK
                      : saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for a table");
    const json_t *step;
    size_t i;
    json_array_foreach(steps, i, step) {
        char attempt[24];
        char spent[24];
        char revision[24];
        char flags[320];
        number_text(step, "attempt", attempt);
        number_text(step, "spent", spent);
        number_text(step, "revision", revision);
        flags_text(json_object_get(step, "flags"), flags, sizeof flags);
        const char *const cells[] = {text_of(step, "name"),
                                     text_of(step, "phase"),
                                     text_of(step, "operation"),
                                     attempt,
                                     spent,
                                     revision,
                                     flags};
        if (error == SAGA_OK) {
            error = saga_table_add(table, cells, &session->fault);
        }
    }
    if (error == SAGA_OK) {
        saga_table_print(table, &session->output);
    }
    saga_table_close(table);
    return error;
}

static void print_member(const struct saga_output *output, const json_t *json, const char *name) {
    const char *text = text_of(json, name);
    if (*text != '\0') {
        (void)fprintf(output->file, "%-12s", name);
        saga_escape(output->file, text, strlen(text), SAGA_COLUMNS_ALL);
        (void)fputc('\n', output->file);
    }
}

static enum saga_error print_text(struct saga_session *session, const json_t *json) {
    static const char *const members[] = {"saga",       "status",      "problem",    "direction",
                                          "parked",     "parked_step", "wish",       "reason",
                                          "started_at", "ended_at",    "deadline_at"};
    FILE *out = session->output.file;
    (void)fprintf(out, "%-12s%s\n", "id", text_of(json, "id"));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        print_member(&session->output, json, members[i]);
    }
    (void)fprintf(out, "%-12s%" JSON_INTEGER_FORMAT "\n", "last record",
                  json_integer_value(json_object_get(json, "last_lsn")));
    if (json_is_false(json_object_get(json, "settled"))) {
        (void)fputs("            in the middle of a decision\n", out);
    }
    char *data = json_dumps(json_object_get(json, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
    if (data != NULL) {
        (void)fprintf(out, "%-12s", "data");
        saga_escape(out, data, strlen(data), SAGA_COLUMNS_ALL);
        (void)fputc('\n', out);
        free(data);
    }
    if (json_array_size(json_object_get(json, "steps")) == 0) {
        return SAGA_OK;
    }
    (void)fputc('\n', out);
    return print_steps(session, json_object_get(json, "steps"));
}

/* A start of the daemon after the saga's last record changes what is known of it, too. */
static enum saga_error take_epoch(struct saga_story *story, struct saga_log_reader *reader,
                                  uint64_t at_lsn, struct saga_fault *fault) {
    struct saga *saga = story->saga;
    struct saga_record record;
    if (saga == NULL || saga->outcome != 0) {
        return SAGA_OK;
    }
    for (uint64_t lsn = at_lsn; lsn > saga->last_lsn && lsn >= saga_log_reader_first(reader);
         lsn--) {
        const enum saga_error error = saga_log_reader_read(reader, NULL, lsn, &record, fault);
        if (error != SAGA_OK || record.epoch <= saga->epoch) {
            return error;
        }
        if (record.fact == SAGA_EPOCH_STARTED) {
            (void)!saga_apply(saga, &story->definition->plan, &record);
            return SAGA_OK;
        }
    }
    return SAGA_OK;
}

static enum saga_error state(struct saga_session *session, struct saga_log_reader *reader,
                             struct saga_story *story) {
    const uint64_t last_lsn = saga_log_reader_last(reader);
    const uint64_t at_lsn = session->at_lsn < last_lsn ? session->at_lsn : last_lsn;
    enum saga_error error = saga_story_rewind(story, at_lsn, &session->fault);
    if (error != SAGA_OK || story->chain.count == 0) {
        return error;
    }
    error = take_epoch(story, reader, at_lsn, &session->fault);
    if (error != SAGA_OK) {
        return error;
    }
    json_t *json = state_json(story, at_lsn, session->secrets);
    if (session->json) {
        return saga_output_json(&session->output, json, &session->fault);
    }
    error = json != NULL ? print_text(session, json)
                         : saga_fault_set(&session->fault, SAGA_ERROR_FAILED,
                                          "no memory for a saga's state");
    json_decref(json);
    return error;
}

enum saga_error saga_state_run(struct saga_session *session) {
    return saga_session_tell(session, state);
}
