/*
 * How many commands a second go over RabbitMQ, and who pays for them.
 *
 *   bench-amqp [--rounds N] [--seconds S] [--in-flight N]... [--amqp URL [--broker-pid PID]]
 *              [--data-dir DIR] [--only raw|echo|services] [--slots N] [--smoke]
 *
 * In one run, one after the other, so that all of them meet the same machine:
 *
 *   raw       commands to an echo and back, with nothing behind them: the ceiling
 *   echo      sagas of three commands to the same echo, by the daemon's engine
 *   services  bookings: six commands to parking, booking and billing
 *
 * with each number in flight, transient and persistent, round after round. Medians;
 * ratios are those of one round. It starts a private node, or uses the one of --amqp
 * (or AMQP_URL), in which its queues remain.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker_node.h"
#include "echo.h"
#include "raw_client.h"
#include "saga_client.h"
#include "services.h"

#define ROUNDS_MAX  25
#define NUMBERS_MAX 8

enum kind { RAW, ECHO, SERVICES, KINDS };
static const char *const kind_names[KINDS] = {"raw", "echo", "services"};

struct options {
    size_t rounds;
    double seconds;
    size_t numbers[NUMBERS_MAX]; /* in flight */
    size_t number_count;
    const char *url;
    pid_t broker;
    const char *parent; /* of the directory for data */
    bool wanted[KINDS];
    size_t slots;
    bool smoke;
};

struct cell {
    struct saga_bench_rate rounds[ROUNDS_MAX];
};

struct run {
    struct options options;
    struct saga_bench_site site;
    struct broker_node node;
    char dir[512];
    char log_dir[528];
    pid_t echo;
    struct saga_bench_services services;
    struct cell cells[2][NUMBERS_MAX][KINDS]; /* transient, persistent */
};

/* ------------------------------------------------------------------ options */

static _Noreturn void usage(const char *program) {
    (void)fprintf(stderr,
                  "usage: %s [--rounds 1..%d] [--seconds S] [--in-flight N]... [--amqp URL\n"
                  "    [--broker-pid PID]] [--data-dir DIR] [--only raw|echo|services]...\n"
                  "    [--slots N] [--smoke]\n",
                  program, ROUNDS_MAX);
    exit(2);
}

static void want(struct options *options, const char *name, const char *program) {
    for (size_t kind = 0; kind < KINDS; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            options->wanted[kind] = true;
            return;
        }
    }
    usage(program);
}

static void fill_in(struct options *options) {
    static const size_t numbers[] = {1, 32, 300};
    if (options->smoke) {
        options->rounds = 1;
        options->seconds = 0.3;
        options->slots = 20000;
    }
    if (options->number_count == 0) {
        options->number_count = options->smoke ? 2 : 3;
        memcpy(options->numbers, numbers, sizeof numbers);
    }
    if (!options->wanted[RAW] && !options->wanted[ECHO] && !options->wanted[SERVICES]) {
        options->wanted[RAW] = options->wanted[ECHO] = options->wanted[SERVICES] = true;
    }
}

static void read_options(struct options *options, int argc, char **argv) {
    static const struct option names[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"in-flight", required_argument, NULL, 'n'},
                                          {"amqp", required_argument, NULL, 'a'},
                                          {"broker-pid", required_argument, NULL, 'b'},
                                          {"data-dir", required_argument, NULL, 'd'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"slots", required_argument, NULL, 'l'},
                                          {"smoke", no_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
    int option;
    *options =
        (struct options){.rounds = 5, .seconds = 2, .url = getenv("AMQP_URL"), .slots = 200000};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'r':
            options->rounds = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'n':
            if (options->number_count < NUMBERS_MAX) {
                options->numbers[options->number_count++] = strtoul(optarg, NULL, 10);
            }
            break;
        case 'a':
            options->url = optarg;
            break;
        case 'b':
            options->broker = (pid_t)strtol(optarg, NULL, 10);
            break;
        case 'd':
            options->parent = optarg;
            break;
        case 'o':
            want(options, optarg, argv[0]);
            break;
        case 'l':
            options->slots = strtoul(optarg, NULL, 10);
            break;
        case 'k':
            options->smoke = true;
            break;
        default:
            usage(argv[0]);
        }
    }
    fill_in(options);
    if (optind != argc || options->rounds < 1 || options->rounds > ROUNDS_MAX ||
        options->seconds <= 0) {
        usage(argv[0]);
    }
}

/* ------------------------------------------------------------------ the site */

