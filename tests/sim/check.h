/*
 * The checker: whether what happened is what docs/semantics.md promises.
 *
 * It shares nothing with the core but the record's decoder: its own rules, its
 * own states, by hand. It sees the durable records in their order, every command
 * that leaves, every answer that a client hears, and in the end the
 * participants' tables. What does not hold is named (tests/sim/README.md) and ends
 * the seed.
 *
 * Threads: one.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "engine.h"
#include "shape.h"

void sim_check_begin(void);

/* -------------------------------------------------------- what is durable */

void sim_check_record(const struct saga_record *record);
void sim_check_committed(void);
/* The row of an ended saga is gone: nobody knows it any more, nor has any of its records. */
void sim_check_gone(uint8_t outcome, const struct saga_id *id);
/* A record is gone with its block, and is `kept` beside the log. */
void sim_check_dropped(const struct saga_record *record, bool kept);
/* The log begins with this record, after a commit. */
void sim_check_base(uint64_t base_lsn);

/* Now and then: the engine's time. */
void sim_check_now(int64_t now_ms);

/* A daemon has recovered, and found so many; its coordinator holds the open ones. */
void sim_check_recovered(const struct saga_coordinator *coordinator,
                         const struct saga_recovery_report *report);

/* -------------------------------------------------------- what has left */

/* A command leaves. */
void sim_check_send(const struct saga_dispatch *dispatch);
/* ... and was refused: no byte has left. */
void sim_check_refused(const struct saga_command_id *id, uint32_t attempt);
/* ... and may arrive. */
/* All that is outstanding is to be sent again. */
void sim_check_resent(void);
void sim_check_wired(const struct saga_command_id *id, uint32_t attempt);
/* A participant that keeps its fence says something, whoever hears it; `replayed`: it was
 * said before, and changed nothing now. */
void sim_check_said(const struct saga_command_id *id, uint8_t verdict, bool replayed);
/* A reply was acknowledged. */
void sim_check_acknowledged(const struct saga_request *request);
/* An operator was answered. */
void sim_check_operated(const struct saga_request *request);
/* Somebody looked. */
void sim_check_seen(const struct saga_listing *listing);
/* ... through the list, when `known` sagas were durable: the newest first, none twice, and
 * none left out. */
void sim_check_listed(const struct saga_request *request, unsigned known);
/* ... at the counters. */
void sim_check_counted(const struct saga_engine_stats *stats);
/* The outlet was told. */
void sim_check_changed(const struct saga_id *id, const char *status);
/* An end is given out, to somebody who asked of it; they have heard it; and the daemon that gave it
 * out is told so. */
void sim_check_told(const struct saga_id *id, const char *status, struct saga_bytes asker);
void sim_check_heard(const struct saga_id *id, struct saga_bytes asker);
void sim_check_confirmed(const struct saga_id *id, struct saga_bytes asker);
/* Participants have deleted rows: of sagas that are open now nothing is promised, but that
 * nothing takes effect twice. */
void sim_check_purged(void);
/* No command may leave in this life of the daemon. */
void sim_check_draining(void);

/* --------------------------------------------------------------- starts */

/* A client asks for a start: key "" for none. `input` is the canonical form. Returns the
 * number of the invocation. */
uint32_t sim_check_asked(const char *name, const char *key, const char *input);
/* It was answered. */
void sim_check_answered(uint32_t invocation, uint8_t result, const struct saga_listing *listing);

/* ------------------------------------------------------------- questions */

const struct sim_shape *sim_check_shape_of(const struct saga_id *id);
/* There is such a saga, and it is not gone. */
bool sim_check_knows(const struct saga_id *id);
/* Or it has gone since who is answered now was looked after. */
bool sim_check_knew(const struct saga_id *id);
bool sim_check_has_ended(const struct saga_id *id);
unsigned sim_check_saga_count(void);
const struct saga_id *sim_check_saga_id(unsigned number);
/* Its id; zero for 0, and for one that is not there yet. */
struct saga_id sim_check_saga_before(unsigned number);
unsigned sim_check_number(const struct saga_id *id);
/* 0: not parked. */
uint8_t sim_check_parked(unsigned number);
uint8_t sim_check_parked_step(unsigned number);
/* A step whose debt nobody has settled; SAGA_STEP_NONE: there is none. */
uint8_t sim_check_owed_step(unsigned number);
bool sim_check_is_open(unsigned number);
/* Sagas that are neither ended nor parked. */
unsigned sim_check_restless(void);
/* Sagas that have ended, and who asked of that has not heard it. */
unsigned sim_check_unheard(void);
/* True if those are all without a promise, since rows of theirs were purged. */
bool sim_check_is_hopeless(void);
/* True if its definition has only participants that keep their fence. */
bool sim_check_is_fenced(unsigned number);

/* ---------------------------------------------------------------- the end */

/* Nothing moves any more: what the tables say. */
void sim_check_effects(void);
/* Every saga has ended, or is parked as it may be. */
void sim_check_ends(void);

#endif
