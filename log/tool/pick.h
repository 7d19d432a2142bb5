/*
 * The one saga that somebody means by a part of its id.
 *
 * Threads: one.
 */
#ifndef SAGA_PICK_H
#define SAGA_PICK_H

#include "muster.h"

/* Finds the only saga that has `argument` in its id, in any case. A whole id costs the way back to
 * its latest record, a part a look at every id. Errors: NOT_FOUND (none, or several: the fault
 * names some), LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_pick(struct saga_log_reader *reader, const char *argument,
                                       struct saga_muster_line *line, struct saga_fault *fault);

#endif
