/*
 * Group commit, and what is left when business code, the database or the file
 * fails.
 */
#include "participant_fixture.h"
#include "shop_fixture.h"
#include "shop_service.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --------------------------------------------------- failing business code */

START_TEST(business_code_that_fails_is_taken_back_and_told_to_retry) {
    struct saga_wire_reply reply = shop_deliver("shop.stumble", "action");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "RETRY", false);
    ck_assert_ptr_nonnull(strstr(reply.body, "CHECK constraint"));
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_str_eq(shop_row_state(), "");
    ck_assert_uint_eq(saga_participant_counts(shop).failed, 1);
}
END_TEST

START_TEST(an_answer_over_the_limit_is_taken_back) {
    struct saga_wire_reply reply = shop_deliver("shop.shout", "action");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "RETRY", false);
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_str_eq(shop_row_state(), "");
}
END_TEST

/* ------------------------------------------------------------ group commit */

static int commits;

static int count_commit(void *context) {
    (void)context;
    commits++;
    return 0;
}

START_TEST(the_deliveries_at_hand_are_one_commit) {
    enum { COUNT = 200 };
    struct saga_wire_command commands[COUNT];
    struct saga_wire_reply replies[COUNT];
    char ids[COUNT][8];
    char sagas[COUNT][SAGA_WIRE_SAGA_BYTES + 1];
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(sagas[i], sizeof sagas[i], "%s", fixture_saga(i));
        (void)snprintf(ids[i], sizeof ids[i], "%u", i);
        commands[i] = fixture_command("shop.take", "action", "step");
        commands[i].saga = sagas[i];
        commands[i].id = ids[i];
    }
    commits = 0;
    sqlite3_commit_hook(saga_participant_database(shop), count_commit, NULL);
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_apply(shop, commands, COUNT, replies, &fault), SAGA_OK);
    ck_assert_int_eq(commits, 1);
    ck_assert_uint_eq(saga_participant_counts(shop).batches, 1);
    ck_assert_int_eq(shop_takings(), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        fixture_expect(&replies[i], SAGA_WIRE_DONE, "TAKEN", false);
        ck_assert_str_eq(replies[i].id, ids[i]);
        saga_wire_reply_free(&replies[i]);
    }
}
END_TEST

START_TEST(one_bad_command_does_not_hurt_the_rest) {
    struct saga_wire_command commands[] = {
        fixture_command("shop.take", "action", "one"),
        fixture_command("shop.stumble", "action", "two"),
        fixture_command("billing.refund", "compensation", "three"),
        fixture_with_body(fixture_command("shop.take", "action", "four"), "oops"),
        fixture_command("shop.take", "action", "one"), /* a duplicate in the same batch */
        fixture_command("shop.give_back", "compensation", "six"),
        fixture_command("shop.take", "action", "six"), /* overtaken in the same batch */
        fixture_command("shop.take", "action", "eight"),
    };
    enum { COUNT = sizeof commands / sizeof commands[0] };
    struct saga_wire_reply replies[COUNT];
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_apply(shop, commands, COUNT, replies, &fault), SAGA_OK);
    fixture_expect(&replies[0], SAGA_WIRE_DONE, "TAKEN", false);
    fixture_expect(&replies[1], SAGA_WIRE_RETRY, "RETRY", false);
    expect_refusal(&replies[2], "not one of");
    fixture_expect(&replies[3], SAGA_WIRE_REJECTED, "BODY_UNREADABLE", false);
    fixture_expect(&replies[4], SAGA_WIRE_DONE, "TAKEN", true);
    fixture_expect(&replies[5], SAGA_WIRE_NOOP, "NOOP", false);
    fixture_expect(&replies[6], SAGA_WIRE_FENCED, "FENCED", true);
    fixture_expect(&replies[7], SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_eq(shop_takings(), 2);
    struct saga_participant_counts counts = saga_participant_counts(shop);
    ck_assert_uint_eq(counts.commands, COUNT);
    ck_assert_uint_eq(counts.ran, 3); /* two done, one rejected */
    ck_assert_uint_eq(counts.replayed, 2);
    ck_assert_uint_eq(counts.buried, 1);
    for (size_t i = 0; i < COUNT; i++) {
        saga_wire_reply_free(&replies[i]);
    }
}
END_TEST

