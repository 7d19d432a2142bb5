#include "record_json.h"

#include <stdlib.h>

#include "ids.h"
#include "view.h"

static char *base64(const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *at = text;
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < size; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16 |
                        (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (i + 2 < size ? bytes[i + 2] : 0u);
        *at++ = digits[word >> 18];
        *at++ = digits[word >> 12 & 63];
        *at++ = i + 1 < size ? digits[word >> 6 & 63] : '=';
        *at++ = i + 2 < size ? digits[word & 63] : '=';
    }
    *at = '\0';
    return text;
}

/* True if it is set; a size of 0 is nothing to set. */
static bool set_bytes(json_t *json, const char *name, const char *name_base64,
                      struct saga_bytes bytes) {
    if (bytes.size == 0) {
        return true;
    }
    json_t *text = json_stringn(bytes.data, bytes.size); /* refuses what is not UTF-8 */
    if (text != NULL) {
        return json_object_set_new(json, name, text) == 0;
    }
    char *coded = base64(bytes.data, bytes.size);
    bool set = coded != NULL && json_object_set_new(json, name_base64, json_string(coded)) == 0;
    free(coded);
    return set;
}

static bool set_number(json_t *json, const char *name, uint64_t number) {
    return number == 0 || json_object_set_new(json, name, json_integer((json_int_t)number)) == 0;
}

static bool set_name(json_t *json, const char *name, uint8_t number, const char *text) {
    return number == 0 || json_object_set_new(json, name, json_string(text)) == 0;
}

static bool is_set(const struct saga_id *id) {
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        if (id->bytes[i] != 0) {
            return true;
        }
    }
    return false;
}

static bool set_all(json_t *json, const struct saga_record *record) {
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    bool good =
        set_number(json, "lsn", record->lsn) &&
        set_name(json, "fact", record->fact, saga_fact_name(record->fact)) &&
        json_object_set_new(json, "at", json_string(saga_view_time(record->at_ms, time))) == 0 &&
        set_number(json, "at_ms", (uint64_t)record->at_ms) &&
        set_number(json, "wall_ms", (uint64_t)record->wall_ms) &&
        set_number(json, "epoch", record->epoch) &&
        set_number(json, "previous_lsn", record->previous_lsn);
    if (good && is_set(&record->saga)) {
        good = json_object_set_new(json, "saga", json_string(saga_id_text(&record->saga, id))) == 0;
    }
    if (good && record->step != SAGA_STEP_NONE) {
        good = json_object_set_new(json, "step", json_integer(record->step)) == 0;
    }
    return good &&
           set_name(json, "operation", record->operation, saga_operation_name(record->operation)) &&
           set_number(json, "incarnation", record->incarnation) &&
           set_number(json, "revision", record->revision) &&
           set_number(json, "attempt", record->attempt) &&
           set_name(json, "verdict", record->verdict, saga_verdict_name(record->verdict)) &&
           set_name(json, "reason", record->reason, saga_reason_name(record->reason)) &&
           set_name(json, "outcome", record->outcome, saga_outcome_name(record->outcome)) &&
           set_name(json, "verb", record->verb, saga_verb_name(record->verb)) &&
           set_number(json, "definition_lsn", record->definition_lsn) &&
           set_bytes(json, "key", "key_base64", record->key) &&
           set_bytes(json, "payload", "payload_base64", record->payload);
}

json_t *saga_record_json(const struct saga_record *record) {
    json_t *json = json_object();
    if (json != NULL && !set_all(json, record)) {
        json_decref(json);
        return NULL;
    }
    return json;
}
