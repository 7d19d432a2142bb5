/*
 * How many sagas a second the engine runs, and what one costs.
 *
 * Participants answer at once, on the engine's own thread, with nothing to do:
 * what is measured is the engine, the core and the durable log. Each saga has
 * three commands, so eight records (nine with PIVOT_PASSED). Prints a line per
 * number in flight, and how the last compares with the first.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

/* Sagas a second with `target` in flight, for about `seconds`. */
static double measure(struct saga_bench *bench, size_t target, double seconds) {
    struct saga_log_usage before;
    struct saga_log_usage after;
    saga_log_usage(bench->log, &before);
    uint64_t ended = bench->ended;
    double wall = saga_bench_seconds();
    double cpu = saga_bench_cpu_seconds();
    do {
        saga_bench_turn(bench, target);
    } while (saga_bench_seconds() - wall < seconds);
    wall = saga_bench_seconds() - wall;
    cpu = saga_bench_cpu_seconds() - cpu;
    saga_log_usage(bench->log, &after);
    double sagas = (double)(bench->ended - ended);
    double commits = (double)(after.commits - before.commits);
    (void)printf("%8zu in flight: %9.0f sagas/s  %7.0f commits/s  %7.1f records/commit  "
                 "%7.2f us CPU/saga  %5.0f bytes/saga\n",
                 target, sagas / wall, commits / wall,
                 (double)(after.records - before.records) / commits, cpu * 1e6 / sagas,
                 (double)(after.record_bytes - before.record_bytes) / sagas);
    while (bench->in_flight > 0) { /* let them end, so that the next number starts from none */
        saga_bench_turn(bench, 0);
    }
    return sagas / wall;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"data-dir", required_argument, NULL, 'd'},
                                            {"in-flight", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    size_t targets[16] = {1, 100, 10000};
    size_t target_count = 3;
    size_t given = 0;
    double seconds = 3;
    const char *parent = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's') {
            seconds = strtod(optarg, NULL);
        } else if (option == 'd') {
            parent = optarg;
        } else if (option == 'n' && given < 16) {
            targets[given++] = strtoul(optarg, NULL, 10);
            target_count = given;
        } else {
            (void)fprintf(stderr, "usage: %s [--seconds S] [--data-dir DIR] [--in-flight N]...\n",
                          argv[0]);
            return 2;
        }
    }
    struct saga_bench bench;
    char *dir = saga_bench_directory(parent);
    saga_bench_open(&bench, &(struct saga_bench_options){.dir = dir, .answers = true});
    double first = 0;
    double last = 0;
    for (size_t i = 0; i < target_count; i++) {
        last = measure(&bench, targets[i], seconds);
        first = i == 0 ? last : first;
    }
    if (target_count > 1) {
        (void)printf("%zu in flight run %.1f times as many as %zu\n", targets[target_count - 1],
                     last / first, targets[0]);
    }
    saga_bench_close(&bench);
    saga_bench_remove(dir);
    free(dir);
    return 0;
}
