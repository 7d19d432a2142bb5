/*
 * The trace: what a record says, in a few words for people.
 *
 * A decision is a cause and what followed from it:
 *
 *     block#1 done PARKING_AVAILABLE -> approve: booking.approve
 *     authorize#3 no reply, attempt 3 of 3 -> unknown, fence authorize: billing.fence
 *
 * `block#1` is the first attempt of the step's command. What followed without a
 * record of its own (unknown; another attempt) is read off the saga's state
 * before and after.
 *
 * Threads: no state.
 */
#ifndef SAGA_TRACE_H
#define SAGA_TRACE_H

#include <stdio.h>

#include "definition.h"
#include "saga.h"

/* What is known beside the record. Borrowed for the call. */
struct saga_trace_scene {
    const struct saga_definition *definition; /* of its saga; NULL: steps are shown by number */
    const struct saga *before;                /* the saga without the record; NULL: not known */
    const struct saga *after;                 /* the saga with it folded in; NULL: not known */
    size_t text_columns;                      /* the most of a text from outside, at least 8 */
};

/* True if the record begins a decision (something happened); false if it is
 * what followed. */
SAGA_CHECKED bool saga_trace_is_cause(const struct saga_record *record);

/* Writes the words for one record, without a line's end. Texts from outside are
 * escaped. */
void saga_trace_write(FILE *out, const struct saga_record *record,
                      const struct saga_trace_scene *scene);

/* Writes what followed from the record without a record of its own; nothing
 * where that is nothing, or not known. */
void saga_trace_conclude(FILE *out, const struct saga_record *record,
                         const struct saga_trace_scene *scene);

/* The last 8 characters of an id, as tables show it: the first ones are the
 * time, alike for weeks. `text` has SAGA_TRACE_ID_SIZE bytes; returns it. */
#define SAGA_TRACE_ID_SIZE 9
char *saga_trace_id(const struct saga_id *id, char *text);

#endif
