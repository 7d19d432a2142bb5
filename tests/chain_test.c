/* One saga's records, out of a real log, and what they fold into. */
#include "chain.h"
#include "check_run.h"
#include "saga_script.h"
#include "scratch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scratch scratch;
static struct saga_log *log_;
static struct saga_log_reader *reader;
static struct saga_fault fault;

static void set_up(void) {
    scratch_open(&scratch);
    const struct saga_log_options options = {.data_dir = scratch.path, .map_bytes_max = 64u << 20};
    ck_assert_msg(saga_log_open(&log_, &options, &fault) == SAGA_OK, "%s", fault.text);
    reader = NULL;
}

static void tear_down(void) {
    if (reader != NULL) {
        saga_log_reader_close(reader);
    }
    saga_log_close(log_);
    scratch_close(&scratch);
}

static void look(void) {
    ck_assert_msg(saga_log_flush(log_, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_msg(saga_log_reader_open(log_, &reader, &fault) == SAGA_OK, "%s", fault.text);
}

static uint64_t append(struct saga_record record) {
    record.lsn = saga_log_next_lsn(log_);
    record.epoch = record.epoch == 0 ? 1 : record.epoch;
    saga_log_append(log_, &record);
    return record.lsn;
}

static const struct saga_id one = {{1}};
static const struct saga_id other = {{2}};

/* A record with no other field than its place in a chain. */
static uint64_t append_link(const struct saga_id *saga, uint64_t previous_lsn,
                            const char *payload) {
    return append((struct saga_record){
        .saga = *saga,
        .previous_lsn = previous_lsn,
        .fact = previous_lsn == 0 ? SAGA_STARTED : SAGA_CANCEL_REQUESTED,
        .step = SAGA_STEP_NONE,
        .payload = {payload, (uint32_t)strlen(payload)},
    });
}

/* ----------------------------------------------------------------- reading */

START_TEST(a_chain_has_its_sagas_records_in_order) {
    enum { COUNT = 500 };
    struct saga_chain chain;
    uint64_t ones[COUNT];
    uint64_t last_one = 0;
    uint64_t last_other = 0;
    char payload[32];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(payload, sizeof payload, "one %d", i);
        last_one = ones[i] = append_link(&one, last_one, payload);
        for (int j = 0; j < i % 4; j++) {
            last_other = append_link(&other, last_other, "other");
        }
    }
    look();
    ck_assert_int_eq(saga_chain_read(&chain, reader, &one, last_one, &fault), SAGA_OK);
    ck_assert_uint_eq(chain.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct saga_record *record = &chain.records[i];
        ck_assert_uint_eq(record->lsn, ones[i]);
        ck_assert_mem_eq(record->saga.bytes, one.bytes, sizeof one.bytes);
        (void)snprintf(payload, sizeof payload, "one %d", i);
        ck_assert_uint_eq(record->payload.size, strlen(payload));
        ck_assert_mem_eq(record->payload.data, payload, record->payload.size);
    }
    saga_chain_fini(&chain);
    ck_assert_ptr_null(chain.records);
    saga_chain_fini(&chain); /* nothing more to do */
    /* an earlier end gives what there was then */
    ck_assert_int_eq(saga_chain_read(&chain, reader, &one, ones[9], &fault), SAGA_OK);
    ck_assert_uint_eq(chain.count, 10);
    saga_chain_fini(&chain);
}
END_TEST

static void read_fails(const struct saga_id *id, uint64_t last_lsn, enum saga_error error,
                       const char *why) {
    struct saga_chain chain = {.count = 77};
    ck_assert_int_eq(saga_chain_read(&chain, reader, id, last_lsn, &fault), error);
    ck_assert_ptr_null(chain.records);
    ck_assert_uint_eq(chain.count, 0);
    ck_assert_msg(why == NULL || strstr(fault.text, why) != NULL, "'%s' does not say '%s'",
                  fault.text, why);
}

START_TEST(what_is_not_in_the_view_is_not_found) {
    append_link(&one, 0, "");
    look();
    const uint64_t later = append_link(&one, 1, "");
    ck_assert_int_eq(saga_log_flush(log_, &fault), SAGA_OK);
    read_fails(&one, later, SAGA_ERROR_NOT_FOUND, NULL);
    read_fails(&one, 1000000, SAGA_ERROR_NOT_FOUND, NULL);
    read_fails(&one, 0, SAGA_ERROR_NOT_FOUND, NULL);
    ck_assert_int_eq(saga_log_reader_renew(reader, &fault), SAGA_OK);
    struct saga_chain chain;
    ck_assert_int_eq(saga_chain_read(&chain, reader, &one, later, &fault), SAGA_OK);
    ck_assert_uint_eq(chain.count, 2);
    saga_chain_fini(&chain);
}
END_TEST

START_TEST(a_chain_into_another_saga_is_refused_by_its_place) {
    const uint64_t others = append_link(&other, 0, "");
    const uint64_t middle = append_link(&one, others, "");
    const uint64_t last = append_link(&one, middle, "");
    look();
    char why[64];
    (void)snprintf(why, sizeof why, "record %d (SAGA_STARTED) is of another saga than record %d",
                   (int)others, (int)middle);
    read_fails(&one, last, SAGA_ERROR_LOG_REFUSED, why);
    read_fails(&one, others, SAGA_ERROR_LOG_REFUSED, "is of another saga");
}
END_TEST

/* Drops the first block, and keeps what of it is of saga `one`, if so wanted. */
static void drop_first(bool keeps) {
    struct saga_record record;
    uint64_t last = 0;
    ck_assert_int_eq(saga_log_flush(log_, &fault), SAGA_OK);
    const struct saga_checkpoint checkpoint = {.lsn = saga_log_durable(log_), .epoch = 1};
    saga_log_set_checkpoint(log_, &checkpoint);
    ck_assert_int_eq(saga_log_first_block(log_, &last, &fault), SAGA_OK);
    for (uint64_t lsn = saga_log_first_lsn(log_); lsn <= last && keeps; lsn++) {
        ck_assert_int_eq(saga_log_read(log_, NULL, lsn, &record, &fault), SAGA_OK);
        if (memcmp(&record.saga, &one, sizeof one) == 0) {
            saga_log_keep(log_, &record);
        }
    }
    saga_log_drop_block(log_, last);
}

/* What goes with a block is kept, or the chain does not lead to its beginning any more. */
START_TEST(a_chain_goes_on_in_what_was_kept) {
    const bool keeps = _i == 0;
    struct saga_chain chain;
    const uint64_t first = append_link(&one, 0, "first");
    const uint64_t second = append_link(&one, first, "second");
    (void)append_link(&other, 0, "other");
    ck_assert_int_eq(saga_log_flush(log_, &fault), SAGA_OK);
    const uint64_t third = append_link(&one, second, "third");
    drop_first(keeps);
    look();
    if (!keeps) {
        read_fails(&one, third, SAGA_ERROR_NOT_FOUND, "record 2 was purged");
        ck_assert_int_eq(saga_chain_read_batch(&chain, log_, &one, third, &fault),
                         SAGA_ERROR_NOT_FOUND);
        return;
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(i == 0 ? saga_chain_read(&chain, reader, &one, third, &fault)
                                : saga_chain_read_batch(&chain, log_, &one, third, &fault),
                         SAGA_OK);
        ck_assert_uint_eq(chain.count, 3);
        ck_assert_mem_eq(chain.records[0].payload.data, "first", 5);
        ck_assert_mem_eq(chain.records[1].payload.data, "second", 6);
        saga_chain_fini(&chain);
    }
    read_fails(&one, 3, SAGA_ERROR_NOT_FOUND, NULL); /* of the other one, and gone */
}
END_TEST

/* ----------------------------------------------------------------- folding */

/* Writes a script's records into the log, where they have the same LSNs. */
static void write_script(const struct saga_script *script) {
    append((struct saga_record){.fact = SAGA_DEFINITION_LOADED, .step = SAGA_STEP_NONE});
    for (size_t i = 0; i < script->record_count; i++) {
        ck_assert_uint_eq(append(script->records[i]), script->records[i].lsn);
    }
    look();
}

/* The times that a restart sets are not in the chain. */
static void forget_times(struct saga *saga) {
    saga->deadline_ms = 0;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        saga->steps[i].send_at_ms = 0;
        saga->steps[i].deadline_ms = 0;
    }
}

