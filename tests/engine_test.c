/* The engine on a real log: what leaves, when, and what a restart makes of it. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "check_run.h"
#include "trip_fixture.h"

START_TEST(a_saga_runs_to_its_end) {
    ck_assert_int_eq(trip_start("k1", "{\"to\":\"Rome\"}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_str_eq(world_sent(0)->name, "hotel.book");
    ck_assert_str_eq(world_sent(0)->body, "{\"to\":\"Rome\"}");
    ck_assert_int_eq(
        world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\",\"content\":{\"room\":12}}"),
        SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_str_eq(world_sent(1)->name, "train.reserve");
    ck_assert_str_eq(world_sent(1)->body, "{\"room\":12,\"to\":\"Rome\"}");
    ck_assert_int_eq(
        world_reply(world_sent(1), "{\"reply_state\":\"SEAT_RESERVED\",\"content\":null}"),
        SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_find(id).status, "completed");
    ck_assert_str_eq(world.status, "completed");
    ck_assert_uint_eq(world_stats().core.open, 0);
}
END_TEST

START_TEST(nothing_leaves_before_its_records_are_durable) {
    struct saga_request request = trip_request("k1", "{}");
    uint64_t durable = saga_log_durable(world.log);
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(world.sent_count, 0);
    ck_assert_uint_eq(world.answered_count, 0);
    ck_assert_uint_eq(saga_log_durable(world.log), durable);
    world_commit();
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_uint_eq(world.answered_count, 1);
    ck_assert_uint_gt(world_sent(0)->durable, durable + 1); /* started and issued */
}
END_TEST

START_TEST(a_reply_and_the_command_it_causes_are_one_commit) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    uint64_t before = world_stats().log.commits;
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(world_stats().log.commits, before + 1);
}
END_TEST

START_TEST(many_requests_share_one_commit) {
    struct saga_request requests[50];
    char keys[50][8];
    uint64_t before = world_stats().log.commits;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
        requests[i] = trip_request(keys[i], "{}");
        saga_engine_take(world.engine, &requests[i], world.now);
        trip = (struct saga_listing){{{0}}, 0, 0, NULL, 0};
    }
    world_commit();
    ck_assert_uint_eq(world.sent_count, 50);
    ck_assert_uint_eq(world_stats().log.commits, before + 1);
}
END_TEST

START_TEST(it_is_said_once_that_all_of_a_commit_is_out) {
    struct saga_request requests[3];
    static const char *const keys[] = {"k0", "k1", "k2"};
    world_commit();
    const size_t before = world.released_count;
    for (int i = 0; i < 3; i++) {
        requests[i] = trip_request(keys[i], "{}");
        saga_engine_take(world.engine, &requests[i], world.now);
    }
    ck_assert_uint_eq(world.released_count, before);
    world_commit();
    ck_assert_uint_eq(world.released_count, before + 1);
    ck_assert_uint_eq(world.sent_when_released, 3);
    ck_assert_uint_eq(world.answered_when_released, 3);
}
END_TEST

START_TEST(what_was_not_committed_is_not_there_after_a_restart) {
    struct saga_request request = trip_request("k1", "{}");
    saga_engine_take(world.engine, &request, world.now);
    trip_restart();
    ck_assert_uint_eq(world.report.sagas, 0);
    ck_assert_uint_eq(world.answered_count, 0);
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
}
END_TEST

START_TEST(a_restart_sends_outstanding_commands_again_with_the_same_id) {
    ck_assert_int_eq(trip_start("k1", "{\"x\":1}"), SAGA_RESULT_CREATED);
    struct sent before = *world_sent(0);
    trip_restart();
    ck_assert_uint_eq(world.report.open, 1);
    world_pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_mem_eq(&world_sent(0)->id, &before.id, sizeof before.id);
    ck_assert_uint_eq(world_sent(0)->attempt, before.attempt);
    ck_assert_str_eq(world_sent(0)->body, before.body);
}
END_TEST

