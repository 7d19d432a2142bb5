/* Checkpoints of an engine on a real log: what recovery reads, what is still found of sagas that
 * have ended long ago, and that nothing is lost whenever the daemon dies. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "splitmix.h"
#include "trip_fixture.h"

/* A checkpoint after every so many records, in the smallest slices. */
static void set_up(void) {
    trip_set_up();
    world_close();
    world.checkpoints =
        (struct saga_checkpoint_pace){.records = 100, .records_open = 0, .slice_entries = 1};
    trip_open();
}

static struct saga_id start_numbered(unsigned number) {
    char key[32];
    (void)snprintf(key, sizeof key, "key %u", number);
    ck_assert_int_eq(trip_start(key, "{}"), SAGA_RESULT_CREATED);
    return trip.id;
}

static void end_last(bool completed) {
    if (completed) {
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"ROOM_BOOKED\"}");
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"SEAT_RESERVED\"}");
    } else {
        (void)world_reply(world_sent(world.sent_count - 1), "{\"reply_state\":\"NO_ROOM\"}");
    }
}

#define MANY 60

/* Even ones complete, every third of the others stays open, the rest is compensated. */
static void run_many(struct saga_id ids[MANY]) {
    for (unsigned i = 0; i < MANY; i++) {
        ids[i] = start_numbered(i);
        if (i % 2 == 0 || i % 3 != 0) {
            end_last(i % 2 == 0);
        }
    }
}

static const char *status_due(unsigned number) {
    return number % 2 == 0 ? "completed" : number % 3 != 0 ? "compensated" : "running";
}

static void assert_known(const struct saga_id ids[MANY]) {
    for (unsigned i = 0; i < MANY; i++) {
        const struct saga_listing listing = world_find(ids[i]);
        ck_assert_ptr_nonnull(listing.status);
        ck_assert_str_eq(listing.status, status_due(i));
    }
    ck_assert_uint_eq(world_stats().sagas_known, MANY);
    ck_assert_uint_eq(world_stats().core.open, MANY / 6);
}

START_TEST(recovery_reads_what_came_after_the_checkpoint) {
    struct saga_id ids[MANY];
    run_many(ids);
    const struct saga_engine_stats stats = world_stats();
    ck_assert_uint_gt(stats.checkpoints.checkpoints, 1);
    ck_assert_uint_gt(stats.last_lsn, 300);
    assert_known(ids);
    trip_restart();
    ck_assert_uint_lt(world.report.records, 250);
    ck_assert_uint_eq(world.report.open, MANY / 6);
    ck_assert_uint_eq(world.report.sagas, MANY);
    ck_assert_uint_eq(world.report.quarantined, 0);
    assert_known(ids);
    for (unsigned i = 0; i < 5; i++) { /* each start adds but itself */
        trip_restart();
        ck_assert_uint_lt(world.report.records, 250);
        assert_known(ids);
    }
}
END_TEST

/* An engine with nothing else to do finishes what it has begun. */
START_TEST(an_idle_engine_goes_on_with_its_slices) {
    struct saga_id ids[MANY];
    run_many(ids);
    world_commit();
    const uint64_t before = world_stats().checkpoints.lsn;
    ck_assert_uint_gt(before, 0);
    ck_assert(!saga_engine_pending(world.engine));
    world.checkpoints.ms = 60000;
    trip_restart(); /* its own start is the first record since */
    (void)start_numbered(MANY);
    world_pass(61000);
    (void)start_numbered(MANY + 1);
    world_commit();
    ck_assert_uint_gt(world_stats().checkpoints.lsn, before);
}
END_TEST

START_TEST(start_keys_are_remembered_for_ever) {
    struct saga_id ids[MANY];
    run_many(ids);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            char key[32];
            (void)snprintf(key, sizeof key, "key %u", i);
            ck_assert_int_eq(trip_start(key, "{}"), SAGA_RESULT_OK);
            ck_assert_mem_eq(&trip.id, &ids[i], sizeof trip.id);
            ck_assert_int_eq(trip_start(key, "{\"other\":1}"), SAGA_RESULT_CONFLICT);
        }
        trip_restart();
    }
}
END_TEST

