/* The words of the wire, what a command must have, and a reply's body. */
#include "check_run.h"
#include "wire.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SAGA_TEXT "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

static struct saga_wire_command valid(void) {
    return (struct saga_wire_command){
        .name = "parking.block",
        .id = SAGA_TEXT "/block/1/action/1",
        .saga = SAGA_TEXT,
        .saga_type = "booking",
        .step = "block",
        .operation = "action",
        .incarnation = 1,
        .revision = 1,
        .attempt = 1,
    };
}

START_TEST(outcomes_are_read_back) {
    static const char *const names[] = {"done", "rejected", "accepted", "retry", "fenced", "noop"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enum saga_wire_outcome outcome = saga_wire_outcome_parse(names[i], strlen(names[i]));
        ck_assert_int_ne(outcome, SAGA_WIRE_NONE);
        ck_assert_str_eq(saga_wire_outcome_name(outcome), names[i]);
    }
    ck_assert_ptr_null(saga_wire_outcome_name(SAGA_WIRE_NONE));
    ck_assert_int_eq(saga_wire_outcome_parse("don", 3), SAGA_WIRE_NONE);
    ck_assert_int_eq(saga_wire_outcome_parse("done!", 5), SAGA_WIRE_NONE);
    ck_assert_int_eq(saga_wire_outcome_parse("done!", 4), SAGA_WIRE_DONE);
    ck_assert_int_eq(saga_wire_outcome_parse("", 0), SAGA_WIRE_NONE);
}
END_TEST

START_TEST(operations_are_read_back) {
    static const char *const names[] = {"action", "compensation", "fence"};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(saga_wire_operation_parse(names[i]), i + 1);
        ck_assert_str_eq(saga_wire_operation_name((enum saga_wire_operation)(i + 1)), names[i]);
    }
    ck_assert_int_eq(saga_wire_operation_parse("unblock"), 0);
    ck_assert_int_eq(saga_wire_operation_parse(NULL), 0);
}
END_TEST

START_TEST(a_command_needs_its_identity) {
    struct saga_wire_command command = valid();
    ck_assert_ptr_null(saga_wire_command_check(&command));
    command.saga_type = NULL;
    command.attempt = 0;
    ck_assert_msg(saga_wire_command_check(&command) == NULL, "these are diagnostic");

    command = valid();
    command.id = NULL;
    ck_assert_str_eq(saga_wire_command_check(&command), "the command has no usable id");
    command.id = "a\"b";
    ck_assert_ptr_nonnull(saga_wire_command_check(&command));
    char long_id[SAGA_WIRE_ID_BYTES_MAX + 2];
    memset(long_id, 'a', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    command.id = long_id;
    ck_assert_ptr_nonnull(saga_wire_command_check(&command));
    command.id = long_id + 1; /* exactly the limit */
    ck_assert_ptr_null(saga_wire_command_check(&command));

    command = valid();
    command.name = "";
    ck_assert_str_eq(saga_wire_command_check(&command), "the command has no usable name");
    command = valid();
    command.step = "two words";
    ck_assert_str_eq(saga_wire_command_check(&command), "the command has no usable step");
    command = valid();
    command.operation = "unblock";
    ck_assert_str_eq(saga_wire_command_check(&command), "the command's operation is unknown");
    command = valid();
    command.incarnation = 0;
    ck_assert_ptr_nonnull(saga_wire_command_check(&command));
    command = valid();
    command.revision = 0;
    ck_assert_ptr_nonnull(saga_wire_command_check(&command));
}
END_TEST

START_TEST(a_saga_has_one_spelling) {
    static const char *const wrong[] = {
        "",
        "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0",
        "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b0",
        "0190A8F0-1C2D-7E3F-8A4B-5C6D7E8F9A0B",
        "0190a8f001c2d-7e3f-8a4b-5c6d7e8f9a0b",
        "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0g",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct saga_wire_command command = valid();
        command.saga = wrong[i];
        ck_assert_msg(saga_wire_command_check(&command) != NULL, "'%s' was taken", wrong[i]);
    }
}
END_TEST

START_TEST(a_reply_is_encoded_as_the_protocol_says) {
    struct saga_wire_reply reply = {.id = SAGA_TEXT "/block/1/action/1"};
    ck_assert(saga_wire_reply_encode(&reply, "PARKING_AVAILABLE", NULL));
    ck_assert_str_eq(reply.body, "{\"id\": \"" SAGA_TEXT "/block/1/action/1\", \"content\": null, "
                                 "\"reply_state\": \"PARKING_AVAILABLE\"}");
    ck_assert_uint_eq(reply.body_size, strlen(reply.body));
    saga_wire_reply_free(&reply);
    ck_assert_ptr_null(reply.body);
    ck_assert(saga_wire_reply_encode(&reply, "X", "{\"id\": 3}"));
    ck_assert_ptr_nonnull(strstr(reply.body, "\"content\": {\"id\": 3},"));
    saga_wire_reply_free(&reply);
}
END_TEST

START_TEST(a_reply_over_the_limit_is_not_encoded) {
    struct saga_wire_reply reply = {.id = "a"};
    char *content = malloc(SAGA_WIRE_BODY_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(content);
    memset(content, '1', SAGA_WIRE_BODY_BYTES_MAX);
    content[SAGA_WIRE_BODY_BYTES_MAX] = '\0';
    ck_assert(!saga_wire_reply_encode(&reply, "X", content));
    ck_assert_ptr_null(reply.body);
    free(content);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("wire");
    TCase *words = tcase_create("words");
    tcase_add_test(words, outcomes_are_read_back);
    tcase_add_test(words, operations_are_read_back);
    tcase_add_test(words, a_command_needs_its_identity);
    tcase_add_test(words, a_saga_has_one_spelling);
    tcase_add_test(words, a_reply_is_encoded_as_the_protocol_says);
    tcase_add_test(words, a_reply_over_the_limit_is_not_encoded);
    suite_add_tcase(suite, words);
    return check_run(suite);
}
