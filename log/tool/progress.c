#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000 /* what is over before that needs no bar */
#define DRAW_MS  200
#define PAUSE_MS 500
#define TICKS    256 /* the clock is asked once in so many */
#define CELLS    30

static int64_t now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void saga_progress_begin(struct saga_progress *progress, const char *what) {
    const int64_t began_ms = now();
    *progress = (struct saga_progress){
        .what = what,
        .began_ms = began_ms,
        .paused_ms = began_ms,
        .now_ms = began_ms,
        .terminal = isatty(STDERR_FILENO) == 1,
    };
}

static void draw(struct saga_progress *progress, uint64_t done, uint64_t total) {
    char bar[CELLS + 1];
    const uint64_t percent = total > 0 ? (done < total ? done : total) * 100 / total : 100;
    for (uint64_t i = 0; i < CELLS; i++) {
        bar[i] = i * 100 < percent * CELLS ? '#' : '.';
    }
    bar[CELLS] = '\0';
    (void)fprintf(stderr, "\r%s [%s] %3" PRIu64 " %%", progress->what, bar, percent);
    (void)fflush(stderr);
    progress->drawn = true;
    progress->drawn_ms = progress->now_ms;
}

void saga_progress_tick(struct saga_progress *progress, uint64_t done, uint64_t total) {
    if (++progress->ticks % TICKS != 0) {
        return;
    }
    progress->now_ms = now();
    if (progress->terminal && progress->now_ms - progress->began_ms >= FIRST_MS &&
        progress->now_ms - progress->drawn_ms >= DRAW_MS) {
        draw(progress, done, total);
    }
}

void saga_progress_clear(struct saga_progress *progress) {
    if (progress->drawn) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        progress->drawn = false;
        progress->drawn_ms = 0;
    }
}

bool saga_progress_pauses(struct saga_progress *progress) {
    if (progress->now_ms - progress->paused_ms < PAUSE_MS) {
        return false;
    }
    progress->paused_ms = progress->now_ms;
    return true;
}
