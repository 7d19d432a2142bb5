/*
 * Who waits for a saga to change.
 *
 * Hides how the engine's thread, which changes thousands of sagas a second, finds
 * the few that somebody waits for: while nobody does it costs it one load.
 *
 * Threads: any wakes; one thread owns the rest.
 */
#ifndef SAGA_WAITERS_H
#define SAGA_WAITERS_H

#include "error.h"
#include "saga.h"

struct saga_waiters;

struct saga_waiter {
    struct saga_waiter *next; /* in the list it is in */
    struct saga_waiter *previous;
    struct saga_id id;
    void *context; /* the owner's */
    uint8_t state; /* enum saga_waiter_state; under the mutex */
};

/* Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_waiters_open(struct saga_waiters **waiters,
                                               struct saga_fault *fault);
/* There is no waiter left. */
void saga_waiters_close(struct saga_waiters *waiters);

/* From here on a change of saga waiter->id wakes it. */
void saga_waiters_add(struct saga_waiters *waiters, struct saga_waiter *waiter);
/* Whether woken or not; one that is in no list is left alone. */
void saga_waiters_remove(struct saga_waiters *waiters, struct saga_waiter *waiter);

/* Wakes those of this saga. */
void saga_waiters_wake(struct saga_waiters *waiters, const struct saga_id *id);

/* Readable while there are woken ones. */
int saga_waiters_fd(const struct saga_waiters *waiters);

/* The next one that was woken, which is in no list then; NULL: none. */
struct saga_waiter *saga_waiters_take(struct saga_waiters *waiters);

#endif
