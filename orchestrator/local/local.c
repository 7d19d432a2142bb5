#include "local.h"

#include <stdlib.h>
#include <string.h>

#include "delivery_queue.h"
#include "lane.h"

struct place {
    const char *name;
    struct saga_lane *lane;
};

struct saga_local {
    struct saga_local_options options;
    struct saga_lane *lanes[SAGA_LOCAL_PARTICIPANTS_MAX];
    size_t lane_count;
    struct saga_lane *echo; /* one of them, or NULL */
    struct place places[SAGA_LOCAL_PARTICIPANTS_MAX];
    size_t place_count;
    bool stopped;
};

enum saga_error saga_local_open(struct saga_local **local, const struct saga_local_options *options,
                                struct saga_fault *fault) {
    struct saga_local *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the participants here");
    }
    opened->options = *options;
    if (opened->options.commands_max == 0) {
        opened->options.commands_max = SAGA_LOCAL_COMMANDS_MAX;
    }
    *local = opened;
    return SAGA_OK;
}

static enum saga_error check_room(const struct saga_local *local, const char *name,
                                  struct saga_fault *fault) {
    return local->place_count < SAGA_LOCAL_PARTICIPANTS_MAX
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_FULL,
                                "%s: one process has at most %d participants", name,
                                SAGA_LOCAL_PARTICIPANTS_MAX);
}

static enum saga_error add_lane(struct saga_local *local, struct saga_participant *participant,
                                const struct saga_participant_switches *switches,
                                struct saga_lane **lane, struct saga_fault *fault) {
    enum saga_error error = saga_lane_open(lane, &local->options, participant, switches, fault);
    if (error == SAGA_OK) {
        local->lanes[local->lane_count++] = *lane;
    }
    return error;
}

enum saga_error saga_local_add(struct saga_local *local, struct saga_participant *participant,
                               const struct saga_participant_switches *switches,
                               struct saga_fault *fault) {
    const char *name = saga_participant_name(participant);
    struct saga_lane *lane = NULL;
    enum saga_error error = check_room(local, name, fault);
    if (error == SAGA_OK) {
        error = add_lane(local, participant, switches, &lane, fault);
    }
    if (error == SAGA_OK) {
        local->places[local->place_count++] = (struct place){name, lane};
    }
    return error;
}

enum saga_error saga_local_add_echo(struct saga_local *local, const char *name,
                                    struct saga_fault *fault) {
    enum saga_error error = check_room(local, name, fault);
    if (error == SAGA_OK && local->echo == NULL) {
        error = add_lane(local, NULL, NULL, &local->echo, fault);
    }
    if (error == SAGA_OK) {
        local->places[local->place_count++] = (struct place){name, local->echo};
    }
    return error;
}

static struct saga_lane *lane_of(const struct saga_local *local, const char *name) {
    for (size_t i = 0; i < local->place_count; i++) {
        if (strcmp(local->places[i].name, name) == 0) {
            return local->places[i].lane;
        }
    }
    return NULL;
}

bool saga_local_send(void *context, const struct saga_dispatch *dispatch) {
    struct saga_local *local = context;
    struct saga_lane *lane = lane_of(local, dispatch->participant);
    struct saga_local_delivery *delivery = lane == NULL ? NULL : saga_local_delivery_make(dispatch);
    if (delivery == NULL) {
        return false;
    }
    if (!saga_lane_put(lane, delivery)) {
        saga_local_delivery_free(delivery);
        return false;
    }
    return true;
}

size_t saga_local_count(const struct saga_local *local, struct saga_local_counts *counts) {
    for (size_t i = 0; i < local->place_count; i++) {
        counts[i] = (struct saga_local_counts){.name = local->places[i].name};
        saga_lane_count(local->places[i].lane, &counts[i]);
    }
    return local->place_count;
}

void saga_local_stop(struct saga_local *local) {
    if (local->stopped) {
        return;
    }
    local->stopped = true;
    for (size_t i = 0; i < local->lane_count; i++) {
        saga_lane_stop(local->lanes[i]); /* all of them end side by side */
    }
    for (size_t i = 0; i < local->lane_count; i++) {
        saga_lane_join(local->lanes[i]);
    }
}

void saga_local_close(struct saga_local *local) {
    if (local == NULL) {
        return;
    }
    saga_local_stop(local);
    for (size_t i = 0; i < local->lane_count; i++) {
        saga_lane_close(local->lanes[i]);
    }
    free(local);
}

void saga_local_pause(void *context, int64_t delay_ms) {
    (void)context;
    (void)delay_ms;
}
