/*
 * A saga's transcript: its story in lines, one for each decision.
 *
 *     saga 0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b  booking version 1
 *     compensated (rejected), started 2024-06-11T09:30:00.125Z, 11 records over 3.2 s
 *
 *      +0.000 s  09:30:00.125 >    started with {"total":10000} -> create: booking.create
 *      +0.012 s  09:30:00.137 >    create#1 done BOOKING_CREATED -> block: parking.block
 *      +0.025 s  09:30:00.150  \   block#1 rejected PARKING_UNAVAILABLE -> go back (rejected),
 *                                  compensate create: booking.reject
 *      +0.040 s  09:30:00.165   <  create#1 compensation done BOOKING_REJECTED -> compensated
 *
 * What goes forward is in the lane of >, compensation in that of <, and a decision that turns the
 * saga back is between them.
 *
 * Hides how lines are broken where they are longer than the output is wide.
 *
 * Threads: one.
 */
#ifndef SAGA_TRANSCRIPT_H
#define SAGA_TRANSCRIPT_H

#include "output.h"
#include "story.h"

struct saga_transcript_style {
    bool payloads; /* whole ones, below the lines that they belong to */
    bool secrets;  /* masked nowhere (mask.h) */
};

/* Prints it, lines broken at the output's width. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_transcript_write(const struct saga_output *output,
                                                   const struct saga_story *story,
                                                   const struct saga_transcript_style *style,
                                                   struct saga_fault *fault);

#endif
