#include "backup.h"

#include "directory.h"
#include "growth.h"
#include "identity.h"
#include "inspection.h"
#include "reader.h"
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Read and written at once. */
#define PORTION_BYTES ((size_t)256 << 10)

struct taking {
    struct saga_log_reader *reader;
    struct saga_snapshot snapshot;
    struct saga_sink sink;
    struct saga_archive_writer writer;
    uint8_t *portion; /* owned */
    char identity[SAGA_IDENTITY_BYTES_MAX];
    size_t identity_bytes;
    struct saga_growth growth;
    struct saga_fault *fault;
};

/* ------------------------------------------------------------------ checking */

static enum saga_error pace(void *sink, uint64_t bytes, struct saga_fault *fault) {
    return saga_sink_wait(sink, bytes, fault);
}

static enum saga_error inspect(struct saga_log *log, struct saga_sink *sink,
                               struct saga_backup *backup, struct saga_fault *fault) {
    struct saga_inspection inspection = {.paused = pace, .context = sink};
    const enum saga_error error = saga_inspection_run(&inspection, log, fault);
    backup->records = inspection.records;
    return error;
}

/* ------------------------------------------------------------------- writing */

static enum saga_error to_sink(void *sink, const void *bytes, size_t size,
                               struct saga_fault *fault) {
    return saga_sink_write(sink, bytes, size, fault);
}

static enum saga_error write_pages(struct taking *taking) {
    const struct saga_snapshot *snapshot = &taking->snapshot;
    const size_t page_bytes = saga_snapshot_page_bytes(snapshot);
    const uint64_t pages = saga_snapshot_pages(snapshot);
    enum saga_error error =
        saga_archive_begin(&taking->writer, SAGA_ARCHIVE_PAGES, pages * page_bytes, taking->fault);
    for (uint64_t page = 0; page < pages && error == SAGA_OK;) {
        const uint64_t left = pages - page;
        const size_t most = PORTION_BYTES / page_bytes;
        const size_t count = left < most ? (size_t)left : most;
        error = saga_snapshot_read(snapshot, page, count, taking->portion, taking->fault);
        if (error == SAGA_OK) {
            error = saga_archive_write(&taking->writer, taking->portion, count * page_bytes,
                                       taking->fault);
        }
        if (error == SAGA_OK) {
            error = saga_growth_check(&taking->growth, taking->fault);
        }
        page += count;
    }
    return error == SAGA_OK ? saga_snapshot_verify(snapshot, taking->fault) : error;
}

static enum saga_error write_archive(struct taking *taking,
                                     const struct saga_archive_about *about) {
    enum saga_error error = saga_archive_begin(&taking->writer, SAGA_ARCHIVE_IDENTITY,
                                               taking->identity_bytes, taking->fault);
    if (error == SAGA_OK) {
        error = saga_archive_write(&taking->writer, taking->identity, taking->identity_bytes,
                                   taking->fault);
    }
    if (error == SAGA_OK) {
        error = write_pages(taking);
    }
    if (error == SAGA_OK) {
        error = saga_archive_finish(&taking->writer, about, taking->fault);
    }
    return error == SAGA_OK ? saga_sink_sync(&taking->sink, taking->fault) : error;
}

/* ------------------------------------------------------------------ opening */

static enum saga_error read_identity(struct taking *taking) {
    const char *path = saga_store_path(taking->reader->store);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const ssize_t size =
        fd >= 0 ? saga_identity_copy(fd, taking->identity, sizeof taking->identity) : -1;
    const int number = errno;
    if (fd >= 0) {
        (void)close(fd); /* it was only read */
    }
    if (size <= 0) {
        return saga_fault_set(taking->fault, SAGA_ERROR_FAILED, "%.300s/" SAGA_IDENTITY_FILE ": %s",
                              path, size == 0 ? "it is empty" : strerror(number));
    }
    taking->identity_bytes = (size_t)size;
    return SAGA_OK;
}

/* The view is the reader's, and stays as the snapshot has renewed it. */
static enum saga_error open_snapshot(struct taking *taking) {
    taking->portion = malloc(PORTION_BYTES);
    if (taking->portion == NULL) {
        return saga_fault_set(taking->fault, SAGA_ERROR_FAILED, "no memory for a backup.");
    }
    enum saga_error error = read_identity(taking);
    if (error == SAGA_OK) {
        error = saga_snapshot_open(&taking->snapshot, taking->reader->store, taking->reader->view,
                                   taking->fault);
    }
    return error;
}

static enum saga_error write_snapshot(struct taking *taking, struct saga_backup *backup) {
    const struct saga_archive_sink sink = {.context = &taking->sink, .write = to_sink};
    enum saga_error error =
        saga_archive_writer_open(&taking->writer, &sink, backup->about.created_s, taking->fault);
    if (error == SAGA_OK) {
        error = write_archive(taking, &backup->about);
    }
    saga_archive_writer_close(&taking->writer);
    return error;
}

enum saga_error
saga_backup_take(struct saga_log *log, const struct saga_sink_options *options,
                 enum saga_error (*room)(void *context, uint64_t bytes, struct saga_fault *fault),
                 void *context, struct saga_backup *backup, struct saga_fault *fault) {
    struct taking taking = {.fault = fault};
    *backup = (struct saga_backup){0};
    saga_sink_init(&taking.sink, options);
    enum saga_error error = inspect(log, &taking.sink, backup, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_open(log, &taking.reader, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    error = open_snapshot(&taking);
    if (error == SAGA_OK) {
        backup->about.created_s = time(NULL);
        backup->about.last_lsn = saga_store_view_meta(taking.reader->view)->last_lsn;
        memcpy(backup->about.identity, saga_log_identity(log), sizeof backup->about.identity);
        backup->bytes = saga_archive_bytes(taking.identity_bytes,
                                           saga_snapshot_pages(&taking.snapshot) *
                                               saga_snapshot_page_bytes(&taking.snapshot));
        error = saga_growth_begin(&taking.growth, taking.reader,
                                  "a backup reads them: it was given up. Raise --rate, or take it "
                                  "when less is written.",
                                  fault);
        if (error == SAGA_OK && room != NULL) {
            error = room(context, backup->bytes, fault);
        }
        if (error == SAGA_OK) {
            error = write_snapshot(&taking, backup);
        }
        saga_snapshot_close(&taking.snapshot);
    }
    free(taking.portion);
    saga_log_reader_close(taking.reader);
    return error;
}
