/*
 * What an operator asks of a saga: the body of POST /v1/sagas/{id}/<verb>.
 *
 * Hides which verb has which members.
 *
 * Threads: no state.
 */
#ifndef SAGA_DEED_H
#define SAGA_DEED_H

#include <jansson.h>

#include "engine.h"

/* The members that the verb's body may have (NULL-terminated), and what it looks like. */
const char *const *saga_deed_members(enum saga_request_type verb);
const char *saga_deed_expected(enum saga_request_type verb);

/* True if the verb cannot do without a body. */
SAGA_CHECKED bool saga_deed_needs_body(enum saga_request_type verb);

/* Reads an object that has no other members than those into the request, whose type is
 * set. Texts stay the body's; *content is malloc'd, the caller's, and what the request's
 * content points to (NULL: there is none). NULL: it is right; else what is wrong, a
 * constant text. */
SAGA_CHECKED const char *saga_deed_read(const json_t *body, struct saga_request *request,
                                        char **content);

#endif
