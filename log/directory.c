#include "directory.h"

#include "identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *const log_files[] = {SAGA_IDENTITY_FILE, SAGA_DATA_FILE, SAGA_LOCK_FILE};
#define LOG_FILE_COUNT (sizeof log_files / sizeof log_files[0])

/* Where a mapped file and a lock are not the same for everybody. */
static bool is_remote(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system) != 0) {
        return false; /* what cannot even be asked will not map either */
    }
    switch ((unsigned long)system.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case FUSE_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

static enum saga_error check_place(const struct saga_directory *directory,
                                   struct saga_fault *fault) {
    struct stat status;
    if (fstat(directory->fd, &status) != 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s", directory->path,
                              strerror(errno));
    }
    if ((status.st_mode & S_IWOTH) != 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%.300s can be written by everybody, who could then replace the log: "
                              "take a directory of its own, or chmod o-w it.",
                              directory->path);
    }
    if (is_remote(directory->fd)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%.300s is on a network or user-space file system, where LMDB's map "
                              "and locks cannot be relied on: take a directory on a local disk.",
                              directory->path);
    }
    return SAGA_OK;
}

static long owner_of(int lock_fd) {
    char text[24] = "";
    ssize_t length = pread(lock_fd, text, sizeof text - 1, 0);
    return length > 0 ? strtol(text, NULL, 10) : 0;
}

static enum saga_error refuse_owned(const struct saga_directory *directory, int lock_fd,
                                    struct saga_fault *fault) {
    char owner[40] = "another process";
    long pid = owner_of(lock_fd);
    if (pid > 0) {
        (void)snprintf(owner, sizeof owner, "process %ld", pid);
    }
    return saga_fault_set(fault, SAGA_ERROR_OWNED,
                          "%.300s belongs to a running sagad, %s: stop that one first, or use "
                          "another data directory.",
                          directory->path, owner);
}

/* A lock of the whole file that, unlike flock's, can be asked about without
 * being taken (is_owned()). */
static int mirror_lock(int lock_fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(lock_fd, F_OFD_SETLK, &lock);
}

static bool is_owned(int lock_fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(lock_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int write_pid(int lock_fd) {
    char text[24];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(lock_fd, 0) != 0) {
        return -1;
    }
    return pwrite(lock_fd, text, (size_t)length, 0) == length ? 0 : -1;
}

/* The kernel gives the locks up when this process ends, however it ends. The
 * file stays: to remove it would let two daemons lock two files of one name. */
static enum saga_error take(struct saga_directory *directory, struct saga_fault *fault) {
    int fd =
        openat(directory->fd, SAGA_DIRECTORY_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%.300s/" SAGA_DIRECTORY_LOCK
                              ": %s. The daemon needs to write in its data directory: give it to "
                              "the daemon's user.",
                              directory->path, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum saga_error error =
            errno == EWOULDBLOCK
                ? refuse_owned(directory, fd, fault)
                : saga_fault_set(fault, SAGA_ERROR_FAILED,
                                 "%.300s/" SAGA_DIRECTORY_LOCK " cannot be locked: %s",
                                 directory->path, strerror(errno));
        (void)close(fd);
        return error;
    }
    if (mirror_lock(fd) != 0 || write_pid(fd) != 0) {
        enum saga_error error =
            saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s/" SAGA_DIRECTORY_LOCK ": %s",
                           directory->path, strerror(errno));
        (void)close(fd);
        return error;
    }
    directory->lock_fd = fd;
    return SAGA_OK;
}

enum saga_error saga_directory_open(struct saga_directory *directory, const char *path, bool own,
                                    struct saga_fault *fault) {
    *directory = (struct saga_directory){path, -1, -1};
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd < 0 && errno == ENOENT) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "there is no directory %.300s: create it with mkdir -m 0750.", path);
    }
    if (directory->fd < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s", path, strerror(errno));
    }
    enum saga_error error = SAGA_OK;
    if (own) {
        error = check_place(directory, fault);
        if (error == SAGA_OK) {
            error = take(directory, fault);
        }
    }
    if (error != SAGA_OK) {
        saga_directory_close(directory);
    }
    return error;
}

void saga_directory_close(struct saga_directory *directory) {
    if (directory->lock_fd >= 0) {
        (void)close(directory->lock_fd);
        directory->lock_fd = -1;
    }
    if (directory->fd >= 0) {
        (void)close(directory->fd);
        directory->fd = -1;
    }
}

enum saga_error saga_directory_open_log(const struct saga_directory *directory, int *fd,
                                        struct saga_fault *fault) {
    *fd = openat(directory->fd, SAGA_DIRECTORY_LOG, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 && errno == ENOENT) {
        return SAGA_ERROR_NOT_FOUND;
    }
    if (*fd < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s/" SAGA_DIRECTORY_LOG ": %s",
                              directory->path, strerror(errno));
    }
    return SAGA_OK;
}

