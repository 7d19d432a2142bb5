/*
 * The rules of docs/semantics.md, "The participant's fence", one by one, on a
 * database file.
 */
#include "participant_fixture.h"
#include "shop_fixture.h"
#include "shop_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------- verdicts are stored */

START_TEST(a_done_action_is_stored_and_replayed_to_duplicates) {
    struct saga_wire_reply first = shop_deliver("shop.take", "action");
    fixture_expect(&first, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_ptr_nonnull(strstr(first.body, "{\"number\": 1}"));
    shop_reopen(NULL);
    struct saga_wire_command again = fixture_command("shop.take", "action", "step");
    again.attempt = 2;
    struct saga_wire_reply second = fixture_deliver(shop, again);
    fixture_expect(&second, SAGA_WIRE_DONE, "TAKEN", true);
    ck_assert_str_eq(second.body, first.body);
    ck_assert_uint_eq(second.attempt, 2);
    ck_assert_int_eq(shop_takings(), 1);
    ck_assert_str_eq(shop_row_state(), "done");
}
END_TEST

START_TEST(a_rejected_action_is_stored_and_replayed_too) {
    struct saga_wire_reply first = shop_deliver("shop.refuse", "action");
    fixture_expect(&first, SAGA_WIRE_REJECTED, "SOLD_OUT", false);
    ck_assert_str_eq(shop_row_state(), "rejected");
    shop_reopen(NULL);
    struct saga_wire_reply second = shop_deliver("shop.refuse", "action");
    fixture_expect(&second, SAGA_WIRE_REJECTED, "SOLD_OUT", true);
    ck_assert_str_eq(second.body, first.body);
    ck_assert_int_eq(shop_runs(), 1);
}
END_TEST

START_TEST(retry_stores_nothing_and_leaves_no_row) {
    for (int i = 0; i < 3; i++) {
        struct saga_wire_reply reply = shop_deliver("shop.later", "action");
        fixture_expect(&reply, SAGA_WIRE_RETRY, "CLOSED", false);
    }
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 0);
    ck_assert_uint_eq(saga_participant_counts(shop).retried, 3);
    /* So the same id may take effect later. */
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
}
END_TEST

START_TEST(a_new_incarnation_is_a_new_row) {
    shop_deliver("shop.take", "action");
    shop_deliver("shop.give_back", "compensation");
    struct saga_wire_command again = fixture_command("shop.take", "action", "step");
    again.incarnation = 2;
    fixture_identify(&again);
    struct saga_wire_reply reply = fixture_deliver(shop, again);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_eq(shop_takings(), 1);
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 2);
}
END_TEST

/* ----------------------------------------------------------- compensations */

START_TEST(a_compensation_without_its_action_writes_a_tombstone_and_runs_nothing) {
    struct saga_wire_reply reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
    ck_assert_str_eq(shop_row_state(), "tombstone");
    ck_assert_int_eq(shop_runs(), 0);
    reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", true);
    ck_assert_int_eq(shop_runs(), 0);
}
END_TEST

START_TEST(an_action_that_finds_a_tombstone_is_fenced) {
    shop_deliver("shop.give_back", "compensation");
    shop_reopen(NULL);
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_str_eq(shop_row_state(), "tombstone");
}
END_TEST

START_TEST(an_action_that_finds_a_compensation_is_fenced) {
    shop_deliver("shop.take", "action");
    shop_deliver("shop.give_back", "compensation");
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    ck_assert_int_eq(shop_takings(), 0);
    ck_assert_int_eq(shop_runs(), 2);
}
END_TEST

