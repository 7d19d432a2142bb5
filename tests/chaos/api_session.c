#include "api_session.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_client.h"
#include "monotonic.h"

#define REQUEST_MS 15000

struct api_session {
    struct saga_http_client *client;
};

struct api_session *api_session_open(const char *server) {
    struct api_session *session = calloc(1, sizeof *session);
    struct saga_fault fault;
    if (session == NULL || saga_http_client_open(&session->client, server, &fault) != SAGA_OK) {
        (void)fprintf(stderr, "%s: %s\n", server, session == NULL ? "no memory" : fault.text);
        exit(1);
    }
    return session;
}

void api_session_close(struct api_session *session) {
    saga_http_client_close(session->client);
    free(session);
}

const char *api_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* The answer's status and its JSON; 0: there was none. */
static int ask(struct api_session *session, const struct saga_http_request *request,
               json_t **answer) {
    struct saga_http_response response;
    struct saga_fault fault;
    *answer = NULL;
    if (saga_http_client_send(session->client, request, &response, &fault) != SAGA_OK) {
        return 0;
    }
    const int status = response.status;
    *answer = json_loadb(response.body, response.body_size, JSON_REJECT_DUPLICATES, NULL);
    saga_http_response_free(&response);
    return status;
}

enum api_start api_session_start(struct api_session *session, const char *saga, const char *key,
                                 const char *input, char id[API_ID_SIZE]) {
    char *body;
    json_t *answer;
    const int size = asprintf(&body, "{\"saga\": \"%s\", \"input\": %s}", saga, input);
    if (size < 0) {
        (void)fputs("no memory for a start\n", stderr);
        exit(1);
    }
    const struct saga_http_request request = {
        .method = "POST",
        .path = "/v1/sagas",
        .idempotency_key = key,
        .body = body,
        .body_size = (size_t)size,
        .timeout_ms = REQUEST_MS,
    };
    const int status = ask(session, &request, &answer);
    free(body);
    const char *given = api_text(answer, "id");
    enum api_start start = status == 0 ? API_UNANSWERED : API_REFUSED;
    if ((status == 201 || status == 200) && strlen(given) == API_ID_SIZE - 1) {
        (void)strcpy(id, given);
        start = status == 201 ? API_CREATED : API_AGAIN;
    }
    json_decref(answer);
    return start;
}

json_t *api_session_get(struct api_session *session, const char *path) {
    const struct saga_http_request request = {
        .method = "GET", .path = path, .timeout_ms = REQUEST_MS};
    json_t *answer;
    if (ask(session, &request, &answer) != 200) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

json_t *api_session_await(struct api_session *session, const char *id, int timeout_ms) {
    const int64_t end_ms = monotonic_ms() + timeout_ms;
    char path[128];
    (void)snprintf(path, sizeof path, "/v1/sagas/%s?wait=10s", id);
    for (;;) {
        json_t *saga = api_session_get(session, path);
        const char *status = api_text(saga, "status");
        const bool open = strcmp(status, "running") == 0 || strcmp(status, "compensating") == 0;
        if (saga == NULL || !open || monotonic_ms() >= end_ms) {
            return saga;
        }
        json_decref(saga);
    }
}
