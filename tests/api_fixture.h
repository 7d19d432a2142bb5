/*
 * The API with a real engine on a real log, participants that answer when the
 * test says so, and a client that sends whatever bytes the test wants.
 *
 * Failures end the test (Check).
 *
 * Threads: the test's; it runs one of its own for the engine. http() and its like
 * may be called from any.
 */
#ifndef SAGA_API_FIXTURE_H
#define SAGA_API_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>

#include "api.h"
#include "chain.h"
#include "log.h"

/* room (hotel), seat (train; the pivot), thanks (hotel): all participants fenced. */
extern const char trip_definition[];

struct stand_options {
    const char *listen;          /* NULL: the unix socket in the data directory */
    uint32_t sagas_max;          /* 0: 1000 */
    struct saga_api_options api; /* its limits */
};

/* Opens all of it in a directory of the test's own. Again after stand_close():
 * in the same directory, until stand_remove(). */
void stand_open(const struct stand_options *options);
void stand_close(void);
void stand_remove(void);
/* Both, after a test that tried to harm it: it lives, and no saga was started. */
void stand_close_unharmed(void);

const char *stand_directory(void);
struct saga_api *stand_api(void);
struct saga_log *stand_log(void);

/* The command that left last for this step is answered; waits for it to leave. */
void stand_reply(const char *saga, uint8_t step, uint8_t operation, uint8_t verdict,
                 const char *body);
/* As a whole, up to its end. */
void stand_complete(const char *saga);
/* No saga is started any more. */
void stand_drain(void);
/* The engine takes and answers nothing more, as before the API is closed. */
void stand_halt(void);

/* ------------------------------------------------------------------- client */

struct answer {
    int status; /* 0: the connection ended without an answer */
    char *head; /* of the answer, as it came */
    char *body;
    json_t *json; /* of the body, if it is some */
};
void answer_free(struct answer *answer);
/* A header's value; NULL: not there. Valid until the next call. */
const char *answer_header(const struct answer *answer, const char *name);
const char *answer_text(const struct answer *answer, const char *member);

/* A connection to the API. */
int dial(void);
void say(int fd, const void *bytes, size_t size);
void say_text(int fd, const char *text);
/* The next answer on it. */
struct answer hear(int fd);
/* True if the other side closes it, whatever it says before, and is not silent for so long. */
bool hung_up(int fd, int timeout_ms);

/* One request on a connection of its own; `headers` are whole lines or "". */
struct answer http(const char *method, const char *path, const char *headers, const char *body);
struct answer http_get(const char *path);
struct answer http_post(const char *path, const char *headers, const char *body);

/* Starts a trip; its id is copied to `id` (37 bytes). */
void start_trip(char *id);
/* The saga's status. */
void expect_status(const char *id, const char *status);
/* `answer` is this problem; frees it. */
void expect_problem(struct answer answer, int status, const char *type, const char *detail);

/* --------------------------------------------------------------------- looking */

/* "/v1/sagas/<id><more>"; valid until the thread's next call. */
const char *path_of(const char *id, const char *more);
/* A counter of /v1/stats. */
uint64_t counter(const char *group, const char *name);
size_t saga_count(void);
/* The records of a saga, as they are durable; the caller closes both. */
void read_chain(const char *id, struct saga_chain *chain, struct saga_log_reader **reader);

#endif
