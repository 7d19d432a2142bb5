#include "render.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

/* The replies since the latest body; more than a few are rare. */
struct since {
    uint64_t *lsns;
    size_t count;
    size_t room;
};

static bool remember(struct since *since, uint64_t lsn) {
    if (since->count == since->room) {
        size_t room = since->room == 0 ? 8 : since->room * 2;
        uint64_t *lsns = realloc(since->lsns, room * sizeof *lsns);
        if (lsns == NULL) {
            return false;
        }
        since->lsns = lsns;
        since->room = room;
    }
    since->lsns[since->count++] = lsn;
    return true;
}

static bool adds_content(const struct saga_record *record) {
    if (record->fact == SAGA_OPERATOR_ACTED) {
        return record->content.size > 0;
    }
    return record->fact == SAGA_REPLY_RECEIVED && record->verdict == SAGA_DONE &&
           (record->operation == SAGA_ACTION || record->operation == SAGA_FENCE) &&
           record->payload.size > 0;
}

/* Walks back to the latest body; gives its LSN. */
static enum saga_error find_body(struct saga_log *log, const struct saga_id *saga, uint64_t lsn,
                                 uint64_t *body_lsn, struct since *since,
                                 struct saga_fault *fault) {
    for (;;) {
        struct saga_record record;
        enum saga_error error = saga_log_read(log, saga, lsn, &record, fault);
        if (error != SAGA_OK) {
            return error;
        }
        if (record.fact == SAGA_COMMAND_ISSUED || record.fact == SAGA_STARTED) {
            *body_lsn = lsn;
            return SAGA_OK;
        }
        if (adds_content(&record) && !remember(since, lsn)) {
            return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory to render a command");
        }
        if (record.previous_lsn == 0) {
            return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                  "record %llu ends its saga's chain, but does not start a saga",
                                  (unsigned long long)lsn);
        }
        lsn = record.previous_lsn;
    }
}

static enum saga_error merge(struct saga_log *log, const struct saga_id *saga, uint64_t lsn,
                             char **body, size_t *size, struct saga_fault *fault) {
    struct saga_record record;
    json_t *reply = NULL;
    enum saga_error error = saga_log_read(log, saga, lsn, &record, fault);
    if (error != SAGA_OK) {
        return error;
    }
    /* An operator's verdict has the result itself, a reply has it inside. */
    bool bare = record.fact == SAGA_OPERATOR_ACTED;
    const struct saga_bytes *text = bare ? &record.content : &record.payload;
    error = saga_json_parse(text->data, text->size, &reply, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const json_t *content = bare ? reply : json_object_get(reply, "content");
    if (json_is_object(content) && json_object_size(content) > 0) {
        char *merged = saga_json_merge(*body, *size, content, size);
        free(*body);
        *body = merged;
        if (merged == NULL) {
            error = saga_fault_set(fault, SAGA_ERROR_FAILED,
                                   "the content of record %llu cannot be merged into the data",
                                   (unsigned long long)lsn);
        }
    }
    json_decref(reply);
    return error;
}

static enum saga_error copy_body(struct saga_log *log, const struct saga_id *saga, uint64_t lsn,
                                 char **body, size_t *size, struct saga_fault *fault) {
    struct saga_record record;
    enum saga_error error = saga_log_read(log, saga, lsn, &record, fault);
    if (error != SAGA_OK) {
        return error;
    }
    *body = malloc((size_t)record.payload.size + 1);
    if (*body == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory to render a command");
    }
    memcpy(*body, record.payload.data, record.payload.size);
    *size = record.payload.size;
    return SAGA_OK;
}

enum saga_error saga_render(struct saga_log *log, const struct saga_id *saga,
                            enum saga_operation operation, uint64_t last_lsn, void **body,
                            size_t *size, struct saga_fault *fault) {
    struct since since = {0};
    char *text = NULL;
    uint64_t body_lsn = 0;
    enum saga_error error = find_body(log, saga, last_lsn, &body_lsn, &since, fault);
    if (error == SAGA_OK) {
        error = copy_body(log, saga, body_lsn, &text, size, fault);
    }
    while (error == SAGA_OK && since.count > 0) {
        error = merge(log, saga, since.lsns[--since.count], &text, size, fault);
    }
    if (error == SAGA_OK && *size > SAGA_RENDER_BYTES_MAX && operation != SAGA_ACTION) {
        free(text);
        text = NULL;
        error = copy_body(log, saga, body_lsn, &text, size, fault);
    }
    if (error == SAGA_OK && *size > SAGA_RENDER_BYTES_MAX) {
        error =
            saga_fault_set(fault, SAGA_ERROR_INVALID,
                           "the saga's data has grown to %zu bytes; a command carries at most %u",
                           *size, SAGA_RENDER_BYTES_MAX);
    }
    free(since.lsns);
    if (error != SAGA_OK) {
        free(text);
        return error;
    }
    *body = text;
    return SAGA_OK;
}
