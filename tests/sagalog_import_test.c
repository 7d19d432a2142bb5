/* sagalog import: a log that is made of an export says what the one that was exported says, and a
 * daemon goes on with it. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_run.h"
#include "export_reading.h"
#include "export_scene.h"
#include "log_story.h"
#include "sagalog_fixture.h"
#include "sagalog_stories.h"
#include "splitmix.h"
#include "trip_fixture.h"

static struct scratch scratch;
static char original[SCRATCH_PATH_MAX + 16];
static char copy[SCRATCH_PATH_MAX + 16];
static char text_file[SCRATCH_PATH_MAX + 16];

static void set_up(void) {
    scratch_open_in_memory(&scratch);
    (void)snprintf(original, sizeof original, "%s/original", scratch.path);
    (void)snprintf(copy, sizeof copy, "%s/copy", scratch.path);
    (void)snprintf(text_file, sizeof text_file, "%s/export", scratch.path);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

static void forget_copy(void) {
    char log[sizeof copy + 16];
    (void)snprintf(log, sizeof log, "%s/log", copy);
    if (file_exists(log)) {
        directory_remove(log);
    }
    directory_remove(copy);
}

static void import_text(const char *text) {
    file_write(text_file, text, strlen(text));
    ck_assert_msg(SAGALOG(copy, "import", text_file) == 0, "%s", complained);
    ck_assert_str_eq(complained, "");
}

static char *answer_of(const char *data_dir, const char *command, const char *option, int *status) {
    *status = SAGALOG(data_dir, command, option);
    return strdup(printed);
}

/* Both logs say the same. */
static void expect_same(const char *command, const char *option) {
    int status;
    int status_of_copy;
    char *wanted = answer_of(original, command, option, &status);
    char *got = answer_of(copy, command, option, &status_of_copy);
    ck_assert_int_eq(status, status_of_copy);
    ck_assert_str_eq(got, wanted);
    free(wanted);
    free(got);
}

/* What recovery makes of them. That there may be gaps before the checkpoint is no matter. */
static struct log_story recall(const char *data_dir) {
    struct log_story story = {0};
    struct saga_fault fault = {0};
    (void)!log_story_read(&story, data_dir, false, &fault);
    ck_assert_msg(story.recalled, "%s", fault.text);
    return story;
}

static int compare_stories(void *unused) {
    (void)unused;
    const struct log_story wanted = recall(original);
    const struct log_story got = recall(copy);
    ck_assert_uint_eq(got.sagas, wanted.sagas);
    ck_assert_uint_eq(got.read, wanted.read);
    ck_assert_uint_eq(got.count, wanted.count);
    ck_assert_uint_eq(got.open, wanted.open);
    ck_assert_uint_eq(got.quarantined, wanted.quarantined);
    return 0;
}

static void round_trip(void) {
    char *text = strdup(export_scene_text(original));
    import_text(text);
    expect_same("verify", "--json");
    expect_same("list", "--json");
    ck_assert_int_eq(child_run(compare_stories, NULL), 0);
    const char *again = export_scene_text(copy);
    ck_assert_msg(strcmp(again, text) == 0, "another export");
    free(text);
}

