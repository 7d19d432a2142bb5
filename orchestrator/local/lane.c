#include "lane.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "condition.h"
#include "ids.h"

/* What could not be carried out is delivered again after this long: a database that
 * is locked or full is not cured by being asked at once. */
#define AGAIN_MS 1000

/* Room for the commands of one transaction. */
struct batch {
    struct saga_local_delivery *deliveries[SAGA_PARTICIPANT_BATCH_MAX];
    struct saga_wire_command commands[SAGA_PARTICIPANT_BATCH_MAX];
    struct saga_wire_reply replies[SAGA_PARTICIPANT_BATCH_MAX];
    char ids[SAGA_PARTICIPANT_BATCH_MAX][SAGA_COMMAND_TEXT_SIZE];
    char sagas[SAGA_PARTICIPANT_BATCH_MAX][SAGA_ID_TEXT_SIZE];
};

struct saga_lane {
    struct saga_local_options options;
    struct saga_participant *participant;
    size_t delay_count;
    struct saga_participant_delay delays[SAGA_PARTICIPANT_SWITCHES_MAX];
    struct batch *batch;
    size_t batch_max; /* commands of the next transaction; see deliver_batch() */
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t condition;
    struct saga_local_queue arrived; /* under the mutex, like the next two */
    uint32_t waiting;                /* arrived, delayed or to be delivered again */
    bool stopped;
    struct saga_participant_counts counts; /* as of the last transaction */

    /* The thread's. Each delay has a queue of its own, in which all wait equally long:
     * so its first is always the next one due. The last queue is for what is to be
     * delivered again. */
    struct saga_local_queue delayed[SAGA_PARTICIPANT_SWITCHES_MAX + 1];
};

/* -------------------------------------------------------------------- clock */

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timespec timespec_of(int64_t ms) {
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* An initialised default mutex cannot fail to lock. */
static void lock(struct saga_lane *lane) {
    const int error = pthread_mutex_lock(&lane->mutex);
    assert(error == 0);
}

static void unlock(struct saga_lane *lane) {
    const int error = pthread_mutex_unlock(&lane->mutex);
    assert(error == 0);
}

/* ------------------------------------------------------------------- delays */

/* The delay that slows this command down, the longest of several; -1: none. */
static int delay_of(const struct saga_lane *lane, const struct saga_local_delivery *delivery) {
    int longest = -1;
    for (size_t i = 0; i < lane->delay_count; i++) {
        if (strcmp(lane->delays[i].command, delivery->name) == 0 &&
            (longest < 0 || lane->delays[i].delay_ms > lane->delays[longest].delay_ms)) {
            longest = (int)i;
        }
    }
    return longest;
}

/* When the first of the delayed is due; INT64_MAX: none waits. */
static int64_t next_due_ms(const struct saga_lane *lane) {
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i <= SAGA_PARTICIPANT_SWITCHES_MAX; i++) {
        const struct saga_local_delivery *first = lane->delayed[i].first;
        if (first != NULL && first->due_ms < due_ms) {
            due_ms = first->due_ms;
        }
    }
    return due_ms;
}

static void deliver_again(struct saga_lane *lane, struct saga_local_delivery *delivery) {
    delivery->due_ms = now_ms() + AGAIN_MS;
    saga_local_queue_put(&lane->delayed[SAGA_PARTICIPANT_SWITCHES_MAX], delivery);
}

/* Moves what is due now from where it waits to `ready`. */
static void sort_out(struct saga_lane *lane, struct saga_local_queue *arrived,
                     struct saga_local_queue *ready) {
    const int64_t now = now_ms();
    struct saga_local_delivery *delivery;
    if (lane->delay_count == 0) {
        saga_local_queue_append(ready, arrived);
    }
    while ((delivery = saga_local_queue_take(arrived)) != NULL) {
        const int delay = delay_of(lane, delivery);
        if (delay < 0) {
            saga_local_queue_put(ready, delivery);
        } else {
            delivery->due_ms = now + lane->delays[delay].delay_ms;
            saga_local_queue_put(&lane->delayed[delay], delivery);
        }
    }
    for (size_t i = 0; i <= SAGA_PARTICIPANT_SWITCHES_MAX; i++) {
        struct saga_local_queue *queue = &lane->delayed[i];
        while (queue->first != NULL && queue->first->due_ms <= now) {
            saga_local_queue_put(ready, saga_local_queue_take(queue));
        }
    }
}

