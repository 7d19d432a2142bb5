/* sagalog on logs that are not in order. */
#include "sagalog_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_run.h"
#include "ids.h"
#include "json.h"
#include "record.h"

static struct scratch scratch;
static struct saga_id id; /* of a saga that is in order when the daemon dies */
static char text[SAGA_ID_TEXT_SIZE];
static uint64_t last_lsn; /* its last record */

static void set_up(void) {
    scratch_open(&scratch);
    daemon_open(scratch.path);
    id = booking_start("one", "{\"total\":1}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    daemon_kill();
    last_lsn = 6; /* a daemon's start, a definition, and two decisions of two records */
    (void)saga_id_text(&id, text);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

static json_t *printed_json(void) {
    json_t *json = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_json_parse(printed, printed_size, &json, &fault) == SAGA_OK, "%s: %s",
                  fault.text, printed);
    return json;
}

static struct saga_record record_of(uint8_t fact, uint8_t step) {
    return (struct saga_record){
        .saga = id,
        .previous_lsn = last_lsn,
        .at_ms = 1718098201000,
        .wall_ms = 1718098201000,
        .fact = fact,
        .step = step,
    };
}

/* -------------------------------------------------------------- out of service */

START_TEST(a_saga_that_makes_no_sense_is_named_and_told_as_far_as_it_goes) {
    struct saga_record record = record_of(SAGA_PIVOT_PASSED, 1);
    const uint64_t lsn = record_append(scratch.path, record);
    char expected[256];
    ck_assert_uint_eq(lsn, 7);

    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 7);
    (void)snprintf(expected, sizeof expected,
                   "saga %s: record 7 (PIVOT_PASSED) makes no legal transition\n", text);
    expect_in(printed, expected);
    expect_in(printed, "7 records, 1 sagas (1 open), 1 definitions: not all is well\ndigest ");
    (void)snprintf(expected, sizeof expected,
                   "rule L4 (each record follows from those before it) is broken 1 times, first by "
                   "record 7 (PIVOT_PASSED) of saga %s\n",
                   text);
    expect_in(printed, expected);
    expect_in(complained, "1 sagas are out of service");

    ck_assert_int_eq(SAGALOG(scratch.path, "show", text), 0);
    expect_in(printed, "\nquarantined, started ");
    expect_in(printed, "\nout of service: record 7 (PIVOT_PASSED) makes no legal transition\n");
    expect_in(printed,
              "create#1 done BOOKING_CREATED -> block: parking.block\n"
              "                             -- record 7 does not follow from those before it; ");
    expect_in(printed, "  pivot passed\n");
    expect_in(printed, "\nblock                    running        1\n");

    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    expect_in(printed, " quarantined ");
    ck_assert_int_eq(SAGALOG(scratch.path, "stats"), 0);
    expect_in(printed, "  quarantined                       1\n");
}
END_TEST

START_TEST(verify_as_json_names_what_is_wrong) {
    (void)record_append(scratch.path, record_of(SAGA_PIVOT_PASSED, 1));
    ck_assert_int_eq(SAGALOG(scratch.path, "verify", "--json"), 7);
    json_t *json = printed_json();
    const json_t *problem = json_array_get(json_object_get(json, "problems"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "quarantined")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "id")), text);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "why")),
                     "record 7 (PIVOT_PASSED) makes no legal transition");
    json_decref(json);

    ck_assert_int_eq(SAGALOG(scratch.path, "show", "--json", text), 0);
    json = printed_json();
    ck_assert_str_eq(json_string_value(json_object_get(json, "status")), "quarantined");
    ck_assert_str_eq(json_string_value(json_object_get(json, "problem")),
                     "record 7 (PIVOT_PASSED) makes no legal transition");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "records")), 5);
    json_decref(json);
}
END_TEST

/* The rule that is said to be broken first; "": none. */
static const char *first_broken(void) {
    static char name[8];
    json_t *json = printed_json();
    const json_t *rule;
    size_t i;
    name[0] = '\0';
    json_array_foreach(json_object_get(json, "rules"), i, rule) {
        if (name[0] == '\0' && json_integer_value(json_object_get(rule, "broken")) > 0) {
            ck_assert_int_eq(json_integer_value(json_object_get(rule, "first_lsn")),
                             (json_int_t)last_lsn + 1);
            (void)snprintf(name, sizeof name, "%s",
                           json_string_value(json_object_get(rule, "rule")));
        }
    }
    json_decref(json);
    return name;
}

