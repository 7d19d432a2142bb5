/* How the API shows a saga, waits for it, and acts on it. */
#include "api_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void set_up(void) {
    stand_open(&(struct stand_options){0});
}

static void tear_down(void) {
    stand_close();
    stand_remove();
}

/* -------------------------------------------------------------------- one saga */

START_TEST(a_saga_is_shown_as_the_protocol_says) {
    static const char *const members[] = {"id",         "saga",     "version", "status", "reason",
                                          "started_at", "ended_at", "data",    "steps"};
    char id[37];
    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "{\"content\":{\"room\":12}}");
    struct answer answer = http_get(path_of(id, ""));
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(json_object_size(answer.json), 9);
    const char *name;
    json_t *value;
    size_t i = 0;
    json_object_foreach(answer.json, name, value) {
        ck_assert_str_eq(name, members[i++]);
    }
    ck_assert_str_eq(answer_text(&answer, "id"), id);
    ck_assert_str_eq(answer_text(&answer, "saga"), "trip");
    ck_assert_int_eq(json_integer_value(json_object_get(answer.json, "version")), 3);
    const json_t *data = json_object_get(answer.json, "data");
    ck_assert_str_eq(json_string_value(json_object_get(data, "guest")), "Ada");
    ck_assert_int_eq(json_integer_value(json_object_get(data, "room")), 12);
    const json_t *step = json_array_get(json_object_get(answer.json, "steps"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(step, "name")), "seat");
    ck_assert_str_eq(json_string_value(json_object_get(step, "status")), "running");
    ck_assert_int_eq(json_integer_value(json_object_get(step, "attempts")), 1);
    answer_free(&answer);
}
END_TEST

START_TEST(an_id_is_whole_and_lower_case) {
    char id[37];
    char upper[37];
    start_trip(id);
    for (size_t i = 0; i < 37; i++) {
        upper[i] = (char)(id[i] >= 'a' && id[i] <= 'f' ? id[i] - 'a' + 'A' : id[i]);
    }
    upper[0] = 'A';
    expect_problem(http_get(path_of(upper, "")), 400, "invalid-request", "36 characters");
    expect_problem(http_get(path_of(id + 24, "")), 400, "invalid-request", "36 characters");
    expect_problem(http_get("/v1/sagas/x"), 400, "invalid-request", "36 characters");
    expect_problem(http_post(path_of("x", "/cancel"), "", ""), 400, "invalid-request", "36");
    struct answer answer = http_get("/v1/sagas/00000000-0000-7000-8000-000000000000");
    ck_assert_str_eq(answer_text(&answer, "instance"),
                     "/v1/sagas/00000000-0000-7000-8000-000000000000");
    expect_problem(answer, 404, "unknown-saga", "no saga of this id");
    expect_problem(http_post("/v1/sagas/00000000-0000-7000-8000-000000000000/retry", "", ""), 404,
                   "unknown-saga", "no saga of this id");
}
END_TEST

/* Reads of one saga, while it runs, never show less than an earlier one did. */
static atomic_bool completed;

static void *complete_slowly(void *context) {
    stand_complete(context);
    atomic_store(&completed, true);
    return NULL;
}

static int progress_of(const struct answer *answer) {
    static const char *const statuses[] = {"pending", "running", "done"};
    int progress = 0;
    size_t i;
    const json_t *step;
    json_array_foreach(json_object_get(answer->json, "steps"), i, step) {
        for (int j = 0; j < 3; j++) {
            if (strcmp(json_string_value(json_object_get(step, "status")), statuses[j]) == 0) {
                progress += j;
            }
        }
    }
    return progress + (strcmp(answer_text(answer, "status"), "completed") == 0);
}

