/* Logs that go on from what stood elsewhere: their first record, their identity, and that there is
 * none until it is whole. */
#include "graft.h"

#include "check_run.h"
#include "faulty_disk.h"
#include "log_scene.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDENTITY "0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10"
#define CREATED  "2026-01-01T12:00:00Z"

static char data_dir[SCRATCH_PATH_MAX + 16];

static void set_up(void) {
    scene_setup();
    (void)snprintf(data_dir, sizeof data_dir, "%s", scratch_file(&scene, "grafted"));
}

static void set_up_in_memory(void) {
    scratch_open_in_memory(&scene); /* syncs by the thousand */
    (void)snprintf(data_dir, sizeof data_dir, "%s", scratch_file(&scene, "grafted"));
}

static struct saga_graft_options options_of(uint64_t first_lsn) {
    const struct saga_record before = ledger_record(first_lsn - 1);
    struct saga_graft_options options = {
        .data_dir = data_dir,
        .map_bytes_max = SCENE_MAP_BYTES,
        .origin = {.identity = IDENTITY, .created = CREATED, .first_lsn = first_lsn},
    };
    if (first_lsn > 1) {
        options.origin.before = (struct saga_checkpoint){
            .lsn = first_lsn - 1, .epoch = before.epoch, .epoch_ms = 1, .at_ms = before.at_ms};
    }
    return options;
}

/* One of so many records, from the first on. */
static enum saga_error make(uint64_t first_lsn, uint32_t count, bool commit,
                            struct saga_fault *fault) {
    const struct saga_graft_options options = options_of(first_lsn);
    struct saga_graft *graft;
    enum saga_error error = saga_graft_open(&graft, &options, fault);
    if (error != SAGA_OK) {
        return error;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct saga_record record = ledger_record(first_lsn + i);
        saga_log_append(saga_graft_log(graft), &record);
        error = i % 50 == 49 ? saga_log_flush(saga_graft_log(graft), fault) : SAGA_OK;
        if (error != SAGA_OK) {
            break;
        }
    }
    if (!commit || error != SAGA_OK) {
        saga_graft_abort(graft);
        return error;
    }
    uint64_t records = 0;
    error = saga_graft_commit(graft, &records, fault);
    ck_assert(error != SAGA_OK || records == count);
    return error;
}

/* The log has just these records of the ledger, and takes the next. */
static void assert_goes_on(uint64_t first_lsn, uint32_t count) {
    const struct saga_log_options options = {.data_dir = data_dir,
                                             .map_bytes_max = SCENE_MAP_BYTES};
    struct saga_fault fault = {0};
    struct saga_record record;
    for (uint32_t round = 0; round < 2; round++, count++) {
        struct saga_log *log;
        ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
        ck_assert_str_eq(saga_log_identity(log), IDENTITY);
        ck_assert_str_eq(saga_log_created(log), CREATED);
        ck_assert_uint_eq(saga_log_first_lsn(log), first_lsn);
        ck_assert_uint_eq(saga_log_next_lsn(log), first_lsn + count);
        ck_assert_uint_eq(saga_log_checkpoint(log).lsn, first_lsn - 1);
        ck_assert_uint_eq(saga_log_epoch(log),
                          first_lsn + count == 1 ? 0 : ledger_record(first_lsn + count - 1).epoch);
        for (uint64_t lsn = first_lsn; lsn < first_lsn + count; lsn++) {
            ck_assert_msg(saga_log_read(log, NULL, lsn, &record, &fault) == SAGA_OK, "%s",
                          fault.text);
            ck_assert(ledger_holds(&record));
        }
        if (first_lsn > 1) {
            const enum saga_error error = saga_log_read(log, NULL, first_lsn - 1, &record, &fault);
            ck_assert_int_eq(error, SAGA_ERROR_NOT_FOUND);
        }
        record = ledger_record(first_lsn + count);
        saga_log_append(log, &record);
        ck_assert_msg(saga_log_flush(log, &fault) == SAGA_OK, "%s", fault.text);
        saga_log_close(log);
    }
}

START_TEST(a_log_goes_on_from_any_record) {
    static const struct {
        uint64_t first_lsn;
        uint32_t count;
    } cases[] = {{1, 0}, {1, 300}, {2, 0}, {901, 700}, {(uint64_t)1 << 61, 40}};
    struct saga_fault fault = {0};
    ck_assert_msg(make(cases[_i].first_lsn, cases[_i].count, true, &fault) == SAGA_OK, "%s",
                  fault.text);
    assert_goes_on(cases[_i].first_lsn, cases[_i].count);
}
END_TEST

START_TEST(an_aborted_one_leaves_no_log) {
    struct saga_fault fault = {0};
    char path[sizeof data_dir + 16];
    ck_assert_int_eq(make(901, 120, false, &fault), SAGA_OK);
    (void)snprintf(path, sizeof path, "%s/log", data_dir);
    ck_assert(!file_exists(path));
    (void)snprintf(path, sizeof path, "%s/log.restore", data_dir);
    ck_assert(!file_exists(path));
    ck_assert_msg(make(901, 120, true, &fault) == SAGA_OK, "%s", fault.text);
    assert_goes_on(901, 120);
}
END_TEST

