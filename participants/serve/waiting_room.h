/*
 * The waiting room: errands that are not due yet, because --delay slows their
 * command down, or because the database could not carry them out just now.
 *
 * Hides that each delay has a queue of its own, in which all wait equally long, so
 * that the first of each is always the next one due.
 *
 * Promises that an errand which waits holds up none that does not.
 *
 * Threads: one room belongs to one thread.
 */
#ifndef SAGA_WAITING_ROOM_H
#define SAGA_WAITING_ROOM_H

#include "errand.h"
#include "switches.h"

/* All zero, but for the delays: an empty one. */
struct saga_waiting_room {
    size_t delay_count;
    struct saga_participant_delay delays[SAGA_PARTICIPANT_SWITCHES_MAX];
    struct saga_errand_queue delayed[SAGA_PARTICIPANT_SWITCHES_MAX];
    struct saga_errand_queue again; /* what is to be tried again */
};

/* `switches` is copied: its delays. */
void saga_waiting_room_init(struct saga_waiting_room *room,
                            const struct saga_participant_switches *switches);

/* Moves those that `arrived` to `ready`, or where they wait. */
void saga_waiting_room_admit(struct saga_waiting_room *room, int64_t now_ms,
                             struct saga_errand_queue *arrived, struct saga_errand_queue *ready);
/* Takes an errand over that is to be tried again at `due_ms`, which never goes back
 * from call to call. */
void saga_waiting_room_put_again(struct saga_waiting_room *room, struct saga_errand *errand,
                                 int64_t due_ms);

/* Moves what is due to `ready`. */
void saga_waiting_room_call(struct saga_waiting_room *room, int64_t now_ms,
                            struct saga_errand_queue *ready);
/* When the next one is due; INT64_MAX: nobody waits. */
int64_t saga_waiting_room_due_ms(const struct saga_waiting_room *room);

/* Frees those of all connections but this one. */
void saga_waiting_room_forget(struct saga_waiting_room *room, uint64_t connection);
/* Frees all of them. */
void saga_waiting_room_clear(struct saga_waiting_room *room);

#endif
