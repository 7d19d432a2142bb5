#include "growth.h"

#include "reader.h"

#include <inttypes.h>

void saga_growth_begin(struct saga_growth *growth, const struct saga_log_reader *reader,
                       const char *why) {
    struct saga_store_fill fill;
    saga_store_fill(reader->store, &fill);
    uint64_t most = fill.bytes + fill.system_bytes_free;
    most = most < fill.bytes_max ? most : fill.bytes_max;
    const uint64_t mark = most / 100 * SAGA_LOG_FULL_PERCENT;
    *growth = (struct saga_growth){
        .store = reader->store,
        .bytes_max = fill.bytes < mark ? fill.bytes + (mark - fill.bytes) / 2
                                       : fill.bytes + (most - fill.bytes) / 4,
        .why = why,
    };
}

enum saga_error saga_growth_check(const struct saga_growth *growth, struct saga_fault *fault) {
    struct saga_store_fill fill;
    saga_store_fill(growth->store, &fill);
    if (fill.bytes <= growth->bytes_max) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_FULL,
                          "%.300s has grown to %" PRIu64 " of %" PRIu64
                          " bytes, since pages cannot be reused while %s",
                          saga_store_path(growth->store), fill.bytes, fill.bytes_max, growth->why);
}
