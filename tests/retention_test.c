/* Retention of an engine on a real log: who is forgotten and when, what is kept, that the file
 * stays as large as it is, and that nothing is lost whenever the daemon dies. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "splitmix.h"
#include "trip_fixture.h"

#define SECOND 1000
#define KEEP   (60 * SECOND)       /* what completes */
#define LONGER (100 * 60 * SECOND) /* what is compensated */

static void set_up(void) {
    trip_set_up();
    world_close();
    world.checkpoints =
        (struct saga_checkpoint_pace){.records = 60, .records_open = 0, .slice_entries = 4};
    world.retention = saga_retention_for_ever;
    world.retention.ms[SAGA_COMPLETED] = KEEP;
    world.retention.ms[SAGA_COMPENSATED] = LONGER;
    world.retention.keys_ms = LONGER;
    trip_open();
}

static unsigned numbered;

static struct saga_id start_one(void) {
    char key[32];
    (void)snprintf(key, sizeof key, "key %u", numbered++);
    struct saga_request request = trip_request(key, "{\"a\":1}");
    world_take(&request);
    ck_assert_msg(request.result == SAGA_RESULT_CREATED, "%s", request.text);
    return trip.id;
}

static struct saga_id run_one(bool completes) {
    const struct saga_id id = start_one();
    if (completes) {
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"ROOM_BOOKED\"}");
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"SEAT_RESERVED\"}");
    } else {
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"NO_ROOM\"}");
    }
    return id;
}

/* Time goes by with work, as checkpoints and slices come with commits. */
static void work_on(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 5 * SECOND) {
        (void)run_one(true);
        world_sleep(5 * SECOND);
        world_commit();
    }
}

static bool is_known(const struct saga_id *id) {
    struct saga_request request = world_request(SAGA_REQUEST_FIND);
    struct saga_listing listing;
    request.id = *id;
    request.listings = &listing;
    world_take(&request);
    ck_assert(request.result == SAGA_RESULT_OK || request.result == SAGA_RESULT_NO_SAGA);
    return request.result == SAGA_RESULT_OK;
}

/* From its latest record back to its start. */
static unsigned chain_length(const struct saga_id *id) {
    uint64_t lsn = world_find(*id).last_lsn;
    unsigned length = 0;
    while (lsn != 0) {
        struct saga_record record;
        struct saga_fault fault = {0};
        ck_assert_msg(saga_log_read(world.log, id, lsn, &record, &fault) == SAGA_OK, "%s",
                      fault.text);
        ck_assert_mem_eq(&record.saga, id, sizeof *id);
        lsn = record.previous_lsn;
        length++;
    }
    return length;
}

START_TEST(who_has_ended_long_ago_is_forgotten) {
    const struct saga_id completed = run_one(true);
    const struct saga_id compensated = run_one(false);
    work_on(KEEP / 2);
    ck_assert(is_known(&completed));
    work_on(10 * KEEP);
    ck_assert(!is_known(&completed));
    ck_assert(is_known(&compensated));
    ck_assert_uint_gt(world_stats().purged.sagas, 50);
    ck_assert_uint_gt(world_stats().first_lsn, 100);
    trip_restart();
    ck_assert(!is_known(&completed));
    ck_assert(is_known(&compensated));
    work_on(LONGER + 10 * KEEP);
    ck_assert(!is_known(&compensated));
}
END_TEST

START_TEST(who_is_known_has_all_records) {
    const struct saga_id compensated = run_one(false);
    const unsigned before = chain_length(&compensated);
    work_on(10 * KEEP);
    ck_assert_uint_gt(world_stats().first_lsn, 100);
    ck_assert_uint_eq(chain_length(&compensated), before);
    trip_restart();
    ck_assert_uint_eq(chain_length(&compensated), before);
    ck_assert_uint_gt(world_stats().purged.records + before, 0);
}
END_TEST

