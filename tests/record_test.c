/* The codec of records, blocks and the row meta: every field, every cut, every flipped bit,
 * and the bytes of every format that was ever released. */
#include "record.h"

#include "meta.h"
#include "splitmix.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#ifndef SAGA_GOLDEN_DIR
#error SAGA_GOLDEN_DIR: where the blocks of released formats are
#endif

/* ------------------------------------------------------------------ records */

static struct saga_bytes text(const char *string) {
    return (struct saga_bytes){string, (uint32_t)strlen(string)};
}

static struct saga_id id_of(uint8_t first) {
    struct saga_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)(first + i);
    }
    return id;
}

static bool bytes_equal(struct saga_bytes a, struct saga_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* As ck_assert(), for loops of a hundred thousand turns: Check notes each of
 * its assertions that holds, in a file. */
#define CHECK_THAT(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("not so: %s", #condition);                                                \
        }                                                                                          \
    } while (0)

/* Everything but the LSN, which is not in a record. */
static void assert_same(const struct saga_record *a, const struct saga_record *b) {
    CHECK_THAT(a->previous_lsn == b->previous_lsn);
    CHECK_THAT(memcmp(&a->saga, &b->saga, sizeof a->saga) == 0);
    CHECK_THAT(a->at_ms == b->at_ms);
    CHECK_THAT(a->wall_ms == b->wall_ms);
    CHECK_THAT(a->definition_lsn == b->definition_lsn);
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

/* Encodes into memory of exactly the size, so that the address sanitizer sees
 * each byte read beyond it. */
static uint8_t *encoded(const struct saga_record *record, size_t *size) {
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

static enum saga_record_error decode_copy(const uint8_t *bytes, size_t size,
                                          struct saga_record *record) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    CHECK_THAT(exact != NULL);
    memcpy(exact, bytes, size);
    enum saga_record_error error = saga_record_decode(exact, size, record);
    free(exact);
    return error;
}

static void assert_round_trip(const struct saga_record *record) {
    size_t size;
    uint8_t *bytes = encoded(record, &size);
    struct saga_record decoded;
    CHECK_THAT(saga_record_decode(bytes, size, &decoded) == SAGA_RECORD_OK);
    CHECK_THAT(decoded.lsn == 0);
    assert_same(&decoded, record);
    free(bytes);
}

static struct saga_record smallest_record(void) {
    return (struct saga_record){.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE};
}

/* What a command of a real saga looks like. */
static struct saga_record command_record(void) {
    return (struct saga_record){
        .previous_lsn = 4711,
        .saga = id_of(0x10),
        .at_ms = 1767225600123,
        .wall_ms = 1767225600456,
        .epoch = 3,
        .attempt = 1,
        .incarnation = 1,
        .revision = 1,
        .fact = SAGA_COMMAND_ISSUED,
        .step = 2,
        .operation = SAGA_ACTION,
        .payload = text("{\"id\":3,\"status\":\"pending\"}"),
    };
}

static uint8_t longest[SAGA_PAYLOAD_BYTES_MAX];

static struct saga_record widest_record(void) {
    return (struct saga_record){
        .previous_lsn = UINT64_MAX,
        .saga = id_of(0xf0),
        .at_ms = INT64_MIN,
        .wall_ms = INT64_MAX,
        .definition_lsn = UINT64_MAX - 1,
        .epoch = UINT32_MAX,
        .attempt = UINT32_MAX,
        .incarnation = UINT16_MAX,
        .revision = UINT16_MAX,
        .fact = UINT8_MAX,
        .step = UINT8_MAX - 1,
        .operation = UINT8_MAX,
        .verdict = UINT8_MAX,
        .reason = UINT8_MAX,
        .outcome = UINT8_MAX,
        .verb = UINT8_MAX,
        .key = {longest, SAGA_KEY_BYTES_MAX},
        .payload = {longest, SAGA_PAYLOAD_BYTES_MAX},
        .content = {longest, SAGA_PAYLOAD_BYTES_MAX},
    };
}

/* A number of a random width: small ones are as likely as large ones. */
static uint64_t random_number(struct splitmix *random, unsigned bits) {
    return splitmix_next(random) >> (64 - bits) >> splitmix_below(random, bits);
}

static bool coin(struct splitmix *random) {
    return (splitmix_next(random) & 1) != 0;
}

static struct saga_record random_record(struct splitmix *random, const uint8_t *noise) {
    struct saga_record record = smallest_record();
    record.fact = (uint8_t)(1 + splitmix_below(random, UINT8_MAX));
    if (coin(random)) {
        record.saga = id_of((uint8_t)splitmix_next(random));
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
    return record;
}

static uint8_t *random_noise(struct splitmix *random) {
    size_t size = ((size_t)1 << 17) + 1;
    uint8_t *noise = malloc(size);
    ck_assert_ptr_nonnull(noise);
    for (size_t i = 0; i < size; i++) {
        noise[i] = (uint8_t)splitmix_next(random);
    }
    return noise;
}

START_TEST(every_field_comes_back) {
    struct saga_record record = smallest_record();
    assert_round_trip(&record);
    record = command_record();
    assert_round_trip(&record);
    memset(longest, 0xa5, sizeof longest);
    record = widest_record();
    assert_round_trip(&record);
}
END_TEST

START_TEST(the_smallest_record_is_three_bytes) {
    struct saga_record record = smallest_record();
    uint8_t bytes[256];
    ck_assert_uint_eq(saga_record_encode(&record, bytes), 3);
    ck_assert_mem_eq(bytes, "\x81\x01\x0e", 3);
}
END_TEST

START_TEST(the_widest_record_needs_all_of_size_max) {
    struct saga_record record = widest_record();
    size_t size;
    free(encoded(&record, &size));
    ck_assert_uint_le(saga_record_size_max(&record) - size, 4);
}
END_TEST

/* Integers at each border between two widths of msgpack. */
START_TEST(numbers_at_the_borders_of_widths_come_back) {
    const uint64_t borders[] = {0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, INT64_MAX};
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        for (uint64_t d = 0; d <= 2; d++) {
            uint64_t n = borders[i] - 1 + d;
            struct saga_record record = command_record();
            record.previous_lsn = n;
            record.definition_lsn = ~n;
            record.at_ms = (int64_t)n;
            record.wall_ms = (int64_t)~n;
            record.epoch = (uint32_t)n;
            record.attempt = (uint32_t)~n;
            record.incarnation = (uint16_t)n;
            record.revision = (uint16_t)~n;
            record.operation = (uint8_t)n;
            record.verdict = (uint8_t)~n;
            assert_round_trip(&record);
        }
    }
}
END_TEST

START_TEST(payloads_at_the_borders_of_widths_come_back) {
    const uint32_t sizes[] = {1, 31, 32, 255, 256, 65535, 65536, SAGA_PAYLOAD_BYTES_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct saga_record record = command_record();
        record.payload = (struct saga_bytes){longest, sizes[i]};
        record.key = (struct saga_bytes){
            longest, sizes[i] < SAGA_KEY_BYTES_MAX ? sizes[i] : SAGA_KEY_BYTES_MAX};
        assert_round_trip(&record);
    }
}
END_TEST

/* ---------------------------------------------- seen with another's decoder */

static const msgpack_object *value_of(const msgpack_object *map, uint64_t key) {
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        CHECK_THAT(pair->key.type == MSGPACK_OBJECT_POSITIVE_INTEGER);
        if (pair->key.via.u64 == key) {
            return &pair->val;
        }
    }
    return NULL;
}

