/* Every state, every input, every record: against expected states written by hand. */
#include "check_run.h"
#include "fold.h"
#include "saga_explorer.h"
#include "saga_reference.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------- the table, once more */

/* All transitions there are, from docs/semantics.md. What is not here is not. */
static const struct {
    enum saga_move move;
    uint8_t from;
    uint8_t to;
    const char *why;
} cells[] = {
    /* clang-format off */
    {SAGA_MOVE_ISSUE_ACTION, SAGA_STEP_PENDING, SAGA_STEP_RUNNING, "a step starts once"},

    {SAGA_MOVE_ISSUE_FENCE, SAGA_STEP_RUNNING, SAGA_STEP_FENCING, "a pending cancel asks the pivot's fence at once"},
    {SAGA_MOVE_ISSUE_FENCE, SAGA_STEP_UNKNOWN, SAGA_STEP_FENCING, "used up, and it may have run: the fence is asked"},

    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_RUNNING, SAGA_STEP_CLOSING, "it may have run"},
    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_DONE, SAGA_STEP_CLOSING, "it did run"},
    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_DISCLAIMED, SAGA_STEP_CLOSING, "an operator's rejection decides the direction only"},
    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_UNKNOWN, SAGA_STEP_CLOSING, "it may have run"},
    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_FENCING, SAGA_STEP_CLOSING, "backward, the order's own fence with the compensation's budget"},
    {SAGA_MOVE_ISSUE_CLOSE, SAGA_STEP_DEBT, SAGA_STEP_CLOSING, "an operator's retry"},

    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_RUNNING, SAGA_STEP_COMPENSATING, "it may have run"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_DONE, SAGA_STEP_COMPENSATING, "it did run"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_DISCLAIMED, SAGA_STEP_COMPENSATING, "an unfenced rejection decides the direction only"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_FENCED, SAGA_STEP_COMPENSATING, "fenced, says one that keeps no fence"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_UNKNOWN, SAGA_STEP_COMPENSATING, "it may have run"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_FENCING, SAGA_STEP_COMPENSATING, "it may have run, the fence has not said"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_COMPENSATED, SAGA_STEP_COMPENSATING, "done and noop contradict: one forced compensation"},
    {SAGA_MOVE_ISSUE_COMPENSATION, SAGA_STEP_DEBT, SAGA_STEP_COMPENSATING, "an operator's retry"},

    {SAGA_MOVE_END_ATTEMPT, SAGA_STEP_RUNNING, SAGA_STEP_RUNNING, "the next attempt"},
    {SAGA_MOVE_END_ATTEMPT, SAGA_STEP_FENCING, SAGA_STEP_FENCING, "the next attempt"},
    {SAGA_MOVE_END_ATTEMPT, SAGA_STEP_CLOSING, SAGA_STEP_CLOSING, "the next attempt"},
    {SAGA_MOVE_END_ATTEMPT, SAGA_STEP_COMPENSATING, SAGA_STEP_COMPENSATING, "the next attempt"},

    {SAGA_MOVE_END_ATTEMPT, SAGA_STEP_SETTLING, SAGA_STEP_SETTLING, "the next attempt, without end"},
    {SAGA_MOVE_ACCEPT, SAGA_STEP_SETTLING, SAGA_STEP_SETTLING, "the settle, too, may be in progress"},
    {SAGA_MOVE_ACCEPT, SAGA_STEP_RUNNING, SAGA_STEP_RUNNING, "the result follows"},
    {SAGA_MOVE_ACCEPT, SAGA_STEP_FENCING, SAGA_STEP_FENCING, "the fence, too, may be in progress"},
    {SAGA_MOVE_ACCEPT, SAGA_STEP_CLOSING, SAGA_STEP_CLOSING, "the fence, too, may be in progress"},
    {SAGA_MOVE_ACCEPT, SAGA_STEP_COMPENSATING, SAGA_STEP_COMPENSATING, "the result follows"},

    {SAGA_MOVE_ACTION_DONE, SAGA_STEP_RUNNING, SAGA_STEP_DONE, "it took effect"},
    {SAGA_MOVE_ACTION_DONE, SAGA_STEP_DISCLAIMED, SAGA_STEP_DONE, "the rejection had been a duplicate's"},
    {SAGA_MOVE_ACTION_DONE, SAGA_STEP_UNKNOWN, SAGA_STEP_DONE, "a late verdict resolves"},
    {SAGA_MOVE_ACTION_DONE, SAGA_STEP_NEVER_RAN, SAGA_STEP_DONE, "not yet compensating: attached, then compensated"},
    {SAGA_MOVE_ACTION_DONE, SAGA_STEP_FENCING, SAGA_STEP_DONE, "the action's own word came first"},

    {SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_RUNNING, SAGA_STEP_REJECTED, "a business no"},
    {SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_UNKNOWN, SAGA_STEP_REJECTED, "a late verdict resolves"},
    {SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_NEVER_RAN, SAGA_STEP_REJECTED, "not yet compensating: skipped"},
    {SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_FENCING, SAGA_STEP_REJECTED, "the action's own word came first"},

    {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_RUNNING, SAGA_STEP_FENCED, "unexpected: parks, or is skipped"},
    {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_UNKNOWN, SAGA_STEP_FENCED, "a late verdict resolves"},
    {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_NEVER_RAN, SAGA_STEP_FENCED, "not yet compensating: skipped"},
    {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_FENCING, SAGA_STEP_FENCED, "is the fence's answer"},
    {SAGA_MOVE_ACTION_FENCED, SAGA_STEP_CLOSING, SAGA_STEP_FENCED, "is the fence's answer"},

    {SAGA_MOVE_FENCE_DONE, SAGA_STEP_UNKNOWN, SAGA_STEP_DONE, "a late answer resolves"},
    {SAGA_MOVE_FENCE_DONE, SAGA_STEP_FENCING, SAGA_STEP_DONE, "the fence recovers results"},
    {SAGA_MOVE_FENCE_DONE, SAGA_STEP_CLOSING, SAGA_STEP_COMPENSATED, "done settles it: the earlier step's compensation undoes it"},
    {SAGA_MOVE_FENCE_DONE, SAGA_STEP_DEBT, SAGA_STEP_COMPENSATED, "a debt of silence, answered late"},
    {SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_UNKNOWN, SAGA_STEP_REJECTED, "a late answer resolves"},
    {SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_FENCING, SAGA_STEP_REJECTED, "always about the action"},
    {SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_CLOSING, SAGA_STEP_REJECTED, "rejected settles it"},
    {SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_DEBT, SAGA_STEP_REJECTED, "a debt of silence, answered late"},
    {SAGA_MOVE_FENCE_FENCED, SAGA_STEP_UNKNOWN, SAGA_STEP_FENCED, "a late answer resolves"},
    {SAGA_MOVE_FENCE_FENCED, SAGA_STEP_FENCING, SAGA_STEP_FENCED, "never happened, never will"},
    {SAGA_MOVE_FENCE_FENCED, SAGA_STEP_CLOSING, SAGA_STEP_FENCED, "fenced settles it"},
    {SAGA_MOVE_FENCE_FENCED, SAGA_STEP_DEBT, SAGA_STEP_FENCED, "a debt of silence, answered late"},

    {SAGA_MOVE_COMPENSATION_DONE, SAGA_STEP_COMPENSATING, SAGA_STEP_COMPENSATED, "undone"},
    {SAGA_MOVE_COMPENSATION_DONE, SAGA_STEP_DEBT, SAGA_STEP_COMPENSATED, "a debt of silence, answered late"},
    {SAGA_MOVE_COMPENSATION_REJECTED, SAGA_STEP_COMPENSATING, SAGA_STEP_DEBT, "a rejection parks it as debt"},
    {SAGA_MOVE_COMPENSATION_REJECTED, SAGA_STEP_DEBT, SAGA_STEP_DEBT, "a debt of silence becomes one by a word"},
    {SAGA_MOVE_COMPENSATION_NOOP, SAGA_STEP_COMPENSATING, SAGA_STEP_COMPENSATED, "nothing to compensate"},
    {SAGA_MOVE_COMPENSATION_NOOP, SAGA_STEP_DEBT, SAGA_STEP_COMPENSATED, "a debt of silence, answered late"},

    {SAGA_MOVE_ISSUE_SETTLE, SAGA_STEP_DEBT, SAGA_STEP_SETTLING, "an operator settles it: the row is closed first"},
    {SAGA_MOVE_SETTLE_DONE, SAGA_STEP_SETTLING, SAGA_STEP_SETTLED, "answered: only now it is settled"},
    {SAGA_MOVE_OPERATOR_SETTLED, SAGA_STEP_DEBT, SAGA_STEP_SETTLED, "no row to close: settled at once"},
    {SAGA_MOVE_OPERATOR_DONE, SAGA_STEP_UNKNOWN, SAGA_STEP_DONE, "resolved: it took effect"},
    {SAGA_MOVE_OPERATOR_DONE, SAGA_STEP_DISCLAIMED, SAGA_STEP_DONE, "resolved: the rejection was a duplicate's"},
    {SAGA_MOVE_OPERATOR_REJECTED, SAGA_STEP_UNKNOWN, SAGA_STEP_DISCLAIMED, "resolved: decides the direction only"},
    {SAGA_MOVE_OPERATOR_REJECTED, SAGA_STEP_DISCLAIMED, SAGA_STEP_DISCLAIMED, "resolved: the rejection is true"},
    /* clang-format on */
};
#define CELL_COUNT (sizeof cells / sizeof cells[0])

