/* A log whose files were damaged: it is refused, or has what it had; never
 * something else, and never the process's end. */
#include "log.h"
#include "meta.h"

#include "check_run.h"
#include "ledger.h"
#include "record.h"
#include "scratch.h"
#include "splitmix.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define MAP_BYTES ((uint64_t)64 << 20)
#define PAGE      4096

static struct scratch scratch;

/* A log of many small commits and some larger ones, so that its trees have
 * branches, its leaves blocks inside and outside, and its free list entries. Its front was
 * dropped, and what is to be kept of it was. */
static uint8_t *whole, *before; /* data.mdb at the end, and some commits before */
static size_t whole_size, before_size;
static uint64_t base_lsn, last_lsn, last_but_one;

static enum saga_error try_open(struct saga_log **log, bool read_only, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scratch.path, .map_bytes_max = MAP_BYTES, .read_only = read_only};
    fault->text[0] = '\0';
    return saga_log_open(log, &options, fault);
}

static const char *data_file(void) {
    return scratch_file(&scratch, "log/data.mdb");
}

static struct scratch original; /* the log that each test gets a copy of */

#define DISTANCE 200

/* Also notes the file as it was three commits before, and tells the last LSNs and the first. */
static int make_log(void *pipe_end) {
    struct saga_log *log;
    struct saga_fault fault;
    struct splitmix random = {3};
    uint64_t lsns[3] = {0};
    ck_assert_int_eq(try_open(&log, false, &fault), SAGA_OK);
    for (int i = 0; i < 130; i++) {
        lsns[0] = saga_log_durable(log);
        ledger_append(log, 1 + (uint32_t)splitmix_below(&random, i % 10 == 0 ? 40 : 4));
        if (i < 80) { /* what follows takes most of the pages that were freed */
            ck_assert_int_eq(ledger_purge(log, DISTANCE, &fault), SAGA_OK);
        }
        ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
        if (i == 126) {
            file_copy(data_file(), scratch_file(&scratch, "before.mdb"));
        }
    }
    lsns[1] = saga_log_durable(log);
    lsns[2] = saga_log_first_lsn(log);
    saga_log_close(log);
    ck_assert_int_eq(write(*(int *)pipe_end, lsns, sizeof lsns), sizeof lsns);
    return 0;
}

static void setup_all(void) {
    uint64_t lsns[3];
    int ends[2];
    scratch_open_in_memory(&scratch);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(child_run(make_log, &ends[1]), 0);
    ck_assert_int_eq(read(ends[0], lsns, sizeof lsns), sizeof lsns);
    ck_assert_int_eq(close(ends[0]) + close(ends[1]), 0);
    last_but_one = lsns[0];
    last_lsn = lsns[1];
    base_lsn = lsns[2];
    ck_assert_uint_gt(base_lsn, 100);
    before = file_read(scratch_file(&scratch, "before.mdb"), &before_size);
    whole = file_read(data_file(), &whole_size);
    ck_assert_uint_eq(whole_size % PAGE, 0);
    original = scratch;
}

static void teardown_all(void) {
    free(whole);
    free(before);
    scratch_close(&original);
}

static void setup(void) {
    scratch_open_in_memory(&scratch);
    directory_copy(scratch_file(&original, "log"), scratch_file(&scratch, "log"));
}

static void teardown(void) {
    scratch_close(&scratch);
}

/* -------------------------------------------------------- random damage, much */

/* What can be done to a file; each is made from a seed. */
enum damage {
    BIT_FLIPPED = 1,
    META_BIT_FLIPPED,
    BYTES_OVERWRITTEN,
    PAGE_ZEROED,
    PAGES_SWAPPED,
    PAGE_DUPLICATED,
    PAGE_OF_BEFORE, /* a write that never reached the disk */
    SECTOR_OF_BEFORE,
    FILE_CUT,
    DAMAGE_END,
};

