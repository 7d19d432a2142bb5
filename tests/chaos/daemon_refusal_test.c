/* What the daemon refuses to start on, in which words, and with which exit status; and that
 * it leaves what it refuses as it was. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_run.h"
#include "daemon_fixture.h"
#include "scratch.h"

static void write_text(const char *path, const char *text) {
    file_write(path, text, strlen(text));
}

/* ------------------------------------------------------------- directories */

START_TEST(a_missing_directory_is_not_made) {
    ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), NULL), 3);
    fixture_expect_said(fixture_data_dir());
    fixture_expect_said("there is no directory");
    ck_assert(!file_exists(fixture_data_dir()));
}
END_TEST

START_TEST(a_file_is_no_directory) {
    write_text(fixture_data_dir(), "text");
    ck_assert_int_ne(fixture_run("--data-dir", fixture_data_dir(), NULL), 0);
    fixture_expect_said(fixture_data_dir());
}
END_TEST

START_TEST(a_directory_that_cannot_be_written_is_refused) {
    ck_assert_int_eq(mkdir(fixture_data_dir(), 0550), 0);
    if (geteuid() != 0) {
        ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), NULL), 1);
    } else { /* root may write everywhere: as somebody else, who can reach this directory alone */
        file_copy(SAGAD, fixture_path("sagad"));
        ck_assert_int_eq(chmod(fixture_path("sagad"), 0755), 0);
        ck_assert_int_eq(chmod(fixture_data_dir(), 0555), 0);
        ck_assert_int_eq(chmod(fixture_path("."), 0755), 0);
        ck_assert_int_eq(fixture_run("/usr/bin/setpriv", "--reuid=65534", "--clear-groups",
                                     fixture_path("sagad"), "--data-dir", fixture_data_dir(), NULL),
                         1);
    }
    fixture_expect_said(fixture_data_dir());
    fixture_expect_said("ermission denied");
}
END_TEST

START_TEST(a_directory_has_one_daemon) {
    char id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    fixture_forget();
    ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), NULL), 9);
    fixture_expect_said(fixture_data_dir());
    ck_assert_int_eq(fixture_run("dev", "--data-dir", fixture_data_dir(), NULL), 9);
    ck_assert_int_eq(symlink("data", fixture_path("link")), 0); /* by another name, too */
    ck_assert_int_eq(fixture_run("--data-dir", fixture_path("link"), NULL), 9);
    struct api_session *session = fixture_session(); /* the first one did not notice */
    fixture_create_slot("a");
    fixture_book(session, "k", "a", 10000, id);
    fixture_expect_end(session, id, "completed");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(no_directory_at_all_is_wrong_usage) {
    (void)unsetenv("SAGAD_DATA_DIR");
    ck_assert_int_eq(fixture_run("--log-format=text", NULL), 2);
    fixture_expect_said("--data-dir is missing");
}
END_TEST

/* --------------------------------------------------------------------- log */

static char data_file[1200], id_file[1200];
static uint8_t *before;
static size_t before_size;

/* A log with a saga in it, of a daemon that was killed. */
static void make_log(void) {
    char id[API_ID_SIZE];
    (void)snprintf(data_file, sizeof data_file, "%s/log/data.mdb", fixture_data_dir());
    (void)snprintf(id_file, sizeof id_file, "%s/log/log.id", fixture_data_dir());
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "nowhere", 10000, id);
    fixture_expect_end(session, id, "compensated");
    api_session_close(session);
    fixture_kill();
    before = file_read(data_file, &before_size);
    fixture_forget();
}

/* The damaged log is refused with 7, what is wrong is said, and nothing is touched. */
static void expect_refused(const char *what, const char *where) {
    size_t damaged_size, after_size;
    uint8_t *damaged = file_exists(data_file) ? file_read(data_file, &damaged_size) : NULL;
    ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), NULL), 7);
    fixture_expect_said(what);
    fixture_expect_said(where);
    if (damaged != NULL) {
        uint8_t *after = file_read(data_file, &after_size);
        ck_assert_uint_eq(after_size, damaged_size);
        ck_assert_int_eq(memcmp(after, damaged, after_size), 0);
        free(after);
        free(damaged);
    }
}

/* What was refused is no harm to what was there: with the right bytes, it starts. */
static void expect_well_again(void) {
    file_write(data_file, before, before_size);
    fixture_start("--data-dir", fixture_data_dir(), NULL);
    fixture_stop();
    free(before);
}

