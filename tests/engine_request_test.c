/* What the engine is asked and told, and what it answers: starts, replies, an
 * operator's requests, and definitions. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "check_run.h"
#include "trip_fixture.h"

START_TEST(a_key_starts_one_saga) {
    ck_assert_int_eq(trip_start("k1", "{\"a\":1,\"b\":2}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    ck_assert_int_eq(trip_start("k1", " {\"b\": 2, \"a\": 1} "), SAGA_RESULT_OK);
    ck_assert_mem_eq(&trip.id, &id, sizeof id);
    ck_assert_int_eq(trip_start("k1", "{\"a\":1,\"b\":3}"), SAGA_RESULT_CONFLICT);
    ck_assert_int_eq(trip_start("k2", "{\"a\":1,\"b\":2}"), SAGA_RESULT_CREATED);
    ck_assert_mem_ne(&trip.id, &id, sizeof id);
    ck_assert_uint_eq(world_stats().started, 2);
}
END_TEST

START_TEST(two_starts_of_one_key_in_one_batch_are_one_saga) {
    struct saga_request first = trip_request("k1", "{}");
    struct saga_request second = trip_request("k1", "{}");
    struct saga_listing other;
    second.listings = &other;
    saga_engine_take(world.engine, &first, world.now);
    world_take(&second);
    ck_assert_int_eq(first.result, SAGA_RESULT_CREATED);
    ck_assert_int_eq(second.result, SAGA_RESULT_OK);
    ck_assert_mem_eq(&other.id, &trip.id, sizeof other.id);
}
END_TEST

START_TEST(keys_are_remembered_over_a_restart) {
    ck_assert_int_eq(trip_start("k1", "{\"n\":1.50}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    trip_restart();
    ck_assert_int_eq(trip_start("k1", "{\"n\":1.5}"), SAGA_RESULT_OK);
    ck_assert_mem_eq(&trip.id, &id, sizeof id);
    ck_assert_int_eq(trip_start("k1", "{\"n\":2}"), SAGA_RESULT_CONFLICT);
}
END_TEST

START_TEST(bad_starts_are_refused_with_a_reason) {
    struct saga_request request = trip_request("k1", "{}");
    static char large[2 << 20];
    request.saga = "tripp";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_DEFINITION);
    ck_assert_ptr_nonnull(strstr(request.text, "trip"));
    world_commit();
    ck_assert_int_eq(trip_start("k1", "{\"a\":1,\"a\":2}"), SAGA_RESULT_INVALID);
    ck_assert_int_eq(trip_start("k1", "[1]"), SAGA_RESULT_INVALID);
    ck_assert_int_eq(trip_start("k1", "{\"a\":"), SAGA_RESULT_INVALID);
    memset(large, ' ', sizeof large - 1);
    ck_assert_int_eq(trip_start("k1", large), SAGA_RESULT_TOO_LARGE);
    memset(large, 'k', 300);
    large[300] = '\0';
    ck_assert_int_eq(trip_start(large, "{}"), SAGA_RESULT_TOO_LARGE);
    ck_assert_uint_eq(world_stats().core.open, 0);
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED); /* no key was used up */
}
END_TEST

START_TEST(a_rejection_compensates_what_was_done) {
    ck_assert_int_eq(trip_start("k1", "{\"to\":\"Rome\"}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\",\"content\":{\"room\":12}}");
    world_reply(world_sent(1), "{\"reply_state\":\"NO_SEAT\",\"content\":{\"ignored\":1}}");
    ck_assert_uint_eq(world.sent_count, 3);
    ck_assert_str_eq(world_sent(2)->name, "hotel.cancel");
    ck_assert_str_eq(world_sent(2)->body, "{\"room\":12,\"to\":\"Rome\"}");
    ck_assert_str_eq(world_find(id).status, "compensating");
    world_reply(world_sent(2), "{\"reply_state\":\"ROOM_CANCELLED\"}");
    ck_assert_str_eq(world_find(id).status, "compensated");
}
END_TEST

START_TEST(an_unlisted_event_is_an_unknown_outcome) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_EXPLODED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_find(id).status, "running");
    ck_assert_uint_eq(world_stats().replies_unlisted, 1);
    world_pass(2000); /* its backoff */
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(world_sent(1)->attempt, 2);
}
END_TEST

START_TEST(a_reply_that_cannot_be_read_is_counted_and_hurts_nobody) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_request request = world_reply_request(world_sent(0), "{\"reply_state\":");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_INVALID);
    struct sent strange = *world_sent(0);
    strange.id.step = 40;
    request = world_reply_request(&strange, "{}");
    saga_engine_take(world.engine, &request, world.now);
    strange = *world_sent(0);
    strange.id.saga.bytes[3] ^= 1;
    request = world_reply_request(&strange, "{}");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_SAGA);
    ck_assert_uint_eq(world_stats().replies_malformed, 2);
    ck_assert_uint_eq(world_stats().replies_unknown_saga, 1);
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
}
END_TEST

