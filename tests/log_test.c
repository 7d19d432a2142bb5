/* The log as its users see it: appending, reading, owning, its limits. */
#include "log.h"

#include "ledger.h"
#include "record.h"
#include "scratch.h"
#include "splitmix.h"

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Small, because address sanitizers dislike large maps. */
#define MAP_BYTES ((uint64_t)256 << 20)

#ifndef SAGA_GOLDEN_DIR
#error SAGA_GOLDEN_DIR: where the logs of released formats are
#endif

static struct scratch scratch;

static void setup(void) {
    scratch_open(&scratch);
}

static void teardown(void) {
    scratch_close(&scratch);
}

static struct saga_log *open_log(void) {
    struct saga_log_options options = {.data_dir = scratch.path, .map_bytes_max = MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

static struct saga_log *open_read_only(void) {
    struct saga_log_options options = {.data_dir = scratch.path, .read_only = true};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_open(&log, &options, &fault) == SAGA_OK, "%s", fault.text);
    return log;
}

/* Opens what must not open; the error, with its text in `fault`. */
static enum saga_error refused(bool read_only, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scratch.path, .map_bytes_max = MAP_BYTES, .read_only = read_only};
    struct saga_log *log;
    fault->text[0] = '\0';
    enum saga_error error = saga_log_open(&log, &options, fault);
    ck_assert_int_ne(error, SAGA_OK);
    ck_assert_int_eq(fault->error, error);
    ck_assert_uint_gt(strlen(fault->text), 20);
    return error;
}

static void flush(struct saga_log *log) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_flush(log, &fault) == SAGA_OK, "%s", fault.text);
}

static void append_and_flush(struct saga_log *log, uint32_t count) {
    ledger_append(log, count);
    flush(log);
}

static void assert_content(struct saga_log *log, uint64_t last_expected) {
    struct saga_fault fault = {0};
    uint64_t last = 0;
    ck_assert_msg(ledger_read(log, &last, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(last, last_expected);
    ck_assert_uint_eq(saga_log_durable(log), last_expected);
}

/* ------------------------------------------------------ appending, reading */

START_TEST(a_new_log_is_empty) {
    struct saga_log *log = open_log();
    ck_assert_uint_eq(strlen(saga_log_identity(log)), 36);
    ck_assert_uint_eq(saga_log_next_lsn(log), 1);
    ck_assert_uint_eq(saga_log_epoch(log), 0);
    ck_assert_uint_eq(saga_log_durable(log), 0);
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_read(log, 1, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, 0, &record, &fault), SAGA_ERROR_NOT_FOUND);
    flush(log); /* of nothing: nothing */
    struct saga_log_usage usage;
    saga_log_usage(log, &usage);
    ck_assert_uint_eq(usage.commits, 0);
    ck_assert_uint_eq(usage.records, 0);
    assert_content(log, 0);
    saga_log_close(log);
}
END_TEST

START_TEST(files_are_for_the_daemons_group) {
    mode_t before = umask(0077);
    saga_log_close(open_log());
    (void)umask(before);
    struct stat status;
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(stat(scratch_file(&scratch, files[i]), &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0660);
    }
    ck_assert_int_eq(stat(scratch_file(&scratch, "log"), &status), 0);
    ck_assert_uint_eq(status.st_mode & 07, 0);
    ck_assert(!file_exists(scratch_file(&scratch, "log.tmp")));
}
END_TEST

START_TEST(records_survive_closing) {
    static const uint32_t batches[] = {1, 2, 1, 100, 3, 1000, 1, 10000, 7};
    uint64_t last = 0;
    char identity[37] = "";
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct saga_log *log = open_log();
        if (i == 0) {
            (void)snprintf(identity, sizeof identity, "%s", saga_log_identity(log));
        }
        ck_assert_str_eq(saga_log_identity(log), identity);
        ck_assert_uint_eq(saga_log_next_lsn(log), last + 1);
        ck_assert_uint_eq(saga_log_epoch(log), last == 0 ? 0 : 1 + last / LEDGER_EPOCH_RECORDS);
        append_and_flush(log, batches[i]);
        last += batches[i];
        ck_assert_uint_eq(saga_log_durable(log), last);
        assert_content(log, last);
        saga_log_close(log);
    }
    struct saga_log *log = open_log();
    assert_content(log, last);
    saga_log_close(log);
}
END_TEST

START_TEST(what_was_not_flushed_is_not_durable) {
    struct saga_log *log = open_log();
    append_and_flush(log, 10);
    ledger_append(log, 5);
    ck_assert_uint_eq(saga_log_durable(log), 10);
    ck_assert_uint_eq(saga_log_next_lsn(log), 16);
    saga_log_close(log);
    log = open_log();
    ck_assert_uint_eq(saga_log_next_lsn(log), 11);
    assert_content(log, 10);
    saga_log_close(log);
}
END_TEST

