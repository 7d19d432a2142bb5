/* JSON: what is refused, the canonical text, and merging. */
#include "check_run.h"
#include "json.h"
#include "splitmix.h"

#include <check.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ refused */

static void refuse(const char *text, size_t size, const char *why) {
    struct saga_fault fault = {0};
    json_t *json = NULL;
    ck_assert_int_eq(saga_json_parse(text, size, &json, &fault), SAGA_ERROR_INVALID);
    ck_assert_ptr_null(json);
    ck_assert_int_eq(fault.error, SAGA_ERROR_INVALID);
    ck_assert_msg(strstr(fault.text, why) != NULL, "'%s' does not say '%s'", fault.text, why);
}
#define REFUSED(text, why) refuse(text, sizeof(text) - 1, why)

START_TEST(nothing_is_not_json) {
    REFUSED("", "there is nothing");
    refuse(NULL, 0, "there is nothing");
    REFUSED("  \n ", "line 2");
}
END_TEST

START_TEST(a_broken_text_is_refused_with_its_place) {
    REFUSED("{\"a\": 1,}", "line 1, column 9");
    REFUSED("{\n \"a\" 1}", "line 2");
    REFUSED("{\"a\": 1", "ends too early");
    REFUSED("{} {}", "end of file expected");
    REFUSED("{\"a\": nul}", "invalid token");
    REFUSED("'a'", "line 1, column 1");
    REFUSED("[1 2]", "line 1, column 4");
    REFUSED("{\"a\": .5}", "line 1");
    REFUSED("{\"a\": 01}", "line 1");
    REFUSED("{\"a\": NaN}", "line 1");
    REFUSED("{\"a\": Infinity}", "line 1");
    REFUSED("{\"a\": \"x\ny\"}", "unexpected newline");
    REFUSED("{\"a\": \"x\x01y\"}", "control character");
}
END_TEST

START_TEST(duplicate_keys_are_refused) {
    REFUSED("{\"a\": 1, \"a\": 1}", "duplicate object key");
    REFUSED("{\"o\": [{\"a\": 1, \"b\": 2, \"a\": 3}]}", "duplicate object key");
    REFUSED("{\"a\": 1, \"\\u0061\": 2}", "duplicate object key"); /* the same, once unescaped */
}
END_TEST

START_TEST(nesting_ends_at_the_limit) {
    char text[2 * SAGA_JSON_DEPTH_MAX + 8];
    struct saga_fault fault;
    json_t *json;
    for (size_t i = 0; i < SAGA_JSON_DEPTH_MAX; i++) {
        text[i] = '[';
        text[SAGA_JSON_DEPTH_MAX + i] = ']';
    }
    ck_assert_int_eq(saga_json_parse(text, 2 * (size_t)SAGA_JSON_DEPTH_MAX, &json, &fault),
                     SAGA_OK);
    json_decref(json);
    memset(text, '[', SAGA_JSON_DEPTH_MAX + 1);
    memset(text + SAGA_JSON_DEPTH_MAX + 1, ']', SAGA_JSON_DEPTH_MAX + 1);
    refuse(text, 2 * (size_t)SAGA_JSON_DEPTH_MAX + 2,
           "line 1, column 33: nested deeper than the limit of 32 levels");
}
END_TEST

START_TEST(a_bomb_of_brackets_is_refused_without_recursion) {
    const size_t size = 10u << 20;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', size);
    refuse(text, size, "nested deeper");
    for (size_t i = 0; i + 4 < size; i += 5) {
        memcpy(text + i, "{\"a\":", 5);
    }
    refuse(text, size, "nested deeper");
    free(text);
}
END_TEST

START_TEST(brackets_in_strings_are_not_nesting) {
    const char text[] = "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\\\\\",\"]]\"]";
    struct saga_fault fault;
    json_t *json;
    ck_assert_int_eq(saga_json_parse(text, sizeof text - 1, &json, &fault), SAGA_OK);
    json_decref(json);
    /* siblings do not add up */
    char wide[4 * 200 + 2] = "[";
    for (size_t i = 0; i < 200; i++) {
        memcpy(wide + 1 + 3 * i, "[],", 3);
    }
    wide[600] = ']';
    ck_assert_int_eq(saga_json_parse(wide, 601, &json, &fault), SAGA_OK);
    json_decref(json);
}
END_TEST

