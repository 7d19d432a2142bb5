/*
 * The configuration file: a YAML mapping of settings.
 *
 * Threads: no state.
 */
#ifndef SAGA_CONFIG_FILE_H
#define SAGA_CONFIG_FILE_H

#include "setting.h"

/* Puts what the file says into the configuration; data_dir and listen and so on by
 * their keys. What is wrong is printed on standard error as compilers do. Errors:
 * NOT_FOUND (no such file), INVALID, FAILED (it cannot be read). */
SAGA_CHECKED enum saga_error saga_config_file_read(struct saga_config *config, const char *path,
                                                   struct saga_fault *fault);

#endif
