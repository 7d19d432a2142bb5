/* Rows of the tables: what is read is what was written, whatever the numbers; cut, grown, newer and
 * contradictory ones are refused. */
#include "tables.h"

#include "check_run.h"
#include "splitmix.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct saga_bytes of(const void *bytes, size_t size) {
    return (struct saga_bytes){.data = bytes, .size = (uint32_t)size};
}

static void fill(struct splitmix *random, void *bytes, size_t size) {
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)splitmix_next(random);
    }
}

/* Any numbers in every field: the codec knows no rule of a saga. */
static struct saga *any_saga(struct splitmix *random, uint8_t step_count) {
    struct saga *saga = calloc(1, saga_size(SAGA_STEPS_MAX));
    ck_assert_ptr_nonnull(saga);
    fill(random, &saga->id, sizeof saga->id);
    saga->definition_lsn = splitmix_next(random);
    saga->last_lsn = splitmix_next(random) | 1;
    saga->started_ms = (int64_t)splitmix_next(random);
    saga->deadline_ms = (int64_t)splitmix_next(random);
    saga->step_count = step_count;
    saga->direction = (uint8_t)splitmix_next(random);
    saga->parked = (uint8_t)splitmix_next(random);
    saga->wish = (uint8_t)splitmix_next(random);
    saga->reason = (uint8_t)splitmix_next(random);
    saga->pivot_passed = (uint8_t)splitmix_next(random);
    saga->started_count = (uint8_t)splitmix_next(random);
    saga->parked_step = (uint8_t)splitmix_next(random);
    saga->epoch = (uint32_t)splitmix_next(random);
    for (uint8_t i = 0; i < step_count; i++) {
        fill(random, &saga->steps[i], sizeof saga->steps[i]);
    }
    return saga;
}

_Static_assert(sizeof(struct saga_step) == 40, "fill() has no holes to fill");

static uint8_t key[SAGA_OPEN_KEY_BYTES];
static uint8_t value[SAGA_OPEN_VALUE_BYTES_MAX];

static struct saga_open_row row_of(const struct saga *saga) {
    return (struct saga_open_row){.id = saga->id,
                                  .started_lsn = 1,
                                  .last_lsn = saga->last_lsn,
                                  .definition_lsn = saga->definition_lsn};
}

static size_t write_open(const struct saga *saga) {
    const struct saga_open_row row = row_of(saga);
    return saga_open_row_encode(&row, saga, key, value);
}

