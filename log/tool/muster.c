#include "muster.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "met.h"
#include "restore.h"
#include "rolls.h"

const struct saga_muster_scope saga_muster_all = {
    .open = true,
    .outcomes = {false, true, true, true, true, true},
    .until_ms = INT64_MAX,
};

/* The next row of `done` of one outcome. */
struct ended {
    bool there;
    struct saga_done_row row;
};

struct saga_muster {
    struct saga_log_reader *reader;
    struct saga_muster_scope scope;
    struct saga_met *met; /* whose records the tail has */
    uint64_t border;      /* the tail begins after it */
    uint64_t next_lsn;    /* of the tail, from its end; border: it is read */
    uint64_t seen, total;
    bool merging; /* the tail is read, and the next of each kind is known */
    struct saga_met_entry *
        *left; /* of those in the tail, who did not start there: the newest last */
    size_t left_count;
    bool open_there;
    struct saga_open_row open;
    bool open_given;          /* what `open` has was the last line */
    struct saga *open_state;  /* owned */
    struct saga *found_state; /* owned; of a row that was looked up */
    struct ended done[SAGA_OUTCOME_COUNT + 1];
};

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the sagas of this log");
}

static int compare(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

int64_t saga_muster_started_ms(const struct saga_id *id) {
    int64_t ms = 0;
    for (size_t i = 0; i < 6; i++) {
        ms = ms << 8 | id->bytes[i];
    }
    return ms;
}

/* ----------------------------------------------------------------- opening */

static enum saga_error count_rows(struct saga_muster *muster, struct saga_fault *fault) {
    uint64_t open = 0;
    uint64_t done = 0;
    enum saga_error error =
        saga_log_reader_row_count(muster->reader, SAGA_TABLE_OPEN, &open, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_row_count(muster->reader, SAGA_TABLE_DONE, &done, fault);
    }
    muster->total += open + done;
    return error;
}

enum saga_error saga_muster_open(struct saga_muster **muster, struct saga_log_reader *reader,
                                 const struct saga_muster_scope *scope, struct saga_fault *fault) {
    struct saga_muster *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return no_memory(fault);
    }
    const uint64_t first = saga_log_reader_first(reader);
    const uint64_t checkpoint = saga_log_reader_checkpoint(reader).lsn;
    opened->reader = reader;
    opened->scope = *scope;
    opened->border = checkpoint >= first ? checkpoint : first - 1;
    opened->next_lsn = saga_log_reader_last(reader);
    if (opened->next_lsn < opened->border) {
        opened->next_lsn = opened->border;
    }
    opened->total = opened->next_lsn - opened->border;
    opened->met = saga_met_open();
    opened->open_state = malloc(saga_size(SAGA_STEPS_MAX));
    opened->found_state = malloc(saga_size(SAGA_STEPS_MAX));
    const bool whole =
        opened->met != NULL && opened->open_state != NULL && opened->found_state != NULL;
    enum saga_error error = whole ? count_rows(opened, fault) : no_memory(fault);
    if (error != SAGA_OK) {
        saga_muster_close(opened);
        return error;
    }
    *muster = opened;
    return SAGA_OK;
}

void saga_muster_close(struct saga_muster *muster) {
    if (muster != NULL) {
        saga_met_close(muster->met);
        free(muster->left);
        free(muster->open_state);
        free(muster->found_state);
        free(muster);
    }
}

void saga_muster_read_by(struct saga_muster *muster, struct saga_log_reader *reader) {
    muster->reader = reader;
}

bool saga_muster_in_tail(const struct saga_muster *muster) {
    return muster->next_lsn > muster->border;
}

uint64_t saga_muster_seen(const struct saga_muster *muster) {
    return muster->seen;
}

uint64_t saga_muster_total(const struct saga_muster *muster) {
    return muster->total;
}

/* ---------------------------------------------------------------- the tail */

/* As recovery judges it: no daemon starts with such a record. */
static enum saga_error check_own(const struct saga_record *record, struct saga_fault *fault) {
    const bool speaks = record->fact == SAGA_OUTCOMES_TOLD || record->fact == SAGA_HISTORY_PURGED;
    const bool impossible =
        speaks && (record->through_lsn == 0 || record->through_lsn >= record->lsn);
    if (!impossible && record->at_ms >= 0 && record->at_ms <= SAGA_CLOCK_MS_MAX) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "record %" PRIu64 " (%s) cannot be: its time or its fields are out of "
                          "range. Run sagalog verify, and restore the log from a backup.",
                          record->lsn, saga_fact_name(record->fact));
}

