/* The engine on a real log: what leaves, when, and what a restart makes of it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_run.h"
#include "engine.h"
#include "failpoint.h"
#include "ids.h"

static const char definition_text[] =
    "saga: trip\n"
    "version: 1\n"
    "participants:\n"
    "  hotel: {fenced: true}\n"
    "  train: {fenced: true}\n"
    "steps:\n"
    "  - name: room\n"
    "    command: hotel.book\n"
    "    done: [ROOM_BOOKED]\n"
    "    rejected: [NO_ROOM]\n"
    "    compensation: {command: hotel.cancel, done: [ROOM_CANCELLED]}\n"
    "  - name: seat\n"
    "    command: train.reserve\n"
    "    done: [SEAT_RESERVED]\n"
    "    rejected: [NO_SEAT]\n"
    "    pivot: true\n";

#define SENT_MAX 64

/* What one command looked like as it left. */
struct sent {
    struct saga_command_id id;
    char name[64];
    char body[512];
    uint32_t attempt;
    uint64_t durable; /* as it left */
    int64_t command_at_ms;
};

static struct world {
    char dir[64];
    struct saga_log *log;
    struct saga_engine *engine;
    struct saga_recovery_report report;
    struct saga_moment now;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    size_t answered_count;
    const char *status; /* as last reported */
    bool refuses;       /* the outlet carries nothing */
    uint32_t sagas_max; /* 0: 1000 */
    bool counts;        /* the outlet only counts */
    uint64_t map_bytes; /* 0: 64 MiB */
} world;

static bool take_command(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    if (world.refuses) {
        return false;
    }
    if (world.counts) {
        world.sent_count++;
        return true;
    }
    ck_assert_uint_lt(world.sent_count, SENT_MAX);
    struct sent *sent = &world.sent[world.sent_count++];
    sent->id = dispatch->id;
    sent->attempt = dispatch->attempt;
    sent->durable = saga_log_durable(world.log);
    sent->command_at_ms = dispatch->command_at_ms;
    (void)snprintf(sent->name, sizeof sent->name, "%s", dispatch->name);
    (void)snprintf(sent->body, sizeof sent->body, "%.*s", (int)dispatch->body_size,
                   (const char *)dispatch->body);
    return true;
}

static void note_changed(void *context, const struct saga_id *id, const char *status) {
    (void)context;
    (void)id;
    world.status = status;
}

static void count_up(void *context, void *bytes, size_t size) {
    static uint8_t next;
    (void)context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = next++;
    }
}

static void note_answered(struct saga_request *request) {
    (void)request;
    world.answered_count++;
}

static void define(const char *text) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    struct saga_fault fault;
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics), SAGA_OK);
    ck_assert_int_eq(saga_engine_define(world.engine, definition, world.now, &fault), SAGA_OK);
}

static void commit(void);