static uint64_t unsigned_of(const msgpack_object *map, uint64_t key, uint64_t missing) {
    const msgpack_object *value = value_of(map, key);
    if (value == NULL) {
        return missing;
    }
    CHECK_THAT(value->type == MSGPACK_OBJECT_POSITIVE_INTEGER);
    return value->via.u64;
}

static int64_t signed_of(const msgpack_object *map, uint64_t key) {
    const msgpack_object *value = value_of(map, key);
    if (value == NULL) {
        return 0;
    }
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        CHECK_THAT(value->via.u64 <= INT64_MAX);
    } else {
        CHECK_THAT(value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER);
    }
    return value->via.i64;
}

static struct saga_bytes bytes_of(const msgpack_object *map, uint64_t key) {
    const msgpack_object *value = value_of(map, key);
    if (value == NULL) {
        return (struct saga_bytes){0};
    }
    CHECK_THAT(value->type == MSGPACK_OBJECT_BIN);
    return (struct saga_bytes){value->via.bin.ptr, value->via.bin.size};
}

/* record.h's table, read with msgpack-c. */
static void assert_msgpack_sees(const uint8_t *bytes, size_t size,
                                const struct saga_record *record) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t end = 0;
    CHECK_THAT(msgpack_unpack_next(&unpacked, (const char *)bytes, size, &end) ==
               MSGPACK_UNPACK_SUCCESS);
    CHECK_THAT(end == size);
    const msgpack_object *map = &unpacked.data;
    CHECK_THAT(map->type == MSGPACK_OBJECT_MAP);
    struct saga_record seen = {
        .fact = (uint8_t)unsigned_of(map, 1, 0),
        .previous_lsn = unsigned_of(map, 3, 0),
        .at_ms = signed_of(map, 4),
        .wall_ms = signed_of(map, 5),
        .epoch = (uint32_t)unsigned_of(map, 6, 0),
        .step = (uint8_t)unsigned_of(map, 7, SAGA_STEP_NONE),
        .operation = (uint8_t)unsigned_of(map, 8, 0),
        .incarnation = (uint16_t)unsigned_of(map, 9, 0),
        .revision = (uint16_t)unsigned_of(map, 10, 0),
        .attempt = (uint32_t)unsigned_of(map, 11, 0),
        .verdict = (uint8_t)unsigned_of(map, 12, 0),
        .reason = (uint8_t)unsigned_of(map, 13, 0),
        .outcome = (uint8_t)unsigned_of(map, 14, 0),
        .verb = (uint8_t)unsigned_of(map, 15, 0),
        .definition_lsn = unsigned_of(map, 16, 0),
        .key = bytes_of(map, 17),
        .payload = bytes_of(map, 18),
        .content = bytes_of(map, 19),
    };
    struct saga_bytes saga = bytes_of(map, 2);
    if (saga.size > 0) {
        CHECK_THAT(saga.size == sizeof seen.saga.bytes);
        memcpy(seen.saga.bytes, saga.data, saga.size);
    }
    assert_same(&seen, record);
    msgpack_unpacked_destroy(&unpacked);
}

START_TEST(random_records_come_back_and_are_msgpack) {
    struct splitmix random = {20260101};
    uint8_t *noise = random_noise(&random);
    for (int i = 0; i < 6000; i++) {
        struct saga_record record = random_record(&random, noise);
        size_t size;
        uint8_t *bytes = encoded(&record, &size);
        struct saga_record decoded;
        CHECK_THAT(saga_record_decode(bytes, size, &decoded) == SAGA_RECORD_OK);
        assert_same(&decoded, &record);
        assert_msgpack_sees(bytes, size, &record);
        size_t again_size;
        uint8_t *again = encoded(&decoded, &again_size);
        CHECK_THAT(again_size == size);
        CHECK_THAT(memcmp(again, bytes, size) == 0);
        free(again);
        free(bytes);
    }
    free(noise);
}
END_TEST

/* ------------------------------------------------------------ hostile bytes */

START_TEST(every_truncation_of_a_record_is_refused) {
    struct splitmix random = {7};
    uint8_t *noise = random_noise(&random);
    for (int i = 0; i < 200; i++) {
        struct saga_record record = i == 0 ? command_record() : random_record(&random, noise);
        if (record.payload.size > 300) {
            record.payload.size = 300;
        }
        size_t size;
        uint8_t *bytes = encoded(&record, &size);
        for (size_t cut = 0; cut < size; cut++) {
            struct saga_record decoded;
            CHECK_THAT(decode_copy(bytes, cut, &decoded) == SAGA_RECORD_TRUNCATED);
        }
        free(bytes);
    }
    free(noise);
}
END_TEST

START_TEST(bytes_after_a_record_are_refused) {
    struct saga_record record = command_record();
    uint8_t bytes[512];
    size_t size = saga_record_encode(&record, bytes);
    bytes[size] = 0xc0;
    ck_assert_int_eq(saga_record_decode(bytes, size + 1, &record), SAGA_RECORD_MALFORMED);
}
END_TEST