START_TEST(at_most_one_compensation_takes_effect_whatever_its_revision) {
    shop_deliver("shop.take", "action");
    struct saga_wire_command command = fixture_command("shop.give_back", "compensation", "step");
    struct saga_wire_reply first = fixture_deliver(shop, command);
    fixture_expect(&first, SAGA_WIRE_DONE, "GIVEN_BACK", false);
    ck_assert_ptr_nonnull(strstr(first.body, "{\"given\": 1}")); /* it saw the action's result */
    ck_assert_str_eq(shop_row_state(), "compensated");
    for (uint32_t revision = 1; revision <= 3; revision++) {
        command.revision = revision;
        command = fixture_with_body(command, "{\"edited\": true}");
        fixture_identify(&command);
        struct saga_wire_reply reply = fixture_deliver(shop, command);
        fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", true);
        ck_assert_str_eq(reply.id, command.id); /* the reply answers the one that asked */
        ck_assert_ptr_nonnull(strstr(reply.body, "{\"given\": 1}"));
    }
    ck_assert_int_eq(shop_takings(), 0);
    ck_assert_int_eq(shop_runs(), 2);
}
END_TEST

START_TEST(a_compensation_after_a_rejection_has_nothing_to_undo) {
    shop_deliver("shop.refuse", "action");
    struct saga_wire_reply reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", true);
    ck_assert_int_eq(shop_runs(), 1);
    /* The rejection stands, for duplicates and for a fence. */
    reply = shop_deliver("shop.refuse", "action");
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "SOLD_OUT", true);
    ck_assert_int_eq(shop_takings(), 0);
}
END_TEST

START_TEST(a_rejected_compensation_stores_nothing_and_a_later_revision_may_succeed) {
    shop_deliver("shop.take", "action");
    struct saga_wire_command command =
        fixture_command("shop.give_back_if_allowed", "compensation", "step");
    for (int i = 0; i < 2; i++) {
        struct saga_wire_reply reply = fixture_deliver(shop, command);
        fixture_expect(&reply, SAGA_WIRE_REJECTED, "NOT_ALLOWED", false);
    }
    ck_assert_str_eq(shop_row_state(), "done");
    ck_assert_int_eq(shop_takings(), 1);
    command.revision = 2;
    command = fixture_with_body(command, "{\"allowed\": true}");
    fixture_identify(&command);
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", false);
    ck_assert_int_eq(shop_takings(), 0);
    ck_assert_int_eq(fixture_integer(shop, "SELECT undo_revision FROM saga_fence"), 2);
}
END_TEST

START_TEST(a_compensation_told_to_retry_leaves_the_row_as_it_was) {
    shop_deliver("shop.take", "action");
    struct saga_wire_reply reply = shop_deliver("shop.give_back_later", "compensation");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "CLOSED", false);
    ck_assert_str_eq(shop_row_state(), "done");
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

/* ------------------------------------------------------------------- fence */

START_TEST(a_fence_with_no_row_writes_the_tombstone) {
    struct saga_wire_reply reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", false);
    ck_assert_str_eq(shop_row_state(), "tombstone");
    reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", true);
    ck_assert_int_eq(shop_runs(), 0);
}
END_TEST

START_TEST(a_fence_answers_done_with_the_stored_result) {
    shop_deliver("shop.take", "action");
    struct saga_wire_reply reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    ck_assert_ptr_nonnull(strstr(reply.body, "{\"number\": 1}"));
    ck_assert_ptr_nonnull(strstr(reply.id, "/fence/1"));
    ck_assert_str_eq(shop_row_state(), "done");
}
END_TEST

START_TEST(a_fence_answers_rejected) {
    shop_deliver("shop.refuse", "action");
    struct saga_wire_reply reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "SOLD_OUT", true);
}
END_TEST

START_TEST(a_fence_is_about_the_action_even_after_its_compensation) {
    shop_deliver("shop.take", "action");
    shop_deliver("shop.give_back", "compensation");
    struct saga_wire_reply reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    ck_assert_str_eq(shop_row_state(), "compensated");
}
END_TEST

/* ------------------------------------------------------------------ settle */

START_TEST(a_settle_with_no_row_writes_the_tombstone) {
    struct saga_wire_reply reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", false);
    ck_assert_str_eq(shop_row_state(), "tombstone");
    shop_reopen(NULL);
    reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", true);
    ck_assert_int_eq(shop_runs(), 0);
}
END_TEST

