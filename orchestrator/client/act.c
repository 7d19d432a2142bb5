#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "input.h"
#include "json.h"
#include "terminal.h"

/* The largest result that a step can be given. */
#define SAGA_CONTENT_BYTES_MAX (1u << 20)

static void tell(const char *verb, const json_t *answer) {
    const char *result = json_string_value(json_object_get(answer, "result"));
    const char *status = json_string_value(json_object_get(answer, "status"));
    const char *what = "recorded";
    if (result != NULL && strcmp(result, "pending") == 0) {
        what = "recorded; it waits for the verdict of the pivot";
    } else if (result != NULL && strcmp(result, "already") == 0) {
        what = strcmp(verb, "cancel") == 0 ? "not needed: the saga goes backward already"
                                           : "not needed: that was said before";
    }
    (void)printf("%s %s; the saga is ", verb, what);
    saga_terminal_status(status != NULL ? status : "?", 0);
    (void)putchar('\n');
}

static const char *verb_of(enum saga_order_command command) {
    switch (command) {
    case SAGA_ORDER_CANCEL:
        return "cancel";
    case SAGA_ORDER_RESOLVE:
        return "resolve";
    case SAGA_ORDER_MARK_COMPENSATED:
        return "mark-compensated";
    case SAGA_ORDER_WRITE_OFF:
        return "write-off";
    default:
        return "retry";
    }
}

/* Sets a member, unless it was not said. False: it is not UTF-8, or there is no memory. */
static bool set_text(json_t *body, const char *name, const char *text) {
    return text == NULL || json_object_set_new(body, name, json_string(text)) == 0;
}

static enum saga_error set_content(json_t *body, const struct saga_order *order,
                                   struct saga_fault *fault) {
    json_t *content = NULL;
    char *text = NULL;
    size_t size;
    if (order->content == NULL) {
        return SAGA_OK;
    }
    enum saga_error error = SAGA_OK;
    if (order->content[0] == '@') {
        error = saga_input_read(order->content + 1, SAGA_CONTENT_BYTES_MAX, &text, &size, fault);
    } else {
        size = strlen(order->content);
    }
    if (error == SAGA_OK) {
        error = saga_json_parse(text != NULL ? text : order->content, size, &content, fault);
        if (error != SAGA_OK) {
            struct saga_fault inner = *fault;
            error = saga_fault_set(fault, SAGA_ERROR_USAGE, "--content: %.200s", inner.text);
        }
    }
    free(text);
    if (error == SAGA_OK && json_object_set_new(body, "content", content) != 0) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory");
    }
    return error;
}

/* What is asked, as JSON. */
static enum saga_error make_body(const struct saga_order *order, char **text,
                                 struct saga_fault *fault) {
    size_t size;
    json_t *body = json_object();
    enum saga_error error = SAGA_OK;
    *text = NULL;
    if (!set_text(body, "step", order->step) || !set_text(body, "verdict", order->verdict) ||
        !set_text(body, "reason", order->reason)) {
        error = saga_fault_set(fault, SAGA_ERROR_USAGE, "--step, --reason: a text is not UTF-8");
    }
    if (error == SAGA_OK) {
        error = set_content(body, order, fault);
    }
    if (error == SAGA_OK) {
        *text = saga_json_text(body, &size);
        if (*text == NULL) {
            error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory");
        }
    }
    json_decref(body);
    return error;
}

int saga_command_act(struct saga_remote *remote, const struct saga_order *order) {
    const char *verb = verb_of(order->command);
    struct saga_fault fault;
    char id[SAGA_REMOTE_ID_SIZE];
    char path[80];
    json_t *answer;
    char *body;
    enum saga_error error = make_body(order, &body, &fault);
    if (error == SAGA_OK) {
        error = saga_remote_find(remote, order->id, id, &fault);
    }
    if (error == SAGA_OK) {
        (void)snprintf(path, sizeof path, "/v1/sagas/%s/%s", id, verb);
        const struct saga_question question = {.method = "POST", .path = path, .body = body};
        error = saga_remote_ask(remote, &question, &answer, &fault);
    }
    free(body);
    if (error != SAGA_OK) {
        return saga_complain(&fault);
    }
    if (order->json) {
        saga_terminal_json(answer);
    } else {
        tell(verb, answer);
        json_decref(answer);
    }
    return 0;
}
