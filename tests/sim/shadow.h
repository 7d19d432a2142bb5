/*
 * The shadow: a second coordinator, fed by the durable records alone, to compare
 * the live one with (D1: live and replayed state are equal, byte for byte).
 *
 * Threads: one.
 */
#ifndef SIM_SHADOW_H
#define SIM_SHADOW_H

#include "coordinator.h"

void sim_shadow_begin(void);
void sim_shadow_end(void);

/* A durable record. */
void sim_shadow_follow(const struct saga_record *record);

/* Compares, at a moment when the live one has decided nothing that is not durable. */
void sim_shadow_compare(const struct saga_coordinator *live);

/* D3: nothing follows by itself from any open saga. */
void sim_shadow_settled(const struct saga_coordinator *live);

#endif
