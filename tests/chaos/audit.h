/*
 * The audit: what the three databases and the client's own notes say about the
 * sagas that the daemon accepted. It shares no code with the daemon: it knows the
 * tables, and what a customer was promised (docs/protocol.md, docs/semantics.md).
 *
 * Threads: one.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include <stddef.h>

#include "api_session.h"

enum booking_kind {
    BOOKING_FREE = 1, /* its own slot: succeeds, unless the reservation fails */
    BOOKING_SHARED,   /* one slot for several: one of them at most gets it */
    BOOKING_HELD,     /* another customer's slot: refused */
    BOOKING_UNKNOWN,  /* there is no such slot: refused */
    BOOKING_DECLINED, /* too dear: the payment is declined */
};

/* One saga that a client wants. */
struct booking {
    enum booking_kind kind;
    char key[32];         /* its start key */
    char slot[64];        /* its uuid */
    long long total;      /* 0: not said */
    char id[API_ID_SIZE]; /* as the daemon answered first; "": never yet */
    char status[32];      /* its end, as the API told it */
};

/* What was seen, added up. */
struct audit_sums {
    unsigned completed, held, unknown, declined, unreserved, lost_race;
};

/* Reads the databases in `dir`, which nobody uses any more, and writes each violation to
 * `journal` as a line. Returns how many there are. */
size_t audit_run(const char *dir, const struct booking *bookings, size_t count,
                 struct audit_sums *sums, const char *journal);

#endif
