#include "checkpointer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bigendian.h"
#include "tables.h"

const struct saga_checkpoint_pace saga_checkpoint_pace_default = {
    .records = 1000000,
    .records_open = 10,
    .records_most = 2000000,
    .ms = 3600000,
    .slice_entries = 64,
};

/* Rows of the start keys that weigh as much as so many sagas. */
#define ENTRIES_PER_KEY_ROW 16

enum stage {
    RESTING = 0,
    DEFINITIONS, /* before the sagas of them */
    SAGAS,
    OWED, /* who was told meanwhile */
    KEYS,
    SETTLING, /* the checkpoint is set in this batch */
};

/* A saga whose row in `done` is in the batch before: it leaves, unless it was heard of since. */
struct leaving {
    struct saga_roster_entry *entry;
    uint64_t last_lsn;
};

struct saga_checkpointer {
    struct saga_checkpoint_sources sources;
    struct saga_checkpoint_pace pace;
    enum stage stage;
    struct saga_checkpoint border; /* what is to be set */
    uint64_t previous_lsn;         /* of the checkpoint before */
    int64_t begun_ms;              /* the last one was begun, or the first slice asked for */
    struct saga_roster_entry *next, *last; /* SAGAS: still to be visited, both included */
    uint64_t entries;                      /* there were at the border */
    struct leaving *leaving;               /* owned */
    size_t leaving_count, leaving_room;
    struct saga_owed_row *owed; /* owned; what the table has */
    size_t owed_count, owed_room;
    size_t owed_next;      /* OWED: still to be looked at */
    uint64_t *definitions; /* owned; LSNs, ascending: not yet in the table */
    size_t definition_count, definition_room;
    bool keys_busy;
    struct saga_checkpointer_counts counts;
};

/* Room for one more. False: no memory. */
static bool reserve(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room) {
        return true;
    }
    const size_t larger = *room == 0 ? 64 : *room * 2;
    void *grown = reallocarray(*array, larger, size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *room = larger;
    return true;
}

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a checkpoint");
}

static bool note_owed(struct saga_checkpointer *checkpointer, const struct saga_owed_row *row) {
    void *array = checkpointer->owed;
    if (!reserve(&array, checkpointer->owed_count, &checkpointer->owed_room,
                 sizeof *checkpointer->owed)) {
        return false;
    }
    checkpointer->owed = array;
    checkpointer->owed[checkpointer->owed_count++] = *row;
    return true;
}

/* Which rows `owed` has. */
static enum saga_error load_owed(struct saga_checkpointer *checkpointer, struct saga_fault *fault) {
    struct saga_log_reader *reader;
    struct saga_log_row stored;
    enum saga_error error = saga_log_committed(checkpointer->sources.log, &reader, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_seek_row(reader, SAGA_TABLE_OWED, (struct saga_bytes){0}, &stored,
                                         fault);
    }
    while (error == SAGA_OK) {
        struct saga_owed_row row;
        const enum saga_record_error damage = saga_owed_row_decode(&row, stored.key, stored.value);
        if (damage != SAGA_RECORD_OK) {
            return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                  "the log is damaged: a row of its table owed: %s. Restore "
                                  "data.mdb from a backup; nothing was changed.",
                                  saga_record_error_text(damage));
        }
        if (!note_owed(checkpointer, &row)) {
            return no_memory(fault);
        }
        error = saga_log_reader_step_row(reader, SAGA_TABLE_OWED, true, &stored, fault);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

enum saga_error saga_checkpointer_open(struct saga_checkpointer **checkpointer,
                                       const struct saga_checkpoint_sources *sources,
                                       const struct saga_checkpoint_pace *pace,
                                       struct saga_fault *fault) {
    struct saga_checkpointer *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return no_memory(fault);
    }
    opened->sources = *sources;
    opened->pace = *pace;
    opened->previous_lsn = saga_log_checkpoint(sources->log).lsn;
    opened->counts.lsn = opened->previous_lsn;
    opened->begun_ms = INT64_MIN;
    opened->keys_busy = true; /* what an earlier daemon has left to sweep or merge */
    const enum saga_error error = load_owed(opened, fault);
    if (error != SAGA_OK) {
        saga_checkpointer_close(opened);
        return error;
    }
    *checkpointer = opened;
    return SAGA_OK;
}

void saga_checkpointer_close(struct saga_checkpointer *checkpointer) {
    if (checkpointer != NULL) {
        free(checkpointer->leaving);
        free(checkpointer->owed);
        free(checkpointer->definitions);
        free(checkpointer);
    }
}