START_TEST(numbers_out_of_range_are_refused) {
    REFUSED("[9223372036854775808]", "out of range");
    REFUSED("[-9223372036854775809]", "out of range");
    REFUSED("[123456789012345678901234567890]", "out of range");
    REFUSED("[1e309]", "out of range");
    REFUSED("[-1e999999999]", "out of range");
}
END_TEST

START_TEST(nul_is_refused_wherever_it_stands) {
    REFUSED("{\"a\": \"x\0y\"}", "line 1");
    REFUSED("{}\0", "line 1");
    REFUSED("\0{}", "line 1");
    REFUSED("{\"a\": \"\\u0000\"}", "U+0000");
    REFUSED("{\"\\u0000\": 1}", "U+0000");
}
END_TEST

START_TEST(what_is_not_utf8_is_refused) {
    REFUSED("[\"\xff\"]", "unable to decode byte 0xff");
    REFUSED("[\"\xc0\xaf\"]", "unable to decode");         /* overlong */
    REFUSED("[\"\xed\xa0\x80\"]", "unable to decode");     /* a surrogate */
    REFUSED("[\"\xe2\x82\"]", "unable to decode");         /* cut */
    REFUSED("[\"\xf4\x90\x80\x80\"]", "unable to decode"); /* beyond U+10FFFF */
    REFUSED("[\"\\ud800\"]", "line 1");                    /* half a pair */
    REFUSED("\xef\xbb\xbf{}", "line 1");                   /* a byte order mark */
}
END_TEST

/* ---------------------------------------------------------------- canonical */

static char *canonical_of(const char *text, size_t size) {
    struct saga_fault fault = {0};
    json_t *json;
    size_t canonical_size = 0;
    ck_assert_msg(saga_json_parse(text, size, &json, &fault) == SAGA_OK, "%s: %s", text,
                  fault.text);
    char *canonical = saga_json_canonical(json, &canonical_size);
    json_decref(json);
    ck_assert_ptr_nonnull(canonical);
    ck_assert_uint_eq(strlen(canonical), canonical_size);
    return canonical;
}

static void expect_canonical(const char *text, const char *expected) {
    char *canonical = canonical_of(text, strlen(text));
    ck_assert_str_eq(canonical, expected);
    char *again = canonical_of(canonical, strlen(canonical));
    ck_assert_str_eq(again, expected);
    free(again);
    free(canonical);
}

START_TEST(white_space_and_order_do_not_count) {
    expect_canonical(" { \"b\" : [ 1 , 2 ],\n\t\"a\" : { } } ", "{\"a\":{},\"b\":[1,2]}");
    expect_canonical("{\"aa\":1,\"a\":2,\"\":3,\"B\":4,\"b\":{\"y\":1,\"x\":[]}}",
                     "{\"\":3,\"B\":4,\"a\":2,\"aa\":1,\"b\":{\"x\":[],\"y\":1}}");
    /* by bytes: U+FFFF before U+10000, z before e with an accent */
    expect_canonical("{\"\xf0\x90\x80\x80\":1,\"\xef\xbf\xbf\":2,\"\xc3\xa9\":3,\"z\":4}",
                     "{\"z\":4,\"\xc3\xa9\":3,\"\xef\xbf\xbf\":2,\"\xf0\x90\x80\x80\":1}");
    expect_canonical("[true,false,null,\"\"]", "[true,false,null,\"\"]");
}
END_TEST

