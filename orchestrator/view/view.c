#include "view.h"

#include <assert.h>
#include <stdio.h>

#include "attention.h"
#include "ids.h"
#include "json.h"

/* -------------------------------------------------------------------- data */

/* NULL: it is no JSON, which decides nothing here. */
static json_t *parse(struct saga_bytes text) {
    json_t *json = NULL;
    if (text.size == 0 || saga_json_parse(text.data, text.size, &json, NULL) != SAGA_OK) {
        return NULL;
    }
    return json;
}

/* Replies to compensations merge nothing; a late one decides nothing. */
static bool adds_to_data(const struct saga_record *record) {
    if (record->fact == SAGA_OPERATOR_ACTED) { /* a step that was resolved done */
        return record->content.size > 0;
    }
    return record->fact == SAGA_REPLY_RECEIVED && record->verdict == SAGA_DONE &&
           (record->operation == SAGA_ACTION || record->operation == SAGA_FENCE);
}

static bool merge_content(json_t *data, const struct saga_record *record) {
    const bool bare = record->fact == SAGA_OPERATOR_ACTED;
    json_t *body = parse(bare ? record->content : record->payload);
    json_t *content = bare ? body : json_object_get(body, "content");
    const bool merged = !json_is_object(content) || json_object_update(data, content) == 0;
    json_decref(body);
    return merged;
}

/* NULL: no memory. An input that cannot be read is null: the log's, not ours to judge. */
static json_t *data_of(const struct saga_view *view) {
    if (view->chain == NULL) {
        return json_null();
    }
    const struct saga_chain *chain = view->chain;
    const uint64_t last_lsn = view->saga != NULL ? view->saga->last_lsn : chain->records[0].lsn;
    json_t *data = parse(chain->records[0].payload);
    if (!json_is_object(data)) {
        json_decref(data);
        return json_null();
    }
    for (size_t i = 1; i < chain->count && chain->records[i].lsn <= last_lsn; i++) {
        if (adds_to_data(&chain->records[i]) && !merge_content(data, &chain->records[i])) {
            json_decref(data);
            return NULL;
        }
    }
    return data;
}

/* -------------------------------------------------------------------- parts */

static json_t *steps_of(const struct saga_view *view) {
    json_t *steps = json_array();
    if (view->saga == NULL || view->definition == NULL) {
        return steps;
    }
    for (uint8_t i = 0; i < view->saga->step_count; i++) {
        const struct saga_step *step = &view->saga->steps[i];
        json_t *json =
            json_pack("{s:s, s:s, s:I}", "name", view->definition->steps[i].name, "status",
                      saga_step_status_name(step), "attempts", (json_int_t)step->attempt);
        if (json == NULL || json_array_append_new(steps, json) != 0) {
            json_decref(steps);
            return NULL;
        }
    }
    return steps;
}

static const char *reason_of(const struct saga *saga) {
    if (saga != NULL && saga->parked != 0) {
        return saga_reason_name(saga->parked);
    }
    if (saga != NULL && saga->direction == SAGA_BACKWARD) {
        return saga_reason_name(saga->reason);
    }
    return NULL;
}

static const char *status_of(const struct saga_view *view) {
    if (view->status != NULL) {
        return view->status;
    }
    return view->saga != NULL ? saga_status_name(view->saga) : NULL;
}

/* The wall clock's time of the last record of this fact: what people lived by
 * when it was written. NULL: there is none. */
static const char *time_of(const struct saga_chain *chain, uint8_t fact, char *text) {
    for (size_t i = chain != NULL ? chain->count : 0; i > 0; i--) {
        if (chain->records[i - 1].fact == fact) {
            return saga_time_text(chain->records[i - 1].wall_ms, text);
        }
    }
    return NULL;
}

static json_t *version_of(const struct saga_definition *definition) {
    return definition != NULL ? json_integer(definition->version) : json_null();
}

json_t *saga_view_json(const struct saga_view *view) {
    const char *name = view->definition != NULL ? view->definition->name : NULL;
    char id[SAGA_ID_TEXT_SIZE];
    char started[SAGA_TIME_TEXT_SIZE];
    char ended[SAGA_TIME_TEXT_SIZE];
    json_t *attention = saga_attention_json(view);
    /* clang-format off */
    /* json_pack fails, and lets go of what it was given, if one of them is NULL. */
    json_t *json = json_pack("{s:s, s:s?, s:o, s:s?, s:s?, s:s?, s:s?, s:o, s:o}",
                     "id", saga_id_text(&view->id, id),
                     "saga", name,
                     "version", version_of(view->definition),
                     "status", status_of(view),
                     "reason", reason_of(view->saga),
                     "started_at", time_of(view->chain, SAGA_STARTED, started),
                     "ended_at", time_of(view->chain, SAGA_ENDED, ended),
                     "data", data_of(view),
                     "steps", steps_of(view));
    /* clang-format on */
    if (json_array_size(attention) > 0 && json_object_set(json, "attention", attention) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(attention);
    return json;
}
