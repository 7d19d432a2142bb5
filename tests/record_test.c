/* Records as bytes: what is encoded comes back, every field of it, and is msgpack. */
#include "record.h"

#include "check_run.h"
#include "record_fixture.h"

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

static struct saga_record widest_record(void) {
    return (struct saga_record){
        .previous_lsn = UINT64_MAX,
        .saga = record_saga_id(0xf0),
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
        .key = {record_longest, SAGA_KEY_BYTES_MAX},
        .payload = {record_longest, SAGA_PAYLOAD_BYTES_MAX},
        .content = {record_longest, SAGA_PAYLOAD_BYTES_MAX},
        .through_lsn = UINT64_MAX,
    };
}

START_TEST(every_field_comes_back) {
    struct saga_record record = record_smallest();
    record_assert_round_trip(&record);
    record = record_command();
    record_assert_round_trip(&record);
    memset(record_longest, 0xa5, sizeof record_longest);
    record = widest_record();
    record_assert_round_trip(&record);
}
END_TEST

START_TEST(the_smallest_record_is_three_bytes) {
    struct saga_record record = record_smallest();
    uint8_t bytes[256];
    ck_assert_uint_eq(saga_record_encode(&record, bytes), 3);
    ck_assert_mem_eq(bytes, "\x81\x01\x0e", 3);
}
END_TEST

START_TEST(the_widest_record_needs_all_of_size_max) {
    struct saga_record record = widest_record();
    size_t size;
    free(record_encoded(&record, &size));
    ck_assert_uint_le(saga_record_size_max(&record) - size, 4);
}
END_TEST

/* Integers at each border between two widths of msgpack. */
START_TEST(numbers_at_the_borders_of_widths_come_back) {
    const uint64_t borders[] = {0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, INT64_MAX};
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        for (uint64_t d = 0; d <= 2; d++) {
            uint64_t n = borders[i] - 1 + d;
            struct saga_record record = record_command();
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
            record_assert_round_trip(&record);
        }
    }
}
END_TEST

START_TEST(payloads_at_the_borders_of_widths_come_back) {
    const uint32_t sizes[] = {1, 31, 32, 255, 256, 65535, 65536, SAGA_PAYLOAD_BYTES_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct saga_record record = record_command();
        record.payload = (struct saga_bytes){record_longest, sizes[i]};
        record.key = (struct saga_bytes){
            record_longest, sizes[i] < SAGA_KEY_BYTES_MAX ? sizes[i] : SAGA_KEY_BYTES_MAX};
        record_assert_round_trip(&record);
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
        .through_lsn = unsigned_of(map, 20, 0),
    };
    struct saga_bytes saga = bytes_of(map, 2);
    if (saga.size > 0) {
        CHECK_THAT(saga.size == sizeof seen.saga.bytes);
        memcpy(seen.saga.bytes, saga.data, saga.size);
    }
    record_assert_same(&seen, record);
    msgpack_unpacked_destroy(&unpacked);
}

START_TEST(random_records_come_back_and_are_msgpack) {
    struct splitmix random = {20260101};
    uint8_t *noise = record_noise(&random);
    for (int i = 0; i < 6000; i++) {
        struct saga_record record = record_random(&random, noise);
        size_t size;
        uint8_t *bytes = record_encoded(&record, &size);
        struct saga_record decoded;
        CHECK_THAT(saga_record_decode(bytes, size, &decoded) == SAGA_RECORD_OK);
        record_assert_same(&decoded, &record);
        assert_msgpack_sees(bytes, size, &record);
        size_t again_size;
        uint8_t *again = record_encoded(&decoded, &again_size);
        CHECK_THAT(again_size == size);
        CHECK_THAT(memcmp(again, bytes, size) == 0);
        free(again);
        free(bytes);
    }
    free(noise);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("record");
    TCase *tests = tcase_create("records");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_field_comes_back);
    tcase_add_test(tests, the_smallest_record_is_three_bytes);
    tcase_add_test(tests, the_widest_record_needs_all_of_size_max);
    tcase_add_test(tests, numbers_at_the_borders_of_widths_come_back);
    tcase_add_test(tests, payloads_at_the_borders_of_widths_come_back);
    tcase_add_test(tests, random_records_come_back_and_are_msgpack);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
