/*
 * Whoever asked of a saga's end, and the way to them.
 *
 * Hides what is on its way: an end that the daemon gave out may arrive late, may be
 * refused at once, and when the daemon dies may be lost or not. Whoever has heard
 * it says so to the daemon that lives, if it is the one that told.
 *
 * Threads: one.
 */
#ifndef SIM_ASKERS_H
#define SIM_ASKERS_H

#include "engine.h"

void sim_askers_begin(void);

/* In the shape of saga_outlet.ended. */
bool sim_askers_tell(void *context, const struct saga_id *id, const char *status,
                     struct saga_bytes asker);
void sim_askers_daemon_died(void);

/* Ends on their way, and words about them. */
unsigned sim_askers_waiting(void);

#endif
