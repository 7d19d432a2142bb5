/* sagalog export: every record, in order, and nothing of it lost. */
#include "sagalog_fixture.h"
#include "sagalog_stories.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "engine_fixture.h"
#include "export_reading.h"

static struct scratch scratch;

static void set_up(void) {
    scratch_open(&scratch);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

/* ---------------------------------------------------------- compared with the log */

static void expect_bytes(struct saga_bytes got, struct saga_bytes wanted) {
    ck_assert_uint_eq(got.size, wanted.size);
    if (got.size > 0) {
        ck_assert_mem_eq(got.data, wanted.data, got.size);
    }
}

static void expect_equal(const struct saga_record *got, const struct saga_record *wanted) {
    ck_assert_uint_eq(got->lsn, wanted->lsn);
    ck_assert_uint_eq(got->previous_lsn, wanted->previous_lsn);
    ck_assert_mem_eq(&got->saga, &wanted->saga, sizeof got->saga);
    ck_assert_int_eq(got->at_ms, wanted->at_ms);
    ck_assert_int_eq(got->wall_ms, wanted->wall_ms);
    ck_assert_uint_eq(got->definition_lsn, wanted->definition_lsn);
    ck_assert_uint_eq(got->epoch, wanted->epoch);
    ck_assert_uint_eq(got->attempt, wanted->attempt);
    ck_assert_uint_eq(got->incarnation, wanted->incarnation);
    ck_assert_uint_eq(got->revision, wanted->revision);
    ck_assert_uint_eq(got->fact, wanted->fact);
    ck_assert_uint_eq(got->step, wanted->step);
    ck_assert_uint_eq(got->operation, wanted->operation);
    ck_assert_uint_eq(got->verdict, wanted->verdict);
    ck_assert_uint_eq(got->reason, wanted->reason);
    ck_assert_uint_eq(got->outcome, wanted->outcome);
    ck_assert_uint_eq(got->verb, wanted->verb);
    ck_assert_uint_eq(got->through_lsn, wanted->through_lsn);
    expect_bytes(got->key, wanted->key);
    expect_bytes(got->payload, wanted->payload);
    expect_bytes(got->content, wanted->content);
}

/* Compares what was printed with the log, record by record. */
static uint64_t compare_with_log(void) {
    struct saga_log *log;
    struct saga_log_reader *reader;
    struct saga_record wanted;
    struct saga_fault fault = {0};
    const struct saga_log_options options = {.data_dir = scratch.path, .read_only = true};
    uint64_t count = 0;
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    const char *line = printed;
    json_t *json = export_next(&line);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "export")), 1);
    for (; saga_log_reader_next(reader, &wanted, &fault) == SAGA_OK; count++) {
        json_decref(json);
        json = export_next(&line);
        struct saga_record got = export_record(json);
        expect_equal(&got, &wanted);
        export_record_free(&got);
    }
    while (json_object_get(json, "end") == NULL) {
        json_decref(json);
        json = export_next(&line);
        ck_assert_ptr_null(json_object_get(json, "lsn"));
    }
    json_decref(json);
    ck_assert_str_eq(line, "");
    saga_log_reader_close(reader);
    saga_log_close(log);
    return count;
}

/* ---------------------------------------------------------------------- tests */

START_TEST(every_record_of_every_kind_can_be_read_back) {
    stories_write(scratch.path);
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
    ck_assert_str_eq(complained, "");
    ck_assert_uint_eq(compare_with_log(), 231);
}
END_TEST

START_TEST(what_no_daemon_would_write_can_be_read_back) {
    static const uint8_t every_byte[] = {0xff, 0x00, 0x80, 0xc0, 0xaf, 0x0a};
    daemon_open(scratch.path);
    daemon_kill();
    /* Numbers and names of a later version, and bytes that are no text; all lengths of base64. */
    for (uint32_t i = 0; i <= sizeof every_byte; i++) {
        (void)record_append(scratch.path, (struct saga_record){
                                              .fact = (uint8_t)(200 + i),
                                              .step = (uint8_t)(250 + i),
                                              .saga = {.bytes = {i == 3 ? 0 : 7}},
                                              .at_ms = INT64_MIN + i,
                                              .wall_ms = -1,
                                              .definition_lsn = UINT64_MAX - i,
                                              .through_lsn = UINT64_MAX / 2 + i,
                                              .attempt = UINT32_MAX,
                                              .incarnation = UINT16_MAX,
                                              .revision = UINT16_MAX,
                                              .operation = 255,
                                              .verdict = 99,
                                              .reason = 7,
                                              .outcome = 3,
                                              .verb = 3,
                                              .key = {.data = every_byte, .size = i},
                                              .payload = {.data = every_byte, .size = i},
                                              .content = {.data = every_byte, .size = i},
                                          });
    }
    /* A text with all that JSON has to escape, U+0000 too. */
    (void)record_append(
        scratch.path,
        (struct saga_record){
            .fact = SAGA_OPERATOR_ACTED,
            .step = SAGA_STEP_NONE,
            .key = {.data = "a\0\x1b\"\\\n\x7f\xc2\x85\xe2\x80\xae\xe2\x80\xac", .size = 15},
            .payload = {.data = "\xf0\x9f\x9a\x97\xf3\xa0\x81\x81", .size = 8},
        });
    ck_assert_int_eq(SAGALOG(scratch.path, "export", "--json"), 0);
    expect_in(printed, "\"fact\":200");
    expect_in(printed, "\"definition_lsn\":\"18446744073709551615\"");
    expect_in(printed, "\"payload_base64\":\"/wCAwK8K\"");
    /* The direction of writing and a control character in one code: escaped as well. */
    expect_in(printed, "\\u007f\\u0085\\u202e\\u202c");
    ck_assert_uint_eq(compare_with_log(), 10);
}
END_TEST

