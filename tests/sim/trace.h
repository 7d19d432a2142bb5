/*
 * The trace: one line for each decision, and a hash over all of it.
 *
 * Lines are written only where they are wanted; the hash is always taken, and
 * equal seeds must give equal hashes.
 *
 * Threads: one.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void sim_trace_begin(bool wanted);

/* True if lines are wanted: what is dear to print is asked first. */
bool sim_trace_wanted(void);

__attribute__((format(printf, 1, 2))) void sim_trace(const char *format, ...);

void sim_trace_hash(const void *bytes, size_t size);
void sim_trace_hash_number(uint64_t number);
uint64_t sim_trace_sum(void);

/* An invariant does not hold: prints its name and the story, and ends the
 * process with SIM_VIOLATED. */
#define SIM_VIOLATED 3
__attribute__((noreturn, format(printf, 2, 3))) void sim_violation(const char *name,
                                                                   const char *format, ...);

/* What has to be told of the failure beyond stderr: the seed's runner reads it. */
struct sim_failure {
    char name[32];
    char story[512];
};
extern struct sim_failure *sim_failure; /* shared with the parent process */

#endif
