#include "value.h"

#include "duration.h"
#include "spelling.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ helping */

/* "a, b, c" */
static const char *enumerate(struct saga_arena *arena, const char *const *names, size_t count) {
    const char *list = names[0];
    for (size_t i = 1; i < count; i++) {
        list = saga_arena_format(arena, "%s, %s", list, names[i]);
    }
    return list;
}

static const char *choose_hint(struct saga_report *report, const char *text, const char *what,
                               const char *const *names, size_t count) {
    const char *nearest = saga_spelling_nearest(text, names, count);
    if (nearest != NULL) {
        return saga_arena_format(report->arena, "did you mean '%s'?", nearest);
    }
    return saga_arena_format(report->arena, "%s: %s", what, enumerate(report->arena, names, count));
}

static const char *key_name(struct saga_report *report, const struct saga_yaml_node *key) {
    return saga_report_quote(report, key->text, key->size);
}

static const char *shown(struct saga_report *report, const struct saga_yaml_node *node) {
    return saga_report_quote(report, node->text, node->size);
}

/* The scalar behind a key; NULL where there is none, which is reported. */
static const struct saga_yaml_node *scalar(struct saga_report *report,
                                           const struct saga_yaml_node *key, const char *hint) {
    const struct saga_yaml_node *value = key->value;
    if (value->kind != SAGA_YAML_SCALAR) {
        saga_report_add(report, saga_yaml_place(value), hint,
                        "'%s' is a %s where a value should be", key_name(report, key),
                        value->kind == SAGA_YAML_LIST ? "list" : "mapping");
        return NULL;
    }
    if (value->absent) {
        saga_report_add(report, key->span, hint, "'%s' has no value", key_name(report, key));
        return NULL;
    }
    return value;
}

bool saga_value_is(const struct saga_yaml_node *key, const char *word) {
    const struct saga_yaml_node *value = key->value;
    return value->kind == SAGA_YAML_SCALAR && value->size == strlen(word) &&
           memcmp(value->text, word, value->size) == 0;
}

/* --------------------------------------------------------------------- keys */

bool saga_value_keys(struct saga_report *report, const struct saga_yaml_node *node,
                     const char *what, const char *const *names, size_t count,
                     const struct saga_yaml_node **found) {
    memset(found, 0, count * sizeof *found);
    if (node->kind != SAGA_YAML_MAPPING) {
        const char *hint = saga_arena_format(report->arena, "its keys are: %s",
                                             enumerate(report->arena, names, count));
        saga_report_add(report, saga_yaml_place(node), hint, "%s is no mapping of keys to values",
                        what);
        return false;
    }
    for (const struct saga_yaml_node *key = node->first; key != NULL; key = key->next) {
        size_t i = 0;
        while (i < count &&
               (strlen(names[i]) != key->size || memcmp(names[i], key->text, key->size) != 0)) {
            i++;
        }
        if (i == count) {
            saga_report_add(report, key->span,
                            choose_hint(report, key->text, "the keys here are", names, count),
                            "unknown key '%s'", key_name(report, key));
        } else if (found[i] == NULL) { /* a duplicate is reported already */
            found[i] = key;
        }
    }
    return true;
}

/* -------------------------------------------------------------------- names */

