/* Who started a saga and wants to know of its end: told, whatever dies when, and remembered as
 * told. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "check_run.h"
#include "trip_fixture.h"

/* ------------------------------------------------------------------ its means */

static struct saga_id start_asked(const char *key, const char *asker) {
    struct saga_request request = trip_request(key, "{}");
    request.content = world_bytes(asker);
    world_take(&request);
    ck_assert(request.result == SAGA_RESULT_CREATED || request.result == SAGA_RESULT_OK);
    return trip.id;
}

/* The saga's first command, refused: its end. */
static void end_with(size_t sent) {
    ck_assert_int_eq(world_reply(world_sent(sent), "{\"reply_state\":\"NO_ROOM\"}"),
                     SAGA_ANSWER_TAKEN);
}

/* One that has ended; `asker` empty: nobody waits for it. */
static struct saga_id end_asked(const char *key, const char *asker) {
    const struct saga_id id = start_asked(key, asker);
    end_with(world.sent_count - 1);
    return id;
}

static void say_told(struct saga_id id) {
    struct saga_request request = world_request(SAGA_REQUEST_TOLD);
    request.id = id;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
}

static void expect_told(size_t number, struct saga_id id, const char *asker) {
    const struct told *told = world_told(number);
    ck_assert_mem_eq(&told->saga, &id, sizeof id);
    ck_assert_str_eq(told->status, "compensated");
    ck_assert_str_eq(told->asker, asker);
}

/* What the log says of it, from its beginning: how many marks, and the last. */
static unsigned marks(uint64_t *through) {
    struct saga_log_reader *reader = NULL;
    struct saga_record record;
    struct saga_fault fault = {0};
    unsigned count = 0;
    *through = 0;
    ck_assert_msg(saga_log_reader_open(world.log, &reader, &fault) == SAGA_OK, "%s", fault.text);
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
    while (saga_log_reader_next(reader, &record, &fault) == SAGA_OK) {
        if (record.fact == SAGA_OUTCOMES_TOLD) {
            ck_assert_uint_gt(record.through_lsn, *through);
            ck_assert_uint_lt(record.through_lsn, record.lsn);
            *through = record.through_lsn;
            count++;
        }
    }
    saga_log_reader_close(reader);
    return count;
}

static unsigned mark_count(void) {
    uint64_t through;
    return marks(&through);
}

/* -------------------------------------------------------------------- telling */

START_TEST(who_asked_is_told_of_the_end_once_it_is_durable) {
    const struct saga_id id = start_asked("k", "ann");
    world_pass(100);
    ck_assert_uint_eq(world.told_count, 0);
    ck_assert_uint_eq(world_stats().outcomes_open, 1);
    struct saga_request reply = world_reply_request(world_sent(0), "{\"reply_state\":\"NO_ROOM\"}");
    const size_t released = world.released_count;
    saga_engine_take(world.engine, &reply, world.now);
    ck_assert_uint_eq(world.told_count, 0);
    world_commit();
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
    ck_assert_uint_eq(world_told(0)->durable, saga_log_durable(world.log));
    ck_assert_uint_gt(world.released_count, released);
    ck_assert_uint_eq(world_stats().outcomes_open, 0);
    ck_assert_uint_eq(world_stats().outcomes_untold, 1);
    say_told(id);
    ck_assert_uint_eq(world_stats().outcomes_untold, 0);
    ck_assert_uint_eq(world_stats().outcomes_told, 1);
    world_pass(60000);
    ck_assert_uint_eq(world.told_count, 1);
}
END_TEST

START_TEST(who_did_not_ask_is_not_told_and_costs_nothing) {
    (void)end_asked("k", "");
    (void)end_asked("k2", "");
    world_pass(60000);
    trip_restart();
    world_pass(60000);
    ck_assert_uint_eq(world.told_count, 0);
    ck_assert_uint_eq(mark_count(), 0);
}
END_TEST

START_TEST(an_asker_that_is_too_long_is_refused) {
    static char long_one[SAGA_ASKER_BYTES_MAX + 2];
    memset(long_one, 'x', sizeof long_one - 1);
    struct saga_request request = trip_request("k", "{}");
    request.content = world_bytes(long_one);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_TOO_LARGE);
    request.content.size--;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
}
END_TEST

START_TEST(an_end_that_nobody_carries_is_given_again_in_a_second) {
    world.is_mute = true;
    const struct saga_id first = end_asked("k", "ann");
    const struct saga_id second = end_asked("k2", "bob");
    world.is_mute = false;
    world_pass(900);
    ck_assert_uint_eq(world.told_count, 0);
    ck_assert_int_le(saga_engine_tick(world.engine, world.now), world.now.boot_ms + 100);
    world_pass(100);
    ck_assert_uint_eq(world.told_count, 2);
    expect_told(0, first, "ann");
    expect_told(1, second, "bob");
}
END_TEST

