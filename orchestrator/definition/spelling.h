/*
 * Spelling: which name was probably meant.
 *
 * Hides how alike two names are (Levenshtein's distance).
 *
 * Threads: no state.
 */
#ifndef SAGA_SPELLING_H
#define SAGA_SPELLING_H

#include <stddef.h>

/* The name of `names` nearest to `text`, at most two letters away and less
 * than half of it; NULL where none is. Names that are NULL are skipped. */
const char *saga_spelling_nearest(const char *text, const char *const *names, size_t count);

#endif
