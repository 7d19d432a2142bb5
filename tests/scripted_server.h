/*
 * An HTTP server that says what it was told to say, one connection after another,
 * and remembers what it was asked. For tests of clients.
 */
#ifndef SCRIPTED_SERVER_H
#define SCRIPTED_SERVER_H

#include <stddef.h>

/* Answers that are none. */
#define SCRIPT_HANG_UP "hang up" /* reads the request, closes the connection without a byte */
#define SCRIPT_SILENCE "silence" /* reads the request, answers nothing until the stop */

/* An answer of `status` ("200 OK") with a JSON body, which must not move. */
struct scripted_answer {
    const char *status; /* or one of the above */
    const char *body;
};

/* Listens at a unix socket (`path`), or on a free port of 127.0.0.1 (NULL), and
 * gives the answers in order, the last one again and again. */
void scripted_server_start(const char *path, const struct scripted_answer *answers, size_t count);

/* Its address, as clients write it; lives until the stop. */
const char *scripted_server_address(void);

/* Stops it, and waits for its thread. */
void scripted_server_stop(void);

/* What it was asked, after the stop or between two requests of one thread. */
size_t scripted_server_request_count(void);
const char *scripted_server_request(size_t index); /* head and body */

#endif
