#include "wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const operations[] = {
    [SAGA_WIRE_ACTION] = "action",
    [SAGA_WIRE_COMPENSATION] = "compensation",
    [SAGA_WIRE_FENCE] = "fence",
    [SAGA_WIRE_SETTLE] = "settle",
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

static const char *const outcomes[] = {
    [SAGA_WIRE_NONE] = NULL,           [SAGA_WIRE_DONE] = "done",
    [SAGA_WIRE_REJECTED] = "rejected", [SAGA_WIRE_ACCEPTED] = "accepted",
    [SAGA_WIRE_RETRY] = "retry",       [SAGA_WIRE_FENCED] = "fenced",
    [SAGA_WIRE_NOOP] = "noop",
};
#define OUTCOME_COUNT (sizeof outcomes / sizeof outcomes[0])

const char *saga_wire_operation_name(enum saga_wire_operation operation) {
    assert(operation >= SAGA_WIRE_ACTION && (size_t)operation < OPERATION_COUNT);
    return operations[operation];
}

enum saga_wire_operation saga_wire_operation_parse(const char *name) {
    for (size_t i = SAGA_WIRE_ACTION; name != NULL && i < OPERATION_COUNT; i++) {
        if (strcmp(name, operations[i]) == 0) {
            return (enum saga_wire_operation)i;
        }
    }
    return (enum saga_wire_operation)0;
}

const char *saga_wire_outcome_name(enum saga_wire_outcome outcome) {
    assert((size_t)outcome < OUTCOME_COUNT);
    return outcomes[outcome];
}

enum saga_wire_outcome saga_wire_outcome_parse(const char *name, size_t size) {
    for (size_t i = SAGA_WIRE_DONE; i < OUTCOME_COUNT; i++) {
        if (strlen(outcomes[i]) == size && memcmp(name, outcomes[i], size) == 0) {
            return (enum saga_wire_outcome)i;
        }
    }
    return SAGA_WIRE_NONE;
}

static bool is_alphanumeric(char c) {
    /* Not isalnum(): that depends on the locale. */
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool consists_of(const char *text, size_t bytes_max, const char *punctuation) {
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    size_t size = strnlen(text, bytes_max + 1);
    if (size > bytes_max) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_alphanumeric(text[i]) && strchr(punctuation, text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

bool saga_wire_name_check(const char *name, size_t bytes_max) {
    return consists_of(name, bytes_max, "._:-");
}

/* 8-4-4-4-12 lower-case hexadecimal digits. Lower case only, because the row's
 * key is this text: two spellings of one id would be two rows. */
static bool is_saga_id(const char *text) {
    if (text == NULL || strnlen(text, SAGA_WIRE_SAGA_BYTES + 1) != SAGA_WIRE_SAGA_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SAGA_WIRE_SAGA_BYTES; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (dash ? text[i] != '-' : !digit) {
            return false;
        }
    }
    return true;
}

const char *saga_wire_command_check(const struct saga_wire_command *command) {
    if (!consists_of(command->id, SAGA_WIRE_ID_BYTES_MAX, "._:/-")) {
        return "the command has no usable id";
    }
    if (!saga_wire_name_check(command->name, SAGA_WIRE_NAME_BYTES_MAX)) {
        return "the command has no usable name";
    }
    if (!is_saga_id(command->saga)) {
        return "the command's saga is not a UUID in lower case";
    }
    if (!saga_wire_name_check(command->step, SAGA_WIRE_NAME_BYTES_MAX)) {
        return "the command has no usable step";
    }
    if (saga_wire_operation_parse(command->operation) == 0) {
        return "the command's operation is unknown";
    }
    if (command->incarnation == 0 || command->revision == 0) {
        return "the command's incarnation or revision is missing";
    }
    return NULL;
}

bool saga_wire_reply_encode(struct saga_wire_reply *reply, const char *event, const char *content) {
    assert(reply->body == NULL);
    assert(saga_wire_name_check(event, SAGA_WIRE_NAME_BYTES_MAX));
    assert(consists_of(reply->id, SAGA_WIRE_ID_BYTES_MAX, "._:/-"));
    int size = asprintf(&reply->body, "{\"id\": \"%s\", \"content\": %s, \"reply_state\": \"%s\"}",
                        reply->id, content == NULL ? "null" : content, event);
    if (size < 0) {
        reply->body = NULL;
        return false;
    }
    if ((size_t)size > SAGA_WIRE_BODY_BYTES_MAX) {
        saga_wire_reply_free(reply);
        return false;
    }
    reply->body_size = (size_t)size;
    return true;
}

void saga_wire_reply_free(struct saga_wire_reply *reply) {
    free(reply->body);
    reply->body = NULL;
    reply->body_size = 0;
}
