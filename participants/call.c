#include "service.h"

#include "database.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum saga_wire_outcome saga_call_answer(struct saga_call *call, enum saga_wire_outcome outcome,
                                        const char *event, json_t *content) {
    assert(outcome == SAGA_WIRE_DONE || outcome == SAGA_WIRE_REJECTED ||
           outcome == SAGA_WIRE_RETRY);
    assert(call->event == NULL); /* one answer to one call */
    call->event = event;
    call->content = content;
    return outcome;
}

enum saga_wire_outcome saga_call_fail(struct saga_call *call, const char *format, ...) {
    if (format == NULL) {
        call->database_failed = saga_database_is_lost(call->statements);
        (void)snprintf(call->failure, sizeof call->failure, "%s", sqlite3_errmsg(call->database));
        return SAGA_WIRE_NONE;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(call->failure, sizeof call->failure, format, arguments);
    va_end(arguments);
    return SAGA_WIRE_NONE;
}

sqlite3_stmt *saga_call_statement(struct saga_call *call, const char *sql) {
    return saga_database_statement(call->statements, sql);
}

const char *saga_call_text(const struct saga_call *call, const char *key) {
    return json_string_value(json_object_get(call->body, key));
}
