#include "base64.h"

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