static void assert_reads(struct saga_log *log, uint64_t lsn) {
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_read(log, lsn, &record, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_uint_eq(record.lsn, lsn);
    ck_assert(ledger_holds(&record));
}

/* Committed and pending alike, in any order, at any moment. */
START_TEST(any_record_can_be_read_at_once) {
    struct splitmix random = {5};
    struct saga_log *log = open_log();
    for (int i = 0; i < 3000; i++) {
        ledger_append(log, 1);
        assert_reads(log, saga_log_next_lsn(log) - 1);
        assert_reads(log, 1 + splitmix_below(&random, saga_log_next_lsn(log) - 1));
        if (splitmix_below(&random, 50) == 0) {
            flush(log);
        }
    }
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_read(log, 3001, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, UINT64_MAX, &record, &fault), SAGA_ERROR_NOT_FOUND);
    for (uint64_t lsn = 3000; lsn > 0; lsn--) {
        assert_reads(log, lsn);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(the_largest_payload_fits) {
    static uint8_t payload[SAGA_PAYLOAD_BYTES_MAX];
    memset(payload, 0x5a, sizeof payload);
    struct saga_log *log = open_log();
    struct saga_fault fault = {0};
    for (int i = 0; i < 6; i++) {
        struct saga_record record = {.lsn = saga_log_next_lsn(log),
                                     .fact = SAGA_STARTED,
                                     .epoch = 1,
                                     .step = SAGA_STEP_NONE,
                                     .key = {payload, SAGA_KEY_BYTES_MAX},
                                     .payload = {payload, sizeof payload}};
        saga_log_append(log, &record);
        record = (struct saga_record){
            .lsn = saga_log_next_lsn(log), .fact = SAGA_ENDED, .epoch = 1, .outcome = 1};
        saga_log_append(log, &record);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t lsn = 1; lsn <= 12; lsn++) {
            struct saga_record record;
            ck_assert_int_eq(saga_log_read(log, lsn, &record, &fault), SAGA_OK);
            ck_assert_uint_eq(record.payload.size, lsn % 2 == 1 ? sizeof payload : 0);
            if (lsn % 2 == 1) {
                ck_assert_mem_eq(record.payload.data, payload, sizeof payload);
            }
        }
        flush(log);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(a_batch_says_when_it_is_full) {
    struct saga_log *log = open_log();
    uint32_t count = 0;
    for (; !saga_log_batch_full(log); count++) {
        struct saga_record record = {
            .lsn = saga_log_next_lsn(log), .fact = SAGA_ENDED, .epoch = 1, .outcome = 1};
        saga_log_append(log, &record);
    }
    ck_assert_uint_le(count + SAGA_DECISION_MAX, SAGA_LOG_BATCH_MAX + 1);
    ck_assert_uint_gt(count + 2 * SAGA_DECISION_MAX, SAGA_LOG_BATCH_MAX);
    flush(log);
    ck_assert(!saga_log_batch_full(log));

    static const uint8_t payload[1 << 20];
    count = 0;
    for (; !saga_log_batch_full(log); count++) {
        struct saga_record record = {.lsn = saga_log_next_lsn(log),
                                     .fact = SAGA_STARTED,
                                     .epoch = 1,
                                     .payload = {payload, sizeof payload}};
        saga_log_append(log, &record);
    }
    ck_assert_uint_ge(count, 16);
    ck_assert_uint_le(count, 64);
    flush(log);
    saga_log_close(log);
}
END_TEST

/* ----------------------------------------------------------------- readers */

START_TEST(a_reader_sees_the_log_as_of_its_opening) {
    struct saga_log *log = open_log();
    append_and_flush(log, 100);
    struct saga_log_reader *reader;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    append_and_flush(log, 100);
    ledger_append(log, 10);
    ck_assert_uint_eq(saga_log_reader_first(reader), 1);
    ck_assert_uint_eq(saga_log_reader_last(reader), 100);
    struct saga_record record;
    for (uint64_t lsn = 1; lsn <= 100; lsn++) {
        ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
        ck_assert_uint_eq(record.lsn, lsn);
        ck_assert(ledger_holds(&record));
    }
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_reader_read(reader, 101, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_OK);
    ck_assert_uint_eq(saga_log_reader_last(reader), 200);
    ck_assert_uint_eq(saga_log_reader_position(reader), 101);
    for (uint64_t lsn = 101; lsn <= 200; lsn++) {
        ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
        ck_assert_uint_eq(record.lsn, lsn);
    }
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_ERROR_NOT_FOUND);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

START_TEST(a_reader_goes_anywhere) {
    struct saga_log *log = open_log();
    append_and_flush(log, 1000);
    append_and_flush(log, 1000);
    struct saga_log_reader *reader;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    struct splitmix random = {17};
    struct saga_record record, other;
    for (int i = 0; i < 2000; i++) {
        uint64_t lsn = 1 + splitmix_below(&random, 2000);
        saga_log_reader_seek(reader, lsn);
        for (uint64_t k = 0; k < 5 && lsn + k <= 2000; k++) {
            ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
            ck_assert_uint_eq(record.lsn, lsn + k);
            ck_assert(ledger_holds(&record));
            uint64_t elsewhere = 1 + splitmix_below(&random, 2000);
            ck_assert_int_eq(saga_log_reader_read(reader, elsewhere, &other, &fault), SAGA_OK);
            ck_assert_uint_eq(other.lsn, elsewhere);
            ck_assert(ledger_holds(&other));
            ck_assert(ledger_holds(&record)); /* still where it was */
        }
    }
    static const uint64_t outside[] = {0, 2001, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        saga_log_reader_seek(reader, outside[i]);
        ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_ERROR_NOT_FOUND);
    }
    saga_log_reader_seek(reader, 3);
    ck_assert_int_eq(saga_log_reader_skip(reader, &fault), SAGA_OK);
    ck_assert_uint_gt(saga_log_reader_position(reader), 3);
    ck_assert_int_eq(saga_log_reader_next(reader, &record, &fault), SAGA_OK);
    saga_log_reader_seek(reader, 2000);
    ck_assert_int_eq(saga_log_reader_skip(reader, &fault), SAGA_ERROR_NOT_FOUND);
    saga_log_reader_close(reader);
    saga_log_close(log);
}
END_TEST

/* A thread that reads the log over and over while another writes it. */
struct watcher {
    struct saga_log *log;
    const char *wrong; /* NULL: nothing was */
    uint64_t last_seen;
    uint64_t last_wanted;
};

static void *watch(void *argument) {
    struct watcher *watcher = argument;
    struct saga_log_reader *reader;
    struct saga_fault fault;
    if (saga_log_reader_open(watcher->log, &reader, &fault) != SAGA_OK) {
        watcher->wrong = "no reader";
        return NULL;
    }
    while (watcher->wrong == NULL && watcher->last_seen < watcher->last_wanted) {
        if (saga_log_reader_last(reader) < watcher->last_seen) {
            watcher->wrong = "the log became shorter";
        }
        watcher->last_seen = saga_log_reader_last(reader);
        saga_log_reader_seek(reader, 1);
        uint64_t lsn = 0;
        struct saga_record record;
        while (saga_log_reader_next(reader, &record, &fault) == SAGA_OK) {
            lsn++;
            if (record.lsn != lsn || !ledger_holds(&record)) {
                watcher->wrong = "a wrong record";
            }
        }
        if (lsn != watcher->last_seen) {
            watcher->wrong = "not all records";
        }
        if (saga_log_reader_renew(reader, &fault) != SAGA_OK) {
            watcher->wrong = "no new view";
        }
    }
    saga_log_reader_close(reader);
    return NULL;
}

START_TEST(readers_in_other_threads_see_whole_batches) {
    enum { WATCHERS = 3, BATCHES = 60, BATCH = 40 };
    struct saga_log *log = open_log();
    struct watcher watchers[WATCHERS];
    pthread_t threads[WATCHERS];
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = (struct watcher){.log = log, .last_wanted = BATCHES * BATCH};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, watch, &watchers[i]), 0);
    }
    for (int i = 0; i < BATCHES; i++) {
        append_and_flush(log, BATCH);
        assert_reads(log, 1 + (uint64_t)i);
    }
    for (int i = 0; i < WATCHERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_msg(watchers[i].wrong == NULL, "%s", watchers[i].wrong);
        ck_assert_uint_eq(watchers[i].last_seen % BATCH, 0);
    }
    saga_log_close(log);
}
END_TEST

