/* What the API answers to starts, and how it lists sagas. */
#include "api_fixture.h"
#include "check_run.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_up(void) {
    stand_open(&(struct stand_options){0});
}

static void tear_down(void) {
    stand_close();
    stand_remove();
}

/* ----------------------------------------------------------------------- start */

START_TEST(a_start_is_answered_when_it_is_durable) {
    struct answer answer = http_post(
        "/v1/sagas", "", "{\"saga\": \"trip\", \"input\": {\"guest\": \"Ada\", \"price\": 9.50}}");
    ck_assert_int_eq(answer.status, 201);
    ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/json");
    ck_assert_str_eq(answer_text(&answer, "saga"), "trip");
    ck_assert_str_eq(answer_text(&answer, "status"), "running");
    const char *id = answer_text(&answer, "id");
    ck_assert_str_eq(answer_header(&answer, "Location"), path_of(id, ""));

    struct saga_chain chain;
    struct saga_log_reader *reader;
    read_chain(id, &chain, &reader);
    ck_assert_int_eq(chain.records[0].fact, SAGA_STARTED);
    ck_assert_uint_eq(chain.records[0].key.size, 0);
    ck_assert_uint_eq(chain.records[0].payload.size, 27);
    ck_assert_mem_eq(chain.records[0].payload.data, "{\"guest\":\"Ada\",\"price\":9.5}", 27);
    saga_chain_fini(&chain);
    saga_log_reader_close(reader);
    answer_free(&answer);
}
END_TEST

START_TEST(one_key_is_one_saga) {
    const char key[] = "Idempotency-Key: order 4711\r\n";
    struct answer first =
        http_post("/v1/sagas", key, "{\"saga\":\"trip\",\"input\":{\"a\":1,\"b\":[1.0]}}");
    ck_assert_int_eq(first.status, 201);
    /* the same input, written in another way */
    struct answer again =
        http_post("/v1/sagas", key, "{ \"input\": {\"b\": [1.00], \"a\": 1}, \"saga\": \"trip\" }");
    ck_assert_int_eq(again.status, 200);
    ck_assert_str_eq(answer_text(&again, "id"), answer_text(&first, "id"));
    ck_assert_str_eq(answer_header(&again, "Location"), path_of(answer_text(&first, "id"), ""));
    ck_assert_str_eq(answer_text(&again, "status"), "running");
    /* another input, another saga */
    expect_problem(http_post("/v1/sagas", key, "{\"saga\":\"trip\",\"input\":{\"a\":2}}"), 409,
                   "key-conflict", answer_text(&first, "id"));
    expect_problem(
        http_post("/v1/sagas", key, "{\"saga\":\"tour\",\"input\":{\"a\":1,\"b\":[1.0]}}"), 409,
        "key-conflict", "use a new key");
    ck_assert_uint_eq(saga_count(), 1);

    stand_complete(answer_text(&first, "id"));
    struct answer late =
        http_post("/v1/sagas", key, "{\"saga\":\"trip\",\"input\":{\"a\":1,\"b\":[1.0]}}");
    ck_assert_int_eq(late.status, 200);
    ck_assert_str_eq(answer_text(&late, "id"), answer_text(&first, "id"));
    ck_assert_str_eq(answer_text(&late, "status"), "completed");
    answer_free(&first);
    answer_free(&again);
    answer_free(&late);
}
END_TEST

START_TEST(a_key_outlives_the_daemon) {
    const char key[] = "Idempotency-Key: k\r\n";
    const char body[] = "{\"saga\":\"trip\",\"input\":{}}";
    struct answer first = http_post("/v1/sagas", key, body);
    ck_assert_int_eq(first.status, 201);
    stand_close();
    stand_open(&(struct stand_options){0});
    struct answer again = http_post("/v1/sagas", key, body);
    ck_assert_int_eq(again.status, 200);
    ck_assert_str_eq(answer_text(&again, "id"), answer_text(&first, "id"));
    answer_free(&first);
    answer_free(&again);
}
END_TEST

START_TEST(without_a_key_each_start_is_a_saga) {
    char one[37];
    char other[37];
    start_trip(one);
    start_trip(other);
    ck_assert_str_ne(one, other);
    ck_assert_uint_eq(saga_count(), 2);
}
END_TEST

enum { STARTERS = 24, STARTS = 8 };