START_TEST(the_table_has_these_transitions_and_no_other) {
    for (unsigned move = 0; move <= SAGA_MOVE_COUNT + 1; move++) {
        for (unsigned from = 0; from <= SAGA_PHASE_COUNT + 1; from++) {
            uint8_t expected = 0;
            const char *why = "there is no such transition";
            for (size_t i = 0; i < CELL_COUNT; i++) {
                if (cells[i].move == move && cells[i].from == from) {
                    expected = cells[i].to;
                    why = cells[i].why;
                }
            }
            uint8_t to = saga_transition((enum saga_move)move, (uint8_t)from);
            ck_assert_msg(to == expected, "move %u from %s leads to %s instead of %s: %s", move,
                          saga_phase_name((uint8_t)from), saga_phase_name(to),
                          saga_phase_name(expected), why);
        }
    }
    ck_assert_uint_eq(saga_transition(SAGA_MOVE_ACTION_DONE, 255), 0);
}
END_TEST

/* Which verdicts are definite on which command: semantics.md, Verdicts and fence. */
START_TEST(definite_verdicts_are_these) {
    static const struct {
        uint8_t operation;
        uint8_t verdict;
        enum saga_move move;
        uint32_t flag;
    } definite[] = {
        {SAGA_ACTION, SAGA_DONE, SAGA_MOVE_ACTION_DONE, SAGA_STEP_SAID_DONE},
        {SAGA_ACTION, SAGA_REJECTED, SAGA_MOVE_ACTION_REJECTED, SAGA_STEP_SAID_REJECTED},
        {SAGA_ACTION, SAGA_FENCED, SAGA_MOVE_ACTION_FENCED, SAGA_STEP_SAID_FENCED},
        {SAGA_FENCE, SAGA_DONE, SAGA_MOVE_FENCE_DONE, SAGA_STEP_SAID_DONE},
        {SAGA_FENCE, SAGA_REJECTED, SAGA_MOVE_FENCE_REJECTED, SAGA_STEP_SAID_REJECTED},
        {SAGA_FENCE, SAGA_FENCED, SAGA_MOVE_FENCE_FENCED, SAGA_STEP_SAID_FENCED},
        {SAGA_COMPENSATION, SAGA_DONE, SAGA_MOVE_COMPENSATION_DONE, SAGA_STEP_SAID_COMPENSATED},
        {SAGA_COMPENSATION, SAGA_REJECTED, SAGA_MOVE_COMPENSATION_REJECTED,
         SAGA_STEP_SAID_NOT_COMPENSATED},
        {SAGA_COMPENSATION, SAGA_NOOP, SAGA_MOVE_COMPENSATION_NOOP, SAGA_STEP_SAID_NOOP},
        {SAGA_SETTLE, SAGA_DONE, SAGA_MOVE_SETTLE_DONE, SAGA_STEP_SAID_SETTLED},
    };
    for (unsigned operation = 0; operation <= 255; operation++) {
        for (unsigned verdict = 0; verdict <= 255; verdict++) {
            unsigned move = 0;
            uint32_t flag = 0;
            for (size_t i = 0; i < sizeof definite / sizeof definite[0]; i++) {
                if (definite[i].operation == operation && definite[i].verdict == verdict) {
                    move = definite[i].move;
                    flag = definite[i].flag;
                }
            }
            ck_assert_uint_eq(saga_verdict_move((uint8_t)operation, (uint8_t)verdict), move);
            ck_assert_uint_eq(saga_verdict_flag((uint8_t)operation, (uint8_t)verdict), flag);
        }
    }
}
END_TEST