START_TEST(a_settle_closes_the_row_of_an_action_and_runs_nothing) {
    struct saga_wire_reply first = shop_deliver("shop.take", "action");
    fixture_expect(&first, SAGA_WIRE_DONE, "TAKEN", false);
    struct saga_wire_reply reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", false);
    ck_assert_str_eq(shop_row_state(), "settled");
    shop_reopen(NULL);
    reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", true);
    reply = shop_deliver("shop.give_back", "compensation"); /* late */
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", true);
    reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_FENCED, "FENCED", true);
    reply = shop_deliver("shop.fence", "fence");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true); /* always about the action */
    ck_assert_int_eq(shop_runs(), 1);
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

START_TEST(a_settle_of_what_is_closed_already_answers_done_and_changes_nothing) {
    shop_deliver("shop.take", "action");
    shop_deliver("shop.give_back", "compensation");
    struct saga_wire_reply reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", true);
    ck_assert_str_eq(shop_row_state(), "compensated");
    reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", true);
}
END_TEST

START_TEST(a_settle_of_a_rejected_action_leaves_its_row) {
    shop_deliver("shop.refuse", "action");
    struct saga_wire_reply reply = shop_deliver("shop.settle", "settle");
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", true);
    ck_assert_str_eq(shop_row_state(), "rejected");
}
END_TEST

/* ----------------------------------------------- any order, any repetition */

static uint64_t random_state;

static unsigned random_below(unsigned limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % limit);
}

/* What the replies and the table say of one row, after any deliveries at all. */
struct observed {
    bool action_done, action_refused, undone, noop, fence_said_done, fence_said_fenced;
    bool settled;
    long long sum; /* of its takings, when it was settled */
};

static void observe(struct observed *seen, const struct saga_wire_command *command,
                    const struct saga_wire_reply *reply) {
    if (strcmp(command->operation, "action") == 0) {
        seen->action_done = seen->action_done || reply->outcome == SAGA_WIRE_DONE;
        seen->action_refused = seen->action_refused || reply->outcome == SAGA_WIRE_REJECTED;
    } else if (strcmp(command->operation, "compensation") == 0) {
        seen->undone = seen->undone || reply->outcome == SAGA_WIRE_DONE;
        seen->noop = seen->noop || reply->outcome == SAGA_WIRE_NOOP;
    } else if (strcmp(command->operation, "fence") == 0) {
        seen->fence_said_done = seen->fence_said_done || reply->outcome == SAGA_WIRE_DONE;
        seen->fence_said_fenced = seen->fence_said_fenced || reply->outcome == SAGA_WIRE_FENCED;
    }
}

static long long sum_of(struct saga_participant *memory, unsigned saga) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT total(amount) FROM takings WHERE saga = '%s'",
                   fixture_saga(saga));
    return fixture_integer(memory, sql);
}