static void open_world(void) {
    struct saga_fault fault = {0};
    struct saga_engine_config config;
    const struct saga_log_options options = {
        .data_dir = world.dir, .map_bytes_max = world.map_bytes != 0 ? world.map_bytes : 64u << 20};
    const struct saga_outlet outlet = {.send = take_command, .changed = note_changed};
    saga_engine_config_default(&config);
    config.limits.sagas_max = world.sagas_max != 0 ? world.sagas_max : 1000;
    config.random = count_up;
    ck_assert_msg(saga_log_open(&world.log, &options, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_msg(saga_engine_open(&world.engine, world.log, &config, &outlet, world.now,
                                   &world.report, &fault) == SAGA_OK,
                  "%s", fault.text);
    define(definition_text);
    commit();
}

static void close_world(void) {
    saga_engine_close(world.engine);
    saga_log_close(world.log);
}

/* As a kill would: what was not committed is gone. */
static void restart(void) {
    close_world();
    world.sent_count = 0;
    world.now.boot_ms += 5000;
    world.now.wall_ms += 5000;
    open_world();
}

static void set_up_with_map(uint64_t map_bytes) {
    memset(&world, 0, sizeof world);
    world.map_bytes = map_bytes;
    world.now = (struct saga_moment){.boot_ms = 1000, .wall_ms = 1700000000000};
    strcpy(world.dir, "/tmp/engine-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world.dir));
    open_world();
}

static void set_up(void) {
    set_up_with_map(0);
}

static void tear_down(void) {
    char command[128];
    close_world();
    (void)snprintf(command, sizeof command, "rm -r %s", world.dir);
    ck_assert_int_eq(system(command), 0);
}

static void commit(void) {
    struct saga_fault fault = {0};
    while (saga_engine_pending(world.engine)) {
        ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s",
                      fault.text);
    }
}

/* Lets time pass, and does what is due. */
static void pass(int64_t ms) {
    world.now.boot_ms += ms;
    world.now.wall_ms += ms;
    while (saga_engine_tick(world.engine, world.now) <= world.now.boot_ms) {
        commit();
    }
    commit();
}

static struct saga_bytes bytes(const char *text) {
    return (struct saga_bytes){.data = text, .size = (uint32_t)strlen(text)};
}

static struct saga_listing listing;

static struct saga_request start_request(const char *key, const char *input) {
    return (struct saga_request){
        .type = SAGA_REQUEST_START,
        .answered = note_answered,
        .saga = "trip",
        .key = bytes(key),
        .body = bytes(input),
        .listings = &listing,
    };
}

static enum saga_result start(const char *key, const char *input) {
    struct saga_request request = start_request(key, input);
    saga_engine_take(world.engine, &request, world.now);
    commit();
    return (enum saga_result)request.result;
}

static struct saga_request reply_request(const struct sent *to, const char *body) {
    return (struct saga_request){
        .type = SAGA_REQUEST_REPLY,
        .answered = note_answered,
        .command = to->id,
        .attempt = to->attempt,
        .body = bytes(body),
    };
}

static enum saga_answer reply(const struct sent *to, const char *body) {
    struct saga_request request = reply_request(to, body);
    saga_engine_take(world.engine, &request, world.now);
    commit();
    return (enum saga_answer)request.answer;
}

static const char *status_of(struct saga_id id) {
    struct saga_request request = {
        .type = SAGA_REQUEST_FIND, .answered = note_answered, .id = id, .listings = &listing};
    saga_engine_take(world.engine, &request, world.now);
    commit();
    return request.result == SAGA_RESULT_OK ? listing.status : NULL;
}

static struct saga_engine_stats stats(void) {
    struct saga_engine_stats all = {0};
    struct saga_request request = {
        .type = SAGA_REQUEST_STATS, .answered = note_answered, .stats = &all};
    saga_engine_take(world.engine, &request, world.now);
    commit();
    return all;
}

START_TEST(a_saga_runs_to_its_end) {
    ck_assert_int_eq(start("k1", "{\"to\":\"Rome\"}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_str_eq(world.sent[0].name, "hotel.book");
    ck_assert_str_eq(world.sent[0].body, "{\"to\":\"Rome\"}");
    ck_assert_int_eq(
        reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\",\"content\":{\"room\":12}}"),
        SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_str_eq(world.sent[1].name, "train.reserve");
    ck_assert_str_eq(world.sent[1].body, "{\"room\":12,\"to\":\"Rome\"}");
    ck_assert_int_eq(reply(&world.sent[1], "{\"reply_state\":\"SEAT_RESERVED\",\"content\":null}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(status_of(id), "completed");
    ck_assert_str_eq(world.status, "completed");
    ck_assert_uint_eq(stats().core.open, 0);
}
END_TEST

START_TEST(nothing_leaves_before_its_records_are_durable) {
    struct saga_request request = start_request("k1", "{}");
    uint64_t durable = saga_log_durable(world.log);
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(world.sent_count, 0);
    ck_assert_uint_eq(world.answered_count, 0);
    ck_assert_uint_eq(saga_log_durable(world.log), durable);
    commit();
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_uint_eq(world.answered_count, 1);
    ck_assert_uint_gt(world.sent[0].durable, durable + 1); /* started and issued */
}
END_TEST

START_TEST(a_reply_and_the_command_it_causes_are_one_commit) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    uint64_t before = stats().log.commits;
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(stats().log.commits, before + 1);
}
END_TEST

START_TEST(many_requests_share_one_commit) {
    struct saga_request requests[50];
    char keys[50][8];
    uint64_t before = stats().log.commits;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
        requests[i] = start_request(keys[i], "{}");
        saga_engine_take(world.engine, &requests[i], world.now);
        listing = (struct saga_listing){{{0}}, 0, 0, NULL, 0};
    }
    commit();
    ck_assert_uint_eq(world.sent_count, 50);
    ck_assert_uint_eq(stats().log.commits, before + 1);
}
END_TEST

START_TEST(a_key_starts_one_saga) {
    ck_assert_int_eq(start("k1", "{\"a\":1,\"b\":2}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    ck_assert_int_eq(start("k1", " {\"b\": 2, \"a\": 1} "), SAGA_RESULT_OK);
    ck_assert_mem_eq(&listing.id, &id, sizeof id);
    ck_assert_int_eq(start("k1", "{\"a\":1,\"b\":3}"), SAGA_RESULT_CONFLICT);
    ck_assert_int_eq(start("k2", "{\"a\":1,\"b\":2}"), SAGA_RESULT_CREATED);
    ck_assert_mem_ne(&listing.id, &id, sizeof id);
    ck_assert_uint_eq(stats().started, 2);
}
END_TEST

START_TEST(two_starts_of_one_key_in_one_batch_are_one_saga) {
    struct saga_request first = start_request("k1", "{}");
    struct saga_request second = start_request("k1", "{}");
    struct saga_listing other;
    second.listings = &other;
    saga_engine_take(world.engine, &first, world.now);
    saga_engine_take(world.engine, &second, world.now);
    commit();
    ck_assert_int_eq(first.result, SAGA_RESULT_CREATED);
    ck_assert_int_eq(second.result, SAGA_RESULT_OK);
    ck_assert_mem_eq(&other.id, &listing.id, sizeof other.id);
}
END_TEST

START_TEST(keys_are_remembered_over_a_restart) {
    ck_assert_int_eq(start("k1", "{\"n\":1.50}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    restart();
    ck_assert_int_eq(start("k1", "{\"n\":1.5}"), SAGA_RESULT_OK);
    ck_assert_mem_eq(&listing.id, &id, sizeof id);
    ck_assert_int_eq(start("k1", "{\"n\":2}"), SAGA_RESULT_CONFLICT);
}
END_TEST

START_TEST(bad_starts_are_refused_with_a_reason) {
    struct saga_request request = start_request("k1", "{}");
    static char large[2 << 20];
    request.saga = "tripp";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_DEFINITION);
    ck_assert_ptr_nonnull(strstr(request.text, "trip"));
    commit();
    ck_assert_int_eq(start("k1", "{\"a\":1,\"a\":2}"), SAGA_RESULT_INVALID);
    ck_assert_int_eq(start("k1", "[1]"), SAGA_RESULT_INVALID);
    ck_assert_int_eq(start("k1", "{\"a\":"), SAGA_RESULT_INVALID);
    memset(large, ' ', sizeof large - 1);
    ck_assert_int_eq(start("k1", large), SAGA_RESULT_TOO_LARGE);
    memset(large, 'k', 300);
    large[300] = '\0';
    ck_assert_int_eq(start(large, "{}"), SAGA_RESULT_TOO_LARGE);
    ck_assert_uint_eq(stats().core.open, 0);
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED); /* no key was used up */
}
END_TEST

START_TEST(what_was_not_committed_is_not_there_after_a_restart) {
    struct saga_request request = start_request("k1", "{}");
    saga_engine_take(world.engine, &request, world.now);
    restart();
    ck_assert_uint_eq(world.report.sagas, 0);
    ck_assert_uint_eq(world.answered_count, 0);
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
}
END_TEST

START_TEST(a_restart_sends_outstanding_commands_again_with_the_same_id) {
    ck_assert_int_eq(start("k1", "{\"x\":1}"), SAGA_RESULT_CREATED);
    struct sent before = world.sent[0];
    restart();
    ck_assert_uint_eq(world.report.open, 1);
    pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_mem_eq(&world.sent[0].id, &before.id, sizeof before.id);
    ck_assert_uint_eq(world.sent[0].attempt, before.attempt);
    ck_assert_str_eq(world.sent[0].body, before.body);
}
END_TEST

/* By it a participant knows a command whose row it may have purged. */
START_TEST(every_attempt_says_when_its_command_was_issued) {
    int64_t issued_ms = world.now.wall_ms;
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    pass(10000);
    pass(2000);
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(world.sent[1].attempt, 2);
    ck_assert_int_eq(world.sent[0].command_at_ms, issued_ms);
    ck_assert_int_eq(world.sent[1].command_at_ms, issued_ms);
    restart();
    pass(1);
    ck_assert_int_eq(world.sent[0].command_at_ms, issued_ms);
}
END_TEST

START_TEST(a_reply_to_the_first_sending_counts_after_a_restart) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct sent before = world.sent[0];
    restart();
    ck_assert_int_eq(reply(&before, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_int_eq(reply(&before, "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_ALREADY);
}
END_TEST

START_TEST(a_rejection_compensates_what_was_done) {
    ck_assert_int_eq(start("k1", "{\"to\":\"Rome\"}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\",\"content\":{\"room\":12}}");
    reply(&world.sent[1], "{\"reply_state\":\"NO_SEAT\",\"content\":{\"ignored\":1}}");
    ck_assert_uint_eq(world.sent_count, 3);
    ck_assert_str_eq(world.sent[2].name, "hotel.cancel");
    ck_assert_str_eq(world.sent[2].body, "{\"room\":12,\"to\":\"Rome\"}");
    ck_assert_str_eq(status_of(id), "compensating");
    reply(&world.sent[2], "{\"reply_state\":\"ROOM_CANCELLED\"}");
    ck_assert_str_eq(status_of(id), "compensated");
}
END_TEST

START_TEST(an_unlisted_event_is_an_unknown_outcome) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_EXPLODED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(status_of(id), "running");
    ck_assert_uint_eq(stats().replies_unlisted, 1);
    pass(2000); /* its backoff */
    ck_assert_uint_eq(world.sent_count, 2);
    ck_assert_uint_eq(world.sent[1].attempt, 2);
}
END_TEST

START_TEST(a_reply_that_cannot_be_read_is_counted_and_hurts_nobody) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_request request = reply_request(&world.sent[0], "{\"reply_state\":");
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_INVALID);
    struct sent strange = world.sent[0];
    strange.id.step = 40;
    request = reply_request(&strange, "{}");
    saga_engine_take(world.engine, &request, world.now);
    strange = world.sent[0];
    strange.id.saga.bytes[3] ^= 1;
    request = reply_request(&strange, "{}");
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_SAGA);
    ck_assert_uint_eq(stats().replies_malformed, 2);
    ck_assert_uint_eq(stats().replies_unknown_saga, 1);
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
}
END_TEST

START_TEST(a_late_reply_to_an_ended_saga_is_recorded_once) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    reply(&world.sent[0], "{\"reply_state\":\"NO_ROOM\"}");
    ck_assert_str_eq(status_of(id), "compensated");
    uint64_t last = stats().last_lsn;
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"NO_ROOM\"}"), SAGA_ANSWER_ALREADY);
    ck_assert_uint_eq(stats().last_lsn, last);
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_LATE);
    ck_assert_uint_eq(stats().last_lsn, last + 1);
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_ALREADY);
    restart();
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"),
                     SAGA_ANSWER_ALREADY);
    ck_assert_str_eq(status_of(id), "compensated");
    ck_assert_uint_eq(world.report.quarantined, 0);
}
END_TEST

