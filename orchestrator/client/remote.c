#include "remote.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_client.h"
#include "json.h"

#define TIMEOUT_MS 30000
#define PAGE       500

struct saga_remote {
    struct saga_http_client *http;
    bool lost;
    bool heard;
};

/* ------------------------------------------------------------------ where it is */

static const char *said(const char *option, const char *variable) {
    const char *text = option != NULL ? option : getenv(variable);
    return text != NULL && *text != '\0' ? text : NULL;
}

enum saga_error saga_remote_open(struct saga_remote **remote, const struct saga_order *order,
                                 struct saga_fault *fault) {
    const char *server = order->server;
    const char *data_dir = order->data_dir;
    char *address = NULL;
    if (server == NULL && data_dir == NULL) { /* an option of one kind beats a variable of both */
        server = said(NULL, "SAGAD_SERVER");
        data_dir = said(NULL, "SAGAD_DATA_DIR");
    }
    if (server == NULL && data_dir == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "where is the daemon? Say --data-dir DIR or --server ADDRESS, or set "
                              "SAGAD_SERVER");
    }
    const int size = server != NULL ? asprintf(&address, "%s", server)
                                    : asprintf(&address, "unix:%s/sagad.sock", data_dir);
    struct saga_remote *opened = size < 0 ? NULL : calloc(1, sizeof *opened);
    enum saga_error error = SAGA_ERROR_FAILED;
    if (opened == NULL) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory");
    } else {
        error = saga_http_client_open(&opened->http, address, fault);
    }
    if (size >= 0) {
        free(address);
    }
    if (error != SAGA_OK) {
        free(opened);
        return error;
    }
    *remote = opened;
    return SAGA_OK;
}

void saga_remote_close(struct saga_remote *remote) {
    if (remote != NULL) {
        saga_http_client_close(remote->http);
        free(remote);
    }
}

/* -------------------------------------------------------------------- asking */

static enum saga_error error_of(int status) {
    switch (status) {
    case 404:
        return SAGA_ERROR_NOT_FOUND;
    case 409:
        return SAGA_ERROR_CONFLICT;
    case 503:
        return SAGA_ERROR_UNREACHABLE;
    case 507:
        return SAGA_ERROR_FULL;
    default:
        return status >= 400 && status < 500 ? SAGA_ERROR_INVALID : SAGA_ERROR_FAILED;
    }
}

static enum saga_error read_answer(const struct saga_http_response *response, json_t **answer,
                                   struct saga_fault *fault) {
    struct saga_fault unread;
    const enum saga_error error =
        saga_json_parse(response->body, response->body_size, answer, &unread);
    if (error != SAGA_OK || !json_is_object(*answer)) {
        json_decref(*answer);
        *answer = NULL;
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the answer (status %d) is not sagad's; is this its address?",
                              response->status);
    }
    if (response->status >= 200 && response->status < 300) {
        return SAGA_OK;
    }
    const char *detail = json_string_value(json_object_get(*answer, "detail"));
    (void)saga_fault_set(fault, error_of(response->status), "%s",
                         detail != NULL ? detail : "refused, without a reason");
    json_decref(*answer);
    *answer = NULL;
    return fault->error;
}

enum saga_error saga_remote_ask(struct saga_remote *remote, const struct saga_question *question,
                                json_t **answer, struct saga_fault *fault) {
    const struct saga_http_request request = {
        .method = question->method,
        .path = question->path,
        .idempotency_key = question->key,
        .body = question->body,
        .body_size = question->body != NULL ? strlen(question->body) : 0,
        .timeout_ms = question->timeout_ms != 0 ? question->timeout_ms : TIMEOUT_MS,
    };
    struct saga_http_response response;
    *answer = NULL;
    enum saga_error error = saga_http_client_send(remote->http, &request, &response, fault);
    remote->lost = error == SAGA_ERROR_TIMEOUT || error == SAGA_ERROR_FAILED;
    remote->heard = error == SAGA_OK;
    if (error != SAGA_OK) {
        fault->error = SAGA_ERROR_UNREACHABLE;
        return SAGA_ERROR_UNREACHABLE;
    }
    error = read_answer(&response, answer, fault);
    saga_http_response_free(&response);
    return error;
}

bool saga_remote_lost(const struct saga_remote *remote) {
    return remote->lost;
}

bool saga_remote_heard(const struct saga_remote *remote) {
    return remote->heard;
}

enum saga_error saga_remote_get(struct saga_remote *remote, const char *path, json_t **answer,
                                struct saga_fault *fault) {
    return saga_remote_ask(remote, &(struct saga_question){.method = "GET", .path = path}, answer,
                           fault);
}

/* -------------------------------------------------------------------- listing */

/* "&name=value", or nothing; NULL: no memory. */
static char *filter(const char *name, const char *value) {
    char before[32];
    (void)snprintf(before, sizeof before, "&%s=", name);
    return value != NULL ? saga_http_path(before, value, "") : strdup("");
}

