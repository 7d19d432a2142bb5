/* sagalog list: a line per saga, the newest first. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "ids.h"
#include "key_seed.h"
#include "mask.h"
#include "muster.h"
#include "progress.h"
#include "session.h"
#include "span.h"
#include "story.h"
#include "table.h"
#include "trace.h"
#include "view.h"

/* Rows that are laid out together: later ones keep the widths of those before. */
#define ROWS_TOGETHER 100

/* What listing needs. */
struct listing {
    struct saga_session *session;
    struct saga_log_reader *reader;
    struct saga_lexicon *lexicon;
    struct saga_muster *muster;
    struct saga_table *table; /* NULL: JSON */
    struct saga_progress progress;
    struct saga_start_key by_key; /* what the runs of start keys say of the filter's key, */
    bool known;                   /* if they say anything */
    uint64_t count;
    bool more; /* than the limit */
};

/* --------------------------------------------------------------- what is wanted */

/* Which sagas can have the status; false: none can, it is no status. */
static bool scope_of(const char *status, struct saga_muster_scope *scope) {
    static const char *const open[] = {"running", "compensating", "parked"};
    for (uint8_t i = 1; i <= SAGA_OUTCOME_COUNT; i++) {
        if (strcmp(status, saga_outcome_name(i)) == 0) {
            *scope = (struct saga_muster_scope){0};
            scope->outcomes[i] = true;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        if (strcmp(status, open[i]) == 0) {
            *scope = (struct saga_muster_scope){.open = true};
            return true;
        }
    }
    return strcmp(status, "quarantined") == 0; /* also what the log says has ended */
}

static enum saga_error choose(struct saga_session *session, struct saga_muster_scope *scope) {
    const struct saga_filter *filter = &session->filter;
    struct saga_muster_scope of_status = saga_muster_all;
    if (filter->status != NULL && !scope_of(filter->status, &of_status)) {
        return saga_fault_set(&session->fault, SAGA_ERROR_USAGE,
                              "'%s' is no status: there are running, compensating, parked, "
                              "quarantined, completed, compensated, completed_manually, "
                              "compensated_manually and inconsistent",
                              filter->status);
    }
    *scope = filter->key != NULL ? saga_muster_all : of_status;
    if (filter->key != NULL) {
        return SAGA_OK; /* there is one, and of that passes() knows the rest */
    }
    if (filter->step != NULL) { /* an ended saga is at no step */
        memset(scope->outcomes, 0, sizeof scope->outcomes);
    }
    scope->since_ms = filter->since_ms;
    scope->until_ms = filter->until_ms;
    return SAGA_OK;
}

/* What a row of the table tells is enough to leave the saga's records alone. */
static bool may_pass(const struct listing *listing, const struct saga_muster_line *line) {
    const struct saga_filter *filter = &listing->session->filter;
    if (filter->saga != NULL && line->definition_lsn != 0) {
        const struct saga_definition *definition =
            saga_lexicon_definition(listing->lexicon, listing->reader, line->definition_lsn);
        if (definition == NULL || strcmp(definition->name, filter->saga) != 0) {
            return false;
        }
    }
    if (filter->status != NULL && line->state != NULL &&
        strcmp(filter->status, "quarantined") != 0) {
        return strcmp(filter->status, saga_status_name(line->state)) == 0;
    }
    return true;
}

/* At this step something is outstanding, unknown, or owed. */
static bool is_at_step(const struct saga_story *story, const char *name) {
    if (story->saga == NULL || story->definition == NULL || story->saga->outcome != 0) {
        return false;
    }
    for (uint8_t i = 0; i < story->saga->step_count; i++) {
        const struct saga_step *step = &story->saga->steps[i];
        const bool busy = (step->flags & SAGA_STEP_OPEN) != 0 || step->phase == SAGA_STEP_DEBT ||
                          (story->saga->parked != 0 && story->saga->parked_step == i);
        if (busy && strcmp(story->definition->steps[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A person has to do something about it. */
static bool needs_attention(const struct saga_story *story) {
    if (strcmp(story->status, "quarantined") == 0 || strcmp(story->status, "parked") == 0) {
        return true;
    }
    const struct saga_view view = {.id = story->id,
                                   .chain = &story->chain,
                                   .saga = story->saga,
                                   .definition = story->definition};
    json_t *items = story->chain.count > 0 ? saga_attention_json(&view) : NULL;
    const bool needed = json_array_size(items) > 0;
    json_decref(items);
    return needed;
}

static bool has_key(const struct saga_story *story, const char *key) {
    const struct saga_bytes *bytes = story->chain.count > 0 ? &story->chain.records[0].key : NULL;
    return bytes != NULL && bytes->size > 0 && bytes->size == strlen(key) &&
           memcmp(bytes->data, key, bytes->size) == 0;
}

static bool passes(const struct saga_filter *filter, const struct saga_story *story) {
    const int64_t started_ms = saga_muster_started_ms(&story->id);
    return started_ms >= filter->since_ms && started_ms < filter->until_ms &&
           (filter->status == NULL || strcmp(filter->status, story->status) == 0) &&
           (filter->saga == NULL || strcmp(filter->saga, saga_story_name(story)) == 0) &&
           (filter->key == NULL || has_key(story, filter->key)) &&
           (filter->step == NULL || is_at_step(story, filter->step)) &&
           (!filter->attention || needs_attention(story));
}

/* ----------------------------------------------------------------- printing */

/* "2024-06-11 09:33:09" */
static void short_time(int64_t ms, char text[SAGA_TIME_TEXT_SIZE]) {
    (void)saga_time_text(ms, text);
    text[10] = ' ';
    text[19] = '\0';
}

static enum saga_error add_row(struct listing *listing, const struct saga_story *story) {
    char id[SAGA_TRACE_ID_SIZE];
    char time[SAGA_TIME_TEXT_SIZE] = "?";
    char span[SAGA_SPAN_TEXT_SIZE];
    if (story->chain.count > 0) {
        short_time(story->chain.records[0].wall_ms, time);
    }
    const char *const cells[] = {saga_trace_id(&story->id, id),
                                 saga_story_name(story),
                                 story->status,
                                 saga_story_reason(story),
                                 time,
                                 saga_story_span(story, span)};
    const enum saga_error error = saga_table_add(listing->table, cells, &listing->session->fault);
    if (error == SAGA_OK && saga_table_rows(listing->table) >= ROWS_TOGETHER) {
        saga_table_print(listing->table, &listing->session->output);
    }
    return error;
}

static enum saga_error write_out(struct listing *listing) {
    struct saga_session *session = listing->session;
    if (!saga_output_full(&session->output)) {
        return SAGA_OK;
    }
    saga_progress_clear(&listing->progress);
    saga_log_reader_close(listing->reader); /* whoever reads may be slow */
    listing->reader = NULL;
    enum saga_error error = saga_output_flush(&session->output, &session->fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_open(session->log, &listing->reader, &session->fault);
    }
    if (error == SAGA_OK) {
        saga_muster_read_by(listing->muster, listing->reader);
    }
    return error;
}

static enum saga_error print_json(struct saga_session *session, const struct saga_story *story) {
    json_t *json = saga_story_json(story);
    if (!session->secrets) {
        (void)saga_mask_json(json_object_get(json, "data"));
    }
    return saga_output_json(&session->output, json, &session->fault);
}

static enum saga_error print_saga(struct listing *listing, const struct saga_story *story) {
    struct saga_session *session = listing->session;
    if (session->limit != 0 && listing->count == session->limit) {
        listing->more = true;
        return SAGA_ERROR_NOT_FOUND;
    }
    listing->count++;
    return listing->table != NULL ? add_row(listing, story) : print_json(session, story);
}

static enum saga_error list_one(struct listing *listing, const struct saga_muster_line *line) {
    struct saga_session *session = listing->session;
    struct saga_story story;
    if (!may_pass(listing, line)) {
        return SAGA_OK;
    }
    enum saga_error error =
        saga_story_open(&story, listing->reader, listing->lexicon, line, false, &session->fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (passes(&session->filter, &story)) {
        error = print_saga(listing, &story);
    }
    saga_story_close(&story);
    return error == SAGA_OK ? write_out(listing) : error;
}

/* --------------------------------------------------------------- by a start key */

/* Whether the key has started the saga of this line. NOT_FOUND: its start cannot be had. */
static enum saga_error is_of_key(struct listing *listing, const struct saga_muster_line *line,
                                 bool *is) {
    const char *key = listing->session->filter.key;
    struct saga_record started;
    const enum saga_error error = saga_log_reader_read(
        listing->reader, &line->id, line->started_lsn, &started, &listing->session->fault);
    *is = error == SAGA_OK && started.key.size > 0 && started.key.size == strlen(key) &&
          memcmp(started.key.data, key, started.key.size) == 0;
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* The saga that a run names, now that the records since the checkpoint have no newer one. */
static enum saga_error list_known(struct listing *listing) {
    struct saga_muster_line line;
    char id[SAGA_ID_TEXT_SIZE];
    const enum saga_error error = saga_muster_matched(listing->muster, &listing->by_key.saga, &line,
                                                      &listing->session->fault);
    if (error == SAGA_ERROR_NOT_FOUND) {
        saga_progress_clear(&listing->progress);
        (void)fprintf(stderr, "the saga that this key has started, %s, was purged\n",
                      saga_id_text(&listing->by_key.saga, id));
    }
    return error == SAGA_OK ? list_one(listing, &line) : error;
}

/* A line that was come to; NOT_FOUND: no other can be wanted. */
static enum saga_error list_by_key(struct listing *listing, const struct saga_muster_line *line) {
    bool is = true;
    enum saga_error error =
        line->started_lsn != 0 ? is_of_key(listing, line, &is) : SAGA_OK; /* else its story knows */
    const uint64_t before = listing->count;
    if (error == SAGA_OK && is) {
        error = list_one(listing, line);
    }
    const bool found = is && (line->started_lsn != 0 || listing->count > before);
    return error == SAGA_OK && found ? SAGA_ERROR_NOT_FOUND : error;
}

/* What the runs know. Where there are none, every saga is looked at. */
static enum saga_error ask_runs(struct listing *listing) {
    const char *key = listing->session->filter.key;
    const struct saga_bytes bytes = {.data = key, .size = (uint32_t)strlen(key)};
    const enum saga_error error =
        saga_key_seed_find(listing->reader, bytes, &listing->by_key, &listing->session->fault);
    listing->known = error == SAGA_OK;
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* ------------------------------------------------------------------- listing */

static enum saga_error list_next(struct listing *listing) {
    struct saga_session *session = listing->session;
    struct saga_muster_line line;
    bool found;
    if (listing->known && !saga_muster_in_tail(listing->muster)) {
        const enum saga_error error = list_known(listing);
        return error == SAGA_OK ? SAGA_ERROR_NOT_FOUND : error;
    }
    const enum saga_error error = saga_muster_step(listing->muster, &line, &found, &session->fault);
    if (error != SAGA_OK || !found) {
        return error;
    }
    return session->filter.key != NULL ? list_by_key(listing, &line) : list_one(listing, &line);
}

static enum saga_error go_through(struct listing *listing) {
    struct saga_session *session = listing->session;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK) {
        error = list_next(listing);
        saga_progress_tick(&listing->progress, saga_muster_seen(listing->muster),
                           saga_muster_total(listing->muster));
        if (error == SAGA_OK && saga_progress_pauses(&listing->progress)) {
            error = saga_log_reader_renew(listing->reader, &session->fault);
        }
    }
    saga_progress_clear(&listing->progress);
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error list(struct listing *listing) {
    struct saga_session *session = listing->session;
    struct saga_muster_scope scope;
    enum saga_error error = choose(session, &scope);
    if (error == SAGA_OK) {
        error = saga_log_reader_open(session->log, &listing->reader, &session->fault);
    }
    if (error == SAGA_OK && session->filter.key != NULL) {
        error = ask_runs(listing);
    }
    if (error == SAGA_OK) {
        error = saga_muster_open(&listing->muster, listing->reader, &scope, &session->fault);
    }
    if (error == SAGA_OK) {
        saga_progress_begin(&listing->progress, "looking at sagas");
        error = go_through(listing);
    }
    if (error == SAGA_OK && listing->table != NULL) {
        saga_table_print(listing->table, &session->output);
    }
    if (error == SAGA_OK && listing->more) {
        error = saga_output_flush(&session->output, &session->fault);
        (void)fprintf(stderr, "there are more than %" PRIu64 "; see --limit\n", session->limit);
    }
    return error;
}

enum saga_error saga_list_run(struct saga_session *session) {
    static const struct saga_column columns[] = {
        {.title = "ID"},
        {.title = "SAGA", .shrink = true},
        {.title = "STATUS", .shrink = true, .status = true},
        {.title = "REASON", .shrink = true},
        {.title = "STARTED", .shrink = true},
        {.title = "TOOK"},
    };
    struct listing listing = {.session = session, .lexicon = saga_lexicon_open()};
    listing.table = session->json ? NULL : saga_table_open(columns, 6);
    enum saga_error error =
        listing.lexicon == NULL || (!session->json && listing.table == NULL)
            ? saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for a list")
            : list(&listing);
    saga_muster_close(listing.muster);
    if (listing.reader != NULL) {
        saga_log_reader_close(listing.reader);
    }
    saga_table_close(listing.table);
    saga_lexicon_close(listing.lexicon);
    return error;
}
