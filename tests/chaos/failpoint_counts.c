#include "failpoint_counts.h"

#include <string.h>

static const char *const kinds[SAGA_FAILPOINT_KIND_COUNT + 1] = {
    [SAGA_FAILPOINT_START] = "start",       [SAGA_FAILPOINT_COMMAND] = "command",
    [SAGA_FAILPOINT_REPLY] = "reply",       [SAGA_FAILPOINT_COMPENSATION] = "compensation",
    [SAGA_FAILPOINT_RECOVERY] = "recovery",
};

static const char *const places[SAGA_FAILPOINT_PLACE_COUNT + 1] = {
    [SAGA_FAILPOINT_BEFORE_APPEND] = "before_append",
    [SAGA_FAILPOINT_AFTER_APPEND] = "after_append",
    [SAGA_FAILPOINT_AFTER_COMMIT] = "after_commit",
    [SAGA_FAILPOINT_AFTER_SEND] = "after_send",
};

static unsigned find(const char *const *names, unsigned count, const char *name) {
    for (unsigned i = 1; i <= count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return 0;
}

const char *failpoint_kind_name(unsigned kind) {
    return kinds[kind];
}

const char *failpoint_place_name(unsigned place) {
    return places[place];
}

unsigned failpoint_kind_number(const char *name) {
    return find(kinds, SAGA_FAILPOINT_KIND_COUNT, name);
}

unsigned failpoint_place_number(const char *name) {
    return find(places, SAGA_FAILPOINT_PLACE_COUNT, name);
}
