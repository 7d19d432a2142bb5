#include "route.h"

#include <stdio.h>
#include <string.h>

#include "ids.h"

static const struct saga_route routes[] = {
    {SAGA_RESOURCE_LIST, "GET", "/v1/sagas", "status, saga, limit, cursor"},
    {SAGA_RESOURCE_START, "POST", "/v1/sagas", ""},
    {SAGA_RESOURCE_SAGA, "GET", "/v1/sagas/*", "wait"},
    {SAGA_RESOURCE_CANCEL, "POST", "/v1/sagas/*/cancel", ""},
    {SAGA_RESOURCE_RETRY, "POST", "/v1/sagas/*/retry", ""},
    {SAGA_RESOURCE_RESOLVE, "POST", "/v1/sagas/*/resolve", ""},
    {SAGA_RESOURCE_MARK_COMPENSATED, "POST", "/v1/sagas/*/mark-compensated", ""},
    {SAGA_RESOURCE_WRITE_OFF, "POST", "/v1/sagas/*/write-off", ""},
    {SAGA_RESOURCE_STATS, "GET", "/v1/stats", ""},
    {SAGA_RESOURCE_DEFINITIONS, "GET", "/v1/definitions", ""},
    {SAGA_RESOURCE_HEALTH, "GET", "/healthz", ""},
    {SAGA_RESOURCE_READY, "GET", "/readyz", ""},
};
#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

/* What "*" stands for, or an empty part where the pattern has none. NULL: the
 * path is another one. */
static const char *match(const char *pattern, const char *path, size_t *size) {
    const size_t before = strcspn(pattern, "*");
    *size = 0;
    if (strncmp(pattern, path, before) != 0) {
        return NULL;
    }
    path += before;
    pattern += before;
    const char *part = path;
    if (*pattern == '*') {
        *size = strcspn(path, "/");
        path += *size;
        pattern++;
        if (*size == 0) {
            return NULL;
        }
    }
    return strcmp(pattern, path) == 0 ? part : NULL;
}

/* HEAD is GET without the body, which is for whoever sends the response. */
static bool method_is(const struct saga_head *head, const char *method) {
    return strcmp(head->method, method) == 0 ||
           (strcmp(method, "GET") == 0 && strcmp(head->method, "HEAD") == 0);
}

/* True if `list`, "a, b, c", has the name. */
static bool listed(const char *list, const char *name) {
    const size_t size = strlen(name);
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        const size_t word = strcspn(at, ",");
        if (word == size && strncmp(at, name, size) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

/* A name that is not known is refused: a filter that is misspelt must not give
 * everything. */
static bool query_ok(const struct saga_head *head, const struct saga_route *route,
                     struct saga_response *response) {
    for (size_t i = 0; i < head->query_count; i++) {
        const char *name = i < SAGA_QUERY_MAX ? head->query[i].name : "";
        if (!listed(route->query, name)) {
            saga_response_problem(response, SAGA_PROBLEM_INVALID, NULL,
                                  "there is no '%.64s' in this resource's query; there may be: %s",
                                  name, *route->query != '\0' ? route->query : "nothing");
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(head->query[j].name, name) == 0) {
                saga_response_problem(response, SAGA_PROBLEM_INVALID, NULL,
                                      "'%s' is in the query twice", name);
                return false;
            }
        }
    }
    return true;
}

static const struct saga_route *refuse(const struct saga_head *head, const char *allow,
                                       struct saga_response *response) {
    if (allow == NULL) {
        saga_response_problem(response, SAGA_PROBLEM_NO_RESOURCE, NULL,
                              "there is nothing here; the API's resources are under /v1/sagas, "
                              "/v1/stats and /v1/definitions");
        return NULL;
    }
    saga_response_problem(response, SAGA_PROBLEM_METHOD, head->path,
                          "this resource takes %s, not %.16s", allow, head->method);
    response->allow = allow;
    return NULL;
}

const struct saga_route *saga_route_find(const struct saga_head *head, struct saga_id *id,
                                         struct saga_response *response) {
    const char *allow = NULL;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        size_t size;
        const char *part = match(routes[i].path, head->path, &size);
        if (part == NULL) {
            continue;
        }
        if (!method_is(head, routes[i].method)) {
            const char *also = strcmp(routes[i].method, "POST") == 0 ? "POST" : "GET, HEAD";
            allow = allow == NULL ? also : "GET, HEAD, POST";
            continue;
        }
        if (size > 0 && !saga_id_parse(part, size, id)) {
            saga_response_problem(response, SAGA_PROBLEM_INVALID, NULL,
                                  "an id has 36 characters, in lower case, such as "
                                  "0190065e-7d3a-7c41-9b1f-3c2a5e6f7081; sagactl also takes a "
                                  "part of one");
            return NULL;
        }
        return query_ok(head, &routes[i], response) ? &routes[i] : NULL;
    }
    return refuse(head, allow, response);
}
