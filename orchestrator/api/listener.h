/*
 * Where the API listens: a unix socket, or TCP on a loopback address.
 *
 * Hides stale socket files, directory names that are too long for a socket's
 * address, and what is no loopback address.
 *
 * Threads: one opens and closes; an open one never changes.
 */
#ifndef SAGA_LISTENER_H
#define SAGA_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct saga_listener {
    int fd; /* listening, non-blocking */
    bool tcp;
    uint16_t port;    /* tcp */
    char host[64];    /* tcp: the address as it stands in a Host header: "127.0.0.1", "[::1]" */
    char *address;    /* "unix:/abs/path" or "http://127.0.0.1:8090": what a client is told */
    char *name;       /* unix: the file's, in the directory */
    int directory_fd; /* unix: where it is */
    dev_t device;     /* unix: of the file that is ours */
    ino_t inode;
};

/* Listens on "unix:PATH" or "tcp:HOST:PORT" (port 0: one that is free).
 *
 * unix: the file has mode 0660. One that is there already is replaced if it is a
 * socket at which nobody listens. tcp: HOST is localhost, [::1], or in 127/8.
 *
 * Errors: USAGE (neither of both, or no loopback address), FAILED (somebody
 * listens there, something else is there, a system's error). */
SAGA_CHECKED enum saga_error saga_listener_open(struct saga_listener *listener, const char *listen,
                                                struct saga_fault *fault);

/* Removes the file if it is still ours, and closes the socket. */
void saga_listener_close(struct saga_listener *listener);

/* True if a Host header names this listener. On a unix socket any does. */
bool saga_listener_is_named(const struct saga_listener *listener, const char *host);

#endif
