/* The bytes of every format that was ever released: this version reads them, and
 * writes those of the newest. With --write-golden DIRECTORY it makes them. */
#include "record.h"

#include "check_run.h"
#include "meta.h"
#include "record_fixture.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SAGA_GOLDEN_DIR
#error SAGA_GOLDEN_DIR: where the blocks of released formats are
#endif

/* These also run outside of Check, for --write-golden. */
static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

#define GOLDEN_LSN         1000
#define GOLDEN_RECORDS_MAX 32
#define GOLDEN_BYTES_MAX   65536

/* One record of each fact, as a booking saga would have them: the daemon's, then
 * the saga's. Never change these: the golden files hold their bytes. */
static uint32_t golden_records(struct saga_record *records) {
    const int64_t at_ms = 1767225600000; /* 2026-01-01 */
    const struct saga_record all[] = {
        {.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE},
        {.fact = SAGA_DEFINITION_LOADED,
         .step = SAGA_STEP_NONE,
         .key = record_bytes("5f0c1b"),
         .payload = record_bytes("saga: booking\nversion: 1\n")},
        {.fact = SAGA_STARTED,
         .step = SAGA_STEP_NONE,
         .definition_lsn = 1001,
         .key = record_bytes("order-7"),
         .payload = record_bytes("{\"total\":10000}")},
        {.fact = SAGA_COMMAND_ISSUED,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .payload = record_bytes("{\"total\":10000}")},
        {.fact = SAGA_COMMAND_UNSENT,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 1},
        {.fact = SAGA_ATTEMPT_EXPIRED,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 128},
        {.fact = SAGA_REPLY_RECEIVED,
         .step = 0,
         .operation = SAGA_ACTION,
         .incarnation = 1,
         .revision = 1,
         .attempt = 70000,
         .verdict = SAGA_DONE,
         .payload = record_bytes("{\"content\":null}")},
        {.fact = SAGA_CANCEL_REQUESTED, .step = SAGA_STEP_NONE, .reason = SAGA_REASON_CANCELLED},
        {.fact = SAGA_COMPENSATION_STARTED, .step = 63, .reason = SAGA_REASON_REJECTED},
        {.fact = SAGA_PIVOT_PASSED, .step = 4},
        {.fact = SAGA_LATE_REPLY_RECEIVED,
         .step = 1,
         .operation = SAGA_COMPENSATION,
         .incarnation = 300,
         .revision = 2,
         .verdict = SAGA_NOOP},
        {.fact = SAGA_PARKED, .step = 1, .reason = SAGA_REASON_CONTRACT_BROKEN},
        {.fact = SAGA_OPERATOR_ACTED,
         .step = SAGA_STEP_NONE,
         .verb = SAGA_VERB_RETRY,
         .key = record_bytes("ann"),
         .payload = record_bytes("the bank is back")},
        {.fact = SAGA_ENDED, .step = SAGA_STEP_NONE, .outcome = SAGA_COMPENSATED},
    };
    const uint32_t count = sizeof all / sizeof all[0];
    const uint32_t start = 2;
    for (uint32_t i = 0; i < count; i++) {
        records[i] = all[i];
        records[i].lsn = GOLDEN_LSN + i;
        records[i].at_ms = at_ms + i;
        records[i].wall_ms = at_ms - i;
        records[i].epoch = 3;
        if (i >= start) {
            records[i].saga = record_saga_id(0x01);
            records[i].previous_lsn = i > start ? records[i].lsn - 1 : 0;
        }
    }
    return count;
}

static size_t golden_block(uint8_t *bytes) {
    struct saga_record records[GOLDEN_RECORDS_MAX];
    uint32_t count = golden_records(records);
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    for (uint32_t i = 0; i < count; i++) {
        must(saga_block_add(&writer, &records[i]));
    }
    return saga_block_commit(&writer);
}

/* What operators do to one step. Never change these, either. */
static size_t golden_operator_block(uint8_t *bytes) {
    const struct saga_record records[] = {
        {.verb = SAGA_VERB_RESOLVE,
         .step = 4,
         .verdict = SAGA_DONE,
         .key = record_bytes("ann (uid 1000)"),
         .payload = record_bytes("seen in the ledger"),
         .content = record_bytes("{\"room\":7}")},
        {.verb = SAGA_VERB_RESOLVE,
         .step = 4,
         .verdict = SAGA_REJECTED,
         .key = record_bytes("ann")},
        {.verb = SAGA_VERB_MARK_COMPENSATED,
         .step = 0,
         .key = record_bytes("bob"),
         .payload = record_bytes("refunded by hand, receipt 12")},
        {.verb = SAGA_VERB_WRITE_OFF,
         .step = 63,
         .payload = record_bytes("too small to follow up")},
    };
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    for (uint32_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct saga_record record = records[i];
        record.fact = SAGA_OPERATOR_ACTED;
        record.lsn = GOLDEN_LSN + i;
        record.previous_lsn = record.lsn - 1;
        record.saga = record_saga_id(0x01);
        record.at_ms = 1767225600000 + i;
        record.wall_ms = 1767225600000;
        record.epoch = 4;
        must(saga_block_add(&writer, &record));
    }
    return saga_block_commit(&writer);
}

