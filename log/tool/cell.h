/*
 * A cell: the log is read in a process of its own.
 *
 * LMDB trusts what it maps. The log is checked before it is mapped, but a file that was made to
 * deceive, or that changes under its reader, can still fault whoever reads it, or have him
 * reckon without end. So what is read is read by a child, which can gain no privileges, and may use
 * so much memory and time and no more; its end is told by the parent, which has read nothing.
 *
 * Threads: one; none may have been started.
 */
#ifndef SAGA_CELL_H
#define SAGA_CELL_H

#include <stdbool.h>
#include <stdint.h>

struct saga_cell {
    const char *program;  /* for messages */
    const char *data_dir; /* whose log is read: a larger one may take longer */
    bool endless;         /* it waits for what comes: no limit of time */
};

/* Runs `work` in a child; returns what the process is to exit with: what `work` returned, or 7
 * where the child fell, told on standard error. Where the child was ended by somebody's signal the
 * process ends by the same. Ends with the parent. */
int saga_cell_run(const struct saga_cell *cell, int (*work)(void *context), void *context);

#endif
