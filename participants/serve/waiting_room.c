#include "waiting_room.h"

#include <string.h>

void saga_waiting_room_init(struct saga_waiting_room *room,
                            const struct saga_participant_switches *switches) {
    *room = (struct saga_waiting_room){.delay_count = switches->delay_count};
    memcpy(room->delays, switches->delays, sizeof room->delays);
}

/* The delay that slows this command down, the longest of several; -1: none. */
static int delay_of(const struct saga_waiting_room *room, const char *command) {
    int longest = -1;
    for (size_t i = 0; i < room->delay_count; i++) {
        if (strcmp(room->delays[i].command, command) == 0 &&
            (longest < 0 || room->delays[i].delay_ms > room->delays[longest].delay_ms)) {
            longest = (int)i;
        }
    }
    return longest;
}

void saga_waiting_room_admit(struct saga_waiting_room *room, int64_t now_ms,
                             struct saga_errand_queue *arrived, struct saga_errand_queue *ready) {
    struct saga_errand *errand;
    if (room->delay_count == 0) {
        saga_errand_queue_append(ready, arrived);
    }
    while ((errand = saga_errand_queue_take(arrived)) != NULL) {
        const int delay = delay_of(room, errand->command.name);
        if (delay < 0) {
            saga_errand_queue_put(ready, errand);
        } else {
            errand->due_ms = now_ms + room->delays[delay].delay_ms;
            saga_errand_queue_put(&room->delayed[delay], errand);
        }
    }
}

void saga_waiting_room_put_again(struct saga_waiting_room *room, struct saga_errand *errand,
                                 int64_t due_ms) {
    errand->due_ms = due_ms;
    saga_errand_queue_put(&room->again, errand);
}

static void call(struct saga_errand_queue *queue, int64_t now_ms, struct saga_errand_queue *ready) {
    while (queue->first != NULL && queue->first->due_ms <= now_ms) {
        saga_errand_queue_put(ready, saga_errand_queue_take(queue));
    }
}

void saga_waiting_room_call(struct saga_waiting_room *room, int64_t now_ms,
                            struct saga_errand_queue *ready) {
    for (size_t i = 0; i < room->delay_count; i++) {
        call(&room->delayed[i], now_ms, ready);
    }
    call(&room->again, now_ms, ready);
}

static int64_t earlier(int64_t due_ms, const struct saga_errand_queue *queue) {
    return queue->first != NULL && queue->first->due_ms < due_ms ? queue->first->due_ms : due_ms;
}

int64_t saga_waiting_room_due_ms(const struct saga_waiting_room *room) {
    int64_t due_ms = earlier(INT64_MAX, &room->again);
    for (size_t i = 0; i < room->delay_count; i++) {
        due_ms = earlier(due_ms, &room->delayed[i]);
    }
    return due_ms;
}

void saga_waiting_room_forget(struct saga_waiting_room *room, uint64_t connection) {
    for (size_t i = 0; i < room->delay_count; i++) {
        saga_errand_queue_forget(&room->delayed[i], connection);
    }
    saga_errand_queue_forget(&room->again, connection);
}

void saga_waiting_room_clear(struct saga_waiting_room *room) {
    for (size_t i = 0; i < room->delay_count; i++) {
        saga_errand_queue_clear(&room->delayed[i]);
    }
    saga_errand_queue_clear(&room->again);
}
