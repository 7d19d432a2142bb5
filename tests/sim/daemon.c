#include "daemon.h"

#include <assert.h>
#include <setjmp.h>
#include <string.h>

#include "agenda.h"
#include "askers.h"
#include "check.h"
#include "client.h"
#include "definitions.h"
#include "disk.h"
#include "draw.h"
#include "failpoint.h"
#include "marks.h"
#include "memory.h"
#include "network.h"
#include "shadow.h"
#include "swarm.h"
#include "trace.h"

#define SWEEP_MS          30000
#define NEVER_MS          INT64_MAX
#define TURNS_AT_ONCE_MAX 100000

struct saga_coordinator *__real_saga_coordinator_init(void *memory,
                                                      const struct saga_limits *limits);
struct saga_coordinator *__wrap_saga_coordinator_init(void *memory,
                                                      const struct saga_limits *limits);

static struct {
    struct saga_engine *engine; /* NULL: dead, or not yet recovered */
    struct saga_coordinator *coordinator;
    struct saga_limits limits;
    uint64_t hash_seed;
    jmp_buf grave;
    const char *killed_where;
    uint32_t life;
    bool recovering;
    unsigned kills_left; /* in this recovery */
    unsigned kills_in_a_row;
    int64_t boot_begin_ms; /* virtual time at which the machine was booted */
    int64_t wall_offset_ms;
    int64_t busy_until_ms; /* a commit takes its time */
    int64_t turn_at_ms;
    uint64_t turn_number; /* of the turn that counts; others on the agenda are void */
    int64_t next_sweep_ms;
    bool has_drained;
    int64_t drain_until_ms; /* 0: not draining */
    struct saga_request *first_request, *last_request;
    int64_t up_since_ms; /* the engine's time at its latest start, and a while */
    unsigned version;    /* which of several shapes of one name is on file */
} daemon;

static void turn(void *context, uint64_t number);
static void start(void *context, uint64_t number);

/* --------------------------------------------------------------------- time */

static struct saga_moment moment_at(int64_t now_ms) {
    int64_t wall_ms = SIM_WALL_BEGIN_MS + now_ms + daemon.wall_offset_ms;
    return (struct saga_moment){
        .boot_ms = now_ms - daemon.boot_begin_ms,
        .wall_ms = wall_ms > 0 ? wall_ms : 0,
    };
}

static void jump(void) {
    static const int64_t lengths_ms[] = {1000, 60000, 3600000, INT64_C(86400000),
                                         INT64_C(400) * 86400000};
    int64_t length_ms = lengths_ms[sim_draw_below(5)];
    if (sim_draw_chance(500)) {
        sim_mark(SIM_MARK_WALL_FORWARD);
        daemon.wall_offset_ms += length_ms;
    } else {
        sim_mark(SIM_MARK_WALL_BACK);
        daemon.wall_offset_ms -= length_ms;
    }
    sim_trace("clock      the wall's is now off by %lld s",
              (long long)(daemon.wall_offset_ms / 1000));
}

static void plan_turn(int64_t at_ms) {
    at_ms = at_ms > daemon.busy_until_ms ? at_ms : daemon.busy_until_ms;
    at_ms = at_ms > sim_now() ? at_ms : sim_now();
    if (daemon.engine != NULL && at_ms < daemon.turn_at_ms) {
        daemon.turn_at_ms = at_ms;
        sim_agenda_add(at_ms, turn, NULL, ++daemon.turn_number);
    }
}

/* -------------------------------------------------------------------- death */

void sim_daemon_kill(const char *where) {
    daemon.killed_where = where;
    longjmp(daemon.grave, 1);
}