static struct saga_record command_of(uint8_t fact, uint8_t step, uint8_t operation) {
    struct saga_record record = record_of(fact, step);
    record.operation = operation;
    record.incarnation = record.revision = 1;
    record.attempt = 1;
    return record;
}

/* By each of these the saga, which has a step done and one asked, breaks a rule. */
static struct saga_record broken_by(const char *rule) {
    struct saga_record record = command_of(SAGA_COMMAND_ISSUED, 1, SAGA_ACTION);
    if (strcmp(rule, "L3") == 0) {
        record.previous_lsn = 3;
    } else if (strcmp(rule, "L4") == 0) {
        record.step = 3; /* those before it are not done */
    } else if (strcmp(rule, "E3") == 0) {
        record = record_of(SAGA_ENDED, SAGA_STEP_NONE);
        record.outcome = SAGA_COMPLETED;
    } else if (strcmp(rule, "E4") == 0) {
        record = command_of(SAGA_REPLY_RECEIVED, 4, SAGA_ACTION);
        record.verdict = SAGA_DONE;
    } else if (strcmp(rule, "C1") == 0) {
        record = record_of(SAGA_ENDED, SAGA_STEP_NONE);
        record.outcome = SAGA_COMPENSATED;
    } else if (strcmp(rule, "C2") == 0) {
        record = command_of(SAGA_COMMAND_ISSUED, 3, SAGA_COMPENSATION);
    } else if (strcmp(rule, "F1") == 0) {
        record.verdict = SAGA_DONE;
    } else if (strcmp(rule, "S3") == 0) {
        record = record_of(SAGA_STARTED, SAGA_STEP_NONE);
        record.saga.bytes[15] ^= 1;
        record.previous_lsn = 0;
        record.definition_lsn = 1;
    } else if (strcmp(rule, "S2") == 0) {
        record = record_of(SAGA_STARTED, SAGA_STEP_NONE);
        record.saga.bytes[15] ^= 1;
        record.previous_lsn = 0;
        record.definition_lsn = 2;
        record.key = (struct saga_bytes){.data = "one", .size = 3};
    } else {
        ck_assert_str_eq(rule, "E5");
    }
    return record;
}

static const char *const rules[] = {"L3", "L4", "E3", "E4", "C1", "C2", "F1", "S3", "S2", "E5"};

START_TEST(each_rule_is_named_with_the_record_that_breaks_it) {
    (void)record_append(scratch.path, broken_by(rules[_i]));
    ck_assert_int_eq(SAGALOG(scratch.path, "verify", "--json"), 7);
    ck_assert_str_eq(first_broken(), rules[_i]);
}
END_TEST

START_TEST(records_that_are_not_linked_are_found_all_the_same) {
    struct saga_record record = record_of(SAGA_CANCEL_REQUESTED, SAGA_STEP_NONE);
    record.reason = SAGA_REASON_CANCELLED;
    record.previous_lsn = 1; /* the daemon's start: of no saga */
    (void)record_append(scratch.path, record);
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 7);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", text), 0);
    expect_in(printed, "started with {\"total\":1} -> create: booking.create\n");
    expect_in(printed, "cancel requested (cancelled)\n");
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 0);
    expect_in(printed, " quarantined ");
    ck_assert_int_eq(SAGALOG(scratch.path, "list", "--json"), 0);
    json_decref(printed_json());
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 0);
    expect_in(printed, "cancel requested (cancelled)\n");
}
END_TEST

START_TEST(a_saga_without_a_definition_is_shown_by_numbers) {
    struct saga_record record = record_of(SAGA_STARTED, SAGA_STEP_NONE);
    record.saga.bytes[15] ^= 1;
    record.previous_lsn = 0;
    record.definition_lsn = 3; /* which is another thing */
    const uint64_t lsn = record_append(scratch.path, record);
    record = record_of(SAGA_COMMAND_ISSUED, 5);
    record.saga.bytes[15] ^= 1;
    record.previous_lsn = lsn;
    record.operation = SAGA_COMPENSATION;
    record.incarnation = record.revision = 1;
    record.attempt = 1;
    (void)record_append(scratch.path, record);
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 7);
    (void)saga_id_text(&record.saga, text);
    ck_assert_int_eq(SAGALOG(scratch.path, "show", text), 0);
    expect_in(printed, "  ?\nquarantined, started ");
    expect_in(printed, "started -> compensate step 5\n");
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 0);
    expect_in(printed, "  -> compensate step 5\n");
}
END_TEST

