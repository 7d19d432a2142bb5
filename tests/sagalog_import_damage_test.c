/* Damaged exports: an error that names the line, or a log that says what the text says; never a
 * crash, never a part of a log.
 *
 * SAGA_DAMAGE_ROUNDS: how many changes. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "digest.h"
#include "export_reading.h"
#include "export_scene.h"
#include "sagalog_fixture.h"
#include "splitmix.h"

#define ROUNDS     2000
#define GROWTH_MAX 4096 /* of a text by its changes */

static struct scratch scratch;
static char *whole; /* an export */
static char *loose; /* the same, without the digests of its last line */

static void set_up_all(void) {
    const struct export_scene scene = {
        .seed = 9, .steps = 110, .checkpoint_records = 25, .purged = true};
    scratch_open_in_memory(&scratch);
    char original[SCRATCH_PATH_MAX + 16];
    (void)snprintf(original, sizeof original, "%s/original", scratch.path);
    export_scene_make(original, &scene);
    whole = strdup(export_scene_text(original));
    loose = strdup(whole);
    char *digest = strstr(loose, ",\"digest\":");
    ck_assert_ptr_nonnull(digest);
    (void)strcpy(digest, "}\n");
}

static void tear_down_all(void) {
    free(whole);
    free(loose);
    scratch_close(&scratch);
}

/* ---------------------------------------------------------------------- damage */

/* A text that is being changed. */
struct damaged {
    char *bytes; /* with room for GROWTH_MAX more */
    size_t size;
};

static void replace(struct damaged *text, size_t at, size_t gone, const char *with, size_t size) {
    memmove(text->bytes + at + size, text->bytes + at + gone, text->size - at - gone);
    memcpy(text->bytes + at, with, size);
    text->size += size;
    text->size -= gone;
}

/* Where any line begins, and how long it is with its line feed. */
static size_t any_line(const struct damaged *text, struct splitmix *random, size_t *size) {
    size_t at = splitmix_below(random, text->size);
    while (at > 0 && text->bytes[at - 1] != '\n') {
        at--;
    }
    const char *end = memchr(text->bytes + at, '\n', text->size - at);
    *size = (end != NULL ? (size_t)(end - text->bytes) + 1 : text->size) - at;
    return at;
}

/* Where any number of a member begins, and how many digits it has. */
static size_t any_number(const struct damaged *text, struct splitmix *random, size_t *size) {
    for (;;) {
        const size_t from = splitmix_below(random, text->size);
        const char *found = memchr(text->bytes + from, ':', text->size - from);
        if (found != NULL && found[1] >= '0' && found[1] <= '9') {
            *size = strspn(found + 1, "0123456789");
            return (size_t)(found - text->bytes) + 1;
        }
    }
}

static void change_number(struct damaged *text, struct splitmix *random) {
    static const char *const numbers[] = {"0",
                                          "1",
                                          "-1",
                                          "255",
                                          "256",
                                          "65536",
                                          "4294967296",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "\"18446744073709551615\"",
                                          "1e3",
                                          "null",
                                          "\"7\"",
                                          "[1]"};
    size_t size;
    const size_t at = any_number(text, random, &size);
    const char *number = numbers[splitmix_below(random, sizeof numbers / sizeof numbers[0])];
    replace(text, at, size, number, strlen(number));
}

/* Another member, or one for the second time. */
static void add_member(struct damaged *text, struct splitmix *random) {
    static const char *const members[] = {"\"colour\":1,",     "\"lsn\":5,",
                                          "\"row\":\"open\",", "\"attempt\":7,",
                                          "\"epoch\":1,",      "\"payload_base64\":\"////\",",
                                          "\"end\":3,",        "\"verdict\":\"done\",",
                                          "\"at_ms\":0,"};
    size_t size;
    const size_t at = any_line(text, random, &size);
    const char *member = members[splitmix_below(random, sizeof members / sizeof members[0])];
    replace(text, at + 1, 0, member, strlen(member));
}

static void double_line(struct damaged *text, struct splitmix *random, bool moved) {
    static char copy[GROWTH_MAX];
    size_t size;
    size_t other;
    const size_t at = any_line(text, random, &size);
    if (size > sizeof copy) {
        return;
    }
    memcpy(copy, text->bytes + at, size);
    if (moved) {
        replace(text, at, size, "", 0);
    }
    replace(text, any_line(text, random, &other), 0, copy, size);
}

static void change(struct damaged *text, struct splitmix *random) {
    char byte = (char)splitmix_next(random);
    size_t size;
    size_t at = splitmix_below(random, text->size);
    switch (splitmix_below(random, 11)) {
    case 0:
        text->bytes[at] = (char)((unsigned char)text->bytes[at] ^ 1u << splitmix_below(random, 8));
        return;
    case 1:
        text->bytes[at] = byte;
        return;
    case 2:
        replace(text, at, 1, "", 0);
        return;
    case 3:
        replace(text, at, 0, &byte, 1);
        return;
    case 4:
        text->size = at;
        return;
    case 5:
        at = any_line(text, random, &size);
        replace(text, at, size, "", 0);
        return;
    case 6:
        double_line(text, random, false);
        return;
    case 7:
        double_line(text, random, true);
        return;
    case 8:
        add_member(text, random);
        return;
    case 9: /* a digit, or a letter: most of all in texts and in base64 */
        byte = "0123456789abcdefABCDEF/+="[splitmix_below(random, 25)];
        text->bytes[at] = text->bytes[at] == '\n' ? '\n' : byte;
        return;
    default:
        change_number(text, random);
        return;
    }
}

