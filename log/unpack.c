#include "unpack.h"

#include "directory.h"
#include "identity.h"
#include "inspection.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Read and written at once. */
#define PORTION_BYTES ((size_t)256 << 10)

struct unpacking {
    const struct saga_unpack_options *options;
    struct saga_directory directory;
    struct saga_directory stage;
    char stage_path[PATH_MAX];
    struct saga_archive_reader reader;
    uint8_t *portion; /* owned */
    struct saga_unpack *unpack;
    struct saga_fault *fault;
};

/* ------------------------------------------------------------------- reading */

/* As much as there is up to `size`; -1: errno. */
static ssize_t read_up_to(int fd, uint8_t *bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(fd, bytes + done, size - done);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

static enum saga_error source_read(void *context, void *bytes, size_t size,
                                   struct saga_fault *fault) {
    const struct saga_unpack_options *options = context;
    const ssize_t got = read_up_to(options->fd, bytes, size);
    if (got < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s. Nothing was restored.",
                              options->name, strerror(errno));
    }
    if ((size_t)got < size) {
        return saga_fault_set(
            fault, SAGA_ERROR_LOG_REFUSED,
            "%.300s cannot be restored: it is truncated, its end is missing. Take "
            "another backup; nothing was restored.",
            options->name);
    }
    return SAGA_OK;
}

static enum saga_error source_end(void *context, struct saga_fault *fault) {
    const struct saga_unpack_options *options = context;
    uint8_t more;
    const ssize_t got = read_up_to(options->fd, &more, 1);
    if (got < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s. Nothing was restored.",
                              options->name, strerror(errno));
    }
    if (got > 0) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s cannot be restored: it goes on after its end. Take another "
                              "backup; nothing was restored.",
                              options->name);
    }
    return SAGA_OK;
}

/* ------------------------------------------------------------------- writing */

static enum saga_error failed(const struct unpacking *unpacking, const char *what) {
    return saga_fault_set(unpacking->fault, SAGA_ERROR_FAILED,
                          "%.300s: %s: %s. Nothing was restored.", unpacking->options->data_dir,
                          what, strerror(errno));
}

static enum saga_error write_all(const struct unpacking *unpacking, int fd, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(fd, unpacking->portion + done, size - done);
        if (written < 0 && errno != EINTR) {
            return failed(unpacking, "writing");
        }
        done += written > 0 ? (size_t)written : 0;
    }
    return SAGA_OK;
}

static enum saga_error copy_all(struct unpacking *unpacking, int fd, uint64_t size) {
    enum saga_error error = SAGA_OK;
    while (size > 0 && error == SAGA_OK) {
        const size_t portion = size < PORTION_BYTES ? (size_t)size : PORTION_BYTES;
        error =
            saga_archive_read(&unpacking->reader, unpacking->portion, portion, unpacking->fault);
        if (error == SAGA_OK) {
            error = write_all(unpacking, fd, portion);
        }
        size -= portion;
    }
    return error;
}

static enum saga_error check_room(const struct unpacking *unpacking, uint64_t size) {
    struct statvfs system;
    if (fstatvfs(unpacking->stage.fd, &system) != 0 ||
        size <= (uint64_t)system.f_bavail * system.f_frsize) {
        return SAGA_OK; /* else the write says so */
    }
    return saga_fault_set(unpacking->fault, SAGA_ERROR_FULL,
                          "%.300s has room for %" PRIu64 " bytes, and the log takes %" PRIu64
                          ". Nothing was restored.",
                          unpacking->options->data_dir, (uint64_t)system.f_bavail * system.f_frsize,
                          size);
}

