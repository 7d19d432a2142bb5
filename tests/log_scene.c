#include "log_scene.h"

#include <string.h>

struct scratch scene;

void scene_setup(void) {
    scratch_open(&scene);
}

void scene_teardown(void) {
    scratch_close(&scene);
}

struct saga_log *scene_open(void) {
    struct saga_log_options options = {.data_dir = scene.path, .map_bytes_max = SCENE_MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

struct saga_log *scene_inspect(void) {
    struct saga_log_options options = {.data_dir = scene.path, .read_only = true};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

enum saga_error scene_refused(bool read_only, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scene.path, .map_bytes_max = SCENE_MAP_BYTES, .read_only = read_only};
    struct saga_log *log;
    fault->text[0] = '\0';
    enum saga_error error = saga_log_open(&log, &options, fault);
    ck_assert_int_ne(error, SAGA_OK);
    ck_assert_int_eq(fault->error, error);
    ck_assert_uint_gt(strlen(fault->text), 20);
    return error;
}

void scene_flush(struct saga_log *log) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_flush(log, &fault) == SAGA_OK, "%s", fault.text);
}

void scene_append(struct saga_log *log, uint32_t count) {
    ledger_append(log, count);
    scene_flush(log);
}

void scene_assert_content(struct saga_log *log, uint64_t last_expected) {
    struct saga_fault fault = {0};
    uint64_t last = 0;
    ck_assert_msg(ledger_read(log, &last, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(last, last_expected);
    ck_assert_uint_eq(saga_log_durable(log), last_expected);
}

void scene_assert_reads(struct saga_log *log, uint64_t lsn) {
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_read(log, NULL, lsn, &record, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(record.lsn, lsn);
    ck_assert(ledger_holds(&record));
}

int scene_read_all(void *last_expected) {
    struct saga_log *log = scene_inspect();
    struct saga_fault fault = {0};
    uint64_t last = 0;
    enum saga_error error = ledger_read(log, &last, &fault);
    saga_log_close(log);
    return error == SAGA_OK && last == *(uint64_t *)last_expected ? 0 : 1;
}

TCase *scene_group(Suite *suite, const char *name) {
    TCase *group = tcase_create(name);
    tcase_add_checked_fixture(group, scene_setup, scene_teardown);
    tcase_set_timeout(group, 60);
    suite_add_tcase(suite, group);
    return group;
}
