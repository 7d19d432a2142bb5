#include "scratch.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_in(struct scratch *scratch, const char *parent) {
    int length = snprintf(scratch->path, sizeof scratch->path, "%s/saga-test-XXXXXX", parent);
    ck_assert_int_lt(length, (int)sizeof scratch->path);
    ck_assert_ptr_nonnull(mkdtemp(scratch->path));
    ck_assert_int_eq(chmod(scratch->path, 0750), 0);
}

void scratch_open(struct scratch *scratch) {
    const char *parent = getenv("TMPDIR");
    open_in(scratch, parent != NULL ? parent : "/tmp");
}

void scratch_open_in_memory(struct scratch *scratch) {
    if (access("/dev/shm", W_OK | X_OK) == 0) {
        open_in(scratch, "/dev/shm");
    } else {
        scratch_open(scratch);
    }
}

void scratch_close(struct scratch *scratch) {
    directory_remove(scratch->path);
}

const char *scratch_file(const struct scratch *scratch, const char *name) {
    static char buffers[4][2 * SCRATCH_PATH_MAX];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", scratch->path, name);
    return buffer;
}

uint8_t *file_read(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    struct stat status;
    ck_assert_int_eq(fstat(fd, &status), 0);
    *size = (size_t)status.st_size;
    uint8_t *bytes = malloc(*size + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(read(fd, bytes, *size), (ssize_t)*size);
    ck_assert_int_eq(close(fd), 0);
    bytes[*size] = '\0'; /* so that a text can be searched */
    return bytes;
}

void file_write(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

void file_copy(const char *from, const char *to) {
    size_t size;
    uint8_t *bytes = file_read(from, &size);
    file_write(to, bytes, size);
    free(bytes);
}

void directory_copy(const char *from, const char *to) {
    DIR *directory = opendir(from);
    ck_assert_msg(directory != NULL, "%s: %s", from, strerror(errno));
    ck_assert_msg(mkdir(to, 0750) == 0 || errno == EEXIST, "%s: %s", to, strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char source[1024], target[1024];
        (void)snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        (void)snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        file_copy(source, target);
    }
    (void)closedir(directory);
}

void directory_remove(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char file[1024];
        (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (unlink(file) != 0) {
            directory_remove(file);
        }
    }
    (void)closedir(directory);
    ck_assert_int_eq(rmdir(path), 0);
}

pid_t child_start(int (*body)(void *argument), void *argument) {
    (void)fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(body(argument));
    }
    return child;
}

int child_wait(pid_t child) {
    int status;
    pid_t ended;
    do {
        ended = waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    ck_assert_int_eq(ended, child);
    return status;
}

int child_run(int (*body)(void *argument), void *argument) {
    int status = child_wait(child_start(body, argument));
    ck_assert_msg(WIFEXITED(status), "the child was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}
