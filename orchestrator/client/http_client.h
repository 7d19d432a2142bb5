/*
 * A client of the daemon's HTTP API: one request, one answer, over a unix socket
 * or TCP.
 *
 * Hides libcurl. Knows nothing of sagas or JSON: it moves bytes. It never repeats
 * a request by itself (a connection is used once, since libcurl repeats a POST
 * when a kept-alive connection dies), never follows a redirect, uses no proxy.
 *
 * Threads: one client belongs to one thread at a time.
 */
#ifndef SAGA_HTTP_CLIENT_H
#define SAGA_HTTP_CLIENT_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Larger answers are refused: a page of sagas is far smaller. */
#define SAGA_HTTP_BODY_BYTES_MAX (64u << 20)

struct saga_http_client;

/* `server` is unix:PATH (of any length) or http://HOST:PORT. USAGE if it is
 * neither. Does not connect. */
SAGA_CHECKED enum saga_error saga_http_client_open(struct saga_http_client **client,
                                                   const char *server, struct saga_fault *fault);
/* NULL is allowed. */
void saga_http_client_close(struct saga_http_client *client);

struct saga_http_request {
    const char *method;          /* "GET", "POST" */
    const char *path;            /* "/v1/sagas?limit=10", escaped by the caller */
    const char *idempotency_key; /* NULL: none */
    const char *body;            /* sent as application/json; NULL: none */
    size_t body_size;
    int64_t timeout_ms; /* for everything together; 0: none */
};

struct saga_http_response {
    int status; /* 200, ... */
    char *body; /* malloc'd, NUL-terminated beyond its size; never NULL on SAGA_OK */
    size_t body_size;
};

/*
 * Sends the request and waits for the whole answer, whatever its status.
 *
 * UNREACHABLE: there was no connection, so nothing was sent. TIMEOUT: no answer
 * in time. FAILED: the connection broke, or the answer was no HTTP or too large;
 * after these two, whether the request was carried out is not known: send it again
 * with the same key.
 */
SAGA_CHECKED enum saga_error saga_http_client_send(struct saga_http_client *client,
                                                   const struct saga_http_request *request,
                                                   struct saga_http_response *response,
                                                   struct saga_fault *fault);
void saga_http_response_free(struct saga_http_response *response);

/* Appends `text` to a path, percent-encoded. Malloc'd; NULL: no memory. */
char *saga_http_path(const char *before, const char *text, const char *after);

#endif
