/* The log as its users see it: appending, reading, its limits. */
#include "log.h"

#include "check_run.h"
#include "log_scene.h"
#include "record.h"
#include "splitmix.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------ appending, reading */

START_TEST(a_new_log_is_empty) {
    struct saga_log *log = scene_open();
    ck_assert_uint_eq(strlen(saga_log_identity(log)), 36);
    ck_assert_uint_eq(saga_log_next_lsn(log), 1);
    ck_assert_uint_eq(saga_log_epoch(log), 0);
    ck_assert_uint_eq(saga_log_durable(log), 0);
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_read(log, NULL, 1, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, NULL, 0, &record, &fault), SAGA_ERROR_NOT_FOUND);
    scene_flush(log); /* of nothing: nothing */
    struct saga_log_usage usage;
    saga_log_usage(log, &usage);
    ck_assert_uint_eq(usage.commits, 0);
    ck_assert_uint_eq(usage.records, 0);
    scene_assert_content(log, 0);
    saga_log_close(log);
}
END_TEST

START_TEST(files_are_for_the_daemons_group) {
    mode_t before = umask(0077);
    saga_log_close(scene_open());
    (void)umask(before);
    struct stat status;
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(stat(scratch_file(&scene, files[i]), &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0660);
    }
    ck_assert_int_eq(stat(scratch_file(&scene, "log"), &status), 0);
    ck_assert_uint_eq(status.st_mode & 07, 0);
    ck_assert(!file_exists(scratch_file(&scene, "log.tmp")));
}
END_TEST

START_TEST(records_survive_closing) {
    static const uint32_t batches[] = {1, 2, 1, 100, 3, 1000, 1, 10000, 7};
    uint64_t last = 0;
    char identity[37] = "";
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct saga_log *log = scene_open();
        if (i == 0) {
            (void)snprintf(identity, sizeof identity, "%s", saga_log_identity(log));
        }
        ck_assert_str_eq(saga_log_identity(log), identity);
        ck_assert_uint_eq(saga_log_next_lsn(log), last + 1);
        ck_assert_uint_eq(saga_log_epoch(log), last == 0 ? 0 : 1 + last / LEDGER_EPOCH_RECORDS);
        scene_append(log, batches[i]);
        last += batches[i];
        ck_assert_uint_eq(saga_log_durable(log), last);
        scene_assert_content(log, last);
        saga_log_close(log);
    }
    struct saga_log *log = scene_open();
    scene_assert_content(log, last);
    saga_log_close(log);
}
END_TEST

START_TEST(what_was_not_flushed_is_not_durable) {
    struct saga_log *log = scene_open();
    scene_append(log, 10);
    ledger_append(log, 5);
    ck_assert_uint_eq(saga_log_durable(log), 10);
    ck_assert_uint_eq(saga_log_next_lsn(log), 16);
    saga_log_close(log);
    log = scene_open();
    ck_assert_uint_eq(saga_log_next_lsn(log), 11);
    scene_assert_content(log, 10);
    saga_log_close(log);
}
END_TEST

/* Committed and pending alike, in any order, at any moment. */
START_TEST(any_record_can_be_read_at_once) {
    struct splitmix random = {5};
    struct saga_log *log = scene_open();
    for (int i = 0; i < 3000; i++) {
        ledger_append(log, 1);
        scene_assert_reads(log, saga_log_next_lsn(log) - 1);
        scene_assert_reads(log, 1 + splitmix_below(&random, saga_log_next_lsn(log) - 1));
        if (splitmix_below(&random, 50) == 0) {
            scene_flush(log);
        }
    }
    struct saga_record record;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_read(log, NULL, 3001, &record, &fault), SAGA_ERROR_NOT_FOUND);
    ck_assert_int_eq(saga_log_read(log, NULL, UINT64_MAX, &record, &fault), SAGA_ERROR_NOT_FOUND);
    for (uint64_t lsn = 3000; lsn > 0; lsn--) {
        scene_assert_reads(log, lsn);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(the_largest_payload_fits) {
    static uint8_t payload[SAGA_PAYLOAD_BYTES_MAX];
    memset(payload, 0x5a, sizeof payload);
    struct saga_log *log = scene_open();
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
            ck_assert_int_eq(saga_log_read(log, NULL, lsn, &record, &fault), SAGA_OK);
            ck_assert_uint_eq(record.payload.size, lsn % 2 == 1 ? sizeof payload : 0);
            if (lsn % 2 == 1) {
                ck_assert_mem_eq(record.payload.data, payload, sizeof payload);
            }
        }
        scene_flush(log);
    }
    saga_log_close(log);
}
END_TEST

