/* The numbers of a definition: which of them are refused, and the backoff made of them. */
#include "check_run.h"
#include "saga.h"

#include <check.h>
#include <string.h>

/* ------------------------------------------------------- what a plan must be */

/* create, block | reserve (the pivot) | confirm: the shortest plan that has everything. */
enum { CREATE, BLOCK, RESERVE, CONFIRM, STEP_COUNT };

static const struct saga_budget sound_budget = {
    .timeout_ms = 1000,
    .deadline_ms = 60000,
    .initial_ms = 200,
    .max_ms = 60000,
    .factor_milli = 2000,
    .attempts_max = 5,
};

static struct saga_plan sound_plan(void) {
    struct saga_plan plan = {.definition_lsn = 1, .step_count = STEP_COUNT, .pivot = RESERVE};
    for (uint8_t i = 0; i < STEP_COUNT; i++) {
        plan.steps[i] = (struct saga_plan_step){
            .after = i == 0 ? 0 : UINT64_C(1) << (i - 1),
            .position = SAGA_BEFORE_PIVOT,
            .undo = SAGA_UNDO_COMPENSATION,
            .on_unknown = SAGA_ON_UNKNOWN_FENCE,
            .fenced = true,
            .action = sound_budget,
            .compensation = sound_budget,
        };
    }
    plan.steps[RESERVE].position = SAGA_PIVOT;
    plan.steps[RESERVE].undo = SAGA_UNDO_NOTHING;
    plan.steps[CONFIRM].position = SAGA_AFTER_PIVOT;
    plan.steps[CONFIRM].undo = SAGA_UNDO_NOTHING;
    return plan;
}

#define ACCEPTED(plan) ck_assert_msg(saga_plan_check(&(plan)), "refused at line %d", __LINE__)
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct saga_plan plan = sound_plan();                                                      \
        change;                                                                                    \
        ck_assert_msg(!saga_plan_check(&plan), "accepted: %s", #change);                           \
    } while (0)