static const char *const damage_names[DAMAGE_END] = {
    [BIT_FLIPPED] = "a bit flipped",
    [META_BIT_FLIPPED] = "a bit of a meta page flipped",
    [BYTES_OVERWRITTEN] = "bytes overwritten",
    [PAGE_ZEROED] = "a page zeroed",
    [PAGES_SWAPPED] = "two pages swapped",
    [PAGE_DUPLICATED] = "a page written over another",
    [PAGE_OF_BEFORE] = "a page as it was before",
    [SECTOR_OF_BEFORE] = "a sector as it was before",
    [FILE_CUT] = "the file cut",
};

enum outcome { RIGHT = 1, EARLIER, REFUSED, FAILED, WRONG, DIED, OUTCOME_END };

static const char *const outcome_names[OUTCOME_END] = {
    [RIGHT] = "unchanged", [EARLIER] = "one commit earlier",
    [REFUSED] = "refused", [FAILED] = "failed",
    [WRONG] = "wrong",     [DIED] = "died",
};

/* Pages that the log uses; the rest is free, and damage there changes nothing. */
static uint64_t any_page(struct splitmix *random) {
    return splitmix_below(random, whole_size / PAGE);
}

/* A piece of the file that is not as it was some commits before. */
static uint64_t changed_piece(struct splitmix *random, size_t size) {
    for (;;) {
        uint64_t at = splitmix_below(random, before_size / size) * size;
        if (memcmp(whole + at, before + at, size) != 0) {
            return at;
        }
    }
}

