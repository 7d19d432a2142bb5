#include "sink.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A disk that is handed everything at once at the end makes the daemon's syncs wait for it. */
#define SYNC_BYTES ((uint64_t)8 << 20)
/* What was not written in time is not made up for, beyond this. */
#define LAG_NS ((int64_t)250000000)
/* As long as nobody is to end it, it looks again as often. */
#define LOOK_MS 200

#define SECOND_NS INT64_C(1000000000)

static int64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* it is there on every Linux */
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

void saga_sink_init(struct saga_sink *sink, const struct saga_sink_options *options) {
    struct stat status;
    *sink = (struct saga_sink){.options = *options, .due_ns = now_ns()};
    sink->file =
        fstat(options->fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

static enum saga_error failed(const struct saga_sink *sink, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s: %s. No backup was taken.",
                          sink->options.name, strerror(errno));
}

static bool is_to_end(const struct saga_sink *sink) {
    return sink->options.end != NULL && *sink->options.end != 0;
}

static enum saga_error interrupted(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "interrupted: no backup was taken.");
}

/* ---------------------------------------------------------------------- pace */

static int64_t cost_ns(uint64_t bytes, uint64_t bytes_per_second) {
    return (int64_t)((double)bytes / (double)bytes_per_second * (double)SECOND_NS);
}

enum saga_error saga_sink_wait(struct saga_sink *sink, uint64_t bytes, struct saga_fault *fault) {
    if (is_to_end(sink)) {
        return interrupted(fault);
    }
    if (sink->options.bytes_per_second == 0) {
        return SAGA_OK;
    }
    const int64_t now = now_ns();
    if (sink->due_ns < now - LAG_NS) {
        sink->due_ns = now - LAG_NS;
    }
    const struct timespec due = {.tv_sec = sink->due_ns / SECOND_NS,
                                 .tv_nsec = sink->due_ns % SECOND_NS};
    while (sink->due_ns > now &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) {
        if (is_to_end(sink)) {
            return interrupted(fault);
        }
    }
    sink->due_ns += cost_ns(bytes, sink->options.bytes_per_second);
    return SAGA_OK;
}

/* ------------------------------------------------------------------- writing */

/* Until a pipe takes something. */
static enum saga_error await_reader(const struct saga_sink *sink, struct saga_fault *fault) {
    const int64_t begin = now_ns();
    for (;;) {
        struct pollfd polled = {.fd = sink->options.fd, .events = POLLOUT};
        const int ready = poll(&polled, 1, LOOK_MS);
        if (is_to_end(sink)) {
            return interrupted(fault);
        }
        if (ready > 0) {
            return SAGA_OK; /* an error is the write's to tell */
        }
        if (ready < 0 && errno != EINTR) {
            return failed(sink, fault);
        }
        const int64_t waited_ms = (now_ns() - begin) / (SECOND_NS / 1000);
        if (waited_ms >= sink->options.patience_ms) {
            return saga_fault_set(fault, SAGA_ERROR_TIMEOUT,
                                  "nobody has read %.300s for %" PRId64
                                  " s, and meanwhile the log cannot reuse pages and grows: the "
                                  "backup was given up. Write to a file, and copy that.",
                                  sink->options.name, waited_ms / 1000);
        }
    }
}

/* A pipe that can be written takes so much without waiting. */
static size_t portion(const struct saga_sink *sink, size_t size) {
    return sink->file || size < PIPE_BUF ? size : PIPE_BUF;
}

static enum saga_error write_some(const struct saga_sink *sink, const uint8_t *bytes, size_t size,
                                  size_t *done, struct saga_fault *fault) {
    enum saga_error error = sink->file ? SAGA_OK : await_reader(sink, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const ssize_t written = write(sink->options.fd, bytes, portion(sink, size));
    if (written < 0 && errno != EINTR && errno != EAGAIN) {
        return failed(sink, fault);
    }
    *done += written > 0 ? (size_t)written : 0;
    return SAGA_OK;
}

enum saga_error saga_sink_write(struct saga_sink *sink, const void *bytes, size_t size,
                                struct saga_fault *fault) {
    enum saga_error error = saga_sink_wait(sink, size, fault);
    for (size_t done = 0; done < size && error == SAGA_OK;) {
        error = write_some(sink, (const uint8_t *)bytes + done, size - done, &done, fault);
    }
    sink->unsynced += size;
    if (error == SAGA_OK && sink->file && sink->unsynced >= SYNC_BYTES) {
        error = saga_sink_sync(sink, fault);
    }
    return error;
}

enum saga_error saga_sink_sync(struct saga_sink *sink, struct saga_fault *fault) {
    sink->unsynced = 0;
    if (sink->file && fsync(sink->options.fd) != 0) {
        return failed(sink, fault);
    }
    return SAGA_OK;
}
