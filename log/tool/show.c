/* sagalog show: the story of one saga. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "record_json.h"
#include "session.h"
#include "story.h"
#include "transcript.h"

#define CANDIDATES_MAX 3

/* ----------------------------------------------------------------- finding */

/* What people type is any part of an id, in any case. */
static bool wanted(const char *argument, char part[SAGA_ID_TEXT_SIZE]) {
    const size_t size = strlen(argument);
    if (size >= SAGA_ID_TEXT_SIZE) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        part[i] = (char)tolower((unsigned char)argument[i]);
    }
    return true;
}

static enum saga_error refuse(struct saga_session *session, uint64_t matches,
                              const char *candidates) {
    if (matches == 0) {
        return saga_fault_set(&session->fault, SAGA_ERROR_NOT_FOUND,
                              "no saga in this log has '%s' in its id; sagalog list shows them all",
                              session->argument);
    }
    return saga_fault_set(&session->fault, SAGA_ERROR_NOT_FOUND,
                          "%llu sagas have '%s' in their ids:%s%s. Give more of the one you mean.",
                          (unsigned long long)matches, session->argument, candidates,
                          matches > CANDIDATES_MAX ? " and more" : "");
}

/* The only saga whose id has `part` in it. */
static enum saga_error find(struct saga_session *session,
                            const struct saga_recollection *recollection,
                            struct saga_census_line *found) {
    char part[SAGA_ID_TEXT_SIZE];
    char id[SAGA_ID_TEXT_SIZE];
    char candidates[CANDIDATES_MAX * (SAGA_ID_TEXT_SIZE + 1)] = "";
    uint64_t matches = 0;
    size_t used = 0;
    const bool possible = wanted(session->argument, part);
    struct saga_census census;
    struct saga_census_line line;
    enum saga_error error = saga_recollection_walk(recollection, &census, &session->fault);
    while (possible && error == SAGA_OK &&
           (error = saga_census_next(&census, &line, &session->fault)) == SAGA_OK) {
        if (strstr(saga_id_text(&line.id, id), part) == NULL) {
            continue;
        }
        *found = line;
        if (matches++ < CANDIDATES_MAX) {
            used += (size_t)snprintf(candidates + used, sizeof candidates - used, " %s", id);
        }
    }
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    return matches == 1 ? SAGA_OK : refuse(session, matches, candidates);
}

/* ----------------------------------------------------------------- showing */

/* As the API gives it, and "records"; "problem" where it is out of service. */
static json_t *whole_json(const struct saga_story *story, const char *problem) {
    json_t *json = saga_story_json(story);
    json_t *records = json_array();
    bool whole = json != NULL && records != NULL;
    for (size_t i = 0; whole && i < story->chain.count; i++) {
        whole = json_array_append_new(records, saga_record_json(&story->chain.records[i])) == 0;
    }
    if (whole && problem != NULL) {
        whole = json_object_set_new(json, "problem", json_string(problem)) == 0;
    }
    whole = whole && json_object_set(json, "records", records) == 0;
    json_decref(records);
    if (!whole) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static enum saga_error show(struct saga_session *session,
                            const struct saga_recollection *recollection) {
    struct saga_census_line entry;
    struct saga_story story;
    enum saga_error error = find(session, recollection, &entry);
    if (error == SAGA_OK) {
        error = saga_story_open(&story, session->log, recollection, &entry, true, &session->fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const char *problem = saga_recollection_problem(recollection, &entry.id);
    if (session->json) {
        error = saga_output_json(&session->output, whole_json(&story, problem), &session->fault);
    } else {
        error = saga_transcript_write(session->output.file, &story, problem,
                                      session->output.columns, &session->fault);
    }
    saga_story_close(&story);
    return error;
}

enum saga_error saga_show_run(struct saga_session *session) {
    struct saga_recollection recollection;
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK) {
        error = show(session, &recollection);
    }
    saga_recollection_close(&recollection);
    return error;
}
