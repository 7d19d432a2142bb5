#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agenda.h"

struct sim_failure *sim_failure;

static bool is_wanted;
static uint64_t hash;

void sim_trace_begin(bool wanted) {
    is_wanted = wanted;
    if (wanted) {
        (void)setvbuf(stdout, NULL, _IOLBF, 0); /* an abort must not take lines with it */
    }
    hash = UINT64_C(0xcbf29ce484222325);
}

bool sim_trace_wanted(void) {
    return is_wanted;
}

void sim_trace(const char *format, ...) {
    if (!is_wanted) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("%10.3f  ", (double)sim_now() / 1000);
    (void)vprintf(format, arguments);
    (void)putchar('\n');
    va_end(arguments);
}

void sim_trace_hash_number(uint64_t number) {
    hash = (hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
}

void sim_trace_hash(const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        sim_trace_hash_number(word);
    }
    while (size-- > 0) {
        sim_trace_hash_number(*at++);
    }
}

uint64_t sim_trace_sum(void) {
    return hash;
}

void sim_violation(const char *name, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)snprintf(sim_failure->name, sizeof sim_failure->name, "%s", name);
    (void)vsnprintf(sim_failure->story, sizeof sim_failure->story, format, arguments);
    va_end(arguments);
    if (is_wanted) {
        printf("%10.3f  VIOLATION %s: %s\n", (double)sim_now() / 1000, sim_failure->name,
               sim_failure->story);
        (void)fflush(stdout);
    }
    _exit(SIM_VIOLATED);
}