static enum saga_record_error read_open(size_t size, struct saga_open_row *row,
                                        struct saga *state) {
    /* Of just that size, so that a sanitizer sees who reads beyond. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    memcpy(exact, value, size);
    memset(state, 0, saga_size(SAGA_STEPS_MAX));
    const enum saga_record_error error =
        saga_open_row_decode(row, state, of(key, sizeof key), of(exact, size));
    free(exact);
    return error;
}

START_TEST(an_open_saga_is_read_as_it_was_written) {
    struct splitmix random = {1};
    struct saga *back = malloc(saga_size(SAGA_STEPS_MAX));
    for (uint8_t steps = 1; steps <= SAGA_STEPS_MAX; steps++) {
        struct saga *saga = any_saga(&random, steps);
        const size_t size = write_open(saga);
        struct saga_open_row row;
        ck_assert_uint_le(size, SAGA_OPEN_VALUE_BYTES_MAX);
        ck_assert_int_eq(read_open(size, &row, back), SAGA_RECORD_OK);
        ck_assert_mem_eq(back, saga, saga_size(SAGA_STEPS_MAX));
        ck_assert_mem_eq(&row.id, &saga->id, sizeof row.id);
        ck_assert_uint_eq(row.started_lsn, 1);
        ck_assert_uint_eq(row.last_lsn, saga->last_lsn);
        ck_assert_uint_eq(row.definition_lsn, saga->definition_lsn);
        ck_assert(!row.quarantined);
        free(saga);
    }
    free(back);
}
END_TEST

START_TEST(a_saga_out_of_service_has_no_state) {
    struct saga *state = malloc(saga_size(SAGA_STEPS_MAX));
    const struct saga_open_row written = {.id = {{1, 2, 3}},
                                          .started_lsn = 7,
                                          .last_lsn = 9,
                                          .definition_lsn = 3,
                                          .quarantined = true};
    const size_t size = saga_open_row_encode(&written, NULL, key, value);
    struct saga_open_row row;
    ck_assert_int_eq(read_open(size, &row, state), SAGA_RECORD_OK);
    ck_assert_mem_eq(&row.id, &written.id, sizeof row.id);
    ck_assert_uint_eq(row.started_lsn, 7);
    ck_assert_uint_eq(row.last_lsn, 9);
    ck_assert_uint_eq(row.definition_lsn, 3);
    ck_assert(row.quarantined);
    ck_assert_uint_eq(state->step_count, 0);
    free(state);
}
END_TEST

/* Never less than was written, and hardly more. */
START_TEST(open_rows_say_about_how_much_data_there_is) {
    struct saga *state = malloc(saga_size(SAGA_STEPS_MAX));
    struct saga_open_row row;
    for (uint64_t bytes = 0; bytes <= 1u << 22; bytes = bytes * 21 / 20 + 1) {
        const struct saga_open_row written = {.id = {{1}},
                                              .started_lsn = 1,
                                              .last_lsn = 2,
                                              .definition_lsn = 1,
                                              .body_bytes = (uint32_t)bytes,
                                              .quarantined = true};
        const size_t size = saga_open_row_encode(&written, NULL, key, value);
        ck_assert_int_eq(read_open(size, &row, state), SAGA_RECORD_OK);
        ck_assert_uint_ge(row.body_bytes, bytes);
        ck_assert_uint_le(row.body_bytes, bytes + bytes / 8);
    }
    free(state);
}
END_TEST

START_TEST(open_rows_that_are_cut_grown_or_newer_are_refused) {
    struct splitmix random = {2};
    struct saga *saga = any_saga(&random, 6);
    struct saga *state = malloc(saga_size(SAGA_STEPS_MAX));
    struct saga_open_row row;
    const size_t size = write_open(saga);
    for (size_t cut = 0; cut < size; cut++) {
        ck_assert_int_eq(read_open(cut, &row, state), SAGA_RECORD_TRUNCATED);
    }
    ck_assert_int_eq(read_open(size + 1, &row, state), SAGA_RECORD_MALFORMED);
    ck_assert_int_eq(saga_open_row_decode(&row, state, of(key, 15), of(value, size)),
                     SAGA_RECORD_MALFORMED);
    static const struct {
        size_t offset;
        uint8_t value;
        enum saga_record_error error;
    } changes[] = {
        {0, 0, SAGA_RECORD_MALFORMED},   {0, SAGA_TABLES_FORMAT + 1, SAGA_RECORD_FORMAT_NEWER},
        {1, 1, SAGA_RECORD_MALFORMED},   /* out of service, and yet with a state */
        {2, 0, SAGA_RECORD_MALFORMED},   /* in service, without one */
        {2, 5, SAGA_RECORD_MALFORMED},   /* longer than its steps */
        {2, 7, SAGA_RECORD_TRUNCATED},   /* shorter */
        {2, 65, SAGA_RECORD_MALFORMED},  /* more than there can be */
        {15, 0, SAGA_RECORD_MALFORMED},  /* started by record 0 */
        {8, 0xff, SAGA_RECORD_MALFORMED} /* started after its latest record */
    };
    saga->last_lsn = 1000;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        (void)write_open(saga);
        value[changes[i].offset] = changes[i].value;
        ck_assert_msg(read_open(size, &row, state) == changes[i].error, "change %zu", i);
    }
    free(state);
    free(saga);
}
END_TEST

static const struct saga_done_row done = {.outcome = SAGA_COMPENSATED,
                                          .id = {{9, 8, 7, 6, 5, 4, 3, 2, 1}},
                                          .started_lsn = 0x1122334455,
                                          .last_lsn = 0x6677889900aa,
                                          .definition_lsn = 0x0102030405060708,
                                          .ended_ms = 1767225600123};

