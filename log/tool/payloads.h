/*
 * The payloads of a transcript's line, shown below it.
 *
 * Threads: one.
 */
#ifndef SAGA_PAYLOADS_H
#define SAGA_PAYLOADS_H

#include <stdio.h>

#include "definition.h"
#include "error.h"

/* Zeroed: none. */
struct saga_payloads {
    char *text; /* owned */
    size_t size;
};

/* Adds what a record has; nothing where it has none. `definition` may be NULL. Errors: FAILED
 * (memory). */
SAGA_CHECKED enum saga_error saga_payloads_add(struct saga_payloads *payloads,
                                               const struct saga_record *record,
                                               const struct saga_definition *definition,
                                               struct saga_fault *fault);

/* Prints them, and forgets them. */
void saga_payloads_print(struct saga_payloads *payloads, FILE *out);
void saga_payloads_fini(struct saga_payloads *payloads);

#endif