/* --------------------------------------------------- a database that fails */

static void expect_nothing_done(enum saga_error error, const struct saga_fault *fault,
                                const char *why, const struct saga_wire_reply *replies,
                                size_t count) {
    ck_assert_int_eq(error, SAGA_ERROR_FAILED);
    ck_assert_msg(strstr(fault->text, why) != NULL, "%s", fault->text);
    ck_assert_msg(strstr(fault->text, "delivered again") != NULL, "%s", fault->text);
    for (size_t i = 0; i < count; i++) {
        ck_assert(replies[i].silent);
        ck_assert_ptr_null(replies[i].body);
        ck_assert_ptr_null(replies[i].refusal); /* it may be delivered again */
    }
    ck_assert_uint_eq(saga_participant_counts(shop).commands, 0);
}

START_TEST(a_locked_database_gives_no_replies_and_changes_nothing) {
    sqlite3 *other;
    const char *path = shop_path();
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(saga_participant_database(shop), 20);

    struct saga_wire_command commands[] = {fixture_command("shop.take", "action", "one"),
                                           fixture_command("shop.fence", "fence", "two")};
    struct saga_wire_reply replies[2];
    struct saga_fault fault;
    enum saga_error error = saga_participant_apply(shop, commands, 2, replies, &fault);
    expect_nothing_done(error, &fault, "locked", replies, 2);

    ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    struct saga_wire_reply reply = fixture_deliver(shop, commands[0]);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
}
END_TEST

/* A reader that stays in its transaction lets nobody commit with a rollback journal. */
START_TEST(a_commit_that_is_locked_out_gives_no_replies) {
    sqlite3 *other;
    const char *path = shop_path();
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM takings", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(saga_participant_database(shop), 20);

    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    struct saga_wire_reply reply;
    struct saga_fault fault;
    enum saga_error error = saga_participant_apply(shop, &command, 1, &reply, &fault);
    expect_nothing_done(error, &fault, "locked", &reply, 1);

    ck_assert_int_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_eq(shop_takings(), 1);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
}
END_TEST

START_TEST(a_full_database_gives_no_replies_and_changes_nothing) {
    sqlite3 *handle = saga_participant_database(shop);
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA max_page_count = 1") > 1, 1);
    enum { COUNT = 500 }; /* more than fits the pages that are there */
    struct saga_wire_command *commands = calloc(COUNT, sizeof *commands);
    struct saga_wire_reply *replies = calloc(COUNT, sizeof *replies);
    char(*steps)[8] = calloc(COUNT, sizeof *steps);
    ck_assert(commands != NULL && replies != NULL && steps != NULL);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(steps[i], sizeof steps[i], "s%d", i);
        commands[i] = fixture_command("shop.take", "action", steps[i]);
        commands[i].id = steps[i];
    }
    struct saga_fault fault;
    enum saga_error error = saga_participant_apply(shop, commands, COUNT, replies, &fault);
    expect_nothing_done(error, &fault, "full", replies, COUNT);
    ck_assert_int_ne(sqlite3_get_autocommit(handle), 0);
    ck_assert_int_eq(shop_runs(), 0);

    (void)fixture_integer(shop, "PRAGMA max_page_count = 1000000");
    ck_assert_int_eq(saga_participant_apply(shop, commands, COUNT, replies, &fault), SAGA_OK);
    ck_assert_int_eq(shop_takings(), COUNT);
    for (int i = 0; i < COUNT; i++) {
        fixture_expect(&replies[i], SAGA_WIRE_DONE, "TAKEN", false);
        saga_wire_reply_free(&replies[i]);
    }
    free(steps);
    free(replies);
    free(commands);
}
END_TEST

