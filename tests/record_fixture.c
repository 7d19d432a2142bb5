#include "record_fixture.h"

#include <stdlib.h>
#include <string.h>

uint8_t record_longest[SAGA_PAYLOAD_BYTES_MAX];

struct saga_bytes record_bytes(const char *string) {
    return (struct saga_bytes){string, (uint32_t)strlen(string)};
}

struct saga_id record_saga_id(uint8_t first) {
    struct saga_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)(first + i);
    }
    return id;
}

static bool bytes_equal(struct saga_bytes a, struct saga_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void record_assert_same(const struct saga_record *a, const struct saga_record *b) {
    CHECK_THAT(a->previous_lsn == b->previous_lsn);
    CHECK_THAT(memcmp(&a->saga, &b->saga, sizeof a->saga) == 0);
    CHECK_THAT(a->at_ms == b->at_ms);
    CHECK_THAT(a->wall_ms == b->wall_ms);
    CHECK_THAT(a->definition_lsn == b->definition_lsn);
    CHECK_THAT(a->through_lsn == b->through_lsn);
    CHECK_THAT(a->epoch == b->epoch);
    CHECK_THAT(a->attempt == b->attempt);
    CHECK_THAT(a->incarnation == b->incarnation);
    CHECK_THAT(a->revision == b->revision);
    CHECK_THAT(a->fact == b->fact);
    CHECK_THAT(a->step == b->step);
    CHECK_THAT(a->operation == b->operation);
    CHECK_THAT(a->verdict == b->verdict);
    CHECK_THAT(a->reason == b->reason);
    CHECK_THAT(a->outcome == b->outcome);
    CHECK_THAT(a->verb == b->verb);
    CHECK_THAT(a->reserved == b->reserved);
    CHECK_THAT(bytes_equal(a->key, b->key));
    CHECK_THAT(bytes_equal(a->payload, b->payload));
    CHECK_THAT(bytes_equal(a->content, b->content));
}

uint8_t *record_encoded(const struct saga_record *record, size_t *size) {
    uint8_t *room = malloc(saga_record_size_max(record));
    CHECK_THAT(room != NULL);
    *size = saga_record_encode(record, room);
    CHECK_THAT(*size <= saga_record_size_max(record));
    uint8_t *exact = malloc(*size);
    CHECK_THAT(exact != NULL);
    memcpy(exact, room, *size);
    free(room);
    return exact;
}

enum saga_record_error record_decode_copy(const uint8_t *bytes, size_t size,
                                          struct saga_record *record) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    CHECK_THAT(exact != NULL);
    memcpy(exact, bytes, size);
    enum saga_record_error error = saga_record_decode(exact, size, record);
    free(exact);
    return error;
}

void record_assert_round_trip(const struct saga_record *record) {
    size_t size;
    uint8_t *bytes = record_encoded(record, &size);
    struct saga_record decoded;
    CHECK_THAT(saga_record_decode(bytes, size, &decoded) == SAGA_RECORD_OK);
    CHECK_THAT(decoded.lsn == 0);
    record_assert_same(&decoded, record);
    free(bytes);
}

struct saga_record record_smallest(void) {
    return (struct saga_record){.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE};
}

struct saga_record record_command(void) {
    return (struct saga_record){
        .previous_lsn = 4711,
        .saga = record_saga_id(0x10),
        .at_ms = 1767225600123,
        .wall_ms = 1767225600456,
        .epoch = 3,
        .attempt = 1,
        .incarnation = 1,
        .revision = 1,
        .fact = SAGA_COMMAND_ISSUED,
        .step = 2,
        .operation = SAGA_ACTION,
        .payload = record_bytes("{\"id\":3,\"status\":\"pending\"}"),
    };
}

/* A number of a random width: small ones are as likely as large ones. */
static uint64_t random_number(struct splitmix *random, unsigned bits) {
    return splitmix_next(random) >> (64 - bits) >> splitmix_below(random, bits);
}

static bool coin(struct splitmix *random) {
    return (splitmix_next(random) & 1) != 0;
}

struct saga_record record_random(struct splitmix *random, const uint8_t *noise) {
    struct saga_record record = record_smallest();
    record.fact = (uint8_t)(1 + splitmix_below(random, UINT8_MAX));
    if (coin(random)) {
        record.saga = record_saga_id((uint8_t)splitmix_next(random));
    }
    record.previous_lsn = coin(random) ? random_number(random, 64) : 0;
    record.at_ms = coin(random) ? (int64_t)random_number(random, 64) : 0;
    record.wall_ms = coin(random) ? -(int64_t)random_number(random, 63) : 0;
    record.definition_lsn = coin(random) ? random_number(random, 64) : 0;
    record.epoch = coin(random) ? (uint32_t)random_number(random, 32) : 0;
    record.attempt = coin(random) ? (uint32_t)random_number(random, 32) : 0;
    record.incarnation = coin(random) ? (uint16_t)random_number(random, 16) : 0;
    record.revision = coin(random) ? (uint16_t)random_number(random, 16) : 0;
    record.step = coin(random) ? (uint8_t)random_number(random, 8) : SAGA_STEP_NONE;
    record.operation = coin(random) ? (uint8_t)random_number(random, 8) : 0;
    record.verdict = coin(random) ? (uint8_t)random_number(random, 8) : 0;
    record.reason = coin(random) ? (uint8_t)random_number(random, 8) : 0;
    record.outcome = coin(random) ? (uint8_t)random_number(random, 8) : 0;
    record.verb = coin(random) ? (uint8_t)random_number(random, 8) : 0;
    record.key.size = (uint32_t)(coin(random) ? random_number(random, 10) : 0);
    record.key.data = record.key.size > 0 ? noise : NULL;
    record.payload.size = (uint32_t)random_number(random, splitmix_below(random, 50) == 0 ? 17 : 9);
    record.payload.data = record.payload.size > 0 ? noise + 1 : NULL;
    record.content.size = (uint32_t)(splitmix_below(random, 4) == 0 ? random_number(random, 9) : 0);
    record.content.data = record.content.size > 0 ? noise + 2 : NULL;
    record.through_lsn = splitmix_below(random, 4) == 0 ? random_number(random, 64) : 0;
    return record;
}

uint8_t *record_noise(struct splitmix *random) {
    size_t size = ((size_t)1 << 17) + 1;
    uint8_t *noise = malloc(size);
    ck_assert_ptr_nonnull(noise);
    for (size_t i = 0; i < size; i++) {
        noise[i] = (uint8_t)splitmix_next(random);
    }
    return noise;
}

void meta_assert_same(const struct saga_meta *a, const struct saga_meta *b) {
    ck_assert_uint_eq(a->format, b->format);
    ck_assert_mem_eq(a->identity, b->identity, sizeof a->identity);
    ck_assert_uint_eq(a->base_lsn, b->base_lsn);
    ck_assert_uint_eq(a->last_lsn, b->last_lsn);
    ck_assert_uint_eq(a->record_count, b->record_count);
    ck_assert_uint_eq(a->block_count, b->block_count);
    ck_assert_uint_eq(a->epoch, b->epoch);
    ck_assert_uint_eq(a->transaction, b->transaction);
    ck_assert_uint_eq(a->checkpoint.lsn, b->checkpoint.lsn);
    ck_assert_uint_eq(a->checkpoint.epoch, b->checkpoint.epoch);
    ck_assert_int_eq(a->checkpoint.epoch_ms, b->checkpoint.epoch_ms);
    ck_assert_int_eq(a->checkpoint.at_ms, b->checkpoint.at_ms);
}
