#include "uuid.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

void saga_uuid_make(char text[37]) {
    uint16_t r[5];
    ssize_t got = getrandom(r, sizeof r, 0);
    assert(got == (ssize_t)sizeof r); /* up to 256 bytes are given whole */
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    int size = snprintf(text, 37, "%08x-%04x-7%03x-%04x-%04x%04x%04x", (unsigned)(ms >> 16),
                        (unsigned)(ms & 0xffff), r[0] & 0xfffu, (r[1] & 0x3fffu) | 0x8000u,
                        (unsigned)r[2], (unsigned)r[3], (unsigned)r[4]);
    assert(size == 36);
}
