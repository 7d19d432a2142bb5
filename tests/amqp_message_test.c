/* The headers of a message: what is put in is found, as text or as number. */
#include "check_run.h"
#include "message.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct saga_amqp_message message;

static void clear(void) {
    message = (struct saga_amqp_message){0};
}

START_TEST(a_text_is_found) {
    static const char value[] = "booking";
    saga_amqp_message_add_text(&message, "saga-type", value);
    saga_amqp_message_add_text(&message, "empty", "");
    ck_assert_uint_eq(message.header_count, 2);
    ck_assert_ptr_eq(saga_amqp_message_text(&message, "saga-type"), value);
    ck_assert_str_eq(saga_amqp_message_text(&message, "empty"), "");
    ck_assert_ptr_null(saga_amqp_message_text(&message, "saga"));
    ck_assert_ptr_null(saga_amqp_message_text(&message, "saga-type-2"));
    ck_assert_ptr_null(saga_amqp_message_text(&message, "SAGA-TYPE"));
}
END_TEST

START_TEST(a_number_is_found) {
    static const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int64_t number = 7;
        clear();
        saga_amqp_message_add_text(&message, "other", "5");
        saga_amqp_message_add_number(&message, "saga-attempt", numbers[i]);
        ck_assert(saga_amqp_message_number(&message, "saga-attempt", &number));
        ck_assert_int_eq(number, numbers[i]);
        ck_assert_ptr_null(saga_amqp_message_text(&message, "saga-attempt"));
    }
}
END_TEST

START_TEST(a_number_is_found_in_digits) {
    static const struct {
        const char *text;
        int64_t number;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"-1", -1},
        {"007", 7},
        {"-0", 0},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t number = 7000;
        clear();
        saga_amqp_message_add_text(&message, "n", cases[i].text);
        ck_assert_msg(saga_amqp_message_number(&message, "n", &number), "%s", cases[i].text);
        ck_assert_int_eq(number, cases[i].number);
    }
}
END_TEST

START_TEST(what_is_no_number_is_none) {
    static const char *const texts[] = {"",
                                        "-",
                                        "--1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "\n1",
                                        "1x",
                                        "x1",
                                        "1.0",
                                        "1e3",
                                        "0x10",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "99999999999999999999999999",
                                        "\xd9\xa3"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t number = 7000;
        clear();
        saga_amqp_message_add_text(&message, "n", texts[i]);
        ck_assert_msg(!saga_amqp_message_number(&message, "n", &number), "'%s'", texts[i]);
        ck_assert_int_eq(number, 7000);
    }
    int64_t number = 7000;
    ck_assert(!saga_amqp_message_number(&message, "m", &number));
    ck_assert_int_eq(number, 7000);
}
END_TEST

/* A stranger may send a header twice; ours is the first one that is there. */
START_TEST(the_first_of_two_counts) {
    int64_t number = 0;
    saga_amqp_message_add_number(&message, "n", 1);
    saga_amqp_message_add_text(&message, "n", "2");
    ck_assert(saga_amqp_message_number(&message, "n", &number));
    ck_assert_int_eq(number, 1);
    ck_assert_ptr_null(saga_amqp_message_text(&message, "n"));
}
END_TEST

static void fill(void) {
    static char names[SAGA_AMQP_HEADERS_MAX][8];
    for (size_t i = 0; i < SAGA_AMQP_HEADERS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "h%zu", i);
        saga_amqp_message_add_number(&message, names[i], (int64_t)i);
    }
}

START_TEST(it_holds_the_most_headers) {
    fill();
    ck_assert_uint_eq(message.header_count, SAGA_AMQP_HEADERS_MAX);
    for (size_t i = 0; i < SAGA_AMQP_HEADERS_MAX; i++) {
        char name[8];
        int64_t number = -1;
        (void)snprintf(name, sizeof name, "h%zu", i);
        ck_assert(saga_amqp_message_number(&message, name, &number));
        ck_assert_int_eq(number, (int64_t)i);
    }
}
END_TEST

START_TEST(one_header_too_many_is_an_assertion) {
    fill();
    saga_amqp_message_add_text(&message, "one", "too many");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp message");
    TCase *headers = tcase_create("headers");
    tcase_add_checked_fixture(headers, clear, NULL);
    tcase_add_test(headers, a_text_is_found);
    tcase_add_test(headers, a_number_is_found);
    tcase_add_test(headers, a_number_is_found_in_digits);
    tcase_add_test(headers, what_is_no_number_is_none);
    tcase_add_test(headers, the_first_of_two_counts);
    tcase_add_test(headers, it_holds_the_most_headers);
    tcase_add_test_raise_signal(headers, one_header_too_many_is_an_assertion, SIGABRT);
    suite_add_tcase(suite, headers);
    return check_run(suite);
}
