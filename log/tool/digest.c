#include "digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "bigendian.h"
#include "record.h"

struct saga_digest {
    XXH3_state_t *state;
    uint8_t *bytes; /* room for any record, behind its head */
};

#define HEAD_BYTES 12

struct saga_digest *saga_digest_open(void) {
    const struct saga_record largest = {.key.size = SAGA_KEY_BYTES_MAX,
                                        .payload.size = SAGA_PAYLOAD_BYTES_MAX,
                                        .content.size = SAGA_PAYLOAD_BYTES_MAX};
    struct saga_digest *digest = calloc(1, sizeof *digest);
    if (digest == NULL) {
        return NULL;
    }
    digest->state = XXH3_createState();
    digest->bytes = malloc(HEAD_BYTES + saga_record_size_max(&largest));
    if (digest->state == NULL || digest->bytes == NULL ||
        XXH3_128bits_reset(digest->state) != XXH_OK) {
        saga_digest_close(digest);
        return NULL;
    }
    return digest;
}

void saga_digest_close(struct saga_digest *digest) {
    if (digest != NULL) {
        (void)XXH3_freeState(digest->state);
        free(digest->bytes);
        free(digest);
    }
}

void saga_digest_add(struct saga_digest *digest, const struct saga_record *record) {
    const size_t size = saga_record_encode(record, digest->bytes + HEAD_BYTES);
    saga_put64(digest->bytes, record->lsn);
    saga_put32(digest->bytes + 8, (uint32_t)size);
    (void)XXH3_128bits_update(digest->state, digest->bytes, HEAD_BYTES + size);
}

void saga_digest_add_bytes(struct saga_digest *digest, const void *bytes, size_t size) {
    (void)XXH3_128bits_update(digest->state, bytes, size);
}

char *saga_digest_text(const struct saga_digest *digest, char *text) {
    const XXH128_hash_t hash = XXH3_128bits_digest(digest->state);
    (void)snprintf(text, SAGA_DIGEST_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
                   (uint64_t)hash.low64);
    return text;
}
