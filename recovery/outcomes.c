#include "outcomes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct saga_outcomes {
    struct saga_owed **table;       /* by id: chains, as many as there may be of outcomes in it */
    uint64_t table_size;            /* a power of two */
    struct saga_owed *first, *last; /* those that have ended */
    struct saga_owed *next;         /* the first with an asker that has not been given it */
    uint64_t open_count, untold_count;
    uint64_t told_lsn;   /* the last end that was told */
    uint64_t marked_lsn; /* what the last OUTCOMES_TOLD says */
};

#define TABLE_SIZE_MIN 64

static void *required(void *memory) {
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void free_outcome(struct saga_owed *outcome) {
    free(outcome->again);
    free(outcome);
}

struct saga_outcomes *saga_outcomes_open(void) {
    struct saga_outcomes *outcomes = calloc(1, sizeof *outcomes);
    if (outcomes == NULL) {
        return NULL;
    }
    outcomes->table_size = TABLE_SIZE_MIN;
    outcomes->table = calloc(outcomes->table_size, sizeof(struct saga_owed *));
    if (outcomes->table == NULL) {
        free(outcomes);
        return NULL;
    }
    return outcomes;
}

void saga_outcomes_close(struct saga_outcomes *outcomes) {
    if (outcomes == NULL) {
        return;
    }
    for (uint64_t i = 0; i < outcomes->table_size; i++) {
        struct saga_owed *next;
        for (struct saga_owed *outcome = outcomes->table[i]; outcome != NULL; outcome = next) {
            next = outcome->chain;
            free_outcome(outcome);
        }
    }
    free(outcomes->table);
    free(outcomes);
}

/* ----------------------------------------------------------------- the table */

static struct saga_owed **chain_of(struct saga_owed **table, uint64_t size,
                                   const struct saga_id *id) {
    uint64_t word;
    memcpy(&word, id->bytes + 8, sizeof word); /* the random half of a UUIDv7 */
    return &table[(word * UINT64_C(0x9e3779b97f4a7c15) >> 16) & (size - 1)];
}

static struct saga_owed *find(const struct saga_outcomes *outcomes, const struct saga_id *id) {
    struct saga_owed *outcome = *chain_of(outcomes->table, outcomes->table_size, id);
    while (outcome != NULL && memcmp(&outcome->saga, id, sizeof *id) != 0) {
        outcome = outcome->chain;
    }
    return outcome;
}

const struct saga_owed *saga_outcomes_find(const struct saga_outcomes *outcomes,
                                           const struct saga_id *id) {
    return find(outcomes, id);
}

static void grow(struct saga_outcomes *outcomes) {
    const uint64_t size = 2 * outcomes->table_size;
    struct saga_owed **table = required(calloc(size, sizeof(struct saga_owed *)));
    for (uint64_t i = 0; i < outcomes->table_size; i++) {
        struct saga_owed *next;
        for (struct saga_owed *outcome = outcomes->table[i]; outcome != NULL; outcome = next) {
            struct saga_owed **chain = chain_of(table, size, &outcome->saga);
            next = outcome->chain;
            outcome->chain = *chain;
            *chain = outcome;
        }
    }
    free(outcomes->table);
    outcomes->table = table;
    outcomes->table_size = size;
}

static struct saga_owed *add(struct saga_outcomes *outcomes, const struct saga_id *id) {
    struct saga_owed *outcome = required(calloc(1, sizeof *outcome));
    if (outcomes->open_count + outcomes->untold_count >= outcomes->table_size) {
        grow(outcomes);
    }
    struct saga_owed **chain = chain_of(outcomes->table, outcomes->table_size, id);
    outcome->saga = *id;
    outcome->chain = *chain;
    *chain = outcome;
    outcomes->open_count++;
    return outcome;
}

static void take_out(struct saga_outcomes *outcomes, const struct saga_owed *outcome) {
    struct saga_owed **at = chain_of(outcomes->table, outcomes->table_size, &outcome->saga);
    while (*at != outcome) {
        at = &(*at)->chain;
    }
    *at = outcome->chain;
}

static int asker_count(const struct saga_owed *outcome) {
    return (outcome->started_lsn != 0) + (outcome->again != NULL);
}

/* Takes an outcome that has ended out of everything. */
static void forget(struct saga_outcomes *outcomes, struct saga_owed *outcome) {
    *(outcome->previous != NULL ? &outcome->previous->next : &outcomes->first) = outcome->next;
    *(outcome->next != NULL ? &outcome->next->previous : &outcomes->last) = outcome->previous;
    if (outcomes->next == outcome) {
        outcomes->next = outcome->next;
    }
    take_out(outcomes, outcome);
    free_outcome(outcome);
    outcomes->untold_count--;
}

/* -------------------------------------------------------------- the records */

static void start(struct saga_outcomes *outcomes, const struct saga_record *record) {
    if (record->content.size > 0 && find(outcomes, &record->saga) == NULL) {
        add(outcomes, &record->saga)->started_lsn = record->lsn;
    }
}

/* In the order of the ends; live, and mostly, that is the last place. */
static void end_at(struct saga_outcomes *outcomes, struct saga_owed *outcome, uint64_t ended_lsn) {
    struct saga_owed *before = outcomes->last;
    while (before != NULL && before->ended_lsn > ended_lsn) {
        before = before->previous;
    }
    outcome->ended_lsn = ended_lsn;
    outcome->previous = before;
    outcome->next = before != NULL ? before->next : outcomes->first;
    *(before != NULL ? &before->next : &outcomes->first) = outcome;
    *(outcome->next != NULL ? &outcome->next->previous : &outcomes->last) = outcome;
    if (outcomes->next == outcome->next) {
        outcomes->next = outcome;
    }
    outcomes->open_count--;
    outcomes->untold_count++;
}

static void end(struct saga_outcomes *outcomes, const struct saga_record *record) {
    struct saga_owed *outcome = find(outcomes, &record->saga);
    if (outcome == NULL || outcome->ended_lsn != 0) {
        return;
    }
    end_at(outcomes, outcome, record->lsn);
}

void saga_outcomes_restore(struct saga_outcomes *outcomes, const struct saga_id *id,
                           uint64_t started_lsn, uint64_t ended_lsn) {
    struct saga_owed *outcome = find(outcomes, id);
    if (outcome == NULL) {
        outcome = add(outcomes, id);
        outcome->started_lsn = started_lsn;
    }
    if (ended_lsn != 0 && outcome->ended_lsn == 0) {
        end_at(outcomes, outcome, ended_lsn);
    }
}

static void mark(struct saga_outcomes *outcomes, uint64_t through_lsn) {
    while (outcomes->first != NULL && outcomes->first->ended_lsn <= through_lsn) {
        forget(outcomes, outcomes->first);
    }
    outcomes->marked_lsn = through_lsn > outcomes->marked_lsn ? through_lsn : outcomes->marked_lsn;
}

void saga_outcomes_restored(struct saga_outcomes *outcomes, uint64_t checkpoint_lsn) {
    const struct saga_owed *first = outcomes->first;
    const uint64_t told_lsn =
        first != NULL && first->ended_lsn <= checkpoint_lsn ? first->ended_lsn - 1 : checkpoint_lsn;
    if (told_lsn > outcomes->marked_lsn) {
        outcomes->marked_lsn = told_lsn;
    }
}

void saga_outcomes_fold(struct saga_outcomes *outcomes, const struct saga_record *record) {
    if (record->fact == SAGA_STARTED) {
        start(outcomes, record);
    } else if (record->fact == SAGA_ENDED) {
        end(outcomes, record);
    } else if (record->fact == SAGA_OUTCOMES_TOLD) {
        mark(outcomes, record->through_lsn);
    }
}

/* ------------------------------------------------------------ asked and told */

void saga_outcomes_ask(struct saga_outcomes *outcomes, const struct saga_id *id,
                       struct saga_bytes asker) {
    struct saga_owed *outcome = find(outcomes, id);
    void *copy = required(malloc(asker.size));
    if (outcome == NULL) {
        outcome = add(outcomes, id);
    }
    assert(outcome->ended_lsn == 0);
    free(outcome->again);
    outcome->again = memcpy(copy, asker.data, asker.size);
    outcome->again_size = asker.size;
}

const struct saga_owed *saga_outcomes_next(const struct saga_outcomes *outcomes,
                                           uint64_t durable_lsn) {
    return outcomes->next != NULL && outcomes->next->ended_lsn <= durable_lsn ? outcomes->next
                                                                              : NULL;
}

void saga_outcomes_give(struct saga_outcomes *outcomes) {
    struct saga_owed *outcome = outcomes->next;
    outcome->given++;
    if (outcome->given == asker_count(outcome)) {
        outcomes->next = outcome->next;
    }
}

bool saga_outcomes_tell(struct saga_outcomes *outcomes, const struct saga_id *id) {
    struct saga_owed *outcome = find(outcomes, id);
    if (outcome == NULL || outcome->told == outcome->given) {
        return false;
    }
    outcome->told++;
    if (outcome->told == asker_count(outcome)) {
        if (outcome->ended_lsn > outcomes->told_lsn) {
            outcomes->told_lsn = outcome->ended_lsn;
        }
        forget(outcomes, outcome);
    }
    return true;
}

uint64_t saga_outcomes_mark(const struct saga_outcomes *outcomes) {
    uint64_t through = outcomes->told_lsn;
    if (outcomes->first != NULL && outcomes->first->ended_lsn <= through) {
        through = outcomes->first->ended_lsn - 1;
    }
    return through > outcomes->marked_lsn ? through : 0;
}

void saga_outcomes_count(const struct saga_outcomes *outcomes,
                         struct saga_outcomes_counts *counts) {
    *counts = (struct saga_outcomes_counts){.open = outcomes->open_count,
                                            .untold = outcomes->untold_count};
}
