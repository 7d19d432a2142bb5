/* A log with all that an engine leaves in it - records, checkpoints, rows of open and ended sagas,
 * start keys, definitions, ends that are owed - and damage to any of it: it is refused, or says
 * what it said; to this library, to the tool and to the daemon. */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "daemon_process.h"
#include "log_story.h"
#include "pages.h"
#include "scratch.h"
#include "trees.h"
#include "trip_load.h"

#define PAGE               4096
#define STEPS              260
#define CHECKPOINT_RECORDS 120

static struct scratch scratch;
static uint8_t *whole, *before, *exported, *exported_before;
static size_t whole_size, before_size, exported_size, exported_before_size;
static struct log_story original, earlier; /* as it is, and one commit before */
static uint64_t *held;                     /* pages that hold something */
static size_t held_count;

static const char *data_file(void) {
    return scratch_file(&scratch, "log/data.mdb");
}

/* ----------------------------------------------------------------- the log */

static int make_log(void *unused) {
    (void)unused;
    struct trip_load load;
    trip_load_open(&load, scratch.path, 5, CHECKPOINT_RECORDS);
    for (int i = 0; i < STEPS; i++) {
        trip_load_step(&load);
    }
    world.is_mute = true; /* an end that nobody is told of, and a checkpoint that has it */
    const uint64_t checkpoint = world_stats().checkpoints.lsn;
    while (world_stats().checkpoints.lsn < checkpoint + CHECKPOINT_RECORDS) {
        trip_load_step(&load);
        world.is_mute = true;
    }
    file_copy(data_file(), scratch_file(&scratch, "before.mdb"));
    struct saga_request request = trip_request("the last", "{}");
    saga_engine_take(world.engine, &request, world.now);
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_engine_commit(world.engine, world.now, &fault), SAGA_OK); /* one */
    trip_load_close();
    return 0;
}