/* ------------------------------------------------- every state, every record */

union memory {
    struct saga saga;
    unsigned char bytes[1024];
};

/* What is swept, for a failing test. */
struct sweep {
    const struct saga_explorer *explorer;
    const struct saga *state;
    size_t records;
    size_t applied;
};

/* An error and the same bytes, or the expected state. */
static void sweep_record(struct sweep *sweep, const struct saga_record *record) {
    const struct saga_plan *plan = &sweep->explorer->script.plan;
    size_t size = sweep->explorer->state_size;
    union memory folded;
    union memory expected;
    memcpy(&folded, sweep->state, size);
    const char *why = saga_reference_fold(sweep->state, plan, record, &expected.saga);
    enum saga_apply_error error = saga_apply(&folded.saga, plan, record);
    sweep->records++;
    bool right = (error == SAGA_APPLIED) == (why != NULL);
    if (right && why == NULL) {
        right = memcmp(&folded, sweep->state, size) == 0;
    } else if (right) {
        sweep->applied++;
        saga_reference_strip_times(&folded.saga);
        right = memcmp(&folded, &expected, size) == 0;
    }
    if (!right) {
        char was[1024];
        char is[1024];
        snprintf(was, sizeof was, "%s", saga_explorer_describe(sweep->state));
        snprintf(is, sizeof is, "%s", saga_explorer_describe(&folded.saga));
        ck_abort_msg("%s\n  plan %s, error %d; should be: %s\n  was: %s\n  is: %s\n  not: %s",
                     saga_explorer_describe_record(record), sweep->explorer->plan_text, error,
                     why == NULL ? "no transition" : why, was, is,
                     saga_explorer_describe(&expected.saga));
    }
}

