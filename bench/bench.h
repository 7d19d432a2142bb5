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
    uint64_t keys; /* used so far; each start has one of its own, where it has any */
    bool answers;
    bool keyed;
};

struct saga_bench_options {
    const char *dir;
    bool answers;                            /* participants do */
    bool keyed;                              /* each start has a key of its own */
    const struct saga_checkpoint_pace *pace; /* NULL: the daemon's */
};

/* Opens log and engine, and defines the sagas `bench` of three steps, and `wait`, whose participant
 * never answers. */
void saga_bench_open(struct saga_bench *bench, const struct saga_bench_options *options);
void saga_bench_close(struct saga_bench *bench);

/* One turn of the loop: the answers that have come and starts up to `target` in
 * flight, as far as a batch goes; what is due; one commit. */
void saga_bench_turn(struct saga_bench *bench, size_t target);

/* Starts so many sagas that stay open; they are not `in_flight`. */
void saga_bench_wait(struct saga_bench *bench, size_t count);

/* Before a log is opened there: it knows so many keys, from this number on, of sagas that are gone.
 */
void saga_bench_know(const char *dir, uint64_t first, uint64_t count);

/* Starts once more with key `number`; ends the program if that starts a saga. */
void saga_bench_find_key(struct saga_bench *bench, uint64_t number);

struct saga_moment saga_bench_moment(void);
double saga_bench_seconds(void);     /* that have passed */
double saga_bench_cpu_seconds(void); /* of this process */

/* A new directory under --data-dir, or in TMPDIR; removed by saga_bench_remove. */
char *saga_bench_directory(const char *parent);
void saga_bench_remove(const char *dir);

#endif
