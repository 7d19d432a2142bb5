/* A daemon is killed with sagas open; its log goes elsewhere as text, and a daemon there ends them.
 */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "daemon_fixture.h"
#include "monotonic.h"
#include "scratch.h"

#define SAGALOG SAGA_BIN_DIR "/sagalog"

/* Runs a line of shell; its exit status. */
__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const int status = system(line);
    ck_assert_msg(WIFEXITED(status), "'%s' ended with wait status %d", line, status);
    return WEXITSTATUS(status);
}

/* Of the sagas in the log: how many lines `list` has. */
static unsigned count(const char *data_dir, const char *status) {
    ck_assert_int_eq(shell("%s --data-dir %s list --json --status %s >%s", SAGALOG, data_dir,
                           status, fixture_path("list")),
                     0);
    size_t size;
    uint8_t *text = file_read(fixture_path("list"), &size);
    unsigned lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += text[i] == '\n';
    }
    free(text);
    return lines;
}

/* Books until it is killed. */
static int book_on(void *unused) {
    (void)unused;
    struct api_session *session = fixture_session();
    for (unsigned i = 0; i < 1000000; i++) {
        char key[32];
        char id[API_ID_SIZE];
        (void)snprintf(key, sizeof key, "load %u", i);
        (void)api_session_start(session, "booking", key,
                                "{\"parking_slot_uuid\": \"nowhere\", \"total\": 1}", id);
    }
    return 0;
}

static void start_daemon(const char *data_dir) {
    fixture_start("dev", "--data-dir", data_dir, "--log-level", "warning", NULL);
}

/* Some sagas are open when it dies. */
static void kill_at_work(void) {
    unsigned open = 0;
    for (int round = 0; round < 20 && open == 0; round++) {
        start_daemon(fixture_data_dir());
        const pid_t load = child_start(book_on, NULL);
        const int64_t deadline = monotonic_ms() + 20000;
        while (count(fixture_data_dir(), "compensated") < 20 + 20 * (unsigned)round) {
            ck_assert_int_lt(monotonic_ms(), deadline);
        }
        fixture_kill();
        ck_assert_int_eq(kill(load, SIGKILL), 0);
        (void)child_wait(load);
        open = count(fixture_data_dir(), "running") + count(fixture_data_dir(), "compensating");
    }
    ck_assert_uint_gt(open, 0);
}

START_TEST(open_sagas_end_where_the_log_was_imported) {
    char old[SCRATCH_PATH_MAX];
    char text[SCRATCH_PATH_MAX];
    const char *data_dir = fixture_data_dir();
    (void)snprintf(old, sizeof old, "%s", fixture_path("old"));
    (void)snprintf(text, sizeof text, "%s", fixture_path("log.jsonl"));
    kill_at_work();
    const unsigned ended = count(data_dir, "compensated");
    const unsigned open = count(data_dir, "running") + count(data_dir, "compensating");
    ck_assert_int_eq(rename(data_dir, old), 0);
    ck_assert_int_eq(shell("%s --data-dir %s export >%s", SAGALOG, old, text), 0);
    ck_assert_int_eq(shell("%s --data-dir %s import %s >/dev/null", SAGALOG, data_dir, text), 0);
    ck_assert_int_eq(shell("[ \"$(%s --data-dir %s verify)\" = \"$(%s --data-dir %s verify)\" ]",
                           SAGALOG, old, SAGALOG, data_dir),
                     0);
    /* The services are another matter: theirs are not in the log. */
    ck_assert_int_eq(shell("cp %s/*.db* %s", old, data_dir), 0);
    start_daemon(data_dir);
    const int64_t deadline = monotonic_ms() + 60000;
    while (count(data_dir, "compensated") < ended + open) {
        ck_assert_int_lt(monotonic_ms(), deadline);
    }
    /* It knows whom it has served. */
    struct api_session *session = fixture_session();
    char id[API_ID_SIZE];
    ck_assert_int_eq(api_session_start(session, "booking", "load 0",
                                       "{\"parking_slot_uuid\": \"nowhere\", \"total\": 1}", id),
                     API_AGAIN);
    api_session_close(session);
    /* Nothing is imported into what a daemon owns. */
    ck_assert_int_eq(
        shell("%s --data-dir %s import %s 2>%s", SAGALOG, data_dir, text, fixture_path("said")), 9);
    fixture_stop();
    ck_assert_int_eq(shell("%s --data-dir %s verify >/dev/null", SAGALOG, data_dir), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("daemon export");
    TCase *tests = tcase_create("export");
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, open_sagas_end_where_the_log_was_imported);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
