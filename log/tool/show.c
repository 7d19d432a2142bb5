/* sagalog show: the story of one saga. */
#include "mask.h"
#include "record_json.h"
#include "session.h"
#include "story.h"
#include "transcript.h"

static bool append_record(json_t *records, const struct saga_record *record, bool secrets) {
    struct saga_masked masked;
    struct saga_fault fault;
    if (saga_masked_make(&masked, record, secrets, &fault) != SAGA_OK) {
        return false;
    }
    const bool appended = json_array_append_new(records, saga_record_json(&masked.record)) == 0;
    saga_masked_fini(&masked);
    return appended;
}

/* As the API gives it, and "records"; "problem" where it is out of service. */
static json_t *whole_json(const struct saga_story *story, bool secrets) {
    json_t *json = saga_story_json(story);
    json_t *records = json_array();
    bool whole = json != NULL && records != NULL;
    for (size_t i = 0; whole && i < story->chain.count; i++) {
        whole = append_record(records, &story->chain.records[i], secrets);
    }
    if (whole && !secrets) {
        (void)saga_mask_json(json_object_get(json, "data"));
    }
    if (whole && story->problem[0] != '\0') {
        whole = json_object_set_new(json, "problem", json_string(story->problem)) == 0;
    }
    whole = whole && json_object_set(json, "records", records) == 0;
    json_decref(records);
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static enum saga_error show(struct saga_session *session, struct saga_log_reader *reader,
                            struct saga_story *story) {
    (void)reader;
    if (session->json) {
        return saga_output_json(&session->output, whole_json(story, session->secrets),
                                &session->fault);
    }
    const struct saga_transcript_style style = {
        .payloads = session->payloads,
        .secrets = session->secrets,
    };
    return saga_transcript_write(&session->output, story, &style, &session->fault);
}

enum saga_error saga_show_run(struct saga_session *session) {
    return saga_session_tell(session, show);
}
