/*
 * A moment as a text: RFC 3339, UTC, milliseconds.
 *
 * Threads: no state.
 */
#ifndef SAGA_TIME_TEXT_H
#define SAGA_TIME_TEXT_H

#include <stdint.h>

#define SAGA_TIME_TEXT_SIZE 25 /* "2024-06-11T09:30:00.125Z" and a NUL */

/* `text` has SAGA_TIME_TEXT_SIZE bytes; returns it. What is before 1970 or after 9999 is shown as
 * the nearest moment that can be. */
char *saga_time_text(int64_t ms_since_1970, char *text);

#endif
