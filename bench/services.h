/*
 * The three services of the booking example, each a process with a database of its
 * own, and enough free slots.
 */
#ifndef SAGA_BENCH_SERVICES_H
#define SAGA_BENCH_SERVICES_H

#include "load.h"

struct saga_bench_services {
    pid_t pids[SAGA_BENCH_PARTICIPANTS_MAX];
};

/* Starts them from the folder bin/ beside the program's own, with databases in `dir`. They carry
 * commands out as soon as they are connected, and end with the calling process. */
void saga_bench_services_start(struct saga_bench_services *services,
                               const struct saga_bench_site *site, const char *url, const char *dir,
                               const char *program);
void saga_bench_services_stop(struct saga_bench_services *services);

#endif
