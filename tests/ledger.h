/*
 * Records that are a function of their LSN, so that whoever finds one in a log
 * knows whether it is the right one.
 *
 * Most are small; some are larger than a block, a few much larger. So are the rows. Never
 * change what they are: the logs in tests/golden hold them.
 *
 * Threads: no state.
 */
#ifndef SAGA_LEDGER_H
#define SAGA_LEDGER_H

#include "log.h"

/* Records of one epoch. */
#define LEDGER_EPOCH_RECORDS 250

/* The record of that LSN; its payload is static and valid for ever. */
struct saga_record ledger_record(uint64_t lsn);

/* True if `record` is ledger_record(record->lsn) in every field. */
bool ledger_holds(const struct saga_record *record);

/* Each record comes with a row that is put or removed, likewise a function of its LSN. */

/* Appends the next `count` records, with their rows; does not flush. */
void ledger_append(struct saga_log *log, uint32_t count);

/* True if the record is kept when its block goes. */
bool ledger_keeps(uint64_t lsn);

/* Drops the blocks that lie whole before the `distance` last durable records, of which it keeps
 * what is to be kept, and sets the checkpoint there: in the batch; does not flush. INVALID: the log
 * gave a wrong record. Else what it said. */
enum saga_error ledger_purge(struct saga_log *log, uint64_t distance, struct saga_fault *fault);

/* Reads the whole log. OK: it has just the records of the ledger, from its first on, of
 * those before it just what was to be kept, and the rows that all of them leave; *last is the last
 * one's LSN. INVALID: it gave a wrong one. Else what the reader said. */
enum saga_error ledger_read(struct saga_log *log, uint64_t *last, struct saga_fault *fault);

#endif