#define TAKEN(change)                                                                              \
    do {                                                                                           \
        struct saga_plan plan = sound_plan();                                                      \
        change;                                                                                    \
        ck_assert_msg(saga_plan_check(&plan), "refused: %s", #change);                             \
    } while (0)

START_TEST(a_sound_plan_is_accepted) {
    struct saga_plan plan = sound_plan();
    ACCEPTED(plan);
}
END_TEST

START_TEST(a_plan_has_from_1_to_64_steps) {
    REFUSED(plan.step_count = 0);
    REFUSED(plan.step_count = SAGA_STEPS_MAX + 1);
    struct saga_plan plan = {.step_count = SAGA_STEPS_MAX, .pivot = SAGA_STEP_NONE};
    for (uint8_t i = 0; i < SAGA_STEPS_MAX; i++) {
        plan.steps[i] = sound_plan().steps[CREATE];
        plan.steps[i].after = i == 0 ? 0 : UINT64_C(1) << (i - 1);
    }
    ACCEPTED(plan);
    plan.steps[63].after = UINT64_C(1) << 63; /* itself */
    ck_assert(!saga_plan_check(&plan));
}
END_TEST

START_TEST(the_pivot_is_one_of_the_steps_or_none) {
    REFUSED(plan.pivot = STEP_COUNT);
    REFUSED(plan.pivot = SAGA_STEP_NONE - 1);
    TAKEN(plan.pivot = SAGA_STEP_NONE; plan.step_count = 2);
}
END_TEST

START_TEST(every_step_stands_where_the_pivot_puts_it) {
    REFUSED(plan.steps[CREATE].position = 0);
    REFUSED(plan.steps[CREATE].position = SAGA_AFTER_PIVOT + 1);
    REFUSED(plan.steps[CREATE].position = SAGA_PIVOT; plan.steps[CREATE].undo = SAGA_UNDO_NOTHING);
    REFUSED(plan.steps[BLOCK].position = SAGA_AFTER_PIVOT;
            plan.steps[BLOCK].undo = SAGA_UNDO_NOTHING);
    REFUSED(plan.steps[RESERVE].position = SAGA_BEFORE_PIVOT);
    REFUSED(plan.steps[CONFIRM].position = SAGA_BEFORE_PIVOT);
    REFUSED(plan.steps[CONFIRM].position = SAGA_PIVOT);
    REFUSED(plan.pivot = SAGA_STEP_NONE); /* positions that speak of a pivot that is not there */
}
END_TEST

START_TEST(a_step_waits_only_for_earlier_ones) {
    REFUSED(plan.steps[CREATE].after = UINT64_C(1) << CREATE);
    REFUSED(plan.steps[CREATE].after = UINT64_C(1) << BLOCK);
    REFUSED(plan.steps[BLOCK].after |= UINT64_C(1) << CONFIRM);
    REFUSED(plan.steps[BLOCK].after |= UINT64_C(1) << 63);
}
END_TEST

START_TEST(the_pivot_waits_for_every_step_before_it) {
    TAKEN(plan.steps[RESERVE].after |= UINT64_C(1) << CREATE); /* said twice is no harm */
    REFUSED(plan.steps[RESERVE].after = 0);
    REFUSED(plan.steps[RESERVE].after = UINT64_C(1) << CREATE);
    REFUSED(plan.steps[BLOCK].after = 0); /* then nobody waits for create */
    TAKEN(plan.steps[BLOCK].after = 0; plan.steps[RESERVE].after |= UINT64_C(1) << CREATE);
}
END_TEST

START_TEST(every_step_after_the_pivot_waits_for_it) {
    REFUSED(plan.steps[CONFIRM].after = 0);
    REFUSED(plan.steps[CONFIRM].after = UINT64_C(1) << BLOCK);
    /* also by way of another one */
    struct saga_plan plan = sound_plan();
    plan.step_count = STEP_COUNT + 1;
    plan.steps[STEP_COUNT] = plan.steps[CONFIRM];
    plan.steps[STEP_COUNT].after = UINT64_C(1) << CONFIRM;
    ACCEPTED(plan);
    plan.steps[STEP_COUNT].after = UINT64_C(1) << CREATE;
    ck_assert(!saga_plan_check(&plan));
}
END_TEST

START_TEST(only_a_step_before_the_pivot_is_undone) {
    REFUSED(plan.steps[CREATE].undo = 0);
    REFUSED(plan.steps[CREATE].undo = SAGA_UNDO_BY_STEP + 1);
    TAKEN(plan.steps[CREATE].undo = SAGA_UNDO_NOTHING);
    REFUSED(plan.steps[RESERVE].undo = SAGA_UNDO_COMPENSATION);
    REFUSED(plan.steps[CONFIRM].undo = SAGA_UNDO_COMPENSATION);
    REFUSED(plan.steps[RESERVE].undo = SAGA_UNDO_BY_STEP);
    REFUSED(plan.steps[CONFIRM].undo = SAGA_UNDO_BY_STEP);
}
END_TEST

static void undo_block_by(struct saga_plan *plan, uint8_t step) {
    plan->steps[BLOCK].undo = SAGA_UNDO_BY_STEP;
    plan->steps[BLOCK].compensated_by = step;
}

START_TEST(compensated_by_names_an_earlier_step_that_has_a_compensation) {
    TAKEN(undo_block_by(&plan, CREATE));
    REFUSED(undo_block_by(&plan, BLOCK));
    REFUSED(undo_block_by(&plan, RESERVE));
    REFUSED(undo_block_by(&plan, SAGA_STEP_NONE));
    REFUSED(undo_block_by(&plan, CREATE); plan.steps[CREATE].undo = SAGA_UNDO_NOTHING);
    REFUSED(undo_block_by(&plan, CREATE); plan.steps[BLOCK].after = 0);
}
END_TEST

START_TEST(compensated_by_needs_a_fence) {
    REFUSED(undo_block_by(&plan, CREATE); plan.steps[BLOCK].fenced = false;
            plan.steps[BLOCK].on_unknown = SAGA_ON_UNKNOWN_COMPENSATE);
}
END_TEST

START_TEST(on_unknown_fence_needs_a_fence) {
    REFUSED(plan.steps[CREATE].on_unknown = 0);
    REFUSED(plan.steps[CREATE].on_unknown = SAGA_ON_UNKNOWN_PARK + 1);
    REFUSED(plan.steps[CREATE].fenced = false);
    TAKEN(plan.steps[CREATE].fenced = false;
          plan.steps[CREATE].on_unknown = SAGA_ON_UNKNOWN_COMPENSATE);
    TAKEN(plan.steps[CREATE].fenced = false; plan.steps[CREATE].on_unknown = SAGA_ON_UNKNOWN_PARK);
}
END_TEST

START_TEST(times_and_counts_are_within_their_bounds) {
    REFUSED(plan.deadline_ms = -1);
    REFUSED(plan.deadline_ms = SAGA_TIME_MS_MAX + 1);
    TAKEN(plan.deadline_ms = SAGA_TIME_MS_MAX);
    REFUSED(plan.steps[CONFIRM].action.timeout_ms = 0);
    REFUSED(plan.steps[CONFIRM].action.timeout_ms = -1);
    REFUSED(plan.steps[CONFIRM].action.timeout_ms = SAGA_TIME_MS_MAX + 1);
    TAKEN(plan.steps[CONFIRM].action.timeout_ms = 1);
    REFUSED(plan.steps[CONFIRM].action.deadline_ms = -1);
    REFUSED(plan.steps[CONFIRM].action.deadline_ms = SAGA_TIME_MS_MAX + 1);
    TAKEN(plan.steps[CONFIRM].action.deadline_ms = 0);
    REFUSED(plan.steps[CONFIRM].action.initial_ms = -1);
    REFUSED(plan.steps[CONFIRM].action.initial_ms = SAGA_TIME_MS_MAX + 1);
    TAKEN(plan.steps[CONFIRM].action.initial_ms = 0);
    REFUSED(plan.steps[CONFIRM].action.max_ms = 0);
    REFUSED(plan.steps[CONFIRM].action.max_ms = SAGA_TIME_MS_MAX + 1);
    REFUSED(plan.steps[CONFIRM].action.factor_milli = 999); /* a backoff that shrinks */
    REFUSED(plan.steps[CONFIRM].action.factor_milli = 0);
    REFUSED(plan.steps[CONFIRM].action.factor_milli = 1000001);
    TAKEN(plan.steps[CONFIRM].action.factor_milli = 1000);
    REFUSED(plan.steps[CONFIRM].action.attempts_max = SAGA_ATTEMPTS_MAX + 1);
    TAKEN(plan.steps[CONFIRM].action.attempts_max = SAGA_ATTEMPTS_MAX);
    TAKEN(plan.steps[CONFIRM].action.attempts_max = 0);
}
END_TEST

START_TEST(the_budget_of_a_compensation_counts_where_there_is_one) {
    REFUSED(plan.steps[CREATE].compensation.timeout_ms = 0);
    REFUSED(plan.steps[CREATE].compensation.attempts_max = SAGA_ATTEMPTS_MAX + 1);
    TAKEN(plan.steps[CONFIRM].compensation.timeout_ms = 0);
}
END_TEST

/* ----------------------------------------------------------------- backoff */

static struct saga_command_id command(uint64_t saga, uint8_t step) {
    struct saga_command_id id = {
        .step = step, .operation = SAGA_ACTION, .incarnation = 1, .revision = 1};
    memcpy(id.saga.bytes, &saga, sizeof saga);
    return id;
}

/* The widest spread of the backoff before `attempt`, over many commands. */
struct spread {
    int64_t least;
    int64_t most;
};

static struct spread spread_of(const struct saga_budget *budget, uint32_t attempt) {
    struct spread spread = {.least = INT64_MAX, .most = INT64_MIN};
    for (uint64_t saga = 1; saga <= 4000; saga++) {
        struct saga_command_id id = command(saga * UINT64_C(0x9e3779b97f4a7c15), 0);
        int64_t delay = saga_backoff_ms(budget, &id, attempt);
        spread.least = delay < spread.least ? delay : spread.least;
        spread.most = delay > spread.most ? delay : spread.most;
    }
    return spread;
}

/* Drawn from [0, ceiling] and raised to the floor: 4,000 draws reach both ends nearly. */
static void assert_full_jitter(const struct saga_budget *budget, uint32_t attempt,
                               int64_t ceiling_ms) {
    struct spread spread = spread_of(budget, attempt);
    ck_assert_int_eq(spread.least, SAGA_BACKOFF_MIN_MS);
    ck_assert_int_le(spread.most, ceiling_ms);
    ck_assert_int_ge(spread.most, ceiling_ms - ceiling_ms / 100);
}

START_TEST(backoff_is_never_below_100_ms) {
    struct saga_budget budget = sound_budget;
    budget.initial_ms = 0;
    ck_assert_int_eq(spread_of(&budget, 2).most, SAGA_BACKOFF_MIN_MS);
    ck_assert_int_eq(spread_of(&budget, 9).most, SAGA_BACKOFF_MIN_MS);
    budget = sound_budget;
    budget.max_ms = 1;
    ck_assert_int_eq(spread_of(&budget, 2).least, SAGA_BACKOFF_MIN_MS);
    ck_assert_int_eq(spread_of(&budget, 50).most, SAGA_BACKOFF_MIN_MS);
}
END_TEST

START_TEST(backoff_doubles_from_the_first_retry_up_to_the_cap) {
    assert_full_jitter(&sound_budget, 2, 200);
    assert_full_jitter(&sound_budget, 3, 400);
    assert_full_jitter(&sound_budget, 4, 800);
    assert_full_jitter(&sound_budget, 10, 51200);
    assert_full_jitter(&sound_budget, 11, 60000);
    assert_full_jitter(&sound_budget, 12, 60000);
    assert_full_jitter(&sound_budget, UINT32_MAX, 60000);
}
END_TEST

/* The growth is the factor's, also where cap and factor are near each other. */
START_TEST(backoff_does_not_jump_to_the_cap) {
    struct saga_budget budget = sound_budget;
    budget.max_ms = 1999;
    assert_full_jitter(&budget, 3, 400);
    assert_full_jitter(&budget, 5, 1600);
    assert_full_jitter(&budget, 6, 1999);
    budget.initial_ms = 1200;
    budget.max_ms = 5000;
    budget.factor_milli = 3000;
    assert_full_jitter(&budget, 3, 3600);
    assert_full_jitter(&budget, 4, 5000);
}
END_TEST

START_TEST(a_factor_of_one_never_grows) {
    struct saga_budget budget = sound_budget;
    budget.factor_milli = 1000;
    assert_full_jitter(&budget, 2, 200);
    assert_full_jitter(&budget, 250, 200);
    assert_full_jitter(&budget, UINT32_MAX, 200);
}
END_TEST

START_TEST(the_cap_wins_over_a_larger_first_backoff) {
    struct saga_budget budget = sound_budget;
    budget.initial_ms = SAGA_TIME_MS_MAX;
    budget.max_ms = 500;
    assert_full_jitter(&budget, 2, 500);
    assert_full_jitter(&budget, 3, 500);
}
END_TEST

START_TEST(huge_numbers_do_not_overflow) {
    struct saga_budget budget = sound_budget;
    budget.initial_ms = SAGA_TIME_MS_MAX - 1;
    budget.max_ms = SAGA_TIME_MS_MAX;
    budget.factor_milli = 1000000;
    for (uint32_t attempt = 2; attempt < 300; attempt++) {
        struct saga_command_id id = command(attempt, 1);
        int64_t delay = saga_backoff_ms(&budget, &id, attempt);
        ck_assert_int_ge(delay, SAGA_BACKOFF_MIN_MS);
        ck_assert_int_le(delay, SAGA_TIME_MS_MAX);
    }
    ck_assert_int_gt(spread_of(&budget, UINT32_MAX).most, SAGA_TIME_MS_MAX / 2);
    budget.initial_ms = 1;
    ck_assert_int_le(spread_of(&budget, 3).most, 1000);
    ck_assert_int_gt(spread_of(&budget, 4).most, 900000);
    ck_assert_int_gt(spread_of(&budget, 6).most, SAGA_TIME_MS_MAX / 2);
}
END_TEST

/* A replay must compute the same times. */
START_TEST(equal_commands_and_attempts_have_equal_backoffs) {
    for (uint32_t attempt = 2; attempt < 10; attempt++) {
        struct saga_command_id one = command(7, 3);
        struct saga_command_id other = command(7, 3);
        ck_assert_int_eq(saga_backoff_ms(&sound_budget, &one, attempt),
                         saga_backoff_ms(&sound_budget, &other, attempt));
    }
}
END_TEST

/* Every part of the id and the attempt matters, or sagas would retry in step. */
START_TEST(backoffs_are_spread_over_commands_and_attempts) {
    struct saga_budget budget = sound_budget;
    budget.initial_ms = SAGA_TIME_MS_MAX; /* so wide that equal delays mean equal hashes */
    budget.max_ms = SAGA_TIME_MS_MAX;
    struct saga_command_id ids[7];
    for (size_t i = 0; i < 7; i++) {
        ids[i] = command(7, 3);
    }
    ids[1].saga.bytes[0] ^= 1;
    ids[2].saga.bytes[15] ^= 1;
    ids[3].step ^= 1;
    ids[4].operation = SAGA_COMPENSATION;
    ids[5].incarnation = 2;
    ids[6].revision = 2;
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = i; j < 7; j++) {
            if (i != j) {
                ck_assert_int_ne(saga_backoff_ms(&budget, &ids[i], 2),
                                 saga_backoff_ms(&budget, &ids[j], 2));
            }
            ck_assert_int_ne(saga_backoff_ms(&budget, &ids[i], 2),
                             saga_backoff_ms(&budget, &ids[j], 3));
        }
    }
}
END_TEST