static struct log_story story_of(void) {
    struct log_story story = {0};
    struct saga_fault fault = {.text = ""};
    ck_assert_msg(log_story_read(&story, scratch.path, false, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(story.sagas, story.sagas_folded);
    return story;
}

static int run(const char *words, const char *output) {
    char line[2048];
    (void)snprintf(line, sizeof line, SAGA_BIN_DIR "/sagalog --data-dir %s %s >%s 2>%s",
                   scratch.path, words, output, scratch_file(&scratch, "complaint"));
    const int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static uint8_t *export_of(size_t *size) {
    const char *path = scratch_file(&scratch, "export");
    ck_assert_int_eq(run("export", path), 0);
    return file_read(path, size);
}

static void find_held(void) {
    struct saga_page_meta live;
    struct saga_fault fault = {.text = ""};
    uint8_t *bits;
    FILE *file = fopen(data_file(), "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(saga_pages_check(fileno(file), "it", false, &live, &fault), SAGA_OK);
    ck_assert_int_eq(saga_trees_map(fileno(file), "it", &live, &bits, &fault), SAGA_OK);
    (void)fclose(file);
    held = calloc(live.last_page + 1, sizeof *held);
    ck_assert_ptr_nonnull(held);
    held_count = 0;
    held[held_count++] = 0;
    held[held_count++] = 1;
    for (uint64_t page = 2; page <= live.last_page; page++) {
        if ((bits[page / 8] & 1u << page % 8) != 0) {
            held[held_count++] = page;
        }
    }
    free(bits);
    ck_assert_uint_lt(held_count, live.last_page + 1); /* some are free */
}

static void set_up_all(void) {
    scratch_open_in_memory(&scratch);
    ck_assert_int_eq(child_run(make_log, NULL), 0);
    whole = file_read(data_file(), &whole_size);
    before = file_read(scratch_file(&scratch, "before.mdb"), &before_size);
    whole_size = whole_size / PAGE * PAGE;
    before_size = before_size / PAGE * PAGE;
    original = story_of();
    exported = export_of(&exported_size);
    find_held();
    static const enum saga_log_table tables[] = {SAGA_TABLE_OPEN, SAGA_TABLE_DONE, SAGA_TABLE_KEYS,
                                                 SAGA_TABLE_DEFINITIONS, SAGA_TABLE_OWED};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        ck_assert_msg(original.in_table[tables[i]] > 0, "table %d is empty", (int)tables[i]);
    }
    file_write(data_file(), before, before_size);
    earlier = story_of();
    exported_before = export_of(&exported_before_size);
    ck_assert_uint_lt(earlier.last_lsn, original.last_lsn);
}

static void tear_down_all(void) {
    free(whole);
    free(before);
    free(exported);
    free(exported_before);
    free(held);
    scratch_close(&scratch);
}

/* ------------------------------------------------------------------- damage */

enum damage {
    BIT_FLIPPED = 1,
    BITS_FLIPPED,
    BYTES_OVERWRITTEN,
    PAGE_ZEROED,
    PAGES_SWAPPED,
    PAGE_DUPLICATED,
    PAGE_OF_GARBAGE,
    PAGE_OF_BEFORE, /* a write that was lost */
    META_OF_BEFORE,
    FILE_CUT,
    FILE_OF_GARBAGE,
    DAMAGE_END,
};

static const char *const damage_names[DAMAGE_END] = {
    [BIT_FLIPPED] = "a bit flipped",
    [BITS_FLIPPED] = "bits flipped",
    [BYTES_OVERWRITTEN] = "bytes overwritten",
    [PAGE_ZEROED] = "a page zeroed",
    [PAGES_SWAPPED] = "two pages swapped",
    [PAGE_DUPLICATED] = "a page written over another",
    [PAGE_OF_GARBAGE] = "a page of garbage",
    [PAGE_OF_BEFORE] = "a page as it was before",
    [META_OF_BEFORE] = "a meta page as it was before",
    [FILE_CUT] = "the file cut",
    [FILE_OF_GARBAGE] = "a file of garbage",
};

/* Three of four are in use. */
static uint8_t *any_page(struct splitmix *random, uint8_t *bytes, bool *used) {
    if (splitmix_below(random, 4) != 0) {
        *used = true;
        return bytes + held[splitmix_below(random, held_count)] * PAGE;
    }
    const uint64_t page = splitmix_below(random, whole_size / PAGE);
    for (size_t i = 0; i < held_count; i++) {
        *used = *used || held[i] == page;
    }
    return bytes + page * PAGE;
}

static void fill(struct splitmix *random, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)splitmix_next(random);
    }
}

/* A page that is not as it was one commit before. */
static size_t changed_page(struct splitmix *random) {
    for (;;) {
        const size_t at = splitmix_below(random, before_size / PAGE) * PAGE;
        if (memcmp(whole + at, before + at, PAGE) != 0) {
            return at;
        }
    }
}

static size_t cut(struct splitmix *random) {
    const size_t sizes[] = {0,    whole_size / 2,   whole_size - PAGE,
                            PAGE, (size_t)2 * PAGE, splitmix_below(random, whole_size)};
    return sizes[splitmix_below(random, sizeof sizes / sizeof sizes[0])];
}

/* Damages `bytes`, of whole_size; returns its size then. */
static size_t do_damage(enum damage damage, struct splitmix *random, uint8_t *bytes, bool *used) {
    uint8_t other[PAGE];
    *used = false;
    uint8_t *a = any_page(random, bytes, used);
    switch (damage) {
    case BIT_FLIPPED:
        a[splitmix_below(random, PAGE)] ^= (uint8_t)(1u << splitmix_below(random, 8));
        return whole_size;
    case BITS_FLIPPED:
        for (uint64_t i = 2 + splitmix_below(random, 7); i > 0; i--) {
            a[splitmix_below(random, PAGE)] ^= (uint8_t)(1u << splitmix_below(random, 8));
            a = any_page(random, bytes, used);
        }
        return whole_size;
    case BYTES_OVERWRITTEN: {
        const size_t size = 1 + splitmix_below(random, 64);
        fill(random, a + splitmix_below(random, PAGE - 64), size);
        return whole_size;
    }
    case PAGE_ZEROED:
        memset(a, 0, PAGE);
        return whole_size;
    case PAGES_SWAPPED:
    case PAGE_DUPLICATED: {
        uint8_t *b = any_page(random, bytes, used);
        memcpy(other, a, PAGE);
        memcpy(a, b, PAGE);
        if (damage == PAGES_SWAPPED) {
            memcpy(b, other, PAGE);
        }
        return whole_size;
    }
    case PAGE_OF_GARBAGE:
        fill(random, a, PAGE);
        return whole_size;
    case PAGE_OF_BEFORE: {
        const size_t at = changed_page(random);
        memcpy(bytes + at, before + at, PAGE);
        *used = true;
        return whole_size;
    }
    case META_OF_BEFORE: {
        const size_t at = splitmix_below(random, 2) * PAGE;
        memcpy(bytes + at, before + at, PAGE);
        *used = true;
        return whole_size;
    }
    case FILE_CUT:
        *used = true;
        return cut(random);
    case FILE_OF_GARBAGE:
        *used = true;
        fill(random, bytes, whole_size);
        return whole_size;
    case DAMAGE_END:
        break;
    }
    abort();
}

/* ------------------------------------------------------------------ judging */

enum outcome { RIGHT = 1, EARLIER, REFUSED, WRONG, DIED, OUTCOME_END };

static const char *const outcome_names[OUTCOME_END] = {
    [RIGHT] = "unchanged", [EARLIER] = "one commit earlier",
    [REFUSED] = "refused", [WRONG] = "wrong",
    [DIED] = "died",
};

/* Shared with the child that opens the damaged logs. */
struct progress {
    enum damage damage;
    uint64_t next, end;
    uint64_t used;
    uint64_t partly; /* a daemon starts on it, and all of its records cannot be read */
    uint64_t counts[OUTCOME_END];
    uint64_t bad_seed;
    char why[1200];
};

static bool same_sagas(const struct log_story *story) {
    return story->sagas == original.sagas || story->sagas == earlier.sagas;
}

static enum outcome compare(const struct log_story *story) {
    const struct log_story *const known[] = {&original, &earlier};
    for (int i = 0; i < 2; i++) {
        if (story->last_lsn == known[i]->last_lsn && story->records == known[i]->records &&
            story->sagas == known[i]->sagas && story->rows == known[i]->rows) {
            return i == 0 ? RIGHT : EARLIER;
        }
    }
    return WRONG;
}

/* Says what is wrong, where, and what to do. */
static bool is_good_text(const char *text) {
    const bool place = strstr(text, scratch.path) != NULL || strstr(text, "the log is damaged: ");
    return place && strstr(text, "estore") != NULL;
}

static enum outcome examine(bool own, struct progress *progress) {
    struct log_story story = {0};
    struct saga_fault fault = {.text = ""};
    const enum saga_error error = log_story_read(&story, scratch.path, own, &fault);
    (void)snprintf(progress->why, sizeof progress->why, "error %d: %s", (int)error, fault.text);
    if (error == SAGA_OK) {
        return compare(&story);
    }
    if (error != SAGA_ERROR_LOG_REFUSED || !is_good_text(fault.text)) {
        return WRONG;
    }
    progress->partly += story.recalled;
    if (story.recalled && !same_sagas(&story)) {
        return WRONG;
    }
    return REFUSED;
}

/* What cannot be told from a crash before the last commit's meta page was written. */
static bool may_be_earlier(enum damage damage) {
    return damage == BIT_FLIPPED || damage == BITS_FLIPPED || damage == BYTES_OVERWRITTEN ||
           damage == META_OF_BEFORE || damage == PAGE_OF_BEFORE;
}

static int examine_all(void *argument) {
    struct progress *progress = argument;
    uint8_t *bytes = malloc(whole_size);
    ck_assert_ptr_nonnull(bytes);
    while (progress->next < progress->end) {
        const uint64_t seed = progress->next++;
        struct splitmix random = {seed * DAMAGE_END + progress->damage};
        bool used;
        memcpy(bytes, whole, whole_size);
        const size_t size = do_damage(progress->damage, &random, bytes, &used);
        file_write(data_file(), bytes, size);
        progress->used += used;
        const enum outcome outcome = examine(seed % 4 == 0, progress);
        progress->counts[outcome]++;
        if (outcome == WRONG || (outcome == EARLIER && !may_be_earlier(progress->damage))) {
            progress->bad_seed = seed;
            (void)fprintf(stderr, "%s, seed %" PRIu64 ": %s, %s\n", damage_names[progress->damage],
                          seed, outcome_names[outcome], progress->why);
        }
    }
    free(bytes);
    return 0;
}

static uint64_t rounds(void) {
    const char *text = getenv("SAGA_DAMAGE_ROUNDS");
    return (text != NULL ? strtoull(text, NULL, 10) : 10000) / (DAMAGE_END - 1) + 1;
}

START_TEST(a_damaged_log_is_refused_or_says_what_it_said) {
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(progress, MAP_FAILED);
    progress->damage = (enum damage)_i;
    progress->end = rounds();
    progress->bad_seed = UINT64_MAX;
    do {
        const int status = child_wait(child_start(examine_all, progress));
        if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
            progress->counts[DIED]++;
            progress->bad_seed = progress->next - 1;
        }
    } while (progress->next < progress->end);
    printf("%s (%" PRIu64 " in use):", damage_names[_i], progress->used);
    for (int i = RIGHT; i < OUTCOME_END; i++) {
        printf(" %" PRIu64 " %s", progress->counts[i], outcome_names[i]);
    }
    printf("; %" PRIu64 " of them only where recovery does not look\n", progress->partly);
    ck_assert_msg(progress->bad_seed == UINT64_MAX, "%s, seed %" PRIu64, damage_names[_i],
                  progress->bad_seed);
    ck_assert_uint_gt(progress->counts[REFUSED] + progress->counts[EARLIER], 0);
    ck_assert_uint_ge(2 * progress->used, progress->end);
    (void)munmap(progress, sizeof *progress);
}
END_TEST