/* The record before those that were read. */
static enum saga_error read_back(struct saga_muster *muster, struct saga_record *record,
                                 struct saga_fault *fault) {
    const enum saga_error error =
        saga_log_reader_read(muster->reader, NULL, muster->next_lsn, record, fault);
    if (error != SAGA_OK) {
        return error;
    }
    muster->next_lsn--;
    muster->seen++;
    return saga_fact_is_of_log(record->fact) ? check_own(record, fault) : SAGA_OK;
}

/* The entry of its saga; NULL: there is no memory. */
static struct saga_met_entry *note(struct saga_muster *muster, const struct saga_record *record,
                                   struct saga_fault *fault) {
    struct saga_met_entry *entry = saga_met_note(muster->met, record);
    if (entry == NULL) {
        (void)no_memory(fault);
    }
    return entry;
}

static struct saga_muster_line line_of_start(const struct saga_record *started,
                                             const struct saga_met_entry *entry) {
    return (struct saga_muster_line){
        .id = entry->id,
        .last_lsn = entry->last_lsn,
        .started_lsn = started->lsn,
        .definition_lsn = started->definition_lsn,
        .ended_ms = entry->ended_ms,
        .outcome = entry->outcome,
    };
}

static bool is_wanted(const struct saga_muster *muster, const struct saga_muster_line *line) {
    const int64_t started_ms = saga_muster_started_ms(&line->id);
    const bool kind = line->outcome > SAGA_OUTCOME_COUNT || line->outcome == 0
                          ? muster->scope.open
                          : muster->scope.outcomes[line->outcome];
    return kind && started_ms >= muster->scope.since_ms && started_ms < muster->scope.until_ms;
}

/* ... than any that is wanted; and so are all that follow. */
static bool is_older(const struct saga_muster *muster, const struct saga_muster_line *line) {
    return saga_muster_started_ms(&line->id) < muster->scope.since_ms;
}

/* -------------------------------------------------------------- the tables */

static enum saga_error next_open(struct saga_muster *muster, const struct saga_id *before,
                                 struct saga_fault *fault) {
    struct saga_id id = *before;
    for (;;) {
        muster->open_there = false;
        const enum saga_error error =
            saga_rolls_open_before(muster->reader, &id, &muster->open, muster->open_state, fault);
        if (error != SAGA_OK) {
            return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
        }
        muster->seen++;
        if (saga_met_find(muster->met, &muster->open.id) == NULL) {
            muster->open_there = true;
            return SAGA_OK;
        }
        id = muster->open.id; /* the tail knows better */
    }
}

static enum saga_error next_done(struct saga_muster *muster, uint8_t outcome,
                                 const struct saga_id *before, struct saga_fault *fault) {
    struct ended *ended = &muster->done[outcome];
    struct saga_id id = *before;
    for (;;) {
        ended->there = false;
        const enum saga_error error =
            saga_rolls_done_before(muster->reader, outcome, &id, &ended->row, fault);
        if (error != SAGA_OK) {
            return error == SAGA_ERROR_NOT_FOUND ? SAGA_OK : error;
        }
        muster->seen++;
        if (saga_met_find(muster->met, &ended->row.id) == NULL) {
            ended->there = true;
            return SAGA_OK;
        }
        id = ended->row.id;
    }
}

static struct saga_muster_line line_of_open(const struct saga_open_row *row,
                                            const struct saga *state) {
    return (struct saga_muster_line){
        .id = row->id,
        .last_lsn = row->last_lsn,
        .started_lsn = row->started_lsn,
        .definition_lsn = row->definition_lsn,
        .state = row->quarantined ? NULL : state,
    };
}

static struct saga_muster_line line_of_done(const struct saga_done_row *row) {
    return (struct saga_muster_line){
        .id = row->id,
        .last_lsn = row->last_lsn,
        .started_lsn = row->started_lsn,
        .definition_lsn = row->definition_lsn,
        .ended_ms = row->ended_ms,
        .outcome = row->outcome,
    };
}

/* What the tables say of one saga. Errors: NOT_FOUND, LOG_REFUSED, FAILED. */
static enum saga_error look_up(const struct saga_muster *muster, const struct saga_id *id,
                               struct saga_muster_line *line, struct saga_fault *fault) {
    struct saga_open_row open;
    struct saga_done_row done;
    enum saga_error error = saga_restore_done(muster->reader, id, &done, fault);
    if (error == SAGA_OK) {
        *line = line_of_done(&done);
    } else if (error == SAGA_ERROR_NOT_FOUND) {
        error = saga_rolls_open_find(muster->reader, id, &open, muster->found_state, fault);
        *line = error == SAGA_OK ? line_of_open(&open, muster->found_state)
                                 : (struct saga_muster_line){0};
    }
    return error;
}

