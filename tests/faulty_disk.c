#include "faulty_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ------------------------------------------------------------------- faults */

static struct {
    bool armed;
    enum disk_fault fault;
    unsigned at;
    unsigned calls;
    int number;
} plan;

void faulty_disk_arm(enum disk_fault fault, unsigned at, int number) {
    plan.armed = true;
    plan.fault = fault;
    plan.at = at;
    plan.calls = 0;
    plan.number = number;
}

unsigned faulty_disk_disarm(void) {
    plan.armed = false;
    return plan.calls;
}

static bool counts(int fd) {
    int number = errno;
    struct stat status;
    bool file = fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
    errno = number;
    return file;
}

/* What becomes of this call: 0: nothing special. */
static enum disk_fault turn(void) {
    if (!plan.armed || ++plan.calls != plan.at) {
        return 0;
    }
    if (plan.fault == DISK_KILLS) {
        (void)kill(getpid(), SIGKILL);
    }
    return plan.fault;
}

/* ------------------------------------------------------------------- memory */

static struct {
    bool on;
    struct disk_event *events;
    size_t count;
    size_t capacity;
} memory;

void faulty_disk_record(void) {
    for (size_t i = 0; i < memory.count; i++) {
        free(memory.events[i].bytes);
    }
    memory.count = 0;
    memory.on = true;
}

size_t faulty_disk_recorded(void) {
    return memory.count;
}

const struct disk_event *faulty_disk_events(size_t *count) {
    memory.on = false;
    *count = memory.count;
    return memory.events;
}

static struct disk_event *remember(enum disk_operation operation, int fd, const char *name) {
    if (memory.count == memory.capacity) {
        memory.capacity = memory.capacity == 0 ? 64 : memory.capacity * 2;
        memory.events = realloc(memory.events, memory.capacity * sizeof *memory.events);
        if (memory.events == NULL) {
            abort();
        }
    }
    struct stat status;
    if (fstat(fd, &status) != 0) {
        abort();
    }
    struct disk_event *event = &memory.events[memory.count++];
    *event = (struct disk_event){.operation = operation, .file = status.st_ino};
    (void)snprintf(event->name, sizeof event->name, "%s", name);
    return event;
}

static ino_t inode_in(int directory, const char *name) {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        abort();
    }
    return status.st_ino;
}

static void remember_creation(int directory, const char *name) {
    remember(DISK_CREATE, directory, name)->subject = inode_in(directory, name);
}

static void remember_rename(int from_directory, const char *from, int to_directory,
                            const char *to) {
    struct disk_event *event = remember(DISK_RENAME, to_directory, to);
    event->from = inode_in(from_directory, ".");
    (void)snprintf(event->from_name, sizeof event->from_name, "%s", from);
}

static void remember_write(int fd, uint64_t offset, const struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    struct disk_event *event = remember(DISK_WRITE, fd, "");
    event->offset = offset;
    event->synced = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    event->bytes = malloc(size + 1);
    if (event->bytes == NULL) {
        abort();
    }
    for (int i = 0; i < count; i++) {
        memcpy(event->bytes + event->size, parts[i].iov_base, parts[i].iov_len);
        event->size += parts[i].iov_len;
    }
}

/* Ends a call that `result` came of: with the lie, or with its memory. */
static long finish(long result, enum disk_fault fault) {
    if (fault == DISK_LIES) {
        errno = plan.number;
        return -1;
    }
    return result;
}

