#include "backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PART ".part"

static enum saga_error failed(const struct saga_backup_file *file, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s. No backup was taken.", file->path,
                          strerror(errno));
}

/* ------------------------------------------------------------------ opening */

static enum saga_error open_stdout(struct saga_backup_file *file, struct saga_fault *fault) {
    file->path = "standard output";
    file->fd = STDOUT_FILENO;
    if (isatty(STDOUT_FILENO) != 0) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "a backup is nothing for a terminal: name a file, or redirect "
                              "standard output.");
    }
    return SAGA_OK;
}

/* The directory, and the name in it. */
static enum saga_error open_directory(struct saga_backup_file *file, struct saga_fault *fault) {
    char directory[PATH_MAX];
    const char *slash = strrchr(file->path, '/');
    const char *name = slash != NULL ? slash + 1 : file->path;
    const size_t before = (size_t)(name - file->path);
    const int length = snprintf(directory, sizeof directory, "%.*s.", (int)before, file->path);
    const int name_length = snprintf(file->name, sizeof file->name, "%s", name);
    const int part_length = snprintf(file->part, sizeof file->part, "%s" PART, name);
    if (*name == '\0') {
        errno = EISDIR;
        return failed(file, fault);
    }
    if (length >= PATH_MAX || name_length > NAME_MAX || part_length > NAME_MAX) {
        errno = ENAMETOOLONG;
        return failed(file, fault);
    }
    file->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->directory_fd >= 0 ? SAGA_OK : failed(file, fault);
}

static enum saga_error is_there(const struct saga_backup_file *file, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_CONFLICT,
                          "%.300s is there already, and is not overwritten: take another name, or "
                          "remove it.",
                          file->path);
}

static enum saga_error create(struct saga_backup_file *file, struct saga_fault *fault) {
    if (faccessat(file->directory_fd, file->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return is_there(file, fault);
    }
    file->fd = openat(file->directory_fd, file->part,
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0 && errno == EEXIST) {
        return saga_fault_set(
            fault, SAGA_ERROR_CONFLICT,
            "%.300s" PART " is there: another backup is writing it, or was killed. Remove it if "
            "none is.",
            file->path);
    }
    return file->fd >= 0 ? SAGA_OK : failed(file, fault);
}

enum saga_error saga_backup_file_open(struct saga_backup_file *file, const char *path,
                                      struct saga_fault *fault) {
    *file = (struct saga_backup_file){.path = path, .fd = -1, .directory_fd = -1};
    if (path == NULL || strcmp(path, "-") == 0) {
        return open_stdout(file, fault);
    }
    enum saga_error error = open_directory(file, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = create(file, fault);
    if (error != SAGA_OK) {
        (void)close(file->directory_fd);
    }
    return error;
}

enum saga_error saga_backup_file_reserve(const struct saga_backup_file *file, const char *log_path,
                                         uint64_t bytes, struct saga_fault *fault) {
    struct statvfs system;
    struct stat own;
    struct stat logs;
    if (fstatvfs(file->fd, &system) != 0 || fstat(file->fd, &own) != 0 || !S_ISREG(own.st_mode)) {
        return SAGA_OK; /* a pipe, or a file system that cannot say: the writes will */
    }
    const uint64_t room = (uint64_t)system.f_bavail * system.f_frsize;
    const bool shared = stat(log_path, &logs) == 0 && logs.st_dev == own.st_dev;
    if (bytes <= (shared ? room / 2 : room)) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_FULL,
                          "%.300s will have %" PRIu64 " bytes, and its file system has room for "
                          "%" PRIu64 "%s. No backup was taken.",
                          file->path, bytes, room,
                          shared ? ", half of which is kept for the log itself" : "");
}

/* ------------------------------------------------------------------- ending */

/* Where a file system has no way to rename without overwriting, a link does that, too. */
static int take_name(const struct saga_backup_file *file) {
    if (renameat2(file->directory_fd, file->part, file->directory_fd, file->name,
                  RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    if (linkat(file->directory_fd, file->part, file->directory_fd, file->name, 0) != 0) {
        return -1;
    }
    return unlinkat(file->directory_fd, file->part, 0);
}

enum saga_error saga_backup_file_commit(struct saga_backup_file *file, struct saga_fault *fault) {
    if (file->directory_fd < 0) {
        return SAGA_OK;
    }
    enum saga_error error = SAGA_OK;
    if (take_name(file) != 0) {
        error = errno == EEXIST ? is_there(file, fault) : failed(file, fault);
        saga_backup_file_abort(file);
        return error;
    }
    if (fsync(file->directory_fd) != 0) {
        error = failed(file, fault);
        (void)unlinkat(file->directory_fd, file->name, 0);
    }
    if (close(file->fd) != 0 && error == SAGA_OK) {
        error = failed(file, fault);
        (void)unlinkat(file->directory_fd, file->name, 0);
    }
    (void)close(file->directory_fd);
    return error;
}

void saga_backup_file_abort(struct saga_backup_file *file) {
    if (file->directory_fd < 0) {
        return;
    }
    (void)unlinkat(file->directory_fd, file->part, 0);
    (void)close(file->fd);
    (void)close(file->directory_fd);
}