/* ---------------------------------------------------------------- creation */

static enum saga_error creation_failed(const struct saga_directory *directory, const char *what,
                                       struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED,
                          "no log could be created in %.300s: %s: %s. Nothing was accepted yet; "
                          "start again when this is mended.",
                          directory->path, what, strerror(errno));
}

/* What an attempt left that died before the log was whole: it never had a
 * record. Only the files of a log are removed, never anybody else's. */
static int remove_leftover(int directory_fd, const char *name) {
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    int result = 0;
    for (size_t i = 0; i < LOG_FILE_COUNT && result == 0; i++) {
        if (unlinkat(fd, log_files[i], 0) != 0 && errno != ENOENT) {
            result = -1;
        }
    }
    int number = errno;
    (void)close(fd);
    errno = number;
    return result == 0 ? unlinkat(directory_fd, name, AT_REMOVEDIR) : result;
}

static enum saga_error check_restored(const struct saga_directory *directory,
                                      struct saga_fault *fault) {
    if (faccessat(directory->fd, SAGA_DIRECTORY_RESTORE, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        return SAGA_OK;
    }
    return saga_fault_set(
        fault, SAGA_ERROR_LOG_REFUSED,
        "a restore into %.300s, or an import, was begun and not finished: there is "
        "no log yet. Run sagalog restore or import again, or remove " SAGA_DIRECTORY_RESTORE
        " in it to start with an empty log.",
        directory->path);
}

enum saga_error saga_directory_begin_log(const struct saga_directory *directory, int *fd,
                                         struct saga_fault *fault) {
    const enum saga_error error = check_restored(directory, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (remove_leftover(directory->fd, SAGA_DIRECTORY_NEW) != 0) {
        return creation_failed(directory, "removing " SAGA_DIRECTORY_NEW, fault);
    }
    if (mkdirat(directory->fd, SAGA_DIRECTORY_NEW, 0750) != 0) {
        return creation_failed(directory, "making " SAGA_DIRECTORY_NEW, fault);
    }
    *fd = openat(directory->fd, SAGA_DIRECTORY_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        return creation_failed(directory, "opening " SAGA_DIRECTORY_NEW, fault);
    }
    return SAGA_OK;
}

/* Inspectors of the daemon's group write lock.mdb, whatever the umask is. */
static int finish_file(int log_fd, const char *name) {
    int fd = openat(log_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -1;
    }
    int result = fchmod(fd, 0660) == 0 ? fsync(fd) : -1;
    int number = errno;
    (void)close(fd);
    errno = number;
    return result;
}

enum saga_error saga_directory_commit_log(const struct saga_directory *directory, int fd,
                                          struct saga_fault *fault) {
    for (size_t i = 0; i < LOG_FILE_COUNT; i++) {
        if (finish_file(fd, log_files[i]) != 0) {
            return creation_failed(directory, log_files[i], fault);
        }
    }
    if (fsync(fd) != 0) {
        return creation_failed(directory, "syncing " SAGA_DIRECTORY_NEW, fault);
    }
    if (renameat(directory->fd, SAGA_DIRECTORY_NEW, directory->fd, SAGA_DIRECTORY_LOG) != 0) {
        return creation_failed(directory, "renaming " SAGA_DIRECTORY_NEW, fault);
    }
    if (fsync(directory->fd) != 0) {
        return creation_failed(directory, "syncing the directory", fault);
    }
    return SAGA_OK;
}

/* ---------------------------------------------------------------- restoring */

static enum saga_error restore_failed(const struct saga_directory *directory, const char *what,
                                      struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED,
                          "no log was made in %.300s: %s: %s. Try again when this is mended.",
                          directory->path, what, strerror(errno));
}

static bool is_of_restore(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           strcmp(name, SAGA_DIRECTORY_LOCK) == 0 || strcmp(name, SAGA_DIRECTORY_RESTORE) == 0;
}

/* Nothing is in it but what an earlier attempt, or a daemon's lock, has left. */
static enum saga_error check_empty(const struct saga_directory *directory,
                                   struct saga_fault *fault) {
    const int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        return restore_failed(directory, "reading the directory", fault);
    }
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(list);
    } while (entry != NULL && is_of_restore(entry->d_name));
    enum saga_error error = SAGA_OK;
    if (entry != NULL) {
        error =
            saga_fault_set(fault, SAGA_ERROR_CONFLICT,
                           "%.300s is not empty: a log is restored or imported into a directory of "
                           "its own, beside nothing else. Nothing was changed.",
                           directory->path);
    } else if (errno != 0) {
        error = restore_failed(directory, "reading the directory", fault);
    }
    (void)closedir(list);
    return error;
}