START_TEST(commands_that_nobody_carries_wait) {
    world.refuses = true;
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    pass(30000);
    ck_assert_uint_eq(world.sent_count, 0);
    ck_assert_str_eq(status_of(id), "running");
    ck_assert_uint_gt(stats().core.facts[SAGA_COMMAND_UNSENT], 1);
    world.refuses = false;
    pass(60000);
    ck_assert_uint_eq(world.sent_count, 1);
}
END_TEST

START_TEST(a_step_that_never_ran_is_not_compensated) {
    world.refuses = true;
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_id id = listing.id;
    for (int i = 0; i < 320; i++) {
        pass(1000);
    }
    ck_assert_str_eq(status_of(id), "compensated");
    ck_assert_uint_eq(world.sent_count, 0);
}
END_TEST

START_TEST(cancel_compensates_and_says_what_it_did) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    struct saga_request request = {.type = SAGA_REQUEST_CANCEL,
                                   .answered = note_answered,
                                   .id = listing.id,
                                   .key = bytes("ann"),
                                   .body = bytes("changed my mind")};
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_ACCEPTED);
    ck_assert_str_eq(world.sent[1].name, "hotel.cancel");
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_OK);
    struct saga_request done = reply_request(&world.sent[1], "");
    done.verdict = SAGA_NOOP;
    saga_engine_take(world.engine, &done, world.now);
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_CONFLICT);
    ck_assert_ptr_nonnull(strstr(request.text, "ended"));
    request.id.bytes[0] ^= 1;
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_NO_SAGA);
}
END_TEST

