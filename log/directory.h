/*
 * The data directory: whether it can be trusted with a log, who owns it, and
 * how a log comes into being in it.
 *
 * Hides locks, permissions, and the order of fsync and rename by which a crash
 * at any moment leaves either no log or a whole one.
 *
 * Threads: one.
 */
#ifndef SAGA_DIRECTORY_H
#define SAGA_DIRECTORY_H

#include "error.h"

#include <stdbool.h>

#define SAGA_DIRECTORY_LOG "log"     /* the log's directory in it */
#define SAGA_DIRECTORY_NEW "log.tmp" /* a log that is being created */
/* A data directory of its own, for a log that is being restored or imported. */
#define SAGA_DIRECTORY_RESTORE "log.restore"
#define SAGA_DIRECTORY_LOCK    "sagad.lock" /* locked by the daemon that owns it; holds its pid */
#define SAGA_DATA_FILE         "data.mdb"
#define SAGA_LOCK_FILE         "lock.mdb"

struct saga_directory {
    const char *path; /* the caller's, valid as long as this */
    int fd;
    int lock_fd; /* -1: opened without ownership */
};

/* Opens `path`; `own` also takes it for this process. Errors: NOT_FOUND, OWNED,
 * FAILED. */
SAGA_CHECKED enum saga_error saga_directory_open(struct saga_directory *directory, const char *path,
                                                 bool own, struct saga_fault *fault);
/* Gives ownership up. */
void saga_directory_close(struct saga_directory *directory);

/* Opens the log's directory in it. Errors: NOT_FOUND (the fault is left
 * alone), FAILED. */
SAGA_CHECKED enum saga_error saga_directory_open_log(const struct saga_directory *directory,
                                                     int *fd, struct saga_fault *fault);

/* Makes an empty SAGA_DIRECTORY_NEW and opens it; one that an earlier attempt
 * left is removed first. Errors: LOG_REFUSED (a restore was begun here and not finished: an empty
 * log would stand in the place of that one), FAILED. */
SAGA_CHECKED enum saga_error saga_directory_begin_log(const struct saga_directory *directory,
                                                      int *fd, struct saga_fault *fault);

/* Turns SAGA_DIRECTORY_NEW, whole by now, into the log. When it returns, the
 * log is there to stay. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_directory_commit_log(const struct saga_directory *directory,
                                                       int fd, struct saga_fault *fault);

/* Makes a data directory, where there is none; it is there to stay when it returns. Errors:
 * FAILED. */
SAGA_CHECKED enum saga_error saga_directory_make(const char *path, struct saga_fault *fault);

/* Makes an empty SAGA_DIRECTORY_RESTORE in a directory that this process owns, and opens it as a
 * data directory, for saga_directory_begin_log() and commit_log(); one that an earlier attempt left
 * is removed first. `path`, PATH_MAX bytes, gets its path. Errors: CONFLICT (there is something in
 * the directory already), FAILED. */
SAGA_CHECKED enum saga_error saga_directory_begin_restore(const struct saga_directory *directory,
                                                          struct saga_directory *stage, char *path,
                                                          struct saga_fault *fault);

/* The log in it, whole and durable by now, becomes the directory's. When it returns, it is there to
 * stay. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_directory_commit_restore(const struct saga_directory *directory,
                                                           const struct saga_directory *stage,
                                                           struct saga_fault *fault);

/* Removes it instead, as far as that can be. */
void saga_directory_abort_restore(const struct saga_directory *directory);

/* How somebody who only reads shares the log. */
struct saga_sharing {
    bool owned;    /* a daemon owns it */
    bool unlocked; /* lock.mdb cannot be used, and need not be: there is no daemon */
};

/* Finds that out for the log's directory `log_fd`. Errors: FAILED (a daemon
 * owns the log, and lock.mdb cannot be used). */
SAGA_CHECKED enum saga_error saga_directory_sharing(const struct saga_directory *directory,
                                                    int log_fd, struct saga_sharing *sharing,
                                                    struct saga_fault *fault);

#endif
