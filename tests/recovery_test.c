/* Recovery of logs that no daemon would write: each saga alone, the rest run. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "engine.h"
#include "guard.h"
#include "ids.h"
#include "replay.h"

static const char definition_text[] = "saga: trip\n"
                                      "version: 1\n"
                                      "steps:\n"
                                      "  - name: room\n"
                                      "    command: hotel.book\n"
                                      "    compensation: {command: hotel.cancel}\n"
                                      "  - name: seat\n"
                                      "    command: train.reserve\n"
                                      "    no_effect: true\n";

static char dir[64];
static char guard_path[80];
static uint64_t next_lsn;
static struct saga_log *the_log;
static struct saga_engine *engine;
static struct saga_recovery_report report;
static size_t sent_count;
static struct saga_moment now = {.boot_ms = 1000, .wall_ms = 1700000000000};

static void count_up(void *context, void *bytes, size_t size) {
    static uint8_t next;
    (void)context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = next++;
    }
}

static bool take_command(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    (void)dispatch;
    sent_count++;
    return true;
}

static void set_up(void) {
    strcpy(dir, "/tmp/recovery-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(guard_path, sizeof guard_path, "%s/guard", dir);
    next_lsn = 1;
    sent_count = 0;
}

static void tear_down(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ------------------------------------------------------- writing by hand */

static void open_log(void) {
    struct saga_fault fault = {0};
    const struct saga_log_options options = {.data_dir = dir, .map_bytes_max = 64u << 20};
    ck_assert_msg(saga_log_open(&the_log, &options, &fault) == SAGA_OK, "%s", fault.text);
}

static uint64_t put(struct saga_record record) {
    record.lsn = next_lsn++;
    record.at_ms = 1000;
    uint32_t epoch = saga_log_epoch(the_log);
    record.epoch = epoch > 0 ? epoch : 1;
    saga_log_append(the_log, &record);
    return record.lsn;
}

static uint64_t put_definition(const char *text) {
    return put((struct saga_record){.fact = SAGA_DEFINITION_LOADED,
                                    .step = SAGA_STEP_NONE,
                                    .payload = {.data = text, .size = (uint32_t)strlen(text)}});
}

static struct saga_id id_of(uint8_t number) {
    return (struct saga_id){{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number}};
}

static uint64_t put_start(uint8_t saga, uint64_t definition_lsn) {
    return put((struct saga_record){.fact = SAGA_STARTED,
                                    .saga = id_of(saga),
                                    .step = SAGA_STEP_NONE,
                                    .definition_lsn = definition_lsn,
                                    .payload = {.data = "{}", .size = 2}});
}

static uint64_t put_command(uint8_t saga, uint64_t previous, uint8_t step) {
    return put((struct saga_record){.fact = SAGA_COMMAND_ISSUED,
                                    .saga = id_of(saga),
                                    .previous_lsn = previous,
                                    .step = step,
                                    .operation = SAGA_ACTION,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .attempt = 1,
                                    .payload = {.data = "{}", .size = 2}});
}

static uint64_t begin_log(void) {
    open_log();
    (void)put((struct saga_record){.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE});
    return put_definition(definition_text);
}

static void end_log(void) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_flush(the_log, &fault) == SAGA_OK, "%s", fault.text);
    saga_log_close(the_log);
}

/* ------------------------------------------------------------- recovering */

static enum saga_error try_recover(struct saga_fault *fault) {
    struct saga_engine_config config;
    const struct saga_outlet outlet = {.send = take_command};
    saga_engine_config_default(&config);
    config.limits.sagas_max = 100;
    config.random = count_up;
    config.guard_path = guard_path;
    open_log();
    return saga_engine_open(&engine, the_log, &config, &outlet, now, &report, fault);
}

static void recover(void) {
    struct saga_fault fault = {0};
    ck_assert_msg(try_recover(&fault) == SAGA_OK, "%s", fault.text);
}

static void let_go(void) {
    saga_engine_close(engine);
    saga_log_close(the_log);
}

static void resend(void) {
    struct saga_fault fault = {0};
    (void)saga_engine_tick(engine, now);
    ck_assert_int_eq(saga_engine_commit(engine, now, &fault), SAGA_OK);
}

static void ignore(struct saga_request *request) {
    (void)request;
}

static bool left_out; /* of the saga that was asked for last */

