#include "duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* From the largest, so that formatting takes the first that divides. */
static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
#define UNIT_COUNT (sizeof units / sizeof *units)

bool saga_duration_parse(const char *text, size_t size, int64_t *ms) {
    int64_t number = 0;
    size_t digits = 0;
    while (digits < size && text[digits] >= '0' && text[digits] <= '9') {
        number = number * 10 + (text[digits++] - '0');
        if (number > SAGA_TIME_MS_MAX) {
            return false;
        }
    }
    if (digits == 0) {
        return false;
    }
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        size_t length = strlen(units[i].name);
        if (size - digits == length && memcmp(text + digits, units[i].name, length) == 0) {
            if (number > SAGA_TIME_MS_MAX / units[i].ms) {
                return false;
            }
            *ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

void saga_duration_format(int64_t ms, char text[SAGA_DURATION_BYTES]) {
    size_t unit = 0;
    while (ms % units[unit].ms != 0) {
        unit++;
    }
    (void)snprintf(text, SAGA_DURATION_BYTES, "%" PRId64 "%s", ms / units[unit].ms,
                   units[unit].name);
}
