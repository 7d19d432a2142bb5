#include "purger.h"

#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "restore.h"
#include "tables.h"

/* Of one slice, and some more for each record of its batch. A block has some twenty records, a
 * saga some eight. */
#define ROWS            64
#define RECORDS_A_ROW   4
#define BLOCKS          8
#define RECORDS_A_BLOCK 10

/* Between two passes, while the log is too large, and else. */
#define REST_HURRY_MS 1000
#define REST_MS       10000

/* Parts of a retention that a saga is kept for. */
#define WHOLE 1000000

/* Sagas of which a record was kept in this slice, which are not in the committed table yet: a hash
 * table, half full at the most. */
#define KEPT_PLACES 4096
#define KEPT_MAX    (KEPT_PLACES / 2)
_Static_assert(KEPT_MAX > SAGA_BLOCK_RECORDS_MAX, "those of a block have room");

const struct saga_retention saga_retention_for_ever = {
    .ms = {0, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, .keys_ms = INT64_MAX};
_Static_assert(SAGA_OUTCOME_COUNT == 5, "one for each outcome");

enum stage {
    RESTING = 0,
    EXPIRING, /* rows of `done` */
    DROPPING, /* blocks: never in the slice that removed rows, whose kept records are still there */
};

struct saga_purger {
    struct saga_purger_sources sources;
    struct saga_retention retention;
    int64_t share; /* of each retention, of WHOLE */
    enum stage stage;
    uint8_t outcome;                   /* EXPIRING: of these rows, */
    uint8_t next[SAGA_DONE_KEY_BYTES]; /* from this key on */
    uint64_t owed_lsn;                 /* only what is before this */
    int64_t due_ms;                    /* RESTING: the next pass */
    struct saga_id kept[KEPT_PLACES];  /* zero: empty */
    uint32_t kept_count;
    struct saga_purger_counts counts;
};

/* How long a saga of this outcome is kept by now. */
static int64_t kept_ms(const struct saga_purger *purger, int outcome) {
    const int64_t ms = purger->retention.ms[outcome];
    return ms == INT64_MAX ? INT64_MAX
                           : ms / WHOLE * purger->share + ms % WHOLE * purger->share / WHOLE;
}

static int64_t shortest_ms(const struct saga_purger *purger) {
    int64_t shortest = INT64_MAX;
    for (int outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        const int64_t ms = kept_ms(purger, outcome);
        shortest = ms < shortest ? ms : shortest;
    }
    return shortest;
}

struct saga_purger *saga_purger_open(const struct saga_purger_sources *sources,
                                     const struct saga_retention *retention) {
    struct saga_purger *purger = calloc(1, sizeof *purger);
    if (purger == NULL) {
        return NULL;
    }
    purger->sources = *sources;
    purger->retention = *retention;
    purger->share = WHOLE;
    const bool never = shortest_ms(purger) == INT64_MAX && retention->keys_ms == INT64_MAX;
    purger->due_ms = never ? INT64_MAX : INT64_MIN;
    return purger;
}

void saga_purger_close(struct saga_purger *purger) {
    free(purger);
}

/* --------------------------------------------------------------- the ended */

static enum saga_error damaged(const char *table, enum saga_record_error error,
                               struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "the log is damaged: a row of its table %s: %s. Restore data.mdb from a "
                          "backup; nothing was changed.",
                          table, saga_record_error_text(error));
}

static bool is_over(const struct saga_purger *purger, const struct saga_done_row *row,
                    int64_t now_ms) {
    return row->ended_ms <= now_ms - kept_ms(purger, row->outcome) &&
           row->last_lsn <= saga_log_checkpoint(purger->sources.log).lsn &&
           row->last_lsn < purger->owed_lsn &&
           saga_roster_find(purger->sources.roster, &row->id) == NULL &&
           saga_outcomes_find(purger->sources.outcomes, &row->id) == NULL;
}

