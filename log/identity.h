/*
 * The file log.id: which log this is, made once, before its first record.
 *
 * Hides the file's text. It stands beside data.mdb and not in it, because LMDB
 * opens an empty data.mdb as a new, empty log: with log.id there, that is a
 * loss, and is refused.
 *
 * Three lines, nothing else; "format" is the disk format of the day (record.h):
 *
 *    sagad-log format 1
 *    id 0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10
 *    created 2026-01-01T12:00:00Z
 *
 * Threads: no state.
 */
#ifndef SAGA_IDENTITY_H
#define SAGA_IDENTITY_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SAGA_IDENTITY_FILE      "log.id"
#define SAGA_IDENTITY_BYTES_MAX 256 /* of such a file */

struct saga_identity {
    uint8_t bytes[16];
    char text[37];    /* the same, as text */
    char created[21]; /* RFC 3339, UTC */
};

/* Makes a new one: a random UUID, and now. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_identity_make(struct saga_identity *identity,
                                                struct saga_fault *fault);

/* One that was made before, of its texts. False: they are none. */
SAGA_CHECKED bool saga_identity_parse(struct saga_identity *identity, const char *text,
                                      const char *created);

/* Writes log.id, which must not exist, into the directory; whoever creates the
 * log syncs it (directory.h). Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_identity_write(const struct saga_identity *identity,
                                                 int directory_fd, struct saga_fault *fault);

/* Reads log.id; `path` is the log's directory, for the fault. Errors:
 * LOG_REFUSED (missing, not such a file, newer format), FAILED. */
SAGA_CHECKED enum saga_error saga_identity_read(struct saga_identity *identity, int directory_fd,
                                                const char *path, struct saga_fault *fault);

/* The bytes of log.id, as they are; how many (of a longer file: `room`). -1: errno. */
SAGA_CHECKED ssize_t saga_identity_copy(int directory_fd, char *text, size_t room);

#endif
