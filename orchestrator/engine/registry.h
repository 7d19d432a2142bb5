/*
 * The registry: the definitions of a log, by where they stand in it and by
 * name, and the numbers of their participants.
 *
 * Threads: one adds; saga_registry_at() is for any.
 */
#ifndef SAGA_REGISTRY_H
#define SAGA_REGISTRY_H

#include "definition.h"
#include "error.h"

struct saga_registry;

/* Room for so many. NULL: no memory. */
struct saga_registry *saga_registry_open(uint32_t definitions_max, uint32_t participants_max);
void saga_registry_close(struct saga_registry *registry);

/* Numbers the plan's participants, sets its place in the log, and takes the
 * definition over. Errors: FULL. */
SAGA_CHECKED enum saga_error saga_registry_add(struct saga_registry *registry,
                                               struct saga_definition *definition,
                                               uint64_t definition_lsn, struct saga_fault *fault);

/* NULL: none there. */
const struct saga_definition *saga_registry_at(const struct saga_registry *registry,
                                               uint64_t definition_lsn);

/* The one with this content; NULL: none. */
const struct saga_definition *saga_registry_by_hash(const struct saga_registry *registry,
                                                    const char *hash);

/* The one that new sagas of this name are started by; NULL: none. */
const struct saga_definition *saga_registry_current(const struct saga_registry *registry,
                                                    const char *name);
void saga_registry_make_current(struct saga_registry *registry,
                                const struct saga_definition *definition);

/* Number `index` of them in the order of the log, from 0. */
const struct saga_definition *saga_registry_nth(const struct saga_registry *registry,
                                                uint32_t index);
uint32_t saga_registry_count(const struct saga_registry *registry);

/* The names that can be started, for an error's text: "a, b, c". */
void saga_registry_names(const struct saga_registry *registry, char *text, size_t size);

#endif
