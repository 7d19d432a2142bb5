/*
 * The lines of a text that is read from a file or a pipe, one after the other.
 *
 * Hides buffering, and that a line may be megabytes long, but no longer than any that makes sense.
 *
 * Threads: one.
 */
#ifndef SAGA_LINES_H
#define SAGA_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Longer than the line of any record: its bytes may take six characters each. */
#define SAGA_LINE_BYTES_MAX ((size_t)64 << 20)

struct saga_lines {
    int fd;           /* the caller's */
    uint64_t number;  /* of the line that was read last, from 1 */
    uint64_t bytes;   /* of all lines that were read */
    const char *line; /* the last one, until the next; with its line feed */
    size_t size;
    char *buffer; /* owned */
    size_t room;
    size_t begin, end; /* of what is read and not given out yet */
    bool ended;
};

void saga_lines_begin(struct saga_lines *lines, int fd);
void saga_lines_fini(struct saga_lines *lines);

/* The next line, which the text's end may cut short. Errors: NOT_FOUND (there are no more; the
 * fault is left alone), LOG_REFUSED (it is too long), FAILED (the system's error, memory). */
SAGA_CHECKED enum saga_error saga_lines_next(struct saga_lines *lines, struct saga_fault *fault);

#endif
