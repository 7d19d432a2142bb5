#include "key_seed.h"

#include <string.h>
#include <xxhash.h>

#include "bigendian.h"
#include "key_run.h"

static struct saga_bytes seed_row(void) {
    static const uint8_t key[1] = {0};
    return (struct saga_bytes){.data = key, .size = sizeof key};
}

enum saga_error saga_key_seed_read(struct saga_log_reader *reader, uint64_t *seed,
                                   struct saga_fault *fault) {
    struct saga_bytes value;
    const enum saga_error error =
        saga_log_reader_row(reader, SAGA_TABLE_KEYS, seed_row(), &value, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (value.size != sizeof *seed) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "the log is damaged: the seed of its start keys is none. Restore "
                              "data.mdb from a backup; nothing was changed.");
    }
    *seed = saga_get64(value.data);
    return SAGA_OK;
}

void saga_key_seed_put(struct saga_log *log, uint64_t seed) {
    uint8_t value[sizeof seed];
    saga_put64(value, seed);
    saga_log_put(log, SAGA_TABLE_KEYS, seed_row(),
                 (struct saga_bytes){.data = value, .size = sizeof value});
}

void saga_key_seed_hash(uint64_t seed, struct saga_bytes key, uint64_t key_hash[2]) {
    const XXH128_hash_t hash = XXH3_128bits_withSeed(key.data, key.size, seed);
    key_hash[0] = hash.high64;
    key_hash[1] = hash.low64;
}

enum saga_error saga_key_seed_find(struct saga_log_reader *reader, struct saga_bytes key,
                                   struct saga_start_key *found, struct saga_fault *fault) {
    uint64_t seed = 0;
    uint64_t hash[2];
    bool any = false;
    enum saga_error error = saga_key_seed_read(reader, &seed, fault);
    saga_key_seed_hash(seed, key, hash);
    for (uint32_t number = 1; error == SAGA_OK && number != 0;) {
        struct saga_key_run run;
        struct saga_start_key use;
        error = saga_key_run_head(&run, number, reader, fault);
        if (error != SAGA_OK) {
            break;
        }
        const enum saga_error looked = saga_key_run_find(&run, reader, hash, &use, fault);
        if (looked == SAGA_OK &&
            (!any || memcmp(use.saga.bytes, found->saga.bytes, sizeof use.saga.bytes) > 0)) {
            any = true;
            *found = use;
        } else if (looked != SAGA_OK && looked != SAGA_ERROR_NOT_FOUND) {
            return looked;
        }
        number = run.number + 1; /* 0: that was the last there can be */
    }
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        return error;
    }
    return any ? SAGA_OK : SAGA_ERROR_NOT_FOUND;
}