/* By it a participant knows a command whose row it may have purged. */
START_TEST(every_attempt_says_when_its_command_was_issued) {
    int64_t issued_ms = world.now.wall_ms;
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    world_pass(10000);
    world_pass(2000);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(world_sent(1)->attempt, 2);
    ck_assert_int_eq(world_sent(0)->command_at_ms, issued_ms);
    ck_assert_int_eq(world_sent(1)->command_at_ms, issued_ms);
    trip_restart();
    world_pass(1);
    ck_assert_int_eq(world_sent(0)->command_at_ms, issued_ms);
}
END_TEST

START_TEST(a_reply_to_the_first_sending_counts_after_a_restart) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct sent before = *world_sent(0);
    trip_restart();
    ck_assert_int_eq(world_reply(&before, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(world_reply(&before, "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_ALREADY);
}
END_TEST

START_TEST(commands_that_nobody_carries_wait) {
    world.refuses = true;
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    world_pass(30000);
    ck_assert_uint_eq(world.sent_count, 0);
    ck_assert_str_eq(world_find(id).status, "running");
    ck_assert_uint_gt(world_stats().core.facts[SAGA_COMMAND_UNSENT], 1);
    world.refuses = false;
    world_pass(60000);
    ck_assert_uint_eq(world.sent_count, 1);
}
END_TEST

START_TEST(a_step_that_never_ran_is_not_compensated) {
    world.refuses = true;
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    for (int i = 0; i < 320; i++) {
        world_pass(1000);
    }
    ck_assert_str_eq(world_find(id).status, "compensated");
    ck_assert_uint_eq(world.sent_count, 0);
}
END_TEST

START_TEST(the_clock_never_goes_back_over_a_restart) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    world_close();
    world.now = (struct saga_moment){.boot_ms = 50, .wall_ms = 1000}; /* rebooted, clock lost */
    trip_open();
    world_pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    world_pass(10000); /* one attempt's timeout: not thirty years */
    world_pass(1000);
    ck_assert_uint_eq(world.sent_count, 2);
}
END_TEST

START_TEST(a_draining_engine_sends_nothing_and_starts_nothing) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_drain(world.engine);
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_int_eq(trip_start("k2", "{}"), SAGA_RESULT_DRAINING);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_str_eq(world_sent(0)->name, "train.reserve");
}
END_TEST

START_TEST(what_a_draining_engine_holds_back_does_not_expire) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_drain(world.engine);
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
    uint64_t last = world_stats().last_lsn;
    world_pass(60000);
    ck_assert_uint_eq(world_stats().last_lsn, last);
    trip_restart();
    world_pass(1);
    ck_assert_str_eq(world_sent(0)->name, "train.reserve");
    ck_assert_uint_eq(world_sent(0)->attempt, 1);
}
END_TEST

/* More sagas than one batch has room for records, each with a command under way. */
#define CROWD 11000

static void start_a_crowd(void) {
    world_close();
    world.sagas_max = CROWD;
    trip_open();
    for (int i = 0; i < CROWD; i++) {
        static struct saga_request requests[CROWD];
        requests[i] = trip_request("", "{}");
        saga_engine_take(world.engine, &requests[i], world.now);
        if (saga_engine_batch_full(world.engine)) {
            world_commit();
        }
    }
    world_commit();
    ck_assert_uint_eq(world.sent_count, CROWD);
}

/* As the daemon's loop does it: what is due, as far as the batch has room, and one commit. */
static void pass_in_full_batches(int64_t ms) {
    int64_t wake_ms = world.now.boot_ms += ms;
    world.now.wall_ms += ms;
    while (wake_ms <= world.now.boot_ms || saga_engine_pending(world.engine)) {
        struct saga_fault fault = {0};
        wake_ms = world.now.boot_ms;
        while (wake_ms <= world.now.boot_ms && !saga_engine_batch_full(world.engine)) {
            wake_ms = saga_engine_tick(world.engine, world.now);
        }
        ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s",
                      fault.text);
    }
}

