/*
 * A moment, as people say it on a command line.
 *
 * Threads: no state.
 */
#ifndef SAGA_MOMENT_H
#define SAGA_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* "2024-06-11", "2024-06-11T09:30", "2024-06-11T09:30:00", with a Z or without, in UTC; or how long
 * ago: "90s", "15m", "2h", "7d". False: it is none of these. */
SAGA_CHECKED bool saga_moment_parse(const char *text, int64_t now_ms, int64_t *ms);

/* What the wall clock says, ms since 1970 UTC. */
int64_t saga_moment_now(void);

#endif
