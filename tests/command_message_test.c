/* The reader of command messages: what is let through is whole, and everything
 * else is refused with the reason. */
#include "command_message.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "timestamp.h"

#define SAGA "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
#define ID   SAGA "/block/1/action/2"

static struct saga_amqp_message message;
static struct saga_wire_command command;
static const char *wrong;

/* A command with everything that ours carry. */
static void make(void) {
    message = (struct saga_amqp_message){
        .exchange = "BOOKING_TX_EVENT_STORE",
        .routing_key = "parking.block",
        .message_id = ID,
        .correlation_id = ID,
        .reply_to = "saga.replies.1",
        .type = "parking.block",
        .content_type = "application/json",
        .body = "{\"id\": 3}",
        .body_size = 9,
    };
    saga_amqp_message_add_text(&message, "COMMAND", "PARKING_BLOCK");
    saga_amqp_message_add_text(&message, "CLIENT", "BOOKING_REQUEST_ORCHESTRATOR");
    saga_amqp_message_add_text(&message, "saga-id", SAGA);
    saga_amqp_message_add_text(&message, "saga-type", "booking");
    saga_amqp_message_add_text(&message, "saga-step", "block");
    saga_amqp_message_add_number(&message, "saga-incarnation", 1);
    saga_amqp_message_add_number(&message, "saga-revision", 2);
    saga_amqp_message_add_text(&message, "saga-operation", "action");
    saga_amqp_message_add_number(&message, "saga-attempt", 3);
    saga_amqp_message_add_text(&message, "saga-issued-at", "2024-07-12T00:00:00.125Z");
    saga_amqp_message_add_text(&message, "saga-deadline", "2024-07-12T00:05:00Z");
    saga_amqp_message_add_number(&message, "saga-epoch", 7);
    saga_amqp_message_add_text(&message, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-01");
}

static struct saga_amqp_header *header(const char *name) {
    for (size_t i = 0; i < message.header_count; i++) {
        if (strcmp(message.headers[i].name, name) == 0) {
            return &message.headers[i];
        }
    }
    ck_abort_msg("no header %s", name);
    return NULL;
}

static void drop(const char *name) {
    struct saga_amqp_header *at = header(name);
    *at = message.headers[--message.header_count];
}

static void say(const char *name, const char *text) {
    *header(name) = (struct saga_amqp_header){.name = name, .text = text};
}

static void say_number(const char *name, int64_t number) {
    *header(name) = (struct saga_amqp_header){.name = name, .number = number};
}

static void expect_taken(void) {
    wrong = saga_command_message_read(&message, &command);
    ck_assert_msg(wrong == NULL, "%s", wrong);
}

static void expect_refused(const char *part) {
    wrong = saga_command_message_read(&message, &command);
    ck_assert_msg(wrong != NULL, "was taken; expected: %s", part);
    ck_assert_msg(strstr(wrong, part) != NULL, "'%s' is not in '%s'", part, wrong);
}

START_TEST(a_whole_command_is_read_field_by_field) {
    make();
    expect_taken();
    ck_assert_str_eq(command.name, "parking.block");
    ck_assert_str_eq(command.id, ID);
    ck_assert_str_eq(command.saga, SAGA);
    ck_assert_str_eq(command.saga_type, "booking");
    ck_assert_str_eq(command.step, "block");
    ck_assert_str_eq(command.operation, "action");
    ck_assert_uint_eq(command.incarnation, 1);
    ck_assert_uint_eq(command.revision, 2);
    ck_assert_uint_eq(command.attempt, 3);
    ck_assert_int_eq(command.issued_at_ms, INT64_C(1720742400125));
    ck_assert_int_eq(command.deadline_ms, INT64_C(1720742700000));
    ck_assert_mem_eq(command.body, "{\"id\": 3}", 9);
    ck_assert_uint_eq(command.body_size, 9);
}
END_TEST

START_TEST(what_may_be_missing_may) {
    make();
    drop("saga-deadline");
    drop("saga-type");
    drop("COMMAND");
    drop("CLIENT");
    drop("saga-epoch");
    drop("traceparent");
    message.content_type = NULL;
    message.body = NULL;
    message.body_size = 0;
    expect_taken();
    ck_assert_int_eq(command.deadline_ms, 0);
    ck_assert_ptr_null(command.saga_type);
    ck_assert_ptr_nonnull(command.body);
    ck_assert_uint_eq(command.body_size, 0);
}
END_TEST

START_TEST(every_operation_is_read) {
    static const char *const operations[] = {"action", "compensation", "fence", "settle"};
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        make();
        say("saga-operation", operations[i]);
        expect_taken();
        ck_assert_str_eq(command.operation, operations[i]);
    }
}
END_TEST