/* The command's step by its name, as a reply over a broker has it. */
static struct saga_request named_reply(const struct sent *to, const char *step, const char *body) {
    struct saga_request request = world_reply_request(to, body);
    request.command.step = 77; /* is not looked at */
    request.step = world_bytes(step);
    return request;
}

START_TEST(a_reply_may_name_its_step) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    struct saga_request request =
        named_reply(world_sent(0), "room", "{\"reply_state\":\"ROOM_BOOKED\"}");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
    ck_assert_int_eq(request.answer, SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_sent(1)->name, "train.reserve");
    request = named_reply(world_sent(1), "seat", "{\"reply_state\":\"SEAT_RESERVED\"}");
    world_take(&request);
    ck_assert_int_eq(request.answer, SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_find(id).status, "completed");
}
END_TEST

START_TEST(a_reply_that_names_no_step_of_the_saga_hurts_nobody) {
    static const char *const names[] = {"rooms", "ROOM", "roo", "train", "\xff"};
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    const uint64_t last = world_stats().last_lsn;
    for (size_t i = 0; i < 5; i++) {
        struct saga_request request =
            named_reply(world_sent(0), names[i], "{\"reply_state\":\"ROOM_BOOKED\"}");
        world_take(&request);
        ck_assert_int_eq(request.result, SAGA_RESULT_INVALID);
        ck_assert_uint_gt(strlen(request.text), 0);
        ck_assert_uint_eq(world_stats().replies_malformed, i + 1);
    }
    ck_assert_uint_eq(world_stats().last_lsn, last);
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
}
END_TEST

static void resend(void) {
    struct saga_request request = world_request(SAGA_REQUEST_RESEND);
    const size_t answered = world.answered_count;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
    ck_assert_uint_eq(world.answered_count, answered + 1);
}