START_TEST(a_batch_says_when_it_is_full) {
    struct saga_log *log = scene_open();
    uint32_t count = 0;
    for (; !saga_log_batch_full(log); count++) {
        struct saga_record record = {
            .lsn = saga_log_next_lsn(log), .fact = SAGA_ENDED, .epoch = 1, .outcome = 1};
        saga_log_append(log, &record);
    }
    ck_assert_uint_le(count + SAGA_DECISION_MAX, SAGA_LOG_BATCH_MAX + 1);
    ck_assert_uint_gt(count + 2 * SAGA_DECISION_MAX, SAGA_LOG_BATCH_MAX);
    scene_flush(log);
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
    scene_flush(log);
    saga_log_close(log);
}
END_TEST

/* ----------------------------------------------------------------- readers */

START_TEST(a_reader_sees_the_log_as_of_its_opening) {
    struct saga_log *log = scene_open();
    scene_append(log, 100);
    struct saga_log_reader *reader;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    scene_append(log, 100);
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
    ck_assert_int_eq(saga_log_reader_read(reader, NULL, 101, &record, &fault),
                     SAGA_ERROR_NOT_FOUND);
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
    struct saga_log *log = scene_open();
    scene_append(log, 1000);
    scene_append(log, 1000);
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
            ck_assert_int_eq(saga_log_reader_read(reader, NULL, elsewhere, &other, &fault),
                             SAGA_OK);
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
    struct saga_log *log = scene_open();
    struct watcher watchers[WATCHERS];
    pthread_t threads[WATCHERS];
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = (struct watcher){.log = log, .last_wanted = BATCHES * BATCH};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, watch, &watchers[i]), 0);
    }
    for (int i = 0; i < BATCHES; i++) {
        scene_append(log, BATCH);
        scene_assert_reads(log, 1 + (uint64_t)i);
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
        struct saga_log *log = scene_open();
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
            scene_append(log, splitmix_below(&random, 20) == 0 ? 400 : (uint32_t)small);
        }
        for (size_t k = 0; k < 3; k++) {
            if (readers[k] != NULL) {
                saga_log_reader_close(readers[k]);
            }
        }
        last = saga_log_durable(log);
        saga_log_close(log);
    }
    struct saga_log *log = scene_open();
    scene_assert_content(log, last);
    saga_log_close(log);
}
END_TEST

/* Having read once must not keep old pages from being reused for ever. */
START_TEST(a_log_that_was_read_does_not_hold_its_old_pages) {
    struct saga_log *log = scene_open();
    struct saga_log_usage first, last;
    scene_append(log, 1);
    scene_assert_reads(log, 1);
    saga_log_usage(log, &first);
    for (int i = 0; i < 90; i++) {
        scene_append(log, 1);
    }
    saga_log_usage(log, &last);
    ck_assert_uint_le(last.bytes, first.bytes + 30 * (uint64_t)4096);
    saga_log_close(log);
}
END_TEST

/* The number of the last transaction in LMDB's table of readers. */
static uint64_t *transaction_of(uint8_t *lock_file, uint64_t expected) {
    uint64_t *found = NULL;
    for (size_t at = 0; at < 256; at += sizeof *found) {
        uint64_t *number = (uint64_t *)(void *)(lock_file + at);
        if (*number == expected) {
            ck_assert_ptr_null(found);
            found = number;
        }
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

/* A reader that is stopped between noting the last transaction and copying
 * LMDB's roots, while two more are committed, has the roots of the newer one
 * under the number of the older. So has one that is told the older number. */
START_TEST(a_view_of_two_transactions_is_not_taken) {
    enum { COMMITS = 77 };
    struct saga_log *log = scene_open();
    for (int i = 0; i < COMMITS; i++) {
        scene_append(log, 1);
    }
    int fd = open(scratch_file(&scene, "log/lock.mdb"), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    uint8_t *lock_file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(lock_file, MAP_FAILED);
    uint64_t *transaction = transaction_of(lock_file, COMMITS + 1); /* creation is one as well */
    struct saga_log_reader *reader;
    struct saga_fault fault = {0};
    *transaction -= 2;
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "of transaction 78"));
    *transaction += 2;
    ck_assert_int_eq(saga_log_reader_open(log, &reader, &fault), SAGA_OK);
    ck_assert_uint_eq(saga_log_reader_last(reader), COMMITS);
    *transaction -= 2;
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_ERROR_LOG_REFUSED);
    *transaction += 2;
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_OK);
    saga_log_reader_close(reader);
    ck_assert_int_eq(munmap(lock_file, 4096), 0);
    ck_assert_int_eq(close(fd), 0);
    scene_assert_content(log, COMMITS);
    saga_log_close(log);
}
END_TEST

