/*
 * A directory for one test, and children to do in it what this process should
 * not do: LMDB environments are opened after a fork, never twice in a process.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGA_SCRATCH_H
#define SAGA_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCRATCH_PATH_MAX 512

struct scratch {
    char path[SCRATCH_PATH_MAX]; /* an empty directory of mode 0750 */
};

void scratch_open(struct scratch *scratch);
/* Where writing costs nothing, if there is such a place: for tests that write
 * much, and to which no disk matters. */
void scratch_open_in_memory(struct scratch *scratch);
/* Removes it with all that is in it. */
void scratch_close(struct scratch *scratch);

/* "path/name", in one of a few static buffers. */
const char *scratch_file(const struct scratch *scratch, const char *name);

/* Whole files. read gives malloc'd bytes. */
uint8_t *file_read(const char *path, size_t *size);
void file_write(const char *path, const void *bytes, size_t size);
bool file_exists(const char *path);
void file_copy(const char *from, const char *to);
/* A directory of files, no directories in it. */
void directory_copy(const char *from, const char *to);
void directory_remove(const char *path);

/* Runs body(argument) in a child; what it returns is the exit status. */
pid_t child_start(int (*body)(void *argument), void *argument);
/* Waits for it; its wait status. */
int child_wait(pid_t child);
/* The exit status of a child that is run and awaited; it must exit. */
int child_run(int (*body)(void *argument), void *argument);

#endif
