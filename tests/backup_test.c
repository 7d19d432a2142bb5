/* Backups of a log: taken while it is written, on disks that are full or fail, with nobody who
 * reads; killed at any call; and restored, or refused. */
#include "backup_scene.h"

#include "check_run.h"
#include "splitmix.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* -------------------------------------------------------------------- whole */

START_TEST(a_backup_of_a_log_restores_to_it) {
    struct saga_log *log = backup_make_log(120);
    const uint64_t last = saga_log_durable(log);
    backup_take();
    ck_assert_uint_eq(deed->backup.about.last_lsn, last);
    ck_assert_uint_eq(deed->backup.records, last);
    size_t size;
    free(file_read(deed->file, &size));
    ck_assert_uint_eq(deed->backup.bytes, size);
    ck_assert(!backup_part_exists());
    struct stat status;
    ck_assert_int_eq(stat(deed->file, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    restore_take();
    ck_assert_uint_eq(deed->unpack.records, last);
    backup_assert_restored();
    saga_log_close(log);
}
END_TEST

START_TEST(a_backup_of_a_log_without_records_restores) {
    struct saga_log *log = scene_open();
    backup_take();
    ck_assert_uint_eq(deed->backup.about.last_lsn, 0);
    restore_take();
    backup_assert_restored();
    saga_log_close(log);
}
END_TEST

/* What it is of is one moment, whatever is written before, meanwhile and after. */
START_TEST(backups_under_load_are_each_of_one_moment) {
    struct splitmix random = {(uint64_t)_i + 1};
    struct saga_log *log = backup_make_log(60);
    unsigned moved = 0;
    deed->bytes_per_second = (uint64_t)64 << 20;
    for (int round = 0; round < 6; round++) {
        const uint64_t before = saga_log_durable(log);
        const pid_t child = backup_start();
        int status;
        while (waitpid(child, &status, WNOHANG) == 0) {
            if (saga_log_durable(log) < before + 3000) { /* more would fill the log */
                scene_append(log, 1 + (uint32_t)splitmix_below(&random, 6));
            }
        }
        ck_assert_int_eq(status, 0);
        ck_assert_msg(deed->error == SAGA_OK, "%s", deed->text.text);
        ck_assert_uint_ge(deed->backup.about.last_lsn, before);
        ck_assert_uint_le(deed->backup.about.last_lsn, saga_log_durable(log));
        moved += saga_log_durable(log) > deed->backup.about.last_lsn;
        restore_take();
        backup_assert_restored();
        backup_forget_restored();
        backup_forget();
    }
    ck_assert_uint_ge(moved, 1); /* or nothing was written meanwhile */
    saga_log_close(log);
}
END_TEST

/* The daemon has restarted since: its log is dead, without a lock file, read by somebody else. */
START_TEST(a_dead_log_is_backed_up_as_a_living_one) {
    saga_log_close(backup_make_log(40));
    ck_assert_int_eq(unlink(scratch_file(&scene, "log/lock.mdb")), 0);
    backup_take();
    restore_take();
    backup_assert_restored();
}
END_TEST

static bool holds(const char *path, const void *part, size_t part_size) {
    size_t size;
    uint8_t *bytes = file_read(path, &size);
    const bool found = memmem(bytes, size, part, part_size) != NULL;
    free(bytes);
    return found;
}

START_TEST(what_was_deleted_is_not_in_a_backup) {
    static char secret[3 * 4096];
    struct saga_log *log = backup_make_log(20);
    const struct saga_bytes key = {.data = "secret", .size = 6};
    for (size_t i = 0; i + 16 <= sizeof secret; i += 16) {
        memcpy(secret + i, "the bank account", 16);
    }
    saga_log_put(log, SAGA_TABLE_KEPT, key,
                 (struct saga_bytes){.data = secret, .size = sizeof secret});
    scene_flush(log);
    saga_log_remove(log, SAGA_TABLE_KEPT, key);
    scene_flush(log);
    ck_assert(holds(scratch_file(&scene, "log/data.mdb"), secret, 64));
    backup_take();
    ck_assert(!holds(deed->file, secret, 64));
    restore_take();
    backup_assert_restored();
    saga_log_close(log);
}
END_TEST

/* ------------------------------------------------------------------ refused */

START_TEST(nothing_is_ever_overwritten) {
    saga_log_close(backup_make_log(5));
    file_write(deed->file, "letters", 7);
    ck_assert_int_eq(backup_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(deed->text.text, deed->file));
    size_t size;
    free(file_read(deed->file, &size));
    ck_assert_uint_eq(size, 7);
    backup_forget();
    char part[SCRATCH_PATH_MAX + 8];
    (void)snprintf(part, sizeof part, "%s.part", deed->file);
    file_write(part, "letters", 7);
    ck_assert_int_eq(backup_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(deed->text.text, ".part"));
    free(file_read(part, &size));
    ck_assert_uint_eq(size, 7);
    ck_assert(!file_exists(deed->file));
}
END_TEST

START_TEST(a_directory_with_anything_in_it_is_left_alone) {
    saga_log_close(backup_make_log(5));
    backup_take();
    ck_assert_int_eq(mkdir(deed->data_dir, 0750), 0);
    char path[SCRATCH_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/parking.db", deed->data_dir);
    file_write(path, "slots", 5);
    ck_assert_int_eq(restore_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(deed->text.text, "is not empty"));
    ck_assert(file_exists(path));
    ck_assert_int_eq(unlink(path), 0);
    restore_take();
    ck_assert_int_eq(restore_run(), 0); /* now there is a log */
    ck_assert_int_eq(deed->error, SAGA_ERROR_CONFLICT);
    backup_assert_restored();
}
END_TEST

START_TEST(a_directory_that_a_daemon_has_is_not_restored_into) {
    struct saga_log *log = backup_make_log(5);
    backup_take();
    (void)snprintf(deed->data_dir, sizeof deed->data_dir, "%s", scene.path);
    ck_assert_int_eq(restore_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_OWNED);
    (void)snprintf(deed->data_dir, sizeof deed->data_dir, "%s", scratch_file(&scene, "restored"));
    saga_log_close(log);
}
END_TEST

/* A block with a bit turned over: nothing of such a log becomes a backup. */
START_TEST(there_is_no_backup_of_a_damaged_log) {
    saga_log_close(backup_make_log(40));
    size_t size;
    const char *path = scratch_file(&scene, "log/data.mdb");
    uint8_t *bytes = file_read(path, &size);
    unsigned found = 0;
    for (size_t i = 0; i + 64 < size; i++) { /* record.h; the first and last are read at once */
        if (memcmp(bytes + i, "SGBK", 4) == 0 && bytes[i + 14] == 0 && bytes[i + 15] > 10 &&
            bytes[i + 15] < 60) {
            bytes[i + 30] ^= 4;
            found++;
        }
    }
    ck_assert_uint_gt(found, 0);
    file_write(path, bytes, size);
    free(bytes);
    ck_assert_int_eq(backup_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(deed->text.text, "record "));
    ck_assert(!file_exists(deed->file));
    ck_assert(!backup_part_exists());
}
END_TEST

/* ---------------------------------------------------------------- who reads */

/* Nobody reads: the daemon goes on all the same, and the backup is given up. */
START_TEST(a_stalled_reader_keeps_nobody) {
    struct saga_log *log = backup_make_log(60);
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    deed->file[0] = '\0';
    deed->fd = ends[1];
    deed->patience_ms = 400;
    const uint64_t before = saga_log_durable(log);
    const pid_t child = backup_start();
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (saga_log_full_percent(log) < 50) { /* however long the child takes to be given up */
            scene_append(log, 1);
        }
    }
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(deed->text.text, "nobody has read"));
    ck_assert_uint_gt(saga_log_durable(log), before + 20);
    ck_assert_uint_eq(saga_log_reap_readers(log), 0); /* it has gone in order */
    (void)close(ends[0]);
    (void)close(ends[1]);
    saga_log_close(log);
}
END_TEST

START_TEST(a_reader_that_goes_away_is_an_error) {
    struct saga_log *log = backup_make_log(60);
    int ends[2];
    (void)signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    (void)close(ends[0]);
    deed->file[0] = '\0';
    deed->fd = ends[1];
    ck_assert_int_eq(backup_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_FAILED);
    (void)close(ends[1]);
    saga_log_close(log);
}
END_TEST

/* A backup that is too slow for what is written gives up before the log is full. */
START_TEST(a_backup_gives_up_before_it_fills_the_log) {
    const struct saga_log_options options = {.data_dir = scene.path,
                                             .map_bytes_max = (uint64_t)4 << 20};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_OK);
    const struct saga_bytes key = {.data = "row", .size = 3};
    static uint8_t value[60000];
    scene_append(log, 150);
    deed->bytes_per_second = 500000; /* some seconds */
    const pid_t child = backup_start();
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (saga_log_full_percent(log) < SAGA_LOG_FULL_PERCENT) {
            value[0]++;
            saga_log_put(log, SAGA_TABLE_KEPT, key,
                         (struct saga_bytes){.data = value, .size = sizeof value});
            scene_flush(log);
        }
    }
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(deed->text.text, "--rate"));
    ck_assert(!file_exists(deed->file));
    const uint32_t percent = saga_log_full_percent(log);
    for (int i = 0; i < 50; i++) { /* and the pages are free again */
        value[0]++;
        saga_log_put(log, SAGA_TABLE_KEPT, key,
                     (struct saga_bytes){.data = value, .size = sizeof value});
        scene_flush(log);
    }
    ck_assert_uint_le(saga_log_full_percent(log), percent + 3);
    saga_log_close(log);
}
END_TEST

