#include "fields.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "ids.h"

void saga_fields_begin(struct saga_fields *fields, const json_t *json) {
    *fields = (struct saga_fields){.json = json};
}

void saga_fields_refuse(struct saga_fields *fields, const char *format, ...) {
    if (fields->problem[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(fields->problem, sizeof fields->problem, format, arguments);
        va_end(arguments);
    }
}

bool saga_fields_have(const struct saga_fields *fields, const char *name) {
    return json_object_get(fields->json, name) != NULL;
}

/* NULL: it is not there, or something is wrong already. */
static const json_t *ask(struct saga_fields *fields, const char *name) {
    assert(fields->asked_count < SAGA_FIELDS_MAX);
    fields->asked[fields->asked_count++] = name;
    return fields->problem[0] == '\0' ? json_object_get(fields->json, name) : NULL;
}

/* ------------------------------------------------------------------- numbers */

/* Decimal digits, of a number that needs no leading zero. False: it is none, or too large. */
static bool digits(const char *text, uint64_t *number) {
    *number = 0;
    if (*text == '\0' || (*text == '0' && text[1] != '\0')) {
        return false;
    }
    for (; *text != '\0'; text++) {
        const uint64_t digit = (uint64_t)*text - '0';
        if (*text < '0' || *text > '9' || *number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    return true;
}

uint64_t saga_fields_number(struct saga_fields *fields, const char *name, uint64_t max) {
    const json_t *value = ask(fields, name);
    uint64_t number = 0;
    if (value == NULL) {
        return 0;
    }
    bool is = json_is_integer(value) && json_integer_value(value) >= 0;
    if (is) {
        number = (uint64_t)json_integer_value(value);
    } else {
        is = json_is_string(value) &&
             strlen(json_string_value(value)) == json_string_length(value) &&
             digits(json_string_value(value), &number);
    }
    if (!is || number > max) {
        saga_fields_refuse(fields, "%s is no number from 0 to %" PRIu64, name, max);
        return 0;
    }
    return number;
}

int64_t saga_fields_signed(struct saga_fields *fields, const char *name) {
    const json_t *value = ask(fields, name);
    if (value != NULL && !json_is_integer(value)) {
        saga_fields_refuse(fields, "%s is no integer", name);
        return 0;
    }
    return json_integer_value(value);
}

uint8_t saga_fields_named(struct saga_fields *fields, const char *name,
                          const char *(*name_of)(uint8_t number)) {
    const json_t *value = json_object_get(fields->json, name);
    if (!json_is_string(value)) {
        return (uint8_t)saga_fields_number(fields, name, UINT8_MAX);
    }
    const char *text = saga_fields_text(fields, name);
    for (unsigned i = 1; i <= UINT8_MAX && text != NULL && strcmp(text, "?") != 0; i++) {
        if (strcmp(name_of((uint8_t)i), text) == 0) {
            return (uint8_t)i;
        }
    }
    saga_fields_refuse(fields, "there is no %s '%.40s'", name, text != NULL ? text : "");
    return 0;
}

/* --------------------------------------------------------------------- texts */

const char *saga_fields_text(struct saga_fields *fields, const char *name) {
    const json_t *value = ask(fields, name);
    if (value == NULL) {
        return NULL;
    }
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != json_string_length(value)) {
        saga_fields_refuse(fields, "%s is no text", name);
        return NULL;
    }
    return text;
}

struct saga_id saga_fields_id(struct saga_fields *fields, const char *name) {
    struct saga_id id = {{0}};
    const char *text = saga_fields_text(fields, name);
    if (text != NULL && !saga_id_parse(text, strlen(text), &id)) {
        saga_fields_refuse(fields, "%s is no id of 36 characters in lower case", name);
    }
    return id;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool saga_fields_hex(struct saga_fields *fields, const char *name, uint64_t *words, size_t count) {
    const char *text = saga_fields_text(fields, name);
    memset(words, 0, count * sizeof *words);
    if (text == NULL) {
        return false;
    }
    bool is = strlen(text) == 16 * count;
    for (size_t i = 0; is && i < 16 * count; i++) {
        const int digit = hex_digit(text[i]);
        is = digit >= 0;
        words[i / 16] = words[i / 16] << 4 | (uint64_t)(is ? digit : 0);
    }
    if (!is) {
        saga_fields_refuse(fields, "%s is not %zu hexadecimal digits in lower case", name,
                           16 * count);
    }
    return is;
}

static struct saga_bytes decode(struct saga_fields *fields, const char *name, const json_t *value,
                                void **owned) {
    size_t size = 0;
    *owned = json_is_string(value)
                 ? saga_base64_decode(json_string_value(value), json_string_length(value), &size)
                 : NULL;
    if (*owned == NULL) {
        saga_fields_refuse(fields, "%s is no base64", name);
        return (struct saga_bytes){0};
    }
    return (struct saga_bytes){.data = *owned, .size = (uint32_t)size};
}

struct saga_bytes saga_fields_bytes(struct saga_fields *fields, const char *name,
                                    const char *name_base64, size_t max, void **owned) {
    const json_t *text = name != NULL ? ask(fields, name) : NULL;
    const json_t *coded = name_base64 != NULL ? ask(fields, name_base64) : NULL;
    struct saga_bytes bytes = {0};
    *owned = NULL;
    if (text != NULL && coded != NULL) {
        saga_fields_refuse(fields, "%s is there twice, also as %s", name, name_base64);
    } else if (text != NULL && !json_is_string(text)) {
        saga_fields_refuse(fields, "%s is no string", name);
    } else if (text != NULL && json_string_length(text) <= max) {
        bytes = (struct saga_bytes){.data = json_string_value(text),
                                    .size = (uint32_t)json_string_length(text)};
    } else if (coded != NULL && json_string_length(coded) / 4 <= max / 3 + 1) {
        bytes = decode(fields, name_base64, coded, owned);
    } else if (text != NULL || coded != NULL) {
        bytes.size = UINT32_MAX;
    }
    if (bytes.size > max) {
        saga_fields_refuse(fields, "%s has more than %zu bytes", text != NULL ? name : name_base64,
                           max);
    }
    return bytes;
}

/* ----------------------------------------------------------------------- end */

static bool was_asked(const struct saga_fields *fields, const char *name) {
    for (size_t i = 0; i < fields->asked_count; i++) {
        if (strcmp(fields->asked[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool saga_fields_end(struct saga_fields *fields) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields->json, name, value) {
        if (!was_asked(fields, name)) {
            saga_fields_refuse(fields, "there is no member '%.40s' in such a line", name);
        }
    }
    return fields->problem[0] == '\0';
}
