/*
 * How long something took, for people: "213 ms", "3.2 s", "4 min 5 s".
 *
 * Threads: no state.
 */
#ifndef SAGA_SPAN_H
#define SAGA_SPAN_H

#include <stddef.h>
#include <stdint.h>

#define SAGA_SPAN_TEXT_SIZE 32

/* The time between two moments of the engine's clock; "?" where they cannot be
 * such (a damaged log). `text` has SAGA_SPAN_TEXT_SIZE bytes; returns it. */
char *saga_span_text(int64_t from_ms, int64_t to_ms, char *text);

#endif
