/* The bar on standard error: when it is drawn, and that it goes away. */
#include "progress.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_run.h"
#include "monotonic.h"

static int master; /* what is written to standard error comes out here */
static int before;

static void set_up(void) {
    int slave;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    before = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(slave, STDERR_FILENO), STDERR_FILENO);
    (void)close(slave);
}

static void tear_down(void) {
    (void)dup2(before, STDERR_FILENO);
    (void)close(before);
    (void)close(master);
}

/* What has come so far, within `ms`; "": nothing. */
static const char *shown(int ms) {
    static char text[4096];
    struct pollfd polled = {.fd = master, .events = POLLIN};
    ssize_t size = 0;
    if (poll(&polled, 1, ms) > 0) {
        size = read(master, text, sizeof text - 1);
    }
    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* Many ticks at once: the clock is asked once in a while only. */
static void tick(struct saga_progress *progress, uint64_t done) {
    for (int i = 0; i < 300; i++) {
        saga_progress_tick(progress, done, 200);
    }
}

START_TEST(a_bar_comes_after_a_second_and_goes) {
    struct saga_progress progress;
    const char *text = "";
    saga_progress_begin(&progress, "reading");
    const int64_t began_ms = monotonic_ms();
    while (*text == '\0') {
        ck_assert_int_lt(monotonic_ms() - began_ms, 10000);
        tick(&progress, 100);
        text = shown(5);
    }
    ck_assert_int_ge(monotonic_ms() - began_ms, 1000);
    ck_assert_ptr_nonnull(strstr(text, "\rreading [###############...............]  50 %"));
    saga_progress_clear(&progress);
    ck_assert_str_eq(shown(5000), "\r\033[K");
    saga_progress_clear(&progress); /* it is gone */
    ck_assert_str_eq(shown(0), "");
}
END_TEST

START_TEST(what_is_soon_over_has_none) {
    struct saga_progress progress;
    saga_progress_begin(&progress, "reading");
    tick(&progress, 100);
    saga_progress_clear(&progress);
    ck_assert_str_eq(shown(0), "");
}
END_TEST

START_TEST(a_file_gets_no_bar) {
    struct saga_progress progress;
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(null, STDERR_FILENO), STDERR_FILENO);
    saga_progress_begin(&progress, "reading");
    ck_assert(!progress.terminal);
    const int64_t began_ms = monotonic_ms();
    bool paused = false;
    while (monotonic_ms() - began_ms < 1300) {
        tick(&progress, 100);
        paused = saga_progress_pauses(&progress) || paused;
    }
    ck_assert(!progress.drawn);
    ck_assert(paused); /* the log's view is taken anew all the same */
    (void)close(null);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("progress");
    TCase *tests = tcase_create("progress");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_bar_comes_after_a_second_and_goes);
    tcase_add_test(tests, what_is_soon_over_has_none);
    tcase_add_test(tests, a_file_gets_no_bar);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
