/*
 * An engine that knows the saga "trip": a room, and a seat once there is a room.
 *
 * Hides the directory that it lives in. Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGA_TRIP_FIXTURE_H
#define SAGA_TRIP_FIXTURE_H

#include "engine_fixture.h"

/* room: hotel.book, ROOM_BOOKED or NO_ROOM; undone by hotel.cancel, ROOM_CANCELLED.
 * seat, the pivot: train.reserve, SEAT_RESERVED or NO_SEAT. */
extern const char trip_definition[];

/* Before and after each test: an engine on a log of its own. */
void trip_set_up(void);
void trip_tear_down(void);
/* As trip_set_up(), with a log of this size. */
void trip_set_up_with_map(uint64_t map_bytes);

/* Opens what world_close() has closed, and loads the definition. */
void trip_open(void);
/* As a kill, and a start 5 s later, would. */
void trip_restart(void);

/* What a trip's start answers with. */
extern struct saga_listing trip;

struct saga_request trip_request(const char *key, const char *input);
enum saga_result trip_start(const char *key, const char *input);

#endif
