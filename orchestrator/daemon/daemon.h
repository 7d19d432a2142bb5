/*
 * The daemon: all of its parts, put together in their order, and taken apart in
 * the reverse.
 *
 * Threads: one.
 */
#ifndef SAGA_DAEMON_H
#define SAGA_DAEMON_H

#include "config.h"

struct saga_daemon;

/* Opens the log, recovers what is in it, and serves. Everything that it says goes
 * to `journal`; both arguments outlive the daemon. Errors: as the log, the engine
 * and the configuration have them; nothing is left open then. */
SAGA_CHECKED enum saga_error saga_daemon_open(struct saga_daemon **daemon,
                                              const struct saga_config *config,
                                              const struct saga_journal *journal,
                                              struct saga_fault *fault);

/* Where the API is: "unix:/abs/path", "http://127.0.0.1:8090". */
const char *saga_daemon_address(const struct saga_daemon *daemon);

/* Drains, and closes: no saga is started and no command sent any more; what was
 * acknowledged is in the log. */
void saga_daemon_close(struct saga_daemon *daemon);

#endif