START_TEST(an_ended_saga_is_read_as_it_was_written) {
    uint8_t name[SAGA_DONE_KEY_BYTES];
    uint8_t bytes[SAGA_DONE_VALUE_BYTES];
    struct saga_done_row row;
    saga_done_row_encode(&done, name, bytes);
    ck_assert_int_eq(saga_done_row_decode(&row, of(name, sizeof name), of(bytes, sizeof bytes)),
                     SAGA_RECORD_OK);
    ck_assert_uint_eq(row.outcome, done.outcome);
    ck_assert_mem_eq(&row.id, &done.id, sizeof row.id);
    ck_assert_uint_eq(row.started_lsn, done.started_lsn);
    ck_assert_uint_eq(row.last_lsn, done.last_lsn);
    ck_assert_uint_eq(row.definition_lsn, done.definition_lsn);
    ck_assert_int_eq(row.ended_ms, done.ended_ms);
    for (uint32_t cut = 0; cut < sizeof bytes; cut++) {
        ck_assert_int_eq(saga_done_row_decode(&row, of(name, sizeof name), of(bytes, cut)),
                         SAGA_RECORD_TRUNCATED);
    }
    ck_assert_int_eq(saga_done_row_decode(&row, of(name, 16), of(bytes, sizeof bytes)),
                     SAGA_RECORD_MALFORMED);
    name[0] = SAGA_OUTCOME_COUNT + 1;
    ck_assert_int_eq(saga_done_row_decode(&row, of(name, sizeof name), of(bytes, sizeof bytes)),
                     SAGA_RECORD_MALFORMED);
    name[0] = 0;
    ck_assert_int_eq(saga_done_row_decode(&row, of(name, sizeof name), of(bytes, sizeof bytes)),
                     SAGA_RECORD_MALFORMED);
    bytes[0] = SAGA_TABLES_FORMAT + 1;
    ck_assert_int_eq(saga_done_row_decode(&row, of(name, sizeof name), of(bytes, sizeof bytes)),
                     SAGA_RECORD_FORMAT_NEWER);
}
END_TEST

/* A list by outcome is newest first by reading backward: a UUIDv7 begins with its time. */
START_TEST(ended_sagas_stand_by_outcome_and_then_by_age) {
    uint8_t keys[4][SAGA_DONE_KEY_BYTES];
    const struct saga_id old = {{0x01, 0x9a, 0, 0, 0, 1, 0x7f, 0xff}};
    const struct saga_id new = {{0x01, 0x9a, 0, 0, 0, 2, 0x70, 0x00}};
    saga_done_key(SAGA_COMPLETED, &old, keys[0]);
    saga_done_key(SAGA_COMPLETED, &new, keys[1]);
    saga_done_key(SAGA_COMPENSATED, &old, keys[2]);
    saga_done_key(SAGA_COMPENSATED, &new, keys[3]);
    for (size_t i = 0; i + 1 < 4; i++) {
        ck_assert_int_lt(memcmp(keys[i], keys[i + 1], SAGA_DONE_KEY_BYTES), 0);
    }
}
END_TEST

/* Of the records' codec there is a test of its own: here it is the key that must match. */
START_TEST(a_kept_record_is_read_as_it_was_written) {
    const struct saga_record record = {.lsn = 0x0102030405060708,
                                       .previous_lsn = 0x0102030405060707,
                                       .saga = done.id,
                                       .fact = SAGA_ENDED,
                                       .step = SAGA_STEP_NONE,
                                       .epoch = 3,
                                       .outcome = SAGA_COMPLETED};
    uint8_t name[SAGA_KEPT_KEY_BYTES];
    uint8_t bytes[256];
    struct saga_record read;
    saga_kept_key(&record.saga, record.lsn, name);
    ck_assert_mem_eq(name, done.id.bytes, 16);
    ck_assert_mem_eq(name + 16, "\1\2\3\4\5\6\7\10", 8);
    const size_t size = saga_record_encode(&record, bytes);
    ck_assert_int_eq(saga_kept_row_decode(&read, of(name, sizeof name), of(bytes, size)),
                     SAGA_RECORD_OK);
    ck_assert_uint_eq(read.lsn, record.lsn);
    ck_assert_uint_eq(read.previous_lsn, record.previous_lsn);
    ck_assert_int_eq(read.outcome, SAGA_COMPLETED);
    for (size_t cut = 0; cut < size; cut++) {
        ck_assert_int_ne(saga_kept_row_decode(&read, of(name, sizeof name), of(bytes, cut)),
                         SAGA_RECORD_OK);
    }
    ck_assert_int_eq(saga_kept_row_decode(&read, of(name, sizeof name - 1), of(bytes, size)),
                     SAGA_RECORD_MALFORMED);
    for (size_t i = 0; i < 17; i++) { /* another saga's; or before the one before it */
        name[i]--;
        ck_assert_int_eq(saga_kept_row_decode(&read, of(name, sizeof name), of(bytes, size)),
                         SAGA_RECORD_MALFORMED);
        name[i]++;
    }
}
END_TEST

