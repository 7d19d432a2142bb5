/*
 * Durations as text: `250ms`, `30s`, `5m`, `2h`, `7d`.
 *
 * Threads: no state.
 */
#ifndef SAGA_DURATION_H
#define SAGA_DURATION_H

#include "saga.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest text, with its NUL. */
#define SAGA_DURATION_BYTES 24

/* Reads a whole number and a unit; false where it is anything else, or longer
 * than SAGA_TIME_MS_MAX. Zero is read: whether it makes sense is the caller's. */
SAGA_CHECKED bool saga_duration_parse(const char *text, size_t size, int64_t *ms);

/* Writes the duration in the largest unit that says it exactly. */
void saga_duration_format(int64_t ms, char text[SAGA_DURATION_BYTES]);

#endif
