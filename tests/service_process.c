#include "service_process.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void service_process_start(struct service_process *process, const char *const *words) {
    char path[512];
    int ends[2];
    *process = (struct service_process){0};
    (void)snprintf(path, sizeof path, "%s/%s", SAGA_BIN_DIR, words[0]);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    process->pid = fork();
    ck_assert_int_ge(process->pid, 0);
    if (process->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execv(path, (char *const *)(uintptr_t)words);
        _exit(127);
    }
    (void)close(ends[1]);
    process->output = ends[0];
}

/* Reads more of what it says. False: it says nothing more, for it has ended. */
static bool read_more(struct service_process *process, int64_t until_ms) {
    struct pollfd fd = {.fd = process->output, .events = POLLIN};
    const int64_t left_ms = until_ms - now_ms();
    ck_assert_msg(left_ms > 0 && poll(&fd, 1, (int)left_ms) == 1, "no end of it: %s",
                  process->said);
    const size_t room = sizeof process->said - 1 - process->said_size;
    ck_assert_uint_gt(room, 0);
    const ssize_t got = read(process->output, process->said + process->said_size, room);
    ck_assert_int_ge((int)got, 0);
    process->said_size += (size_t)got;
    process->said[process->said_size] = '\0';
    return got > 0;
}

void service_process_await(struct service_process *process, const char *part) {
    const int64_t until_ms = now_ms() + PATIENCE_MS;
    const char *at;
    while ((at = strstr(process->said + process->looked, part)) == NULL) {
        ck_assert_msg(read_more(process, until_ms), "'%s' was not said: %s", part, process->said);
    }
    process->looked = (size_t)(at - process->said) + strlen(part);
}

int service_process_end(struct service_process *process, int number, int64_t within_ms) {
    const int64_t until_ms = now_ms() + within_ms;
    int status;
    if (number != 0) {
        ck_assert_int_eq(kill(process->pid, number), 0);
    }
    while (read_more(process, until_ms)) {
    }
    ck_assert_int_eq(waitpid(process->pid, &status, 0), process->pid);
    (void)close(process->output);
    return status;
}

size_t service_process_count(const struct service_process *process, const char *part) {
    size_t count = 0;
    for (const char *at = process->said; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}