START_TEST(reads_never_go_backwards) {
    pthread_t thread;
    char id[37];
    int last = 0;
    start_trip(id);
    atomic_store(&completed, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_slowly, id), 0);
    for (bool more = true; more;) {
        more = !atomic_load(&completed); /* one read more than that */
        struct answer answer = http_get(path_of(id, ""));
        const int progress = progress_of(&answer);
        ck_assert_int_ge(progress, last);
        last = progress;
        answer_free(&answer);
    }
    ck_assert_int_eq(last, 7);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(a_quarantined_saga_is_shown_with_what_is_wrong) {
    char id[37];
    char wrong[64];
    struct saga_fault fault;
    struct saga_log *log;
    struct saga_chain chain;
    struct saga_log_reader *reader;
    start_trip(id);
    read_chain(id, &chain, &reader);
    struct saga_record record = chain.records[chain.count - 1];
    saga_chain_fini(&chain);
    saga_log_reader_close(reader);
    stand_close();
    /* It ends before anything is done. */
    const struct saga_log_options options = {.data_dir = stand_directory(),
                                             .map_bytes_max = 64u << 20};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_OK);
    record = (struct saga_record){.saga = record.saga,
                                  .lsn = saga_log_next_lsn(log),
                                  .previous_lsn = record.lsn,
                                  .at_ms = record.at_ms,
                                  .wall_ms = record.wall_ms,
                                  .epoch = record.epoch,
                                  .fact = SAGA_ENDED,
                                  .step = SAGA_STEP_NONE,
                                  .outcome = SAGA_COMPLETED};
    saga_log_append(log, &record);
    ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
    saga_log_close(log);
    stand_open(&(struct stand_options){0});

    struct answer answer = http_get(path_of(id, "?wait=30s")); /* nothing to wait for */
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), "quarantined");
    (void)snprintf(wrong, sizeof wrong, "record %d (SAGA_ENDED) cannot follow", (int)record.lsn);
    ck_assert_msg(strstr(answer_text(&answer, "detail"), wrong) != NULL, "%s",
                  answer_text(&answer, "detail"));
    ck_assert_str_eq(answer_text(&answer, "saga"), "trip");
    ck_assert_uint_eq(json_array_size(json_object_get(answer.json, "steps")), 3);
    answer_free(&answer);
    expect_problem(http_post(path_of(id, "/cancel"), "", ""), 409, "verb-refused", "quarantined");
    struct answer list = http_get("/v1/sagas?status=quarantined");
    ck_assert_uint_eq(json_array_size(json_object_get(list.json, "sagas")), 1);
    answer_free(&list);
}
END_TEST

/* ------------------------------------------------------------------------ wait */

START_TEST(waiting_for_what_has_ended_is_no_waiting) {
    char id[37];
    start_trip(id);
    stand_complete(id);
    const int64_t begin_ms = monotonic_ms();
    struct answer answer = http_get(path_of(id, "?wait=5m"));
    ck_assert_int_lt(monotonic_ms() - begin_ms, 5000);
    ck_assert_str_eq(answer_text(&answer, "status"), "completed");
    answer_free(&answer);
}
END_TEST

START_TEST(a_wait_ends_when_its_time_is_over) {
    char id[37];
    start_trip(id);
    const int64_t begin_ms = monotonic_ms();
    struct answer answer = http_get(path_of(id, "?wait=300ms"));
    const int64_t took_ms = monotonic_ms() - begin_ms;
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), "running");
    ck_assert_msg(took_ms >= 299 && took_ms < 5000, "%d ms", (int)took_ms);
    answer_free(&answer);
    ck_assert_uint_eq(counter("api", "waiting"), 0);
}
END_TEST

struct waiting {
    pthread_t thread;
    char path[80];
    char status[32];
    int64_t took_ms;
};

static void *wait_for_end(void *context) {
    struct waiting *waiting = context;
    const int64_t begin_ms = monotonic_ms();
    struct answer answer = http_get(waiting->path);
    ck_assert_int_eq(answer.status, 200);
    waiting->took_ms = monotonic_ms() - begin_ms;
    strcpy(waiting->status, answer_text(&answer, "status"));
    answer_free(&answer);
    return NULL;
}

