#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "commands.h"
#include "input.h"
#include "json.h"
#include "terminal.h"

#define INPUT_BYTES_MAX (1u << 20)
/* How long a daemon that was there may be away before sagactl gives up. */
#define PATIENCE_MS 60000
/* One question with ?wait= lasts so long; the answer may take a little more. */
#define WAIT_MS  60000
#define GRACE_MS 15000
/* Between two tries to reach it. */
#define PAUSE_MS     200
#define PAUSE_MAX_MS 2000

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Nothing tells when a daemon comes back: it is asked again now and then. */
static void pause_before(int64_t deadline_ms, int64_t *pause_ms) {
    const int64_t ms = min(*pause_ms, deadline_ms - now_ms());
    if (ms > 0) {
        const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                                       .tv_nsec = (long)(ms % 1000) * 1000000};
        (void)nanosleep(&pause, NULL);
    }
    *pause_ms = min(*pause_ms * 2, PAUSE_MAX_MS);
}

/* --------------------------------------------------------------------- question */

/* A key of sagactl's own, so that a start whose answer is lost can be repeated. */
static enum saga_error make_key(char key[64], struct saga_fault *fault) {
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no random numbers for a start key");
    }
    (void)snprintf(key, 64, "sagactl-%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    return SAGA_OK;
}

/* Reads --input: a JSON object. */
static enum saga_error read_input(const char *option, json_t **input, struct saga_fault *fault) {
    struct saga_fault wrong;
    char *text = NULL;
    size_t size = strlen(option);
    const char *place = strcmp(option, "@-") == 0 ? "standard input"
                        : *option == '@'          ? option + 1
                                                  : "--input";
    if (*option == '@') {
        const enum saga_error error =
            saga_input_read(option + 1, INPUT_BYTES_MAX, &text, &size, fault);
        if (error != SAGA_OK) {
            return error;
        }
    }
    enum saga_error error = saga_json_parse(text != NULL ? text : option, size, input, &wrong);
    if (error != SAGA_OK) {
        error = saga_fault_set(fault, SAGA_ERROR_INVALID, "%s: %s", place, wrong.text);
    } else if (!json_is_object(*input)) {
        json_decref(*input);
        error =
            saga_fault_set(fault, SAGA_ERROR_INVALID,
                           "%s: a saga's input is an object, such as {\"total\": 10000}", place);
    }
    free(text);
    return error;
}

static enum saga_error make_body(const struct saga_order *order, char **body,
                                 struct saga_fault *fault) {
    json_t *input;
    size_t size;
    const enum saga_error error = read_input(order->input, &input, fault);
    if (error != SAGA_OK) {
        return error;
    }
    json_t *json = json_pack("{s:s, s:o}", "saga", order->saga, "input", input);
    *body = json != NULL ? saga_json_text(json, &size) : NULL;
    json_decref(json);
    return *body != NULL ? SAGA_OK
                         : saga_fault_set(fault, SAGA_ERROR_USAGE, "the saga's name is not UTF-8");
}

/* ------------------------------------------------------------------------ start */

/* Starts it. Once a question has left, it is repeated with the same key until
 * there is an answer: it may have been heard. */
static enum saga_error start(struct saga_remote *remote, const char *key, const char *body,
                             int64_t deadline_ms, json_t **answer, struct saga_fault *fault) {
    const int64_t until_ms = min(deadline_ms, now_ms() + PATIENCE_MS);
    int64_t pause_ms = PAUSE_MS;
    bool sent = false;
    for (;;) {
        const int64_t rest_ms = until_ms - now_ms();
        const struct saga_question question = {
            .method = "POST",
            .path = "/v1/sagas",
            .key = key,
            .body = body,
            .timeout_ms = rest_ms > GRACE_MS ? GRACE_MS
                          : rest_ms > 1000   ? rest_ms
                                             : 1000,
        };
        const enum saga_error error = saga_remote_ask(remote, &question, answer, fault);
        sent = sent || saga_remote_lost(remote);
        if (!sent || error != SAGA_ERROR_UNREACHABLE) {
            return error;
        }
        if (now_ms() >= until_ms) {
            struct saga_fault last = *fault;
            return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                                  "%.600s\nWhether the saga was started is not known. To be sure, "
                                  "run the same again with --key '%s'.",
                                  last.text, key);
        }
        pause_before(until_ms, &pause_ms);
    }
}

/* ------------------------------------------------------------------------- wait */