static const char *const stories[] = {
    "create done | block done | authorize done | reserve done | confirm done",
    "create done | block rejected | create.compensation done",
    "create expires | create expires | create.fence done | block unsent | block unsent | block "
    "done | cancel | block.compensation noop | create.compensation done",
    /* A step that was open at a restart may have run, though every attempt of it was unsent:
     * without the restarts this chain would make no legal story. */
    "create unsent | wait 70000 | create expires unsent",
    "create done | block done | authorize done | reserve expires | reserve expires | reserve.fence "
    "fenced | authorize.compensation rejected | block.compensation done | create.compensation "
    "expires | create.compensation done | retry | authorize.compensation done",
    "create done | block done | authorize done | cancel | authorize accepted | "
    "authorize.compensation done | block.compensation retry | block.compensation done",
};

/* The live saga, without the restarts that came after its last record: no chain
 * tells of those. */
static struct saga *as_of_its_last_record(const struct saga_script *script) {
    struct saga *live = malloc(saga_size(script->plan.step_count));
    ck_assert_ptr_nonnull(live);
    ck_assert_int_eq(saga_begin(live, &script->plan, &script->records[0]), SAGA_APPLIED);
    for (size_t i = 1; script->records[i - 1].lsn < script->saga->last_lsn; i++) {
        ck_assert_int_eq(saga_apply(live, &script->plan, &script->records[i]), SAGA_APPLIED);
    }
    return live;
}

