/*
 * A moment as the wire spells it: RFC 3339 in UTC, "2024-07-12T09:30:00.125Z".
 *
 * Hides the calendar. Promises to take this spelling and no other: four digits of
 * year from 1970, capital T and Z, a day that exists, no leap second, at most nine
 * digits of a second's fraction (what is finer than a ms is cut off).
 *
 * Threads: no state.
 */
#ifndef SAGA_TIMESTAMP_H
#define SAGA_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the whole text. `ms` since 1970 UTC. False: it is not spelled like that. */
bool saga_timestamp_parse(const char *text, int64_t *ms);

#endif
