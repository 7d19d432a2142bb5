/*
 * The loop: the engine's thread, and its only clock.
 *
 * Takes what has arrived, has the engine step it, commits once, and lets go what
 * that explains; while a commit is under way, the next batch gathers in the inbox.
 *
 * Promises: a write of the log that fails ends the process at once, with exit
 * status 8; nobody was answered then.
 *
 * Threads: one starts, drains and stops it; the engine and the log are its
 * thread's from start to stop.
 */
#ifndef SAGA_LOOP_H
#define SAGA_LOOP_H

#include "engine.h"
#include "inbox.h"
#include "journal.h"

struct saga_loop;

struct saga_loop_options {
    struct saga_engine *engine;
    struct saga_log *log;
    struct saga_inbox *inbox;
    const struct saga_journal *journal;
};

/* Now, by the two clocks of the engine. */
struct saga_moment saga_loop_now(void);

/* Errors: FAILED (no thread, no descriptor). */
SAGA_CHECKED enum saga_error saga_loop_start(struct saga_loop **loop,
                                             const struct saga_loop_options *options,
                                             struct saga_fault *fault);

/* From soon on, no saga is started and no command sent; requests are answered. */
void saga_loop_drain(struct saga_loop *loop);

/* Takes what is in the inbox, commits it, answers it, and ends the thread. What is put
 * there later stays unanswered. */
void saga_loop_stop(struct saga_loop *loop);

#endif