static struct saga_record record_of(const struct saga *saga, enum saga_fact fact, uint8_t step) {
    return (struct saga_record){.lsn = saga->last_lsn + 1,
                                .previous_lsn = saga->last_lsn,
                                .saga = saga->id,
                                .at_ms = 1000000,
                                .epoch = 1,
                                .fact = (uint8_t)fact,
                                .step = step};
}

/* One fact about one command: on attempts, revisions and incarnations around the present ones. */
static void sweep_command(struct sweep *sweep, struct saga_record record) {
    const struct saga_step *step = &sweep->state->steps[record.step];
    const uint32_t attempts[] = {0, 1, 2, step->attempt + 1};
    const uint16_t revisions[] = {1, 2, (uint16_t)(step->revision + 1)};
    for (uint8_t operation = 1; operation <= SAGA_OPERATION_COUNT; operation++) {
        record.operation = operation;
        for (size_t a = step->attempt == 1 ? 1 : 0; a <= 4; a++) {
            record.attempt = attempts[a % 4];
            for (size_t r = 0; r < 3; r++) {
                record.revision = revisions[r];
                record.incarnation = 1;
                sweep_record(sweep, &record);
            }
        }
        record.incarnation = 2;
        record.revision = step->revision == 0 ? 1 : step->revision;
        record.attempt = step->attempt;
        sweep_record(sweep, &record);
    }
}

