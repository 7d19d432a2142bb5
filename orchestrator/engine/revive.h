/*
 * An ended saga, folded once more from its records.
 *
 * The engine keeps no state of ended sagas; a late reply to one is judged by
 * the same rules as any other, so its state is needed for a moment.
 *
 * Threads: the log's appending thread.
 */
#ifndef SAGA_REVIVE_H
#define SAGA_REVIVE_H

#include "log.h"

/* malloc'd, the caller's; NULL: its records cannot be read or make no story. */
struct saga *saga_revive(struct saga_log *log, const struct saga_plan *plan,
                         const struct saga_id *id, uint64_t last_lsn);

#endif