/* ------------------------------------------------------------------- damage */

static uint64_t rounds(void) {
    const char *text = getenv("SAGA_DAMAGE_ROUNDS");
    return text != NULL ? strtoull(text, NULL, 10) : 400;
}

static size_t damage(uint8_t *bytes, size_t size, struct splitmix *random) {
    const size_t at = splitmix_below(random, size);
    switch (splitmix_below(random, 6)) {
    case 0:
        return at; /* cut */
    case 1: {
        const size_t end = at / 512 * 512 + 512 <= size ? at / 512 * 512 + 512 : size;
        memset(bytes + at / 512 * 512, 0, end - at / 512 * 512);
        return size;
    }
    case 2: {
        uint8_t page[512];
        const size_t a = at / 512 * 512;
        const size_t b = splitmix_below(random, size / 512) * 512;
        memcpy(page, bytes + a, 512);
        memcpy(bytes + a, bytes + b, 512);
        memcpy(bytes + b, page, 512);
        return size;
    }
    case 3: /* a bit of what is not pages: headers, identity, its own words */
        bytes[splitmix_below(random, 2) == 0 ? at % 1536 : size - 1 - at % 2048] ^=
            (uint8_t)(1u << splitmix_below(random, 8));
        return size;
    default:
        bytes[at] ^= (uint8_t)(1u << splitmix_below(random, 8));
        return size;
    }
}

