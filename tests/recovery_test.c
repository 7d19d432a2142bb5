/* Recovery of logs that no daemon would write: each saga alone, the rest run. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_run.h"
#include "engine_fixture.h"
#include "guard.h"
#include "replay.h"
#include "scratch.h"

static const char definition_text[] = "saga: trip\n"
                                      "version: 1\n"
                                      "steps:\n"
                                      "  - name: room\n"
                                      "    command: hotel.book\n"
                                      "    compensation: {command: hotel.cancel}\n"
                                      "  - name: seat\n"
                                      "    command: train.reserve\n"
                                      "    no_effect: true\n";

static struct scratch scratch;
static char guard_path[SCRATCH_PATH_MAX + 16];
static uint64_t next_lsn;

static void set_up(void) {
    scratch_open(&scratch);
    (void)snprintf(guard_path, sizeof guard_path, "%s/guard", scratch.path);
    world_init(scratch.path);
    world.guard_path = guard_path;
    world.sagas_max = 100;
    next_lsn = 1;
}

static void tear_down(void) {
    scratch_close(&scratch);
}

/* --------------------------------------------------------- writing by hand */

static uint64_t put(struct saga_record record) {
    record.lsn = next_lsn++;
    record.at_ms = 1000;
    uint32_t epoch = saga_log_epoch(world.log);
    record.epoch = epoch > 0 ? epoch : 1;
    saga_log_append(world.log, &record);
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

/* About the first step. */
static uint64_t put_reply(uint8_t saga, uint64_t previous, uint8_t operation, uint8_t verdict) {
    return put((struct saga_record){.fact = SAGA_REPLY_RECEIVED,
                                    .saga = id_of(saga),
                                    .previous_lsn = previous,
                                    .operation = operation,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .verdict = verdict,
                                    .attempt = 1});
}

static uint64_t begin_log(void) {
    world_open_log();
    (void)put((struct saga_record){.fact = SAGA_EPOCH_STARTED, .step = SAGA_STEP_NONE});
    return put_definition(definition_text);
}

static void end_log(void) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_log_flush(world.log, &fault) == SAGA_OK, "%s", fault.text);
    saga_log_close(world.log);
}

/* ------------------------------------------------------------- recovering */

static void resend(void) {
    (void)saga_engine_tick(world.engine, world.now);
    world_commit();
}

static const char *status_of(uint8_t saga) {
    return world_find(id_of(saga)).status;
}

START_TEST(an_illegal_transition_quarantines_its_saga_alone) {
    uint64_t definition = begin_log();
    uint64_t start = put_start(1, definition);
    uint64_t command = put_command(1, start, 0);
    (void)put_command(1, command, 1); /* before its predecessor is done */
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    world_open();
    ck_assert_uint_eq(world.report.quarantined, 1);
    ck_assert_ptr_nonnull(strstr(world.report.first_quarantined, "record 5 (COMMAND_ISSUED)"));
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    resend();
    ck_assert_uint_eq(world.sent_count, 1);
    world_close();
}
END_TEST

START_TEST(a_torn_decision_quarantines_its_saga) {
    uint64_t definition = begin_log();
    (void)put_start(1, definition); /* and no command */
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_ptr_nonnull(strstr(world.report.first_quarantined, "not whole"));
    resend();
    ck_assert_uint_eq(world.sent_count, 1);
    world_close();
}
END_TEST

START_TEST(a_definition_that_cannot_be_read_quarantines_its_sagas) {
    uint64_t definition = begin_log();
    uint64_t strange = put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}");
    (void)put_start(1, strange);
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    world_close();
}
END_TEST

static enum saga_result start_with_key(const char *key) {
    struct saga_listing listing;
    struct saga_request request = world_start_request("trip", key, "{}", &listing);
    world_take(&request);
    return (enum saga_result)request.result;
}

START_TEST(the_key_of_a_saga_whose_definition_cannot_be_read_starts_no_second_one) {
    (void)begin_log();
    uint64_t strange = put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}");
    (void)put((struct saga_record){.fact = SAGA_STARTED,
                                   .saga = id_of(1),
                                   .step = SAGA_STEP_NONE,
                                   .definition_lsn = strange,
                                   .key = {.data = "order-1", .size = 7},
                                   .payload = {.data = "{}", .size = 2}});
    end_log();
    world_open();
    world_define(definition_text);
    ck_assert_int_eq(start_with_key("order-1"), SAGA_RESULT_CONFLICT);
    ck_assert_int_eq(start_with_key("order-2"), SAGA_RESULT_CREATED);
    world_close();
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
    world_open();
    ck_assert_uint_eq(world.report.quarantined, 2);
    world_close();
}
END_TEST

START_TEST(a_record_of_a_saga_that_never_started_is_shown) {
    uint64_t definition = begin_log();
    (void)put_command(1, 0, 0);
    (void)put_command(2, put_start(2, definition), 0);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    world_close();
}
END_TEST

