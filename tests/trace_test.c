/* Texts from outside, spans of time, and records in words. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "escape.h"
#include "span.h"
#include "trace.h"

/* -------------------------------------------------------------------- escape */

static char *written; /* what the last one wrote */
static size_t written_size;

static FILE *paper(void) {
    free(written);
    written = NULL;
    FILE *out = open_memstream(&written, &written_size);
    ck_assert_ptr_nonnull(out);
    return out;
}

static const char *escaped(const char *text, size_t size, size_t columns) {
    FILE *out = paper();
    saga_escape(out, text, size, columns);
    ck_assert_int_eq(fclose(out), 0);
    return written;
}

#define ESCAPED(text) escaped(text, sizeof(text) - 1, SAGA_COLUMNS_ALL)

START_TEST(what_can_be_seen_is_left_alone) {
    ck_assert_str_eq(ESCAPED(""), "");
    ck_assert_str_eq(ESCAPED("plain ~!\"\\"), "plain ~!\"\\");
    ck_assert_str_eq(ESCAPED("\xc3\xa4\xc2\xa3\xe2\x82\xac\xf0\x9f\x9a\x97\xe6\x97\xa5"),
                     "\xc3\xa4\xc2\xa3\xe2\x82\xac\xf0\x9f\x9a\x97\xe6\x97\xa5");
}
END_TEST

START_TEST(what_a_terminal_would_act_on_is_spelled_out) {
    ck_assert_str_eq(ESCAPED("\x1b[2J\r\n\t\a\0x\x7f"),
                     "\\u{1b}[2J\\u{d}\\u{a}\\u{9}\\u{7}\\u{0}x\\u{7f}");
    ck_assert_str_eq(ESCAPED("\xc2\x85\xc2\x9b"), "\\u{85}\\u{9b}"); /* controls of 8 bits */
    /* Direction of writing, width zero, byte order, tags, private. */
    ck_assert_str_eq(
        ESCAPED("\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\x8b\xef\xbb\xbf\xe2\x81\xa9\xe2\x80\xac"),
        "\\u{202e}\\u{2066}\\u{61c}\\u{200b}\\u{feff}\\u{2069}\\u{202c}");
    ck_assert_str_eq(ESCAPED("\xf3\xa0\x81\x81\xee\x80\x80\xc2\xad"), "\\u{e0041}\\u{e000}\\u{ad}");
}
END_TEST

