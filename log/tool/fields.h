/*
 * Fields: the members of a JSON object that somebody else has written, taken out one by one.
 *
 * Hides their types and ranges, and that each must be one that was asked for. The first thing that
 * is wrong is remembered; from then on everything is 0, so that who asks may ask to the end.
 *
 * Threads: one.
 */
#ifndef SAGA_FIELDS_H
#define SAGA_FIELDS_H

#include <jansson.h>
#include <stdbool.h>

#include "saga.h"

#define SAGA_FIELDS_MAX           32
#define SAGA_FIELDS_PROBLEM_BYTES 256

struct saga_fields {
    const json_t *json; /* the caller's */
    const char *asked[SAGA_FIELDS_MAX];
    size_t asked_count;
    char problem[SAGA_FIELDS_PROBLEM_BYTES]; /* "": none so far */
};

void saga_fields_begin(struct saga_fields *fields, const json_t *json);

/* Notes that something else is wrong. */
__attribute__((format(printf, 2, 3))) void saga_fields_refuse(struct saga_fields *fields,
                                                              const char *format, ...);

/* True if it is there. Does not ask for it. */
bool saga_fields_have(const struct saga_fields *fields, const char *name);

/* A number up to `max`, or its digits as a string; not there: 0. */
uint64_t saga_fields_number(struct saga_fields *fields, const char *name, uint64_t max);
int64_t saga_fields_signed(struct saga_fields *fields, const char *name);

/* The number that has this name, or a number up to 255; not there: 0. `name_of` gives "?" for what
 * has none. */
uint8_t saga_fields_named(struct saga_fields *fields, const char *name,
                          const char *(*name_of)(uint8_t number));

/* A string without U+0000, the object's; not there: NULL. */
const char *saga_fields_text(struct saga_fields *fields, const char *name);

/* An id; not there: zero. */
struct saga_id saga_fields_id(struct saga_fields *fields, const char *name);

/* So many bytes in hexadecimal, as numbers of 64 bits; false: not there, or something is wrong. */
bool saga_fields_hex(struct saga_fields *fields, const char *name, uint64_t *words, size_t count);

/* A string's bytes, or those that `name_base64` (may be NULL, as may `name`) has in base64: at most
 * `max`. *owned: NULL, or what the caller frees once it needs the bytes no more. */
struct saga_bytes saga_fields_bytes(struct saga_fields *fields, const char *name,
                                    const char *name_base64, size_t max, void **owned);

/* True if nothing was wrong, and there was nothing but what was asked for. */
SAGA_CHECKED bool saga_fields_end(struct saga_fields *fields);

#endif
