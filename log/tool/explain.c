/* sagalog explain: why a saga stands where it stands, and what could be done. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "directory.h"
#include "escape.h"
#include "explanation.h"
#include "moment.h"
#include "session.h"
#include "span.h"
#include "story.h"
#include "table.h"

#define INDENT 10

/* ------------------------------------------------------------------- the scene */

/* True if a daemon owns the directory. What cannot be found out is taken for no. */
static bool has_daemon(const char *data_dir) {
    struct saga_directory directory;
    struct saga_sharing sharing = {0};
    struct saga_fault fault;
    int fd;
    if (saga_directory_open(&directory, data_dir, false, &fault) != SAGA_OK) {
        return false;
    }
    if (saga_directory_open_log(&directory, &fd, &fault) == SAGA_OK) {
        if (saga_directory_sharing(&directory, fd, &sharing, &fault) != SAGA_OK) {
            sharing.owned = true; /* it fails where there is one */
        }
        (void)close(fd);
    }
    saga_directory_close(&directory);
    return sharing.owned;
}

/* The daemon's latest start: at the checkpoint, or in the records after it. */
static enum saga_error find_epoch(struct saga_log_reader *reader,
                                  struct saga_explanation_scene *scene, struct saga_fault *fault) {
    const struct saga_checkpoint checkpoint = saga_log_reader_checkpoint(reader);
    struct saga_record record;
    scene->epoch = checkpoint.epoch;
    scene->epoch_ms = checkpoint.epoch_ms;
    for (uint64_t lsn = saga_log_reader_last(reader);
         lsn > checkpoint.lsn && lsn >= saga_log_reader_first(reader); lsn--) {
        const enum saga_error error = saga_log_reader_read(reader, NULL, lsn, &record, fault);
        if (error != SAGA_OK) {
            return error;
        }
        if (record.epoch == checkpoint.epoch) {
            return SAGA_OK;
        }
        if (record.fact == SAGA_EPOCH_STARTED) {
            scene->epoch = record.epoch;
            scene->epoch_ms = record.at_ms;
            return SAGA_OK;
        }
    }
    return SAGA_OK;
}

/* -------------------------------------------------------------------- printing */

static const char *text_of(const json_t *json, const char *name) {
    const char *text = json_string_value(json_object_get(json, name));
    return text != NULL ? text : "";
}

static void put(const struct saga_output *output, const char *text) {
    saga_escape(output->file, text, strlen(text), SAGA_COLUMNS_ALL);
}

/* The words before the first of several lines. */
static void begin(const struct saga_output *output, const char *head, size_t index) {
    (void)fprintf(output->file, "%-*s", INDENT, index == 0 ? head : "");
}

static void print_where(const struct saga_output *output, const json_t *json) {
    const char *direction = text_of(json, "direction");
    size_t done = 0;
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(json, "steps"), i, step) {
        done += strcmp(text_of(step, "status"), "done") == 0;
    }
    if (*direction != '\0') {
        begin(output, "where", 0);
        (void)fprintf(output->file, "%s, %zu of %zu steps done; pivot: %s\n", direction, done,
                      json_array_size(json_object_get(json, "steps")), text_of(json, "pivot"));
    }
}

/* "the answer of billing to billing.fence (authorize, fence, attempt 2)" */
static void print_command(const struct saga_output *output, const json_t *wait) {
    (void)fprintf(output->file, "the %s of ", text_of(wait, "for"));
    put(output, text_of(wait, "participant"));
    (void)fputs(" to ", output->file);
    put(output, text_of(wait, "command"));
    (void)fputs(" (", output->file);
    put(output, text_of(wait, "step"));
    (void)fprintf(output->file, ", %s, attempt %" JSON_INTEGER_FORMAT ")",
                  text_of(wait, "operation"), json_integer_value(json_object_get(wait, "attempt")));
}

static void print_wait(const struct saga_output *output, const json_t *wait) {
    const char *what = text_of(wait, "for");
    if (strcmp(what, "person") == 0) {
        (void)fputs("a person", output->file);
        if (*text_of(wait, "step") != '\0') {
            (void)fputs(", about ", output->file);
            put(output, text_of(wait, "step"));
        }
        (void)fprintf(output->file, " (%s): ", text_of(wait, "reason"));
        put(output, text_of(wait, "why"));
    } else if (strcmp(what, "pause") == 0) {
        (void)fputs("the pause before attempt ", output->file);
        (void)fprintf(output->file, "%" JSON_INTEGER_FORMAT " of ",
                      json_integer_value(json_object_get(wait, "attempt")));
        put(output, text_of(wait, "command"));
        (void)fputs(" (", output->file);
        put(output, text_of(wait, "step"));
        (void)fprintf(output->file, ", %s)", text_of(wait, "operation"));
    } else if (strcmp(what, "answer") == 0 || strcmp(what, "result") == 0) {
        print_command(output, wait);
    } else {
        (void)fprintf(output->file, "the %s, ", what);
        put(output, text_of(wait, "step"));
        (void)fprintf(output->file, ", to go back (%s)", text_of(wait, "reason"));
    }
    if (*text_of(wait, "since") != '\0') {
        (void)fprintf(output->file, "; since %s", text_of(wait, "since"));
    }
    (void)fputc('\n', output->file);
}

