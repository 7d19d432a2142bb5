/*
 * The raw client: publishes commands as the daemon does and takes the replies, with
 * nothing behind it: no engine, no log, no threads but one. What it reaches is the
 * ceiling of that broker for whoever orchestrates.
 *
 * Its messages are made by the daemon's own code (command_message.h), published
 * mandatory and confirmed, and its replies acknowledged, several in a frame.
 */
#ifndef SAGA_BENCH_RAW_CLIENT_H
#define SAGA_BENCH_RAW_CLIENT_H

#include "load.h"

/* Runs the load, and returns when all of its commands are answered. */
struct saga_bench_rate saga_bench_raw(const struct saga_bench_site *site,
                                      const struct saga_bench_load *load);

#endif
