/* sagalog on copies of a log that were changed at random: never a wrong answer, and no fall of its
 * own. SAGA_DAMAGE_ROUNDS: how many copies. */
#include "sagalog_fixture.h"
#include "sagalog_stories.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "ids.h"
#include "splitmix.h"

#define ROUNDS     12
#define PAGE_BYTES 4096
/* The two meta pages: an older state of the newer one cannot be told from a crash (log/README.md).
 */
#define META_BYTES (2 * (size_t)PAGE_BYTES)

static struct scratch scratch;

static void set_up(void) {
    scratch_open(&scratch);
    daemon_checkpoint_every(25);
    stories_write(scratch.path);
    (void)unsetenv("COLUMNS");
}

static void tear_down(void) {
    scratch_close(&scratch);
}

/* Changes a few bytes, a page, or two pages for each other; and sometimes cuts the file. */
static void mutate(struct splitmix *random, uint8_t *bytes, size_t *size) {
    const size_t pages = *size / PAGE_BYTES;
    uint8_t *page = bytes + PAGE_BYTES * (2 + splitmix_below(random, pages - 2));
    uint8_t *other = bytes + PAGE_BYTES * (2 + splitmix_below(random, pages - 2));
    uint8_t held[PAGE_BYTES];
    switch (splitmix_below(random, 6)) {
    case 0:
        memset(page, 0, PAGE_BYTES);
        break;
    case 1:
        memcpy(held, page, PAGE_BYTES);
        memcpy(page, other, PAGE_BYTES);
        memcpy(other, held, PAGE_BYTES);
        break;
    case 2:
        for (size_t i = 0; i < PAGE_BYTES; i++) {
            page[i] = (uint8_t)splitmix_next(random);
        }
        break;
    case 3:
        *size -= PAGE_BYTES * splitmix_below(random, pages - 1);
        break;
    default:
        for (size_t i = 0; i < 1 + splitmix_below(random, 4); i++) {
            bytes[META_BYTES + splitmix_below(random, *size - META_BYTES)] ^=
                (uint8_t)(1u << splitmix_below(random, 8));
        }
        break;
    }
}

static const char *const commands[] = {"verify", "list", "stats", "tail", "export"};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])
static const char *const about_one[] = {"show", "explain", "state"};

/* What may be said of a damaged log. */
static void expect_status(int status, const char *command, uint64_t round) {
    ck_assert_msg(status == 0 || status == 3 || status == 7, "round %d: %s ends with %d: %s",
                  (int)round, command, status, complained);
}

START_TEST(a_changed_log_gives_the_same_answers_or_is_refused) {
    const char *rounds_text = getenv("SAGA_DAMAGE_ROUNDS");
    const uint64_t rounds = rounds_text != NULL ? strtoull(rounds_text, NULL, 10) : ROUNDS;
    char *expected[COMMAND_COUNT];
    uint64_t refused = 0;
    size_t whole_size;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i], "--json"), 0);
        expected[i] = strdup(printed);
    }
    uint8_t *whole = file_read(scratch_file(&scratch, "log/data.mdb"), &whole_size);
    for (uint64_t round = 1; round <= rounds; round++) {
        struct splitmix random = {.state = round};
        struct scratch copy;
        char id[SAGA_ID_TEXT_SIZE];
        size_t size = whole_size;
        uint8_t *bytes = malloc(size);
        memcpy(bytes, whole, size);
        mutate(&random, bytes, &size);
        scratch_open(&copy);
        directory_copy(scratch_file(&scratch, "log"), scratch_file(&copy, "log"));
        file_write(scratch_file(&copy, "log/data.mdb"), bytes, size);
        free(bytes);
        bool damaged = false;
        for (size_t i = 0; i < COMMAND_COUNT; i++) {
            const int status = SAGALOG(copy.path, commands[i], "--json");
            expect_status(status, commands[i], round);
            damaged = damaged || (i == 0 && status != 0);
            ck_assert_msg(status != 0 || damaged || strcmp(printed, expected[i]) == 0,
                          "round %d: %s is wrong: %.500s", (int)round, commands[i], printed);
        }
        for (size_t i = 0; i < 3; i++) {
            (void)saga_id_text(&stories[round % STORY_COUNT], id);
            expect_status(SAGALOG(copy.path, about_one[i], i == 0 ? id : id + 28), about_one[i],
                          round);
        }
        refused += damaged;
        scratch_close(&copy);
    }
    ck_assert_uint_gt(refused, rounds / 10);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        free(expected[i]);
    }
    free(whole);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog mutation");
    TCase *tests = tcase_create("mutation");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 3000);
    tcase_add_test(tests, a_changed_log_gives_the_same_answers_or_is_refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