static void flip(uint8_t *bytes, uint64_t bit) {
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* Damages `bytes`; returns the file's size then. */
static size_t damage_file(enum damage damage, struct splitmix *random, uint8_t *bytes) {
    uint64_t a = any_page(random) * PAGE, b = any_page(random) * PAGE;
    uint8_t page[PAGE];
    switch (damage) {
    case BIT_FLIPPED:
        flip(bytes, splitmix_below(random, whole_size * 8));
        return whole_size;
    case META_BIT_FLIPPED:
        flip(bytes + splitmix_below(random, 2) * PAGE, splitmix_below(random, (uint64_t)152 * 8));
        return whole_size;
    case BYTES_OVERWRITTEN:
        for (uint64_t i = splitmix_below(random, 16) + 1; i > 0; i--) {
            bytes[a + splitmix_below(random, PAGE)] = (uint8_t)splitmix_next(random);
        }
        return whole_size;
    case PAGE_ZEROED:
        memset(bytes + a, 0, PAGE);
        return whole_size;
    case PAGES_SWAPPED:
        memcpy(page, bytes + a, PAGE);
        memcpy(bytes + a, bytes + b, PAGE);
        memcpy(bytes + b, page, PAGE);
        return whole_size;
    case PAGE_DUPLICATED:
        memmove(bytes + a, bytes + b, PAGE);
        return whole_size;
    case PAGE_OF_BEFORE:
        a = changed_piece(random, PAGE);
        memcpy(bytes + a, before + a, PAGE);
        return whole_size;
    case SECTOR_OF_BEFORE:
        a = changed_piece(random, 512);
        memcpy(bytes + a, before + a, 512);
        return whole_size;
    case FILE_CUT:
        return splitmix_below(random, 2) == 0 ? a : splitmix_below(random, whole_size);
    case DAMAGE_END:
        break;
    }
    abort();
}

/* The log goes on after damage that it did not notice, and stays right. */
static enum outcome go_on(struct saga_log *log, enum outcome outcome) {
    struct saga_fault fault;
    uint64_t last, expected = saga_log_durable(log);
    for (int i = 0; i < 3; i++) {
        ledger_append(log, 30);
        expected += 30;
        if (ledger_purge(log, DISTANCE, &fault) != SAGA_OK ||
            saga_log_flush(log, &fault) != SAGA_OK || ledger_read(log, &last, &fault) != SAGA_OK ||
            last != expected) {
            return WRONG;
        }
    }
    return outcome;
}

static enum outcome examine(bool read_only) {
    struct saga_log *log;
    struct saga_fault fault;
    uint64_t last;
    enum saga_error error = try_open(&log, read_only, &fault);
    if (error == SAGA_OK) {
        error = ledger_read(log, &last, &fault);
        enum outcome outcome = WRONG;
        if (error == SAGA_OK && last == last_lsn) {
            outcome = RIGHT;
        } else if (error == SAGA_OK && last == last_but_one) {
            outcome = EARLIER;
        }
        if (error == SAGA_OK && outcome != WRONG && !read_only) {
            outcome = go_on(log, outcome);
        }
        saga_log_close(log);
        if (error == SAGA_OK) {
            return outcome;
        }
    }
    if (error == SAGA_ERROR_LOG_REFUSED) {
        return strstr(fault.text, scratch.path) != NULL ? REFUSED : WRONG;
    }
    return error == SAGA_ERROR_FAILED ? FAILED : WRONG;
}

/* Shared with the child that opens the damaged logs. */
struct progress {
    enum damage damage;
    uint64_t next;
    uint64_t end;
    uint64_t counts[OUTCOME_END];
    uint64_t bad_seed; /* of the last outcome that must not be */
};

static bool is_good(enum damage damage, enum outcome outcome) {
    switch (outcome) {
    case RIGHT:
    case REFUSED:
        return true;
    case EARLIER: /* cannot be told from a crash before the meta page was written */
        return damage == META_BIT_FLIPPED || damage == PAGE_OF_BEFORE ||
               damage == SECTOR_OF_BEFORE || damage == BIT_FLIPPED;
#ifdef __SANITIZE_THREAD__
    case FAILED: /* a map of terabytes, for which there is no room beside what the sanitizer maps */
        return damage == META_BIT_FLIPPED;
#endif
    default:
        return false;
    }
}

static int examine_all(void *argument) {
    struct progress *progress = argument;
    uint8_t *bytes = malloc(whole_size);
    ck_assert_ptr_nonnull(bytes);
    while (progress->next < progress->end) {
        uint64_t seed = progress->next++;
        struct splitmix random = {seed * DAMAGE_END + progress->damage};
        memcpy(bytes, whole, whole_size);
        size_t size = damage_file(progress->damage, &random, bytes);
        file_write(data_file(), bytes, size);
        enum outcome outcome = examine(seed % 4 != 0);
        progress->counts[outcome]++;
        if (!is_good(progress->damage, outcome)) {
            progress->bad_seed = seed;
        }
    }
    free(bytes);
    return 0;
}

/* How often each; SAGA_DAMAGE_ROUNDS sets it. */
static uint64_t rounds(void) {
    const char *text = getenv("SAGA_DAMAGE_ROUNDS");
    return text != NULL ? strtoull(text, NULL, 10) : 250;
}

START_TEST(a_damaged_log_is_refused_or_unchanged) {
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(progress, MAP_FAILED);
    progress->damage = (enum damage)_i;
    progress->end = rounds();
    progress->bad_seed = UINT64_MAX;
    int status;
    do {
        status = child_wait(child_start(examine_all, progress));
        if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
            progress->counts[DIED]++;
            progress->bad_seed = progress->next - 1;
        }
    } while (progress->next < progress->end);
    printf("%s:", damage_names[_i]);
    for (int i = RIGHT; i < OUTCOME_END; i++) {
        printf(" %" PRIu64 " %s", progress->counts[i], outcome_names[i]);
    }
    printf("\n");
    ck_assert_msg(progress->bad_seed == UINT64_MAX, "%s, seed %" PRIu64, damage_names[_i],
                  progress->bad_seed);
    ck_assert_uint_gt(progress->counts[REFUSED], 0);
    (void)munmap(progress, sizeof *progress);
}
END_TEST

/* ------------------------------------------------- chosen damage, with texts */

/* The fault of opening or reading, which must be a refusal. */
static struct saga_fault refusal(void) {
    struct saga_log *log;
    struct saga_fault fault;
    uint64_t last;
    for (int read_only = 0; read_only < 2; read_only++) {
        enum saga_error error = try_open(&log, read_only != 0, &fault);
        if (error == SAGA_OK) {
            error = ledger_read(log, &last, &fault);
            saga_log_close(log);
        }
        ck_assert_msg(error == SAGA_ERROR_LOG_REFUSED, "error %d: %s", (int)error, fault.text);
    }
    ck_assert_ptr_nonnull(strstr(fault.text, scratch.path));
    return fault;
}

