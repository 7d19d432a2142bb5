#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum saga_error cannot_read(const char *path, int number, struct saga_fault *fault) {
    return saga_fault_set(fault, number == ENOENT ? SAGA_ERROR_NOT_FOUND : SAGA_ERROR_FAILED,
                          "%.300s cannot be read: %s", path, strerror(number));
}

/* A file that grows while it is read is read up to the limit. */
static enum saga_error read_all(int fd, const char *path, size_t bytes_max, char *text,
                                size_t *size, struct saga_fault *fault) {
    *size = 0;
    while (*size <= bytes_max) {
        const ssize_t got = read(fd, text + *size, bytes_max + 1 - *size);
        if (got == 0) {
            text[*size] = '\0';
            return SAGA_OK;
        }
        if (got < 0 && errno != EINTR) {
            return cannot_read(path, errno, fault);
        }
        *size += got > 0 ? (size_t)got : 0;
    }
    return saga_fault_set(fault, SAGA_ERROR_INVALID, "%.300s has more than %zu bytes", path,
                          bytes_max);
}

enum saga_error saga_file_read(const char *path, size_t bytes_max, char **text, size_t *size,
                               struct saga_fault *fault) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang it */
    if (fd < 0) {
        return cannot_read(path, errno, fault);
    }
    struct stat status;
    char *bytes = NULL;
    enum saga_error error;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        error = saga_fault_set(fault, SAGA_ERROR_INVALID, "%.300s is no file", path);
    } else if ((bytes = malloc(bytes_max + 2)) == NULL) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for %.300s", path);
    } else {
        error = read_all(fd, path, bytes_max, bytes, size, fault);
    }
    (void)close(fd); /* it was only read */
    if (error != SAGA_OK) {
        free(bytes);
        return error;
    }
    *text = bytes;
    return SAGA_OK;
}
