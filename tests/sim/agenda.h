/*
 * The agenda: what happens when, in virtual time.
 *
 * Hides a heap ordered by (time, order of entry). Nothing else moves the clock.
 *
 * Threads: one.
 */
#ifndef SIM_AGENDA_H
#define SIM_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

typedef void sim_deed(void *context, uint64_t number);

void sim_agenda_begin(void);

/* Virtual ms since the simulation's beginning. */
int64_t sim_now(void);

/* Enters a deed; one that is in the past happens now. */
void sim_agenda_add(int64_t at_ms, sim_deed *deed, void *context, uint64_t number);

/* Does the next deed. False: there is none. */
bool sim_agenda_step(void);

/* Deeds done since the beginning. */
uint64_t sim_agenda_count(void);

#endif
