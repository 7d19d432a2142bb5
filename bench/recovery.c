/*
 * How long a restart takes with many sagas open, and what one of them costs in
 * memory.
 *
 * A child starts the sagas, whose participants never answer, and goes; another
 * child recovers: it has the state when the engine is open, and is done when
 * every outstanding command has been sent again. Memory is what the recovering
 * process has more than one with no saga.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

struct result {
    double open_seconds;
    double resent_seconds;
    double resident_bytes;
    uint64_t open;
    uint64_t records;
};

/* Anonymous memory: the log's own pages are the system's cache, and go when
 * somebody needs the room. */
static double resident_bytes(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kilobytes = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kilobytes = strtol(line + 8, NULL, 10);
        }
    }
    if (file == NULL || kilobytes < 0) {
        (void)fprintf(stderr, "/proc/self/status does not say RssAnon\n");
        exit(1);
    }
    (void)fclose(file);
    return (double)kilobytes * 1024;
}

static void populate(const char *dir, size_t open) {
    struct saga_bench bench;
    saga_bench_open(&bench, &(struct saga_bench_options){.dir = dir});
    while (bench.in_flight < open) {
        saga_bench_turn(&bench, open);
    }
    saga_bench_close(&bench);
}

static struct result recover(const char *dir) {
    struct saga_bench bench;
    struct result result;
    double begin = saga_bench_seconds();
    saga_bench_open(&bench, &(struct saga_bench_options){.dir = dir});
    result.open_seconds = saga_bench_seconds() - begin;
    result.open = bench.report.open;
    result.records = bench.report.records;
    while (bench.sent < bench.report.open) {
        saga_bench_turn(&bench, 0);
    }
    result.resent_seconds = saga_bench_seconds() - begin;
    result.resident_bytes = resident_bytes();
    saga_bench_close(&bench);
    return result;
}

/* In a process of its own, so that its memory is its own. */
static struct result in_child(const char *dir, size_t open, bool recovers) {
    int ends[2];
    struct result result = {0};
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        if (recovers) {
            result = recover(dir);
        } else {
            populate(dir, open);
        }
        _exit(write(ends[1], &result, sizeof result) == (ssize_t)sizeof result ? 0 : 1);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], &result, sizeof result) != (ssize_t)sizeof result ||
        waitpid(child, NULL, 0) != child) {
        (void)fprintf(stderr, "the child that was to %s the sagas failed\n",
                      recovers ? "recover" : "start");
        exit(1);
    }
    (void)close(ends[0]);
    return result;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"data-dir", required_argument, NULL, 'd'},
                                            {"open", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    const char *parent = NULL;
    size_t open = 100000;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'd') {
            parent = optarg;
        } else if (option == 'n') {
            open = strtoul(optarg, NULL, 10);
        } else {
            (void)fprintf(stderr, "usage: %s [--data-dir DIR] [--open N]\n", argv[0]);
            return 2;
        }
    }
    char *empty_dir = saga_bench_directory(parent);
    char *dir = saga_bench_directory(parent);
    struct result empty = in_child(empty_dir, 0, true);
    (void)in_child(dir, open, false);
    struct result full = in_child(dir, open, true);
    (void)printf("an empty log: ready after %.1f ms, %.1f MB of memory\n", empty.open_seconds * 1e3,
                 empty.resident_bytes / 1e6);
    (void)printf("%llu open sagas, %llu records: state after %.3f s, all sent again after %.3f s\n",
                 (unsigned long long)full.open, (unsigned long long)full.records, full.open_seconds,
                 full.resent_seconds);
    (void)printf("memory: %.1f MB, %.0f bytes per open saga\n", full.resident_bytes / 1e6,
                 (full.resident_bytes - empty.resident_bytes) / (double)full.open);
    saga_bench_remove(empty_dir);
    saga_bench_remove(dir);
    free(empty_dir);
    free(dir);
    return 0;
}
