/* Records as they should be, as they should not, and as nobody would make them. */
#include "check_run.h"
#include "saga_explorer.h"
#include "saga_reference.h"

#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

union memory {
    struct saga saga;
    unsigned char bytes[1024];
};

static struct saga_record record_of(const struct saga *saga, enum saga_fact fact, uint8_t step) {
    return (struct saga_record){.lsn = saga->last_lsn + 1,
                                .previous_lsn = saga->last_lsn,
                                .saga = saga->id,
                                .at_ms = 1000000,
                                .epoch = 1,
                                .fact = (uint8_t)fact,
                                .step = step};
}

/* ------------------------------------------------------------- shapes of records */

/* The fields of each fact, from the comments of struct saga_record. */
enum field {
    STEP = 1,
    COMMAND = 2,
    ATTEMPT = 4,
    VERDICT = 8,
    REASON = 16,
    OUTCOME = 32,
    VERB = 64,
    KEY = 128,
    PAYLOAD = 256,
    DEFINITION = 512,
    REASON_AT_DEADLINE = 1024,
    NO_STEP_NEEDED = 2048,
    THROUGH = 4096
};

static const uint32_t shapes[SAGA_FACT_COUNT + 1] = {
    [SAGA_STARTED] = DEFINITION | KEY | PAYLOAD,
    [SAGA_COMMAND_ISSUED] = STEP | COMMAND | ATTEMPT | PAYLOAD,
    [SAGA_COMMAND_UNSENT] = STEP | COMMAND | ATTEMPT | REASON_AT_DEADLINE,
    [SAGA_REPLY_RECEIVED] = STEP | COMMAND | ATTEMPT | VERDICT | PAYLOAD,
    [SAGA_ATTEMPT_EXPIRED] = STEP | COMMAND | ATTEMPT | REASON_AT_DEADLINE,
    [SAGA_CANCEL_REQUESTED] = REASON | KEY | PAYLOAD,
    [SAGA_COMPENSATION_STARTED] = STEP | REASON | NO_STEP_NEEDED,
    [SAGA_PIVOT_PASSED] = STEP,
    [SAGA_LATE_REPLY_RECEIVED] = STEP | COMMAND | ATTEMPT | VERDICT | PAYLOAD,
    [SAGA_PARKED] = STEP | REASON,
    [SAGA_OPERATOR_ACTED] = VERB | KEY | PAYLOAD,
    [SAGA_ENDED] = OUTCOME,
    [SAGA_EPOCH_STARTED] = PAYLOAD,
    [SAGA_OUTCOMES_TOLD] = THROUGH,  /* of no saga: legal nowhere */
    [SAGA_HISTORY_PURGED] = THROUGH, /* likewise */
};

/* A saga whose one step, the pivot, is out: every fact but the end can be told of some such one. */
static const struct saga_plan *begin_plan(void) {
    static struct saga_script script;
    static bool ready;
    if (!ready) {
        saga_script_init(&script, "create reserve*");
        ready = true;
    }
    return &script.plan;
}

static void begin_saga(union memory *memory, const struct saga_plan *plan, uint8_t number) {
    struct saga_record started = {.lsn = 2,
                                  .saga = {.bytes = {number}},
                                  .at_ms = 1000000,
                                  .definition_lsn = 1,
                                  .epoch = 1,
                                  .fact = SAGA_STARTED,
                                  .step = SAGA_STEP_NONE};
    ck_assert_int_eq(saga_begin(&memory->saga, plan, &started), SAGA_APPLIED);
}

static struct saga_record shaped(const struct saga *saga, uint8_t fact) {
    static const char byte = 'x';
    uint32_t shape = shapes[fact];
    struct saga_record record = record_of(saga, (enum saga_fact)fact, SAGA_STEP_NONE);
    record.step = (shape & STEP) != 0 ? 0 : SAGA_STEP_NONE;
    if ((shape & COMMAND) != 0) {
        record.operation = SAGA_ACTION;
        record.incarnation = 1;
        record.revision = 1;
    }
    record.attempt = (shape & ATTEMPT) != 0 ? 1 : 0;
    record.verdict = (shape & VERDICT) != 0 ? SAGA_DONE : 0;
    record.reason = (shape & REASON) == 0           ? 0
                    : fact == SAGA_PARKED           ? SAGA_REASON_UNRENDERED
                    : fact == SAGA_CANCEL_REQUESTED ? SAGA_REASON_CANCELLED
                                                    : SAGA_REASON_REJECTED;
    record.outcome = (shape & OUTCOME) != 0 ? SAGA_COMPLETED : 0;
    record.verb = (shape & VERB) != 0 ? SAGA_VERB_RETRY : 0;
    record.key = (struct saga_bytes){.data = &byte, .size = (shape & KEY) != 0 ? 1 : 0};
    record.payload = (struct saga_bytes){.data = &byte, .size = (shape & PAYLOAD) != 0 ? 1 : 0};
    record.definition_lsn = (shape & DEFINITION) != 0 ? 1 : 0;
    record.through_lsn = (shape & THROUGH) != 0 ? 1 : 0;
    return record;
}