START_TEST(a_crowd_that_times_out_at_once_is_more_than_one_batch) {
    start_a_crowd();
    pass_in_full_batches(3600 * 1000); /* the machine slept */
    struct saga_engine_stats all = world_stats();
    ck_assert_uint_eq(all.core.facts[SAGA_ATTEMPT_EXPIRED], CROWD);
    ck_assert_uint_le(all.batch_records_max, SAGA_LOG_BATCH_MAX);
}
END_TEST

START_TEST(a_crowd_that_nobody_carries_is_more_than_one_batch) {
    start_a_crowd();
    pass_in_full_batches(10 * 1000); /* nobody answers; each waits for its second attempt */
    world.refuses = true;
    pass_in_full_batches(60 * 1000); /* they are due, all at once */
    struct saga_engine_stats all = world_stats();
    ck_assert_uint_ge(all.core.facts[SAGA_COMMAND_UNSENT], CROWD);
    ck_assert_uint_le(all.batch_records_max, SAGA_LOG_BATCH_MAX);
}
END_TEST

START_TEST(starts_of_one_turn_leave_room_for_finishing) {
    enum { LARGE = 256 << 10, STARTS = 100 };
    static struct saga_request requests[STARTS];
    static char input[LARGE];
    struct saga_fault fault = {0};
    int taken = 0;
    trip_tear_down();
    trip_set_up_with_map(8u << 20);
    memset(input, 'x', sizeof input - 1);
    memcpy(input, "{\"a\":\"", 6);
    memcpy(input + sizeof input - 3, "\"}", 2);
    while (taken < STARTS && !saga_engine_batch_full(world.engine)) {
        requests[taken] = trip_request("", input);
        saga_engine_take(world.engine, &requests[taken++], world.now);
    }
    ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(requests[0].result, SAGA_RESULT_CREATED);
    ck_assert_int_eq(requests[taken - 1].result, SAGA_RESULT_FULL);
    ck_assert_uint_le(world_stats().log.bytes * 100 / world_stats().log.bytes_max, 95);
}
END_TEST

START_TEST(a_sweep_finds_no_orphans) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_sweep(world.engine, world.now);
    world_commit();
    ck_assert_uint_eq(world_stats().core.orphans_rearmed, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_add_checked_fixture(tests, trip_set_up, trip_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_saga_runs_to_its_end);
    tcase_add_test(tests, nothing_leaves_before_its_records_are_durable);
    tcase_add_test(tests, a_reply_and_the_command_it_causes_are_one_commit);
    tcase_add_test(tests, many_requests_share_one_commit);
    tcase_add_test(tests, it_is_said_once_that_all_of_a_commit_is_out);
    tcase_add_test(tests, what_was_not_committed_is_not_there_after_a_restart);
    tcase_add_test(tests, a_restart_sends_outstanding_commands_again_with_the_same_id);
    tcase_add_test(tests, every_attempt_says_when_its_command_was_issued);
    tcase_add_test(tests, a_reply_to_the_first_sending_counts_after_a_restart);
    tcase_add_test(tests, commands_that_nobody_carries_wait);
    tcase_add_test(tests, a_step_that_never_ran_is_not_compensated);
    tcase_add_test(tests, the_clock_never_goes_back_over_a_restart);
    tcase_add_test(tests, a_draining_engine_sends_nothing_and_starts_nothing);
    tcase_add_test(tests, what_a_draining_engine_holds_back_does_not_expire);
    tcase_add_test(tests, a_crowd_that_times_out_at_once_is_more_than_one_batch);
    tcase_add_test(tests, a_crowd_that_nobody_carries_is_more_than_one_batch);
    tcase_add_test(tests, starts_of_one_turn_leave_room_for_finishing);
    tcase_add_test(tests, a_sweep_finds_no_orphans);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
