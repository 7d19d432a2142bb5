/*
 * The head of a request, and what is refused by looking at it alone.
 *
 * Hides where a request may come from (DNS rebinding, other sites' pages) and
 * which heads two readers could understand in two ways.
 *
 * Threads: no state.
 */
#ifndef SAGA_HEAD_H
#define SAGA_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "listener.h"
#include "response.h"

/* Limits; docs/protocol.md lists them. */
#define SAGA_URI_BYTES_MAX  2048
#define SAGA_BODY_BYTES_MAX (1u << 20)
#define SAGA_QUERY_MAX      8

struct saga_query {
    const char *name;
    const char *value; /* NULL: "?name" */
};

/* Texts are borrowed from the connection for as long as the request lasts. */
struct saga_head {
    const char *uri;  /* as sent, query and all */
    const char *path; /* unescaped, without the query */
    const char *method;
    const char *host; /* headers; NULL: not there */
    const char *origin;
    const char *fetch_site;
    const char *content_type;
    const char *key; /* Idempotency-Key */
    const char *who; /* Saga-Operator */
    uint64_t length; /* Content-Length; 0 where it is not there */
    bool has_length;
    bool chunked;       /* has a Transfer-Encoding */
    bool expects;       /* waits for a 100 before it sends the body */
    const char *twice;  /* a header that is there twice and must not be; NULL: none */
    const char *odd;    /* what is wrong with a header; NULL: nothing */
    size_t query_count; /* may be above SAGA_QUERY_MAX: then the rest was dropped */
    struct saga_query query[SAGA_QUERY_MAX];
};

/* Notes one header, one part of the query. */
void saga_head_add_header(struct saga_head *head, const char *name, const char *value);
void saga_head_add_query(struct saga_head *head, const char *name, const char *value);

/* True if the request may be looked at further. False: `response` says why not;
 * the connection ends where its bytes cannot be trusted. */
bool saga_head_check(const struct saga_head *head, const struct saga_listener *listener,
                     struct saga_response *response);

/* The query's value of this name; NULL: it is not there. */
const char *saga_head_query(const struct saga_head *head, const char *name);

#endif
