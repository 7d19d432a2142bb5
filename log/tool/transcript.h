/*
 * A saga's transcript: its story in lines, one for each decision.
 *
 *     saga 0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b  booking version 1
 *     compensated (rejected), started 2024-06-11T09:30:00.125Z, 11 records over 3.2 s
 *
 *        +0.000 s  started with {"total":10000} -> create: booking.create
 *        +0.012 s  create#1 done BOOKING_CREATED -> block: parking.block
 *
 * Hides how lines are broken where they are longer than the output is wide.
 *
 * Threads: one.
 */
#ifndef SAGA_TRANSCRIPT_H
#define SAGA_TRANSCRIPT_H

#include <stdio.h>

#include "story.h"

/* Writes it, lines broken at `columns` (0: nowhere). Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_transcript_write(FILE *out, const struct saga_story *story,
                                                   size_t columns, struct saga_fault *fault);

#endif
