#include "registry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct saga_registry {
    uint32_t definitions_max;
    uint32_t participants_max;
    _Atomic uint32_t count; /* published after the entry is complete */
    uint32_t participant_count;
    uint32_t current_count;
    struct saga_definition **definitions; /* in the order of the log */
    const struct saga_definition **current;
    const char **participants; /* the definitions' own texts */
};

struct saga_registry *saga_registry_open(uint32_t definitions_max, uint32_t participants_max) {
    struct saga_registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL) {
        return NULL;
    }
    registry->definitions_max = definitions_max;
    registry->participants_max = participants_max;
    registry->definitions = calloc(definitions_max, sizeof *registry->definitions);
    registry->current = calloc(definitions_max, sizeof *registry->current);
    registry->participants = calloc(participants_max, sizeof *registry->participants);
    if (registry->definitions == NULL || registry->current == NULL ||
        registry->participants == NULL) {
        saga_registry_close(registry);
        return NULL;
    }
    return registry;
}

void saga_registry_close(struct saga_registry *registry) {
    if (registry != NULL) {
        for (uint32_t i = 0; registry->definitions != NULL && i < registry->count; i++) {
            saga_definition_free(registry->definitions[i]);
        }
        free(registry->definitions);
        free(registry->current);
        free(registry->participants);
        free(registry);
    }
}

/* False: no room for another participant. */
static bool number_of(struct saga_registry *registry, const char *name, uint16_t *number) {
    for (uint32_t i = 0; i < registry->participant_count; i++) {
        if (strcmp(registry->participants[i], name) == 0) {
            *number = (uint16_t)i;
            return true;
        }
    }
    if (registry->participant_count == registry->participants_max) {
        return false;
    }
    *number = (uint16_t)registry->participant_count;
    registry->participants[registry->participant_count++] = name;
    return true;
}

enum saga_error saga_registry_add(struct saga_registry *registry,
                                  struct saga_definition *definition, uint64_t definition_lsn,
                                  struct saga_fault *fault) {
    if (registry->count == registry->definitions_max) {
        return saga_fault_set(fault, SAGA_ERROR_FULL,
                              "this log has %u definitions already, its limit (plans_max)",
                              registry->definitions_max);
    }
    const uint32_t before = registry->participant_count;
    for (uint8_t i = 0; i < definition->plan.step_count; i++) {
        const char *name = definition->participants[definition->steps[i].participant].name;
        if (!number_of(registry, name, &definition->plan.steps[i].participant)) {
            registry->participant_count = before; /* the names are the definition's own */
            return saga_fault_set(fault, SAGA_ERROR_FULL,
                                  "participant '%s' of saga '%s' is one more than the limit of %u",
                                  name, definition->name, registry->participants_max);
        }
    }
    definition->plan.definition_lsn = definition_lsn;
    registry->definitions[registry->count] = definition;
    atomic_fetch_add(&registry->count, 1);
    return SAGA_OK;
}

const struct saga_definition *saga_registry_at(const struct saga_registry *registry,
                                               uint64_t definition_lsn) {
    uint32_t low = 0;
    uint32_t high = registry->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (registry->definitions[middle]->plan.definition_lsn < definition_lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < registry->count &&
        registry->definitions[low]->plan.definition_lsn == definition_lsn) {
        return registry->definitions[low];
    }
    return NULL;
}

const struct saga_definition *saga_registry_by_hash(const struct saga_registry *registry,
                                                    const char *hash) {
    for (uint32_t i = 0; i < registry->count; i++) {
        if (strcmp(registry->definitions[i]->hash, hash) == 0) {
            return registry->definitions[i];
        }
    }
    return NULL;
}

const struct saga_definition *saga_registry_current(const struct saga_registry *registry,
                                                    const char *name) {
    for (uint32_t i = 0; i < registry->current_count; i++) {
        if (strcmp(registry->current[i]->name, name) == 0) {
            return registry->current[i];
        }
    }
    return NULL;
}

void saga_registry_make_current(struct saga_registry *registry,
                                const struct saga_definition *definition) {
    for (uint32_t i = 0; i < registry->current_count; i++) {
        if (strcmp(registry->current[i]->name, definition->name) == 0) {
            registry->current[i] = definition;
            return;
        }
    }
    registry->current[registry->current_count++] = definition;
}

const struct saga_definition *saga_registry_nth(const struct saga_registry *registry,
                                                uint32_t index) {
    return registry->definitions[index];
}

uint32_t saga_registry_count(const struct saga_registry *registry) {
    return registry->count;
}

void saga_registry_names(const struct saga_registry *registry, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < registry->current_count && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ",
                            registry->current[i]->name);
        used += more > 0 ? (size_t)more : 0;
    }
}
