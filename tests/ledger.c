#include "ledger.h"

#include "splitmix.h"

#include <pthread.h>
#include <string.h>

#define LARGEST ((uint32_t)100000)
/* The facts there were when the golden logs were written. */
#define LEDGER_FACTS 14

/* Bytes to take payloads from. */
static uint8_t noise_bytes[LARGEST + 256];

static void make_noise(void) {
    struct splitmix random = {42};
    for (size_t i = 0; i < sizeof noise_bytes; i++) {
        noise_bytes[i] = (uint8_t)splitmix_next(&random);
    }
}

static const uint8_t *noise(void) {
    static pthread_once_t made = PTHREAD_ONCE_INIT;
    (void)pthread_once(&made, make_noise);
    return noise_bytes;
}

static uint32_t payload_size(uint64_t lsn, struct splitmix *random) {
    if (lsn % 199 == 0) {
        return LARGEST;
    }
    if (lsn % 97 == 0) {
        return 3000 + (uint32_t)splitmix_below(random, 6000);
    }
    return lsn % 3 == 0 ? 0 : (uint32_t)splitmix_below(random, 300);
}

struct saga_record ledger_record(uint64_t lsn) {
    struct splitmix random = {lsn};
    struct saga_record record = {
        .lsn = lsn,
        .previous_lsn = lsn > 16 ? lsn - 16 : 0,
        .at_ms = 1767225600000 + (int64_t)lsn,
        .wall_ms = 1767225600000 - (int64_t)lsn,
        .epoch = (uint32_t)(1 + lsn / LEDGER_EPOCH_RECORDS),
        .attempt = (uint32_t)splitmix_below(&random, 4),
        .incarnation = 1,
        .revision = 1,
        .fact = (uint8_t)(1 + splitmix_below(&random, LEDGER_FACTS)),
        .step = (uint8_t)(splitmix_below(&random, 8)),
        .operation = (uint8_t)(1 + splitmix_below(&random, 3)),
    };
    memset(record.saga.bytes, (int)(1 + lsn % 16), sizeof record.saga.bytes);
    record.payload.size = payload_size(lsn, &random);
    record.payload.data = record.payload.size > 0 ? noise() + splitmix_below(&random, 256) : NULL;
    return record;
}

static bool bytes_equal(struct saga_bytes a, struct saga_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool ledger_holds(const struct saga_record *record) {
    const struct saga_record *a = record;
    struct saga_record b = ledger_record(record->lsn);
    return bytes_equal(a->payload, b.payload) && bytes_equal(a->key, b.key) &&
           memcmp(&a->saga, &b.saga, sizeof b.saga) == 0 && a->previous_lsn == b.previous_lsn &&
           a->at_ms == b.at_ms && a->wall_ms == b.wall_ms &&
           a->definition_lsn == b.definition_lsn && a->epoch == b.epoch &&
           a->attempt == b.attempt && a->incarnation == b.incarnation &&
           a->revision == b.revision && a->fact == b.fact && a->step == b.step &&
           a->operation == b.operation && a->verdict == b.verdict && a->reason == b.reason &&
           a->outcome == b.outcome && a->verb == b.verb;
}

void ledger_append(struct saga_log *log, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct saga_record record = ledger_record(saga_log_next_lsn(log));
        saga_log_append(log, &record);
    }
}

enum saga_error ledger_read(struct saga_log *log, uint64_t *last, struct saga_fault *fault) {
    struct saga_log_reader *reader;
    enum saga_error error = saga_log_reader_open(log, &reader, fault);
    if (error != SAGA_OK) {
        return error;
    }
    *last = 0;
    struct saga_record record;
    while ((error = saga_log_reader_next(reader, &record, fault)) == SAGA_OK) {
        if (record.lsn != *last + 1 || !ledger_holds(&record)) {
            saga_log_reader_close(reader);
            return saga_fault_set(fault, SAGA_ERROR_INVALID, "record %llu is another one",
                                  (unsigned long long)record.lsn);
        }
        *last = record.lsn;
    }
    if (error == SAGA_ERROR_NOT_FOUND) {
        error = *last == saga_log_reader_last(reader)
                    ? SAGA_OK
                    : saga_fault_set(fault, SAGA_ERROR_INVALID, "the reader stopped early");
    }
    saga_log_reader_close(reader);
    return error;
}
