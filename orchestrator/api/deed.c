#include "deed.h"

#include <string.h>

#include "json.h"

bool saga_deed_needs_body(enum saga_request_type verb) {
    return verb != SAGA_REQUEST_CANCEL && verb != SAGA_REQUEST_RETRY;
}

const char *const *saga_deed_members(enum saga_request_type verb) {
    static const char *const whole[] = {"reason", NULL};
    static const char *const step[] = {"step", "reason", NULL};
    static const char *const resolve[] = {"step", "verdict", "content", "reason", NULL};
    if (verb == SAGA_REQUEST_RESOLVE) {
        return resolve;
    }
    return saga_deed_needs_body(verb) ? step : whole;
}

const char *saga_deed_expected(enum saga_request_type verb) {
    if (verb == SAGA_REQUEST_RESOLVE) {
        return "{\"step\": \"<its name>\", \"verdict\": \"done\" or \"rejected\", \"content\": "
               "{...} (of done, if any), \"reason\": \"<why>\"}";
    }
    return saga_deed_needs_body(verb) ? "{\"step\": \"<its name>\", \"reason\": \"<why>\"}"
                                      : "{\"reason\": \"<why>\"}, or nothing";
}

static const char *read_verdict(const json_t *body, struct saga_request *request, char **content) {
    const char *verdict = json_string_value(json_object_get(body, "verdict"));
    const json_t *result = json_object_get(body, "content");
    size_t size;
    if (verdict == NULL || (strcmp(verdict, "done") != 0 && strcmp(verdict, "rejected") != 0)) {
        return "'verdict' must be \"done\" or \"rejected\"";
    }
    request->verdict = strcmp(verdict, "done") == 0 ? SAGA_DONE : SAGA_REJECTED;
    if (result == NULL || json_is_null(result)) {
        return NULL;
    }
    if (request->verdict != SAGA_DONE) {
        return "only a step that is done has a 'content'";
    }
    *content = saga_json_canonical(result, &size);
    if (*content == NULL) {
        return "'content' cannot be taken over";
    }
    request->content = (struct saga_bytes){*content, (uint32_t)size};
    return NULL;
}

const char *saga_deed_read(const json_t *body, struct saga_request *request, char **content) {
    const enum saga_request_type verb = (enum saga_request_type)request->type;
    const json_t *reason = json_object_get(body, "reason");
    const json_t *step = json_object_get(body, "step");
    if (reason != NULL && !json_is_string(reason)) {
        return "'reason' must be a text";
    }
    request->body =
        (struct saga_bytes){json_string_value(reason), (uint32_t)json_string_length(reason)};
    if (!saga_deed_needs_body(verb)) {
        return NULL;
    }
    if (!json_is_string(step)) {
        return "'step' must be a text";
    }
    if (request->body.size == 0) { /* what is done by hand is to be understood afterwards */
        return "'reason' is missing, or empty";
    }
    request->step =
        (struct saga_bytes){json_string_value(step), (uint32_t)json_string_length(step)};
    return verb == SAGA_REQUEST_RESOLVE ? read_verdict(body, request, content) : NULL;
}
