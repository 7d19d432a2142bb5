/* Who may open a log, and beside whom: daemons, inspectors, copies, and
 * directories that are no place for one. */
#include "log.h"

#include "check_run.h"
#include "log_scene.h"
#include "record.h"
#include "splitmix.h"

#include <check.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SAGA_GOLDEN_DIR
#error SAGA_GOLDEN_DIR: where the logs of released formats are
#endif

/* --------------------------------------------------------------- ownership */

static int open_second(void *path) {
    struct saga_log_options options = {.data_dir = path, .map_bytes_max = SCENE_MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    char owner[40];
    enum saga_error error = saga_log_open(&log, &options, &fault);
    (void)snprintf(owner, sizeof owner, "process %ld", (long)getppid());
    return error == SAGA_ERROR_OWNED && strstr(fault.text, owner) != NULL
               ? saga_error_exit_status(error)
               : 100 + (int)error;
}

START_TEST(a_second_daemon_is_told_who_owns_the_log) {
    struct saga_log *log = scene_open();
    scene_append(log, 3);
    ck_assert_int_eq(child_run(open_second, scene.path), 9);
    char linked[SCRATCH_PATH_MAX + 16];
    (void)snprintf(linked, sizeof linked, "%s-link", scene.path);
    ck_assert_int_eq(symlink(scene.path, linked), 0);
    ck_assert_int_eq(child_run(open_second, linked), 9);
    ck_assert_int_eq(unlink(linked), 0);
    scene_append(log, 3);
    scene_assert_content(log, 6);
    saga_log_close(log);
}
END_TEST

/* Writes a byte to the pipe once the log is open, then waits to be killed. */
static int own_until_killed(void *pipe_end) {
    struct saga_log *log = scene_open();
    scene_append(log, 3);
    ledger_append(log, 4); /* not flushed */
    ck_assert_int_eq(write(*(int *)pipe_end, "x", 1), 1);
    for (;;) {
        (void)pause();
    }
    return 0;
}

START_TEST(an_owner_that_was_killed_owns_nothing) {
    for (int i = 0; i < 5; i++) {
        int ends[2];
        char byte;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t child = child_start(own_until_killed, &ends[1]);
        ck_assert_int_eq(close(ends[1]), 0);
        ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        ck_assert_int_eq(close(ends[0]), 0);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert(WIFSIGNALED(child_wait(child)));
        struct saga_log *log = scene_open();
        scene_assert_content(log, 3 * ((uint64_t)i + 1));
        saga_log_close(log);
    }
}
END_TEST

/* Flushes batches, and says through a pipe what is durable. */
static int append_until_killed(void *pipe_end) {
    struct saga_log *log = scene_open();
    for (uint32_t i = 0;; i++) {
        scene_append(log, 1 + i % 50);
        uint64_t durable = saga_log_durable(log);
        ck_assert_int_eq(write(*(int *)pipe_end, &durable, sizeof durable), sizeof durable);
    }
    return 0;
}

START_TEST(a_killed_writer_loses_nothing_that_was_durable) {
    struct splitmix random = {77};
    for (int i = 0; i < 40; i++) {
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        pid_t child = child_start(append_until_killed, &ends[1]);
        ck_assert_int_eq(close(ends[1]), 0);
        uint64_t durable = 0, wanted = 1 + splitmix_below(&random, 20);
        while (wanted-- > 0) {
            ck_assert_int_eq(read(ends[0], &durable, sizeof durable), sizeof durable);
        }
        /* Somewhere in the commit after that. */
        struct timespec moment = {0, (long)splitmix_below(&random, 400000)};
        (void)ppoll(NULL, 0, &moment, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert(WIFSIGNALED(child_wait(child)));
        while (read(ends[0], &durable, sizeof durable) == sizeof durable) {
        }
        ck_assert_int_eq(close(ends[0]), 0);
        struct saga_log *log = scene_open();
        ck_assert_uint_ge(saga_log_durable(log), durable);
        ck_assert_uint_le(saga_log_durable(log), durable + 50); /* the one in flight, whole */
        scene_assert_content(log, saga_log_durable(log));
        saga_log_close(log);
    }
}
END_TEST

/* -------------------------------------------------------------- inspection */

START_TEST(an_inspector_reads_beside_the_daemon_and_changes_nothing) {
    struct saga_log *log = scene_open();
    for (uint64_t i = 1; i <= 20; i++) {
        scene_append(log, 50);
        size_t before_size, after_size;
        uint8_t *before = file_read(scratch_file(&scene, "log/data.mdb"), &before_size);
        uint64_t last = 50 * i;
        ck_assert_int_eq(child_run(scene_read_all, &last), 0);
        uint8_t *after = file_read(scratch_file(&scene, "log/data.mdb"), &after_size);
        ck_assert_uint_eq(before_size, after_size);
        ck_assert_mem_eq(before, after, before_size);
        free(before);
        free(after);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(an_inspector_reads_without_a_daemon) {
    struct saga_log *log = scene_open();
    scene_append(log, 700);
    saga_log_close(log);
    uint64_t last = 700;
    ck_assert_int_eq(child_run(scene_read_all, &last), 0);
    ck_assert_int_eq(unlink(scratch_file(&scene, "log/lock.mdb")), 0);
    ck_assert_int_eq(child_run(scene_read_all, &last), 0);
    ck_assert(!file_exists(scratch_file(&scene, "log/lock.mdb")));
    ck_assert_int_eq(unlink(scratch_file(&scene, "sagad.lock")), 0);
    ck_assert_int_eq(child_run(scene_read_all, &last), 0);
    ck_assert(!file_exists(scratch_file(&scene, "sagad.lock")));
    log = scene_open();
    scene_append(log, 1);
    scene_assert_content(log, 701);
    saga_log_close(log);
}
END_TEST

/* Opens and closes the log over and over while the daemon commits as fast as
 * it can: no half of a write may look like damage. */
static int inspect_often(void *unused) {
    (void)unused;
    uint64_t last = 0;
    for (int i = 0; i < 100 || last < 100; i++) {
        struct saga_log *log = scene_inspect();
        struct saga_fault fault = {0};
        uint64_t before = last;
        if (ledger_read(log, &last, &fault) != SAGA_OK || last < before) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return 1;
        }
        saga_log_close(log);
    }
    return 0;
}

START_TEST(an_inspector_is_not_disturbed_by_commits) {
    struct saga_log *log = scene_open();
    scene_append(log, 1);
    pid_t child = child_start(inspect_often, NULL);
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
        scene_append(log, 1);
    }
    ck_assert_int_eq(ended, child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    saga_log_close(log);
}
END_TEST

START_TEST(an_inspector_finds_no_log_where_there_is_none) {
    struct saga_fault fault;
    ck_assert_int_eq(scene_refused(true, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert(!file_exists(scratch_file(&scene, "log")));
    ck_assert(!file_exists(scratch_file(&scene, "sagad.lock")));
}
END_TEST

#define NOBODY 65534

/* Becomes a user who may read everything here and write nothing. */
static void become_reader(void) {
    if (geteuid() == 0) {
        ck_assert_int_eq(setgroups(0, NULL), 0);
        ck_assert_int_eq(setgid(NOBODY), 0);
        ck_assert_int_eq(setuid(NOBODY), 0);
    }
}

static void make_unwritable(bool whole_log) {
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb", "sagad.lock"};
    for (size_t i = 0; i < (whole_log ? 4 : 0); i++) {
        ck_assert_int_eq(chmod(scratch_file(&scene, files[i]), 0444), 0);
    }
    if (whole_log) {
        ck_assert_int_eq(chmod(scratch_file(&scene, "log"), 0555), 0);
    }
    ck_assert_int_eq(chmod(scene.path, 0555), 0);
}

static void make_writable(void) {
    ck_assert_int_eq(chmod(scene.path, 0750), 0);
    (void)chmod(scratch_file(&scene, "log"), 0750);
}

static int inspect_as_reader(void *last_expected) {
    become_reader();
    return scene_read_all(last_expected);
}

START_TEST(an_inspector_reads_a_copy_that_cannot_be_written) {
    struct saga_log *log = scene_open();
    scene_append(log, 700);
    saga_log_close(log);
    make_unwritable(true);
    uint64_t last = 700;
    int status = child_run(inspect_as_reader, &last);
    make_writable();
    ck_assert_int_eq(status, 0);
}
END_TEST

static int refused_as_reader(void *unused) {
    (void)unused;
    become_reader();
    struct saga_fault fault;
    return scene_refused(true, &fault) == SAGA_ERROR_FAILED &&
                   strstr(fault.text, "lock.mdb") != NULL
               ? 0
               : 1;
}

/* Without a place in lock.mdb the daemon would not know of the reader, and
 * write over the pages that it reads. */
START_TEST(an_inspector_that_the_daemon_could_not_see_is_refused) {
    struct saga_log *log = scene_open();
    scene_append(log, 700);
    make_unwritable(true);
    int status = child_run(refused_as_reader, NULL);
    make_writable();
    ck_assert_int_eq(status, 0);
    saga_log_close(log);
}
END_TEST

static int die_reading(void *unused) {
    (void)unused;
    struct saga_log *log = scene_inspect();
    struct saga_log_reader *reader;
    struct saga_fault fault;
    return saga_log_reader_open(log, &reader, &fault) == SAGA_OK ? 0 : 1; /* and never closes it */
}

START_TEST(dead_inspectors_give_their_places_back) {
    struct saga_log *log = scene_open();
    scene_append(log, 1);
    for (int i = 0; i < 300; i++) { /* LMDB has 126 places */
        ck_assert_int_eq(child_run(die_reading, NULL), 0);
        scene_append(log, 1);
        if (i % 20 == 19) {
            ck_assert_uint_gt(saga_log_reap_readers(log), 0);
        }
    }
    ck_assert_uint_eq(saga_log_reap_readers(log), 0);
    scene_assert_content(log, 301);
    saga_log_close(log);
}
END_TEST

/* LMDB has 126 places for readers. Others may take all that are left; the
 * daemon has had its own from the start. */
START_TEST(readers_without_a_place_are_told_and_the_daemon_goes_on) {
    enum { MANY = 200 };
    struct saga_log *log = scene_open();
    scene_append(log, 10);
    struct saga_log_reader *readers[MANY];
    struct saga_fault fault = {0};
    size_t count = 0;
    enum saga_error error = SAGA_OK;
    while (count < MANY &&
           (error = saga_log_reader_open(log, &readers[count], &fault)) == SAGA_OK) {
        count++;
    }
    ck_assert_int_eq(error, SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "places for readers"));
    ck_assert_uint_gt(count, 100);
    scene_append(log, 10);
    scene_assert_reads(log, 15);
    saga_log_reader_close(readers[--count]);
    ck_assert_int_eq(saga_log_reader_open(log, &readers[count], &fault), SAGA_OK);
    for (size_t i = 0; i <= count; i++) {
        saga_log_reader_close(readers[i]);
    }
    saga_log_close(log);
}
END_TEST

/* ------------------------------------------------------ old logs and backups */

/* A log as the first version with its format wrote it; tests/ledger_dump made
 * them. */
START_TEST(a_log_of_every_format_is_read_and_goes_on) {
    for (int format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        char golden[512];
        (void)snprintf(golden, sizeof golden, "%s/format-%d/log", SAGA_GOLDEN_DIR, format);
        directory_copy(golden, scratch_file(&scene, "log"));
        uint64_t last = 60;
        ck_assert_int_eq(child_run(scene_read_all, &last), 0);
        struct saga_log *log = scene_open();
        scene_assert_content(log, 60);
        scene_append(log, 40);
        scene_assert_content(log, 100);
        saga_log_close(log);
        directory_remove(scratch_file(&scene, "log"));
    }
}
END_TEST

START_TEST(a_compacted_copy_is_the_log) {
    struct saga_log *log = scene_open();
    for (int i = 0; i < 30; i++) {
        scene_append(log, 10);
    }
    char command[4 * SCRATCH_PATH_MAX];
    (void)snprintf(command, sizeof command,
                   "/usr/bin/python3 -c 'import lmdb, os; os.mkdir(\"%s/copy\"); "
                   "lmdb.open(\"%s/log\", readonly=True).copy(\"%s/copy\", compact=True)'",
                   scene.path, scene.path, scene.path);
    ck_assert_int_eq(system(command), 0); /* of a live log */
    scene_append(log, 10);
    saga_log_close(log);
    ck_assert_int_eq(
        rename(scratch_file(&scene, "copy/data.mdb"), scratch_file(&scene, "log/data.mdb")), 0);
    for (uint64_t last = 300; last < 330; last += 10) {
        log = scene_open();
        scene_assert_content(log, last);
        scene_append(log, 10);
        saga_log_close(log);
    }
}
END_TEST

/* ---------------------------------------------------------- the directory */

START_TEST(a_directory_that_is_not_there_is_named) {
    struct saga_fault fault;
    directory_remove(scene.path);
    ck_assert_int_eq(scene_refused(false, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(fault.text, scene.path));
    ck_assert_int_eq(scene_refused(true, &fault), SAGA_ERROR_NOT_FOUND);
    file_write(scene.path, "", 0);
    ck_assert_int_eq(scene_refused(false, &fault), SAGA_ERROR_FAILED);
    ck_assert_int_eq(unlink(scene.path), 0);
    ck_assert_int_eq(mkdir(scene.path, 0750), 0);
}
END_TEST

START_TEST(a_directory_that_everybody_can_write_is_refused) {
    struct saga_fault fault;
    ck_assert_int_eq(chmod(scene.path, 0777), 0);
    ck_assert_int_eq(scene_refused(false, &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "o-w"));
    ck_assert(!file_exists(scratch_file(&scene, "sagad.lock")));
}
END_TEST

static int refused_without_permission(void *unused) {
    (void)unused;
    become_reader();
    struct saga_fault fault;
    return scene_refused(false, &fault) == SAGA_ERROR_FAILED &&
                   strstr(fault.text, "Permission denied") != NULL
               ? 0
               : 1;
}

START_TEST(a_directory_that_cannot_be_written_is_refused) {
    make_unwritable(false);
    int status = child_run(refused_without_permission, NULL);
    make_writable();
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused) {
    char path[6000];
    memset(path, 'x', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 100) {
        path[i] = '/';
    }
    path[sizeof path - 1] = '\0';
    struct saga_log_options options = {.data_dir = path};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_FAILED);
    ck_assert_uint_lt(strlen(fault.text), sizeof fault.text - 1);
}
END_TEST

/* -------------------------------------------------------------------- suite */

static Suite *suite(void) {
    Suite *suite = suite_create("log sharing");
    TCase *owners = scene_group(suite, "owners");
    tcase_add_test(owners, a_second_daemon_is_told_who_owns_the_log);
    tcase_add_test(owners, an_owner_that_was_killed_owns_nothing);
    tcase_add_test(owners, a_killed_writer_loses_nothing_that_was_durable);
    TCase *inspectors = scene_group(suite, "inspectors");
    tcase_add_test(inspectors, an_inspector_reads_beside_the_daemon_and_changes_nothing);
    tcase_add_test(inspectors, an_inspector_reads_without_a_daemon);
    tcase_add_test(inspectors, an_inspector_is_not_disturbed_by_commits);
    tcase_add_test(inspectors, an_inspector_finds_no_log_where_there_is_none);
    tcase_add_test(inspectors, an_inspector_reads_a_copy_that_cannot_be_written);
    tcase_add_test(inspectors, an_inspector_that_the_daemon_could_not_see_is_refused);
    tcase_add_test(inspectors, dead_inspectors_give_their_places_back);
    tcase_add_test(inspectors, readers_without_a_place_are_told_and_the_daemon_goes_on);
    TCase *copies = scene_group(suite, "copies");
    tcase_add_test(copies, a_log_of_every_format_is_read_and_goes_on);
    tcase_add_test(copies, a_compacted_copy_is_the_log);
    TCase *directory = scene_group(suite, "directory");
    tcase_add_test(directory, a_directory_that_is_not_there_is_named);
    tcase_add_test(directory, a_directory_that_everybody_can_write_is_refused);
    tcase_add_test(directory, a_directory_that_cannot_be_written_is_refused);
    tcase_add_test(directory, a_path_that_is_too_long_is_refused);
    return suite;
}

int main(void) {
    return check_run(suite());
}
