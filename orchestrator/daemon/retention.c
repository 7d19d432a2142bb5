#include "retention.h"

#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "size.h"

#define DAY_MS INT64_C(86400000)

const struct saga_retention saga_retention_default = {
    .ms = {0, 7 * DAY_MS, 30 * DAY_MS, INT64_MAX, INT64_MAX, INT64_MAX},
    .keys_ms = 30 * DAY_MS,
};

static bool is(const char *text, size_t size, const char *name) {
    return strlen(name) == size && memcmp(text, name, size) == 0;
}

/* Where the duration of this name is; NULL: it is none. */
static int64_t *duration_of(struct saga_retention *retention, const char *name, size_t size) {
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        if (is(name, size, saga_outcome_name(outcome))) {
            return &retention->ms[outcome];
        }
    }
    return is(name, size, "start_keys") ? &retention->keys_ms : NULL;
}

static bool parse_duration(const char *text, size_t size, int64_t *ms) {
    if (is(text, size, "forever")) {
        *ms = INT64_MAX;
        return true;
    }
    return saga_duration_parse(text, size, ms) && *ms >= 1000;
}

/* "completed=7d" */
static bool parse_one(const char *text, size_t size, struct saga_retention *retention) {
    const char *equals = memchr(text, '=', size);
    if (equals == NULL) {
        return false;
    }
    const size_t name_size = (size_t)(equals - text);
    const size_t value_size = size - name_size - 1;
    if (is(text, name_size, "max")) {
        return saga_size_parse(equals + 1, value_size, &retention->bytes_max) &&
               retention->bytes_max > 0;
    }
    int64_t *ms = duration_of(retention, text, name_size);
    return ms != NULL && parse_duration(equals + 1, value_size, ms);
}

bool saga_retention_parse(const char *text, struct saga_retention *retention) {
    struct saga_retention parsed = *retention;
    for (;;) {
        const size_t size = strcspn(text, ",");
        if (!parse_one(text, size, &parsed)) {
            return false;
        }
        if (text[size] == '\0') {
            *retention = parsed;
            return true;
        }
        text += size + 1;
    }
}

static size_t put(char *text, size_t at, const char *name, const char *value) {
    const int size =
        snprintf(text + at, SAGA_RETENTION_BYTES - at, "%s%s=%s", at > 0 ? "," : "", name, value);
    return at + (size_t)size;
}

static size_t put_duration(char *text, size_t at, const char *name, int64_t ms) {
    char duration[SAGA_DURATION_BYTES] = "forever";
    if (ms != INT64_MAX) {
        saga_duration_format(ms, duration);
    }
    return put(text, at, name, duration);
}

void saga_retention_format(const struct saga_retention *retention,
                           char text[SAGA_RETENTION_BYTES]) {
    size_t at = 0;
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        at = put_duration(text, at, saga_outcome_name(outcome), retention->ms[outcome]);
    }
    at = put_duration(text, at, "start_keys", retention->keys_ms);
    if (retention->bytes_max != 0) {
        char size[SAGA_SIZE_TEXT_BYTES];
        saga_size_format(retention->bytes_max, size);
        (void)put(text, at, "max", size);
    }
}
