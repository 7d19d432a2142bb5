#include "record_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "ids.h"
#include "record.h"
#include "view.h"

/* An object that is being filled; once something has failed, nothing is set. */
struct filling {
    json_t *json;
    bool failed;
};

static void set(struct filling *filling, const char *name, json_t *value) {
    if (filling->failed) {
        json_decref(value);
    } else {
        filling->failed = json_object_set_new(filling->json, name, value) != 0;
    }
}

static void set_signed(struct filling *filling, const char *name, int64_t number) {
    if (number != 0) {
        set(filling, name, json_integer(number));
    }
}

static void set_number(struct filling *filling, const char *name, uint64_t number) {
    char digits[24];
    if (number <= INT64_MAX) {
        set_signed(filling, name, (int64_t)number);
        return;
    }
    (void)snprintf(digits, sizeof digits, "%" PRIu64, number);
    set(filling, name, json_string(digits));
}

static void set_name(struct filling *filling, const char *name, uint8_t number, const char *text) {
    if (strcmp(text, "?") == 0) {
        set_number(filling, name, number);
    } else if (number != 0) {
        set(filling, name, json_string(text));
    }
}

static void set_bytes(struct filling *filling, const char *name, const char *name_base64,
                      struct saga_bytes bytes) {
    if (bytes.size == 0) {
        return;
    }
    json_t *text = json_stringn(bytes.data, bytes.size); /* refuses what is not UTF-8 */
    if (text != NULL) {
        set(filling, name, text);
        return;
    }
    char *coded = saga_base64_encode(bytes.data, bytes.size);
    set(filling, name_base64, coded != NULL ? json_string(coded) : NULL);
    free(coded);
}

static void set_saga(struct filling *filling, const struct saga_id *id) {
    static const struct saga_id none;
    char text[SAGA_ID_TEXT_SIZE];
    if (memcmp(id, &none, sizeof none) != 0) {
        set(filling, "saga", json_string(saga_id_text(id, text)));
    }
}

static void set_all(struct filling *filling, const struct saga_record *record) {
    char time[SAGA_TIME_TEXT_SIZE];
    set_number(filling, "lsn", record->lsn);
    set_name(filling, "fact", record->fact, saga_fact_name(record->fact));
    set(filling, "at", json_string(saga_time_text(record->at_ms, time)));
    set_signed(filling, "at_ms", record->at_ms);
    set_signed(filling, "wall_ms", record->wall_ms);
    set_number(filling, "epoch", record->epoch);
    set_number(filling, "previous_lsn", record->previous_lsn);
    set_saga(filling, &record->saga);
    if (record->step != SAGA_STEP_NONE) {
        set(filling, "step", json_integer(record->step));
    }
    set_name(filling, "operation", record->operation, saga_operation_name(record->operation));
    set_number(filling, "incarnation", record->incarnation);
    set_number(filling, "revision", record->revision);
    set_number(filling, "attempt", record->attempt);
    set_name(filling, "verdict", record->verdict, saga_verdict_name(record->verdict));
    set_name(filling, "reason", record->reason, saga_reason_name(record->reason));
    set_name(filling, "outcome", record->outcome, saga_outcome_name(record->outcome));
    set_name(filling, "verb", record->verb, saga_verb_name(record->verb));
    set_number(filling, "definition_lsn", record->definition_lsn);
    set_bytes(filling, "key", "key_base64", record->key);
    set_bytes(filling, "payload", "payload_base64", record->payload);
    set_bytes(filling, "content", "content_base64", record->content);
    set_number(filling, "through_lsn", record->through_lsn);
}

json_t *saga_record_json(const struct saga_record *record) {
    struct filling filling = {.json = json_object()};
    filling.failed = filling.json == NULL;
    set_all(&filling, record);
    if (filling.failed) {
        json_decref(filling.json);
        return NULL;
    }
    return filling.json;
}

/* ------------------------------------------------------------------- reading */

/* It says what at_ms says, or nothing. */
static void check_time(struct saga_fields *fields, int64_t at_ms) {
    char wanted[SAGA_TIME_TEXT_SIZE];
    const char *text = saga_fields_text(fields, "at");
    if (text != NULL && strcmp(text, saga_time_text(at_ms, wanted)) != 0) {
        saga_fields_refuse(fields, "at is not the time that at_ms says, %s", wanted);
    }
}

static void read_scalars(struct saga_record *record, struct saga_fields *fields) {
    record->lsn = saga_fields_number(fields, "lsn", UINT64_MAX);
    record->fact = saga_fields_named(fields, "fact", saga_fact_name);
    record->at_ms = saga_fields_signed(fields, "at_ms");
    record->wall_ms = saga_fields_signed(fields, "wall_ms");
    record->epoch = (uint32_t)saga_fields_number(fields, "epoch", UINT32_MAX);
    record->previous_lsn = saga_fields_number(fields, "previous_lsn", UINT64_MAX);
    record->saga = saga_fields_id(fields, "saga");
    record->step = saga_fields_have(fields, "step")
                       ? (uint8_t)saga_fields_number(fields, "step", UINT8_MAX)
                       : SAGA_STEP_NONE;
    record->operation = saga_fields_named(fields, "operation", saga_operation_name);
    record->incarnation = (uint16_t)saga_fields_number(fields, "incarnation", UINT16_MAX);
    record->revision = (uint16_t)saga_fields_number(fields, "revision", UINT16_MAX);
    record->attempt = (uint32_t)saga_fields_number(fields, "attempt", UINT32_MAX);
    record->verdict = saga_fields_named(fields, "verdict", saga_verdict_name);
    record->reason = saga_fields_named(fields, "reason", saga_reason_name);
    record->outcome = saga_fields_named(fields, "outcome", saga_outcome_name);
    record->verb = saga_fields_named(fields, "verb", saga_verb_name);
    record->definition_lsn = saga_fields_number(fields, "definition_lsn", UINT64_MAX);
    record->through_lsn = saga_fields_number(fields, "through_lsn", UINT64_MAX);
    check_time(fields, record->at_ms);
}

bool saga_record_read(struct saga_record_copy *copy, const json_t *json,
                      struct saga_fields *fields) {
    struct saga_record *record = &copy->record;
    *copy = (struct saga_record_copy){.record = {.step = SAGA_STEP_NONE}};
    saga_fields_begin(fields, json);
    read_scalars(record, fields);
    record->key = saga_fields_bytes(fields, "key", "key_base64", SAGA_KEY_BYTES_MAX, &copy->key);
    record->payload = saga_fields_bytes(fields, "payload", "payload_base64", SAGA_PAYLOAD_BYTES_MAX,
                                        &copy->payload);
    record->content = saga_fields_bytes(fields, "content", "content_base64", SAGA_PAYLOAD_BYTES_MAX,
                                        &copy->content);
    if (record->lsn == 0) {
        saga_fields_refuse(fields, "lsn is 0, or is not there");
    } else if (record->fact == 0) {
        saga_fields_refuse(fields, "there is no fact");
    } else if (record->epoch == 0) {
        saga_fields_refuse(fields, "there is no epoch");
    } else if (record->previous_lsn >= record->lsn) {
        saga_fields_refuse(fields, "previous_lsn does not lead backwards");
    }
    return saga_fields_end(fields);
}

void saga_record_copy_fini(struct saga_record_copy *copy) {
    free(copy->key);
    free(copy->payload);
    free(copy->content);
}
