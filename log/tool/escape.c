#include "escape.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ESCAPE_BYTES 16

/* One character of the text. */
struct character {
    uint32_t point;
    size_t size; /* in bytes; 0: these bytes are no UTF-8 */
};

/* Strict (RFC 3629): a terminal that takes overlong forms would see a control
 * character where we see none. */
static struct character decode(const unsigned char *bytes, size_t size) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const struct character none = {0};
    const size_t length = bytes[0] < 0x80                       ? 1
                          : bytes[0] >= 0xc0 && bytes[0] < 0xe0 ? 2
                          : bytes[0] >= 0xe0 && bytes[0] < 0xf0 ? 3
                          : bytes[0] >= 0xf0 && bytes[0] < 0xf8 ? 4
                                                                : 0;
    if (length == 0 || length > size) {
        return none;
    }
    uint32_t point = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return none;
        }
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < least[length] || surrogate || point > 0x10ffff) {
        return none;
    }
    return (struct character){.point = point, .size = length};
}

/* What is not seen itself, in ascending order. */
static const struct {
    uint32_t first, last;
} unseen[] = {
    {0x00, 0x1f},       /* controls */
    {0x7f, 0x9f},       /* controls */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* direction */
    {0x115f, 0x1160},   /* fillers */
    {0x17b4, 0x17b5},   /* vowels without a shape */
    {0x180b, 0x180f},   /* variations */
    {0x200b, 0x200f},   /* width zero, direction */
    {0x2028, 0x202e},   /* separators of lines, direction */
    {0x2060, 0x206f},   /* invisible operators, direction */
    {0x3164, 0x3164},   /* filler */
    {0xe000, 0xf8ff},   /* private: anything */
    {0xfe00, 0xfe0f},   /* variations */
    {0xfeff, 0xfeff},   /* byte order */
    {0xffa0, 0xffa0},   /* filler */
    {0xfff0, 0xfffb},   /* annotations */
    {0xfffe, 0xffff},   /* no characters */
    {0xe0000, 0x10ffff} /* tags, variations, private */
};

static bool is_seen(uint32_t point) {
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0] && point >= unseen[i].first; i++) {
        if (point <= unseen[i].last) {
            return false;
        }
    }
    return true;
}

/* The next character as it is to be shown; returns how many bytes it was. */
static size_t show(const unsigned char *bytes, size_t size, char shown[ESCAPE_BYTES]) {
    const struct character character = decode(bytes, size);
    if (character.size == 0) {
        (void)snprintf(shown, ESCAPE_BYTES, "\\x%02x", bytes[0]);
        return 1;
    }
    if (is_seen(character.point)) {
        memcpy(shown, bytes, character.size);
        shown[character.size] = '\0';
    } else {
        (void)snprintf(shown, ESCAPE_BYTES, "\\u{%x}", (unsigned)character.point);
    }
    return character.size;
}

/* How many bytes of the text fit; all of them if the text needs no cut. */
static size_t fitting(const unsigned char *bytes, size_t size, size_t columns) {
    char shown[ESCAPE_BYTES];
    size_t used = 0;
    size_t cut = 0; /* where there is still room for the dots */
    for (size_t i = 0; i < size;) {
        i += show(bytes + i, size - i, shown);
        used += saga_escape_width(shown);
        if (used > columns) {
            return cut;
        }
        if (used + 3 <= columns) {
            cut = i;
        }
    }
    return size;
}

void saga_escape(FILE *out, const char *text, size_t size, size_t columns) {
    const unsigned char *bytes = (const unsigned char *)text;
    char shown[ESCAPE_BYTES];
    assert(columns >= 8);
    const size_t end = columns == SAGA_COLUMNS_ALL ? size : fitting(bytes, size, columns);
    for (size_t i = 0; i < end;) {
        i += show(bytes + i, size - i, shown);
        (void)fputs(shown, out);
    }
    if (end < size) {
        (void)fputs("...", out);
    }
}

static void write_json_escape(FILE *out, uint32_t point) {
    if (point < 0x10000) {
        (void)fprintf(out, "\\u%04x", (unsigned)point);
    } else { /* as two halves of UTF-16 */
        const uint32_t rest = point - 0x10000;
        (void)fprintf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + (rest >> 10)),
                      (unsigned)(0xdc00 + (rest & 0x3ff)));
    }
}

void saga_escape_json(FILE *out, const char *json, size_t size) {
    const unsigned char *bytes = (const unsigned char *)json;
    size_t plain = 0; /* where the part begins that needs no escape */
    for (size_t i = 0; i < size;) {
        if (bytes[i] >= 0x20 && bytes[i] < 0x7f) {
            i++;
            continue;
        }
        const struct character character = decode(bytes + i, size - i);
        assert(character.size > 0); /* a text of JSON is UTF-8 */
        if (!is_seen(character.point)) {
            (void)fwrite(bytes + plain, 1, i - plain, out);
            write_json_escape(out, character.point);
            plain = i + character.size;
        }
        i += character.size;
    }
    (void)fwrite(bytes + plain, 1, size - plain, out);
}

size_t saga_escape_width(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += (*text & 0xc0) != 0x80; /* not in the middle of a character */
    }
    return width;
}