static void compare(bool restarts, const char *plan, const char *story) {
    struct saga_script script;
    struct saga_chain chain;
    struct saga *saga;
    char copy[1024];
    saga_script_init(&script, plan);
    (void)saga_script_start(&script);
    (void)snprintf(copy, sizeof copy, "%s", story);
    char *rest = copy;
    for (char *event = strsep(&rest, "|"); event != NULL; event = strsep(&rest, "|")) {
        if (restarts) {
            (void)saga_script_play(&script, "restart | wait 300 | restart");
        }
        event += strspn(event, " ");
        char *end = event + strlen(event);
        while (end > event && end[-1] == ' ') {
            *--end = '\0';
        }
        (void)saga_script_play(&script, event);
    }
    write_script(&script);
    ck_assert_msg(
        saga_chain_read(&chain, reader, &script.saga->id, script.saga->last_lsn, &fault) == SAGA_OK,
        "%s", fault.text);
    ck_assert_msg(saga_chain_fold(&chain, &script.plan, &saga, &fault) == SAGA_OK, "%s: %s", story,
                  fault.text);
    struct saga *live = as_of_its_last_record(&script);
    if (restarts) {
        forget_times(saga);
        forget_times(live);
    }
    ck_assert_msg(memcmp(saga, live, saga_size(saga->step_count)) == 0, "%s", story);
    free(live);
    free(saga);
    saga_chain_fini(&chain);
    saga_script_fini(&script);
}

#define LINE "create block authorize reserve* confirm"

START_TEST(a_chain_folds_into_the_live_saga) {
    compare(false, LINE, stories[_i]);
}
END_TEST

START_TEST(restarts_are_put_back_where_they_were) {
    compare(true, LINE, stories[_i]);
}
END_TEST

