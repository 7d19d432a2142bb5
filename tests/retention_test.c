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
    ck_assert_int_eq(trip_start(key, "{\"a\":1}"), SAGA_RESULT_CREATED);
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

int main(void) {
    Suite *suite = suite_create("retention");
    TCase *tests = tcase_create("retention");
    tcase_add_checked_fixture(tests, set_up, trip_tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, who_has_ended_long_ago_is_forgotten);
    tcase_add_test(tests, who_is_known_has_all_records);
    tcase_add_test(tests, an_old_open_saga_still_sends_its_command);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