static uint64_t lines_with(const char *text, const char *part) {
    uint64_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* --------------------------------------------------------------- of every kind */

START_TEST(a_log_without_records) {
    const struct export_scene scene = {0};
    export_scene_make(original, &scene);
    round_trip();
    ck_assert_uint_eq(lines_with(export_scene_text(copy), "\n"), 2);
}
END_TEST

START_TEST(sagas_of_every_kind) {
    char directory[sizeof original];
    memcpy(directory, original, sizeof directory);
    ck_assert_int_eq(mkdir(directory, 0750), 0);
    stories_write(directory);
    round_trip();
}
END_TEST

START_TEST(checkpoints_kept_records_and_ends_that_are_owed) {
    const struct export_scene scene = {
        .seed = 3, .steps = 900, .checkpoint_records = 60, .purged = true, .odd = true};
    export_scene_make(original, &scene);
    const char *text = export_scene_text(original);
    ck_assert_uint_gt(lines_with(text, "\n{\"row\":\"open\""), 0);
    ck_assert_uint_gt(lines_with(text, "\n{\"row\":\"done\""), 0);
    ck_assert_uint_gt(lines_with(text, "\n{\"row\":\"owed\""), 0);
    ck_assert_uint_gt(lines_with(text, "\n{\"run\""), 1);
    ck_assert_uint_gt(lines_with(text, "\n{\"start_key\""), 100);
    ck_assert_uint_gt(lines_with(text, "payload_base64"), 0);
    json_t *head = export_next(&text);
    const json_int_t first_lsn = json_integer_value(json_object_get(head, "first_lsn"));
    ck_assert_int_gt(first_lsn, 100);
    json_decref(head);
    json_t *definition = export_next(&text);
    ck_assert_str_eq(json_string_value(json_object_get(definition, "fact")), "DEFINITION_LOADED");
    ck_assert_int_lt(json_integer_value(json_object_get(definition, "lsn")), first_lsn);
    json_decref(definition);
    ck_assert_uint_gt(lines_with(text, "\n{\"lsn\""), 0);
    round_trip();
    ck_assert_int_eq(SAGALOG(copy, "verify", "--json"), 7); /* a saga of it makes no sense */
    expect_in(printed, "\"quarantined\":1");
}
END_TEST

START_TEST(a_log_whose_blocks_are_all_gone) {
    const struct export_scene scene = {
        .seed = 5, .steps = 300, .checkpoint_records = 40, .purged = true, .all_dropped = true};
    export_scene_make(original, &scene);
    round_trip();
    int status;
    char *stats = answer_of(copy, "stats", "--json", &status);
    expect_in(stats, "\"records\":0,"); /* and it goes on with the epochs there were */
    expect_not_in(stats, "\"epoch\":0,");
    free(stats);
}
END_TEST

/* Random ones. */
START_TEST(an_export_of_an_import_is_the_export) {
    struct splitmix random = {(uint64_t)_i + 100};
    const struct export_scene scene = {
        .seed = (uint64_t)_i + 100,
        .steps = 100 + (unsigned)splitmix_below(&random, 500),
        .checkpoint_records = 20 + splitmix_below(&random, 60),
        .purged = splitmix_below(&random, 3) != 0,
        .odd = splitmix_below(&random, 2) == 0,
    };
    export_scene_make(original, &scene);
    round_trip();
}
END_TEST

START_TEST(standard_input_will_do_and_json_says_what_came) {
    const struct export_scene scene = {.seed = 4, .steps = 200, .checkpoint_records = 30};
    char line[4096];
    export_scene_make(original, &scene);
    (void)snprintf(line, sizeof line,
                   SAGA_BIN_DIR "/sagalog -d %s export | " SAGA_BIN_DIR
                                "/sagalog -d %s import --json >%s",
                   original, copy, text_file);
    ck_assert_int_eq(system(line), 0);
    size_t size;
    char *said = (char *)file_read(text_file, &size);
    json_t *json = json_loadb(said, size, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "first_lsn")), 1);
    ck_assert_int_gt(json_integer_value(json_object_get(json, "last_lsn")), 200);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "records")),
                     json_integer_value(json_object_get(json, "last_lsn")));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "kept")), 0);
    json_decref(json);
    free(said);
    expect_same("verify", "--json");
}
END_TEST

/* ------------------------------------------------------------------ goes on */

