/*
 * The in-process transport: commands to participants that live in this process.
 *
 * Hides the threads, and the queue before each. A participant has a thread of
 * its own, so that one whose database is slow holds up no other; what is at hand
 * when it is free is carried out in one transaction (saga_participant_apply).
 *
 * Promises:
 *  1. saga_local_send() never blocks, and copies what it is given.
 *  2. A command that was taken is carried out at least once while the process
 *     lives, and answered into the inbox, unless the participant is silent; one
 *     that the participant could not carry out is delivered again after a second.
 *  3. At most `commands_max` commands wait for one participant; more are refused.
 *  4. A command that --delay slows down waits here, beside the queue: it holds up
 *     none but itself. (So the participant's own `pause` must be
 *     saga_local_pause(), which returns at once.)
 *
 * Threads: one opens, adds, stops and closes; one (the engine's) sends.
 */
#ifndef SAGA_LOCAL_H
#define SAGA_LOCAL_H

#include "engine.h"
#include "inbox.h"
#include "participant.h"

struct saga_local;

struct saga_local_options {
    struct saga_inbox *inbox; /* where the replies go; outlives the transport */
    uint32_t commands_max;    /* that wait for one participant; 0: SAGA_LOCAL_COMMANDS_MAX */
    void *context;
    /* A participant could not carry something out, or refused it: a sentence. Called on its
     * thread. NULL: nobody is interested. */
    void (*complain)(void *context, const char *participant, const char *text);
};

/* About 100 MiB of waiting commands with bodies as in the example. */
#define SAGA_LOCAL_COMMANDS_MAX 100000
/* In one process. */
#define SAGA_LOCAL_PARTICIPANTS_MAX 32

/* Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_local_open(struct saga_local **local,
                                             const struct saga_local_options *options,
                                             struct saga_fault *fault);

/* Adds a participant before anything is sent, under its service's name, and
 * starts its thread, which it belongs to until saga_local_stop(); it stays the
 * caller's to close. `switches` is copied: its delays. Errors: FULL, FAILED. */
SAGA_CHECKED enum saga_error saga_local_add(struct saga_local *local,
                                            struct saga_participant *participant,
                                            const struct saga_participant_switches *switches,
                                            struct saga_fault *fault);

/* Adds a participant that answers every command `done` at once, with no body and
 * no database: for measuring everything else. All of them share one thread. `name`
 * is borrowed. Errors: FULL, FAILED. */
SAGA_CHECKED enum saga_error saga_local_add_echo(struct saga_local *local, const char *name,
                                                 struct saga_fault *fault);

/* Takes a command over. False: no such participant here, or too many wait for it,
 * or the transport has been stopped; nothing will come of it. (In the shape of
 * saga_outlet.send; `context` is the saga_local.) */
SAGA_CHECKED bool saga_local_send(void *context, const struct saga_dispatch *dispatch);

/* What is counted of one participant. */
struct saga_local_counts {
    const char *name;
    uint32_t waiting;                           /* commands, now */
    struct saga_participant_counts participant; /* all 0 of an echo */
};

/* Fills `counts` (room for SAGA_LOCAL_PARTICIPANTS_MAX); returns how many. Any
 * thread, once the last one has been added and until the transport is closed. */
size_t saga_local_count(const struct saga_local *local, struct saga_local_counts *counts);

/* Waits for the transactions under way (a locked database: 5 s at most), puts their
 * answers into the inbox, and forgets the commands that wait: they are sent again
 * after a restart. */
void saga_local_stop(struct saga_local *local);

/* Stops, and frees. Requests that are in the inbox stay valid until answered. */
void saga_local_close(struct saga_local *local);

/* For saga_participant_options.pause: the transport waits, not the participant. */
void saga_local_pause(void *context, int64_t delay_ms);

#endif
