#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define GAP       2
#define NARROWEST 8 /* what a column that shrinks keeps */

struct saga_table {
    const struct saga_column *columns;
    size_t column_count;
    size_t widths[SAGA_TABLE_COLUMNS_MAX]; /* of those that were printed, too: rows stay in line */
    char **cells;                          /* owned; escaped */
    size_t cell_count, cell_room;
    bool titled;
};

struct saga_table *saga_table_open(const struct saga_column *columns, size_t count) {
    assert(count > 0 && count <= SAGA_TABLE_COLUMNS_MAX);
    struct saga_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->columns = columns;
    table->column_count = count;
    for (size_t i = 0; i < count; i++) {
        table->widths[i] = strlen(columns[i].title);
    }
    return table;
}

static void forget(struct saga_table *table) {
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i]);
    }
    table->cell_count = 0;
}

void saga_table_close(struct saga_table *table) {
    if (table != NULL) {
        forget(table);
        free(table->cells);
        free(table);
    }
}

size_t saga_table_rows(const struct saga_table *table) {
    return table->cell_count / table->column_count;
}

/* malloc'd; NULL: no memory. */
static char *escaped(const char *text, size_t columns) {
    char *whole = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&whole, &size);
    if (memory == NULL) {
        return NULL;
    }
    saga_escape(memory, text, strlen(text), columns);
    if (fclose(memory) != 0) {
        free(whole);
        return NULL;
    }
    return whole;
}

static bool make_room(struct saga_table *table) {
    if (table->cell_count + table->column_count <= table->cell_room) {
        return true;
    }
    const size_t room = 2 * table->cell_room + 64 * table->column_count;
    char **grown = reallocarray(table->cells, room, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    table->cells = grown;
    table->cell_room = room;
    return true;
}

enum saga_error saga_table_add(struct saga_table *table, const char *const *cells,
                               struct saga_fault *fault) {
    bool whole = make_room(table);
    for (size_t i = 0; i < table->column_count && whole; i++) {
        char *cell = escaped(cells[i], SAGA_COLUMNS_ALL);
        whole = cell != NULL;
        if (whole) {
            const size_t width = saga_escape_width(cell);
            table->cells[table->cell_count++] = cell;
            table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        }
    }
    return whole ? SAGA_OK : saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a table");
}

/* ---------------------------------------------------------------- printing */

static const char *colour_of(const char *status) {
    static const struct {
        const char *colour;
        const char *statuses[7];
    } colours[] = {
        {"32", {"completed", "completed_manually", "done", "ok"}},
        {"33", {"compensated", "compensated_manually", "rejected", "fenced"}},
        {"31", {"parked", "quarantined", "inconsistent", "debt", "unknown", "damaged"}},
        {"36", {"running", "compensating", "fencing"}},
    };
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        for (size_t j = 0; j < 7 && colours[i].statuses[j] != NULL; j++) {
            if (strcmp(colours[i].statuses[j], status) == 0) {
                return colours[i].colour;
            }
        }
    }
    return NULL;
}

void saga_table_status(const struct saga_output *output, const char *status) {
    const char *colour = output->colour ? colour_of(status) : NULL;
    if (colour != NULL) {
        (void)fprintf(output->file, "\033[%sm%s\033[0m", colour, status);
    } else {
        (void)fputs(status, output->file);
    }
}

/* Takes from those that may shrink, the widest first, until the rest fits. */
static void fit(const struct saga_table *table, size_t room, size_t *widths) {
    size_t whole = GAP * (table->column_count - 1);
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = table->widths[i];
        whole += widths[i];
    }
    while (room != 0 && whole > room) {
        size_t widest = table->column_count;
        for (size_t i = 0; i < table->column_count; i++) {
            if (table->columns[i].shrink && widths[i] > NARROWEST &&
                (widest == table->column_count || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (widest == table->column_count) {
            return;
        }
        widths[widest]--;
        whole--;
    }
}

static void pad(FILE *out, size_t count) {
    (void)fprintf(out, "%*s", (int)count, "");
}

static void print_cell(const struct saga_table *table, const struct saga_output *output,
                       size_t column, size_t width, const char *cell, bool title) {
    const bool last = column + 1 == table->column_count;
    char *cut = saga_escape_width(cell) > width ? escaped(cell, width) : NULL;
    const char *shown = cut != NULL ? cut : cell;
    const size_t shown_width = saga_escape_width(shown);
    const size_t space = shown_width < width ? width - shown_width : 0;
    if (table->columns[column].right) {
        pad(output->file, space);
    }
    if (table->columns[column].status && !title) {
        saga_table_status(output, shown);
    } else {
        (void)fputs(shown, output->file);
    }
    if (!last) {
        pad(output->file, GAP + (table->columns[column].right ? 0 : space));
    }
    free(cut);
}

static void print_row(const struct saga_table *table, const struct saga_output *output,
                      const size_t *widths, const char *const *cells, bool title) {
    for (size_t i = 0; i < table->column_count; i++) {
        print_cell(table, output, i, widths[i], cells[i], title);
    }
    (void)fputc('\n', output->file);
}

void saga_table_print(struct saga_table *table, const struct saga_output *output) {
    size_t widths[SAGA_TABLE_COLUMNS_MAX];
    fit(table, output->columns, widths);
    if (!table->titled) {
        const char *titles[SAGA_TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < table->column_count; i++) {
            titles[i] = table->columns[i].title;
        }
        print_row(table, output, widths, titles, true);
        table->titled = true;
    }
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count) {
        print_row(table, output, widths, (const char *const *)&table->cells[i], false);
    }
    forget(table);
}
