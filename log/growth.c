#include "growth.h"

#include "reader.h"

#include <inttypes.h>

enum saga_error saga_growth_begin(struct saga_growth *growth, const struct saga_log_reader *reader,
                                  const char *why, struct saga_fault *fault) {
    struct saga_store_fill fill;
    const enum saga_error error = saga_store_view_fill(reader->view, &fill, fault);
    if (error != SAGA_OK) {
        return error;
    }
    uint64_t most = fill.file_bytes + fill.system_bytes_free;
    most = most < fill.bytes_max ? most : fill.bytes_max;
    const uint64_t mark = most / 100 * SAGA_LOG_FULL_PERCENT;
    *growth = (struct saga_growth){
        .store = reader->store,
        .bytes_max = fill.file_bytes < mark ? fill.file_bytes + (mark - fill.file_bytes) / 2
                                            : fill.file_bytes + (most - fill.file_bytes) / 4,
        .why = why,
    };
    return SAGA_OK;
}

enum saga_error saga_growth_check(const struct saga_growth *growth, struct saga_fault *fault) {
    uint64_t bytes_max;
    const uint64_t bytes = saga_store_file_bytes(growth->store, &bytes_max);
    if (bytes <= growth->bytes_max) {
        return SAGA_OK;
    }
    return saga_fault_set(fault, SAGA_ERROR_FULL,
                          "%.300s has grown to %" PRIu64 " of %" PRIu64
                          " bytes, since pages cannot be reused while %s",
                          saga_store_path(growth->store), bytes, bytes_max, growth->why);
}
