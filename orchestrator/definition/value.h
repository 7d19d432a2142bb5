/*
 * Values: what stands behind a key, read as a number, a name, a duration.
 *
 * Hides how each type is written, and what is said to somebody who wrote it
 * otherwise. Each function takes a key that was found; false where its value
 * is not of the type: then the report says so, and *out is as it was.
 *
 * Threads: no state.
 */
#ifndef SAGA_VALUE_H
#define SAGA_VALUE_H

#include "yaml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the keys of a mapping: found[i] gets the key called names[i], NULL
 * where it is not there. Keys that are none of them are reported. False where
 * `node` is no mapping; `what` says which one it should have been. */
bool saga_value_keys(struct saga_report *report, const struct saga_yaml_node *node,
                     const char *what, const char *const *names, size_t count,
                     const struct saga_yaml_node **found);

/* The kinds of names. All start with a letter or a digit. */
enum saga_name_kind {
    SAGA_NAME_WORD = 1, /* letters, digits, - and _ */
    SAGA_NAME_DOTTED,   /* and . */
    SAGA_NAME_EVENT,    /* and . and : */
};

/* A name: `what` is what it names ("step name"). */
bool saga_value_name(struct saga_report *report, const struct saga_yaml_node *node,
                     const char *what, enum saga_name_kind kind, const char **out);

/* One line of printable ASCII. */
bool saga_value_line(struct saga_report *report, const struct saga_yaml_node *key,
                     const char **out);

bool saga_value_flag(struct saga_report *report, const struct saga_yaml_node *key, bool *out);

/* A whole number from `min` to `max`; `word` (NULL: none) stands for 0. */
bool saga_value_integer(struct saga_report *report, const struct saga_yaml_node *key, uint32_t min,
                        uint32_t max, const char *word, uint32_t *out);

/* A decimal number in thousandths. */
bool saga_value_milli(struct saga_report *report, const struct saga_yaml_node *key,
                      uint32_t min_milli, uint32_t max_milli, uint32_t *out);

/* A duration of at least `min_ms`; "none" gives 0 where it is allowed. */
bool saga_value_duration(struct saga_report *report, const struct saga_yaml_node *key,
                         bool none_allowed, int64_t min_ms, int64_t *out);

/* One of a few words: *out gets its number. */
bool saga_value_choice(struct saga_report *report, const struct saga_yaml_node *key,
                       const char *const *names, size_t count, size_t *out);

/* The key's value is exactly this word. */
bool saga_value_is(const struct saga_yaml_node *key, const char *word);

#endif
