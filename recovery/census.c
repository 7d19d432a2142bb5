#include "census.h"

#include <string.h>

#include "restore.h"

static struct saga_census_line line_of_entry(const struct saga_roster_entry *entry) {
    return (struct saga_census_line){
        .id = entry->id,
        .started_lsn = entry->started_lsn,
        .last_lsn = entry->last_lsn,
        .definition_lsn = entry->definition_lsn,
        .status = entry->status,
        .ended_ms = entry->ended_ms,
        .outcome = entry->outcome,
        .left_out = entry->left_out,
    };
}

struct saga_census_line saga_census_line(const struct saga_done_row *row) {
    return (struct saga_census_line){
        .id = row->id,
        .started_lsn = row->started_lsn,
        .last_lsn = row->last_lsn,
        .definition_lsn = row->definition_lsn,
        .status = saga_outcome_name(row->outcome),
        .ended_ms = row->ended_ms,
        .outcome = row->outcome,
    };
}

enum saga_error saga_census_find(const struct saga_roster *roster, struct saga_log_reader *reader,
                                 const struct saga_id *id, struct saga_census_line *line,
                                 struct saga_fault *fault) {
    const struct saga_roster_entry *entry = saga_roster_find(roster, id);
    if (entry != NULL) {
        *line = line_of_entry(entry);
        return SAGA_OK;
    }
    struct saga_done_row row;
    const enum saga_error error = saga_restore_done(reader, id, &row, fault);
    if (error == SAGA_OK) {
        *line = saga_census_line(&row);
    }
    return error;
}

struct saga_roster_entry *saga_census_admit(struct saga_roster *roster,
                                            const struct saga_census_line *line) {
    struct saga_roster_entry *entry = saga_roster_find(roster, &line->id);
    if (entry != NULL) {
        return entry;
    }
    entry = saga_roster_add(roster, &line->id);
    entry->started_lsn = line->started_lsn;
    entry->last_lsn = line->last_lsn;
    entry->definition_lsn = line->definition_lsn;
    entry->status = line->status;
    entry->ended_ms = line->ended_ms;
    entry->outcome = line->outcome;
    saga_roster_recall(roster, entry);
    return entry;
}

/* ------------------------------------------------------------------- walks */

/* The newest row of this outcome that is older than `before`. */
static enum saga_error next_done(struct saga_census *census, uint8_t outcome,
                                 const struct saga_id *before, struct saga_fault *fault) {
    uint8_t bytes[SAGA_DONE_KEY_BYTES];
    struct saga_log_row row;
    census->has_done[outcome] = false;
    saga_done_key(outcome, before, bytes);
    enum saga_error error = saga_log_reader_seek_row(
        census->reader, SAGA_TABLE_DONE, (struct saga_bytes){.data = bytes, .size = sizeof bytes},
        &row, fault);
    if (error == SAGA_OK || error == SAGA_ERROR_NOT_FOUND) {
        error = saga_log_reader_step_row(census->reader, SAGA_TABLE_DONE, false, &row, fault);
    }
    if (error != SAGA_OK) {
        return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
    }
    const enum saga_record_error damage =
        saga_done_row_decode(&census->done[outcome], row.key, row.value);
    if (damage != SAGA_RECORD_OK) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "the log is damaged: a row of its table done: %s. Restore data.mdb "
                              "from a backup; nothing was changed.",
                              saga_record_error_text(damage));
    }
    census->has_done[outcome] = census->done[outcome].outcome == outcome;
    return SAGA_OK;
}

static bool is_wanted(const struct saga_census *census, const char *status) {
    return census->status == NULL || strcmp(census->status, status) == 0;
}

enum saga_error saga_census_begin(struct saga_census *census, const struct saga_roster *roster,
                                  struct saga_log_reader *reader, const char *status,
                                  const struct saga_id *before, struct saga_fault *fault) {
    struct saga_id last;
    memset(&last, 0xff, sizeof last);
    *census = (struct saga_census){.roster = roster, .reader = reader, .status = status};
    census->next = before == NULL ? saga_roster_newest(roster) : saga_roster_before(roster, before);
    enum saga_error error = SAGA_OK;
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT && error == SAGA_OK; outcome++) {
        if (is_wanted(census, saga_outcome_name(outcome))) {
            error = next_done(census, outcome, before == NULL ? &last : before, fault);
        }
    }
    return error;
}

static int compare(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* The outcome of which the next row is the newest; 0: there are no more rows. */
static uint8_t newest_done(const struct saga_census *census) {
    uint8_t newest = 0;
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        if (census->has_done[outcome] &&
            (newest == 0 || compare(&census->done[outcome].id, &census->done[newest].id) > 0)) {
            newest = outcome;
        }
    }
    return newest;
}

enum saga_error saga_census_next(struct saga_census *census, struct saga_census_line *line,
                                 struct saga_fault *fault) {
    for (;;) {
        const uint8_t outcome = newest_done(census);
        const struct saga_roster_entry *entry = census->next;
        if (entry != NULL &&
            (outcome == 0 || compare(&entry->id, &census->done[outcome].id) >= 0)) {
            census->next = entry->older;
            if (is_wanted(census, entry->status)) {
                *line = line_of_entry(entry);
                return SAGA_OK;
            }
            continue;
        }
        if (outcome == 0) {
            return SAGA_ERROR_NOT_FOUND;
        }
        const struct saga_done_row row = census->done[outcome];
        const enum saga_error error = next_done(census, outcome, &row.id, fault);
        if (error != SAGA_OK) {
            return error;
        }
        if (saga_roster_find(census->roster, &row.id) == NULL) {
            *line = saga_census_line(&row);
            return SAGA_OK;
        }
    }
}

enum saga_error saga_census_count(const struct saga_roster *roster, struct saga_log_reader *reader,
                                  uint64_t *count, struct saga_fault *fault) {
    const enum saga_error error = saga_log_reader_row_count(reader, SAGA_TABLE_DONE, count, fault);
    if (error == SAGA_OK) {
        *count += saga_roster_count(roster) - saga_roster_recalled(roster);
    }
    return error;
}
