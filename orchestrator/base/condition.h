/*
 * A condition on the monotonic clock: waiting with a time limit goes by
 * CLOCK_MONOTONIC, so that a wall clock which is set neither ends a wait nor makes
 * it longer.
 *
 * Threads: as pthread_cond_t.
 */
#ifndef SAGA_CONDITION_H
#define SAGA_CONDITION_H

#include <pthread.h>

/* Makes it ready to be waited for; pthread_cond_destroy() ends it. Cannot fail:
 * neither the clock nor an attribute of it can be wrong, and glibc allocates nothing. */
void saga_condition_init(pthread_cond_t *condition);

#endif
