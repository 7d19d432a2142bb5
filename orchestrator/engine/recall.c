#include "recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "census.h"
#include "ids.h"
#include "replay.h"
#include "restore.h"
#include "room.h"

static void see_time(struct saga_recall *recall, int64_t at_ms) {
    recall->report.last_ms = at_ms > recall->report.last_ms ? at_ms : recall->report.last_ms;
}

static const struct saga_plan *load_definition(void *context, const struct saga_record *record) {
    struct saga_recall *recall = context;
    const struct saga_definition *known = saga_registry_at(recall->registry, record->lsn);
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    see_time(recall, record->at_ms);
    if (known != NULL) {
        return &known->plan;
    }
    if (saga_definition_parse(record->payload.data, record->payload.size, &definition,
                              &diagnostics) != SAGA_OK) {
        saga_diagnostics_free(&diagnostics);
        return NULL;
    }
    if (saga_registry_add(recall->registry, definition, record->lsn, NULL) != SAGA_OK) {
        saga_definition_free(definition);
        return NULL;
    }
    recall->report.records++;
    recall->report.definitions++;
    return saga_coordinator_define(recall->coordinator, &definition->plan) ? &definition->plan
                                                                           : NULL;
}

static void remember_key(struct saga_recall *recall, const struct saga_record *record) {
    const struct saga_definition *definition =
        saga_registry_at(recall->registry, record->definition_lsn);
    struct saga_start_key key;
    if (record->key.size == 0) {
        return;
    }
    /* Without its definition nobody can tell whether a later start means the same; but the key is
     * used up, so such a start is refused: no definition has an empty name. */
    saga_start_keys_hash(recall->keys, record->key, definition != NULL ? definition->name : "",
                         record->payload, &key);
    key.saga = record->saga;
    saga_start_keys_remember(recall->keys, &key);
}

static struct saga_roster_entry *enter(struct saga_recall *recall,
                                       const struct saga_record *record) {
    struct saga_roster_entry *entry = saga_roster_find(recall->roster, &record->saga);
    if (entry == NULL) { /* by any record: what is in the log is shown */
        entry = saga_roster_add(recall->roster, &record->saga);
        entry->started_lsn = record->lsn;
        entry->definition_lsn = record->definition_lsn;
        entry->status = "running";
    }
    return entry;
}

/* A checkpoint that was not finished may have its row in `done` already. If that cannot be read,
 * nobody needs it yet: who does says so. */
static void note_end(struct saga_recall *recall, struct saga_roster_entry *entry,
                     const struct saga_record *record) {
    struct saga_done_row row;
    struct saga_fault fault;
    entry->outcome = record->outcome;
    entry->ended_ms = record->at_ms;
    if (saga_restore_done_by(recall->reader, record->outcome, &entry->id, &row, &fault) ==
        SAGA_OK) {
        saga_roster_recall(recall->roster, entry);
    }
}

static void index_record(void *context, const struct saga_record *record, enum saga_replay result) {
    struct saga_recall *recall = context;
    const struct saga_plan *plan;
    recall->report.records++;
    see_time(recall, record->at_ms);
    saga_outcomes_fold(recall->outcomes, record);
    if (record->fact == SAGA_STARTED) {
        remember_key(recall, record);
    }
    if (saga_fact_is_of_log(record->fact)) {
        return;
    }
    struct saga_roster_entry *entry = result == SAGA_REPLAY_KNOWN
                                          ? saga_roster_find(recall->roster, &record->saga)
                                          : enter(recall, record);
    if (entry == NULL) {
        return; /* its row in `done` has all there is */
    }
    entry->last_lsn = record->lsn > entry->last_lsn ? record->lsn : entry->last_lsn;
    if (result == SAGA_REPLAY_KNOWN) {
        return;
    }
    entry->left_out = result == SAGA_REPLAY_LEFT_OUT;
    entry->body_bytes = saga_room_body(entry->body_bytes, record);
    bool late = result == SAGA_REPLAY_NO_SAGA && record->fact == SAGA_LATE_REPLY_RECEIVED;
    if (result != SAGA_REPLAYED) {
        entry->status = late ? entry->status : "quarantined";
        return;
    }
    const struct saga *saga = saga_coordinator_find(recall->coordinator, &record->saga, &plan);
    entry->status = saga != NULL ? saga_status_name(saga) : saga_outcome_name(record->outcome);
    if (saga == NULL) {
        note_end(recall, entry, record);
    }
}

