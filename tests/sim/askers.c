#include "askers.h"

#include <string.h>

#include "agenda.h"
#include "check.h"
#include "daemon.h"
#include "draw.h"
#include "memory.h"
#include "swarm.h"

#define ENDS_MAX 256

struct end {
    bool used;
    bool is_asked; /* the daemon has the word that it was told */
    uint32_t life; /* of the daemon that gave it out */
    struct saga_request told;
    struct saga_bytes asker;
    char text[48];
};

static struct end ends[ENDS_MAX];

void sim_askers_begin(void) {
    memset(ends, 0, sizeof ends);
}

static void answered(struct saga_request *request) {
    struct end *end = request->context;
    end->used = false;
}

static void arrive(void *context, uint64_t number) {
    struct end *end = context;
    const bool lives = sim_daemon_is_up() && sim_daemon_life() == end->life;
    (void)number;
    if (!lives && sim_draw_chance(500)) {
        end->used = false; /* lost with the daemon */
        return;
    }
    sim_check_heard(&end->told.id, end->asker);
    if (!lives) {
        end->used = false;
        return;
    }
    end->is_asked = true;
    sim_check_confirmed(&end->told.id, end->asker);
    (void)sim_daemon_ask(&end->told); /* it is up */
}

static struct end *take_end(void) {
    for (unsigned i = 0; i < ENDS_MAX; i++) {
        if (!ends[i].used) {
            memset(&ends[i], 0, sizeof ends[i]);
            ends[i].used = true;
            return &ends[i];
        }
    }
    return NULL;
}

static bool take(const struct saga_id *id, struct saga_bytes asker) {
    struct end *end = sim_fault(SIM_FAULT_END_REFUSED) ? NULL : take_end();
    if (end == NULL) {
        return false;
    }
    end->life = sim_daemon_life();
    end->told = (struct saga_request){
        .type = SAGA_REQUEST_TOLD, .answered = answered, .context = end, .id = *id};
    memcpy(end->text, asker.data, asker.size);
    end->asker = (struct saga_bytes){.data = end->text, .size = asker.size};
    sim_agenda_add(sim_now() + sim_draw_between(0, sim_draw_chance(100) ? 60000 : 20), arrive, end,
                   0);
    return true;
}

bool sim_askers_tell(void *context, const struct saga_id *id, const char *status,
                     struct saga_bytes asker) {
    const int depth = sim_memory_suspend();
    (void)context;
    sim_check_told(id, status, asker);
    const bool taken = take(id, asker);
    sim_memory_resume(depth);
    return taken;
}

void sim_askers_daemon_died(void) {
    for (unsigned i = 0; i < ENDS_MAX; i++) {
        if (ends[i].is_asked) {
            ends[i].used = false;
            ends[i].is_asked = false;
        }
    }
}

unsigned sim_askers_waiting(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < ENDS_MAX; i++) {
        count += ends[i].used;
    }
    return count;
}