START_TEST(numbers_may_be_spelled_as_digits) {
    make();
    say("saga-incarnation", "4");
    say("saga-revision", "5");
    say("saga-attempt", "4294967295");
    expect_taken();
    ck_assert_uint_eq(command.incarnation, 4);
    ck_assert_uint_eq(command.revision, 5);
    ck_assert_uint_eq(command.attempt, UINT32_MAX);
}
END_TEST

START_TEST(a_command_of_the_python_example_is_refused) {
    make();
    message.message_id = NULL;
    message.type = NULL;
    message.header_count = 2;
    expect_refused("there are no saga-* headers");
}
END_TEST

static const char *const required[] = {"saga-id",       "saga-step",      "saga-incarnation",
                                       "saga-revision", "saga-operation", "saga-attempt",
                                       "saga-issued-at"};

START_TEST(a_header_that_is_missing_is_named) {
    static const char *const parts[] = {"saga is not a UUID", "no usable step", "saga-incarnation",
                                        "saga-revision",      "operation",      "saga-attempt",
                                        "saga-issued-at"};
    make();
    drop(required[_i]);
    expect_refused(parts[_i]);
}
END_TEST

START_TEST(a_header_of_the_other_kind_is_refused) {
    make();
    struct saga_amqp_header *at = header(required[_i]);
    if (at->text == NULL) {
        say(required[_i], "one");
    } else {
        say_number(required[_i], 1);
    }
    ck_assert_ptr_nonnull(saga_command_message_read(&message, &command));
}
END_TEST

START_TEST(a_header_that_is_there_twice_is_refused) {
    make();
    saga_amqp_message_add_number(&message, required[_i], 1);
    expect_refused("there twice");
}
END_TEST

static const int64_t bad_numbers[] = {0, -1, INT64_MIN, INT64_C(4294967296), INT64_MAX};

START_TEST(a_number_out_of_range_is_refused) {
    static const char *const names[] = {"saga-incarnation", "saga-revision", "saga-attempt"};
    for (size_t i = 0; i < 3; i++) {
        make();
        say_number(names[i], bad_numbers[_i]);
        expect_refused(names[i]);
    }
}
END_TEST

static const char *const bad_digits[] = {
    "",      " 1",        "1 ", "+1", "0x1", "1.0", "1e3", "one", "-1", "0", "99999999999999999999",
    "1\xff", "4294967296"};

START_TEST(digits_that_are_no_number_are_refused) {
    make();
    say("saga-incarnation", bad_digits[_i]);
    expect_refused("saga-incarnation");
}
END_TEST

START_TEST(properties_that_are_missing_are_named) {
    make();
    message.message_id = NULL;
    expect_refused("message_id is missing");
    message.message_id = "";
    expect_refused("message_id is missing");
    make();
    message.correlation_id = NULL;
    expect_refused("correlation_id");
    message.correlation_id = SAGA "/block/1/action/1";
    expect_refused("correlation_id");
    make();
    message.reply_to = NULL;
    expect_refused("reply_to is missing");
    message.reply_to = "";
    expect_refused("reply_to is missing");
    make();
    message.type = NULL;
    expect_refused("type is missing");
}
END_TEST

