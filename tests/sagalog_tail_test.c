/* sagalog tail -f, beside a daemon that writes. */
#include "check_run.h"
#include "sagalog_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scratch scratch;

static void set_up(void) {
    scratch_open(&scratch);
    daemon_open(scratch.path);
}

static void tear_down(void) {
    daemon_kill();
    scratch_close(&scratch);
}

START_TEST(what_the_daemon_writes_is_shown_as_it_is_written) {
    struct sagalog_process tail;
    sagalog_start(&tail, scratch.path, "tail", "-f", NULL);
    sagalog_await(&tail, "daemon started (epoch 1)\n");
    expect_in(tail.text, "definition booking version 3 loaded\n");
    /* Steps have their names, also of a saga that was not there at the start. */
    const struct saga_id id = booking_start("one", "{\"total\":1}");
    sagalog_await(&tail, "started with {\"total\":1}\n");
    sagalog_await(&tail, "  -> create: booking.create\n");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    sagalog_await(&tail, "create#1 done BOOKING_CREATED\n");
    sagalog_await(&tail, "  -> block: parking.block\n");
    booking_say(id, "parking.block", "PARKING_UNAVAILABLE");
    sagalog_await(&tail, "compensate create: booking.reject\n");
    ck_assert_int_eq(kill(tail.pid, SIGTERM), 0);
    const int status = sagalog_end(&tail);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    ck_assert_str_eq(complained, "");
}
END_TEST

START_TEST(many_commits_are_all_shown_in_order) {
    struct sagalog_process tail;
    char key[16];
    uint64_t lsn = 0;
    sagalog_start(&tail, scratch.path, "tail", "--follow", "--json", NULL);
    sagalog_await(&tail, "EPOCH_STARTED");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        (void)booking_start(key, "{}");
    }
    sagalog_await(&tail, "\"key-199\"");
    for (const char *line = tail.text; (line = strstr(line, "{\"lsn\":")) != NULL; line++) {
        ck_assert_uint_eq(strtoull(line + 7, NULL, 10), lsn + 1);
        lsn++;
    }
    ck_assert_uint_gt(lsn, 400);
    ck_assert_int_eq(kill(tail.pid, SIGINT), 0);
    (void)sagalog_end(&tail);
}
END_TEST

START_TEST(a_restart_of_the_daemon_is_followed) {
    struct sagalog_process tail;
    sagalog_start(&tail, scratch.path, "tail", "-f", NULL);
    sagalog_await(&tail, "daemon started (epoch 1)\n");
    daemon_restart();
    sagalog_await(&tail, "daemon started (epoch 2)\n");
    ck_assert_int_eq(kill(tail.pid, SIGTERM), 0);
    (void)sagalog_end(&tail);
}
END_TEST

START_TEST(it_ends_when_nobody_reads_any_more) {
    struct sagalog_process tail;
    sagalog_start(&tail, scratch.path, "tail", "-f", NULL);
    sagalog_await(&tail, "daemon started (epoch 1)\n");
    ck_assert_int_eq(close(tail.out), 0); /* and nothing is written */
    tail.out = -1;
    const int status = sagalog_end(&tail);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_str_eq(complained, "");
}
END_TEST

/* How much the log grows by so many starts, a commit each. */
static uint64_t growth(int starts) {
    static int number;
    const uint64_t before = daemon_log_bytes();
    for (int i = 0; i < starts; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%d", number++);
        (void)booking_start(key, "{}");
    }
    return daemon_log_bytes() - before;
}

START_TEST(a_tail_that_cannot_write_does_not_make_the_log_grow) {
    struct sagalog_process tail;
    int waiting = 0;
    int still = 0;
    const uint64_t alone = growth(200);
    sagalog_start(&tail, scratch.path, "tail", "-f", "--json", NULL);
    sagalog_await(&tail, "COMMAND_ISSUED");
    /* Nobody reads on: it ends up in write(), where it must have no view of the log open, or
     * LMDB could not use a page again. */
    ck_assert_int_gt(fcntl(tail.out, F_SETPIPE_SZ, 4096), 0);
    while (still < 20) { /* the pipe is full when more commits bring no more into it */
        const int before = waiting;
        (void)growth(1);
        ck_assert_int_eq(ioctl(tail.out, FIONREAD, &waiting), 0);
        still = waiting > 0 && waiting == before ? still + 1 : 0;
    }
    const uint64_t beside = growth(200);
    ck_assert_msg(beside < 2 * alone, "%llu bytes alone, %llu beside it", (unsigned long long)alone,
                  (unsigned long long)beside);
    ck_assert_int_eq(kill(tail.pid, SIGTERM), 0);
    (void)sagalog_end(&tail);
}
END_TEST

START_TEST(every_other_command_works_beside_a_daemon) {
    const struct saga_id id = booking_start("one", "{\"total\":1}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    expect_in(printed, " running ");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "0"), 0);
    expect_in(printed, "create#1 done BOOKING_CREATED -> block: parking.block\n");
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "stats"), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
    booking_say(id, "parking.block", "PARKING_AVAILABLE"); /* and the daemon works on */
    ck_assert_str_eq(booking_state(id), "running");
}
END_TEST

START_TEST(a_log_that_is_cut_under_it_is_refused) {
    struct sagalog_process tail;
    sagalog_start(&tail, scratch.path, "tail", "-f", NULL);
    sagalog_await(&tail, "daemon started (epoch 1)\n");
    (void)booking_start("one", "{}");
    sagalog_await(&tail, "-> create: booking.create\n");
    daemon_kill();
    ck_assert_int_eq(truncate(scratch_file(&scratch, "log/data.mdb"), 0), 0);
    const int status = sagalog_end(&tail);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%d: %s", status, complained);
    expect_in(complained, "data.mdb");
    scratch_close(&scratch); /* another one for the tear-down */
    set_up();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog tail");
    TCase *tests = tcase_create("tail");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_the_daemon_writes_is_shown_as_it_is_written);
    tcase_add_test(tests, many_commits_are_all_shown_in_order);
    tcase_add_test(tests, a_restart_of_the_daemon_is_followed);
    tcase_add_test(tests, it_ends_when_nobody_reads_any_more);
    tcase_add_test(tests, a_tail_that_cannot_write_does_not_make_the_log_grow);
    tcase_add_test(tests, every_other_command_works_beside_a_daemon);
    tcase_add_test(tests, a_log_that_is_cut_under_it_is_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
