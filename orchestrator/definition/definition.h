/*
 * A saga's definition: YAML, checked, with every default written out.
 *
 * Hides libfyaml, and the rules of a definition (docs/definition.md). What the
 * log keeps of a definition is its canonical form: the same keys as JSON, with
 * every default explicit, which is read back by the same parser. So a running
 * saga never depends on the defaults of the version that recovers it.
 *
 * Threads: a loaded definition never changes; any thread may read it.
 */
#ifndef SAGA_DEFINITION_H
#define SAGA_DEFINITION_H

#include "error.h"
#include "saga.h"

#define SAGA_NAME_BYTES_MAX       128
#define SAGA_DEFINITION_BYTES_MAX (256u << 10)

struct saga_definition_participant {
    const char *name;
    bool fenced;
    bool single_delivery;
};

/* The events that a participant may answer with, beside the words of the
 * protocol. NULL-terminated lists. */
struct saga_definition_command {
    const char *name; /* "parking.block"; NULL: the step has no such command */
    const char *const *done;
    const char *const *rejected;
};

struct saga_definition_step {
    const char *name;
    uint16_t participant; /* index into participants[] */
    struct saga_definition_command action;
    struct saga_definition_command compensation;
    const char *fence;  /* "<service>.fence", NULL where the participant keeps none */
    const char *settle; /* "<service>.settle", likewise */
};

struct saga_definition {
    const char *name;
    uint32_t version;
    const char *exchange;            /* NULL: the transport's default */
    const char *const *header_names; /* NULL-terminated; e.g. CLIENT */
    const char *const *header_values;
    uint16_t participant_count;
    const struct saga_definition_participant *participants;
    const struct saga_definition_step *steps; /* plan.step_count of them */
    struct saga_plan plan; /* participant numbers are indices into participants[] until the
                              engine gives its own; definition_lsn 0 */
    const char *canonical; /* the canonical form, NUL-terminated */
    size_t canonical_size;
    char hash[33]; /* XXH3-128 of the canonical form, lower-case hex */
};

/* One thing that is wrong. Texts are owned by the list. */
struct saga_diagnostic {
    unsigned line, column; /* from 1 */
    const char *message;   /* "unknown key 'timout'" */
    const char *hint;      /* "did you mean 'timeout'?", or NULL */
    const char *excerpt;   /* the line, and a caret under the place; two lines, or NULL */
};

struct saga_diagnostics {
    size_t count;
    struct saga_diagnostic *items;
};
void saga_diagnostics_free(struct saga_diagnostics *diagnostics);

/* Prints them as compilers do: "file:line:col: error: message", excerpt, hint.
 * Returns a malloc'd text. */
char *saga_diagnostics_text(const struct saga_diagnostics *diagnostics, const char *file);

/* Reads a definition; keeps nothing of `text`. On SAGA_OK *definition is the
 * caller's, to be freed, its plan passes saga_plan_check(), and `diagnostics`
 * is empty; on INVALID *definition is NULL, and `diagnostics` (uninitialised
 * before) has every error found, in the order of the file: the first hundred,
 * and one more that counts the rest. */
SAGA_CHECKED enum saga_error saga_definition_parse(const char *text, size_t size,
                                                   struct saga_definition **definition,
                                                   struct saga_diagnostics *diagnostics);
void saga_definition_free(struct saga_definition *definition);

/* The verdict that an event name, or a word of the protocol (done, rejected,
 * accepted, retry, fenced, noop), means as the answer to this command;
 * SAGA_UNKNOWN where the definition does not list it. `event` need not be
 * NUL-terminated. */
enum saga_verdict saga_definition_verdict(const struct saga_definition *definition, uint8_t step,
                                          enum saga_operation operation, const char *event,
                                          size_t size);

/* The step of this name; SAGA_STEP_NONE: there is none. */
uint8_t saga_definition_step(const struct saga_definition *definition,
                             const struct saga_bytes *name);

/* The command's name: action, compensation, fence or settle of a step. */
const char *saga_definition_command_name(const struct saga_definition *definition, uint8_t step,
                                         enum saga_operation operation);

#endif