static int interrupt(void *context) {
    (void)context;
    return 1;
}

/* An error of the database, met by business code, is no answer of the service: the
 * transaction may be whole still, and yet nothing in it is to be trusted. */
START_TEST(a_database_that_fails_under_business_code_gives_no_replies) {
    struct saga_wire_command commands[] = {fixture_command("shop.take", "action", "one"),
                                           fixture_command("shop.look", "action", "two")};
    struct saga_wire_reply replies[2];
    struct saga_fault fault;
    sqlite3 *handle = saga_participant_database(shop);
    sqlite3_progress_handler(handle, 100000, interrupt, NULL);
    enum saga_error error = saga_participant_apply(shop, commands, 2, replies, &fault);
    sqlite3_progress_handler(handle, 0, NULL, NULL);
    expect_nothing_done(error, &fault, "interrupted", replies, 2);
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 0);
}
END_TEST

START_TEST(a_damaged_row_is_refused_and_the_rest_goes_on) {
    shop_deliver("shop.take", "action");
    ck_assert_int_eq(sqlite3_exec(saga_participant_database(shop),
                                  "UPDATE saga_fence SET event = 'two words'", NULL, NULL, NULL),
                     SQLITE_OK);
    struct saga_wire_command commands[] = {fixture_command("shop.take", "action", "step"),
                                           fixture_command("shop.take", "action", "other")};
    struct saga_wire_reply replies[2];
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_apply(shop, commands, 2, replies, &fault), SAGA_OK);
    expect_refusal(&replies[0], "cannot be read");
    fixture_expect(&replies[1], SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_uint_eq(saga_participant_counts(shop).damaged, 1);
    saga_wire_reply_free(&replies[1]);
}
END_TEST

START_TEST(a_stored_result_that_cannot_be_read_undoes_nothing) {
    shop_deliver("shop.take", "action");
    ck_assert_int_eq(sqlite3_exec(saga_participant_database(shop),
                                  "UPDATE saga_fence SET content = '{'", NULL, NULL, NULL),
                     SQLITE_OK);
    struct saga_wire_reply reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "RETRY", false);
    ck_assert_ptr_nonnull(strstr(reply.body, "the stored result cannot be read"));
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

/* A row that a later version wrote is not taken for something else. */
START_TEST(a_row_of_an_unknown_state_is_refused) {
    ck_assert_int_eq(
        sqlite3_exec(saga_participant_database(shop),
                     "INSERT INTO saga_fence(saga, step, incarnation, state, command, body_hash, "
                     "event, decided_at) SELECT '01909f0b-bc00-7000-8000-000000000000', 'step', 1, "
                     "'trying', 'shop.take', zeroblob(16), 'TAKEN', 0",
                     NULL, NULL, NULL),
        SQLITE_OK);
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    command.saga = "01909f0b-bc00-7000-8000-000000000000";
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    expect_refusal(&reply, "cannot be read");
    ck_assert_int_eq(shop_runs(), 0);
}
END_TEST

/* ---------------------------------------------------------------- the file */

START_TEST(another_services_database_is_refused) {
    struct saga_service other = shop_service;
    other.name = "library";
    const char *path = shop_path();
    struct saga_participant *participant;
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_open(&participant, &other, path, NULL, &fault),
                     SAGA_ERROR_CONFLICT);
    ck_assert_ptr_null(participant);
    ck_assert_ptr_nonnull(strstr(fault.text, "the database of 'shop', not of 'library'"));
}
END_TEST

