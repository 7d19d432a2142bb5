/* Backups and restores on disks that are full or fail, killed at any call, and when the power is
 * lost. */
#include "backup_scene.h"

#include "check_run.h"
#include "crash_disk.h"
#include "splitmix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------- faults */

/* Call after call: what is there then is nothing, or a whole backup with its name. */
START_TEST(killed_at_any_call_a_backup_is_there_or_not) {
    struct saga_log *log = backup_make_log(30);
    unsigned at = 1;
    deed->fault = DISK_KILLS;
    for (;; at++) {
        deed->fault_at = at;
        const int status = backup_run();
        if (file_exists(deed->file)) {
            const enum disk_fault fault = deed->fault;
            deed->fault = 0;
            deed->backup.about.last_lsn = saga_log_durable(log);
            (void)snprintf(deed->backup.about.identity, sizeof deed->backup.about.identity, "%s",
                           saga_log_identity(log));
            restore_take();
            backup_assert_restored();
            backup_forget_restored();
            backup_forget();
            deed->fault = fault;
        }
        backup_forget_part();
        if (WIFEXITED(status)) {
            break;
        }
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
        scene_append(log, 3); /* the dead reader keeps nobody */
    }
    ck_assert_uint_gt(at, 6); /* create, some writes, sync, rename, sync */
    saga_log_close(log);
}
END_TEST

START_TEST(killed_at_any_call_of_a_restore_a_log_is_there_or_not) {
    saga_log_close(backup_make_log(30));
    backup_take();
    unsigned at = 1;
    unsigned unfinished = 0;
    for (bool killed = true; killed; at++) {
        deed->fault = DISK_KILLS;
        deed->fault_at = at;
        const int status = restore_run();
        killed = WIFSIGNALED(status);
        deed->fault = 0;
        char log[SCRATCH_PATH_MAX + 8];
        (void)snprintf(log, sizeof log, "%s/log", deed->data_dir);
        if (!file_exists(log)) {
            ck_assert(killed);
            unfinished++;
            if (file_exists(deed->data_dir)) {
                backup_assert_no_log();
            }
            restore_take(); /* it can be run again */
        }
        backup_assert_restored();
        backup_forget_restored();
    }
    ck_assert_uint_gt(unfinished, 15);
    ck_assert_uint_gt(at, unfinished + 2); /* after the rename as well */
}
END_TEST

static const struct {
    enum disk_fault fault;
    int number;
} failures[] = {{DISK_FAILS, ENOSPC}, {DISK_FAILS, EIO}, {DISK_LIES, EIO}};
#define FAILURE_COUNT ((int)(sizeof failures / sizeof failures[0]))

START_TEST(a_disk_that_fails_a_backup_leaves_nothing) {
    struct saga_log *log = backup_make_log(30);
    unsigned failed = 0;
    deed->number = failures[_i].number;
    for (unsigned at = 1;; at++) {
        deed->fault = failures[_i].fault;
        deed->fault_at = at;
        ck_assert_int_eq(backup_run(), 0);
        deed->fault = 0;
        const bool struck = deed->calls >= at;
        if (deed->error == SAGA_OK) {
            restore_take();
            backup_assert_restored();
            backup_forget_restored();
            backup_forget();
        } else {
            ck_assert(struck);
            ck_assert_ptr_nonnull(strstr(deed->text.text, deed->file));
            /* What fails after it is done may leave what is whole, or the half that it said. */
            ck_assert(failures[_i].fault == DISK_LIES || !file_exists(deed->file));
            ck_assert(failures[_i].fault == DISK_LIES || !backup_part_exists());
            failed++;
            backup_forget();
            backup_forget_part();
        }
        scene_append(log, 2);
        if (!struck) {
            break;
        }
    }
    ck_assert_uint_ge(failed, 5);
    saga_log_close(log);
}
END_TEST

START_TEST(a_disk_that_fails_a_restore_leaves_no_log_or_a_whole_one) {
    saga_log_close(backup_make_log(30));
    backup_take();
    unsigned failed = 0;
    deed->number = failures[_i].number;
    for (unsigned at = 1;; at++) {
        deed->fault = failures[_i].fault;
        deed->fault_at = at;
        ck_assert_int_eq(restore_run(), 0);
        deed->fault = 0;
        const bool struck = deed->calls >= at;
        char log[SCRATCH_PATH_MAX + 8];
        (void)snprintf(log, sizeof log, "%s/log", deed->data_dir);
        if (deed->error != SAGA_OK) {
            ck_assert_ptr_nonnull(strstr(deed->text.text, deed->data_dir));
            failed++;
        }
        if (!file_exists(log)) {
            ck_assert_int_ne(deed->error, SAGA_OK);
            if (file_exists(deed->data_dir)) {
                backup_assert_no_log();
            }
            restore_take();
        }
        backup_assert_restored();
        backup_forget_restored();
        if (!struck) {
            break;
        }
    }
    ck_assert_uint_ge(failed, 10);
}
END_TEST

/* --------------------------------------------------------------- power lost */

static ino_t inode_of(const char *path) {
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_ino;
}