#define OR_FAIL(fault)                                                                             \
    do {                                                                                           \
        if ((fault) == DISK_FAILS) {                                                               \
            errno = plan.number;                                                                   \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

/* --------------------------------------------------------- the calls, writes */

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
    enum disk_fault fault = counts(fd) ? turn() : 0;
    OR_FAIL(fault);
    bool here = offset < 0;
    off_t at = here && memory.on ? lseek(fd, 0, SEEK_CUR) : offset;
    ssize_t result = here ? syscall(SYS_writev, fd, parts, count)
                          : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    if (result >= 0 && memory.on && counts(fd)) {
        remember_write(fd, (uint64_t)at, parts, count);
    }
    return finish(result, fault);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return write_parts(fd, &part, 1, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return write_parts(fd, &part, 1, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_parts(fd, parts, count, -1);
}

static int sync_by(long call, int fd) {
    enum disk_fault fault = counts(fd) ? turn() : 0;
    OR_FAIL(fault);
    long result = syscall(call, fd);
    if (result == 0 && memory.on && counts(fd)) {
        (void)remember(DISK_SYNC, fd, "");
    }
    return (int)finish(result, fault);
}

int fsync(int fd) {
    return sync_by(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return sync_by(SYS_fdatasync, fd);
}

/* ---------------------------------------------------------- the calls, names */

int ftruncate(int fd, off_t size) {
    enum disk_fault fault = counts(fd) ? turn() : 0;
    OR_FAIL(fault);
    long result = syscall(SYS_ftruncate, fd, size);
    if (result == 0 && memory.on) {
        (void)remember(DISK_CHANGE, fd, "");
    }
    return (int)finish(result, fault);
}

int fchmod(int fd, mode_t mode) {
    enum disk_fault fault = counts(fd) ? turn() : 0;
    OR_FAIL(fault);
    long result = syscall(SYS_fchmod, fd, mode);
    if (result == 0 && memory.on) {
        (void)remember(DISK_CHANGE, fd, "");
    }
    return (int)finish(result, fault);
}

int mkdirat(int directory, const char *name, mode_t mode) {
    enum disk_fault fault = turn();
    OR_FAIL(fault);
    long result = syscall(SYS_mkdirat, directory, name, mode);
    if (result == 0 && memory.on) {
        remember_creation(directory, name);
    }
    return (int)finish(result, fault);
}

int unlinkat(int directory, const char *name, int flags) {
    enum disk_fault fault = turn();
    OR_FAIL(fault);
    long result = syscall(SYS_unlinkat, directory, name, flags);
    if (result == 0 && memory.on) {
        (void)remember(DISK_REMOVE, directory, name);
    }
    return (int)finish(result, fault);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags) {
    enum disk_fault fault = turn();
    OR_FAIL(fault);
    long result = syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    if (result == 0 && memory.on) {
        remember_rename(from_directory, from, to_directory, to);
    }
    return (int)finish(result, fault);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, 0);
}

static int open_by(int directory, const char *name, int flags, mode_t mode) {
    if ((flags & O_CREAT) == 0) {
        return (int)syscall(SYS_openat, directory, name, flags, mode);
    }
    enum disk_fault fault = turn();
    OR_FAIL(fault);
    bool there = syscall(SYS_faccessat, directory, name, F_OK) == 0;
    long result = syscall(SYS_openat, directory, name, flags, mode);
    if (result >= 0 && !there && memory.on && directory != AT_FDCWD) {
        remember_creation(directory, name);
    } else if (result >= 0 && !there && memory.on) {
        /* By its path, as LMDB does: the directory is what stands before it. */
        char path[1024];
        (void)snprintf(path, sizeof path, "%s", name);
        char *slash = strrchr(path, '/');
        if (slash != NULL) {
            *slash = '\0';
            int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
            remember_creation(fd, slash + 1);
            (void)close(fd);
        }
    }
    if (result >= 0 && fault == DISK_LIES) {
        (void)close((int)result);
    }
    return (int)finish(result, fault);
}

int openat(int directory, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_by(directory, name, flags, mode);
}

int open(const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_by(AT_FDCWD, name, flags, mode);
}

/* --------------------------------------------------------- the file system */

unsigned long faulty_disk_system_type;
uint64_t faulty_disk_bytes, faulty_disk_bytes_free;

int fstatfs(int fd, struct statfs *status) {
    int result = (int)syscall(SYS_fstatfs, fd, status);
    if (result == 0 && faulty_disk_system_type != 0) {
        memcpy(&status->f_type, &faulty_disk_system_type, sizeof status->f_type);
    }
    return result;
}

int fstatvfs(int fd, struct statvfs *status) {
    struct statfs system;
    if (syscall(SYS_fstatfs, fd, &system) != 0) {
        return -1;
    }
    memset(status, 0, sizeof *status);
    status->f_bsize = status->f_frsize = (unsigned long)system.f_bsize;
    status->f_blocks = (fsblkcnt_t)system.f_blocks;
    status->f_bfree = (fsblkcnt_t)system.f_bfree;
    status->f_bavail = (fsblkcnt_t)system.f_bavail;
    if (faulty_disk_bytes != 0) {
        status->f_frsize = 1;
        status->f_blocks = faulty_disk_bytes;
        status->f_bfree = status->f_bavail = faulty_disk_bytes_free;
    }
    return 0;
}