static void index_restored(void *context, const struct saga_open_row *row,
                           enum saga_replay result) {
    struct saga_recall *recall = context;
    const struct saga_plan *plan;
    struct saga_roster_entry *entry = saga_roster_add(recall->roster, &row->id);
    const struct saga *saga = result == SAGA_REPLAYED
                                  ? saga_coordinator_find(recall->coordinator, &row->id, &plan)
                                  : NULL;
    entry->started_lsn = row->started_lsn;
    entry->last_lsn = row->last_lsn;
    entry->definition_lsn = row->definition_lsn;
    entry->body_bytes = row->body_bytes != 0 ? row->body_bytes : SAGA_ROOM_BODY_BYTES;
    entry->status = saga != NULL ? saga_status_name(saga) : "running";
    entry->left_out = result == SAGA_REPLAY_LEFT_OUT;
    entry->has_row = true;
    if (row->asked) {
        saga_outcomes_restore(recall->outcomes, &row->id, row->started_lsn, 0);
    }
}

static void index_owed(void *context, const struct saga_owed_row *row) {
    struct saga_recall *recall = context;
    saga_outcomes_restore(recall->outcomes, &row->id, row->started_lsn, row->ended_lsn);
}

static void index_recalled(void *context, const struct saga_done_row *row) {
    struct saga_recall *recall = context;
    const struct saga_census_line line = saga_census_line(row);
    (void)saga_census_admit(recall->roster, &line);
}

static void note_quarantine(void *context, const struct saga_id *id, const char *why) {
    static const struct saga_id log_itself = {{0}};
    struct saga_recall *recall = context;
    struct saga_roster_entry *entry = saga_roster_find(recall->roster, id);
    char text[SAGA_ID_TEXT_SIZE];
    if (memcmp(id, &log_itself, sizeof *id) == 0 ||
        (entry != NULL && strcmp(entry->status, "quarantined") == 0)) {
        return; /* a definition: its sagas are told of; or each further record of one saga */
    }
    if (recall->report.quarantined++ == 0) {
        (void)snprintf(recall->report.first_quarantined, sizeof recall->report.first_quarantined,
                       "saga %s: %s", saga_id_text(id, text), why);
    }
    if (entry != NULL) {
        entry->status = "quarantined";
    }
    if (recall->options.quarantined != NULL) {
        recall->options.quarantined(recall->options.context, id, why);
    }
}

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for what the log says");
}

/* The coordinator's memory is mapped, not reserved: pages come as sagas do. */
static enum saga_error make_parts(struct saga_recall *recall, struct saga_fault *fault) {
    const struct saga_limits *limits = &recall->options.limits;
    recall->memory_size = saga_coordinator_size(limits);
    recall->memory = mmap(NULL, recall->memory_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (recall->memory == MAP_FAILED) {
        recall->memory = NULL;
        return no_memory(fault);
    }
    recall->coordinator = saga_coordinator_init(recall->memory, limits);
    recall->roster = saga_roster_open();
    recall->registry = saga_registry_open(limits->plans_max, limits->participants_max);
    recall->outcomes = saga_outcomes_open();
    if (recall->roster == NULL || recall->registry == NULL || recall->outcomes == NULL) {
        return no_memory(fault);
    }
    return SAGA_OK;
}

static enum saga_error report(struct saga_recall *made, struct saga_log_reader *reader,
                              struct saga_recall **recall, struct saga_fault *fault) {
    enum saga_error error = saga_census_count(made->roster, reader, &made->report.sagas, fault);
    if (error != SAGA_OK) {
        saga_recall_close(made);
        return error;
    }
    saga_outcomes_restored(made->outcomes, saga_log_reader_checkpoint(reader).lsn);
    made->report.open = saga_coordinator_counters(made->coordinator)->open;
    see_time(made, saga_coordinator_now(made->coordinator));
    see_time(made, saga_log_reader_checkpoint(reader).at_ms);
    *recall = made;
    return SAGA_OK;
}

enum saga_error saga_recall_open(struct saga_recall **recall, struct saga_log_reader *reader,
                                 const struct saga_recall_options *options,
                                 struct saga_fault *fault) {
    struct saga_recall *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return no_memory(fault);
    }
    made->options = *options;
    made->reader = reader;
    const struct saga_replay_hooks hooks = {
        .context = made,
        .definition = load_definition,
        .restored = index_restored,
        .owed = index_owed,
        .recalled = index_recalled,
        .folded = index_record,
        .quarantined = note_quarantine,
    };
    const struct saga_replay_options replay = {.guard_path = options->guard_path};
    enum saga_error error = make_parts(made, fault);
    if (error == SAGA_OK) {
        error = saga_start_keys_open(&made->keys, reader, options->hash_seed, fault);
    }
    if (error == SAGA_OK) {
        error = saga_replay_run(reader, made->coordinator, &hooks, &replay, fault);
    }
    if (error != SAGA_OK) {
        saga_recall_close(made);
        return error;
    }
    return report(made, reader, recall, fault);
}

void saga_recall_close(struct saga_recall *recall) {
    if (recall == NULL) {
        return;
    }
    if (recall->memory != NULL) {
        munmap(recall->memory, recall->memory_size);
    }
    saga_roster_close(recall->roster);
    saga_start_keys_close(recall->keys);
    saga_registry_close(recall->registry);
    saga_outcomes_close(recall->outcomes);
    free(recall);
}
