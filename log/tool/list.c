/* sagalog list: a line per saga, the newest first. */
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "session.h"
#include "span.h"
#include "story.h"
#include "trace.h"
#include "view.h"

#define NAME_COLUMNS 20

/* Ends with a line's end; cut where the output is not wide enough. */
static void print_line(struct saga_output *output, const char *line) {
    const size_t columns = output->columns == 0 ? SAGA_COLUMNS_ALL : output->columns;
    saga_escape(output->file, line, strlen(line), columns);
    (void)fputc('\n', output->file);
}

static void print_row(struct saga_output *output, const char *id, const char *name,
                      const char *status, const char *reason, const char *started,
                      const char *took) {
    char line[512];
    (void)snprintf(line, sizeof line, "%-10s %-*s %-21s %-19s %-26s %s", id, NAME_COLUMNS, name,
                   status, reason, started, took);
    print_line(output, line);
}

static void print_saga(struct saga_output *output, const struct saga_story *story) {
    char id[SAGA_TRACE_ID_SIZE];
    char name[NAME_COLUMNS + 1];
    char time[SAGA_TIME_TEXT_SIZE] = "?";
    char span[SAGA_SPAN_TEXT_SIZE];
    const char *whole_name = saga_story_name(story);
    const bool fits = strlen(whole_name) <= NAME_COLUMNS;
    (void)snprintf(name, sizeof name, "%.*s%s", fits ? NAME_COLUMNS : NAME_COLUMNS - 3, whole_name,
                   fits ? "" : "...");
    if (story->chain.count > 0) {
        (void)saga_time_text(story->chain.records[0].wall_ms, time);
    }
    print_row(output, saga_trace_id(&story->entry.id, id), name, story->entry.status,
              saga_story_reason(story), time, saga_story_span(story, span));
}

static enum saga_error list_one(struct saga_session *session,
                                const struct saga_recollection *recollection,
                                const struct saga_census_line *entry) {
    struct saga_story story;
    enum saga_error error =
        saga_story_open(&story, session->log, recollection, entry, false, &session->fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (session->json) {
        error = saga_output_json(&session->output, saga_story_json(&story), &session->fault);
    } else {
        print_saga(&session->output, &story);
    }
    saga_story_close(&story);
    if (error == SAGA_OK && saga_output_full(&session->output)) {
        error = saga_output_flush(&session->output, &session->fault);
    }
    return error;
}

enum saga_error saga_list_run(struct saga_session *session) {
    struct saga_recollection recollection;
    enum saga_error error = saga_recollection_open(&recollection, session->log, &session->fault);
    if (error == SAGA_OK) {
        struct saga_census census;
        struct saga_census_line line;
        if (!session->json) {
            print_row(&session->output, "ID", "SAGA", "STATUS", "REASON", "STARTED", "TOOK");
        }
        error = saga_recollection_walk(&recollection, &census, &session->fault);
        while (error == SAGA_OK &&
               (error = saga_census_next(&census, &line, &session->fault)) == SAGA_OK) {
            error = list_one(session, &recollection, &line);
        }
        error = error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
    }
    saga_recollection_close(&recollection);
    return error;
}
