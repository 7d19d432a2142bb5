/* The process that reads for another: what it may, and how its end is told. */
#include "cell.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "scratch.h"

static const struct saga_cell cell = {.program = "prog", .data_dir = "/nowhere"};
static const struct saga_cell endless = {
    .program = "prog", .data_dir = "/nowhere", .endless = true};
static struct scratch scratch;
static char *said;

static void set_up(void) {
    scratch_open(&scratch);
}

static void tear_down(void) {
    free(said);
    scratch_close(&scratch);
}

/* ------------------------------------------------------------------------ works */

static int give_five(void *context) {
    (void)context;
    return 5;
}

static int fall_by(void *context) {
    (void)raise(*(const int *)context);
    return 0;
}

/* 0: all is as it should be. */
static int look_at_limits(void *context) {
    struct rlimit core;
    struct rlimit cpu;
    const bool timed = context == NULL;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        return 10;
    }
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) {
        return 11;
    }
    /* Told by SIGXCPU: at the hard one it is killed without a word. */
    if (getrlimit(RLIMIT_CPU, &cpu) != 0 || (cpu.rlim_cur == RLIM_INFINITY) == timed ||
        (timed && cpu.rlim_max <= cpu.rlim_cur)) {
        return 12;
    }
    return 0;
}

/* 0: so much memory was there. */
static int take_memory(void *context) {
    const size_t bytes = *(const size_t *)context;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? 1 : 0;
}

/* Reckons without end. */
static int spin(void *context) {
    volatile uint64_t count = 0;
    const struct rlimit second = {.rlim_cur = 1, .rlim_max = 30};
    (void)context;
    (void)setrlimit(RLIMIT_CPU, &second); /* not a minute */
    for (;;) {
        count++;
    }
    return 0;
}

static int wait_for_ever(void *context) {
    (void)!write(*(const int *)context, "!", 1); /* it is there */
    for (;;) {
        (void)pause();
    }
    return 0;
}

/* ----------------------------------------------------------------------- running */

/* What is run, in a process whose standard error is a file. */
struct run {
    const struct saga_cell *cell;
    int (*work)(void *context);
    void *context;
    const char *path;
};

static int body(void *argument) {
    static const int ends_by[] = {SIGTERM, SIGINT, SIGHUP};
    const struct run *run = argument;
    const int file = open(run->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)dup2(file, STDERR_FILENO);
    for (size_t i = 0; i < 3; i++) { /* Check has handlers of its own, for the whole group */
        (void)signal(ends_by[i], SIG_DFL);
    }
    return saga_cell_run(run->cell, run->work, run->context);
}

/* Its wait status. */
static int run_in(const struct saga_cell *which, int (*work)(void *context), void *context) {
    char path[SCRATCH_PATH_MAX + 16];
    size_t size;
    (void)snprintf(path, sizeof path, "%s", scratch_file(&scratch, "said"));
    struct run run = {.cell = which, .work = work, .context = context, .path = path};
    const int status = child_wait(child_start(body, &run));
    free(said);
    said = (char *)file_read(path, &size);
    said[size] = '\0';
    return status;
}

START_TEST(what_the_work_returns_is_returned) {
    const int status = run_in(&cell, give_five, NULL);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    ck_assert_str_eq(said, "");
}
END_TEST

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};

START_TEST(a_fall_is_told_as_damage) {
    int fault = faults[_i];
    const int status = run_in(&cell, fall_by, &fault);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    ck_assert_ptr_nonnull(strstr(said, "prog: reading /nowhere/log/data.mdb ended in a fault ("));
    ck_assert_ptr_nonnull(strstr(said, "Restore data.mdb from a backup; nothing was changed.\n"));
}
END_TEST

START_TEST(time_without_end_is_told_as_damage) {
    const int status = run_in(&cell, spin, NULL);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    ck_assert_ptr_nonnull(strstr(said, "took more time than any log of its size needs"));
}
END_TEST

START_TEST(a_kill_is_no_damage) {
    int number = SIGKILL;
    const int status = run_in(&cell, fall_by, &number);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    ck_assert_ptr_nonnull(strstr(said, "prog: it was killed while it read /nowhere"));
}
END_TEST

static const int ends[] = {SIGTERM, SIGINT, SIGHUP};

START_TEST(who_is_ended_ends_by_the_same_signal) {
    int number = ends[_i];
    const int status = run_in(&cell, fall_by, &number);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == number);
    ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(it_can_gain_nothing_and_has_limits) {
    int status = run_in(&cell, look_at_limits, NULL);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    status = run_in(&endless, look_at_limits, &scratch);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    size_t bytes = (size_t)1 << 30;
    status = run_in(&cell, take_memory, &bytes);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    bytes = (size_t)80 << 30;
    status = run_in(&cell, take_memory, &bytes);
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

START_TEST(it_ends_with_its_parent) {
    int pipes[2];
    char byte;
    ck_assert_int_eq(pipe(pipes), 0);
    struct run run = {.cell = &endless,
                      .work = wait_for_ever,
                      .context = &pipes[1],
                      .path = scratch_file(&scratch, "said")};
    const pid_t parent = child_start(body, &run);
    (void)close(pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    ck_assert_int_eq(kill(parent, SIGKILL), 0);
    (void)child_wait(parent);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 0); /* nobody has the other end any more */
    (void)close(pipes[0]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cell");
    TCase *tests = tcase_create("cell");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_the_work_returns_is_returned);
    tcase_add_loop_test(tests, a_fall_is_told_as_damage, 0, 5);
    tcase_add_test(tests, time_without_end_is_told_as_damage);
    tcase_add_test(tests, a_kill_is_no_damage);
    tcase_add_loop_test(tests, who_is_ended_ends_by_the_same_signal, 0, 3);
    tcase_add_test(tests, it_can_gain_nothing_and_has_limits);
    tcase_add_test(tests, it_ends_with_its_parent);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
