/*
 * kill_test PROGRAM [--workers N] [--point KIND:PLACE] [--hits-max N] [--keep]
 *
 * Kills the real daemon with SIGKILL at every failpoint, at every hit of each, on the real
 * log, with more than twenty sagas of all outcomes open; starts it again, waits for the end
 * of every saga that it ever accepted, and has the audit look at the databases.
 *
 * Each run starts from a copy of one data directory (booking_load.h). It is killed while it
 * recovers, resends, goes on, or takes new sagas; started again, it is killed at another point,
 * drawn by the numbers of the run, so that recoveries of recoveries are met too. The sweep of a
 * point ends when it was not reached in two runs in a row: how many records share a commit is not
 * the same each time.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "booking_load.h"
#include "failpoint_counts.h"

#define POINT_COUNT  (SAGA_FAILPOINT_KIND_COUNT * SAGA_FAILPOINT_PLACE_COUNT)
#define WORKERS_MAX  16
#define HITS_MAX     5000 /* more would be an endless loop */
#define FAILURES_MAX 3    /* of one point: enough to look at */

/* What one point came to. */
struct sweep {
    unsigned runs, kills, second_kills, failures;
    struct audit_sums sums;
};

/* What the workers share. */
struct board {
    _Atomic unsigned next; /* the point that nobody has taken yet */
    struct sweep sweeps[POINT_COUNT];
};

struct options {
    const char *program;
    unsigned workers;
    unsigned hits_max;
    int only; /* one point, or -1 */
    bool keep;
};

static struct options options = {.workers = 2, .hits_max = HITS_MAX, .only = -1};
static struct board *board;
static struct booking_load template_load;
static char root[256];

/* Failures on the way: declined payments are slow to be refunded, and two of five
 * reservations fail. */
static const char *const words[] = {"--fail=parking.reserve=0.4", "--delay=billing.refund=15",
                                    "--delay=parking.unblock=10", NULL};

/* In the order in which they are taken: the longest first. */
static const unsigned order[POINT_COUNT] = {9,  11, 8,  5, 7, 4, 10, 6,  13, 15,
                                            12, 14, 19, 1, 3, 0, 2,  16, 17, 18};

static unsigned kind_of(unsigned point) {
    return point / SAGA_FAILPOINT_PLACE_COUNT + 1;
}

static unsigned place_of(unsigned point) {
    return point % SAGA_FAILPOINT_PLACE_COUNT + 1;
}

/* ------------------------------------------------------------------ one run */

struct run {
    struct booking_load load;
    char dir[512];
    char journal[600];
    size_t violations;
    bool killed, killed_again;
    struct audit_sums sums;
};

static void tell(struct run *run, const char *what, long number) {
    FILE *file = fopen(run->journal, "a");
    if (file != NULL) {
        (void)fprintf(file, "VIOLATION %s: %ld\n", what, number);
        (void)fclose(file);
    }
    run->violations++;
}

/* True if it was its failpoint that ended it. */
static bool check_death(struct run *run, const struct daemon_process *process) {
    const bool killed = WIFSIGNALED(process->status) && WTERMSIG(process->status) == SIGKILL;
    if (!killed) {
        tell(run, "the daemon ended, but not by its failpoint; wait status", process->status);
    }
    return killed;
}

/* The daemon, armed: until it dies, or everything has ended. True if it was killed. */
static bool run_armed(struct run *run, unsigned point, unsigned hit) {
    struct daemon_process process;
    char variable[128];
    const char *const variables[] = {variable, NULL};
    (void)snprintf(variable, sizeof variable, "SAGAD_FAILPOINT=%s:%s:%u",
                   failpoint_kind_name(kind_of(point)), failpoint_place_name(place_of(point)), hit);
    if (!load_start_daemon(&run->load, &process, run->dir, words, variables)) {
        return check_death(run, &process);
    }
    struct api_session *session = load_open_session(run->dir);
    run->violations +=
        load_ask(&run->load, session, LOAD_CUSTOMERS + LOAD_OPEN, LOAD_NEW, false, run->journal);
    const bool ended = load_await(&run->load, session, 0, LOAD_COUNT);
    api_session_close(session);
    if (ended) { /* it may still be reached while it drains */
        return daemon_stop(&process) != 0 && check_death(run, &process);
    }
    if (!daemon_await_end(&process, 10000)) {
        tell(run, "the daemon does not answer, and does not die", 0);
        daemon_kill(&process);
    }
    return check_death(run, &process);
}

