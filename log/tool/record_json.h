/*
 * A record as JSON: what `export` and `--json` write.
 *
 *     {"lsn":7,"fact":"REPLY_RECEIVED","at":"2024-06-11T09:30:00.125Z",
 *      "at_ms":1718098200125,"wall_ms":1718098200125,"epoch":1,"previous_lsn":6,
 *      "saga":"0190a8f0-...","step":1,"operation":"action","incarnation":1,
 *      "revision":1,"attempt":1,"verdict":"done",
 *      "payload":"{\"reply_state\":\"PARKING_AVAILABLE\"}"}
 *
 * Lossless: every field of the record is there, unless it is not set (0, empty;
 * `step`: none). Facts, verdicts and the like are names, or numbers where a
 * later version's have no name here; a number that JSON's integers do not hold
 * is a string of digits. key, payload and content are strings; where their bytes
 * are not UTF-8 they are in base64, as key_base64 and so on. `at` is at_ms once
 * more, for people.
 *
 * Threads: no state.
 */
#ifndef SAGA_RECORD_JSON_H
#define SAGA_RECORD_JSON_H

#include <jansson.h>

#include "saga.h"

/* The caller's; NULL: no memory. */
json_t *saga_record_json(const struct saga_record *record);

#endif
