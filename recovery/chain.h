/*
 * The chain: one saga's records, from its last back to its first.
 *
 * Hides how they are found (each names the one before it) and that a daemon's
 * starts are not among them: EPOCH_STARTED belongs to the log, not to a saga.
 * Where one stood between two records is known all the same, since every record
 * carries its epoch; saga_chain_fold() puts them back. Only their time is lost,
 * so the folded send and deadline times after a restart are as if the daemon had
 * started at the record that follows it. Everything else (phases, flags,
 * verdicts, direction, what is owed) is the live saga's as of its last record.
 *
 * Threads: none of its own; a chain belongs to whoever holds it, and its
 * reader's view.
 */
#ifndef SAGA_CHAIN_H
#define SAGA_CHAIN_H

#include "error.h"
#include "log.h"
#include "saga.h"

/* In the order of the log, the first is its SAGA_STARTED. Keys and payloads are
 * borrowed from the reader: valid until it is renewed or closed. */
struct saga_chain {
    struct saga_record *records;
    size_t count;
};

/* Reads the chain of saga `id` that ends at record `last_lsn`. It takes memory
 * for as many records as there are (some 150 bytes each), not for payloads. On
 * SAGA_OK the chain is the caller's, for saga_chain_fini().
 *
 * Errors: NOT_FOUND (last_lsn is not in the reader's view; or a record of it was purged and is not
 * kept: whether that may be so is for whoever knows what is to be kept), LOG_REFUSED (a
 * record that is missing, of another saga, out of order, or cannot be trusted:
 * the fault names it), FAILED (memory, a system's error). */
SAGA_CHECKED enum saga_error saga_chain_read(struct saga_chain *chain,
                                             struct saga_log_reader *reader,
                                             const struct saga_id *id, uint64_t last_lsn,
                                             struct saga_fault *fault);

/* The same from the log itself, for the thread that appends: also what is in the
 * batch and not committed yet. Keys and payloads are valid until the next append
 * or flush. */
SAGA_CHECKED enum saga_error saga_chain_read_batch(struct saga_chain *chain, struct saga_log *log,
                                                   const struct saga_id *id, uint64_t last_lsn,
                                                   struct saga_fault *fault);
void saga_chain_fini(struct saga_chain *chain);

/* Folds the records. *saga is malloc'd and the caller's, also on LOG_REFUSED,
 * where it is as it was before the record that the fault names (NULL if that is
 * the first): a quarantined saga can still be shown.
 *
 * Errors: LOG_REFUSED (a record that makes no legal transition), FAILED
 * (memory). */
SAGA_CHECKED enum saga_error saga_chain_fold(const struct saga_chain *chain,
                                             const struct saga_plan *plan, struct saga **saga,
                                             struct saga_fault *fault);

#endif