/* What LMDB does to its pages while readers hold old ones, and batches are
 * small and large, is never mistaken for damage at the next start. */
START_TEST(a_log_always_opens_again) {
    struct splitmix random = {404};
    uint64_t last = 0;
    for (int i = 0; i < 60; i++) {
        struct saga_log *log = open_log();
        ck_assert_uint_eq(saga_log_durable(log), last);
        struct saga_log_reader *readers[3] = {NULL};
        for (uint64_t commits = splitmix_below(&random, 25); commits > 0; commits--) {
            struct saga_fault fault = {0};
            size_t k = splitmix_below(&random, 3);
            if (readers[k] != NULL) {
                saga_log_reader_close(readers[k]);
                readers[k] = NULL;
            } else {
                ck_assert_int_eq(saga_log_reader_open(log, &readers[k], &fault), SAGA_OK);
            }
            uint64_t small = 1 + splitmix_below(&random, 5);
            append_and_flush(log, splitmix_below(&random, 20) == 0 ? 400 : (uint32_t)small);
        }
        for (size_t k = 0; k < 3; k++) {
            if (readers[k] != NULL) {
                saga_log_reader_close(readers[k]);
            }
        }
        last = saga_log_durable(log);
        saga_log_close(log);
    }
    struct saga_log *log = open_log();
    assert_content(log, last);
    saga_log_close(log);
}
END_TEST

