/* The configuration: who wins over whom, and what is refused in whose name. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_run.h"
#include "definitions.h"
#include "scratch.h"

static struct scratch scratch;
static struct saga_config config;
static struct saga_fault fault;

static void open_scratch(void) {
    scratch_open(&scratch);
    (void)clearenv();
}

static void close_scratch(void) {
    scratch_close(&scratch);
}

/* Loads what the words say, which end with NULL. */
static enum saga_error load(const char *first, ...) {
    char *words[16] = {(char *)(uintptr_t) "sagad"};
    int count = 1;
    va_list arguments;
    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *)) {
        words[count++] = (char *)(uintptr_t)word;
    }
    va_end(arguments);
    fault.text[0] = '\0';
    return saga_config_load(&config, count, words, &fault);
}

static const char *file_of(const char *text) {
    const char *path = scratch_file(&scratch, "sagad.yaml");
    file_write(path, text, strlen(text));
    return path;
}

/* Standard error goes to a file from here on. */
static const char *errors(void) {
    static char text[8192];
    size_t size;
    uint8_t *bytes = file_read(scratch_file(&scratch, "errors"), &size);
    (void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return text;
}

static void catch_errors(void) {
    const int fd = open(scratch_file(&scratch, "errors"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dup2(fd, 2), 2);
    (void)close(fd);
}

static void expect_fault(const char *part) {
    ck_assert_msg(strstr(fault.text, part) != NULL, "'%s' lacks '%s'", fault.text, part);
}

static const char *retention(void) {
    static char text[SAGA_RETENTION_BYTES];
    saga_retention_format(&config.retention, text);
    return text;
}

/* -------------------------------------------------------------------- values */

START_TEST(defaults_are_as_documented) {
    ck_assert_int_eq(load("--data-dir", "/d", NULL), SAGA_OK);
    ck_assert(!config.dev);
    ck_assert_str_eq(config.data_dir, "/d");
    ck_assert_ptr_null(config.definitions);
    ck_assert_ptr_null(config.listen);
    ck_assert_int_eq(config.log_format, SAGA_JOURNAL_TEXT);
    ck_assert_int_eq(config.log_level, SAGA_JOURNAL_INFO);
    ck_assert_uint_eq(config.map_bytes, UINT64_C(16) << 30);
    ck_assert_uint_eq(config.sagas_max, 1000000);
    ck_assert_uint_eq(config.resend_per_second, 20000);
    ck_assert_uint_eq(config.checkpoint_records, 1000000);
    ck_assert_str_eq(retention(), "completed=7d,compensated=30d,completed_manually=forever,"
                                  "compensated_manually=forever,inconsistent=forever,"
                                  "start_keys=30d");
    ck_assert_int_eq(config.verify_interval_ms, 86400000);
    saga_config_free(&config);
}
END_TEST

START_TEST(flags_win_over_environment_over_file) {
    const char *path = file_of("data_dir: /file\nlisten: unix:/file\nlog_format: json\n"
                               "map_size: 1G\nsagas_max: 7\n");
    (void)setenv("SAGAD_LISTEN", "unix:/environment", 1);
    (void)setenv("SAGAD_LOG_FORMAT", "logfmt", 1);
    (void)setenv("SAGAD_MAP_SIZE", "", 1); /* as good as none */
    ck_assert_msg(load("--config", path, "--log-format", "text", NULL) == SAGA_OK, "%s",
                  fault.text);
    ck_assert_str_eq(config.data_dir, "/file");
    ck_assert_str_eq(config.listen, "unix:/environment");
    ck_assert_int_eq(config.log_format, SAGA_JOURNAL_TEXT);
    ck_assert_uint_eq(config.map_bytes, UINT64_C(1) << 30);
    ck_assert_uint_eq(config.sagas_max, 7);
    saga_config_free(&config);
}
END_TEST

START_TEST(every_setting_has_its_variable_and_its_key) {
    (void)setenv("SAGAD_DATA_DIR", "/e", 1);
    (void)setenv("SAGAD_DEFINITIONS", "/s", 1);
    (void)setenv("SAGAD_LISTEN", "tcp:127.0.0.1:0", 1);
    (void)setenv("SAGAD_LOG_FORMAT", "json", 1);
    (void)setenv("SAGAD_LOG_LEVEL", "warning", 1);
    (void)setenv("SAGAD_MAP_SIZE", "4M", 1);
    (void)setenv("SAGAD_SAGAS_MAX", "10", 1);
    (void)setenv("SAGAD_RESEND_PER_SECOND", "5", 1);
    (void)setenv("SAGAD_CHECKPOINT_RECORDS", "500", 1);
    (void)setenv("SAGAD_RETENTION", "completed=forever,max=1T", 1);
    (void)setenv("SAGAD_VERIFY_INTERVAL", "2h", 1);
    for (int by_file = 0; by_file < 2; by_file++) {
        ck_assert_msg(load(NULL) == SAGA_OK, "%s", fault.text);
        ck_assert_str_eq(config.data_dir, "/e");
        ck_assert_str_eq(config.definitions, "/s");
        ck_assert_str_eq(config.listen, "tcp:127.0.0.1:0");
        ck_assert_int_eq(config.log_format, SAGA_JOURNAL_JSON);
        ck_assert_int_eq(config.log_level, SAGA_JOURNAL_WARNING);
        ck_assert_uint_eq(config.map_bytes, 4u << 20);
        ck_assert_uint_eq(config.sagas_max, 10);
        ck_assert_uint_eq(config.resend_per_second, 5);
        ck_assert_uint_eq(config.checkpoint_records, 500);
        ck_assert_int_eq(config.retention.ms[SAGA_COMPLETED], INT64_MAX);
        ck_assert_uint_eq(config.retention.bytes_max, UINT64_C(1) << 40);
        ck_assert_int_eq(config.verify_interval_ms, 7200000);
        saga_config_free(&config);
        (void)clearenv();
        (void)setenv("SAGAD_CONFIG",
                     file_of("data_dir: /e\ndefinitions: /s\nlisten: 'tcp:127.0.0.1:0'\n"
                             "log_format: json\nlog_level: warning\nmap_size: 4M\nsagas_max: 10\n"
                             "resend_per_second: 5\ncheckpoint_records: 500\n"
                             "retention: completed=forever,max=1T\nverify_interval: 2h\n"),
                     1);
    }
}
END_TEST

START_TEST(intervals_have_units) {
    static const struct {
        const char *text;
        int64_t ms;
    } intervals[] = {{"0", 0},       {"1ms", 1},        {"90s", 90000},
                     {"5m", 300000}, {"24h", 86400000}, {"10000d", INT64_C(864000000000)}};
    static const char *const wrong[] = {"",   "1",    "h",   "0h",     "-1h",
                                        "1w", "1.5h", " 1h", "10001d", "1h "};
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        ck_assert_int_eq(load("--data-dir", "/d", "--verify-interval", intervals[i].text, NULL),
                         SAGA_OK);
        ck_assert_int_eq(config.verify_interval_ms, intervals[i].ms);
        saga_config_free(&config);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(load("--data-dir", "/d", "--verify-interval", wrong[i], NULL) ==
                          SAGA_ERROR_USAGE,
                      "'%s'", wrong[i]);
        expect_fault("--verify-interval: '");
        saga_config_free(&config);
    }
}
END_TEST

START_TEST(a_retention_names_what_it_is_of) {
    static const char *const wrong[] = {
        "completed",     "completed=",     "completed=7", "=7d",
        "completed=7d,", "completed=7d,x", "running=7d",  "completed=0s",
        "completed=1ms", "max=0",          "max=forever", "start_keys=20G",
        "max=1E",        "completed=-1d",  "max=20Gi",    "completed=7d;compensated=8d",
    };
    ck_assert_msg(load("--data-dir", "/d", "--retention",
                       "inconsistent=90s,max=20GiB,start_keys=36h,compensated=forever",
                       NULL) == SAGA_OK,
                  "%s", fault.text);
    ck_assert_str_eq(retention(), "completed=7d,compensated=forever,completed_manually=forever,"
                                  "compensated_manually=forever,inconsistent=90s,"
                                  "start_keys=36h,max=20G");
    saga_config_free(&config);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(load("--data-dir", "/d", "--retention", wrong[i], NULL) == SAGA_ERROR_USAGE,
                      "%s", wrong[i]);
        ck_assert_ptr_nonnull(strstr(fault.text, "--retention"));
        ck_assert_ptr_nonnull(strstr(fault.text, "start_keys"));
        saga_config_free(&config);
    }
}
END_TEST

