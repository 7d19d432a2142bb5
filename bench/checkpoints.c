/*
 * What checkpoints cost, and what they are worth.
 *
 *   bench-checkpoints [--records N] [--open N] [--in-flight N] [--data-dir DIR] [--every N]
 *                     [--known N]
 *
 * Two engines on logs of their own take the same load in turns, piece by piece: one writes
 * checkpoints, the other never does. All the while so many sagas are open that nothing is
 * heard of. Each start has a key of its own. The first goes on until it has as many records after
 * its checkpoint as it ever had. Then a child recovers from each of the two logs.
 *
 * Then the inspection tool looks at the first of them.
 *
 * With --known both write checkpoints, and one of them knows so many start keys beforehand.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PIECES_MAX 1000

struct options {
    uint64_t records, piece;
    size_t open, in_flight;
    uint64_t every; /* 0: as the daemon does */
    uint64_t known; /* start keys; 0: it is checkpoints that are compared */
    const char *parent;
};

/* Far from those that are used. */
#define KNOWN_FIRST UINT64_C(1000000000000)

/* One of the two. */
struct side {
    char *dir;
    struct saga_bench bench;
    double seconds[PIECES_MAX];  /* of each piece */
    double longest_s;            /* turn */
    double longest_cpu_s;        /* of a turn: without the disk */
    uint64_t tail, longest_tail; /* records after the checkpoint */
};

static uint64_t last_lsn(const struct side *side) {
    return saga_log_next_lsn(side->bench.log) - 1;
}

/* `plain`: without what is compared. */
static void open_side(struct side *side, const struct options *options, bool plain) {
    struct saga_checkpoint_pace pace = saga_checkpoint_pace_default;
    if (options->every > 0) {
        pace.records = options->every;
        pace.records_open = 0;
    }
    if (plain && options->known == 0) {
        pace.records = UINT64_MAX;
        pace.ms = 0;
    }
    memset(side, 0, sizeof *side);
    side->dir = saga_bench_directory(options->parent);
    if (!plain) {
        saga_bench_know(side->dir, KNOWN_FIRST, options->known);
    }
    const struct saga_bench_options bench = {
        .dir = side->dir, .answers = true, .keyed = true, .pace = &pace};
    saga_bench_open(&side->bench, &bench);
    saga_bench_wait(&side->bench, options->open);
}

static void turn(struct side *side, const struct options *options) {
    saga_bench_turn(&side->bench, options->in_flight);
    side->tail = last_lsn(side) - saga_log_checkpoint(side->bench.log).lsn;
    side->longest_tail = side->tail > side->longest_tail ? side->tail : side->longest_tail;
}

static void run_piece(struct side *side, const struct options *options, unsigned piece) {
    const uint64_t until = last_lsn(side) + options->piece;
    const double begin = saga_bench_seconds();
    double before = begin;
    double cpu_before = saga_bench_cpu_seconds();
    while (last_lsn(side) < until) {
        turn(side, options);
        const double now = saga_bench_seconds();
        side->longest_s = now - before > side->longest_s ? now - before : side->longest_s;
        before = now;
        const double cpu = saga_bench_cpu_seconds();
        side->longest_cpu_s =
            cpu - cpu_before > side->longest_cpu_s ? cpu - cpu_before : side->longest_cpu_s;
        cpu_before = cpu;
    }
    side->seconds[piece] = before - begin;
}

static int compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, unsigned count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

struct recovered {
    double state_s, sent_s;
    uint64_t records, open;
};

/* Keys that were used are found: from `first` on there are so many. */
static void find_keys(struct saga_bench *bench, uint64_t first, uint64_t keys) {
    for (uint64_t i = 0; i < 1000 && i < keys; i++) {
        saga_bench_find_key(bench, first + i * (keys / 1000));
    }
}