static void assert_says(const char *what) {
    struct saga_fault fault = refusal();
    ck_assert_msg(strstr(fault.text, what) != NULL, "it says: %s", fault.text);
}

START_TEST(missing_and_empty_data_is_missed) {
    ck_assert_int_eq(truncate(data_file(), 0), 0);
    assert_says("its sagas are missing");
    assert_says("is empty");
    ck_assert_int_eq(unlink(data_file()), 0);
    assert_says("data.mdb is missing");
    ck_assert(!file_exists(data_file())); /* nobody made a new one */
    file_write(data_file(), whole, whole_size);
    ck_assert_int_eq(unlink(scratch_file(&scratch, "log/log.id")), 0);
    assert_says("has no log.id");
}
END_TEST

START_TEST(a_missing_log_directory_with_another_in_its_place_is_missed) {
    directory_remove(scratch_file(&scratch, "log"));
    ck_assert_int_eq(mkdir(scratch_file(&scratch, "log"), 0750), 0);
    assert_says("has no log.id");
}
END_TEST

START_TEST(a_truncated_log_says_how_much_is_missing) {
    /* Pages at the very end may be free: without them nothing is missing. */
    const size_t sizes[] = {whole_size / 10 * 9, whole_size / 2 - 1, (size_t)3 * PAGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        file_write(data_file(), whole, sizes[i]);
        assert_says("truncated");
        char number[32];
        (void)snprintf(number, sizeof number, "%zu bytes", sizes[i]);
        assert_says(number);
    }
    for (size_t size = 1; size < PAGE + 152; size += 37) {
        file_write(data_file(), whole, size);
        assert_says("the file ends before it");
    }
}
END_TEST

START_TEST(every_zeroed_page_that_is_used_is_noticed) {
    unsigned unused = 0;
    for (size_t at = 0; at < whole_size; at += PAGE) {
        uint8_t page[PAGE];
        memcpy(page, whole + at, PAGE);
        memset(whole + at, 0, PAGE);
        file_write(data_file(), whole, whole_size);
        enum outcome outcome = examine(true);
        ck_assert(outcome == REFUSED || outcome == RIGHT);
        unused += outcome == RIGHT;
        memcpy(whole + at, page, PAGE);
    }
    ck_assert_uint_lt(unused, 20); /* the free ones */
}
END_TEST

START_TEST(garbage_is_no_log) {
    struct splitmix random = {1};
    for (size_t i = 0; i < whole_size; i++) {
        whole[i] = (uint8_t)splitmix_next(&random);
    }
    file_write(data_file(), whole, whole_size);
    assert_says("does not begin as a page of LMDB does");
}
END_TEST

START_TEST(an_older_or_newer_lmdb_is_named) {
    whole[20] = 2; /* the version of LMDB's format */
    file_write(data_file(), whole, whole_size);
    assert_says("LMDB's data format 2");
    assert_says("knows format 1");
}
END_TEST

/* Changes each place in data.mdb that holds `old` by `change`. */
static unsigned patch(const void *old, size_t size, void (*change)(uint8_t *bytes, size_t size)) {
    unsigned count = 0;
    uint8_t *at = whole;
    while ((at = memmem(at, (size_t)(whole + whole_size - at), old, size)) != NULL) {
        change(at, size);
        at += size;
        count++;
    }
    file_write(data_file(), whole, whole_size);
    return count;
}

static void make_row_newer(uint8_t *magic, size_t unused) {
    (void)unused;
    uint8_t *row = magic - 8;
    row[13] = SAGA_RECORD_FORMAT + 1;
    XXH64_canonicalFromHash((XXH64_canonical_t *)row, XXH3_64bits(row + 8, SAGA_META_BYTES - 8));
}

START_TEST(a_log_of_a_newer_format_is_refused_with_both_numbers) {
    ck_assert_uint_gt(patch("SGMT", 4, make_row_newer), 0);
    char both[64];
    (void)snprintf(both, sizeof both, "of format %d, and this sagad knows formats up to %d",
                   SAGA_RECORD_FORMAT + 1, SAGA_RECORD_FORMAT);
    assert_says(both);
}
END_TEST

