/*
 * The start keys of an export become runs again (key_run.h).
 *
 * Hides that a run comes about key by key, and its filter at its end. What is wrong is said as
 * planting.h says it.
 *
 * Threads: one.
 */
#ifndef SAGA_KEY_PLANTING_H
#define SAGA_KEY_PLANTING_H

#include "key_run.h"

struct saga_key_planting {
    struct saga_run_writer writer; /* of the run that is open */
    bool open;
    uint32_t number; /* of the last run; 0: none yet */
    uint64_t count;  /* keys that it has so far */
    uint64_t wanted; /* that it is to have */
    uint64_t last_hash[2];
};

/* A zeroed one has none. */
void saga_key_planting_fini(struct saga_key_planting *planting);

/* The next run, of this number, level and count of keys. Flushes the log. Errors: LOG_REFUSED,
 * LOG_WRITE, FAILED. */
SAGA_CHECKED enum saga_error saga_key_planting_run(struct saga_key_planting *planting,
                                                   struct saga_log *log,
                                                   const struct saga_key_run *run,
                                                   struct saga_fault *fault);

/* Its next key. Flushes now and then. Errors: LOG_REFUSED, LOG_WRITE. */
SAGA_CHECKED enum saga_error saga_key_planting_add(struct saga_key_planting *planting,
                                                   struct saga_log *log,
                                                   const struct saga_start_key *key,
                                                   struct saga_fault *fault);

/* There are no more. Flushes. Errors: LOG_REFUSED, LOG_WRITE. */
SAGA_CHECKED enum saga_error saga_key_planting_end(struct saga_key_planting *planting,
                                                   struct saga_log *log, struct saga_fault *fault);

#endif
