/*
 * YAML as a tree of texts, each with its place in the file.
 *
 * Hides libfyaml. What a definition does not need is refused here, so that a
 * small file cannot become a large one: aliases, anchors, tags, a second
 * document, deep nesting, too many values. JSON is read by the same function:
 * it is YAML.
 *
 * Threads: a tree never changes once it is read.
 */
#ifndef SAGA_YAML_H
#define SAGA_YAML_H

#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A definition is 6 deep. */
#define SAGA_YAML_DEPTH_MAX 16
/* The largest definition that the other limits allow (64 steps, each with four
 * full lists of events) has about 21,000. */
#define SAGA_YAML_NODES_MAX 32768
/* Of one mapping or list: bounds the search for duplicate keys. */
#define SAGA_YAML_CHILDREN_MAX 256

enum saga_yaml_kind {
    SAGA_YAML_SCALAR = 1,
    SAGA_YAML_LIST,
    SAGA_YAML_MAPPING,
};

struct saga_yaml_node {
    enum saga_yaml_kind kind;
    bool quoted; /* a scalar that is text, whatever it looks like */
    bool absent; /* a scalar that is not there: "key:" and nothing more, or null */
    struct saga_span span;
    const char *text; /* of a scalar; NUL-terminated, and may hold a NUL */
    size_t size;
    uint32_t count;                     /* children of a list, keys of a mapping */
    const struct saga_yaml_node *first; /* child or key */
    const struct saga_yaml_node *next;  /* sibling or next key */
    const struct saga_yaml_node *value; /* of a key */
};

/* Reads the report's text into its arena. NULL where the text is no YAML, or
 * not what is read here: then the report says why. A report may have grown
 * though a tree is returned (duplicate keys, tags). */
const struct saga_yaml_node *saga_yaml_read(struct saga_report *report);

/* Where an error about the whole node is shown: not all of its lines. */
struct saga_span saga_yaml_place(const struct saga_yaml_node *node);

#endif
