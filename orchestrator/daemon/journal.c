#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "utf8.h"

/* Of one text in a line, as escaped: a fault's text is 1023 bytes at most, and an
 * escape can make six of one. */
#define MESSAGE_BYTES_MAX 6200
#define FIELD_BYTES_MAX   300
#define LINE_BYTES_MAX    (MESSAGE_BYTES_MAX + SAGA_JOURNAL_FIELDS_MAX * (FIELD_BYTES_MAX + 64) + 256)
#define ESCAPE_BYTES_MAX  6

struct line {
    size_t size;
    char bytes[LINE_BYTES_MAX];
};

static const char *const levels[] = {
    [SAGA_JOURNAL_ERROR] = "error",
    [SAGA_JOURNAL_WARNING] = "warning",
    [SAGA_JOURNAL_INFO] = "info",
    [SAGA_JOURNAL_DEBUG] = "debug",
};

static const char *const formats[] = {
    [SAGA_JOURNAL_TEXT] = "text",
    [SAGA_JOURNAL_LOGFMT] = "logfmt",
    [SAGA_JOURNAL_JSON] = "json",
};

const char *saga_journal_level_name(enum saga_journal_level level) {
    assert(level >= SAGA_JOURNAL_ERROR && level <= SAGA_JOURNAL_LEVEL_COUNT);
    return levels[level];
}

const char *saga_journal_format_name(enum saga_journal_format format) {
    assert(format >= SAGA_JOURNAL_TEXT && format <= SAGA_JOURNAL_FORMAT_COUNT);
    return formats[format];
}

static void put(struct line *line, const char *text) {
    const size_t size = strlen(text);
    assert(line->size + size < sizeof line->bytes); /* the limits above leave room */
    memcpy(line->bytes + line->size, text, size);
    line->size += size;
}

/* One character, so that it can stand on one line, and where `quoted` in a JSON
 * string. */
static size_t escape(const char *text, size_t size, bool quoted, char out[ESCAPE_BYTES_MAX + 1]) {
    uint32_t code = 0;
    const size_t length = saga_utf8_decode(text, size, &code);
    if (length == 0) {
        (void)snprintf(out, ESCAPE_BYTES_MAX + 1, "\\ufffd"); /* a byte that is no UTF-8 */
        return 1;
    }
    if (quoted && (code == '"' || code == '\\')) {
        (void)snprintf(out, ESCAPE_BYTES_MAX + 1, "\\%c", (char)code);
    } else if (code == '\n') {
        (void)snprintf(out, ESCAPE_BYTES_MAX + 1, "\\n");
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) { /* a terminal would obey these */
        (void)snprintf(out, ESCAPE_BYTES_MAX + 1, "\\u%04x", (unsigned)code);
    } else {
        memcpy(out, text, length);
        out[length] = '\0';
    }
    return length;
}

static void put_escaped(struct line *line, const char *text, bool quoted, size_t bytes_max) {
    const size_t end = line->size + bytes_max;
    size_t left = strlen(text);
    while (left > 0) {
        char out[ESCAPE_BYTES_MAX + 1];
        const size_t length = escape(text, left, quoted, out);
        if (line->size + strlen(out) > end) {
            return;
        }
        put(line, out);
        text += length;
        left -= length;
    }
}

static void put_quoted(struct line *line, const char *text, size_t bytes_max) {
    put(line, "\"");
    put_escaped(line, text, true, bytes_max);
    put(line, "\"");
}

/* A word stands for itself; anything else is quoted. */
static void put_word(struct line *line, const char *text, size_t bytes_max) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+@%,";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        put_escaped(line, text, false, bytes_max);
    } else {
        put_quoted(line, text, bytes_max);
    }
}

static void put_time(struct line *line) {
    struct timespec now;
    struct tm parts;
    char text[64];
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)gmtime_r(&now.tv_sec, &parts);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", parts.tm_year + 1900,
                   parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                   now.tv_nsec / 1000000);
    put(line, text);
}

static void begin(struct line *line, enum saga_journal_format format, enum saga_journal_level level,
                  const char *message) {
    switch (format) {
    case SAGA_JOURNAL_TEXT:
        put_time(line);
        put(line, " ");
        put(line, levels[level]);
        put(line, " ");
        put_escaped(line, message, false, MESSAGE_BYTES_MAX);
        return;
    case SAGA_JOURNAL_LOGFMT:
        put(line, "ts=");
        put_time(line);
        put(line, " level=");
        put(line, levels[level]);
        put(line, " msg=");
        put_word(line, message, MESSAGE_BYTES_MAX);
        return;
    case SAGA_JOURNAL_JSON:
        put(line, "{\"ts\":\"");
        put_time(line);
        put(line, "\",\"level\":\"");
        put(line, levels[level]);
        put(line, "\",\"msg\":");
        put_quoted(line, message, MESSAGE_BYTES_MAX);
        return;
    }
}

static void put_field(struct line *line, enum saga_journal_format format,
                      const struct saga_journal_field *field) {
    assert(strlen(field->name) <= 32);
    if (format == SAGA_JOURNAL_JSON) {
        put(line, ",\"");
        put(line, field->name);
        put(line, "\":");
        put_quoted(line, field->text, FIELD_BYTES_MAX);
    } else {
        put(line, " ");
        put(line, field->name);
        put(line, "=");
        put_word(line, field->text, FIELD_BYTES_MAX);
    }
}

/* True if a line can be written without waiting for a reader: a pipe that
 * nobody empties says no. What is lost is counted, and told with the next line. */
static bool can_write(int fd) {
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0;
}

static void write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno != EINTR) {
            return; /* a full disk or a closed pipe stops no saga */
        }
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
}

static _Atomic unsigned lost; /* lines, since the last one that was written */

static void tell_lost(const struct saga_journal *journal) {
    const unsigned count = atomic_exchange(&lost, 0);
    if (count > 0) {
        struct line line = {.size = 0};
        char message[96];
        (void)snprintf(message, sizeof message, "%u lines were lost: nobody read them", count);
        begin(&line, journal->format, SAGA_JOURNAL_WARNING, message);
        put(&line, journal->format == SAGA_JOURNAL_JSON ? "}\n" : "\n");
        write_all(journal->fd, line.bytes, line.size);
    }
}

void saga_journal_write(const struct saga_journal *journal, enum saga_journal_level level,
                        const struct saga_journal_field *fields, const char *format, ...) {
    if (level > journal->level) {
        return;
    }
    struct line line = {.size = 0};
    char message[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    begin(&line, journal->format, level, message);
    for (size_t i = 0; fields != NULL && fields[i].name != NULL; i++) {
        assert(i < SAGA_JOURNAL_FIELDS_MAX);
        put_field(&line, journal->format, &fields[i]);
    }
    put(&line, journal->format == SAGA_JOURNAL_JSON ? "}\n" : "\n");
    if (!can_write(journal->fd)) {
        atomic_fetch_add(&lost, 1);
        return;
    }
    tell_lost(journal);
    write_all(journal->fd, line.bytes, line.size);
}