void saga_checkpointer_define(struct saga_checkpointer *checkpointer, uint64_t definition_lsn) {
    void *array = checkpointer->definitions;
    if (!reserve(&array, checkpointer->definition_count, &checkpointer->definition_room,
                 sizeof *checkpointer->definitions)) {
        abort(); /* sagas could not be read without it */
    }
    checkpointer->definitions = array;
    checkpointer->definitions[checkpointer->definition_count++] = definition_lsn;
}

/* ------------------------------------------------------------------- rows */

static void put_open(const struct saga_checkpointer *checkpointer,
                     struct saga_roster_entry *entry) {
    const struct saga_coordinator *coordinator = checkpointer->sources.coordinator;
    const struct saga_plan *plan;
    const struct saga *state = saga_coordinator_find(coordinator, &entry->id, &plan);
    const struct saga_owed *owed = saga_outcomes_find(checkpointer->sources.outcomes, &entry->id);
    const struct saga_open_row row = {
        .id = entry->id,
        .started_lsn = entry->started_lsn,
        .last_lsn = entry->last_lsn,
        .definition_lsn = entry->definition_lsn,
        .body_bytes = entry->body_bytes,
        .quarantined = state == NULL || saga_coordinator_quarantined(coordinator, &entry->id),
        .asked = owed != NULL && owed->started_lsn != 0,
    };
    uint8_t key[SAGA_OPEN_KEY_BYTES];
    uint8_t value[SAGA_OPEN_VALUE_BYTES_MAX];
    const size_t size = saga_open_row_encode(&row, row.quarantined ? NULL : state, key, value);
    saga_log_put(checkpointer->sources.log, SAGA_TABLE_OPEN,
                 (struct saga_bytes){.data = key, .size = sizeof key},
                 (struct saga_bytes){.data = value, .size = (uint32_t)size});
    entry->has_row = true;
}

static void put_done(const struct saga_checkpointer *checkpointer,
                     struct saga_roster_entry *entry) {
    struct saga_log *log = checkpointer->sources.log;
    const struct saga_done_row row = {
        .outcome = entry->outcome,
        .id = entry->id,
        .started_lsn = entry->started_lsn,
        .last_lsn = entry->last_lsn,
        .definition_lsn = entry->definition_lsn,
        .ended_ms = entry->ended_ms,
    };
    uint8_t key[SAGA_DONE_KEY_BYTES];
    uint8_t value[SAGA_DONE_VALUE_BYTES];
    saga_done_row_encode(&row, key, value);
    saga_log_put(log, SAGA_TABLE_DONE, (struct saga_bytes){.data = key, .size = sizeof key},
                 (struct saga_bytes){.data = value, .size = sizeof value});
    if (entry->has_row) {
        saga_log_remove(log, SAGA_TABLE_OPEN,
                        (struct saga_bytes){.data = entry->id.bytes, .size = SAGA_OPEN_KEY_BYTES});
        entry->has_row = false;
    }
}

/* Somebody is still to be told of its end. False: no memory. */
static bool put_owed(struct saga_checkpointer *checkpointer,
                     const struct saga_roster_entry *entry) {
    const struct saga_owed *owed = saga_outcomes_find(checkpointer->sources.outcomes, &entry->id);
    if (owed == NULL || owed->started_lsn == 0) {
        return true;
    }
    const struct saga_owed_row row = {
        .ended_lsn = owed->ended_lsn, .started_lsn = owed->started_lsn, .id = entry->id};
    uint8_t key[SAGA_OWED_KEY_BYTES];
    uint8_t value[SAGA_OWED_VALUE_BYTES];
    saga_owed_row_encode(&row, key, value);
    saga_log_put(checkpointer->sources.log, SAGA_TABLE_OWED,
                 (struct saga_bytes){.data = key, .size = sizeof key},
                 (struct saga_bytes){.data = value, .size = sizeof value});
    return note_owed(checkpointer, &row);
}

/* False: no memory. */
static bool visit(struct saga_checkpointer *checkpointer, struct saga_roster_entry *entry) {
    const bool open = entry->outcome == 0;
    if (open && entry->has_row && entry->last_lsn <= checkpointer->previous_lsn) {
        return true; /* its row says all there is */
    }
    if (entry->started_lsn > checkpointer->border.lsn) {
        return true; /* the next one's: its definition may not be in the table yet */
    }
    checkpointer->counts.rows++;
    if (open) {
        put_open(checkpointer, entry);
        return true;
    }
    void *array = checkpointer->leaving;
    if (!reserve(&array, checkpointer->leaving_count, &checkpointer->leaving_room,
                 sizeof *checkpointer->leaving)) {
        return false;
    }
    checkpointer->leaving = array;
    checkpointer->leaving[checkpointer->leaving_count++] =
        (struct leaving){.entry = entry, .last_lsn = entry->last_lsn};
    put_done(checkpointer, entry);
    saga_roster_recall(checkpointer->sources.roster, entry);
    return put_owed(checkpointer, entry);
}

