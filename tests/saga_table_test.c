/* Every state, every input, every record: against expected states written by hand. */
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

static const char *describe_record(const struct saga_record *record) {
    static char text[256];
    snprintf(text, sizeof text,
             "%s: step %u, %s r%u attempt %u incarnation %u, verdict %s, reason %u, outcome %u, "
             "verb %u",
             saga_fact_name(record->fact), record->step, saga_operation_name(record->operation),
             record->revision, record->attempt, record->incarnation,
             saga_verdict_name(record->verdict), record->reason, record->outcome, record->verb);
    return text;
}

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
                     describe_record(record), sweep->explorer->plan_text, error,
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
    for (record.outcome = 1; record.outcome <= SAGA_COMPENSATED + 1; record.outcome++) {
        sweep_record(sweep, &record);
    }
    record = record_of(saga, SAGA_OPERATOR_ACTED, SAGA_STEP_NONE);
    for (record.verb = 1; record.verb <= SAGA_VERB_RETRY + 1; record.verb++) {
        sweep_record(sweep, &record);
    }
    record = record_of(saga, SAGA_EPOCH_STARTED, SAGA_STEP_NONE);
    record.saga = (struct saga_id){.bytes = {0}};
    record.previous_lsn = 0;
    sweep_record(sweep, &record);
}

/* --------------------------------------------------------------- the plans */

/* Position before, at and after the pivot; fenced, unfenced, single delivery; each on_unknown;
 * each way to undo; one after the other and side by side. */
static const struct {
    const char *plan;
    bool thorough;
    size_t states_least; /* far below, and the search has lost its way */
} plans[] = {
    {"block", true, 1000},
    {"block~", false, 100},
    {"block~1", false, 100},
    {"block!", false, 100},
    {"block?", false, 100},
    {"block-", true, 100},
    {"reserve*", true, 100},
    {"reserve*~", true, 50},
    {"reserve*~1?", false, 30},
    {"create block", false, 8000},
    {"create~ block!", false, 2000},
    {"create? block~1", false, 2000},
    {"create approve<create", false, 2500},
    {"look- block", false, 300},
    {"create reserve*", false, 800},
    {"create reserve*?", false, 800},
    {"create~ reserve*~", false, 200},
    {"create reserve*~1 confirm~", false, 500},
    {"reserve* confirm", false, 100},
    {"reserve* confirm~?", false, 100},
    {"block~@ authorize~1@", false, 2000},
    {"block!@ look-@ reserve*@block,look", false, 300},
    {"create~ look- block~", false, 1000},
};
#define PLAN_COUNT ((int)(sizeof plans / sizeof plans[0]))

/* ------------------------------------------- every class of state, every record */