START_TEST(what_is_outstanding_is_sent_again_as_the_same_attempt) {
    ck_assert_int_eq(trip_start("k1", "{\"n\":1}"), SAGA_RESULT_CREATED);
    ck_assert_int_eq(trip_start("k2", "{\"n\":2}"), SAGA_RESULT_CREATED);
    ck_assert_int_eq(trip_start("k3", "{\"n\":3}"), SAGA_RESULT_CREATED);
    world_reply(world_sent(1), "{\"reply_state\":\"ROOM_BOOKED\"}"); /* the seat is next */
    world_reply(world_sent(2), "{\"reply_state\":\"NO_ROOM\"}");     /* this one has ended */
    ck_assert_uint_eq(world.sent_count, 4);
    const struct sent room = *world_sent(0), seat = *world_sent(3);
    const uint64_t last = world_stats().last_lsn;
    resend();
    world_pass(100); /* it is spread over time */
    ck_assert_uint_eq(world.sent_count, 6);
    for (size_t i = 4; i < 6; i++) {
        const struct sent *again = world_sent(i);
        const struct sent *first = again->id.step == 0 ? &room : &seat;
        ck_assert_mem_eq(&again->id, &first->id, sizeof again->id);
        ck_assert_uint_eq(again->attempt, first->attempt);
        ck_assert_str_eq(again->name, first->name);
        ck_assert_str_eq(again->body, first->body);
        ck_assert_int_eq(again->command_at_ms, first->command_at_ms);
    }
    ck_assert_mem_ne(&world_sent(4)->id, &world_sent(5)->id, sizeof room.id);
    ck_assert_uint_eq(world_stats().last_lsn, last); /* nothing that the log did not know */
    ck_assert_int_eq(world_reply(&room, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
}
END_TEST

START_TEST(a_reply_to_either_sending_counts_once) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    resend();
    world_pass(100);
    const struct sent first = *world_sent(0), second = *world_sent(1);
    ck_assert_int_eq(world_reply(&second, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_int_ne(world_reply(&first, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 3);
    world_reply(world_sent(2), "{\"reply_state\":\"SEAT_RESERVED\"}");
    ck_assert_str_eq(world_find(id).status, "completed");
}
END_TEST

START_TEST(what_could_not_be_sent_need_not_wait_for_its_turn) {
    world.refuses = true;
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    world_pass(20000); /* its turns are far apart by now */
    ck_assert_uint_eq(world.sent_count, 0);
    world.refuses = false;
    resend();
    world_pass(100);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_int_eq(world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_TAKEN);
}
END_TEST

START_TEST(sending_again_costs_no_attempt) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    for (int i = 0; i < 50; i++) { /* the broker comes and goes; ten attempts would be its end */
        resend();
        world_pass(50);
    }
    ck_assert_uint_eq(world.sent_count, 51);
    ck_assert_uint_eq(world_sent(50)->attempt, 1);
    world_reply(world_sent(50), "{\"reply_state\":\"ROOM_BOOKED\"}");
    ck_assert_str_eq(world_find(id).status, "running");
    ck_assert_str_eq(world_sent(51)->name, "train.reserve");
}
END_TEST

START_TEST(with_nothing_outstanding_nothing_is_sent) {
    resend();
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    world_reply(world_sent(0), "{\"reply_state\":\"NO_ROOM\"}");
    resend();
    world_pass(1000);
    ck_assert_uint_eq(world.sent_count, 1);
}
END_TEST

START_TEST(a_late_reply_to_an_ended_saga_is_recorded_once) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = trip.id;
    const struct sent room = *world_sent(0);
    world_reply(&room, "{\"reply_state\":\"NO_ROOM\"}");
    ck_assert_str_eq(world_find(id).status, "compensated");
    uint64_t last = world_stats().last_lsn;
    ck_assert_int_eq(world_reply(&room, "{\"reply_state\":\"NO_ROOM\"}"), SAGA_ANSWER_ALREADY);
    ck_assert_uint_eq(world_stats().last_lsn, last);
    ck_assert_int_eq(world_reply(&room, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_LATE);
    ck_assert_uint_eq(world_stats().last_lsn, last + 1);
    ck_assert_int_eq(world_reply(&room, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_ALREADY);
    trip_restart();
    ck_assert_int_eq(world_reply(&room, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_ALREADY);
    ck_assert_str_eq(world_find(id).status, "compensated");
    ck_assert_uint_eq(world.report.quarantined, 0);
}
END_TEST

/* A done reply whose content has `size` bytes under `name`. */
static const char *large_reply(char *body, size_t size, const char *event, const char *name) {
    int head = sprintf(body, "{\"reply_state\":\"%s\",\"content\":{\"%s\":\"", event, name);
    memset(body + head, 'x', size);
    strcpy(body + head + size, "\"}}");
    return body;
}

START_TEST(data_that_outgrows_a_command_parks_the_saga_and_it_can_still_go_back) {
    static char body[1 << 20];
    static char input[700 << 10];
    struct saga_id id;
    memcpy(input, "{\"a\":\"", 6);
    memset(input + 6, 'x', sizeof input - 9);
    strcpy(input + sizeof input - 3, "\"}");
    ck_assert_int_eq(trip_start("k1", input), SAGA_RESULT_CREATED);
    id = trip.id;
    large_reply(body, 700 << 10, "ROOM_BOOKED", "b");
    ck_assert_int_eq(world_reply(world_sent(0), body), SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_find(id).status, "parked");
    ck_assert_uint_eq(world.sent_count, 1);
    struct saga_request request = world_request(SAGA_REQUEST_CANCEL);
    request.id = id;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_ACCEPTED);
    ck_assert_uint_eq(world.sent_count, 2); /* with the data of the latest body that fitted */
    ck_assert_str_eq(world_sent(1)->name, "hotel.cancel");
    ck_assert_int_eq(world_reply(world_sent(1), "{\"reply_state\":\"ROOM_CANCELLED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(world_find(id).status, "compensated");
}
END_TEST

START_TEST(cancel_compensates_and_says_what_it_did) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_request request = world_request(SAGA_REQUEST_CANCEL);
    request.id = trip.id;
    request.key = world_bytes("ann");
    request.body = world_bytes("changed my mind");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_ACCEPTED);
    ck_assert_str_eq(world_sent(1)->name, "hotel.cancel");
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
    struct saga_request done = world_reply_request(world_sent(1), "");
    done.verdict = SAGA_NOOP;
    saga_engine_take(world.engine, &done, world.now);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CONFLICT);
    ck_assert_ptr_nonnull(strstr(request.text, "ended"));
    request.id.bytes[0] ^= 1;
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_SAGA);
}
END_TEST

START_TEST(a_list_has_the_newest_first_and_goes_on_at_its_cursor) {
    struct saga_listing rows[2];
    char key[8];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(trip_start(key, "{}"), SAGA_RESULT_CREATED);
    }
    world_reply(world_sent(4), "{\"reply_state\":\"NO_ROOM\"}");
    struct saga_request request = world_request(SAGA_REQUEST_LIST);
    request.listings = rows;
    request.limit = 2;
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 2);
    const struct saga_id newest = rows[0].id;
    const struct saga_id second = rows[1].id;
    ck_assert_int_gt(memcmp(&newest, &second, sizeof newest), 0);
    ck_assert_str_eq(rows[0].status, "compensated");
    request.id = second;
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 2);
    ck_assert_int_gt(memcmp(&second, &rows[0].id, sizeof second), 0);
    request.id = rows[1].id;
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 1);
    request.id = (struct saga_id){{0}};
    request.status = "compensated";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 1);
    request.status = NULL;
    request.saga = "other";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 0);
    world_commit();
}
END_TEST