static struct recovered recover(const char *dir, uint64_t keys, uint64_t known) {
    struct saga_bench bench;
    const struct saga_bench_options options = {.dir = dir};
    const double begin = saga_bench_seconds();
    saga_bench_open(&bench, &options);
    struct recovered recovered = {.state_s = saga_bench_seconds() - begin,
                                  .records = bench.report.records,
                                  .open = bench.report.open};
    find_keys(&bench, 1, keys);
    find_keys(&bench, KNOWN_FIRST, known);
    while (bench.sent < bench.report.open) {
        saga_bench_turn(&bench, 0);
    }
    recovered.sent_s = saga_bench_seconds() - begin;
    saga_bench_close(&bench);
    return recovered;
}

/* In a process of its own. */
static struct recovered recover_apart(const char *dir, uint64_t keys, uint64_t known) {
    struct recovered recovered;
    int ends[2];
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    const pid_t child = fork();
    if (child == 0) {
        recovered = recover(dir, keys, known);
        _exit(write(ends[1], &recovered, sizeof recovered) == (ssize_t)sizeof recovered ? 0 : 1);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], &recovered, sizeof recovered) != (ssize_t)sizeof recovered ||
        waitpid(child, NULL, 0) != child) {
        (void)fprintf(stderr, "the child that was to recover failed\n");
        exit(1);
    }
    (void)close(ends[0]);
    return recovered;
}

static void report(const char *name, struct side *side, const struct options *options,
                   unsigned pieces, uint64_t keys, uint64_t known) {
    const double seconds = median(side->seconds, pieces);
    const struct recovered recovered = recover_apart(side->dir, keys, known);
    (void)printf("| %s | %.0f | %.1f | %.1f | %llu | %.2f | %.2f |\n", name,
                 (double)options->piece / seconds, side->longest_s * 1e3, side->longest_cpu_s * 1e3,
                 (unsigned long long)recovered.records, recovered.state_s, recovered.sent_s);
}

/* ------------------------------------------------------------------ looking */

#define WORDS_MAX 6

/* What sagalog is asked, up to a NULL. */
struct look {
    const char *words[WORDS_MAX];
};

/* Runs sagalog; what it prints first goes to `text`. Ends the program if it fails. */
static void look(const char *dir, const struct look *look, char *text, size_t size) {
    const char *words[WORDS_MAX + 4] = {"sagalog", "--data-dir", dir};
    int ends[2];
    int status = 0;
    memcpy(&words[3], look->words, sizeof look->words);
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(1);
    }
    const pid_t child = fork();
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO); /* that there are more */
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execv(SAGA_BIN_DIR "/sagalog", (char **)(uintptr_t)words);
        _exit(127);
    }
    (void)close(ends[1]);
    char more[4096];
    size_t got = 0;
    ssize_t read_now;
    while ((read_now = got + 1 < size ? read(ends[0], text + got, size - got - 1)
                                      : read(ends[0], more, sizeof more)) > 0) {
        got += got + 1 < size ? (size_t)read_now : 0;
    }
    text[got] = '\0';
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        (void)fprintf(stderr, "sagalog %s failed\n", look->words[0]);
        exit(1);
    }
}

/* In the median of some. */
static double look_seconds(const char *dir, const struct look *asked) {
    double seconds[7];
    char text[64];
    for (unsigned i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        const double begin = saga_bench_seconds();
        look(dir, asked, text, sizeof text);
        seconds[i] = saga_bench_seconds() - begin;
    }
    return median(seconds, sizeof seconds / sizeof seconds[0]);
}

/* Of the newest saga of this status. */
static void find_id(const char *dir, const char *status, char id[64]) {
    const struct look asked = {{"list", "--json", "--limit", "1", "--status", status}};
    char text[4096];
    look(dir, &asked, text, sizeof text);
    const char *at = strstr(text, "\"id\":");
    if (at == NULL || sscanf(at, "\"id\": \"%36[0-9a-f-]", id) != 1) {
        (void)fprintf(stderr, "no saga is listed as %s\n", status);
        exit(1);
    }
}

