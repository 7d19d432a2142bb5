/* The loop, with the real engine, log and clock: what arrives is answered, what is
 * due happens, and a log that cannot be written ends the process. */
#include "loop.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "check_run.h"
#include "local.h"
#include "scratch.h"

static const char definition_text[] =
    "saga: trip\n"
    "version: 1\n"
    "participants: {hotel: {fenced: true}, train: {fenced: true}}\n"
    "defaults: {timeout: 150ms, retry: {attempts: 2, initial: 100ms, max: 100ms}}\n"
    "steps:\n"
    "  - name: room\n"
    "    command: hotel.book\n"
    "    done: [ROOM_BOOKED]\n"
    "    compensation: {command: hotel.cancel, done: [ROOM_CANCELLED]}\n"
    "  - name: seat\n"
    "    command: train.reserve\n"
    "    done: [SEAT_RESERVED]\n"
    "    pivot: true\n";

static struct scratch scratch;
static struct saga_log *log_;
static struct saga_inbox *inbox;
static struct saga_local *local;
static struct saga_engine *engine;
static struct saga_loop *loop;
static const struct saga_journal journal = {
    .fd = 2, .format = SAGA_JOURNAL_TEXT, .level = SAGA_JOURNAL_ERROR};

/* What has been heard so far. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t heard = PTHREAD_COND_INITIALIZER;
static unsigned answered_count, turned_count, ended_count;

static void changed(void *context, const struct saga_id *id, const char *status) {
    (void)context;
    (void)id;
    pthread_mutex_lock(&mutex);
    turned_count += strcmp(status, "compensating") == 0;
    ended_count += strcmp(status, "completed") == 0 || strcmp(status, "compensated") == 0;
    pthread_cond_broadcast(&heard);
    pthread_mutex_unlock(&mutex);
}

static void note_answer(struct saga_request *request) {
    (void)request;
    pthread_mutex_lock(&mutex);
    answered_count++;
    pthread_cond_broadcast(&heard);
    pthread_mutex_unlock(&mutex);
}

static void await(const unsigned *count, unsigned at_least) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&mutex);
    while (*count < at_least) {
        ck_assert_msg(pthread_cond_timedwait(&heard, &mutex, &until) == 0, "%u of %u", *count,
                      at_least);
    }
    pthread_mutex_unlock(&mutex);
}

static void fill(void *context, void *bytes, size_t size) {
    static uint8_t next;
    (void)context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = next++;
    }
}

static bool swallow(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    (void)dispatch;
    return true;
}

static bool refuse(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    (void)dispatch;
    return false;
}

static void open_scratch(void) {
    scratch_open(&scratch);
}

static void close_scratch(void) {
    scratch_close(&scratch);
}

/* Everything up to the loop; `send` NULL: participants that answer at once. */
static void open_world(bool (*send)(void *context, const struct saga_dispatch *dispatch)) {
    struct saga_fault fault = {0};
    struct saga_definition *definition;
    struct saga_diagnostics diagnostics = {0};
    struct saga_recovery_report report;
    struct saga_engine_config config;
    const struct saga_log_options log_options = {.data_dir = scratch.path,
                                                 .map_bytes_max = 256u << 20};
    ck_assert_msg(saga_log_open(&log_, &log_options, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(saga_inbox_open(&inbox, &fault), SAGA_OK);
    const struct saga_local_options local_options = {.inbox = inbox};
    ck_assert_int_eq(saga_local_open(&local, &local_options, &fault), SAGA_OK);
    ck_assert_int_eq(saga_local_add_echo(local, "hotel", &fault), SAGA_OK);
    ck_assert_int_eq(saga_local_add_echo(local, "train", &fault), SAGA_OK);
    const struct saga_outlet outlet = {
        .context = local, .send = send != NULL ? send : saga_local_send, .changed = changed};
    saga_engine_config_default(&config);
    config.random = fill;
    ck_assert_int_eq(
        saga_engine_open(&engine, log_, &config, &outlet, saga_loop_now(), &report, &fault),
        SAGA_OK);
    ck_assert_int_eq(saga_definition_parse(definition_text, sizeof definition_text - 1, &definition,
                                           &diagnostics),
                     SAGA_OK);
    ck_assert_int_eq(saga_engine_define(engine, definition, saga_loop_now(), &fault), SAGA_OK);
    const struct saga_loop_options options = {engine, log_, inbox, &journal};
    ck_assert_int_eq(saga_loop_start(&loop, &options, &fault), SAGA_OK);
}

static void close_world(void) {
    saga_local_stop(local);
    saga_loop_stop(loop);
    saga_engine_close(engine);
    saga_local_close(local);
    saga_inbox_close(inbox);
    saga_log_close(log_);
}

static void put(struct saga_request *request, uint8_t type) {
    request->type = type;
    request->answered = note_answer;
    request->saga = "trip";
    request->body = (struct saga_bytes){.data = "{}", .size = 2};
    saga_inbox_put(inbox, request);
}

static void start(struct saga_request *requests, struct saga_listing *listings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        requests[i].listings = &listings[i];
        put(&requests[i], SAGA_REQUEST_START);
    }
}

#define MANY 500
static struct saga_request requests[MANY];
static struct saga_listing listings[MANY];

START_TEST(sagas_run_to_their_end) {
    open_world(NULL);
    start(requests, listings, MANY);
    await(&answered_count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(requests[i].result, SAGA_RESULT_CREATED);
    }
    await(&ended_count, MANY);
    close_world();
}
END_TEST

START_TEST(what_is_due_happens_though_nothing_arrives) {
    open_world(swallow);
    start(requests, listings, 1);
    await(&answered_count, 1);
    await(&turned_count, 1); /* room: two attempts, two of its fence, then backward */
    struct saga_engine_stats stats;
    struct saga_request request = {.stats = &stats};
    put(&request, SAGA_REQUEST_STATS);
    await(&answered_count, 2);
    ck_assert_uint_eq(stats.core.sent[SAGA_ACTION], 2);
    ck_assert_uint_eq(stats.core.sent[SAGA_FENCE], 2);
    close_world();
}
END_TEST

START_TEST(what_nobody_carries_waits_without_haste) {
    open_world(refuse);
    const struct timespec second = {.tv_sec = 1};
    struct saga_engine_stats stats;
    struct saga_request request = {.stats = &stats};
    start(requests, listings, 1);
    await(&answered_count, 1);
    (void)nanosleep(&second, NULL); /* the time in which it must not be tried too often */
    put(&request, SAGA_REQUEST_STATS);
    await(&answered_count, 2);
    ck_assert_uint_eq(stats.core.open, 1);
    ck_assert_uint_ge(stats.commands_refused, 2);
    ck_assert_uint_le(stats.commands_refused, 12); /* 100 ms apart at the least */
    close_world();
}
END_TEST

START_TEST(draining_starts_nothing_and_answers_everything) {
    struct saga_request find = {.listings = &listings[1]};
    open_world(swallow);
    start(requests, listings, 1);
    await(&answered_count, 1);
    saga_loop_drain(loop);
    struct saga_request refused = {.listings = &listings[2]};
    unsigned asked = 1;
    do { /* the order is obeyed soon, not at once */
        put(&refused, SAGA_REQUEST_START);
        await(&answered_count, ++asked);
    } while (refused.result == SAGA_RESULT_CREATED);
    ck_assert_uint_eq(refused.result, SAGA_RESULT_DRAINING);
    find.id = requests[0].listings->id;
    put(&find, SAGA_REQUEST_FIND);
    await(&answered_count, ++asked);
    ck_assert_uint_eq(find.result, SAGA_RESULT_OK);
    close_world();
}
END_TEST

START_TEST(stopping_answers_what_is_in_the_inbox) {
    open_world(swallow);
    start(requests, listings, MANY);
    saga_loop_stop(loop);
    ck_assert_uint_eq(answered_count, MANY);
    const struct saga_loop_options options = {engine, log_, inbox, &journal};
    struct saga_fault fault;
    ck_assert_int_eq(saga_loop_start(&loop, &options, &fault), SAGA_OK);
    close_world();
}
END_TEST

/* The log's file may not grow any more: the commit fails in the middle. */
static int run_out_of_file(void *argument) {
    (void)argument;
    const struct rlimit limit = {.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
    open_world(NULL);
    (void)signal(SIGXFSZ, SIG_IGN); /* an error, not a death */
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    start(requests, listings, MANY);
    await(&ended_count, MANY); /* never */
    return 1;
}

START_TEST(a_log_that_cannot_be_written_ends_the_process) {
    ck_assert_int_eq(child_run(run_out_of_file, NULL), 8);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("loop");
    TCase *tests = tcase_create("loop");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, open_scratch, close_scratch);
    tcase_add_test(tests, sagas_run_to_their_end);
    tcase_add_test(tests, what_is_due_happens_though_nothing_arrives);
    tcase_add_test(tests, what_nobody_carries_waits_without_haste);
    tcase_add_test(tests, draining_starts_nothing_and_answers_everything);
    tcase_add_test(tests, stopping_answers_what_is_in_the_inbox);
    tcase_add_test(tests, a_log_that_cannot_be_written_ends_the_process);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