START_TEST(a_list_has_the_newest_first_and_goes_on_at_its_cursor) {
    struct saga_listing rows[2];
    char key[8];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(start(key, "{}"), SAGA_RESULT_CREATED);
    }
    reply(&world.sent[4], "{\"reply_state\":\"NO_ROOM\"}");
    struct saga_request request = {
        .type = SAGA_REQUEST_LIST, .answered = note_answered, .listings = rows, .limit = 2};
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 2);
    ck_assert_uint_eq(rows[0].position, 5);
    ck_assert_str_eq(rows[0].status, "compensated");
    request.cursor = rows[1].position;
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(rows[0].position, 3);
    request.cursor = 0;
    request.status = "compensated";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 1);
    request.status = NULL;
    request.saga = "other";
    saga_engine_take(world.engine, &request, world.now);
    ck_assert_uint_eq(request.listing_count, 0);
    commit();
}
END_TEST

START_TEST(a_running_saga_keeps_its_definition) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    char other[sizeof definition_text + 64];
    (void)snprintf(other, sizeof other, "%s", definition_text);
    memcpy(strstr(other, "train.reserve"), "train.enlists", 13);
    define(other);
    reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}");
    ck_assert_str_eq(world.sent[1].name, "train.reserve");
    ck_assert_int_eq(start("k2", "{}"), SAGA_RESULT_CREATED);
    reply(&world.sent[2], "{\"reply_state\":\"ROOM_BOOKED\"}");
    ck_assert_str_eq(world.sent[3].name, "train.enlists");
}
END_TEST

