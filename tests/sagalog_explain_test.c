/* sagalog explain: what it says of a saga is what the engine then does. */
#include "sagalog_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check_run.h"
#include "engine_fixture.h"
#include "ids.h"
#include "json.h"

static struct scratch scratch;

static void set_up(void) {
    scratch_open(&scratch);
    daemon_checkpoint_every(9);
    daemon_open(scratch.path);
    (void)unsetenv("COLUMNS");
}

static void tear_down(void) {
    daemon_kill();
    scratch_close(&scratch);
}

static json_t *explain(struct saga_id id) {
    char text[SAGA_ID_TEXT_SIZE];
    json_t *json = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(SAGALOG(scratch.path, "explain", saga_id_text(&id, text), "--json") == 0, "%s",
                  complained);
    ck_assert_msg(saga_json_parse(printed, printed_size, &json, &fault) == SAGA_OK, "%s: %s",
                  fault.text, printed);
    return json;
}

static const char *text_of(const json_t *json, const char *name) {
    const char *text = json_string_value(json_object_get(json, name));
    return text != NULL ? text : "";
}

/* ---------------------------------------------------------------------- scenes */

static unsigned key_number;

static struct saga_id start(void) {
    char key[32];
    (void)snprintf(key, sizeof key, "key-%u", key_number++);
    return booking_start(key, "{}");
}

static struct saga_id at_first_step(void) {
    return start();
}

static struct saga_id at_authorize(void) {
    const struct saga_id id = start();
    booking_say(id, "booking.create", "BOOKING_CREATED");
    booking_say(id, "parking.block", "PARKING_AVAILABLE");
    booking_say(id, "booking.approve", "BOOKING_APPROVED");
    return id;
}

static struct saga_id in_a_pause(void) {
    const struct saga_id id = at_authorize();
    booking_answer(id, "billing.authorize_payment", "", SAGA_RETRY);
    return id;
}

static struct saga_id at_pivot(void) {
    const struct saga_id id = at_authorize();
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    return id;
}

static struct saga_id cancelled_at_pivot(void) {
    const struct saga_id id = at_pivot();
    booking_operate(id, SAGA_VERB_CANCEL, "ann", "");
    return id;
}

static struct saga_id after_pivot(void) {
    const struct saga_id id = at_pivot();
    booking_say(id, "parking.reserve", "PARKING_RESERVED");
    return id;
}

static struct saga_id parked_at_pivot(void) {
    const struct saga_id id = at_pivot();
    for (int i = 0; i < 200; i++) {
        daemon_pass(100);
    }
    ck_assert_str_eq(booking_state(id), "parked");
    return id;
}

static struct saga_id going_back(void) {
    const struct saga_id id = at_authorize();
    booking_say(id, "billing.authorize_payment", "BILL_FAILED");
    return id;
}

static struct saga_id in_debt(void) {
    const struct saga_id id = going_back();
    booking_say(id, "booking.fence", "done");
    booking_say(id, "parking.unblock", "PARKING_STUCK");
    return id;
}

static struct saga_id parked_in_debt(void) {
    const struct saga_id id = in_debt();
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
    ck_assert_str_eq(booking_state(id), "parked");
    return id;
}

static struct saga_id settling(void) {
    const struct saga_id id = parked_in_debt();
    booking_settle(id, (struct saga_request){.type = SAGA_REQUEST_WRITE_OFF, .step = {"block", 5}},
                   "ann", "sold");
    return id;
}

static struct saga_id contract_broken(void) {
    const struct saga_id id = after_pivot();
    booking_answer(id, "booking.pay", "", SAGA_FENCED);
    ck_assert_str_eq(booking_state(id), "parked");
    return id;
}

static struct saga_id ended(void) {
    const struct saga_id id = after_pivot();
    booking_say(id, "booking.pay", "BOOKING_PAID");
    return id;
}

static struct saga_id (*const scenes[])(void) = {
    at_first_step, at_authorize,    in_a_pause, at_pivot, cancelled_at_pivot,
    after_pivot,   parked_at_pivot, going_back, in_debt,  parked_in_debt,
    settling,      contract_broken, ended,
};
#define SCENE_COUNT (sizeof scenes / sizeof scenes[0])

/* ----------------------------------------------------------------------- verbs */

static const char *const steps[] = {"create",    "block",   "approve",
                                    "authorize", "reserve", "confirm"};

