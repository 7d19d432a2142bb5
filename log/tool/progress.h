/*
 * A bar on standard error, for what takes more than a second.
 *
 * Hides when it is drawn: only on a terminal, not in the first second, a few times a second
 * then; and that it is gone before anything else is printed.
 *
 * Threads: one.
 */
#ifndef SAGA_PROGRESS_H
#define SAGA_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct saga_progress {
    const char *what; /* "reading records"; static */
    int64_t began_ms;
    int64_t drawn_ms;  /* when the bar was drawn last */
    int64_t paused_ms; /* when it was last time for a new view */
    int64_t now_ms;
    uint32_t ticks;
    bool drawn;
    bool terminal;
};

void saga_progress_begin(struct saga_progress *progress, const char *what);

/* So far. Cheap: call it for each record. */
void saga_progress_tick(struct saga_progress *progress, uint64_t done, uint64_t total);

/* Takes the bar away; a tick brings it back. Call it before printing, and at the end. */
void saga_progress_clear(struct saga_progress *progress);

/* True twice a second, while ticks go on: time for a new view of the log, so that the daemon can
 * reuse pages. Ask it after a tick. */
bool saga_progress_pauses(struct saga_progress *progress);

#endif
