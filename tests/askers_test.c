/* Whoever started a saga by a message: remembered while it is open, told once. */
#include "askers.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "ids.h"

static struct saga_askers *askers;

static void set_up(void) {
    askers = saga_askers_open();
    ck_assert_ptr_nonnull(askers);
}

static void tear_down(void) {
    saga_askers_close(askers);
}

static struct saga_id id_of(unsigned number) {
    struct saga_id id = {.bytes = {1}};
    id.bytes[6] = 0x70;
    id.bytes[8] = 0x80;
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static void join(unsigned number, const char *status, const char *reply_to) {
    const struct saga_id id = id_of(number);
    char queue[64], correlation[] = "c";
    (void)snprintf(queue, sizeof queue, "%s", reply_to);
    const struct saga_asker asker = {
        .reply_to = queue, .correlation_id = correlation, .persistent = number % 2 == 0};
    ck_assert(saga_askers_join(askers, &id, status, &asker));
    memset(queue, '#', sizeof queue); /* it was copied */
    correlation[0] = '#';
}

/* Who is told of this; NULL: nobody. */
static const char *told(unsigned number, const char *status) {
    static char queue[64];
    const struct saga_id id = id_of(number);
    struct saga_asker *asker = saga_askers_leave(askers, &id, status);
    if (asker == NULL) {
        return NULL;
    }
    ck_assert_mem_eq(&asker->saga, &id, sizeof id);
    ck_assert_str_eq(asker->correlation_id, "c");
    ck_assert_int_eq(asker->persistent, number % 2 == 0);
    (void)snprintf(queue, sizeof queue, "%s", asker->reply_to);
    free(asker);
    return queue;
}

static const char *const still_open[] = {"running", "compensating", "parked", "quarantined"};
static const char *const ended[] = {"completed", "compensated", "completed_manually",
                                    "compensated_manually", "inconsistent"};

START_TEST(an_asker_waits_while_the_saga_is_open) {
    join(1, still_open[_i], "q");
    for (size_t i = 0; i < sizeof still_open / sizeof still_open[0]; i++) {
        ck_assert_ptr_null(told(1, still_open[i]));
    }
    ck_assert_str_eq(told(1, "completed"), "q");
}
END_TEST

START_TEST(an_asker_is_told_once_of_the_end) {
    join(1, "running", "q");
    ck_assert_str_eq(told(1, ended[_i]), "q");
    ck_assert_ptr_null(told(1, ended[_i]));
}
END_TEST

START_TEST(of_a_saga_that_has_ended_nothing_more_is_told) {
    join(1, ended[_i], "q");
    ck_assert_ptr_null(told(1, ended[_i]));
}
END_TEST

START_TEST(who_asks_again_takes_the_earlier_ones_place) {
    join(1, "running", "first");
    join(1, "compensating", "second");
    ck_assert_str_eq(told(1, "compensated"), "second");
    ck_assert_ptr_null(told(1, "compensated"));
}
END_TEST

START_TEST(nobody_is_told_of_another_ones_saga) {
    for (unsigned i = 0; i < 1000; i++) {
        char queue[16];
        (void)snprintf(queue, sizeof queue, "q%u", i * 7919 % 1000);
        join(i * 7919 % 1000, "running", queue);
    }
    ck_assert_ptr_null(told(1000, "completed"));
    for (unsigned i = 0; i < 990; i++) { /* the others are freed with the askers */
        char queue[16];
        (void)snprintf(queue, sizeof queue, "q%u", i);
        ck_assert_str_eq(told(i, "completed"), queue);
    }
}
END_TEST

START_TEST(nobody_at_all_is_no_asker) {
    ck_assert_ptr_null(told(1, "completed"));
    saga_askers_close(NULL);
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
    struct saga_amqp_outgoing *outgoing =
        saga_asker_message(&asker, "saga.refused", saga_asker_refusal("no"));
    ck_assert_ptr_nonnull(outgoing);
    memset(queue, '#', sizeof queue);
    memset(correlation, '#', sizeof correlation);
    ck_assert_str_eq(outgoing->message.exchange, "");
    ck_assert_str_eq(outgoing->message.routing_key, "answers");
    ck_assert_str_eq(outgoing->message.correlation_id, "c-1");
    ck_assert_str_eq(outgoing->message.type, "saga.refused");
    ck_assert_str_eq(outgoing->message.content_type, "application/json");
    ck_assert(outgoing->message.persistent);
    ck_assert(!outgoing->message.mandatory);
    ck_assert_uint_eq(outgoing->message.body_size, 14);
    ck_assert_mem_eq(outgoing->message.body, "{\"error\":\"no\"}", 14);
    saga_asker_message_free(outgoing);
}
END_TEST

START_TEST(without_a_body_there_is_no_answer) {
    const struct saga_asker asker = {.reply_to = "q", .correlation_id = "c"};
    ck_assert_ptr_null(saga_asker_message(&asker, "saga.ended", NULL));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

int main(void) {
    Suite *suite = suite_create("askers");
    TCase *tests = tcase_create("askers");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, an_asker_waits_while_the_saga_is_open, 0, COUNT(still_open));
    tcase_add_loop_test(tests, an_asker_is_told_once_of_the_end, 0, COUNT(ended));
    tcase_add_loop_test(tests, of_a_saga_that_has_ended_nothing_more_is_told, 0, COUNT(ended));
    tcase_add_test(tests, who_asks_again_takes_the_earlier_ones_place);
    tcase_add_test(tests, nobody_is_told_of_another_ones_saga);
    tcase_add_test(tests, nobody_at_all_is_no_asker);
    tcase_add_test(tests, an_outcome_says_which_saga_and_how);
    tcase_add_loop_test(tests, a_refusal_says_why_whatever_was_in_it, 0, COUNT(refusals));
    tcase_add_test(tests, an_answer_goes_straight_to_the_askers_queue);
    tcase_add_test(tests, without_a_body_there_is_no_answer);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