static const char *status_of(uint8_t saga) {
    static struct saga_listing listing;
    struct saga_fault fault = {0};
    struct saga_request request = {
        .type = SAGA_REQUEST_FIND, .answered = ignore, .id = id_of(saga), .listings = &listing};
    saga_engine_take(engine, &request, now);
    ck_assert_int_eq(saga_engine_commit(engine, now, &fault), SAGA_OK);
    left_out = listing.left_out;
    return request.result == SAGA_RESULT_OK ? listing.status : "unknown saga";
}

START_TEST(an_illegal_transition_quarantines_its_saga_alone) {
    uint64_t definition = begin_log();
    uint64_t start = put_start(1, definition);
    uint64_t command = put_command(1, start, 0);
    (void)put_command(1, command, 1); /* before its predecessor is done */
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    recover();
    ck_assert_uint_eq(report.quarantined, 1);
    ck_assert_ptr_nonnull(strstr(report.first_quarantined, "record 5 (COMMAND_ISSUED)"));
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    resend();
    ck_assert_uint_eq(sent_count, 1);
    let_go();
}
END_TEST

START_TEST(a_torn_decision_quarantines_its_saga) {
    uint64_t definition = begin_log();
    (void)put_start(1, definition); /* and no command */
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_ptr_nonnull(strstr(report.first_quarantined, "not whole"));
    resend();
    ck_assert_uint_eq(sent_count, 1);
    let_go();
}
END_TEST

START_TEST(a_definition_that_cannot_be_read_quarantines_its_sagas) {
    uint64_t definition = begin_log();
    uint64_t strange = put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}");
    (void)put_start(1, strange);
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    let_go();
}
END_TEST

static struct saga_definition *read_definition(const char *text) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    ck_assert_int_eq(saga_definition_parse(text, strlen(text), &definition, &diagnostics), SAGA_OK);
    return definition;
}

static enum saga_result start_with_key(const char *key, struct saga_listing *listing) {
    struct saga_fault fault = {0};
    struct saga_request request = {.type = SAGA_REQUEST_START,
                                   .answered = ignore,
                                   .saga = "trip",
                                   .key = {key, (uint32_t)strlen(key)},
                                   .body = {"{}", 2},
                                   .listings = listing};
    saga_engine_take(engine, &request, now);
    ck_assert_int_eq(saga_engine_commit(engine, now, &fault), SAGA_OK);
    return (enum saga_result)request.result;
}

START_TEST(the_key_of_a_saga_whose_definition_cannot_be_read_starts_no_second_one) {
    struct saga_listing listing;
    struct saga_fault fault = {0};
    (void)begin_log();
    uint64_t strange = put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}");
    (void)put((struct saga_record){.fact = SAGA_STARTED,
                                   .saga = id_of(1),
                                   .step = SAGA_STEP_NONE,
                                   .definition_lsn = strange,
                                   .key = {.data = "order-1", .size = 7},
                                   .payload = {.data = "{}", .size = 2}});
    end_log();
    recover();
    ck_assert_int_eq(saga_engine_define(engine, read_definition(definition_text), now, &fault),
                     SAGA_OK);
    ck_assert_int_eq(start_with_key("order-1", &listing), SAGA_RESULT_CONFLICT);
    ck_assert_int_eq(start_with_key("order-2", &listing), SAGA_RESULT_CREATED);
    let_go();
}
END_TEST

START_TEST(a_quarantined_saga_is_counted_once_whatever_it_has_of_records) {
    (void)begin_log();
    uint64_t strange = put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}");
    uint64_t command = put_command(1, put_start(1, strange), 0);
    (void)put_command(1, command, 1);
    command = put_command(2, 0, 0); /* its start is missing */
    (void)put_command(2, command, 1);
    end_log();
    recover();
    ck_assert_uint_eq(report.quarantined, 2);
    let_go();
}
END_TEST

START_TEST(a_record_of_a_saga_that_never_started_is_shown) {
    uint64_t definition = begin_log();
    (void)put_command(1, 0, 0);
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    let_go();
}
END_TEST

