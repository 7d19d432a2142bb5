/*
 * A daemon as a process: started, awaited, killed.
 *
 * Hides how one learns that it is ready (it says so on its notify socket) or dead,
 * without looking again and again. Ends only what it started.
 *
 * Threads: one.
 */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon_process {
    pid_t pid; /* 0: there is none */
    int pid_fd;
    int notify_fd;
    int status; /* its wait status, once it has ended */
};

/* Starts `words` (the program's path first, NULL last) with `variables` ("NAME=VALUE", NULL last;
 * NULL: none) added to the environment. Standard output goes nowhere, standard error is appended to
 * `journal`. Exits with a message if it cannot be started. */
void daemon_start(struct daemon_process *process, const char *const *words,
                  const char *const *variables, const char *journal);

/* Waits until it is ready (true) or has ended (false; the status is there). Neither within a
 * minute: it is killed, which counts as ended. */
bool daemon_await_ready(struct daemon_process *process);

/* Waits for its end, for `timeout_ms` at most; returns true if it has ended. */
bool daemon_await_end(struct daemon_process *process, int timeout_ms);

/* Sends a signal to it, unless it has ended. */
void daemon_signal(struct daemon_process *process, int number);

/* Ends it with SIGTERM, after ten seconds with SIGKILL; returns its wait status. */
int daemon_stop(struct daemon_process *process);

/* Ends it with SIGKILL, and waits. */
void daemon_kill(struct daemon_process *process);

#endif
