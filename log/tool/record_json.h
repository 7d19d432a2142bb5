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

#include "fields.h"
#include "saga.h"

/* The caller's; NULL: no memory. */
json_t *saga_record_json(const struct saga_record *record);

/* A record that was read back. Its bytes are the JSON's, or here. */
struct saga_record_copy {
    struct saga_record record;
    void *key, *payload, *content; /* owned; NULL: the JSON has them */
};

/* Reads one back, whoever wrote it; the JSON is to outlive the copy. The copy is the caller's, for
 * saga_record_copy_fini(). False: it says no record of which saga_record_encode() could be asked;
 * fields->problem says why. `fields` is uninitialised memory of the caller. */
SAGA_CHECKED bool saga_record_read(struct saga_record_copy *copy, const json_t *json,
                                   struct saga_fields *fields);
void saga_record_copy_fini(struct saga_record_copy *copy);

#endif
