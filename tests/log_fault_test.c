/* The log on a disk that fails, and in a process that is killed, at each
 * single call that writes. */
#include "log.h"

#include "check_run.h"
#include "faulty_disk.h"
#include "ledger.h"
#include "scratch.h"
#include "splitmix.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_BYTES ((uint64_t)64 << 20)

static struct scratch scratch;

static void setup(void) {
    scratch_open(&scratch);
}

static void teardown(void) {
    scratch_close(&scratch);
}

static enum saga_error try_open(struct saga_log **log, bool read_only, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scratch.path, .map_bytes_max = MAP_BYTES, .read_only = read_only};
    fault->text[0] = '\0';
    return saga_log_open(log, &options, fault);
}

static struct saga_log *open_log(void) {
    struct saga_log *log;
    struct saga_fault fault;
    ck_assert_msg(try_open(&log, false, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

/* From where to where a log has its records. */
struct extent {
    uint64_t first, last;
};

static bool same_extent(struct extent a, struct extent b) {
    return a.first == b.first && a.last == b.last;
}

/* Opens the log, which must hold what the ledger says, and have kept what is to be kept. */
static struct extent extent(void) {
    struct saga_log *log = open_log();
    struct saga_fault fault;
    uint64_t last;
    ck_assert_msg(ledger_read(log, &last, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(last, saga_log_durable(log));
    const struct extent found = {saga_log_first_lsn(log), last};
    saga_log_close(log);
    return found;
}

static uint64_t content(void) {
    return extent().last;
}

/* ----------------------------------------------------------------- creation */

static int open_to_die(void *at) {
    struct saga_log *log;
    struct saga_fault fault;
    faulty_disk_arm(DISK_KILLS, *(unsigned *)at, 0);
    enum saga_error error = try_open(&log, false, &fault);
    (void)faulty_disk_disarm();
    if (error == SAGA_OK) {
        saga_log_close(log);
    }
    return (int)error;
}

/* Dies at call `at` of opening; false: there were not so many. */
static bool die_opening(unsigned at) {
    int status = child_wait(child_start(open_to_die, &at));
    if (WIFEXITED(status)) {
        ck_assert_int_eq(WEXITSTATUS(status), SAGA_OK);
        return false;
    }
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    return true;
}

/* Whoever looks sees no log or a whole one; and the next start finds its way. */
static int look_and_start(void *unused) {
    (void)unused;
    struct saga_log *log;
    struct saga_fault fault;
    enum saga_error error = try_open(&log, true, &fault);
    if (error == SAGA_OK) {
        saga_log_close(log);
    } else if (error != SAGA_ERROR_NOT_FOUND) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    uint64_t before = content();
    log = open_log();
    ledger_append(log, 10);
    if (saga_log_flush(log, &fault) != SAGA_OK) {
        return 2;
    }
    saga_log_close(log);
    return content() == before + 10 && !file_exists(scratch_file(&scratch, "log.tmp")) ? 0 : 3;
}

static void start_over(void) {
    directory_remove(scratch_file(&scratch, "log"));
    directory_remove(scratch_file(&scratch, "log.tmp"));
    (void)unlink(scratch_file(&scratch, "sagad.lock"));
}

START_TEST(killed_at_any_call_of_its_creation_a_log_is_there_or_not) {
    unsigned at = 1;
    for (; die_opening(at); at++) {
        ck_assert_int_eq(child_run(look_and_start, NULL), 0);
        start_over();
    }
    ck_assert_uint_gt(at, 15); /* or the calls are not seen */
}
END_TEST

START_TEST(killed_twice_at_any_calls_of_its_creation_a_log_is_there_or_not) {
    struct splitmix random = {31};
    unsigned calls = 0;
    while (die_opening(calls + 1)) {
        calls++;
        start_over();
    }
    start_over();
    for (int i = 0; i < 60; i++) {
        ck_assert(die_opening(1 + (unsigned)splitmix_below(&random, calls)));
        (void)die_opening(1 + (unsigned)splitmix_below(&random, calls + 4));
        ck_assert_int_eq(child_run(look_and_start, NULL), 0);
        start_over();
    }
}
END_TEST

static const struct {
    enum disk_fault fault;
    int number;
} failures[] = {{DISK_FAILS, EIO}, {DISK_FAILS, ENOSPC}, {DISK_LIES, EIO}};
#define FAILURE_COUNT ((int)(sizeof failures / sizeof failures[0]))

START_TEST(creation_that_fails_says_so_and_can_be_repeated) {
    bool failed = true;
    for (unsigned at = 1; failed; at++) {
        struct saga_log *log;
        struct saga_fault fault;
        faulty_disk_arm(failures[_i].fault, at, failures[_i].number);
        enum saga_error error = try_open(&log, false, &fault);
        failed = faulty_disk_disarm() >= at;
        if (error == SAGA_OK) {
            /* Nothing failed, or something that does not matter. */
            saga_log_close(log);
        } else {
            ck_assert(failed);
            ck_assert_int_eq(error, SAGA_ERROR_FAILED);
            ck_assert_uint_gt(strlen(fault.text), 20);
        }
        ck_assert_int_eq(child_run(look_and_start, NULL), 0);
        start_over();
    }
}
END_TEST

/* Which event is the last of its kind for a file, before `end`. -1: none. */
static int last_event(const struct disk_event *events, int end, enum disk_operation operation,
                      ino_t file) {
    for (int i = end - 1; i >= 0; i--) {
        if (events[i].operation == operation && events[i].file == file) {
            return i;
        }
    }
    return -1;
}

static ino_t inode_of(const char *name) {
    struct stat status;
    ck_assert_int_eq(stat(scratch_file(&scratch, name), &status), 0);
    return status.st_ino;
}

/* Power may fail between any two of these: a name may only become the log's
 * when all behind it is on disk. */
START_TEST(all_of_a_new_log_is_synced_before_it_gets_its_name) {
    faulty_disk_record();
    saga_log_close(open_log());
    size_t count;
    const struct disk_event *events = faulty_disk_events(&count);
    int renamed = last_event(events, (int)count, DISK_RENAME, inode_of("."));
    ck_assert_int_ge(renamed, 0);
    ck_assert_str_eq(events[renamed].name, "log");
    static const char *const files[] = {"log/log.id", "log/data.mdb"};
    for (size_t i = 0; i < 2; i++) {
        ino_t file = inode_of(files[i]);
        ck_assert_int_ge(last_event(events, renamed, DISK_WRITE, file), 0);
        ck_assert_int_gt(last_event(events, renamed, DISK_SYNC, file),
                         last_event(events, renamed, DISK_WRITE, file));
    }
    ino_t log = inode_of("log");
    ck_assert_int_ge(last_event(events, renamed, DISK_CREATE, log), 0);
    ck_assert_int_gt(last_event(events, renamed, DISK_SYNC, log),
                     last_event(events, renamed, DISK_CREATE, log));
    ck_assert_int_gt(last_event(events, (int)count, DISK_SYNC, inode_of(".")), renamed);
}
END_TEST

/* What an attempt may have left, made by hand. */
START_TEST(what_an_attempt_left_is_cleared_away) {
    static const char *const left[][3] = {
        {NULL},       {"log.id"}, {"log.id", "data.mdb"}, {"log.id", "data.mdb", "lock.mdb"},
        {"data.mdb"},
    };
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        for (size_t size = 0; size <= 8192; size += 4096) {
            ck_assert_int_eq(mkdir(scratch_file(&scratch, "log.tmp"), 0750), 0);
            for (size_t k = 0; k < 3 && left[i][k] != NULL; k++) {
                char name[64];
                static const uint8_t zeros[8192];
                (void)snprintf(name, sizeof name, "log.tmp/%s", left[i][k]);
                file_write(scratch_file(&scratch, name), zeros, size);
            }
            ck_assert_int_eq(child_run(look_and_start, NULL), 0);
            start_over();
        }
    }
}
END_TEST

START_TEST(what_somebody_else_left_is_not_touched) {
    struct saga_log *log;
    struct saga_fault fault;
    ck_assert_int_eq(mkdir(scratch_file(&scratch, "log.tmp"), 0750), 0);
    file_write(scratch_file(&scratch, "log.tmp/letters"), "dear", 4);
    ck_assert_int_eq(try_open(&log, false, &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "log.tmp"));
    ck_assert(file_exists(scratch_file(&scratch, "log.tmp/letters")));
}
END_TEST

/* ----------------------------------------------------------------- flushing */

#define BEFORE   40
#define BATCH    60
#define DISTANCE 15 /* of the front that is dropped with it */

static const struct extent before = {1, BEFORE};

/* The records of the batch that a flush is about to write; drops some of those before. Says what
 * the log will have. */
static struct extent prepare_batch(struct saga_log *log) {
    struct saga_fault fault;
    ledger_append(log, BATCH);
    ck_assert_msg(ledger_purge(log, DISTANCE, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_gt(saga_log_first_lsn(log), 5);
    return (struct extent){saga_log_first_lsn(log), BEFORE + BATCH};
}

static struct saga_log *open_with_records(void) {
    struct saga_log *log = open_log();
    struct saga_fault fault;
    for (int i = 0; i < 4; i++) {
        ledger_append(log, BEFORE / 4);
        ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
    }
    return log;
}

/* Each call of a flush fails once. The outcome is unknown, so either is right,
 * but nothing between, and what was durable stays. */
START_TEST(a_flush_that_fails_ends_the_log) {
    bool failed = true;
    unsigned seen = 0;
    for (unsigned at = 1; failed; at++) {
        struct saga_log *log = open_with_records();
        struct saga_fault fault = {0};
        const struct extent after = prepare_batch(log);
        faulty_disk_arm(failures[_i].fault, at, failures[_i].number);
        enum saga_error error = saga_log_flush(log, &fault);
        failed = faulty_disk_disarm() >= at;
        if (!failed) {
            ck_assert_int_eq(error, SAGA_OK);
        } else {
            seen++;
            ck_assert_int_eq(error, SAGA_ERROR_LOG_WRITE);
            ck_assert_uint_gt(strlen(fault.text), 20);
            ck_assert_uint_eq(saga_log_durable(log), BEFORE);
            fault.text[0] = '\0';
            faulty_disk_arm(DISK_FAILS, UINT32_MAX, 0);
            ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_ERROR_LOG_WRITE);
            ck_assert_uint_eq(faulty_disk_disarm(), 0); /* it did not try again */
            ck_assert_uint_gt(strlen(fault.text), 20);
        }
        saga_log_close(log);
        const struct extent found = extent();
        ck_assert(same_extent(found, after) || (failed && same_extent(found, before)));
        ck_assert_int_eq(child_run(look_and_start, NULL), 0);
        start_over();
    }
    ck_assert_uint_ge(seen, 3); /* pages, sync, meta page */
}
END_TEST

static int flush_to_die(void *at) {
    struct saga_log *log = open_with_records();
    struct saga_fault fault;
    (void)prepare_batch(log);
    faulty_disk_arm(DISK_KILLS, *(unsigned *)at, 0);
    return (int)saga_log_flush(log, &fault);
}

START_TEST(killed_at_any_call_of_a_flush_the_batch_is_there_or_not) {
    struct saga_log *log = open_with_records();
    const struct extent after = prepare_batch(log);
    saga_log_close(log);
    start_over();
    unsigned at = 1;
    for (bool died = true; died; at++) {
        int status = child_wait(child_start(flush_to_die, &at));
        died = WIFSIGNALED(status);
        const struct extent found = extent();
        ck_assert(same_extent(found, after) || (died && same_extent(found, before)));
        ck_assert_int_eq(child_run(look_and_start, NULL), 0);
        start_over();
    }
    ck_assert_uint_gt(at, 3);
}
END_TEST

START_TEST(appending_after_a_failed_flush_is_an_assertion) {
    struct saga_log *log = open_with_records();
    struct saga_fault fault;
    ledger_append(log, 1);
    faulty_disk_arm(DISK_FAILS, 1, EIO);
    ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_ERROR_LOG_WRITE);
    (void)faulty_disk_disarm();
    ledger_append(log, 1);
}
END_TEST

/* --------------------------------------------------------------- no memory */

static unsigned allocations_left = UINT32_MAX;
void *__real_realloc(void *bytes, size_t size);
void *__wrap_realloc(void *bytes, size_t size);
void *__wrap_realloc(void *bytes, size_t size) {
    if (allocations_left == 0) {
        errno = ENOMEM;
        return NULL;
    }
    allocations_left--;
    return __real_realloc(bytes, size);
}

START_TEST(a_batch_without_memory_is_lost_as_a_whole) {
    unsigned records_lost = 0;
    unsigned rows_lost = 0;
    for (unsigned left = 0; left < 30; left++) {
        struct saga_log *log = open_with_records();
        struct saga_fault fault = {0};
        struct saga_record record;
        allocations_left = left;
        uint64_t first_lost = 0;
        for (int i = 0; i < 9000; i++) { /* 8 MB: twice what there is to begin with */
            ledger_append(log, 1);
            uint64_t lsn = saga_log_next_lsn(log) - 1;
            if (saga_log_read(log, NULL, lsn, &record, &fault) != SAGA_OK && first_lost == 0) {
                first_lost = lsn;
            }
        }
        ck_assert_uint_eq(saga_log_next_lsn(log), BEFORE + 9001);
        enum saga_error error = saga_log_flush(log, &fault);
        allocations_left = UINT32_MAX;
        if (error == SAGA_OK) {
            ck_assert_uint_eq(first_lost, 0);
            saga_log_close(log);
            ck_assert_uint_eq(content(), BEFORE + 9000);
            ck_assert_uint_gt(records_lost, 0);
            ck_assert_uint_gt(rows_lost, 0);
            return;
        }
        ck_assert_int_eq(error, SAGA_ERROR_LOG_WRITE);
        ck_assert_ptr_nonnull(strstr(fault.text, "memory"));
        if (first_lost > 0) { /* else it was a row for which there was none */
            ck_assert_int_eq(saga_log_read(log, NULL, first_lost, &record, &fault),
                             SAGA_ERROR_LOG_WRITE);
            records_lost++;
        } else {
            rows_lost++;
        }
        saga_log_close(log);
        ck_assert_uint_eq(content(), BEFORE);
        start_over();
    }
    ck_abort_msg("it never had enough memory");
}
END_TEST

/* ---------------------------------------------------------- the file system */

START_TEST(a_file_system_on_the_network_is_refused) {
    static const unsigned long types[] = {NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, CIFS_SUPER_MAGIC};
    for (size_t i = 0; i < 3; i++) {
        struct saga_log *log;
        struct saga_fault fault;
        faulty_disk_system_type = types[i];
        ck_assert_int_eq(try_open(&log, false, &fault), SAGA_ERROR_FAILED);
        ck_assert_ptr_nonnull(strstr(fault.text, "local disk"));
        ck_assert(!file_exists(scratch_file(&scratch, "sagad.lock")));
    }
    faulty_disk_system_type = 0;
    saga_log_close(open_log());
}
END_TEST

START_TEST(a_disk_that_fills_up_is_noticed_before_it_is_full) {
    struct saga_log *log = open_with_records();
    struct saga_fault fault;
    uint32_t percent[3];
    faulty_disk_bytes = (uint64_t)100 << 30;
    const uint64_t left[3] = {(uint64_t)10 << 30, ((uint64_t)32 << 20) + 65536, (uint64_t)1 << 20};
    for (size_t i = 0; i < 3; i++) {
        faulty_disk_bytes_free = left[i];
        ledger_append(log, 1);
        ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
        percent[i] = saga_log_full_percent(log);
    }
    ck_assert_uint_le(percent[0], 1); /* a disk that others fill by 90 % is no reason */
    ck_assert_uint_gt(percent[1], 20);
    ck_assert_uint_lt(percent[1], percent[2]);
    ck_assert_uint_gt(percent[2], 50); /* of the file as it is: its free pages are all there is */
    saga_log_close(log);
}
END_TEST

/* --------------------------------------------------------------- power loss */

/* What the disk may hold after the power failed: all that was synced, and of
 * what was not, any set of pieces of `unit` bytes. */
struct image {
    uint8_t *synced;
    size_t size;
};

static void image_write(uint8_t **bytes, size_t *size, uint64_t offset, const uint8_t *from,
                        size_t count) {
    if (offset + count > *size) {
        *bytes = realloc(*bytes, offset + count);
        ck_assert_ptr_nonnull(*bytes);
        memset(*bytes + *size, 0, offset + count - *size);
        *size = offset + count;
    }
    memcpy(*bytes + offset, from, count);
}

enum keep { KEEP_NONE, KEEP_ALL, KEEP_FIRST_HALF, KEEP_SECOND_HALF, KEEP_RANDOM };

/* Which pieces of the unsynced writes events[from..to) reach the disk. */
static void lose(const struct disk_event *events, size_t from, size_t to, ino_t file, size_t unit,
                 enum keep keep, struct splitmix *random, uint8_t **bytes, size_t *size) {
    size_t pieces = 0;
    for (size_t i = from; i < to; i++) {
        pieces += events[i].file == file && events[i].operation == DISK_WRITE
                      ? (events[i].size + unit - 1) / unit
                      : 0;
    }
    size_t piece = 0;
    for (size_t i = from; i < to; i++) {
        if (events[i].file != file || events[i].operation != DISK_WRITE) {
            continue;
        }
        for (size_t at = 0; at < events[i].size; at += unit, piece++) {
            bool kept = keep == KEEP_ALL || (keep == KEEP_FIRST_HALF && piece < pieces / 2) ||
                        (keep == KEEP_SECOND_HALF && piece >= pieces / 2) ||
                        (keep == KEEP_RANDOM && (splitmix_next(random) & 1) != 0);
            size_t rest = events[i].size - at;
            if (kept) {
                image_write(bytes, size, events[i].offset + at, events[i].bytes + at,
                            rest < unit ? rest : unit);
            }
        }
    }
}

static unsigned states;

/* The state is opened, read, and compared with what was promised: it has the batch that was on its
 * way, and lacks what that dropped, or has what was before it. */
static void check_state(const uint8_t *bytes, size_t size, struct extent durable,
                        struct extent on_its_way) {
    file_write(scratch_file(&scratch, "log/data.mdb"), bytes, size);
    const struct extent found = extent();
    ck_assert(same_extent(found, durable) || same_extent(found, on_its_way));
    states++;
}

/* The commits' events, and what was durable, and what was on its way, at
 * each. */
struct trace {
    const struct disk_event *events;
    size_t count;
    size_t *ends; /* of each commit */
    struct extent *extents;
    size_t commits;
};

static void check_crashes(const struct trace *trace, ino_t file, struct image *image,
                          struct splitmix *random) {
    size_t unsynced = 0, commit = 0;
    struct extent durable = {1, 0};
    for (size_t i = 0; i <= trace->count; i++) {
        while (commit < trace->commits && trace->ends[commit] <= i) {
            durable = trace->extents[commit++];
        }
        const struct extent on_its_way = commit < trace->commits ? trace->extents[commit] : durable;
        for (int k = 0; k < 9; k++) {
            size_t size = image->size;
            uint8_t *bytes = malloc(size);
            ck_assert_ptr_nonnull(bytes);
            memcpy(bytes, image->synced, size);
            enum keep keep = k < 4 ? (enum keep)k : KEEP_RANDOM;
            lose(trace->events, unsynced, i, file, k % 2 == 0 ? 512 : 4096, keep, random, &bytes,
                 &size);
            check_state(bytes, size, durable, on_its_way);
            free(bytes);
        }
        if (i == trace->count) {
            break;
        }
        const struct disk_event *event = &trace->events[i];
        if (event->file == file && (event->operation == DISK_SYNC || event->synced)) {
            /* An O_DSYNC write makes itself durable, not what was before it. */
            if (event->operation == DISK_SYNC) {
                lose(trace->events, unsynced, i, file, 4096, KEEP_ALL, random, &image->synced,
                     &image->size);
                unsynced = i + 1;
            } else {
                ck_assert_uint_eq(unsynced, i); /* LMDB syncs pages before their meta page */
                image_write(&image->synced, &image->size, event->offset, event->bytes, event->size);
                unsynced = i + 1;
            }
        }
    }
}

START_TEST(after_power_loss_the_log_has_what_was_durable) {
    enum { COMMITS = 24 };
    struct splitmix random = {2026};
    struct saga_log *log = open_log();
    struct saga_fault fault;
    struct image image;
    image.synced = file_read(scratch_file(&scratch, "log/data.mdb"), &image.size);
    size_t ends[COMMITS];
    struct extent extents[COMMITS];
    unsigned drops = 0;
    faulty_disk_record();
    for (int i = 0; i < COMMITS; i++) {
        const uint64_t first = saga_log_first_lsn(log);
        ledger_append(log, 1 + (uint32_t)splitmix_below(&random, i % 8 == 0 ? 150 : 20));
        ck_assert_int_eq(ledger_purge(log, 60, &fault), SAGA_OK);
        ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
        ends[i] = faulty_disk_recorded();
        extents[i] = (struct extent){saga_log_first_lsn(log), saga_log_durable(log)};
        drops += extents[i].first > first;
    }
    ck_assert_uint_gt(drops, 10);
    size_t count;
    const struct disk_event *events = faulty_disk_events(&count);
    saga_log_close(log);
    struct trace trace = {events, count, ends, extents, COMMITS};
    check_crashes(&trace, inode_of("log/data.mdb"), &image, &random);
    ck_assert_uint_gt(states, 500);
    free(image.synced);
}
END_TEST

/* -------------------------------------------------------------------- suite */

static TCase *group(Suite *suite, const char *name) {
    TCase *group = tcase_create(name);
    tcase_add_checked_fixture(group, setup, teardown);
    tcase_set_timeout(group, 100);
    suite_add_tcase(suite, group);
    return group;
}

static Suite *suite(void) {
    Suite *suite = suite_create("log faults");
    TCase *creation = group(suite, "creation");
    tcase_add_test(creation, killed_at_any_call_of_its_creation_a_log_is_there_or_not);
    tcase_add_test(creation, killed_twice_at_any_calls_of_its_creation_a_log_is_there_or_not);
    tcase_add_loop_test(creation, creation_that_fails_says_so_and_can_be_repeated, 0,
                        FAILURE_COUNT);
    tcase_add_test(creation, all_of_a_new_log_is_synced_before_it_gets_its_name);
    tcase_add_test(creation, what_an_attempt_left_is_cleared_away);
    tcase_add_test(creation, what_somebody_else_left_is_not_touched);
    TCase *flushing = group(suite, "flushing");
    tcase_add_loop_test(flushing, a_flush_that_fails_ends_the_log, 0, FAILURE_COUNT);
    tcase_add_test(flushing, killed_at_any_call_of_a_flush_the_batch_is_there_or_not);
    tcase_add_test(flushing, a_batch_without_memory_is_lost_as_a_whole);
    TCase *impossible = tcase_create("impossible states");
    tcase_add_unchecked_fixture(impossible, setup, teardown);
    tcase_add_test_raise_signal(impossible, appending_after_a_failed_flush_is_an_assertion,
                                SIGABRT);
    suite_add_tcase(suite, impossible);
    TCase *place = group(suite, "file system");
    tcase_add_test(place, a_file_system_on_the_network_is_refused);
    tcase_add_test(place, a_disk_that_fills_up_is_noticed_before_it_is_full);
    TCase *power = group(suite, "power loss");
    tcase_add_test(power, after_power_loss_the_log_has_what_was_durable);
    return suite;
}

int main(void) {
    return check_run(suite());
}
