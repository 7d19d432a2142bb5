/* Makes a log of COUNT records of the ledger in the empty directory DIR, in
 * batches of any size, and prints what a reader of it should find, a record a
 * line: LSN, fact, epoch, step, bytes of the payload, its first byte.
 *
 *   ledger_dump DIR COUNT */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        (void)fprintf(stderr, "usage: ledger_dump DIR COUNT\n");
        return 2;
    }
    struct saga_log_options options = {.data_dir = argv[1], .map_bytes_max = (uint64_t)64 << 20};
    struct saga_log *log;
    struct saga_fault fault;
    uint64_t count = strtoull(argv[2], NULL, 10);
    if (saga_log_open(&log, &options, &fault) != SAGA_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    for (uint64_t lsn = 1; lsn <= count; lsn++) {
        ledger_append(log, 1);
        bool last = lsn == count || lsn < 100 || lsn % 90 == 0;
        if (last && saga_log_flush(log, &fault) != SAGA_OK) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return 1;
        }
        struct saga_record record = ledger_record(lsn);
        const uint8_t *payload = record.payload.data;
        printf("%" PRIu64 " %u %" PRIu32 " %u %" PRIu32 " %u\n", lsn, record.fact, record.epoch,
               record.step, record.payload.size, payload != NULL ? payload[0] : 0);
    }
    saga_log_close(log);
    return 0;
}
