/*
 * Participants that die with SIGKILL around their commit, and the switches that
 * make them die, fail and wait.
 */
#include "monotonic.h"
#include "participant_fixture.h"
#include "shop_fixture.h"
#include "shop_service.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ----------------------------------------------------------------- crashes */

/* Carries the command out in a child that has this --crash; returns its status. */
static int crash_in_child(const char *argument, struct saga_wire_command command) {
    struct saga_participant_options options = {0};
    struct saga_fault fault;
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_CRASH, argument);
    const char *path = shop_path();
    saga_participant_close(shop); /* SQLite's handles do not survive a fork */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct saga_participant *participant;
        struct saga_wire_reply reply;
        if (saga_participant_open(&participant, &shop_service, path, &options, &fault) != SAGA_OK ||
            saga_participant_apply(participant, &command, 1, &reply, &fault) != SAGA_OK) {
            _exit(1);
        }
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    shop = fixture_open(&shop_service, path, NULL);
    return status;
}

static void expect_killed(int status) {
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

START_TEST(killed_before_its_commit_nothing_is_left_and_the_command_runs_again) {
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    expect_killed(crash_in_child("shop.take=before-commit", command));
    ck_assert_int_eq(shop_runs(), 0);
    ck_assert_str_eq(shop_row_state(), "");
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

START_TEST(killed_after_its_commit_the_effect_is_there_and_the_reply_is_replayed) {
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    expect_killed(crash_in_child("shop.take=after-commit", command));
    ck_assert_int_eq(shop_takings(), 1);
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
    ck_assert_int_eq(shop_takings(), 1);
    /* What is answered from the row does not crash: it would never end. */
    ck_assert_int_eq(crash_in_child("shop.take=after-commit", command), 0);
}
END_TEST

START_TEST(killed_around_the_commit_of_a_compensation) {
    shop_deliver("shop.take", "action");
    struct saga_wire_command command = fixture_command("shop.give_back", "compensation", "step");
    expect_killed(crash_in_child("shop.give_back=before-commit", command));
    ck_assert_str_eq(shop_row_state(), "done");
    ck_assert_int_eq(shop_takings(), 1);
    expect_killed(crash_in_child("shop.give_back=after-commit", command));
    ck_assert_str_eq(shop_row_state(), "compensated");
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "GIVEN_BACK", true);
    ck_assert_int_eq(shop_takings(), 0);
}
END_TEST

START_TEST(killed_around_the_commit_of_a_tombstone) {
    struct saga_wire_command command = fixture_command("shop.fence", "fence", "step");
    expect_killed(crash_in_child("shop.fence=before-commit", command));
    ck_assert_str_eq(shop_row_state(), "");
    expect_killed(crash_in_child("shop.fence=after-commit", command));
    ck_assert_str_eq(shop_row_state(), "tombstone");
}
END_TEST

START_TEST(killed_around_the_commit_of_a_settle) {
    struct saga_wire_command command = fixture_command("shop.settle", "settle", "step");
    shop_deliver("shop.take", "action");
    expect_killed(crash_in_child("shop.settle=before-commit", command));
    ck_assert_str_eq(shop_row_state(), "done");
    expect_killed(crash_in_child("shop.settle=after-commit", command));
    ck_assert_str_eq(shop_row_state(), "settled");
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "SETTLED", true);
    /* and where there is no row yet */
    command.saga = fixture_saga(1);
    fixture_identify(&command);
    expect_killed(crash_in_child("shop.settle=before-commit", command));
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 1);
    expect_killed(crash_in_child("shop.settle=after-commit", command));
    ck_assert_int_eq(fixture_integer(shop, "SELECT count(*) FROM saga_fence"), 2);
    ck_assert_int_eq(shop_takings(), 1);
}
END_TEST

/* Carries out commands without end, and tells the number of each answered one. */
static void work_until_killed(const char *path, int told) {
    struct saga_participant *participant;
    struct saga_fault fault;
    if (saga_participant_open(&participant, &shop_service, path, NULL, &fault) != SAGA_OK) {
        _exit(1);
    }
    for (unsigned i = 0;; i += 2) {
        /* Each batch does the next saga's action, and undoes the one before it. */
        struct saga_wire_command commands[] = {
            fixture_command("shop.take", "action", "step"),
            fixture_command("shop.give_back", "compensation", "step"),
        };
        struct saga_wire_reply replies[2];
        commands[0].saga = fixture_saga(i / 2 + 1);
        commands[1].saga = fixture_saga(i / 2);
        fixture_identify(&commands[0]);
        fixture_identify(&commands[1]);
        if (saga_participant_apply(participant, commands, 2, replies, &fault) != SAGA_OK) {
            _exit(2);
        }
        saga_wire_reply_free(&replies[0]);
        saga_wire_reply_free(&replies[1]);
        unsigned answered = i / 2 + 1;
        if (write(told, &answered, sizeof answered) != sizeof answered) {
            _exit(3);
        }
    }
}

