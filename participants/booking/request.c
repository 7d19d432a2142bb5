#include "request.h"

#include "http_client.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_MS_MAX 30000 /* of one question */
#define ANSWER_MS   5000  /* beyond that: for a daemon that is busy */
#define RETRY_MS    200   /* between two questions to a daemon that is not there */
#define POLL_MS     50    /* between two answers that the saga goes on */

/* ---------------------------------------------------------------------- time */

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(int64_t rest_ms) {
    struct timespec left = {.tv_sec = (time_t)(rest_ms / 1000),
                            .tv_nsec = (long)(rest_ms % 1000) * 1000000};
    (void)nanosleep(&left, NULL); /* cut short by a signal: asked a little earlier */
}

/* ------------------------------------------------------------------- answers */

static void copy_text(char *to, size_t size, const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(to, size, "%s", text == NULL ? "" : text);
}

/* The error that a status other than 2xx stands for, with what the daemon says. */
static enum saga_error explain(const struct saga_http_response *response,
                               struct saga_fault *fault) {
    json_t *problem = json_loadb(response->body, response->body_size, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    enum saga_error error = response->status == 404   ? SAGA_ERROR_NOT_FOUND
                            : response->status == 409 ? SAGA_ERROR_CONFLICT
                            : response->status == 400 || response->status == 422
                                ? SAGA_ERROR_INVALID
                                : SAGA_ERROR_FAILED;
    (void)saga_fault_set(fault, error, "the daemon answered %d: %s", response->status,
                         detail != NULL  ? detail
                         : title != NULL ? title
                                         : "without saying why");
    json_decref(problem);
    return error;
}

/* Too busy, or about to end: the same request is answered later. */
static bool is_passing(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Sends until there is an answer that is more than "not now", or time is up. The
 * answer's status is 2xx on SAGA_OK. */
static enum saga_error send_until_answered(struct saga_http_client *client,
                                           const struct saga_http_request *request,
                                           int64_t until_ms, bool wait_for_daemon,
                                           struct saga_http_response *response,
                                           struct saga_fault *fault) {
    for (;;) {
        enum saga_error error = saga_http_client_send(client, request, response, fault);
        if (error == SAGA_OK && response->status >= 200 && response->status < 300) {
            return SAGA_OK;
        }
        bool passing = error != SAGA_OK || is_passing(response->status);
        if (error == SAGA_OK) {
            error = explain(response, fault);
            saga_http_response_free(response);
        }
        if (!passing || (error == SAGA_ERROR_UNREACHABLE && !wait_for_daemon) ||
            now_ms() + RETRY_MS >= until_ms) {
            return error;
        }
        /* Once something was sent, its answer is worth waiting for. */
        wait_for_daemon = wait_for_daemon || error != SAGA_ERROR_UNREACHABLE;
        rest(RETRY_MS);
    }
}

/* --------------------------------------------------------------------- start */

static char *start_body(const struct saga_booking_request *request) {
    json_t *input = json_pack("{s:s}", "parking_slot_uuid", request->slot);
    if (input != NULL && request->total > 0) {
        (void)json_object_set_new(input, "total", json_integer(request->total));
    }
    json_t *body = json_pack("{s:s, s:o}", "saga", request->saga, "input", input);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

static enum saga_error start(struct saga_http_client *client,
                             const struct saga_booking_request *request, int64_t until_ms,
                             struct saga_booking_outcome *outcome, struct saga_fault *fault) {
    char *body = start_body(request);
    if (body == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "the slot's id or the saga's name is not UTF-8");
    }
    struct saga_http_request post = {.method = "POST",
                                     .path = "/v1/sagas",
                                     .idempotency_key = request->key,
                                     .body = body,
                                     .body_size = strlen(body),
                                     .timeout_ms = WAIT_MS_MAX};
    struct saga_http_response response;
    enum saga_error error = send_until_answered(client, &post, until_ms, false, &response, fault);
    free(body);
    if (error != SAGA_OK) {
        return error;
    }
    json_t *answer = json_loadb(response.body, response.body_size, 0, NULL);
    copy_text(outcome->saga, sizeof outcome->saga, answer, "id");
    json_decref(answer);
    saga_http_response_free(&response);
    if (outcome->saga[0] == '\0') {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%s: the answer to the start has no id; is this sagad?",
                              request->server);
    }
    return SAGA_OK;
}

/* ---------------------------------------------------------------------- wait */

int saga_booking_exit_status(const char *status) {
    static const struct {
        const char *status;
        int exit_status;
    } statuses[] = {
        {"completed", 0},    {"completed_manually", 0},
        {"compensated", 5},  {"compensated_manually", 5},
        {"parked", 6},       {"quarantined", 6},
        {"inconsistent", 6},
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i].status, status) == 0) {
            return statuses[i].exit_status;
        }
    }
    return -1;
}

static enum saga_error ask(struct saga_http_client *client, int64_t until_ms,
                           struct saga_booking_outcome *outcome, struct saga_fault *fault) {
    int64_t left_ms = until_ms - now_ms();
    left_ms = left_ms < 0 ? 0 : left_ms > WAIT_MS_MAX ? WAIT_MS_MAX : left_ms;
    char after[48];
    (void)snprintf(after, sizeof after, "?wait=%lldms", (long long)left_ms);
    char *path = saga_http_path("/v1/sagas/", outcome->saga, after);
    if (path == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "out of memory");
    }
    struct saga_http_request get = {
        .method = "GET", .path = path, .timeout_ms = left_ms + ANSWER_MS};
    struct saga_http_response response;
    enum saga_error error = send_until_answered(client, &get, until_ms, true, &response, fault);
    free(path);
    if (error != SAGA_OK) {
        return error;
    }
    json_t *saga = json_loadb(response.body, response.body_size, 0, NULL);
    copy_text(outcome->status, sizeof outcome->status, saga, "status");
    copy_text(outcome->reason, sizeof outcome->reason, saga, "reason");
    copy_text(outcome->reference, sizeof outcome->reference, json_object_get(saga, "data"),
              "parking_slot_ref_no");
    json_decref(saga);
    saga_http_response_free(&response);
    if (outcome->status[0] == '\0') {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the answer about saga %s has no status; is this sagad?",
                              outcome->saga);
    }
    return SAGA_OK;
}

static enum saga_error wait_for_end(struct saga_http_client *client, int64_t until_ms,
                                    struct saga_booking_outcome *outcome,
                                    struct saga_fault *fault) {
    for (;;) {
        enum saga_error error = ask(client, until_ms, outcome, fault);
        if (error != SAGA_OK || saga_booking_exit_status(outcome->status) >= 0) {
            return error;
        }
        if (now_ms() >= until_ms) {
            return saga_fault_set(fault, SAGA_ERROR_TIMEOUT,
                                  "saga %s has not ended in time, it is %s; it goes on: sagactl "
                                  "get %s",
                                  outcome->saga, outcome->status, outcome->saga);
        }
        rest(POLL_MS);
    }
}

enum saga_error saga_booking_request_run(const struct saga_booking_request *request,
                                         struct saga_booking_outcome *outcome,
                                         struct saga_fault *fault) {
    *outcome = (struct saga_booking_outcome){0};
    int64_t until_ms = now_ms() + request->timeout_ms;
    struct saga_http_client *client;
    enum saga_error error = saga_http_client_open(&client, request->server, fault);
    if (error == SAGA_OK) {
        error = start(client, request, until_ms, outcome, fault);
    }
    if (error == SAGA_OK) {
        error = wait_for_end(client, until_ms, outcome, fault);
    }
    saga_http_client_close(client);
    return error;
}
