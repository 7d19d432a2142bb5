#include "chain.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- reading */

static bool same_saga(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static enum saga_error grow(struct saga_chain *chain, size_t *room, struct saga_fault *fault) {
    const size_t larger = *room == 0 ? 32 : *room * 2;
    struct saga_record *grown = reallocarray(chain->records, larger, sizeof *grown);
    if (grown == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a saga of %zu records",
                              chain->count);
    }
    chain->records = grown;
    *room = larger;
    return SAGA_OK;
}

/* Where records are read from: one of the two. */
struct source {
    struct saga_log_reader *reader;
    struct saga_log *log;
};

static enum saga_error read_from(const struct source *source, const struct saga_id *id,
                                 uint64_t lsn, struct saga_record *record,
                                 struct saga_fault *fault) {
    return source->reader != NULL ? saga_log_reader_read(source->reader, id, lsn, record, fault)
                                  : saga_log_read(source->log, id, lsn, record, fault);
}

/* Record `lsn`; `after` is the one that named it, 0: the caller. */
static enum saga_error read_one(const struct source *source, const struct saga_id *id, uint64_t lsn,
                                uint64_t after, struct saga_record *record,
                                struct saga_fault *fault) {
    const enum saga_error error = read_from(source, id, lsn, record, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (!same_saga(&record->saga, id)) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %" PRIu64 " (%s) is of another saga than record %" PRIu64
                              ", which names it as the one before it; see sagalog verify",
                              lsn, saga_fact_name(record->fact), after);
    }
    if (record->previous_lsn >= lsn) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "record %" PRIu64 " (%s) names record %" PRIu64
                              " as the one before it, which is not before it; see sagalog verify",
                              lsn, saga_fact_name(record->fact), record->previous_lsn);
    }
    return SAGA_OK;
}

static void reverse(struct saga_chain *chain) {
    for (size_t i = 0, j = chain->count - 1; i < j; i++, j--) {
        const struct saga_record record = chain->records[i];
        chain->records[i] = chain->records[j];
        chain->records[j] = record;
    }
}

static enum saga_error read_back(struct saga_chain *chain, const struct source *source,
                                 const struct saga_id *id, uint64_t last_lsn,
                                 struct saga_fault *fault) {
    size_t room = 0;
    uint64_t after = 0;
    enum saga_error error = SAGA_OK;

    *chain = (struct saga_chain){0};
    /* Ends: each lsn is smaller than the one before. */
    for (uint64_t lsn = last_lsn; lsn != 0;) {
        if (chain->count == room) {
            error = grow(chain, &room, fault);
        }
        if (error == SAGA_OK) {
            error = read_one(source, id, lsn, after, &chain->records[chain->count], fault);
        }
        if (error != SAGA_OK) {
            saga_chain_fini(chain);
            return error;
        }
        after = lsn;
        lsn = chain->records[chain->count++].previous_lsn;
    }
    if (chain->count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "a saga has no record 0");
    }
    reverse(chain);
    return SAGA_OK;
}

enum saga_error saga_chain_read(struct saga_chain *chain, struct saga_log_reader *reader,
                                const struct saga_id *id, uint64_t last_lsn,
                                struct saga_fault *fault) {
    const struct source source = {.reader = reader};
    return read_back(chain, &source, id, last_lsn, fault);
}

enum saga_error saga_chain_read_batch(struct saga_chain *chain, struct saga_log *log,
                                      const struct saga_id *id, uint64_t last_lsn,
                                      struct saga_fault *fault) {
    const struct source source = {.log = log};
    return read_back(chain, &source, id, last_lsn, fault);
}

void saga_chain_fini(struct saga_chain *chain) {
    free(chain->records);
    *chain = (struct saga_chain){0};
}

/* ----------------------------------------------------------------- folding */

static enum saga_error refuse(const struct saga_record *record, enum saga_apply_error error,
                              struct saga_fault *fault) {
    assert(error != SAGA_APPLIED);
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "record %" PRIu64 " (%s) %s", record->lsn,
                          saga_fact_name(record->fact),
                          error == SAGA_APPLY_ILLEGAL
                              ? "cannot follow from the records before it"
                              : "has a field, a predecessor or an epoch that cannot be");
}

/* The daemon's starts that lie before `record` and after what is folded. */
static enum saga_apply_error fold_epochs(struct saga *saga, const struct saga_plan *plan,
                                         const struct saga_record *before,
                                         const struct saga_record *record) {
    if (record->epoch <= before->epoch) {
        return SAGA_APPLIED; /* if it went back, the record itself will be refused */
    }
    /* Several starts in a row do what the last one does. */
    const struct saga_record epoch = {
        .fact = SAGA_EPOCH_STARTED,
        .step = SAGA_STEP_NONE,
        .epoch = record->epoch,
        .at_ms = record->at_ms,
    };
    return saga_apply(saga, plan, &epoch);
}

enum saga_error saga_chain_fold(const struct saga_chain *chain, const struct saga_plan *plan,
                                struct saga **saga, struct saga_fault *fault) {
    assert(chain->count > 0);
    *saga = malloc(saga_size(plan->step_count));
    if (*saga == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a saga of %u steps",
                              plan->step_count);
    }
    enum saga_apply_error error = saga_begin(*saga, plan, &chain->records[0]);
    if (error != SAGA_APPLIED) {
        free(*saga);
        *saga = NULL;
        return refuse(&chain->records[0], error, fault);
    }
    for (size_t i = 1; i < chain->count; i++) {
        error = fold_epochs(*saga, plan, &chain->records[i - 1], &chain->records[i]);
        if (error == SAGA_APPLIED) {
            error = saga_apply(*saga, plan, &chain->records[i]);
        }
        if (error != SAGA_APPLIED) {
            return refuse(&chain->records[i], error, fault);
        }
    }
    return SAGA_OK;
}