/* The pages of a list, one after the other, have each saga once, the newest first. */
static unsigned count_list(const char *status, size_t limit) {
    struct saga_listing rows[MANY];
    struct saga_request request = world_request(SAGA_REQUEST_LIST);
    struct saga_id last;
    unsigned count = 0;
    memset(&last, 0xff, sizeof last);
    request.listings = rows;
    request.limit = limit;
    request.status = status;
    do {
        world_take(&request);
        for (size_t i = 0; i < request.listing_count; i++) {
            ck_assert_int_lt(memcmp(&rows[i].id, &last, sizeof last), 0);
            ck_assert(status == NULL || strcmp(rows[i].status, status) == 0);
            last = rows[i].id;
            count++;
        }
        request.id = last;
    } while (request.listing_count > 0);
    return count;
}

START_TEST(lists_have_them_all) {
    struct saga_id ids[MANY];
    run_many(ids);
    for (int round = 0; round < 2; round++) {
        for (size_t limit = 1; limit <= MANY; limit += 13) {
            ck_assert_uint_eq(count_list(NULL, limit), MANY);
            ck_assert_uint_eq(count_list("completed", limit), MANY / 2);
            ck_assert_uint_eq(count_list("compensated", limit), MANY / 3);
            ck_assert_uint_eq(count_list("running", limit), MANY / 6);
            ck_assert_uint_eq(count_list("parked", limit), 0);
        }
        trip_restart();
    }
}
END_TEST