/* ------------------------------------------------------ old logs and backups */

static int inspect(void *last_expected) {
    struct saga_log *log = open_read_only();
    struct saga_fault fault = {0};
    uint64_t last = 0;
    enum saga_error error = ledger_read(log, &last, &fault);
    saga_log_close(log);
    return error == SAGA_OK && last == *(uint64_t *)last_expected ? 0 : 1;
}

/* A log as the first version with its format wrote it; tests/ledger_dump made
 * them. */
START_TEST(a_log_of_every_format_is_read_and_goes_on) {
    for (int format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        char golden[512];
        (void)snprintf(golden, sizeof golden, "%s/format-%d/log", SAGA_GOLDEN_DIR, format);
        directory_copy(golden, scratch_file(&scratch, "log"));
        uint64_t last = 60;
        ck_assert_int_eq(child_run(inspect, &last), 0);
        struct saga_log *log = open_log();
        assert_content(log, 60);
        append_and_flush(log, 40);
        assert_content(log, 100);
        saga_log_close(log);
        directory_remove(scratch_file(&scratch, "log"));
    }
}
END_TEST

START_TEST(a_compacted_copy_is_the_log) {
    struct saga_log *log = open_log();
    for (int i = 0; i < 30; i++) {
        append_and_flush(log, 10);
    }
    char command[4 * SCRATCH_PATH_MAX];
    (void)snprintf(command, sizeof command,
                   "/usr/bin/python3 -c 'import lmdb, os; os.mkdir(\"%s/copy\"); "
                   "lmdb.open(\"%s/log\", readonly=True).copy(\"%s/copy\", compact=True)'",
                   scratch.path, scratch.path, scratch.path);
    ck_assert_int_eq(system(command), 0); /* of a live log */
    append_and_flush(log, 10);
    saga_log_close(log);
    ck_assert_int_eq(
        rename(scratch_file(&scratch, "copy/data.mdb"), scratch_file(&scratch, "log/data.mdb")), 0);
    for (uint64_t last = 300; last < 330; last += 10) {
        log = open_log();
        assert_content(log, last);
        append_and_flush(log, 10);
        saga_log_close(log);
    }
}
END_TEST

/* --------------------------------------------------------------- ownership */