START_TEST(texts_that_could_do_harm_are_refused) {
    char longest[SAGA_WIRE_NAME_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    make();
    message.message_id = message.correlation_id = "x\", \"reply_state\": \"DONE\"}";
    expect_refused("no usable id");
    make();
    message.type = "parking.block; rm";
    expect_refused("no usable name");
    make();
    message.type = longest;
    expect_refused("no usable name");
    make();
    say("saga-step", longest);
    expect_refused("no usable step");
    say("saga-step", "bl\nock");
    expect_refused("no usable step");
    make();
    say("saga-type", longest);
    expect_refused("saga-type");
    say_number("saga-type", 1);
    expect_refused("saga-type");
    make();
    say("saga-id", "0190A8F0-1C2D-7E3F-8A4B-5C6D7E8F9A0B");
    expect_refused("not a UUID in lower case");
    make();
    say("saga-operation", "destruction");
    expect_refused("operation is unknown");
}
END_TEST

START_TEST(a_body_over_the_limit_is_refused) {
    make();
    message.body_size = SAGA_WIRE_BODY_BYTES_MAX;
    expect_taken(); /* what is in it is the participant's to judge */
    message.body_size++;
    expect_refused("1 MiB");
}
END_TEST

START_TEST(times_are_checked) {
    make();
    say("saga-issued-at", "1970-01-01T00:00:00Z"); /* nothing was issued then */
    expect_refused("saga-issued-at");
    make();
    say("saga-deadline", "tomorrow");
    expect_refused("saga-deadline");
    make();
    say_number("saga-deadline", 1720742700);
    expect_refused("saga-deadline");
}
END_TEST

/* --------------------------------------------------------------- timestamps */

static const struct {
    const char *text;
    int64_t ms;
} moments[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1972-02-29T12:00:00Z", INT64_C(68212800000)},
    {"2000-02-29T23:59:59.999Z", INT64_C(951868799999)},
    {"2024-07-12T00:00:00Z", INT64_C(1720742400000)},
    {"2024-12-31T23:59:59.9Z", INT64_C(1735689599900)},
    {"2024-07-12T00:00:00.123456789Z", INT64_C(1720742400123)},
    {"2100-03-01T00:00:00Z", INT64_C(4107542400000)},
    {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
};

START_TEST(a_moment_is_read) {
    int64_t ms;
    ck_assert(saga_timestamp_parse(moments[_i].text, &ms));
    ck_assert_int_eq(ms, moments[_i].ms);
}
END_TEST

static const char *const no_moments[] = {
    "",
    "2024",
    "2024-07-12",
    "2024-07-12T00:00:00",
    "2024-07-12T00:00:00z",
    "2024-07-12t00:00:00Z",
    "2024-07-12 00:00:00Z",
    "2024-07-12T00:00:00+00:00",
    "2024-07-12T00:00:00.Z",
    "2024-07-12T00:00:00.1234567890Z",
    "2024-07-12T00:00:00,5Z",
    "2024-07-12T00:00:00Z ",
    " 2024-07-12T00:00:00Z",
    "2024-07-12T24:00:00Z",
    "2024-07-12T00:60:00Z",
    "2024-07-12T00:00:60Z",
    "2024-13-12T00:00:00Z",
    "2024-00-12T00:00:00Z",
    "2024-07-00T00:00:00Z",
    "2024-07-32T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "02024-07-12T00:00:00Z",
    "-024-07-12T00:00:00Z",
    "2024-7-12T00:00:00Z",
    "2024-07-12T0:00:00Z",
    "2024-07-12T00:00:00.1-Z",
};

START_TEST(what_is_no_moment_is_refused) {
    int64_t ms;
    ck_assert_msg(!saga_timestamp_parse(no_moments[_i], &ms), "'%s' was taken", no_moments[_i]);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

int main(void) {
    Suite *suite = suite_create("command_message");
    TCase *tests = tcase_create("reader");
    tcase_add_test(tests, a_whole_command_is_read_field_by_field);
    tcase_add_test(tests, what_may_be_missing_may);
    tcase_add_test(tests, every_operation_is_read);
    tcase_add_test(tests, numbers_may_be_spelled_as_digits);
    tcase_add_test(tests, a_command_of_the_python_example_is_refused);
    tcase_add_loop_test(tests, a_header_that_is_missing_is_named, 0, COUNT(required));
    tcase_add_loop_test(tests, a_header_of_the_other_kind_is_refused, 0, COUNT(required));
    tcase_add_loop_test(tests, a_header_that_is_there_twice_is_refused, 0, COUNT(required));
    tcase_add_loop_test(tests, a_number_out_of_range_is_refused, 0, COUNT(bad_numbers));
    tcase_add_loop_test(tests, digits_that_are_no_number_are_refused, 0, COUNT(bad_digits));
    tcase_add_test(tests, properties_that_are_missing_are_named);
    tcase_add_test(tests, texts_that_could_do_harm_are_refused);
    tcase_add_test(tests, a_body_over_the_limit_is_refused);
    tcase_add_test(tests, times_are_checked);
    tcase_add_loop_test(tests, a_moment_is_read, 0, COUNT(moments));
    tcase_add_loop_test(tests, what_is_no_moment_is_refused, 0, COUNT(no_moments));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