START_TEST(what_is_no_utf8_is_given_in_bytes) {
    ck_assert_str_eq(ESCAPED("a\xff\x80z"), "a\\xff\\x80z");
    ck_assert_str_eq(ESCAPED("\xc3"), "\\xc3");                       /* ends too early */
    ck_assert_str_eq(ESCAPED("\xe2\x82"), "\\xe2\\x82");              /* likewise */
    ck_assert_str_eq(ESCAPED("\xc3(\xe2\x82("), "\\xc3(\\xe2\\x82("); /* goes on wrongly */
    ck_assert_str_eq(ESCAPED("\xc0\x9b"), "\\xc0\\x9b");              /* an overlong ESC */
    ck_assert_str_eq(ESCAPED("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");     /* another */
    ck_assert_str_eq(ESCAPED("\xf0\x80\x80\x9b"), "\\xf0\\x80\\x80\\x9b");
    ck_assert_str_eq(ESCAPED("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* a surrogate */
    ck_assert_str_eq(ESCAPED("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* too large */
    ck_assert_str_eq(ESCAPED("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80");
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters) {
    ck_assert_str_eq(escaped("12345678", 8, 8), "12345678");
    ck_assert_str_eq(escaped("123456789", 9, 8), "12345...");
    ck_assert_str_eq(escaped("1234\xc3\xa4"
                             "678",
                             9, 8),
                     "1234\xc3\xa4"
                     "678");
    ck_assert_str_eq(escaped("1234\xc3\xa4"
                             "6789",
                             10, 8),
                     "1234\xc3\xa4...");
    ck_assert_str_eq(escaped("123\x1b"
                             "56789",
                             9, 8),
                     "123..."); /* \u{1b} does not fit */
    ck_assert_str_eq(escaped("1234567\x1b", 8, 8), "12345...");
}
END_TEST

START_TEST(what_was_escaped_is_as_wide_as_it_says) {
    for (unsigned seed = 1; seed < 2000; seed++) {
        char text[64];
        uint32_t random = seed * 2654435761u;
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = (char)(random >> 24);
        }
        const size_t columns = 8 + seed % 50;
        ck_assert_uint_le(saga_escape_width(escaped(text, sizeof text, columns)), columns);
        /* What was written needs no escape any more. */
        char once[1024];
        (void)strcpy(once, escaped(text, sizeof text, SAGA_COLUMNS_ALL));
        ck_assert_str_eq(escaped(once, strlen(once), SAGA_COLUMNS_ALL), once);
    }
}
END_TEST

START_TEST(json_stays_the_same_json) {
    FILE *out = paper();
    static const char json[] =
        "{\"a\":\"\\u001b x\xc2\x9b\xc3\xa4\xe2\x80\xae\xf3\xa0\x81\x81\x7f\xe2\x80\xac\"}";
    saga_escape_json(out, json, sizeof json - 1);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(written,
                     "{\"a\":\"\\u001b x\\u009b\xc3\xa4\\u202e\\udb40\\udc41\\u007f\\u202c\"}");
}
END_TEST

/* ---------------------------------------------------------------------- spans */

static const char *span(int64_t from_ms, int64_t to_ms) {
    static char text[SAGA_SPAN_TEXT_SIZE];
    return saga_span_text(from_ms, to_ms, text);
}

START_TEST(a_span_has_the_units_that_fit) {
    ck_assert_str_eq(span(5, 5), "0 ms");
    ck_assert_str_eq(span(0, 999), "999 ms");
    ck_assert_str_eq(span(0, 1000), "1.0 s");
    ck_assert_str_eq(span(0, 59999), "59.9 s");
    ck_assert_str_eq(span(0, 60000), "1 min 0 s");
    ck_assert_str_eq(span(0, 3599999), "59 min 59 s");
    ck_assert_str_eq(span(0, 3600000), "1 h 0 min");
    ck_assert_str_eq(span(0, 48 * 3600000 - 1), "47 h 59 min");
    ck_assert_str_eq(span(0, 50 * 3600000), "2 d 2 h");
}
END_TEST

START_TEST(a_span_that_cannot_be_is_not_made_up) {
    ck_assert_str_eq(span(2, 1), "?");
    ck_assert_str_eq(span(INT64_MIN, INT64_MAX), "?");
    ck_assert_str_eq(span(INT64_MIN, 0), "?");
    ck_assert_str_eq(span(0, INT64_MAX), "?");
    ck_assert_str_ne(span(0, SAGA_CLOCK_MS_MAX), "?");
}
END_TEST

/* ---------------------------------------------------------------------- words */

static struct saga_bytes bytes(const char *text) {
    return (struct saga_bytes){.data = text, .size = (uint32_t)strlen(text)};
}

static const char *words(struct saga_record record) {
    const struct saga_trace_scene scene = {.text_columns = 20};
    FILE *out = paper();
    saga_trace_write(out, &record, &scene);
    ck_assert_int_eq(fclose(out), 0);
    return written;
}

START_TEST(every_fact_has_words) {
    const struct saga_record of_step = {.step = 4, .attempt = 2, .operation = SAGA_ACTION};
    struct saga_record record = {.fact = SAGA_DEFINITION_LOADED};
    ck_assert_str_eq(words(record), "definition loaded");
    record = (struct saga_record){.fact = SAGA_STARTED};
    ck_assert_str_eq(words(record), "started");
    record.payload = bytes("{\"a\":\"a rather long input\"}");
    ck_assert_str_eq(words(record), "started with {\"a\":\"a rather lo...");
    record.payload = bytes("{}");
    record.content = bytes("{\"reply_to\":\"q\"}");
    ck_assert_str_eq(words(record), "started with {}, end to be told to {\"reply_to\":\"q\"}");
    record = of_step;
    record.fact = SAGA_COMMAND_ISSUED;
    ck_assert_str_eq(words(record), "step 4");
    record.operation = SAGA_FENCE;
    record.revision = 2;
    ck_assert_str_eq(words(record), "fence step 4 (revision 2)");
    record = of_step;
    record.fact = SAGA_COMMAND_UNSENT;
    ck_assert_str_eq(words(record), "step 4#2 could not be sent");
    record.reason = SAGA_REASON_DEADLINE;
    ck_assert_str_eq(words(record), "step 4#2 could not be sent before its deadline");
    record.fact = SAGA_ATTEMPT_EXPIRED;
    ck_assert_str_eq(words(record), "step 4#2 no reply before its deadline");
    record.fact = SAGA_REPLY_RECEIVED;
    record.verdict = SAGA_UNKNOWN;
    ck_assert_str_eq(words(record), "step 4#2 unknown, its deadline is over");
    record = of_step;
    record.fact = SAGA_LATE_REPLY_RECEIVED;
    record.verdict = SAGA_DONE;
    record.attempt = 0;
    record.payload = bytes("{\"reply_state\":\"PARKING\\nAVAILABLE\"}");
    ck_assert_str_eq(words(record), "step 4 late: done PARKING\\u{a}AVAIL...");
    record.payload = bytes("{\"reply_state\":17}");
    ck_assert_str_eq(words(record), "step 4 late: done");
    record.payload = bytes("\xff");
    ck_assert_str_eq(words(record), "step 4 late: done");
    record = (struct saga_record){.fact = SAGA_COMMAND_ISSUED, .step = 2, .operation = SAGA_SETTLE};
    ck_assert_str_eq(words(record), "settle step 2");
    record = (struct saga_record){.fact = SAGA_CANCEL_REQUESTED, .reason = SAGA_REASON_CANCELLED};
    ck_assert_str_eq(words(record), "cancel requested (cancelled)");
    record.key = bytes("ann");
    record.payload = bytes("why not");
    ck_assert_str_eq(words(record), "cancel requested (cancelled) by ann: why not");
    record.fact = SAGA_OPERATOR_ACTED;
    record.verb = SAGA_VERB_RETRY;
    ck_assert_str_eq(words(record), "operator: retry by ann: why not");
    record.step = 2;
    record.verb = SAGA_VERB_RESOLVE;
    record.verdict = SAGA_DONE;
    record.content = bytes("{\"room\":3}");
    ck_assert_str_eq(words(record),
                     "operator: resolve step 2 done with {\"room\":3} by ann: why not");
    record.verdict = 0;
    record.content = bytes("");
    record.verb = SAGA_VERB_MARK_COMPENSATED;
    ck_assert_str_eq(words(record), "operator: mark-compensated step 2 by ann: why not");
    record.verb = SAGA_VERB_WRITE_OFF;
    ck_assert_str_eq(words(record), "operator: write-off step 2 by ann: why not");
    record = (struct saga_record){.fact = SAGA_COMPENSATION_STARTED, .reason = SAGA_REASON_FENCED};
    ck_assert_str_eq(words(record), "go back (fenced)");
    record = (struct saga_record){.fact = SAGA_PIVOT_PASSED};
    ck_assert_str_eq(words(record), "pivot passed");
    record = (struct saga_record){.fact = SAGA_PARKED, .step = 1, .reason = SAGA_REASON_DEBT};
    ck_assert_str_eq(words(record), "parked at step 1 (debt)");
    record = (struct saga_record){.fact = SAGA_ENDED, .outcome = SAGA_COMPENSATED};
    ck_assert_str_eq(words(record), "compensated");
    record = (struct saga_record){.fact = SAGA_EPOCH_STARTED, .epoch = 7};
    ck_assert_str_eq(words(record), "daemon started (epoch 7)");
    record = (struct saga_record){.fact = SAGA_OUTCOMES_TOLD, .through_lsn = 70};
    ck_assert_str_eq(words(record), "ends told up to record 70");
    record = (struct saga_record){.fact = SAGA_HISTORY_PURGED, .through_lsn = 71};
    ck_assert_str_eq(words(record), "history purged up to record 71");
    record = (struct saga_record){.fact = 77};
    ck_assert_str_eq(words(record), "fact 77, which this version does not know");
}
END_TEST

START_TEST(a_table_shows_the_end_of_an_id) {
    struct saga_id id = {{0x01, 0x90, 0xa8, 0xf0, 0x1c, 0x2d, 0x7e, 0x3f, 0x8a, 0x4b, 0x5c, 0x6d,
                          0x7e, 0x8f, 0x9a, 0x0b}};
    char text[SAGA_TRACE_ID_SIZE];
    ck_assert_str_eq(saga_trace_id(&id, text), "7e8f9a0b");
}
END_TEST

static void let_go(void) {
    free(written);
    written = NULL;
}

int main(void) {
    Suite *suite = suite_create("trace");
    TCase *tests = tcase_create("trace");
    tcase_add_checked_fixture(tests, NULL, let_go);
    tcase_add_test(tests, what_can_be_seen_is_left_alone);
    tcase_add_test(tests, what_a_terminal_would_act_on_is_spelled_out);
    tcase_add_test(tests, what_is_no_utf8_is_given_in_bytes);
    tcase_add_test(tests, a_long_text_is_cut_between_characters);
    tcase_add_test(tests, what_was_escaped_is_as_wide_as_it_says);
    tcase_add_test(tests, json_stays_the_same_json);
    tcase_add_test(tests, a_span_has_the_units_that_fit);
    tcase_add_test(tests, a_span_that_cannot_be_is_not_made_up);
    tcase_add_test(tests, every_fact_has_words);
    tcase_add_test(tests, a_table_shows_the_end_of_an_id);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