static void start_waiting(struct waiting *waiting, const char *id, size_t how_many) {
    for (size_t i = 0; i < how_many; i++) {
        (void)snprintf(waiting[i].path, sizeof waiting[i].path, "/v1/sagas/%s?wait=60s", id);
        ck_assert_int_eq(pthread_create(&waiting[i].thread, NULL, wait_for_end, &waiting[i]), 0);
    }
}

static void await_waiting(uint64_t how_many) {
    while (counter("api", "waiting") < how_many) {
        sched_yield();
    }
}

START_TEST(the_end_of_a_saga_wakes_those_who_wait_for_it) {
    enum { WAITERS = 10 };
    struct waiting waiting[WAITERS];
    struct waiting other;
    char id[37];
    char another[37];
    start_trip(id);
    start_trip(another);
    start_waiting(waiting, id, WAITERS);
    start_waiting(&other, another, 1);
    await_waiting(WAITERS + 1);
    stand_complete(id);
    for (size_t i = 0; i < WAITERS; i++) {
        ck_assert_int_eq(pthread_join(waiting[i].thread, NULL), 0);
        ck_assert_str_eq(waiting[i].status, "completed");
        ck_assert_int_lt(waiting[i].took_ms, 30000);
    }
    ck_assert_uint_eq(counter("api", "waiting"), 1); /* who waits for another one goes on */
    stand_complete(another);
    ck_assert_int_eq(pthread_join(other.thread, NULL), 0);
    ck_assert_uint_eq(counter("api", "waiting"), 0);
}
END_TEST

START_TEST(a_parked_saga_wakes_and_going_backward_does_not) {
    struct waiting waiting;
    char id[37];
    start_trip(id);
    start_waiting(&waiting, id, 1);
    await_waiting(1);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_REJECTED, "");
    ck_assert_uint_eq(counter("api", "waiting"), 1); /* compensating */
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_REJECTED, "");
    ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
    ck_assert_str_eq(waiting.status, "parked");
}
END_TEST

/* Keeps the processor for so long: a yield would give it to whoever else wants it. */
static void spin_us(int64_t us) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t until_us = now.tv_sec * 1000000 + now.tv_nsec / 1000 + us;
    do {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec * 1000000 + now.tv_nsec / 1000 < until_us);
}

/* Ends race with waits: no wake-up may be lost between the look at the saga and
 * the wait for it (a lost one makes this take a minute). */
START_TEST(no_end_is_missed) {
    for (int i = 0; i < 40; i++) {
        struct waiting waiting;
        char id[37];
        start_trip(id);
        stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
        stand_reply(id, 1, SAGA_ACTION, SAGA_DONE, "");
        start_waiting(&waiting, id, 1);
        spin_us(i * 15);
        stand_reply(id, 2, SAGA_ACTION, SAGA_DONE, "");
        ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
        ck_assert_str_eq(waiting.status, "completed");
        ck_assert_int_lt(waiting.took_ms, 30000);
    }
}
END_TEST

/* A connection that waits for the end of a trip, which does not come. */
static int wait_for_a_trip(void) {
    char id[37];
    char text[256];
    start_trip(id);
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                   path_of(id, "?wait=5m"));
    const int fd = dial();
    say_text(fd, text);
    await_waiting(1);
    return fd;
}

START_TEST(who_goes_away_does_not_wait_on) {
    const int fd = wait_for_a_trip();
    ck_assert_int_eq(close(fd), 0);
    while (counter("api", "waiting") > 0) {
        sched_yield();
    }
    ck_assert_uint_eq(counter("api", "connections_cut"), 1);
}
END_TEST

START_TEST(who_waits_hears_that_the_daemon_stops) {
    const int fd = wait_for_a_trip();
    const int64_t begin_ms = monotonic_ms();
    stand_close();
    ck_assert_int_lt(monotonic_ms() - begin_ms, 5000);
    expect_problem(hear(fd), 503, "stopping", "ask again when the daemon is back");
    ck_assert_int_eq(close(fd), 0);
    stand_open(&(struct stand_options){0});
}
END_TEST

