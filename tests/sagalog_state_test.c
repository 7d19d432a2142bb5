/* sagalog state: what it says of the past is what it said when that was the present. */
#include "sagalog_fixture.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "engine_fixture.h"
#include "ids.h"
#include "json.h"

#define MOMENTS_MAX 64

static struct scratch scratch;
static struct saga_id saga;
static char id[SAGA_ID_TEXT_SIZE];

/* What was said of the saga, when. */
static struct moment {
    uint64_t lsn;
    char *said;
} moments[MOMENTS_MAX];
static size_t moment_count;

static void set_up(void) {
    scratch_open(&scratch);
    daemon_checkpoint_every(9);
    daemon_open(scratch.path);
    moment_count = 0;
    (void)unsetenv("COLUMNS");
}

static void tear_down(void) {
    for (size_t i = 0; i < moment_count; i++) {
        free(moments[i].said);
    }
    daemon_kill();
    scratch_close(&scratch);
}

static void note(void) {
    ck_assert_uint_lt(moment_count, MOMENTS_MAX);
    ck_assert_msg(SAGALOG(scratch.path, "state", id, "--json") == 0, "%s", complained);
    moments[moment_count++] =
        (struct moment){.lsn = world_stats().last_lsn, .said = strdup(printed)};
}

static void start(void) {
    saga = booking_start("one", "{\"total\":3,\"pin\":5}");
    (void)saga_id_text(&saga, id);
    note();
}

static void say(const char *command, const char *event) {
    booking_say(saga, command, event);
    note();
}

static void pass(int64_t ms) {
    daemon_pass(ms);
    note();
}

/* What is said of each of those moments now. */
static void expect_the_same(void) {
    for (size_t i = 0; i < moment_count; i++) {
        char at[32];
        (void)snprintf(at, sizeof at, "--at=%" PRIu64, moments[i].lsn);
        ck_assert_int_eq(SAGALOG(scratch.path, "state", id, "--json", at), 0);
        ck_assert_str_eq(printed, moments[i].said);
    }
}

START_TEST(the_past_is_as_it_was) {
    start();
    say("booking.create", "BOOKING_CREATED");
    say("parking.block", "PARKING_AVAILABLE");
    pass(100);
    say("booking.approve", "BOOKING_APPROVED");
    for (int i = 0; i < 8; i++) {
        pass(1000); /* nobody answers: attempts, and a fence */
    }
    say("billing.fence", "fenced");
    say("booking.fence", "done");
    say("parking.unblock", "PARKING_STUCK");
    say("booking.reject", "BOOKING_REJECTED");
    booking_operate(saga, SAGA_VERB_RETRY, "ann", "");
    note();
    say("parking.unblock", "PARKING_UNBLOCKED");
    ck_assert_str_eq(booking_state(saga), "compensated");
    expect_the_same();
}
END_TEST

START_TEST(a_start_of_the_daemon_is_part_of_the_past) {
    start();
    say("booking.create", "BOOKING_CREATED");
    daemon_kill();
    world_sleep(5000);
    daemon_open(scratch.path); /* the saga itself has no record of it */
    note();
    expect_in(moments[1].said, "\"epoch\":1,");
    expect_in(moments[2].said, "\"epoch\":2,");
    expect_in(moments[2].said, "\"reached\",\"unresolved\"");
    expect_the_same();
    pass(1);
    say("parking.block", "PARKING_AVAILABLE");
    expect_the_same();
}
END_TEST

START_TEST(the_middle_of_a_decision_is_said_to_be_one) {
    start();
    say("booking.create", "BOOKING_CREATED");
    char at[32];
    (void)snprintf(at, sizeof at, "--at=%" PRIu64, moments[1].lsn - 1);
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id, at), 0);
    expect_in(printed, "\nstatus      running\n");
    expect_in(printed, "\n            in the middle of a decision\n");
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id), 0);
    expect_not_in(printed, "in the middle of a decision");
    expect_in(printed, "\ndata        {\"pin\":\"***\",\"total\":3}\n");
    expect_in(printed, "\nblock      running  action           1      0         1  open\n");
}
END_TEST

START_TEST(before_its_start_there_is_no_saga) {
    start();
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id, "--at", "2"), 3);
    expect_in(complained, "this saga was not there at record 2: it begins with record 3");
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id, "--at", "99999999"), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id, "--at", "-1"), 2);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id, "--at", "5"), 2);
    expect_in(complained, "'show' does not take --at");
}
END_TEST

START_TEST(one_out_of_service_is_known_up_to_where_it_makes_sense) {
    start();
    const uint64_t last = moments[0].lsn;
    daemon_kill();
    (void)record_append(scratch.path, (struct saga_record){.saga = saga,
                                                           .previous_lsn = last,
                                                           .at_ms = 1718098299000,
                                                           .wall_ms = 1718098299000,
                                                           .fact = SAGA_PIVOT_PASSED,
                                                           .step = 1});
    ck_assert_int_eq(SAGALOG(scratch.path, "state", id), 0);
    expect_in(printed, "\nstatus      quarantined\nproblem     record ");
    expect_the_same();
    daemon_open(scratch.path);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog state");
    TCase *tests = tcase_create("state");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_past_is_as_it_was);
    tcase_add_test(tests, a_start_of_the_daemon_is_part_of_the_past);
    tcase_add_test(tests, the_middle_of_a_decision_is_said_to_be_one);
    tcase_add_test(tests, before_its_start_there_is_no_saga);
    tcase_add_test(tests, one_out_of_service_is_known_up_to_where_it_makes_sense);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