START_TEST(a_log_that_is_gone_is_refused) {
    make_log();
    ck_assert_int_eq(unlink(data_file), 0);
    expect_refused("data.mdb is missing", fixture_data_dir());
    expect_well_again();
}
END_TEST

START_TEST(an_empty_log_is_refused) {
    make_log();
    ck_assert_int_eq(truncate(data_file, 0), 0);
    expect_refused("data.mdb is empty", fixture_data_dir());
    expect_well_again();
}
END_TEST

START_TEST(a_truncated_log_is_refused) {
    make_log();
    ck_assert_int_eq(truncate(data_file, (off_t)before_size / 2), 0);
    expect_refused("data.mdb", fixture_data_dir());
    expect_well_again();
}
END_TEST

START_TEST(a_zeroed_log_is_refused) {
    make_log();
    uint8_t *zeroed = calloc(1, before_size);
    file_write(data_file, zeroed, before_size);
    free(zeroed);
    expect_refused("data.mdb", fixture_data_dir());
    expect_well_again();
}
END_TEST

START_TEST(a_flipped_bit_is_refused) {
    static const char needle[] = "parking_slot_uuid"; /* inside a record */
    make_log();
    uint8_t *at = memmem(before, before_size, needle, sizeof needle - 1);
    ck_assert_ptr_nonnull(at);
    unsigned copies = 0; /* an old version of the page may stand in the file as well */
    for (; at != NULL; copies++) {
        *at ^= 0x04;
        uint8_t *next =
            memmem(at + 1, before_size - (size_t)(at + 1 - before), needle, sizeof needle - 1);
        at = next;
    }
    ck_assert_uint_ge(copies, 1);
    file_write(data_file, before, before_size);
    expect_refused("checksum", "record");
    uint8_t *flipped = before;
    const char broken[] = "tarking_slot_uuid";
    while ((flipped = memmem(flipped, before_size - (size_t)(flipped - before), broken,
                             sizeof broken - 1)) != NULL) {
        *flipped ^= 0x04;
    }
    expect_well_again();
}
END_TEST

START_TEST(a_log_of_a_newer_format_is_refused) {
    make_log();
    size_t size;
    uint8_t *id = file_read(id_file, &size);
    id[size] = '\0';
    char newer[300];
    ck_assert_int_eq(strncmp((const char *)id, "sagad-log format 1\n", 19), 0);
    (void)snprintf(newer, sizeof newer, "sagad-log format 9\n%s", (const char *)id + 19);
    write_text(id_file, newer);
    expect_refused("format", "9");
    file_write(id_file, id, size);
    free(id);
    expect_well_again();
}
END_TEST

START_TEST(a_commit_that_fails_ends_it_with_8) {
    char id[API_ID_SIZE], key[32];
    enum api_start start = API_CREATED;
    unsigned accepted = 0;
    fixture_start("/usr/bin/env", "--ignore-signal=XFSZ", "/usr/bin/prlimit", "--fsize=262144",
                  SAGAD, "dev", "--log-level=error", "--data-dir", fixture_data_dir(), NULL);
    struct api_session *session = fixture_session();
    for (; start == API_CREATED; accepted++) { /* until its log's file is as large as it may be */
        ck_assert_uint_lt(accepted, 10000);
        (void)snprintf(key, sizeof key, "k%u", accepted);
        start = api_session_start(session, "booking", key, "{\"parking_slot_uuid\": \"a\"}", id);
    }
    ck_assert_int_eq(start, API_UNANSWERED); /* not "refused": nobody knows */
    ck_assert(daemon_await_end(&fixture_daemon, 10000));
    ck_assert_int_eq(fixture_daemon.status, 8 << 8);
    fixture_expect_said("start the daemon again");
    fixture_start("dev", "--log-level=error", "--data-dir", fixture_data_dir(), NULL);
    for (unsigned i = 0; i + 1 < accepted; i++) { /* each that was accepted is there */
        (void)snprintf(key, sizeof key, "k%u", i);
        ck_assert_int_eq(
            api_session_start(session, "booking", key, "{\"parking_slot_uuid\": \"a\"}", id),
            API_AGAIN);
        fixture_expect_end(session, id, "compensated");
    }
    api_session_close(session);
    fixture_stop();
}
END_TEST

/* ------------------------------------------------------------ configuration */

