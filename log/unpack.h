/*
 * Unpacking: a backup becomes a log.
 *
 * Hides that it is unpacked beside its place, read back as a log from end to end, and gets its
 * place by one rename: killed at any moment, there is no log or a whole one. What was left of an
 * attempt is removed by the next; a daemon does not start on it.
 *
 * Threads: one.
 */
#ifndef SAGA_UNPACK_H
#define SAGA_UNPACK_H

#include "archive.h"

struct saga_unpack_options {
    const char *data_dir; /* empty, or not there yet: then it is made */
    int fd;               /* the backup is read from here, to its end */
    const char *name;     /* for faults */
};

struct saga_unpack {
    struct saga_archive_about about;
    uint64_t records; /* that were read back */
};

/* Errors: LOG_REFUSED (no backup, a damaged one, or one of a damaged log), CONFLICT (data_dir is
 * not empty), OWNED (a daemon or another restore is using it), FULL (there is no room for it),
 * NOT_FOUND (data_dir's parent), FAILED. After an error there is no log in data_dir, unless the
 * fault says so. */
SAGA_CHECKED enum saga_error saga_unpack_run(const struct saga_unpack_options *options,
                                             struct saga_unpack *unpack, struct saga_fault *fault);

#endif