static char *page_path(uint64_t rows, const char *status, const char *saga, const char *cursor) {
    char *path = NULL;
    char *filters[] = {filter("status", status), filter("saga", saga), filter("cursor", cursor)};
    if (filters[0] == NULL || filters[1] == NULL || filters[2] == NULL ||
        asprintf(&path, "/v1/sagas?limit=%" PRIu64 "%s%s%s", rows, filters[0], filters[1],
                 filters[2]) < 0) {
        path = NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        free(filters[i]);
    }
    return path;
}

/* One page more; *cursor is the next one's then, NULL: there is none. */
static enum saga_error add_page(struct saga_remote *remote, char *path, json_t *sagas,
                                char **cursor, struct saga_fault *fault) {
    json_t *page;
    if (path == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory");
    }
    const enum saga_error error = saga_remote_get(remote, path, &page, fault);
    free(path);
    if (error != SAGA_OK) {
        return error;
    }
    const char *next = json_string_value(json_object_get(page, "next_cursor"));
    free(*cursor);
    *cursor = next != NULL ? strdup(next) : NULL;
    const bool added = json_array_extend(sagas, json_object_get(page, "sagas")) == 0;
    json_decref(page);
    return added ? SAGA_OK
                 : saga_fault_set(fault, SAGA_ERROR_FAILED, "the answer is not sagad's list");
}

enum saga_error saga_remote_list(struct saga_remote *remote, const char *status, const char *saga,
                                 uint64_t limit, json_t **sagas, bool *more,
                                 struct saga_fault *fault) {
    char *cursor = NULL;
    enum saga_error error;
    *sagas = json_array();
    do {
        const uint64_t rows = limit - json_array_size(*sagas);
        error = add_page(remote, page_path(rows < PAGE ? rows : PAGE, status, saga, cursor), *sagas,
                         &cursor, fault);
    } while (error == SAGA_OK && cursor != NULL && json_array_size(*sagas) < limit);
    *more = cursor != NULL;
    free(cursor);
    if (error != SAGA_OK) {
        json_decref(*sagas);
        *sagas = NULL;
    }
    return error;
}

/* -------------------------------------------------------------------- finding */

#define CANDIDATES_MAX 8

struct search {
    char part[SAGA_REMOTE_ID_SIZE];
    char id[SAGA_REMOTE_ID_SIZE]; /* the first one found */
    size_t count;
    char candidates[768];
    size_t candidates_size;
};

static void note_candidate(struct search *search, const json_t *row) {
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *saga = json_string_value(json_object_get(row, "saga"));
    const char *status = json_string_value(json_object_get(row, "status"));
    if (id == NULL || strlen(id) >= sizeof search->id || strstr(id, search->part) == NULL) {
        return;
    }
    if (search->count++ == 0) {
        memcpy(search->id, id, strlen(id) + 1);
    }
    if (search->count <= CANDIDATES_MAX) {
        const size_t room = sizeof search->candidates - search->candidates_size;
        const int size =
            snprintf(search->candidates + search->candidates_size, room, "\n  %s  %.20s, %.20s", id,
                     saga != NULL ? saga : "?", status != NULL ? status : "?");
        search->candidates_size += size > 0 && (size_t)size < room ? (size_t)size : 0;
    }
}

/* All sagas are looked through: a part is unique only if no other one has it. */
static enum saga_error search_all(struct saga_remote *remote, struct search *search,
                                  struct saga_fault *fault) {
    char *cursor = NULL;
    enum saga_error error;
    do {
        json_t *sagas = json_array();
        size_t i;
        const json_t *row;
        error = add_page(remote, page_path(PAGE, NULL, NULL, cursor), sagas, &cursor, fault);
        json_array_foreach(sagas, i, row) {
            note_candidate(search, row);
        }
        json_decref(sagas);
    } while (error == SAGA_OK && cursor != NULL);
    free(cursor);
    return error;
}

enum saga_error saga_remote_find(struct saga_remote *remote, const char *part,
                                 char id[SAGA_REMOTE_ID_SIZE], struct saga_fault *fault) {
    struct search search = {.count = 0};
    for (size_t i = 0; i < sizeof search.part - 1 && part[i] != '\0'; i++) {
        search.part[i] = (char)tolower((unsigned char)part[i]);
    }
    if (strlen(search.part) == SAGA_REMOTE_ID_SIZE - 1) { /* whole */
        memcpy(id, search.part, sizeof search.part);
        return SAGA_OK;
    }
    const enum saga_error error = search_all(remote, &search, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (search.count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "no saga has '%s' in its id; see sagactl list", part);
    }
    if (search.count > 1) {
        return saga_fault_set(
            fault, SAGA_ERROR_USAGE, "%zu sagas have '%s' in their ids; give more of one:%s%s",
            search.count, part, search.candidates, search.count > CANDIDATES_MAX ? "\n  ..." : "");
    }
    memcpy(id, search.id, sizeof search.id);
    return SAGA_OK;
}