/* A record alone has no checksum: a flip may give another record, but never a
 * read outside the bytes, and never one that cannot be encoded again. */
START_TEST(flipped_bits_of_a_record_stay_inside_it) {
    struct saga_record record = command_record();
    record.key = text("key");
    record.definition_lsn = 9;
    size_t size;
    uint8_t *bytes = encoded(&record, &size);
    unsigned refused = 0;
    for (size_t first = 0; first < size * 8; first++) {
        for (size_t second = first; second < size * 8; second++) {
            bytes[first / 8] ^= (uint8_t)(1u << (first % 8));
            bytes[second / 8] ^= (uint8_t)(second == first ? 0 : 1u << (second % 8));
            struct saga_record decoded;
            if (saga_record_decode(bytes, size, &decoded) == SAGA_RECORD_OK) {
                uint8_t again[1024];
                CHECK_THAT(saga_record_size_max(&decoded) <= sizeof again);
                CHECK_THAT(saga_record_encode(&decoded, again) > 0);
            } else {
                refused++;
            }
            bytes[first / 8] ^= (uint8_t)(1u << (first % 8));
            bytes[second / 8] ^= (uint8_t)(second == first ? 0 : 1u << (second % 8));
        }
    }
    CHECK_THAT(refused > 0);
    free(bytes);
}
END_TEST

START_TEST(random_bytes_are_never_trusted) {
    struct splitmix random = {99};
    uint8_t bytes[64];
    unsigned taken = 0;
    for (int i = 0; i < 300000; i++) {
        size_t size = splitmix_below(&random, sizeof bytes + 1);
        for (size_t k = 0; k < size; k++) {
            /* Half of them bytes that a record is made of, to get deeper. */
            uint64_t n = splitmix_next(&random);
            bytes[k] = (uint8_t)(n & 0x100 ? n : (n & 0x200 ? n % 19 : 0xc4 + n % 28));
        }
        bytes[0] = (uint8_t)(0x80 | (bytes[0] & 0x0f));
        struct saga_record record;
        enum saga_record_error error = saga_record_decode(bytes, size, &record);
        taken += error == SAGA_RECORD_OK;
        struct saga_record copy;
        CHECK_THAT(decode_copy(bytes, size, &copy) == error);
        if (error == SAGA_RECORD_OK) {
            assert_round_trip(&record);
        }
    }
    CHECK_THAT(taken > 0);
}
END_TEST

/* Bytes by hand: {1: fact} and what is to be tried. */
static enum saga_record_error decode_literal(const char *bytes, size_t size) {
    struct saga_record record;
    return decode_copy((const uint8_t *)bytes, size, &record);
}
#define DECODE(literal) decode_literal(literal, sizeof(literal) - 1)

START_TEST(numbers_of_any_width_are_read) {
    ck_assert_int_eq(DECODE("\x81\x01\xcc\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\x81\x01\xcd\x00\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\x81\xcd\x00\x01\xce\x00\x00\x00\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\x81\x01\xcf\x00\x00\x00\x00\x00\x00\x00\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\x81\x01\xd0\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\xde\x00\x01\x01\x0e"), SAGA_RECORD_OK);
    ck_assert_int_eq(DECODE("\xdf\x00\x00\x00\x01\x01\x0e"), SAGA_RECORD_OK);
    struct saga_record record;
    ck_assert_int_eq(
        decode_copy((const uint8_t *)"\x83\x01\x02\x04\xff\x05\xd1\xff\x7f", 9, &record),
        SAGA_RECORD_OK);
    ck_assert_int_eq(record.at_ms, -1);
    ck_assert_int_eq(record.wall_ms, -129);
}
END_TEST

START_TEST(values_that_do_not_fit_are_refused) {
    ck_assert_int_eq(DECODE("\x81\x01\xcd\x01\x00"), SAGA_RECORD_MALFORMED); /* fact 256 */
    ck_assert_int_eq(DECODE("\x81\x01\xff"), SAGA_RECORD_MALFORMED);         /* fact -1 */
    ck_assert_int_eq(DECODE("\x81\x01\xd0\xff"), SAGA_RECORD_MALFORMED);
    ck_assert_int_eq(DECODE("\x81\x01\x00"), SAGA_RECORD_MALFORMED); /* fact 0 */
    ck_assert_int_eq(DECODE("\x80"), SAGA_RECORD_MALFORMED);         /* no fact */
    ck_assert_int_eq(DECODE("\x81\x01\xa1x"), SAGA_RECORD_MALFORMED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x01\x0e"), SAGA_RECORD_MALFORMED);       /* twice */
    ck_assert_int_eq(DECODE("\x82\x07\x01\x01\x0e"), SAGA_RECORD_MALFORMED);       /* descending */
    ck_assert_int_eq(DECODE("\x82\x01\x0e\xa1x\x01"), SAGA_RECORD_MALFORMED);      /* text as key */
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x02\xc4\x02zz"), SAGA_RECORD_MALFORMED); /* id of 2 */
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x04\xcf\x80\x00\x00\x00\x00\x00\x00\x00"),
                     SAGA_RECORD_MALFORMED); /* a time of 2^63 */
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x09\xce\x00\x01\x00\x00"), SAGA_RECORD_MALFORMED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x0b\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
                     SAGA_RECORD_MALFORMED);
    ck_assert_int_eq(DECODE("\x91\x01"), SAGA_RECORD_MALFORMED); /* an array */
    ck_assert_int_eq(DECODE(""), SAGA_RECORD_TRUNCATED);
}
END_TEST

START_TEST(a_key_or_payload_over_its_limit_is_refused) {
    size_t size = (size_t)SAGA_PAYLOAD_BYTES_MAX + 64;
    uint8_t *bytes = calloc(1, size);
    ck_assert_ptr_nonnull(bytes);
    const uint32_t limits[] = {SAGA_KEY_BYTES_MAX, SAGA_PAYLOAD_BYTES_MAX};
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t over = 0; over <= 1; over++) {
            uint32_t length = limits[i] + over;
            uint8_t head[] = {0x82,
                              0x01,
                              0x0e,
                              (uint8_t)(17 + i),
                              0xc6,
                              (uint8_t)(length >> 24),
                              (uint8_t)(length >> 16),
                              (uint8_t)(length >> 8),
                              (uint8_t)length};
            memcpy(bytes, head, sizeof head);
            struct saga_record record;
            ck_assert_int_eq(saga_record_decode(bytes, sizeof head + length, &record),
                             over == 0 ? SAGA_RECORD_OK : SAGA_RECORD_MALFORMED);
        }
    }
    free(bytes);
}
END_TEST