/* Some state in which the record, as shaped, is legal. */
static void prepare(union memory *memory, uint8_t fact) {
    begin_saga(memory, begin_plan(), 1);
    struct saga *saga = &memory->saga;
    if (fact == SAGA_COMMAND_UNSENT || fact == SAGA_ATTEMPT_EXPIRED ||
        fact == SAGA_REPLY_RECEIVED || fact == SAGA_LATE_REPLY_RECEIVED) {
        struct saga_record issued = shaped(saga, SAGA_COMMAND_ISSUED);
        ck_assert_int_eq(saga_apply(saga, begin_plan(), &issued), SAGA_APPLIED);
    }
    if (fact == SAGA_ENDED || fact == SAGA_PIVOT_PASSED) {
        saga->steps[0].phase = SAGA_STEP_DONE;
        saga->steps[1].phase = SAGA_STEP_DONE;
    }
}

static void assert_refused(const union memory *memory, const struct saga_record *record,
                           const char *what) {
    union memory folded = *memory;
    enum saga_apply_error error = saga_apply(&folded.saga, begin_plan(), record);
    ck_assert_msg(error == SAGA_APPLY_MISPLACED, "%s: %s gives %d", saga_fact_name(record->fact),
                  what, error);
    ck_assert_mem_eq(&folded, memory, saga_size(2));
}

START_TEST(a_record_of_the_right_shape_is_applied) {
    for (uint8_t fact = SAGA_COMMAND_ISSUED; fact <= SAGA_EPOCH_STARTED; fact++) {
        union memory memory;
        prepare(&memory, fact);
        struct saga_record record = shaped(&memory.saga, fact);
        record.step = fact == SAGA_PIVOT_PASSED ? 1 : record.step;
        ck_assert_msg(saga_apply(&memory.saga, begin_plan(), &record) == SAGA_APPLIED, "%s",
                      saga_fact_name(fact));
    }
}
END_TEST

