/*
 * The guard: which saga recovery was at when it last died.
 *
 * A small file, mapped and shared, so that a note costs a store to memory and
 * survives the process (not a power failure: that is no saga's fault). A saga
 * that was being replayed when three recoveries in a row died is suspect, and
 * stays so; delete the file to have it tried again.
 *
 * Threads: one.
 */
#ifndef SAGA_GUARD_H
#define SAGA_GUARD_H

#include "error.h"
#include "saga.h"

/* So many deaths make a saga suspect. */
#define SAGA_GUARD_DEATHS_MAX 3
/* So many sagas can be counted at a time. */
#define SAGA_GUARD_SAGAS_MAX 128

struct saga_guard;

/* Opens or creates the file, and counts the death that the last note tells of.
 * Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_guard_open(struct saga_guard **guard, const char *path,
                                             struct saga_fault *fault);

/* Recovery came through: the last note is taken back, and the deaths of sagas
 * that were replayed this time are forgotten. */
void saga_guard_close(struct saga_guard *guard);

/* Notes that this saga is being replayed now. */
void saga_guard_note(struct saga_guard *guard, const struct saga_id *id);

/* True if this saga has brought recovery down too often. */
SAGA_CHECKED bool saga_guard_suspects(const struct saga_guard *guard, const struct saga_id *id);

#endif
