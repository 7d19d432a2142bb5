/* Definitions that are too large, or no text at all; and how an error is shown. */
#include "check_run.h"
#include "definition_refuse.h"

/* A step that is right in itself. */
#define F         "  - {name: ff, command: f.x, no_effect: true}\n"
#define ROOT_KEYS "saga, version, exchange, deadline, headers, participants, defaults, steps"

static void load(const char *text) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics), SAGA_OK);
    saga_definition_free(definition);
}

/* The excerpt of the only diagnostic. */
static void check_excerpt(const char *text, const char *expected) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics),
                     SAGA_ERROR_INVALID);
    ck_assert_uint_eq(diagnostics.count, 1);
    ck_assert_pstr_eq(diagnostics.items[0].excerpt, expected);
    saga_diagnostics_free(&diagnostics);
}

/* ------------------------------------------------------------ bytes, limits */

START_TEST(no_bytes_at_all_are_no_definition) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    ck_assert_int_eq(saga_definition_parse(NULL, 0, &definition, &diagnostics), SAGA_ERROR_INVALID);
    ck_assert_uint_eq(diagnostics.count, 1);
    saga_diagnostics_free(&diagnostics);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused) {
    static const struct {
        const char *text;
        size_t size;
        const char *expected;
    } cases[] = {
        {"saga: s\nx\0y", 11, "2:2: character U+0000 cannot stand in a definition | remove it"},
        {"saga: \x1b[31m", 11, "1:7: character U+001B cannot stand in a definition | remove it"},
        {"saga: \xff\xfe", 8, "1:7: byte 0xff is no UTF-8 | save the file as UTF-8"},
        {"a: \xc3\xa4\nb: \xc3", 10, "2:4: byte 0xc3 is no UTF-8 | save the file as UTF-8"},
        {"\xc0\xaf", 2, "1:1: byte 0xc0 is no UTF-8 | save the file as UTF-8"},
        {"\xed\xa0\x80", 3, "1:1: byte 0xed is no UTF-8 | save the file as UTF-8"},
        {"\xf4\x90\x80\x80", 4, "1:1: byte 0xf4 is no UTF-8 | save the file as UTF-8"},
        {"a: \xef\xbf\xbe", 6, "1:4: character U+FFFE cannot stand in a definition | remove it"},
        {"a: \xef\xbb\xbf", 6, "1:4: character U+FEFF cannot stand in a definition | remove it"},
    };
    refuse_bytes(cases[_i].text, cases[_i].size, cases[_i].expected);
}
END_TEST
#define BYTES_CASES 9

START_TEST(a_byte_order_mark_is_read_over) {
    load("\xef\xbb\xbfsaga: s\nsteps:\n" F);
}
END_TEST

/* `count` times `piece`, between `before` and `after`. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fputs(before, out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs(piece, out);
    }
    (void)fputs(after, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(sizes_beyond_the_limits_are_refused) {
    static const struct {
        const char *before, *piece;
        size_t count;
        const char *after, *expected;
    } cases[] = {
        {"#", "x", SAGA_DEFINITION_BYTES_MAX, "",
         "1:1: the file has 262145 bytes; at most 262144 are read | split it: one saga a file"},
        {"a: ", "[", 200000, "", "1:19: nested more than 16 levels deep"},
        {"a: ", "{b: ", 60000, "", "1:64: nested more than 16 levels deep"},
        {"", "- ", 100000, "", "1:33: nested more than 16 levels deep"},
        {"a: [", "[],", 257, "]", "1:773: more than 256 entries in one list"},
        /* Not through anchors, but in its own size. */
        {"a: [",
         "[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
         "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
         "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
         "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]],",
         255, "]",
         "1:65532: more than 32768 values in one file | a definition is much smaller than this"},
        {"saga: s\nsteps:\n  - {name: x, command: a.x, no_effect: true, done: [", "A,", 65, "]}\n",
         "3:46: more than 64 events"},
    };
    char *text = repeated(cases[_i].before, cases[_i].piece, cases[_i].count, cases[_i].after);
    refuse_bytes(text, strlen(text), cases[_i].expected);
    free(text);
}
END_TEST
#define SIZES_CASES 7

START_TEST(the_sixty_fifth_step_is_refused) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fputs("saga: s\nsteps:\n", out);
    for (int i = 0; i < 66; i++) {
        (void)fprintf(out, "  - {name: x%d, command: a.x, no_effect: true}\n", i);
    }
    ck_assert_int_eq(fclose(out), 0);
    refuse_bytes(text, size, "67:6: more than 64 steps | split the saga in two");
    free(text);
}
END_TEST

