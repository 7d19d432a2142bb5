/*
 * A command's body, read strictly: one JSON object in UTF-8, no key twice,
 * within the limits of the wire.
 *
 * Threads: no state.
 */
#ifndef SAGA_JSON_BODY_H
#define SAGA_JSON_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Room for why a body cannot be read. */
#define SAGA_JSON_WHY_BYTES 192

/* The body, to be freed with json_decref; or NULL, and `why` in words.
 * `out_of_memory` tells that the body is not to blame. */
json_t *saga_json_body_read(const char *body, size_t size, char why[SAGA_JSON_WHY_BYTES],
                            bool *out_of_memory);

#endif