struct starter {
    pthread_t thread;
    char ids[STARTS][37];
    int created;
};

static void *start_again_and_again(void *context) {
    struct starter *starter = context;
    for (int i = 0; i < STARTS; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "Idempotency-Key: race-%d\r\n", i);
        struct answer answer =
            http_post("/v1/sagas", key, "{\"saga\":\"trip\",\"input\":{\"x\":[1,2,3]}}");
        ck_assert_msg(answer.status == 201 || answer.status == 200, "%s", answer.body);
        starter->created += answer.status == 201;
        strcpy(starter->ids[i], answer_text(&answer, "id"));
        answer_free(&answer);
    }
    return NULL;
}

START_TEST(concurrent_starts_of_one_key_are_one_start) {
    static struct starter starters[STARTERS];
    int created = 0;
    for (int i = 0; i < STARTERS; i++) {
        ck_assert_int_eq(
            pthread_create(&starters[i].thread, NULL, start_again_and_again, &starters[i]), 0);
    }
    for (int i = 0; i < STARTERS; i++) {
        ck_assert_int_eq(pthread_join(starters[i].thread, NULL), 0);
        created += starters[i].created;
        for (int j = 0; j < STARTS; j++) {
            ck_assert_str_eq(starters[i].ids[j], starters[0].ids[j]);
        }
    }
    ck_assert_int_eq(created, STARTS);
    ck_assert_uint_eq(saga_count(), STARTS);
    ck_assert_uint_eq(counter("starts", "started"), STARTS);
    ck_assert_uint_eq(counter("starts", "started_again"), (STARTERS - 1) * STARTS);
}
END_TEST

static void refused(const char *headers, const char *body, int status, const char *type,
                    const char *detail) {
    expect_problem(http_post("/v1/sagas", headers, body), status, type, detail);
}

START_TEST(a_start_that_makes_no_sense_is_refused_with_its_place) {
    refused("", "", 400, "invalid-request", "there is nothing");
    refused("", "{\"saga\": \"trip\", \"input\": {\"a\": 1,}}", 400, "invalid-request",
            "line 1, column 35");
    refused("", "{\"saga\": \"trip\", \"input\": {\"a\": 1, \"a\": 2}}", 400, "invalid-request",
            "duplicate object key");
    refused("", "{\"saga\": \"trip\", \"saga\": \"tour\", \"input\": {}}", 400, "invalid-request",
            "duplicate object key");
    refused("", "[1]", 400, "invalid-request", "not an object");
    refused("", "{\"input\": {}}", 400, "invalid-request", "'saga' must be a text");
    refused("", "{\"saga\": 7, \"input\": {}}", 400, "invalid-request", "'saga' must be a text");
    refused("", "{\"saga\": \"trip\"}", 400, "invalid-request", "'input' must be an object");
    refused("", "{\"saga\": \"trip\", \"input\": [1]}", 400, "invalid-request",
            "'input' must be an object");
    refused("", "{\"saga\": \"trip\", \"input\": {}, \"inptu\": 1}", 400, "invalid-request",
            "unknown member 'inptu'");
    refused("", "{\"saga\": \"trip\", \"input\": {\"a\": 99999999999999999999}}", 400,
            "invalid-request", "out of range");
    refused("", "{\"saga\": \"trip\", \"input\": {\"a\": \"\xff\"}}", 400, "invalid-request",
            "unable to decode byte 0xff");
    refused("", "{\"saga\": \"trap\", \"input\": {}}", 404, "unknown-definition",
            "there is no saga 'trap' here; there is: trip, tour");
    ck_assert_uint_eq(saga_count(), 0);
}
END_TEST

START_TEST(deep_and_large_inputs_are_refused) {
    char deep[256] = "{\"saga\":\"trip\",\"input\":{\"a\":";
    const size_t before = strlen(deep);
    memset(deep + before, '[', 40);
    memset(deep + before + 40, ']', 40);
    strcpy(deep + before + 80, "}}");
    refused("", deep, 400, "invalid-request", "nested deeper than the limit of 32 levels");

    const size_t size = 1u << 20; /* one byte more than allowed, with the rest */
    char *large = calloc(1, size + 64);
    ck_assert_ptr_nonnull(large);
    const int start = snprintf(large, 64, "{\"saga\":\"trip\",\"input\":{\"a\":\"");
    memset(large + start, 'x', size - (size_t)start - 3);
    strcpy(large + size - 3, "\"}}");
    ck_assert_uint_eq(strlen(large), size);
    struct answer answer = http_post("/v1/sagas", "", large);
    ck_assert_msg(answer.status == 201, "%s", answer.body); /* exactly the limit */
    answer_free(&answer);
    strcpy(large + size - 3, "x\"}}");
    refused("", large, 413, "too-large", "at most 1048576 bytes");
    free(large);
    ck_assert_uint_eq(saga_count(), 1);
}
END_TEST

