/*
 * The clients: who starts sagas, asks after them, and operates on them.
 *
 * Hides retries: a start that is not answered is asked again with the same key,
 * until it is, or the client gives up.
 *
 * Threads: one.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <stdbool.h>

#include "saga.h"

/* Plans what they do while there are faults. */
void sim_clients_begin(void);

/* An operator notices this saga, and may cancel it soon. */
void sim_client_provoke(const struct saga_id *id);

/* The daemon has died: nobody is answered. */
void sim_client_daemon_died(void);

/* An operator who now and then tries parked sagas again, from now on. */
void sim_clients_heal(void);

/* True if no client waits or wants anything. */
bool sim_clients_are_done(void);

/* An operator has tried each parked saga often enough. */
bool sim_operator_is_done(void);

#endif