START_TEST(a_damaged_backup_is_refused) {
    saga_log_close(backup_make_log(60));
    backup_take();
    size_t size;
    uint8_t *whole = file_read(deed->file, &size);
    uint8_t *bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(bytes);
    struct splitmix random = {2027};
    unsigned same = 0;
    for (uint64_t i = 0; i < rounds(); i++) {
        memcpy(bytes, whole, size);
        const size_t damaged = damage(bytes, size, &random);
        if (damaged == size && memcmp(bytes, whole, size) == 0) {
            same++; /* zeros were zeroed */
            continue;
        }
        file_write(deed->file, bytes, damaged);
        ck_assert_int_eq(restore_run(), 0);
        ck_assert_msg(deed->error == SAGA_ERROR_LOG_REFUSED, "round %" PRIu64 ": %d %s", i,
                      deed->error, deed->text.text);
        ck_assert_ptr_nonnull(strstr(deed->text.text, deed->file));
        backup_assert_no_log();
        backup_forget_restored();
    }
    ck_assert_uint_lt(same, rounds() / 4);
    memcpy(bytes, whole, size);
    bytes[size] = 0;
    file_write(deed->file, bytes, size + 1); /* one more byte */
    ck_assert_int_eq(restore_run(), 0);
    ck_assert_int_eq(deed->error, SAGA_ERROR_LOG_REFUSED);
    file_write(deed->file, whole, size);
    restore_take();
    backup_assert_restored();
    free(bytes);
    free(whole);
}
END_TEST

/* -------------------------------------------------------------------- suite */

static TCase *group(Suite *suite, const char *name) {
    TCase *group = tcase_create(name);
    tcase_add_checked_fixture(group, backup_scene_setup, backup_scene_teardown);
    tcase_set_timeout(group, 100);
    suite_add_tcase(suite, group);
    return group;
}

static Suite *suite(void) {
    Suite *suite = suite_create("backup");
    TCase *whole = group(suite, "whole");
    tcase_add_test(whole, a_backup_of_a_log_restores_to_it);
    tcase_add_test(whole, a_backup_of_a_log_without_records_restores);
    tcase_add_loop_test(whole, backups_under_load_are_each_of_one_moment, 0, 3);
    tcase_add_test(whole, a_dead_log_is_backed_up_as_a_living_one);
    tcase_add_test(whole, what_was_deleted_is_not_in_a_backup);
    TCase *refused = group(suite, "refused");
    tcase_add_test(refused, nothing_is_ever_overwritten);
    tcase_add_test(refused, a_directory_with_anything_in_it_is_left_alone);
    tcase_add_test(refused, a_directory_that_a_daemon_has_is_not_restored_into);
    tcase_add_test(refused, there_is_no_backup_of_a_damaged_log);
    TCase *readers = group(suite, "who reads");
    tcase_add_test(readers, a_stalled_reader_keeps_nobody);
    tcase_add_test(readers, a_reader_that_goes_away_is_an_error);
    tcase_add_test(readers, a_backup_gives_up_before_it_fills_the_log);
    TCase *damaged = group(suite, "damage");
    tcase_add_test(damaged, a_damaged_backup_is_refused);
    return suite;
}

int main(void) {
    return check_run(suite());
}