/* ------------------------------------------------------------------ limits */

START_TEST(a_map_that_is_too_small_is_refused) {
    struct saga_log_options options = {.data_dir = scene.path, .map_bytes_max = 1000};
    struct saga_log *log;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_INVALID);
    log = scene_open();
    for (int i = 0; i < 10; i++) {
        scene_append(log, 1000);
    }
    saga_log_close(log);
    options.map_bytes_max = (uint64_t)1 << 20;
    ck_assert_int_eq(saga_log_open(&log, &options, &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "raise the limit"));
    log = scene_open();
    scene_assert_content(log, 10000);
    saga_log_close(log);
}
END_TEST

START_TEST(a_full_map_ends_writing_and_loses_nothing) {
    struct saga_log_options options = {.data_dir = scene.path, .map_bytes_max = (uint64_t)4 << 20};
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
        ck_assert_uint_ge(saga_log_full_percent(log) + 1, percent); /* copies come and go */
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
    log = scene_open();
    scene_assert_content(log, durable);
    scene_append(log, 20);
    saga_log_close(log);
}
END_TEST

START_TEST(usage_counts) {
    struct saga_log *log = scene_open();
    struct saga_log_usage empty, usage;
    saga_log_usage(log, &empty);
    ck_assert_uint_eq(empty.bytes_max, SCENE_MAP_BYTES);
    for (int i = 0; i < 5; i++) {
        scene_append(log, 1000);
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
    struct saga_log *log = scene_open();
    struct saga_record record = ledger_record(2);
    saga_log_append(log, &record);
}
END_TEST

START_TEST(an_epoch_that_goes_back_is_an_assertion) {
    struct saga_log *log = scene_open();
    scene_append(log, LEDGER_EPOCH_RECORDS);
    struct saga_record record = ledger_record(LEDGER_EPOCH_RECORDS + 1);
    record.epoch = 1;
    saga_log_append(log, &record);
}
END_TEST

START_TEST(a_batch_too_large_is_an_assertion) {
    struct saga_log *log = scene_open();
    ledger_append(log, SAGA_LOG_BATCH_MAX + 1);
}
END_TEST

START_TEST(appending_to_a_log_opened_for_reading_is_an_assertion) {
    saga_log_close(scene_open());
    struct saga_log *log = scene_inspect();
    ledger_append(log, 1);
}
END_TEST

/* -------------------------------------------------------------------- suite */

static Suite *suite(void) {
    Suite *suite = suite_create("log");
    TCase *records = scene_group(suite, "records");
    tcase_add_test(records, a_new_log_is_empty);
    tcase_add_test(records, files_are_for_the_daemons_group);
    tcase_add_test(records, records_survive_closing);
    tcase_add_test(records, what_was_not_flushed_is_not_durable);
    tcase_add_test(records, any_record_can_be_read_at_once);
    tcase_add_test(records, the_largest_payload_fits);
    tcase_add_test(records, a_batch_says_when_it_is_full);
    TCase *readers = scene_group(suite, "readers");
    tcase_add_test(readers, a_reader_sees_the_log_as_of_its_opening);
    tcase_add_test(readers, a_reader_goes_anywhere);
    tcase_add_test(readers, readers_in_other_threads_see_whole_batches);
    tcase_add_test(readers, a_log_always_opens_again);
    tcase_add_test(readers, a_log_that_was_read_does_not_hold_its_old_pages);
    tcase_add_test(readers, a_view_of_two_transactions_is_not_taken);
    TCase *limits = scene_group(suite, "limits");
    tcase_add_test(limits, a_map_that_is_too_small_is_refused);
    tcase_add_test(limits, a_full_map_ends_writing_and_loses_nothing);
    tcase_add_test(limits, usage_counts);
    TCase *impossible = tcase_create("impossible states");
    tcase_add_unchecked_fixture(impossible, scene_setup, scene_teardown);
    tcase_add_test_raise_signal(impossible, a_record_out_of_turn_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, an_epoch_that_goes_back_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, a_batch_too_large_is_an_assertion, SIGABRT);
    tcase_add_test_raise_signal(impossible, appending_to_a_log_opened_for_reading_is_an_assertion,
                                SIGABRT);
    suite_add_tcase(suite, impossible);
    return suite;
}

int main(void) {
    return check_run(suite());
}
