#include "effect.h"

static bool append(struct saga_call *call, const char *what) {
    sqlite3_stmt *statement =
        saga_call_statement(call, "INSERT INTO effects(command_id, what, at) VALUES(?1, ?2, ?3)");
    return statement != NULL &&
           sqlite3_bind_text(statement, 1, call->command->id, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, 2, what, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 3, call->now_ms) == SQLITE_OK &&
           sqlite3_step(statement) == SQLITE_DONE;
}

enum saga_wire_outcome saga_effect_answer(struct saga_call *call, enum saga_wire_outcome outcome,
                                          const char *event, json_t *content) {
    if (!append(call, event)) {
        json_decref(content);
        return saga_call_fail(call, NULL);
    }
    return saga_call_answer(call, outcome, event, content);
}

enum saga_wire_outcome saga_effect_done(struct saga_call *call, const char *event) {
    return saga_effect_answer(call, SAGA_WIRE_DONE, event, NULL);
}

enum saga_wire_outcome saga_effect_rejected(struct saga_call *call, const char *event) {
    return saga_effect_answer(call, SAGA_WIRE_REJECTED, event, NULL);
}
