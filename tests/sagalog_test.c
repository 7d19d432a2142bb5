/* sagalog on a log in good order: what it prints, and how it ends. */
#include "sagalog_fixture.h"
#include "sagalog_stories.h"

#include <check.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "ids.h"
#include "json.h"

static struct scratch scratch; /* with the log in it; nobody changes it */

static void write_log(void) {
    scratch_open(&scratch);
    stories_write(scratch.path);
    (void)unsetenv("COLUMNS");
}

static void remove_log(void) {
    scratch_close(&scratch);
}

static const char *id_of(size_t story) {
    static char text[SAGA_ID_TEXT_SIZE];
    return saga_id_text(&stories[story], text);
}

/* --------------------------------------------------------------- transcripts */

static bool writes_golden;

/* Asserts that `printed` is what the file says; or writes the file. */
static void expect_golden(const char *name) {
    char path[512];
    size_t size;
    (void)snprintf(path, sizeof path, "%s/%s.txt", SAGA_GOLDEN_DIR, name);
    if (writes_golden) {
        file_write(path, printed, printed_size);
        return;
    }
    uint8_t *golden = file_read(path, &size);
    ck_assert_msg(size == printed_size && memcmp(golden, printed, size) == 0,
                  "%s is:\n%.*sand this was printed:\n%s", path, (int)size, (const char *)golden,
                  printed);
    free(golden);
}

START_TEST(show_tells_the_story) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id_of((size_t)_i)), 0);
    ck_assert_str_eq(complained, "");
    expect_golden(story_names[_i]);
}
END_TEST

START_TEST(lines_are_broken_where_the_output_ends) {
    ck_assert_int_eq(setenv("COLUMNS", "72", 1), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id_of(STORY_FENCED)), 0);
    expect_golden("fenced-72");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id_of(STORY_RUNNING)), 0);
    for (const char *line = strchr(printed, '+'); *line == '+'; line = strchr(line, '\n') + 1) {
        ck_assert_int_le(strchr(line, '\n') - line, 72);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    for (const char *line = printed; *line != '\0'; line = strchr(line, '\n') + 1) {
        ck_assert_int_le(strchr(line, '\n') - line, 72);
    }
    ck_assert_int_eq(setenv("COLUMNS", "nonsense", 1), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id_of(STORY_FENCED)), 0);
    expect_golden("fenced");
}
END_TEST

START_TEST(a_list_has_the_newest_first) {
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    expect_golden("list");
}
END_TEST

START_TEST(a_tail_has_the_latest_records) {
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 0);
    expect_golden("tail");
}
END_TEST

START_TEST(nothing_hostile_reaches_a_terminal) {
    static const char *const commands[] = {"list", "tail", "stats", "verify"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 0);
        for (size_t j = 0; j < printed_size; j++) {
            const unsigned char c = (unsigned char)printed[j];
            ck_assert_msg(c == '\n' || (c >= 0x20 && c != 0x7f), "%s prints %02x", commands[i], c);
        }
        expect_not_in(printed, "gnp.exe\xff");
        expect_not_in(printed, "\xe2\x80");
    }
}
END_TEST

/* ------------------------------------------------------------------------ ids */

START_TEST(any_part_of_an_id_will_do) {
    char id[SAGA_ID_TEXT_SIZE];
    char *whole;
    (void)strcpy(id, id_of(STORY_PENDING));
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    whole = strdup(printed);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id + 28), 0);
    ck_assert_str_eq(printed, whole);
    for (char *c = id; *c != '\0'; c++) {
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "show", id), 0);
    ck_assert_str_eq(printed, whole);
    free(whole);
}
END_TEST

START_TEST(a_part_that_several_have_is_refused_with_some_of_them) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "--", "-7"), 3);
    ck_assert_str_eq(printed, "");
    expect_in(complained, "11 sagas have '-7' in their ids: ");
    expect_in(complained, id_of(STORY_RUNNING));
    expect_in(complained, " and more. Give more of the one you mean.");
    expect_not_in(complained, id_of(STORY_COMPLETED));
}
END_TEST

