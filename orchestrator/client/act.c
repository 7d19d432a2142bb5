#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "terminal.h"

static void tell(const char *verb, const json_t *answer) {
    const char *result = json_string_value(json_object_get(answer, "result"));
    const char *status = json_string_value(json_object_get(answer, "status"));
    const char *what = "recorded";
    if (result != NULL && strcmp(result, "pending") == 0) {
        what = "recorded; it waits for the verdict of the pivot";
    } else if (result != NULL && strcmp(result, "already") == 0) {
        what = "not needed: the saga goes backward already";
    }
    (void)printf("%s %s; the saga is ", verb, what);
    saga_terminal_status(status != NULL ? status : "?", 0);
    (void)putchar('\n');
}

/* {"reason": "..."}; NULL: no memory, or a reason that is not UTF-8. */
static char *body_of(const char *reason) {
    size_t size;
    json_t *json = reason != NULL ? json_pack("{s:s}", "reason", reason) : json_object();
    char *body = json != NULL ? saga_json_text(json, &size) : NULL;
    json_decref(json);
    return body;
}

int saga_command_act(struct saga_remote *remote, const struct saga_order *order) {
    const char *verb = order->command == SAGA_ORDER_CANCEL ? "cancel" : "retry";
    struct saga_fault fault;
    char id[SAGA_REMOTE_ID_SIZE];
    char path[64];
    json_t *answer;
    char *body = body_of(order->reason);
    if (body == NULL) {
        (void)saga_fault_set(&fault, SAGA_ERROR_USAGE, "--reason: the text is not UTF-8");
        return saga_complain(&fault);
    }
    enum saga_error error = saga_remote_find(remote, order->id, id, &fault);
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