/* A name of 128 bytes loads, one of 129 does not. */
START_TEST(names_have_a_length) {
    static const char name[] = "saga: %s%s\nsteps: [{name: x, command: a.x, no_effect: true}]\n";
    char *most = repeated("", "n", SAGA_NAME_BYTES_MAX, "");
    char text[512];
    (void)snprintf(text, sizeof text, name, most, "");
    load(text);
    (void)snprintf(text, sizeof text, name, most, "n");
    refuse_bytes(text, strlen(text),
                 "1:7: saga name of 129 bytes; at most 128 are allowed | choose "
                 "a shorter one");
    static const char command[] = "saga: s\nsteps: [{name: x, command: %.*s.x, no_effect: true}]\n";
    (void)snprintf(text, sizeof text, command, 121, most);
    load(text);
    (void)snprintf(text, sizeof text, command, 122, most);
    refuse_bytes(text, strlen(text),
                 "2:28: the participant's name is longer than 121 bytes | choose a shorter one");
    free(most);
}
END_TEST

START_TEST(headers_have_a_number_and_a_length) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fputs("saga: s\nsteps:\n" F "headers:\n", out);
    for (int i = 0; i < 33; i++) {
        (void)fprintf(out, "  H%d: x\n", i);
    }
    ck_assert_int_eq(fclose(out), 0);
    refuse_bytes(text, size, "4:1: more than 32 headers");
    free(text);
    text = repeated("saga: s\nsteps:\n" F "headers: {A: ", "v", 129, "}\n");
    refuse_bytes(text, strlen(text),
                 "4:14: a value of 129 bytes; at most 128 are allowed | choose a shorter one");
    free(text);
}
END_TEST

/* The log could not give it back: a file that is small enough, with a canonical
 * form that is not. */
START_TEST(a_canonical_form_beyond_the_limit_is_refused) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fputs("saga: s\nsteps:\n", out);
    for (int step = 0; step < SAGA_STEPS_MAX; step++) {
        (void)fprintf(out, "  - {name: x%02d, command: a.x, no_effect: true, done: [", step);
        for (int event = 0; event < 30; event++) {
            (void)fprintf(out, "E%0*d,", SAGA_NAME_BYTES_MAX - 1, event);
        }
        (void)fputs("]}\n", out);
    }
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_uint_le(size, SAGA_DEFINITION_BYTES_MAX);
    refuse_bytes(text, size,
                 "1:1: with every default written out, the definition has 264960 "
                 "bytes; at most 262144 are kept | shorten names, or lists of events");
    free(text);
}
END_TEST

/* A name with every byte of UTF-8's forms is quoted as it is, or as '?'. */
START_TEST(characters_of_any_length_are_shown) {
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x80: x\nsaga: s\nsteps:\n" F,
         "1:1: unknown key '\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x80' | the keys here are: " ROOT_KEYS},
        {"\"a\\eb\": x\nsaga: s\nsteps:\n" F,
         "1:1: unknown key 'a?b' | the keys here are: " ROOT_KEYS},
        {"x: \xe2\x82", "1:4: byte 0xe2 is no UTF-8 | save the file as UTF-8"},
        {"x: \xe2\x28\xa1", "1:4: byte 0xe2 is no UTF-8 | save the file as UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse_bytes(cases[i].text, strlen(cases[i].text), cases[i].expected);
    }
}
END_TEST

START_TEST(nothing_is_freed_twice_or_without_need) {
    saga_definition_free(NULL);
    struct saga_diagnostics none = {.count = 0};
    char *text = saga_diagnostics_text(&none, "f");
    ck_assert_str_eq(text, "");
    free(text);
    saga_diagnostics_free(&none);
}
END_TEST

/* ------------------------------------------------------------- as they print */

START_TEST(they_print_as_compilers_do) {
    static const char text[] = "saga: s\n"
                               "steps:\n"
                               "  - name: x\n"
                               "    command: a.x\n"
                               "    no_effect: true\n"
                               "    timout: 30s\n"
                               "    done: [\n";
    static const char fixed[] = "saga: s\n"
                                "steps:\n"
                                "  - name: x\n"
                                "    command: a.x\n"
                                "    no_effect: true\n"
                                "    timout: 30s\n"
                                "    done: [A, A]\n";
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(saga_definition_parse(fixed, strlen(fixed), &definition, &diagnostics),
                     SAGA_ERROR_INVALID);
    char *printed = saga_diagnostics_text(&diagnostics, "x.yaml");
    ck_assert_str_eq(printed, "x.yaml:6:5: error: unknown key 'timout'\n"
                              "      timout: 30s\n"
                              "      ^~~~~~\n"
                              "  hint: did you mean 'timeout'?\n"
                              "x.yaml:7:15: error: event 'A' is listed twice\n"
                              "      done: [A, A]\n"
                              "                ^\n"
                              "  hint: remove it\n");
    free(printed);
    saga_diagnostics_free(&diagnostics);
    /* Nothing is to be seen at the end of the file. */
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics),
                     SAGA_ERROR_INVALID);
    printed = saga_diagnostics_text(&diagnostics, "x.yaml");
    ck_assert_str_eq(printed, "x.yaml:8:1: error: flow sequence without a closing bracket\n"
                              "  hint: the bracket that opens is in line 7\n");
    free(printed);
    saga_diagnostics_free(&diagnostics);
}
END_TEST