/* A start 5 s later, of the log that was imported. */
static int go_on(void *unused) {
    (void)unused;
    struct saga_listing listing = {0};
    world_init(copy);
    world.now = (struct saga_moment){.boot_ms = 1000, .wall_ms = 4102444800000};
    trip_open();
    ck_assert_uint_gt(world.report.open, 20);
    ck_assert_uint_eq(world.report.quarantined, 0);
    /* A key of long ago is known, with its input. */
    struct saga_request request = world_start_request("trip", "key 0", "{\"other\":1}", &listing);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CONFLICT);
    request = world_start_request("trip", "a new one", "{}", &listing);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CREATED);
    size_t answered = 0;
    for (int round = 0; round < 4000 && world_stats().core.open > 0; round++) {
        static const char *const words[][2] = {{"hotel.book", "NO_ROOM"},
                                               {"hotel.cancel", "ROOM_CANCELLED"},
                                               {"train.reserve", "SEAT_RESERVED"}};
        world_pass(1000);
        for (; answered < world.sent_count; answered++) {
            const struct sent sent = *world_sent(answered);
            for (size_t i = 0; i < 3; i++) {
                char body[64];
                (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\"}", words[i][1]);
                if (strcmp(sent.name, words[i][0]) == 0) {
                    (void)world_reply(&sent, body);
                }
            }
            if (strstr(sent.name, "fence") != NULL) {
                (void)world_reply(&sent, "{\"reply_state\":\"fenced\"}");
            }
        }
    }
    ck_assert_uint_eq(world_stats().core.open, 0);
    ck_assert_uint_gt(world.told_count, 0);
    world_close();
    return 0;
}

START_TEST(the_sagas_of_an_imported_log_end) {
    const struct export_scene scene = {
        .seed = 17, .steps = 300, .checkpoint_records = 50, .purged = true};
    export_scene_make(original, &scene);
    import_text(export_scene_text(original));
    ck_assert_int_eq(child_run(go_on, NULL), 0);
    ck_assert_int_eq(SAGALOG(copy, "verify"), 0);
    ck_assert_int_eq(SAGALOG(copy, "list", "--status", "running"), 0);
    expect_not_in(printed, "trip");
}
END_TEST

/* ----------------------------------------------------------------- refusals */

static void expect_refused(const char *text, int status, const char *why) {
    char log[sizeof copy + 16];
    file_write(text_file, text, strlen(text));
    const int found = SAGALOG(copy, "import", text_file);
    ck_assert_msg(found == status, "%d: %s", found, complained);
    expect_in(complained, why);
    ck_assert_str_eq(printed, "");
    (void)snprintf(log, sizeof log, "%s/log", copy);
    ck_assert(!file_exists(log));
    (void)snprintf(log, sizeof log, "%s/log.restore", copy);
    ck_assert(!file_exists(log));
}

#define HEAD                                                                                       \
    "{\"export\":1,\"log\":\"0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10\",\"created\":\"2026-01-01T12:"  \
    "00:00Z\",\"first_lsn\":%s,\"last_lsn\":%s}\n"