START_TEST(an_old_open_saga_still_sends_its_command) {
    (void)start_one();
    const struct sent first = *world_sent(world.sent_count - 1);
    work_on(10 * KEEP);
    ck_assert_uint_gt(world_stats().first_lsn, first.id.step + 20);
    trip_restart();
    world.sent_count = 0;
    world_pass(SECOND);
    bool again = false;
    for (size_t i = 0; i < world.sent_count; i++) {
        again =
            again || (memcmp(&world_sent(i)->id.saga, &first.id.saga, sizeof first.id.saga) == 0);
    }
    ck_assert(again);
    ck_assert(is_known(&first.id.saga));
}
END_TEST

/* ------------------------------------------------------------ who is to be told */

static struct saga_id complete_asked(const char *key, const char *asker, const char *later) {
    struct saga_request request = trip_request(key, "{}");
    request.content = world_bytes(asker);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
    if (later[0] != '\0') {
        struct saga_request again = trip_request(key, "{}");
        again.content = world_bytes(later);
        world_take(&again);
        ck_assert_int_eq(again.result, SAGA_RESULT_OK);
    }
    (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"ROOM_BOOKED\"}");
    (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"SEAT_RESERVED\"}");
    return trip.id;
}

static void say_told(const struct saga_id *id) {
    struct saga_request request = world_request(SAGA_REQUEST_TOLD);
    request.id = *id;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
}

/* The first is not told, so the log cannot say that the second was: a restart tells it again. */
START_TEST(who_has_to_be_told_is_known_and_who_ended_later) {
    const struct saga_id first = complete_asked("first", "ann", "");
    const struct saga_id second = complete_asked("second", "bob", "");
    work_on(2 * KEEP); /* there are checkpoints, and no more for a while */
    world.checkpoints.records = 1000000;
    trip_restart();
    say_told(&second);
    work_on(3 * KEEP);
    ck_assert(is_known(&first));
    ck_assert(is_known(&second));
    world.checkpoints.records = 60;
    trip_restart();
    ck_assert_uint_eq(world.told_count, 2);
    say_told(&first);
    say_told(&second);
    work_on(5 * KEEP);
    ck_assert(!is_known(&first));
    ck_assert(!is_known(&second));
    trip_restart();
    work_on(KEEP);
    ck_assert_uint_eq(world.told_count, 0);
}
END_TEST

START_TEST(whom_a_later_asker_waits_for_is_known) {
    const struct saga_id id = complete_asked("k", "", "eve");
    work_on(10 * KEEP);
    ck_assert(is_known(&id));
    say_told(&id);
    work_on(5 * KEEP);
    ck_assert(!is_known(&id));
}
END_TEST

/* ------------------------------------------------------------------- its key */

START_TEST(a_key_outlives_its_saga_and_is_forgotten_later) {
    const struct saga_id id = complete_asked("k", "", "");
    work_on(10 * KEEP);
    ck_assert(!is_known(&id));
    ck_assert_int_eq(trip_start("k", "{}"), SAGA_RESULT_OK);
    ck_assert_mem_eq(&trip.id, &id, sizeof id);
    ck_assert_str_eq(trip.status, "purged");
    ck_assert_int_eq(trip_start("k", "{\"a\":2}"), SAGA_RESULT_CONFLICT);
    trip_restart();
    ck_assert_int_eq(trip_start("k", "{}"), SAGA_RESULT_OK);
    ck_assert_str_eq(trip.status, "purged");
    work_on(LONGER + 10 * KEEP);
    ck_assert_int_eq(trip_start("k", "{\"a\":2}"), SAGA_RESULT_CREATED);
}
END_TEST

START_TEST(a_key_is_remembered_while_an_older_saga_is_open) {
    const struct saga_id open = start_one();
    const struct saga_id id = complete_asked("k", "", "");
    work_on(LONGER + 10 * KEEP);
    ck_assert(is_known(&open));
    ck_assert(!is_known(&id));
    ck_assert_int_eq(trip_start("k", "{}"), SAGA_RESULT_OK);
    ck_assert_mem_eq(&trip.id, &id, sizeof id);
}
END_TEST

/* ------------------------------------------------------------------- its size */

