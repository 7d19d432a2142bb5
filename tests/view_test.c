/* A saga as JSON: status, reason, data, times and steps, from its records. */
#include "check_run.h"
#include "json.h"
#include "view.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char trip_text[] =
    "saga: trip\n"
    "version: 7\n"
    "participants:\n"
    "  hotel: {fenced: true}\n"
    "  train: {fenced: true}\n"
    "steps:\n"
    "  - name: room\n"
    "    command: hotel.book\n"
    "    done: [ROOM_BOOKED]\n"
    "    rejected: [NO_ROOM]\n"
    "    retry: {attempts: 2}\n"
    "    compensation: {command: hotel.cancel, done: [ROOM_CANCELLED]}\n"
    "  - name: seat\n"
    "    command: train.reserve\n"
    "    done: [SEAT_RESERVED]\n"
    "    rejected: [NO_SEAT]\n"
    "    pivot: true\n"
    "  - name: thanks\n"
    "    command: hotel.thank\n"
    "    done: [THANKED]\n";
enum { ROOM, SEAT, THANKS };

#define BEGIN_MS INT64_C(1718098200125) /* 2024-06-11T09:30:00.125Z */

/* One saga, decided by the core, its records kept. */
static struct {
    struct saga_definition *definition;
    struct saga *saga;
    struct saga_record records[64];
    struct saga_chain chain;
    int64_t now_ms;
} trip;

static void keep(const struct saga_decision *decision) {
    for (uint8_t i = 0; i < decision->record_count; i++) {
        ck_assert_uint_lt(trip.chain.count, 64);
        trip.records[trip.chain.count++] = decision->records[i];
    }
}

static void decide(struct saga_event event) {
    struct saga_decision decision;
    do {
        const uint64_t next_lsn = trip.records[trip.chain.count - 1].lsn + 1;
        event.at_ms = trip.now_ms;
        event.wall_ms = trip.now_ms + 1000; /* the clocks differ: shown is the wall's */
        event.epoch = 1;
        if (event.type == 0) {
            saga_follow(trip.saga, &trip.definition->plan, &event, next_lsn, &decision);
        } else {
            saga_decide(trip.saga, &trip.definition->plan, &event, next_lsn, &decision);
        }
        keep(&decision);
        event = (struct saga_event){
            .type = SAGA_INPUT_RENDERED,
            .step = decision.render_step,
            .operation = decision.render_operation,
        };
    } while (decision.render_step != SAGA_STEP_NONE);
}

static void start(const char *input) {
    trip.records[0] = (struct saga_record){
        .lsn = 2,
        .saga = {{0x01, 0x90, 0x06, 0x5e, 0, 0, 0x70, 0, 0x80, [15] = 0xab}},
        .at_ms = trip.now_ms,
        .wall_ms = trip.now_ms + 1000,
        .definition_lsn = 1,
        .epoch = 1,
        .fact = SAGA_STARTED,
        .step = SAGA_STEP_NONE,
        .payload = {input, (uint32_t)strlen(input)},
    };
    trip.chain.count = 1;
    ck_assert_int_eq(saga_begin(trip.saga, &trip.definition->plan, &trip.records[0]), SAGA_APPLIED);
    decide((struct saga_event){.step = SAGA_STEP_NONE});
}

static void reply(uint8_t step, uint8_t operation, uint8_t verdict, const char *body) {
    trip.now_ms += 10;
    decide((struct saga_event){
        .type = SAGA_INPUT_REPLY,
        .step = step,
        .operation = operation,
        .verdict = verdict,
        .incarnation = 1,
        .revision = 1,
        .payload = {body, (uint32_t)strlen(body)},
    });
}

static void set_up(void) {
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(
        saga_definition_parse(trip_text, sizeof trip_text - 1, &trip.definition, &diagnostics),
        SAGA_OK);
    trip.definition->plan.definition_lsn = 1;
    trip.saga = malloc(saga_size(trip.definition->plan.step_count));
    ck_assert_ptr_nonnull(trip.saga);
    trip.chain = (struct saga_chain){.records = trip.records};
    trip.now_ms = BEGIN_MS - 1000;
}

static void tear_down(void) {
    free(trip.saga);
    saga_definition_free(trip.definition);
}

