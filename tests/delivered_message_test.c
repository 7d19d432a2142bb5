/* Messages as they come from participants, and from whoever wants a saga: good
 * ones become requests, bad ones are refused with a reason. */
#include "delivered_message.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

#define SAGA "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
#define ID   SAGA "/block/1/action/2"

static struct saga_amqp_message message;
static struct saga_delivered_message *made;
static const char *why;

static void be_reply(void) {
    message = (struct saga_amqp_message){
        .exchange = "TRIPS",
        .routing_key = "saga.replies.0f",
        .correlation_id = ID,
        .content_type = "application/json",
        .body = "{\"id\":null}",
        .body_size = 11,
    };
}

static void expect_reply(void) {
    free(made);
    made = saga_delivered_reply(&message, &why);
    ck_assert_msg(made != NULL, "refused: %s", why);
    ck_assert_ptr_null(why);
}

static void expect_reply_refused(const char *part) {
    ck_assert_ptr_null(saga_delivered_reply(&message, &why));
    ck_assert_msg(why != NULL && strstr(why, part) != NULL, "'%s' is not in '%s'", part, why);
}

static void tear_down(void) {
    free(made);
    made = NULL;
}

/* ------------------------------------------------------------------ replies */

START_TEST(a_reply_becomes_a_request) {
    struct saga_id saga;
    ck_assert(saga_id_parse(SAGA, strlen(SAGA), &saga));
    be_reply();
    saga_amqp_message_add_text(&message, "saga-outcome", "done");
    saga_amqp_message_add_number(&message, "saga-attempt", 3);
    saga_amqp_message_add_number(&message, "saga-replayed", 1);
    expect_reply();
    const struct saga_request *request = &made->request;
    ck_assert_int_eq(request->type, SAGA_REQUEST_REPLY);
    ck_assert_mem_eq(&request->command.saga, &saga, sizeof saga);
    ck_assert_int_eq(request->command.operation, SAGA_ACTION);
    ck_assert_uint_eq(request->command.incarnation, 1);
    ck_assert_uint_eq(request->command.revision, 2);
    ck_assert_uint_eq(request->step.size, 5);
    ck_assert_mem_eq(request->step.data, "block", 5);
    ck_assert_uint_eq(request->attempt, 3);
    ck_assert_int_eq(request->verdict, SAGA_DONE);
    ck_assert_uint_eq(request->body.size, 11);
    ck_assert_mem_eq(request->body.data, "{\"id\":null}", 11);
}
END_TEST

START_TEST(a_reply_of_the_python_example_has_no_headers) {
    be_reply();
    message.content_type = NULL;
    expect_reply();
    ck_assert_int_eq(made->request.verdict, 0); /* its reply_state decides */
    ck_assert_uint_eq(made->request.attempt, 0);
}
END_TEST

START_TEST(what_was_delivered_may_be_overwritten) {
    char id[] = ID, body[] = "{\"id\":null}";
    be_reply();
    message.correlation_id = id;
    message.body = body;
    expect_reply();
    memset(id, '#', sizeof id - 1);
    memset(body, '#', sizeof body - 1);
    ck_assert_mem_eq(made->request.step.data, "block", 5);
    ck_assert_mem_eq(made->request.body.data, "{\"id\":null}", 11);
}
END_TEST

START_TEST(a_reply_may_have_no_body) {
    be_reply();
    message.body = NULL;
    message.body_size = 0;
    expect_reply();
    ck_assert_uint_eq(made->request.body.size, 0);
}
END_TEST

START_TEST(a_body_is_not_read_here) { /* but by the engine, which knows the definition */
    static const char body[] = "\xff\0{]";
    be_reply();
    message.body = body;
    message.body_size = sizeof body;
    expect_reply();
    ck_assert_uint_eq(made->request.body.size, sizeof body);
    ck_assert_mem_eq(made->request.body.data, body, sizeof body);
}
END_TEST

static const struct {
    const char *word;
    enum saga_verdict verdict;
} outcomes[] = {
    {"done", SAGA_DONE},   {"rejected", SAGA_REJECTED}, {"accepted", SAGA_ACCEPTED},
    {"retry", SAGA_RETRY}, {"fenced", SAGA_FENCED},     {"noop", SAGA_NOOP},
};

START_TEST(each_outcome_is_its_verdict) {
    be_reply();
    saga_amqp_message_add_text(&message, "saga-outcome", outcomes[_i].word);
    expect_reply();
    ck_assert_int_eq(made->request.verdict, outcomes[_i].verdict);
}
END_TEST

static const char *const no_outcomes[] = {
    "", "DONE", "done ", " done", "don", "donee", "unknown", "0", "\xff", "done\n",
};

START_TEST(a_word_that_is_no_outcome_is_refused) {
    be_reply();
    saga_amqp_message_add_text(&message, "saga-outcome", no_outcomes[_i]);
    expect_reply_refused("saga-outcome");
}
END_TEST