/* -------------------------------------------------------------------- judgement */

/* What the text says of the records from its first on, by this test's own reading. */
static void digest_of(const struct damaged *damaged, char digest[SAGA_DIGEST_TEXT_SIZE]) {
    struct saga_digest *sum = saga_digest_open();
    uint64_t first_lsn = 0;
    damaged->bytes[damaged->size] = '\0';
    for (const char *line = damaged->bytes; *line != '\0';) {
        json_t *json = export_next(&line);
        if (json_object_get(json, "export") != NULL) {
            first_lsn = (uint64_t)json_integer_value(json_object_get(json, "first_lsn"));
        }
        if (json_object_get(json, "lsn") != NULL) {
            struct saga_record record = export_record(json);
            if (record.lsn >= first_lsn) {
                saga_digest_add(sum, &record);
            }
            export_record_free(&record);
        }
        json_decref(json);
    }
    (void)saga_digest_text(sum, digest);
    saga_digest_close(sum);
}

static void expect_digest(const char *data_dir, const char *wanted, uint64_t round) {
    char member[64];
    (void)snprintf(member, sizeof member, ",\"digest\":\"%s\"", wanted);
    ck_assert_msg(strstr(export_scene_text(data_dir), member) != NULL, "round %" PRIu64, round);
}

static void remove_log(const char *data_dir) {
    char path[SCRATCH_PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/log", data_dir);
    directory_remove(path);
}

static void expect_no_log(const char *data_dir, uint64_t round) {
    static const char *const names[] = {"log", "log.restore", "log.tmp"};
    for (size_t i = 0; i < 3; i++) {
        char path[SCRATCH_PATH_MAX + 32];
        (void)snprintf(path, sizeof path, "%s/%s", data_dir, names[i]);
        ck_assert_msg(!file_exists(path), "round %" PRIu64 ": %s is there", round, names[i]);
    }
}

/* True if it was imported. */
static bool try_text(struct damaged *text, const char *data_dir, const char *file, uint64_t round) {
    file_write(file, text->bytes, text->size);
    const int status = SAGALOG(data_dir, "import", file);
    ck_assert_msg(status == 0 || status == 7, "round %" PRIu64 " ends with %d: %s", round, status,
                  complained);
    if (status == 7) {
        ck_assert_msg(strstr(complained, "export, line ") != NULL, "round %" PRIu64 ": %s", round,
                      complained);
        ck_assert_msg(strstr(complained, "nothing was imported.\n") != NULL, "%s", complained);
        expect_no_log(data_dir, round);
        return false;
    }
    char digest[SAGA_DIGEST_TEXT_SIZE];
    digest_of(text, digest);
    expect_digest(data_dir, digest, round);
    remove_log(data_dir);
    return true;
}

START_TEST(a_changed_text_is_refused_or_taken_by_its_word) {
    const char *rounds_text = getenv("SAGA_DAMAGE_ROUNDS");
    const uint64_t rounds = rounds_text != NULL ? strtoull(rounds_text, NULL, 10) : ROUNDS;
    char data_dir[SCRATCH_PATH_MAX + 16];
    char file[SCRATCH_PATH_MAX + 16];
    uint64_t taken = 0;
    (void)snprintf(data_dir, sizeof data_dir, "%s/copy", scratch.path);
    (void)snprintf(file, sizeof file, "%s/export", scratch.path);
    for (uint64_t round = 1; round <= rounds; round++) {
        struct splitmix random = {round};
        const char *from = round % 3 == 0 ? whole : loose;
        struct damaged text = {.size = strlen(from)};
        text.bytes = malloc(text.size + 2 * GROWTH_MAX + 1);
        memcpy(text.bytes, from, text.size);
        change(&text, &random);
        if (round % 5 == 0) {
            change(&text, &random);
        }
        const size_t before_end = (size_t)(strstr(from, "\n{\"end\"") - from) + 1;
        const bool same = text.size >= before_end && memcmp(text.bytes, from, before_end) == 0;
        const bool imported = try_text(&text, data_dir, file, round);
        /* With its digests nothing is taken that was changed before them. */
        ck_assert_msg(!imported || same || from == loose, "round %" PRIu64, round);
        taken += imported;
        free(text.bytes);
    }
    printf("%" PRIu64 " changes: %" PRIu64 " taken by their word\n", rounds, taken);
    ck_assert_uint_gt(taken, rounds / 50);
    ck_assert_uint_lt(taken, rounds / 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog import damage");
    TCase *tests = tcase_create("damage");
    tcase_add_unchecked_fixture(tests, set_up_all, tear_down_all);
    tcase_set_timeout(tests, 3000);
    tcase_add_test(tests, a_changed_text_is_refused_or_taken_by_its_word);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