/* Their rows in `done` are durable by now. */
static void let_leave(struct saga_checkpointer *checkpointer) {
    for (size_t i = 0; i < checkpointer->leaving_count; i++) {
        const struct leaving *leaving = &checkpointer->leaving[i];
        if (leaving->entry->last_lsn == leaving->last_lsn) {
            saga_roster_remove(checkpointer->sources.roster, leaving->entry);
        }
    }
    checkpointer->leaving_count = 0;
}

static enum saga_error write_sagas(struct saga_checkpointer *checkpointer, uint64_t entries_max,
                                   struct saga_fault *fault) {
    for (; checkpointer->next != NULL && entries_max > 0; entries_max--) {
        struct saga_roster_entry *entry = checkpointer->next;
        if (!visit(checkpointer, entry)) {
            return no_memory(fault);
        }
        checkpointer->next = entry == checkpointer->last ? NULL : entry->newer;
    }
    if (checkpointer->next == NULL) {
        checkpointer->stage = OWED;
        checkpointer->owed_next = 0;
    }
    return SAGA_OK;
}

static void remove_told(struct saga_checkpointer *checkpointer, uint64_t entries_max) {
    while (checkpointer->owed_next < checkpointer->owed_count && entries_max-- > 0) {
        const struct saga_owed_row *row = &checkpointer->owed[checkpointer->owed_next];
        uint8_t key[SAGA_OWED_KEY_BYTES];
        if (saga_outcomes_find(checkpointer->sources.outcomes, &row->id) != NULL) {
            checkpointer->owed_next++;
            continue;
        }
        saga_put64(key, row->ended_lsn);
        saga_log_remove(checkpointer->sources.log, SAGA_TABLE_OWED,
                        (struct saga_bytes){.data = key, .size = sizeof key});
        checkpointer->owed[checkpointer->owed_next] =
            checkpointer->owed[--checkpointer->owed_count];
    }
    if (checkpointer->owed_next == checkpointer->owed_count) {
        checkpointer->stage = KEYS;
    }
}

static enum saga_error put_definition(const struct saga_checkpointer *checkpointer,
                                      uint64_t definition_lsn, struct saga_fault *fault) {
    struct saga_log *log = checkpointer->sources.log;
    struct saga_record record;
    uint8_t key[SAGA_DEFINITION_KEY_BYTES];
    const enum saga_error error = saga_log_read(log, NULL, definition_lsn, &record, fault);
    if (error != SAGA_OK) {
        return error;
    }
    uint8_t *bytes = malloc(saga_record_size_max(&record));
    if (bytes == NULL) {
        return no_memory(fault);
    }
    const size_t size = saga_record_encode(&record, bytes);
    saga_definition_key(definition_lsn, key);
    saga_log_put(log, SAGA_TABLE_DEFINITIONS, (struct saga_bytes){.data = key, .size = sizeof key},
                 (struct saga_bytes){.data = bytes, .size = (uint32_t)size});
    free(bytes);
    return SAGA_OK;
}

/* One a slice: a definition may be large, and there are few. */
static enum saga_error write_definitions(struct saga_checkpointer *checkpointer,
                                         struct saga_fault *fault) {
    if (checkpointer->definition_count == 0) {
        checkpointer->stage = SAGAS;
        return SAGA_OK;
    }
    const enum saga_error error = put_definition(checkpointer, checkpointer->definitions[0], fault);
    if (error == SAGA_OK) {
        checkpointer->definition_count--;
        memmove(checkpointer->definitions, checkpointer->definitions + 1,
                checkpointer->definition_count * sizeof *checkpointer->definitions);
    }
    return error;
}

static enum saga_error write_keys(struct saga_checkpointer *checkpointer, uint64_t entries_max,
                                  bool *written, struct saga_fault *fault) {
    const uint32_t rows_max = (uint32_t)(entries_max / ENTRIES_PER_KEY_ROW + 1);
    bool idle = false;
    const enum saga_error error = saga_start_keys_write(
        checkpointer->sources.keys, checkpointer->sources.log, rows_max, written, &idle, fault);
    checkpointer->keys_busy = !idle;
    return error;
}

