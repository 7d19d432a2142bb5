#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "span.h"
#include "view.h"

static bool same_saga(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ----------------------------------------------------------------- opening */

static enum saga_error add(struct saga_chain *chain, size_t *room, const struct saga_record *record,
                           struct saga_fault *fault) {
    if (chain->count == *room) {
        const size_t larger = *room == 0 ? 32 : 2 * *room;
        struct saga_record *grown = reallocarray(chain->records, larger, sizeof *grown);
        if (grown == NULL) {
            return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a saga of %zu records",
                                  chain->count);
        }
        chain->records = grown;
        *room = larger;
    }
    chain->records[chain->count++] = *record;
    return SAGA_OK;
}

/* All records that name the saga, linked or not. */
static enum saga_error search(struct saga_story *story, struct saga_log_reader *reader,
                              struct saga_fault *fault) {
    struct saga_record record;
    size_t room = 0;
    enum saga_error error;
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
    while ((error = saga_log_reader_next(reader, &record, fault)) == SAGA_OK) {
        if (same_saga(&record.saga, &story->id)) {
            error = add(&story->chain, &room, &record, fault);
            if (error != SAGA_OK) {
                return error;
            }
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* True if a block could not be read; false: it could, and the links between records are wrong. */
static bool is_damage(const struct saga_fault *fault) {
    return strstr(fault->text, " is damaged: ") != NULL;
}

/* What the chain says is wrong, without what to do about it. */
static void note_torn(struct saga_story *story, const struct saga_fault *fault) {
    const char *end = strstr(fault->text, "; see sagalog verify");
    const size_t size = end != NULL ? (size_t)(end - fault->text) : strlen(fault->text);
    (void)snprintf(story->problem, sizeof story->problem, "%.*s", (int)size, fault->text);
}

static enum saga_error read_records(struct saga_story *story, struct saga_log_reader *reader,
                                    uint64_t last_lsn, bool may_search, struct saga_fault *fault) {
    struct saga_fault torn = {0};
    enum saga_error error = saga_chain_read(&story->chain, reader, &story->id, last_lsn, &torn);
    if (error == SAGA_OK) {
        return SAGA_OK;
    }
    if (error != SAGA_ERROR_LOG_REFUSED || is_damage(&torn)) {
        *fault = torn;
        return error;
    }
    note_torn(story, &torn);
    return may_search ? search(story, reader, fault) : SAGA_OK;
}

/* The record after those that were folded makes no sense. */
static void note_illegal(struct saga_story *story) {
    const struct saga_chain *chain = &story->chain;
    size_t next = 0;
    while (story->saga != NULL && next + 1 < chain->count &&
           chain->records[next].lsn <= story->saga->last_lsn) {
        next++;
    }
    const struct saga_record *record = &chain->records[next];
    const bool stray =
        record->fact != SAGA_STARTED && (story->saga == NULL || story->saga->outcome != 0);
    (void)snprintf(story->problem, sizeof story->problem, "record %" PRIu64 " (%s) %s", record->lsn,
                   saga_fact_name(record->fact),
                   stray ? "is of a saga that has ended or never started"
                         : "makes no legal transition");
}

/* One that cannot be folded to its end is known as far as it can. */
static enum saga_error fold(struct saga_story *story, bool to_its_end, struct saga_fault *fault) {
    const bool torn = story->problem[0] != '\0';
    if (story->chain.count == 0) {
        return SAGA_OK;
    }
    if (story->definition == NULL) {
        const struct saga_record *first = &story->chain.records[0];
        (void)snprintf(story->problem, sizeof story->problem, "record %" PRIu64 " (%s) %s",
                       first->lsn, saga_fact_name(first->fact),
                       first->fact == SAGA_STARTED
                           ? "starts a saga by a definition that the log does not have, or that "
                             "this version cannot read"
                           : "is of a saga that has ended or never started");
        return SAGA_OK;
    }
    const struct saga_plan *plan = &story->definition->plan;
    const enum saga_error error = saga_chain_fold(&story->chain, plan, &story->saga, fault);
    if (error != SAGA_OK && error != SAGA_ERROR_LOG_REFUSED) {
        return error;
    }
    if (error == SAGA_ERROR_LOG_REFUSED) {
        note_illegal(story);
    } else if (to_its_end && !torn && story->saga->outcome == 0 &&
               !saga_settled(story->saga, plan)) {
        (void)snprintf(story->problem, sizeof story->problem,
                       "its last decision, up to record %" PRIu64 ", is not whole",
                       story->saga->last_lsn);
    }
    return SAGA_OK;
}

static void name_status(struct saga_story *story) {
    story->status = story->problem[0] != '\0' || story->saga == NULL
                        ? "quarantined"
                        : saga_status_name(story->saga);
}

enum saga_error saga_story_open(struct saga_story *story, struct saga_log_reader *reader,
                                struct saga_lexicon *lexicon, const struct saga_muster_line *line,
                                bool may_search, struct saga_fault *fault) {
    *story = (struct saga_story){.id = line->id};
    enum saga_error error = read_records(story, reader, line->last_lsn, may_search, fault);
    if (error == SAGA_OK) {
        const bool whole = story->chain.count > 0 && story->chain.records[0].fact == SAGA_STARTED;
        const uint64_t lsn = whole ? story->chain.records[0].definition_lsn : line->definition_lsn;
        story->definition = lsn == 0 ? NULL : saga_lexicon_definition(lexicon, reader, lsn);
        error = fold(story, true, fault);
    }
    if (error != SAGA_OK) {
        saga_story_close(story);
        return error;
    }
    name_status(story);
    return SAGA_OK;
}

enum saga_error saga_story_rewind(struct saga_story *story, uint64_t lsn,
                                  struct saga_fault *fault) {
    struct saga_chain *chain = &story->chain;
    if (chain->count > 0 && chain->records[0].lsn > lsn) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "this saga was not there at record %" PRIu64
                              ": it begins with record %" PRIu64,
                              lsn, chain->records[0].lsn);
    }
    while (chain->count > 0 && chain->records[chain->count - 1].lsn > lsn) {
        chain->count--;
    }
    free(story->saga);
    story->saga = NULL;
    story->problem[0] = '\0';
    const enum saga_error error = fold(story, false, fault);
    name_status(story);
    return error;
}

void saga_story_close(struct saga_story *story) {
    saga_chain_fini(&story->chain);
    free(story->saga);
    *story = (struct saga_story){0};
}

/* ----------------------------------------------------------------- telling */

json_t *saga_story_json(const struct saga_story *story) {
    const struct saga_view view = {
        .id = story->id,
        .chain = story->chain.count > 0 ? &story->chain : NULL,
        .saga = story->saga,
        .definition = story->definition,
        .status = story->status,
    };
    return saga_view_json(&view);
}

const char *saga_story_reason(const struct saga_story *story) {
    const struct saga *saga = story->saga;
    if (saga == NULL || (saga->parked == 0 && saga->reason == 0)) {
        return "";
    }
    return saga_reason_name(saga->parked != 0 ? saga->parked : saga->reason);
}

const char *saga_story_name(const struct saga_story *story) {
    return story->definition != NULL ? story->definition->name : "?";
}

char *saga_story_span(const struct saga_story *story, char *text) {
    const struct saga_chain *chain = &story->chain;
    if (chain->count == 0) {
        (void)snprintf(text, SAGA_SPAN_TEXT_SIZE, "?");
        return text;
    }
    return saga_span_text(chain->records[0].at_ms, chain->records[chain->count - 1].at_ms, text);
}

/* ------------------------------------------------------------ record by record */

/* What is known of a saga whose records make no sense any more: nothing. */
static void lose(struct saga_retelling *retelling) {
    free(retelling->before);
    free(retelling->after);
    retelling->before = NULL;
    retelling->after = NULL;
}

enum saga_error saga_retelling_open(struct saga_retelling *retelling,
                                    const struct saga_story *story, struct saga_fault *fault) {
    *retelling = (struct saga_retelling){.story = story};
    if (story->definition == NULL) {
        return SAGA_OK;
    }
    const size_t size = saga_size(story->definition->plan.step_count);
    retelling->before = calloc(1, size);
    retelling->after = calloc(1, size);
    if (retelling->before == NULL || retelling->after == NULL) {
        saga_retelling_close(retelling);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a saga of %u steps",
                              story->definition->plan.step_count);
    }
    return SAGA_OK;
}