/* Behind the longjmp: what dies with a process. */
static void bury(int64_t down_ms) {
    sim_trace("daemon     dies %s", daemon.killed_where);
    daemon.engine = NULL;
    daemon.coordinator = NULL;
    daemon.first_request = NULL;
    daemon.last_request = NULL;
    daemon.turn_at_ms = NEVER_MS;
    daemon.turn_number++;
    daemon.drain_until_ms = 0;
    sim_memory_drop();
    sim_definitions_drop();
    sim_disk_crash();
    sim_network_daemon_died();
    sim_client_daemon_died();
    sim_askers_daemon_died();
    if (daemon.recovering) {
        daemon.kills_in_a_row++;
        sim_mark(SIM_MARK_RECOVERY_KILLED_AGAIN);
        if (daemon.kills_in_a_row == 5) {
            sim_mark(SIM_MARK_RECOVERY_KILLED_5);
        }
    } else {
        daemon.kills_in_a_row = 0;
        daemon.kills_left = sim_draw_chance(400) ? sim_swarm.recovery_kills : 0;
    }
    sim_agenda_add(sim_now() + down_ms, start, NULL, 0);
}

static int64_t draw_down_ms(void) {
    return sim_draw_chance(150) ? sim_draw_between(10000, 600000) : sim_draw_between(1, 2000);
}

void saga_failpoint(enum saga_failpoint_kind kind, enum saga_failpoint_place place) {
    static const char *const places[] = {"?", "before append", "after append", "after commit",
                                         "after send"};
    bool again = daemon.recovering && daemon.kills_left > 0 && sim_draw_chance(300);
    if (!again && !sim_fault(SIM_FAULT_KILL)) {
        return;
    }
    daemon.kills_left -= again;
    sim_mark_kill(kind, place);
    sim_daemon_kill(places[place]);
}

/* ------------------------------------------------------------------- starting */

struct saga_coordinator *__wrap_saga_coordinator_init(void *memory,
                                                      const struct saga_limits *limits) {
    daemon.coordinator = __real_saga_coordinator_init(memory, limits);
    return daemon.coordinator;
}

static void changed(void *context, const struct saga_id *id, const char *status) {
    (void)context;
    sim_check_changed(id, status);
}

static const struct saga_outlet outlet = {
    .send = sim_network_send, .changed = changed, .ended = sim_askers_tell};

/* The definitions on file: of several versions of one saga, one. */
static void define_all(void) {
    struct saga_fault fault;
    for (uint8_t i = 0; i < sim_shape_count(); i++) {
        struct sim_shape *shape = sim_shape((uint8_t)((i + daemon.version) % sim_shape_count()));
        struct saga_definition *definition = NULL;
        struct saga_diagnostics diagnostics = {0};
        if (saga_definition_parse(shape->yaml, strlen(shape->yaml), &definition, &diagnostics) !=
            SAGA_OK) {
            sim_violation("D4", "a definition is refused: %s",
                          saga_diagnostics_text(&diagnostics, shape->name));
        }
        (void)memcpy(shape->hash, definition->hash, sizeof shape->hash);
        if (saga_engine_define(daemon.engine, definition, moment_at(sim_now()), &fault) !=
            SAGA_OK) {
            sim_violation("D4", "a definition is not taken: %s", fault.text);
        }
    }
}

/* The engine could not do its work: that is a death, or must never be. */
static void fail(enum saga_error error, const struct saga_fault *fault) {
    if (error != SAGA_ERROR_LOG_WRITE) {
        sim_violation("T4", "the daemon gives up: %s", fault->text);
    }
    sim_daemon_kill("since a commit failed");
}

static void recover(void) {
    struct saga_recovery_report report;
    struct saga_fault fault;
    struct saga_engine *engine = NULL;
    struct saga_engine_config config;
    saga_engine_config_default(&config);
    config.limits = daemon.limits;
    config.hash_seed = daemon.hash_seed;
    config.checkpoints = sim_swarm.checkpoints;
    config.retention = sim_swarm.retention;
    config.random = sim_draw_bytes;
    struct saga_log *log = sim_disk_open();
    enum saga_error error =
        saga_engine_open(&engine, log, &config, &outlet, moment_at(sim_now()), &report, &fault);
    if (error != SAGA_OK) {
        fail(error, &fault);
    }
    daemon.engine = engine;
    sim_check_recovered(daemon.coordinator, &report);
    define_all();
    error = saga_engine_commit(engine, moment_at(sim_now()), &fault);
    if (error != SAGA_OK) {
        fail(error, &fault);
    }
}