START_TEST(a_record_after_the_end_is_shown) {
    uint64_t definition = begin_log();
    uint64_t last = put_command(1, put_start(1, definition), 0);
    last = put_reply(1, last, SAGA_ACTION, SAGA_REJECTED);
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
    last = put_reply(1, last, SAGA_COMPENSATION, SAGA_DONE);
    last = put((struct saga_record){.fact = SAGA_ENDED,
                                    .saga = id_of(1),
                                    .previous_lsn = last,
                                    .step = SAGA_STEP_NONE,
                                    .outcome = SAGA_COMPENSATED});
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "compensated");
    ck_assert_uint_eq(world.report.quarantined, 0);
    next_lsn = saga_log_next_lsn(world.log);
    world_close();
    world_open_log();
    (void)put_command(1, last, 0);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    world_close();
}
END_TEST

/* ------------------------------------------------------------ who is to be told */

static uint64_t put_asked(uint8_t saga, uint64_t definition_lsn) {
    return put((struct saga_record){.fact = SAGA_STARTED,
                                    .saga = id_of(saga),
                                    .step = SAGA_STEP_NONE,
                                    .definition_lsn = definition_lsn,
                                    .payload = {.data = "{}", .size = 2},
                                    .content = {.data = "ann", .size = 3}});
}

/* One that was refused, and has ended; where `legal` is not set, one record of it cannot be. */
static uint64_t put_ended(uint8_t saga, uint64_t definition_lsn, bool legal) {
    uint64_t last = put_command(saga, put_asked(saga, definition_lsn), 0);
    last = put_reply(saga, last, SAGA_ACTION, SAGA_REJECTED);
    last = put((struct saga_record){.fact = SAGA_COMPENSATION_STARTED,
                                    .saga = id_of(saga),
                                    .previous_lsn = last,
                                    .reason = SAGA_REASON_REJECTED});
    last = put((struct saga_record){.fact = SAGA_COMMAND_ISSUED,
                                    .saga = id_of(saga),
                                    .previous_lsn = last,
                                    .operation = legal ? SAGA_COMPENSATION : SAGA_SETTLE,
                                    .incarnation = 1,
                                    .revision = 1,
                                    .attempt = 1});
    last = put_reply(saga, last, SAGA_COMPENSATION, SAGA_DONE);
    return put((struct saga_record){.fact = SAGA_ENDED,
                                    .saga = id_of(saga),
                                    .previous_lsn = last,
                                    .step = SAGA_STEP_NONE,
                                    .outcome = SAGA_COMPENSATED});
}

static void put_mark(uint64_t through_lsn) {
    (void)put((struct saga_record){
        .fact = SAGA_OUTCOMES_TOLD, .step = SAGA_STEP_NONE, .through_lsn = through_lsn});
}

static void expect_told(size_t number, uint8_t saga) {
    const struct saga_id id = id_of(saga);
    ck_assert_mem_eq(&world_told(number)->saga, &id, sizeof id);
    ck_assert_str_eq(world_told(number)->status, "compensated");
    ck_assert_str_eq(world_told(number)->asker, "ann");
}

START_TEST(what_ended_after_the_mark_is_told) {
    uint64_t definition = begin_log();
    uint64_t first = put_ended(1, definition, true);
    (void)put_ended(2, definition, true);
    put_mark(first);
    (void)put_ended(3, definition, true);
    (void)put_command(4, put_asked(4, definition), 0);
    end_log();
    world_open();
    ck_assert_uint_eq(world.report.quarantined, 0);
    ck_assert_uint_eq(world.report.sagas, 4);
    resend();
    ck_assert_uint_eq(world.told_count, 2);
    expect_told(0, 2);
    expect_told(1, 3);
    ck_assert_uint_eq(world_stats().outcomes_open, 1);
    world_close();
}
END_TEST

/* Its asker waits for an end that the daemon before this one decided, and may have told others. */
START_TEST(an_end_in_the_log_is_told_though_its_saga_is_quarantined) {
    uint64_t definition = begin_log();
    (void)put_ended(1, definition, false);
    (void)put_ended(2, put_definition("{\"saga\":\"trip\",\"version\":2,\"magic\":true}"), true);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "quarantined");
    resend();
    ck_assert_uint_eq(world.told_count, 2);
    expect_told(0, 1);
    expect_told(1, 2);
    world_close();
}
END_TEST

