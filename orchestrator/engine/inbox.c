#include "inbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct saga_inbox {
    pthread_mutex_t mutex;
    struct saga_request *first;
    struct saga_request **last; /* where the next one is linked */
    int fd;                     /* 1 while there is a first, else 0; changed under the mutex */
};

enum saga_error saga_inbox_open(struct saga_inbox **inbox, struct saga_fault *fault) {
    struct saga_inbox *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the engine's inbox");
    }
    opened->first = NULL;
    opened->last = &opened->first;
    opened->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (opened->fd < 0) {
        const int error = errno;
        free(opened);
        return saga_fault_set(
            fault, SAGA_ERROR_FAILED,
            "no eventfd for the engine's inbox: %s; raise the limit of open files",
            strerror(error));
    }
    const int error = pthread_mutex_init(&opened->mutex, NULL);
    assert(error == 0); /* with default attributes it cannot fail */
    *inbox = opened;
    return SAGA_OK;
}

void saga_inbox_close(struct saga_inbox *inbox) {
    if (inbox == NULL) {
        return;
    }
    (void)close(inbox->fd);
    (void)pthread_mutex_destroy(&inbox->mutex);
    free(inbox);
}

/* An uncontended default mutex that is initialised cannot fail to lock. */
static void lock(struct saga_inbox *inbox) {
    const int error = pthread_mutex_lock(&inbox->mutex);
    assert(error == 0);
}

static void unlock(struct saga_inbox *inbox) {
    const int error = pthread_mutex_unlock(&inbox->mutex);
    assert(error == 0);
}

void saga_inbox_put(struct saga_inbox *inbox, struct saga_request *requests) {
    assert(requests != NULL);
    struct saga_request *last = requests;
    while (last->next != NULL) {
        last = last->next;
    }
    lock(inbox);
    const bool was_empty = inbox->first == NULL;
    *inbox->last = requests;
    inbox->last = &last->next;
    if (was_empty) { /* one wake-up for however many are put until they are taken */
        const uint64_t one = 1;
        const ssize_t written = write(inbox->fd, &one, sizeof one);
        assert(written == (ssize_t)sizeof one); /* the counter is 0: it neither blocks nor fails */
    }
    unlock(inbox);
}

struct saga_request *saga_inbox_take(struct saga_inbox *inbox) {
    lock(inbox);
    struct saga_request *requests = inbox->first;
    if (requests != NULL) {
        uint64_t count;
        const ssize_t got = read(inbox->fd, &count, sizeof count);
        assert(got == (ssize_t)sizeof count && count == 1);
        inbox->first = NULL;
        inbox->last = &inbox->first;
    }
    unlock(inbox);
    return requests;
}

int saga_inbox_fd(const struct saga_inbox *inbox) {
    return inbox->fd;
}
