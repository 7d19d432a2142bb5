#include "trip_load.h"

#include <check.h>
#include <stdio.h>

void trip_load_open(struct trip_load *load, const char *data_dir, uint64_t seed, uint64_t records) {
    *load = (struct trip_load){.random = {seed}};
    world_init(data_dir);
    world.checkpoints = (struct saga_checkpoint_pace){.records = records, .slice_entries = 2};
    trip_open();
}

void trip_load_close(void) {
    world_close();
}

/* One commit, not as many as there is something to do for: so a checkpoint's slices stand between
 * the records of others, as with a daemon that is never idle. */
static void take(struct saga_request *request) {
    struct saga_fault fault = {0};
    saga_engine_take(world.engine, request, world.now);
    ck_assert_msg(saga_engine_commit(world.engine, world.now, &fault) == SAGA_OK, "%s", fault.text);
}

static void start(struct trip_load *load) {
    char key[48];
    char input[512];
    (void)snprintf(key, sizeof key, "key %u", load->started);
    (void)snprintf(input, sizeof input, "{\"number\":%u,\"text\":\"%.*s\"}", load->started,
                   (int)splitmix_below(&load->random, 300),
                   "some words of a customer who has a lot to say about the trip, and says it "
                   "again and again: some words of a customer who has a lot to say about the trip, "
                   "and says it again and again: some words of a customer who has a lot to say "
                   "about the trip, and says it again and again");
    struct saga_request request = trip_request(key, input);
    if (load->started % 3 == 0) {
        request.content = world_bytes("\"somebody\"");
    }
    take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
    load->started++;
}

/* An answer to a command of late, which may have been answered already. */
static void answer(struct trip_load *load) {
    static const char *const words[] = {"ROOM_BOOKED",   "ROOM_BOOKED", "NO_ROOM",
                                        "SEAT_RESERVED", "NO_SEAT",     "ROOM_CANCELLED"};
    char body[64];
    const uint64_t recent = world.sent_count < 12 ? world.sent_count : 12;
    (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\"}",
                   words[splitmix_below(&load->random, 6)]);
    struct saga_request request = world_reply_request(
        world_sent(world.sent_count - 1 - splitmix_below(&load->random, recent)), body);
    take(&request);
}

/* Somebody says that the last one was told. */
static void hear(void) {
    if (world.told_count > 0) {
        struct saga_request told = world_request(SAGA_REQUEST_TOLD);
        told.id = world_told(world.told_count - 1)->saga;
        take(&told);
    }
}

void trip_load_step(struct trip_load *load) {
    const uint64_t chance = splitmix_below(&load->random, 100);
    if (chance < 40 || world.sent_count == 0) {
        start(load);
    } else if (chance < 92) {
        answer(load);
    } else if (chance < 95) {
        hear();
    } else if (chance < 97) {
        world.is_mute = !world.is_mute;
        world_pass(3000);
    } else if (chance < 99) {
        world_pass(3000);
    } else {
        trip_restart();
    }
}
