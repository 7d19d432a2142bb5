#include "base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

char *saga_base64_encode(const void *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = bytes;
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *at = text;
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i; /* at least 1 */
        const uint32_t word = (uint32_t)from[i] << 16 |
                              (uint32_t)(left > 1 ? from[i + 1] : 0) << 8 |
                              (uint32_t)(left > 2 ? from[i + 2] : 0);
        *at++ = digits[word >> 18];
        *at++ = digits[word >> 12 & 63];
        *at++ = '=';
        *at++ = '=';
        if (left > 1) {
            at[-2] = digits[word >> 6 & 63];
        }
        if (left > 2) {
            at[-1] = digits[word & 63];
        }
    }
    *at = '\0';
    return text;
}

/* 64: it is no digit. */
static uint32_t value_of(char c) {
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Four digits, the last `padding` of which are "=". False: they are none, or bits are set that no
 * byte has. */
static bool decode_four(const char *text, size_t padding, uint8_t *bytes) {
    uint32_t word = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint32_t value = i < 4 - padding ? value_of(text[i]) : 0;
        if (value == 64 || (i >= 4 - padding && text[i] != '=')) {
            return false;
        }
        word = word << 6 | value;
    }
    for (size_t i = 0; i < 3; i++) {
        const uint8_t byte = (uint8_t)(word >> (16 - 8 * i));
        if (i < 3 - padding) {
            bytes[i] = byte;
        } else if (byte != 0) {
            return false;
        }
    }
    return true;
}

void *saga_base64_decode(const char *text, size_t length, size_t *size) {
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') {
        padding++;
    }
    uint8_t *bytes = length % 4 == 0 ? malloc(length / 4 * 3 + 1) : NULL;
    if (bytes == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < length; i += 4) {
        if (!decode_four(text + i, i + 4 == length ? padding : 0, bytes + i / 4 * 3)) {
            free(bytes);
            return NULL;
        }
    }
    *size = length / 4 * 3 - padding;
    return bytes;
}