START_TEST(wrong_definitions_are_refused_with_all_errors) {
    fixture_make_data_dir();
    ck_assert_int_eq(mkdir(fixture_path("definitions"), 0750), 0);
    write_text(fixture_path("definitions/a.yaml"), "saga: a\nversion: 1\nstep: []\n");
    write_text(fixture_path("definitions/b.yaml"),
               "saga: b\nversion: 1\nparticipants: {p: {fenced: true}}\nsteps:\n"
               "  - {name: x, command: p.x, done: [X], pivot: true}\n"
               "  - {name: y, command: p.y, done: [Y], rejected: [N]}\n");
    ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), "--definitions",
                                 fixture_path("definitions"), NULL),
                     1);
    fixture_expect_said("a.yaml:3:1: error: unknown key 'step'");
    fixture_expect_said("b.yaml:6:");
    fixture_expect_said("2 of the 2 definitions");
    ck_assert(!file_exists(fixture_path("data/log"))); /* nothing was begun */
}
END_TEST

START_TEST(definitions_that_are_not_there_are_refused) {
    fixture_make_data_dir();
    ck_assert_int_eq(
        fixture_run("--data-dir", fixture_data_dir(), "--definitions", "/nowhere", NULL), 3);
    fixture_expect_said("/nowhere");
}
END_TEST

START_TEST(an_address_that_is_taken_is_refused) {
    char listen[1200];
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    (void)snprintf(listen, sizeof listen, "unix:%s/sagad.sock", fixture_data_dir());
    ck_assert_int_eq(mkdir(fixture_path("other"), 0750), 0);
    fixture_forget();
    ck_assert_int_eq(fixture_run("--data-dir", fixture_path("other"), "--listen", listen, NULL), 1);
    fixture_expect_said("sagad.sock");
    ck_assert_int_eq(
        fixture_run("--data-dir", fixture_path("other"), "--listen", "tcp:0.0.0.0:0", NULL), 2);
    fixture_expect_said("0.0.0.0");
    fixture_stop();
}
END_TEST

START_TEST(a_switch_of_no_command_is_wrong_usage) {
    ck_assert_int_eq(
        fixture_run("dev", "--data-dir", fixture_data_dir(), "--fail=parking.fly", NULL), 2);
    fixture_expect_said("parking.fly");
}
END_TEST

START_TEST(messages_are_in_the_format_that_was_asked_for) {
    ck_assert_int_eq(fixture_run("--data-dir", fixture_data_dir(), "--log-format", "json", NULL),
                     3);
    json_t *line = json_loads(fixture_said(), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(api_text(line, "level"), "error");
    ck_assert_ptr_nonnull(strstr(api_text(line, "msg"), "there is no directory"));
    json_decref(line);
}
END_TEST

START_TEST(dev_makes_its_directory_and_a_temporary_one) {
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    ck_assert(file_exists(fixture_path("data/log/data.mdb")));
    ck_assert(file_exists(fixture_path("data/parking.db")));
    fixture_stop();
    ck_assert_int_eq(setenv("TMPDIR", fixture_path("."), 1), 0);
    fixture_start("dev", NULL);
    fixture_expect_said("/sagad-dev-");
    fixture_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("daemon_refusal");
    TCase *tests = tcase_create("daemon_refusal");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_add_test(tests, a_missing_directory_is_not_made);
    tcase_add_test(tests, a_file_is_no_directory);
    tcase_add_test(tests, a_directory_that_cannot_be_written_is_refused);
    tcase_add_test(tests, a_directory_has_one_daemon);
    tcase_add_test(tests, no_directory_at_all_is_wrong_usage);
    tcase_add_test(tests, a_log_that_is_gone_is_refused);
    tcase_add_test(tests, an_empty_log_is_refused);
    tcase_add_test(tests, a_truncated_log_is_refused);
    tcase_add_test(tests, a_zeroed_log_is_refused);
    tcase_add_test(tests, a_flipped_bit_is_refused);
    tcase_add_test(tests, a_log_of_a_newer_format_is_refused);
    tcase_add_test(tests, a_commit_that_fails_ends_it_with_8);
    tcase_add_test(tests, wrong_definitions_are_refused_with_all_errors);
    tcase_add_test(tests, definitions_that_are_not_there_are_refused);
    tcase_add_test(tests, an_address_that_is_taken_is_refused);
    tcase_add_test(tests, a_switch_of_no_command_is_wrong_usage);
    tcase_add_test(tests, messages_are_in_the_format_that_was_asked_for);
    tcase_add_test(tests, dev_makes_its_directory_and_a_temporary_one);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
