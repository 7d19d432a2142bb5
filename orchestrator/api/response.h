/*
 * What the API answers: a status, a body of JSON, and a few headers.
 *
 * Errors are problem+json (RFC 9457); their types are for programs to tell
 * apart, their details for people.
 *
 * Threads: no state.
 */
#ifndef SAGA_RESPONSE_H
#define SAGA_RESPONSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct saga_response {
    unsigned status; /* of HTTP; 0: none yet */
    char *body;      /* malloc'd; NULL: there was no memory for one */
    size_t body_size;
    const char *type;  /* the body's media type; static */
    const char *allow; /* the methods, for 405; static; NULL: no such header */
    char location[64]; /* empty: no such header */
    bool close;        /* the connection ends with this */
};

/* Both fill `response`, freeing the body that it had. */

/* Takes `json` over; NULL: there was no memory, which is an answer too. */
void saga_response_json(struct saga_response *response, unsigned status, json_t *json);

/* Why a request was refused. Each is one status, one type, one title. */
enum saga_problem {
    SAGA_PROBLEM_MALFORMED = 1, /* 400 */
    SAGA_PROBLEM_INVALID,       /* 400: HTTP, but not what this resource takes */
    SAGA_PROBLEM_FOREIGN,       /* 403: from another site's page */
    SAGA_PROBLEM_NO_RESOURCE,   /* 404 */
    SAGA_PROBLEM_NO_SAGA,       /* 404 */
    SAGA_PROBLEM_NO_DEFINITION, /* 404 */
    SAGA_PROBLEM_METHOD,        /* 405 */
    SAGA_PROBLEM_KEY_CONFLICT,  /* 409 */
    SAGA_PROBLEM_REFUSED,       /* 409: a verb that does not fit */
    SAGA_PROBLEM_TOO_LARGE,     /* 413 */
    SAGA_PROBLEM_URI_TOO_LONG,  /* 414 */
    SAGA_PROBLEM_MEDIA_TYPE,    /* 415 */
    SAGA_PROBLEM_MISDIRECTED,   /* 421 */
    SAGA_PROBLEM_INTERNAL,      /* 500 */
    SAGA_PROBLEM_STOPPING,      /* 503 */
    SAGA_PROBLEM_BUSY,          /* 503: too many wait already */
    SAGA_PROBLEM_FULL,          /* 507 */
};
#define SAGA_PROBLEM_COUNT 17

/* `instance`: the path it is about, or NULL. */
__attribute__((format(printf, 4, 5))) void saga_response_problem(struct saga_response *response,
                                                                 enum saga_problem problem,
                                                                 const char *instance,
                                                                 const char *format, ...);

void saga_response_fini(struct saga_response *response);

#endif
