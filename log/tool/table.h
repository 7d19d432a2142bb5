/*
 * A table that fits the output's width.
 *
 * Hides how wide columns are: as their cells need; where that is too much, those that may
 * shrink do, their cells cut. Cells are escaped, and statuses coloured on a terminal.
 *
 * Threads: one.
 */
#ifndef SAGA_TABLE_H
#define SAGA_TABLE_H

#include "error.h"
#include "output.h"

#define SAGA_TABLE_COLUMNS_MAX 8

struct saga_column {
    const char *title;
    bool right;
    bool shrink;
    bool status; /* its cells are statuses */
};

struct saga_table;

/* `columns` stay the caller's. NULL: no memory. */
struct saga_table *saga_table_open(const struct saga_column *columns, size_t count);
void saga_table_close(struct saga_table *table);

/* Copies the cells, one for each column. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_table_add(struct saga_table *table, const char *const *cells,
                                            struct saga_fault *fault);

/* Prints the rows that were added, and forgets them; titles before the first of all. */
void saga_table_print(struct saga_table *table, const struct saga_output *output);

/* How many rows it holds. */
size_t saga_table_rows(const struct saga_table *table);

/* Writes a status, in its colour where the output has colours. */
void saga_table_status(const struct saga_output *output, const char *status);

#endif