static void sweep_step(struct sweep *sweep, uint8_t index) {
    static const enum saga_fact facts[] = {SAGA_COMMAND_ISSUED, SAGA_COMMAND_UNSENT,
                                           SAGA_ATTEMPT_EXPIRED};
    for (size_t i = 0; i < 3; i++) {
        struct saga_record record = record_of(sweep->state, facts[i], index);
        sweep_command(sweep, record);
        if (facts[i] != SAGA_COMMAND_ISSUED) {
            record.reason = SAGA_REASON_DEADLINE;
            sweep_command(sweep, record);
        }
    }
    for (uint8_t verdict = 1; verdict <= SAGA_VERDICT_COUNT; verdict++) {
        struct saga_record record = record_of(sweep->state, SAGA_LATE_REPLY_RECEIVED, index);
        record.verdict = verdict;
        sweep_command(sweep, record);
        record = record_of(sweep->state, SAGA_REPLY_RECEIVED, index);
        record.verdict = verdict;
        sweep_command(sweep, record);
        if (verdict == SAGA_RETRY || verdict == SAGA_UNKNOWN) {
            record.reason = SAGA_REASON_DEADLINE;
            sweep_command(sweep, record);
        }
    }
    struct saga_record passed = record_of(sweep->state, SAGA_PIVOT_PASSED, index);
    sweep_record(sweep, &passed);
}

static void sweep_whole(struct sweep *sweep) {
    const struct saga *saga = sweep->state;
    for (int reason = 1; reason <= SAGA_REASON_UNRENDERED + 1; reason++) {
        struct saga_record record = record_of(saga, SAGA_CANCEL_REQUESTED, SAGA_STEP_NONE);
        record.reason = (uint8_t)reason;
        sweep_record(sweep, &record);
        record.fact = SAGA_COMPENSATION_STARTED;
        sweep_record(sweep, &record);
        for (uint8_t i = 0; i < saga->step_count; i++) {
            record.step = i;
            record.fact = SAGA_COMPENSATION_STARTED;
            sweep_record(sweep, &record);
            record.fact = SAGA_PARKED;
            sweep_record(sweep, &record);
        }
    }
    struct saga_record record = record_of(saga, SAGA_ENDED, SAGA_STEP_NONE);
    for (record.outcome = 1; record.outcome <= SAGA_OUTCOME_COUNT + 1; record.outcome++) {
        sweep_record(sweep, &record);
    }
    record = record_of(saga, SAGA_OPERATOR_ACTED, SAGA_STEP_NONE);
    for (record.verb = 1; record.verb <= SAGA_VERB_RETRY; record.verb++) {
        sweep_record(sweep, &record);
    }
    for (record.step = 0; record.step < saga->step_count; record.step++) {
        record.verb = SAGA_VERB_RESOLVE;
        for (record.verdict = 1; record.verdict <= SAGA_VERDICT_COUNT; record.verdict++) {
            sweep_record(sweep, &record);
        }
        record.verdict = 0;
        for (record.verb = SAGA_VERB_MARK_COMPENSATED; record.verb <= SAGA_VERB_COUNT + 1;
             record.verb++) {
            sweep_record(sweep, &record);
        }
    }
    record = record_of(saga, SAGA_EPOCH_STARTED, SAGA_STEP_NONE);
    record.saga = (struct saga_id){.bytes = {0}};
    record.previous_lsn = 0;
    sweep_record(sweep, &record);
}

