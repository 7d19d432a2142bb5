#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM_FIRST ((size_t)256 << 10)

void saga_lines_begin(struct saga_lines *lines, int fd) {
    *lines = (struct saga_lines){.fd = fd};
}

void saga_lines_fini(struct saga_lines *lines) {
    free(lines->buffer);
    *lines = (struct saga_lines){0};
}

/* Room for more behind `end`. False: no memory. */
static bool make_room(struct saga_lines *lines) {
    if (lines->buffer != NULL && lines->begin > 0) {
        memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end < lines->room) {
        return true;
    }
    const size_t room = lines->room == 0 ? ROOM_FIRST : 2 * lines->room;
    char *buffer = realloc(lines->buffer, room);
    if (buffer == NULL) {
        return false;
    }
    lines->buffer = buffer;
    lines->room = room;
    return true;
}

static enum saga_error read_more(struct saga_lines *lines, struct saga_fault *fault) {
    if (!make_room(lines)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a line");
    }
    ssize_t got;
    do {
        got = read(lines->fd, lines->buffer + lines->end, lines->room - lines->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s", strerror(errno));
    }
    lines->ended = got == 0;
    lines->end += (size_t)got;
    return SAGA_OK;
}

static void give(struct saga_lines *lines, size_t size) {
    lines->line = lines->buffer + lines->begin;
    lines->size = size;
    lines->begin += size;
    lines->bytes += size;
}

enum saga_error saga_lines_next(struct saga_lines *lines, struct saga_fault *fault) {
    size_t searched = 0;
    lines->number++;
    for (;;) {
        const size_t held = lines->end - lines->begin;
        const char *from = held > searched ? lines->buffer + lines->begin + searched : NULL;
        const char *feed = from != NULL ? memchr(from, '\n', held - searched) : NULL;
        if (feed != NULL) {
            give(lines, (size_t)(feed - (lines->buffer + lines->begin)) + 1);
            return SAGA_OK;
        }
        if (lines->ended && held == 0) {
            return SAGA_ERROR_NOT_FOUND;
        }
        if (lines->ended) {
            give(lines, held);
            return SAGA_OK;
        }
        if (held > SAGA_LINE_BYTES_MAX) {
            return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                                  "it is longer than any line of an export can be (%zu bytes)",
                                  SAGA_LINE_BYTES_MAX);
        }
        searched = held;
        const enum saga_error error = read_more(lines, fault);
        if (error != SAGA_OK) {
            return error;
        }
    }
}
