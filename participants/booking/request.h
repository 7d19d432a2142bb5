/*
 * A customer's booking request: starts the saga at the daemon, and waits for its
 * end.
 *
 * Hides HTTP and JSON. The start is sent again with its own key until it is
 * answered, and the wait survives a daemon that is killed and started again, so
 * one request makes one saga. The saga goes on without the customer.
 *
 * Threads: none of its own.
 */
#ifndef SAGA_BOOKING_REQUEST_H
#define SAGA_BOOKING_REQUEST_H

#include "error.h"

#include <stdint.h>

struct saga_booking_request {
    const char *server; /* unix:PATH or http://HOST:PORT */
    const char *saga;   /* the definition's name: "booking" */
    const char *slot;   /* the slot's uuid */
    int64_t total;      /* smallest unit; 0: not said */
    const char *key;    /* start key */
    int64_t timeout_ms; /* for everything together */
};

struct saga_booking_outcome {
    char saga[37];       /* the saga's id; "": it was not started, as far as is known */
    char status[32];     /* "completed", "compensated", "parked", ... */
    char reason[128];    /* "": none */
    char reference[160]; /* the booking's; "": it was never made */
};

/*
 * Sends the request and waits until the saga has ended or is parked.
 *
 * UNREACHABLE: the daemon was not there; TIMEOUT: the saga has not ended in time,
 * its id is in the outcome; NOT_FOUND, CONFLICT, INVALID, FAILED: what the daemon
 * answered.
 */
SAGA_CHECKED enum saga_error saga_booking_request_run(const struct saga_booking_request *request,
                                                      struct saga_booking_outcome *outcome,
                                                      struct saga_fault *fault);

/* The exit status that belongs to a saga's status: 0, 5 or 6; -1: it goes on. */
int saga_booking_exit_status(const char *status);

#endif
