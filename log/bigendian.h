/*
 * Numbers in the disk's byte order.
 *
 * Threads: no state.
 */
#ifndef SAGA_BIGENDIAN_H
#define SAGA_BIGENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void saga_put16(uint8_t *bytes, uint16_t value) {
    value = htobe16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void saga_put32(uint8_t *bytes, uint32_t value) {
    value = htobe32(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void saga_put64(uint8_t *bytes, uint64_t value) {
    value = htobe64(value);
    memcpy(bytes, &value, sizeof value);
}

static inline uint16_t saga_get16(const uint8_t *bytes) {
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return be16toh(value);
}

static inline uint32_t saga_get32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return be32toh(value);
}

static inline uint64_t saga_get64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

#endif