START_TEST(a_key_is_1_to_255_printable_characters) {
    const char body[] = "{\"saga\":\"trip\",\"input\":{}}";
    char header[512];
    char key[300];
    memset(key, 'k', sizeof key);
    key[255] = '\0';
    (void)snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", key);
    struct answer answer = http_post("/v1/sagas", header, body);
    ck_assert_int_eq(answer.status, 201);
    answer_free(&answer);
    key[255] = 'k';
    key[256] = '\0';
    (void)snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", key);
    refused(header, body, 400, "invalid-request", "1 to 255 characters");
    refused("Idempotency-Key: \r\n", body, 400, "invalid-request", "1 to 255 characters");
    refused("Idempotency-Key: caf\xc3\xa9\r\n", body, 400, "invalid-request", "printable ASCII");
    refused("Idempotency-Key: a\r\nIdempotency-Key: b\r\n", body, 400, "malformed-request",
            "Idempotency-Key may be there only once");
    ck_assert_uint_eq(saga_count(), 1);
}
END_TEST

START_TEST(nothing_is_started_while_the_daemon_stops) {
    char id[37];
    start_trip(id);
    stand_drain();
    struct answer answer = http_get("/readyz");
    ck_assert_str_eq(answer_header(&answer, "Retry-After"), "1");
    expect_problem(answer, 503, "stopping", "no saga is started");
    /* The engine takes notice with the next thing it takes. */
    struct answer stats = http_get("/v1/stats");
    answer_free(&stats);
    refused("", "{\"saga\":\"trip\",\"input\":{}}", 503, "stopping", "the daemon is stopping");
    expect_status(id, "running"); /* looking is allowed */
}
END_TEST

START_TEST(a_full_engine_says_so) {
    char id[37];
    stand_close();
    stand_open(&(struct stand_options){.sagas_max = 2});
    start_trip(id);
    start_trip(id);
    refused("", "{\"saga\":\"trip\",\"input\":{}}", 507, "full", "2 sagas are open, the limit");
    stand_complete(id);
    start_trip(id);
}
END_TEST

/* ------------------------------------------------------------------------ list */

START_TEST(sagas_are_listed_newest_first_in_pages) {
    enum { COUNT = 7 };
    char ids[COUNT][37];
    char path[64] = "/v1/sagas?limit=3";
    size_t seen = 0;
    for (size_t i = 0; i < COUNT; i++) {
        start_trip(ids[i]);
    }
    for (int page = 0; page < 3; page++) {
        struct answer answer = http_get(path);
        ck_assert_int_eq(answer.status, 200);
        size_t i;
        const json_t *row;
        json_array_foreach(json_object_get(answer.json, "sagas"), i, row) {
            ck_assert_uint_eq(json_object_size(row), 5);
            ck_assert_str_eq(json_string_value(json_object_get(row, "id")),
                             ids[COUNT - 1 - seen++]);
            ck_assert_str_eq(json_string_value(json_object_get(row, "saga")), "trip");
            ck_assert_int_eq(json_integer_value(json_object_get(row, "version")), 3);
            ck_assert_str_eq(json_string_value(json_object_get(row, "status")), "running");
            ck_assert_uint_eq(json_string_length(json_object_get(row, "started_at")), 24);
        }
        if (page < 2) {
            ck_assert_uint_eq(json_array_size(json_object_get(answer.json, "sagas")), 3);
            (void)snprintf(path, sizeof path, "/v1/sagas?limit=3&cursor=%s",
                           answer_text(&answer, "next_cursor"));
        } else {
            ck_assert(json_is_null(json_object_get(answer.json, "next_cursor")));
        }
        answer_free(&answer);
        if (page == 0) {
            char another[37];
            start_trip(another); /* newer ones do not shift the pages */
        }
    }
    ck_assert_uint_eq(seen, COUNT);
}
END_TEST