START_TEST(a_retention_in_a_file_may_be_a_mapping) {
    const char *path = file_of("data_dir: /d\nretention:\n  completed: 2d\n  max: 20GiB\n");
    ck_assert_msg(load("--config", path, NULL) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(config.retention.ms[SAGA_COMPLETED], 2 * INT64_C(86400000));
    ck_assert_uint_eq(config.retention.bytes_max, UINT64_C(20) << 30);
    saga_config_free(&config);
    path = file_of("data_dir: /d\nretention:\n  completed: 2 days\n");
    ck_assert_int_eq(load("--config", path, NULL), SAGA_ERROR_INVALID);
    saga_config_free(&config);
    path = file_of("data_dir: /d\nretention: {completed: [2d]}\n");
    ck_assert_int_eq(load("--config", path, NULL), SAGA_ERROR_INVALID);
    saga_config_free(&config);
}
END_TEST

START_TEST(sizes_have_units) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {
        {"1048576", 1u << 20}, {"1024K", 1u << 20}, {"1M", 1u << 20}, {"64T", UINT64_C(64) << 40}};
    static const char *const wrong[] = {"1",    "1K",      "65T", "1X",
                                        "1MM",  "M",       "-1M", "",
                                        "1.5G", "0",       " 1M", "99999999999999999999",
                                        "1M\n", "0x100000"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(load("--data-dir", "/d", "--map-size", sizes[i].text, NULL), SAGA_OK);
        ck_assert_uint_eq(config.map_bytes, sizes[i].bytes);
        saga_config_free(&config);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(load("--data-dir", "/d", "--map-size", wrong[i], NULL) == SAGA_ERROR_USAGE,
                      "'%s'", wrong[i]);
        expect_fault("--map-size: '");
        saga_config_free(&config);
    }
}
END_TEST

