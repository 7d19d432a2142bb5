/*
 * The network: commands on their way to participants, and replies on theirs to
 * the daemon, by way of a broker that keeps replies until they are acknowledged.
 *
 * Hides what may become of a message: lost, doubled, overtaken, returned, late,
 * later than its saga, redelivered to the daemon that comes after a dead one.
 *
 * Threads: one.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "engine.h"
#include "shape.h"

/* A command at its participant. Borrowed for the call. */
struct sim_command {
    struct saga_command_id id;
    uint32_t attempt;
    const struct sim_shape *shape;
    const struct sim_step *step;
    const char *name;
    int64_t issued_at_ms;
    int64_t deadline_ms;
    bool accepted; /* it was answered `accepted` already, and waited since */
    const char *body;
    size_t body_size;
};

void sim_network_begin(void);

/* The engine's outlet. */
bool sim_network_send(void *context, const struct saga_dispatch *dispatch);

/* The same delivery once more, after so long: the participant did not acknowledge it. */
void sim_network_again(const struct sim_command *command, int64_t delay_ms, bool accepted);

/* A reply, on its way from now on. `verdict` 0: no header says it. The body is copied. */
void sim_network_reply(const struct sim_command *command, uint8_t verdict, const char *body,
                       size_t body_size);

/* The daemon has died: what it had not acknowledged will be delivered again. */
void sim_network_daemon_died(void);
void sim_network_daemon_up(void);

/* What had to wait for the end of the sagas goes on now. */
void sim_network_release_limbo(void);

/* Messages that will still arrive by themselves; those in limbo are not. */
unsigned sim_network_in_flight(void);
unsigned sim_network_in_limbo(void);

#endif