/* Kills it amid its work, after a number of answers; the latest one is returned. */
static unsigned kill_amid_work(unsigned answers) {
    const char *path = shop_path();
    saga_participant_close(shop);
    int told[2];
    ck_assert_int_eq(pipe(told), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)close(told[0]);
        work_until_killed(path, told[1]);
    }
    (void)close(told[1]);
    unsigned latest = 0;
    for (unsigned i = 0; i < answers; i++) {
        ck_assert_int_eq(read(told[0], &latest, sizeof latest), sizeof latest);
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    expect_killed(status);
    unsigned more;
    while (read(told[0], &more, sizeof more) == sizeof more) {
        latest = more; /* told before the kill arrived */
    }
    (void)close(told[0]);
    shop = fixture_open(&shop_service, path, NULL);
    return latest;
}

START_TEST(killed_at_any_moment_what_was_answered_is_there_and_nothing_is_torn) {
    unsigned answered = kill_amid_work(3 + 7 * (unsigned)_i);
    /* Rows and effects agree: every "done" has its +1, every "compensated" its +1 and -1. */
    long long done = fixture_integer(shop, "SELECT count(*) FROM saga_fence WHERE state = 'done'");
    long long undone =
        fixture_integer(shop, "SELECT count(*) FROM saga_fence WHERE state = 'compensated'");
    ck_assert_int_eq(done, 1); /* a batch does one and undoes one: whole, or not at all */
    ck_assert_int_eq(shop_takings(), 1);
    ck_assert_int_eq(shop_runs(), done + 2 * undone);
    ck_assert_int_ge(done + undone, answered);
    ck_assert_int_le(done + undone, answered + 1); /* one may have been committed unanswered */
    ck_assert_str_eq(fixture_text(shop, "PRAGMA integrity_check"), "ok");
    /* What was answered is answered again. */
    struct saga_wire_command command = fixture_command("shop.take", "action", "step");
    command.saga = fixture_saga((unsigned)(done + undone));
    fixture_identify(&command);
    struct saga_wire_reply reply = fixture_deliver(shop, command);
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", true);
}
END_TEST

/* Several processes on one file, with the same commands at the same time. */
START_TEST(several_processes_on_one_file_carry_each_command_out_once) {
    enum { PROCESSES = 4, COMMANDS = 50 };
    const char *path = shop_path();
    saga_participant_close(shop);
    pid_t children[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        ck_assert_int_ge(children[p], 0);
        if (children[p] != 0) {
            continue;
        }
        struct saga_participant *participant;
        struct saga_fault fault;
        if (saga_participant_open(&participant, &shop_service, path, NULL, &fault) != SAGA_OK) {
            _exit(1);
        }
        for (unsigned i = 0; i < COMMANDS; i++) {
            struct saga_wire_command command = fixture_command("shop.take", "action", "step");
            command.saga = fixture_saga(i);
            fixture_identify(&command);
            struct saga_wire_reply reply;
            if (saga_participant_apply(participant, &command, 1, &reply, &fault) != SAGA_OK ||
                reply.outcome != SAGA_WIRE_DONE) {
                _exit(2);
            }
            saga_wire_reply_free(&reply);
        }
        saga_participant_close(participant);
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        ck_assert_int_eq(waitpid(children[p], &status, 0), children[p]);
        ck_assert_int_eq(status, 0);
    }
    shop = fixture_open(&shop_service, path, NULL);
    ck_assert_int_eq(shop_takings(), COMMANDS);
    ck_assert_int_eq(shop_runs(), COMMANDS);
}
END_TEST

/* ---------------------------------------------------------------- switches */

struct death {
    int count;
    char command[64];
    enum saga_participant_crash moment;
};

static void play_dead(void *context, const char *command, enum saga_participant_crash moment) {
    struct death *death = context;
    death->count++;
    (void)snprintf(death->command, sizeof death->command, "%s", command);
    death->moment = moment;
}

START_TEST(a_death_that_is_only_played_looks_like_one) {
    struct death death = {0};
    struct saga_participant_options options = {.context = &death, .crash = play_dead};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.take=before-commit");
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_CRASH, "shop.take=after-commit");
    shop_reopen(&options);
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    ck_assert(reply.silent);
    ck_assert_ptr_null(reply.body);
    ck_assert_ptr_null(reply.refusal);
    ck_assert_int_eq(death.count, 1);
    ck_assert_int_eq(death.moment, SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT);
    ck_assert_str_eq(death.command, "shop.take");
    ck_assert_int_eq(shop_runs(), 0);

    reply = shop_deliver("shop.take", "action");
    ck_assert(reply.silent);
    ck_assert_int_eq(death.count, 2);
    ck_assert_int_eq(death.moment, SAGA_PARTICIPANT_CRASH_AFTER_COMMIT);
    ck_assert_int_eq(shop_takings(), 1);

    reply = fixture_deliver(shop, fixture_command("shop.take", "action", "other"));
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false); /* each crash happens once */
    ck_assert_int_eq(death.count, 2);
}
END_TEST

