/*
 * A disk that fails once: linked into sagad-disk, between the daemon and its libraries and the
 * kernel.
 *
 *   SAGAD_DISK=CALL:HIT:ERRNO:HOW   the HIT-th CALL (from 1) on the log's files and directories
 * fails with this errno. CALL: write, sync, read. HOW: fails (nothing is done), lies (it is done,
 * and fails)
 *
 * What is read through LMDB's map is no call, and cannot fail here.
 *
 * Threads: any.
 */
/* Else read() has a body already. */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { WRITE = 1, SYNC, READ };

static struct {
    enum call call; /* 0: none fails */
    unsigned hit;
    int number;
    bool lies;
    atomic_uint count;
} plan;

__attribute__((constructor)) static void arm(void) {
    const char *text = getenv("SAGAD_DISK");
    char call[8];
    char how[8];
    if (text == NULL) {
        return;
    }
    if (sscanf(text, "%7[a-z]:%u:%d:%7[a-z]", call, &plan.hit, &plan.number, how) != 4) {
        (void)fprintf(stderr, "sagad-disk: SAGAD_DISK is CALL:HIT:ERRNO:HOW\n");
        exit(2);
    }
    plan.lies = strcmp(how, "lies") == 0;
    plan.call = strcmp(call, "write") == 0 ? WRITE : strcmp(call, "sync") == 0 ? SYNC : READ;
}

/* In the log's directory, or that itself. */
static bool is_log(int fd) {
    char name[40];
    char path[1024];
    const int number = errno;
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(name, path, sizeof path - 1);
    errno = number;
    if (size <= 0) {
        return false;
    }
    path[size] = '\0';
    return strstr(path, "/log/") != NULL || strstr(path, "/log.tmp") != NULL ||
           (size > 4 && strcmp(path + size - 4, "/log") == 0);
}

static bool is_hit(enum call call, int fd) {
    return plan.call == call && is_log(fd) && atomic_fetch_add(&plan.count, 1) + 1 == plan.hit;
}

#define CALL(kind, fd, what)                                                                       \
    do {                                                                                           \
        const bool hit = is_hit(kind, fd);                                                         \
        const long result = hit && !plan.lies ? -1 : (what);                                       \
        if (hit) {                                                                                 \
            errno = plan.number;                                                                   \
            return -1;                                                                             \
        }                                                                                          \
        return (ssize_t)result;                                                                    \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t size) {
    CALL(WRITE, fd, syscall(SYS_write, fd, bytes, size));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    CALL(WRITE, fd, syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    CALL(WRITE, fd, syscall(SYS_writev, fd, parts, count));
}

ssize_t read(int fd, void *bytes, size_t size) {
    CALL(READ, fd, syscall(SYS_read, fd, bytes, size));
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    CALL(READ, fd, syscall(SYS_pread64, fd, bytes, size, offset));
}

static ssize_t sync_by(long call, int fd) {
    CALL(SYNC, fd, syscall(call, fd));
}

int fsync(int fd) {
    return (int)sync_by(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return (int)sync_by(SYS_fdatasync, fd);
}
