/*
 * A report: what is wrong with a text, found in any order.
 *
 * Hides how a place in the text becomes a line, a column and an excerpt, and
 * makes every message fit for a terminal: no control characters, valid UTF-8,
 * bounded in length and number.
 *
 * Threads: a report belongs to whoever fills it.
 */
#ifndef SAGA_REPORT_H
#define SAGA_REPORT_H

#include "arena.h"
#include "definition.h"

#include <stddef.h>
#include <stdint.h>

/* No more than this are shown; one more line says how many there are. */
#define SAGA_REPORT_SHOWN_MAX 100

/* Bytes of the text: where a caret and its tail stand. */
struct saga_span {
    uint32_t start, end;
};

struct saga_finding;

struct saga_report {
    struct saga_arena *arena; /* findings and hints live in it */
    const char *text;         /* borrowed */
    size_t size;
    size_t count;
    struct saga_finding *latest;
};

void saga_report_init(struct saga_report *report, struct saga_arena *arena, const char *text,
                      size_t size);

/* Adds one thing that is wrong at `span`. `hint` says what to do; NULL where
 * the message does. It must outlive the report. */
__attribute__((format(printf, 4, 5))) void saga_report_add(struct saga_report *report,
                                                           struct saga_span span, const char *hint,
                                                           const char *format, ...);

/* A piece of the text as a message may show it: clipped, unprintable
 * characters replaced. */
const char *saga_report_quote(struct saga_report *report, const char *text, size_t size);

/* The line of a byte, from 1. */
unsigned saga_report_line(const struct saga_report *report, size_t offset);

/* The byte at `line` and `column` (from 1); the text's end where there is none. */
size_t saga_report_offset(const struct saga_report *report, unsigned line, unsigned column);

/* All that was found, in the order of the text, as the caller's to free. */
void saga_report_emit(const struct saga_report *report, struct saga_diagnostics *diagnostics);

#endif
