/*
 * The rolls: the rows of the tables `open` and `done`, one saga each.
 *
 * Hides how they are found from their ends, and that damage is refused.
 *
 * Threads: the reader's.
 */
#ifndef SAGA_ROLLS_H
#define SAGA_ROLLS_H

#include "error.h"
#include "log.h"
#include "tables.h"

/* The newest saga of `open` that is older than `before`, and its state (saga_open_row_decode()).
 * Errors: NOT_FOUND (the fault is left alone), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_rolls_open_before(struct saga_log_reader *reader,
                                                    const struct saga_id *before,
                                                    struct saga_open_row *row, struct saga *state,
                                                    struct saga_fault *fault);

/* The newest that has ended so and is older than `before`. Errors: the same. */
SAGA_CHECKED enum saga_error saga_rolls_done_before(struct saga_log_reader *reader, uint8_t outcome,
                                                    const struct saga_id *before,
                                                    struct saga_done_row *row,
                                                    struct saga_fault *fault);

/* The row of `open` of this saga. Errors: the same. */
SAGA_CHECKED enum saga_error saga_rolls_open_find(struct saga_log_reader *reader,
                                                  const struct saga_id *id,
                                                  struct saga_open_row *row, struct saga *state,
                                                  struct saga_fault *fault);

/* Calls `visit` with the id of each row of both tables. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_rolls_visit(struct saga_log_reader *reader,
                                              void (*visit)(void *context,
                                                            const struct saga_id *id),
                                              void *context, struct saga_fault *fault);

#endif