void saga_retelling_close(struct saga_retelling *retelling) {
    lose(retelling);
}

static void apply(struct saga_retelling *retelling, const struct saga_record *record) {
    const struct saga_plan *plan = &retelling->story->definition->plan;
    enum saga_apply_error error;
    memcpy(retelling->before, retelling->after, saga_size(plan->step_count));
    error = retelling->next == 0 ? saga_begin(retelling->after, plan, record)
                                 : saga_apply(retelling->after, plan, record);
    if (error != SAGA_APPLIED) {
        retelling->lost_lsn = retelling->story->chain.records[retelling->next].lsn;
        lose(retelling);
    }
}

bool saga_retelling_restart(struct saga_retelling *retelling) {
    const struct saga_chain *chain = &retelling->story->chain;
    const size_t next = retelling->next;
    if (next == 0 || next >= chain->count ||
        chain->records[next].epoch <= chain->records[next - 1].epoch) {
        return false;
    }
    /* Its own record is the log's, not the saga's (chain.h). */
    const struct saga_record epoch = {
        .fact = SAGA_EPOCH_STARTED,
        .step = SAGA_STEP_NONE,
        .epoch = chain->records[next].epoch,
        .at_ms = chain->records[next].at_ms,
    };
    if (retelling->after != NULL) {
        apply(retelling, &epoch);
    }
    return true;
}

const struct saga_record *saga_retelling_next(struct saga_retelling *retelling) {
    const struct saga_chain *chain = &retelling->story->chain;
    if (retelling->next >= chain->count) {
        return NULL;
    }
    const struct saga_record *record = &chain->records[retelling->next];
    if (retelling->after != NULL) {
        apply(retelling, record);
    }
    retelling->next++;
    return record;
}