static const struct {
    enum saga_request_type type;
    const char *name;
    const char *verdict;
    uint8_t said;
} verbs[] = {
    {SAGA_REQUEST_CANCEL, "cancel", "", 0},
    {SAGA_REQUEST_RETRY, "retry", "", 0},
    {SAGA_REQUEST_RESOLVE, "resolve", "done", SAGA_DONE},
    {SAGA_REQUEST_RESOLVE, "resolve", "rejected", SAGA_REJECTED},
    {SAGA_REQUEST_MARK_COMPENSATED, "mark-compensated", "", 0},
    {SAGA_REQUEST_WRITE_OFF, "write-off", "", 0},
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

/* What explain says of this verb; NULL: it is not among those that it offers. */
static const json_t *offered(const json_t *json, size_t verb, const char *step) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(json, "verbs"), i, item) {
        if (strcmp(text_of(item, "verb"), verbs[verb].name) == 0 &&
            strcmp(text_of(item, "verdict"), verbs[verb].verdict) == 0 &&
            strcmp(text_of(item, "step"), step) == 0) {
            return item;
        }
    }
    return NULL;
}

/* Has the engine do it; false: it refuses. *records: how many it has recorded. */
static bool act(struct saga_id id, size_t verb, const char *step, uint64_t *records) {
    struct saga_request request = world_request(verbs[verb].type);
    const uint64_t before = world_stats().last_lsn;
    request.id = id;
    request.key = world_bytes("ann");
    request.body = world_bytes("why");
    request.step = world_bytes(step);
    request.verdict = verbs[verb].said;
    world_take(&request);
    *records = world_stats().last_lsn - before;
    return request.result == SAGA_RESULT_ACCEPTED;
}

START_TEST(the_verbs_that_are_offered_are_those_that_the_engine_takes) {
    json_t *json = explain(scenes[_i]()); /* the others of the scene stand as this one does */
    for (size_t verb = 0; verb < VERB_COUNT; verb++) {
        const bool about_step = verb >= 2;
        for (size_t step = 0; step < (about_step ? 6u : 1u); step++) {
            const struct saga_id id = scenes[_i]();
            const char *name = about_step ? steps[step] : "";
            uint64_t records;
            const bool expected = offered(json, verb, name) != NULL;
            const bool taken = act(id, verb, name, &records) && records > 0;
            ck_assert_msg(taken == expected, "%s %s %s: %s, and explain says %s", verbs[verb].name,
                          name, verbs[verb].verdict, taken ? "taken" : "refused", printed);
        }
    }
    json_decref(json);
}
END_TEST

/* ---------------------------------------------------------------------- moments */

/* The first moment that explain names; 0: none. */
static int64_t first_due(const json_t *json) {
    int64_t first_ms = 0;
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(json, "next"), i, item) {
        const json_t *in = json_object_get(item, "in_ms");
        struct tm time = {0};
        int ms = 0;
        if (!json_is_integer(in)) {
            continue;
        }
        const char *rest = strptime(text_of(item, "at"), "%Y-%m-%dT%H:%M:%S", &time);
        ck_assert_ptr_nonnull(rest);
        ck_assert_int_eq(sscanf(rest, ".%3dZ", &ms), 1);
        const int64_t at_ms = (int64_t)timegm(&time) * 1000 + ms;
        first_ms = first_ms == 0 || at_ms < first_ms ? at_ms : first_ms;
    }
    return first_ms;
}

/* Of the test's clock. */
#define STEP_MS 50

/* Up to the moment that is named nothing is recorded; then something is. */
START_TEST(what_is_due_is_recorded_when_it_is_due) {
    const struct saga_id id = scenes[_i]();
    json_t *json = explain(id);
    const int64_t due_ms = first_due(json);
    const uint64_t before = world_stats().last_lsn;
    json_decref(json);
    if (due_ms == 0) {
        for (int i = 0; i < 100; i++) {
            daemon_pass(1000);
        }
        ck_assert_uint_eq(world_stats().last_lsn, before);
        return;
    }
    while (world.now.wall_ms < due_ms - 1) {
        const int64_t left_ms = due_ms - 1 - world.now.wall_ms;
        daemon_pass(left_ms < STEP_MS ? left_ms : STEP_MS);
        ck_assert_uint_eq(world_stats().last_lsn, before);
    }
    for (int i = 0; i < STEP_MS && world_stats().last_lsn == before; i++) {
        daemon_pass(1); /* a pause before it may have ended within a step */
    }
    ck_assert_uint_gt(world_stats().last_lsn, before);
}
END_TEST

