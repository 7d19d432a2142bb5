/*
 * The trace: what a record says, in a few words for people.
 *
 * A decision is a cause and what followed from it:
 *
 *     block#1 done PARKING_AVAILABLE -> approve: booking.approve
 *
 * The same words serve the inspection tool and the tests that compare
 * transcripts.
 *
 * Threads: no state.
 */
#ifndef SAGA_TRACE_H
#define SAGA_TRACE_H

#include <stdio.h>

#include "definition.h"
#include "saga.h"

/* True if the record begins a decision (something happened); false if it is
 * what followed. */
SAGA_CHECKED bool saga_trace_is_cause(const struct saga_record *record);

/* Writes the words for one record, without a line's end. Texts from outside are
 * escaped. `definition`: of its saga; NULL: steps are shown by number. */
void saga_trace_write(FILE *out, const struct saga_record *record,
                      const struct saga_definition *definition);

/* Writes a text from outside so that no terminal does what it says: everything
 * that is not printable UTF-8 as \xNN; at most `columns` characters. */
void saga_trace_escape(FILE *out, const char *text, size_t size, size_t columns);

#endif