/* Five bytes that announce 4 G elements must cost nothing. */
START_TEST(counts_are_not_trusted) {
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x40\xdd\xff\xff\xff\xff"), SAGA_RECORD_TRUNCATED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x40\xdf\xff\xff\xff\xff"), SAGA_RECORD_TRUNCATED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x40\xc6\xff\xff\xff\xff"), SAGA_RECORD_TRUNCATED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x40\xc9\xff\xff\xff\xff\x01"), SAGA_RECORD_TRUNCATED);
    ck_assert_int_eq(DECODE("\x82\x01\x0e\x12\xc6\xff\xff\xff\xff"), SAGA_RECORD_TRUNCATED);
    ck_assert_int_eq(DECODE("\xdf\xff\xff\xff\xff\x01\x0e"), SAGA_RECORD_TRUNCATED);
}
END_TEST

START_TEST(keys_of_a_newer_version_are_skipped) {
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_int(&packer, SAGA_ENDED);
    msgpack_pack_int(&packer, 14);
    msgpack_pack_int(&packer, SAGA_COMPENSATED);
    msgpack_pack_int(&packer, 100);
    msgpack_pack_array(&packer, 13); /* one of each kind */
    msgpack_pack_nil(&packer);
    msgpack_pack_true(&packer);
    msgpack_pack_false(&packer);
    msgpack_pack_double(&packer, 1.5);
    msgpack_pack_float(&packer, 1.5f);
    msgpack_pack_int64(&packer, INT64_MIN);
    msgpack_pack_uint64(&packer, UINT64_MAX);
    msgpack_pack_str_with_body(&packer, "text", 4);
    msgpack_pack_str_with_body(&packer, longest, 300);
    msgpack_pack_bin_with_body(&packer, longest, 70000);
    msgpack_pack_ext_with_body(&packer, longest, 16, 5);
    msgpack_pack_ext_with_body(&packer, longest, 17, 5);
    msgpack_pack_map(&packer, 20);
    for (int i = 0; i < 20; i++) {
        msgpack_pack_int(&packer, i);
        msgpack_pack_array(&packer, 1);
        msgpack_pack_int(&packer, -i * 1000);
    }
    msgpack_pack_int(&packer, 200);
    msgpack_pack_nil(&packer);
    struct saga_record record;
    ck_assert_int_eq(decode_copy((const uint8_t *)buffer.data, buffer.size, &record),
                     SAGA_RECORD_OK);
    ck_assert_int_eq(record.fact, SAGA_ENDED);
    ck_assert_int_eq(record.outcome, SAGA_COMPENSATED);
    for (size_t cut = 0; cut < buffer.size; cut += cut < 400 ? 1 : 997) {
        ck_assert_int_eq(decode_copy((const uint8_t *)buffer.data, cut, &record),
                         SAGA_RECORD_TRUNCATED);
    }
    msgpack_sbuffer_destroy(&buffer);
}
END_TEST

START_TEST(a_million_nested_arrays_do_not_overflow_the_stack) {
    size_t depth = 1000000;
    uint8_t *bytes = malloc(depth + 5);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, "\x82\x01\x0e\x40", 4);
    memset(bytes + 4, 0x91, depth);
    bytes[4 + depth] = 0xc0;
    struct saga_record record;
    ck_assert_int_eq(saga_record_decode(bytes, depth + 5, &record), SAGA_RECORD_OK);
    free(bytes);
}
END_TEST

/* ------------------------------------------------------------------- blocks */

/* A block of up to `count` records like command_record(); returns its size. */
static size_t write_block(uint8_t *bytes, size_t room, uint64_t first_lsn, uint32_t count,
                          uint32_t *written) {
    struct saga_block_writer writer;
    saga_block_begin(&writer, first_lsn, bytes);
    struct saga_record record = command_record();
    for (uint32_t i = 0; i < count; i++) {
        record.lsn = first_lsn + i;
        record.previous_lsn = record.lsn - 1;
        ck_assert_uint_le(saga_block_room(&writer, &record), room);
        if (!saga_block_add(&writer, &record)) {
            break;
        }
    }
    *written = writer.record_count;
    return saga_block_commit(&writer);
}

START_TEST(a_block_gives_its_records_back) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    for (uint32_t count = 1; count <= 60; count++) {
        uint32_t written;
        uint64_t first_lsn = 1000 + count;
        size_t size = write_block(bytes, sizeof bytes, first_lsn, count, &written);
        ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
        struct saga_block block;
        ck_assert_int_eq(saga_block_open(&block, first_lsn, bytes, size), SAGA_RECORD_OK);
        ck_assert_uint_eq(block.record_count, written);
        ck_assert_uint_eq(block.first_lsn, first_lsn);
        for (uint32_t i = 0; i < written; i++) {
            struct saga_record record;
            ck_assert_int_eq(saga_block_record(&block, i, &record), SAGA_RECORD_OK);
            ck_assert_uint_eq(record.lsn, first_lsn + i);
            ck_assert_uint_eq(record.previous_lsn, first_lsn + i - 1);
            struct saga_record expected = command_record();
            expected.previous_lsn = record.previous_lsn;
            assert_same(&record, &expected);
        }
    }
}
END_TEST

START_TEST(a_full_block_is_nearly_a_page) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 1, 1000, &written);
    ck_assert_uint_gt(written, 20);
    ck_assert_uint_lt(written, 1000);
    struct saga_record record = command_record();
    uint8_t one[512];
    size_t record_size = saga_record_encode(&record, one);
    ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
    ck_assert_uint_gt(size + record_size + SAGA_BLOCK_OFFSET_BYTES, SAGA_BLOCK_BYTES);
}
END_TEST

