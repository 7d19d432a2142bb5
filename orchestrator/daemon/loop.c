#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* How often the engine looks for sagas that nothing would wake, and the log for
 * readers that died. */
#define SWEEP_MS 30000

/* After a batch of at least so many requests, from no more than this share of the open
 * sagas, the next one is gathered, for twice as long as the commit took, and no longer than this.
 */
#define GATHER_REQUESTS_MIN 8
#define GATHER_OPEN_SHARE   4
#define GATHER_NS_MAX       2000000

enum order { ORDER_RUN = 1, ORDER_DRAIN, ORDER_STOP };

struct saga_loop {
    struct saga_loop_options options;
    pthread_t thread;
    _Atomic int order; /* enum order; only rises */
    int order_fd;      /* an eventfd: readable when the order has changed */
    int timer_fd; /* of the clock that the engine goes by, which runs while the machine sleeps */
    int64_t timer_ms;             /* when it fires; INT64_MAX: never */
    int64_t sweep_ms;             /* when the next sweep is due */
    struct saga_request *backlog; /* taken from the inbox, and beyond the batch */
    uint64_t taken;               /* requests of this batch */
};

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct saga_moment saga_loop_now(void) {
    return (struct saga_moment){
        .boot_ms = clock_ms(CLOCK_BOOTTIME),
        .wall_ms = clock_ms(CLOCK_REALTIME),
    };
}

/* ---------------------------------------------------------------- one batch */

static void commit(struct saga_loop *loop, struct saga_moment now) {
    struct saga_fault fault;
    const enum saga_error error = saga_engine_commit(loop->options.engine, now, &fault);
    if (error != SAGA_OK) {
        saga_journal_write(loop->options.journal, SAGA_JOURNAL_ERROR, NULL,
                           "%s Nothing was acknowledged since; start the daemon again, and it goes "
                           "on from what is in the log.",
                           fault.text);
        /* Damage that was met on the way is damage; whatever else it was, the log was not written.
         */
        _exit(
            saga_error_exit_status(error == SAGA_ERROR_LOG_REFUSED ? error : SAGA_ERROR_LOG_WRITE));
    }
}

static int64_t monotonic_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Commits; then lets requests gather if many come, and from few of those that are at work. A commit
 * and what it lets go of cost about the same for ten as for a hundred: wake-ups, flushes, a write
 * to the broker. So where the processors are the limit, waiting twice as long as the commit took
 * makes everything faster; where all that is at work has just been heard of, nothing would come. */
static void commit_and_gather(struct saga_loop *loop, struct saga_moment now) {
    const uint64_t taken = loop->taken;
    const int64_t begun_ns = monotonic_ns();
    loop->taken = 0;
    commit(loop, now);
    if (taken < GATHER_REQUESTS_MIN ||
        taken > saga_engine_open_sagas(loop->options.engine) / GATHER_OPEN_SHARE) {
        return;
    }
    const int64_t took_ns = monotonic_ns() - begun_ns;
    const struct timespec pause = {.tv_nsec =
                                       2 * took_ns < GATHER_NS_MAX ? 2 * took_ns : GATHER_NS_MAX};
    (void)nanosleep(&pause, NULL);
}

/* Gives the engine what has arrived, as far as the batch has room. */
static void take(struct saga_loop *loop, struct saga_moment now) {
    struct saga_engine *engine = loop->options.engine;
    if (loop->backlog == NULL) {
        loop->backlog = saga_inbox_take(loop->options.inbox);
    }
    while (loop->backlog != NULL && !saga_engine_batch_full(engine)) {
        struct saga_request *request = loop->backlog;
        loop->backlog = request->next;
        loop->taken++;
        saga_engine_take(engine, request, now);
    }
}

/* Does what is due, as far as the batch has room; returns when more will be. */
static int64_t tick(struct saga_loop *loop, struct saga_moment now) {
    struct saga_engine *engine = loop->options.engine;
    int64_t wake_ms = now.boot_ms;
    while (wake_ms <= now.boot_ms && !saga_engine_batch_full(engine)) {
        wake_ms = saga_engine_tick(engine, now);
    }
    return wake_ms;
}

static void sweep(struct saga_loop *loop, struct saga_moment now) {
    if (now.boot_ms < loop->sweep_ms) {
        return;
    }
    loop->sweep_ms = now.boot_ms + SWEEP_MS;
    saga_engine_sweep(loop->options.engine, now);
    const uint32_t dead = saga_log_reap_readers(loop->options.log);
    if (dead > 0) {
        saga_journal_write(loop->options.journal, SAGA_JOURNAL_INFO, NULL,
                           "%" PRIu32 " inspectors of the log had died", dead);
    }
}

