/* The fence's table, against one written by hand from docs/semantics.md. */
#include "check_run.h"
#include "fence.h"

#include <check.h>

static const struct {
    enum saga_fence_state state;
    enum saga_wire_operation operation;
    enum saga_fence_order order;
    bool replays;
} expected[] = {
    {SAGA_FENCE_ABSENT, SAGA_WIRE_ACTION, SAGA_FENCE_RUN_ACTION, false},
    {SAGA_FENCE_ABSENT, SAGA_WIRE_COMPENSATION, SAGA_FENCE_BURY_NOOP, false},
    {SAGA_FENCE_ABSENT, SAGA_WIRE_FENCE, SAGA_FENCE_BURY_FENCED, false},
    {SAGA_FENCE_ABSENT, SAGA_WIRE_SETTLE, SAGA_FENCE_BURY_SETTLED, false},

    {SAGA_FENCE_DONE, SAGA_WIRE_ACTION, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_DONE, SAGA_WIRE_COMPENSATION, SAGA_FENCE_RUN_COMPENSATION, false},
    {SAGA_FENCE_DONE, SAGA_WIRE_FENCE, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_DONE, SAGA_WIRE_SETTLE, SAGA_FENCE_CLOSE, false},

    {SAGA_FENCE_REJECTED, SAGA_WIRE_ACTION, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_REJECTED, SAGA_WIRE_COMPENSATION, SAGA_FENCE_ANSWER_NOOP, true},
    {SAGA_FENCE_REJECTED, SAGA_WIRE_FENCE, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_REJECTED, SAGA_WIRE_SETTLE, SAGA_FENCE_ANSWER_SETTLED, true},

    {SAGA_FENCE_TOMBSTONE, SAGA_WIRE_ACTION, SAGA_FENCE_ANSWER_FENCED, true},
    {SAGA_FENCE_TOMBSTONE, SAGA_WIRE_COMPENSATION, SAGA_FENCE_ANSWER_NOOP, true},
    {SAGA_FENCE_TOMBSTONE, SAGA_WIRE_FENCE, SAGA_FENCE_ANSWER_FENCED, true},
    {SAGA_FENCE_TOMBSTONE, SAGA_WIRE_SETTLE, SAGA_FENCE_ANSWER_SETTLED, true},

    {SAGA_FENCE_COMPENSATED, SAGA_WIRE_ACTION, SAGA_FENCE_ANSWER_FENCED, true},
    {SAGA_FENCE_COMPENSATED, SAGA_WIRE_COMPENSATION, SAGA_FENCE_REPLAY_COMPENSATION, true},
    {SAGA_FENCE_COMPENSATED, SAGA_WIRE_FENCE, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_COMPENSATED, SAGA_WIRE_SETTLE, SAGA_FENCE_ANSWER_SETTLED, true},

    {SAGA_FENCE_SETTLED, SAGA_WIRE_ACTION, SAGA_FENCE_ANSWER_FENCED, true},
    {SAGA_FENCE_SETTLED, SAGA_WIRE_COMPENSATION, SAGA_FENCE_ANSWER_NOOP, true},
    {SAGA_FENCE_SETTLED, SAGA_WIRE_FENCE, SAGA_FENCE_REPLAY_ACTION, true},
    {SAGA_FENCE_SETTLED, SAGA_WIRE_SETTLE, SAGA_FENCE_ANSWER_SETTLED, true},
};
#define EXPECTED_COUNT (sizeof expected / sizeof expected[0])

START_TEST(every_state_meets_every_operation) {
    ck_assert_uint_eq(EXPECTED_COUNT, (size_t)SAGA_FENCE_STATE_COUNT * SAGA_WIRE_OPERATION_COUNT);
    ck_assert_int_eq(saga_fence_decide(expected[_i].state, expected[_i].operation),
                     expected[_i].order);
    ck_assert_int_eq(saga_fence_order_replays(expected[_i].order), expected[_i].replays);
}
END_TEST

/* The rules behind the table, whatever its entries are. */
START_TEST(business_code_runs_only_where_the_row_allows_it) {
    for (int state = SAGA_FENCE_ABSENT; state <= SAGA_FENCE_STATE_COUNT; state++) {
        for (int operation = SAGA_WIRE_ACTION; operation <= SAGA_WIRE_OPERATION_COUNT;
             operation++) {
            enum saga_fence_order order = saga_fence_decide((enum saga_fence_state)state,
                                                            (enum saga_wire_operation)operation);
            ck_assert_int_eq(order == SAGA_FENCE_RUN_ACTION,
                             operation == SAGA_WIRE_ACTION && state == SAGA_FENCE_ABSENT);
            ck_assert_int_eq(order == SAGA_FENCE_RUN_COMPENSATION,
                             operation == SAGA_WIRE_COMPENSATION && state == SAGA_FENCE_DONE);
        }
    }
}
END_TEST

START_TEST(nothing_absent_is_left_undecided) {
    /* Whatever meets no row must write one: else a late action could still run. */
    for (int operation = SAGA_WIRE_ACTION; operation <= SAGA_WIRE_OPERATION_COUNT; operation++) {
        ck_assert(!saga_fence_order_replays(
            saga_fence_decide(SAGA_FENCE_ABSENT, (enum saga_wire_operation)operation)));
    }
}
END_TEST

START_TEST(after_a_settle_nothing_acts_any_more) {
    for (int state = SAGA_FENCE_ABSENT; state <= SAGA_FENCE_STATE_COUNT; state++) {
        enum saga_fence_order order =
            saga_fence_decide((enum saga_fence_state)state, SAGA_WIRE_SETTLE);
        enum saga_fence_state after = order == SAGA_FENCE_CLOSE ? SAGA_FENCE_SETTLED
                                      : order == SAGA_FENCE_BURY_SETTLED
                                          ? SAGA_FENCE_TOMBSTONE
                                          : (enum saga_fence_state)state;
        for (int operation = SAGA_WIRE_ACTION; operation <= SAGA_WIRE_OPERATION_COUNT;
             operation++) {
            ck_assert(saga_fence_order_replays(
                saga_fence_decide(after, (enum saga_wire_operation)operation)));
        }
    }
}
END_TEST

START_TEST(names_are_read_back) {
    for (int state = SAGA_FENCE_ABSENT; state <= SAGA_FENCE_STATE_COUNT; state++) {
        const char *name = saga_fence_state_name((enum saga_fence_state)state);
        ck_assert_int_eq(saga_fence_state_parse(name), state);
    }
    ck_assert_int_eq(saga_fence_state_parse("DONE"), 0);
    ck_assert_int_eq(saga_fence_state_parse("trying"), 0);
    ck_assert_int_eq(saga_fence_state_parse(NULL), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fence");
    TCase *table = tcase_create("table");
    tcase_add_loop_test(table, every_state_meets_every_operation, 0, (int)EXPECTED_COUNT);
    tcase_add_test(table, business_code_runs_only_where_the_row_allows_it);
    tcase_add_test(table, nothing_absent_is_left_undecided);
    tcase_add_test(table, after_a_settle_nothing_acts_any_more);
    tcase_add_test(table, names_are_read_back);
    suite_add_tcase(suite, table);
    return check_run(suite);
}
