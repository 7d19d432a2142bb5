/*
 * The command line of sagad.
 *
 * Hides glibc's argp.
 *
 * Threads: once, at the start.
 */
#ifndef SAGA_ARGUMENTS_H
#define SAGA_ARGUMENTS_H

#include "setting.h"

struct saga_arguments {
    bool dev;
    const char *config_file;                   /* NULL: not given */
    const char *texts[SAGA_SETTING_COUNT + 1]; /* NULL: not given; parts of argv */
    struct saga_participant_switches switches; /* dev */
};

/* Ends the process where the command line is wrong (2) or asks for help (0). */
void saga_arguments_parse(struct saga_arguments *arguments, int argc, char **argv);

#endif
