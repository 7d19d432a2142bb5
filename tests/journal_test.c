/* The journal: one event is one line, in each format, whatever is in it. */
#include "check_run.h"
#include "journal.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char written[65536];

static struct saga_journal open_journal(enum saga_journal_format format) {
    return (struct saga_journal){
        .fd = memfd_create("journal", 0), .format = format, .level = SAGA_JOURNAL_INFO};
}

/* What was written, without its time, which is checked. */
static const char *close_journal(const struct saga_journal *journal, const char *before_time) {
    const ssize_t size = pread(journal->fd, written, sizeof written - 1, 0);
    ck_assert_int_ge(size, 0);
    written[size] = '\0';
    (void)close(journal->fd);
    if (size == 0) {
        return written;
    }
    const size_t before = strlen(before_time);
    ck_assert_int_eq(strncmp(written, before_time, before), 0);
    const char *time = written + before;
    ck_assert_uint_eq(strspn(time, "0123456789-T:.Z"), 24);
    ck_assert_int_eq(time[10], 'T');
    ck_assert_int_eq(time[23], 'Z');
    return time + 24;
}

static const struct saga_journal_field fields[] = {
    {"saga_id", "0190a3f0-0000-7000-8000-000000000001"}, {"why", "two words"}, {0}};

START_TEST(text_is_for_people) {
    struct saga_journal journal = open_journal(SAGA_JOURNAL_TEXT);
    saga_journal_write(&journal, SAGA_JOURNAL_WARNING, fields, "saga \"%s\"", "parked");
    ck_assert_str_eq(close_journal(&journal, ""),
                     " warning saga \"parked\" saga_id=0190a3f0-0000-7000-8000-000000000001 "
                     "why=\"two words\"\n");
}
END_TEST

START_TEST(logfmt_quotes_what_is_no_word) {
    struct saga_journal journal = open_journal(SAGA_JOURNAL_LOGFMT);
    saga_journal_write(&journal, SAGA_JOURNAL_ERROR, fields, "saga \"%s\"", "parked");
    ck_assert_str_eq(close_journal(&journal, "ts="),
                     " level=error msg=\"saga \\\"parked\\\"\" "
                     "saga_id=0190a3f0-0000-7000-8000-000000000001 why=\"two words\"\n");
    journal = open_journal(SAGA_JOURNAL_LOGFMT);
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "stopped");
    ck_assert_str_eq(close_journal(&journal, "ts="), " level=info msg=stopped\n");
}
END_TEST

START_TEST(json_is_json) {
    struct saga_journal journal = open_journal(SAGA_JOURNAL_JSON);
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, fields, "a\n\t\"b\"\\ \x1b[1m \xff \xc3\xa9");
    const char *rest = close_journal(&journal, "{\"ts\":\"");
    ck_assert_int_eq(rest[0], '"');
    ck_assert_ptr_eq(strchr(written, '\n'), written + strlen(written) - 1);
    json_t *line = json_loads(written, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
    ck_assert_str_eq(json_string_value(json_object_get(line, "msg")),
                     "a\n\t\"b\"\\ \x1b[1m \xef\xbf\xbd \xc3\xa9");
    ck_assert_str_eq(json_string_value(json_object_get(line, "why")), "two words");
    json_decref(line);
}
END_TEST

START_TEST(no_text_obeys_a_terminal) {
    struct saga_journal journal = open_journal(SAGA_JOURNAL_TEXT);
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "\x1b]0;title\x07 \xc2\x9b");
    ck_assert_str_eq(close_journal(&journal, ""), " info \\u001b]0;title\\u0007 \\u009b\n");
}
END_TEST

START_TEST(what_is_beyond_the_level_is_not_written) {
    struct saga_journal journal = open_journal(SAGA_JOURNAL_TEXT);
    saga_journal_write(&journal, SAGA_JOURNAL_DEBUG, fields, "saga running");
    ck_assert_str_eq(close_journal(&journal, ""), "");
}
END_TEST

START_TEST(a_long_text_is_cut_and_stays_one_line) {
    static char text[5000];
    memset(text, '\x01', sizeof text - 1); /* each becomes six bytes */
    const struct saga_journal_field long_fields[] = {{"a", text}, {"b", text}, {"c", text},
                                                     {"d", text}, {"e", text}, {"f", text},
                                                     {"g", text}, {"h", text}, {0}};
    for (int format = 1; format <= SAGA_JOURNAL_FORMAT_COUNT; format++) {
        struct saga_journal journal = open_journal((enum saga_journal_format)format);
        saga_journal_write(&journal, SAGA_JOURNAL_INFO, long_fields, "%s", text);
        (void)close_journal(&journal, format == SAGA_JOURNAL_TEXT     ? ""
                                      : format == SAGA_JOURNAL_LOGFMT ? "ts="
                                                                      : "{\"ts\":\"");
        ck_assert_uint_gt(strlen(written), 8000);
        ck_assert_ptr_eq(strchr(written, '\n'), written + strlen(written) - 1);
    }
    json_t *line = json_loads(written, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_eq(json_object_size(line), 3 + SAGA_JOURNAL_FIELDS_MAX);
    json_decref(line);
}
END_TEST

START_TEST(a_closed_pipe_stops_nobody) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    (void)close(ends[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    struct saga_journal journal = {
        .fd = ends[1], .format = SAGA_JOURNAL_TEXT, .level = SAGA_JOURNAL_INFO};
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "nobody reads this");
    (void)close(ends[1]);
}
END_TEST

START_TEST(a_pipe_that_nobody_empties_loses_lines_and_counts_them) {
    int ends[2];
    size_t read_bytes = 0;
    ssize_t got;
    ck_assert_int_eq(pipe(ends), 0);
    struct saga_journal journal = {
        .fd = ends[1], .format = SAGA_JOURNAL_TEXT, .level = SAGA_JOURNAL_INFO};
    for (int i = 0; i < 5000; i++) { /* far more than a pipe holds: would block for ever */
        saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "line %d", i);
    }
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    while ((got = read(ends[0], written, sizeof written)) > 0) {
        read_bytes += (size_t)got;
    }
    ck_assert_uint_gt(read_bytes, 4096);
    saga_journal_write(&journal, SAGA_JOURNAL_INFO, NULL, "there again");
    got = read(ends[0], written, sizeof written - 1);
    ck_assert_int_gt(got, 0);
    written[got] = '\0';
    ck_assert_ptr_nonnull(strstr(written, "lines were lost"));
    ck_assert_ptr_nonnull(strstr(written, "there again"));
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("journal");
    TCase *tests = tcase_create("journal");
    tcase_add_test(tests, text_is_for_people);
    tcase_add_test(tests, logfmt_quotes_what_is_no_word);
    tcase_add_test(tests, json_is_json);
    tcase_add_test(tests, no_text_obeys_a_terminal);
    tcase_add_test(tests, what_is_beyond_the_level_is_not_written);
    tcase_add_test(tests, a_long_text_is_cut_and_stays_one_line);
    tcase_add_test(tests, a_closed_pipe_stops_nobody);
    tcase_add_test(tests, a_pipe_that_nobody_empties_loses_lines_and_counts_them);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