START_TEST(a_block_of_the_smallest_records_holds_the_most) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    struct saga_block_writer writer;
    saga_block_begin(&writer, 1, bytes);
    struct saga_record record = smallest_record();
    uint32_t count = 0;
    for (record.lsn = 1; saga_block_add(&writer, &record); record.lsn++) {
        count++;
    }
    ck_assert_uint_eq(count, SAGA_BLOCK_RECORDS_MAX);
    size_t size = saga_block_commit(&writer);
    ck_assert_uint_le(size, SAGA_BLOCK_BYTES);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 1, bytes, size), SAGA_RECORD_OK);
    ck_assert_uint_eq(block.record_count, count);
}
END_TEST

START_TEST(a_large_record_has_a_block_of_its_own) {
    struct saga_record record = command_record();
    record.payload = (struct saga_bytes){longest, SAGA_PAYLOAD_BYTES_MAX};
    struct saga_block_writer writer;
    uint8_t *bytes = malloc(SAGA_PAYLOAD_BYTES_MAX + 8192);
    ck_assert_ptr_nonnull(bytes);
    saga_block_begin(&writer, 5, bytes);
    record.lsn = 5;
    ck_assert(saga_block_add(&writer, &record));
    struct saga_record next = smallest_record();
    next.lsn = 6;
    ck_assert(!saga_block_add(&writer, &next));
    size_t size = saga_block_commit(&writer);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 5, bytes, size), SAGA_RECORD_OK);
    struct saga_record read;
    ck_assert_int_eq(saga_block_record(&block, 0, &read), SAGA_RECORD_OK);
    assert_same(&read, &record);
    free(bytes);
}
END_TEST

START_TEST(a_block_being_written_can_be_read) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    struct saga_block_writer writer;
    saga_block_begin(&writer, 70, bytes);
    struct saga_record record = command_record();
    for (uint32_t i = 0; i < 10; i++) {
        record.lsn = 70 + i;
        record.attempt = i + 1;
        ck_assert(saga_block_add(&writer, &record));
        for (uint32_t k = 0; k <= i; k++) {
            struct saga_record peeked;
            saga_block_peek(&writer, k, &peeked);
            ck_assert_uint_eq(peeked.lsn, 70 + k);
            ck_assert_uint_eq(peeked.attempt, k + 1);
        }
    }
}
END_TEST

static enum saga_record_error open_copy(const uint8_t *bytes, size_t size, uint64_t first_lsn) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    CHECK_THAT(exact != NULL);
    memcpy(exact, bytes, size);
    struct saga_block block;
    enum saga_record_error error = saga_block_open(&block, first_lsn, exact, size);
    free(exact);
    return error;
}

START_TEST(every_truncation_of_a_block_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 100, &written);
    for (size_t cut = 0; cut < size; cut++) {
        CHECK_THAT(open_copy(bytes, cut, 42) != SAGA_RECORD_OK);
    }
}
END_TEST

START_TEST(every_flipped_bit_of_a_block_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 100, &written);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct saga_block block;
        CHECK_THAT(saga_block_open(&block, 42, bytes, size) == SAGA_RECORD_CHECKSUM);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}
END_TEST

START_TEST(a_block_at_another_place_is_refused) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 3, &written);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 41, bytes, size), SAGA_RECORD_CHECKSUM);
    ck_assert_int_eq(saga_block_open(&block, 43, bytes, size), SAGA_RECORD_CHECKSUM);
    ck_assert_int_eq(saga_block_open(&block, 0, bytes, size), SAGA_RECORD_CHECKSUM);
}
END_TEST

/* Puts the right checksum under wrong bytes. */
static void sum(uint8_t *bytes, size_t size, uint64_t first_lsn) {
    XXH64_canonicalFromHash((XXH64_canonical_t *)bytes,
                            XXH3_64bits_withSeed(bytes + 8, size - 8, first_lsn));
}

START_TEST(a_block_of_a_newer_format_says_so) {
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 3, &written);
    bytes[13] = SAGA_RECORD_FORMAT + 1;
    sum(bytes, size, 42);
    struct saga_block block;
    ck_assert_int_eq(saga_block_open(&block, 42, bytes, size), SAGA_RECORD_FORMAT_NEWER);
    bytes[13] = 0;
    sum(bytes, size, 42);
    ck_assert_int_eq(saga_block_open(&block, 42, bytes, size), SAGA_RECORD_MALFORMED);
}
END_TEST

/* What a program with a bug, or an attacker, could write: good checksum, bad
 * structure. */
START_TEST(a_well_summed_block_of_bad_structure_is_refused) {
    uint8_t good[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(good, sizeof good, 42, 5, &written);
    struct {
        const char *what;
        size_t at;
        uint16_t value;
    } changes[] = {
        {"magic", 8, 0x5858},
        {"no records", 14, 0},
        {"more records than offsets", 14, 6},
        {"more records than bytes", 14, 0xffff},
        {"fewer records than offsets", 14, 4},
        {"first LSN", 22, 43},
        {"first offset in the header", size - 10, 8},
        {"first offset behind the header", size - 10, 25},
        {"offset behind its successor", size - 8, 0xffff},
        {"offset before its predecessor", size - 6, 24},
        {"last offset in the offsets", size - 2, (uint16_t)(size - 10)},
        {"last offset behind the block", size - 2, 0xffff},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t bytes[sizeof good];
        memcpy(bytes, good, sizeof good);
        bytes[changes[i].at] = (uint8_t)(changes[i].value >> 8);
        bytes[changes[i].at + 1] = (uint8_t)changes[i].value;
        sum(bytes, size, 42);
        ck_assert_msg(open_copy(bytes, size, 42) == SAGA_RECORD_MALFORMED, "accepted: %s",
                      changes[i].what);
    }
    uint8_t header[SAGA_BLOCK_HEADER_BYTES];
    memcpy(header, good, sizeof header);
    sum(header, sizeof header, 42);
    ck_assert_int_eq(open_copy(header, sizeof header, 42), SAGA_RECORD_MALFORMED);
}
END_TEST

START_TEST(random_well_summed_blocks_are_read_inside_their_bytes) {
    struct splitmix random = {1234};
    uint8_t bytes[SAGA_BLOCK_BYTES + 512];
    uint32_t written;
    size_t size = write_block(bytes, sizeof bytes, 42, 20, &written);
    unsigned read = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t *exact = malloc(size);
        CHECK_THAT(exact != NULL);
        memcpy(exact, bytes, size);
        for (uint64_t k = 0; k <= splitmix_below(&random, 8); k++) {
            exact[12 + splitmix_below(&random, size - 12)] = (uint8_t)splitmix_next(&random);
        }
        sum(exact, size, 42);
        struct saga_block block;
        if (saga_block_open(&block, 42, exact, size) == SAGA_RECORD_OK) {
            for (uint32_t k = 0; k < block.record_count; k++) {
                struct saga_record record;
                read += saga_block_record(&block, k, &record) == SAGA_RECORD_OK;
            }
        }
        free(exact);
    }
    CHECK_THAT(read > 20000); /* else it never came past saga_block_open() */
}
END_TEST