START_TEST(one_string_has_one_text) {
    expect_canonical("\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\xc3\xa9\xf0\x9f\x98\x80\"");
    expect_canonical("\"\\b\\t\\n\\f\\r\\\"\\\\\"", "\"\\b\\t\\n\\f\\r\\\"\\\\\"");
    expect_canonical("\"\\u0008\\u0009\\u000A\\u000c\\u000d\\u0022\\u005C\"",
                     "\"\\b\\t\\n\\f\\r\\\"\\\\\"");
    expect_canonical("\"\\u0001\\u000B\\u001F\\u007f\"", "\"\\u0001\\u000b\\u001f\x7f\"");
    expect_canonical("{\"a\\u000ab\":1}", "{\"a\\nb\":1}");
}
END_TEST

START_TEST(integers_are_exact) {
    expect_canonical("[9223372036854775807,-9223372036854775808,9007199254740993,0,-0]",
                     "[9223372036854775807,-9223372036854775808,9007199254740993,0,0]");
}
END_TEST

START_TEST(reals_are_as_short_as_can_be) {
    expect_canonical("[1.10,0.1,100.00,1e2,1E+2,-0.0,1.0e0]",
                     "[1.1,0.1,100.0,100.0,100.0,-0.0,1.0]");
    expect_canonical("[0.0001,0.00001,1.5e-7,1e22,1e15,123456789012345680.0]",
                     "[0.0001,1e-5,1.5e-7,1e22,1e15,1.2345678901234568e17]");
    expect_canonical("[0.30000000000000004,2.2250738585072014e-308,1.7976931348623157e308]",
                     "[0.30000000000000004,2.2250738585072014e-308,1.7976931348623157e308]");
    expect_canonical("[5e-324,4.9406564584124654e-324,1e-310]", "[5e-324,5e-324,1e-310]");
    expect_canonical("[1e-400]", "[0.0]");
}
END_TEST

START_TEST(reals_read_back_the_same) {
    struct splitmix random = {20240611};
    for (unsigned i = 0; i < 200000; i++) {
        const uint64_t bits = splitmix_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        json_t *json = json_real(value);
        if (json == NULL) { /* not a number, or infinite: jansson makes none */
            ck_assert(!isfinite(value));
            continue;
        }
        size_t size;
        char *text = saga_json_canonical(json, &size);
        json_decref(json);
        ck_assert_ptr_nonnull(text);
        struct saga_fault fault;
        ck_assert_int_eq(saga_json_parse(text, size, &json, &fault), SAGA_OK);
        ck_assert(json_is_real(json));
        const double back = json_real_value(json);
        ck_assert_msg(memcmp(&back, &value, sizeof value) == 0, "%a as %s is %a", value, text,
                      back);
        json_decref(json);
        free(text);
    }
}
END_TEST

/* A program that sets its locale (for the width of what it prints) must not
 * write decimal commas. */
START_TEST(the_locale_does_not_matter) {
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "C.UTF-8"};
    for (size_t i = 0; i < sizeof commas / sizeof commas[0]; i++) {
        if (setlocale(LC_ALL, commas[i]) != NULL) {
            expect_canonical("[1.5,1.25e-9,-0.1]", "[1.5,1.25e-9,-0.1]");
        }
    }
    ck_assert_ptr_nonnull(setlocale(LC_ALL, "C"));
}
END_TEST

START_TEST(a_large_text_is_written_whole) {
    json_t *json = json_object();
    ck_assert_ptr_nonnull(json);
    for (int i = 0; i < 20000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "key%05d", 19999 - i);
        ck_assert_int_eq(json_object_set_new(json, key, json_integer(i)), 0);
    }
    size_t size;
    char *text = saga_json_canonical(json, &size);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(strncmp(text, "{\"key00000\":19999,\"key00001\":19998,", 35), 0);
    ck_assert_str_eq(text + size - 14, ",\"key19999\":0}");
    struct saga_fault fault;
    json_t *back;
    ck_assert_int_eq(saga_json_parse(text, size, &back, &fault), SAGA_OK);
    ck_assert(json_equal(json, back));
    json_decref(back);
    json_decref(json);
    free(text);
}
END_TEST

