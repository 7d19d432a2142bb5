#include "trip_fixture.h"

#include "scratch.h"

const char trip_definition[] = "saga: trip\n"
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

struct saga_listing trip;
static struct scratch scratch;

void trip_open(void) {
    world_open();
    world_define(trip_definition);
    world_commit();
}

void trip_restart(void) {
    world_close();
    world_sleep(5000);
    trip_open();
}

void trip_set_up_with_map(uint64_t map_bytes) {
    scratch_open(&scratch);
    world_init(scratch.path);
    world.map_bytes = map_bytes;
    trip_open();
}

void trip_set_up(void) {
    trip_set_up_with_map(512u << 20);
}

void trip_tear_down(void) {
    world_close();
    scratch_close(&scratch);
}

struct saga_request trip_request(const char *key, const char *input) {
    return world_start_request("trip", key, input, &trip);
}

enum saga_result trip_start(const char *key, const char *input) {
    struct saga_request request = trip_request(key, input);
    world_take(&request);
    return (enum saga_result)request.result;
}