/* --------------------------------------------------------------- delivering */

__attribute__((format(printf, 2, 3))) static void complain(const struct saga_lane *lane,
                                                           const char *format, ...) {
    char text[1280];
    if (lane->options.complain != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        lane->options.complain(lane->options.context, saga_participant_name(lane->participant),
                               text);
    }
}

static void no_longer_waiting(struct saga_lane *lane, uint32_t count) {
    lock(lane);
    lane->waiting -= count;
    if (lane->participant != NULL) {
        lane->counts = saga_participant_counts(lane->participant);
    }
    unlock(lane);
}

static size_t fill(struct batch *batch, size_t count_max, struct saga_local_queue *ready) {
    size_t count = 0;
    while (count < count_max && ready->first != NULL) {
        batch->deliveries[count] = saga_local_queue_take(ready);
        batch->commands[count] = saga_local_delivery_command(
            batch->deliveries[count], batch->ids[count], batch->sagas[count]);
        count++;
    }
    return count;
}

/* Sorts one reply: answered, or silent and gone. */
static void settle(struct saga_lane *lane, size_t i, struct saga_local_queue *done) {
    struct saga_local_delivery *delivery = lane->batch->deliveries[i];
    struct saga_wire_reply *reply = &lane->batch->replies[i];
    if (!reply->silent) {
        saga_local_delivery_answer(delivery, reply);
        saga_local_queue_put(done, delivery);
        return;
    }
    if (reply->refusal != NULL) {
        complain(lane, "refused %s %s: %s", delivery->name, lane->batch->ids[i], reply->refusal);
    }
    saga_wire_reply_free(reply);
    saga_local_delivery_free(delivery); /* the attempt's time will run out */
}

/* One transaction, of what is ready. One that fails as a whole is tried again in
 * halves, so that a command that cannot be carried out ends up alone and holds up
 * no other; with success they grow again. */
static void deliver_batch(struct saga_lane *lane, struct saga_local_queue *ready) {
    struct batch *batch = lane->batch;
    const size_t count = fill(batch, lane->batch_max, ready);
    struct saga_fault fault;
    struct saga_local_queue done = {0};
    if (saga_participant_apply(lane->participant, batch->commands, count, batch->replies, &fault) !=
        SAGA_OK) {
        complain(lane, "%zu commands wait for %d ms: %s", count, AGAIN_MS, fault.text);
        for (size_t i = 0; i < count; i++) {
            saga_wire_reply_free(&batch->replies[i]);
            deliver_again(lane, batch->deliveries[i]);
        }
        lane->batch_max = count > 1 ? count / 2 : 1;
        return;
    }
    lane->batch_max = lane->batch_max > SAGA_PARTICIPANT_BATCH_MAX / 2 ? SAGA_PARTICIPANT_BATCH_MAX
                                                                       : lane->batch_max * 2;
    for (size_t i = 0; i < count; i++) {
        settle(lane, i, &done);
    }
    no_longer_waiting(lane, (uint32_t)count);
    if (done.first != NULL) {
        saga_inbox_put(lane->options.inbox, &done.first->request);
    }
}

static void echo(struct saga_lane *lane, struct saga_local_queue *ready) {
    uint32_t count = 0;
    for (struct saga_request *request = &ready->first->request; request != NULL;
         request = request->next) {
        request->verdict = SAGA_DONE;
        count++;
    }
    no_longer_waiting(lane, count);
    saga_inbox_put(lane->options.inbox, &ready->first->request);
    *ready = (struct saga_local_queue){0};
}

static bool is_stopped(struct saga_lane *lane) {
    lock(lane);
    const bool stopped = lane->stopped;
    unlock(lane);
    return stopped;
}

static void deliver(struct saga_lane *lane, struct saga_local_queue *ready) {
    while (ready->first != NULL && !is_stopped(lane)) {
        if (lane->participant == NULL) {
            echo(lane, ready);
        } else {
            deliver_batch(lane, ready);
        }
    }
}

/* ------------------------------------------------------------------- thread */

