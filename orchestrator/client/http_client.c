#include "http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX        "unix:"
#define HTTP_PREFIX        "http://"
#define CONNECT_TIMEOUT_MS 5000

struct saga_http_client {
    CURL *curl;
    char *server; /* as given, for messages */
    char *origin; /* "http://host:port", without a slash */
    char *socket; /* the unix socket's path; NULL: TCP */
    char why[CURL_ERROR_SIZE];
};

/* --------------------------------------------------------------------- open */

static CURLcode global_status;

static void init_globally(void) {
    global_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* http://HOST:PORT and nothing else: no user, no path, no query. */
static bool is_origin(const char *url) {
    CURLU *parsed = curl_url();
    char *host = NULL, *path = NULL, *more = NULL;
    bool valid = parsed != NULL && strncmp(url, HTTP_PREFIX, strlen(HTTP_PREFIX)) == 0 &&
                 curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '\0' &&
                 curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
                 strcmp(path, "/") == 0 &&
                 curl_url_get(parsed, CURLUPART_QUERY, &more, 0) == CURLUE_NO_QUERY &&
                 curl_url_get(parsed, CURLUPART_FRAGMENT, &more, 0) == CURLUE_NO_FRAGMENT;
    curl_free(host);
    curl_free(path);
    curl_free(more);
    curl_url_cleanup(parsed);
    return valid;
}

static char *copy_origin(const char *url) {
    char *origin = strdup(url);
    if (origin != NULL && origin[strlen(origin) - 1] == '/') {
        origin[strlen(origin) - 1] = '\0';
    }
    return origin;
}

enum saga_error saga_http_client_open(struct saga_http_client **client, const char *server,
                                      struct saga_fault *fault) {
    *client = NULL;
    bool local = strncmp(server, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    if (local ? server[strlen(UNIX_PREFIX)] == '\0' : !is_origin(server)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "server '%s': expected unix:PATH or http://HOST:PORT", server);
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_globally);
    struct saga_http_client *opened = calloc(1, sizeof *opened);
    if (opened != NULL && global_status == CURLE_OK) {
        opened->curl = curl_easy_init();
        opened->server = strdup(server);
        opened->origin = local ? strdup("http://localhost") : copy_origin(server);
        opened->socket = local ? strdup(server + strlen(UNIX_PREFIX)) : NULL;
        if (opened->curl != NULL && opened->server != NULL && opened->origin != NULL &&
            local == (opened->socket != NULL)) {
            *client = opened;
            return SAGA_OK;
        }
    }
    saga_http_client_close(opened);
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: the HTTP library cannot be started",
                          server);
}

void saga_http_client_close(struct saga_http_client *client) {
    if (client != NULL) {
        curl_easy_cleanup(client->curl);
        free(client->server);
        free(client->origin);
        free(client->socket);
        free(client);
    }
}

/* --------------------------------------------------------------------- send */

/* What fits beside "/proc/self/fd/<descriptor>/" in a socket's address. */
#define SOCKET_NAME_BYTES_MAX 80

/* A path that fits a socket's address: the path itself, or one through a descriptor
 * of its directory, which is then open in *directory (else -1). */
static bool shorten(const char *path, char short_path[PATH_MAX], int *directory) {
    *directory = -1;
    if (strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path) {
        (void)snprintf(short_path, PATH_MAX, "%s", path);
        return true;
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL || strlen(slash + 1) > SOCKET_NAME_BYTES_MAX || strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)snprintf(short_path, PATH_MAX, "%.*s/", (int)(slash - path), path);
    *directory = open(short_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory < 0) {
        return false;
    }
    (void)snprintf(short_path, PATH_MAX, "/proc/self/fd/%d/%s", *directory, slash + 1);
    return true;
}

struct sink {
    struct saga_http_response *response;
    size_t capacity;
};

/* libcurl's write callback: taking less than `count` ends the transfer. */
static size_t take(char *bytes, size_t unit, size_t count, void *context) {
    (void)unit; /* always 1 */
    struct sink *sink = context;
    struct saga_http_response *response = sink->response;
    if (count > SAGA_HTTP_BODY_BYTES_MAX - response->body_size) {
        return 0;
    }
    size_t needed = response->body_size + count + 1;
    if (needed > sink->capacity) {
        size_t capacity = needed < 4096 ? 4096 : needed * 2;
        char *body = realloc(response->body, capacity);
        if (body == NULL) {
            return 0;
        }
        response->body = body;
        sink->capacity = capacity;
    }
    memcpy(response->body + response->body_size, bytes, count);
    response->body_size += count;
    response->body[response->body_size] = '\0';
    return count;
}