START_TEST(for_people_members_keep_their_order) {
    const char text[] = "{\"b\": [1.10, {\"z\": 1, \"a\": 2}], \"a\": \"\\u0041\"}";
    struct saga_fault fault;
    json_t *json;
    size_t size;
    ck_assert_int_eq(saga_json_parse(text, sizeof text - 1, &json, &fault), SAGA_OK);
    char *plain = saga_json_text(json, &size);
    ck_assert_ptr_nonnull(plain);
    ck_assert_str_eq(plain, "{\"b\":[1.1,{\"z\":1,\"a\":2}],\"a\":\"A\"}");
    ck_assert_uint_eq(size, strlen(plain));
    free(plain);
    json_decref(json);
}
END_TEST

/* -------------------------------------------------------------------- merge */

static void expect_merge(const char *base, const char *extra, const char *expected) {
    struct saga_fault fault;
    json_t *json;
    size_t size = 0;
    ck_assert_int_eq(saga_json_parse(extra, strlen(extra), &json, &fault), SAGA_OK);
    json_t *before = json_deep_copy(json);
    char *merged = saga_json_merge(base, strlen(base), json, &size);
    ck_assert(json_equal(json, before));
    if (expected == NULL) {
        ck_assert_ptr_null(merged);
    } else {
        ck_assert_ptr_nonnull(merged);
        ck_assert_str_eq(merged, expected);
        ck_assert_uint_eq(size, strlen(expected));
    }
    free(merged);
    json_decref(before);
    json_decref(json);
}

START_TEST(merge_is_shallow_and_the_later_wins) {
    expect_merge("{\"a\":1,\"b\":{\"x\":1}}", "{\"b\":{\"y\":2},\"c\":null}",
                 "{\"a\":1,\"b\":{\"y\":2},\"c\":null}");
    expect_merge("{}", "{}", "{}");
    expect_merge("{\"a\":1}", "{\"a\":\"two\"}", "{\"a\":\"two\"}");
}
END_TEST

START_TEST(only_objects_merge) {
    expect_merge("{\"a\":1}", "[1]", NULL);
    expect_merge("{\"a\":1}", "null", NULL);
    expect_merge("[1]", "{\"a\":1}", NULL);
    expect_merge("{\"a\":", "{\"a\":1}", NULL);
    expect_merge("", "{}", NULL);
    size_t size;
    ck_assert_ptr_null(saga_json_merge("{}", 2, NULL, &size));
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("json");
    TCase *refused = tcase_create("refused");
    tcase_add_test(refused, nothing_is_not_json);
    tcase_add_test(refused, a_broken_text_is_refused_with_its_place);
    tcase_add_test(refused, duplicate_keys_are_refused);
    tcase_add_test(refused, nesting_ends_at_the_limit);
    tcase_add_test(refused, a_bomb_of_brackets_is_refused_without_recursion);
    tcase_add_test(refused, brackets_in_strings_are_not_nesting);
    tcase_add_test(refused, numbers_out_of_range_are_refused);
    tcase_add_test(refused, nul_is_refused_wherever_it_stands);
    tcase_add_test(refused, what_is_not_utf8_is_refused);
    suite_add_tcase(suite, refused);
    TCase *canonical = tcase_create("canonical");
    tcase_set_timeout(canonical, 60);
    tcase_add_test(canonical, white_space_and_order_do_not_count);
    tcase_add_test(canonical, one_string_has_one_text);
    tcase_add_test(canonical, integers_are_exact);
    tcase_add_test(canonical, reals_are_as_short_as_can_be);
    tcase_add_test(canonical, reals_read_back_the_same);
    tcase_add_test(canonical, the_locale_does_not_matter);
    tcase_add_test(canonical, a_large_text_is_written_whole);
    tcase_add_test(canonical, for_people_members_keep_their_order);
    suite_add_tcase(suite, canonical);
    TCase *merge = tcase_create("merge");
    tcase_add_test(merge, merge_is_shallow_and_the_later_wins);
    tcase_add_test(merge, only_objects_merge);
    suite_add_tcase(suite, merge);
    return suite;
}

int main(void) {
    return check_run(suite());
}
