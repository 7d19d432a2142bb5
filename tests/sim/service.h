/*
 * The participants of a simulation.
 *
 * The example's services and two generated ones run the production library, with
 * its fence, on SQLite in memory. Three others have no fence: one runs whatever
 * arrives, one the same behind a transport that doubles nothing, and one lies
 * about having a fence.
 *
 * Threads: one.
 */
#ifndef SIM_SERVICE_H
#define SIM_SERVICE_H

#include "network.h"
#include "shape.h"

struct saga_participant;

/* Once a process. False: SQLite cannot be used; says why on stderr. */
bool sim_services_open(void);
void sim_services_close(void);

/* As new: empty tables, everybody up. */
void sim_services_begin(void);

/* Faults are over. */
void sim_services_heal(void);

/* False: its queue is not there, so a command to it is returned. */
bool sim_service_is_bound(enum sim_party party);

/* A delivery. Whatever it answers goes to the network. */
void sim_service_take(const struct sim_command *command);

/* Deletes what the participants no longer have to keep. */
void sim_services_purge(void);

/* Commands that wait at a participant. */
unsigned sim_services_waiting(void);

/* A fenced participant, for the checker to look into. */
struct saga_participant *sim_service_participant(enum sim_party party);

/* How often a step of a loose participant took effect, and was undone. */
struct sim_tally {
    unsigned acted, undone;
};
struct sim_tally sim_service_tally(const struct saga_id *saga, uint8_t step);

/* The slots that bookings are about: texts of UUIDs. */
#define SIM_SLOTS 3
extern const char *const sim_slots[SIM_SLOTS];

/* Billing declines what is over it. */
#define SIM_BILLING_LIMIT 10000

#endif
