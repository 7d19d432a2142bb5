#include "swarm.h"

#include <string.h>

#include "agenda.h"
#include "daemon.h"
#include "draw.h"
#include "marks.h"
#include "participant.h"

/* Longer than participants keep their rows, and than clocks may differ. */
#define BLACKOUT_MS (SIM_RETENTION_MS + SAGA_PARTICIPANT_SKEW_MS + INT64_C(3600000))

struct sim_swarm sim_swarm;

const char *const sim_fault_names[SIM_FAULT_COUNT] = {
    [SIM_FAULT_DROP] = "command dropped",
    [SIM_FAULT_DOUBLE] = "command doubled",
    [SIM_FAULT_DELAY] = "command late",
    [SIM_FAULT_LIMBO] = "command after the end",
    [SIM_FAULT_UNROUTABLE] = "command unroutable",
    [SIM_FAULT_RETURNED] = "command returned",
    [SIM_FAULT_MISROUTED] = "command misrouted",
    [SIM_FAULT_BROKER_LOSS] = "broker lost everything",
    [SIM_FAULT_OUTAGE] = "peer lost",
    [SIM_FAULT_REPLY_DROP] = "reply dropped",
    [SIM_FAULT_REPLY_DOUBLE] = "reply doubled",
    [SIM_FAULT_REPLY_DELAY] = "reply late",
    [SIM_FAULT_REPLY_LIMBO] = "reply after the end",
    [SIM_FAULT_END_REFUSED] = "end not taken by the transport",
    [SIM_FAULT_MALFORMED] = "reply malformed",
    [SIM_FAULT_UNLISTED] = "reply with an unlisted event",
    [SIM_FAULT_UNKNOWN_SAGA] = "reply for an unknown saga",
    [SIM_FAULT_WRONG_COMMAND] = "reply for a command never issued",
    [SIM_FAULT_ANONYMOUS] = "reply without attempt",
    [SIM_FAULT_CRASH_BEFORE] = "participant died before commit",
    [SIM_FAULT_CRASH_AFTER] = "participant died after commit",
    [SIM_FAULT_LOCKED] = "participant could not commit",
    [SIM_FAULT_DOWN] = "participant down",
    [SIM_FAULT_SLOW] = "participant slow",
    [SIM_FAULT_ACCEPT] = "accepted first",
    [SIM_FAULT_RETRY] = "told to retry",
    [SIM_FAULT_ERROR] = "business code failed",
    [SIM_FAULT_REJECT] = "rejected",
    [SIM_FAULT_UNDO_REJECT] = "compensation rejected",
    [SIM_FAULT_BLOAT] = "bloated answers",
    [SIM_FAULT_KILL] = "daemon killed at a failpoint",
    [SIM_FAULT_KILL_APPEND] = "daemon killed in append",
    [SIM_FAULT_KILL_COMMIT] = "daemon killed in commit",
    [SIM_FAULT_COMMIT_FAILS] = "commit failed",
    [SIM_FAULT_KILL_REPLAY] = "daemon killed in replay",
    [SIM_FAULT_SLOW_COMMIT] = "commit slow",
    [SIM_FAULT_DRAIN] = "daemon drained",
    [SIM_FAULT_LOG_FULL] = "log full",
    [SIM_FAULT_WALL_JUMP] = "wall clock jumped",
    [SIM_FAULT_REBOOT] = "machine rebooted",
    [SIM_FAULT_STORM] = "client storm",
    [SIM_FAULT_OTHER_INPUT] = "key used with other input",
    [SIM_FAULT_LOST_ANSWER] = "client's answer lost",
    [SIM_FAULT_CANCEL] = "cancelled",
    [SIM_FAULT_OPERATOR_RETRY] = "retried by an operator",
    [SIM_FAULT_RESOLVE] = "resolved by an operator",
    [SIM_FAULT_SETTLE] = "debt settled by an operator",
    [SIM_FAULT_PURGE] = "rows purged",
};

/* Off in half of the seeds; else rare, frequent, or nearly always. */
static unsigned draw_rate(const unsigned *levels) {
    return sim_draw_chance(500) ? 0 : levels[sim_draw_below(4)];
}

static void draw_rates(void) {
    static const unsigned often[4] = {5, 30, 100, 300};
    static const unsigned seldom[4] = {1, 5, 20, 50};
    static const bool is_seldom[SIM_FAULT_COUNT] = {
        [SIM_FAULT_UNKNOWN_SAGA] = true, [SIM_FAULT_WRONG_COMMAND] = true,
        [SIM_FAULT_LIMBO] = true,        [SIM_FAULT_REPLY_LIMBO] = true,
        [SIM_FAULT_OUTAGE] = true,       [SIM_FAULT_CRASH_BEFORE] = false,
        [SIM_FAULT_KILL] = true,         [SIM_FAULT_KILL_APPEND] = true,
        [SIM_FAULT_KILL_COMMIT] = true,  [SIM_FAULT_COMMIT_FAILS] = true,
    };
    bool calm = sim_draw_chance(50);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        sim_swarm.rates[i] = calm ? 0 : draw_rate(is_seldom[i] ? seldom : often);
    }
    if (sim_swarm.rates[SIM_FAULT_BLOAT] != 0) { /* dear: a megabyte each */
        sim_swarm.rates[SIM_FAULT_BLOAT] = sim_draw_chance(20) ? 300 : 0;
    }
    sim_swarm.rates[SIM_FAULT_PURGE] = sim_draw_chance(40) ? 100 : 0;
}