START_TEST(a_number_is_no_outcome) {
    be_reply();
    saga_amqp_message_add_number(&message, "saga-outcome", 1);
    expect_reply_refused("saga-outcome");
}
END_TEST

static const struct {
    const char *text; /* NULL: a number */
    int64_t number;
    bool is_good;
    uint32_t attempt;
} attempts[] = {
    {NULL, 0, true, 0},
    {NULL, 1, true, 1},
    {NULL, UINT32_MAX, true, UINT32_MAX},
    {"7", 0, true, 7},
    {"4294967295", 0, true, UINT32_MAX},
    {NULL, -1, false, 0},
    {NULL, INT64_C(4294967296), false, 0},
    {NULL, INT64_MIN, false, 0},
    {NULL, INT64_MAX, false, 0},
    {"-1", 0, false, 0},
    {"4294967296", 0, false, 0},
    {"", 0, false, 0},
    {"x", 0, false, 0},
    {"1x", 0, false, 0},
    {" 1", 0, false, 0},
    {"99999999999999999999999999", 0, false, 0},
};

START_TEST(an_attempt_is_a_number_of_32_bits) {
    be_reply();
    if (attempts[_i].text != NULL) {
        saga_amqp_message_add_text(&message, "saga-attempt", attempts[_i].text);
    } else {
        saga_amqp_message_add_number(&message, "saga-attempt", attempts[_i].number);
    }
    if (attempts[_i].is_good) {
        expect_reply();
        ck_assert_uint_eq(made->request.attempt, attempts[_i].attempt);
    } else {
        expect_reply_refused("saga-attempt");
    }
}
END_TEST

static const char *const no_ids[] = {
    NULL,
    "",
    "/",
    "////",
    "x",
    SAGA,
    SAGA "/",
    SAGA "/block",
    SAGA "/block/1/action",
    SAGA "/block/1/action/",
    SAGA "/block/1/action/2/",
    SAGA "/block/1/action/2/3",
    SAGA "//1/action/2",
    SAGA "/block/0/action/2",
    SAGA "/block/1/action/0",
    SAGA "/block/01/action/2",
    SAGA "/block/-1/action/2",
    SAGA "/block/65536/action/2",
    SAGA "/block/1/action/65536",
    SAGA "/block/99999999999999999999/action/2",
    SAGA "/block/1/actions/2",
    SAGA "/block/1/ACTION/2",
    SAGA "/block/1//2",
    SAGA "/block/1/action/2 ",
    " " ID,
    "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0/block/1/action/2",
    "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0g/block/1/action/2",
    "\xff\xfe\xfd",
};

START_TEST(a_correlation_id_that_is_no_commands_is_refused) {
    be_reply();
    message.correlation_id = no_ids[_i];
    expect_reply_refused("correlation id");
}
END_TEST

START_TEST(a_step_that_nobody_has_is_the_engines_to_refuse) {
    char id[SAGA_AMQP_SHORT_BYTES_MAX + 1] = SAGA "/";
    const size_t at = strlen(id), size = SAGA_AMQP_SHORT_BYTES_MAX - at - strlen("/1/fence/2");
    memset(id + at, '\xfe', size);
    (void)strcpy(id + at + size, "/1/fence/2");
    be_reply();
    message.correlation_id = id;
    expect_reply();
    ck_assert_uint_eq(made->request.step.size, size);
    ck_assert_int_eq(made->request.command.operation, SAGA_FENCE);
}
END_TEST

/* ------------------------------------------------------------------- starts */

static void be_start(void) {
    message = (struct saga_amqp_message){
        .exchange = "",
        .routing_key = "saga.start",
        .message_id = "order 7",
        .correlation_id = "c-1",
        .reply_to = "answers",
        .type = "booking",
        .persistent = true,
        .body = "{\"a\":1}",
        .body_size = 7,
    };
}

static void expect_start(void) {
    free(made);
    made = saga_delivered_start(&message, &why);
    ck_assert_msg(made != NULL, "refused: %s", why);
    ck_assert_ptr_null(why);
}

static void expect_start_refused(const char *part) {
    ck_assert_ptr_null(saga_delivered_start(&message, &why));
    ck_assert_msg(why != NULL && strstr(why, part) != NULL, "'%s' is not in '%s'", part, why);
}

START_TEST(a_start_becomes_a_request) {
    be_start();
    expect_start();
    const struct saga_request *request = &made->request;
    ck_assert_int_eq(request->type, SAGA_REQUEST_START);
    ck_assert_str_eq(request->saga, "booking");
    ck_assert_uint_eq(request->key.size, 7);
    ck_assert_mem_eq(request->key.data, "order 7", 7);
    ck_assert_uint_eq(request->body.size, 7);
    ck_assert_mem_eq(request->body.data, "{\"a\":1}", 7);
    ck_assert_ptr_eq(request->listings, &made->listing);
    ck_assert_uint_eq(request->limit, 1);
    ck_assert_str_eq(made->reply_to, "answers");
    ck_assert_str_eq(made->correlation_id, "c-1");
    ck_assert(made->persistent);
    static const char asker[] =
        "{\"reply_to\":\"answers\",\"correlation_id\":\"c-1\",\"persistent\":true}";
    ck_assert_uint_eq(request->content.size, sizeof asker - 1);
    ck_assert_mem_eq(request->content.data, asker, sizeof asker - 1);
}
END_TEST

