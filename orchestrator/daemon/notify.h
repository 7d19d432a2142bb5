/*
 * Telling a service manager how the daemon is doing: systemd's protocol (sd_notify(3)),
 * without its library.
 *
 * Threads: any.
 */
#ifndef SAGA_NOTIFY_H
#define SAGA_NOTIFY_H

/* Sends `state` ("READY=1", "STOPPING=1") to $NOTIFY_SOCKET. Where there is none, or
 * nobody listens, nothing happens: no saga depends on it. */
void saga_notify(const char *state);

#endif
