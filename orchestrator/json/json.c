#include "json.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- parsing */

/* Looks for the first bracket beyond the limit, before anything recurses over
 * the text. A text that is not JSON may be counted wrongly: the parser refuses
 * it anyway. True: there is one, at *line and *column. */
static bool too_deep(const char *text, size_t size, unsigned *line, unsigned *column) {
    unsigned depth = 0;
    bool string = false;
    *line = 1;
    *column = 0;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        ++*column;
        if (c == '\n') {
            ++*line;
            *column = 0;
        } else if (string) {
            if (c == '\\') {
                i++;
                ++*column;
            } else if (c == '"') {
                string = false;
            }
        } else if (c == '"') {
            string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > SAGA_JSON_DEPTH_MAX) {
                return true;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* jansson's texts, where they would puzzle somebody who does not know jansson. */
static const char *explain(const json_error_t *error) {
    switch (json_error_code(error)) {
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string holds the character U+0000, which is not taken";
    case json_error_numeric_overflow:
        return "a number is out of range: an integer has 64 bits, a real is a double; send larger "
               "ones as strings";
    case json_error_premature_end_of_input:
        return "the text ends too early";
    default:
        return error->text;
    }
}

enum saga_error saga_json_parse(const void *text, size_t size, json_t **json,
                                struct saga_fault *fault) {
    unsigned line;
    unsigned column;
    json_error_t error;

    assert(text != NULL || size == 0);
    *json = NULL;
    if (size == 0) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID, "JSON expected, and there is nothing");
    }
    if (too_deep(text, size, &line, &column)) {
        return saga_fault_set(
            fault, SAGA_ERROR_INVALID,
            "invalid JSON: line %u, column %u: nested deeper than the limit of %d levels", line,
            column, SAGA_JSON_DEPTH_MAX);
    }
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*json == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID, "invalid JSON: line %d, column %d: %s",
                              error.line, error.column, explain(&error));
    }
    return SAGA_OK;
}

/* ----------------------------------------------------------- canonical text */

struct text {
    char *bytes;
    size_t size;
    size_t room;
    bool sorted; /* members by their keys' bytes */
    bool failed; /* no memory; what follows is dropped */
};

static void put(struct text *text, const char *bytes, size_t size) {
    if (text->failed) {
        return;
    }
    if (text->bytes == NULL || text->room - text->size <= size) { /* one more for the NUL */
        size_t room;
        char *grown = NULL;
        if (!__builtin_add_overflow(text->size, size + 1, &room) && room <= SIZE_MAX / 2) {
            room += room / 2;
            grown = realloc(text->bytes, room);
        }
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

/* Only what must be escaped is, each in its shortest form: one string, one text. */
static void put_string(struct text *text, const char *string, size_t size) {
    size_t plain = 0; /* where the part begins that needs no escape */
    put(text, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        static const char letters[] = "btn?fr"; /* U+0008 to U+000D; U+000B has none */
        const unsigned char c = (unsigned char)string[i];
        char escape[8] = {'\\', (char)c};
        int escape_size = 2;
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
            escape[1] = letters[c - 0x08];
        } else if (c < 0x20) {
            escape_size = snprintf(escape, sizeof escape, "\\u%04x", c);
        }
        put(text, string + plain, i - plain);
        put(text, escape, (size_t)escape_size);
        plain = i + 1;
    }
    put(text, string + plain, size - plain);
    put(text, "\"", 1);
}

/* "1.5e+07" as "1.5e7", "2" as "2.0": a real stays a real when it is read back.
 * printf writes the locale's decimal point, whatever that is; JSON has one. */
static void put_real(struct text *text, double value) {
    char digits[64];
    assert(isfinite(value));
    /* Fifteen digits are exact for every double but the tiniest, which have fewer. */
    for (int precision = fabs(value) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) { /* in printf's own locale */
            break;
        }
    }
    const size_t mantissa = strspn(digits, "-0123456789");
    const size_t point = strcspn(digits + mantissa, "0123456789e");
    const char *rest = digits + mantissa + point;
    const size_t fraction = strspn(rest, "0123456789");
    const char *exponent = rest + fraction;
    put(text, digits, mantissa);
    if (point > 0) {
        put(text, ".", 1);
        put(text, rest, fraction);
    }
    if (*exponent == 'e') {
        exponent++;
        put(text, "e", 1);
        if (*exponent == '-') {
            put(text, "-", 1);
        }
        exponent += strspn(exponent, "+-0");
        put(text, exponent, strlen(exponent));
    } else if (point == 0) {
        put(text, ".0", 2);
    }
}

static void put_value(struct text *text, const json_t *json);

static int compare_keys(const void *left, const void *right) {
    const char *const *a = left;
    const char *const *b = right;
    return strcmp(*a, *b); /* of bytes; no key holds a NUL */
}

static void put_object(struct text *text, const json_t *json) {
    const size_t count = json_object_size(json);
    /* jansson's iterators want it writable, and write nothing. */
    json_t *object = (json_t *)(uintptr_t)json;
    const char **keys = malloc((count + 1) * sizeof *keys);
    size_t found = 0;
    if (keys == NULL) {
        text->failed = true;
        return;
    }
    for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
        keys[found++] = json_object_iter_key(i);
    }
    assert(found == count);
    if (text->sorted) {
        qsort(keys, count, sizeof *keys, compare_keys);
    }
    put(text, "{", 1);
    for (size_t i = 0; i < count; i++) {
        put(text, ",", i > 0);
        put_string(text, keys[i], strlen(keys[i]));
        put(text, ":", 1);
        put_value(text, json_object_get(json, keys[i]));
    }
    put(text, "}", 1);
    free(keys);
}

static void put_value(struct text *text, const json_t *json) {
    char digits[32];
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        put_object(text, json);
        break;
    case JSON_ARRAY:
        put(text, "[", 1);
        for (size_t i = 0; i < json_array_size(json); i++) {
            put(text, ",", i > 0);
            put_value(text, json_array_get(json, i));
        }
        put(text, "]", 1);
        break;
    case JSON_STRING:
        put_string(text, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        put(text, digits,
            (size_t)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT,
                             json_integer_value(json)));
        break;
    case JSON_REAL:
        put_real(text, json_real_value(json));
        break;
    case JSON_TRUE:
        put(text, "true", 4);
        break;
    case JSON_FALSE:
        put(text, "false", 5);
        break;
    case JSON_NULL:
        put(text, "null", 4);
        break;
    }
}

static char *write_text(const json_t *json, bool sorted, size_t *size) {
    struct text text = {.sorted = sorted};
    put_value(&text, json);
    if (text.failed) {
        free(text.bytes);
        return NULL;
    }
    text.bytes[text.size] = '\0';
    *size = text.size;
    return text.bytes;
}

char *saga_json_canonical(const json_t *json, size_t *size) {
    return write_text(json, true, size);
}

char *saga_json_text(const json_t *json, size_t *size) {
    return write_text(json, false, size);
}

char *saga_json_merge(const void *base, size_t base_size, const json_t *extra, size_t *size) {
    char *merged = NULL;
    json_t *json;
    if (!json_is_object(extra) || saga_json_parse(base, base_size, &json, NULL) != SAGA_OK) {
        return NULL;
    }
    /* Sets references to extra's members; extra itself stays as it is. */
    if (json_is_object(json) && json_object_update(json, (json_t *)(uintptr_t)extra) == 0) {
        merged = saga_json_canonical(json, size);
    }
    json_decref(json);
    return merged;
}