static bool ended(const char *status) {
    return strcmp(status, "running") != 0 && strcmp(status, "compensating") != 0;
}

static enum saga_error not_in_time(const char *id, const char *status, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_TIMEOUT,
                          "saga %s has not ended in time (it is %s), and goes on; see "
                          "sagactl get %s",
                          id, status, id + strlen(id) - 8);
}

/* Waits for the end, over whatever restarts of the daemon there are. */
static enum saga_error await(struct saga_remote *remote, const char *id, int64_t deadline_ms,
                             json_t **saga, struct saga_fault *fault) {
    int64_t heard_ms = now_ms();
    int64_t pause_ms = PAUSE_MS;
    char status[32] = "started";
    for (;;) {
        char path[96];
        const int64_t rest_ms = deadline_ms - now_ms();
        const int64_t wait_ms = rest_ms < 0 ? 0 : min(rest_ms, WAIT_MS);
        (void)snprintf(path, sizeof path, "/v1/sagas/%s?wait=%" PRId64 "ms", id, wait_ms);
        const struct saga_question question = {
            .method = "GET", .path = path, .timeout_ms = wait_ms + GRACE_MS};
        const enum saga_error error = saga_remote_ask(remote, &question, saga, fault);
        if (error == SAGA_OK) {
            const char *said = json_string_value(json_object_get(*saga, "status"));
            (void)snprintf(status, sizeof status, "%s", said != NULL ? said : "?");
            if (ended(status)) {
                return SAGA_OK;
            }
            json_decref(*saga);
            pause_ms = PAUSE_MS;
        } else if (error != SAGA_ERROR_UNREACHABLE) {
            return error;
        }
        if (saga_remote_heard(remote)) {
            heard_ms = now_ms();
        }
        if (now_ms() >= deadline_ms) {
            return not_in_time(id, status, fault);
        }
        if (error != SAGA_OK && now_ms() - heard_ms > PATIENCE_MS) {
            struct saga_fault last = *fault;
            return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                                  "%.600s\nSaga %s is started, and goes on when the daemon does.",
                                  last.text, id);
        }
        if (error != SAGA_OK) {
            pause_before(deadline_ms, &pause_ms);
        }
    }
}

static int exit_status_of(const char *status) {
    if (strcmp(status, "completed") == 0 || strcmp(status, "completed_manually") == 0) {
        return 0;
    }
    if (strcmp(status, "compensated") == 0 || strcmp(status, "compensated_manually") == 0) {
        return 5;
    }
    return 6; /* somebody has to look at it */
}

static int wait_for(struct saga_remote *remote, const struct saga_order *order, const char *id,
                    int64_t deadline_ms) {
    struct saga_fault fault;
    json_t *saga;
    if (await(remote, id, deadline_ms, &saga, &fault) != SAGA_OK) {
        return saga_complain(&fault);
    }
    const int status = exit_status_of(json_string_value(json_object_get(saga, "status")));
    if (order->json) {
        saga_terminal_json(saga);
    } else {
        saga_show_saga(saga, order);
        json_decref(saga);
    }
    return status;
}

static int tell_started(struct saga_remote *remote, const struct saga_order *order, json_t *answer,
                        int64_t deadline_ms) {
    char id[SAGA_REMOTE_ID_SIZE];
    const char *said = json_string_value(json_object_get(answer, "id"));
    (void)snprintf(id, sizeof id, "%s", said != NULL ? said : "");
    if (order->wait) {
        json_decref(answer);
        return wait_for(remote, order, id, deadline_ms);
    }
    if (order->json) {
        saga_terminal_json(answer);
    } else {
        (void)puts(id);
        json_decref(answer);
    }
    return 0;
}

int saga_command_start(struct saga_remote *remote, const struct saga_order *order) {
    const int64_t deadline_ms =
        order->timeout_ms >= 0 ? now_ms() + order->timeout_ms : INT64_MAX / 2;
    struct saga_fault fault;
    char *body = NULL;
    char key[64];
    json_t *answer = NULL;
    enum saga_error error = make_body(order, &body, &fault);
    if (error == SAGA_OK) {
        error = make_key(key, &fault);
    }
    if (error == SAGA_OK) {
        error = start(remote, order->key != NULL ? order->key : key, body, deadline_ms, &answer,
                      &fault);
    }
    free(body);
    return error == SAGA_OK ? tell_started(remote, order, answer, deadline_ms)
                            : saga_complain(&fault);
}