/* A saga that the tail tells of, but not its start. */
static enum saga_error line_of_left(const struct saga_muster *muster,
                                    const struct saga_met_entry *entry,
                                    struct saga_muster_line *line, struct saga_fault *fault) {
    const enum saga_error error = look_up(muster, &entry->id, line, fault);
    if (error == SAGA_ERROR_NOT_FOUND) { /* records, and no start: it is shown all the same */
        *line = (struct saga_muster_line){.id = entry->id};
    } else if (error != SAGA_OK) {
        return error;
    }
    if (entry->last_lsn > line->last_lsn) {
        line->last_lsn = entry->last_lsn;
        line->state = NULL;
    }
    if (entry->outcome != 0) {
        line->outcome = entry->outcome;
        line->ended_ms = entry->ended_ms;
    }
    return SAGA_OK;
}

/* ------------------------------------------------------------------- merging */

static int by_id(const void *a, const void *b) {
    const struct saga_met_entry *const *first = a;
    const struct saga_met_entry *const *second = b;
    return compare(&(*first)->id, &(*second)->id);
}

static enum saga_error begin_merging(struct saga_muster *muster, struct saga_fault *fault) {
    struct saga_id last;
    muster->merging = true;
    muster->left_count = saga_met_unstarted(muster->met, &muster->left);
    if (muster->left_count > 0 && muster->left == NULL) {
        return no_memory(fault);
    }
    if (muster->left_count > 0) {
        qsort(muster->left, muster->left_count, sizeof *muster->left, by_id);
    }
    memset(&last, 0xff, sizeof last);
    if (muster->scope.until_ms < INT64_C(1) << 48) {
        for (size_t i = 0; i < 6; i++) {
            last.bytes[i] = (uint8_t)(muster->scope.until_ms >> (40 - 8 * i));
        }
        memset(last.bytes + 6, 0, sizeof last.bytes - 6);
    }
    enum saga_error error = muster->scope.open ? next_open(muster, &last, fault) : SAGA_OK;
    for (uint8_t i = 1; i <= SAGA_OUTCOME_COUNT && error == SAGA_OK; i++) {
        error = muster->scope.outcomes[i] ? next_done(muster, i, &last, fault) : SAGA_OK;
    }
    return error;
}

/* What the newest of those at hand is: 0 to SAGA_OUTCOME_COUNT are rows, by outcome. */
enum { FROM_NOWHERE = -2, FROM_LEFT = -1, FROM_OPEN = 0 };

static int newest(const struct saga_muster *muster) {
    const struct saga_id *id = NULL;
    int from = FROM_NOWHERE;
    if (muster->left_count > 0) {
        id = &muster->left[muster->left_count - 1]->id;
        from = FROM_LEFT;
    }
    if (muster->open_there && (id == NULL || compare(&muster->open.id, id) > 0)) {
        id = &muster->open.id;
        from = FROM_OPEN;
    }
    for (int i = 1; i <= SAGA_OUTCOME_COUNT; i++) {
        if (muster->done[i].there && (id == NULL || compare(&muster->done[i].row.id, id) > 0)) {
            id = &muster->done[i].row.id;
            from = i;
        }
    }
    return from;
}

/* The next of the tables, and of the tail what did not start there. `line->state` is good until the
 * step after it: so the row that it came from is replaced at the beginning of that. */
static enum saga_error merge(struct saga_muster *muster, struct saga_muster_line *line,
                             struct saga_fault *fault) {
    const int from = newest(muster);
    if (from == FROM_NOWHERE) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (from == FROM_LEFT) {
        return line_of_left(muster, muster->left[--muster->left_count], line, fault);
    }
    if (from == FROM_OPEN) {
        *line = line_of_open(&muster->open, muster->open_state);
        muster->open_there = false;
        muster->open_given = true;
        return SAGA_OK;
    }
    *line = line_of_done(&muster->done[from].row);
    return next_done(muster, (uint8_t)from, &line->id, fault);
}

/* One record back; a saga that was started by it is the next. */
static enum saga_error step_back(struct saga_muster *muster, struct saga_muster_line *line,
                                 bool *found, struct saga_fault *fault) {
    struct saga_record record;
    const enum saga_error error = read_back(muster, &record, fault);
    if (error != SAGA_OK || saga_fact_is_of_log(record.fact)) {
        return error;
    }
    const struct saga_met_entry *entry = note(muster, &record, fault);
    if (entry == NULL) {
        return SAGA_ERROR_FAILED;
    }
    if (record.fact == SAGA_STARTED) {
        *line = line_of_start(&record, entry);
        *found = is_wanted(muster, line);
        return is_older(muster, line) ? SAGA_ERROR_NOT_FOUND : SAGA_OK;
    }
    return SAGA_OK;
}