START_TEST(hostile_records_hurt_nobody) {
    static const uint8_t steps[] = {0, 5, 6, 254, SAGA_STEP_NONE};
    for (int fact = 1; fact < 256; fact += fact <= SAGA_FACT_COUNT + 1 ? 1 : 60) {
        if (fact == SAGA_EPOCH_STARTED || fact == SAGA_OUTCOMES_TOLD ||
            fact == SAGA_HISTORY_PURGED) {
            continue; /* of no saga */
        }
        struct saga_record record = record_of((uint8_t)fact, steps[fact % 5]);
        record.saga.bytes[14] = (uint8_t)fact;
        record.previous_lsn = fact % 2 == 0 ? last_lsn : 0;
        record.at_ms = fact < SAGA_FACT_COUNT ? SAGA_CLOCK_MS_MAX / 2 : SAGA_CLOCK_MS_MAX;
        record.wall_ms = fact % 2 == 0 ? INT64_MIN : INT64_MAX;
        record.operation = (uint8_t)(fact * 31);
        record.verdict = (uint8_t)(fact * 7);
        record.reason = record.outcome = record.verb = 255;
        record.attempt = UINT32_MAX;
        record.payload = (struct saga_bytes){.data = "\xff{", .size = 2};
        record.revision = UINT16_MAX;
        record.definition_lsn = UINT64_MAX;
        (void)record_append(scratch.path, record);
    }
    static const char *const commands[] = {"list", "tail", "stats", "export"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_msg(SAGALOG(scratch.path, commands[i]) == 0, "%s: %s", commands[i], complained);
        ck_assert_msg(SAGALOG(scratch.path, commands[i], "--json") == 0, "%s: %s", commands[i],
                      complained);
    }
    static const char *const filters[] = {"--attention",    "--status=quarantined",
                                          "--step=block",   "--key=one",
                                          "--saga=booking", "--since=2024-01-01"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        ck_assert_msg(SAGALOG(scratch.path, "list", filters[i]) == 0, "%s: %s", filters[i],
                      complained);
    }
    static const char *const about_one[][2] = {
        {"show", "--payloads"}, {"show", "--json"},  {"explain", "--json"},
        {"explain", NULL},      {"state", "--json"}, {"state", "--at=9"},
    };
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 7);
    for (int fact = 1; fact <= SAGA_FACT_COUNT; fact++) {
        struct saga_id other = id;
        other.bytes[14] = (uint8_t)fact;
        (void)saga_id_text(&other, text);
        for (size_t i = 0; i < sizeof about_one / sizeof about_one[0]; i++) {
            const int status = SAGALOG(scratch.path, about_one[i][0], text, about_one[i][1]);
            /* 3: not of a saga, or not there then */
            ck_assert_msg(status == 0 || status == 3, "%s %d: %s", about_one[i][0], fact,
                          complained);
        }
    }
}
END_TEST

static const struct {
    uint8_t fact;
    const char *refusal, *told;
} words[] = {
    {SAGA_OUTCOMES_TOLD, "record 7 (OUTCOMES_TOLD) cannot be",
     "ends told up to record 18446744073709551615"},
    {SAGA_HISTORY_PURGED, "record 7 (HISTORY_PURGED) cannot be",
     "history purged up to record 18446744073709551615"},
};

START_TEST(a_word_of_what_is_to_come_is_refused) {
    struct saga_record record = {
        .fact = words[_i].fact, .step = SAGA_STEP_NONE, .through_lsn = UINT64_MAX};
    (void)record_append(scratch.path, record);
    static const char *const commands[] = {"list", "stats", "verify"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 7);
        expect_in(complained, words[_i].refusal);
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 0); /* what can be read is shown */
    expect_in(printed, words[_i].told);
}
END_TEST

START_TEST(a_time_that_cannot_be_is_refused) {
    struct saga_record record = {
        .fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE, .at_ms = INT64_MIN};
    (void)record_append(scratch.path, record);
    static const char *const commands[] = {"list", "stats", "verify"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 7);
        expect_in(complained, "record 7 (EPOCH_STARTED) cannot be");
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 0); /* what can be read is shown */
    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 0);
}
END_TEST