/* Ten equal slices of the range, each hit by about a tenth. */
START_TEST(backoffs_are_spread_evenly) {
    struct saga_budget budget = sound_budget;
    budget.initial_ms = 60000;
    int hits[10] = {0};
    for (uint64_t saga = 1; saga <= 10000; saga++) {
        struct saga_command_id id = command(saga, 0);
        hits[saga_backoff_ms(&budget, &id, 2) * 10 / 60001]++;
    }
    for (int i = 0; i < 10; i++) {
        ck_assert_int_ge(hits[i], 850);
        ck_assert_int_le(hits[i], 1150);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plan");
    TCase *check = tcase_create("check");
    tcase_add_test(check, a_sound_plan_is_accepted);
    tcase_add_test(check, a_plan_has_from_1_to_64_steps);
    tcase_add_test(check, the_pivot_is_one_of_the_steps_or_none);
    tcase_add_test(check, every_step_stands_where_the_pivot_puts_it);
    tcase_add_test(check, a_step_waits_only_for_earlier_ones);
    tcase_add_test(check, the_pivot_waits_for_every_step_before_it);
    tcase_add_test(check, every_step_after_the_pivot_waits_for_it);
    tcase_add_test(check, only_a_step_before_the_pivot_is_undone);
    tcase_add_test(check, compensated_by_names_an_earlier_step_that_has_a_compensation);
    tcase_add_test(check, compensated_by_needs_a_fence);
    tcase_add_test(check, on_unknown_fence_needs_a_fence);
    tcase_add_test(check, times_and_counts_are_within_their_bounds);
    tcase_add_test(check, the_budget_of_a_compensation_counts_where_there_is_one);
    suite_add_tcase(suite, check);
    TCase *backoff = tcase_create("backoff");
    tcase_add_test(backoff, backoff_is_never_below_100_ms);
    tcase_add_test(backoff, backoff_doubles_from_the_first_retry_up_to_the_cap);
    tcase_add_test(backoff, backoff_does_not_jump_to_the_cap);
    tcase_add_test(backoff, a_factor_of_one_never_grows);
    tcase_add_test(backoff, the_cap_wins_over_a_larger_first_backoff);
    tcase_add_test(backoff, huge_numbers_do_not_overflow);
    tcase_add_test(backoff, equal_commands_and_attempts_have_equal_backoffs);
    tcase_add_test(backoff, backoffs_are_spread_over_commands_and_attempts);
    tcase_add_test(backoff, backoffs_are_spread_evenly);
    suite_add_tcase(suite, backoff);
    return check_run(suite);
}
