#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char units[] = "KMGT";

bool saga_size_parse(const char *text, size_t size, uint64_t *bytes) {
    uint64_t number = 0;
    size_t at = 0;
    for (; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
        if (number > SAGA_SIZE_BYTES_MAX / 10) {
            return false;
        }
        number = number * 10 + (uint64_t)(text[at] - '0');
    }
    const char *unit = at > 0 && at < size ? memchr(units, text[at], sizeof units - 1) : NULL;
    const unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    at += unit != NULL;
    if (unit != NULL && size - at == 2 && memcmp(text + at, "iB", 2) == 0) {
        at = size;
    }
    *bytes = number << shift;
    return at > 0 && at == size && number <= SAGA_SIZE_BYTES_MAX >> shift;
}

void saga_size_format(uint64_t bytes, char text[SAGA_SIZE_TEXT_BYTES]) {
    unsigned unit = 0;
    while (unit < sizeof units - 1 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    const char letter[2] = {unit > 0 ? units[unit - 1] : '\0', '\0'};
    (void)snprintf(text, SAGA_SIZE_TEXT_BYTES, "%" PRIu64 "%s", bytes, letter);
}
