#include "moment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 10,000 days: more than any log is old. */
#define AGO_MS_MAX INT64_C(864000000000)

int64_t saga_moment_now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int64_t unit_ms(const char *unit) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].name, unit) == 0) {
            return units[i].ms;
        }
    }
    return 0;
}

static bool parse_ago(const char *text, int64_t now_ms, int64_t *ms) {
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    const unsigned long long count = strtoull(text, &end, 10);
    const int64_t unit = unit_ms(end);
    if (unit == 0 || count > (unsigned long long)(AGO_MS_MAX / unit)) {
        return false;
    }
    *ms = now_ms - (int64_t)count * unit;
    *ms = *ms < 0 ? 0 : *ms;
    return true;
}

bool saga_moment_parse(const char *text, int64_t now_ms, int64_t *ms) {
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm time = {0};
        const char *end = strptime(text, forms[i], &time);
        if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0) && time.tm_year >= 70) {
            *ms = (int64_t)timegm(&time) * 1000;
            return true;
        }
    }
    return parse_ago(text, now_ms, ms);
}
