#include "lines.h"

void saga_lines_init(struct saga_lines *lines, struct saga_line *memory,
                     const struct saga_places *places) {
    lines->lines = memory;
    lines->places = places;
}

static struct saga_place *at(const struct saga_lines *lines, uint32_t link) {
    return saga_places_at(lines->places, link - 1);
}

void saga_lines_join(struct saga_lines *lines, struct saga_place *place, uint16_t participant) {
    if (place->line != 0) { /* one line is enough: its backoff still ends by itself */
        return;
    }
    struct saga_line *line = &lines->lines[participant];
    place->line = (uint16_t)(participant + 1);
    place->line_previous = line->last;
    if (line->last != 0) {
        at(lines, line->last)->line_next = place->number + 1;
    } else {
        line->first = place->number + 1;
    }
    line->last = place->number + 1;
}

void saga_lines_leave(struct saga_lines *lines, struct saga_place *place) {
    if (place->line == 0) {
        return;
    }
    struct saga_line *line = &lines->lines[place->line - 1];
    if (place->line_previous != 0) {
        at(lines, place->line_previous)->line_next = place->line_next;
    } else {
        line->first = place->line_next;
    }
    if (place->line_next != 0) {
        at(lines, place->line_next)->line_previous = place->line_previous;
    } else {
        line->last = place->line_previous;
    }
    place->line = 0;
    place->line_next = 0;
    place->line_previous = 0;
}

struct saga_place *saga_lines_first(const struct saga_lines *lines, uint16_t participant) {
    const uint32_t first = lines->lines[participant].first;
    return first == 0 ? NULL : at(lines, first);
}
