/*
 * saga-sim: seeds, one after the other, in several processes; and what to say
 * when one of them fails.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "marks.h"
#include "service.h"
#include "shape.h"
#include "simulation.h"
#include "trace.h"

#define JOBS_MAX      64
#define FIRST_MAX     4096
#define MARKS_LEAST   100
#define MARKS_SEEDS   UINT64_C(100000) /* over so many seeds */
#define TWICE_EVERY   100              /* one seed in so many is run a second time */
#define SILENCE_S_MAX 120              /* no seed takes longer */

/* What a process that runs seeds shares with its parent. */
struct job {
    struct sim_marks marks;
    struct sim_failure failure;
    uint64_t seed; /* at which it is */
    uint64_t done;
};

struct options {
    uint64_t from, to;
    unsigned jobs;
    bool trace;
    bool marks;
    const char *first; /* a file of seeds to be run first */
    const char *example;
};

static struct options options = {.from = 1, .to = 1000, .jobs = 1, .example = SIM_EXAMPLE};
static uint64_t first_seeds[FIRST_MAX];
static unsigned first_count;

/* ---------------------------------------------------------------- the jobs */

/* The number of seeds, those of the file before the range. */
static uint64_t seed_count(void) {
    return first_count + (options.to - options.from + 1);
}

static uint64_t seed_at(uint64_t place) {
    return place < first_count ? first_seeds[place] : options.from + (place - first_count);
}

static void run_seed(struct job *job, uint64_t seed) {
    job->seed = seed;
    (void)alarm(SILENCE_S_MAX);
    uint64_t sum = sim_run(seed, options.trace);
    if (seed % TWICE_EVERY == 0) {
        sim_mark(SIM_MARK_TWICE);
        if (sim_run(seed, false) != sum) {
            sim_violation("D2", "the seed's second run was another one");
        }
    }
    sim_marks->seeds++;
    job->done++;
}

static _Noreturn void run_job(struct job *job, unsigned number) {
    sim_marks = &job->marks;
    sim_failure = &job->failure;
    if (!sim_shape_read_example(options.example)) {
        (void)fprintf(stderr, "saga-sim: %s cannot be read\n", options.example);
        _exit(EXIT_FAILURE);
    }
    if (!sim_services_open()) {
        _exit(EXIT_FAILURE);
    }
    for (uint64_t place = number; place < seed_count(); place += options.jobs) {
        run_seed(job, seed_at(place));
    }
    sim_services_close();
    (void)fflush(stdout);
    exit(EXIT_SUCCESS); /* not _exit: the leak sanitizer has a word to say */
}

static struct job *share_jobs(void) {
    void *memory = mmap(NULL, options.jobs * sizeof(struct job), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* ------------------------------------------------------------------- failing */

/* A job that did not end well: names what it died of. */
static void name_failure(struct job *job, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == SIM_VIOLATED) {
        return;
    }
    bool alarmed = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    (void)strcpy(job->failure.name, alarmed ? "T1" : "A0");
    (void)snprintf(job->failure.story, sizeof job->failure.story,
                   alarmed ? "the seed takes longer than %d s" : "the code ended by status 0x%x",
                   alarmed ? SILENCE_S_MAX : status);
}

/* The seed once more, with every line, into a file beside us. */
static void trace_again(const struct job *job) {
    char path[64];
    (void)snprintf(path, sizeof path, "saga-sim-%" PRIu64 ".trace", job->seed);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        options.trace = true;
        options.from = options.to = job->seed;
        options.jobs = 1;
        first_count = 0;
        struct job *again = share_jobs();
        if (again == NULL || freopen(path, "w", stdout) == NULL) {
            _exit(EXIT_FAILURE);
        }
        run_job(again, 0);
    }
    int status = 0;
    if (child > 0) {
        (void)waitpid(child, &status, 0);
        char command[128];
        (void)fprintf(stderr, "the end of its trace (%s has all of it):\n", path);
        (void)snprintf(command, sizeof command, "tail -n 40 %s >&2", path);
        if (system(command) != 0) {
            (void)fprintf(stderr, "(no trace could be written)\n");
        }
    }
}

static void report_failure(const struct job *jobs, int failed, const char *program) {
    const struct job *job = &jobs[failed];
    uint64_t done = 1;
    for (unsigned i = 0; i < options.jobs; i++) {
        done += jobs[i].done;
    }
    (void)fprintf(stderr, "\nseed %" PRIu64 " violates %s: %s\n", job->seed, job->failure.name,
                  job->failure.story);
    if (!options.trace) {
        trace_again(job);
    }
    (void)fprintf(stderr,
                  "seed %" PRIu64 " violates %s after %" PRIu64
                  " seeds; repeat it with: %s --seed %" PRIu64 " --trace\n",
                  job->seed, job->failure.name, done, program, job->seed);
}

