#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
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
static enum saga_error search(struct saga_story *story, struct saga_fault *fault) {
    struct saga_record record;
    size_t room = 0;
    enum saga_error error;
    saga_log_reader_seek(story->reader, saga_log_reader_first(story->reader));
    while ((error = saga_log_reader_next(story->reader, &record, fault)) == SAGA_OK) {
        if (same_saga(&record.saga, &story->entry.id)) {
            error = add(&story->chain, &room, &record, fault);
            if (error != SAGA_OK) {
                return error;
            }
        }
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error read_records(struct saga_story *story, bool may_search,
                                    struct saga_fault *fault) {
    enum saga_error error = saga_chain_read(&story->chain, story->reader, &story->entry.id,
                                            story->entry.last_lsn, fault);
    /* A recollection has read every record: it is the links that are wrong. */
    if (error == SAGA_ERROR_LOG_REFUSED) {
        error = may_search ? search(story, fault) : SAGA_OK;
    }
    return error;
}

/* One that cannot be folded to its end is known as far as it can. */
static enum saga_error fold(struct saga_story *story, struct saga_fault *fault) {
    if (story->definition == NULL || story->chain.count == 0) {
        return SAGA_OK;
    }
    enum saga_error error =
        saga_chain_fold(&story->chain, &story->definition->plan, &story->saga, fault);
    return error == SAGA_ERROR_LOG_REFUSED ? SAGA_OK : error;
}

enum saga_error saga_story_open(struct saga_story *story, struct saga_log *log,
                                const struct saga_recollection *recollection,
                                const struct saga_census_line *entry, bool may_search,
                                struct saga_fault *fault) {
    *story = (struct saga_story){
        .entry = *entry,
        .definition = saga_registry_at(recollection->recall->registry, entry->definition_lsn),
    };
    enum saga_error error = saga_log_reader_open(log, &story->reader, fault);
    if (error != SAGA_OK) {
        story->reader = NULL;
        return error;
    }
    error = read_records(story, may_search, fault);
    if (error == SAGA_OK) {
        error = fold(story, fault);
    }
    if (error != SAGA_OK) {
        saga_story_close(story);
    }
    return error;
}

void saga_story_close(struct saga_story *story) {
    saga_chain_fini(&story->chain);
    free(story->saga);
    if (story->reader != NULL) {
        saga_log_reader_close(story->reader);
    }
    *story = (struct saga_story){0};
}

/* ----------------------------------------------------------------- telling */

json_t *saga_story_json(const struct saga_story *story) {
    const struct saga_view view = {
        .id = story->entry.id,
        .chain = story->chain.count > 0 ? &story->chain : NULL,
        .saga = story->saga,
        .definition = story->definition,
        .status = story->entry.status,
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