/* ------------------------------------------------------------- golden files */

/* These also run outside of Check, for --write-golden. */
static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

/* One record of each fact, as a booking saga would have them. Never change
 * these: the golden files hold their bytes. */
static uint32_t golden_records(struct saga_record *records) {
    const int64_t at_ms = 1767225600000; /* 2026-01-01 */
    const struct saga_id saga = id_of(0x01);
    struct saga_record all[] = {
        {.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE},
        {.fact = SAGA_DEFINITION_LOADED,
         .step = SAGA_STEP_NONE,
         .key = text("5f0c1b"),
         .payload = text("saga: booking\nversion: 1\n")},
        {.fact = SAGA_STARTED,
         .saga = saga,
         .step = SAGA_STEP_NONE,
         .definition_lsn = 1001,
         .key = text("order-7"),
         .payload = text("{\"total\":10000}")},
        {.fact = SAGA_COMMAND_ISSUED,
         .saga = saga,
         .previous_lsn = 1002,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .payload = text("{\"total\":10000}")},
        {.fact = SAGA_COMMAND_UNSENT,
         .saga = saga,
         .previous_lsn = 1003,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 1},
        {.fact = SAGA_ATTEMPT_EXPIRED,
         .saga = saga,
         .previous_lsn = 1004,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 128},
        {.fact = SAGA_REPLY_RECEIVED,
         .saga = saga,
         .previous_lsn = 1005,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 70000,
         .verdict = SAGA_DONE,
         .payload = text("{\"content\":null}")},
        {.fact = SAGA_CANCEL_REQUESTED,
         .saga = saga,
         .previous_lsn = 1006,
         .step = SAGA_STEP_NONE,
         .reason = SAGA_REASON_CANCELLED},
        {.fact = SAGA_COMPENSATION_STARTED,
         .saga = saga,
         .previous_lsn = 1007,
         .step = 63,
         .reason = SAGA_REASON_REJECTED},
        {.fact = SAGA_PIVOT_PASSED, .saga = saga, .previous_lsn = 1008, .step = 4},
        {.fact = SAGA_LATE_REPLY_RECEIVED,
         .saga = saga,
         .previous_lsn = 1009,
         .step = 1,
         .operation = SAGA_COMPENSATION,
         .incarnation = 300,
         .revision = 2,
         .verdict = SAGA_NOOP},
        {.fact = SAGA_PARKED,
         .saga = saga,
         .previous_lsn = 1010,
         .step = 1,
         .reason = SAGA_REASON_CONTRACT_BROKEN},
        {.fact = SAGA_OPERATOR_ACTED,
         .saga = saga,
         .previous_lsn = 1011,
         .step = SAGA_STEP_NONE,
         .verb = SAGA_VERB_RETRY,
         .key = text("ann"),
         .payload = text("the bank is back")},
        {.fact = SAGA_ENDED,
         .saga = saga,
         .previous_lsn = 1012,
         .step = SAGA_STEP_NONE,
         .outcome = SAGA_COMPENSATED},
    };
    uint32_t count = sizeof all / sizeof all[0];
    for (uint32_t i = 0; i < count; i++) {
        records[i] = all[i];
        records[i].lsn = 1000 + i;
        records[i].at_ms = at_ms + i;
        records[i].wall_ms = at_ms - i;
        records[i].epoch = 3;
    }
    return count;
}
#define GOLDEN_LSN         1000
#define GOLDEN_RECORDS_MAX 32
#define GOLDEN_BYTES_MAX   65536

static size_t golden_block(uint8_t *bytes) {
    struct saga_record records[GOLDEN_RECORDS_MAX];
    uint32_t count = golden_records(records);
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    for (uint32_t i = 0; i < count; i++) {
        must(saga_block_add(&writer, &records[i]));
    }
    return saga_block_commit(&writer);
}

/* What operators do to one step. Never change these, either. */
static size_t golden_operator_block(uint8_t *bytes) {
    const struct saga_record records[] = {
        {.verb = SAGA_VERB_RESOLVE,
         .step = 4,
         .verdict = SAGA_DONE,
         .key = text("ann (uid 1000)"),
         .payload = text("seen in the ledger"),
         .content = text("{\"room\":7}")},
        {.verb = SAGA_VERB_RESOLVE, .step = 4, .verdict = SAGA_REJECTED, .key = text("ann")},
        {.verb = SAGA_VERB_MARK_COMPENSATED,
         .step = 0,
         .key = text("bob"),
         .payload = text("refunded by hand, receipt 12")},
        {.verb = SAGA_VERB_WRITE_OFF, .step = 63, .payload = text("too small to follow up")},
    };
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    for (uint32_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct saga_record record = records[i];
        record.fact = SAGA_OPERATOR_ACTED;
        record.lsn = GOLDEN_LSN + i;
        record.previous_lsn = record.lsn - 1;
        record.saga = id_of(0x01);
        record.at_ms = 1767225600000 + i;
        record.wall_ms = 1767225600000;
        record.epoch = 4;
        must(saga_block_add(&writer, &record));
    }
    return saga_block_commit(&writer);
}

static size_t golden_large_block(uint8_t *bytes) {
    static char payload[5000];
    memset(payload, 'x', sizeof payload);
    struct saga_record record = {.lsn = GOLDEN_LSN,
                                 .fact = SAGA_REPLY_RECEIVED,
                                 .saga = id_of(0x01),
                                 .previous_lsn = 999,
                                 .at_ms = -1,
                                 .epoch = 200,
                                 .step = 2,
                                 .operation = SAGA_FENCE,
                                 .incarnation = 1,
                                 .revision = 1,
                                 .attempt = 1,
                                 .verdict = SAGA_FENCED,
                                 .payload = {payload, sizeof payload}};
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    must(saga_block_add(&writer, &record));
    return saga_block_commit(&writer);
}

