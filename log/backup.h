/*
 * A backup of a log that a daemon may be writing.
 *
 * Hides the order in which it is taken: everything is read and checked first, in short views, so
 * that a damaged log is never taken for a backup; then one view is held while its pages are written
 * as an archive (archive.h). No lock of the writer is ever taken.
 *
 * While that view is held, the daemon cannot reuse pages: its file grows by what it writes. So the
 * backup is given up where it would take more than half of the room that is left before the daemon
 * would refuse starts.
 *
 * Threads: one.
 */
#ifndef SAGA_BACKUP_H
#define SAGA_BACKUP_H

#include "archive.h"
#include "log.h"
#include "sink.h"

#define SAGA_BACKUP_BYTES_PER_SECOND ((uint64_t)32 << 20)
#define SAGA_BACKUP_PATIENCE_MS      60000

struct saga_backup {
    struct saga_archive_about about;
    uint64_t records; /* that were checked; the backup may have some more */
    uint64_t bytes;   /* of the archive */
};

/* Writes a backup of the log, which is open for reading, to where `options` say, and syncs it.
 * `room` (may be NULL) is asked once it is known how many bytes it will have, before the first is
 * written. After an error, what was written is worth nothing. Errors: LOG_REFUSED (the log is
 * damaged), FAILED, TIMEOUT (nobody reads), FULL (no room for it, or the log grows too much),
 * CONFLICT (a daemon was started that does not see it). */
SAGA_CHECKED enum saga_error
saga_backup_take(struct saga_log *log, const struct saga_sink_options *options,
                 enum saga_error (*room)(void *context, uint64_t bytes, struct saga_fault *fault),
                 void *context, struct saga_backup *backup, struct saga_fault *fault);

#endif
