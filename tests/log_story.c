#include "log_story.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "census.h"
#include "recall.h"

#define SLOTS 8192 /* a power of two, a few times the sagas */

static const struct saga_limits limits = {.sagas_max = LOG_STORY_SAGAS_MAX,
                                          .plans_max = 64,
                                          .participants_max = 256,
                                          .resend_per_second = 1};

/* ------------------------------------------------------------------ hashing */

static void mix(uint64_t *hash, const void *bytes, size_t size) {
    *hash = XXH3_64bits_withSeed(bytes, size, *hash);
}

static void mix_number(uint64_t *hash, uint64_t number) {
    mix(hash, &number, sizeof number);
}

static void mix_bytes(uint64_t *hash, struct saga_bytes bytes) {
    mix_number(hash, bytes.size);
    if (bytes.size > 0) {
        mix(hash, bytes.data, bytes.size);
    }
}

static void mix_record(uint64_t *hash, const struct saga_record *record) {
    const uint64_t numbers[] = {
        record->lsn,
        record->previous_lsn,
        (uint64_t)record->at_ms,
        (uint64_t)record->wall_ms,
        record->definition_lsn,
        record->through_lsn,
        (uint64_t)record->epoch << 32 | record->attempt,
        (uint64_t)record->incarnation << 32 | record->revision,
        (uint64_t)record->fact << 48 | (uint64_t)record->step << 40 |
            (uint64_t)record->operation << 32 | (uint64_t)record->verdict << 24 |
            (uint64_t)record->reason << 16 | (uint64_t)record->outcome << 8 | record->verb,
    };
    mix(hash, numbers, sizeof numbers);
    mix(hash, record->saga.bytes, sizeof record->saga.bytes);
    mix_bytes(hash, record->key);
    mix_bytes(hash, record->payload);
    mix_bytes(hash, record->content);
}

/* What there is to say of one saga; `saga` NULL: it has ended. */
static void mix_saga(uint64_t *hash, const struct saga_id *id, uint64_t last_lsn,
                     const char *status, const struct saga *saga) {
    mix(hash, id->bytes, sizeof id->bytes);
    mix_number(hash, last_lsn);
    mix(hash, status, strlen(status));
    if (saga != NULL) {
        mix(hash, saga, saga_size(saga->step_count));
    }
}

/* ------------------------------------------------------------ by the records */

struct member {
    struct saga_id id;
    uint64_t last_lsn;
    uint8_t outcome; /* 0: open */
};

struct fold {
    struct saga_coordinator *coordinator;
    struct member members[LOG_STORY_SAGAS_MAX];
    uint16_t slots[SLOTS]; /* numbers of members, from 1 */
    unsigned count;
};

static struct member *member_of(struct fold *fold, const struct saga_id *id) {
    uint64_t at = XXH3_64bits(id->bytes, sizeof id->bytes);
    for (;; at++) {
        uint16_t *slot = &fold->slots[at % SLOTS];
        if (*slot == 0) {
            if (fold->count == LOG_STORY_SAGAS_MAX) {
                abort();
            }
            fold->members[fold->count].id = *id;
            *slot = (uint16_t)++fold->count;
        }
        struct member *member = &fold->members[*slot - 1];
        if (memcmp(&member->id, id, sizeof *id) == 0) {
            return member;
        }
    }
}

/* False: it makes no sense. */
static bool fold_record(struct fold *fold, const struct saga_recall *recall,
                        const struct saga_record *record) {
    if (record->fact == SAGA_DEFINITION_LOADED) {
        const struct saga_definition *definition = saga_registry_at(recall->registry, record->lsn);
        return definition != NULL && saga_coordinator_define(fold->coordinator, &definition->plan);
    }
    const enum saga_replay result = saga_coordinator_replay(fold->coordinator, record);
    if (saga_fact_is_of_log(record->fact)) {
        return true;
    }
    struct member *member = member_of(fold, &record->saga);
    member->last_lsn = record->lsn;
    member->outcome = record->fact == SAGA_ENDED ? record->outcome : member->outcome;
    return result == SAGA_REPLAYED || record->fact == SAGA_LATE_REPLY_RECEIVED;
}

static int newest_first(const void *a, const void *b) {
    return -memcmp(((const struct member *)a)->id.bytes, ((const struct member *)b)->id.bytes,
                   sizeof((const struct member *)a)->id.bytes);
}

