#include "meta.h"

#include "bigendian.h"

#include <xxhash.h>

/* Where things stand in the row; see meta.h. */
enum {
    AT_CHECKSUM = 0,
    AT_MAGIC = 8,
    AT_FORMAT = 12,
    AT_IDENTITY = 16,
    AT_BASE_LSN = 32,
    AT_LAST_LSN = 40,
    AT_RECORD_COUNT = 48,
    AT_BLOCK_COUNT = 56,
    AT_EPOCH = 64,
    AT_TRANSACTION = 72,
    AT_CHECKPOINT = 80,
    AT_CHECKPOINT_EPOCH = 88,
    AT_CHECKPOINT_EPOCH_MS = 96,
    AT_CHECKPOINT_MS = 104,
};
static const uint8_t magic[4] = {'S', 'G', 'M', 'T'};

static uint64_t checksum_of(const uint8_t *bytes, size_t size) {
    return XXH3_64bits(bytes + AT_MAGIC, size - AT_MAGIC);
}

void saga_meta_encode(const struct saga_meta *meta, uint8_t bytes[SAGA_META_BYTES]) {
    memset(bytes, 0, SAGA_META_BYTES);
    memcpy(bytes + AT_MAGIC, magic, sizeof magic);
    saga_put16(bytes + AT_FORMAT, meta->format);
    memcpy(bytes + AT_IDENTITY, meta->identity, sizeof meta->identity);
    saga_put64(bytes + AT_BASE_LSN, meta->base_lsn);
    saga_put64(bytes + AT_LAST_LSN, meta->last_lsn);
    saga_put64(bytes + AT_RECORD_COUNT, meta->record_count);
    saga_put64(bytes + AT_BLOCK_COUNT, meta->block_count);
    saga_put32(bytes + AT_EPOCH, meta->epoch);
    saga_put64(bytes + AT_TRANSACTION, meta->transaction);
    saga_put64(bytes + AT_CHECKPOINT, meta->checkpoint.lsn);
    saga_put32(bytes + AT_CHECKPOINT_EPOCH, meta->checkpoint.epoch);
    saga_put64(bytes + AT_CHECKPOINT_EPOCH_MS, (uint64_t)meta->checkpoint.epoch_ms);
    saga_put64(bytes + AT_CHECKPOINT_MS, (uint64_t)meta->checkpoint.at_ms);
    saga_put64(bytes + AT_CHECKSUM, checksum_of(bytes, SAGA_META_BYTES));
}

static bool checkpoint_agrees(const struct saga_meta *meta) {
    const struct saga_checkpoint *checkpoint = &meta->checkpoint;
    /* What lies before the base can be had from the tables alone. */
    return checkpoint->lsn <= meta->last_lsn && checkpoint->lsn + 1 >= meta->base_lsn &&
           checkpoint->epoch <= meta->epoch && (checkpoint->lsn == 0) == (checkpoint->epoch == 0);
}

static bool numbers_agree(const struct saga_meta *meta) {
    return meta->format > 0 && meta->base_lsn > 0 && meta->last_lsn >= meta->base_lsn - 1 &&
           meta->record_count == meta->last_lsn - meta->base_lsn + 1 &&
           meta->block_count <= meta->record_count &&
           (meta->block_count == 0) == (meta->record_count == 0) && checkpoint_agrees(meta);
}

enum saga_record_error saga_meta_decode(struct saga_meta *meta, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    if (size < SAGA_META_BYTES) {
        return SAGA_RECORD_TRUNCATED;
    }
    if (saga_get64(at + AT_CHECKSUM) != checksum_of(at, size)) {
        return SAGA_RECORD_CHECKSUM;
    }
    if (memcmp(at + AT_MAGIC, magic, sizeof magic) != 0) {
        return SAGA_RECORD_MALFORMED;
    }
    meta->format = saga_get16(at + AT_FORMAT);
    if (meta->format > SAGA_RECORD_FORMAT) {
        return SAGA_RECORD_FORMAT_NEWER;
    }
    memcpy(meta->identity, at + AT_IDENTITY, sizeof meta->identity);
    meta->base_lsn = saga_get64(at + AT_BASE_LSN);
    meta->last_lsn = saga_get64(at + AT_LAST_LSN);
    meta->record_count = saga_get64(at + AT_RECORD_COUNT);
    meta->block_count = saga_get64(at + AT_BLOCK_COUNT);
    meta->epoch = saga_get32(at + AT_EPOCH);
    meta->transaction = saga_get64(at + AT_TRANSACTION);
    meta->checkpoint = (struct saga_checkpoint){
        .lsn = saga_get64(at + AT_CHECKPOINT),
        .epoch = saga_get32(at + AT_CHECKPOINT_EPOCH),
        .epoch_ms = (int64_t)saga_get64(at + AT_CHECKPOINT_EPOCH_MS),
        .at_ms = (int64_t)saga_get64(at + AT_CHECKPOINT_MS),
    };
    return numbers_agree(meta) ? SAGA_RECORD_OK : SAGA_RECORD_MALFORMED;
}
