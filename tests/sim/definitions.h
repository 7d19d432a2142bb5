/*
 * Definitions, parsed once.
 *
 * Parsing is a pure function and dear (0.2 ms), and a daemon that dies often does
 * it often. So the product's calls of saga_definition_parse() are linked to this,
 * which remembers; in some seeds (sim_swarm.reparsed) it does not.
 *
 * Threads: one.
 */
#ifndef SIM_DEFINITIONS_H
#define SIM_DEFINITIONS_H

#include "definition.h"

/* Forgets those of the simulation before. */
void sim_definitions_begin(void);

/* The daemon that held them is dead. */
void sim_definitions_drop(void);

/* A definition of one's own. NULL: it cannot be read. */
struct saga_definition *sim_definition_parse(const char *text, size_t size);
void sim_definition_free(struct saga_definition *definition);

#endif
