#include "bigendian.h"
#include "record.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

/* Where things stand in a block; see record.h. */
enum {
    AT_CHECKSUM = 0,
    AT_MAGIC = 8,
    AT_FORMAT = 12,
    AT_RECORD_COUNT = 14,
    AT_FIRST_LSN = 16,
    AT_RECORDS = SAGA_BLOCK_HEADER_BYTES,
};
static const uint8_t magic[4] = {'S', 'G', 'B', 'K'};

static uint64_t checksum_of(const uint8_t *bytes, size_t size, uint64_t first_lsn) {
    return XXH3_64bits_withSeed(bytes + AT_MAGIC, size - AT_MAGIC, first_lsn);
}

/* ----------------------------------------------------------------- writing */

void saga_block_begin(struct saga_block_writer *writer, uint64_t first_lsn, void *bytes) {
    writer->bytes = bytes;
    writer->used = AT_RECORDS;
    writer->first_lsn = first_lsn;
    writer->record_count = 0;
}

size_t saga_block_room(const struct saga_block_writer *writer, const struct saga_record *record) {
    return writer->used + saga_record_size_max(record) +
           (size_t)SAGA_BLOCK_OFFSET_BYTES * (writer->record_count + 1);
}

bool saga_block_add(struct saga_block_writer *writer, const struct saga_record *record) {
    assert(record->lsn == writer->first_lsn + writer->record_count);
    if (writer->record_count == SAGA_BLOCK_RECORDS_MAX) {
        return false;
    }
    /* Encodes first and asks then: what does not fit is encoded again in the
     * next block, once a block, which is cheaper than to measure each. */
    size_t used = writer->used + saga_record_encode(record, writer->bytes + writer->used);
    size_t size = used + (size_t)SAGA_BLOCK_OFFSET_BYTES * (writer->record_count + 1);
    if (writer->record_count > 0 && size > SAGA_BLOCK_BYTES) {
        return false;
    }
    writer->offsets[writer->record_count] = (uint16_t)writer->used;
    writer->record_count++;
    writer->used = used;
    return true;
}

size_t saga_block_commit(struct saga_block_writer *writer) {
    assert(writer->record_count > 0);
    uint8_t *bytes = writer->bytes;
    uint8_t *offset = bytes + writer->used;
    for (uint32_t i = 0; i < writer->record_count; i++, offset += SAGA_BLOCK_OFFSET_BYTES) {
        saga_put16(offset, writer->offsets[i]);
    }
    size_t size = (size_t)(offset - bytes);
    memcpy(bytes + AT_MAGIC, magic, sizeof magic);
    saga_put16(bytes + AT_FORMAT, SAGA_RECORD_FORMAT);
    saga_put16(bytes + AT_RECORD_COUNT, (uint16_t)writer->record_count);
    saga_put64(bytes + AT_FIRST_LSN, writer->first_lsn);
    saga_put64(bytes + AT_CHECKSUM, checksum_of(bytes, size, writer->first_lsn));
    return size;
}

void saga_block_peek(const struct saga_block_writer *writer, uint32_t index,
                     struct saga_record *record) {
    assert(index < writer->record_count);
    size_t begin = writer->offsets[index];
    size_t end =
        index + 1 < writer->record_count ? (size_t)writer->offsets[index + 1] : writer->used;
    enum saga_record_error error = saga_record_decode(writer->bytes + begin, end - begin, record);
    assert(error == SAGA_RECORD_OK);
    (void)error;
    record->lsn = writer->first_lsn + index;
}

/* ----------------------------------------------------------------- reading */

static const uint8_t *block_offsets(const struct saga_block *block) {
    return block->bytes + block->size - (size_t)SAGA_BLOCK_OFFSET_BYTES * block->record_count;
}

/* Where record `index` begins; the end of the records for one past the last. */
static size_t block_begin(const struct saga_block *block, uint32_t index) {
    const uint8_t *offsets = block_offsets(block);
    return index < block->record_count
               ? saga_get16(offsets + (size_t)SAGA_BLOCK_OFFSET_BYTES * index)
               : (size_t)(offsets - block->bytes);
}

/* Ascending offsets from the header's end to the table: each record has bytes,
 * and all of them are inside. */
static bool offsets_make_sense(const struct saga_block *block) {
    size_t previous = AT_RECORDS;
    if (block_begin(block, 0) != AT_RECORDS) {
        return false;
    }
    for (uint32_t i = 1; i <= block->record_count; i++) {
        size_t begin = block_begin(block, i);
        if (begin <= previous) {
            return false;
        }
        previous = begin;
    }
    return true;
}

enum saga_record_error saga_block_open(struct saga_block *block, uint64_t first_lsn,
                                       const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    if (size < AT_RECORDS) {
        return SAGA_RECORD_TRUNCATED;
    }
    if (saga_get64(at + AT_CHECKSUM) != checksum_of(at, size, first_lsn)) {
        return SAGA_RECORD_CHECKSUM;
    }
    if (memcmp(at + AT_MAGIC, magic, sizeof magic) != 0) {
        return SAGA_RECORD_MALFORMED;
    }
    if (saga_get16(at + AT_FORMAT) > SAGA_RECORD_FORMAT) {
        return SAGA_RECORD_FORMAT_NEWER;
    }
    struct saga_block opened = {at, size, first_lsn, saga_get16(at + AT_RECORD_COUNT)};
    if (saga_get16(at + AT_FORMAT) == 0 || saga_get64(at + AT_FIRST_LSN) != first_lsn ||
        opened.record_count == 0 ||
        AT_RECORDS + (size_t)SAGA_BLOCK_OFFSET_BYTES * opened.record_count > size ||
        first_lsn > UINT64_MAX - opened.record_count || !offsets_make_sense(&opened)) {
        return SAGA_RECORD_MALFORMED;
    }
    *block = opened;
    return SAGA_RECORD_OK;
}

enum saga_record_error saga_block_record(const struct saga_block *block, uint32_t index,
                                         struct saga_record *record) {
    assert(index < block->record_count);
    size_t begin = block_begin(block, index);
    enum saga_record_error error =
        saga_record_decode(block->bytes + begin, block_begin(block, index + 1) - begin, record);
    record->lsn = block->first_lsn + index;
    return error;
}
