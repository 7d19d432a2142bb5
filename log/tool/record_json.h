/*
 * A record as JSON: what `export` and `--json` write.
 *
 * Lossless: every field that is set, numbers as numbers, names beside them.
 * key and payload are strings; where the bytes are not UTF-8 they are in base64,
 * as key_base64 and payload_base64.
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