/* 0: nothing of an earlier attempt is left. */
static int remove_stage(int directory_fd) {
    const int fd = openat(directory_fd, SAGA_DIRECTORY_RESTORE,
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    int result = unlinkat(fd, SAGA_DIRECTORY_LOCK, 0) == 0 || errno == ENOENT ? 0 : -1;
    if (result == 0) {
        result = remove_leftover(fd, SAGA_DIRECTORY_NEW);
    }
    if (result == 0) {
        result = remove_leftover(fd, SAGA_DIRECTORY_LOG);
    }
    const int number = errno;
    (void)close(fd);
    errno = number;
    return result == 0 ? unlinkat(directory_fd, SAGA_DIRECTORY_RESTORE, AT_REMOVEDIR) : result;
}

enum saga_error saga_directory_make(const char *path, struct saga_fault *fault) {
    const bool made = mkdir(path, 0750) == 0;
    if (!made && errno == EEXIST) {
        return SAGA_OK;
    }
    const int directory = made ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const int parent =
        directory >= 0 ? openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const bool synced = parent >= 0 && fsync(parent) == 0;
    const int number = errno;
    if (parent >= 0) {
        (void)close(parent);
    }
    if (directory >= 0) {
        (void)close(directory);
    }
    return synced ? SAGA_OK
                  : saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s the directory: %s.", path,
                                   made ? "syncing what is above" : "making", strerror(number));
}

enum saga_error saga_directory_begin_restore(const struct saga_directory *directory,
                                             struct saga_directory *stage, char *path,
                                             struct saga_fault *fault) {
    const enum saga_error error = check_empty(directory, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (remove_stage(directory->fd) != 0) {
        return restore_failed(directory, "removing " SAGA_DIRECTORY_RESTORE, fault);
    }
    const int length = snprintf(path, PATH_MAX, "%s/" SAGA_DIRECTORY_RESTORE, directory->path);
    if (length < 0 || length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return restore_failed(directory, "naming " SAGA_DIRECTORY_RESTORE, fault);
    }
    enum saga_error begun = SAGA_OK;
    if (mkdirat(directory->fd, SAGA_DIRECTORY_RESTORE, 0750) != 0) {
        begun = restore_failed(directory, "making " SAGA_DIRECTORY_RESTORE, fault);
    } else if (fsync(directory->fd) != 0) { /* a daemon that starts after a crash is to see it */
        begun = restore_failed(directory, "syncing the directory", fault);
    } else {
        begun = saga_directory_open(stage, path, false, fault);
    }
    if (begun != SAGA_OK) {
        saga_directory_abort_restore(directory);
    }
    return begun;
}

enum saga_error saga_directory_commit_restore(const struct saga_directory *directory,
                                              const struct saga_directory *stage,
                                              struct saga_fault *fault) {
    if (renameat(stage->fd, SAGA_DIRECTORY_LOG, directory->fd, SAGA_DIRECTORY_LOG) != 0) {
        const enum saga_error error =
            restore_failed(directory, "renaming " SAGA_DIRECTORY_RESTORE, fault);
        saga_directory_abort_restore(directory);
        return error;
    }
    if (fsync(directory->fd) != 0 || fsync(stage->fd) != 0) {
        return saga_fault_set(
            fault, SAGA_ERROR_FAILED,
            "%.300s: the log is in its place, but syncing the directory failed: "
            "%s. Whether it stays there is unknown: remove it, and try again when "
            "this is mended.",
            directory->path, strerror(errno));
    }
    saga_directory_abort_restore(directory); /* what is left of it is empty */
    return SAGA_OK;
}

void saga_directory_abort_restore(const struct saga_directory *directory) {
    (void)remove_stage(directory->fd);
    (void)fsync(directory->fd);
}

/* ----------------------------------------------------------------- sharing */

static bool daemon_owns(const struct saga_directory *directory) {
    int fd = openat(directory->fd, SAGA_DIRECTORY_LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    bool owned = is_owned(fd);
    (void)close(fd);
    return owned;
}

enum saga_error saga_directory_sharing(const struct saga_directory *directory, int log_fd,
                                       struct saga_sharing *sharing, struct saga_fault *fault) {
    bool usable = faccessat(log_fd, SAGA_LOCK_FILE, R_OK | W_OK, AT_EACCESS) == 0;
    int number = errno;
    *sharing = (struct saga_sharing){.owned = daemon_owns(directory), .unlocked = !usable};
    if (sharing->owned && !usable) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%.300s/" SAGA_DIRECTORY_LOG "/" SAGA_LOCK_FILE
                              ": %s. A daemon is running, and a reader that it cannot see could be "
                              "shown pages while they are overwritten: read the log as a user of "
                              "the daemon's group, or read a copy.",
                              directory->path, strerror(number));
    }
    return SAGA_OK;
}