static const char *text_of(const char *first, const char *last, const char *lines) {
    static char text[4096];
    char head[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(head, sizeof head, HEAD, first, last);
#pragma GCC diagnostic pop
    (void)snprintf(text, sizeof text, "%s%s", head, lines);
    return text;
}

#define ONE        "{\"lsn\":1,\"fact\":\"EPOCH_STARTED\",\"at_ms\":5,\"epoch\":1"
#define DEFINITION "{\"lsn\":2,\"fact\":\"DEFINITION_LOADED\",\"epoch\":1,\"payload\":\"x\"}\n"

START_TEST(what_cannot_be_is_refused_with_its_line) {
    static const struct {
        const char *first, *last, *lines, *why;
    } cases[] = {
        {"1", "1", ONE "}\n{\"end\":3}\n", "line 3: there are 2 lines before it"},
        {"1", "1", ONE "}\n", "line 3: it is cut short: the last line"},
        {"1", "1", ONE "}\n{\"end\":2}", "line 3: it is cut short: no line feed"},
        {"1", "1", ONE "}\n{\"end\":2}\n{\"end\":2}\n", "line 4: it comes after the end"},
        {"1", "1", ONE ",\"epoch\":1}\n", "line 2: it is no JSON: duplicate object key"},
        {"1", "1", ONE ",\"colour\":1}\n", "line 2: there is no member 'colour'"},
        {"1", "1", ONE ",\"attempt\":4294967296}\n", "line 2: attempt is no number from 0"},
        {"1", "1", ONE ",\"attempt\":-1}\n", "line 2: attempt is no number from 0"},
        {"1", "1", ONE ",\"attempt\":1.5}\n", "line 2: attempt is no number from 0"},
        {"1", "1", ONE ",\"through_lsn\":\"18446744073709551616\"}\n", "through_lsn is no number"},
        {"1", "1", ONE ",\"payload_base64\":\"AB==\"}\n", "payload_base64 is no base64"},
        {"1", "1", ONE ",\"payload_base64\":\"AA=A\"}\n", "payload_base64 is no base64"},
        {"1", "1", ONE ",\"payload\":7}\n", "payload is no string"},
        {"1", "1", ONE ",\"payload\":\"a\",\"payload_base64\":\"YQ==\"}\n", "there twice"},
        {"1", "1", ONE ",\"verdict\":\"?\"}\n", "there is no verdict '?'"},
        {"1", "1", ONE ",\"saga\":\"0190\"}\n", "saga is no id"},
        {"1", "1", ONE ",\"previous_lsn\":1}\n", "previous_lsn does not lead backwards"},
        {"1", "1", ONE ",\"at\":\"1970-01-01T00:00:00.006Z\"}\n", "at is not the time"},
        {"1", "1", "{\"lsn\":1,\"epoch\":1}\n", "line 2: there is no fact"},
        {"1", "1", "{\"lsn\":1,\"fact\":1}\n", "line 2: there is no epoch"},
        {"1", "2", ONE "}\n" ONE "}\n", "line 3: it has record 1, and record 2 comes next"},
        {"1", "3", ONE "}\n{\"lsn\":3,\"fact\":1,\"epoch\":1}\n", "record 2 comes next"},
        {"1", "1", ONE "}\n{\"lsn\":2,\"fact\":1,\"epoch\":1}\n", "is beyond last_lsn, 1"},
        {"1", "2", "{\"lsn\":1,\"fact\":1,\"epoch\":3}\n{\"lsn\":2,\"fact\":1,\"epoch\":2}\n",
         "line 3: record 2 is of epoch 2, and the one before it of 3"},
        {"1", "2", ONE "}\n{\"end\":2}\n", "line 3: records are missing: 2 to 2"},
        {"1", "1", ONE "}\n{\"seed\":\"0123456789abcde\"}\n", "not 16 hexadecimal digits"},
        {"1", "1", ONE "}\n{\"run\":1,\"level\":0,\"start_keys\":1}\n", "after their seed"},
        {"1", "1",
         ONE "}\n{\"seed\":\"0123456789abcdef\"}\n{\"run\":1,\"level\":0,\"start_keys\":1}\n"
             "{\"end\":4}\n",
         "line 5: run 1 has 0 start keys before it, and should have 1"},
        {"1", "1", ONE "}\n{\"row\":\"kept\",\"key\":\"AA==\",\"value\":\"AA==\"}\n",
         "there is no row 'kept'"},
        {"1", "1", ONE "}\n{\"row\":\"done\",\"key\":\"AA==\",\"value\":\"AA==\"}\n",
         "line 3: it is no row of this table"},
        {"1", "1", ONE "}\n[]\n", "line 3: it is no object"},
        {"1", "1", ONE "}\n{}\n", "line 3: it is no line of an export"},
        {"1", "1", "\n", "line 2: it is no JSON"},
        {"1", "1", ONE "}\n{\"end\":2,\"digest\":\"00000000000000000000000000000000\"}\n",
         "line 3: the records are not those that were exported"},
        {"1", "1", ONE "}\n{\"end\":2,\"text\":\"00000000000000000000000000000000\"}\n",
         "line 3: the lines before it are not as they were written"},
        {"3", "3", DEFINITION, "line 1: the checkpoint does not lie"},
        {"0", "0", "", "line 1: first_lsn and last_lsn do not fit"},
        {"1", "9223372036854775807", "", "line 1: last_lsn is no number from 0"},
        {"1", "\"x\\u001b[1m\"", "", "line 1: last_lsn is no number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_refused(text_of(cases[i].first, cases[i].last, cases[i].lines), 7, cases[i].why);
    }
    expect_refused("", 7, "cut short");
    expect_refused(ONE "}\n", 7, "line 1: it is not the first line of an export");
    expect_refused("{\"export\":2}\n", 7, "format 2, and this sagalog knows formats up to 1");
    expect_refused("\x1b[31m\n", 7, "line 1: it is no JSON: ");
    expect_not_in(complained, "\x1b");
    expect_refused(text_of("1", "1", ONE "}\n{\"end\":2}\n{"), 7, "line 4: it comes after the end");
}
END_TEST

START_TEST(records_before_the_first_one_have_an_order) {
    static const char head[] =
        "{\"export\":1,\"log\":\"0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10\",\"created\":\"2026-01-01T12"
        ":00:00Z\",\"first_lsn\":9,\"last_lsn\":9,\"checkpoint\":{\"lsn\":8,\"epoch\":1}}\n";
    static const char saga[] = "\"saga\":\"00000000-0000-0000-0000-000000000001\"";
    char text[4096];
    (void)snprintf(text, sizeof text, "%s%s%s", head, DEFINITION, DEFINITION);
    expect_refused(text, 7, "line 3: record 2 is out of order");
    (void)snprintf(text, sizeof text, "%s{\"lsn\":3,\"fact\":5,\"epoch\":1}\n", head);
    expect_refused(text, 7, "line 2: record 3 is before first_lsn, of no saga, and no definition");
    (void)snprintf(text, sizeof text, "%s{\"lsn\":3,\"fact\":1,\"epoch\":1,%s}\n" DEFINITION, head,
                   saga);
    expect_refused(text, 7, "line 3: record 2 is out of order");
    (void)snprintf(text, sizeof text,
                   "%s" DEFINITION "{\"lsn\":2,\"fact\":1,\"epoch\":1,%s}\n"
                   "{\"lsn\":9,\"fact\":1,\"epoch\":1}\n",
                   head, saga);
    expect_refused(text, 7, "line 4: record 2 is there twice before it, in the lines 2 and 3");
    (void)snprintf(text, sizeof text,
                   "%s" DEFINITION "{\"lsn\":9,\"fact\":1,\"epoch\":1}\n{\"end\":3}\n", head);
    import_text(text);
    expect_in(printed, "1 records imported, and 1 kept of those before record 9");
    ck_assert_int_eq(SAGALOG(copy, "tail"), 0);
}
END_TEST

/* The text with the first two lines that begin so in each other's place; malloc'd. */
static char *swapped(const char *text, const char *begin) {
    const char *first = strstr(text, begin);
    ck_assert_ptr_nonnull(first);
    const char *second = strchr(first, '\n') + 1;
    const char *third = strchr(second, '\n') + 1;
    ck_assert_int_eq(strncmp(second, begin, strlen(begin)), 0);
    char *other = NULL;
    ck_assert_int_ge(asprintf(&other, "%.*s%.*s%.*s%s", (int)(first - text), text,
                              (int)(third - second), second, (int)(second - first), first, third),
                     0);
    return other;
}

START_TEST(rows_and_start_keys_have_an_order) {
    static const char *const begins[][2] = {
        {"{\"row\":\"open\"", "its row is out of order, or there twice"},
        {"{\"row\":\"done\"", "its row is out of order, or there twice"},
        {"{\"start_key\"", "its start key is out of order, or there twice"},
    };
    const struct export_scene scene = {.seed = 31, .steps = 200, .checkpoint_records = 60};
    export_scene_make(original, &scene);
    char *text = strdup(export_scene_text(original));
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        char *other = swapped(text, begins[i][0]);
        expect_refused(other, 7, begins[i][1]);
        free(other);
    }
    free(text);
}
END_TEST

/* A line that does not end. */
START_TEST(a_line_of_megabytes_is_refused_as_such) {
    const size_t size = (size_t)70 << 20;
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, ' ', size);
    text[size] = '\0';
    expect_refused(text, 7, "line 1: it is longer than any line of an export can be");
    free(text);
    const size_t payload = ((size_t)4 << 20) + 1;
    text = malloc(payload + 4096);
    int used = snprintf(text, 4096, "%s", text_of("1", "1", ONE ",\"payload\":\""));
    memset(text + used, 'x', payload);
    (void)snprintf(text + (size_t)used + payload, 64, "\"}\n{\"end\":2}\n");
    expect_refused(text, 7, "line 2: payload has more than 4194304 bytes");
    text[used] = '\\'; /* two characters, one byte */
    text[used + 1] = 'n';
    import_text(text);
    free(text);
}
END_TEST