enum saga_error saga_muster_step(struct saga_muster *muster, struct saga_muster_line *line,
                                 bool *found, struct saga_fault *fault) {
    *found = false;
    if (muster->next_lsn > muster->border) {
        return step_back(muster, line, found, fault);
    }
    enum saga_error error = SAGA_OK;
    if (!muster->merging) {
        error = begin_merging(muster, fault);
    } else if (muster->open_given) {
        const struct saga_id before = muster->open.id;
        muster->open_given = false;
        error = next_open(muster, &before, fault);
    }
    if (error == SAGA_OK) {
        error = merge(muster, line, fault);
    }
    if (error == SAGA_OK) {
        *found = is_wanted(muster, line);
        error = is_older(muster, line) ? SAGA_ERROR_NOT_FOUND : SAGA_OK;
    }
    return error;
}

/* ---------------------------------------------------------------- finding one */

enum saga_error saga_muster_find(struct saga_muster *muster, const struct saga_id *id,
                                 struct saga_muster_line *line, struct saga_fault *fault) {
    struct saga_record record;
    while (muster->next_lsn > muster->border) {
        const enum saga_error error = read_back(muster, &record, fault);
        if (error != SAGA_OK) {
            return error;
        }
        if (compare(&record.saga, id) == 0 && !saga_fact_is_of_log(record.fact)) {
            const struct saga_met_entry *entry = note(muster, &record, fault);
            return entry != NULL ? line_of_left(muster, entry, line, fault) : SAGA_ERROR_FAILED;
        }
    }
    return look_up(muster, id, line, fault);
}

static void add_match(struct saga_muster_match *match, const struct saga_id *id) {
    struct saga_id newer = *id;
    match->count++;
    for (size_t i = 0; i < SAGA_MUSTER_CANDIDATES; i++) {
        if (compare(&newer, &match->candidates[i]) > 0) {
            const struct saga_id older = match->candidates[i];
            match->candidates[i] = newer;
            newer = older;
        }
    }
}

static bool has_part(const struct saga_id *id, const char *part) {
    char text[SAGA_ID_TEXT_SIZE];
    return strstr(saga_id_text(id, text), part) != NULL;
}

/* Whom the tail tells of. Only who matches is noted: that is cheaper than to note all. */
static enum saga_error match_tail(struct saga_muster *muster, const char *part,
                                  struct saga_muster_match *match, struct saga_fault *fault) {
    struct saga_record record;
    while (muster->next_lsn > muster->border) {
        const enum saga_error error = read_back(muster, &record, fault);
        if (error != SAGA_OK) {
            return error;
        }
        if (saga_fact_is_of_log(record.fact) || !has_part(&record.saga, part)) {
            continue;
        }
        const struct saga_met_entry *entry = note(muster, &record, fault);
        if (entry == NULL) {
            return SAGA_ERROR_FAILED;
        }
        if (entry->last_lsn == record.lsn) { /* it is met for the first time */
            add_match(match, &entry->id);
        }
    }
    return SAGA_OK;
}

/* A search in the tables. */
struct search {
    const struct saga_muster *muster;
    const char *part;
    struct saga_muster_match *match;
};

static void match_row(void *context, const struct saga_id *id) {
    const struct search *search = context;
    if (has_part(id, search->part) && saga_met_find(search->muster->met, id) == NULL) {
        add_match(search->match, id);
    }
}

enum saga_error saga_muster_match(struct saga_muster *muster, const char *part,
                                  struct saga_muster_match *match, struct saga_fault *fault) {
    *match = (struct saga_muster_match){0};
    struct search search = {.muster = muster, .part = part, .match = match};
    const enum saga_error error = match_tail(muster, part, match, fault);
    return error == SAGA_OK ? saga_rolls_visit(muster->reader, match_row, &search, fault) : error;
}

enum saga_error saga_muster_matched(const struct saga_muster *muster, const struct saga_id *id,
                                    struct saga_muster_line *line, struct saga_fault *fault) {
    const struct saga_met_entry *entry = saga_met_find(muster->met, id);
    return entry != NULL ? line_of_left(muster, entry, line, fault)
                         : look_up(muster, id, line, fault);
}
