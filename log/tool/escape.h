/*
 * Texts from outside, written so that no terminal does what they say.
 *
 * Hides what a terminal may act on: control characters, bytes that are no
 * UTF-8, and characters that are not seen themselves but change what is seen
 * (the direction of writing, width zero).
 *
 * Threads: no state.
 */
#ifndef SAGA_ESCAPE_H
#define SAGA_ESCAPE_H

#include <stdio.h>

/* No limit of columns. */
#define SAGA_COLUMNS_ALL ((size_t)-1)

/* Writes `text`: characters that are safe as they are, others as \u{202e},
 * bytes that are no UTF-8 as \xff. At most `columns` (at least 8) characters;
 * a text that was cut ends in "...". It is for eyes, not for reading back. */
void saga_escape(FILE *out, const char *text, size_t size, size_t columns);

/* Writes a JSON text, which has such characters in its strings only, with them as
 * \u202e: the same JSON, and a terminal does nothing with it. */
void saga_escape_json(FILE *out, const char *json, size_t size);

/* How many characters there are in a text that saga_escape() wrote. */
size_t saga_escape_width(const char *text);

#endif