/* ------------------------------------------- every class of state, every record */

/* What a record's fold can depend on, besides other steps. */
static uint64_t class_of(const struct saga *saga, uint8_t index) {
    const struct saga_step *step = &saga->steps[index];
    uint64_t class = step->flags;
    class = class << 4 | step->phase;
    class = class << 3 | step->operation;
    class = class << 2 | (step->attempt < 3 ? step->attempt : 3);
    class = class << 2 | (step->revision < 3 ? step->revision : 3);
    class = class << 2 | (step->spent < 3 ? step->spent : 3);
    class = class << 2 | saga->direction;
    class = class << 3 | saga->wish;
    class = class << 5 | saga->parked;
    class = class << 1 | (saga->parked_step == index);
    class = class << 1 | saga->pivot_passed;
    class = class << 3 | saga->outcome;
    return class << 6 | index;
}

struct classes {
    uint64_t slots[1 << 16]; /* a hash table; 0: free (no class is 0) */
    size_t count;
};

static bool class_is_new(struct classes *classes, uint64_t class) {
    size_t mask = sizeof classes->slots / sizeof classes->slots[0] - 1;
    size_t slot = (size_t)((class * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & mask;
    for (; classes->slots[slot] != 0; slot = (slot + 1) & mask) {
        if (classes->slots[slot] == class) {
            return false;
        }
    }
    classes->slots[slot] = class;
    classes->count++;
    ck_assert_uint_lt(classes->count, mask / 2);
    return true;
}

static void sweep_states(const struct saga_explorer *explorer) {
    struct classes *classes = calloc(1, sizeof *classes);
    ck_assert_ptr_nonnull(classes);
    struct sweep sweep = {.explorer = explorer};
    for (size_t i = 0; i < explorer->state_count; i++) {
        union memory state;
        memcpy(&state, saga_explorer_state(explorer, i), explorer->state_size);
        sweep.state = &state.saga;
        bool any = false;
        for (uint8_t step = 0; step < state.saga.step_count; step++) {
            if (class_is_new(classes, class_of(&state.saga, step))) {
                any = true;
                sweep_step(&sweep, step);
            }
        }
        if (any) {
            sweep_whole(&sweep);
        }
    }
    ck_assert_uint_gt(sweep.applied, 0);
    printf("%s: %zu classes, %zu records (%zu legal)\n", explorer->plan_text, classes->count,
           sweep.records, sweep.applied);
    free(classes);
}

/* The checks of every decision on every state are the explorer's. */
START_TEST(every_input_and_every_record_on_every_state_of_a_plan) {
    struct saga_explorer explorer;
    saga_explorer_init(&explorer, saga_explorer_plans[_i].plan, saga_explorer_plans[_i].thorough);
    ck_assert_uint_ge(explorer.state_count, saga_explorer_plans[_i].states_least);
    ck_assert_uint_ge(explorer.ended_count, 2);
    printf("%s: %zu states (%zu ended), %zu inputs, %zu records\n", saga_explorer_plans[_i].plan,
           explorer.state_count, explorer.ended_count, explorer.decision_count,
           explorer.record_count);
    if (saga_explorer_plans[_i]
            .thorough) { /* verdicts that are only remembered make no new class */
        saga_explorer_fini(&explorer);
        saga_explorer_init(&explorer, saga_explorer_plans[_i].plan, false);
    }
    sweep_states(&explorer);
    saga_explorer_fini(&explorer);
}
END_TEST

/* ---------------------------------------------------- what the states reach */

/* The facts of a move: COMMAND_ISSUED, the ends of an attempt, or a reply. */
static bool taken(const struct saga_explorer *explorer, size_t cell) {
    uint8_t from = cells[cell].from;
    uint8_t to = cells[cell].to;
    for (uint8_t fact = 1; fact <= SAGA_FACT_COUNT; fact++) {
        for (uint8_t operation = 0; operation <= SAGA_OPERATION_COUNT; operation++) {
            for (uint8_t verdict = 0; verdict <= SAGA_VERDICT_COUNT; verdict++) {
                unsigned move = saga_verdict_move(operation, verdict);
                if (fact == SAGA_COMMAND_ISSUED) {
                    move = operation == SAGA_ACTION         ? SAGA_MOVE_ISSUE_ACTION
                           : operation == SAGA_SETTLE       ? SAGA_MOVE_ISSUE_SETTLE
                           : operation == SAGA_COMPENSATION ? SAGA_MOVE_ISSUE_COMPENSATION
                           : to == SAGA_STEP_CLOSING        ? SAGA_MOVE_ISSUE_CLOSE
                                                            : SAGA_MOVE_ISSUE_FENCE;
                } else if (fact == SAGA_COMMAND_UNSENT || fact == SAGA_ATTEMPT_EXPIRED ||
                           verdict == SAGA_RETRY || verdict == SAGA_UNKNOWN) {
                    move = SAGA_MOVE_END_ATTEMPT;
                } else if (verdict == SAGA_ACCEPTED) {
                    move = SAGA_MOVE_ACCEPT;
                }
                if (fact == SAGA_OPERATOR_ACTED && operation == 0) {
                    move = to == SAGA_STEP_SETTLED      ? SAGA_MOVE_OPERATOR_SETTLED
                           : verdict == SAGA_DONE       ? SAGA_MOVE_OPERATOR_DONE
                           : to == SAGA_STEP_DISCLAIMED ? SAGA_MOVE_OPERATOR_REJECTED
                                                        : 0;
                }
                if (move == cells[cell].move && fact != SAGA_LATE_REPLY_RECEIVED &&
                    explorer->taken[fact][operation][verdict][from][to]) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* No entry of the table is there for nothing. */
START_TEST(every_transition_of_the_table_is_taken) {
    static const char *const small[] = {"block",
                                        "block~",
                                        "reserve*",
                                        "create approve<create",
                                        "reserve*~",
                                        "block?",
                                        "create approve<create?"};
    bool reached[CELL_COUNT] = {false};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        struct saga_explorer *explorer = malloc(sizeof *explorer);
        ck_assert_ptr_nonnull(explorer);
        saga_explorer_init(explorer, small[i], false);
        for (size_t cell = 0; cell < CELL_COUNT; cell++) {
            reached[cell] = reached[cell] || taken(explorer, cell);
        }
        saga_explorer_fini(explorer);
        free(explorer);
    }
    for (size_t i = 0; i < CELL_COUNT; i++) {
        ck_assert_msg(reached[i], "nothing goes from %s to %s: %s", saga_phase_name(cells[i].from),
                      saga_phase_name(cells[i].to), cells[i].why);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("saga_table");
    TCase *table = tcase_create("table");
    tcase_add_test(table, the_table_has_these_transitions_and_no_other);
    tcase_add_test(table, definite_verdicts_are_these);
    tcase_add_test(table, every_transition_of_the_table_is_taken);
    tcase_set_timeout(table, 60);
    suite_add_tcase(suite, table);
    TCase *states = tcase_create("states");
    tcase_add_loop_test(states, every_input_and_every_record_on_every_state_of_a_plan, 0,
                        SAGA_EXPLORER_PLAN_COUNT);
    tcase_set_timeout(states, 60);
    suite_add_tcase(suite, states);
    return check_run(suite);
}