static bool is_alphanumeric(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

bool saga_value_name(struct saga_report *report, const struct saga_yaml_node *node,
                     const char *what, enum saga_name_kind kind, const char **out) {
    static const struct {
        const char *marks, *hint;
    } rules[] = {
        [SAGA_NAME_WORD] = {"_-", "letters, digits, '-' and '_', a letter or digit first"},
        [SAGA_NAME_DOTTED] = {"_-.", "letters, digits, '-', '_' and '.', a letter or digit first"},
        [SAGA_NAME_EVENT] = {"_-.:", "letters, digits, '-', '_', '.' and ':', "
                                     "a letter or digit first"},
    };
    const char *hint = rules[kind].hint;
    const char *marks = rules[kind].marks;
    assert(marks != NULL);
    if (node->kind != SAGA_YAML_SCALAR || node->absent || node->size == 0) {
        saga_report_add(report, saga_yaml_place(node), hint, "a %s should be here", what);
        return false;
    }
    if (node->size > SAGA_NAME_BYTES_MAX) {
        saga_report_add(report, node->span, "choose a shorter one",
                        "%s of %zu bytes; at most %d are allowed", what, node->size,
                        SAGA_NAME_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < node->size; i++) {
        char byte = node->text[i];
        bool mark = byte != '\0' && strchr(marks, byte) != NULL;
        if (!is_alphanumeric(byte) && !(mark && i > 0)) {
            saga_report_add(report, node->span, hint, "'%s' is no %s", shown(report, node), what);
            return false;
        }
    }
    *out = node->text;
    return true;
}

bool saga_value_line(struct saga_report *report, const struct saga_yaml_node *key,
                     const char **out) {
    const struct saga_yaml_node *value = scalar(report, key, "write its text");
    if (value == NULL) {
        return false;
    }
    if (value->size > SAGA_NAME_BYTES_MAX) {
        saga_report_add(report, value->span, "choose a shorter one",
                        "a value of %zu bytes; at most %d are allowed", value->size,
                        SAGA_NAME_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < value->size; i++) {
        if (value->text[i] < 0x20 || value->text[i] > 0x7e) {
            saga_report_add(
                report, value->span, "a header goes over wires that carry one line of ASCII",
                "'%s' has a character that is no printable ASCII", key_name(report, key));
            return false;
        }
    }
    *out = value->text;
    return true;
}

/* ------------------------------------------------------------------ numbers */

bool saga_value_flag(struct saga_report *report, const struct saga_yaml_node *key, bool *out) {
    const struct saga_yaml_node *value = scalar(report, key, "write true or false");
    if (value == NULL) {
        return false;
    }
    if (value->quoted || (!saga_value_is(key, "true") && !saga_value_is(key, "false"))) {
        saga_report_add(report, value->span,
                        value->quoted ? "write true or false, without quotes"
                                      : "write true or false",
                        "'%s' is '%s'; that is neither true nor false", key_name(report, key),
                        shown(report, value));
        return false;
    }
    *out = saga_value_is(key, "true");
    return true;
}

/* Whole digits with up to `places` after a point, as a number of 10^-places. */
static bool decimal(const struct saga_yaml_node *value, unsigned places, uint64_t *out) {
    uint64_t number = 0;
    unsigned after = 0;
    bool point = false;
    for (size_t i = 0; i < value->size; i++) {
        char byte = value->text[i];
        if (byte == '.' && !point && places > 0 && i > 0 && i + 1 < value->size) {
            point = true;
            continue;
        }
        if (byte < '0' || byte > '9' || (point && after++ == places)) {
            return false;
        }
        if (number <= UINT32_MAX) { /* what is larger stays out of every range */
            number = number * 10 + (uint64_t)(byte - '0');
        }
    }
    for (; after < places; after++) {
        number *= 10;
    }
    *out = number;
    return value->size > 0 && !value->quoted;
}

bool saga_value_integer(struct saga_report *report, const struct saga_yaml_node *key, uint32_t min,
                        uint32_t max, const char *word, uint32_t *out) {
    const char *hint =
        saga_arena_format(report->arena, "a whole number from %u to %u, without quotes%s%s", min,
                          max, word != NULL ? "; or " : "", word != NULL ? word : "");
    const struct saga_yaml_node *value = scalar(report, key, hint);
    if (value == NULL) {
        return false;
    }
    if (word != NULL && saga_value_is(key, word)) {
        *out = 0;
        return true;
    }
    uint64_t number = 0;
    bool read = decimal(value, 0, &number);
    if (!read || number < min || number > max) {
        saga_report_add(report, value->span, hint, "'%s' is '%s'; that is %s",
                        key_name(report, key), shown(report, value),
                        read ? "out of range" : "no whole number");
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

bool saga_value_milli(struct saga_report *report, const struct saga_yaml_node *key,
                      uint32_t min_milli, uint32_t max_milli, uint32_t *out) {
    const char *hint = saga_arena_format(
        report->arena, "a number from %u to %u with at most 3 decimals, without quotes",
        min_milli / 1000, max_milli / 1000);
    const struct saga_yaml_node *value = scalar(report, key, hint);
    if (value == NULL) {
        return false;
    }
    uint64_t number = 0;
    bool read = decimal(value, 3, &number);
    if (!read || number < min_milli || number > max_milli) {
        saga_report_add(report, value->span, hint, "'%s' is '%s'; that is %s",
                        key_name(report, key), shown(report, value),
                        read ? "out of range" : "no such number");
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

/* ---------------------------------------------------------------- durations */

#define DURATION_HINT "a whole number and a unit: 250ms, 30s, 5m, 2h, 7d"

static const char *duration_hint(struct saga_report *report, const struct saga_yaml_node *value,
                                 bool none_allowed) {
    size_t digits = strspn(value->text, "0123456789");
    if (digits > 0 && digits == value->size && digits < 10) {
        return saga_arena_format(report->arena, "it needs a unit; did you mean '%ss'?",
                                 value->text);
    }
    return none_allowed ? DURATION_HINT "; or none" : DURATION_HINT;
}

bool saga_value_duration(struct saga_report *report, const struct saga_yaml_node *key,
                         bool none_allowed, int64_t min_ms, int64_t *out) {
    const struct saga_yaml_node *value =
        scalar(report, key, none_allowed ? DURATION_HINT "; or none" : DURATION_HINT);
    if (value == NULL) {
        return false;
    }
    if (saga_value_is(key, "none")) {
        if (!none_allowed) {
            saga_report_add(report, value->span, DURATION_HINT, "'%s' cannot be none",
                            key_name(report, key));
            return false;
        }
        *out = 0;
        return true;
    }
    int64_t ms = 0;
    if (!saga_duration_parse(value->text, value->size, &ms)) {
        saga_report_add(report, value->span, duration_hint(report, value, none_allowed),
                        "'%s' is '%s'; that is no duration", key_name(report, key),
                        shown(report, value));
        return false;
    }
    if (ms < min_ms) {
        char least[SAGA_DURATION_BYTES];
        saga_duration_format(min_ms, least);
        const char *hint = none_allowed ? "write none for no limit" : "choose a longer one";
        saga_report_add(report, value->span, hint, "'%s' is '%s'; %s is the least",
                        key_name(report, key), shown(report, value), least);
        return false;
    }
    *out = ms;
    return true;
}

/* ------------------------------------------------------------------ choices */

bool saga_value_choice(struct saga_report *report, const struct saga_yaml_node *key,
                       const char *const *names, size_t count, size_t *out) {
    const char *list =
        saga_arena_format(report->arena, "one of: %s", enumerate(report->arena, names, count));
    const struct saga_yaml_node *value = scalar(report, key, list);
    if (value == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (saga_value_is(key, names[i])) {
            *out = i;
            return true;
        }
    }
    saga_report_add(report, value->span, choose_hint(report, value->text, "one of", names, count),
                    "'%s' cannot be '%s'", key_name(report, key), shown(report, value));
    return false;
}