/* With more than the log should take, what may go goes before its time, and no more than that. */
START_TEST(a_log_that_is_too_large_lets_go_before_the_time) {
    struct saga_log_usage usage;
    world_close();
    world.retention = saga_retention_for_ever;
    world.retention.ms[SAGA_COMPLETED] = LONGER;
    world.retention.bytes_max = 400 * 1024;
    trip_open();
    const struct saga_id first = run_one(true);
    const struct saga_id compensated = run_one(false);
    for (int i = 0; i < 60; i++) { /* half of LONGER */
        work_on(50 * SECOND);
    }
    saga_log_usage(world.log, &usage);
    ck_assert_uint_le(usage.bytes, world.retention.bytes_max * 3 / 2);
    ck_assert(!is_known(&first));
    ck_assert(is_known(&compensated)); /* for ever */
    const struct saga_id last = run_one(true);
    world_pass(1000);
    ck_assert(is_known(&last));
}
END_TEST

/* Rows that nobody has to do with take the room of a log of 4 MiB, but for a tenth. */
static void fill_log(void) {
    static uint8_t value[60000];
    struct saga_fault fault = {0};
    for (uint8_t i = 0; saga_log_full_percent(world.log) < 90; i++) {
        saga_log_put(world.log, SAGA_TABLE_KEPT, (struct saga_bytes){&i, sizeof i},
                     (struct saga_bytes){value, sizeof value});
        ck_assert_msg(saga_log_flush(world.log, &fault) == SAGA_OK, "%s", fault.text);
    }
}

static void empty_log(void) {
    struct saga_fault fault = {0};
    for (uint8_t i = 0; i < 200; i++) { /* pages are free some commits later */
        saga_log_remove(world.log, SAGA_TABLE_KEPT, (struct saga_bytes){&i, sizeof i});
        ck_assert_msg(saga_log_flush(world.log, &fault) == SAGA_OK, "%s", fault.text);
    }
    ck_assert_uint_lt(saga_log_full_percent(world.log), 50);
}

/* Blocks of open sagas only would grow by being let go of. */
START_TEST(a_full_log_is_not_made_fuller_by_purging) {
    trip_tear_down();
    trip_set_up_with_map(4u << 20);
    world_close();
    world.checkpoints =
        (struct saga_checkpoint_pace){.records = 60, .records_open = 0, .slice_entries = 4};
    world.retention = saga_retention_for_ever;
    world.retention.ms[SAGA_COMPLETED] = KEEP;
    trip_open();
    for (int i = 0; i < 30; i++) {
        (void)start_one();
    }
    trip_restart(); /* their commands are sent once more, and no attempt ends meanwhile */
    struct saga_id completed = {{0}};
    const uint64_t before = world_stats().purged.records;
    fill_log();
    for (int i = 0; i < 20; i++) {
        world_sleep(KEEP);
        saga_engine_sweep(world.engine, world.now);
        world_commit();
    }
    (void)completed;
    const uint64_t first_lsn = world_stats().first_lsn;
    const uint64_t kept = world_stats().purged.records;
    ck_assert_uint_eq(kept, before);
    empty_log();
    work_on(10 * KEEP);
    ck_assert_uint_gt(world_stats().first_lsn, first_lsn + 60);
    ck_assert_uint_ge(world_stats().purged.records, kept + 30);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("retention");
    TCase *tests = tcase_create("retention");
    tcase_add_checked_fixture(tests, set_up, trip_tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, who_has_ended_long_ago_is_forgotten);
    tcase_add_test(tests, who_is_known_has_all_records);
    tcase_add_test(tests, an_old_open_saga_still_sends_its_command);
    tcase_add_test(tests, who_has_to_be_told_is_known_and_who_ended_later);
    tcase_add_test(tests, whom_a_later_asker_waits_for_is_known);
    tcase_add_test(tests, a_key_outlives_its_saga_and_is_forgotten_later);
    tcase_add_test(tests, a_key_is_remembered_while_an_older_saga_is_open);
    tcase_add_test(tests, a_log_that_is_too_large_lets_go_before_the_time);
    tcase_add_test(tests, a_full_log_is_not_made_fuller_by_purging);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