START_TEST(a_database_of_a_newer_format_is_refused) {
    sqlite3 *handle = saga_participant_database(shop);
    ck_assert_int_eq(
        sqlite3_exec(handle, "UPDATE saga_participant SET format = 3", NULL, NULL, NULL),
        SQLITE_OK);
    struct saga_participant *participant;
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_open(&participant, &shop_service,
                                           sqlite3_db_filename(handle, "main"), NULL, &fault),
                     SAGA_ERROR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(fault.text, "format is 3"));
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused) {
    const char *path = shop_path();
    char other[256];
    (void)snprintf(other, sizeof other, "%s.txt", path);
    FILE *file = fopen(other, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 1000; i++) {
        (void)fprintf(file, "this is no database\n");
    }
    (void)fclose(file);
    struct saga_participant *participant;
    struct saga_fault fault;
    ck_assert_int_eq(saga_participant_open(&participant, &shop_service, other, NULL, &fault),
                     SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "not a database"));
    (void)unlink(other);
    ck_assert_int_eq(
        saga_participant_open(&participant, &shop_service, "/nowhere/at/all.db", NULL, &fault),
        SAGA_ERROR_FAILED);
    ck_assert_int_eq(
        saga_participant_open_existing(&participant, &shop_service, other, NULL, &fault),
        SAGA_ERROR_NOT_FOUND);
    ck_assert_int_ne(access(other, F_OK), 0); /* and it was not made */
}
END_TEST

START_TEST(the_file_is_opened_with_the_settings_that_keep_a_commit) {
    ck_assert_str_eq(fixture_text(shop, "PRAGMA journal_mode"), "truncate");
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA synchronous"), 2);
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA busy_timeout"), 5000);
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA trusted_schema"), 0);
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA cell_size_check"), 1);
    ck_assert_int_eq(fixture_integer(shop, "PRAGMA foreign_keys"), 1);
    int defensive;
    ck_assert_int_eq(sqlite3_db_config(saga_participant_database(shop), SQLITE_DBCONFIG_DEFENSIVE,
                                       -1, &defensive),
                     SQLITE_OK);
    ck_assert_int_eq(defensive, 1);
}
END_TEST

START_TEST(a_database_left_in_wal_mode_is_taken_out_of_it) {
    const char *path = shop_path();
    saga_participant_close(shop);
    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    shop = fixture_open(&shop_service, path, NULL);
    ck_assert_str_eq(fixture_text(shop, "PRAGMA journal_mode"), "truncate");
}
END_TEST

START_TEST(a_database_in_memory_is_a_database) {
    struct saga_participant *memory = fixture_open(&shop_service, ":memory:", NULL);
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    struct saga_wire_reply reply = fixture_deliver(memory, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    reply = fixture_deliver(memory, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    saga_participant_close(memory);
}
END_TEST

static void add_tests(TCase *tests) {
    tcase_add_test(tests, business_code_that_fails_is_taken_back_and_told_to_retry);
    tcase_add_test(tests, an_answer_over_the_limit_is_taken_back);
    tcase_add_test(tests, the_deliveries_at_hand_are_one_commit);
    tcase_add_test(tests, one_bad_command_does_not_hurt_the_rest);
    tcase_add_test(tests, a_locked_database_gives_no_replies_and_changes_nothing);
    tcase_add_test(tests, a_commit_that_is_locked_out_gives_no_replies);
    tcase_add_test(tests, a_full_database_gives_no_replies_and_changes_nothing);
    tcase_add_test(tests, a_database_that_fails_under_business_code_gives_no_replies);
    tcase_add_test(tests, a_damaged_row_is_refused_and_the_rest_goes_on);
    tcase_add_test(tests, a_stored_result_that_cannot_be_read_undoes_nothing);
    tcase_add_test(tests, a_row_of_an_unknown_state_is_refused);
    tcase_add_test(tests, another_services_database_is_refused);
    tcase_add_test(tests, a_database_of_a_newer_format_is_refused);
    tcase_add_test(tests, a_file_that_is_no_database_is_refused);
    tcase_add_test(tests, the_file_is_opened_with_the_settings_that_keep_a_commit);
    tcase_add_test(tests, a_database_left_in_wal_mode_is_taken_out_of_it);
    tcase_add_test(tests, a_database_in_memory_is_a_database);
}

int main(void) {
    return shop_run("participant_failure", add_tests);
}