static void print_then(const struct saga_output *output, const json_t *item) {
    const char *then = text_of(item, "then");
    (void)fputs(" -> ", output->file);
    put(output, *then != '\0' ? then : "nothing more");
    (void)fputc('\n', output->file);
}

static void print_next(const struct saga_output *output, const json_t *next) {
    char span[SAGA_SPAN_TEXT_SIZE];
    const json_int_t in_ms = json_integer_value(json_object_get(next, "in_ms"));
    if (*text_of(next, "at") == '\0') {
        (void)fputs("if ", output->file);
        put(output, text_of(next, "step"));
        (void)fprintf(output->file, " is %s", text_of(next, "cause"));
    } else {
        (void)fprintf(output->file, "%s, %s%s%s: %s%s", text_of(next, "at"), in_ms > 0 ? "in " : "",
                      saga_span_text(0, in_ms > 0 ? in_ms : -in_ms, span),
                      in_ms > 0 ? "" : " ago, and not recorded", text_of(next, "step"),
                      *text_of(next, "step") != '\0' ? ": " : "");
        put(output, text_of(next, "cause"));
    }
    print_then(output, next);
}

static void print_list(const struct saga_output *output, const json_t *json, const char *name,
                       const char *head,
                       void (*print)(const struct saga_output *output, const json_t *item)) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(json, name), i, item) {
        begin(output, head, i);
        print(output, item);
    }
}

static void print_verb(const struct saga_output *output, const json_t *verb) {
    put(output, text_of(verb, "command"));
    (void)fputs(strcmp(text_of(verb, "answer"), "pending") == 0 ? " (pending)" : "", output->file);
    print_then(output, verb);
}

static void print(const struct saga_output *output, const json_t *json) {
    const char *status = text_of(json, "status");
    const bool ended = *text_of(json, "ended_at") != '\0';
    (void)fprintf(output->file, "saga %s  ", text_of(json, "id"));
    put(output, *text_of(json, "saga") != '\0' ? text_of(json, "saga") : "?");
    (void)fputc('\n', output->file);
    saga_table_status(output, status);
    if (*text_of(json, "reason") != '\0') {
        (void)fprintf(output->file, " (%s)", text_of(json, "reason"));
    }
    (void)fprintf(output->file, ", started %s, last changed %s\n\n", text_of(json, "started_at"),
                  text_of(json, "changed_at"));
    print_where(output, json);
    print_list(output, json, "waits", "waits for", print_wait);
    print_list(output, json, "next", "next", print_next);
    if (ended) {
        begin(output, "next", 0);
        (void)fputs("nothing: it has ended\n", output->file);
    } else if (!json_is_true(json_object_get(json, "daemon"))) {
        begin(output, "daemon", 0);
        (void)fputs("none runs here: nothing is sent, and nothing heard, until one is started\n",
                    output->file);
    }
    print_list(output, json, "verbs", "operator", print_verb);
}

static enum saga_error explain(struct saga_session *session, struct saga_log_reader *reader,
                               struct saga_story *story) {
    struct saga_explanation_scene scene = {
        .now_ms = saga_moment_now(),
        .daemon = has_daemon(session->data_dir),
    };
    json_t *json = NULL;
    enum saga_error error = find_epoch(reader, &scene, &session->fault);
    if (story->chain.count > 0 &&
        story->chain.records[story->chain.count - 1].at_ms > scene.now_ms) {
        scene.now_ms = story->chain.records[story->chain.count - 1].at_ms;
    }
    if (error == SAGA_OK) {
        error = saga_explanation_make(story, &scene, &json, &session->fault);
    }
    if (error == SAGA_OK && session->json) {
        return saga_output_json(&session->output, json, &session->fault);
    }
    if (error == SAGA_OK) {
        print(&session->output, json);
    }
    json_decref(json);
    return error;
}

enum saga_error saga_explain_run(struct saga_session *session) {
    return saga_session_tell(session, explain);
}