START_TEST(the_caret_stands_under_the_place) {
    /* Characters, not bytes; a tab is one of them, and shown as a space. */
    check_excerpt(
        "{saga: s, steps: [{name: x, command: a.x, no_effect: true}], \"\xc3\xa4\xc3\xa4\""
        ":\t1}",
        "{saga: s, steps: [{name: x, command: a.x, no_effect: true}], "
        "\"\xc3\xa4\xc3\xa4\": 1}\n"
        "                                                             ^~~~");
    /* A long line is cut around the place. */
    check_excerpt(
        "{saga: s, steps: [{name: x, command: a.x, no_effect: true, done: [AAAAAAAAAAAAAAAAA,"
        " BBBBBBBBBBBBBBBBBBBBBBBB]}], colour: red, version: 1, exchange: abcdefghijkl}",
        "...rue, done: [AAAAAAAAAAAAAAAAA, BBBBBBBBBBBBBBBBBBBBBBBB]}], colour: red, "
        "version: 1, exchange: abcde...\n"
        "                                                               ^~~~~~");
    /* What a terminal would obey is not repeated. */
    check_excerpt("saga: \x1b[31m", "saga: ?[31m\n"
                                    "      ^");
    check_excerpt("saga: \xff\xfe", "saga: ??\n"
                                    "      ^");
    check_excerpt("saga: s\r\nsteps: 5\r\nversion: 1\r\n", "steps: 5\n"
                                                           "^~~~~");
    check_excerpt("", NULL);
}
END_TEST

START_TEST(more_than_a_hundred_are_counted) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    (void)fputs("saga: s\nsteps:\n" F, out);
    for (int i = 0; i < 230; i++) {
        (void)fprintf(out, "wrong%d: x\n", i);
    }
    ck_assert_int_eq(fclose(out), 0);
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(saga_definition_parse(text, size, &definition, &diagnostics),
                     SAGA_ERROR_INVALID);
    ck_assert_uint_eq(diagnostics.count, 101);
    ck_assert_uint_eq(diagnostics.items[99].line, 103);
    ck_assert_str_eq(diagnostics.items[99].message, "unknown key 'wrong99'");
    ck_assert_uint_eq(diagnostics.items[100].line, 104);
    ck_assert_str_eq(diagnostics.items[100].message, "130 more errors are not shown");
    saga_diagnostics_free(&diagnostics);
    free(text);
}
END_TEST

START_TEST(long_words_are_clipped) {
    char *text = repeated("saga: s\nsteps:\n" F, "k", 100000, ": x\n");
    char *k = repeated("", "k", 60, "");
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "4:1: invalid key | this is no YAML: look at indentation, quotes and brackets");
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics),
                     SAGA_ERROR_INVALID);
    char *printed = saga_diagnostics_text(&diagnostics, "f");
    ck_assert_uint_lt(strlen(printed), 1000);
    free(printed);
    saga_diagnostics_free(&diagnostics);
    free(text);
    text = repeated("saga: s\nsteps:\n" F, "k", 900, ": x\n");
    (void)snprintf(expected, sizeof expected,
                   "4:1: unknown key '%s...' | the keys here are: " ROOT_KEYS, k);
    refuse_bytes(text, strlen(text), expected);
    free(text);
    free(k);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("definition_limits");
    TCase *limits = tcase_create("limits");
    tcase_add_loop_test(limits, bytes_that_are_no_text_are_refused, 0, BYTES_CASES);
    tcase_add_test(limits, no_bytes_at_all_are_no_definition);
    tcase_add_test(limits, a_byte_order_mark_is_read_over);
    tcase_add_loop_test(limits, sizes_beyond_the_limits_are_refused, 0, SIZES_CASES);
    tcase_add_test(limits, a_canonical_form_beyond_the_limit_is_refused);
    tcase_add_test(limits, characters_of_any_length_are_shown);
    tcase_add_test(limits, nothing_is_freed_twice_or_without_need);
    tcase_add_test(limits, the_sixty_fifth_step_is_refused);
    tcase_add_test(limits, names_have_a_length);
    tcase_add_test(limits, headers_have_a_number_and_a_length);
    suite_add_tcase(suite, limits);
    TCase *printing = tcase_create("printing");
    tcase_add_test(printing, they_print_as_compilers_do);
    tcase_add_test(printing, the_caret_stands_under_the_place);
    tcase_add_test(printing, more_than_a_hundred_are_counted);
    tcase_add_test(printing, long_words_are_clipped);
    suite_add_tcase(suite, printing);
    return suite;
}

int main(void) {
    return check_run(suite());
}