START_TEST(a_record_after_the_end_is_shown) {
    uint64_t definition = begin_log();
    uint64_t last = put_command(1, put_start(1, definition), 0);
    last = put((struct saga_record){.fact = SAGA_REPLY_RECEIVED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .operation = SAGA_ACTION,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .verdict = SAGA_REJECTED,
                                    .attempt = 1});
    last = put((struct saga_record){.fact = SAGA_COMPENSATION_STARTED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .reason = SAGA_REASON_REJECTED});
    last = put((struct saga_record){.fact = SAGA_COMMAND_ISSUED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .operation = SAGA_COMPENSATION,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .attempt = 1});
    last = put((struct saga_record){.fact = SAGA_REPLY_RECEIVED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .operation = SAGA_COMPENSATION,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .verdict = SAGA_DONE,
                                    .attempt = 1});
    last = put((struct saga_record){.fact = SAGA_ENDED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .step = SAGA_STEP_NONE,
                                    .outcome = SAGA_COMPENSATED});
    end_log();
    recover();
    ck_assert_str_eq(status_of(1), "compensated");
    ck_assert_uint_eq(report.quarantined, 0);
    next_lsn = saga_log_next_lsn(the_log);
    let_go();
    open_log();
    (void)put_command(1, last, 0);
    end_log();
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    let_go();
}
END_TEST

START_TEST(more_open_sagas_than_the_limit_are_an_error_not_a_loss) {
    struct saga_fault fault = {0};
    uint64_t definition = begin_log();
    for (uint8_t i = 0; i < 101; i++) {
        (void)put_command(i, put_start(i, definition), 0);
    }
    end_log();
    ck_assert_int_eq(try_recover(&fault), SAGA_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(fault.text, "sagas_max"));
    saga_log_close(the_log);
}
END_TEST

START_TEST(recovery_writes_only_the_epochs_start) {
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    end_log();
    recover();
    ck_assert_uint_eq(saga_log_next_lsn(the_log), next_lsn + 1);
    let_go();
    recover();
    ck_assert_uint_eq(saga_log_next_lsn(the_log), next_lsn + 2);
    ck_assert_str_eq(status_of(1), "running");
    let_go();
}
END_TEST

/* ------------------------------------------------------------------ guard */

/* A recovery that dies at this saga. */
static void die_at(uint8_t saga) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct saga_guard *guard = NULL;
        struct saga_fault fault;
        struct saga_id id = id_of(saga);
        if (saga_guard_open(&guard, guard_path, &fault) != SAGA_OK) {
            _exit(1);
        }
        saga_guard_note(guard, &id);
        (void)raise(SIGKILL);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(a_saga_that_stopped_recovery_three_times_is_quarantined) {
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    die_at(1);
    die_at(1);
    recover();
    ck_assert_str_eq(status_of(1), "running"); /* twice may be bad luck */
    let_go();
    die_at(1); /* and what went well in between starts the count anew */
    die_at(1);
    recover();
    ck_assert_str_eq(status_of(1), "running");
    let_go();
    die_at(1);
    die_at(1);
    die_at(1);
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert(left_out);
    let_go();
    recover();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    ck_assert_ptr_nonnull(strstr(report.first_quarantined, "three times"));
    let_go();
}
END_TEST

START_TEST(nothing_is_decided_for_a_saga_that_stopped_recovery) {
    struct saga_fault fault = {0};
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    end_log();
    for (int i = 0; i < SAGA_GUARD_DEATHS_MAX; i++) {
        die_at(1);
    }
    recover();
    uint64_t last = saga_log_next_lsn(the_log);
    struct saga_request request = {
        .type = SAGA_REQUEST_REPLY,
        .answered = ignore,
        .command = {.saga = id_of(1), .operation = SAGA_ACTION, .incarnation = 1, .revision = 1},
        .attempt = 1,
        .verdict = SAGA_DONE};
    saga_engine_take(engine, &request, now);
    ck_assert_int_eq(saga_engine_commit(engine, now, &fault), SAGA_OK);
    ck_assert_int_eq(request.answer, SAGA_ANSWER_REFUSED);
    ck_assert_uint_eq(saga_log_next_lsn(the_log), last);
    ck_assert_str_eq(status_of(1), "quarantined");
    request.type = SAGA_REQUEST_CANCEL;
    request.id = id_of(1);
    saga_engine_take(engine, &request, now);
    ck_assert_int_eq(saga_engine_commit(engine, now, &fault), SAGA_OK);
    ck_assert_int_eq(request.result, SAGA_RESULT_CONFLICT);
    ck_assert_ptr_null(strstr(request.text, "ended")); /* it has not */
    let_go();
}
END_TEST