START_TEST(a_wait_has_its_limits) {
    char id[37];
    start_trip(id);
    static const char *const wrong[] = {"?wait=",    "?wait=x",  "?wait=30",          "?wait=6m",
                                        "?wait=-1s", "?wait=1h", "?wait=30s&wait=1s", "?wait",
                                        "?wait=1.5s"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_problem(http_get(path_of(id, wrong[i])), 400, "invalid-request", "wait");
    }
    expect_problem(http_get(path_of(id, "?timeout=3s")), 400, "invalid-request",
                   "there is no 'timeout' in this resource's query; there may be: wait");
    struct answer answer = http_get(path_of(id, "?wait=0s"));
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);

    stand_close();
    stand_open(&(struct stand_options){.api = {.connections_max = 8}});
    struct waiting waiting[6]; /* three quarters */
    start_waiting(waiting, id, 6);
    await_waiting(6);
    answer = http_get(path_of(id, "?wait=1s"));
    ck_assert_str_eq(answer_header(&answer, "Retry-After"), "1");
    expect_problem(answer, 503, "busy", "6 requests wait for a saga already");
    expect_status(id, "running"); /* who does not wait gets his answer */
    stand_complete(id);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_join(waiting[i].thread, NULL), 0);
    }
}
END_TEST

/* -------------------------------------------------------------- cancel and retry */

static void expect_act(struct answer answer, int status, const char *result, const char *becomes) {
    ck_assert_msg(answer.status == status, "%d: %s", answer.status, answer.body);
    ck_assert_uint_eq(json_object_size(answer.json), 3);
    ck_assert_uint_eq(strlen(answer_text(&answer, "id")), 36);
    ck_assert_str_eq(answer_text(&answer, "result"), result);
    ck_assert_str_eq(answer_text(&answer, "status"), becomes);
    answer_free(&answer);
}

START_TEST(cancel_goes_backward_once) {
    char id[37];
    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_REJECTED, "");
    expect_act(http_post(path_of(id, "/cancel"), "", "{\"reason\":\"no more\"}"), 200, "already",
               "compensating");
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_DONE, "");
    expect_problem(http_post(path_of(id, "/cancel"), "", ""), 409, "verb-refused",
                   "the saga has ended (compensated)");

    start_trip(id);
    expect_act(http_post(path_of(id, "/cancel"), "", ""), 202, "accepted", "compensating");
    expect_act(http_post(path_of(id, "/cancel"), "", "{}"), 200, "already", "compensating");
}
END_TEST

START_TEST(cancel_waits_for_the_pivot_and_comes_too_late_after_it) {
    char id[37];
    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    expect_act(http_post(path_of(id, "/cancel"), "", ""), 202, "pending", "running");
    stand_reply(id, 1, SAGA_ACTION, SAGA_DONE, "");
    expect_problem(http_post(path_of(id, "/cancel"), "", ""), 409, "verb-refused",
                   "it has passed its pivot");
    expect_status(id, "running");
}
END_TEST

START_TEST(retry_is_taken_or_refused) {
    char id[37];
    start_trip(id);
    expect_act(http_post(path_of(id, "/retry"), "", "{\"reason\":\"now\"}"), 202, "accepted",
               "running");
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_REJECTED, "");
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_REJECTED, "");
    expect_status(id, "parked");
    expect_act(http_post(path_of(id, "/retry"), "", ""), 202, "accepted", "compensating");
    stand_complete((start_trip(id), id));
    expect_problem(http_post(path_of(id, "/retry"), "", ""), 409, "verb-refused",
                   "the saga has ended (completed)");
}
END_TEST

#define ROOM_BY_HAND "{\"step\":\"room\",\"reason\":\"r\"}"