/* A word to a saga that only the table knows: recorded once, and the saga is as before. */
START_TEST(a_late_word_to_who_ended_long_ago_is_recorded) {
    struct saga_id ids[MANY];
    (void)start_numbered(1000);
    const struct sent late = *world_sent(world.sent_count - 1);
    (void)world_reply(&late, "{\"reply_state\":\"NO_ROOM\"}");
    run_many(ids);
    world_commit();
    ck_assert_str_eq(world_find(late.id.saga).status, "compensated");
    const uint64_t before = world_find(late.id.saga).last_lsn;
    ck_assert_int_eq(world_reply(&late, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_LATE);
    const uint64_t after = world_find(late.id.saga).last_lsn;
    ck_assert_uint_gt(after, before);
    ck_assert_int_eq(world_reply(&late, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_ALREADY);
    ck_assert_uint_eq(world_stats().sagas_known, MANY + 1);
    ck_assert_uint_eq(count_list(NULL, 7), MANY + 1);
    trip_restart();
    ck_assert_uint_eq(world_find(late.id.saga).last_lsn, after);
    ck_assert_uint_eq(world_stats().sagas_known, MANY + 1);
    for (unsigned i = 0; i < MANY; i++) {
        (void)start_numbered(2000 + i);
        end_last(true);
    }
    world_commit();
    ck_assert_uint_eq(world_find(late.id.saga).last_lsn, after);
    trip_restart();
    ck_assert_uint_eq(world_find(late.id.saga).last_lsn, after);
    ck_assert_str_eq(world_find(late.id.saga).status, "compensated");
}
END_TEST

/* Who is to be told of an end, over checkpoints: of an open saga, and of one that ended while
 * nobody carried the word. */
START_TEST(who_is_owed_an_end_is_told_after_checkpoints) {
    struct saga_id ids[MANY];
    for (int i = 0; i < 2; i++) {
        struct saga_request request = trip_request(i == 0 ? "open" : "ended", "{}");
        request.content = world_bytes(i == 0 ? "\"first\"" : "\"second\"");
        world_take(&request);
        ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
    }
    const struct sent open = *world_sent(world.sent_count - 2);
    world.is_mute = true;
    end_last(false);
    run_many(ids);
    trip_restart();
    ck_assert_uint_lt(world.report.records, 250);
    ck_assert_uint_eq(world_stats().outcomes_open, 1);
    ck_assert_uint_eq(world_stats().outcomes_untold, 1);
    world.is_mute = false;
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 1);
    ck_assert_str_eq(world_told(0)->asker, "\"second\"");
    struct saga_request told = world_request(SAGA_REQUEST_TOLD);
    told.id = world_told(0)->saga;
    world_take(&told);
    (void)world_reply(&open, "{\"reply_state\":\"NO_ROOM\"}");
    ck_assert_uint_eq(world.told_count, 2);
    ck_assert_str_eq(world_told(1)->asker, "\"first\"");
    told.id = world_told(1)->saga;
    world_take(&told);
    world_pass(5000);
    for (unsigned i = 0; i < MANY; i++) {
        (void)start_numbered(3000 + i);
        end_last(true);
    }
    trip_restart();
    world_pass(1);
    ck_assert_uint_eq(world.told_count, 0);
    ck_assert_uint_eq(world_stats().outcomes_untold + world_stats().outcomes_open, 0);
}
END_TEST

static void start_asking(const char *key) {
    struct saga_request request = trip_request(key, "{}");
    request.content = world_bytes("\"somebody\"");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
}

/* Who was given last knows. */
static void confirm(void) {
    struct saga_request told = world_request(SAGA_REQUEST_TOLD);
    told.id = world_told(world.told_count - 1)->saga;
    world_take(&told);
}

/* What one record after the other says of the whole log; counts those of this fact. */
static unsigned assert_each_is_after(uint8_t fact, int64_t (*what)(const struct saga_record *)) {
    struct saga_log_reader *reader;
    struct saga_record record;
    struct saga_fault fault = {0};
    int64_t last = INT64_MIN;
    unsigned count = 0;
    ck_assert_int_eq(saga_log_reader_open(world.log, &reader, &fault), SAGA_OK);
    while (saga_log_reader_next(reader, &record, &fault) == SAGA_OK) {
        if (fact == 0 || record.fact == fact) {
            ck_assert_int_ge(what(&record), last);
            last = what(&record) + (fact != 0);
            count++;
        }
    }
    saga_log_reader_close(reader);
    return count;
}

static int64_t through(const struct saga_record *record) {
    return (int64_t)record->through_lsn;
}

static int64_t time_of(const struct saga_record *record) {
    return record->at_ms;
}

START_TEST(what_was_marked_as_told_is_not_marked_again_after_a_checkpoint) {
    struct saga_id ids[MANY];
    start_asking("never told");
    end_last(false);
    for (int round = 0; round < 2; round++) {
        start_asking(round == 0 ? "told" : "told later");
        end_last(false);
        confirm();
        world_pass(5000);
        ck_assert_uint_eq(assert_each_is_after(SAGA_OUTCOMES_TOLD, through), 1);
        if (round == 0) {
            run_many(ids);
            trip_restart();
            ck_assert_uint_lt(world.report.records, 250);
            world_pass(1);
        }
    }
}
END_TEST

/* A late reply is recorded without a step of the coordinator, which has the time. */
START_TEST(time_goes_on_where_a_late_word_is_the_last_before_a_checkpoint) {
    world.checkpoints.records = 1;
    trip_restart();
    (void)start_numbered(1);
    const struct sent late = *world_sent(world.sent_count - 1);
    (void)world_reply(&late, "{\"reply_state\":\"NO_ROOM\"}");
    world_commit();
    world_sleep(60000);
    ck_assert_int_eq(world_reply(&late, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_LATE);
    world_commit();
    ck_assert_uint_eq(world_stats().checkpoints.lsn, world_stats().last_lsn);
    world.now.wall_ms -= INT64_C(365) * 24 * 3600 * 1000;
    trip_restart();
    (void)start_numbered(2);
    (void)assert_each_is_after(0, time_of);
}
END_TEST

/* ------------------------------------------------------------------- deaths */

/* The states of all open sagas, as all records of the log fold them. */
static void assert_same_as_all_records(void) {
    const struct saga_limits limits = {
        .sagas_max = 1000, .plans_max = 16, .participants_max = 16, .resend_per_second = 1};
    void *memory = calloc(1, saga_coordinator_size(&limits));
    struct saga_coordinator *whole = saga_coordinator_init(memory, &limits);
    struct saga_log_reader *reader;
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(world.log, &reader, &fault), SAGA_OK);
    saga_log_reader_seek(reader, saga_log_reader_first(reader));
    while (saga_log_reader_next(reader, &record, &fault) == SAGA_OK) {
        if (record.fact == SAGA_DEFINITION_LOADED) {
            ck_assert(saga_coordinator_define(
                whole, &saga_engine_definition(world.engine, record.lsn)->plan));
        } else if (record.fact == SAGA_LATE_REPLY_RECEIVED) {
            (void)!saga_coordinator_replay(whole, &record);
        } else {
            ck_assert_int_eq(saga_coordinator_replay(whole, &record), SAGA_REPLAYED);
        }
    }
    const struct saga_plan *plan;
    const struct saga *saga;
    uint32_t cursor = 0;
    uint64_t count = 0;
    while ((saga = saga_coordinator_next(whole, &cursor, &plan)) != NULL) {
        struct saga_request request = world_request(SAGA_REQUEST_FIND);
        struct saga_listing listing;
        request.id = saga->id;
        request.listings = &listing;
        world_take(&request);
        ck_assert_int_eq(request.result, SAGA_RESULT_OK);
        ck_assert_uint_eq(listing.last_lsn, saga->last_lsn);
        ck_assert_str_eq(listing.status, saga_status_name(saga));
        count++;
    }
    ck_assert_uint_eq(world_stats().core.open, count);
    saga_log_reader_close(reader);
    free(memory);
}

/* Whatever was being written when it died. What the states themselves are is compared byte for byte
 * by the simulation; here it is the real log that has the tables. */
START_TEST(killed_between_any_two_commits_nothing_is_lost) {
    struct splitmix random = {(uint64_t)_i + 1};
    unsigned started = 0;
    unsigned deaths = 0;
    world.checkpoints.records = 20 + splitmix_below(&random, 100);
    world.checkpoints.slice_entries = 1 + (uint32_t)splitmix_below(&random, 5);
    trip_restart();
    for (int round = 0; round < 400; round++) {
        const uint64_t chance = splitmix_below(&random, 10);
        if (chance < 4 || world.sent_count == 0) {
            (void)start_numbered(started++);
        } else if (chance < 9) {
            static const char *const words[] = {"ROOM_BOOKED", "NO_ROOM", "SEAT_RESERVED",
                                                "NO_SEAT", "ROOM_CANCELLED"};
            char body[64];
            const uint64_t recent = world.sent_count < 20 ? world.sent_count : 20;
            (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\"}",
                           words[splitmix_below(&random, 5)]);
            (void)world_reply(world_sent(world.sent_count - 1 - splitmix_below(&random, recent)),
                              body);
        } else if (splitmix_below(&random, 3) == 0) {
            trip_restart();
            assert_same_as_all_records();
            ck_assert_uint_eq(world_stats().sagas_known, started);
            deaths++;
        }
    }
    ck_assert_uint_gt(deaths, 3);
    for (unsigned i = 0; i < started; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "key %u", i);
        ck_assert_int_eq(trip_start(key, "{}"), SAGA_RESULT_OK);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoints");
    tcase_add_checked_fixture(tests, set_up, trip_tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, recovery_reads_what_came_after_the_checkpoint);
    tcase_add_test(tests, an_idle_engine_goes_on_with_its_slices);
    tcase_add_test(tests, start_keys_are_remembered_for_ever);
    tcase_add_test(tests, lists_have_them_all);
    tcase_add_test(tests, a_late_word_to_who_ended_long_ago_is_recorded);
    tcase_add_test(tests, who_is_owed_an_end_is_told_after_checkpoints);
    tcase_add_test(tests, what_was_marked_as_told_is_not_marked_again_after_a_checkpoint);
    tcase_add_test(tests, time_goes_on_where_a_late_word_is_the_last_before_a_checkpoint);
    tcase_add_loop_test(tests, killed_between_any_two_commits_nothing_is_lost, 0, 6);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
