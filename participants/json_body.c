#include "json_body.h"

#include "wire.h"

#include <stdarg.h>
#include <stdio.h>

/* jansson's own limit of depth (2048) was chosen when it was built. Counting
 * brackets outside of strings is exact for valid JSON, and what is not valid is
 * refused by the parser. */
static bool is_too_deep(const char *body, size_t size) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = body[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > SAGA_WIRE_JSON_DEPTH_MAX) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static json_t *refuse(char why[SAGA_JSON_WHY_BYTES],
                                                            const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, SAGA_JSON_WHY_BYTES, format, arguments);
    va_end(arguments);
    return NULL;
}

json_t *saga_json_body_read(const char *body, size_t size, char why[SAGA_JSON_WHY_BYTES],
                            bool *out_of_memory) {
    *out_of_memory = false;
    if (size == 0) {
        return refuse(why, "the body is empty; expected a JSON object");
    }
    if (size > SAGA_WIRE_BODY_BYTES_MAX) {
        return refuse(why, "the body has %zu bytes; at most %u are taken", size,
                      SAGA_WIRE_BODY_BYTES_MAX);
    }
    if (is_too_deep(body, size)) {
        return refuse(why, "the body is nested deeper than %d levels", SAGA_WIRE_JSON_DEPTH_MAX);
    }
    json_error_t error;
    json_t *value = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        *out_of_memory = json_error_code(&error) == json_error_out_of_memory;
        /* Not error.text: it quotes the body, which may be anything. */
        return refuse(why, "the body is no valid JSON, or has a key twice: line %d, column %d",
                      error.line, error.column);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return refuse(why, "the body is no JSON object");
    }
    return value;
}
