#include "key_planting.h"

#include <inttypes.h>
#include <string.h>

/* Rows between two flushes. */
#define BATCH_ROWS 1000

void saga_key_planting_fini(struct saga_key_planting *planting) {
    if (planting->open) {
        saga_run_writer_abandon(&planting->writer);
        planting->open = false;
    }
}

enum saga_error saga_key_planting_end(struct saga_key_planting *planting, struct saga_log *log,
                                      struct saga_fault *fault) {
    struct saga_key_run run;
    enum saga_error error = SAGA_OK;
    uint32_t piece = 0;
    if (!planting->open) {
        return SAGA_OK;
    }
    if (planting->count != planting->wanted) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "run %" PRIu32 " has %" PRIu64 " start keys before it, and should "
                              "have %" PRIu64,
                              planting->number, planting->count, planting->wanted);
    }
    while (error == SAGA_OK &&
           !saga_run_writer_filter(&planting->writer, log, &piece, BATCH_ROWS)) {
        error = saga_log_flush(log, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    saga_run_writer_finish(&planting->writer, log, &run);
    planting->open = false;
    saga_key_run_fini(&run);
    return saga_log_flush(log, fault);
}

enum saga_error saga_key_planting_run(struct saga_key_planting *planting, struct saga_log *log,
                                      const struct saga_key_run *run, struct saga_fault *fault) {
    const enum saga_error error = saga_key_planting_end(planting, log, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (run->number <= planting->number) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "run %" PRIu32 " comes after run %" PRIu32, run->number,
                              planting->number);
    }
    if (!saga_run_writer_begin(&planting->writer, run->number, run->level, run->key_count)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a run of start keys.");
    }
    planting->open = true;
    planting->number = run->number;
    planting->count = 0;
    planting->wanted = run->key_count;
    return SAGA_OK;
}

enum saga_error saga_key_planting_add(struct saga_key_planting *planting, struct saga_log *log,
                                      const struct saga_start_key *key, struct saga_fault *fault) {
    if (!planting->open || planting->count == planting->wanted) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "there is a start key more than its run has, or no run");
    }
    if (planting->count > 0 && saga_key_hash_compare(planting->last_hash, key->key_hash) >= 0) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "its start key is out of order, or there twice");
    }
    memcpy(planting->last_hash, key->key_hash, sizeof planting->last_hash);
    planting->count++;
    saga_run_writer_add(&planting->writer, log, key);
    return planting->count % ((uint64_t)BATCH_ROWS * SAGA_RUN_BLOCK_KEYS) == 0
               ? saga_log_flush(log, fault)
               : SAGA_OK;
}
