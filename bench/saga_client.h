/*
 * The saga client: the daemon's engine, log, loop and broker transport in this
 * process, which starts a saga whenever one has ended. It is the daemon without its
 * API: nobody asks over HTTP.
 */
#ifndef SAGA_BENCH_SAGA_CLIENT_H
#define SAGA_BENCH_SAGA_CLIENT_H

#include "load.h"

enum saga_bench_sagas {
    SAGA_BENCH_ECHO_SAGAS = 1, /* three commands to the echo */
    SAGA_BENCH_BOOKINGS,       /* examples/booking: six commands to the three services */
};

/* Runs the load, and returns when all of its sagas have ended; each has to be completed. */
struct saga_bench_rate saga_bench_run_sagas(const struct saga_bench_site *site,
                                            const struct saga_bench_load *load,
                                            enum saga_bench_sagas which);

#endif
