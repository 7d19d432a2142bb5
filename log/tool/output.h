/*
 * What the tool prints, held back until it may be slow.
 *
 * Hides standard output. Whoever reads it may stop reading (a pager), and
 * while a view of the log is open the daemon cannot reuse pages: so everything
 * is printed into memory, and written out only where no view is open.
 *
 * Threads: one.
 */
#ifndef SAGA_OUTPUT_H
#define SAGA_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "error.h"

struct saga_output {
    FILE *file;     /* print here; stays the output's */
    bool gone;      /* nobody reads standard output any more */
    size_t columns; /* the width that lines are to have; 0: any */
    bool colour;    /* it is a terminal that wants colours */
    /* How long somebody may read nothing of what is written, because a view is open all the same;
     * 0: as long as they like. */
    int patience_ms;
    char *bytes;
    size_t size;
};

/* Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_output_open(struct saga_output *output, struct saga_fault *fault);
void saga_output_close(struct saga_output *output);

/* True if it holds enough to be worth writing: close your view, and flush. */
SAGA_CHECKED bool saga_output_full(const struct saga_output *output);

/* Writes out what was printed. Errors: FAILED (the system's error, or nobody
 * reads any more, which `gone` says: no reason to complain), TIMEOUT (patience is over). */
SAGA_CHECKED enum saga_error saga_output_flush(struct saga_output *output,
                                               struct saga_fault *fault);

/* Prints one line of JSON; takes the reference. NULL, and no memory for the
 * text: FAILED. */
SAGA_CHECKED enum saga_error saga_output_json(struct saga_output *output, json_t *json,
                                              struct saga_fault *fault);

#endif