/* Makes one file of the log; who commits it syncs it. */
static enum saga_error unpack_file(struct unpacking *unpacking, int log_fd,
                                   enum saga_archive_file file, const char *name) {
    uint64_t size = 0;
    enum saga_error error = saga_archive_next(&unpacking->reader, file, &size, unpacking->fault);
    if (error == SAGA_OK) {
        error = check_room(unpacking, size);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const int fd = openat(log_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return failed(unpacking, name);
    }
    error = copy_all(unpacking, fd, size);
    if (close(fd) != 0 && error == SAGA_OK) {
        error = failed(unpacking, name);
    }
    return error;
}

/* LMDB fills it when somebody opens the log. */
static enum saga_error make_lock_file(const struct unpacking *unpacking, int log_fd) {
    const int fd =
        openat(log_fd, SAGA_LOCK_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    return fd >= 0 && close(fd) == 0 ? SAGA_OK : failed(unpacking, SAGA_LOCK_FILE);
}

static enum saga_error unpack_files(struct unpacking *unpacking, int log_fd) {
    enum saga_error error =
        unpack_file(unpacking, log_fd, SAGA_ARCHIVE_IDENTITY, SAGA_IDENTITY_FILE);
    if (error == SAGA_OK) {
        error = unpack_file(unpacking, log_fd, SAGA_ARCHIVE_PAGES, SAGA_DATA_FILE);
    }
    if (error == SAGA_OK) {
        error =
            saga_archive_verify(&unpacking->reader, &unpacking->unpack->about, unpacking->fault);
    }
    return error == SAGA_OK ? make_lock_file(unpacking, log_fd) : error;
}

static enum saga_error unpack_archive(struct unpacking *unpacking, int log_fd) {
    const struct saga_archive_source source = {
        .context = (void *)(uintptr_t)unpacking->options,
        .name = unpacking->options->name,
        .read = source_read,
        .end = source_end,
    };
    enum saga_error error = saga_archive_reader_open(&unpacking->reader, &source, unpacking->fault);
    unpacking->portion = error == SAGA_OK ? malloc(PORTION_BYTES) : NULL;
    if (error == SAGA_OK && unpacking->portion == NULL) {
        error = saga_fault_set(unpacking->fault, SAGA_ERROR_FAILED, "no memory for a restore.");
    }
    if (error == SAGA_OK) {
        error = unpack_files(unpacking, log_fd);
    }
    free(unpacking->portion);
    saga_archive_reader_close(&unpacking->reader);
    return error;
}

/* ------------------------------------------------------------------ checking */

static enum saga_error check_content(const struct unpacking *unpacking, struct saga_log *log) {
    const struct saga_archive_about *about = &unpacking->unpack->about;
    struct saga_inspection inspection = {0};
    const enum saga_error error = saga_inspection_run(&inspection, log, unpacking->fault);
    if (error != SAGA_OK) {
        return error;
    }
    unpacking->unpack->records = inspection.records;
    if (strcmp(saga_log_identity(log), about->identity) == 0 &&
        saga_log_durable(log) == about->last_lsn) {
        return SAGA_OK;
    }
    return saga_fault_set(unpacking->fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s cannot be restored: it says that it is log %s up to record "
                          "%" PRIu64 ", and holds log %s up to record %" PRIu64
                          ". Take another backup; nothing was restored.",
                          unpacking->options->name, about->identity, about->last_lsn,
                          saga_log_identity(log), saga_log_durable(log));
}

/* The log, as whoever opens it next will see it. */
static enum saga_error check_log(const struct unpacking *unpacking) {
    const struct saga_log_options options = {.data_dir = unpacking->stage_path, .read_only = true};
    struct saga_log *log;
    enum saga_error error = saga_log_open(&log, &options, unpacking->fault);
    if (error == SAGA_OK) {
        error = check_content(unpacking, log);
        saga_log_close(log);
    }
    return error;
}

/* ------------------------------------------------------------------- placing */

static enum saga_error make_log(struct unpacking *unpacking) {
    int log_fd = -1;
    enum saga_error error = saga_directory_begin_log(&unpacking->stage, &log_fd, unpacking->fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = unpack_archive(unpacking, log_fd);
    if (error == SAGA_OK) {
        error = saga_directory_commit_log(&unpacking->stage, log_fd, unpacking->fault);
    }
    (void)close(log_fd);
    return error;
}

static enum saga_error restore(struct unpacking *unpacking) {
    enum saga_error error = saga_directory_begin_restore(&unpacking->directory, &unpacking->stage,
                                                         unpacking->stage_path, unpacking->fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = make_log(unpacking);
    if (error == SAGA_OK) {
        error = check_log(unpacking);
    }
    if (error == SAGA_OK) {
        error = saga_directory_commit_restore(&unpacking->directory, &unpacking->stage,
                                              unpacking->fault);
    } else {
        saga_directory_abort_restore(&unpacking->directory);
    }
    saga_directory_close(&unpacking->stage);
    return error;
}

enum saga_error saga_unpack_run(const struct saga_unpack_options *options,
                                struct saga_unpack *unpack, struct saga_fault *fault) {
    struct unpacking unpacking = {.options = options, .unpack = unpack, .fault = fault};
    *unpack = (struct saga_unpack){0};
    enum saga_error error = saga_directory_make(options->data_dir, fault);
    if (error == SAGA_OK) {
        error = saga_directory_open(&unpacking.directory, options->data_dir, true, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    error = restore(&unpacking);
    saga_directory_close(&unpacking.directory);
    return error;
}