START_TEST(an_id_that_none_has_is_refused) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "nobody"), 3);
    expect_in(complained, "no saga in this log has 'nobody' in its id; sagalog list shows them");
    ck_assert_int_eq(
        SAGALOG(scratch.path, "show", "00000000-0000-7000-8000-000000000000-and-more-than-that"),
        3);
    ck_assert_str_eq(printed, "");
}
END_TEST

/* ----------------------------------------------------------------------- JSON */

static json_t *parse(const char *text, size_t size) {
    json_t *json = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_json_parse(text, size, &json, &fault) == SAGA_OK, "%s: %s", fault.text,
                  text);
    return json;
}

static const char *string_of(const json_t *json, const char *name) {
    const json_t *value = json_object_get(json, name);
    ck_assert_msg(json_is_string(value), "%s is no string in: %s", name, printed);
    return json_string_value(value);
}

static json_int_t number_of(const json_t *json, const char *name) {
    const json_t *value = json_object_get(json, name);
    ck_assert_msg(json_is_integer(value), "%s is no integer in: %s", name, printed);
    return json_integer_value(value);
}

START_TEST(list_as_json_is_a_saga_a_line_as_the_api_gives_it) {
    size_t count = 0;
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--json"), 0);
    for (const char *line = printed; *line != '\0'; count++) {
        const char *end = strchr(line, '\n');
        json_t *json = parse(line, (size_t)(end - line));
        ck_assert_str_eq(string_of(json, "id"), id_of(STORY_COUNT - 1 - count));
        ck_assert_str_eq(string_of(json, "saga"), "booking");
        ck_assert_int_eq(number_of(json, "version"), 3);
        ck_assert_uint_eq(json_array_size(json_object_get(json, "steps")), 6);
        ck_assert_int_eq(json_is_object(json_object_get(json, "data")), 1);
        ck_assert_int_eq(json_is_null(json_object_get(json, "ended_at")),
                         strcmp(string_of(json, "status"), "parked") == 0 ||
                             strcmp(string_of(json, "status"), "running") == 0);
        const bool waits = json_object_get(json, "attention") != NULL; /* for a person */
        ck_assert_uint_eq(json_object_size(json), waits ? 10 : 9);
        json_decref(json);
        line = end + 1;
    }
    ck_assert_uint_eq(count, STORY_COUNT);
}
END_TEST

START_TEST(show_as_json_has_the_records) {
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "--json", id_of(STORY_COMPLETED)), 0);
    ck_assert_ptr_eq(strchr(printed, '\n'), printed + printed_size - 1);
    json_t *json = parse(printed, printed_size);
    ck_assert_str_eq(string_of(json, "status"), "completed");
    const json_t *records = json_object_get(json, "records");
    ck_assert_uint_eq(json_array_size(records), 16);
    ck_assert_str_eq(string_of(json_array_get(records, 0), "fact"), "SAGA_STARTED");
    ck_assert_str_eq(string_of(json_array_get(records, 0), "key"), "key-completed");
    ck_assert_str_eq(string_of(json_array_get(records, 15), "outcome"), "completed");
    ck_assert_ptr_null(json_object_get(json, "problem"));
    json_decref(json);
}
END_TEST

START_TEST(tail_as_json_is_a_record_a_line) {
    size_t count = 0;
    ck_assert_int_eq(SAGALOG(scratch.path, "tail", "--json"), 0);
    json_int_t last = 0;
    for (const char *line = printed; *line != '\0'; count++) {
        const char *end = strchr(line, '\n');
        json_t *json = parse(line, (size_t)(end - line));
        ck_assert(last == 0 || number_of(json, "lsn") == last + 1);
        last = number_of(json, "lsn");
        json_decref(json);
        line = end + 1;
    }
    ck_assert_uint_eq(count, 20);
}
END_TEST

