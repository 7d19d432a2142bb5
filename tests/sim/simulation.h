/*
 * One simulation: everything that a seed stands for, from the first start of the
 * daemon to the last look into the tables.
 *
 * Threads: one.
 */
#ifndef SIM_SIMULATION_H
#define SIM_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

/* Runs it, and returns the trace's hash. Does not return if an invariant does not
 * hold: sim_violation(). */
uint64_t sim_run(uint64_t seed, bool trace);

#endif