START_TEST(a_definition_is_logged_once) {
    uint64_t last = stats().last_lsn;
    define(definition_text);
    ck_assert_uint_eq(stats().last_lsn, last);
    commit();
    restart();
    commit();
    ck_assert_uint_eq(world.report.definitions, 1);
    ck_assert_uint_eq(stats().last_lsn, last + 1); /* the epoch's start */
}
END_TEST

/* A saga of one step at each of `count` participants from p<first> on. */
static struct saga_definition *wide_definition(const char *name, int first, int count) {
    static char text[8192];
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    int size = snprintf(text, sizeof text, "saga: %s\nversion: 1\nsteps:\n", name);
    for (int i = first; i < first + count; i++) {
        size += snprintf(text + size, sizeof text - (size_t)size,
                         "  - {name: s%d, command: p%d.act, no_effect: true}\n", i, i);
    }
    ck_assert_int_eq(saga_definition_parse(text, (size_t)size, &definition, &diagnostics), SAGA_OK);
    return definition;
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
    commit();
}
END_TEST

START_TEST(the_clock_never_goes_back_over_a_restart) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    close_world();
    world.sent_count = 0;
    world.now = (struct saga_moment){.boot_ms = 50, .wall_ms = 1000}; /* rebooted, clock lost */
    open_world();
    pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    pass(10000); /* one attempt's timeout: not thirty years */
    pass(1000);
    ck_assert_uint_eq(world.sent_count, 2);
}
END_TEST

