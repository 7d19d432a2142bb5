/*
 * The file that a backup is written to.
 *
 * Hides that it is written beside its place and gets its name when it is whole and on disk: a name
 * that is there is a whole backup. Nothing that was there is ever overwritten.
 *
 * Threads: one.
 */
#ifndef SAGA_BACKUP_FILE_H
#define SAGA_BACKUP_FILE_H

#include "error.h"

#include <limits.h>
#include <stdint.h>

struct saga_backup_file {
    const char *path; /* the caller's */
    int fd;           /* of what is beside it, mode 0600; or standard output */
    int directory_fd; /* -1: standard output */
    char name[NAME_MAX + 1];
    char part[NAME_MAX + 1]; /* its name until it is whole */
};

/* NULL or "-": standard output, which must not be a terminal. Errors: CONFLICT (there is such a
 * file, or what a backup has left that was killed), FAILED. */
SAGA_CHECKED enum saga_error saga_backup_file_open(struct saga_backup_file *file, const char *path,
                                                   struct saga_fault *fault);

/* Whether there is room for so many bytes: all of them, and not more than half of the room of the
 * file system that the log in `log_path` is on. Errors: FULL. */
SAGA_CHECKED enum saga_error saga_backup_file_reserve(const struct saga_backup_file *file,
                                                      const char *log_path, uint64_t bytes,
                                                      struct saga_fault *fault);

/* Gives what was written and synced its name, and closes it. Errors: CONFLICT (somebody has taken
 * the name meanwhile), FAILED: it is gone. */
SAGA_CHECKED enum saga_error saga_backup_file_commit(struct saga_backup_file *file,
                                                     struct saga_fault *fault);
/* Removes it instead, and closes it. */
void saga_backup_file_abort(struct saga_backup_file *file);

#endif
