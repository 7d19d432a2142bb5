/*
 * The signals that end the daemon: SIGTERM, SIGINT, SIGHUP.
 *
 * Threads: the main one, before there is another.
 */
#ifndef SAGA_SIGNALS_H
#define SAGA_SIGNALS_H

/* From here on they wait to be taken, in every thread that is started later. A
 * write to a closed pipe or socket is an error and no signal. */
void saga_signals_block(void);

/* Waits for one of them; returns its name. */
const char *saga_signals_wait(void);

/* Ends the process with status 0 after this long, whatever it is at then. What it
 * has acknowledged is in the log, so nothing is lost by it. */
void saga_signals_limit_drain(unsigned seconds);

#endif
