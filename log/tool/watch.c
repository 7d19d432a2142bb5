#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* A commit can be read only a moment after the last write of it, which is the
 * sign: so a sign is followed by looks without one, ever less often. */
#define PATIENCE_FIRST_MS 5
#define PATIENCE_MOST_MS  1000

static enum saga_error failed(const char *path, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "cannot watch %s: %s", path, strerror(errno));
}

enum saga_error saga_watch_open(struct saga_watch *watch, const char *data_dir,
                                struct saga_fault *fault) {
    char path[PATH_MAX];
    *watch = (struct saga_watch){
        .notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
        .patience_ms = PATIENCE_FIRST_MS,
    };
    (void)snprintf(path, sizeof path, "%s/log/data.mdb", data_dir); /* it could be opened */
    if (watch->notify < 0 || inotify_add_watch(watch->notify, path, IN_MODIFY) < 0) {
        return failed(path, fault);
    }
    return SAGA_OK;
}

void saga_watch_close(struct saga_watch *watch) {
    if (watch->notify >= 0) {
        (void)close(watch->notify);
    }
    watch->notify = -1;
}

/* What the signs are does not matter: the log is read. */
static void swallow(int notify) {
    char events[4096];
    while (read(notify, events, sizeof events) > 0) {
    }
}

enum saga_error saga_watch_wait(struct saga_watch *watch, bool *gone, struct saga_fault *fault) {
    struct pollfd polled[] = {
        {.fd = watch->notify, .events = POLLIN},
        {.fd = STDOUT_FILENO}, /* an error is always reported: its reader has closed it */
    };
    const int ready = poll(polled, 2, watch->patience_ms);
    if (ready < 0 && errno != EINTR) {
        return failed("the log", fault);
    }
    *gone = ready > 0 && (polled[1].revents & (POLLERR | POLLHUP)) != 0;
    if (ready > 0 && (polled[0].revents & POLLIN) != 0) {
        swallow(watch->notify);
        watch->patience_ms = PATIENCE_FIRST_MS;
    } else if (watch->patience_ms < PATIENCE_MOST_MS) {
        watch->patience_ms *= 2;
    }
    return SAGA_OK;
}
