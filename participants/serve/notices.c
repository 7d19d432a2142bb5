#include "notices.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void saga_notices_init(struct saga_notices *notices, void *context,
                       void (*tell)(void *context, const char *text)) {
    *notices = (struct saga_notices){
        .context = context, .tell = tell, .window_began_ms = -SAGA_NOTICES_WINDOW_MS};
    const int error = pthread_mutex_init(&notices->mutex, NULL);
    assert(error == 0);
}

static void tell_untold(struct saga_notices *notices) {
    char text[96];
    if (notices->untold > 0) {
        (void)snprintf(text, sizeof text, "... and %" PRIu64 " notices more like these",
                       notices->untold);
        notices->untold = 0;
        notices->tell(notices->context, text);
    }
}

void saga_notices_fini(struct saga_notices *notices) {
    if (notices->tell != NULL) {
        tell_untold(notices);
    }
    (void)pthread_mutex_destroy(&notices->mutex);
}

static void make_printable(char *text) {
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
}

void saga_notices_say(struct saga_notices *notices, const char *format, ...) {
    char text[1536];
    if (notices->tell == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_printable(text);
    int error = pthread_mutex_lock(&notices->mutex);
    assert(error == 0);
    const int64_t now = now_ms();
    if (now - notices->window_began_ms >= SAGA_NOTICES_WINDOW_MS) {
        tell_untold(notices);
        notices->window_began_ms = now;
        notices->told = 0;
    }
    if (notices->told < SAGA_NOTICES_MAX) {
        notices->told++;
        notices->tell(notices->context, text);
    } else {
        notices->untold++;
    }
    error = pthread_mutex_unlock(&notices->mutex);
    assert(error == 0);
}
