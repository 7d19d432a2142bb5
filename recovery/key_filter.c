#include "key_filter.h"

#include <stdlib.h>

#define WORDS 8

static const uint32_t salts[WORDS] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                      0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

uint32_t saga_key_filter_blocks(uint64_t key_count) {
    const uint64_t bits = key_count * SAGA_FILTER_BITS_PER_KEY;
    const uint64_t blocks = bits / 8 / SAGA_FILTER_BLOCK_BYTES + 1;
    return blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks;
}

bool saga_key_filter_init(struct saga_key_filter *filter, uint32_t block_count) {
    filter->block_count = block_count;
    filter->bytes = calloc(block_count, SAGA_FILTER_BLOCK_BYTES);
    return filter->bytes != NULL;
}

void saga_key_filter_fini(struct saga_key_filter *filter) {
    free(filter->bytes);
    *filter = (struct saga_key_filter){0};
}

static uint8_t *block_of(const struct saga_key_filter *filter, const uint64_t key_hash[2]) {
    const uint64_t number = (key_hash[0] >> 32) * filter->block_count >> 32;
    return filter->bytes + number * SAGA_FILTER_BLOCK_BYTES;
}

/* The bit of word `word`, from the block's first on. */
static unsigned bit_of(unsigned word, const uint64_t key_hash[2]) {
    return word * 32 + (((uint32_t)key_hash[1] * salts[word]) >> 27);
}

void saga_key_filter_add(struct saga_key_filter *filter, const uint64_t key_hash[2]) {
    uint8_t *block = block_of(filter, key_hash);
    for (unsigned word = 0; word < WORDS; word++) {
        const unsigned bit = bit_of(word, key_hash);
        block[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

bool saga_key_filter_has(const struct saga_key_filter *filter, const uint64_t key_hash[2]) {
    const uint8_t *block = block_of(filter, key_hash);
    for (unsigned word = 0; word < WORDS; word++) {
        const unsigned bit = bit_of(word, key_hash);
        if ((block[bit / 8] & 1u << bit % 8) == 0) {
            return false;
        }
    }
    return true;
}