static uint64_t hash_fold(struct fold *fold) {
    uint64_t hash = 0;
    qsort(fold->members, fold->count, sizeof fold->members[0], newest_first);
    for (unsigned i = 0; i < fold->count; i++) {
        const struct member *member = &fold->members[i];
        const struct saga_plan *plan;
        const struct saga *saga = saga_coordinator_find(fold->coordinator, &member->id, &plan);
        const char *status =
            saga != NULL ? saga_status_name(saga) : saga_outcome_name(member->outcome);
        mix_saga(&hash, &member->id, member->last_lsn, status, saga);
    }
    return hash;
}

static enum saga_error read_records(struct log_story *story, struct saga_log_reader *reader,
                                    const struct saga_recall *recall, struct fold *fold,
                                    struct saga_fault *fault) {
    struct saga_record record;
    enum saga_error error;
    bool sense = true;
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
    while ((error = saga_log_reader_next(reader, &record, fault)) == SAGA_OK) {
        mix_record(&story->records, &record);
        if (record.lsn < story->after_room) {
            story->after[record.lsn] = story->records;
        }
        sense = fold_record(fold, recall, &record) && sense;
    }
    if (error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    story->last_lsn = saga_log_reader_last(reader);
    story->sagas_folded = hash_fold(fold);
    return sense ? SAGA_OK
                 : saga_fault_set(fault, SAGA_ERROR_INVALID, "records make no legal story");
}

/* ------------------------------------------------------------- by the tables */

static enum saga_error read_sagas(struct log_story *story, struct saga_log_reader *reader,
                                  const struct saga_recall *recall, struct saga_fault *fault) {
    struct saga_census census;
    struct saga_census_line line;
    enum saga_error error = saga_census_begin(&census, recall->roster, reader, NULL, NULL, fault);
    while (error == SAGA_OK) {
        error = saga_census_next(&census, &line, fault);
        if (error == SAGA_OK) {
            const struct saga_plan *plan;
            const struct saga *saga = saga_coordinator_find(recall->coordinator, &line.id, &plan);
            mix_saga(&story->sagas, &line.id, line.last_lsn, line.status, saga);
            story->count++;
            story->open += saga != NULL;
        }
    }
    story->quarantined = (unsigned)recall->report.quarantined;
    story->read = recall->report.records;
    story->recalled = error == SAGA_ERROR_NOT_FOUND;
    return story->recalled ? SAGA_OK : error;
}

static enum saga_error read_rows(struct log_story *story, struct saga_log_reader *reader,
                                 struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (int table = 1; table <= SAGA_LOG_TABLE_COUNT && error == SAGA_OK; table++) {
        struct saga_log_row row;
        error = saga_log_reader_seek_row(reader, (enum saga_log_table)table, (struct saga_bytes){0},
                                         &row, fault);
        while (error == SAGA_OK) {
            mix_bytes(&story->rows, row.key);
            mix_bytes(&story->rows, row.value);
            story->in_table[table]++;
            error = saga_log_reader_step_row(reader, (enum saga_log_table)table, true, &row, fault);
        }
        error = error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
        mix_number(&story->rows, (uint64_t)table);
    }
    return error;
}

/* ------------------------------------------------------------------ together */

static enum saga_error read_both(struct log_story *story, struct saga_log_reader *reader,
                                 const struct saga_recall *recall, struct saga_fault *fault) {
    struct fold *fold = calloc(1, sizeof *fold);
    void *memory = calloc(1, saga_coordinator_size(&limits));
    if (fold == NULL || memory == NULL) {
        abort();
    }
    fold->coordinator = saga_coordinator_init(memory, &limits);
    enum saga_error error = read_sagas(story, reader, recall, fault);
    if (error == SAGA_OK) {
        error = read_records(story, reader, recall, fold, fault);
    }
    if (error == SAGA_OK) {
        error = read_rows(story, reader, fault);
    }
    free(memory);
    free(fold);
    return error;
}

enum saga_error log_story_read(struct log_story *story, const char *data_dir, bool own,
                               struct saga_fault *fault) {
    const struct saga_log_options log_options = {
        .data_dir = data_dir, .map_bytes_max = own ? 64u << 20 : 0, .read_only = !own};
    const struct saga_recall_options options = {.limits = limits};
    struct saga_log *log;
    struct saga_log_reader *reader;
    struct saga_recall *recall = NULL;
    *story = (struct log_story){.after = story->after, .after_room = story->after_room};
    enum saga_error error = saga_log_open(&log, &log_options, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = saga_log_reader_open(log, &reader, fault);
    if (error == SAGA_OK) {
        error = saga_recall_open(&recall, reader, &options, fault);
        if (error == SAGA_OK) {
            error = read_both(story, reader, recall, fault);
            saga_recall_close(recall);
        }
        saga_log_reader_close(reader);
    }
    saga_log_close(log);
    return error;
}
