#include "waiters.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum saga_waiter_state { SAGA_WAITER_LOOSE = 0, SAGA_WAITER_WAITING, SAGA_WAITER_WOKEN };

struct list {
    struct saga_waiter *first;
};

struct saga_waiters {
    pthread_mutex_t mutex;
    atomic_uint count; /* waiting; so that who wakes need not lock for nobody */
    struct list waiting;
    struct list woken;
    int fd; /* 1 while there are woken ones, else 0; changed under the mutex */
};

enum saga_error saga_waiters_open(struct saga_waiters **waiters, struct saga_fault *fault) {
    struct saga_waiters *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the API's waiters");
    }
    opened->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (opened->fd < 0) {
        const int error = errno;
        free(opened);
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "no eventfd for the API: %s; raise the limit of open files",
                              strerror(error));
    }
    const int error = pthread_mutex_init(&opened->mutex, NULL);
    assert(error == 0); /* with default attributes it cannot fail */
    *waiters = opened;
    return SAGA_OK;
}

void saga_waiters_close(struct saga_waiters *waiters) {
    if (waiters == NULL) {
        return;
    }
    assert(waiters->waiting.first == NULL && waiters->woken.first == NULL);
    (void)close(waiters->fd);
    (void)pthread_mutex_destroy(&waiters->mutex);
    free(waiters);
}

static void lock(struct saga_waiters *waiters) {
    const int error = pthread_mutex_lock(&waiters->mutex);
    assert(error == 0);
}

static void unlock(struct saga_waiters *waiters) {
    const int error = pthread_mutex_unlock(&waiters->mutex);
    assert(error == 0);
}

static void link_in(struct list *list, struct saga_waiter *waiter, uint8_t state) {
    waiter->previous = NULL;
    waiter->next = list->first;
    if (list->first != NULL) {
        list->first->previous = waiter;
    }
    list->first = waiter;
    waiter->state = state;
}

static void unlink_from(struct list *list, struct saga_waiter *waiter) {
    if (waiter->previous != NULL) {
        waiter->previous->next = waiter->next;
    } else {
        list->first = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->previous = waiter->previous;
    }
    waiter->state = SAGA_WAITER_LOOSE;
}

/* The eventfd says whether there are woken ones. Its counter is 0 or 1, so
 * neither can fail. */
static void raise_flag(struct saga_waiters *waiters) {
    const uint64_t one = 1;
    const ssize_t written = write(waiters->fd, &one, sizeof one);
    assert(written == (ssize_t)sizeof one);
}

static void lower_flag(struct saga_waiters *waiters) {
    uint64_t count;
    const ssize_t got = read(waiters->fd, &count, sizeof count);
    assert(got == (ssize_t)sizeof count);
}

void saga_waiters_add(struct saga_waiters *waiters, struct saga_waiter *waiter) {
    lock(waiters);
    assert(waiter->state == SAGA_WAITER_LOOSE);
    link_in(&waiters->waiting, waiter, SAGA_WAITER_WAITING);
    atomic_fetch_add(&waiters->count, 1);
    unlock(waiters);
}

static void remove_locked(struct saga_waiters *waiters, struct saga_waiter *waiter) {
    if (waiter->state == SAGA_WAITER_WAITING) {
        unlink_from(&waiters->waiting, waiter);
        atomic_fetch_sub(&waiters->count, 1);
    } else if (waiter->state == SAGA_WAITER_WOKEN) {
        unlink_from(&waiters->woken, waiter);
        if (waiters->woken.first == NULL) {
            lower_flag(waiters);
        }
    }
}

void saga_waiters_remove(struct saga_waiters *waiters, struct saga_waiter *waiter) {
    lock(waiters);
    remove_locked(waiters, waiter);
    unlock(waiters);
}

void saga_waiters_wake(struct saga_waiters *waiters, const struct saga_id *id) {
    if (atomic_load(&waiters->count) == 0) {
        return; /* who adds itself from now on asks the engine afterwards, and hears of this */
    }
    lock(waiters);
    struct saga_waiter *next;
    for (struct saga_waiter *waiter = waiters->waiting.first; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (memcmp(waiter->id.bytes, id->bytes, sizeof id->bytes) == 0) {
            unlink_from(&waiters->waiting, waiter);
            atomic_fetch_sub(&waiters->count, 1);
            if (waiters->woken.first == NULL) {
                raise_flag(waiters);
            }
            link_in(&waiters->woken, waiter, SAGA_WAITER_WOKEN);
        }
    }
    unlock(waiters);
}

int saga_waiters_fd(const struct saga_waiters *waiters) {
    return waiters->fd;
}

struct saga_waiter *saga_waiters_take(struct saga_waiters *waiters) {
    lock(waiters);
    struct saga_waiter *waiter = waiters->woken.first;
    if (waiter != NULL) {
        remove_locked(waiters, waiter);
    }
    unlock(waiters);
    return waiter;
}