/* Waits until something has arrived or is due. False: stopped. */
static bool take(struct saga_lane *lane, struct saga_local_queue *arrived) {
    const int64_t due_ms = next_due_ms(lane);
    const struct timespec until = timespec_of(due_ms == INT64_MAX ? 0 : due_ms);
    lock(lane);
    while (!lane->stopped && lane->arrived.first == NULL && due_ms > now_ms()) {
        if (due_ms == INT64_MAX) {
            (void)pthread_cond_wait(&lane->condition, &lane->mutex);
        } else {
            (void)pthread_cond_timedwait(&lane->condition, &lane->mutex, &until);
        }
    }
    const bool stopped = lane->stopped;
    *arrived = lane->arrived;
    lane->arrived = (struct saga_local_queue){0};
    unlock(lane);
    return !stopped;
}

static void *run(void *argument) {
    struct saga_lane *lane = argument;
    struct saga_local_queue arrived = {0};
    struct saga_local_queue ready = {0};
    char name[16]; /* as much as the kernel keeps, for top -H */
    (void)snprintf(name, sizeof name, "%s",
                   lane->participant == NULL ? "echo" : saga_participant_name(lane->participant));
    (void)pthread_setname_np(pthread_self(), name);
    while (take(lane, &arrived)) {
        sort_out(lane, &arrived, &ready);
        deliver(lane, &ready);
    }
    saga_local_queue_clear(&arrived);
    saga_local_queue_clear(&ready);
    for (size_t i = 0; i <= SAGA_PARTICIPANT_SWITCHES_MAX; i++) {
        saga_local_queue_clear(&lane->delayed[i]);
    }
    return NULL;
}

/* --------------------------------------------------------------- open, close */

enum saga_error saga_lane_open(struct saga_lane **lane, const struct saga_local_options *options,
                               struct saga_participant *participant,
                               const struct saga_participant_switches *switches,
                               struct saga_fault *fault) {
    struct saga_lane *opened = calloc(1, sizeof *opened);
    struct batch *batch = participant == NULL ? NULL : malloc(sizeof *batch);
    if (opened == NULL || (participant != NULL && batch == NULL)) {
        free(opened);
        free(batch);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a participant's queue");
    }
    opened->options = *options;
    opened->participant = participant;
    opened->batch = batch;
    opened->batch_max = SAGA_PARTICIPANT_BATCH_MAX;
    if (switches != NULL) {
        opened->delay_count = switches->delay_count;
        memcpy(opened->delays, switches->delays, sizeof opened->delays);
    }
    int error = pthread_mutex_init(&opened->mutex, NULL);
    assert(error == 0); /* with default attributes it cannot fail */
    saga_condition_init(&opened->condition);
    error = pthread_create(&opened->thread, NULL, run, opened);
    if (error != 0) {
        saga_lane_close(opened);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no thread for a participant: %s",
                              strerror(error));
    }
    *lane = opened;
    return SAGA_OK;
}

bool saga_lane_put(struct saga_lane *lane, struct saga_local_delivery *delivery) {
    lock(lane);
    const bool taken = !lane->stopped && lane->waiting < lane->options.commands_max;
    const bool wake = taken && lane->arrived.first == NULL;
    if (taken) {
        lane->waiting++;
        saga_local_queue_put(&lane->arrived, delivery);
    }
    unlock(lane);
    if (wake) {
        (void)pthread_cond_signal(&lane->condition);
    }
    return taken;
}

void saga_lane_count(struct saga_lane *lane, struct saga_local_counts *counts) {
    lock(lane);
    counts->waiting = lane->waiting;
    counts->participant = lane->counts;
    unlock(lane);
}

void saga_lane_stop(struct saga_lane *lane) {
    lock(lane);
    lane->stopped = true;
    unlock(lane);
    (void)pthread_cond_signal(&lane->condition);
}

void saga_lane_join(struct saga_lane *lane) {
    const int error = pthread_join(lane->thread, NULL);
    assert(error == 0);
}

void saga_lane_close(struct saga_lane *lane) {
    (void)pthread_cond_destroy(&lane->condition);
    (void)pthread_mutex_destroy(&lane->mutex);
    free(lane->batch);
    free(lane);
}