static void assert_same_row(const struct saga_meta *a, const struct saga_meta *b) {
    ck_assert_uint_eq(a->format, b->format);
    ck_assert_mem_eq(a->identity, b->identity, sizeof a->identity);
    ck_assert_uint_eq(a->base_lsn, b->base_lsn);
    ck_assert_uint_eq(a->last_lsn, b->last_lsn);
    ck_assert_uint_eq(a->record_count, b->record_count);
    ck_assert_uint_eq(a->block_count, b->block_count);
    ck_assert_uint_eq(a->epoch, b->epoch);
    ck_assert_uint_eq(a->transaction, b->transaction);
}

static size_t print_bytes(char *at, size_t room, const char *name, struct saga_bytes bytes) {
    size_t used = (size_t)snprintf(at, room, " %s=", name);
    const uint8_t *data = bytes.data;
    uint32_t shown = bytes.size < 40 ? bytes.size : 40;
    for (uint32_t i = 0; i < shown; i++) {
        used += (size_t)snprintf(at + used, room - used, "%02x", data[i]);
    }
    used += (size_t)snprintf(at + used, room - used, "(%" PRIu32 ")", bytes.size);
    return used;
}

/* A block as text, every field of every record; returns its size. */
static size_t print_block(const struct saga_block *block, char *at, size_t room) {
    size_t used = (size_t)snprintf(at, room, "block first_lsn=%" PRIu64 " records=%" PRIu32 "\n",
                                   block->first_lsn, block->record_count);
    for (uint32_t i = 0; i < block->record_count; i++) {
        struct saga_record r;
        must(saga_block_record(block, i, &r) == SAGA_RECORD_OK);
        used += (size_t)snprintf(at + used, room - used,
                                 "lsn=%" PRIu64 " fact=%u previous_lsn=%" PRIu64 " at_ms=%" PRId64
                                 " wall_ms=%" PRId64 " epoch=%" PRIu32
                                 " step=%u operation=%u incarnation=%u revision=%u attempt=%" PRIu32
                                 " verdict=%u reason=%u outcome=%u verb=%u definition_lsn=%" PRIu64,
                                 r.lsn, r.fact, r.previous_lsn, r.at_ms, r.wall_ms, r.epoch, r.step,
                                 r.operation, r.incarnation, r.revision, r.attempt, r.verdict,
                                 r.reason, r.outcome, r.verb, r.definition_lsn);
        struct saga_bytes saga = {r.saga.bytes, sizeof r.saga.bytes};
        used += print_bytes(at + used, room - used, "saga", saga);
        used += print_bytes(at + used, room - used, "key", r.key);
        used += print_bytes(at + used, room - used, "payload", r.payload);
        if (r.content.size > 0) {
            used += print_bytes(at + used, room - used, "content", r.content);
        }
        used += (size_t)snprintf(at + used, room - used, "\n");
        must(used < room);
    }
    return used;
}

static size_t read_golden(unsigned format, const char *name, uint8_t *bytes) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/format-%u/%s", SAGA_GOLDEN_DIR, format, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    size_t size = fread(bytes, 1, GOLDEN_BYTES_MAX, file);
    (void)fclose(file);
    ck_assert_uint_gt(size, 0);
    return size;
}

static const struct saga_meta golden_row = {
    .format = 1,
    .identity = {0x14, 0xd3, 0x56, 0x7e, 0x1e, 0x18, 0x4a, 0xd9, 0xa7, 0x98, 0x9e, 0x25},
    .base_lsn = 1001,
    .last_lsn = 0x123456789abcd,
    .record_count = 0x123456789abcd - 1000,
    .block_count = 77,
    .epoch = 5,
    .transaction = 0x1020304050607,
};

static size_t golden_meta(uint8_t *bytes) {
    saga_meta_encode(&golden_row, bytes);
    return SAGA_META_BYTES;
}

static const struct {
    const char *bytes;
    const char *text; /* NULL: no block */
    size_t (*make)(uint8_t *bytes);
} golden[] = {
    {"meta.bin", NULL, golden_meta},
    {"block.bin", "block.txt", golden_block},
    {"large.bin", "large.txt", golden_large_block},
    {"operator.bin", "operator.txt", golden_operator_block},
};
#define GOLDEN_COUNT (sizeof golden / sizeof golden[0])

static uint8_t golden_bytes[GOLDEN_BYTES_MAX], golden_other[GOLDEN_BYTES_MAX];
static char golden_text[GOLDEN_BYTES_MAX];

START_TEST(the_encoder_gives_the_golden_bytes) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        size_t size = golden[i].make(golden_bytes);
        ck_assert_uint_eq(read_golden(SAGA_RECORD_FORMAT, golden[i].bytes, golden_other), size);
        ck_assert_mem_eq(golden_bytes, golden_other, size);
    }
}
END_TEST

START_TEST(golden_blocks_of_every_format_are_read) {
    for (unsigned format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        for (size_t i = 0; i < GOLDEN_COUNT; i++) {
            if (golden[i].text == NULL) {
                continue;
            }
            size_t size = read_golden(format, golden[i].bytes, golden_bytes);
            struct saga_block block;
            ck_assert_int_eq(saga_block_open(&block, GOLDEN_LSN, golden_bytes, size),
                             SAGA_RECORD_OK);
            size_t length = print_block(&block, golden_text, sizeof golden_text);
            ck_assert_uint_eq(read_golden(format, golden[i].text, golden_other), length);
            ck_assert_mem_eq(golden_text, golden_other, length);
        }
    }
}
END_TEST

START_TEST(golden_meta_rows_of_every_format_are_read) {
    for (unsigned format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        size_t size = read_golden(format, "meta.bin", golden_bytes);
        struct saga_meta meta = {0};
        ck_assert_int_eq(saga_meta_decode(&meta, golden_bytes, size), SAGA_RECORD_OK);
        assert_same_row(&meta, &golden_row);
    }
}
END_TEST

