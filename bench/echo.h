/*
 * The echo: a participant in a process of its own, which answers each command with
 * `done`, at once, and has nothing else to do.
 *
 * One thread, one connection: what is at hand is answered, then acknowledged in one
 * frame. No confirms, no database: it costs as little as a participant can.
 */
#ifndef SAGA_BENCH_ECHO_H
#define SAGA_BENCH_ECHO_H

#include "load.h"

/* Declares exchange, queue (SAGA_BENCH_QUEUE, bound to "echo.#") and binding; returns when it
 * consumes. It ends with the calling process, or by SIGKILL. */
pid_t saga_bench_echo_start(const struct saga_bench_site *site);

#endif
