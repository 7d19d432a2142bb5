/*
 * What `sagad dev` does for the person who tries it: a directory to work in, and
 * what to do next.
 *
 * Threads: one.
 */
#ifndef SAGA_PLAYGROUND_H
#define SAGA_PLAYGROUND_H

#include "config.h"

/* Sees to the data directory: makes it if it is not there; where none was given,
 * makes a temporary one. config->data_dir is absolute afterwards. Errors: FAILED. */
SAGA_CHECKED enum saga_error saga_playground_prepare(struct saga_config *config,
                                                     struct saga_fault *fault);

/* Prints on standard output where everything is, and commands to copy. */
void saga_playground_greet(const struct saga_config *config, const char *address);

#endif
