#include "cell.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_FAILED      1
#define STATUS_LOG_REFUSED 7

/* More than any log in order needs. The sagas of a large one are in memory at once; the room for
 * them is asked for before it is known how many there are. */
#define MEMORY_BYTES (UINT64_C(64) << 30)
#define TIME_S_MIN   60
/* A second for each so many bytes of the log: some hundred times what it takes. */
#define BYTES_A_SECOND (1 << 20)

/* ------------------------------------------------------------------ the child */

/* `grace`: so much later it is not only told but ended. */
static void limit(int resource, uint64_t most, uint64_t grace) {
    struct rlimit rlimit;
    if (getrlimit((__rlimit_resource_t)resource, &rlimit) == 0) {
        rlimit.rlim_cur = rlimit.rlim_cur < most ? rlimit.rlim_cur : most;
        rlimit.rlim_max = rlimit.rlim_max < most + grace ? rlimit.rlim_max : most + grace;
        (void)setrlimit((__rlimit_resource_t)resource, &rlimit);
    }
}

/* What the process has of memory that only it writes, which is what the limit counts: the sixth
 * number of statm, in pages. 0: it cannot be known. */
static uint64_t memory_now(void) {
    char text[256] = "";
    char *rest = text;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    const bool read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    for (int i = 0; i < 6 && read; i++) {
        pages = strtoul(rest, &rest, 10);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t time_s(const struct saga_cell *cell) {
    char path[PATH_MAX];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/log/data.mdb", cell->data_dir);
    return TIME_S_MIN + (stat(path, &status) == 0 && status.st_size > 0
                             ? (uint64_t)status.st_size / BYTES_A_SECOND
                             : 0);
}

static void restrain(const struct saga_cell *cell, pid_t parent) {
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT};
    const struct sigaction falling = {.sa_handler = SIG_DFL};
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(STATUS_FAILED); /* it was gone before it could be watched */
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        (void)sigaction(faults[i], &falling, NULL);
    }
    limit(RLIMIT_CORE, 0, 0); /* payloads are nobody's business */
    limit(RLIMIT_DATA, memory_now() + MEMORY_BYTES, 0);
    if (!cell->endless) {
        limit(RLIMIT_CPU, time_s(cell), TIME_S_MIN);
    }
}

/* ----------------------------------------------------------------- the parent */

/* By a signal that somebody sends to end a program: it ends this one, too. */
static bool was_ended(int number) {
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT ||
           number == SIGPIPE;
}

static int tell_fall(const struct saga_cell *cell, int number) {
    if (number == SIGKILL) {
        (void)fprintf(
            stderr,
            "%s: it was killed while it read %s: by somebody, or by the system, which has "
            "no memory left\n",
            cell->program, cell->data_dir);
        return STATUS_FAILED;
    }
    if (number == SIGXCPU) {
        (void)fprintf(stderr,
                      "%s: reading %s/log/data.mdb took more time than any log of its size needs: "
                      "it is damaged, or %s has a defect. Restore data.mdb from a backup; nothing "
                      "was changed.\n",
                      cell->program, cell->data_dir, cell->program);
        return STATUS_LOG_REFUSED;
    }
    (void)fprintf(stderr,
                  "%s: reading %s/log/data.mdb ended in a fault (%s): it was cut short or damaged "
                  "while it was read, or %s has a defect. Restore data.mdb from a backup; nothing "
                  "was changed.\n",
                  cell->program, cell->data_dir, strsignal(number), cell->program);
    return STATUS_LOG_REFUSED;
}

static int await(const struct saga_cell *cell, pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return STATUS_FAILED;
        }
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    const int number = WTERMSIG(status);
    if (was_ended(number)) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    return tell_fall(cell, number);
}

int saga_cell_run(const struct saga_cell *cell, int (*work)(void *context), void *context) {
    const pid_t parent = getpid();
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        (void)fprintf(stderr, "%s: cannot start a process to read with: %s\n", cell->program,
                      strerror(errno));
        return STATUS_FAILED;
    }
    if (child == 0) {
        restrain(cell, parent);
        exit(work(context));
    }
    return await(cell, child);
}