START_TEST(a_start_may_want_no_answer) {
    be_start();
    message.reply_to = _i == 0 ? NULL : "";
    message.persistent = false;
    expect_start();
    ck_assert_ptr_null(made->reply_to);
    ck_assert_uint_eq(made->request.content.size, 0);
    ck_assert(!made->persistent);
}
END_TEST

START_TEST(an_answer_is_about_the_key_where_nothing_else_is_said) {
    be_start();
    message.correlation_id = _i == 0 ? NULL : "";
    expect_start();
    ck_assert_str_eq(made->correlation_id, "order 7");
    ck_assert_ptr_nonnull(memmem(made->request.content.data, made->request.content.size,
                                 "\"correlation_id\":\"order 7\"", 26));
}
END_TEST

START_TEST(a_start_may_be_overwritten) {
    char type[] = "booking", key[] = "order 7", reply_to[] = "answers", correlation[] = "c-1";
    be_start();
    message.type = type;
    message.message_id = key;
    message.reply_to = reply_to;
    message.correlation_id = correlation;
    expect_start();
    memset(type, '#', sizeof type - 1);
    memset(key, '#', sizeof key - 1);
    memset(reply_to, '#', sizeof reply_to - 1);
    memset(correlation, '#', sizeof correlation - 1);
    ck_assert_str_eq(made->request.saga, "booking");
    ck_assert_mem_eq(made->request.key.data, "order 7", 7);
    ck_assert_str_eq(made->reply_to, "answers");
    ck_assert_str_eq(made->correlation_id, "c-1");
}
END_TEST

START_TEST(the_longest_texts_fit) {
    char text[SAGA_AMQP_SHORT_BYTES_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    be_start();
    message.type = message.message_id = message.reply_to = message.correlation_id = text;
    message.body = NULL;
    message.body_size = 0;
    expect_start();
    ck_assert_str_eq(made->request.saga, text);
    ck_assert_uint_eq(made->request.key.size, SAGA_AMQP_SHORT_BYTES_MAX);
    ck_assert_str_eq(made->reply_to, text);
    ck_assert_str_eq(made->correlation_id, text);
    ck_assert_uint_gt(made->request.content.size, 2 * SAGA_AMQP_SHORT_BYTES_MAX);
    ck_assert_uint_le(made->request.content.size, SAGA_ASKER_BYTES_MAX);
    ck_assert_uint_eq(made->request.body.size, 0); /* the engine's to refuse */
}
END_TEST

START_TEST(a_start_without_a_type_is_refused) {
    be_start();
    message.type = _i == 0 ? NULL : "";
    expect_start_refused("type");
}
END_TEST

/* As over HTTP: 1 to 255 characters of printable ASCII. */
static const char *const no_keys[] = {NULL, "", "a\tb", "a\n", "\x7f", "caf\xc3\xa9", "\xff"};

START_TEST(a_start_without_a_usable_key_is_refused) {
    be_start();
    message.message_id = no_keys[_i];
    expect_start_refused("message_id");
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

int main(void) {
    Suite *suite = suite_create("delivered message");
    TCase *tests = tcase_create("delivered message");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, a_reply_becomes_a_request);
    tcase_add_test(tests, a_reply_of_the_python_example_has_no_headers);
    tcase_add_test(tests, what_was_delivered_may_be_overwritten);
    tcase_add_test(tests, a_reply_may_have_no_body);
    tcase_add_test(tests, a_body_is_not_read_here);
    tcase_add_loop_test(tests, each_outcome_is_its_verdict, 0, COUNT(outcomes));
    tcase_add_loop_test(tests, a_word_that_is_no_outcome_is_refused, 0, COUNT(no_outcomes));
    tcase_add_test(tests, a_number_is_no_outcome);
    tcase_add_loop_test(tests, an_attempt_is_a_number_of_32_bits, 0, COUNT(attempts));
    tcase_add_loop_test(tests, a_correlation_id_that_is_no_commands_is_refused, 0, COUNT(no_ids));
    tcase_add_test(tests, a_step_that_nobody_has_is_the_engines_to_refuse);
    tcase_add_test(tests, a_start_becomes_a_request);
    tcase_add_loop_test(tests, a_start_may_want_no_answer, 0, 2);
    tcase_add_loop_test(tests, an_answer_is_about_the_key_where_nothing_else_is_said, 0, 2);
    tcase_add_test(tests, a_start_may_be_overwritten);
    tcase_add_test(tests, the_longest_texts_fit);
    tcase_add_loop_test(tests, a_start_without_a_type_is_refused, 0, 2);
    tcase_add_loop_test(tests, a_start_without_a_usable_key_is_refused, 0, COUNT(no_keys));
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
