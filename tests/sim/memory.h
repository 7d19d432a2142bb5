/*
 * The daemon's memory: what it has allocated is gone when it dies.
 *
 * Hides a region with free lists by size. malloc and its kin of the production
 * code are linked to this (-Wl,--wrap); between sim_memory_enter() and
 * sim_memory_leave() they take from the region. So a crash is a longjmp out of
 * the daemon's code, however much it held, and costs nothing.
 *
 * Under AddressSanitizer what is free is poisoned, with a zone behind each
 * allocation.
 *
 * Threads: one.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stddef.h>

/* From here on allocations are the daemon's; and no longer. */
void sim_memory_enter(void);
void sim_memory_leave(void);

/* For as long as something of the simulation is called back from the daemon. */
int sim_memory_suspend(void);
void sim_memory_resume(int depth);

/* Everything the daemon has allocated or mapped is gone. */
void sim_memory_drop(void);

/* Allocations and mappings that the daemon has not given back. */
size_t sim_memory_live(void);

#endif