/* A start whose asker is to be told of the end, and the word that some were told. */
static size_t golden_asked_block(uint8_t *bytes) {
    const struct saga_record records[] = {
        {.fact = SAGA_STARTED,
         .saga = record_saga_id(0x01),
         .step = SAGA_STEP_NONE,
         .definition_lsn = 2,
         .key = record_bytes("order-7"),
         .payload = record_bytes("{\"total\":10000}"),
         .content = record_bytes("{\"reply_to\":\"answers\",\"correlation_id\":\"order-7\","
                                 "\"persistent\":true}")},
        {.fact = SAGA_OUTCOMES_TOLD, .step = SAGA_STEP_NONE, .through_lsn = 0x123456789},
    };
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    for (uint32_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct saga_record record = records[i];
        record.lsn = GOLDEN_LSN + i;
        record.at_ms = 1767225600000 + i;
        record.wall_ms = 1767225600000;
        record.epoch = 4;
        must(saga_block_add(&writer, &record));
    }
    return saga_block_commit(&writer);
}

static size_t golden_large_block(uint8_t *bytes) {
    static char payload[5000];
    memset(payload, 'x', sizeof payload);
    struct saga_record record = {.lsn = GOLDEN_LSN,
                                 .fact = SAGA_REPLY_RECEIVED,
                                 .saga = record_saga_id(0x01),
                                 .previous_lsn = 999,
                                 .at_ms = -1,
                                 .epoch = 200,
                                 .step = 2,
                                 .operation = SAGA_FENCE,
                                 .incarnation = 1,
                                 .revision = 1,
                                 .attempt = 1,
                                 .verdict = SAGA_FENCED,
                                 .payload = {payload, sizeof payload}};
    struct saga_block_writer writer;
    saga_block_begin(&writer, GOLDEN_LSN, bytes);
    must(saga_block_add(&writer, &record));
    return saga_block_commit(&writer);
}

static size_t print_bytes(char *at, size_t room, const char *name, struct saga_bytes bytes) {
    size_t used = (size_t)snprintf(at, room, " %s=", name);
    const uint8_t *data = bytes.data;
    uint32_t shown = bytes.size < 40 ? bytes.size : 40;
    for (uint32_t i = 0; i < shown; i++) {
        used += (size_t)snprintf(at + used, room - used, "%02x", data[i]);
    }
    used += (size_t)snprintf(at + used, room - used, "(%" PRIu32 ")", bytes.size);
    return used;
}

/* A block as text, every field of every record; returns its size. */
static size_t print_block(const struct saga_block *block, char *at, size_t room) {
    size_t used = (size_t)snprintf(at, room, "block first_lsn=%" PRIu64 " records=%" PRIu32 "\n",
                                   block->first_lsn, block->record_count);
    for (uint32_t i = 0; i < block->record_count; i++) {
        struct saga_record r;
        must(saga_block_record(block, i, &r) == SAGA_RECORD_OK);
        used += (size_t)snprintf(at + used, room - used,
                                 "lsn=%" PRIu64 " fact=%u previous_lsn=%" PRIu64 " at_ms=%" PRId64
                                 " wall_ms=%" PRId64 " epoch=%" PRIu32
                                 " step=%u operation=%u incarnation=%u revision=%u attempt=%" PRIu32
                                 " verdict=%u reason=%u outcome=%u verb=%u definition_lsn=%" PRIu64,
                                 r.lsn, r.fact, r.previous_lsn, r.at_ms, r.wall_ms, r.epoch, r.step,
                                 r.operation, r.incarnation, r.revision, r.attempt, r.verdict,
                                 r.reason, r.outcome, r.verb, r.definition_lsn);
        struct saga_bytes saga = {r.saga.bytes, sizeof r.saga.bytes};
        used += print_bytes(at + used, room - used, "saga", saga);
        used += print_bytes(at + used, room - used, "key", r.key);
        used += print_bytes(at + used, room - used, "payload", r.payload);
        if (r.content.size > 0) {
            used += print_bytes(at + used, room - used, "content", r.content);
        }
        if (r.through_lsn > 0) {
            used +=
                (size_t)snprintf(at + used, room - used, " through_lsn=%" PRIu64, r.through_lsn);
        }
        used += (size_t)snprintf(at + used, room - used, "\n");
        must(used < room);
    }
    return used;
}

