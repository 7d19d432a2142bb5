/*
 * What the engine's benchmarks share: an engine on a log of its own, whose
 * participants answer at once, or never.
 *
 * Errors end the program with a text. Threads: one.
 */
#ifndef SAGA_BENCH_H
#define SAGA_BENCH_H

#include "engine.h"

struct saga_bench {
    struct saga_log *log;
    struct saga_engine *engine;
    struct saga_recovery_report report;
    struct saga_request *replies; /* for the next batch, a stack */
    struct saga_request *spare;
    size_t in_flight;
    uint64_t ended;
    uint64_t sent;
    bool answers;
};

/* Opens log and engine in `dir`, and defines the saga `bench` of three steps. */
void saga_bench_open(struct saga_bench *bench, const char *dir, bool answers);
void saga_bench_close(struct saga_bench *bench);

/* One turn of the loop: the answers that have come and starts up to `target` in
 * flight, as far as a batch goes; what is due; one commit. */
void saga_bench_turn(struct saga_bench *bench, size_t target);

struct saga_moment saga_bench_moment(void);
double saga_bench_seconds(void);     /* that have passed */
double saga_bench_cpu_seconds(void); /* of this process */

/* A new directory under --data-dir, or in TMPDIR; removed by saga_bench_remove. */
char *saga_bench_directory(const char *parent);
void saga_bench_remove(const char *dir);

#endif
