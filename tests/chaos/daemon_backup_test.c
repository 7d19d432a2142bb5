/* Backups of a daemon that is at work: each is of one moment, nobody waits for it, and a daemon
 * goes on from what is restored. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check_run.h"
#include "daemon_fixture.h"
#include "scratch.h"
#include "splitmix.h"

#define SAGALOG SAGA_BIN_DIR "/sagalog"

/* Runs a line of shell; its exit status. What it says is in "said". */
__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...) {
    char line[4096];
    char whole[4608];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)snprintf(whole, sizeof whole, "{ %s; } 2>%s", line, fixture_path("said"));
    const int status = system(whole);
    ck_assert_msg(WIFEXITED(status), "'%s' ended with wait status %d", line, status);
    return WEXITSTATUS(status);
}

static const char *said(void) {
    static char text[4096];
    size_t size;
    uint8_t *bytes = file_read(fixture_path("said"), &size);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return text;
}

#define EXPECT(status, ...)                                                                        \
    do {                                                                                           \
        const int found = shell(__VA_ARGS__);                                                      \
        ck_assert_msg(found == (status), "status %d: %s", found, said());                          \
    } while (0)

/* A path below the scratch directory that lives as long as the test. */
static const char *path_of(char *path, const char *name) {
    (void)snprintf(path, SCRATCH_PATH_MAX, "%s", fixture_path(name));
    return path;
}

/* ---------------------------------------------------------------------- load */

/* Books until it is killed; some sagas of it are always open. */
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

static pid_t load;

static void start_load(void) {
    load = child_start(book_on, NULL);
}

static void stop_load(void) {
    ck_assert_int_eq(kill(load, SIGKILL), 0);
    (void)child_wait(load);
}

static void start_daemon(const char *data_dir) {
    fixture_start("dev", "--data-dir", data_dir, "--log-level", "warning", NULL);
}

/* A booking, from its start to its end. */
static void book_one(const char *key) {
    char id[API_ID_SIZE];
    struct api_session *session = fixture_session();
    fixture_book(session, key, "nowhere", 1, id);
    fixture_expect_end(session, id, "compensated");
    api_session_close(session);
}

/* ------------------------------------------------------------------ the same */

#define BACKUPS 5

/* The records of a restored log are the first ones of the log. */
static void expect_beginning(const char *restored, const char *all) {
    size_t size;
    size_t all_size;
    uint8_t *bytes = file_read(restored, &size);
    uint8_t *whole = file_read(all, &all_size);
    ck_assert_uint_gt(size, 0);
    ck_assert_uint_le(size, all_size);
    ck_assert_int_eq(memcmp(bytes, whole, size), 0);
    free(bytes);
    free(whole);
}

/* Of an export the lines that are records. */
static void export_records(const char *data_dir, const char *file) {
    EXPECT(0, "%s --data-dir %s export | grep '^{\"lsn\"' >%s", SAGALOG, data_dir, file);
}

static void restore_and_compare(const char *backup, const char *all) {
    char restored[SCRATCH_PATH_MAX];
    char text[SCRATCH_PATH_MAX];
    (void)path_of(restored, "restored");
    (void)path_of(text, "restored.jsonl");
    EXPECT(0, "%s --data-dir %s restore %s >/dev/null", SAGALOG, restored, backup);
    export_records(restored, text);
    expect_beginning(text, all);
    EXPECT(0, "%s --data-dir %s verify >/dev/null", SAGALOG, restored);
    /* The archive's word on its last record is how many there are: none was ever purged. */
    EXPECT(0, "[ $(tar xOf %s backup | sed -n 's/^last_lsn //p') = $(wc -l <%s) ]", backup, text);
    directory_remove(restored);
}