/* ------------------------------------------------------ the tool, the daemon */

#define PROGRAM_ROUNDS 8 /* of each damage */

/* The last complaint is of a row of a table, and not of a record. */
static bool complains_of_row(void) {
    size_t size;
    char *text = (char *)file_read(scratch_file(&scratch, "complaint"), &size);
    const bool of_row =
        strstr(text, " its table ") != NULL || strstr(text, " its start keys") != NULL;
    free(text);
    return of_row;
}

static void expect_tool(const char *what, bool *refuses) {
    static const char *const commands[] = {"verify", "list", "stats", "tail", "show 0"};
    const char *path = scratch_file(&scratch, "export");
    size_t size;
    const int status = run("export", path);
    ck_assert_msg(status == 0 || status == 7, "%s: export ends with %d", what, status);
    const bool of_row = status == 7 && complains_of_row();
    if (status == 0) {
        uint8_t *bytes = file_read(path, &size);
        ck_assert_msg(
            (size == exported_size && memcmp(bytes, exported, size) == 0) ||
                (size == exported_before_size && memcmp(bytes, exported_before, size) == 0),
            "%s: another export", what);
        free(bytes);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const int other = run(commands[i], "/dev/null");
        ck_assert_msg(other == 0 || other == 7 || (i == 4 && other == 3), "%s: %s ends with %d",
                      what, commands[i], other);
        if (i == 0) { /* export reads every row; verify those that recovery reads */
            *refuses = other == 7;
            ck_assert_msg(*refuses || status == 0 || of_row, "%s: verify ends with %d", what,
                          other);
        }
    }
}

