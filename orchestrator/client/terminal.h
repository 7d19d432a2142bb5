/*
 * What sagactl prints for people: tables that fit, colours where they are wanted,
 * and no control character that came from elsewhere.
 *
 * Threads: one.
 */
#ifndef SAGA_TERMINAL_H
#define SAGA_TERMINAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of compact JSON on standard output. Takes `json` over. */
void saga_terminal_json(json_t *json);

/* Prints text with what could steer a terminal escaped. */
void saga_terminal_text(const char *text);

/* The same, in the colour of a saga's or a step's status, at least `width` wide. */
void saga_terminal_status(const char *status, size_t width);

struct saga_table;

struct saga_column {
    const char *title;
    bool right;  /* aligned */
    bool status; /* in its colour */
    bool shrink; /* if the terminal is too narrow */
};

/* A table with these columns (borrowed); its cells are copied. */
struct saga_table *saga_table_open(const struct saga_column *columns, size_t count);
void saga_table_add(struct saga_table *table, const char *const *cells);
/* Prints and frees it. */
void saga_table_print(struct saga_table *table);

#define SAGA_AGE_TEXT_SIZE 32

/* "3m ago" for an RFC 3339 time; the time itself if it is none. */
const char *saga_terminal_age(const char *time, char text[SAGA_AGE_TEXT_SIZE]);

/* The ms since 1970 of an RFC 3339 time in UTC; -1: it is none. */
int64_t saga_terminal_time(const char *time);

#endif
