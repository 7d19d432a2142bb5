/*
 * The daemon: the production engine on the simulated disk, network and clock,
 * which dies and starts again.
 *
 * Hides setjmp, the daemon's memory, its clocks, and its turns: requests are
 * taken, one commit makes what they decided durable, effects leave.
 *
 * Threads: one.
 */
#ifndef SIM_DAEMON_H
#define SIM_DAEMON_H

#include "engine.h"

/* What the wall clocks say when a simulation begins: 2023-11-14. */
#define SIM_WALL_BEGIN_MS INT64_C(1700000000000)
/* How long participants keep their rows. */
#define SIM_RETENTION_MS (INT64_C(2) * 3600 * 1000)

/* A new machine, with no daemon yet; starts one. */
void sim_daemon_begin(void);

/* The daemon dies here and now. Only from inside its code. */
_Noreturn void sim_daemon_kill(const char *where);

/* Faults are over: whoever is down comes up. */
void sim_daemon_heal(void);

/* Kills a daemon that stands between two turns, if there is one; it starts again
 * at once. */
void sim_daemon_restart(void);

bool sim_daemon_is_up(void);

/* True if some daemon of this simulation has drained. */
bool sim_daemon_has_drained(void);

/* True if its limits are beyond what clients want. */
bool sim_daemon_has_room(void);

/* The start that is running or was last: requests of an earlier one are void. */
uint32_t sim_daemon_life(void);

/* Hands a request over; it is answered, or the daemon dies first. False: there
 * is no daemon. The request's memory is the caller's, and stays. */
bool sim_daemon_ask(struct saga_request *request);

/* Of the running daemon, also while it recovers; NULL: there is none. */
const struct saga_coordinator *sim_daemon_coordinator(void);

/* All that is outstanding is sent again from now on, one after the other. */
void sim_daemon_sends_again(void);

/* True if, since the engine's time `at_ms`, it was held up: a new epoch, or a slow commit. */
bool sim_daemon_was_late(int64_t at_ms);

#endif
