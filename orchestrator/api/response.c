#include "response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"

static void set_body(struct saga_response *response, json_t *json) {
    free(response->body);
    response->body_size = 0;
    response->body = json != NULL ? saga_json_text(json, &response->body_size) : NULL;
    json_decref(json);
    if (response->body == NULL) {
        response->status = 500;
    }
}

void saga_response_json(struct saga_response *response, unsigned status, json_t *json) {
    response->status = status;
    response->type = "application/json";
    set_body(response, json);
}

static const struct {
    unsigned status;
    const char *slug;
    const char *title;
} problems[SAGA_PROBLEM_COUNT + 1] = {
    [SAGA_PROBLEM_MALFORMED] = {400, "malformed-request", "The request is malformed"},
    [SAGA_PROBLEM_INVALID] = {400, "invalid-request", "The request is invalid"},
    [SAGA_PROBLEM_FOREIGN] = {403, "foreign-origin", "The request comes from another site"},
    [SAGA_PROBLEM_NO_RESOURCE] = {404, "unknown-resource", "There is no such resource"},
    [SAGA_PROBLEM_NO_SAGA] = {404, "unknown-saga", "There is no such saga"},
    [SAGA_PROBLEM_NO_DEFINITION] = {404, "unknown-definition", "There is no such definition"},
    [SAGA_PROBLEM_METHOD] = {405, "method-not-allowed", "The resource has no such method"},
    [SAGA_PROBLEM_KEY_CONFLICT] = {409, "key-conflict", "The key was used with another input"},
    [SAGA_PROBLEM_REFUSED] = {409, "verb-refused", "The saga's state does not allow it"},
    [SAGA_PROBLEM_TOO_LARGE] = {413, "too-large", "The request is too large"},
    [SAGA_PROBLEM_URI_TOO_LONG] = {414, "uri-too-long", "The address is too long"},
    [SAGA_PROBLEM_MEDIA_TYPE] = {415, "media-type", "The body is not JSON"},
    [SAGA_PROBLEM_MISDIRECTED] = {421, "misdirected-request", "The request is for another host"},
    [SAGA_PROBLEM_INTERNAL] = {500, "internal-error", "The daemon could not answer"},
    [SAGA_PROBLEM_STOPPING] = {503, "stopping", "The daemon is stopping"},
    [SAGA_PROBLEM_BUSY] = {503, "busy", "Too many requests wait already"},
    [SAGA_PROBLEM_FULL] = {507, "full", "There is no room for another saga"},
};

/* What may have been cut in the middle of a character is mended: JSON is UTF-8. */
static json_t *text_of(char *text) {
    json_t *json = json_string(text);
    for (char *c = text; json == NULL && *c != '\0'; c++) {
        if ((*c & 0x80) != 0) {
            *c = '?';
            json = json_string(text);
        }
    }
    return json;
}

void saga_response_problem(struct saga_response *response, enum saga_problem problem,
                           const char *instance, const char *format, ...) {
    char type[64];
    char detail[1024];
    va_list arguments;
    assert(problem >= 1 && problem <= SAGA_PROBLEM_COUNT);
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    (void)snprintf(type, sizeof type, "urn:sagad:problem:%s", problems[problem].slug);
    json_t *json = json_pack("{s:s, s:s, s:i, s:o}", "type", type, "title", problems[problem].title,
                             "status", (int)problems[problem].status, "detail", text_of(detail));
    if (instance != NULL && json_object_set_new(json, "instance", json_string(instance)) != 0) {
        /* a path that is not UTF-8, or no memory: the problem is told without it */
        (void)json_object_del(json, "instance");
    }
    response->status = problems[problem].status;
    response->type = "application/problem+json";
    set_body(response, json);
}

void saga_response_fini(struct saga_response *response) {
    free(response->body);
    response->body = NULL;
}
