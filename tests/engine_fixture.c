#include "engine_fixture.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

struct world world;
static struct sent sent[WORLD_SENT_MAX]; /* the latest, in turn */
static struct told told[WORLD_SENT_MAX]; /* likewise */

/* ---------------------------------------------------------------- the outside */

static bool take_command(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    if (world.refuses) {
        return false;
    }
    struct sent *next = &sent[world.sent_count++ % WORLD_SENT_MAX];
    next->id = dispatch->id;
    next->attempt = dispatch->attempt;
    next->durable = saga_log_durable(world.log);
    next->command_at_ms = dispatch->command_at_ms;
    (void)snprintf(next->name, sizeof next->name, "%s", dispatch->name);
    (void)snprintf(next->body, sizeof next->body, "%.*s", (int)dispatch->body_size,
                   (const char *)dispatch->body);
    return true;
}

static void note_changed(void *context, const struct saga_id *id, const char *status) {
    (void)context;
    (void)id;
    world.status = status;
}

static bool note_ended(void *context, const struct saga_id *id, const char *status,
                       struct saga_bytes asker) {
    (void)context;
    if (world.is_mute) {
        return false;
    }
    struct told *next = &told[world.told_count++ % WORLD_SENT_MAX];
    next->saga = *id;
    next->status = status;
    next->durable = saga_log_durable(world.log);
    (void)snprintf(next->asker, sizeof next->asker, "%.*s", (int)asker.size,
                   (const char *)asker.data);
    return true;
}

static void note_released(void *context) {
    (void)context;
    world.released_count++;
    world.sent_when_released = world.sent_count;
    world.answered_when_released = world.answered_count;
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

const struct sent *world_sent(size_t number) {
    ck_assert_uint_lt(number, world.sent_count);
    ck_assert_uint_le(world.sent_count - number, WORLD_SENT_MAX);
    return &sent[number % WORLD_SENT_MAX];
}

const struct told *world_told(size_t number) {
    ck_assert_uint_lt(number, world.told_count);
    ck_assert_uint_le(world.told_count - number, WORLD_SENT_MAX);
    return &told[number % WORLD_SENT_MAX];
}

/* -------------------------------------------------------------------- opening */

void world_init(const char *data_dir) {
    world = (struct world){
        .data_dir = data_dir,
        .map_bytes = 512u << 20,
        .sagas_max = 1000,
        .checkpoints = saga_checkpoint_pace_default,
        .retention = saga_retention_for_ever,
        .now = {.boot_ms = 1000, .wall_ms = 1700000000000},
    };
}

void world_open_log(void) {
    struct saga_fault fault = {0};
    const struct saga_log_options options = {.data_dir = world.data_dir,
                                             .map_bytes_max = world.map_bytes};
    ck_assert_msg(saga_log_open(&world.log, &options, &fault) == SAGA_OK, "%s", fault.text);
}

enum saga_error world_try_open(struct saga_fault *fault) {
    struct saga_engine_config config;
    const struct saga_outlet outlet = {.send = take_command,
                                       .changed = note_changed,
                                       .ended = note_ended,
                                       .released = note_released};
    saga_engine_config_default(&config);
    config.limits.sagas_max = world.sagas_max;
    config.random = count_up;
    config.guard_path = world.guard_path;
    config.checkpoints = world.checkpoints;
    config.retention = world.retention;
    world.sent_count = 0;
    world.told_count = 0;
    world_open_log();
    return saga_engine_open(&world.engine, world.log, &config, &outlet, world.now, &world.report,
                            fault);
}

void world_open(void) {
    struct saga_fault fault = {0};
    ck_assert_msg(world_try_open(&fault) == SAGA_OK, "%s", fault.text);
}

void world_close(void) {
    saga_engine_close(world.engine);
    saga_log_close(world.log);
}

struct saga_definition *world_definition(const char *text) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics), SAGA_OK);
    return definition;
}

void world_define(const char *text) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_engine_define(world.engine, world_definition(text), world.now, &fault) ==
                      SAGA_OK,
                  "%s", fault.text);
}

/* ------------------------------------------------------------------- its time */

void world_commit(void) {
    struct saga_fault fault = {0};
    while (saga_engine_pending(world.engine)) {
        ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s",
                      fault.text);
    }
}

void world_sleep(int64_t ms) {
    world.now.boot_ms += ms;
    world.now.wall_ms += ms;
}

void world_pass(int64_t ms) {
    world_sleep(ms);
    while (saga_engine_tick(world.engine, world.now) <= world.now.boot_ms) {
        world_commit();
    }
    world_commit();
}

/* ------------------------------------------------------------------- requests */

struct saga_bytes world_bytes(const char *text) {
    return (struct saga_bytes){.data = text, .size = (uint32_t)strlen(text)};
}

struct saga_request world_request(enum saga_request_type type) {
    return (struct saga_request){.type = (uint8_t)type, .answered = note_answered};
}

struct saga_request world_start_request(const char *saga, const char *key, const char *input,
                                        struct saga_listing *listing) {
    struct saga_request request = world_request(SAGA_REQUEST_START);
    request.saga = saga;
    request.key = world_bytes(key);
    request.body = world_bytes(input);
    request.listings = listing;
    return request;
}

struct saga_request world_reply_request(const struct sent *to, const char *body) {
    struct saga_request request = world_request(SAGA_REQUEST_REPLY);
    request.command = to->id;
    request.attempt = to->attempt;
    request.body = world_bytes(body);
    return request;
}

void world_take(struct saga_request *request) {
    saga_engine_take(world.engine, request, world.now);
    world_commit();
}

enum saga_answer world_reply(const struct sent *to, const char *body) {
    struct saga_request request = world_reply_request(to, body);
    world_take(&request);
    return (enum saga_answer)request.answer;
}

struct saga_listing world_find(struct saga_id id) {
    struct saga_listing listing = {0};
    struct saga_request request = world_request(SAGA_REQUEST_FIND);
    request.id = id;
    request.listings = &listing;
    world_take(&request);
    if (request.result != SAGA_RESULT_OK) {
        listing.status = NULL;
    }
    return listing;
}

struct saga_engine_stats world_stats(void) {
    struct saga_engine_stats all = {0};
    struct saga_request request = world_request(SAGA_REQUEST_STATS);
    request.stats = &all;
    world_take(&request);
    return all;
}