static int write_file(const char *directory, const char *name, const void *bytes, size_t size) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int write_golden(const char *directory) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        size_t size = golden[i].make(golden_bytes);
        if (golden[i].text == NULL) {
            if (write_file(directory, golden[i].bytes, golden_bytes, size) != EXIT_SUCCESS) {
                return EXIT_FAILURE;
            }
            continue;
        }
        struct saga_block block;
        if (saga_block_open(&block, GOLDEN_LSN, golden_bytes, size) != SAGA_RECORD_OK) {
            return EXIT_FAILURE;
        }
        size_t length = print_block(&block, golden_text, sizeof golden_text);
        if (write_file(directory, golden[i].bytes, golden_bytes, size) != EXIT_SUCCESS ||
            write_file(directory, golden[i].text, golden_text, length) != EXIT_SUCCESS) {
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

/* ----------------------------------------------------------------- row meta */

START_TEST(damaged_and_cut_rows_are_refused) {
    uint8_t row[SAGA_META_BYTES];
    struct saga_meta meta;
    saga_meta_encode(&golden_row, row);
    for (size_t bit = 0; bit < sizeof row * 8; bit++) {
        row[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_CHECKSUM);
        row[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < sizeof row; cut++) {
        ck_assert_int_eq(saga_meta_decode(&meta, row, cut), SAGA_RECORD_TRUNCATED);
    }
}
END_TEST

static void sum_row(uint8_t *row, size_t size) {
    XXH64_canonicalFromHash((XXH64_canonical_t *)row, XXH3_64bits(row + 8, size - 8));
}

START_TEST(a_longer_row_is_read_and_a_newer_one_named) {
    uint8_t row[SAGA_META_BYTES + 100] = {0};
    struct saga_meta meta;
    saga_meta_encode(&golden_row, row);
    row[SAGA_META_BYTES + 7] = 1;
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_OK);
    assert_same_row(&meta, &golden_row);
    row[13] = SAGA_RECORD_FORMAT + 1;
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_FORMAT_NEWER);
    ck_assert_uint_eq(meta.format, SAGA_RECORD_FORMAT + 1);
    row[8] = 'X';
    sum_row(row, sizeof row);
    ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_MALFORMED);
}
END_TEST

START_TEST(rows_that_contradict_themselves_are_refused) {
    struct saga_meta rows[7];
    for (size_t i = 0; i < 7; i++) {
        rows[i] = golden_row;
    }
    rows[0].format = 0;
    rows[1].base_lsn = 0;
    rows[2].last_lsn = 999;
    rows[3].record_count++;
    rows[4].block_count = rows[4].record_count + 1;
    rows[5].block_count = 0;
    rows[6].base_lsn = rows[6].last_lsn + 1;
    rows[6].record_count = 0; /* no records, but blocks */
    for (size_t i = 0; i < 7; i++) {
        uint8_t row[SAGA_META_BYTES];
        struct saga_meta meta;
        saga_meta_encode(&rows[i], row);
        ck_assert_int_eq(saga_meta_decode(&meta, row, sizeof row), SAGA_RECORD_MALFORMED);
    }
}
END_TEST

/* -------------------------------------------------------------------- suite */

static Suite *suite(void) {
    Suite *suite = suite_create("record");
    TCase *records = tcase_create("records");
    tcase_set_timeout(records, 60);
    tcase_add_test(records, every_field_comes_back);
    tcase_add_test(records, the_smallest_record_is_three_bytes);
    tcase_add_test(records, the_widest_record_needs_all_of_size_max);
    tcase_add_test(records, numbers_at_the_borders_of_widths_come_back);
    tcase_add_test(records, payloads_at_the_borders_of_widths_come_back);
    tcase_add_test(records, random_records_come_back_and_are_msgpack);
    suite_add_tcase(suite, records);
    TCase *hostile = tcase_create("hostile bytes");
    tcase_set_timeout(hostile, 60);
    tcase_add_test(hostile, every_truncation_of_a_record_is_refused);
    tcase_add_test(hostile, bytes_after_a_record_are_refused);
    tcase_add_test(hostile, flipped_bits_of_a_record_stay_inside_it);
    tcase_add_test(hostile, random_bytes_are_never_trusted);
    tcase_add_test(hostile, numbers_of_any_width_are_read);
    tcase_add_test(hostile, values_that_do_not_fit_are_refused);
    tcase_add_test(hostile, a_key_or_payload_over_its_limit_is_refused);
    tcase_add_test(hostile, counts_are_not_trusted);
    tcase_add_test(hostile, keys_of_a_newer_version_are_skipped);
    tcase_add_test(hostile, a_million_nested_arrays_do_not_overflow_the_stack);
    suite_add_tcase(suite, hostile);
    TCase *blocks = tcase_create("blocks");
    tcase_set_timeout(blocks, 60);
    tcase_add_test(blocks, a_block_gives_its_records_back);
    tcase_add_test(blocks, a_full_block_is_nearly_a_page);
    tcase_add_test(blocks, a_block_of_the_smallest_records_holds_the_most);
    tcase_add_test(blocks, a_large_record_has_a_block_of_its_own);
    tcase_add_test(blocks, a_block_being_written_can_be_read);
    tcase_add_test(blocks, every_truncation_of_a_block_is_refused);
    tcase_add_test(blocks, every_flipped_bit_of_a_block_is_refused);
    tcase_add_test(blocks, a_block_at_another_place_is_refused);
    tcase_add_test(blocks, a_block_of_a_newer_format_says_so);
    tcase_add_test(blocks, a_well_summed_block_of_bad_structure_is_refused);
    tcase_add_test(blocks, random_well_summed_blocks_are_read_inside_their_bytes);
    suite_add_tcase(suite, blocks);
    TCase *meta = tcase_create("row meta");
    tcase_add_test(meta, damaged_and_cut_rows_are_refused);
    tcase_add_test(meta, a_longer_row_is_read_and_a_newer_one_named);
    tcase_add_test(meta, rows_that_contradict_themselves_are_refused);
    suite_add_tcase(suite, meta);
    TCase *files = tcase_create("golden files");
    tcase_add_test(files, the_encoder_gives_the_golden_bytes);
    tcase_add_test(files, golden_blocks_of_every_format_are_read);
    tcase_add_test(files, golden_meta_rows_of_every_format_are_read);
    suite_add_tcase(suite, files);
    return suite;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write-golden") == 0) {
        return write_golden(argv[2]);
    }
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