static void expect_daemon(const char *what, bool tool_refuses, unsigned *refused) {
    const char *const words[] = {SAGA_BIN_DIR "/sagad", "--data-dir", scratch.path, NULL};
    struct daemon_process process;
    size_t size;
    const char *journal = scratch_file(&scratch, "journal");
    (void)unlink(journal);
    daemon_start(&process, words, NULL, journal);
    if (daemon_await_ready(&process)) {
        /* It need not have read what is damaged. */
        daemon_kill(&process);
        return;
    }
    char *text = (char *)file_read(journal, &size);
    ck_assert_msg(WIFEXITED(process.status) && WEXITSTATUS(process.status) == 7,
                  "%s: wait status %d: %s", what, process.status, text);
    ck_assert_msg(is_good_text(text), "%s: %s", what, text);
    ck_assert_msg(tool_refuses, "%s: sagalog verify takes what the daemon refuses: %s", what, text);
    free(text);
    (*refused)++;
}

START_TEST(the_tool_and_the_daemon_refuse_it_or_say_what_they_said) {
    uint8_t *bytes = malloc(whole_size);
    unsigned refused = 0;
    ck_assert_ptr_nonnull(bytes);
    for (uint64_t seed = 0; seed < PROGRAM_ROUNDS; seed++) {
        struct splitmix random = {1000000 + seed * DAMAGE_END + (uint64_t)_i};
        char what[64];
        bool used;
        bool refuses;
        (void)snprintf(what, sizeof what, "%s, %" PRIu64, damage_names[_i], seed);
        memcpy(bytes, whole, whole_size);
        const size_t size = do_damage((enum damage)_i, &random, bytes, &used);
        file_write(data_file(), bytes, size);
        expect_tool(what, &refuses);
        expect_daemon(what, refuses, &refused);
    }
    printf("%s: %u of %d refused by the daemon\n", damage_names[_i], refused, PROGRAM_ROUNDS);
    free(bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint damage");
    TCase *library = tcase_create("library");
    tcase_add_unchecked_fixture(library, set_up_all, tear_down_all);
    tcase_set_timeout(library, 6000);
    tcase_add_loop_test(library, a_damaged_log_is_refused_or_says_what_it_said, BIT_FLIPPED,
                        DAMAGE_END);
    suite_add_tcase(suite, library);
    TCase *programs = tcase_create("programs");
    tcase_add_unchecked_fixture(programs, set_up_all, tear_down_all);
    tcase_set_timeout(programs, 600);
    tcase_add_loop_test(programs, the_tool_and_the_daemon_refuse_it_or_say_what_they_said,
                        BIT_FLIPPED, DAMAGE_END);
    suite_add_tcase(suite, programs);
    return check_run(suite);
}
