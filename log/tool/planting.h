/*
 * Planting: the lines of an export, one after the other, become a log.
 *
 * Hides what may follow what, and that nothing is taken that no log could have said: positions
 * without gaps, epochs that do not go back, rows in order and of a format that is known. The log
 * stands beside its place until the last line was taken (graft.h).
 *
 * Threads: one.
 */
#ifndef SAGA_PLANTING_H
#define SAGA_PLANTING_H

#include "error.h"
#include "export_line.h"

struct saga_planting;

/* NULL: no memory. `data_dir` is the caller's, and outlives it; `map_bytes_max`: of the log, 0: as
 * by default. */
struct saga_planting *saga_planting_open(const char *data_dir, uint64_t map_bytes_max);

/* Removes what was not finished. */
void saga_planting_close(struct saga_planting *planting);

/* Takes the next line. Errors: LOG_REFUSED (it cannot be: why, without a full stop), and those of a
 * graft, as it says them. After an error only close may follow. */
SAGA_CHECKED enum saga_error saga_planting_take(struct saga_planting *planting, const char *line,
                                                size_t size, struct saga_fault *fault);

/* How many records were taken, and of how many; before the first line, none of one. */
void saga_planting_progress(const struct saga_planting *planting, uint64_t *done, uint64_t *total);

/* What was imported. */
struct saga_planting_sum {
    struct saga_export_head head;
    uint64_t records; /* from its first on: all were read back */
    uint64_t older;   /* before it */
};

/* There are no more lines: the log gets its place. Errors: the same; LOG_REFUSED also where the
 * last line is missing. */
SAGA_CHECKED enum saga_error saga_planting_finish(struct saga_planting *planting,
                                                  struct saga_planting_sum *sum,
                                                  struct saga_fault *fault);

#endif
