/*
 * The disk under the model of the log (log_model.c): what is on it survives the
 * daemon.
 *
 * A log is a row of encoded blocks. A flush makes its batch durable, or does
 * not: a death inside it leaves the old state or the new one.
 *
 * Threads: one.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "error.h"
#include "log.h"

/* An empty disk. */
void sim_disk_begin(void);

/* Opens the log on it, as a daemon does at its start. */
struct saga_log *sim_disk_open(void);

/* The daemon is dead: what was not flushed is gone. */
void sim_disk_crash(void);

/* The last durable LSN. */
uint64_t sim_disk_durable(void);

/* Commits so far, also those of daemons that died in them. */
uint64_t sim_disk_commits(void);

/* A durable record. Key and payload stay valid until the next sim_disk_begin(). */
void sim_disk_read(uint64_t lsn, struct saga_record *record);

#endif