START_TEST(a_debt_is_settled_by_hand) {
    char id[37];
    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_REJECTED, "");
    expect_problem(http_post(path_of(id, "/mark-compensated"), "", ROOM_BY_HAND), 409,
                   "verb-refused", "step 'room' is no debt (it is compensating)");
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_REJECTED, "{\"reply_state\":\"NO_REFUND\"}");
    struct answer answer = http_get(path_of(id, ""));
    const json_t *item = json_array_get(json_object_get(answer.json, "attention"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(item, "step")), "room");
    ck_assert_str_eq(json_string_value(json_object_get(item, "why")),
                     "its compensation was refused (NO_REFUND)");
    answer_free(&answer);
    expect_act(http_post(path_of(id, "/mark-compensated"), "", ROOM_BY_HAND), 202, "accepted",
               "compensating");
    expect_act(http_post(path_of(id, "/mark-compensated"), "", ROOM_BY_HAND), 200, "already",
               "compensating");
    expect_problem(http_post(path_of(id, "/write-off"), "", ROOM_BY_HAND), 409, "verb-refused",
                   "step 'room' has been marked compensated already");
    stand_reply(id, 0, SAGA_SETTLE, SAGA_DONE, "");
    expect_status(id, "compensated_manually");
    expect_problem(http_post(path_of(id, "/write-off"), "", ROOM_BY_HAND), 409, "verb-refused",
                   "the saga has ended (compensated_manually)");

    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_REJECTED, "");
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_REJECTED, "");
    expect_act(http_post(path_of(id, "/write-off"), "", ROOM_BY_HAND), 202, "accepted",
               "compensating");
    stand_reply(id, 0, SAGA_SETTLE, SAGA_DONE, "");
    expect_status(id, "inconsistent");
}
END_TEST

START_TEST(the_pivot_is_resolved_rejected_when_its_fence_says_so) {
    static const char body[] =
        "{\"step\":\"seat\",\"verdict\":\"rejected\",\"reason\":\"the train has left\"}";
    char id[37];
    start_trip(id);
    expect_problem(http_post(path_of(id, "/resolve"), "", body), 409, "verb-refused",
                   "step 'seat' is not in doubt (it is pending)");
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    expect_act(http_post(path_of(id, "/resolve"), "", body), 202, "pending", "running");
    stand_reply(id, 1, SAGA_FENCE, SAGA_FENCED, "");
    stand_reply(id, 0, SAGA_COMPENSATION, SAGA_DONE, "");
    expect_status(id, "compensated_manually");
    start_trip(id);
    stand_reply(id, 0, SAGA_ACTION, SAGA_DONE, "");
    stand_reply(id, 1, SAGA_ACTION, SAGA_DONE, "");
    expect_problem(http_post(path_of(id, "/resolve"), "",
                             "{\"step\":\"thanks\",\"verdict\":\"rejected\",\"reason\":\"r\"}"),
                   409, "verb-refused", "stands after the pivot");
}
END_TEST

START_TEST(a_deed_that_makes_no_sense_is_invalid) {
    static const struct {
        const char *verb;
        const char *body;
        const char *says;
    } cases[] = {
        {"/write-off", "", "expected"},
        {"/write-off", "{\"reason\":\"r\"}", "'step' must be a text"},
        {"/write-off", "{\"step\":\"room\"}", "'reason' is missing"},
        {"/write-off", "{\"step\":\"room\",\"reason\":7}", "'reason' must be a text"},
        {"/write-off", "{\"step\":\"room\",\"reason\":\"r\",\"verdict\":\"done\"}",
         "unknown member 'verdict'"},
        {"/mark-compensated", "{\"step\":\"rom\",\"reason\":\"r\"}",
         "no step 'rom'; there is: room, seat, thanks"},
        {"/resolve", ROOM_BY_HAND, "'verdict' must be"},
        {"/resolve", "{\"step\":\"room\",\"reason\":\"r\",\"verdict\":\"fenced\"}",
         "'verdict' must be"},
        {"/resolve", "{\"step\":\"room\",\"reason\":\"r\",\"verdict\":\"rejected\",\"content\":{}}",
         "only a step that is done"},
    };
    char id[37];
    start_trip(id);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_problem(http_post(path_of(id, cases[i].verb), "", cases[i].body), 400,
                       "invalid-request", cases[i].says);
    }
    expect_problem(
        http_post("/v1/sagas/00000000-0000-7000-8000-000000000000/write-off", "", ROOM_BY_HAND),
        404, "unknown-saga", "no saga of this id");
    expect_status(id, "running");
}
END_TEST