START_TEST(any_order_and_repetition_keeps_the_promises) {
    enum { ROWS = 20, BATCHES = 60 };
    static const char *const names[][2] = {
        {"shop.take", "action"},
        {"shop.refuse", "action"},
        {"shop.stumble", "action"},
        {"shop.give_back", "compensation"},
        {"shop.give_back_later", "compensation"},
        {"shop.fence", "fence"},
        {"shop.settle", "settle"},
    };
    random_state = (uint64_t)_i * 2654435761u + 88172645463325252u;
    struct saga_participant *memory = fixture_open(&shop_service, ":memory:", NULL);
    struct observed rows[ROWS] = {0};
    for (int b = 0; b < BATCHES; b++) {
        struct saga_wire_command commands[8];
        struct saga_wire_reply replies[8];
        unsigned which[8];
        unsigned count = 1 + random_below(8);
        for (unsigned i = 0; i < count; i++) {
            /* Some are never settled, so that the rest is seen as well. */
            which[i] = random_below(ROWS);
            unsigned kinds = sizeof names / sizeof names[0] - which[i] % 2;
            const char *const *name = names[random_below(kinds)];
            commands[i] = fixture_command(name[0], name[1], "step");
            commands[i].saga = fixture_saga(which[i]);
            commands[i].revision = 1 + random_below(3);
            fixture_identify(&commands[i]);
        }
        struct saga_fault fault;
        ck_assert_int_eq(saga_participant_apply(memory, commands, count, replies, &fault), SAGA_OK);
        for (unsigned i = 0; i < count; i++) {
            ck_assert(!replies[i].silent);
            observe(&rows[which[i]], &commands[i], &replies[i]);
            saga_wire_reply_free(&replies[i]);
        }
        for (unsigned i = 0; i < count; i++) { /* what came after it in its own batch counts, too */
            struct observed *row = &rows[which[i]];
            if (strcmp(commands[i].operation, "settle") == 0 && !row->settled) {
                row->settled = true;
                row->sum = sum_of(memory, which[i]);
            }
        }
    }
    for (unsigned r = 0; r < ROWS; r++) {
        char sql[256];
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM takings WHERE amount = 1 AND saga = '%s'",
                       fixture_saga(r));
        long long took = fixture_integer(memory, sql);
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM takings WHERE amount = -1 AND saga = '%s'",
                       fixture_saga(r));
        long long gave = fixture_integer(memory, sql);
        ck_assert_int_le(took, 1);
        ck_assert_int_le(gave, took);
        ck_assert_int_eq(took, rows[r].action_done || rows[r].fence_said_done || rows[r].undone);
        ck_assert_int_eq(gave, rows[r].undone);
        ck_assert(!(rows[r].action_done && rows[r].action_refused));
        ck_assert(!(took == 1 && rows[r].fence_said_fenced));
        ck_assert(!(took == 1 && rows[r].noop && !rows[r].settled));
        /* After a settle was answered no action and no compensation takes effect. */
        ck_assert(!rows[r].settled || sum_of(memory, r) == rows[r].sum);
    }
    saga_participant_close(memory);
}
END_TEST

static void add_tests(TCase *tests) {
    tcase_add_test(tests, a_done_action_is_stored_and_replayed_to_duplicates);
    tcase_add_test(tests, a_rejected_action_is_stored_and_replayed_too);
    tcase_add_test(tests, retry_stores_nothing_and_leaves_no_row);
    tcase_add_test(tests, a_new_incarnation_is_a_new_row);
    tcase_add_test(tests, a_compensation_without_its_action_writes_a_tombstone_and_runs_nothing);
    tcase_add_test(tests, an_action_that_finds_a_tombstone_is_fenced);
    tcase_add_test(tests, an_action_that_finds_a_compensation_is_fenced);
    tcase_add_test(tests, at_most_one_compensation_takes_effect_whatever_its_revision);
    tcase_add_test(tests, a_compensation_after_a_rejection_has_nothing_to_undo);
    tcase_add_test(tests, a_rejected_compensation_stores_nothing_and_a_later_revision_may_succeed);
    tcase_add_test(tests, a_compensation_told_to_retry_leaves_the_row_as_it_was);
    tcase_add_test(tests, a_fence_with_no_row_writes_the_tombstone);
    tcase_add_test(tests, a_fence_answers_done_with_the_stored_result);
    tcase_add_test(tests, a_fence_answers_rejected);
    tcase_add_test(tests, a_fence_is_about_the_action_even_after_its_compensation);
    tcase_add_test(tests, a_settle_with_no_row_writes_the_tombstone);
    tcase_add_test(tests, a_settle_closes_the_row_of_an_action_and_runs_nothing);
    tcase_add_test(tests, a_settle_of_what_is_closed_already_answers_done_and_changes_nothing);
    tcase_add_test(tests, a_settle_of_a_rejected_action_leaves_its_row);
    tcase_add_loop_test(tests, any_order_and_repetition_keeps_the_promises, 0, 40);
}

int main(void) {
    return shop_run("participant", add_tests);
}
