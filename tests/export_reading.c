#include "export_reading.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"

json_t *export_next(const char **text) {
    const char *end = strchr(*text, '\n');
    json_error_t error;
    ck_assert_ptr_nonnull(end);
    json_t *json =
        json_loadb(*text, (size_t)(end - *text), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(json != NULL, "%s: %.*s", error.text, (int)(end - *text), *text);
    *text = end + 1;
    return json;
}

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(digits, c);
    ck_assert_msg(c != '\0' && found != NULL, "'%c' is no digit of base64", c);
    return (int)(found - digits);
}

/* malloc'd, the caller's. */
static uint8_t *decode_base64(const char *text, uint32_t *size) {
    const size_t length = strlen(text);
    uint8_t *bytes = malloc(length);
    ck_assert_uint_eq(length % 4, 0);
    *size = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t word = 0;
        int count = 3;
        for (size_t j = 0; j < 4; j++) {
            const bool padding = text[i + j] == '=';
            ck_assert(!padding || i + 4 == length);
            count -= padding;
            word = word << 6 | (padding ? 0 : (uint32_t)digit_of(text[i + j]));
        }
        for (int j = 0; j < count; j++) {
            bytes[(*size)++] = (uint8_t)(word >> (16 - 8 * j));
        }
    }
    return bytes;
}

static uint64_t number_in(const json_t *json, const char *name) {
    const json_t *value = json_object_get(json, name);
    if (json_is_string(value)) {
        return strtoull(json_string_value(value), NULL, 10);
    }
    ck_assert(value == NULL || json_is_integer(value));
    return (uint64_t)json_integer_value(value);
}

/* The number whose name it is, or the number itself. */
static uint8_t named_in(const json_t *json, const char *name, const char *(*name_of)(uint8_t)) {
    const json_t *value = json_object_get(json, name);
    if (!json_is_string(value)) {
        return (uint8_t)number_in(json, name);
    }
    for (int i = 1; i < 256; i++) {
        if (strcmp(name_of((uint8_t)i), json_string_value(value)) == 0) {
            return (uint8_t)i;
        }
    }
    ck_abort_msg("%s is no %s", json_string_value(value), name);
}

static struct saga_bytes bytes_in(const json_t *json, const char *name, const char *name_base64) {
    const json_t *text = json_object_get(json, name);
    const json_t *coded = json_object_get(json, name_base64);
    struct saga_bytes bytes = {0};
    ck_assert(text == NULL || coded == NULL);
    if (text != NULL) {
        bytes.size = (uint32_t)json_string_length(text);
        void *copy = malloc(bytes.size + 1);
        memcpy(copy, json_string_value(text), bytes.size);
        bytes.data = copy;
    } else if (coded != NULL) {
        bytes.data = decode_base64(json_string_value(coded), &bytes.size);
    }
    return bytes;
}

struct saga_record export_record(const json_t *json) {
    const json_t *saga = json_object_get(json, "saga");
    struct saga_record record = {
        .lsn = number_in(json, "lsn"),
        .previous_lsn = number_in(json, "previous_lsn"),
        .at_ms = (int64_t)number_in(json, "at_ms"),
        .wall_ms = (int64_t)number_in(json, "wall_ms"),
        .definition_lsn = number_in(json, "definition_lsn"),
        .through_lsn = number_in(json, "through_lsn"),
        .epoch = (uint32_t)number_in(json, "epoch"),
        .attempt = (uint32_t)number_in(json, "attempt"),
        .incarnation = (uint16_t)number_in(json, "incarnation"),
        .revision = (uint16_t)number_in(json, "revision"),
        .fact = named_in(json, "fact", saga_fact_name),
        .step = json_object_get(json, "step") != NULL ? (uint8_t)number_in(json, "step")
                                                      : SAGA_STEP_NONE,
        .operation = named_in(json, "operation", saga_operation_name),
        .verdict = named_in(json, "verdict", saga_verdict_name),
        .reason = named_in(json, "reason", saga_reason_name),
        .outcome = named_in(json, "outcome", saga_outcome_name),
        .verb = named_in(json, "verb", saga_verb_name),
        .key = bytes_in(json, "key", "key_base64"),
        .payload = bytes_in(json, "payload", "payload_base64"),
        .content = bytes_in(json, "content", "content_base64"),
    };
    ck_assert(saga == NULL || saga_id_parse(json_string_value(saga), 36, &record.saga));
    return record;
}

void export_record_free(struct saga_record *record) {
    free((void *)(uintptr_t)record->key.data);
    free((void *)(uintptr_t)record->payload.data);
    free((void *)(uintptr_t)record->content.data);
}