/* Every saga of ours, and no other, is in the list. */
static void check_list(struct run *run, struct api_session *session) {
    json_t *list = api_session_get(session, "/v1/sagas?limit=200");
    const json_t *sagas = json_object_get(list, "sagas");
    size_t i;
    json_t *saga;
    if (json_array_size(sagas) != LOAD_COUNT) {
        tell(run, "the daemon does not know as many sagas as were started, but",
             (long)json_array_size(sagas));
    }
    json_array_foreach(sagas, i, saga) {
        bool ours = false;
        for (size_t b = 0; b < LOAD_COUNT; b++) {
            ours = ours || strcmp(run->load.bookings[b].id, api_text(saga, "id")) == 0;
        }
        if (!ours) {
            tell(run, "a saga in the list is nobody's; its number", (long)i);
        }
    }
    json_decref(list);
}

static void check_stats(struct run *run, struct api_session *session) {
    json_t *stats = api_session_get(session, "/v1/stats");
    const json_t *sagas = json_object_get(stats, "sagas");
    static const char *const zero[] = {"open", "parked", "quarantined", "orphans_rearmed"};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        const json_t *count = json_object_get(sagas, zero[i]);
        if (!json_is_integer(count) || json_integer_value(count) != 0) {
            tell(run, zero[i], (long)json_integer_value(count));
        }
    }
    json_decref(stats);
}

/* The daemon again, with nothing to fear. Asks for every saga once more by its key. */
static void run_again(struct run *run) {
    struct daemon_process process;
    if (!load_start_daemon(&run->load, &process, run->dir, words, NULL)) {
        tell(run, "the daemon does not start again; wait status", process.status);
        return;
    }
    struct api_session *session = load_open_session(run->dir);
    run->violations += load_ask(&run->load, session, 0, LOAD_COUNT, true, run->journal);
    if (!load_await(&run->load, session, 0, LOAD_COUNT)) {
        tell(run, "the daemon does not answer after its restart", 0);
    }
    check_list(run, session);
    check_stats(run, session);
    api_session_close(session);
    if (daemon_stop(&process) != 0) {
        tell(run, "the daemon did not end well; wait status", process.status);
    }
}

/* The second point and hit of a run, by its first. */
static void draw(unsigned point, unsigned hit, unsigned *next_point, unsigned *next_hit) {
    const unsigned drawn = (point * 7919 + hit) * 2654435761u;
    *next_point = (drawn >> 8) % POINT_COUNT;
    *next_hit = 1 + (drawn >> 16) % 24;
}

static void run_once(struct run *run, unsigned point, unsigned hit) {
    char template_dir[300];
    unsigned next_point, next_hit;
    memset(run, 0, sizeof *run);
    run->load = template_load;
    (void)snprintf(template_dir, sizeof template_dir, "%s/template", root);
    (void)snprintf(run->dir, sizeof run->dir, "%s/%s-%s-%u", root,
                   failpoint_kind_name(kind_of(point)), failpoint_place_name(place_of(point)), hit);
    (void)snprintf(run->journal, sizeof run->journal, "%s.journal", run->dir);
    load_copy(template_dir, run->dir);
    run->killed = run_armed(run, point, hit);
    if (run->killed) {
        draw(point, hit, &next_point, &next_hit);
        run->killed_again = run_armed(run, next_point, next_hit);
    }
    run_again(run);
    run->violations +=
        audit_run(run->dir, run->load.bookings, LOAD_COUNT, &run->sums, run->journal);
    if (run->violations == 0 && !options.keep) {
        load_remove(run->dir);
    }
}

/* --------------------------------------------------------------- one point */

static void add_sums(struct audit_sums *sums, const struct audit_sums *more) {
    sums->completed += more->completed;
    sums->held += more->held;
    sums->unknown += more->unknown;
    sums->declined += more->declined;
    sums->unreserved += more->unreserved;
    sums->lost_race += more->lost_race;
}

static void sweep(unsigned point) {
    struct sweep *result = &board->sweeps[point];
    unsigned unreached = 0;
    for (unsigned hit = 1; unreached < 2 && hit <= options.hits_max; hit++) {
        static struct run run;
        run_once(&run, point, hit);
        unreached = run.killed ? 0 : unreached + 1;
        result->runs++;
        result->kills += run.killed;
        result->second_kills += run.killed_again;
        result->failures += run.violations > 0;
        add_sums(&result->sums, &run.sums);
        if (run.violations > 0) {
            (void)printf("FAILED: %zu violations, see %s\n", run.violations, run.journal);
            (void)fflush(stdout);
        }
        if (result->failures == FAILURES_MAX) {
            return;
        }
    }
}

static void work(void) {
    unsigned next;
    while ((next = atomic_fetch_add(&board->next, 1)) < POINT_COUNT) {
        if (options.only < 0 || (int)order[next] == options.only) {
            sweep(order[next]);
        }
    }
}

/* -------------------------------------------------------------------- table */

