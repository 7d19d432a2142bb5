/*
 * Definitions, mangled: whatever the bytes, the parser gives either diagnostics
 * in order, fit to be shown, or a definition that the core accepts and that
 * its canonical form gives back.
 *
 * SAGA_SEED=n and SAGA_ROUNDS=n in the environment repeat, or go further.
 */
#include "check_run.h"
#include "definition.h"
#include "definition_plan.h"
#include "splitmix.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 16384
#define ROUNDS         4000

struct text {
    size_t size;
    char bytes[TEXT_BYTES_MAX];
};

/* Files to start from; between them they have every key. */
static const char full[] =
    "saga: full\n"
    "version: 7\n"
    "deadline: 1h\n"
    "headers: {CLIENT: 'x \"y\"'}\n"
    "participants:\n"
    "  f: {fenced: true}\n"
    "  u: {fenced: false, single_delivery: true}\n"
    "defaults: {timeout: 3s, deadline: 10m, on_unknown: park,\n"
    "           retry: {attempts: 3, initial: 1s, max: 30s, factor: 1.5}}\n"
    "steps:\n"
    "  - {name: a, command: f.a, done: [A1, A2], rejected: [A3],\n"
    "     compensation: {command: f.b, done: [B], rejected: [C], timeout: 1s,\n"
    "                    deadline: 20s, retry: {attempts: 9, max: 90s}}}\n"
    "  - {name: b, command: f.c, compensated_by: a, timeout: 250ms}\n"
    "  - {name: c, command: u.d, no_effect: true, deadline: none}\n"
    "  - name: d\n"
    "    command: u.e\n"
    "    on_unknown: compensate\n"
    "    compensation:\n"
    "      command: u.f\n"
    "  - {name: e, command: f.g, pivot: true, on_unknown: fence}\n"
    "  - {name: f, command: u.h, retry: {attempts: unlimited}}\n"
    "  - {name: g, command: f.i, deadline: none}\n";

/* Words that mean something somewhere. */
static const char *const words[] = {
    "none",
    "true",
    "false",
    "fence",
    "park",
    "unlimited",
    "1s",
    "5m",
    "0",
    "1.5",
    "pivot: true",
    "~",
    "null",
    "a",
    "f",
    "u",
    "[",
    "]",
    "{",
    "}",
    ": ",
    ", ",
    "- ",
    "\n",
    "\t",
    "\"",
    "'",
    "#",
    "&x ",
    "*x",
    "!!int ",
    "---\n",
    "...\n",
    "? ",
    "|\n",
    ">-\n",
    "%YAML 1.1\n",
    "\xc3\xa4",
    "\xff",
    "\x01",
    "\r",
    "\\0",
    "done",
    "rejected",
    "f.fence",
    "compensation",
    "name: a",
    "deadline: 1s",
    "\xef\xbb\xbf",
    "no_effect: true",
    "compensated_by: a",
    "on_unknown: fence",
    "retry: {max: 1s}",
    "u.x",
    "f.x",
};
#define WORD_COUNT (sizeof words / sizeof *words)

/* ------------------------------------------------------------------ mangling */

static void text_cut(struct text *text, size_t at, size_t size) {
    memmove(text->bytes + at, text->bytes + at + size, text->size - at - size);
    text->size -= size;
}

static void text_insert(struct text *text, size_t at, const char *bytes, size_t size) {
    if (text->size + size > TEXT_BYTES_MAX) {
        return;
    }
    memmove(text->bytes + at + size, text->bytes + at, text->size - at);
    memcpy(text->bytes + at, bytes, size);
    text->size += size;
}

/* The line that holds byte `at`: [*start, *end), its break included. */
static void line_at(const struct text *text, size_t at, size_t *start, size_t *end) {
    *start = at;
    while (*start > 0 && text->bytes[*start - 1] != '\n') {
        --*start;
    }
    *end = at;
    while (*end < text->size && text->bytes[*end] != '\n') {
        ++*end;
    }
    *end += *end < text->size;
}