static json_t *shown_as(const char *status) {
    const struct saga_view view = {
        .id = trip.saga->id,
        .chain = &trip.chain,
        .saga = trip.saga,
        .definition = trip.definition,
        .status = status,
    };
    json_t *json = saga_view_json(&view);
    ck_assert_ptr_nonnull(json);
    return json;
}

static void expect(const char *expected) {
    json_t *json = shown_as(NULL);
    size_t size;
    char *text = saga_json_text(json, &size);
    json_decref(json);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void expect_part(const char *name, const char *expected) {
    json_t *json = shown_as(NULL);
    size_t size;
    char *text = saga_json_text(json_object_get(json, name), &size);
    json_decref(json);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void expect_no_attention(void) {
    json_t *json = shown_as(NULL);
    ck_assert_ptr_null(json_object_get(json, "attention"));
    json_decref(json);
}

static void act(enum saga_input_type type, uint8_t step, uint8_t verdict, const char *content) {
    trip.now_ms += 10;
    decide((struct saga_event){
        .type = (uint8_t)type,
        .step = step,
        .verdict = verdict,
        .content = {content, (uint32_t)strlen(content)},
    });
}

#define ID "0190065e-0000-7000-8000-0000000000ab"

START_TEST(a_saga_that_runs) {
    start("{\"guest\":\"Ada\",\"price\":99.90}");
    expect("{\"id\":\"" ID "\",\"saga\":\"trip\",\"version\":7,\"status\":\"running\","
           "\"reason\":null,\"started_at\":\"2024-06-11T09:30:00.125Z\",\"ended_at\":null,"
           "\"data\":{\"guest\":\"Ada\",\"price\":99.9},\"steps\":["
           "{\"name\":\"room\",\"status\":\"running\",\"attempts\":1},"
           "{\"name\":\"seat\",\"status\":\"pending\",\"attempts\":0},"
           "{\"name\":\"thanks\",\"status\":\"pending\",\"attempts\":0}]}");
}
END_TEST

START_TEST(a_saga_that_completed) {
    start("{\"guest\":\"Ada\"}");
    reply(ROOM, SAGA_ACTION, SAGA_RETRY, "");
    reply(ROOM, SAGA_ACTION, SAGA_DONE,
          "{\"id\":\"x\",\"content\":{\"room\":12},\"reply_state\":"
          "\"ROOM_BOOKED\"}");
    reply(SEAT, SAGA_ACTION, SAGA_DONE, "{\"content\":{\"seat\":\"4A\",\"guest\":\"A. L.\"}}");
    reply(THANKS, SAGA_ACTION, SAGA_DONE, "");
    expect("{\"id\":\"" ID "\",\"saga\":\"trip\",\"version\":7,\"status\":\"completed\","
           "\"reason\":null,\"started_at\":\"2024-06-11T09:30:00.125Z\","
           "\"ended_at\":\"2024-06-11T09:30:00.165Z\","
           "\"data\":{\"guest\":\"A. L.\",\"room\":12,\"seat\":\"4A\"},\"steps\":["
           "{\"name\":\"room\",\"status\":\"done\",\"attempts\":2},"
           "{\"name\":\"seat\",\"status\":\"done\",\"attempts\":1},"
           "{\"name\":\"thanks\",\"status\":\"done\",\"attempts\":1}]}");
}
END_TEST

START_TEST(the_reason_is_why_it_goes_or_went_backward) {
    start("{}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "");
    expect_part("reason", "null");
    reply(SEAT, SAGA_ACTION, SAGA_REJECTED, "{\"content\":{\"seat\":\"none\"}}");
    expect_part("status", "\"compensating\"");
    expect_part("reason", "\"rejected\"");
    expect_part("ended_at", "null");
    reply(ROOM, SAGA_COMPENSATION, SAGA_DONE, "{\"content\":{\"refund\":1}}");
    expect_part("status", "\"compensated\"");
    expect_part("reason", "\"rejected\"");
    expect_part("ended_at", "\"2024-06-11T09:30:00.155Z\"");
    expect_part("steps", "[{\"name\":\"room\",\"status\":\"compensated\",\"attempts\":1},"
                         "{\"name\":\"seat\",\"status\":\"rejected\",\"attempts\":1},"
                         "{\"name\":\"thanks\",\"status\":\"pending\",\"attempts\":0}]");
    /* neither a rejection nor a compensation adds to the data */
    expect_part("data", "{}");
}
END_TEST

START_TEST(parked_has_the_reason_of_the_parking) {
    start("{}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "");
    reply(SEAT, SAGA_ACTION, SAGA_REJECTED, "");
    reply(ROOM, SAGA_COMPENSATION, SAGA_REJECTED, "");
    expect_part("status", "\"parked\"");
    expect_part("reason", "\"debt\"");
    expect_part("steps", "[{\"name\":\"room\",\"status\":\"debt\",\"attempts\":1},"
                         "{\"name\":\"seat\",\"status\":\"rejected\",\"attempts\":1},"
                         "{\"name\":\"thanks\",\"status\":\"pending\",\"attempts\":0}]");
}
END_TEST

START_TEST(a_debt_is_shown_with_what_would_end_it) {
    start("{}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "");
    expect_no_attention();
    reply(SEAT, SAGA_ACTION, SAGA_REJECTED, "");
    reply(ROOM, SAGA_COMPENSATION, SAGA_REJECTED, "{\"reply_state\":\"NO_REFUND\"}");
    expect_part("attention",
                "[{\"step\":\"room\",\"reason\":\"debt\",\"since\":\"2024-06-11T09:30:00.155Z\","
                "\"why\":\"its compensation was refused (NO_REFUND)\","
                "\"verbs\":[\"retry\",\"mark-compensated\",\"write-off\"]}]");
    act(SAGA_INPUT_WRITE_OFF, ROOM, 0, "");
    expect_part("status", "\"compensating\"");
    expect_no_attention(); /* somebody has seen to it */
    reply(ROOM, SAGA_SETTLE, SAGA_DONE, "{\"content\":{\"never\":\"merged\"}}");
    expect_part("status", "\"inconsistent\"");
    expect_part("data", "{}");
    expect_part("steps", "[{\"name\":\"room\",\"status\":\"debt\",\"attempts\":1},"
                         "{\"name\":\"seat\",\"status\":\"rejected\",\"attempts\":1},"
                         "{\"name\":\"thanks\",\"status\":\"pending\",\"attempts\":0}]");
}
END_TEST

START_TEST(a_doubt_is_shown_and_an_operators_result_adds_to_the_data) {
    start("{}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "{\"content\":{\"room\":1}}");
    for (int i = 0; i < 30; i++) { /* the seat's attempts, then its fence's */
        trip.now_ms += 100000;
        decide((struct saga_event){.type = SAGA_INPUT_TIMEOUT, .step = SEAT});
    }
    expect_part("status", "\"parked\"");
    json_t *json = shown_as(NULL);
    const json_t *item = json_array_get(json_object_get(json, "attention"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(item, "step")), "seat");
    ck_assert_str_eq(json_string_value(json_object_get(item, "reason")), "in_doubt");
    ck_assert_uint_eq(json_array_size(json_object_get(item, "verbs")), 4);
    json_decref(json);
    act(SAGA_INPUT_RESOLVE, SEAT, SAGA_DONE, "{\"seat\":\"5C\",\"room\":2}");
    expect_part("status", "\"running\"");
    expect_part("data", "{\"room\":2,\"seat\":\"5C\"}");
    reply(THANKS, SAGA_ACTION, SAGA_DONE, "");
    expect_part("status", "\"completed_manually\"");
    expect_part("reason", "null");
}
END_TEST

START_TEST(only_objects_in_a_readable_body_add_to_the_data) {
    start("{\"a\":1}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "{\"content\":[1,2],\"reply_state\":\"ROOM_BOOKED\"}");
    reply(SEAT, SAGA_ACTION, SAGA_DONE, "not JSON at all");
    reply(THANKS, SAGA_ACTION, SAGA_DONE, "{\"content\":null}");
    expect_part("status", "\"completed\"");
    expect_part("data", "{\"a\":1}");
}
END_TEST

START_TEST(a_fences_done_adds_to_the_data) {
    start("{}");
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        trip.now_ms += 100000;
        decide((struct saga_event){.type = SAGA_INPUT_TIMEOUT, .step = ROOM});
    }
    expect_part("steps", "[{\"name\":\"room\",\"status\":\"fencing\",\"attempts\":1},"
                         "{\"name\":\"seat\",\"status\":\"pending\",\"attempts\":0},"
                         "{\"name\":\"thanks\",\"status\":\"pending\",\"attempts\":0}]");
    reply(ROOM, SAGA_FENCE, SAGA_DONE, "{\"content\":{\"room\":3}}");
    expect_part("data", "{\"room\":3}");
}
END_TEST

START_TEST(a_late_reply_changes_neither_data_nor_times) {
    start("{}");
    reply(ROOM, SAGA_ACTION, SAGA_DONE, "");
    reply(SEAT, SAGA_ACTION, SAGA_FENCED, "");
    json_t *before = shown_as(NULL);
    const size_t count = trip.chain.count;
    reply(SEAT, SAGA_ACTION, SAGA_DONE, "{\"content\":{\"seat\":\"5C\"}}");
    ck_assert_uint_eq(trip.chain.count, count + 1);
    ck_assert_int_eq(trip.records[count].fact, SAGA_LATE_REPLY_RECEIVED);
    json_t *after = shown_as(NULL);
    ck_assert(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}
END_TEST

START_TEST(a_quarantined_saga_is_shown_as_far_as_it_goes) {
    start("{\"a\":1}");
    /* its fold stopped before this record */
    trip.records[trip.chain.count] = trip.records[trip.chain.count - 1];
    trip.records[trip.chain.count].lsn++;
    trip.records[trip.chain.count].fact = SAGA_REPLY_RECEIVED;
    trip.records[trip.chain.count].verdict = SAGA_DONE;
    trip.records[trip.chain.count].payload = (struct saga_bytes){"{\"content\":{\"a\":2}}", 19};
    trip.chain.count++;
    json_t *json = shown_as("quarantined");
    ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "quarantined");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "data"), "a")), 1);
    json_decref(json);
    const struct saga_view unread = {.id = trip.saga->id, .status = "quarantined"};
    json = saga_view_json(&unread);
    ck_assert_ptr_nonnull(json);
    size_t size;
    char *text = saga_json_text(json, &size);
    ck_assert_str_eq(text, "{\"id\":\"" ID "\",\"saga\":null,\"version\":null,\"status\":"
                           "\"quarantined\",\"reason\":null,\"started_at\":null,\"ended_at\":null,"
                           "\"data\":null,\"steps\":[]}");
    free(text);
    json_decref(json);
    /* without a definition there are no names of steps */
    const struct saga_view nameless = {.id = trip.saga->id, .chain = &trip.chain};
    json = saga_view_json(&nameless);
    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "steps")), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "data"), "a")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json, "started_at")),
                     "2024-06-11T09:30:00.125Z");
    json_decref(json);
}
END_TEST