static void expect_noted(const char *headers, const char *body, const char *who, const char *why) {
    char id[37];
    char expected[160];
    struct saga_chain chain;
    struct saga_log_reader *reader;
    start_trip(id);
    expect_act(http_post(path_of(id, "/retry"), headers, body), 202, "accepted", "running");
    read_chain(id, &chain, &reader);
    const struct saga_record *record = &chain.records[chain.count - 1];
    ck_assert_int_eq(record->fact, SAGA_OPERATOR_ACTED);
    const char *uid = strstr(who, "UID");
    if (uid != NULL) { /* stands for this process's */
        (void)snprintf(expected, sizeof expected, "%.*s%u%s", (int)(uid - who), who, getuid(),
                       uid + 3);
    } else {
        (void)snprintf(expected, sizeof expected, "%s", who);
    }
    ck_assert_uint_eq(record->key.size, strlen(expected));
    ck_assert_mem_eq(record->key.data, expected, strlen(expected));
    ck_assert_uint_eq(record->payload.size, strlen(why));
    ck_assert(strlen(why) == 0 || memcmp(record->payload.data, why, strlen(why)) == 0);
    saga_chain_fini(&chain);
    saga_log_reader_close(reader);
}

START_TEST(who_and_why_are_in_the_log) {
    expect_noted("", "{\"reason\":\"the hotel is back\"}", "unix:UID", "the hotel is back");
    expect_noted("Saga-Operator: ada\r\n", "", "ada (unix:UID)", "");
    expect_noted("Saga-Operator: \r\n", "{\"reason\":\"\"}", "unix:UID", "");
    stand_close();
    stand_open(&(struct stand_options){.listen = "tcp:127.0.0.1:0"});
    expect_noted("", "", "api", "");
    expect_noted("Saga-Operator: ada\r\n", "", "ada", "");
}
END_TEST

START_TEST(a_verb_that_makes_no_sense_is_refused) {
    char id[37];
    char header[256] = "Saga-Operator: ";
    char body[1200] = "{\"reason\":\"";
    start_trip(id);
    expect_problem(http_post(path_of(id, "/cancel"), "", "{\"reason\":7}"), 400, "invalid-request",
                   "'reason' must be a text");
    expect_problem(http_post(path_of(id, "/cancel"), "", "{\"why\":\"x\"}"), 400, "invalid-request",
                   "unknown member 'why'");
    expect_problem(http_post(path_of(id, "/cancel"), "", "now"), 400, "invalid-request",
                   "expected: {\"reason\"");
    memset(header + strlen(header), 'a', 129);
    strcat(header, "\r\n");
    expect_problem(http_post(path_of(id, "/cancel"), header, ""), 400, "invalid-request",
                   "at most 128 characters");
    memset(body + strlen(body), 'a', 1001);
    strcat(body, "\"}");
    expect_problem(http_post(path_of(id, "/cancel"), "", body), 413, "too-large",
                   "at most 1000 bytes");
    expect_status(id, "running");
}
END_TEST

/* ---------------------------------------------------------------------- others */

static size_t leaves(const json_t *json) {
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)json, name, value) {
        count += json_is_object(value) ? leaves(value) : 1;
    }
    return count;
}

