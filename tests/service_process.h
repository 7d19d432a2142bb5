/*
 * A program of ours that runs beside the test, and what it says on standard error.
 *
 * Failures end the test (Check). A process that is still there when the test ends
 * is killed with it.
 *
 * Threads: one.
 */
#ifndef SERVICE_PROCESS_H
#define SERVICE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service_process {
    pid_t pid;
    int output;      /* where its standard error is read */
    char said[8192]; /* all of it, as far as it was read */
    size_t said_size;
    size_t looked; /* service_process_await() has seen so much of it */
};

/* Starts SAGA_BIN_DIR/`words[0]` with the words, of which the last is NULL. */
void service_process_start(struct service_process *process, const char *const *words);

/* Waits until it says something with `part` in it, after what was awaited before. */
void service_process_await(struct service_process *process, const char *part);

/* Sends the signal (0: none), waits for the end, at most so long, and returns the wait
 * status. Everything that it has said is in `said`. */
int service_process_end(struct service_process *process, int number, int64_t within_ms);

/* How often `part` is in what it has said. */
size_t service_process_count(const struct service_process *process, const char *part);

#endif