START_TEST(without_a_fence_too) {
    compare(true, "create~ block~ authorize~ reserve~* confirm~", stories[_i]);
}
END_TEST

START_TEST(a_record_that_cannot_follow_is_named) {
    struct saga_script script;
    struct saga_chain chain;
    struct saga *saga = NULL;
    saga_script_init(&script, LINE);
    (void)saga_script_start(&script);
    (void)saga_script_play(&script, "create done");
    write_script(&script);
    const uint64_t wrong = append((struct saga_record){
        .saga = script.saga->id,
        .previous_lsn = script.saga->last_lsn,
        .at_ms = script.now_ms,
        .fact = SAGA_ENDED,
        .outcome = SAGA_COMPLETED, /* three steps too early */
        .step = SAGA_STEP_NONE,
        .epoch = script.epoch,
    });
    const uint64_t after = append((struct saga_record){
        .saga = script.saga->id,
        .previous_lsn = wrong,
        .at_ms = script.now_ms,
        .fact = SAGA_PARKED,
        .reason = SAGA_REASON_DEBT,
        .step = 0,
        .epoch = script.epoch,
    });
    saga_log_reader_close(reader);
    look();
    ck_assert_int_eq(saga_chain_read(&chain, reader, &script.saga->id, after, &fault), SAGA_OK);
    ck_assert_int_eq(saga_chain_fold(&chain, &script.plan, &saga, &fault), SAGA_ERROR_LOG_REFUSED);
    char why[96];
    (void)snprintf(why, sizeof why, "record %d (SAGA_ENDED) cannot follow", (int)wrong);
    ck_assert_msg(strstr(fault.text, why) != NULL, "%s", fault.text);
    /* as it was before */
    ck_assert_mem_eq(saga, script.saga, saga_size(saga->step_count));
    free(saga);
    saga_chain_fini(&chain);
    saga_script_fini(&script);
}
END_TEST

START_TEST(a_chain_that_does_not_begin_is_refused) {
    struct saga_script script;
    struct saga_chain chain;
    struct saga *saga = NULL;
    saga_script_init(&script, LINE);
    const uint64_t lsn = append_link(&one, 0, "{}"); /* started by definition 0 */
    look();
    ck_assert_int_eq(saga_chain_read(&chain, reader, &one, lsn, &fault), SAGA_OK);
    ck_assert_int_eq(saga_chain_fold(&chain, &script.plan, &saga, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_ptr_null(saga);
    ck_assert_msg(strstr(fault.text, "record 1 (SAGA_STARTED)") != NULL, "%s", fault.text);
    saga_chain_fini(&chain);
    saga_script_fini(&script);
}
END_TEST

static Suite *suite(void) {
    const int story_count = (int)(sizeof stories / sizeof stories[0]);
    Suite *suite = suite_create("chain");
    TCase *chain = tcase_create("chain");
    tcase_set_timeout(chain, 60);
    tcase_add_checked_fixture(chain, set_up, tear_down);
    tcase_add_test(chain, a_chain_has_its_sagas_records_in_order);
    tcase_add_loop_test(chain, a_chain_goes_on_in_what_was_kept, 0, 2);
    tcase_add_test(chain, what_is_not_in_the_view_is_not_found);
    tcase_add_test(chain, a_chain_into_another_saga_is_refused_by_its_place);
    tcase_add_loop_test(chain, a_chain_folds_into_the_live_saga, 0, story_count);
    tcase_add_loop_test(chain, restarts_are_put_back_where_they_were, 0, story_count);
    tcase_add_loop_test(chain, without_a_fence_too, 0, story_count);
    tcase_add_test(chain, a_record_that_cannot_follow_is_named);
    tcase_add_test(chain, a_chain_that_does_not_begin_is_refused);
    suite_add_tcase(suite, chain);
    return suite;
}

int main(void) {
    return check_run(suite());
}