/* What judges the directory `path`, as the disk may have it; true: what was made is there. */
static unsigned lose_power(ino_t root, const char *path,
                           bool (*judge)(const char *path, enum crash_keep keep)) {
    struct splitmix random = {99};
    size_t count;
    const struct disk_event *events = faulty_disk_events(&count);
    struct crash_disk *disk = crash_disk_open(root, events);
    unsigned there = 0;
    unsigned states = 0;
    bool is_there = false;
    for (size_t i = 0; i < count; i++) {
        crash_disk_step(disk);
        for (int k = 0; k < 12; k++) {
            const enum crash_keep keep = k < 4        ? (enum crash_keep)(CRASH_NONE + k)
                                         : k % 2 == 0 ? CRASH_RANDOM
                                                      : CRASH_MOST;
            crash_disk_show(disk, k % 3 == 0 ? 4096 : 512, keep, &random, path);
            is_there = judge(path, keep);
            there += is_there;
            directory_remove(path);
            states++;
        }
    }
    crash_disk_close(disk);
    ck_assert(is_there); /* at the end, whatever was not synced */
    ck_assert_uint_gt(there, 12);
    return states - there;
}

static uint8_t *whole_backup;
static size_t whole_backup_size;

/* A file with that name is whole. */
static bool is_whole_backup(const char *path, enum crash_keep keep) {
    (void)keep;
    char file[SCRATCH_PATH_MAX + 16];
    size_t size;
    (void)snprintf(file, sizeof file, "%s/backup.tar", path);
    if (!file_exists(file)) {
        return false;
    }
    uint8_t *bytes = file_read(file, &size);
    ck_assert_uint_eq(size, whole_backup_size);
    ck_assert_int_eq(memcmp(bytes, whole_backup, size), 0);
    free(bytes);
    return true;
}

static int lose_power_backing_up(void *unused) {
    (void)unused;
    ck_assert_int_eq(mkdir(scratch_file(&scene, "backups"), 0750), 0);
    (void)snprintf(deed->file, sizeof deed->file, "%s", scratch_file(&scene, "backups/backup.tar"));
    faulty_disk_record();
    ck_assert_int_eq(backup_take_here(), SAGA_OK);
    whole_backup = file_read(deed->file, &whole_backup_size);
    const unsigned without = lose_power(inode_of(scratch_file(&scene, "backups")),
                                        scratch_file(&scene, "crashed"), is_whole_backup);
    return without > 12 ? 0 : 1;
}

START_TEST(after_power_loss_a_backup_is_there_or_not) {
    saga_log_close(backup_make_log(30));
    ck_assert_int_eq(child_run(lose_power_backing_up, NULL), 0);
}
END_TEST

/* Before anything is unpacked it is durable that a restore was begun; and from then on there is
 * that sign, or a log. */
static void expect_sign(const char *path, enum crash_keep keep) {
    static bool durable;
    char stage[SCRATCH_PATH_MAX + 16];
    char unpacked[SCRATCH_PATH_MAX + 32];
    char log[SCRATCH_PATH_MAX + 16];
    (void)snprintf(stage, sizeof stage, "%s/log.restore", path);
    (void)snprintf(unpacked, sizeof unpacked, "%s/log.restore/log.tmp", path);
    (void)snprintf(log, sizeof log, "%s/log", path);
    durable = durable || (keep == CRASH_NONE && file_exists(stage));
    ck_assert(!durable || file_exists(stage) || file_exists(log));
    ck_assert(durable || !file_exists(unpacked));
}

/* No log, or a whole one; and a daemon begins none beside what was begun. */
static bool is_whole_log(const char *path, enum crash_keep keep) {
    struct saga_log_options options = {.data_dir = path, .read_only = true};
    struct saga_log *log;
    struct saga_fault fault = {0};
    uint64_t last;
    char stage[SCRATCH_PATH_MAX + 16];
    expect_sign(path, keep);
    enum saga_error error = saga_log_open(&log, &options, &fault);
    if (error == SAGA_OK) {
        ck_assert_msg(ledger_read(log, &last, &fault) == SAGA_OK, "%s", fault.text);
        ck_assert_uint_eq(last, deed->backup.about.last_lsn);
        saga_log_close(log);
        return true;
    }
    ck_assert_msg(error == SAGA_ERROR_NOT_FOUND, "%s", fault.text);
    (void)snprintf(stage, sizeof stage, "%s/log.restore", path);
    options = (struct saga_log_options){.data_dir = path, .map_bytes_max = SCENE_MAP_BYTES};
    if (file_exists(stage)) {
        ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_LOG_REFUSED);
    }
    return false;
}

static int lose_power_restoring(void *unused) {
    (void)unused;
    ck_assert_int_eq(mkdir(deed->data_dir, 0750), 0);
    faulty_disk_record();
    ck_assert_int_eq(restore_take_here(), SAGA_OK);
    const unsigned without =
        lose_power(inode_of(deed->data_dir), scratch_file(&scene, "crashed"), is_whole_log);
    return without > 100 ? 0 : 1;
}

START_TEST(after_power_loss_a_restored_log_is_there_or_not) {
    saga_log_close(backup_make_log(30));
    backup_take();
    ck_assert_int_eq(child_run(lose_power_restoring, NULL), 0);
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
    Suite *suite = suite_create("backup faults");
    TCase *faults = group(suite, "faults");
    tcase_add_test(faults, killed_at_any_call_a_backup_is_there_or_not);
    tcase_add_test(faults, killed_at_any_call_of_a_restore_a_log_is_there_or_not);
    tcase_add_loop_test(faults, a_disk_that_fails_a_backup_leaves_nothing, 0, FAILURE_COUNT);
    tcase_add_loop_test(faults, a_disk_that_fails_a_restore_leaves_no_log_or_a_whole_one, 0,
                        FAILURE_COUNT);
    TCase *power = group(suite, "power loss");
    tcase_add_test(power, after_power_loss_a_backup_is_there_or_not);
    tcase_add_test(power, after_power_loss_a_restored_log_is_there_or_not);
    return suite;
}

int main(void) {
    return check_run(suite());
}