/* What was kept of its records goes with it. */
static enum saga_error forget_records(const struct saga_purger *purger,
                                      struct saga_log_reader *reader, const struct saga_id *saga,
                                      uint32_t *rows, struct saga_fault *fault) {
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    struct saga_log_row row;
    saga_kept_key(saga, 0, key);
    enum saga_error error = saga_log_reader_seek_row(
        reader, SAGA_TABLE_KEPT, (struct saga_bytes){.data = key, .size = sizeof key}, &row, fault);
    while (error == SAGA_OK && row.key.size == sizeof key &&
           memcmp(row.key.data, saga->bytes, sizeof saga->bytes) == 0) {
        saga_log_remove(purger->sources.log, SAGA_TABLE_KEPT, row.key);
        (*rows)++;
        error = saga_log_reader_step_row(reader, SAGA_TABLE_KEPT, true, &row, fault);
    }
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* The pass goes on with the next outcome, or with the blocks. */
static void next_outcome(struct saga_purger *purger) {
    static const struct saga_id first = {{0}};
    do {
        purger->outcome++;
    } while (purger->outcome <= SAGA_OUTCOME_COUNT &&
             purger->retention.ms[purger->outcome] == INT64_MAX);
    if (purger->outcome > SAGA_OUTCOME_COUNT) {
        purger->stage = DROPPING;
        return;
    }
    saga_done_key(purger->outcome, &first, purger->next);
}

/* From the key after this one on. */
static void go_past(struct saga_purger *purger, const void *key) {
    memcpy(purger->next, key, sizeof purger->next);
    for (size_t i = sizeof purger->next; i-- > 0 && ++purger->next[i] == 0;) {
    }
}

/* The first end of which somebody is still to be told, by the table: who ended before it has been
 * told for good, and who after it perhaps only as far as this daemon knows. */
static enum saga_error find_owed(struct saga_purger *purger, struct saga_log_reader *reader,
                                 struct saga_fault *fault) {
    struct saga_log_row stored;
    struct saga_owed_row row;
    const enum saga_error error =
        saga_log_reader_seek_row(reader, SAGA_TABLE_OWED, (struct saga_bytes){0}, &stored, fault);
    purger->owed_lsn = UINT64_MAX;
    if (error != SAGA_OK) {
        return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
    }
    const enum saga_record_error damage = saga_owed_row_decode(&row, stored.key, stored.value);
    if (damage != SAGA_RECORD_OK) {
        return damaged("owed", damage, fault);
    }
    purger->owed_lsn = row.ended_lsn;
    return SAGA_OK;
}

/* Looks at the outcome's next row. NOT_FOUND: there is none that could be over, since rows stand in
 * the order of their starts, and nobody ends before that. *rows: what went, and what was looked
 * at. */
static enum saga_error expire_next(struct saga_purger *purger, struct saga_log_reader *reader,
                                   int64_t now_ms, uint32_t *rows, struct saga_fault *fault) {
    struct saga_log_row stored;
    struct saga_done_row row;
    const enum saga_error error = saga_log_reader_seek_row(
        reader, SAGA_TABLE_DONE,
        (struct saga_bytes){.data = purger->next, .size = sizeof purger->next}, &stored, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const enum saga_record_error damage = saga_done_row_decode(&row, stored.key, stored.value);
    if (damage != SAGA_RECORD_OK) {
        return damaged("done", damage, fault);
    }
    if (row.outcome != purger->outcome ||
        saga_id_ms(&row.id) > now_ms - kept_ms(purger, row.outcome)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    go_past(purger, stored.key.data);
    (*rows)++;
    if (!is_over(purger, &row, now_ms)) {
        return SAGA_OK;
    }
    saga_log_remove(purger->sources.log, SAGA_TABLE_DONE, stored.key);
    purger->counts.sagas++;
    return forget_records(purger, reader, &row.id, rows, fault);
}

static enum saga_error expire(struct saga_purger *purger, uint64_t records, int64_t now_ms,
                              struct saga_fault *fault) {
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_committed(purger->sources.log, &reader, fault);
    if (error == SAGA_OK) {
        error = find_owed(purger, reader, fault);
    }
    for (uint32_t rows = 0; error == SAGA_OK && rows < ROWS + records / RECORDS_A_ROW;) {
        error = expire_next(purger, reader, now_ms, &rows, fault);
        if (error == SAGA_ERROR_NOT_FOUND) {
            next_outcome(purger);
            return SAGA_OK;
        }
    }
    return error;
}

/* --------------------------------------------------------------- the blocks */

/* Its place, or the empty one where it would stand. */
static struct saga_id *place_of(struct saga_purger *purger, const struct saga_id *saga) {
    uint32_t at;
    memcpy(&at, saga->bytes + sizeof saga->bytes - sizeof at, sizeof at); /* random bits */
    for (;; at++) {
        static const struct saga_id empty = {{0}};
        struct saga_id *place = &purger->kept[at % KEPT_PLACES];
        if (memcmp(place, saga, sizeof *saga) == 0 || memcmp(place, &empty, sizeof empty) == 0) {
            return place;
        }
    }
}

static bool was_kept_now(struct saga_purger *purger, const struct saga_id *saga) {
    return memcmp(place_of(purger, saga), saga, sizeof *saga) == 0;
}

static void keep(struct saga_purger *purger, const struct saga_record *record) {
    struct saga_id *place = place_of(purger, &record->saga);
    purger->kept_count += memcmp(place, &record->saga, sizeof *place) != 0;
    *place = record->saga;
    saga_log_keep(purger->sources.log, record);
    purger->counts.records++;
}

/* Has a row in `done`. */
static enum saga_error has_row(struct saga_log_reader *reader, const struct saga_id *saga,
                               bool *has, struct saga_fault *fault) {
    struct saga_done_row row;
    const enum saga_error error = saga_restore_done(reader, saga, &row, fault);
    *has = error == SAGA_OK;
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

static enum saga_error has_kept(struct saga_log_reader *reader, const struct saga_id *saga,
                                uint64_t lsn, bool *has, struct saga_fault *fault) {
    uint8_t key[SAGA_KEPT_KEY_BYTES];
    struct saga_bytes value;
    saga_kept_key(saga, lsn, key);
    const enum saga_error error =
        saga_log_reader_row(reader, SAGA_TABLE_KEPT,
                            (struct saga_bytes){.data = key, .size = sizeof key}, &value, fault);
    *has = error == SAGA_OK;
    return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
}

/* Whether its saga is known. All of a saga's records are kept or none: so what became of the one
 * before says what becomes of this one, and only a start has to be looked up. */
static enum saga_error is_needed(struct saga_purger *purger, struct saga_log_reader *reader,
                                 const struct saga_record *record, uint64_t slice_lsn, bool *needed,
                                 struct saga_fault *fault) {
    if (saga_roster_find(purger->sources.roster, &record->saga) != NULL) {
        *needed = true;
        return SAGA_OK;
    }
    if (record->previous_lsn == 0) {
        return has_row(reader, &record->saga, needed, fault);
    }
    if (record->previous_lsn >= slice_lsn) {
        *needed = was_kept_now(purger, &record->saga);
        return SAGA_OK;
    }
    return has_kept(reader, &record->saga, record->previous_lsn, needed, fault);
}

static enum saga_error keep_of_block(struct saga_purger *purger, struct saga_log_reader *reader,
                                     uint64_t last_lsn, uint64_t slice_lsn,
                                     struct saga_fault *fault) {
    struct saga_record record;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK && saga_log_reader_position(reader) <= last_lsn) {
        bool needed = false;
        error = saga_log_reader_next(reader, &record, fault);
        if (error == SAGA_OK && !saga_fact_is_of_log(record.fact)) {
            error = is_needed(purger, reader, &record, slice_lsn, &needed, fault);
        }
        if (error != SAGA_OK || !needed) {
            continue;
        }
        keep(purger, &record);
    }
    return error;
}

/* What a row of `kept` takes for a record at the most, since its pages may be half empty. */
static uint64_t kept_bytes(const struct saga_record *record) {
    return (saga_record_size_max(record) + 64) * 9 / 4;
}

/* Where there is hardly any room left, only blocks go of which less stays than goes: what is left
 * is for those who are open. */
static enum saga_error makes_room(struct saga_purger *purger, struct saga_log_reader *reader,
                                  uint64_t last_lsn, uint64_t slice_lsn, bool *makes,
                                  struct saga_fault *fault) {
    const uint64_t first_lsn = saga_log_reader_position(reader);
    uint64_t going = 0;
    uint64_t staying = 0;
    struct saga_record record;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK && saga_log_reader_position(reader) <= last_lsn) {
        bool needed = false;
        error = saga_log_reader_next(reader, &record, fault);
        if (error == SAGA_OK && !saga_fact_is_of_log(record.fact)) {
            error = is_needed(purger, reader, &record, slice_lsn, &needed, fault);
        }
        going += saga_record_size_max(&record);
        staying += needed ? kept_bytes(&record) : 0;
    }
    saga_log_reader_seek(reader, first_lsn);
    *makes = staying < going;
    return error;
}

/* Older than the shortest retention, and a twentieth: so that of most sagas that were at work then
 * nothing has to be kept any more. */
static enum saga_error is_old(const struct saga_purger *purger, uint64_t last_lsn, int64_t now_ms,
                              bool *old, struct saga_fault *fault) {
    const int64_t shortest = shortest_ms(purger);
    if (shortest == INT64_MAX) {
        *old = false;
        return SAGA_OK;
    }
    struct saga_record record;
    const enum saga_error error =
        saga_log_read(purger->sources.log, NULL, last_lsn, &record, fault);
    *old = error == SAGA_OK && record.at_ms <= now_ms - shortest - shortest / 20;
    return error;
}

/* NOT_FOUND: the first block has to stay. */
static enum saga_error drop_next(struct saga_purger *purger, struct saga_log_reader *reader,
                                 uint64_t slice_lsn, int64_t now_ms, uint64_t *through_lsn,
                                 struct saga_fault *fault) {
    struct saga_log *log = purger->sources.log;
    uint64_t last_lsn;
    bool old = false;
    enum saga_error error = saga_log_first_block(log, &last_lsn, fault);
    if (error == SAGA_OK && last_lsn <= saga_log_checkpoint(log).lsn) {
        error = is_old(purger, last_lsn, now_ms, &old, fault);
    }
    bool makes = true;
    if (error == SAGA_OK && old && saga_log_full_percent(log) >= SAGA_LOG_FULL_PERCENT) {
        error = makes_room(purger, reader, last_lsn, slice_lsn, &makes, fault);
    }
    if (error == SAGA_OK && !(old && makes)) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (error == SAGA_OK) {
        error = keep_of_block(purger, reader, last_lsn, slice_lsn, fault);
    }
    if (error == SAGA_OK) {
        saga_log_drop_block(log, last_lsn);
        purger->counts.blocks++;
        *through_lsn = last_lsn;
    }
    return error;
}

static enum saga_error drop(struct saga_purger *purger, uint64_t records, int64_t now_ms,
                            uint64_t *through_lsn, struct saga_fault *fault) {
    struct saga_log *log = purger->sources.log;
    const uint64_t slice_lsn = saga_log_first_lsn(log);
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_committed(log, &reader, fault);
    if (purger->kept_count > 0) {
        memset(purger->kept, 0, sizeof purger->kept);
        purger->kept_count = 0;
    }
    if (error == SAGA_OK) {
        saga_log_reader_seek(reader, slice_lsn);
    }
    for (uint32_t blocks = 0;
         error == SAGA_OK && blocks < BLOCKS + records / RECORDS_A_BLOCK &&
         purger->kept_count <= KEPT_MAX - SAGA_BLOCK_RECORDS_MAX && !saga_log_batch_full(log);
         blocks++) {
        error = drop_next(purger, reader, slice_lsn, now_ms, through_lsn, fault);
        if (error == SAGA_ERROR_NOT_FOUND) {
            purger->stage = RESTING;
            purger->due_ms = now_ms + (purger->share < WHOLE ? REST_HURRY_MS : REST_MS);
            return SAGA_OK;
        }
    }
    return error;
}

/* ------------------------------------------------------------------- slices */

/* Keys are kept as long as a saga is in memory that is as old. */
static void forget_keys(struct saga_purger *purger, int64_t now_ms) {
    const struct saga_roster_entry *oldest = saga_roster_oldest(purger->sources.roster);
    if (purger->retention.keys_ms == INT64_MAX) {
        return;
    }
    int64_t before_ms = now_ms - purger->retention.keys_ms;
    if (oldest != NULL && saga_id_ms(&oldest->id) < before_ms) {
        before_ms = saga_id_ms(&oldest->id);
    }
    saga_start_keys_forget(purger->sources.keys, before_ms);
}

/* A part less with each pass while the log is too large; a part more once it is well below. */
static void set_share(struct saga_purger *purger) {
    struct saga_log_usage usage;
    const uint32_t full = saga_log_full_percent(purger->sources.log);
    const uint64_t limit = purger->retention.bytes_max;
    saga_log_usage(purger->sources.log, &usage);
    if (full >= SAGA_PURGE_HURRY_PERCENT || (limit != 0 && usage.bytes > limit)) {
        purger->share -= purger->share / 16;
    } else if (full < SAGA_PURGE_HURRY_PERCENT - 3 &&
               (limit == 0 || usage.bytes < limit / 100 * 95)) {
        purger->share += purger->share / 64 + 1;
        purger->share = purger->share > WHOLE ? WHOLE : purger->share;
    }
}

static void begin_pass(struct saga_purger *purger, int64_t now_ms) {
    set_share(purger);
    forget_keys(purger, now_ms);
    purger->stage = EXPIRING;
    purger->outcome = 0;
    next_outcome(purger);
}

enum saga_error saga_purger_slice(struct saga_purger *purger, int64_t now_ms, uint64_t *through_lsn,
                                  struct saga_fault *fault) {
    struct saga_log *log = purger->sources.log;
    const uint64_t records = saga_log_next_lsn(log) - 1 - saga_log_durable(log);
    *through_lsn = 0;
    if (purger->stage == RESTING && purger->due_ms <= now_ms) {
        begin_pass(purger, now_ms);
    }
    switch (purger->stage) {
    case EXPIRING:
        return expire(purger, records, now_ms, fault);
    case DROPPING:
        return drop(purger, records, now_ms, through_lsn, fault);
    case RESTING:
        break;
    }
    return SAGA_OK;
}

bool saga_purger_busy(const struct saga_purger *purger) {
    return purger->stage != RESTING;
}

int64_t saga_purger_due(const struct saga_purger *purger) {
    return purger->due_ms;
}

void saga_purger_count(const struct saga_purger *purger, struct saga_purger_counts *counts) {
    *counts = purger->counts;
    counts->share = (double)purger->share / WHOLE;
}
