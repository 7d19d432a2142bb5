/*
 * The participants of `sagad dev`: parking, booking and billing, in this process.
 *
 * Hides where their databases are, and how they are wired to the engine.
 *
 * Threads: one.
 */
#ifndef SAGA_DEMO_SERVICES_H
#define SAGA_DEMO_SERVICES_H

#include "config.h"
#include "local.h"

#define SAGA_DEMO_SERVICE_COUNT 3

struct saga_demo_services {
    struct saga_participant *participants[SAGA_DEMO_SERVICE_COUNT];
};

/* Opens (or creates) the databases in `directory`, and adds the participants to
 * the transport. Errors: USAGE (a switch names a command that none of them has),
 * FAILED, CONFLICT (a database is another service's). */
SAGA_CHECKED enum saga_error
saga_demo_services_open(struct saga_demo_services *services, struct saga_local *local,
                        const char *directory, const struct saga_participant_switches *switches,
                        struct saga_fault *fault);

/* After the transport has been stopped. */
void saga_demo_services_close(struct saga_demo_services *services);

#endif