/* ------------------------------------------------------------------ waiting */

static void arm(struct saga_loop *loop, int64_t wake_ms) {
    if (wake_ms == loop->timer_ms) {
        return;
    }
    /* All zero disarms; the past fires at once. */
    const int64_t at_ms = wake_ms == INT64_MAX ? 0 : wake_ms > 1 ? wake_ms : 1;
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000}};
    const int result = timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    assert(result == 0); /* the arguments are right */
    loop->timer_ms = wake_ms;
}

/* Reads a descriptor that counts, so that it is readable no more. */
static void acknowledge(int fd) {
    uint64_t count;
    const ssize_t got = read(fd, &count, sizeof count);
    assert(got == (ssize_t)sizeof count || (got < 0 && errno == EAGAIN));
}

static void wait_for_work(struct saga_loop *loop, int64_t wake_ms) {
    struct pollfd fds[] = {
        {.fd = saga_inbox_fd(loop->options.inbox), .events = POLLIN},
        {.fd = loop->order_fd, .events = POLLIN},
        {.fd = loop->timer_fd, .events = POLLIN},
    };
    arm(loop, wake_ms < loop->sweep_ms ? wake_ms : loop->sweep_ms);
    const int ready = poll(fds, sizeof fds / sizeof fds[0], -1);
    assert(ready > 0 || errno == EINTR);
    if (ready > 0 && fds[1].revents != 0) {
        acknowledge(loop->order_fd);
    }
    if (ready > 0 && fds[2].revents != 0) {
        acknowledge(loop->timer_fd);
        loop->timer_ms = INT64_MAX;
    }
}

/* ------------------------------------------------------------------- thread */

static void *run(void *argument) {
    struct saga_loop *loop = argument;
    struct saga_engine *engine = loop->options.engine;
    (void)pthread_setname_np(pthread_self(), "engine"); /* for top -H */
    loop->sweep_ms = saga_loop_now().boot_ms + SWEEP_MS;
    for (;;) {
        const int order = atomic_load(&loop->order); /* before the inbox is looked into */
        const struct saga_moment now = saga_loop_now();
        if (order >= ORDER_DRAIN) {
            saga_engine_drain(engine);
        }
        sweep(loop, now);
        take(loop, now);
        const int64_t wake_ms = tick(loop, now);
        if (saga_engine_pending(engine)) {
            commit_and_gather(loop, now);
            continue; /* the inbox may have filled, and a refusal may wait for its commit */
        }
        if (order == ORDER_STOP && loop->backlog == NULL) {
            return NULL;
        }
        if (loop->backlog == NULL && wake_ms > now.boot_ms) {
            wait_for_work(loop, wake_ms);
        }
    }
}

/* --------------------------------------------------------------- start, stop */

static void close_fds(struct saga_loop *loop) {
    if (loop->order_fd >= 0) {
        (void)close(loop->order_fd);
    }
    if (loop->timer_fd >= 0) {
        (void)close(loop->timer_fd);
    }
    free(loop);
}

enum saga_error saga_loop_start(struct saga_loop **loop, const struct saga_loop_options *options,
                                struct saga_fault *fault) {
    struct saga_loop *started = calloc(1, sizeof *started);
    if (started == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the engine's thread");
    }
    started->options = *options;
    started->timer_ms = INT64_MAX;
    atomic_init(&started->order, ORDER_RUN);
    started->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    started->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (started->order_fd < 0 || started->timer_fd < 0) {
        const int error = errno;
        close_fds(started);
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "no descriptor for the engine's thread: %s; raise the limit of open "
                              "files",
                              strerror(error));
    }
    const int error = pthread_create(&started->thread, NULL, run, started);
    if (error != 0) {
        close_fds(started);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for the engine: %s",
                              strerror(error));
    }
    *loop = started;
    return SAGA_OK;
}

static void order(struct saga_loop *loop, enum order order) {
    const uint64_t one = 1;
    atomic_store(&loop->order, order);
    const ssize_t written = write(loop->order_fd, &one, sizeof one);
    assert(written == (ssize_t)sizeof one); /* the counter is far from its end */
}

void saga_loop_drain(struct saga_loop *loop) {
    order(loop, ORDER_DRAIN);
}

void saga_loop_stop(struct saga_loop *loop) {
    order(loop, ORDER_STOP);
    const int error = pthread_join(loop->thread, NULL);
    assert(error == 0);
    close_fds(loop);
}