/* ----------------------------------------------------------------------- damaged */

/* Turns a bit over in the block (record.h) whose first record is `lsn`, wherever
 * LMDB has a copy of it. */
static void damage(uint8_t lsn) {
    const uint8_t last_of_lsn[] = {0, 0, 0, 0, 0, 0, 0, lsn};
    const char *path = scratch_file(&scratch, "log/data.mdb");
    size_t size;
    size_t found = 0;
    uint8_t *bytes = file_read(path, &size);
    for (size_t i = 0; i + SAGA_BLOCK_HEADER_BYTES < size; i++) {
        if (memcmp(bytes + i + 8, "SGBK", 4) == 0 && memcmp(bytes + i + 16, last_of_lsn, 8) == 0) {
            bytes[i + SAGA_BLOCK_HEADER_BYTES] ^= 4;
            found++;
        }
    }
    ck_assert_uint_gt(found, 0);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    (void)close(fd);
    free(bytes);
}

START_TEST(what_is_left_of_a_damaged_log_can_be_had) {
    damage(3); /* the saga's start and its first command */
    ck_assert_int_eq(SAGALOG(scratch.path, "verify"), 7);
    expect_in(printed, "records 3 to 4 cannot be read: record 3: ");
    expect_not_in(printed, "Restore");
    expect_in(printed, "\n4 records can be read\n");
    expect_in(complained, "log/data.mdb is damaged: no daemon starts with it. Restore it");

    ck_assert_int_eq(SAGALOG(scratch.path, "verify", "--json"), 7);
    json_t *json = printed_json();
    const json_t *gap = json_array_get(json_object_get(json, "damaged"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "records")), 4);
    ck_assert_int_eq(json_integer_value(json_object_get(gap, "first_lsn")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(gap, "last_lsn")), 4);
    json_decref(json);

    ck_assert_int_eq(SAGALOG(scratch.path, "export"), 7);
    expect_in(printed, "{\"lsn\":2,");
    expect_in(printed, "{\"lsn\":5,");
    expect_not_in(printed, "{\"lsn\":3,");
    expect_in(complained, "records 3 to 4 are not in this export\n");
    expect_in(complained, "is damaged: record 3: ");

    static const char *const commands[] = {"list", "stats"};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 7);
        expect_in(complained, "is damaged: record 3: ");
    }
    ck_assert_int_eq(SAGALOG(scratch.path, "show", text), 7);
    ck_assert_int_eq(SAGALOG(scratch.path, "tail"), 7);
    expect_in(complained, "is damaged: record 3: ");
}
END_TEST

START_TEST(a_log_that_is_refused_says_why) {
    static const char *const commands[] = {"list", "tail", "verify", "stats", "export"};
    const char *path = scratch_file(&scratch, "log/data.mdb");
    ck_assert_int_eq(truncate(path, 10000), 0);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        ck_assert_int_eq(SAGALOG(scratch.path, commands[i]), 7);
        ck_assert_str_eq(printed, "");
        expect_in(complained, "data.mdb");
    }
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 7);
    expect_in(complained, "data.mdb is empty, but log.id says");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(SAGALOG(scratch.path, "list"), 7);
    expect_in(complained, "data.mdb is missing");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sagalog damage");
    TCase *tests = tcase_create("damage");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_saga_that_makes_no_sense_is_named_and_told_as_far_as_it_goes);
    tcase_add_test(tests, verify_as_json_names_what_is_wrong);
    tcase_add_loop_test(tests, each_rule_is_named_with_the_record_that_breaks_it, 0,
                        sizeof rules / sizeof rules[0]);
    tcase_add_test(tests, records_that_are_not_linked_are_found_all_the_same);
    tcase_add_test(tests, a_saga_without_a_definition_is_shown_by_numbers);
    tcase_add_test(tests, hostile_records_hurt_nobody);
    tcase_add_loop_test(tests, a_word_of_what_is_to_come_is_refused, 0, 2);
    tcase_add_test(tests, a_time_that_cannot_be_is_refused);
    tcase_add_test(tests, what_is_left_of_a_damaged_log_can_be_had);
    tcase_add_test(tests, a_log_that_is_refused_says_why);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