START_TEST(a_draining_engine_sends_nothing_and_starts_nothing) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_drain(world.engine);
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_int_eq(start("k2", "{}"), SAGA_RESULT_DRAINING);
    restart();
    pass(1);
    ck_assert_uint_eq(world.sent_count, 1);
    ck_assert_str_eq(world.sent[0].name, "train.reserve");
}
END_TEST

START_TEST(what_a_draining_engine_holds_back_does_not_expire) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_drain(world.engine);
    ck_assert_int_eq(reply(&world.sent[0], "{\"reply_state\":\"ROOM_BOOKED\"}"), SAGA_ANSWER_TAKEN);
    uint64_t last = stats().last_lsn;
    pass(60000);
    ck_assert_uint_eq(stats().last_lsn, last);
    restart();
    pass(1);
    ck_assert_str_eq(world.sent[0].name, "train.reserve");
    ck_assert_uint_eq(world.sent[0].attempt, 1);
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
    ck_assert_int_eq(start("k1", input), SAGA_RESULT_CREATED);
    id = listing.id;
    large_reply(body, 700 << 10, "ROOM_BOOKED", "b");
    ck_assert_int_eq(reply(&world.sent[0], body), SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(status_of(id), "parked");
    ck_assert_uint_eq(world.sent_count, 1);
    struct saga_request request = {
        .type = SAGA_REQUEST_CANCEL, .answered = note_answered, .id = id};
    saga_engine_take(world.engine, &request, world.now);
    commit();
    ck_assert_int_eq(request.result, SAGA_RESULT_ACCEPTED);
    ck_assert_uint_eq(world.sent_count, 2); /* with the data of the latest body that fitted */
    ck_assert_str_eq(world.sent[1].name, "hotel.cancel");
    ck_assert_int_eq(reply(&world.sent[1], "{\"reply_state\":\"ROOM_CANCELLED\"}"),
                     SAGA_ANSWER_TAKEN);
    ck_assert_str_eq(status_of(id), "compensated");
}
END_TEST

/* More sagas than one batch has room for records, each with a command under way. */
#define CROWD 11000

static void start_a_crowd(void) {
    close_world();
    world.sagas_max = CROWD;
    world.counts = true;
    open_world();
    for (int i = 0; i < CROWD; i++) {
        static struct saga_request requests[CROWD];
        requests[i] = start_request("", "{}");
        saga_engine_take(world.engine, &requests[i], world.now);
        if (saga_engine_batch_full(world.engine)) {
            commit();
        }
    }
    commit();
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
    struct saga_engine_stats all = stats();
    ck_assert_uint_eq(all.core.facts[SAGA_ATTEMPT_EXPIRED], CROWD);
    ck_assert_uint_le(all.batch_records_max, SAGA_LOG_BATCH_MAX);
}
END_TEST