/* ------------------------------------------------------------------- running */

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits for the jobs; at the first failure the others are ended. The failed one's number, or
 * -1. */
static int wait_for_jobs(struct job *jobs, pid_t *children) {
    int failed = -1;
    for (unsigned left = options.jobs; left > 0; left--) {
        int status;
        pid_t child = wait(&status);
        for (unsigned i = 0; i < options.jobs; i++) {
            if (children[i] != child) {
                continue;
            }
            children[i] = 0;
            if (failed < 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)) {
                failed = (int)i;
                name_failure(&jobs[i], status);
                for (unsigned k = 0; k < options.jobs; k++) {
                    if (children[k] != 0) {
                        (void)kill(children[k], SIGTERM);
                    }
                }
            }
        }
    }
    return failed;
}

static int run_all(const char *program) {
    struct job *jobs = share_jobs();
    pid_t children[JOBS_MAX];
    double begin = seconds();
    if (jobs == NULL) {
        perror("saga-sim");
        return EXIT_FAILURE;
    }
    (void)fflush(stdout);
    for (unsigned i = 0; i < options.jobs; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            run_job(&jobs[i], i);
        }
        if (children[i] < 0) {
            perror("saga-sim: fork");
            return EXIT_FAILURE;
        }
    }
    int failed = wait_for_jobs(jobs, children);
    if (failed >= 0) {
        report_failure(jobs, failed, program);
        return EXIT_FAILURE;
    }
    struct sim_marks sum = {0};
    for (unsigned i = 0; i < options.jobs; i++) {
        sim_marks_add(&sum, &jobs[i].marks);
    }
    double took = seconds() - begin;
    printf("%" PRIu64 " seeds, no violation, %.1f s, %.0f seeds/s a job\n", sum.seeds, took,
           (double)sum.seeds / took / options.jobs);
    if (options.marks) {
        uint64_t least = sum.seeds >= MARKS_SEEDS ? MARKS_LEAST : 0;
        if (!sim_marks_print(&sum, least)) {
            (void)fprintf(stderr,
                          "some of what can happen happened less than %d times: the "
                          "simulation is blind there\n",
                          MARKS_LEAST);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------- options */

static void read_first(struct argp_state *state, const char *path) {
    FILE *file = fopen(path, "r");
    char line[256];
    if (file == NULL) {
        argp_failure(state, EXIT_FAILURE, errno, "%s", path);
        return;
    }
    while (fgets(line, sizeof line, file) != NULL && first_count < FIRST_MAX) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) {
            first_seeds[first_count++] = seed;
        }
    }
    (void)fclose(file);
}

static uint64_t number(struct argp_state *state, const char *text, char **end) {
    errno = 0;
    uint64_t value = strtoull(text, end, 10);
    if (*end == text || errno != 0 || text[0] == '-') {
        argp_error(state, "'%s' is no number", text);
    }
    return value;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    char *end = NULL;
    switch (key) {
    case 's':
        options.from = options.to = number(state, argument, &end);
        break;
    case 'n':
        options.from = options.to = number(state, argument, &end);
        if (*end == '-') {
            options.to = number(state, end + 1, &end);
        }
        if (options.to < options.from) {
            argp_error(state, "--seeds: expected FROM-TO, e.g. 1-100000");
        }
        break;
    case 'j':
        options.jobs = (unsigned)number(state, argument, &end);
        if (options.jobs < 1 || options.jobs > JOBS_MAX) {
            argp_error(state, "--jobs: 1 to %d", JOBS_MAX);
        }
        break;
    case 't':
        options.trace = true;
        break;
    case 'm':
        options.marks = true;
        break;
    case 'f':
        read_first(state, argument);
        break;
    case 'e':
        options.example = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (end != NULL && *end != '\0') {
        argp_error(state, "'%s': what is after the number?", argument);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const struct argp_option list[] = {
        {"seed", 's', "N", 0, "Run one seed", 0},
        {"seeds", 'n', "FROM-TO", 0, "Run these seeds (default 1-1000)", 0},
        {"jobs", 'j', "N", 0, "In so many processes", 0},
        {"trace", 't', NULL, 0, "Print a line for each decision", 0},
        {"marks", 'm', NULL, 0,
         "Print how often everything happened; over 100,000 seeds, fail if anything did too seldom",
         0},
        {"first", 'f', "FILE", 0, "Run the seeds of this file first", 0},
        {"example", 'e', "FILE", 0, "The booking saga", 0},
        {0},
    };
    static const struct argp argp = {
        .options = list,
        .parser = parse,
        .doc = "Simulates sagas, with faults, from seeds; checks that what is promised holds.",
    };
    (void)argp_parse(&argp, argc, argv, 0, NULL, NULL);
    return run_all(argv[0]);
}
