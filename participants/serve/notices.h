/*
 * Notices: sentences for whoever runs a service, not more of them than a person
 * can read.
 *
 * Hides the counting. Promises that of a flood the first SAGA_NOTICES_MAX of each
 * ten seconds are told, and how many were not.
 *
 * Threads: any may say something; one inits and finis.
 */
#ifndef SAGA_NOTICES_H
#define SAGA_NOTICES_H

#include <pthread.h>
#include <stdint.h>

#define SAGA_NOTICES_MAX       20
#define SAGA_NOTICES_WINDOW_MS 10000

struct saga_notices {
    pthread_mutex_t mutex;
    void *context;
    void (*tell)(void *context, const char *text); /* one at a time */
    int64_t window_began_ms;
    uint32_t told; /* in this window */
    uint64_t untold;
};

/* `tell` NULL: nobody is interested. */
void saga_notices_init(struct saga_notices *notices, void *context,
                       void (*tell)(void *context, const char *text));
/* What is still to be said of what was not told is told now. */
void saga_notices_fini(struct saga_notices *notices);

/* What is not printable ASCII becomes a `?`: part of it comes from strangers. */
__attribute__((format(printf, 2, 3))) void saga_notices_say(struct saga_notices *notices,
                                                            const char *format, ...);

#endif