/* ------------------------------------------------------------------ refusals */

START_TEST(a_wrong_value_is_refused_with_its_source) {
    static const struct {
        const char *flag, *value, *expected;
    } wrong[] = {
        {"--listen", "localhost:80", "unix:PATH or tcp:HOST:PORT"},
        {"--listen", "unix:", "unix:PATH or tcp:HOST:PORT"},
        {"--log-format", "xml", "text, logfmt or json"},
        {"--log-level", "loud", "error, warning, info or debug"},
        {"--sagas-max", "0", "from 1 to 10000000"},
        {"--sagas-max", "10000001", "from 1 to 10000000"},
        {"--resend-per-second", "1e3", "from 1 to 1000000"},
        {"--definitions", "", "DIR"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(load("--data-dir", "/d", wrong[i].flag, wrong[i].value, NULL),
                         SAGA_ERROR_USAGE);
        expect_fault(wrong[i].flag);
        expect_fault(wrong[i].expected);
        saga_config_free(&config);
    }
    (void)setenv("SAGAD_LOG_FORMAT", "xml", 1);
    ck_assert_int_eq(load("--data-dir", "/d", NULL), SAGA_ERROR_INVALID);
    expect_fault("SAGAD_LOG_FORMAT: 'xml'");
    saga_config_free(&config);
}
END_TEST

START_TEST(a_wrong_file_is_refused_with_every_place) {
    catch_errors();
    const char *path = file_of("data_dir: /d\nlog_fromat: json\nsagas_max: many\nlisten: [a]\n");
    ck_assert_int_eq(load("--config", path, NULL), SAGA_ERROR_INVALID);
    expect_fault("wrong in 3 places");
    const char *text = errors();
    ck_assert_ptr_nonnull(strstr(text, "sagad.yaml:2:1: error: unknown key 'log_fromat'"));
    ck_assert_ptr_nonnull(strstr(text, "did you mean 'log_format'?"));
    ck_assert_ptr_nonnull(strstr(text, "sagad.yaml:3:12: error: sagas_max: 'many'"));
    ck_assert_ptr_nonnull(strstr(text, "sagad.yaml:4:9: error: 'listen' wants one value"));
    saga_config_free(&config);
    ck_assert_int_eq(load("--config", "/nowhere/sagad.yaml", NULL), SAGA_ERROR_NOT_FOUND);
    expect_fault("/nowhere/sagad.yaml");
    saga_config_free(&config);
    ck_assert_int_eq(load("--config", scratch.path, NULL), SAGA_ERROR_INVALID);
    expect_fault("is no file");
    saga_config_free(&config);
}
END_TEST

START_TEST(a_daemon_needs_a_directory_and_dev_does_not) {
    ck_assert_int_eq(load(NULL), SAGA_ERROR_USAGE);
    expect_fault("--data-dir is missing");
    saga_config_free(&config);
    ck_assert_int_eq(load("dev", NULL), SAGA_OK);
    ck_assert(config.dev);
    ck_assert_ptr_null(config.data_dir);
    ck_assert_int_eq(config.log_level, SAGA_JOURNAL_DEBUG);
    saga_config_free(&config);
}
END_TEST

START_TEST(dev_takes_the_switches) {
    ck_assert_int_eq(load("dev", "--limit=5", "--fail", "parking.reserve=0.5", "--delay",
                          "booking.pay=10", NULL),
                     SAGA_OK);
    ck_assert(config.switches.limited);
    ck_assert_int_eq(config.switches.limit, 5);
    ck_assert_uint_eq(config.switches.fail_count, 1);
    ck_assert_uint_eq(config.switches.delay_count, 1);
    saga_config_free(&config);
}
END_TEST

static int load_words(void *words) {
    char **all = words;
    int count = 0;
    while (all[count] != NULL) {
        count++;
    }
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
    return saga_config_load(&config, count, all, &fault) == SAGA_OK ? 98 : 99; /* it came back */
}

START_TEST(a_wrong_command_line_ends_with_2) {
    static const char *wrong[][4] = {
        {"sagad", "--no-such", NULL},
        {"sagad", "serve", NULL},
        {"sagad", "--data-dir", NULL},
        {"sagad", "--limit=5", NULL}, /* of dev alone */
        {"sagad", "dev", "--limit=much", NULL},
        {"sagad", "--data-dir=/d", "dev", NULL}, /* dev is the first word */
    };
    static const char *help[][4] = {
        {"sagad", "--help", NULL}, {"sagad", "--version", NULL}, {"sagad", "dev", "--help", NULL}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(child_run(load_words, (void *)wrong[i]), 2);
    }
    for (size_t i = 0; i < sizeof help / sizeof help[0]; i++) {
        ck_assert_int_eq(child_run(load_words, (void *)help[i]), 0);
    }
}
END_TEST

/* --------------------------------------------------------------- definitions */

static const char shop[] = "saga: shop\nversion: 1\nparticipants: {till: {fenced: true}}\nsteps:\n"
                           "  - {name: pay, command: till.pay, done: [PAID], pivot: true}\n";

static void definition_write(const char *name, const char *text) {
    file_write(scratch_file(&scratch, name), text, strlen(text));
}

START_TEST(a_directory_of_definitions_is_loaded_in_the_order_of_names) {
    struct saga_definitions definitions;
    definition_write("b.yaml", shop);
    definition_write("a.yaml",
                     "saga: bar\nversion: 2\nparticipants: {till: {fenced: true}}\nsteps:\n"
                     "  - {name: pay, command: till.pay, done: [PAID], pivot: true}\n");
    definition_write("notes.txt", "no definition");
    definition_write(".hidden.yaml", "no definition");
    ck_assert_msg(saga_definitions_load(&definitions, scratch.path, &fault) == SAGA_OK, "%s",
                  fault.text);
    ck_assert_uint_eq(definitions.count, 2);
    ck_assert_str_eq(definitions.items[0]->name, "bar");
    ck_assert_str_eq(definitions.items[1]->name, "shop");
    saga_definitions_free(&definitions);
}
END_TEST

START_TEST(every_error_of_every_definition_is_shown) {
    struct saga_definitions definitions;
    catch_errors();
    definition_write("a.yaml", "saga: a\nversion: 1\nstep: []\n");
    definition_write("b.yaml", shop);
    definition_write("c.yaml", shop); /* the same saga again */
    definition_write("d.yaml", "saga: d\nversion: x\n");
    ck_assert_int_eq(saga_definitions_load(&definitions, scratch.path, &fault), SAGA_ERROR_INVALID);
    saga_definitions_free(&definitions);
    expect_fault("in 3 of the 4 definitions");
    const char *text = errors();
    ck_assert_ptr_nonnull(strstr(text, "a.yaml:3:1: error: unknown key 'step'"));
    ck_assert_ptr_nonnull(strstr(text, "c.yaml:1:1: error: the saga 'shop' is defined in "));
    ck_assert_ptr_nonnull(strstr(text, "d.yaml:2:"));
}
END_TEST

START_TEST(a_directory_without_definitions_is_refused) {
    struct saga_definitions definitions;
    ck_assert_int_eq(saga_definitions_load(&definitions, scratch.path, &fault),
                     SAGA_ERROR_NOT_FOUND);
    expect_fault("no definition (*.yaml)");
    ck_assert_int_eq(saga_definitions_load(&definitions, "/nowhere", &fault), SAGA_ERROR_NOT_FOUND);
    expect_fault("/nowhere");
}
END_TEST

START_TEST(the_built_in_definition_is_the_example) {
    struct saga_definitions definitions;
    struct saga_definition *example;
    struct saga_diagnostics diagnostics = {0};
    size_t size;
    uint8_t *text = file_read(SAGA_EXAMPLE, &size);
    ck_assert_int_eq(saga_definition_parse((const char *)text, size, &example, &diagnostics),
                     SAGA_OK);
    ck_assert_int_eq(saga_definitions_builtin(&definitions, &fault), SAGA_OK);
    ck_assert_uint_eq(definitions.count, 1);
    ck_assert_str_eq(definitions.items[0]->hash, example->hash);
    saga_definition_free(example);
    saga_definitions_free(&definitions);
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_checked_fixture(tests, open_scratch, close_scratch);
    tcase_add_test(tests, defaults_are_as_documented);
    tcase_add_test(tests, flags_win_over_environment_over_file);
    tcase_add_test(tests, every_setting_has_its_variable_and_its_key);
    tcase_add_test(tests, sizes_have_units);
    tcase_add_test(tests, a_retention_names_what_it_is_of);
    tcase_add_test(tests, a_retention_in_a_file_may_be_a_mapping);
    tcase_add_test(tests, intervals_have_units);
    tcase_add_test(tests, a_wrong_value_is_refused_with_its_source);
    tcase_add_test(tests, a_wrong_file_is_refused_with_every_place);
    tcase_add_test(tests, a_daemon_needs_a_directory_and_dev_does_not);
    tcase_add_test(tests, dev_takes_the_switches);
    tcase_add_test(tests, a_wrong_command_line_ends_with_2);
    tcase_add_test(tests, a_directory_of_definitions_is_loaded_in_the_order_of_names);
    tcase_add_test(tests, every_error_of_every_definition_is_shown);
    tcase_add_test(tests, a_directory_without_definitions_is_refused);
    tcase_add_test(tests, the_built_in_definition_is_the_example);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
