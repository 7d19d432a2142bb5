/*
 * The load of the kill tests: sagas of every outcome, most of them open already.
 *
 * Hides how a data directory comes to have twenty open sagas in different places,
 * going forward and going back: services that are so slow that nothing moves on.
 *
 * Threads: one.
 */
#ifndef BOOKING_LOAD_H
#define BOOKING_LOAD_H

#include <stdbool.h>

#include "audit.h"
#include "daemon_process.h"

#define LOAD_CUSTOMERS 3  /* have completed; others want their slots */
#define LOAD_OPEN      28 /* are open in the template */
#define LOAD_NEW       12 /* are started while it is killed */
#define LOAD_COUNT     (LOAD_CUSTOMERS + LOAD_OPEN + LOAD_NEW)

struct booking_load {
    const char *program; /* sagad-failpoints, or sagad */
    struct booking bookings[LOAD_COUNT];
};

/* Starts `sagad dev` in `dir`, with more words (NULL: none more) and variables. Its journal is
 * DIR.journal. Returns whether it became ready. */
bool load_start_daemon(const struct booking_load *load, struct daemon_process *process,
                       const char *dir, const char *const *words, const char *const *variables);

/* A session with the daemon in `dir`. */
struct api_session *load_open_session(const char *dir);

/* Makes `dir` with LOAD_OPEN open sagas in it, and nobody running. Exits with a
 * message if it cannot. */
void load_make_template(struct booking_load *load, const char *program, const char *dir);

/* Copies such a directory, after the daemon has ended. Exits with a message if it cannot. */
void load_copy(const char *from, const char *to);
/* Removes a data directory, if there is one. */
void load_remove(const char *dir);

/* Asks for these bookings once more. A lie is a violation, written to `journal`: another id than
 * before, or a saga that was accepted and is not known. Returns the violations. With
 * `must_answer`, no answer is one as well. */
size_t load_ask(struct booking_load *load, struct api_session *session, size_t first, size_t count,
                bool must_answer, const char *journal);

/* Waits for the end of these sagas, and notes how they ended. False: nobody answers any more. */
bool load_await(struct booking_load *load, struct api_session *session, size_t first, size_t count);

#endif
