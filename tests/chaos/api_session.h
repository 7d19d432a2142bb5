/*
 * A client's session with the daemon: what it asked for, and what it was told.
 *
 * Threads: one.
 */
#ifndef API_SESSION_H
#define API_SESSION_H

#include <jansson.h>

struct api_session;

/* `server`: unix:PATH or http://HOST:PORT. Does not connect. Exits with a message if
 * that is neither. */
struct api_session *api_session_open(const char *server);
void api_session_close(struct api_session *session);

#define API_ID_SIZE 37

enum api_start {
    API_CREATED = 1, /* 201 */
    API_AGAIN,       /* 200 */
    API_REFUSED,     /* any other status */
    API_UNANSWERED,  /* nobody there, or it died before the answer was whole */
};

/* POST /v1/sagas; fills `id` with CREATED and AGAIN. */
enum api_start api_session_start(struct api_session *session, const char *saga, const char *key,
                                 const char *input, char id[API_ID_SIZE]);

/* GET; NULL if there was no answer, or none with status 200. The caller's. */
json_t *api_session_get(struct api_session *session, const char *path);

/* GET /v1/sagas/ID?wait=..., again and again for `timeout_ms` at most until the saga has
 * ended or nobody answers. NULL: nobody does. The caller's. */
json_t *api_session_await(struct api_session *session, const char *id, int timeout_ms);

/* The text of a member; "" if there is none. */
const char *api_text(const json_t *object, const char *key);

#endif
