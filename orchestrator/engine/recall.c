#include "recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ids.h"
#include "replay.h"

static bool load_definition(void *context, const struct saga_record *record) {
    struct saga_recall *recall = context;
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    if (saga_definition_parse(record->payload.data, record->payload.size, &definition,
                              &diagnostics) != SAGA_OK) {
        saga_diagnostics_free(&diagnostics);
        return false;
    }
    if (saga_registry_add(recall->registry, definition, record->lsn, NULL) != SAGA_OK) {
        saga_definition_free(definition);
        return false;
    }
    recall->report.records++;
    recall->report.definitions++;
    return saga_coordinator_define(recall->coordinator, &definition->plan);
}

static void index_start(struct saga_recall *recall, const struct saga_record *record) {
    const struct saga_definition *definition =
        saga_registry_at(recall->registry, record->definition_lsn);
    uint64_t number = saga_catalog_add(recall->catalog, &record->saga, record->definition_lsn,
                                       record->lsn, "running");
    recall->report.sagas++;
    if (record->fact == SAGA_STARTED && record->key.size > 0) {
        struct saga_catalog_key hashed;
        /* Without its definition nobody can tell whether a later start means the same; but the key
         * is used up, so such a start is refused: no definition has an empty name. */
        saga_catalog_hash(recall->catalog, record->key, definition != NULL ? definition->name : "",
                          record->payload, &hashed);
        hashed.entry = number;
        if (saga_catalog_recall(recall->catalog, &hashed) == NULL) {
            saga_catalog_remember(recall->catalog, &hashed);
        }
    }
}

static void index_record(void *context, const struct saga_record *record, enum saga_replay result) {
    struct saga_recall *recall = context;
    struct saga_catalog_entry *entry;
    const struct saga_plan *plan;
    recall->report.records++;
    saga_outcomes_fold(recall->outcomes, record);
    if (saga_fact_is_of_log(record->fact)) {
        return;
    }
    entry = saga_catalog_find(recall->catalog, &record->saga);
    if (entry == NULL) {
        index_start(recall, record); /* by any record: what is in the log is shown */
        entry = saga_catalog_find(recall->catalog, &record->saga);
    }
    entry->last_lsn = record->lsn;
    entry->left_out = result == SAGA_REPLAY_LEFT_OUT;
    bool late = result == SAGA_REPLAY_NO_SAGA && record->fact == SAGA_LATE_REPLY_RECEIVED;
    if (result != SAGA_REPLAYED) {
        entry->status = late ? entry->status : "quarantined";
    } else {
        const struct saga *saga = saga_coordinator_find(recall->coordinator, &record->saga, &plan);
        entry->status = saga != NULL ? saga_status_name(saga) : saga_outcome_name(record->outcome);
    }
}

static void note_quarantine(void *context, const struct saga_id *id, const char *why) {
    static const struct saga_id log_itself = {{0}};
    struct saga_recall *recall = context;
    struct saga_catalog_entry *entry = saga_catalog_find(recall->catalog, id);
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
    recall->catalog = saga_catalog_open(recall->options.hash_seed);
    recall->registry = saga_registry_open(limits->plans_max, limits->participants_max);
    recall->outcomes = saga_outcomes_open();
    if (recall->catalog == NULL || recall->registry == NULL || recall->outcomes == NULL) {
        return no_memory(fault);
    }
    return SAGA_OK;
}

enum saga_error saga_recall_open(struct saga_recall **recall, struct saga_log *log,
                                 const struct saga_recall_options *options,
                                 struct saga_fault *fault) {
    struct saga_recall *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return no_memory(fault);
    }
    made->options = *options;
    const struct saga_replay_hooks hooks = {
        .context = made,
        .definition = load_definition,
        .folded = index_record,
        .quarantined = note_quarantine,
    };
    const struct saga_replay_options replay = {.guard_path = options->guard_path};
    enum saga_error error = make_parts(made, fault);
    if (error == SAGA_OK) {
        error = saga_replay_run(log, made->coordinator, &hooks, &replay, fault);
    }
    if (error != SAGA_OK) {
        saga_recall_close(made);
        return error;
    }
    made->report.open = saga_coordinator_counters(made->coordinator)->open;
    made->report.last_ms = saga_coordinator_now(made->coordinator);
    *recall = made;
    return SAGA_OK;
}

void saga_recall_close(struct saga_recall *recall) {
    if (recall == NULL) {
        return;
    }
    if (recall->memory != NULL) {
        munmap(recall->memory, recall->memory_size);
    }
    saga_catalog_close(recall->catalog);
    saga_registry_close(recall->registry);
    saga_outcomes_close(recall->outcomes);
    free(recall);
}
