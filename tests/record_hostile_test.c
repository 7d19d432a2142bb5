/* Bytes that are no record, or not one that this version would write: refused,
 * or read, but never trusted. */
#include "record.h"

#include "check_run.h"
#include "record_fixture.h"

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

START_TEST(every_truncation_of_a_record_is_refused) {
    struct splitmix random = {7};
    uint8_t *noise = record_noise(&random);
    for (int i = 0; i < 200; i++) {
        struct saga_record record = i == 0 ? record_command() : record_random(&random, noise);
        if (record.payload.size > 300) {
            record.payload.size = 300;
        }
        size_t size;
        uint8_t *bytes = record_encoded(&record, &size);
        for (size_t cut = 0; cut < size; cut++) {
            struct saga_record decoded;
            CHECK_THAT(record_decode_copy(bytes, cut, &decoded) == SAGA_RECORD_TRUNCATED);
        }
        free(bytes);
    }
    free(noise);
}
END_TEST

START_TEST(bytes_after_a_record_are_refused) {
    struct saga_record record = record_command();
    uint8_t bytes[512];
    size_t size = saga_record_encode(&record, bytes);
    bytes[size] = 0xc0;
    ck_assert_int_eq(saga_record_decode(bytes, size + 1, &record), SAGA_RECORD_MALFORMED);
}
END_TEST

/* A record alone has no checksum: a flip may give another record, but never a
 * read outside the bytes, and never one that cannot be encoded again. */
START_TEST(flipped_bits_of_a_record_stay_inside_it) {
    struct saga_record record = record_command();
    record.key = record_bytes("key");
    record.definition_lsn = 9;
    size_t size;
    uint8_t *bytes = record_encoded(&record, &size);
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
        CHECK_THAT(record_decode_copy(bytes, size, &copy) == error);
        if (error == SAGA_RECORD_OK) {
            record_assert_round_trip(&record);
        }
    }
    CHECK_THAT(taken > 0);
}
END_TEST

/* Bytes by hand. */
struct literal {
    const char *what;
    const char *bytes;
    size_t size;
};
#define BYTES(literal) literal, sizeof(literal) - 1

static void expect_each(const struct literal *cases, size_t count,
                        enum saga_record_error expected) {
    for (size_t i = 0; i < count; i++) {
        struct saga_record record;
        enum saga_record_error error =
            record_decode_copy((const uint8_t *)cases[i].bytes, cases[i].size, &record);
        ck_assert_msg(error == expected, "%s: %d, not %d", cases[i].what, error, expected);
    }
}
#define EXPECT_EACH(cases, expected)                                                               \
    expect_each(cases, sizeof(cases) / sizeof((cases)[0]), expected)

START_TEST(numbers_of_any_width_are_read) {
    static const struct literal cases[] = {
        {"a fact of 8 bits", BYTES("\x81\x01\xcc\x0e")},
        {"a fact of 16 bits", BYTES("\x81\x01\xcd\x00\x0e")},
        {"a key of 16 bits, a fact of 32", BYTES("\x81\xcd\x00\x01\xce\x00\x00\x00\x0e")},
        {"a fact of 64 bits", BYTES("\x81\x01\xcf\x00\x00\x00\x00\x00\x00\x00\x0e")},
        {"a fact with a sign", BYTES("\x81\x01\xd0\x0e")},
        {"a map whose count has 16 bits", BYTES("\xde\x00\x01\x01\x0e")},
        {"a map whose count has 32 bits", BYTES("\xdf\x00\x00\x00\x01\x01\x0e")},
    };
    EXPECT_EACH(cases, SAGA_RECORD_OK);
    struct saga_record record;
    ck_assert_int_eq(
        record_decode_copy((const uint8_t *)"\x83\x01\x02\x04\xff\x05\xd1\xff\x7f", 9, &record),
        SAGA_RECORD_OK);
    ck_assert_int_eq(record.at_ms, -1);
    ck_assert_int_eq(record.wall_ms, -129);
}
END_TEST