START_TEST(stats_count_everything) {
    ck_assert_int_eq(SAGALOG(scratch.path, "stats", "--json"), 0);
    json_t *json = parse(printed, printed_size);
    ck_assert_uint_eq(strlen(string_of(json, "log")), 36);
    ck_assert_int_eq(number_of(json, "epoch"), 2);
    ck_assert_int_eq(number_of(json, "definitions"), 1);
    ck_assert_int_eq(number_of(json, "sagas"), STORY_COUNT);
    ck_assert_int_gt(number_of(json, "bytes"), 0);
    ck_assert_int_eq(number_of(json, "bytes_max"), 512 << 20);
    const json_t *sagas = json_object_get(json, "sagas_by_status");
    ck_assert_int_eq(number_of(sagas, "running"), 1);
    ck_assert_int_eq(number_of(sagas, "parked"), 1);
    ck_assert_int_eq(number_of(sagas, "completed"), 2);
    ck_assert_int_eq(number_of(sagas, "compensated"), 5);
    ck_assert_int_eq(number_of(sagas, "inconsistent"), 1);
    ck_assert_int_eq(number_of(sagas, "completed_manually"), 1);
    ck_assert_int_eq(number_of(sagas, "quarantined"), 0);
    const json_t *facts = json_object_get(json, "records_by_fact");
    ck_assert_int_eq(number_of(facts, "SAGA_STARTED"), STORY_COUNT);
    ck_assert_int_eq(number_of(facts, "SAGA_ENDED"), 9);
    ck_assert_int_eq(number_of(facts, "EPOCH_STARTED"), 2);
    ck_assert_int_eq(number_of(facts, "DEFINITION_LOADED"), 1);
    ck_assert_int_eq(number_of(facts, "LATE_REPLY_RECEIVED"), 1);
    json_int_t records = 0;
    const char *name;
    json_t *count;
    json_object_foreach((json_t *)(uintptr_t)facts, name, count) {
        records += json_integer_value(count);
    }
    ck_assert_int_eq(records, number_of(json, "records"));
    ck_assert_int_eq(records, number_of(json, "last_lsn"));
    ck_assert_int_eq(number_of(json, "first_lsn"), 1);
    ck_assert_str_eq(string_of(json_object_get(json, "oldest_open"), "id"), id_of(STORY_PARKED));
    json_decref(json);

    ck_assert_int_eq(SAGALOG(scratch.path, "stats"), 0);
    expect_in(printed, "  compensated                       5\n");
    expect_in(printed, "  SAGA_STARTED                     11\n");
}
END_TEST

START_TEST(stats_say_how_the_sagas_of_a_definition_went) {
    ck_assert_int_eq(SAGALOG(scratch.path, "stats", "--json"), 0);
    json_t *json = parse(printed, printed_size);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "definitions_by_name")), 1);
    const json_t *row = json_array_get(json_object_get(json, "definitions_by_name"), 0);
    ck_assert_str_eq(string_of(row, "saga"), "booking");
    ck_assert_int_eq(number_of(row, "sagas"), STORY_COUNT);
    ck_assert_int_eq(number_of(json_object_get(row, "by_status"), "compensated"), 5);
    const json_t *reasons = json_object_get(row, "compensations");
    ck_assert_int_eq(number_of(reasons, "rejected"), 3);
    ck_assert_int_eq(number_of(reasons, "fenced"), 1);
    ck_assert_int_eq(number_of(reasons, "never_ran"), 1);
    ck_assert_int_eq(number_of(reasons, "cancelled"), 1);
    ck_assert_uint_eq(json_object_size(reasons), 4);
    ck_assert_int_eq(number_of(json_object_get(row, "parked"), "debt"), 2);
    const json_t *duration = json_object_get(row, "duration");
    ck_assert_int_eq(number_of(duration, "count"), 9);
    ck_assert_int_eq(number_of(duration, "max_ms"), 60000);
    const json_t *create = json_array_get(json_object_get(row, "steps"), 0);
    ck_assert_int_eq(number_of(create, "unsent"), 60); /* one each second, for a minute */
    ck_assert_int_eq(number_of(create, "retries"), 59);
    ck_assert_int_eq(number_of(json_object_get(create, "action"), "count"), 10);
    ck_assert_int_eq(number_of(json_object_get(create, "action"), "p99_ms"), 13);
    const json_t *block = json_array_get(json_object_get(row, "steps"), 1);
    ck_assert_int_eq(number_of(json_object_get(block, "compensation"), "max_ms"), 2513);
    /* The log's own records, and the late one, are of no saga that is under way. */
    ck_assert_int_eq(number_of(row, "records"), number_of(json, "records") - 4);
    json_decref(json);
}
END_TEST