START_TEST(many_ends_leave_in_more_than_one_commit) {
    world.is_mute = true;
    char key[16];
    for (int i = 0; i < 250; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        (void)end_asked(key, "ann");
    }
    world.is_mute = false;
    world_sleep(2000);
    size_t before = 0;
    for (int i = 0; i < 3; i++) {
        struct saga_fault fault;
        ck_assert_int_gt(saga_engine_tick(world.engine, world.now), world.now.boot_ms);
        ck_assert(saga_engine_pending(world.engine));
        ck_assert_int_eq(saga_engine_commit(world.engine, world.now, &fault), SAGA_OK);
        ck_assert_uint_gt(world.told_count, before);
        ck_assert_uint_le(world.told_count, before + 100);
        before = world.told_count;
    }
    ck_assert_uint_eq(world.told_count, 250);
    (void)saga_engine_tick(world.engine, world.now);
    ck_assert(!saga_engine_pending(world.engine));
}
END_TEST

/* ------------------------------------------------------------------- restarts */

START_TEST(who_asked_is_told_though_the_daemon_died_while_the_saga_ran) {
    const struct saga_id id = start_asked("k", "ann");
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
}
END_TEST

START_TEST(who_was_not_told_is_told_at_the_first_commit_after_a_restart) {
    const struct saga_id id = end_asked("k", "ann"); /* given out, and never heard of again */
    trip_restart();
    ck_assert_uint_eq(world.told_count, 0); /* nothing leaves while it is opened */
    (void)saga_engine_tick(world.engine, world.now);
    ck_assert(saga_engine_pending(world.engine));
    world_commit();
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 1); /* and again, until it is told */
}
END_TEST

START_TEST(an_end_that_was_not_committed_is_told_to_nobody) {
    (void)start_asked("k", "ann");
    struct saga_request reply = world_reply_request(world_sent(0), "{\"reply_state\":\"NO_ROOM\"}");
    saga_engine_take(world.engine, &reply, world.now);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 1);
}
END_TEST

START_TEST(what_was_told_is_in_the_log_within_a_second) {
    const struct saga_id id = end_asked("k", "ann");
    const uint64_t ended = world_find(id).last_lsn;
    uint64_t through;
    say_told(id);
    world_pass(500);
    ck_assert_uint_eq(mark_count(), 0);
    ck_assert_int_le(saga_engine_tick(world.engine, world.now), world.now.boot_ms + 500);
    world_pass(500);
    ck_assert_uint_eq(marks(&through), 1);
    ck_assert_uint_eq(through, ended);
    world_pass(60000);
    ck_assert_uint_eq(mark_count(), 1);
    trip_restart();
    world_pass(60000);
    ck_assert_uint_eq(world.told_count, 0);
    ck_assert_uint_eq(mark_count(), 1);
}
END_TEST

START_TEST(many_are_marked_together) {
    char key[16];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        say_told(end_asked(key, "ann"));
        world_pass(10);
    }
    world_pass(1000);
    ck_assert_uint_eq(mark_count(), 1);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

START_TEST(the_mark_waits_for_who_is_not_told) {
    const struct saga_id first = end_asked("k1", "ann");
    const struct saga_id second = end_asked("k2", "bob");
    const struct saga_id third = end_asked("k3", "cid");
    uint64_t through;
    say_told(third);
    say_told(first);
    world_pass(1000);
    ck_assert_uint_eq(marks(&through), 1);
    ck_assert_uint_lt(through, world_find(second).last_lsn);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 2); /* the third again: at least once */
    expect_told(0, second, "bob");
    expect_told(1, third, "cid");
    say_told(second);
    say_told(third);
    world_pass(1000);
    ck_assert_uint_eq(marks(&through), 2);
    ck_assert_uint_eq(through, world_find(third).last_lsn);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

