/* Whoever started a saga by a message: as the log keeps them, and what they are told. */
#include "askers.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

static struct saga_id id_of(unsigned number) {
    struct saga_id id = {.bytes = {1}};
    id.bytes[6] = 0x70;
    id.bytes[8] = 0x80;
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

/* -------------------------------------------------------------- written down */

static struct saga_asker *parse(const char *text, const char **why) {
    return saga_asker_parse((struct saga_bytes){text, (uint32_t)strlen(text)}, why);
}

static void comes_back(const char *reply_to, const char *correlation_id, bool persistent) {
    const struct saga_asker asker = {
        .reply_to = reply_to, .correlation_id = correlation_id, .persistent = persistent};
    const char *why;
    char *text = saga_asker_text(&asker);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_le(strlen(text), SAGA_ASKER_BYTES_MAX);
    struct saga_asker *parsed = parse(text, &why);
    ck_assert_msg(parsed != NULL, "%s: %s", text, why);
    ck_assert_ptr_null(why);
    memset(text, '#', strlen(text)); /* it was copied */
    ck_assert_str_eq(parsed->reply_to, reply_to);
    ck_assert_str_eq(parsed->correlation_id, correlation_id);
    ck_assert_int_eq(parsed->persistent, persistent);
    free(parsed);
    free(text);
}

START_TEST(an_asker_is_written_as_json) {
    const struct saga_asker asker = {
        .reply_to = "answers", .correlation_id = "order \"17\"", .persistent = true};
    char *text = saga_asker_text(&asker);
    ck_assert_str_eq(text, "{\"reply_to\":\"answers\",\"correlation_id\":\"order \\\"17\\\"\","
                           "\"persistent\":true}");
    free(text);
}
END_TEST

START_TEST(what_was_written_is_read) {
    char all[256], longest[256];
    for (int i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    memset(longest, 1, 255); /* six characters each in JSON */
    all[255] = longest[255] = '\0';
    comes_back("answers", "c-1", true);
    comes_back("caf\xc3\xa9", "\xe2\x82\xac\n\"", false);
    comes_back(longest, longest, true);
    comes_back(all, "\xff", false); /* not UTF-8, either of them */
    comes_back("answers", all, true);
}
END_TEST

START_TEST(anything_else_is_no_asker) {
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"reply_to\":\"q\",\"correlation_id\":\"c\"}",
        "{\"reply_to\":\"q\",\"persistent\":true}",
        "{\"reply_to\":\"\",\"correlation_id\":\"c\",\"persistent\":true}",
        "{\"reply_to\":7,\"correlation_id\":\"c\",\"persistent\":true}",
        "{\"reply_to\":\"q\",\"correlation_id\":\"c\",\"persistent\":1}",
        "{\"reply_to_hex\":\"\",\"correlation_id\":\"c\",\"persistent\":true}",
        "{\"reply_to_hex\":\"f\",\"correlation_id\":\"c\",\"persistent\":true}",
        "{\"reply_to_hex\":\"fg\",\"correlation_id\":\"c\",\"persistent\":true}",
        "{\"reply_to_hex\":\"ff00\",\"correlation_id\":\"c\",\"persistent\":true}",
    };
    char longer[700];
    const char *why;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_msg(parse(texts[i], &why) == NULL, "%s", texts[i]);
        ck_assert_ptr_nonnull(why);
    }
    (void)snprintf(longer, sizeof longer,
                   "{\"reply_to\":\"%0256d\",\"correlation_id\":\"c\",\"persistent\":true}", 7);
    ck_assert_ptr_null(parse(longer, &why));
    (void)snprintf(longer, sizeof longer,
                   "{\"reply_to_hex\":\"%s%0511d\",\"correlation_id\":\"c\",\"persistent\":true}",
                   "f", 1);
    memset(strchr(longer, 'f'), 'f', 512);
    ck_assert_ptr_null(parse(longer, &why));
}
END_TEST

/* ------------------------------------------------------------------ answers */

START_TEST(an_outcome_says_which_saga_and_how) {
    const struct saga_id id = id_of(7);
    char *body = saga_asker_outcome(&id, "compensated");
    json_t *json = json_loads(body, 0, NULL);
    ck_assert_uint_eq(json_object_size(json), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json, "id")),
                     "01000000-0000-7000-8000-000000000007");
    ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "compensated");
    json_decref(json);
    free(body);
}
END_TEST

/* What is refused is quoted, cut off at some byte, and came from anybody. */
static const struct {
    const char *text, *said;
} refusals[] = {
    {"", ""},
    {"no \"such\" \\ saga\n\x01", "no \"such\" \\ saga\n\x01"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"cut: \xc3", "cut: ?"},
    {"cut: \xe2\x82'", "cut: ?\?'"},
    {"\xff\xfe", "?\?"},
};

START_TEST(a_refusal_says_why_whatever_was_in_it) {
    char *body = saga_asker_refusal(refusals[_i].text);
    ck_assert_ptr_nonnull(body);
    json_t *json = json_loads(body, 0, NULL);
    ck_assert_uint_eq(json_object_size(json), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json, "error")), refusals[_i].said);
    json_decref(json);
    free(body);
}
END_TEST

START_TEST(an_answer_goes_straight_to_the_askers_queue) {
    char queue[] = "answers", correlation[] = "c-1";
    const struct saga_asker asker = {
        .reply_to = queue, .correlation_id = correlation, .persistent = true};
    struct saga_asker_answer *answer =
        saga_asker_answer_make(&asker, "saga.refused", saga_asker_refusal("no"));
    ck_assert_ptr_nonnull(answer);
    memset(queue, '#', sizeof queue);
    memset(correlation, '#', sizeof correlation);
    const struct saga_amqp_message *message = &answer->outgoing.message;
    ck_assert_str_eq(message->exchange, "");
    ck_assert_str_eq(message->routing_key, "answers");
    ck_assert_str_eq(message->correlation_id, "c-1");
    ck_assert_str_eq(message->type, "saga.refused");
    ck_assert_str_eq(message->content_type, "application/json");
    ck_assert(message->persistent);
    ck_assert(!message->mandatory);
    ck_assert_uint_eq(message->body_size, 14);
    ck_assert_mem_eq(message->body, "{\"error\":\"no\"}", 14);
    ck_assert(!answer->is_end);
    saga_asker_answer_free(answer);
}
END_TEST

START_TEST(without_a_body_there_is_no_answer) {
    const struct saga_asker asker = {.reply_to = "q", .correlation_id = "c"};
    ck_assert_ptr_null(saga_asker_answer_make(&asker, "saga.ended", NULL));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

int main(void) {
    Suite *suite = suite_create("askers");
    TCase *tests = tcase_create("askers");
    tcase_add_test(tests, an_asker_is_written_as_json);
    tcase_add_test(tests, what_was_written_is_read);
    tcase_add_test(tests, anything_else_is_no_asker);
    tcase_add_test(tests, an_outcome_says_which_saga_and_how);
    tcase_add_loop_test(tests, a_refusal_says_why_whatever_was_in_it, 0, COUNT(refusals));
    tcase_add_test(tests, an_answer_goes_straight_to_the_askers_queue);
    tcase_add_test(tests, without_a_body_there_is_no_answer);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
