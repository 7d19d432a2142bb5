#include "ids.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct saga_id saga_id_make(struct saga_id_source *source, int64_t now_ms) {
    struct saga_id id;
    source->random(source->context, id.bytes, sizeof id.bytes);
    if (now_ms > source->last_ms) {
        source->last_ms = now_ms;
        source->counter = (uint16_t)((id.bytes[6] << 8 | id.bytes[7]) & 0x7ff);
    } else if (++source->counter > 0xfff) { /* a millisecond is full: borrow from the next */
        source->last_ms++;
        source->counter = 0;
    }
    uint64_t ms = (uint64_t)source->last_ms;
    for (int i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    id.bytes[6] = (uint8_t)(0x70 | source->counter >> 8);
    id.bytes[7] = (uint8_t)source->counter;
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

int64_t saga_id_ms(const struct saga_id *id) {
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id->bytes[i];
    }
    return ms;
}

char *saga_id_text(const struct saga_id *id, char *text) {
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = digits[id->bytes[i] >> 4];
        *at++ = digits[id->bytes[i] & 15];
    }
    *at = '\0';
    return text;
}

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool saga_id_parse(const char *text, size_t size, struct saga_id *id) {
    size_t count = 0;
    if (size != SAGA_ID_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < size;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i++] != '-') {
                return false;
            }
            continue;
        }
        int high = digit(text[i]);
        int low = digit(text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id->bytes[count++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return true;
}

char *saga_command_text(const struct saga_command_id *id, const char *step_name, char *text) {
    char saga[SAGA_ID_TEXT_SIZE];
    int size =
        snprintf(text, SAGA_COMMAND_TEXT_SIZE, "%s/%s/%u/%s/%u", saga_id_text(&id->saga, saga),
                 step_name, id->incarnation, saga_operation_name(id->operation), id->revision);
    assert(size > 0 && size < SAGA_COMMAND_TEXT_SIZE);
    return text;
}

/* One part, up to the next slash (or the end); moves *text behind it. */
static bool part(const char **text, const char *end, const char **begin, size_t *size) {
    if (*text > end) {
        return false;
    }
    const char *slash = memchr(*text, '/', (size_t)(end - *text));
    *begin = *text;
    *size = (size_t)((slash != NULL ? slash : end) - *text);
    *text = *begin + *size + 1;
    return *size > 0;
}

static bool number(const char *text, size_t size, uint16_t *value) {
    uint32_t sum = 0;
    if (size > 5 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint32_t)(text[i] - '0');
    }
    *value = (uint16_t)sum;
    return sum <= UINT16_MAX;
}

static uint8_t operation(const char *text, size_t size) {
    for (uint8_t i = 1; i <= SAGA_OPERATION_COUNT; i++) {
        const char *name = saga_operation_name(i);
        if (strlen(name) == size && memcmp(name, text, size) == 0) {
            return i;
        }
    }
    return 0;
}

bool saga_command_parse(const char *text, size_t size, struct saga_command_id *id,
                        const char **step_name, size_t *step_name_size) {
    const char *end = text + size;
    const char *begin;
    size_t length;
    memset(id, 0, sizeof *id);
    if (!part(&text, end, &begin, &length) || !saga_id_parse(begin, length, &id->saga) ||
        !part(&text, end, step_name, step_name_size) || !part(&text, end, &begin, &length) ||
        !number(begin, length, &id->incarnation) || !part(&text, end, &begin, &length)) {
        return false;
    }
    id->operation = operation(begin, length);
    return id->operation != 0 && part(&text, end, &begin, &length) &&
           number(begin, length, &id->revision) && text == end + 1;
}