static int open_second(void *path) {
    struct saga_log_options options = {.data_dir = path, .map_bytes_max = MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault = {0};
    char owner[40];
    enum saga_error error = saga_log_open(&log, &options, &fault);
    (void)snprintf(owner, sizeof owner, "process %ld", (long)getppid());
    return error == SAGA_ERROR_OWNED && strstr(fault.text, owner) != NULL
               ? saga_error_exit_status(error)
               : 100 + (int)error;
}

START_TEST(a_second_daemon_is_told_who_owns_the_log) {
    struct saga_log *log = open_log();
    append_and_flush(log, 3);
    ck_assert_int_eq(child_run(open_second, scratch.path), 9);
    char linked[SCRATCH_PATH_MAX + 16];
    (void)snprintf(linked, sizeof linked, "%s-link", scratch.path);
    ck_assert_int_eq(symlink(scratch.path, linked), 0);
    ck_assert_int_eq(child_run(open_second, linked), 9);
    ck_assert_int_eq(unlink(linked), 0);
    append_and_flush(log, 3);
    assert_content(log, 6);
    saga_log_close(log);
}
END_TEST

/* Writes a byte to the pipe once the log is open, then waits to be killed. */
static int own_until_killed(void *pipe_end) {
    struct saga_log *log = open_log();
    append_and_flush(log, 3);
    ledger_append(log, 4); /* not flushed */
    ck_assert_int_eq(write(*(int *)pipe_end, "x", 1), 1);
    for (;;) {
        (void)pause();
    }
    return 0;
}

START_TEST(an_owner_that_was_killed_owns_nothing) {
    for (int i = 0; i < 5; i++) {
        int ends[2];
        char byte;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t child = child_start(own_until_killed, &ends[1]);
        ck_assert_int_eq(close(ends[1]), 0);
        ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        ck_assert_int_eq(close(ends[0]), 0);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert(WIFSIGNALED(child_wait(child)));
        struct saga_log *log = open_log();
        assert_content(log, 3 * ((uint64_t)i + 1));
        saga_log_close(log);
    }
}
END_TEST

/* Flushes batches, and says through a pipe what is durable. */
static int append_until_killed(void *pipe_end) {
    struct saga_log *log = open_log();
    for (uint32_t i = 0;; i++) {
        append_and_flush(log, 1 + i % 50);
        uint64_t durable = saga_log_durable(log);
        ck_assert_int_eq(write(*(int *)pipe_end, &durable, sizeof durable), sizeof durable);
    }
    return 0;
}

START_TEST(a_killed_writer_loses_nothing_that_was_durable) {
    struct splitmix random = {77};
    for (int i = 0; i < 40; i++) {
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        pid_t child = child_start(append_until_killed, &ends[1]);
        ck_assert_int_eq(close(ends[1]), 0);
        uint64_t durable = 0, wanted = 1 + splitmix_below(&random, 20);
        while (wanted-- > 0) {
            ck_assert_int_eq(read(ends[0], &durable, sizeof durable), sizeof durable);
        }
        /* Somewhere in the commit after that. */
        struct timespec moment = {0, (long)splitmix_below(&random, 400000)};
        (void)ppoll(NULL, 0, &moment, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert(WIFSIGNALED(child_wait(child)));
        while (read(ends[0], &durable, sizeof durable) == sizeof durable) {
        }
        ck_assert_int_eq(close(ends[0]), 0);
        struct saga_log *log = open_log();
        ck_assert_uint_ge(saga_log_durable(log), durable);
        ck_assert_uint_le(saga_log_durable(log), durable + 50); /* the one in flight, whole */
        assert_content(log, saga_log_durable(log));
        saga_log_close(log);
    }
}
END_TEST

/* -------------------------------------------------------------- inspection */

START_TEST(an_inspector_reads_beside_the_daemon_and_changes_nothing) {
    struct saga_log *log = open_log();
    for (uint64_t i = 1; i <= 20; i++) {
        append_and_flush(log, 50);
        size_t before_size, after_size;
        uint8_t *before = file_read(scratch_file(&scratch, "log/data.mdb"), &before_size);
        uint64_t last = 50 * i;
        ck_assert_int_eq(child_run(inspect, &last), 0);
        uint8_t *after = file_read(scratch_file(&scratch, "log/data.mdb"), &after_size);
        ck_assert_uint_eq(before_size, after_size);
        ck_assert_mem_eq(before, after, before_size);
        free(before);
        free(after);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(an_inspector_reads_without_a_daemon) {
    struct saga_log *log = open_log();
    append_and_flush(log, 700);
    saga_log_close(log);
    uint64_t last = 700;
    ck_assert_int_eq(child_run(inspect, &last), 0);
    ck_assert_int_eq(unlink(scratch_file(&scratch, "log/lock.mdb")), 0);
    ck_assert_int_eq(child_run(inspect, &last), 0);
    ck_assert(!file_exists(scratch_file(&scratch, "log/lock.mdb")));
    ck_assert_int_eq(unlink(scratch_file(&scratch, "sagad.lock")), 0);
    ck_assert_int_eq(child_run(inspect, &last), 0);
    ck_assert(!file_exists(scratch_file(&scratch, "sagad.lock")));
    log = open_log();
    append_and_flush(log, 1);
    assert_content(log, 701);
    saga_log_close(log);
}
END_TEST

/* Opens and closes the log over and over while the daemon commits as fast as
 * it can: no half of a write may look like damage. */
static int inspect_often(void *unused) {
    (void)unused;
    uint64_t last = 0;
    for (int i = 0; i < 100 || last < 100; i++) {
        struct saga_log *log = open_read_only();
        struct saga_fault fault = {0};
        uint64_t before = last;
        if (ledger_read(log, &last, &fault) != SAGA_OK || last < before) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return 1;
        }
        saga_log_close(log);
    }
    return 0;
}

START_TEST(an_inspector_is_not_disturbed_by_commits) {
    struct saga_log *log = open_log();
    append_and_flush(log, 1);
    pid_t child = child_start(inspect_often, NULL);
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
        append_and_flush(log, 1);
    }
    ck_assert_int_eq(ended, child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    saga_log_close(log);
}
END_TEST

START_TEST(an_inspector_finds_no_log_where_there_is_none) {
    struct saga_fault fault;
    ck_assert_int_eq(refused(true, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert(!file_exists(scratch_file(&scratch, "log")));
    ck_assert(!file_exists(scratch_file(&scratch, "sagad.lock")));
}
END_TEST

#define NOBODY 65534

/* Becomes a user who may read everything here and write nothing. */
static void become_reader(void) {
    if (geteuid() == 0) {
        ck_assert_int_eq(setgroups(0, NULL), 0);
        ck_assert_int_eq(setgid(NOBODY), 0);
        ck_assert_int_eq(setuid(NOBODY), 0);
    }
}

static void make_unwritable(bool whole_log) {
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb", "sagad.lock"};
    for (size_t i = 0; i < (whole_log ? 4 : 0); i++) {
        ck_assert_int_eq(chmod(scratch_file(&scratch, files[i]), 0444), 0);
    }
    if (whole_log) {
        ck_assert_int_eq(chmod(scratch_file(&scratch, "log"), 0555), 0);
    }
    ck_assert_int_eq(chmod(scratch.path, 0555), 0);
}

static void make_writable(void) {
    ck_assert_int_eq(chmod(scratch.path, 0750), 0);
    (void)chmod(scratch_file(&scratch, "log"), 0750);
}

static int inspect_as_reader(void *last_expected) {
    become_reader();
    return inspect(last_expected);
}

START_TEST(an_inspector_reads_a_copy_that_cannot_be_written) {
    struct saga_log *log = open_log();
    append_and_flush(log, 700);
    saga_log_close(log);
    make_unwritable(true);
    uint64_t last = 700;
    int status = child_run(inspect_as_reader, &last);
    make_writable();
    ck_assert_int_eq(status, 0);
}
END_TEST

static int refused_as_reader(void *unused) {
    (void)unused;
    become_reader();
    struct saga_fault fault;
    return refused(true, &fault) == SAGA_ERROR_FAILED && strstr(fault.text, "lock.mdb") != NULL ? 0
                                                                                                : 1;
}

/* Without a place in lock.mdb the daemon would not know of the reader, and
 * write over the pages that it reads. */
START_TEST(an_inspector_that_the_daemon_could_not_see_is_refused) {
    struct saga_log *log = open_log();
    append_and_flush(log, 700);
    make_unwritable(true);
    int status = child_run(refused_as_reader, NULL);
    make_writable();
    ck_assert_int_eq(status, 0);
    saga_log_close(log);
}
END_TEST

static int die_reading(void *unused) {
    (void)unused;
    struct saga_log *log = open_read_only();
    struct saga_log_reader *reader;
    struct saga_fault fault;
    return saga_log_reader_open(log, &reader, &fault) == SAGA_OK ? 0 : 1; /* and never closes it */
}

START_TEST(dead_inspectors_give_their_places_back) {
    struct saga_log *log = open_log();
    append_and_flush(log, 1);
    for (int i = 0; i < 300; i++) { /* LMDB has 126 places */
        ck_assert_int_eq(child_run(die_reading, NULL), 0);
        append_and_flush(log, 1);
        if (i % 20 == 19) {
            ck_assert_uint_gt(saga_log_reap_readers(log), 0);
        }
    }
    ck_assert_uint_eq(saga_log_reap_readers(log), 0);
    assert_content(log, 301);
    saga_log_close(log);
}
END_TEST

/* LMDB has 126 places for readers. Others may take all that are left; the
 * daemon has had its own from the start. */
START_TEST(readers_without_a_place_are_told_and_the_daemon_goes_on) {
    enum { MANY = 200 };
    struct saga_log *log = open_log();
    append_and_flush(log, 10);
    struct saga_log_reader *readers[MANY];
    struct saga_fault fault = {0};
    size_t count = 0;
    enum saga_error error = SAGA_OK;
    while (count < MANY &&
           (error = saga_log_reader_open(log, &readers[count], &fault)) == SAGA_OK) {
        count++;
    }
    ck_assert_int_eq(error, SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "places for readers"));
    ck_assert_uint_gt(count, 100);
    append_and_flush(log, 10);
    assert_reads(log, 15);
    saga_log_reader_close(readers[--count]);
    ck_assert_int_eq(saga_log_reader_open(log, &readers[count], &fault), SAGA_OK);
    for (size_t i = 0; i <= count; i++) {
        saga_log_reader_close(readers[i]);
    }
    saga_log_close(log);
}
END_TEST

/* ---------------------------------------------------------- the directory */

START_TEST(a_directory_that_is_not_there_is_named) {
    struct saga_fault fault;
    directory_remove(scratch.path);
    ck_assert_int_eq(refused(false, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(fault.text, scratch.path));
    ck_assert_int_eq(refused(true, &fault), SAGA_ERROR_NOT_FOUND);
    file_write(scratch.path, "", 0);
    ck_assert_int_eq(refused(false, &fault), SAGA_ERROR_FAILED);
    ck_assert_int_eq(unlink(scratch.path), 0);
    ck_assert_int_eq(mkdir(scratch.path, 0750), 0);
}
END_TEST

START_TEST(a_directory_that_everybody_can_write_is_refused) {
    struct saga_fault fault;
    ck_assert_int_eq(chmod(scratch.path, 0777), 0);
    ck_assert_int_eq(refused(false, &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "o-w"));
    ck_assert(!file_exists(scratch_file(&scratch, "sagad.lock")));
}
END_TEST

static int refused_without_permission(void *unused) {
    (void)unused;
    become_reader();
    struct saga_fault fault;
    return refused(false, &fault) == SAGA_ERROR_FAILED &&
                   strstr(fault.text, "Permission denied") != NULL
               ? 0
               : 1;
}

START_TEST(a_directory_that_cannot_be_written_is_refused) {
    make_unwritable(false);
    int status = child_run(refused_without_permission, NULL);
    make_writable();
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused) {
    char path[6000];
    memset(path, 'x', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 100) {
        path[i] = '/';
    }
    path[sizeof path - 1] = '\0';
    struct saga_log_options options = {.data_dir = path};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_FAILED);
    ck_assert_uint_lt(strlen(fault.text), sizeof fault.text - 1);
}
END_TEST

/* ------------------------------------------------------------------ limits */

START_TEST(a_map_that_is_too_small_is_refused) {
    struct saga_log_options options = {.data_dir = scratch.path, .map_bytes_max = 1000};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_INVALID);
    log = open_log();
    for (int i = 0; i < 10; i++) {
        append_and_flush(log, 1000);
    }
    saga_log_close(log);
    options.map_bytes_max = (uint64_t)1 << 20;
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "raise the limit"));
    log = open_log();
    assert_content(log, 10000);
    saga_log_close(log);
}
END_TEST

START_TEST(a_full_map_ends_writing_and_loses_nothing) {
    struct saga_log_options options = {.data_dir = scratch.path,
                                       .map_bytes_max = (uint64_t)4 << 20};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_OK);
    uint64_t durable = 0;
    uint32_t percent = 0;
    uint64_t at_watermark = 0;
    for (;;) {
        ledger_append(log, 20);
        enum saga_error error = saga_log_flush(log, &fault);
        if (error != SAGA_OK) {
            ck_assert_int_eq(error, SAGA_ERROR_LOG_WRITE);
            break;
        }
        durable = saga_log_durable(log);
        ck_assert_uint_ge(saga_log_full_percent(log), percent);
        percent = saga_log_full_percent(log);
        if (percent < SAGA_LOG_FULL_PERCENT) {
            at_watermark = durable;
        }
    }
    ck_assert_ptr_nonnull(strstr(fault.text, "limit"));
    ck_assert_uint_gt(percent, SAGA_LOG_FULL_PERCENT);
    ck_assert_uint_gt(durable, at_watermark);
    /* It stays failed, and does not touch the disk again. */
    fault.text[0] = '\0';
    ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_ERROR_LOG_WRITE);
    ck_assert_uint_gt(strlen(fault.text), 0);
    ck_assert_uint_eq(saga_log_durable(log), durable);
    saga_log_close(log);
    log = open_log();
    assert_content(log, durable);
    append_and_flush(log, 20);
    saga_log_close(log);
}
END_TEST

