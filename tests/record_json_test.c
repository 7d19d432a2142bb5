/* A record as JSON: names, numbers, bytes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "check_run.h"
#include "record_json.h"

/* The JSON of the record is this one. */
static void expect(const struct saga_record *record, const char *wanted_text) {
    json_error_t error;
    json_t *json = saga_record_json(record);
    ck_assert_ptr_nonnull(json);
    json_t *wanted = json_loads(wanted_text, JSON_ALLOW_NUL, &error);
    ck_assert_msg(wanted != NULL, "%s", error.text);
    char *text = json_dumps(json, 0);
    ck_assert_msg(json_equal(json, wanted) == 1, "%s, not %s", text, wanted_text);
    free(text);
    json_decref(wanted);
    json_decref(json);
}

START_TEST(what_is_not_set_is_left_out) {
    const struct saga_record record = {.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE};
    expect(&record, "{\"fact\": \"EPOCH_STARTED\", \"at\": \"1970-01-01T00:00:00.000Z\"}");
}
END_TEST

START_TEST(every_field_has_its_name) {
    const struct saga_record record = {
        .lsn = 9,
        .previous_lsn = 8,
        .saga = {{0x01, 0x90, 0xa8, 0xf0, 0x1c, 0x2d, 0x7e, 0x3f, 0x8a, 0x4b, 0x5c, 0x6d, 0x7e,
                  0x8f, 0x9a, 0x0b}},
        .at_ms = 1718098200125,
        .wall_ms = 1718098200126,
        .definition_lsn = 2,
        .epoch = 3,
        .attempt = 4,
        .incarnation = 5,
        .revision = 6,
        .fact = SAGA_REPLY_RECEIVED,
        .step = 0,
        .operation = SAGA_FENCE,
        .verdict = SAGA_NOOP,
        .reason = SAGA_REASON_DEADLINE,
        .outcome = SAGA_COMPLETED,
        .verb = SAGA_VERB_CANCEL,
        .key = {.data = "k", .size = 1},
        .payload = {.data = "{}", .size = 2},
        .content = {.data = "[7]", .size = 3},
        .through_lsn = 7,
    };
    expect(&record,
           "{\"lsn\": 9, \"previous_lsn\": 8, \"saga\": \"0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b\","
           "\"at\": \"2024-06-11T09:30:00.125Z\", \"at_ms\": 1718098200125,"
           "\"wall_ms\": 1718098200126, \"definition_lsn\": 2, \"epoch\": 3, \"attempt\": 4,"
           "\"incarnation\": 5, \"revision\": 6, \"fact\": \"REPLY_RECEIVED\", \"step\": 0,"
           "\"operation\": \"fence\", \"verdict\": \"noop\", \"reason\": \"deadline\","
           "\"outcome\": \"completed\", \"verb\": \"cancel\", \"key\": \"k\","
           "\"payload\": \"{}\", \"content\": \"[7]\", \"through_lsn\": 7}");
}
END_TEST

START_TEST(what_has_no_name_is_a_number) {
    const struct saga_record record = {
        .fact = 99,
        .step = 254,
        .operation = 98,
        .verdict = 97,
        .reason = 96,
        .outcome = 95,
        .verb = 94,
        .at_ms = -1,
        .definition_lsn = UINT64_MAX,
        .previous_lsn = (uint64_t)INT64_MAX,
    };
    expect(&record, "{\"fact\": 99, \"step\": 254, \"operation\": 98, \"verdict\": 97,"
                    "\"reason\": 96, \"outcome\": 95, \"verb\": 94, \"at_ms\": -1,"
                    "\"at\": \"1970-01-01T00:00:00.000Z\","
                    "\"definition_lsn\": \"18446744073709551615\","
                    "\"previous_lsn\": 9223372036854775807}");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_base64) {
    struct saga_record record = {
        .fact = SAGA_STARTED,
        .step = SAGA_STEP_NONE,
        .key = {.data = "a\0b", .size = 3},
        .payload = {.data = "\xff\xfe", .size = 2},
    };
    expect(&record, "{\"fact\": \"SAGA_STARTED\", \"at\": \"1970-01-01T00:00:00.000Z\","
                    "\"key\": \"a\\u0000b\", \"payload_base64\": \"//4=\"}");
    record.key = (struct saga_bytes){.data = "\xed\xa0\x80", .size = 3}; /* a surrogate */
    record.payload = (struct saga_bytes){.data = "\xc0\x80", .size = 2}; /* overlong */
    expect(&record, "{\"fact\": \"SAGA_STARTED\", \"at\": \"1970-01-01T00:00:00.000Z\","
                    "\"key_base64\": \"7aCA\", \"payload_base64\": \"wIA=\"}");
}
END_TEST

/* RFC 4648, section 10. */
START_TEST(base64_is_the_standard_one) {
    static const char *const texts[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i <= 6; i++) {
        char *text = saga_base64_encode("foobar", i);
        ck_assert_str_eq(text, texts[i]);
        free(text);
    }
    char *text = saga_base64_encode("\xfb\xff\xbf\x00\x10\x83", 6);
    ck_assert_str_eq(text, "+/+/ABCD");
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("record_json");
    TCase *tests = tcase_create("record_json");
    tcase_add_test(tests, what_is_not_set_is_left_out);
    tcase_add_test(tests, every_field_has_its_name);
    tcase_add_test(tests, what_has_no_name_is_a_number);
    tcase_add_test(tests, bytes_that_are_no_text_are_base64);
    tcase_add_test(tests, base64_is_the_standard_one);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
