#include "reply.h"

#include "json.h"

static uint8_t verdict_of(const struct saga_definition *definition,
                          const struct saga_command_id *command, const json_t *event) {
    if (!json_is_string(event)) {
        return SAGA_UNKNOWN;
    }
    return (uint8_t)saga_definition_verdict(definition, command->step,
                                            (enum saga_operation)command->operation,
                                            json_string_value(event), json_string_length(event));
}

bool saga_reply_read(const struct saga_definition *definition,
                     const struct saga_command_id *command, uint8_t outcome, struct saga_bytes body,
                     uint8_t *verdict, bool *listed) {
    json_t *json = NULL;
    *verdict = outcome != 0 ? outcome : SAGA_UNKNOWN;
    *listed = outcome != 0;
    if (body.size == 0) {
        return true;
    }
    if (body.size > SAGA_REPLY_BYTES_MAX ||
        saga_json_parse(body.data, body.size, &json, NULL) != SAGA_OK) {
        return false;
    }
    bool readable = json_is_object(json);
    if (readable && outcome == 0) {
        *verdict = verdict_of(definition, command, json_object_get(json, "reply_state"));
        *listed = *verdict != SAGA_UNKNOWN;
    }
    json_decref(json);
    return readable;
}
