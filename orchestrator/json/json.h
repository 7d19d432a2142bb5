/*
 * JSON as the orchestrator needs it: checked, canonical, merged.
 *
 * Hides jansson. Payloads are bytes everywhere else.
 *
 * Limits, the same for whatever comes from outside: no duplicate keys, at most
 * SAGA_JSON_DEPTH_MAX levels, at most as many bytes as the caller says.
 *
 * Threads: no state.
 */
#ifndef SAGA_JSON_H
#define SAGA_JSON_H

#include <jansson.h>

#include "error.h"

#define SAGA_JSON_DEPTH_MAX 32

/* Parses a text; the caller owns *json. Errors: INVALID (the fault names line
 * and column). */
SAGA_CHECKED enum saga_error saga_json_parse(const void *text, size_t size, json_t **json,
                                             struct saga_fault *fault);

/* The canonical text: no white space, keys sorted by bytes, integers exact, reals as the
 * shortest decimal that reads back the same. malloc'd; *size without the NUL. */
char *saga_json_canonical(const json_t *json, size_t *size);

/* The same, for people: members in the order in which they were set. */
char *saga_json_text(const json_t *json, size_t *size);

/* The canonical text of `base` with the members of `extra` set in it, shallow,
 * later wins. Both are texts of objects that were checked before; NULL if one
 * is not (or there is no memory). malloc'd. */
char *saga_json_merge(const void *base, size_t base_size, const json_t *extra, size_t *size);

#endif