START_TEST(a_backup_has_all_there_was_at_one_moment) {
    char backups[BACKUPS][SCRATCH_PATH_MAX];
    char all[SCRATCH_PATH_MAX];
    (void)path_of(all, "all.jsonl");
    start_daemon(fixture_data_dir());
    start_load();
    for (int i = 0; i < BACKUPS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "backup-%d.tar", i);
        (void)path_of(backups[i], name);
        if (i % 2 == 0) {
            EXPECT(0, "%s --data-dir %s backup --rate %s %s >/dev/null", SAGALOG,
                   fixture_data_dir(), i == 0 ? "2M" : "0", backups[i]);
        } else {
            EXPECT(0, "%s --data-dir %s backup | cat >%s", SAGALOG, fixture_data_dir(), backups[i]);
        }
    }
    stop_load();
    fixture_kill();
    export_records(fixture_data_dir(), all);
    for (int i = 0; i < BACKUPS; i++) {
        restore_and_compare(backups[i], all);
    }
}
END_TEST

START_TEST(a_daemon_goes_on_from_a_backup) {
    char restored[SCRATCH_PATH_MAX];
    (void)path_of(restored, "restored");
    start_daemon(fixture_data_dir());
    book_one("before");
    start_load();
    EXPECT(0, "%s --data-dir %s backup >%s", SAGALOG, fixture_data_dir(), fixture_path("b.tar"));
    stop_load();
    book_one("after");
    fixture_stop();
    EXPECT(0, "%s --data-dir %s restore <%s >/dev/null", SAGALOG, restored, fixture_path("b.tar"));
    directory_remove(fixture_data_dir());
    ck_assert_int_eq(rename(restored, fixture_data_dir()), 0);
    start_daemon(fixture_data_dir());
    char id[API_ID_SIZE];
    char again[API_ID_SIZE];
    static const char input[] = "{\"parking_slot_uuid\": \"nowhere\", \"total\": 1}";
    struct api_session *session = fixture_session();
    fixture_book(session, "after", "nowhere", 1, id); /* has been forgotten */
    fixture_expect_end(session, id, "compensated");
    ck_assert_int_eq(api_session_start(session, "booking", "after", input, again), API_AGAIN);
    ck_assert_str_eq(id, again);
    api_session_close(session);
    fixture_stop();
    EXPECT(0, "%s --data-dir %s verify", SAGALOG, fixture_data_dir());
}
END_TEST

/* ------------------------------------------------------------------ who waits */

static pid_t start_backup(const char *file, const char *rate, int out) {
    sigset_t term; /* the handler of Check's is not the child's */
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child != 0) {
        (void)sigprocmask(SIG_UNBLOCK, &term, NULL);
    } else {
        (void)signal(SIGTERM, SIG_DFL);
        (void)sigprocmask(SIG_UNBLOCK, &term, NULL);
        (void)dup2(out, STDOUT_FILENO);
        (void)execl(SAGALOG, SAGALOG, "--data-dir", fixture_data_dir(), "backup", "--rate", rate,
                    file, (char *)NULL);
        _exit(127);
    }
    return child;
}

START_TEST(nobody_waits_for_who_does_not_read) {
    int ends[2];
    start_daemon(fixture_data_dir());
    book_one("first");
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    const pid_t child = start_backup("-", "0", ends[1]);
    char head[512];
    ck_assert_int_eq(read(ends[0], head, sizeof head), (ssize_t)sizeof head); /* it has begun */
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %d", i);
        book_one(key);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0); /* it is there, and has its view */
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    (void)child_wait(child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    book_one("last");
    fixture_stop();
}
END_TEST

/* ----------------------------------------------------------------- killed at */

static void sleep_us(uint64_t us) {
    const struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                                   .tv_nsec = (long)(us % 1000000) * 1000};
    (void)nanosleep(&pause, NULL);
}

/* At moments that nobody chose; what has its name is whole. */
START_TEST(killed_backups_have_no_name) {
    char file[SCRATCH_PATH_MAX];
    char all[SCRATCH_PATH_MAX];
    struct splitmix random = {11};
    unsigned killed = 0;
    unsigned whole = 0;
    (void)path_of(file, "killed.tar");
    (void)path_of(all, "all.jsonl");
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    start_daemon(fixture_data_dir());
    for (int i = 0; i < 30; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %d", i);
        book_one(key);
    }
    for (int i = 0; i < 40; i++) {
        const int number = i % 4 == 0 ? SIGTERM : SIGKILL;
        const pid_t child = start_backup(file, "0", nothing);
        sleep_us(splitmix_below(&random, 40000));
        (void)kill(child, number);
        const int status = child_wait(child);
        killed += status != 0;
        if (file_exists(file)) {
            whole++;
            export_records(fixture_data_dir(), all);
            restore_and_compare(file, all);
            (void)unlink(file);
        } else if (number == SIGTERM && WIFEXITED(status)) { /* it heard the signal */
            ck_assert_int_eq(WEXITSTATUS(status), 1);
            ck_assert(!file_exists(fixture_path("killed.tar.part")));
        }
        (void)unlink(fixture_path("killed.tar.part"));
    }
    ck_assert_uint_gt(killed, 0);
    ck_assert_uint_gt(killed + whole, 30);
    (void)close(nothing);
    fixture_stop();
}
END_TEST