static bool is_word_byte(char byte) {
    return byte == '_' || byte == '.' || (byte >= '0' && byte <= '9') ||
           (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* The word that holds byte `at`; empty where there is none. */
static void word_at(const struct text *text, size_t at, size_t *start, size_t *end) {
    *start = at;
    while (*start > 0 && is_word_byte(text->bytes[*start - 1])) {
        --*start;
    }
    *end = at;
    while (*end < text->size && is_word_byte(text->bytes[*end])) {
        ++*end;
    }
}

static void mangle(struct text *text, struct splitmix *random) {
    if (text->size == 0) {
        return;
    }
    size_t at = splitmix_below(random, text->size);
    const char *word = words[splitmix_below(random, WORD_COUNT)];
    size_t start = 0;
    size_t end = 0;
    char line[TEXT_BYTES_MAX];
    switch (splitmix_below(random, 8)) {
    case 0: /* another byte */
        text->bytes[at] = (char)splitmix_next(random);
        break;
    case 1: /* one byte less */
        text_cut(text, at, 1);
        break;
    case 2: /* a word more */
        text_insert(text, at, word, strlen(word));
        break;
    case 3: /* another word in its place */
    case 4:
        word_at(text, at, &start, &end);
        text_cut(text, start, end - start);
        text_insert(text, start, word, strlen(word));
        break;
    case 5: /* a line less */
        line_at(text, at, &start, &end);
        text_cut(text, start, end - start);
        break;
    case 6: /* a line elsewhere, again */
        line_at(text, at, &start, &end);
        memcpy(line, text->bytes + start, end - start);
        end -= start;
        line_at(text, splitmix_below(random, text->size), &start, &at);
        text_insert(text, start, line, end);
        break;
    default: /* the end is missing */
        if (splitmix_below(random, 8) == 0) {
            text->size = at;
        }
        break;
    }
}

/* ------------------------------------------------------------------ checking */

static bool is_shown(const char *text) {
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if ((byte < 0x20 && byte != '\n') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

/* How to have the present round again: written by the round, printed when it
 * fails or crashes. */
static char repeat_line[96];
static size_t repeat_size;

static void repeat_print(int signal_number) {
    ssize_t written = write(STDERR_FILENO, repeat_line, repeat_size);
    (void)written; /* the process is on its way out; there is nobody to tell */
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void repeat_note(uint64_t seed) {
    int length = snprintf(repeat_line, sizeof repeat_line,
                          "repeat with SAGA_SEED=%llu SAGA_ROUNDS=1\n", (unsigned long long)seed);
    ck_assert_int_gt(length, 0);
    repeat_size = (size_t)length;
}

/* A check that says how to repeat the round that fails it. */
#define HOLDS(condition) ck_assert_msg((condition), "%s; %s", #condition, repeat_line)

static void check_diagnostics(struct saga_diagnostics *diagnostics) {
    HOLDS(diagnostics->count > 0);
    HOLDS(diagnostics->count <= 101);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct saga_diagnostic *item = &diagnostics->items[i];
        HOLDS(item->line >= 1);
        HOLDS(item->column >= 1);
        HOLDS(strlen(item->message) > 0);
        HOLDS(is_shown(item->message));
        HOLDS(item->hint == NULL || is_shown(item->hint));
        HOLDS(item->excerpt == NULL || is_shown(item->excerpt));
        const struct saga_diagnostic *before = i == 0 ? item : item - 1;
        HOLDS(before->line < item->line ||
              (before->line == item->line && before->column <= item->column));
    }
    char *printed = saga_diagnostics_text(diagnostics, "f");
    HOLDS(strlen(printed) > 0);
    free(printed);
    saga_diagnostics_free(diagnostics);
}

static void check_definition(const struct saga_definition *definition) {
    struct saga_definition *again = NULL;
    struct saga_diagnostics diagnostics;
    HOLDS(saga_plan_check(&definition->plan));
    HOLDS(saga_definition_parse(definition->canonical, definition->canonical_size, &again,
                                &diagnostics) == SAGA_OK);
    HOLDS(strcmp(again->canonical, definition->canonical) == 0);
    HOLDS(strcmp(again->hash, definition->hash) == 0);
    HOLDS(definition_plan_equal(&again->plan, &definition->plan));
    saga_definition_free(again);
}

/* True if it loaded. */
static bool check_text(const struct text *text) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    enum saga_error error =
        saga_definition_parse(text->bytes, text->size, &definition, &diagnostics);
    if (error == SAGA_OK) {
        HOLDS(diagnostics.count == 0);
        check_definition(definition);
        saga_definition_free(definition);
        return true;
    }
    HOLDS(error == SAGA_ERROR_INVALID);
    HOLDS(definition == NULL);
    check_diagnostics(&diagnostics);
    return false;
}

static void text_read(struct text *text, const char *path) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s: %s", path, strerror(errno));
    text->size = fread(text->bytes, 1, TEXT_BYTES_MAX, file);
    ck_assert_uint_gt(text->size, 0);
    ck_assert_uint_lt(text->size, TEXT_BYTES_MAX);
    ck_assert_int_eq(fclose(file), 0);
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

START_TEST(mangled_definitions_are_refused_or_right) {
    static struct text originals[3];
    text_read(&originals[0], SAGA_EXAMPLES_DIR "/booking/booking.yaml");
    text_read(&originals[1], SAGA_GOLDEN_DIR "/booking.canonical.json");
    originals[2].size = sizeof full - 1;
    memcpy(originals[2].bytes, full, sizeof full - 1);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(check_text(&originals[i]));
    }
    uint64_t seed = number_of("SAGA_SEED", 1);
    uint64_t rounds = number_of("SAGA_ROUNDS", ROUNDS);
    uint64_t loaded = 0;
    (void)signal(SIGABRT, repeat_print);
    (void)signal(SIGSEGV, repeat_print);
    for (uint64_t round = 0; round < rounds; round++) {
        repeat_note(seed + round);
        struct splitmix random = {.state = seed + round};
        static struct text text;
        text = originals[splitmix_below(&random, 3)];
        uint64_t changes = 1 + splitmix_below(&random, 4);
        for (uint64_t i = 0; i < changes; i++) {
            mangle(&text, &random);
        }
        loaded += check_text(&text);
    }
    /* Both sides of the property were seen, or it says nothing. */
    if (rounds >= ROUNDS) {
        ck_assert_uint_gt(loaded, rounds / 50);
        ck_assert_uint_lt(loaded, rounds / 2);
    }
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("definition_property");
    TCase *mangled = tcase_create("mangled");
    tcase_set_timeout(mangled, 300);
    tcase_add_test(mangled, mangled_definitions_are_refused_or_right);
    suite_add_tcase(suite, mangled);
    return suite;
}

int main(void) {
    return check_run(suite());
}