START_TEST(times_are_rfc_3339) {
    char text[SAGA_TIME_TEXT_SIZE];
    ck_assert_str_eq(saga_time_text(0, text), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(saga_time_text(-5, text), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(saga_time_text(1709251199999, text), "2024-02-29T23:59:59.999Z");
    ck_assert_str_eq(saga_time_text(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("view");
    TCase *view = tcase_create("view");
    tcase_add_checked_fixture(view, set_up, tear_down);
    tcase_add_test(view, a_saga_that_runs);
    tcase_add_test(view, a_saga_that_completed);
    tcase_add_test(view, the_reason_is_why_it_goes_or_went_backward);
    tcase_add_test(view, parked_has_the_reason_of_the_parking);
    tcase_add_test(view, a_debt_is_shown_with_what_would_end_it);
    tcase_add_test(view, a_doubt_is_shown_and_an_operators_result_adds_to_the_data);
    tcase_add_test(view, only_objects_in_a_readable_body_add_to_the_data);
    tcase_add_test(view, a_fences_done_adds_to_the_data);
    tcase_add_test(view, a_late_reply_changes_neither_data_nor_times);
    tcase_add_test(view, a_quarantined_saga_is_shown_as_far_as_it_goes);
    tcase_add_test(view, times_are_rfc_3339);
    suite_add_tcase(suite, view);
    return suite;
}

int main(void) {
    return check_run(suite());
}