START_TEST(a_killed_restore_is_no_log) {
    char restored[SCRATCH_PATH_MAX];
    struct splitmix random = {12};
    unsigned unfinished = 0;
    (void)path_of(restored, "restored");
    start_daemon(fixture_data_dir());
    for (int i = 0; i < 30; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %d", i);
        book_one(key);
    }
    EXPECT(0, "%s --data-dir %s backup >%s", SAGALOG, fixture_data_dir(), fixture_path("b.tar"));
    fixture_stop();
    for (int i = 0; i < 30; i++) {
        EXPECT(0, "%s --data-dir %s restore %s >/dev/null & sleep 0.%03u; kill -9 $!; wait; true",
               SAGALOG, restored, fixture_path("b.tar"), (unsigned)splitmix_below(&random, 40));
        /* Whatever the killed one had for a child gives its lock up a moment later. */
        EXPECT(0, "[ ! -e %s/sagad.lock ] || flock %s/sagad.lock true", restored, restored);
        char log[SCRATCH_PATH_MAX + 16];
        char stage[SCRATCH_PATH_MAX + 16];
        (void)snprintf(log, sizeof log, "%s/log", restored);
        (void)snprintf(stage, sizeof stage, "%s/log.restore", restored);
        if (!file_exists(log) && file_exists(stage)) {
            unfinished++;
            fixture_forget();
            ck_assert_int_eq(fixture_run("--data-dir", restored, NULL), 7);
            fixture_expect_said("a restore into"); /* "..., or an import," */
            fixture_expect_said("not finished");
        }
        if (!file_exists(log)) {
            EXPECT(0, "%s --data-dir %s restore %s >/dev/null", SAGALOG, restored,
                   fixture_path("b.tar"));
        }
        EXPECT(0, "%s --data-dir %s verify >/dev/null", SAGALOG, restored);
        directory_remove(restored);
    }
    ck_assert_uint_gt(unfinished, 0);
}
END_TEST

/* -------------------------------------------------------------------- no room */

START_TEST(without_room_there_is_no_backup) {
    start_daemon(fixture_data_dir());
    book_one("first");
    EXPECT(1, "%s --data-dir %s backup >/dev/full", SAGALOG, fixture_data_dir());
    ck_assert_ptr_nonnull(strstr(said(), "No space left"));
    if (shell("unshare -m true") == 0) { /* a file system of its own, as small as it is to be */
        ck_assert_int_eq(mkdir(fixture_path("small"), 0700), 0);
        EXPECT(1,
               "unshare -m sh -c 'mount -t tmpfs -o size=16k none %s && %s --data-dir %s backup "
               "%s/b.tar; "
               "status=$?; ls %s; exit $status'",
               fixture_path("small"), SAGALOG, fixture_data_dir(), fixture_path("small"),
               fixture_path("small"));
        ck_assert_ptr_nonnull(strstr(said(), "has room for"));
    }
    book_one("second");
    fixture_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("daemon backup");
    TCase *tests = tcase_create("backup");
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_backup_has_all_there_was_at_one_moment);
    tcase_add_test(tests, a_daemon_goes_on_from_a_backup);
    tcase_add_test(tests, nobody_waits_for_who_does_not_read);
    tcase_add_test(tests, killed_backups_have_no_name);
    tcase_add_test(tests, a_killed_restore_is_no_log);
    tcase_add_test(tests, without_room_there_is_no_backup);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