/* Left to chance alone, a fence that stands in for a compensation and is answered when it
 * has been given up would be too rare. */
static void make_doubtful(void) {
    static const enum sim_fault faults[] = {
        SIM_FAULT_DELAY,       SIM_FAULT_REPLY_DELAY, SIM_FAULT_REPLY_DROP,
        SIM_FAULT_DOUBLE,      SIM_FAULT_REJECT,      SIM_FAULT_CANCEL,
        SIM_FAULT_UNDO_REJECT, SIM_FAULT_RESOLVE,     SIM_FAULT_SETTLE,
    };
    sim_swarm.doubtful = true;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sim_swarm.rates[faults[i]] = (unsigned)sim_draw_between(100, 400);
    }
    sim_swarm.rates[SIM_FAULT_REPLY_DELAY] += 200;
    sim_swarm.rates[SIM_FAULT_REJECT] += 100;
    sim_swarm.rates[SIM_FAULT_RESOLVE] += 200;
    sim_swarm.rates[SIM_FAULT_SETTLE] += 300;
}

/* Often, so that a seed has many, and their slices are small; or none at all. */
static void draw_checkpoints(struct saga_checkpoint_pace *pace) {
    *pace = saga_checkpoint_pace_default;
    if (sim_draw_chance(800)) {
        pace->records = (uint64_t)sim_draw_between(5, 300);
        pace->records_open = sim_draw_chance(500) ? 0 : 2;
        pace->records_most = sim_draw_chance(500) ? 0 : 100;
        pace->ms = sim_draw_chance(500) ? 0 : sim_draw_between(1000, 100000);
        pace->slice_entries = (uint32_t)sim_draw_between(1, 20);
    }
}

/* So short that much goes while the seed runs; or nothing ever does. */
static void draw_retention(struct saga_retention *retention) {
    *retention = saga_retention_for_ever;
    if (sim_draw_chance(500)) {
        return;
    }
    for (int outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        if (sim_draw_chance(800)) {
            retention->ms[outcome] = sim_draw_between(0, sim_draw_chance(500) ? 10000 : 600000);
        }
    }
    sim_swarm.comes_back = true;
    if (sim_draw_chance(600)) {
        retention->keys_ms = sim_draw_between(1000, sim_draw_chance(500) ? 20000 : 600000);
    }
}

void sim_swarm_begin(void) {
    memset(&sim_swarm, 0, sizeof sim_swarm);
    draw_rates();
    if (sim_swarm.rates[SIM_FAULT_PURGE] == 0 && sim_draw_chance(350)) {
        make_doubtful();
    }
    sim_swarm.forgets = sim_draw_chance(100);
    if (sim_swarm.forgets || sim_swarm.rates[SIM_FAULT_PURGE] > 0) {
        /* A command's age is told by two clocks, which may differ by an hour at most. */
        sim_swarm.rates[SIM_FAULT_WALL_JUMP] = 0;
    }
    static const int64_t lengths_ms[] = {5000, 30000, 120000, 600000, 1800000};
    sim_swarm.chaos_ms = lengths_ms[sim_draw_below(5)];
    if (sim_swarm.rates[SIM_FAULT_PURGE] > 0) {
        sim_swarm.blackout_from_ms = sim_draw_between(0, sim_swarm.chaos_ms);
        sim_swarm.blackout_until_ms = sim_swarm.blackout_from_ms + BLACKOUT_MS;
        sim_swarm.chaos_ms = sim_swarm.blackout_until_ms + 60000;
    }
    unsigned size = (unsigned)sim_draw_below(10);
    sim_swarm.saga_count = (unsigned)(size < 6   ? sim_draw_between(1, 3)
                                      : size < 9 ? sim_draw_between(4, 10)
                                                 : sim_draw_between(11, 30));
    if (sim_swarm.blackout_until_ms > 0 && sim_swarm.saga_count > 3) {
        sim_swarm.saga_count = 3;
    }
    sim_swarm.turn_max = (unsigned)sim_draw_between(1, 16);
    draw_checkpoints(&sim_swarm.checkpoints);
    draw_retention(&sim_swarm.retention);
    sim_swarm.recovery_kills = (unsigned)sim_draw_below(6);
    sim_swarm.shadow = sim_draw_chance(125);
    sim_swarm.reparsed = sim_draw_chance(30);
}

void sim_swarm_heal(void) {
    /* What is no fault but the business goes on. */
    unsigned reject = sim_swarm.rates[SIM_FAULT_REJECT];
    unsigned accept = sim_swarm.rates[SIM_FAULT_ACCEPT];
    memset(sim_swarm.rates, 0, sizeof sim_swarm.rates);
    sim_swarm.rates[SIM_FAULT_REJECT] = reject;
    sim_swarm.rates[SIM_FAULT_ACCEPT] = accept > 100 ? 100 : accept;
    sim_swarm.recovery_kills = 0;
}

bool sim_swarm_is_black(void) {
    return sim_now() >= sim_swarm.blackout_from_ms && sim_now() < sim_swarm.blackout_until_ms;
}

bool sim_fault(enum sim_fault fault) {
    if (!sim_draw_chance(sim_swarm.rates[fault])) {
        return false;
    }
    sim_mark_fault(fault);
    return true;
}
