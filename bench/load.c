#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
    struct timespec time;
    return clock_gettime(clock, &time) == 0 ? (double)time.tv_sec + (double)time.tv_nsec / 1e9 : 0;
}

/* What a process has used of all processors, in the kernel's own unit: /proc has it in ticks of
 * 10 ms. */
static double cpu_of(pid_t pid) {
    clockid_t clock;
    return pid != 0 && clock_getcpuclockid(pid, &clock) == 0 ? seconds_of(clock) : 0;
}

struct saga_bench_clocks saga_bench_clocks_read(const struct saga_bench_site *site,
                                                const struct saga_bench_load *load) {
    struct saga_bench_clocks clocks = {
        .wall = seconds_of(CLOCK_MONOTONIC),
        .cpu = {[SAGA_BENCH_CLIENT] = cpu_of(getpid()), [SAGA_BENCH_BROKER] = cpu_of(site->broker)},
    };
    for (size_t i = 0; i < SAGA_BENCH_PARTICIPANTS_MAX; i++) {
        clocks.cpu[SAGA_BENCH_PARTICIPANTS] += cpu_of(load->participants[i]);
    }
    return clocks;
}

struct saga_bench_rate saga_bench_rate_between(const struct saga_bench_clocks *before,
                                               const struct saga_bench_clocks *after,
                                               double commands, double sagas) {
    const double wall = after->wall - before->wall;
    struct saga_bench_rate rate = {.commands = commands / wall, .sagas = sagas / wall};
    for (size_t i = 0; i < SAGA_BENCH_SHARES && commands > 0; i++) {
        rate.cpu_us[i] = (after->cpu[i] - before->cpu[i]) * 1e6 / commands;
    }
    return rate;
}

void saga_bench_die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}