START_TEST(usage_counts) {
    struct saga_log *log = open_log();
    struct saga_log_usage empty, usage;
    saga_log_usage(log, &empty);
    ck_assert_uint_eq(empty.bytes_max, MAP_BYTES);
    for (int i = 0; i < 5; i++) {
        append_and_flush(log, 1000);
    }
    saga_log_usage(log, &usage);
    ck_assert_uint_eq(usage.records, 5000);
    ck_assert_uint_eq(usage.commits, 5);
    uint64_t payload = 0;
    for (uint64_t lsn = 1; lsn <= 5000; lsn++) {
        payload += ledger_record(lsn).payload.size;
    }
    ck_assert_uint_gt(usage.record_bytes, payload);
    ck_assert_uint_gt(usage.bytes, empty.bytes + payload);
    ck_assert_uint_lt(usage.bytes, empty.bytes + usage.record_bytes * 13 / 10);
    saga_log_close(log);
}
END_TEST

/* -------------------------------------------------- impossible states abort */

START_TEST(a_record_out_of_turn_is_an_assertion) {
    struct saga_log *log = open_log();
    struct saga_record record = ledger_record(2);
    saga_log_append(log, &record);
}
END_TEST

START_TEST(an_epoch_that_goes_back_is_an_assertion) {
    struct saga_log *log = open_log();
    append_and_flush(log, LEDGER_EPOCH_RECORDS);
    struct saga_record record = ledger_record(LEDGER_EPOCH_RECORDS + 1);
    record.epoch = 1;
    saga_log_append(log, &record);
}
END_TEST