START_TEST(fail_answers_the_rejected_event_and_it_is_stored) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_FAIL, "shop.take");
    shop_reopen(&options);
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "SOLD_OUT", false);
    ck_assert_int_eq(shop_runs(), 0);
    shop_reopen(NULL);
    reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_REJECTED, "SOLD_OUT", true);
}
END_TEST

START_TEST(fail_answers_retry_where_there_is_no_rejected_event) {
    shop_deliver("shop.take", "action");
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_FAIL, "shop.give_back");
    shop_reopen(&options);
    struct saga_wire_reply reply = shop_deliver("shop.give_back", "compensation");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "RETRY", false);
    ck_assert_str_eq(shop_row_state(), "done");
    /* Only business code fails: a null compensation has none. */
    reply = fixture_deliver(shop, fixture_command("shop.give_back", "compensation", "other"));
    fixture_expect(&reply, SAGA_WIRE_NOOP, "NOOP", false);
}
END_TEST

/* The rejections among 1,000 actions. */
static int count_failures(uint64_t seed, const char *argument, unsigned char pattern[1000]) {
    struct saga_participant_options options = {.switches.seed = seed};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_FAIL, argument);
    struct saga_participant *memory = fixture_open(&shop_service, ":memory:", &options);
    int failures = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct saga_wire_command command = fixture_command("shop.take", "action", "step");
        command.saga = fixture_saga(i);
        fixture_identify(&command);
        struct saga_wire_reply reply = fixture_deliver(memory, command);
        pattern[i] = reply.outcome == SAGA_WIRE_REJECTED;
        failures += pattern[i];
    }
    saga_participant_close(memory);
    return failures;
}

START_TEST(fail_by_chance_is_repeated_by_its_seed) {
    static unsigned char one[1000], same[1000], other[1000];
    int failures = count_failures(7, "shop.take=0.25", one);
    ck_assert_msg(failures > 200 && failures < 300, "%d of 1000", failures);
    (void)count_failures(7, "shop.take=0.25", same);
    ck_assert_mem_eq(one, same, sizeof one);
    (void)count_failures(8, "shop.take=0.25", other);
    ck_assert_mem_ne(one, other, sizeof one);
}
END_TEST

static int64_t paused_ms;

static void count_pause(void *context, int64_t delay_ms) {
    (void)context;
    paused_ms += delay_ms;
}

START_TEST(delay_waits_the_longest_once_a_batch_outside_the_transaction) {
    struct saga_participant_options options = {.pause = count_pause};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=100");
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.refuse=250");
    shop_reopen(&options);
    struct saga_wire_command commands[] = {fixture_command("shop.take", "action", "one"),
                                           fixture_command("shop.take", "action", "two"),
                                           fixture_command("shop.refuse", "action", "three"),
                                           fixture_command("shop.fence", "fence", "four")};
    struct saga_wire_reply replies[4];
    struct saga_fault fault;
    paused_ms = 0;
    ck_assert_int_eq(saga_participant_apply(shop, commands, 4, replies, &fault), SAGA_OK);
    ck_assert_int_eq(paused_ms, 250);
    for (int i = 0; i < 4; i++) {
        saga_wire_reply_free(&replies[i]);
    }
    shop_deliver("shop.fence", "fence");
    ck_assert_int_eq(paused_ms, 250);
}
END_TEST

START_TEST(delay_really_waits) {
    struct saga_participant_options options = {0};
    fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_DELAY, "shop.take=30");
    shop_reopen(&options);
    int64_t before_ms = monotonic_ms();
    struct saga_wire_reply reply = shop_deliver("shop.take", "action");
    fixture_expect(&reply, SAGA_WIRE_DONE, "TAKEN", false);
    ck_assert_int_ge(monotonic_ms() - before_ms, 29);
}
END_TEST

static void add_tests(TCase *tests) {
    tcase_add_test(tests, killed_before_its_commit_nothing_is_left_and_the_command_runs_again);
    tcase_add_test(tests, killed_after_its_commit_the_effect_is_there_and_the_reply_is_replayed);
    tcase_add_test(tests, killed_around_the_commit_of_a_compensation);
    tcase_add_test(tests, killed_around_the_commit_of_a_tombstone);
    tcase_add_test(tests, killed_around_the_commit_of_a_settle);
    tcase_add_loop_test(tests, killed_at_any_moment_what_was_answered_is_there_and_nothing_is_torn,
                        0, 20);
    tcase_add_test(tests, several_processes_on_one_file_carry_each_command_out_once);
    tcase_add_test(tests, a_death_that_is_only_played_looks_like_one);
    tcase_add_test(tests, fail_answers_the_rejected_event_and_it_is_stored);
    tcase_add_test(tests, fail_answers_retry_where_there_is_no_rejected_event);
    tcase_add_test(tests, fail_by_chance_is_repeated_by_its_seed);
    tcase_add_test(tests, delay_waits_the_longest_once_a_batch_outside_the_transaction);
    tcase_add_test(tests, delay_really_waits);
}

int main(void) {
    return shop_run("participant_crash", add_tests);
}