START_TEST(a_running_saga_keeps_its_definition) {
    ck_assert_int_eq(trip_start("k1", "{}"), SAGA_RESULT_CREATED);
    char other[1024];
    ck_assert_int_lt(snprintf(other, sizeof other, "%s", trip_definition), (int)sizeof other);
    memcpy(strstr(other, "train.reserve"), "train.enlists", 13);
    world_define(other);
    world_reply(world_sent(0), "{\"reply_state\":\"ROOM_BOOKED\"}");
    ck_assert_str_eq(world_sent(1)->name, "train.reserve");
    ck_assert_int_eq(trip_start("k2", "{}"), SAGA_RESULT_CREATED);
    world_reply(world_sent(2), "{\"reply_state\":\"ROOM_BOOKED\"}");
    ck_assert_str_eq(world_sent(3)->name, "train.enlists");
}
END_TEST

START_TEST(a_definition_is_logged_once) {
    uint64_t last = world_stats().last_lsn;
    world_define(trip_definition);
    ck_assert_uint_eq(world_stats().last_lsn, last);
    world_commit();
    trip_restart();
    world_commit();
    ck_assert_uint_eq(world.report.definitions, 1);
    ck_assert_uint_eq(world_stats().last_lsn, last + 1); /* the epoch's start */
}
END_TEST

/* A saga of one step at each of `count` participants from p<first> on. */
static struct saga_definition *wide_definition(const char *name, int first, int count) {
    static char text[8192];
    int size = snprintf(text, sizeof text, "saga: %s\nversion: 1\nsteps:\n", name);
    for (int i = first; i < first + count; i++) {
        size += snprintf(text + size, sizeof text - (size_t)size,
                         "  - {name: s%d, command: p%d.act, no_effect: true}\n", i, i);
    }
    return world_definition(text);
}

START_TEST(a_definition_that_is_refused_leaves_nothing_behind) {
    struct saga_fault fault = {0};
    int first = 0;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK) { /* until there is no room for 64 participants more */
        char name[16];
        (void)snprintf(name, sizeof name, "wide%d", first);
        error =
            saga_engine_define(world.engine, wide_definition(name, first, 64), world.now, &fault);
        first += 64;
    }
    ck_assert_int_eq(error, SAGA_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(fault.text, "participant"));
    /* What it would have taken is still free. */
    ck_assert_int_eq(
        saga_engine_define(world.engine, wide_definition("narrow", first, 1), world.now, &fault),
        SAGA_OK);
    world_commit();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine request");
    TCase *tests = tcase_create("engine request");
    tcase_add_checked_fixture(tests, trip_set_up, trip_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_key_starts_one_saga);
    tcase_add_test(tests, two_starts_of_one_key_in_one_batch_are_one_saga);
    tcase_add_test(tests, keys_are_remembered_over_a_restart);
    tcase_add_test(tests, bad_starts_are_refused_with_a_reason);
    tcase_add_test(tests, a_rejection_compensates_what_was_done);
    tcase_add_test(tests, an_unlisted_event_is_an_unknown_outcome);
    tcase_add_test(tests, a_reply_that_cannot_be_read_is_counted_and_hurts_nobody);
    tcase_add_test(tests, a_reply_may_name_its_step);
    tcase_add_test(tests, a_reply_that_names_no_step_of_the_saga_hurts_nobody);
    tcase_add_test(tests, what_is_outstanding_is_sent_again_as_the_same_attempt);
    tcase_add_test(tests, a_reply_to_either_sending_counts_once);
    tcase_add_test(tests, what_could_not_be_sent_need_not_wait_for_its_turn);
    tcase_add_test(tests, sending_again_costs_no_attempt);
    tcase_add_test(tests, with_nothing_outstanding_nothing_is_sent);
    tcase_add_test(tests, a_late_reply_to_an_ended_saga_is_recorded_once);
    tcase_add_test(tests, data_that_outgrows_a_command_parks_the_saga_and_it_can_still_go_back);
    tcase_add_test(tests, cancel_compensates_and_says_what_it_did);
    tcase_add_test(tests, a_list_has_the_newest_first_and_goes_on_at_its_cursor);
    tcase_add_test(tests, a_running_saga_keeps_its_definition);
    tcase_add_test(tests, a_definition_is_logged_once);
    tcase_add_test(tests, a_definition_that_is_refused_leaves_nothing_behind);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