static void report_looks(const char *dir) {
    static const char *const statuses[] = {"completed", "running"};
    static const char *const verbs[] = {"show", "explain", "state"};
    const struct look list = {{"list"}};
    (void)printf("| sagalog | ms, median of 7 |\n| --- | --- |\n| list | %.0f |\n",
                 look_seconds(dir, &list) * 1e3);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        const struct look asked = {{"list", "--status", statuses[i]}};
        char id[64];
        (void)printf("| list --status %s | %.0f |\n", statuses[i], look_seconds(dir, &asked) * 1e3);
        find_id(dir, statuses[i], id);
        for (size_t j = 0; j < sizeof verbs / sizeof verbs[0]; j++) {
            const struct look shown = {{verbs[j], id}};
            (void)printf("| %s, of one that is %s | %.0f |\n", verbs[j], statuses[i],
                         look_seconds(dir, &shown) * 1e3);
        }
    }
}

static uint64_t number_of(const char *text) {
    return strtoull(text, NULL, 10);
}

static struct options read_options(int argc, char **argv) {
    static const struct option names[] = {{"records", required_argument, NULL, 'r'},
                                          {"open", required_argument, NULL, 'o'},
                                          {"in-flight", required_argument, NULL, 'n'},
                                          {"every", required_argument, NULL, 'e'},
                                          {"data-dir", required_argument, NULL, 'd'},
                                          {"known", required_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.records = 10000000, .open = 100000, .in_flight = 10000};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'r':
            options.records = number_of(optarg);
            break;
        case 'o':
            options.open = number_of(optarg);
            break;
        case 'n':
            options.in_flight = number_of(optarg);
            break;
        case 'e':
            options.every = number_of(optarg);
            break;
        case 'k':
            options.known = number_of(optarg);
            break;
        case 'd':
            options.parent = optarg;
            break;
        default:
            (void)fprintf(stderr,
                          "usage: %s [--records N] [--open N] [--in-flight N] [--every N]\n"
                          "    [--data-dir DIR] [--known N]\n",
                          argv[0]);
            exit(2);
        }
    }
    options.piece = options.records < 200000 ? options.records / 10 + 1 : options.records / 40;
    return options;
}

int main(int argc, char **argv) {
    const struct options options = read_options(argc, argv);
    static struct side with, without;
    static double ratios[PIECES_MAX];
    double with_s = 0, without_s = 0;
    unsigned pieces = 0;
    open_side(&with, &options, false);
    open_side(&without, &options, true);
    for (; last_lsn(&with) < options.records && pieces < PIECES_MAX; pieces++) {
        struct side *first = pieces % 2 == 0 ? &with : &without;
        run_piece(first, &options, pieces);
        run_piece(first == &with ? &without : &with, &options, pieces);
        ratios[pieces] = with.seconds[pieces] / without.seconds[pieces];
        with_s += with.seconds[pieces];
        without_s += without.seconds[pieces];
    }
    while (with.tail < with.longest_tail / 100 * 98) {
        turn(&with, &options);
    }
    const uint64_t keys =
        with.bench.keys < without.bench.keys ? with.bench.keys : without.bench.keys;
    saga_bench_close(&with.bench);
    saga_bench_close(&without.bench);
    (void)printf("%zu sagas open, %zu in flight, %llu start keys; in the median of %u pieces:\n",
                 options.open, options.in_flight, (unsigned long long)keys, pieces);
    const char *compared = options.known > 0 ? "start keys known" : "checkpoints";
    (void)printf("| %s | records/s | longest turn, ms | of a turn's CPU, ms | recovery reads | "
                 "state after, s | "
                 "all sent again after, s |\n| --- | --- | --- | --- | --- | --- | --- |\n",
                 compared);
    report("yes", &with, &options, pieces, keys, options.known);
    report("no", &without, &options, pieces, keys, 0);
    (void)printf("time with, of that without: %.3f in all, %.3f in the median\n",
                 with_s / without_s, median(ratios, pieces));
    report_looks(with.dir);
    saga_bench_remove(with.dir);
    saga_bench_remove(without.dir);
    free(with.dir);
    free(without.dir);
    return 0;
}
