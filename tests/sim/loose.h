/*
 * Loose participants: no fence, no inbox, whatever arrives is run.
 *
 * What they do with a duplicate differs from seed to seed: run it again, refuse
 * it, or say nothing. A liar also answers what it likes, now and then.
 *
 * Threads: one.
 */
#ifndef SIM_LOOSE_H
#define SIM_LOOSE_H

#include "network.h"

void sim_loose_begin(void);

/* Faults are over: no more lies, and every compensation succeeds. */
void sim_loose_heal(void);

/* False: it says nothing to a duplicate, so asking it again is of no use; it had better not
 * answer `accepted`, which calls for that. */
bool sim_loose_repeats(enum sim_party party);

void sim_loose_carry_out(const struct sim_command *command);

#endif
