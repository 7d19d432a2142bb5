/*
 * The lines before participants: sagas that wait, after silence, to be sent to one of them
 * again. A saga stands in one line at a time, and leaves it from any place. Inside the core; no
 * threads.
 */
#ifndef SAGA_LINES_H
#define SAGA_LINES_H

#include "places.h"

struct saga_line {
    uint32_t first; /* number + 1; 0: nobody waits */
    uint32_t last;
};

struct saga_lines {
    struct saga_line *lines; /* by participant */
    const struct saga_places *places;
};

/* lines: zeroed, one for each participant. */
void saga_lines_init(struct saga_lines *lines, struct saga_line *memory,
                     const struct saga_places *places);

/* To the end of the line, unless it stands in one already. */
void saga_lines_join(struct saga_lines *lines, struct saga_place *place, uint16_t participant);

/* Out of the line it stands in, if it does. */
void saga_lines_leave(struct saga_lines *lines, struct saga_place *place);

/* Who has waited longest; NULL: nobody waits. */
struct saga_place *saga_lines_first(const struct saga_lines *lines, uint16_t participant);

#endif
