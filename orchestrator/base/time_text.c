#include "time_text.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define TIME_MS_MAX INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

char *saga_time_text(int64_t ms_since_1970, char *text) {
    int64_t ms = ms_since_1970;
    ms = ms < 0 ? 0 : ms;
    ms = ms > TIME_MS_MAX ? TIME_MS_MAX : ms;
    const time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    const struct tm *made = gmtime_r(&seconds, &utc);
    assert(made != NULL);
    const size_t size = strftime(text, SAGA_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    assert(size == 19);
    (void)snprintf(text + size, SAGA_TIME_TEXT_SIZE - size, ".%03uZ", (unsigned)(ms % 1000));
    return text;
}
