/* Which names of members are taken for secrets, and what is left of their values. */
#include "mask.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "json.h"

START_TEST(names_of_secrets_are_known_however_they_are_written) {
    static const char *const names[] = {
        "password",     "PASSWORD",      "user_password", "userPassword",  "password2",
        "new-password", "card",          "cardNumber",    "card_number",   "card number",
        "token",        "accessToken",   "api_key",       "apiKey",        "ApiKey",
        "iban",         "IBAN",          "guest.iban",    "Authorization", "private_key",
        "cvv",          "client-secret",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(saga_mask_names(names[i]), "%s", names[i]);
    }
}
END_TEST

START_TEST(other_names_are_none) {
    static const char *const names[] = {"",          "total", "discard", "cardinality",
                                        "spin",      "key",   "company", "tokenizer",
                                        "expand",    "ibans", "api",     "_",
                                        "secretary", "pint",  "keyapi",  "customer_uuid"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_msg(!saga_mask_names(names[i]), "%s", names[i]);
    }
}
END_TEST

START_TEST(a_name_of_any_length_will_do) {
    char name[1000];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    ck_assert(!saga_mask_names(name));
    (void)strcpy(name + 900, "_token");
    ck_assert(saga_mask_names(name));
}
END_TEST

/* What is shown of a start with this input. */
static void expect_masked(const char *input, const char *expected, bool secrets) {
    const struct saga_record record = {
        .fact = SAGA_STARTED,
        .payload = {.data = input, .size = (uint32_t)strlen(input)},
    };
    struct saga_masked masked;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_masked_make(&masked, &record, secrets, &fault), SAGA_OK);
    ck_assert_uint_eq(masked.record.payload.size, strlen(expected));
    ck_assert_mem_eq(masked.record.payload.data, expected, strlen(expected));
    saga_masked_fini(&masked);
}

START_TEST(values_are_covered_at_any_depth) {
    expect_masked("{\"total\": 1.50, \"pin\": 4711}", "{\"total\":1.5,\"pin\":\"***\"}", false);
    expect_masked("{\"guest\":{\"cards\":1,\"card\":{\"n\":[1,2]}},\"list\":[[{\"token\":\"t\"}]]}",
                  "{\"guest\":{\"cards\":1,\"card\":\"***\"},\"list\":[[{\"token\":\"***\"}]]}",
                  false);
}
END_TEST

START_TEST(what_has_no_secret_is_as_it_was) {
    expect_masked("{ \"total\": 1.50, \"pin\": null }", "{ \"total\": 1.50, \"pin\": null }",
                  false);
    expect_masked("no JSON, password=x", "no JSON, password=x", false);
    expect_masked("", "", false);
    expect_masked("{ \"pin\": 4711 }", "{ \"pin\": 4711 }", true);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mask");
    TCase *tests = tcase_create("mask");
    tcase_add_test(tests, names_of_secrets_are_known_however_they_are_written);
    tcase_add_test(tests, other_names_are_none);
    tcase_add_test(tests, a_name_of_any_length_will_do);
    tcase_add_test(tests, values_are_covered_at_any_depth);
    tcase_add_test(tests, what_has_no_secret_is_as_it_was);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
