/*
 * An export, read back as docs/sagalog.md describes it, by nothing that sagalog reads it with.
 *
 * Failures end the test (Check).
 *
 * Threads: no state.
 */
#ifndef SAGA_EXPORT_READING_H
#define SAGA_EXPORT_READING_H

#include <jansson.h>

#include "saga.h"

/* The next line; *text is behind it, then. */
json_t *export_next(const char **text);

/* The record that a line says; its bytes are malloc'd. */
struct saga_record export_record(const json_t *json);
void export_record_free(struct saga_record *record);

#endif