START_TEST(a_draining_engine_marks_at_once) {
    const struct saga_id id = end_asked("k", "ann");
    say_told(id);
    saga_engine_drain(world.engine);
    ck_assert_int_eq(saga_engine_tick(world.engine, world.now), INT64_MAX);
    ck_assert(saga_engine_pending(world.engine));
    world_commit();
    ck_assert_uint_eq(mark_count(), 1);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

START_TEST(what_ends_while_it_drains_is_told) {
    const struct saga_id id = start_asked("k", "ann");
    saga_engine_drain(world.engine);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
}
END_TEST

START_TEST(a_mark_that_was_not_committed_tells_again) {
    const struct saga_id id = end_asked("k", "ann");
    say_told(id);
    world_sleep(1000);
    (void)saga_engine_tick(world.engine, world.now); /* appended, no more */
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
}
END_TEST

START_TEST(a_late_reply_after_the_end_changes_nothing) {
    const struct saga_id id = start_asked("k", "ann");
    const struct sent first = *world_sent(0);
    end_with(0);
    ck_assert_int_eq(world_reply(&first, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_LATE);
    say_told(id);
    world_pass(1000);
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

/* ---------------------------------------------------------------- asked again */

START_TEST(who_starts_it_again_is_told_too) {
    const struct saga_id id = start_asked("k", "ann");
    (void)start_asked("k", "bob");
    (void)start_asked("k", "cid");
    end_with(0);
    ck_assert_uint_eq(world.told_count, 2);
    expect_told(0, id, "ann");
    expect_told(1, id, "cid"); /* the last one of them */
    say_told(id);
    world_pass(1000);
    ck_assert_uint_eq(mark_count(), 0);
    say_told(id);
    world_pass(1000);
    ck_assert_uint_eq(mark_count(), 1);
}
END_TEST

START_TEST(a_start_that_was_delivered_twice_is_told_once) {
    const struct saga_id id = start_asked("k", "ann");
    (void)start_asked("k", "ann");
    trip_restart();
    (void)start_asked("k", "ann");
    world_pass(1);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
}
END_TEST

START_TEST(two_starts_in_one_batch_are_told_once_each) {
    struct saga_request one = trip_request("k", "{}"), other = one;
    struct saga_listing listing;
    one.content = world_bytes("ann");
    other.content = world_bytes("bob");
    other.listings = &listing;
    saga_engine_take(world.engine, &one, world.now);
    saga_engine_take(world.engine, &other, world.now);
    world_commit();
    end_with(0);
    ck_assert_uint_eq(world.told_count, 2);
    expect_told(0, trip.id, "ann");
    expect_told(1, trip.id, "bob");
}
END_TEST

START_TEST(who_comes_back_to_anybodys_saga_is_told_until_the_restart) {
    const struct saga_id id = start_asked("k", "");
    (void)start_asked("k", "ann");
    ck_assert_uint_eq(world_stats().outcomes_open, 1);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, id, "ann");
    (void)start_asked("k2", "");
    (void)start_asked("k2", "bob");
    trip_restart();
    world_pass(1);
    end_with(0);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

START_TEST(who_asks_after_the_end_has_it_in_the_answer) {
    const struct saga_id id = end_asked("k", "ann");
    say_told(id);
    (void)start_asked("k", "bob");
    ck_assert_str_eq(trip.status, "compensated");
    world_pass(60000);
    ck_assert_uint_eq(world.told_count, 1);
    ck_assert_uint_eq(world_stats().outcomes_open, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine tell");
    TCase *tests = tcase_create("telling");
    tcase_add_checked_fixture(tests, trip_set_up, trip_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, who_asked_is_told_of_the_end_once_it_is_durable);
    tcase_add_test(tests, who_did_not_ask_is_not_told_and_costs_nothing);
    tcase_add_test(tests, an_asker_that_is_too_long_is_refused);
    tcase_add_test(tests, an_end_that_nobody_carries_is_given_again_in_a_second);
    tcase_add_test(tests, many_ends_leave_in_more_than_one_commit);
    tcase_add_test(tests, who_asked_is_told_though_the_daemon_died_while_the_saga_ran);
    tcase_add_test(tests, who_was_not_told_is_told_at_the_first_commit_after_a_restart);
    tcase_add_test(tests, an_end_that_was_not_committed_is_told_to_nobody);
    tcase_add_test(tests, what_was_told_is_in_the_log_within_a_second);
    tcase_add_test(tests, many_are_marked_together);
    tcase_add_test(tests, the_mark_waits_for_who_is_not_told);
    tcase_add_test(tests, a_draining_engine_marks_at_once);
    tcase_add_test(tests, what_ends_while_it_drains_is_told);
    tcase_add_test(tests, a_mark_that_was_not_committed_tells_again);
    tcase_add_test(tests, a_late_reply_after_the_end_changes_nothing);
    tcase_add_test(tests, who_starts_it_again_is_told_too);
    tcase_add_test(tests, a_start_that_was_delivered_twice_is_told_once);
    tcase_add_test(tests, two_starts_in_one_batch_are_told_once_each);
    tcase_add_test(tests, who_comes_back_to_anybodys_saga_is_told_until_the_restart);
    tcase_add_test(tests, who_asks_after_the_end_has_it_in_the_answer);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