static void expect_listed(const char *path, size_t count) {
    struct answer answer = http_get(path);
    ck_assert_msg(answer.status == 200, "%s", answer.body);
    ck_assert_msg(json_array_size(json_object_get(answer.json, "sagas")) == count, "%s: %s", path,
                  answer.body);
    answer_free(&answer);
}

START_TEST(lists_are_filtered) {
    char trip[37];
    char other[37];
    start_trip(trip);
    start_trip(other);
    stand_complete(trip);
    struct answer tour = http_post("/v1/sagas", "", "{\"saga\":\"tour\",\"input\":{}}");
    ck_assert_int_eq(tour.status, 201);
    answer_free(&tour);
    expect_listed("/v1/sagas", 3);
    expect_listed("/v1/sagas?status=running", 2);
    expect_listed("/v1/sagas?status=completed", 1);
    expect_listed("/v1/sagas?status=parked", 0);
    expect_listed("/v1/sagas?saga=tour", 1);
    expect_listed("/v1/sagas?saga=nothing", 0);
    expect_listed("/v1/sagas?saga=trip&status=running", 1);
    expect_listed("/v1/sagas?limit=1", 1);
    expect_listed("/v1/sagas?limit=500", 3);
    static const char *const statuses[] = {"running",
                                           "compensating",
                                           "completed",
                                           "compensated",
                                           "parked",
                                           "completed_manually",
                                           "compensated_manually",
                                           "inconsistent",
                                           "quarantined"};
    for (size_t i = 0; i < 9; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/v1/sagas?limit=2&status=%s", statuses[i]);
        struct answer answer = http_get(path);
        ck_assert_int_eq(answer.status, 200);
        answer_free(&answer);
    }
}
END_TEST

START_TEST(a_list_that_makes_no_sense_is_refused) {
    expect_problem(http_get("/v1/sagas?status=runing"), 400, "invalid-request",
                   "there is no status 'runing'; there are: running, compensating");
    static const char *const limits[] = {"0",  "501", "-1", "ten", "", "99999999999999999999",
                                         "1e2"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/v1/sagas?limit=%s", limits[i]);
        expect_problem(http_get(path), 400, "invalid-request", "a number from 1 to 500");
    }
    expect_problem(http_get("/v1/sagas?cursor=abc"), 400, "invalid-request", "next_cursor");
    expect_problem(http_get("/v1/sagas?cursor=0"), 400, "invalid-request", "next_cursor");
    expect_problem(http_get("/v1/sagas?state=running"), 400, "invalid-request",
                   "there is no 'state' in this resource's query; there may be: status, saga, "
                   "limit, cursor");
    expect_problem(http_get("/v1/sagas?limit=1&limit=2"), 400, "invalid-request",
                   "'limit' is in the query twice");
    expect_problem(http_get("/v1/sagas?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1"), 400,
                   "invalid-request", "there is no 'a'");
    expect_problem(http_get("/v1/stats?verbose=1"), 400, "invalid-request",
                   "there may be: nothing");
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("api_start");
    TCase *api = tcase_create("api_start");
    tcase_set_timeout(api, 60);
    tcase_add_checked_fixture(api, set_up, tear_down);
    tcase_add_test(api, a_start_is_answered_when_it_is_durable);
    tcase_add_test(api, one_key_is_one_saga);
    tcase_add_test(api, a_key_outlives_the_daemon);
    tcase_add_test(api, without_a_key_each_start_is_a_saga);
    tcase_add_test(api, concurrent_starts_of_one_key_are_one_start);
    tcase_add_test(api, a_start_that_makes_no_sense_is_refused_with_its_place);
    tcase_add_test(api, deep_and_large_inputs_are_refused);
    tcase_add_test(api, a_key_is_1_to_255_printable_characters);
    tcase_add_test(api, nothing_is_started_while_the_daemon_stops);
    tcase_add_test(api, a_full_engine_says_so);
    tcase_add_test(api, sagas_are_listed_newest_first_in_pages);
    tcase_add_test(api, lists_are_filtered);
    tcase_add_test(api, a_list_that_makes_no_sense_is_refused);
    suite_add_tcase(suite, api);
    return suite;
}

int main(void) {
    return check_run(suite());
}
