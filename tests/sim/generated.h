/*
 * Two generated services on the participant library: whatever a shape's steps
 * need, with business code that draws its answers.
 *
 * Threads: one.
 */
#ifndef SIM_GENERATED_H
#define SIM_GENERATED_H

#include "shape.h"

struct saga_service;

/* Of SIM_FENCED_A and SIM_FENCED_B. */
const struct saga_service *sim_generated_service(enum sim_party party);

#endif