START_TEST(a_crowd_that_nobody_carries_is_more_than_one_batch) {
    start_a_crowd();
    restart(); /* its commands are due again, all at once after five seconds */
    world.refuses = true;
    pass_in_full_batches(5000);
    struct saga_engine_stats all = stats();
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
    tear_down();
    set_up_with_map(8u << 20);
    world.counts = true;
    memset(input, 'x', sizeof input - 1);
    memcpy(input, "{\"a\":\"", 6);
    memcpy(input + sizeof input - 3, "\"}", 2);
    while (taken < STARTS && !saga_engine_batch_full(world.engine)) {
        requests[taken] = start_request("", input);
        saga_engine_take(world.engine, &requests[taken++], world.now);
    }
    ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(requests[0].result, SAGA_RESULT_CREATED);
    ck_assert_int_eq(requests[taken - 1].result, SAGA_RESULT_FULL);
    ck_assert_uint_le(stats().log.bytes * 100 / stats().log.bytes_max, 95);
}
END_TEST

START_TEST(a_sweep_finds_no_orphans) {
    ck_assert_int_eq(start("k1", "{}"), SAGA_RESULT_CREATED);
    saga_engine_sweep(world.engine, world.now);
    commit();
    ck_assert_uint_eq(stats().core.orphans_rearmed, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_saga_runs_to_its_end);
    tcase_add_test(tests, nothing_leaves_before_its_records_are_durable);
    tcase_add_test(tests, a_reply_and_the_command_it_causes_are_one_commit);
    tcase_add_test(tests, many_requests_share_one_commit);
    tcase_add_test(tests, a_key_starts_one_saga);
    tcase_add_test(tests, two_starts_of_one_key_in_one_batch_are_one_saga);
    tcase_add_test(tests, keys_are_remembered_over_a_restart);
    tcase_add_test(tests, bad_starts_are_refused_with_a_reason);
    tcase_add_test(tests, what_was_not_committed_is_not_there_after_a_restart);
    tcase_add_test(tests, a_restart_sends_outstanding_commands_again_with_the_same_id);
    tcase_add_test(tests, every_attempt_says_when_its_command_was_issued);
    tcase_add_test(tests, a_reply_to_the_first_sending_counts_after_a_restart);
    tcase_add_test(tests, a_rejection_compensates_what_was_done);
    tcase_add_test(tests, an_unlisted_event_is_an_unknown_outcome);
    tcase_add_test(tests, a_reply_that_cannot_be_read_is_counted_and_hurts_nobody);
    tcase_add_test(tests, a_late_reply_to_an_ended_saga_is_recorded_once);
    tcase_add_test(tests, commands_that_nobody_carries_wait);
    tcase_add_test(tests, a_step_that_never_ran_is_not_compensated);
    tcase_add_test(tests, cancel_compensates_and_says_what_it_did);
    tcase_add_test(tests, a_list_has_the_newest_first_and_goes_on_at_its_cursor);
    tcase_add_test(tests, a_running_saga_keeps_its_definition);
    tcase_add_test(tests, a_definition_is_logged_once);
    tcase_add_test(tests, a_definition_that_is_refused_leaves_nothing_behind);
    tcase_add_test(tests, the_clock_never_goes_back_over_a_restart);
    tcase_add_test(tests, a_draining_engine_sends_nothing_and_starts_nothing);
    tcase_add_test(tests, what_a_draining_engine_holds_back_does_not_expire);
    tcase_add_test(tests, data_that_outgrows_a_command_parks_the_saga_and_it_can_still_go_back);
    tcase_add_test(tests, a_crowd_that_times_out_at_once_is_more_than_one_batch);
    tcase_add_test(tests, a_crowd_that_nobody_carries_is_more_than_one_batch);
    tcase_add_test(tests, starts_of_one_turn_leave_room_for_finishing);
    tcase_add_test(tests, a_sweep_finds_no_orphans);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
