/*
 * Health: a server of HTTP that says, while the process lives, that it does.
 *
 *     GET /health    200 {"message": "Parking server is running"}
 *
 * Hides libmicrohttpd: in this family of programs this is the only file that
 * includes its header. Promises that however many ask, and however slowly, the
 * service is not held up.
 *
 * Threads: one opens and closes it; it answers on a thread of its own.
 */
#ifndef SAGA_HEALTH_H
#define SAGA_HEALTH_H

#include <stdint.h>

#include "error.h"

struct saga_health;

/* Listens on `address` (IPv4 or IPv6, numeric). `title` is who is running, up to 32 letters:
 * "Parking". Errors: USAGE (no such address), FAILED (the port is taken). */
SAGA_CHECKED enum saga_error saga_health_open(struct saga_health **health, const char *address,
                                              uint16_t port, const char *title,
                                              struct saga_fault *fault);
/* NULL is allowed. */
void saga_health_close(struct saga_health *health);

#endif
