/*
 * The daemon, as sagactl sees it: questions and answers in JSON.
 *
 * Hides where it is, and that an answer may be a problem.
 *
 * Threads: one.
 */
#ifndef SAGA_REMOTE_H
#define SAGA_REMOTE_H

#include <jansson.h>

#include "error.h"
#include "order.h"

struct saga_remote;

/* Finds out where the daemon is; does not connect. Errors: USAGE, FAILED. */
SAGA_CHECKED enum saga_error saga_remote_open(struct saga_remote **remote,
                                              const struct saga_order *order,
                                              struct saga_fault *fault);
void saga_remote_close(struct saga_remote *remote);

struct saga_question {
    const char *method;
    const char *path;
    const char *key;    /* NULL: none */
    const char *body;   /* JSON; NULL: none */
    int64_t timeout_ms; /* 0: half a minute */
};

/* Asks; *answer is the caller's. Errors: what the daemon's problem is, in its own
 * words: NOT_FOUND, CONFLICT, INVALID, FULL, FAILED; UNREACHABLE (nobody is there,
 * it is stopping, or the question was lost). */
SAGA_CHECKED enum saga_error saga_remote_ask(struct saga_remote *remote,
                                             const struct saga_question *question, json_t **answer,
                                             struct saga_fault *fault);

/* True if the last question has left and nothing came back: whether it was
 * carried out is not known. */
SAGA_CHECKED bool saga_remote_lost(const struct saga_remote *remote);

/* True if the last question had an answer, be it that it is stopping or busy. */
SAGA_CHECKED bool saga_remote_heard(const struct saga_remote *remote);

/* Asks by GET. */
SAGA_CHECKED enum saga_error saga_remote_get(struct saga_remote *remote, const char *path,
                                             json_t **answer, struct saga_fault *fault);

/* At most `limit` sagas, newest first, of this status and definition (NULL: any),
 * with *more set if there are more. *sagas is the caller's: an array. */
SAGA_CHECKED enum saga_error saga_remote_list(struct saga_remote *remote, const char *status,
                                              const char *saga, uint64_t limit, json_t **sagas,
                                              bool *more, struct saga_fault *fault);

#define SAGA_REMOTE_ID_SIZE 37

/* The whole id of which `part` is a part. Errors: NOT_FOUND, USAGE (several have
 * it: the fault lists them), and those of asking. */
SAGA_CHECKED enum saga_error saga_remote_find(struct saga_remote *remote, const char *part,
                                              char id[SAGA_REMOTE_ID_SIZE],
                                              struct saga_fault *fault);

#endif