START_TEST(a_quarantined_saga_without_an_end_holds_up_nobodys_mark) {
    uint64_t definition = begin_log();
    uint64_t command = put_command(1, put_asked(1, definition), 0);
    (void)put_command(1, command, 1); /* before its predecessor is done */
    uint64_t ended = put_ended(2, definition, true);
    end_log();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    resend();
    ck_assert_uint_eq(world.told_count, 1);
    expect_told(0, 2);
    struct saga_request told = world_request(SAGA_REQUEST_TOLD);
    told.id = id_of(2);
    world_take(&told);
    world_pass(1000);
    struct saga_record record;
    struct saga_fault fault;
    const uint64_t last = saga_log_durable(world.log);
    ck_assert_int_eq(saga_log_read(world.log, NULL, last, &record, &fault), SAGA_OK);
    ck_assert_int_eq(record.fact, SAGA_OUTCOMES_TOLD);
    ck_assert_uint_eq(record.through_lsn, ended);
    ck_assert_uint_eq(world_stats().outcomes_open, 1); /* it may be taken back into service */
    world_close();
}
END_TEST

START_TEST(a_mark_that_cannot_be_is_refused) {
    struct saga_fault fault = {0};
    (void)begin_log();
    put_mark(_i == 0 ? 0 : 3); /* of nothing; of itself */
    end_log();
    ck_assert_int_eq(world_try_open(&fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_nonnull(strstr(fault.text, "record 3 (OUTCOMES_TOLD) cannot be"));
    saga_log_close(world.log);
}
END_TEST

START_TEST(more_open_sagas_than_the_limit_are_an_error_not_a_loss) {
    struct saga_fault fault = {0};
    uint64_t definition = begin_log();
    for (uint8_t i = 0; i < 201; i++) { /* twice the limit, and one */
        (void)put_command(i, put_start(i, definition), 0);
    }
    end_log();
    ck_assert_int_eq(world_try_open(&fault), SAGA_ERROR_FULL);
    ck_assert_ptr_nonnull(strstr(fault.text, "sagas_max"));
    saga_log_close(world.log);
}
END_TEST

START_TEST(recovery_writes_only_the_epochs_start) {
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    end_log();
    world_open();
    ck_assert_uint_eq(saga_log_next_lsn(world.log), next_lsn + 1);
    world_close();
    world_open();
    ck_assert_uint_eq(saga_log_next_lsn(world.log), next_lsn + 2);
    ck_assert_str_eq(status_of(1), "running");
    world_close();
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
    world_open();
    ck_assert_str_eq(status_of(1), "running"); /* twice may be bad luck */
    world_close();
    die_at(1); /* and what went well in between starts the count anew */
    die_at(1);
    world_open();
    ck_assert_str_eq(status_of(1), "running");
    world_close();
    die_at(1);
    die_at(1);
    die_at(1);
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert(world_find(id_of(1)).left_out);
    world_close();
    world_open();
    ck_assert_str_eq(status_of(1), "quarantined");
    ck_assert_str_eq(status_of(2), "running");
    ck_assert_ptr_nonnull(strstr(world.report.first_quarantined, "three times"));
    world_close();
}
END_TEST

START_TEST(nothing_is_decided_for_a_saga_that_stopped_recovery) {
    uint64_t definition = begin_log();
    (void)put_command(1, put_start(1, definition), 0);
    end_log();
    for (int i = 0; i < SAGA_GUARD_DEATHS_MAX; i++) {
        die_at(1);
    }
    world_open();
    uint64_t last = saga_log_next_lsn(world.log);
    struct saga_request request = world_request(SAGA_REQUEST_REPLY);
    request.command = (struct saga_command_id){
        .saga = id_of(1), .operation = SAGA_ACTION, .incarnation = 1, .revision = 1};
    request.attempt = 1;
    request.verdict = SAGA_DONE;
    world_take(&request);
    ck_assert_int_eq(request.answer, SAGA_ANSWER_REFUSED);
    ck_assert_uint_eq(saga_log_next_lsn(world.log), last);
    ck_assert_str_eq(status_of(1), "quarantined");
    request.type = SAGA_REQUEST_CANCEL;
    request.id = id_of(1);
    world_take(&request);
    ck_assert_int_eq(request.result, SAGA_RESULT_CONFLICT);
    ck_assert_ptr_null(strstr(request.text, "ended")); /* it has not */
    world_close();
}
END_TEST

/* Dies in the second definition, as by a fault of the parser. */
static const struct saga_plan *die_of_a_definition(void *context,
                                                   const struct saga_record *record) {
    unsigned *count = context;
    (void)record;
    if (++*count == 2) {
        (void)raise(SIGKILL);
    }
    return NULL;
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
        struct saga_log_reader *reader;
        world_open_log();
        ck_assert_int_eq(saga_log_committed(world.log, &reader, &fault), SAGA_OK);
        _exit(saga_replay_run(reader, saga_coordinator_init(memory, &limits), &hooks, &options,
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
    world_open();
    ck_assert_str_eq(status_of(1), "running");
    world_close();
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
    tcase_add_test(tests, what_ended_after_the_mark_is_told);
    tcase_add_test(tests, an_end_in_the_log_is_told_though_its_saga_is_quarantined);
    tcase_add_test(tests, a_quarantined_saga_without_an_end_holds_up_nobodys_mark);
    tcase_add_loop_test(tests, a_mark_that_cannot_be_is_refused, 0, 2);
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