/* Appends a lot in one go. */
static int write_much(void *count) {
    struct saga_log *log;
    struct saga_fault fault;
    static char payload[4096];
    const struct saga_log_options options = {.data_dir = scratch.path, .map_bytes_max = 1u << 30};
    memset(payload, 'x', sizeof payload);
    if (saga_log_open(&log, &options, &fault) != SAGA_OK) {
        return 1;
    }
    for (int i = 0; i < *(int *)count; i++) {
        const struct saga_record record = {
            .lsn = saga_log_next_lsn(log),
            .fact = SAGA_EPOCH_STARTED,
            .step = SAGA_STEP_NONE,
            .epoch = 1,
            .at_ms = 1,
            .payload = {.data = payload, .size = sizeof payload},
        };
        if (saga_log_batch_full(log) && saga_log_flush(log, &fault) != SAGA_OK) {
            return 1;
        }
        saga_log_append(log, &record);
    }
    const bool flushed = saga_log_flush(log, &fault) == SAGA_OK;
    saga_log_close(log);
    return flushed ? 0 : 1;
}

/* The most memory of its own (not of the mapped file) that an export took. */
static long export_kib(const char *name) {
    struct sagalog_process process;
    char line[256];
    long kib = -1;
    sagalog_start(&process, scratch.path, name, NULL);
    sagalog_await(&process, "\n"); /* it stands in write(): the pipe is full */
    (void)snprintf(line, sizeof line, "/proc/%d/status", (int)process.pid);
    FILE *file = fopen(line, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "RssAnon: %ld kB", &kib);
    }
    (void)fclose(file);
    ck_assert_int_eq(close(process.out), 0);
    process.out = -1;
    const int status = sagalog_end(&process);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d: %s", status, complained);
    return kib;
}

START_TEST(memory_does_not_grow_with_the_log) {
    int few = 2000;
    int many = 18000;
    ck_assert_int_eq(child_run(write_much, &few), 0);
    const long small = export_kib("export");
    ck_assert_int_eq(child_run(write_much, &many), 0);
    const long large = export_kib("export");
    ck_assert_msg(small > 0 && large < small + 1024, "%ld and %ld KiB", small, large);
}
END_TEST

/* A log of half a megabyte in a map of 64, and an export of it whose reader has stopped. */
static void stall(struct sagalog_process *process) {
    static char input[4096];
    world_init(scratch.path);
    world.map_bytes = 64u << 20;
    world.sagas_max = 10000;
    world.now = (struct saga_moment){.boot_ms = 1000, .wall_ms = 1718098200000};
    daemon_open(scratch.path);
    (void)snprintf(input, sizeof input, "{\"text\":\"%03900d\"}", 0);
    for (int i = 0; i < 120; i++) {
        (void)booking_start("", input);
    }
    sagalog_start(process, scratch.path, "export", NULL);
    sagalog_await(process, "\n"); /* it stands before the pipe, which is full, and has its view */
}

static void read_to_the_end(struct sagalog_process *process) {
    ssize_t got;
    do {
        process->text = realloc(process->text, process->size + 4097);
        ck_assert_ptr_nonnull(process->text);
        got = read(process->out, process->text + process->size, 4096);
        ck_assert_int_ge(got, 0);
        process->size += (size_t)got;
    } while (got > 0);
    process->text[process->size] = '\0';
}

/* It is of one moment, whatever is written meanwhile. */
START_TEST(what_is_written_meanwhile_is_not_in_it) {
    struct sagalog_process process;
    stall(&process);
    (void)booking_start("a late one", "{}");
    read_to_the_end(&process);
    ck_assert_ptr_nonnull(strstr(process.text, "\n{\"end\":"));
    ck_assert_ptr_null(strstr(process.text, "a late one"));
    const int status = sagalog_end(&process);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d: %s", status, complained);
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
    ck_assert_ptr_nonnull(strstr(printed, "a late one"));
    daemon_kill();
}
END_TEST

START_TEST(it_gives_up_before_it_fills_the_log) {
    struct sagalog_process process;
    stall(&process);
    daemon_write(30u << 20); /* half of the room, and more */
    read_to_the_end(&process);
    const int status = sagalog_end(&process);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%d: %s", status, complained);
    expect_in(complained, "since pages cannot be reused while an export reads them");
    daemon_kill();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog export");
    TCase *tests = tcase_create("export");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_record_of_every_kind_can_be_read_back);
    tcase_add_test(tests, what_no_daemon_would_write_can_be_read_back);
    tcase_add_test(tests, memory_does_not_grow_with_the_log);
    tcase_add_test(tests, what_is_written_meanwhile_is_not_in_it);
    tcase_add_test(tests, it_gives_up_before_it_fills_the_log);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
