/*
 * A draft: a definition as it was read, with the place of everything in it.
 *
 * Made in two passes: saga_draft_read() takes every value by itself,
 * saga_draft_check() looks at the saga as a whole. Both report whatever is
 * wrong and go on, so that one run finds all of it.
 *
 * Threads: a draft belongs to whoever reads it.
 */
#ifndef SAGA_DRAFT_H
#define SAGA_DRAFT_H

#include "yaml.h"

/* Of one list of events. */
#define SAGA_DRAFT_EVENTS_MAX  64
#define SAGA_DRAFT_HEADERS_MAX 32

enum saga_draft_key {
    SAGA_KEY_NAME,
    SAGA_KEY_COMMAND,
    SAGA_KEY_DONE,
    SAGA_KEY_REJECTED,
    SAGA_KEY_COMPENSATION,
    SAGA_KEY_COMPENSATED_BY,
    SAGA_KEY_NO_EFFECT,
    SAGA_KEY_PIVOT,
    SAGA_KEY_TIMEOUT,
    SAGA_KEY_DEADLINE,
    SAGA_KEY_RETRY,
    SAGA_KEY_ON_UNKNOWN,
    SAGA_KEY_COUNT,
};

struct saga_draft_command {
    const struct saga_yaml_node *key;          /* `command`; NULL: not there */
    const char *name;                          /* NULL: not there, or not usable */
    const char *participant;                   /* of the name: what stands before its first dot */
    const char *const *done, *const *rejected; /* NULL-terminated */
};

struct saga_draft_step {
    const struct saga_yaml_node *node;
    const struct saga_yaml_node *keys[SAGA_KEY_COUNT]; /* NULL: not there */
    const char *name;                                  /* NULL: not there, or not usable */
    const char *compensated_by;                        /* likewise */
    struct saga_draft_command action, compensation;
    bool no_effect, pivot;
    struct saga_plan_step plan;
};

struct saga_draft_participant {
    const struct saga_yaml_node *key;
    struct saga_definition_participant declared;
    bool used;
    bool broken; /* its declaration is wrong: nothing follows from it */
};

struct saga_draft {
    const char *name;
    uint32_t version;
    const char *exchange; /* NULL: not said */
    int64_t deadline_ms;
    const char **header_names, **header_values; /* NULL-terminated */
    bool participants_listed;
    uint16_t participant_count;
    struct saga_draft_participant participants[SAGA_YAML_CHILDREN_MAX];
    struct saga_budget defaults;
    enum saga_on_unknown on_unknown;
    uint8_t step_count;
    uint8_t pivot; /* a step, or SAGA_STEP_NONE */
    struct saga_draft_step steps[SAGA_STEPS_MAX];
};

/* "fence", ...: the word for an enum saga_on_unknown is names[value - 1]. */
extern const char *const saga_on_unknown_names[3];

/* The tree's values into `draft` (zeroed). Texts stay the tree's. */
void saga_draft_read(struct saga_report *report, const struct saga_yaml_node *root,
                     struct saga_draft *draft);

/* The rules that concern more than one value; fills in what follows from the
 * whole: participants, positions, who undoes what. */
void saga_draft_check(struct saga_report *report, struct saga_draft *draft);

#endif