static pid_t pid_in(const char *dir) {
    char path[600];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "%s/node.pid", dir);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        (void)!fgets(text, sizeof text, file);
        (void)fclose(file);
    }
    const long pid = strtol(text, NULL, 10);
    if (pid <= 0) {
        saga_bench_die(path, "it does not say which process the broker is");
    }
    return (pid_t)pid;
}

static void open_site(struct run *run, const char *program) {
    struct saga_bench_site *site = &run->site;
    struct saga_fault fault;
    const char *parent = run->options.parent != NULL ? run->options.parent : getenv("TMPDIR");
    const char *url = run->options.url;
    site->broker = run->options.broker;
    if (url == NULL) {
        broker_node_open(&run->node);
        url = run->node.url;
        site->broker = pid_in(run->node.path);
    }
    if (saga_amqp_address_parse(&site->address, url, &fault) != SAGA_OK) {
        saga_bench_die("--amqp", fault.text);
    }
    (void)snprintf(run->dir, sizeof run->dir, "%s/bench-amqp-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    if (mkdtemp(run->dir) == NULL) {
        saga_bench_die(run->dir, strerror(errno));
    }
    (void)snprintf(run->log_dir, sizeof run->log_dir, "%s/daemon", run->dir);
    if (mkdir(run->log_dir, 0750) != 0) {
        saga_bench_die(run->log_dir, strerror(errno));
    }
    site->dir = run->log_dir;
    site->slots = run->options.slots;
    site->next_slot = mmap(NULL, sizeof *site->next_slot, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (site->next_slot == MAP_FAILED) {
        saga_bench_die("shared memory", strerror(errno));
    }
    run->echo = saga_bench_echo_start(site);
    if (run->options.wanted[SERVICES]) {
        saga_bench_services_start(&run->services, site, url, run->dir, program);
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_tree(const char *dir) {
    if (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        (void)fprintf(stderr, "bench-amqp: %s was not removed\n", dir);
    }
}

static void close_site(struct run *run) {
    (void)kill(run->echo, SIGKILL);
    (void)waitpid(run->echo, NULL, 0);
    if (run->options.wanted[SERVICES]) {
        saga_bench_services_stop(&run->services);
    }
    if (run->options.url == NULL) {
        broker_node_close(&run->node);
    }
    remove_tree(run->dir);
}

/* ------------------------------------------------------------------ measuring */

static struct saga_bench_rate carry_out(const struct run *run, enum kind kind,
                                        struct saga_bench_load *load) {
    if (kind == SERVICES) {
        memcpy(load->participants, run->services.pids, sizeof run->services.pids);
        return saga_bench_run_sagas(&run->site, load, SAGA_BENCH_BOOKINGS);
    }
    load->participants[0] = run->echo;
    return kind == RAW ? saga_bench_raw(&run->site, load)
                       : saga_bench_run_sagas(&run->site, load, SAGA_BENCH_ECHO_SAGAS);
}

/* In a process of its own, so that its threads and memory are gone with it. */
static struct saga_bench_rate measure(const struct run *run, enum kind kind, size_t in_flight,
                                      bool persistent) {
    struct saga_bench_rate rate;
    int ends[2];
    int status;
    if (pipe(ends) != 0) {
        saga_bench_die("pipe", strerror(errno));
    }
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        struct saga_bench_load load = {
            .in_flight = in_flight, .persistent = persistent, .seconds = run->options.seconds};
        rate = carry_out(run, kind, &load);
        _exit(write(ends[1], &rate, sizeof rate) == (ssize_t)sizeof rate ? 0 : 1);
    }
    (void)close(ends[1]);
    const ssize_t got = child < 0 ? -1 : read(ends[0], &rate, sizeof rate);
    (void)close(ends[0]);
    if (got != (ssize_t)sizeof rate || waitpid(child, &status, 0) != child || status != 0 ||
        rate.commands <= 0) {
        saga_bench_die(kind_names[kind], "it did not come to its end");
    }
    return rate;
}

/* All that is to be compared, one after the other. */
static void measure_round(struct run *run, size_t round, size_t mode) {
    const struct options *options = &run->options;
    for (size_t n = 0; n < options->number_count; n++) {
        for (size_t kind = 0; kind < KINDS; kind++) {
            if (options->wanted[kind]) {
                run->cells[mode][n][kind].rounds[round] =
                    measure(run, (enum kind)kind, options->numbers[n], mode == 1);
            }
        }
    }
}

static void measure_all(struct run *run) {
    const struct options *options = &run->options;
    for (size_t round = 0; round < options->rounds; round++) {
        for (size_t mode = 0; mode < 2; mode++) {
            measure_round(run, round, mode);
        }
        (void)fprintf(stderr, "round %zu of %zu\n", round + 1, options->rounds);
    }
}

/* ----------------------------------------------------------------- reporting */

static int by_size(const void *a, const void *b) {
    const double one = *(const double *)a;
    const double other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_size);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Of one of the numbers of a rate: `at` is where it stands. */
static double median_of(const struct cell *cell, size_t rounds, size_t at) {
    double values[ROUNDS_MAX];
    for (size_t i = 0; i < rounds; i++) {
        memcpy(&values[i], (const char *)&cell->rounds[i] + at, sizeof values[i]);
    }
    return median(values, rounds);
}

/* What all processes use together for a command. */
static double cpu_of_all(const struct saga_bench_rate *rate) {
    return rate->cpu_us[SAGA_BENCH_CLIENT] + rate->cpu_us[SAGA_BENCH_PARTICIPANTS] +
           rate->cpu_us[SAGA_BENCH_BROKER];
}

/* How many commands there are for each of the ceiling's: in the same time, or (`by_cpu`) for the
 * same CPU. */
static double median_ratio(const struct cell *cell, const struct cell *ceiling, size_t rounds,
                           bool by_cpu) {
    double values[ROUNDS_MAX];
    for (size_t i = 0; i < rounds; i++) {
        values[i] = by_cpu ? cpu_of_all(&ceiling->rounds[i]) / cpu_of_all(&cell->rounds[i])
                           : cell->rounds[i].commands / ceiling->rounds[i].commands;
    }
    return median(values, rounds);
}

/* " 12.3 |", or an empty field. */
static void print_field(bool is_known, int digits, double value) {
    if (is_known) {
        (void)printf(" %.*f |", digits, value);
    } else {
        (void)printf(" |");
    }
}

static void print_row(const struct run *run, size_t mode, size_t n, enum kind kind) {
    const size_t rounds = run->options.rounds;
    const struct cell *cell = &run->cells[mode][n][kind];
    const struct cell *raw = &run->cells[mode][n][RAW];
    const bool has_broker = run->site.broker != 0;
    const bool has_ratio = kind != RAW && run->options.wanted[RAW];
    double cpu[SAGA_BENCH_SHARES];
    double all = 0;
    for (size_t i = 0; i < SAGA_BENCH_SHARES; i++) {
        cpu[i] =
            median_of(cell, rounds, offsetof(struct saga_bench_rate, cpu_us) + i * sizeof *cpu);
        all += cpu[i];
    }
    (void)printf("| %s | %zu | %s |", mode == 0 ? "transient" : "persistent",
                 run->options.numbers[n], kind_names[kind]);
    print_field(true, 0, median_of(cell, rounds, offsetof(struct saga_bench_rate, commands)));
    print_field(kind != RAW, 0, median_of(cell, rounds, offsetof(struct saga_bench_rate, sagas)));
    print_field(has_ratio, 2, has_ratio ? median_ratio(cell, raw, rounds, false) : 0);
    print_field(has_ratio && has_broker, 2, has_ratio ? median_ratio(cell, raw, rounds, true) : 0);
    print_field(kind != RAW, 1,
                median_of(cell, rounds, offsetof(struct saga_bench_rate, commands_per_commit)));
    for (size_t i = 0; i < SAGA_BENCH_SHARES; i++) {
        print_field(i != SAGA_BENCH_BROKER || has_broker, 1, cpu[i]);
    }
    print_field(has_broker, 0, 100 * cpu[SAGA_BENCH_CLIENT] / all);
    print_field(has_broker, 0, 100 * cpu[SAGA_BENCH_PARTICIPANTS] / all);
    print_field(has_broker, 0, 100 * cpu[SAGA_BENCH_BROKER] / all);
    (void)printf("\n");
}

static void report(const struct run *run) {
    (void)printf("medians of %zu rounds of %.1f s; us of CPU for each command, and shares of it\n",
                 run->options.rounds, run->options.seconds);
    (void)printf("| commands | in flight | what | commands/s | sagas/s | of raw | of raw, by CPU | "
                 "commands a commit | client, daemon: us | participants: us | broker: us | client, "
                 "daemon: %% | participants: %% | broker: %% |\n"
                 "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | "
                 "--- |\n");
    for (size_t mode = 0; mode < 2; mode++) {
        for (size_t n = 0; n < run->options.number_count; n++) {
            for (size_t kind = 0; kind < KINDS; kind++) {
                if (run->options.wanted[kind]) {
                    print_row(run, mode, n, (enum kind)kind);
                }
            }
        }
    }
}

int main(int argc, char **argv) {
    static struct run run;
    read_options(&run.options, argc, argv);
    open_site(&run, argv[0]);
    measure_all(&run);
    report(&run);
    close_site(&run);
    return 0;
}