static void start(void *context, uint64_t number) {
    (void)context;
    (void)number;
    assert(daemon.engine == NULL);
    if (sim_fault(SIM_FAULT_WALL_JUMP)) {
        jump();
    }
    if (sim_fault(SIM_FAULT_REBOOT)) {
        daemon.boot_begin_ms = sim_now() - sim_draw_between(0, 60000);
    }
    daemon.life++;
    daemon.recovering = true;
    daemon.version += sim_draw_chance(200);
    sim_trace("daemon     starts, %llu records", (unsigned long long)sim_disk_durable());
    if (setjmp(daemon.grave) != 0) {
        daemon.engine = NULL;
        bury(sim_draw_between(1, 1000));
        return;
    }
    sim_memory_enter();
    recover();
    sim_memory_leave();
    daemon.recovering = false;
    daemon.kills_in_a_row = 0;
    daemon.busy_until_ms = sim_now();
    daemon.next_sweep_ms = sim_now() + SWEEP_MS;
    plan_turn(sim_now());
    sim_daemon_sends_again();
    sim_network_daemon_up();
}

void sim_daemon_begin(void) {
    static const uint32_t rates[] = {1, 10, 20000};
    memset(&daemon, 0, sizeof daemon);
    daemon.turn_at_ms = NEVER_MS;
    daemon.hash_seed = sim_draw();
    daemon.boot_begin_ms = -sim_draw_between(0, 100000000);
    daemon.limits = (struct saga_limits){
        .sagas_max = sim_draw_chance(100) ? (uint32_t)sim_draw_between(1, 5) : 128,
        .plans_max = 16,
        .participants_max = 16,
        .resend_per_second = rates[sim_draw_below(3)],
    };
    sim_disk_begin();
    sim_definitions_begin();
    start(NULL, 0);
}

/* -------------------------------------------------------------------- turns */

bool sim_daemon_has_drained(void) {
    return daemon.has_drained;
}

bool sim_daemon_has_room(void) {
    return daemon.limits.sagas_max > 100;
}

bool sim_daemon_is_up(void) {
    return daemon.engine != NULL && !daemon.recovering;
}

uint32_t sim_daemon_life(void) {
    return daemon.life;
}

const struct saga_coordinator *sim_daemon_coordinator(void) {
    return daemon.coordinator;
}

void sim_daemon_sends_again(void) {
    /* At the permitted rate: 128 sagas at most. */
    daemon.up_since_ms = saga_coordinator_now(daemon.coordinator) +
                         INT64_C(128) * 1000 / daemon.limits.resend_per_second;
}

bool sim_daemon_was_late(int64_t at_ms) {
    return at_ms < daemon.up_since_ms;
}

bool sim_daemon_ask(struct saga_request *request) {
    if (!sim_daemon_is_up()) {
        return false;
    }
    request->next = NULL;
    if (daemon.first_request == NULL) {
        daemon.first_request = request;
    } else {
        daemon.last_request->next = request;
    }
    daemon.last_request = request;
    plan_turn(sim_now());
    return true;
}

static void take_requests(void) {
    for (unsigned i = 0; i < sim_swarm.turn_max && daemon.first_request != NULL &&
                         !saga_engine_batch_full(daemon.engine);
         i++) {
        struct saga_request *request = daemon.first_request;
        daemon.first_request = request->next;
        saga_engine_take(daemon.engine, request, moment_at(sim_now()));
    }
}