/* Dies in the second definition, as by a fault of the parser. */
static bool die_of_a_definition(void *context, const struct saga_record *record) {
    unsigned *count = context;
    (void)record;
    if (++*count == 2) {
        (void)raise(SIGKILL);
    }
    return false;
}

static void note_nothing(void *context, const struct saga_record *record, enum saga_replay result) {
    (void)context;
    (void)record;
    (void)result;
}

static void blame_nobody(void *context, const struct saga_id *id, const char *why) {
    (void)context;
    (void)id;
    (void)why;
}

static void die_in_a_recovery(void) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        unsigned count = 0;
        struct saga_fault fault;
        const struct saga_limits limits = {
            .sagas_max = 10, .plans_max = 2, .participants_max = 2, .resend_per_second = 1};
        const struct saga_replay_hooks hooks = {.context = &count,
                                                .definition = die_of_a_definition,
                                                .folded = note_nothing,
                                                .quarantined = blame_nobody};
        const struct saga_replay_options options = {.guard_path = guard_path};
        void *memory = calloc(1, saga_coordinator_size(&limits));
        open_log();
        _exit(saga_replay_run(the_log, saga_coordinator_init(memory, &limits), &hooks, &options,
                              &fault) == SAGA_OK);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(a_saga_is_not_blamed_for_the_record_after_its_own) {
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    (void)put_definition("saga: other\nsteps: [{name: a, command: b.c, no_effect: true}]\n");
    end_log();
    for (int i = 0; i < SAGA_GUARD_DEATHS_MAX; i++) {
        die_in_a_recovery();
    }
    recover();
    ck_assert_str_eq(status_of(1), "running");
    let_go();
}
END_TEST

START_TEST(a_recovery_that_came_through_counts_no_death) {
    struct saga_id id = id_of(1);
    struct saga_fault fault;
    for (int i = 0; i < 5; i++) {
        struct saga_guard *guard = NULL;
        ck_assert_int_eq(saga_guard_open(&guard, guard_path, &fault), SAGA_OK);
        ck_assert(!saga_guard_suspects(guard, &id));
        saga_guard_note(guard, &id);
        saga_guard_close(guard);
    }
}
END_TEST

START_TEST(a_damaged_guard_is_begun_anew) {
    struct saga_guard *guard = NULL;
    struct saga_fault fault;
    struct saga_id id = id_of(1);
    FILE *file = fopen(guard_path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 4000; i++) {
        ck_assert_int_eq(fputc(i, file), i & 0xff);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(saga_guard_open(&guard, guard_path, &fault), SAGA_OK);
    ck_assert(!saga_guard_suspects(guard, &id));
    saga_guard_close(guard);
}
END_TEST

START_TEST(a_guard_that_cannot_be_made_says_so) {
    struct saga_guard *guard = NULL;
    struct saga_fault fault;
    ck_assert_int_eq(saga_guard_open(&guard, "/nonexistent/guard", &fault), SAGA_ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(fault.text, "/nonexistent/guard"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recovery");
    TCase *tests = tcase_create("recovery");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, an_illegal_transition_quarantines_its_saga_alone);
    tcase_add_test(tests, a_torn_decision_quarantines_its_saga);
    tcase_add_test(tests, a_definition_that_cannot_be_read_quarantines_its_sagas);
    tcase_add_test(tests, the_key_of_a_saga_whose_definition_cannot_be_read_starts_no_second_one);
    tcase_add_test(tests, a_quarantined_saga_is_counted_once_whatever_it_has_of_records);
    tcase_add_test(tests, a_record_of_a_saga_that_never_started_is_shown);
    tcase_add_test(tests, a_record_after_the_end_is_shown);
    tcase_add_test(tests, more_open_sagas_than_the_limit_are_an_error_not_a_loss);
    tcase_add_test(tests, recovery_writes_only_the_epochs_start);
    tcase_add_test(tests, a_saga_that_stopped_recovery_three_times_is_quarantined);
    tcase_add_test(tests, a_recovery_that_came_through_counts_no_death);
    tcase_add_test(tests, nothing_is_decided_for_a_saga_that_stopped_recovery);
    tcase_add_test(tests, a_saga_is_not_blamed_for_the_record_after_its_own);
    tcase_add_test(tests, a_damaged_guard_is_begun_anew);
    tcase_add_test(tests, a_guard_that_cannot_be_made_says_so);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