START_TEST(a_definition_is_read_as_it_was_written) {
    struct saga_record record = {
        .lsn = 9, .fact = SAGA_DEFINITION_LOADED, .step = SAGA_STEP_NONE, .epoch = 3};
    uint8_t name[SAGA_DEFINITION_KEY_BYTES];
    uint8_t bytes[256];
    struct saga_record read;
    saga_definition_key(record.lsn, name);
    ck_assert_mem_eq(name, "\0\0\0\0\0\0\0\11", 8);
    size_t size = saga_record_encode(&record, bytes);
    ck_assert_int_eq(saga_definition_row_decode(&read, of(name, sizeof name), of(bytes, size)),
                     SAGA_RECORD_OK);
    ck_assert_uint_eq(read.lsn, 9);
    ck_assert_int_eq(saga_definition_row_decode(&read, of(name, 7), of(bytes, size)),
                     SAGA_RECORD_MALFORMED);
    ck_assert_int_ne(saga_definition_row_decode(&read, of(name, sizeof name), of(bytes, size - 1)),
                     SAGA_RECORD_OK);
    record.fact = SAGA_EPOCH_STARTED;
    size = saga_record_encode(&record, bytes);
    ck_assert_int_eq(saga_definition_row_decode(&read, of(name, sizeof name), of(bytes, size)),
                     SAGA_RECORD_MALFORMED);
}
END_TEST

/* The bytes of the format, as tables.h lays them out: once versions are in use, they are for ever.
 */
START_TEST(the_bytes_are_those_of_the_format) {
    static const uint8_t expected_done[SAGA_DONE_VALUE_BYTES] = {
        1,    0,    0, 0, 0,    0,    0,    0,    0,    0,    0,    0x11, 0x22, 0x33,
        0x44, 0x55, 0, 0, 0x66, 0x77, 0x88, 0x99, 0x00, 0xaa, 1,    2,    3,    4,
        5,    6,    7, 8, 0,    0,    0x01, 0x9b, 0x76, 0xda, 0xa8, 0x7b,
    };
    uint8_t name[SAGA_DONE_KEY_BYTES];
    uint8_t bytes[SAGA_DONE_VALUE_BYTES];
    saga_done_row_encode(&done, name, bytes);
    ck_assert_mem_eq(bytes, expected_done, sizeof bytes);
    struct saga *saga = calloc(1, saga_size(SAGA_STEPS_MAX));
    *saga = (struct saga){.definition_lsn = 0x0203,
                          .last_lsn = 0x0405,
                          .started_ms = 0x0607,
                          .deadline_ms = INT64_MAX,
                          .step_count = 1,
                          .direction = 2,
                          .parked = 3,
                          .wish = 4,
                          .reason = 5,
                          .pivot_passed = 1,
                          .started_count = 6,
                          .parked_step = 7,
                          .epoch = 0x08090a0b};
    saga->steps[0] = (struct saga_step){.phase = 1,
                                        .operation = 2,
                                        .order = 3,
                                        .spent = 4,
                                        .incarnation = 0x0506,
                                        .revision = 0x0708,
                                        .flags = 0x090a0b0c,
                                        .attempt = 0x0d0e0f10,
                                        .send_at_ms = 0x11,
                                        .deadline_ms = -2,
                                        .command_lsn = 0x12};
    static const uint8_t expected_open[96] = {
        1, 0, 1, 0, 8, 9, 10, 11,   0,    0,    0,    0,    0,    0,    0,    1,    /* to 16 */
        0, 0, 0, 0, 0, 0, 4,  5,    0,    0,    0,    0,    0,    0,    2,    3,    /* to 32 */
        0, 0, 0, 0, 0, 0, 6,  7,    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* to 48 */
        2, 3, 4, 5, 1, 6, 7,  0,                                                    /* to 56 */
        1, 2, 3, 4, 5, 6, 7,  8,    9,    10,   11,   12,   13,   14,   15,   16,   /* the step */
        0, 0, 0, 0, 0, 0, 0,  0x11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
        0, 0, 0, 0, 0, 0, 0,  0x12,
    };
    ck_assert_uint_eq(write_open(saga), sizeof expected_open);
    ck_assert_mem_eq(value, expected_open, sizeof expected_open);
    free(saga);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tables");
    TCase *tests = tcase_create("rows");
    tcase_add_test(tests, an_open_saga_is_read_as_it_was_written);
    tcase_add_test(tests, a_saga_out_of_service_has_no_state);
    tcase_add_test(tests, open_rows_say_about_how_much_data_there_is);
    tcase_add_test(tests, open_rows_that_are_cut_grown_or_newer_are_refused);
    tcase_add_test(tests, an_ended_saga_is_read_as_it_was_written);
    tcase_add_test(tests, ended_sagas_stand_by_outcome_and_then_by_age);
    tcase_add_test(tests, a_kept_record_is_read_as_it_was_written);
    tcase_add_test(tests, a_definition_is_read_as_it_was_written);
    tcase_add_test(tests, the_bytes_are_those_of_the_format);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
