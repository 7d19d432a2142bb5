/*
 * What the benchmarks over RabbitMQ share: where it is measured, under which load,
 * and what came out.
 *
 * Errors end the process with a text. Threads: one.
 */
#ifndef SAGA_BENCH_LOAD_H
#define SAGA_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "address.h"

#define SAGA_BENCH_EXCHANGE "bench"
#define SAGA_BENCH_QUEUE    "bench.echo"
#define SAGA_BENCH_PREFETCH 512 /* as the daemon and the services have it */

#define SAGA_BENCH_PARTICIPANTS_MAX 3

/* Where: the same for all loads of one run. */
struct saga_bench_site {
    struct saga_amqp_address address;
    const char *dir; /* of the daemon's log: kept from load to load, as its reply queue is */
    pid_t broker;    /* 0: not known, so its CPU is not */
    /* Numbers of the slots that are not booked yet, in memory that all processes share. */
    size_t *next_slot;
    size_t slots;
};

struct saga_bench_load {
    size_t in_flight; /* commands without a reply; sagas that have not ended */
    bool persistent;  /* the commands; replies are transient in any case */
    double seconds;   /* measured */
    pid_t participants[SAGA_BENCH_PARTICIPANTS_MAX]; /* 0 after the last */
};

enum saga_bench_share { SAGA_BENCH_CLIENT, SAGA_BENCH_PARTICIPANTS, SAGA_BENCH_BROKER };
#define SAGA_BENCH_SHARES 3

struct saga_bench_rate {
    double commands;                  /* sent, and as many are answered; a second */
    double sagas;                     /* ended, a second; 0: these were none */
    double cpu_us[SAGA_BENCH_SHARES]; /* for each command; the broker's is 0 if not known */
    double commands_per_commit;
};

/* Reads the clocks now, and again: `commands` and `sagas` have become more by what is given. */
struct saga_bench_clocks {
    double wall;
    double cpu[SAGA_BENCH_SHARES];
};
struct saga_bench_clocks saga_bench_clocks_read(const struct saga_bench_site *site,
                                                const struct saga_bench_load *load);
struct saga_bench_rate saga_bench_rate_between(const struct saga_bench_clocks *before,
                                               const struct saga_bench_clocks *after,
                                               double commands, double sagas);

/* Ends the process. */
_Noreturn void saga_bench_die(const char *what, const char *why);

#endif