/* ------------------------------------------------------------------ slices */

static uint64_t last_lsn(const struct saga_checkpointer *checkpointer) {
    return saga_log_next_lsn(checkpointer->sources.log) - 1;
}

static uint64_t records_between(const struct saga_checkpointer *checkpointer) {
    const uint64_t open = saga_coordinator_counters(checkpointer->sources.coordinator)->open;
    const struct saga_checkpoint_pace *pace = &checkpointer->pace;
    uint64_t by_open = open * pace->records_open;
    if (pace->records_most > 0 && by_open > pace->records_most) {
        by_open = pace->records_most;
    }
    return by_open > pace->records ? by_open : pace->records;
}

static bool is_due(struct saga_checkpointer *checkpointer, int64_t at_ms) {
    const uint64_t records = last_lsn(checkpointer) - checkpointer->previous_lsn;
    if (checkpointer->begun_ms == INT64_MIN) {
        checkpointer->begun_ms = at_ms;
    }
    return records >= records_between(checkpointer) ||
           (checkpointer->pace.ms > 0 && records > 1 &&
            at_ms - checkpointer->begun_ms >= checkpointer->pace.ms);
}

/* At a border: all that the batch has is before it. */
static void begin(struct saga_checkpointer *checkpointer,
                  const struct saga_checkpoint_moment *moment) {
    struct saga_roster *roster = checkpointer->sources.roster;
    checkpointer->border = (struct saga_checkpoint){
        .lsn = last_lsn(checkpointer),
        .epoch = moment->epoch,
        .epoch_ms = moment->epoch_ms,
        .at_ms = moment->at_ms,
    };
    checkpointer->begun_ms = moment->at_ms;
    checkpointer->next = saga_roster_oldest(roster);
    checkpointer->last = saga_roster_newest(roster);
    checkpointer->entries = saga_roster_count(roster);
    checkpointer->stage = DEFINITIONS;
    saga_start_keys_cut(checkpointer->sources.keys);
    checkpointer->keys_busy = true;
}

/* So many that all are visited within half the records between two checkpoints. */
static uint64_t slice_entries(const struct saga_checkpointer *checkpointer) {
    const uint64_t records = last_lsn(checkpointer) - saga_log_durable(checkpointer->sources.log);
    const uint64_t share = checkpointer->entries * 2 * records / records_between(checkpointer) + 1;
    return share > checkpointer->pace.slice_entries ? share : checkpointer->pace.slice_entries;
}

static enum saga_error advance(struct saga_checkpointer *checkpointer, struct saga_fault *fault) {
    const uint64_t entries_max = slice_entries(checkpointer);
    bool written = false;
    enum saga_error error = SAGA_OK;
    switch (checkpointer->stage) {
    case DEFINITIONS:
        return write_definitions(checkpointer, fault);
    case SAGAS:
        return write_sagas(checkpointer, entries_max, fault);
    case OWED:
        remove_told(checkpointer, entries_max);
        return SAGA_OK;
    case KEYS:
        error = write_keys(checkpointer, entries_max, &written, fault);
        if (error == SAGA_OK && written) {
            saga_log_set_checkpoint(checkpointer->sources.log, &checkpointer->border);
            checkpointer->stage = SETTLING;
        }
        return error;
    case RESTING: /* merges, and what they leave */
        return checkpointer->keys_busy ? write_keys(checkpointer, entries_max, &written, fault)
                                       : SAGA_OK;
    case SETTLING:
        break;
    }
    return error;
}

enum saga_error saga_checkpointer_slice(struct saga_checkpointer *checkpointer,
                                        const struct saga_checkpoint_moment *moment,
                                        struct saga_fault *fault) {
    let_leave(checkpointer);
    if (checkpointer->stage == SETTLING) {
        checkpointer->previous_lsn = checkpointer->border.lsn;
        checkpointer->counts.lsn = checkpointer->border.lsn;
        checkpointer->counts.checkpoints++;
        checkpointer->stage = RESTING;
    }
    if (checkpointer->stage == RESTING && !checkpointer->keys_busy &&
        is_due(checkpointer, moment->at_ms)) {
        begin(checkpointer, moment);
    }
    return advance(checkpointer, fault);
}

bool saga_checkpointer_busy(const struct saga_checkpointer *checkpointer) {
    return checkpointer->stage != RESTING || checkpointer->keys_busy ||
           checkpointer->leaving_count > 0;
}

void saga_checkpointer_count(const struct saga_checkpointer *checkpointer,
                             struct saga_checkpointer_counts *counts) {
    *counts = checkpointer->counts;
}
