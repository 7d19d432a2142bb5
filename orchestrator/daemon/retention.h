/*
 * The text of a retention: completed=7d,compensated=30d,max=20GiB.
 *
 * Names are the outcomes' public names, `start_keys`, and `max`. Values are durations, or
 * `forever`; that of max is a size.
 *
 * Threads: no state.
 */
#ifndef SAGA_RETENTION_H
#define SAGA_RETENTION_H

#include "purger.h"

/* Completed sagas are known for 7 days, compensated ones and start keys for 30. What an operator
 * had his hand in is known for ever. */
extern const struct saga_retention saga_retention_default;

#define SAGA_RETENTION_EXPECTED                                                                    \
    "NAME=DURATION,...: completed, compensated, completed_manually, compensated_manually, "        \
    "inconsistent or start_keys with a duration from 1s on, or forever; max with a size"

/* Reads a text; what it does not name stays as it was. False: it is none; nothing has changed. */
SAGA_CHECKED bool saga_retention_parse(const char *text, struct saga_retention *retention);

/* Bytes of the longest text, with its NUL. */
#define SAGA_RETENTION_BYTES 320

/* Writes it with all names, to be read by people and by saga_retention_parse(). */
void saga_retention_format(const struct saga_retention *retention, char text[SAGA_RETENTION_BYTES]);

#endif
