#include "simulation.h"

#include "agenda.h"
#include "askers.h"
#include "check.h"
#include "client.h"
#include "daemon.h"
#include "disk.h"
#include "draw.h"
#include "marks.h"
#include "memory.h"
#include "network.h"
#include "participant.h"
#include "service.h"
#include "shadow.h"
#include "shape.h"
#include "swarm.h"
#include "trace.h"

/* More happens in no seed: what goes on for longer goes on for ever. */
#define DEEDS_MAX 400000

static bool is_healed;

static void heal(void *context, uint64_t number) {
    (void)context;
    (void)number;
    sim_trace("--- from here on there are no faults");
    is_healed = true;
    sim_swarm_heal();
    sim_services_heal();
    sim_daemon_heal();
    sim_clients_heal();
}

/* Nothing moves any more, and nothing will by itself. */
static bool is_at_rest(void) {
    return is_healed && sim_network_in_flight() == 0 && sim_services_waiting() == 0 &&
           sim_daemon_is_up() && sim_clients_are_done() && sim_askers_waiting() == 0 &&
           sim_check_unheard() == 0 && (sim_check_restless() == 0 || sim_check_is_hopeless()) &&
           sim_operator_is_done();
}

/* Q of T1: every command that was out when the faults ended is asked again after the longest
 * backoff at the latest, and answered; so is each that follows from it; a debt waits for the
 * operator's round. Steps x (timeout + backoff) x 2, deadlines, rounds. */
static int64_t rest_bound_ms(void) {
    int64_t longest_ms = 0;
    for (uint8_t i = 0; i < sim_shape_count(); i++) {
        const struct sim_shape *shape = sim_shape(i);
        int64_t sum_ms = 0;
        for (uint8_t s = 0; s < shape->step_count; s++) {
            const struct sim_step *step = &shape->steps[s];
            int64_t action_ms =
                (step->action.timeout_ms + step->action.max_ms) * (step->action.attempts + 2);
            int64_t undo_ms = (step->compensation.timeout_ms + step->compensation.max_ms) *
                              (step->compensation.attempts + 4);
            sum_ms += 3 * action_ms + 6 * undo_ms;
        }
        longest_ms = sum_ms > longest_ms ? sum_ms : longest_ms;
    }
    return longest_ms + 20 * 60000;
}

static void run_to_rest(const char *what) {
    int64_t begin_ms = sim_now();
    int64_t bound_ms = rest_bound_ms();
    do {
        if (!sim_agenda_step() || sim_agenda_count() > DEEDS_MAX ||
            (is_healed && sim_now() > begin_ms + sim_swarm.chaos_ms + bound_ms)) {
            sim_check_ends();
            sim_violation("T1",
                          "%s: no rest after %lld s: %u sagas go on, %u messages are on their way",
                          what, (long long)((sim_now() - begin_ms) / 1000), sim_check_restless(),
                          sim_network_in_flight() + sim_services_waiting());
        }
    } while (!is_at_rest());
}

static void wait_until(int64_t at_ms) {
    while (sim_now() < at_ms && sim_agenda_step()) {
    }
}

static void purge_now(void *context, uint64_t number) {
    (void)context;
    (void)number;
    sim_mark_fault(SIM_FAULT_PURGE);
    sim_check_purged();
    sim_services_purge();
}

/* What is late comes after everything has ended; perhaps even after the participants have
 * forgotten it. */
static void play_the_end(void) {
    if (sim_swarm.forgets && sim_network_in_limbo() > 0) {
        wait_until(sim_now() + SIM_RETENTION_MS + SAGA_PARTICIPANT_SKEW_MS + 3600000);
        purge_now(NULL, 0);
    }
    sim_network_release_limbo();
    if (sim_network_in_flight() > 0) {
        run_to_rest("after the late messages");
    }
    if (sim_draw_chance(200)) {
        sim_daemon_restart();
        run_to_rest("after a last restart");
    }
}

static void begin(uint64_t seed, bool trace) {
    sim_draw_begin(seed);
    sim_trace_begin(trace);
    sim_memory_drop();
    sim_agenda_begin();
    sim_swarm_begin();
    sim_shapes_begin();
    sim_check_begin();
    sim_shadow_begin();
    sim_network_begin();
    sim_askers_begin();
    sim_services_begin();
}

static void trace_swarm(void) {
    if (!sim_trace_wanted()) {
        return;
    }
    for (uint8_t i = 0; i < sim_shape_count(); i++) {
        sim_trace("definition\n%s", sim_shape(i)->yaml);
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (sim_swarm.rates[i] > 0) {
            sim_trace("fault      %4u per mille: %s", sim_swarm.rates[i], sim_fault_names[i]);
        }
    }
}

uint64_t sim_run(uint64_t seed, bool trace) {
    begin(seed, trace);
    trace_swarm();
    is_healed = false;
    sim_clients_begin();
    sim_agenda_add(sim_swarm.chaos_ms, heal, NULL, 0);
    if (sim_swarm.blackout_until_ms > 0) {
        sim_agenda_add(sim_swarm.blackout_until_ms, purge_now, NULL, 0);
    }
    sim_daemon_begin();
    run_to_rest("after the faults");
    play_the_end();
    sim_check_effects();
    sim_check_ends();
    sim_shadow_end();
    sim_trace_hash_number((uint64_t)sim_now());
    sim_trace_hash_number(sim_disk_durable());
    return sim_trace_sum();
}
