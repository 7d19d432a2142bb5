/*
 * A lane: one thread, the queue before it, and what it carries commands to.
 *
 * Threads: one opens, stops and closes; one puts.
 */
#ifndef SAGA_LANE_H
#define SAGA_LANE_H

#include "delivery_queue.h"
#include "local.h"

struct saga_lane;

/* `participant` NULL: every command is answered `done` at once. `switches` is
 * copied (NULL: none). Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_lane_open(struct saga_lane **lane,
                                            const struct saga_local_options *options,
                                            struct saga_participant *participant,
                                            const struct saga_participant_switches *switches,
                                            struct saga_fault *fault);

/* Takes a delivery over. False: full, or stopped; it stays the caller's. */
SAGA_CHECKED bool saga_lane_put(struct saga_lane *lane, struct saga_local_delivery *delivery);

/* Its counters, but for the name. Any thread. */
void saga_lane_count(struct saga_lane *lane, struct saga_local_counts *counts);

/* Asks the thread to end; does not wait. */
void saga_lane_stop(struct saga_lane *lane);
/* Waits for the end of the thread. */
void saga_lane_join(struct saga_lane *lane);
/* After it has been joined. */
void saga_lane_close(struct saga_lane *lane);

#endif