START_TEST(a_batch_too_large_is_an_assertion) {
    struct saga_log *log = open_log();
    ledger_append(log, SAGA_LOG_BATCH_MAX + 1);
}
END_TEST

START_TEST(appending_to_a_log_opened_for_reading_is_an_assertion) {
    saga_log_close(open_log());
    struct saga_log *log = open_read_only();
    ledger_append(log, 1);
}
END_TEST

/* -------------------------------------------------------------------- suite */

static TCase *group(Suite *suite, const char *name) {
    TCase *group = tcase_create(name);
    tcase_add_checked_fixture(group, setup, teardown);
    tcase_set_timeout(group, 60);
    suite_add_tcase(suite, group);
    return group;
}

static Suite *suite(void) {
    Suite *suite = suite_create("log");
    TCase *records = group(suite, "records");
    tcase_add_test(records, a_new_log_is_empty);
    tcase_add_test(records, files_are_for_the_daemons_group);
    tcase_add_test(records, records_survive_closing);
    tcase_add_test(records, what_was_not_flushed_is_not_durable);
    tcase_add_test(records, any_record_can_be_read_at_once);
    tcase_add_test(records, the_largest_payload_fits);
    tcase_add_test(records, a_batch_says_when_it_is_full);
    TCase *readers = group(suite, "readers");
    tcase_add_test(readers, a_reader_sees_the_log_as_of_its_opening);
    tcase_add_test(readers, a_reader_goes_anywhere);
    tcase_add_test(readers, readers_in_other_threads_see_whole_batches);
    tcase_add_test(readers, a_log_always_opens_again);
    TCase *backups = group(suite, "backups");
    tcase_add_test(backups, a_log_of_every_format_is_read_and_goes_on);
    tcase_add_test(backups, a_compacted_copy_is_the_log);
    TCase *owners = group(suite, "owners");
    tcase_add_test(owners, a_second_daemon_is_told_who_owns_the_log);
    tcase_add_test(owners, an_owner_that_was_killed_owns_nothing);
    tcase_add_test(owners, a_killed_writer_loses_nothing_that_was_durable);
    TCase *inspectors = group(suite, "inspectors");
    tcase_add_test(inspectors, an_inspector_reads_beside_the_daemon_and_changes_nothing);
    tcase_add_test(inspectors, an_inspector_reads_without_a_daemon);
    tcase_add_test(inspectors, an_inspector_is_not_disturbed_by_commits);
    tcase_add_test(inspectors, an_inspector_finds_no_log_where_there_is_none);
    tcase_add_test(inspectors, an_inspector_reads_a_copy_that_cannot_be_written);
    tcase_add_test(inspectors, an_inspector_that_the_daemon_could_not_see_is_refused);
    tcase_add_test(inspectors, dead_inspectors_give_their_places_back);
    tcase_add_test(inspectors, readers_without_a_place_are_told_and_the_daemon_goes_on);
    TCase *directory = group(suite, "directory");
    tcase_add_test(directory, a_directory_that_is_not_there_is_named);
    tcase_add_test(directory, a_directory_that_everybody_can_write_is_refused);
    tcase_add_test(directory, a_directory_that_cannot_be_written_is_refused);
    tcase_add_test(directory, a_path_that_is_too_long_is_refused);
    TCase *limits = group(suite, "limits");
    tcase_add_test(limits, a_map_that_is_too_small_is_refused);
    tcase_add_test(limits, a_full_map_ends_writing_and_loses_nothing);
    tcase_add_test(limits, usage_counts);
    TCase *impossible = tcase_create("impossible states");
    tcase_add_unchecked_fixture(impossible, setup, teardown);
    tcase_add_test_raise_signal(impossible, a_record_out_of_turn_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, an_epoch_that_goes_back_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, a_batch_too_large_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, appending_to_a_log_opened_for_reading_is_an_assertion,
                                SIGABRT);
    suite_add_tcase(suite, impossible);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