/* What a record's fold can depend on, besides other steps. */
static uint64_t class_of(const struct saga *saga, uint8_t index) {
    const struct saga_step *step = &saga->steps[index];
    uint64_t class = step->flags;
    class = class << 4 | step->phase;
    class = class << 2 | step->operation;
    class = class << 2 | (step->attempt < 3 ? step->attempt : 3);
    class = class << 2 | (step->revision < 3 ? step->revision : 3);
    class = class << 2 | (step->spent < 3 ? step->spent : 3);
    class = class << 2 | saga->direction;
    class = class << 3 | saga->wish;
    class = class << 5 | saga->parked;
    class = class << 1 | (saga->parked_step == index);
    class = class << 1 | saga->pivot_passed;
    class = class << 2 | saga->outcome;
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
    saga_explorer_init(&explorer, plans[_i].plan, plans[_i].thorough);
    ck_assert_uint_ge(explorer.state_count, plans[_i].states_least);
    ck_assert_uint_ge(explorer.ended_count, 2);
    printf("%s: %zu states (%zu ended), %zu inputs, %zu records\n", plans[_i].plan,
           explorer.state_count, explorer.ended_count, explorer.decision_count,
           explorer.record_count);
    if (plans[_i].thorough) { /* verdicts that are only remembered make no new class */
        saga_explorer_fini(&explorer);
        saga_explorer_init(&explorer, plans[_i].plan, false);
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
        for (uint8_t operation = 1; operation <= SAGA_OPERATION_COUNT; operation++) {
            for (uint8_t verdict = 0; verdict <= SAGA_VERDICT_COUNT; verdict++) {
                unsigned move = saga_verdict_move(operation, verdict);
                if (fact == SAGA_COMMAND_ISSUED) {
                    move = operation == SAGA_ACTION         ? SAGA_MOVE_ISSUE_ACTION
                           : operation == SAGA_COMPENSATION ? SAGA_MOVE_ISSUE_COMPENSATION
                           : to == SAGA_STEP_CLOSING        ? SAGA_MOVE_ISSUE_CLOSE
                                                            : SAGA_MOVE_ISSUE_FENCE;
                } else if (fact == SAGA_COMMAND_UNSENT || fact == SAGA_ATTEMPT_EXPIRED ||
                           verdict == SAGA_RETRY || verdict == SAGA_UNKNOWN) {
                    move = SAGA_MOVE_END_ATTEMPT;
                } else if (verdict == SAGA_ACCEPTED) {
                    move = SAGA_MOVE_ACCEPT;
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
    static const char *const small[] = {"block", "block~", "reserve*", "create approve<create"};
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
    NO_STEP_NEEDED = 2048
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

static void begin_saga(union memory *memory) {
    struct saga_record started = {.lsn = 2,
                                  .saga = {.bytes = {1}},
                                  .at_ms = 1000000,
                                  .definition_lsn = 1,
                                  .epoch = 1,
                                  .fact = SAGA_STARTED,
                                  .step = SAGA_STEP_NONE};
    ck_assert_int_eq(saga_begin(&memory->saga, begin_plan(), &started), SAGA_APPLIED);
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
    return record;
}

/* Some state in which the record, as shaped, is legal. */
static void prepare(union memory *memory, uint8_t fact) {
    begin_saga(memory);
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
    for (uint8_t fact = SAGA_COMMAND_ISSUED; fact <= SAGA_FACT_COUNT; fact++) {
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
    struct saga_record bad[8];
    for (size_t i = 0; i < 8; i++) {
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
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(saga_begin(&memory.saga, begin_plan(), &bad[i]), SAGA_APPLY_MISPLACED);
        ck_assert_mem_eq(&memory, &before, sizeof memory);
    }
    ck_assert_int_eq(saga_begin(&memory.saga, begin_plan(), &good), SAGA_APPLIED);
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
    record.outcome = (uint8_t)(record.outcome == 0 ? 0 : 1 + draw_below(seed, 3));
    record.verb = (uint8_t)(record.verb == 0 ? 0 : 1 + draw_below(seed, 3));
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
    saga_script_init(&script, plans[_i].plan);
    size_t applied = 0;
    for (int log = 0; log < LIVES; log++) {
        union memory memory;
        struct saga_record started = {.lsn = 2,
                                      .saga = {.bytes = {1}},
                                      .at_ms = 1000000,
                                      .definition_lsn = 1,
                                      .epoch = 1,
                                      .fact = SAGA_STARTED,
                                      .step = SAGA_STEP_NONE};
        ck_assert_int_eq(saga_begin(&memory.saga, &script.plan, &started), SAGA_APPLIED);
        size_t size = saga_size(memory.saga.step_count);
        for (int i = 0; i < 300; i++) {
            struct saga_record record = draw_record(&seed, &memory.saga);
            union memory before = memory;
            union memory expected;
            enum saga_apply_error error = saga_apply(&memory.saga, &script.plan, &record);
            if (error != SAGA_APPLIED) {
                ck_assert_msg(memcmp(&memory, &before, size) == 0, "plan %s, log %d, record %d: %s",
                              plans[_i].plan, log, i, describe_record(&record));
                continue;
            }
            applied++;
            const char *why =
                saga_reference_fold(&before.saga, &script.plan, &record, &expected.saga);
            struct saga *folded = &before.saga;
            memcpy(folded, &memory, size);
            saga_reference_strip_times(folded);
            ck_assert_msg(why != NULL && memcmp(folded, &expected, size) == 0,
                          "plan %s, log %d, record %d: %s", plans[_i].plan, log, i,
                          describe_record(&record));
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
        .type = (uint8_t)(1 + draw_below(seed, SAGA_INPUT_SAGA_DEADLINE)),
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
    saga_script_init(&script, plans[_i].plan);
    size_t ended = 0;
    for (int life = 0; life < LIVES; life++) {
        union memory live;
        union memory replayed;
        struct saga_record started = {.lsn = 2,
                                      .saga = {.bytes = {(uint8_t)life}},
                                      .at_ms = 1000000,
                                      .definition_lsn = 1,
                                      .epoch = 1,
                                      .fact = SAGA_STARTED,
                                      .step = SAGA_STEP_NONE};
        ck_assert_int_eq(saga_begin(&live.saga, &script.plan, &started), SAGA_APPLIED);
        ck_assert_int_eq(saga_begin(&replayed.saga, &script.plan, &started), SAGA_APPLIED);
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
                          plans[_i].plan, life, i);
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
    Suite *suite = suite_create("saga_table");
    TCase *table = tcase_create("table");
    tcase_add_test(table, the_table_has_these_transitions_and_no_other);
    tcase_add_test(table, definite_verdicts_are_these);
    tcase_add_test(table, every_transition_of_the_table_is_taken);
    suite_add_tcase(suite, table);
    TCase *shape = tcase_create("shape");
    tcase_add_test(shape, a_record_of_the_right_shape_is_applied);
    tcase_add_test(shape, a_record_with_any_unused_field_set_is_refused);
    tcase_add_test(shape, a_record_that_lacks_a_field_is_refused);
    tcase_add_test(shape, a_record_out_of_its_place_is_refused);
    tcase_add_test(shape, a_start_out_of_its_place_is_refused);
    suite_add_tcase(suite, shape);
    TCase *states = tcase_create("states");
    tcase_add_loop_test(states, every_input_and_every_record_on_every_state_of_a_plan, 0,
                        PLAN_COUNT);
    tcase_set_timeout(states, 60);
    suite_add_tcase(suite, states);
    TCase *hostile = tcase_create("hostile");
    tcase_add_loop_test(hostile, no_record_is_believed_more_than_the_rules_allow, 0, PLAN_COUNT);
    tcase_add_loop_test(hostile, a_long_life_is_the_fold_of_its_records, 0, PLAN_COUNT);
    tcase_set_timeout(hostile, 60);
    suite_add_tcase(suite, hostile);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
