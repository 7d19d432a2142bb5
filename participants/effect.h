/*
 * The example services' ledger: one row for each run of business code, written in
 * that run's own transaction.
 *
 * It shows what a status hides: a slot that was blocked twice by one booking looks
 * like one that was blocked once, but leaves two rows. A correct run leaves at most
 * one row for each (saga, step, incarnation, operation).
 *
 *   effects(command_id, what, at)   what: the event that was answered, so that
 *                                   a refusal (BILL_FAILED) is told from an effect
 *                                   (PAYMENT_SUCCESSFUL); at: ms since 1970 UTC
 *
 * Threads: as the call.
 */
#ifndef SAGA_EFFECT_H
#define SAGA_EFFECT_H

#include "service.h"

/* Part of each service's schema. command_id is not unique: the ledger must be able
 * to show what must not happen. */
#define SAGA_EFFECT_SCHEMA                                                                         \
    "CREATE TABLE IF NOT EXISTS effects ("                                                         \
    "  command_id TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL"                          \
    ") STRICT;"

/* Writes the row and answers the call (saga_call_answer). */
enum saga_wire_outcome saga_effect_answer(struct saga_call *call, enum saga_wire_outcome outcome,
                                          const char *event, json_t *content);

/* The same with DONE, and with REJECTED, and no content. */
enum saga_wire_outcome saga_effect_done(struct saga_call *call, const char *event);
enum saga_wire_outcome saga_effect_rejected(struct saga_call *call, const char *event);

#endif