START_TEST(values_that_do_not_fit_are_refused) {
    static const struct literal cases[] = {
        {"fact 256", BYTES("\x81\x01\xcd\x01\x00")},
        {"fact -1", BYTES("\x81\x01\xff")},
        {"fact -1 in 8 bits", BYTES("\x81\x01\xd0\xff")},
        {"fact 0", BYTES("\x81\x01\x00")},
        {"no fact", BYTES("\x80")},
        {"text as fact", BYTES("\x81\x01\xa1x")},
        {"a key twice", BYTES("\x82\x01\x0e\x01\x0e")},
        {"keys that descend", BYTES("\x82\x07\x01\x01\x0e")},
        {"text as key", BYTES("\x82\x01\x0e\xa1x\x01")},
        {"an id of 2 bytes", BYTES("\x82\x01\x0e\x02\xc4\x02zz")},
        {"a time of 2^63", BYTES("\x82\x01\x0e\x04\xcf\x80\x00\x00\x00\x00\x00\x00\x00")},
        {"incarnation 2^16", BYTES("\x82\x01\x0e\x09\xce\x00\x01\x00\x00")},
        {"attempt 2^32", BYTES("\x82\x01\x0e\x0b\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
        {"an array", BYTES("\x91\x01")},
    };
    static const struct literal nothing[] = {{"nothing at all", BYTES("")}};
    EXPECT_EACH(cases, SAGA_RECORD_MALFORMED);
    EXPECT_EACH(nothing, SAGA_RECORD_TRUNCATED);
}
END_TEST

START_TEST(a_key_or_payload_over_its_limit_is_refused) {
    static const struct {
        const char *what;
        uint8_t key; /* of the map */
        uint32_t length;
        enum saga_record_error expected;
    } cases[] = {
        {"the longest key", 17, SAGA_KEY_BYTES_MAX, SAGA_RECORD_OK},
        {"a key too long", 17, SAGA_KEY_BYTES_MAX + 1, SAGA_RECORD_MALFORMED},
        {"the longest payload", 18, SAGA_PAYLOAD_BYTES_MAX, SAGA_RECORD_OK},
        {"a payload too long", 18, SAGA_PAYLOAD_BYTES_MAX + 1, SAGA_RECORD_MALFORMED},
        {"the longest content", 19, SAGA_PAYLOAD_BYTES_MAX, SAGA_RECORD_OK},
        {"a content too long", 19, SAGA_PAYLOAD_BYTES_MAX + 1, SAGA_RECORD_MALFORMED},
    };
    uint8_t *bytes = calloc(1, (size_t)SAGA_PAYLOAD_BYTES_MAX + 64);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, "\x82\x01\x0e?\xc6", 5);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t head = 9;
        bytes[3] = cases[i].key;
        for (size_t k = 0; k < 4; k++) {
            bytes[5 + k] = (uint8_t)(cases[i].length >> (24 - 8 * k));
        }
        struct saga_record record;
        enum saga_record_error error = saga_record_decode(bytes, head + cases[i].length, &record);
        ck_assert_msg(error == cases[i].expected, "%s: %d", cases[i].what, error);
    }
    free(bytes);
}
END_TEST

/* Five bytes that announce 4 G elements must cost nothing. */
START_TEST(counts_are_not_trusted) {
    static const struct literal cases[] = {
        {"an unknown array", BYTES("\x82\x01\x0e\x40\xdd\xff\xff\xff\xff")},
        {"an unknown map", BYTES("\x82\x01\x0e\x40\xdf\xff\xff\xff\xff")},
        {"unknown bytes", BYTES("\x82\x01\x0e\x40\xc6\xff\xff\xff\xff")},
        {"an unknown extension", BYTES("\x82\x01\x0e\x40\xc9\xff\xff\xff\xff\x01")},
        {"the payload", BYTES("\x82\x01\x0e\x12\xc6\xff\xff\xff\xff")},
        {"the record", BYTES("\xdf\xff\xff\xff\xff\x01\x0e")},
    };
    EXPECT_EACH(cases, SAGA_RECORD_TRUNCATED);
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
    msgpack_pack_str_with_body(&packer, record_longest, 300);
    msgpack_pack_bin_with_body(&packer, record_longest, 70000);
    msgpack_pack_ext_with_body(&packer, record_longest, 16, 5);
    msgpack_pack_ext_with_body(&packer, record_longest, 17, 5);
    msgpack_pack_map(&packer, 20);
    for (int i = 0; i < 20; i++) {
        msgpack_pack_int(&packer, i);
        msgpack_pack_array(&packer, 1);
        msgpack_pack_int(&packer, -i * 1000);
    }
    msgpack_pack_int(&packer, 200);
    msgpack_pack_nil(&packer);
    struct saga_record record;
    ck_assert_int_eq(record_decode_copy((const uint8_t *)buffer.data, buffer.size, &record),
                     SAGA_RECORD_OK);
    ck_assert_int_eq(record.fact, SAGA_ENDED);
    ck_assert_int_eq(record.outcome, SAGA_COMPENSATED);
    for (size_t cut = 0; cut < buffer.size; cut += cut < 400 ? 1 : 997) {
        ck_assert_int_eq(record_decode_copy((const uint8_t *)buffer.data, cut, &record),
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

int main(void) {
    Suite *suite = suite_create("record_hostile");
    TCase *tests = tcase_create("hostile bytes");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_truncation_of_a_record_is_refused);
    tcase_add_test(tests, bytes_after_a_record_are_refused);
    tcase_add_test(tests, flipped_bits_of_a_record_stay_inside_it);
    tcase_add_test(tests, random_bytes_are_never_trusted);
    tcase_add_test(tests, numbers_of_any_width_are_read);
    tcase_add_test(tests, values_that_do_not_fit_are_refused);
    tcase_add_test(tests, a_key_or_payload_over_its_limit_is_refused);
    tcase_add_test(tests, counts_are_not_trusted);
    tcase_add_test(tests, keys_of_a_newer_version_are_skipped);
    tcase_add_test(tests, a_million_nested_arrays_do_not_overflow_the_stack);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
