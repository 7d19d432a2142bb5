#include "span.h"

#include <stdio.h>

#include "saga.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

static void print(char *text, int64_t large, const char *large_unit, int64_t small,
                  const char *small_unit) {
    (void)snprintf(text, SAGA_SPAN_TEXT_SIZE, "%lld %s %lld %s", (long long)large, large_unit,
                   (long long)small, small_unit);
}

char *saga_span_text(int64_t from_ms, int64_t to_ms, char *text) {
    if (from_ms < 0 || to_ms > SAGA_CLOCK_MS_MAX || to_ms < from_ms) {
        (void)snprintf(text, SAGA_SPAN_TEXT_SIZE, "?");
        return text;
    }
    const int64_t ms = to_ms - from_ms;
    if (ms < SECOND_MS) {
        (void)snprintf(text, SAGA_SPAN_TEXT_SIZE, "%d ms", (int)ms);
    } else if (ms < MINUTE_MS) {
        (void)snprintf(text, SAGA_SPAN_TEXT_SIZE, "%d.%d s", (int)(ms / SECOND_MS),
                       (int)(ms % SECOND_MS / 100));
    } else if (ms < HOUR_MS) {
        print(text, ms / MINUTE_MS, "min", ms % MINUTE_MS / SECOND_MS, "s");
    } else if (ms < 2 * DAY_MS) {
        print(text, ms / HOUR_MS, "h", ms % HOUR_MS / MINUTE_MS, "min");
    } else {
        print(text, ms / DAY_MS, "d", ms % DAY_MS / HOUR_MS, "h");
    }
    return text;
}