#define WITH(condition, change)                                                                    \
    if (condition) {                                                                               \
        struct saga_record record = shaped(&memory.saga, fact);                                    \
        record.step = fact == SAGA_PIVOT_PASSED ? 1 : record.step;                                 \
        change;                                                                                    \
        assert_refused(&memory, &record, #change);                                                 \
    }

START_TEST(a_record_with_any_unused_field_set_is_refused) {
    for (uint8_t fact = SAGA_COMMAND_ISSUED; fact <= SAGA_FACT_COUNT; fact++) {
        uint32_t shape = shapes[fact];
        union memory memory;
        prepare(&memory, fact);
        WITH((shape & STEP) == 0, record.step = 0);
        WITH((shape & COMMAND) == 0, record.operation = SAGA_ACTION);
        WITH((shape & COMMAND) == 0, record.incarnation = 1);
        WITH((shape & COMMAND) == 0, record.revision = 1);
        WITH((shape & ATTEMPT) == 0, record.attempt = 1);
        WITH((shape & VERDICT) == 0, record.verdict = SAGA_DONE);
        WITH((shape & (REASON | REASON_AT_DEADLINE)) == 0, record.reason = SAGA_REASON_DEADLINE);
        WITH((shape & REASON) == 0, record.reason = SAGA_REASON_REJECTED);
        WITH((shape & OUTCOME) == 0, record.outcome = SAGA_COMPLETED);
        WITH((shape & VERB) == 0, record.verb = SAGA_VERB_RETRY);
        WITH((shape & KEY) == 0, record.key.size = 1);
        WITH((shape & PAYLOAD) == 0, record.payload.size = 1);
        WITH((shape & DEFINITION) == 0, record.definition_lsn = 1);
        WITH((shape & THROUGH) == 0, record.through_lsn = 1);
        WITH(true, record.content.size = 1);
        WITH(true, record.reserved = 1);
    }
}
END_TEST

START_TEST(a_record_that_lacks_a_field_is_refused) {
    for (uint8_t fact = SAGA_COMMAND_ISSUED; fact <= SAGA_FACT_COUNT; fact++) {
        uint32_t shape = shapes[fact];
        union memory memory;
        prepare(&memory, fact);
        bool needs_step = (shape & STEP) != 0 && (shape & NO_STEP_NEEDED) == 0;
        WITH(needs_step, record.step = SAGA_STEP_NONE);
        WITH((shape & STEP) != 0, record.step = 2); /* the plan has two */
        WITH((shape & COMMAND) != 0, record.operation = 0);
        WITH((shape & COMMAND) != 0, record.operation = SAGA_OPERATION_COUNT + 1);
        WITH((shape & COMMAND) != 0, record.incarnation = 0);
        WITH((shape & COMMAND) != 0, record.revision = 0);
        WITH((shape & VERDICT) != 0, record.verdict = 0);
        WITH((shape & VERDICT) != 0, record.verdict = SAGA_VERDICT_COUNT + 1);
        WITH((shape & REASON) != 0, record.reason = 0);
        WITH((shape & OUTCOME) != 0, record.outcome = 0);
        WITH((shape & VERB) != 0, record.verb = 0);
        WITH(true, record.at_ms = -1);
        WITH(true, record.at_ms = INT64_MAX);
    }
}
END_TEST

/* The verbs about a step name it; resolve has a verdict, and where that is done, a result. */
START_TEST(an_operators_record_has_the_fields_of_its_verb) {
    static const uint8_t verbs[] = {SAGA_VERB_RESOLVE, SAGA_VERB_MARK_COMPENSATED,
                                    SAGA_VERB_WRITE_OFF};
    const uint8_t fact = SAGA_OPERATOR_ACTED;
    union memory memory;
    prepare(&memory, SAGA_ENDED); /* none of it is legal there; but its shape is looked at first */
    for (size_t i = 0; i < 3; i++) {
        bool resolve = verbs[i] == SAGA_VERB_RESOLVE;
        struct saga_record right = shaped(&memory.saga, fact);
        right.verb = verbs[i];
        right.step = 0;
        right.verdict = resolve ? SAGA_DONE : 0;
        right.content.size = resolve ? 1 : 0;
        ck_assert_int_eq(saga_apply(&memory.saga, begin_plan(), &right), SAGA_APPLY_ILLEGAL);
#define WRONG(change)                                                                              \
    do {                                                                                           \
        struct saga_record record = right;                                                         \
        change;                                                                                    \
        assert_refused(&memory, &record, #change);                                                 \
    } while (0)
        WRONG(record.step = SAGA_STEP_NONE);
        WRONG(record.step = 2);
        WRONG(record.verdict = resolve ? 0 : SAGA_DONE);
        WRONG(record.verdict = SAGA_REJECTED; record.content.size = 1);
        WRONG(record.operation = SAGA_SETTLE);
        WRONG(record.reason = SAGA_REASON_DEBT);
        WRONG(record.attempt = 1);
        WRONG(record.outcome = SAGA_INCONSISTENT);
        if (!resolve) {
            WRONG(record.content.size = 1);
        }
#undef WRONG
    }
}
END_TEST

START_TEST(a_record_out_of_its_place_is_refused) {
    for (uint8_t fact = SAGA_COMMAND_ISSUED; fact < SAGA_EPOCH_STARTED; fact++) {
        union memory memory;
        prepare(&memory, fact);
        WITH(true, record.previous_lsn++);
        WITH(true, record.previous_lsn--);
        WITH(true, record.lsn = memory.saga.last_lsn);
        WITH(true, record.saga.bytes[15] ^= 1);
        WITH(true, record.epoch = 0); /* a daemon that was replaced writes on */
        WITH(true, record.fact = SAGA_DEFINITION_LOADED);
        WITH(true, record.fact = SAGA_OUTCOMES_TOLD);
        WITH(true, record = shaped(&memory.saga, SAGA_OUTCOMES_TOLD));
        WITH(true, record = shaped(&memory.saga, SAGA_HISTORY_PURGED));
        WITH(true, record.fact = 0);
        WITH(true, record.fact = SAGA_FACT_COUNT + 1);
        WITH(true, record.fact = 255);
    }
}
END_TEST

START_TEST(a_start_out_of_its_place_is_refused) {
    union memory memory;
    memset(&memory, 0x5a, sizeof memory);
    const union memory before = memory;
    const struct saga_record good = {.lsn = 2,
                                     .saga = {.bytes = {1}},
                                     .at_ms = 1,
                                     .definition_lsn = 1,
                                     .epoch = 1,
                                     .fact = SAGA_STARTED,
                                     .step = SAGA_STEP_NONE};
    struct saga_record bad[9];
    for (size_t i = 0; i < 9; i++) {
        bad[i] = good;
    }
    bad[0].fact = SAGA_COMMAND_ISSUED;
    bad[1].previous_lsn = 1;
    bad[2].definition_lsn = 2;
    bad[3].step = 0;
    bad[4].verdict = SAGA_DONE;
    bad[5].attempt = 1;
    bad[6].at_ms = -1;
    bad[7].reserved = 1;
    bad[8].through_lsn = 1;
    for (size_t i = 0; i < 9; i++) {
        ck_assert_int_eq(saga_begin(&memory.saga, begin_plan(), &bad[i]), SAGA_APPLY_MISPLACED);
        ck_assert_mem_eq(&memory, &before, sizeof memory);
    }
    ck_assert_int_eq(saga_begin(&memory.saga, begin_plan(), &good), SAGA_APPLIED);
    const union memory begun = memory;
    struct saga_record asked = good; /* who is to be told of the end is no matter of the saga's */
    asked.content = (struct saga_bytes){.data = "somebody", .size = 8};
    ck_assert_int_eq(saga_begin(&memory.saga, begin_plan(), &asked), SAGA_APPLIED);
    ck_assert_mem_eq(&memory, &begun, saga_size(2));
}
END_TEST

/* ------------------------------------------------------- hostile records, inputs */

/* Random logs, and random lives, of each plan. */
#define LIVES 60

static uint64_t draw(uint64_t *seed) { /* xorshift64* */
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Mostly small, so that much of it is nearly right; sometimes anything. */
static uint64_t draw_below(uint64_t *seed, uint64_t limit) {
    uint64_t value = draw(seed);
    return value % 50 == 0 ? value >> 8 : (value >> 8) % limit;
}

static struct saga_record draw_record(uint64_t *seed, const struct saga *saga) {
    struct saga_record record =
        shaped(saga, (uint8_t)(SAGA_STARTED + draw(seed) % (SAGA_FACT_COUNT - 1)));
    bool command = (shapes[record.fact] & COMMAND) != 0;
    if ((shapes[record.fact] & STEP) != 0) {
        record.step = (uint8_t)draw_below(seed, saga->step_count);
    }
    if (command) {
        record.operation = (uint8_t)(1 + draw_below(seed, SAGA_OPERATION_COUNT));
        record.revision = (uint16_t)(1 + draw_below(seed, 3));
        record.attempt = (uint32_t)draw_below(seed, 4);
        record.incarnation = (uint16_t)(1 + draw(seed) % 8 / 7);
    }
    if (record.verdict != 0) {
        record.verdict = (uint8_t)(1 + draw_below(seed, SAGA_VERDICT_COUNT));
    }
    if (record.reason != 0) {
        record.reason = (uint8_t)(1 + draw_below(seed, SAGA_REASON_UNRENDERED));
    }
    record.outcome = (uint8_t)(record.outcome == 0 ? 0 : 1 + draw_below(seed, SAGA_OUTCOME_COUNT));
    if (record.verb != 0) {
        record.verb = (uint8_t)(1 + draw_below(seed, SAGA_VERB_COUNT));
        if (record.verb > SAGA_VERB_RETRY) {
            record.step = (uint8_t)draw_below(seed, saga->step_count);
        }
        if (record.verb == SAGA_VERB_RESOLVE) {
            record.verdict = (uint8_t)(1 + draw_below(seed, 2));
        }
    }
    if (draw(seed) % 16 == 0) { /* and sometimes one byte of it is anything */
        unsigned char bytes[offsetof(struct saga_record, key)];
        memcpy(bytes, &record, sizeof bytes);
        bytes[draw(seed) % sizeof bytes] = (unsigned char)draw(seed);
        memcpy(&record, bytes, sizeof bytes);
    }
    return record;
}

/* A hostile log: whatever is read, it is an error and the same bytes, or the
 * expected state, however far such a log goes on. */
START_TEST(no_record_is_believed_more_than_the_rules_allow) {
    uint64_t seed = UINT64_C(0x5a6a) + (uint64_t)_i;
    struct saga_script script;
    saga_script_init(&script, saga_explorer_plans[_i].plan);
    size_t applied = 0;
    for (int log = 0; log < LIVES; log++) {
        union memory memory;
        begin_saga(&memory, &script.plan, 1);
        size_t size = saga_size(memory.saga.step_count);
        for (int i = 0; i < 300; i++) {
            struct saga_record record = draw_record(&seed, &memory.saga);
            union memory before = memory;
            union memory expected;
            enum saga_apply_error error = saga_apply(&memory.saga, &script.plan, &record);
            if (error != SAGA_APPLIED) {
                ck_assert_msg(memcmp(&memory, &before, size) == 0, "plan %s, log %d, record %d: %s",
                              saga_explorer_plans[_i].plan, log, i,
                              saga_explorer_describe_record(&record));
                continue;
            }
            applied++;
            const char *why =
                saga_reference_fold(&before.saga, &script.plan, &record, &expected.saga);
            struct saga *folded = &before.saga;
            memcpy(folded, &memory, size);
            saga_reference_strip_times(folded);
            ck_assert_msg(why != NULL && memcmp(folded, &expected, size) == 0,
                          "plan %s, log %d, record %d: %s", saga_explorer_plans[_i].plan, log, i,
                          saga_explorer_describe_record(&record));
        }
    }
    ck_assert_uint_gt(applied, LIVES * 3);
    saga_script_fini(&script);
}
END_TEST

static struct saga_event draw_event(uint64_t *seed, const struct saga *saga) {
    return (struct saga_event){
        .at_ms = 1000000 + (int64_t)(draw(seed) % 100000),
        .epoch = 1,
        .type = (uint8_t)(1 + draw_below(seed, SAGA_INPUT_COUNT)),
        .step = (uint8_t)draw_below(seed, saga->step_count),
        .operation = (uint8_t)(1 + draw_below(seed, SAGA_OPERATION_COUNT)),
        .verdict = (uint8_t)(1 + draw_below(seed, SAGA_VERDICT_COUNT)),
        .incarnation = (uint16_t)(1 + draw(seed) % 16 / 15),
        .revision = (uint16_t)(1 + draw_below(seed, 2)),
        .attempt = (uint32_t)draw_below(seed, 4),
        .unsent = draw(seed) % 4 == 0,
        .failed = draw(seed) % 8 == 0,
    };
}

/* Long random lives: the states are not those of the search, which forgets times and counts. */
START_TEST(a_long_life_is_the_fold_of_its_records) {
    uint64_t seed = UINT64_C(0x11fe) + (uint64_t)_i;
    struct saga_script script;
    saga_script_init(&script, saga_explorer_plans[_i].plan);
    size_t ended = 0;
    for (int life = 0; life < LIVES; life++) {
        union memory live;
        union memory replayed;
        begin_saga(&live, &script.plan, (uint8_t)life);
        begin_saga(&replayed, &script.plan, (uint8_t)life);
        size_t size = saga_size(live.saga.step_count);
        uint64_t lsn = 3;
        struct saga_decision decision;
        struct saga_event event = draw_event(&seed, &live.saga);
        saga_follow(&live.saga, &script.plan, &event, lsn, &decision);
        for (int i = 0; i < 200; i++) {
            for (uint8_t n = 0; n < decision.record_count; n++) {
                ck_assert_int_eq(saga_apply(&replayed.saga, &script.plan, &decision.records[n]),
                                 SAGA_APPLIED);
            }
            lsn += decision.record_count;
            ck_assert_msg(memcmp(&live, &replayed, size) == 0, "plan %s, life %d, input %d",
                          saga_explorer_plans[_i].plan, life, i);
            event = draw_event(&seed, &live.saga);
            if (decision.render_step != SAGA_STEP_NONE) {
                event.type = SAGA_INPUT_RENDERED;
                event.step = decision.render_step;
                event.operation = decision.render_operation;
            }
            saga_decide(&live.saga, &script.plan, &event, lsn, &decision);
        }
        ended += live.saga.outcome != 0;
    }
    ck_assert_uint_gt(ended, LIVES / 20);
    saga_script_fini(&script);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("saga_record");
    TCase *shape = tcase_create("shape");
    tcase_add_test(shape, a_record_of_the_right_shape_is_applied);
    tcase_add_test(shape, a_record_with_any_unused_field_set_is_refused);
    tcase_add_test(shape, a_record_that_lacks_a_field_is_refused);
    tcase_add_test(shape, an_operators_record_has_the_fields_of_its_verb);
    tcase_add_test(shape, a_record_out_of_its_place_is_refused);
    tcase_add_test(shape, a_start_out_of_its_place_is_refused);
    suite_add_tcase(suite, shape);
    TCase *hostile = tcase_create("hostile");
    tcase_add_loop_test(hostile, no_record_is_believed_more_than_the_rules_allow, 0,
                        SAGA_EXPLORER_PLAN_COUNT);
    tcase_add_loop_test(hostile, a_long_life_is_the_fold_of_its_records, 0,
                        SAGA_EXPLORER_PLAN_COUNT);
    tcase_set_timeout(hostile, 60);
    suite_add_tcase(suite, hostile);
    return check_run(suite);
}