START_TEST(an_identity_of_a_newer_format_is_refused_with_both_numbers) {
    size_t size;
    char *text = (char *)file_read(scratch_file(&scratch, "log/log.id"), &size);
    char *number = strstr(text, "format 1");
    ck_assert_ptr_nonnull(number);
    number[7] = '7';
    file_write(scratch_file(&scratch, "log/log.id"), text, size);
    free(text);
    assert_says("of format 7, and this sagad knows formats up to 1");
}
END_TEST

/* The bytes of the block that a record alone in its batch has. */
static size_t block_of(uint64_t lsn, uint8_t *bytes, size_t room) {
    struct saga_block_writer writer;
    struct saga_record record = ledger_record(lsn);
    saga_block_begin(&writer, lsn, bytes);
    ck_assert_uint_le(saga_block_room(&writer, &record), room);
    ck_assert(saga_block_add(&writer, &record));
    return saga_block_commit(&writer);
}

static void make_block_newer(uint8_t *block, size_t size) {
    uint64_t first_lsn;
    memcpy(&first_lsn, block + 16, sizeof first_lsn);
    block[13] = SAGA_RECORD_FORMAT + 1;
    XXH64_canonicalFromHash(
        (XXH64_canonical_t *)block,
        XXH3_64bits_withSeed(block + 8, size - 8, __builtin_bswap64(first_lsn)));
}

static void make_block_damaged(uint8_t *block, size_t size) {
    block[size / 2] ^= 1;
}

/* A record that is the only one of its block. */
static uint64_t lonely_record(uint8_t *block, size_t room, size_t *size) {
    for (uint64_t lsn = base_lsn; lsn < last_lsn; lsn++) {
        *size = block_of(lsn, block, room);
        if (memmem(whole, whole_size, block, *size) != NULL) {
            return lsn;
        }
    }
    ck_abort_msg("no record has a block of its own");
}

START_TEST(a_block_of_a_newer_format_is_named_by_its_record) {
    static uint8_t block[200000];
    size_t size;
    uint64_t lsn = lonely_record(block, sizeof block, &size);
    ck_assert_uint_gt(patch(block, size, make_block_newer), 0);
    char name[64];
    (void)snprintf(name, sizeof name, "record %" PRIu64 ":", lsn);
    assert_says(name);
    assert_says("newer version");
}
END_TEST