static bool append(struct curl_slist **headers, const char *name, const char *value) {
    char line[1024];
    if (strpbrk(value, "\r\n") != NULL) {
        return false;
    }
    int size = snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer =
        (size_t)size < sizeof line ? curl_slist_append(*headers, line) : NULL;
    if (longer == NULL) {
        return false;
    }
    *headers = longer;
    return true;
}

/* A request that may change something has a body, if only an empty one. */
static bool has_body(const struct saga_http_request *request) {
    return request->body != NULL || strcmp(request->method, "GET") != 0;
}

/* False: no memory, or a key that no header can carry. */
static bool make_headers(const struct saga_http_request *request, struct curl_slist **headers) {
    return append(headers, "Accept", "application/json, application/problem+json") &&
           append(headers, "Expect", "") && /* no 100-continue */
           (!has_body(request) || append(headers, "Content-Type", "application/json")) &&
           (request->idempotency_key == NULL ||
            append(headers, "Idempotency-Key", request->idempotency_key));
}

static bool set_options(struct saga_http_client *client, const struct saga_http_request *request,
                        const char *url, const char *socket_path, const struct curl_slist *headers,
                        struct sink *sink) {
    CURL *curl = client->curl;
    curl_easy_reset(curl);
    long timeout_ms = request->timeout_ms > LONG_MAX ? LONG_MAX : (long)request->timeout_ms;
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->why) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "sagad-client") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink) == CURLE_OK &&
           (!has_body(request) ||
            (curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                              (curl_off_t)(request->body == NULL ? 0 : request->body_size)) ==
                 CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                              request->body == NULL ? "" : request->body) == CURLE_OK)) &&
           curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

/* The error of a transfer that did not end in an answer. */
static enum saga_error explain(struct saga_http_client *client, CURLcode code,
                               struct saga_fault *fault) {
    const char *why = client->why[0] == '\0' ? curl_easy_strerror(code) : client->why;
    curl_off_t connected_us = 0;
    long os_error = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    (void)curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT && client->socket != NULL && os_error != 0) {
        why = strerror((int)os_error); /* libcurl's own text names a host and a port */
    }
    bool refused = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                   (code == CURLE_OPERATION_TIMEDOUT && connected_us == 0);
    if (refused) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "%s: not reached: %s; is sagad running, and is this its address?",
                              client->server, why);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return saga_fault_set(fault, SAGA_ERROR_TIMEOUT, "%s: no answer in time: %s",
                              client->server, why);
    }
    if (code == CURLE_WRITE_ERROR) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: the answer has more than %u bytes",
                              client->server, SAGA_HTTP_BODY_BYTES_MAX);
    }
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: the connection broke: %s", client->server,
                          why);
}

static enum saga_error perform(struct saga_http_client *client,
                               const struct saga_http_request *request, const char *socket_path,
                               struct saga_http_response *response, struct saga_fault *fault) {
    char *url = NULL;
    struct curl_slist *headers = NULL;
    struct sink sink = {.response = response};
    enum saga_error error = SAGA_OK;
    client->why[0] = '\0';
    /* An empty body is a body: take() is not called for it. */
    response->body = calloc(1, 1);
    sink.capacity = 1;
    if (response->body == NULL || asprintf(&url, "%s%s", client->origin, request->path) < 0 ||
        !make_headers(request, &headers) ||
        !set_options(client, request, url, socket_path, headers, &sink)) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: the request cannot be made: %s",
                               client->server, request->path);
    } else {
        CURLcode code = curl_easy_perform(client->curl);
        long status = 0;
        (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        response->status = (int)status;
        error = code == CURLE_OK ? SAGA_OK : explain(client, code, fault);
    }
    curl_slist_free_all(headers);
    free(url);
    return error;
}

enum saga_error saga_http_client_send(struct saga_http_client *client,
                                      const struct saga_http_request *request,
                                      struct saga_http_response *response,
                                      struct saga_fault *fault) {
    *response = (struct saga_http_response){0};
    char path[PATH_MAX];
    int directory = -1;
    if (client->socket != NULL && !shorten(client->socket, path, &directory)) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "%s: not reached: %s; is this the daemon's address?", client->server,
                              strerror(errno));
    }
    enum saga_error error =
        perform(client, request, client->socket == NULL ? NULL : path, response, fault);
    if (directory >= 0) {
        (void)close(directory);
    }
    if (error != SAGA_OK) {
        saga_http_response_free(response);
    }
    return error;
}

void saga_http_response_free(struct saga_http_response *response) {
    free(response->body);
    *response = (struct saga_http_response){0};
}

char *saga_http_path(const char *before, const char *text, const char *after) {
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *path = NULL;
    if (escaped == NULL || asprintf(&path, "%s%s%s", before, escaped, after) < 0) {
        path = NULL;
    }
    curl_free(escaped);
    return path;
}
