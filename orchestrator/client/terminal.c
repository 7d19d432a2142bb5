#include "terminal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

/* No memory for a line of text: there is nothing better to do than to say so. */
static void *checked(void *memory) {
    if (memory == NULL) {
        (void)fputs("sagactl: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

void saga_terminal_json(json_t *json) {
    size_t size;
    char *text = checked(saga_json_text(checked(json), &size));
    (void)puts(text);
    free(text);
    json_decref(json);
}

/* ----------------------------------------------------------------------- text */

/* C0, DEL, and C1 (which begin with 0xc2 in UTF-8): a payload may hold them. */
void saga_terminal_text(const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (c1) {
            c++;
        }
        if (c1 || *c < 0x20 || *c == 0x7f) {
            (void)printf("\\u%04x", *c);
        } else {
            (void)putchar(*c);
        }
    }
}

static bool colours(void) {
    const char *no = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return (no == NULL || *no == '\0') && isatty(STDOUT_FILENO) && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

static const char *colour_of(const char *status) {
    static const struct {
        const char *status;
        const char *colour;
    } table[] = {
        {"completed", "32"},
        {"completed_manually", "32"},
        {"done", "32"},
        {"compensated", "33"},
        {"compensated_manually", "33"},
        {"rejected", "33"},
        {"fenced", "33"},
        {"parked", "31"},
        {"quarantined", "31"},
        {"inconsistent", "31"},
        {"debt", "31"},
        {"unknown", "31"},
        {"running", "36"},
        {"compensating", "36"},
        {"fencing", "36"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].status, status) == 0) {
            return table[i].colour;
        }
    }
    return NULL;
}

void saga_terminal_status(const char *status, size_t width) {
    const char *colour = colours() ? colour_of(status) : NULL;
    if (colour != NULL) {
        (void)printf("\033[%sm", colour);
    }
    saga_terminal_text(status);
    if (colour != NULL) {
        (void)printf("\033[0m");
    }
    for (size_t i = strlen(status); i < width; i++) {
        (void)putchar(' ');
    }
}

/* ---------------------------------------------------------------------- tables */

#define COLUMNS_MAX 8
#define GAP         2
#define NARROWEST   8 /* what a shrunk column keeps */

struct saga_table {
    const struct saga_column *columns;
    size_t column_count;
    size_t widths[COLUMNS_MAX];
    char **cells;
    size_t cell_count;
    size_t cell_room;
};

/* Names and numbers are ASCII (docs/definition.md): a byte is a column. */
struct saga_table *saga_table_open(const struct saga_column *columns, size_t count) {
    assert(count > 0 && count <= COLUMNS_MAX);
    struct saga_table *table = checked(calloc(1, sizeof *table));
    table->columns = columns;
    table->column_count = count;
    for (size_t i = 0; i < count; i++) {
        table->widths[i] = strlen(columns[i].title);
    }
    return table;
}

void saga_table_add(struct saga_table *table, const char *const *cells) {
    if (table->cell_count + table->column_count > table->cell_room) {
        table->cell_room = table->cell_room * 2 + 16 * table->column_count;
        table->cells = checked(reallocarray(table->cells, table->cell_room, sizeof *table->cells));
    }
    for (size_t i = 0; i < table->column_count; i++) {
        const size_t size = strlen(cells[i]);
        table->widths[i] = size > table->widths[i] ? size : table->widths[i];
        table->cells[table->cell_count++] = checked(strdup(cells[i]));
    }
}

static size_t terminal_width(void) {
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    const long wanted = columns != NULL ? strtol(columns, NULL, 10) : 0;
    if (!isatty(STDOUT_FILENO)) {
        return SIZE_MAX; /* a file has room */
    }
    if (wanted > 0) {
        return (size_t)wanted;
    }
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void fit(struct saga_table *table) {
    const size_t room = terminal_width();
    size_t whole = GAP * (table->column_count - 1);
    for (size_t i = 0; i < table->column_count; i++) {
        whole += table->widths[i];
    }
    for (size_t i = 0; i < table->column_count && whole > room; i++) {
        const size_t spare = table->widths[i] > NARROWEST ? table->widths[i] - NARROWEST : 0;
        const size_t cut = whole - room < spare ? whole - room : spare;
        if (table->columns[i].shrink) {
            table->widths[i] -= cut;
            whole -= cut;
        }
    }
}

static void print_cell(const struct saga_table *table, size_t column, const char *cell) {
    const size_t width = table->widths[column];
    const size_t size = strlen(cell);
    const bool last = column == table->column_count - 1;
    if (size > width) {
        (void)printf("%.*s...", (int)width - 3, cell);
    } else if (table->columns[column].right) {
        (void)printf("%*s", (int)width, cell);
    } else if (table->columns[column].status) {
        saga_terminal_status(cell, last ? 0 : width);
    } else {
        (void)printf("%-*s", last ? 0 : (int)width, cell);
    }
    (void)fputs(last ? "\n" : "  ", stdout);
}

void saga_table_print(struct saga_table *table) {
    fit(table);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct saga_column *column = &table->columns[i];
        const bool last = i == table->column_count - 1;
        (void)printf("%*s%s",
                     column->right || last ? (int)table->widths[i] * column->right
                                           : -(int)table->widths[i],
                     column->title, last ? "\n" : "  ");
    }
    for (size_t i = 0; i < table->cell_count;) {
        for (size_t column = 0; column < table->column_count; column++, i++) {
            print_cell(table, column, table->cells[i]);
            free(table->cells[i]);
        }
    }
    free(table->cells);
    free(table);
}

/* ----------------------------------------------------------------------- times */

int64_t saga_terminal_time(const char *time) {
    struct tm utc = {0};
    const char *fraction = strptime(time, "%Y-%m-%dT%H:%M:%S", &utc);
    char *end;
    if (fraction == NULL || *fraction != '.') {
        return -1;
    }
    const long ms = strtol(fraction + 1, &end, 10);
    return end - fraction == 4 && strcmp(end, "Z") == 0 ? (int64_t)timegm(&utc) * 1000 + ms : -1;
}

const char *saga_terminal_age(const char *text_of_time, char text[SAGA_AGE_TEXT_SIZE]) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    struct timespec now;
    const int64_t then_ms = saga_terminal_time(text_of_time);
    if (then_ms < 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) {
        (void)snprintf(text, SAGA_AGE_TEXT_SIZE, "%s", text_of_time);
        return text;
    }
    const int64_t age_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - then_ms;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (age_ms >= units[i].ms) {
            (void)snprintf(text, SAGA_AGE_TEXT_SIZE, "%d%s ago", (int)(age_ms / units[i].ms),
                           units[i].unit);
            return text;
        }
    }
    return "now";
}
