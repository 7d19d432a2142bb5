#include "spelling.h"

#include <string.h>

#define LETTERS_MAX  64 /* longer names are not guessed at */
#define DISTANCE_MAX 2

static size_t least(size_t a, size_t b, size_t c) {
    size_t both = a < b ? a : b;
    return both < c ? both : c;
}

/* One row of the table at a time: row[j] is the distance of the letters of `a`
 * so far to the first j letters of `b`. */
static size_t distance(const char *a, const char *b) {
    size_t row[LETTERS_MAX + 1];
    size_t length = strlen(b);
    for (size_t j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t above = row[j + 1];
            row[j + 1] = least(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[length];
}

const char *saga_spelling_nearest(const char *text, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t nearest_distance = DISTANCE_MAX + 1;
    size_t length = strlen(text);
    if (length > LETTERS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (names[i] == NULL || strlen(names[i]) > LETTERS_MAX) {
            continue;
        }
        size_t apart = distance(text, names[i]);
        if (apart < nearest_distance && apart * 2 < strlen(names[i])) {
            nearest = names[i];
            nearest_distance = apart;
        }
    }
    return nearest;
}