START_TEST(a_damaged_record_is_named_and_the_rest_can_be_read) {
    static uint8_t block[200000];
    size_t size;
    uint64_t damaged = lonely_record(block, sizeof block, &size);
    ck_assert_uint_gt(patch(block, size, make_block_damaged), 0);
    char name[64];
    (void)snprintf(name, sizeof name, "record %" PRIu64 ":", damaged);
    assert_says(name);

    struct saga_log *log;
    struct saga_log_reader *reader;
    struct saga_record record;
    struct saga_fault fault;
    ck_assert_int_eq(try_open(&log, true, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_int_eq(saga_log_reader_read(reader, NULL, damaged, &record, &fault),
                     SAGA_ERROR_LOG_REFUSED);
    ck_assert_int_eq(saga_log_reader_read(reader, NULL, damaged + 1, &record, &fault), SAGA_OK);
    uint64_t lsn = base_lsn - 1, skipped = 0;
    enum saga_error error;
    while ((error = saga_log_reader_next(reader, &record, &fault)) != SAGA_ERROR_NOT_FOUND) {
        if (error == SAGA_OK) {
            ck_assert_uint_eq(record.lsn, ++lsn);
            ck_assert(ledger_holds(&record));
            continue;
        }
        ck_assert_int_eq(error, SAGA_ERROR_LOG_REFUSED);
        ck_assert_int_eq(saga_log_reader_skip(reader, &fault), SAGA_OK);
        skipped++;
        lsn = saga_log_reader_position(reader) - 1;
        ck_assert_uint_eq(lsn, damaged);
    }
    ck_assert_uint_eq(skipped, 1);
    ck_assert_uint_eq(lsn, last_lsn);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

START_TEST(files_of_two_logs_do_not_make_one) {
    struct scratch first = scratch;
    struct saga_log *log;
    struct saga_fault fault;
    scratch_open_in_memory(&scratch);
    ck_assert_int_eq(try_open(&log, false, &fault), SAGA_OK);
    saga_log_close(log);
    file_copy(scratch_file(&first, "log/data.mdb"), data_file());
    assert_says("of another log");
    scratch_close(&scratch);
    scratch = first;
}
END_TEST

START_TEST(every_change_of_the_identity_is_noticed) {
    size_t size;
    uint8_t *text = file_read(scratch_file(&scratch, "log/log.id"), &size);
    const char *created = strstr((const char *)text, "created");
    ck_assert_ptr_nonnull(created);
    size_t date = (size_t)((const uint8_t *)created - text) + 8;
    for (size_t bit = 0; bit < size * 8; bit++) {
        flip(text, bit);
        file_write(scratch_file(&scratch, "log/log.id"), text, size);
        enum outcome outcome = examine(true);
        /* Nothing depends on the date; another one is another one. */
        ck_assert(outcome == REFUSED || (outcome == RIGHT && bit / 8 >= date));
        flip(text, bit);
    }
    for (size_t cut = 0; cut < size; cut++) {
        file_write(scratch_file(&scratch, "log/log.id"), text, cut);
        ck_assert_int_eq(examine(true), REFUSED);
    }
    free(text);
}
END_TEST

/* lock.mdb says who is there now; what it said before does not matter. */
START_TEST(lock_file_is_made_anew) {
    static const uint8_t zeros[PAGE];
    const char *path = scratch_file(&scratch, "log/lock.mdb");
    for (int i = 0; i < 3; i++) {
        if (i == 0) {
            ck_assert_int_eq(unlink(path), 0);
        } else {
            file_write(path, i == 1 ? zeros : whole, i == 1 ? PAGE : (size_t)3 * PAGE);
        }
        file_write(data_file(), whole, whole_size);
        ck_assert_int_eq(examine(false), RIGHT);
    }
}
END_TEST

/* -------------------------------------------------------------------- suite */

static Suite *suite(void) {
    Suite *suite = suite_create("log damage");
    TCase *much = tcase_create("random damage");
    tcase_add_unchecked_fixture(much, setup_all, teardown_all);
    tcase_add_checked_fixture(much, setup, teardown);
    tcase_set_timeout(much, 3000);
    tcase_add_loop_test(much, a_damaged_log_is_refused_or_unchanged, BIT_FLIPPED, DAMAGE_END);
    suite_add_tcase(suite, much);
    TCase *chosen = tcase_create("chosen damage");
    tcase_add_unchecked_fixture(chosen, setup_all, teardown_all);
    tcase_add_checked_fixture(chosen, setup, teardown);
    tcase_set_timeout(chosen, 60);
    tcase_add_test(chosen, missing_and_empty_data_is_missed);
    tcase_add_test(chosen, a_missing_log_directory_with_another_in_its_place_is_missed);
    tcase_add_test(chosen, a_truncated_log_says_how_much_is_missing);
    tcase_add_test(chosen, every_zeroed_page_that_is_used_is_noticed);
    tcase_add_test(chosen, garbage_is_no_log);
    tcase_add_test(chosen, an_older_or_newer_lmdb_is_named);
    tcase_add_test(chosen, a_log_of_a_newer_format_is_refused_with_both_numbers);
    tcase_add_test(chosen, an_identity_of_a_newer_format_is_refused_with_both_numbers);
    tcase_add_test(chosen, a_block_of_a_newer_format_is_named_by_its_record);
    tcase_add_test(chosen, a_damaged_record_is_named_and_the_rest_can_be_read);
    tcase_add_test(chosen, files_of_two_logs_do_not_make_one);
    tcase_add_test(chosen, every_change_of_the_identity_is_noticed);
    tcase_add_test(chosen, lock_file_is_made_anew);
    suite_add_tcase(suite, chosen);
    return suite;
}

int main(void) {
    return check_run(suite());
}