START_TEST(verify_finds_nothing_wrong) {
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 0);
    ck_assert_str_eq(complained, "");
    expect_in(printed,
              "231 records, 11 sagas (2 open), 1 definitions: all checked, nothing is wrong\n");
    expect_in(printed, "\ndigest ");
    ck_assert_int_eq(SAGALOG(scratch.path, "verify", "--json"), 0);
    json_t *json = parse(printed, printed_size);
    ck_assert_int_eq(number_of(json, "sagas"), STORY_COUNT);
    ck_assert_int_eq(number_of(json, "open"), 2);
    ck_assert_int_eq(number_of(json, "quarantined"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "damaged")), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "problems")), 0);
    ck_assert_uint_eq(strlen(string_of(json, "digest")), 32);
    const json_t *rules = json_object_get(json, "rules");
    const json_t *rule;
    size_t i;
    ck_assert_uint_eq(json_array_size(rules), 20);
    ck_assert_str_eq(string_of(json_array_get(rules, 0), "rule"), "L1");
    json_array_foreach(rules, i, rule) {
        ck_assert_int_eq(number_of(rule, "broken"), 0);
        ck_assert(json_is_null(json_object_get(rule, "first_lsn")));
    }
    json_decref(json);
}
END_TEST

/* ---------------------------------------------------------------------- usage */

START_TEST(a_wrong_command_line_says_what_is_wrong) {
    ck_assert_int_eq(SAGALOG(NULL, "list"), 2);
    expect_in(complained, "--data-dir DIR is missing");
    ck_assert_int_eq(SAGALOG(scratch.path), 2);
    expect_in(complained, "which command?");
    ck_assert_int_eq(SAGALOG(scratch.path, "lists"), 2);
    expect_in(complained, "there is no command 'lists'");
    ck_assert_int_eq(SAGALOG(scratch.path, "show"), 2);
    expect_in(complained, "'show' takes the ID of a saga");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", ""), 2);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "1", "2"), 2);
    expect_in(complained, "'2' is one word too many");
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "1"), 2);
    expect_in(complained, "'1' is one word too many");
    ck_assert_int_eq(SAGALOG(scratch.path, "show", "-f", "1"), 2);
    expect_in(complained, "'show' does not take --follow");
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--colour"), 2);
    ck_assert_str_eq(printed, "");
}
END_TEST

START_TEST(help_and_version_are_there) {
    static const char *const commands[] = {"list", "show", "tail", "verify", "stats", "export"};
    ck_assert_int_eq(SAGALOG(NULL, "--help"), 0);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        expect_in(printed, commands[i]);
    }
    ck_assert_int_eq(SAGALOG(NULL, "--version"), 0);
    expect_in(printed, "sagalog ");
}
END_TEST

START_TEST(a_directory_without_a_log_is_not_touched) {
    struct scratch empty;
    scratch_open(&empty);
    ck_assert_int_eq(SAGALOG(empty.path, "list"), 3);
    expect_in(complained, "there is no log in ");
    ck_assert_int_eq(rmdir(empty.path), 0); /* and there still is none */
    ck_assert_int_eq(SAGALOG(empty.path, "list"), 3);
    expect_in(complained, "there is no directory ");
}
END_TEST

/* --------------------------------------------------------------------- output */

START_TEST(a_reader_who_has_seen_enough_ends_it_quietly) {
    static const char *const commands[] = {"list", "show", "tail", "verify", "stats", "export"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct sagalog_process process;
        sagalog_start(&process, scratch.path, commands[i],
                      strcmp(commands[i], "show") == 0 ? id_of(0) : NULL, NULL);
        ck_assert_int_eq(close(process.out), 0);
        process.out = -1;
        const int status = sagalog_end(&process);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %d", commands[i], status);
        ck_assert_str_eq(complained, "");
    }
}
END_TEST

START_TEST(an_output_that_is_full_is_an_error) {
    if (!file_exists("/dev/full")) {
        (void)fprintf(stderr, "skipped: there is no /dev/full\n");
        return;
    }
    char line[2048];
    (void)snprintf(line, sizeof line, "%s/sagalog --data-dir %s list >/dev/full 2>%s/said",
                   SAGA_BIN_DIR, scratch.path, scratch.path);
    const int status = system(line);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    size_t size;
    uint8_t *said = file_read(scratch_file(&scratch, "said"), &size);
    said[size] = '\0';
    expect_in((char *)said, "cannot write to standard output");
    free(said);
    ck_assert_int_eq(unlink(scratch_file(&scratch, "said")), 0);
}
END_TEST