START_TEST(every_counter_is_shown) {
    char id[37];
    start_trip(id);
    stand_complete(id);
    struct answer answer = http_get("/v1/stats");
    ck_assert_int_eq(answer.status, 200);
    /* Every number of the struct: `epoch` shares a word with padding, and the tables that
     * an enum numbers have no 0. A counter that is added there must be added here. */
    const size_t engine = sizeof(struct saga_engine_stats) / sizeof(uint64_t) - 4;
    const size_t api = leaves(json_object_get(answer.json, "api"));
    ck_assert_uint_eq(leaves(answer.json), engine + api);
    ck_assert_uint_eq(api, sizeof(struct saga_api_stats) / sizeof(uint64_t) - 1);
    answer_free(&answer);
    ck_assert_uint_eq(counter("sagas", "known"), 1);
    ck_assert_uint_eq(counter("sagas", "open"), 0);
    ck_assert_uint_eq(counter("starts", "started"), 1);
    ck_assert_uint_eq(counter("commands", "sent"), 3);
    ck_assert_uint_eq(counter("replies", "received"), 3);
    ck_assert_uint_eq(counter("records", "SAGA_ENDED"), 1);
    ck_assert_uint_gt(counter("log", "bytes"), 0);
    ck_assert_uint_gt(counter("batches", "committed"), 0);
    ck_assert_uint_eq(counter("api", "connections_open"), 1);
}
END_TEST

START_TEST(definitions_are_shown) {
    struct answer answer = http_get("/v1/definitions");
    ck_assert_int_eq(answer.status, 200);
    const json_t *definitions = json_object_get(answer.json, "definitions");
    ck_assert_uint_eq(json_array_size(definitions), 2);
    const json_t *trip = json_array_get(definitions, 0);
    ck_assert_str_eq(json_string_value(json_object_get(trip, "saga")), "trip");
    ck_assert_int_eq(json_integer_value(json_object_get(trip, "version")), 3);
    ck_assert_uint_eq(json_string_length(json_object_get(trip, "hash")), 32);
    answer_free(&answer);
}
END_TEST

START_TEST(it_lives_and_is_ready) {
    struct answer answer = http_get("/healthz");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), "ok");
    answer_free(&answer);
    answer = http_get("/readyz");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), "ready");
    answer_free(&answer);
    saga_api_ready(stand_api(), false);
    expect_problem(http_get("/readyz"), 503, "stopping", "");
    answer = http_get("/healthz");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("api_saga");
    TCase *api = tcase_create("api_saga");
    tcase_set_timeout(api, 60);
    tcase_add_checked_fixture(api, set_up, tear_down);
    tcase_add_test(api, a_saga_is_shown_as_the_protocol_says);
    tcase_add_test(api, an_id_is_whole_and_lower_case);
    tcase_add_test(api, reads_never_go_backwards);
    tcase_add_test(api, a_quarantined_saga_is_shown_with_what_is_wrong);
    tcase_add_test(api, waiting_for_what_has_ended_is_no_waiting);
    tcase_add_test(api, a_wait_ends_when_its_time_is_over);
    tcase_add_test(api, the_end_of_a_saga_wakes_those_who_wait_for_it);
    tcase_add_test(api, a_parked_saga_wakes_and_going_backward_does_not);
    tcase_add_test(api, no_end_is_missed);
    tcase_add_test(api, who_goes_away_does_not_wait_on);
    tcase_add_test(api, who_waits_hears_that_the_daemon_stops);
    tcase_add_test(api, a_wait_has_its_limits);
    tcase_add_test(api, cancel_goes_backward_once);
    tcase_add_test(api, cancel_waits_for_the_pivot_and_comes_too_late_after_it);
    tcase_add_test(api, retry_is_taken_or_refused);
    tcase_add_test(api, a_debt_is_settled_by_hand);
    tcase_add_test(api, the_pivot_is_resolved_rejected_when_its_fence_says_so);
    tcase_add_test(api, a_deed_that_makes_no_sense_is_invalid);
    tcase_add_test(api, who_and_why_are_in_the_log);
    tcase_add_test(api, a_verb_that_makes_no_sense_is_refused);
    tcase_add_test(api, every_counter_is_shown);
    tcase_add_test(api, definitions_are_shown);
    tcase_add_test(api, it_lives_and_is_ready);
    suite_add_tcase(suite, api);
    return suite;
}

int main(void) {
    return check_run(suite());
}