static void expect_in_its_way(const char *text, int status, const char *why) {
    file_write(text_file, text, strlen(text));
    ck_assert_int_eq(SAGALOG(copy, "import", text_file), status);
    expect_in(complained, why);
}

START_TEST(nothing_is_ever_overwritten) {
    const struct export_scene scene = {.seed = 4, .steps = 60, .checkpoint_records = 30};
    size_t size_before;
    size_t size;
    export_scene_make(original, &scene);
    char *text = strdup(export_scene_text(original));
    import_text(text);
    char data_file[sizeof copy + 16];
    (void)snprintf(data_file, sizeof data_file, "%s/log/data.mdb", copy);
    uint8_t *before = file_read(data_file, &size_before);
    expect_in_its_way(text, 1, "is not empty");
    uint8_t *after = file_read(data_file, &size);
    ck_assert_uint_eq(size, size_before);
    ck_assert_mem_eq(before, after, size);
    free(before);
    free(after);
    forget_copy();
    ck_assert_int_eq(mkdir(copy, 0750), 0);
    char other[sizeof copy + 16];
    (void)snprintf(other, sizeof other, "%s/notes", copy);
    file_write(other, "mine", 4);
    expect_in_its_way(text, 1, "is not empty");
    ck_assert_int_eq(unlink(other), 0);
    (void)snprintf(other, sizeof other, "%s/sagad.lock", copy);
    const int lock = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(flock(lock, LOCK_EX), 0);
    expect_in_its_way(text, 9, "belongs to a running sagad");
    ck_assert_int_eq(close(lock), 0);
    import_text(text);
    ck_assert_int_eq(SAGALOG(copy, "import", "/nowhere/at/all"), 1);
    expect_in(complained, "/nowhere/at/all: ");
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog import");
    TCase *tests = tcase_create("import");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_log_without_records);
    tcase_add_test(tests, sagas_of_every_kind);
    tcase_add_test(tests, checkpoints_kept_records_and_ends_that_are_owed);
    tcase_add_test(tests, a_log_whose_blocks_are_all_gone);
    tcase_add_loop_test(tests, an_export_of_an_import_is_the_export, 0, 12);
    tcase_add_test(tests, standard_input_will_do_and_json_says_what_came);
    tcase_add_test(tests, the_sagas_of_an_imported_log_end);
    tcase_add_test(tests, what_cannot_be_is_refused_with_its_line);
    tcase_add_test(tests, records_before_the_first_one_have_an_order);
    tcase_add_test(tests, rows_and_start_keys_have_an_order);
    tcase_add_test(tests, a_line_of_megabytes_is_refused_as_such);
    tcase_add_test(tests, nothing_is_ever_overwritten);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