/* ------------------------------------------------------------------------ words */

START_TEST(a_saga_that_waits_for_an_answer_says_for_whose) {
    const struct saga_id id = at_authorize();
    json_t *json = explain(id);
    const json_t *wait = json_array_get(json_object_get(json, "waits"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "waits")), 1);
    ck_assert_str_eq(text_of(wait, "for"), "answer");
    ck_assert_str_eq(text_of(wait, "step"), "authorize");
    ck_assert_str_eq(text_of(wait, "command"), "billing.authorize_payment");
    ck_assert_str_eq(text_of(wait, "participant"), "billing");
    ck_assert_str_eq(text_of(json, "direction"), "forward");
    ck_assert_str_eq(text_of(json, "pivot"), "ahead");
    ck_assert(json_is_true(json_object_get(json, "daemon")));
    json_decref(json);
    char text[SAGA_ID_TEXT_SIZE];
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", saga_id_text(&id, text) + 28), 0);
    expect_in(printed, "\nwhere     forward, 3 of 6 steps done; pivot: ahead\n");
    expect_in(printed, "\nwaits for the answer of billing to billing.authorize_payment (authorize, "
                       "action, attempt 1); since ");
    expect_in(printed, ": authorize: no answer -> attempt 2 in ");
    expect_in(printed, "if authorize is done -> reserve: parking.reserve\n");
    expect_in(printed, "if authorize is rejected -> go back (rejected), fence approve: "
                       "booking.fence\n");
    expect_in(printed, "\noperator  sagactl cancel ");
    expect_not_in(printed, "none runs here");
    daemon_kill();
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", text), 0);
    expect_in(printed, "\ndaemon    none runs here: nothing is sent, and nothing heard, until");
    daemon_open(scratch.path);
}
END_TEST

START_TEST(a_debt_names_what_would_end_it) {
    char text[SAGA_ID_TEXT_SIZE];
    const struct saga_id id = parked_in_debt();
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", saga_id_text(&id, text)), 0);
    expect_in(printed, "\nparked (debt), started ");
    expect_in(printed, "\nwaits for a person, about block (debt): its compensation was refused "
                       "(PARKING_STUCK); since ");
    expect_in(printed, " --step block --reason TEXT -> goes on, settle block: parking.settle\n");
    json_t *json = explain(id);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "next")), 0);
    json_decref(json);
}
END_TEST

START_TEST(after_a_restart_the_times_are_those_of_the_restart) {
    const struct saga_id id = at_authorize();
    daemon_restart(); /* 5 s later: its 2 s begin anew */
    json_t *json = explain(id);
    const int64_t due_ms = first_due(json);
    json_decref(json);
    ck_assert_int_gt(due_ms, world.now.wall_ms);
    ck_assert_int_le(due_ms, world.now.wall_ms + 2000);
}
END_TEST

START_TEST(one_out_of_service_says_why) {
    char text[SAGA_ID_TEXT_SIZE];
    const struct saga_id id = at_authorize();
    const struct saga_id other = ended();
    daemon_kill();
    (void)record_append(scratch.path, (struct saga_record){.saga = id,
                                                           .previous_lsn = 3,
                                                           .at_ms = 1718098299000,
                                                           .wall_ms = 1718098299000,
                                                           .fact = SAGA_PIVOT_PASSED,
                                                           .step = 1});
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", saga_id_text(&id, text)), 0);
    expect_in(printed, "\nquarantined, started ");
    expect_in(printed, "waits for a person (quarantined): record ");
    expect_not_in(printed, "\noperator");
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", saga_id_text(&other, text)), 0);
    expect_in(printed, "\nnext      nothing: it has ended\n");
    expect_not_in(printed, "\noperator");
    ck_assert_int_eq(SAGALOG(scratch.path, "explain", "nobody"), 3);
    daemon_open(scratch.path);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog explain");
    TCase *tests = tcase_create("explain");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 100);
    tcase_add_loop_test(tests, the_verbs_that_are_offered_are_those_that_the_engine_takes, 0,
                        SCENE_COUNT);
    tcase_add_loop_test(tests, what_is_due_is_recorded_when_it_is_due, 0, SCENE_COUNT);
    tcase_add_test(tests, a_saga_that_waits_for_an_answer_says_for_whose);
    tcase_add_test(tests, a_debt_names_what_would_end_it);
    tcase_add_test(tests, after_a_restart_the_times_are_those_of_the_restart);
    tcase_add_test(tests, one_out_of_service_says_why);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
