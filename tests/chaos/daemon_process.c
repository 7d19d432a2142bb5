#include "daemon_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLES_MAX 256
#define READY_MS      60000
#define STOP_MS       10000

extern char **environ;

static void need(bool success, const char *what) {
    if (!success) {
        (void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* A socket that nobody else can have, by a name that the kernel chooses. */
static int open_notify(char *variable, size_t size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof address;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &length) == 0,
         "a notify socket");
    (void)snprintf(variable, size, "NOTIFY_SOCKET=@%.*s",
                   (int)(length - offsetof(struct sockaddr_un, sun_path) - 1),
                   address.sun_path + 1);
    return fd;
}

static void add_variables(const char **all, const char *const *variables, const char *notify) {
    size_t count = 0;
    for (char **variable = environ; *variable != NULL; variable++) {
        need(count < VARIABLES_MAX, "fewer environment variables");
        all[count++] = *variable;
    }
    for (; variables != NULL && *variables != NULL; variables++) {
        need(count < VARIABLES_MAX, "fewer environment variables");
        all[count++] = *variables;
    }
    all[count++] = notify;
    all[count] = NULL;
}

/* In the child. It does not outlive the test, however that ends. */
static void become(const char *const *words, const char *const *variables, const char *journal,
                   pid_t parent) {
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int errors = open(journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (nothing >= 0 && errors >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        getppid() == parent && dup2(nothing, 0) == 0 && dup2(nothing, 1) == 1 &&
        dup2(errors, 2) == 2) {
        (void)execve(words[0], (char *const *)(uintptr_t)words,
                     (char *const *)(uintptr_t)variables);
    }
    (void)dprintf(2, "%s cannot be started: %s\n", words[0], strerror(errno));
    _exit(127);
}

void daemon_start(struct daemon_process *process, const char *const *words,
                  const char *const *variables, const char *journal) {
    const char *all[VARIABLES_MAX + 2];
    char notify[160];
    const pid_t parent = getpid();
    process->notify_fd = open_notify(notify, sizeof notify);
    add_variables(all, variables, notify);
    process->pid = fork();
    need(process->pid >= 0, "fork");
    if (process->pid == 0) {
        become(words, all, journal, parent);
    }
    process->pid_fd = pidfd_open(process->pid, 0);
    need(process->pid_fd >= 0, "pidfd_open");
}

static void collect(struct daemon_process *process) {
    need(waitpid(process->pid, &process->status, 0) == process->pid, "waitpid");
    (void)close(process->pid_fd);
    (void)close(process->notify_fd);
    process->pid = 0;
}

/* True if there is a message, and it says READY=1. */
static bool said_ready(struct daemon_process *process) {
    char text[64];
    const ssize_t size = recv(process->notify_fd, text, sizeof text - 1, 0);
    if (size < 0) {
        return false;
    }
    text[size] = '\0';
    return strcmp(text, "READY=1") == 0;
}

bool daemon_await_ready(struct daemon_process *process) {
    for (;;) {
        struct pollfd fds[] = {{.fd = process->notify_fd, .events = POLLIN},
                               {.fd = process->pid_fd, .events = POLLIN}};
        const int ready = poll(fds, 2, READY_MS);
        need(ready >= 0 || errno == EINTR, "poll");
        if (ready > 0 && fds[0].revents != 0 && said_ready(process)) {
            return true;
        }
        if (ready == 0) {
            daemon_kill(process);
            return false;
        }
        if (ready > 0 && fds[1].revents != 0) {
            collect(process);
            return false;
        }
    }
}

bool daemon_await_end(struct daemon_process *process, int timeout_ms) {
    struct pollfd fd = {.fd = process->pid_fd, .events = POLLIN};
    if (process->pid == 0) {
        return true;
    }
    const int ready = poll(&fd, 1, timeout_ms);
    need(ready >= 0, "poll");
    if (ready > 0) {
        collect(process);
    }
    return ready > 0;
}

void daemon_signal(struct daemon_process *process, int number) {
    if (process->pid != 0) {
        need(kill(process->pid, number) == 0, "kill");
    }
}

int daemon_stop(struct daemon_process *process) {
    daemon_signal(process, SIGTERM);
    if (!daemon_await_end(process, STOP_MS)) {
        daemon_kill(process);
    }
    return process->status;
}

void daemon_kill(struct daemon_process *process) {
    daemon_signal(process, SIGKILL);
    while (!daemon_await_end(process, -1)) {
    }
}