/* ------------------------------------------------------------------ read only */

/* Whether sagalog works for somebody who may only read. */
static int as_nobody(void *copy) {
    char data_dir[SCRATCH_PATH_MAX + 16];
    (void)snprintf(data_dir, sizeof data_dir, "--data-dir=%s", (const char *)copy);
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) {
        return 77;
    }
    if (access(SAGA_BIN_DIR "/sagalog", X_OK) != 0 || access(copy, W_OK) == 0) {
        return 77;
    }
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDOUT_FILENO);
    (void)execl(SAGA_BIN_DIR "/sagalog", "sagalog", data_dir, "verify", (char *)NULL);
    return 127;
}

START_TEST(a_copy_that_can_only_be_read_will_do) {
    struct scratch copy;
    scratch_open(&copy);
    directory_copy(scratch_file(&scratch, "log"), scratch_file(&copy, "log"));
    static const char *const files[] = {"log/data.mdb", "log/lock.mdb", "log/log.id"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(chmod(scratch_file(&copy, files[i]), 0444), 0);
    }
    ck_assert_int_eq(chmod(scratch_file(&copy, "log"), 0555), 0);
    ck_assert_int_eq(chmod(copy.path, 0555), 0);
    const int status = child_run(as_nobody, copy.path);
    ck_assert_int_eq(chmod(copy.path, 0750), 0);
    ck_assert_int_eq(chmod(scratch_file(&copy, "log"), 0750), 0);
    scratch_close(&copy);
    if (status == 77) {
        (void)fprintf(stderr, "skipped: no user at hand who may only read\n");
        return;
    }
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(looking_changes_no_byte) {
    static const char *const commands[] = {"list", "tail", "verify", "stats", "export"};
    size_t size_before;
    size_t size;
    uint8_t *before = file_read(scratch_file(&scratch, "log/data.mdb"), &size_before);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 0);
    }
    uint8_t *after = file_read(scratch_file(&scratch, "log/data.mdb"), &size);
    ck_assert_uint_eq(size, size_before);
    ck_assert_mem_eq(after, before, size);
    free(before);
    free(after);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("sagalog");
    TCase *tests = tcase_create("sagalog");
    writes_golden = argc == 2 && strcmp(argv[1], "--write-golden") == 0;
    tcase_add_unchecked_fixture(tests, write_log, remove_log);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, show_tells_the_story, 0, STORY_COUNT);
    tcase_add_test(tests, lines_are_broken_where_the_output_ends);
    tcase_add_test(tests, a_list_has_the_newest_first);
    tcase_add_test(tests, a_tail_has_the_latest_records);
    tcase_add_test(tests, nothing_hostile_reaches_a_terminal);
    tcase_add_test(tests, any_part_of_an_id_will_do);
    tcase_add_test(tests, a_part_that_several_have_is_refused_with_some_of_them);
    tcase_add_test(tests, an_id_that_none_has_is_refused);
    tcase_add_test(tests, list_as_json_is_a_saga_a_line_as_the_api_gives_it);
    tcase_add_test(tests, show_as_json_has_the_records);
    tcase_add_test(tests, tail_as_json_is_a_record_a_line);
    tcase_add_test(tests, stats_count_everything);
    tcase_add_test(tests, stats_say_how_the_sagas_of_a_definition_went);
    tcase_add_test(tests, verify_finds_nothing_wrong);
    tcase_add_test(tests, a_wrong_command_line_says_what_is_wrong);
    tcase_add_test(tests, help_and_version_are_there);
    tcase_add_test(tests, a_directory_without_a_log_is_not_touched);
    tcase_add_test(tests, a_reader_who_has_seen_enough_ends_it_quietly);
    tcase_add_test(tests, an_output_that_is_full_is_an_error);
    tcase_add_test(tests, a_copy_that_can_only_be_read_will_do);
    tcase_add_test(tests, looking_changes_no_byte);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
