/*
 * A load of trips on an engine with checkpoints: starts, answers good and bad, ends that somebody
 * is to be told, late words, time that passes, and restarts. A function of its seed.
 *
 * Hides which command it answers next. Failures end the test (Check).
 *
 * Threads: one; it has the one world (engine_fixture.h).
 */
#ifndef SAGA_TRIP_LOAD_H
#define SAGA_TRIP_LOAD_H

#include "splitmix.h"
#include "trip_fixture.h"

struct trip_load {
    struct splitmix random;
    unsigned started;
};

/* Opens an engine on `data_dir` (not copied) with a checkpoint every `records`. */
void trip_load_open(struct trip_load *load, const char *data_dir, uint64_t seed, uint64_t records);
/* One request, committed and answered, or a restart. */
void trip_load_step(struct trip_load *load);
void trip_load_close(void);

#endif
