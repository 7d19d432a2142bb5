/*
 * What tests of the daemon share: a data directory of the test's own, the real
 * daemon on it, and what it said.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef DAEMON_FIXTURE_H
#define DAEMON_FIXTURE_H

#include <check.h>

#include "api_session.h"
#include "daemon_process.h"

/* For tcase_add_checked_fixture(): a scratch directory before, nothing of it left behind;
 * a daemon that still runs is killed. */
void fixture_open_daemon(void);
void fixture_close_daemon(void);

/* DIR/name in the scratch directory; lives for a few calls. */
const char *fixture_path(const char *name);
/* The data directory, which is not there at first; lives as long as the test. */
const char *fixture_data_dir(void);
void fixture_make_data_dir(void);

/* Runs `sagad` with these words (NULL last) to its end; returns its exit status. */
int fixture_run(const char *first, ...);
/* Starts it; it must become ready. The fixture's one daemon. */
void fixture_start(const char *first, ...);
extern struct daemon_process fixture_daemon;
/* Ends it with SIGTERM; it must end with status 0. */
void fixture_stop(void);
/* Ends it with SIGKILL. */
void fixture_kill(void);

/* Everything that daemons of this test wrote on standard error. */
const char *fixture_said(void);
void fixture_forget(void);
void fixture_expect_said(const char *part);

/* A session with the daemon on the data directory. */
struct api_session *fixture_session(void);

/* Adds a slot. */
void fixture_create_slot(const char *uuid);
/* Starts a booking, which must be accepted; gives its id. */
void fixture_book(struct api_session *session, const char *key, const char *slot, long long total,
                  char id[API_ID_SIZE]);
#define FIXTURE_END_MS 120000 /* a lost broker is looked for every 30 s */
/* Waits for the saga's end, which must be this status. */
void fixture_expect_end(struct api_session *session, const char *id, const char *status);
/* Looks until a step of the saga has this status. */
void fixture_await_step(struct api_session *session, const char *id, const char *step,
                        const char *status);

/* What a query over a service's database gives, with ?1 = `argument`: the first column
 * of the first row as a text; "" for no row or NULL. Lives until the next call. */
const char *fixture_look(const char *service, const char *sql, const char *argument);

#endif