static int die_half_way(void *unused) {
    (void)unused;
    const struct saga_graft_options options = options_of(7);
    struct saga_graft *graft;
    struct saga_fault fault = {0};
    if (saga_graft_open(&graft, &options, &fault) != SAGA_OK) {
        return 1;
    }
    const struct saga_record record = ledger_record(7);
    saga_log_append(saga_graft_log(graft), &record);
    _exit(saga_log_flush(saga_graft_log(graft), &fault) == SAGA_OK ? 0 : 1);
}

START_TEST(a_killed_one_is_no_log_and_can_be_made_again) {
    const struct saga_log_options options = {.data_dir = data_dir,
                                             .map_bytes_max = SCENE_MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(child_run(die_half_way, NULL), 0);
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "or an import, was begun and not finished"));
    ck_assert_msg(make(901, 120, true, &fault) == SAGA_OK, "%s", fault.text);
    assert_goes_on(901, 120);
}
END_TEST

START_TEST(what_cannot_be_gone_on_from_is_refused) {
    struct saga_fault fault = {0};
    struct saga_graft *graft;
    for (int i = 0; i < 6; i++) {
        struct saga_graft_options options = options_of(i == 5 ? 1 : 901);
        struct saga_log_origin *origin = &options.origin;
        origin->identity = i == 0 ? "0f3c2f4e" : IDENTITY;
        origin->created = i == 1 ? "yesterday" : CREATED;
        origin->first_lsn = i == 2 ? 0 : i == 5 ? 1 : 901;
        origin->before.lsn -= i == 3 ? 1 : 0;
        origin->before.epoch = i == 4 ? 0 : i == 5 ? 1 : origin->before.epoch;
        ck_assert_int_eq(saga_graft_open(&graft, &options, &fault), SAGA_ERROR_INVALID);
    }
    ck_assert_int_eq(make(901, 10, true, &fault), SAGA_OK);
    ck_assert_int_eq(make(901, 10, true, &fault), SAGA_ERROR_CONFLICT);
    const struct saga_graft_options options = options_of(5);
    const struct saga_log_options onto = {.data_dir = data_dir, .origin = &options.origin};
    struct saga_log *log;
    ck_assert_int_eq(saga_log_open(&log, &onto, &fault), SAGA_ERROR_CONFLICT);
    assert_goes_on(901, 10);
}
END_TEST

/* --------------------------------------------------------------------- faults */

struct strike {
    enum disk_fault fault;
    unsigned at;
    int number;
};

/* 0: it was made; 1: it was not, as it said; 2: and the fault did not come. */
static int make_struck(void *context) {
    const struct strike *strike = context;
    struct saga_fault fault = {0};
    faulty_disk_arm(strike->fault, strike->at, strike->number);
    const enum saga_error error = make(901, 120, true, &fault);
    const bool struck = faulty_disk_disarm() >= strike->at;
    if (error != SAGA_OK) {
        return struck && fault.text[0] != '\0' ? 1 : 3;
    }
    return struck ? 0 : 2;
}

static bool is_there(const char *name) {
    char path[sizeof data_dir + 16];
    (void)snprintf(path, sizeof path, "%s/%s", data_dir, name);
    return file_exists(path);
}

/* Call after call, each with each fault: there is no log, or a whole one. */
START_TEST(a_fault_at_any_call_leaves_no_half_of_it) {
    static const struct strike strikes[] = {
        {DISK_KILLS, 0, 0}, {DISK_FAILS, 0, ENOSPC}, {DISK_FAILS, 0, EIO}, {DISK_LIES, 0, EIO}};
    struct strike strike = strikes[_i];
    unsigned without = 0;
    int status = 0;
    struct saga_fault fault = {0};
    for (strike.at = 1; !WIFEXITED(status) || WEXITSTATUS(status) != 2; strike.at++) {
        status = child_wait(child_start(make_struck, &strike));
        ck_assert(WIFEXITED(status) ? WEXITSTATUS(status) <= 2 : strike.fault == DISK_KILLS);
        if (!is_there("log")) {
            without++;
            ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 1);
            ck_assert_msg(strike.fault == DISK_KILLS || !is_there("log.restore"), "call %u",
                          strike.at);
            ck_assert_msg(make(901, 120, true, &fault) == SAGA_OK, "%s", fault.text);
        }
        assert_goes_on(901, 120);
        directory_remove(scratch_file(&scene, "grafted/log"));
        directory_remove(data_dir);
    }
    ck_assert_uint_gt(without, 20);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("graft");
    TCase *tests = tcase_create("graft");
    tcase_add_checked_fixture(tests, set_up, scene_teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_log_goes_on_from_any_record, 0, 5);
    tcase_add_test(tests, an_aborted_one_leaves_no_log);
    tcase_add_test(tests, a_killed_one_is_no_log_and_can_be_made_again);
    tcase_add_test(tests, what_cannot_be_gone_on_from_is_refused);
    suite_add_tcase(suite, tests);
    TCase *faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, set_up_in_memory, scene_teardown);
    tcase_set_timeout(faults, 120);
    tcase_add_loop_test(faults, a_fault_at_any_call_leaves_no_half_of_it, 0, 4);
    suite_add_tcase(suite, faults);
    return check_run(suite);
}