static void assert_same_bytes(const char *name, const void *bytes, size_t size,
                              const void *expected, size_t expected_size) {
    ck_assert_msg(size == expected_size, "%s: %zu bytes, not %zu", name, size, expected_size);
    ck_assert_msg(memcmp(bytes, expected, size) == 0, "%s: other bytes", name);
}

static size_t read_golden(unsigned format, const char *name, uint8_t *bytes) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/format-%u/%s", SAGA_GOLDEN_DIR, format, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    size_t size = fread(bytes, 1, GOLDEN_BYTES_MAX, file);
    (void)fclose(file);
    ck_assert_uint_gt(size, 0);
    return size;
}

static const struct saga_meta golden_row = {
    .format = 1,
    .identity = {0x14, 0xd3, 0x56, 0x7e, 0x1e, 0x18, 0x4a, 0xd9, 0xa7, 0x98, 0x9e, 0x25},
    .base_lsn = 1001,
    .last_lsn = 0x123456789abcd,
    .record_count = 0x123456789abcd - 1000,
    .block_count = 77,
    .epoch = 5,
    .transaction = 0x1020304050607,
    .checkpoint = {.lsn = 1007, .epoch = 1, .epoch_ms = 1767225600000, .at_ms = 1767225600777},
};

static size_t golden_meta(uint8_t *bytes) {
    saga_meta_encode(&golden_row, bytes);
    return SAGA_META_BYTES;
}

static const struct {
    const char *bytes;
    const char *text; /* NULL: no block */
    size_t (*make)(uint8_t *bytes);
} golden[] = {
    {"meta.bin", NULL, golden_meta},
    {"block.bin", "block.txt", golden_block},
    {"large.bin", "large.txt", golden_large_block},
    {"operator.bin", "operator.txt", golden_operator_block},
    {"asked.bin", "asked.txt", golden_asked_block},
};
#define GOLDEN_COUNT (sizeof golden / sizeof golden[0])

static uint8_t golden_bytes[GOLDEN_BYTES_MAX], golden_other[GOLDEN_BYTES_MAX];
static char golden_text[GOLDEN_BYTES_MAX];

START_TEST(the_encoder_gives_the_golden_bytes) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        size_t size = golden[i].make(golden_bytes);
        size_t expected = read_golden(SAGA_RECORD_FORMAT, golden[i].bytes, golden_other);
        assert_same_bytes(golden[i].bytes, golden_bytes, size, golden_other, expected);
    }
}
END_TEST

START_TEST(golden_blocks_of_every_format_are_read) {
    for (unsigned format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        for (size_t i = 0; i < GOLDEN_COUNT; i++) {
            if (golden[i].text == NULL) {
                continue;
            }
            size_t size = read_golden(format, golden[i].bytes, golden_bytes);
            struct saga_block block;
            ck_assert_msg(saga_block_open(&block, GOLDEN_LSN, golden_bytes, size) == SAGA_RECORD_OK,
                          "format %u, %s", format, golden[i].bytes);
            size_t length = print_block(&block, golden_text, sizeof golden_text);
            size_t expected = read_golden(format, golden[i].text, golden_other);
            assert_same_bytes(golden[i].text, golden_text, length, golden_other, expected);
        }
    }
}
END_TEST

START_TEST(golden_meta_rows_of_every_format_are_read) {
    for (unsigned format = 1; format <= SAGA_RECORD_FORMAT; format++) {
        size_t size = read_golden(format, "meta.bin", golden_bytes);
        struct saga_meta meta = {0};
        ck_assert_int_eq(saga_meta_decode(&meta, golden_bytes, size), SAGA_RECORD_OK);
        meta_assert_same(&meta, &golden_row);
    }
}
END_TEST

static int write_file(const char *directory, const char *name, const void *bytes, size_t size) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int write_golden(const char *directory) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        size_t size = golden[i].make(golden_bytes);
        if (golden[i].text == NULL) {
            if (write_file(directory, golden[i].bytes, golden_bytes, size) != EXIT_SUCCESS) {
                return EXIT_FAILURE;
            }
            continue;
        }
        struct saga_block block;
        if (saga_block_open(&block, GOLDEN_LSN, golden_bytes, size) != SAGA_RECORD_OK) {
            return EXIT_FAILURE;
        }
        size_t length = print_block(&block, golden_text, sizeof golden_text);
        if (write_file(directory, golden[i].bytes, golden_bytes, size) != EXIT_SUCCESS ||
            write_file(directory, golden[i].text, golden_text, length) != EXIT_SUCCESS) {
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write-golden") == 0) {
        return write_golden(argv[2]);
    }
    Suite *suite = suite_create("record_golden");
    TCase *tests = tcase_create("golden files");
    tcase_add_test(tests, the_encoder_gives_the_golden_bytes);
    tcase_add_test(tests, golden_blocks_of_every_format_are_read);
    tcase_add_test(tests, golden_meta_rows_of_every_format_are_read);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