static void sweep(void) {
    if (sim_now() < daemon.next_sweep_ms) {
        return;
    }
    daemon.next_sweep_ms = sim_now() + SWEEP_MS;
    if (daemon.drain_until_ms == 0) {
        sim_check_now(saga_coordinator_now(daemon.coordinator));
    }
    saga_engine_sweep(daemon.engine, moment_at(sim_now()));
    uint64_t orphans = saga_coordinator_counters(daemon.coordinator)->orphans_rearmed;
    if (orphans > 0) {
        sim_violation("T2", "%llu sagas had nothing that would wake them",
                      (unsigned long long)orphans);
    }
}

/* A commit, and more of them as long as effects lead to records. */
static void commit(void) {
    struct saga_fault fault;
    int64_t later_ms = sim_now();
    if (!saga_engine_pending(daemon.engine)) {
        return;
    }
    later_ms +=
        sim_fault(SIM_FAULT_SLOW_COMMIT) ? sim_draw_between(10, 5000) : sim_draw_between(0, 2);
    daemon.busy_until_ms = later_ms;
    enum saga_error error = saga_engine_commit(daemon.engine, moment_at(later_ms), &fault);
    if (error != SAGA_OK) {
        fail(error, &fault);
    }
}

/* SIGTERM: what is pending is committed, and the process ends in order. */
static void end_in_order(void) {
    sim_trace("daemon     has drained, and ends");
    saga_engine_close(daemon.engine);
    if (sim_memory_live() != 0) {
        sim_violation("X4", "%zu allocations were not given back by a daemon that ended in order",
                      sim_memory_live());
    }
    sim_daemon_kill("in order");
}

static void drain(void) {
    if (daemon.drain_until_ms == 0 && sim_fault(SIM_FAULT_DRAIN)) {
        sim_trace("daemon     drains");
        saga_engine_drain(daemon.engine);
        sim_check_draining();
        daemon.drain_until_ms = sim_now() + sim_draw_between(1, 9000); /* 0 would be: not */
        daemon.has_drained = true;
    } else if (daemon.drain_until_ms != 0 && sim_now() >= daemon.drain_until_ms &&
               !saga_engine_pending(daemon.engine)) {
        end_in_order();
    }
}

static void take_turn(void) {
    int64_t now_ms = sim_now();
    uint64_t released = saga_coordinator_counters(daemon.coordinator)->released;
    take_requests();
    int64_t wake_ms = saga_engine_tick(daemon.engine, moment_at(now_ms));
    sweep();
    if (saga_coordinator_counters(daemon.coordinator)->released > released) {
        sim_mark(SIM_MARK_RELEASED);
    }
    commit();
    drain();
    bool more = daemon.first_request != NULL || saga_engine_pending(daemon.engine);
    int64_t next_ms = wake_ms == INT64_MAX ? NEVER_MS : wake_ms + daemon.boot_begin_ms;
    if (daemon.drain_until_ms != 0 && daemon.drain_until_ms < next_ms) {
        next_ms = daemon.drain_until_ms;
    }
    /* A sweep is due now and then, as long as there is something to sweep. */
    if (saga_coordinator_counters(daemon.coordinator)->open > 0 && daemon.next_sweep_ms < next_ms) {
        next_ms = daemon.next_sweep_ms;
    }
    daemon.turn_at_ms = NEVER_MS;
    if (more || next_ms != NEVER_MS) {
        plan_turn(more ? now_ms : next_ms);
    }
}

static void turn(void *context, uint64_t number) {
    (void)context;
    if (number != daemon.turn_number || daemon.engine == NULL) {
        return;
    }
    if (sim_swarm.rates[SIM_FAULT_WALL_JUMP] > 0 && sim_draw_chance(2)) {
        jump();
    }
    if (setjmp(daemon.grave) != 0) {
        bury(draw_down_ms());
        return;
    }
    sim_memory_enter();
    take_turn();
    sim_memory_leave();
}

void sim_daemon_heal(void) {
    daemon.kills_left = 0;
}

void sim_daemon_restart(void) {
    if (daemon.engine != NULL) {
        daemon.killed_where = "between two turns";
        bury(1);
    }
}
