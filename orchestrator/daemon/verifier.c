#include "verifier.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inspection.h"

#define FIRST_MS 60000
/* Of one run; of what is beyond, how many there are. */
#define COMPLAINTS_MAX 20

struct saga_verifier {
    struct saga_verifier_options options;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t stopped;
    bool stopping;
    struct saga_verifier_state state;
    uint64_t complaints; /* the thread's: of this run */
};

/* -------------------------------------------------------------------- time */

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now); /* these clocks do not fail */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until then, by CLOCK_MONOTONIC. False: it is to stop. */
static bool wait_until(struct saga_verifier *verifier, int64_t at_ms) {
    const struct timespec at = {.tv_sec = (time_t)(at_ms / 1000),
                                .tv_nsec = (long)(at_ms % 1000) * 1000000};
    int result = 0;
    pthread_mutex_lock(&verifier->mutex);
    while (!verifier->stopping && result == 0) {
        result = pthread_cond_timedwait(&verifier->stopped, &verifier->mutex, &at);
    }
    const bool stopping = verifier->stopping;
    pthread_mutex_unlock(&verifier->mutex);
    return !stopping;
}

/* ------------------------------------------------------------------- a run */

/* Between two slices: as long as they take at the rate. */
static enum saga_error rest(void *context, uint64_t bytes, struct saga_fault *fault) {
    struct saga_verifier *verifier = context;
    const uint64_t rate = verifier->options.bytes_per_second;
    const int64_t rest_ms = rate == 0 ? 0 : (int64_t)(bytes * 1000 / rate);
    return wait_until(verifier, clock_ms(CLOCK_MONOTONIC) + rest_ms)
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_FAILED, "it was stopped");
}

static enum saga_error complain(void *context, const struct saga_fault *damage,
                                struct saga_fault *fault) {
    struct saga_verifier *verifier = context;
    (void)fault;
    pthread_mutex_lock(&verifier->mutex);
    verifier->state.damages_all++;
    pthread_mutex_unlock(&verifier->mutex);
    if (verifier->complaints++ < COMPLAINTS_MAX) {
        saga_journal_write(verifier->options.journal, SAGA_JOURNAL_ERROR, NULL,
                           "verified in the background: %s The daemon goes on as long as it does "
                           "not need it.",
                           damage->text);
    }
    return SAGA_OK;
}

static bool is_stopping(struct saga_verifier *verifier) {
    pthread_mutex_lock(&verifier->mutex);
    const bool stopping = verifier->stopping;
    pthread_mutex_unlock(&verifier->mutex);
    return stopping;
}

static void note(struct saga_verifier *verifier, const struct saga_inspection *inspection) {
    pthread_mutex_lock(&verifier->mutex);
    verifier->state.runs++;
    verifier->state.finished_ms = clock_ms(CLOCK_REALTIME);
    verifier->state.records = inspection->records;
    verifier->state.rows = inspection->rows;
    verifier->state.damages = inspection->damages;
    pthread_mutex_unlock(&verifier->mutex);
}

static void verify(struct saga_verifier *verifier) {
    const struct saga_journal *journal = verifier->options.journal;
    struct saga_inspection inspection = {
        .paused = rest, .damaged = complain, .context = verifier, .chained = true};
    struct saga_fault fault;
    verifier->complaints = 0;
    const enum saga_error error = saga_inspection_run(&inspection, verifier->options.log, &fault);
    if (error == SAGA_OK) {
        note(verifier, &inspection);
    } else if (!is_stopping(verifier)) {
        saga_journal_write(journal, SAGA_JOURNAL_ERROR, NULL,
                           "verifying the log in the background did not come to its end: %s",
                           fault.text);
    }
    if (inspection.damages > 0) {
        saga_journal_write(journal, SAGA_JOURNAL_ERROR, NULL,
                           "%" PRIu64 " damages were found in the log; see sagalog verify",
                           inspection.damages);
    } else if (error == SAGA_OK) {
        saga_journal_write(journal, SAGA_JOURNAL_INFO, NULL,
                           "verified in the background: %" PRIu64 " records and %" PRIu64
                           " rows are as they were written",
                           inspection.records, inspection.rows);
    }
}

static void *run(void *argument) {
    struct saga_verifier *verifier = argument;
    const int64_t interval_ms = verifier->options.interval_ms;
    int64_t at_ms = clock_ms(CLOCK_MONOTONIC) + (interval_ms < FIRST_MS ? interval_ms : FIRST_MS);
    (void)pthread_setname_np(pthread_self(), "verifier"); /* for top -H */
    while (wait_until(verifier, at_ms)) {
        const int64_t next_ms = clock_ms(CLOCK_MONOTONIC) + interval_ms;
        verify(verifier);
        at_ms = next_ms;
    }
    return NULL;
}

/* -------------------------------------------------------------- start, stop */

static void init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    error = error != 0 ? error : pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    error = error != 0 ? error : pthread_cond_init(condition, &attributes);
    assert(error == 0); /* the clock is there, and nothing is allocated */
    (void)pthread_condattr_destroy(&attributes);
}

enum saga_error saga_verifier_start(struct saga_verifier **verifier,
                                    const struct saga_verifier_options *options,
                                    struct saga_fault *fault) {
    struct saga_verifier *started = calloc(1, sizeof *started);
    if (started == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the verifier");
    }
    started->options = *options;
    (void)pthread_mutex_init(&started->mutex, NULL); /* a plain one does not fail */
    init_condition(&started->stopped);
    const int error = pthread_create(&started->thread, NULL, run, started);
    if (error != 0) {
        free(started);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for the verifier: %s",
                              strerror(error));
    }
    *verifier = started;
    return SAGA_OK;
}

void saga_verifier_stop(struct saga_verifier *verifier) {
    if (verifier == NULL) {
        return;
    }
    pthread_mutex_lock(&verifier->mutex);
    verifier->stopping = true;
    pthread_cond_signal(&verifier->stopped);
    pthread_mutex_unlock(&verifier->mutex);
    const int error = pthread_join(verifier->thread, NULL);
    assert(error == 0);
    (void)error;
    (void)pthread_cond_destroy(&verifier->stopped);
    (void)pthread_mutex_destroy(&verifier->mutex);
    free(verifier);
}

void saga_verifier_look(struct saga_verifier *verifier, struct saga_verifier_state *state) {
    pthread_mutex_lock(&verifier->mutex);
    *state = verifier->state;
    pthread_mutex_unlock(&verifier->mutex);
}
