/* sagalog show: the story of one saga. */
#include "pick.h"
#include "record_json.h"
#include "session.h"
#include "story.h"
#include "transcript.h"

/* As the API gives it, and "records"; "problem" where it is out of service. */
static json_t *whole_json(const struct saga_story *story) {
    json_t *json = saga_story_json(story);
    json_t *records = json_array();
    bool whole = json != NULL && records != NULL;
    for (size_t i = 0; whole && i < story->chain.count; i++) {
        whole = json_array_append_new(records, saga_record_json(&story->chain.records[i])) == 0;
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
                            const struct saga_story *story) {
    (void)reader;
    if (session->json) {
        return saga_output_json(&session->output, whole_json(story), &session->fault);
    }
    return saga_transcript_write(session->output.file, story, session->output.columns,
                                 &session->fault);
}

enum saga_error saga_show_run(struct saga_session *session) {
    return saga_session_tell(session, show);
}