static bool is_swept(unsigned point) {
    return options.only < 0 || (int)point == options.only;
}

static int report(double seconds) {
    struct sweep total = {0};
    unsigned unreached = 0;
    (void)printf("%-14s %-14s %6s %6s %6s %9s\n", "failpoint", "", "kills", "again", "runs",
                 "failures");
    for (unsigned point = 0; point < POINT_COUNT; point++) {
        const struct sweep *one = &board->sweeps[point];
        if (!is_swept(point)) {
            continue;
        }
        (void)printf("%-14s %-14s %6u %6u %6u %9u%s\n", failpoint_kind_name(kind_of(point)),
                     failpoint_place_name(place_of(point)), one->kills, one->second_kills,
                     one->runs, one->failures, one->kills == 0 ? "  NEVER REACHED" : "");
        unreached += one->kills == 0;
        total.runs += one->runs;
        total.kills += one->kills;
        total.second_kills += one->second_kills;
        total.failures += one->failures;
        add_sums(&total.sums, &one->sums);
    }
    const struct audit_sums *sums = &total.sums;
    const bool all_outcomes = sums->completed > 0 && sums->held > 0 && sums->unknown > 0 &&
                              sums->declined > 0 && sums->unreserved > 0 && sums->lost_race > 0;
    (void)printf(
        "sagas audited: %u completed; %u wanted a held slot, %u lost a race for one, %u an "
        "unknown one; %u payments declined, %u reservations failed%s\n",
        sums->completed, sums->held, sums->lost_race, sums->unknown, sums->declined,
        sums->unreserved, all_outcomes ? "" : "  NOT ALL OUTCOMES");
    (void)printf("%u kills at %d failpoints, %u more after them, in %u runs of %.0f s together: %u "
                 "failures\n",
                 total.kills, options.only < 0 ? POINT_COUNT : 1, total.second_kills, total.runs,
                 seconds, total.failures);
    return total.failures == 0 && unreached == 0 && all_outcomes ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --------------------------------------------------------------------- main */

static int point_of(const char *text) {
    char kind[32], place[32];
    if (sscanf(text, "%31[a-z]:%31[a-z_]", kind, place) == 2 && failpoint_kind_number(kind) != 0 &&
        failpoint_place_number(place) != 0) {
        return (int)((failpoint_kind_number(kind) - 1) * SAGA_FAILPOINT_PLACE_COUNT +
                     failpoint_place_number(place) - 1);
    }
    (void)fprintf(stderr, "kill_test: there is no failpoint '%s'\n", text);
    exit(2);
}

static void parse(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--workers") == 0 && more) {
            options.workers = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--hits-max") == 0 && more) {
            options.hits_max = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--point") == 0 && more) {
            options.only = point_of(argv[++i]);
        } else if (strcmp(argv[i], "--keep") == 0) {
            options.keep = true;
        } else {
            options.program = argv[i];
        }
    }
    if (options.program == NULL || options.workers == 0 || options.workers > WORKERS_MAX) {
        (void)fprintf(stderr, "usage: kill_test PROGRAM [--workers N] [--point KIND:PLACE] "
                              "[--hits-max N] [--keep]\n");
        exit(2);
    }
}

static void run_workers(void) {
    pid_t workers[WORKERS_MAX];
    for (unsigned i = 0; i < options.workers; i++) {
        workers[i] = fork();
        if (workers[i] == 0) {
            work();
            exit(EXIT_SUCCESS);
        }
    }
    for (unsigned i = 0; i < options.workers; i++) {
        int status;
        if (workers[i] < 0 || waitpid(workers[i], &status, 0) != workers[i] || status != 0) {
            (void)fprintf(stderr, "kill_test: a worker failed\n");
            exit(EXIT_FAILURE);
        }
    }
}

int main(int argc, char **argv) {
    const char *parent = getenv("TMPDIR");
    struct timespec begin, end;
    char template_dir[300];
    parse(argc, argv);
    /* So that some die between the slices of a checkpoint, and most recover from one. */
    (void)setenv("SAGAD_CHECKPOINT_RECORDS", "100", 0);
    (void)snprintf(root, sizeof root, "%s/saga-kill-XXXXXX", parent != NULL ? parent : "/tmp");
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || mkdtemp(root) == NULL) {
        (void)fprintf(stderr, "kill_test: %s: %s\n", root, strerror(errno));
        return EXIT_FAILURE;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    (void)snprintf(template_dir, sizeof template_dir, "%s/template", root);
    load_make_template(&template_load, options.program, template_dir);
    run_workers();
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    const int status = report((double)(end.tv_sec - begin.tv_sec));
    if (status == EXIT_SUCCESS && !options.keep) {
        load_remove(template_dir);
        (void)rmdir(root);
    }
    return status;
}
