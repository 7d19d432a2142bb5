/* The heap of timers and the pool of blocks, against models that are plain. */
#include "timers.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check_run.h"
#include "pool.h"
#include "splitmix.h"

#define SAGAS 200

START_TEST(timers_agree_with_a_plain_list) {
    struct saga_timer heap[SAGAS];
    uint32_t places[SAGAS] = {0};
    int64_t model[SAGAS];
    struct saga_timers timers;
    struct splitmix random = {.state = (uint64_t)_i + 1};
    saga_timers_init(&timers, heap, places);
    for (int i = 0; i < SAGAS; i++) {
        model[i] = SAGA_TIMER_OFF;
    }
    for (int round = 0; round < 20000; round++) {
        uint32_t saga = (uint32_t)(splitmix_next(&random) % SAGAS);
        int64_t due = splitmix_next(&random) % 3 == 0 ? SAGA_TIMER_OFF
                                                      : (int64_t)(splitmix_next(&random) % 1000);
        saga_timers_set(&timers, saga, due);
        model[saga] = due;
        int64_t earliest = SAGA_TIMER_OFF;
        for (int i = 0; i < SAGAS; i++) {
            earliest = model[i] < earliest ? model[i] : earliest;
        }
        bool right = saga_timers_earliest(&timers) == earliest &&
                     saga_timers_due(&timers, saga) == due &&
                     (earliest == SAGA_TIMER_OFF || model[saga_timers_first(&timers)] == earliest);
        if (!right) { /* asking Check each time takes longer than the test */
            ck_abort_msg("round %d", round);
        }
    }
}
END_TEST

START_TEST(blocks_never_overlap_and_are_used_again) {
    static uint8_t memory[64 * 1024];
    struct saga_pool pool;
    struct {
        uint8_t *at;
        size_t size;
    } blocks[64] = {{0}};
    struct splitmix random = {.state = (uint64_t)_i + 1};
    saga_pool_init(&pool, memory, sizeof memory);
    for (int round = 0; round < 5000; round++) {
        size_t which = splitmix_next(&random) % 64;
        if (blocks[which].at != NULL) {
            bool mine = true;
            for (size_t i = 0; i < blocks[which].size; i++) {
                mine = mine && blocks[which].at[i] == (uint8_t)which;
            }
            ck_assert(mine);
            saga_pool_give(&pool, blocks[which].at, blocks[which].size);
            blocks[which].at = NULL;
            continue;
        }
        blocks[which].size = 16 + splitmix_next(&random) % 8 * 50;
        blocks[which].at = saga_pool_take(&pool, blocks[which].size);
        ck_assert_ptr_nonnull(blocks[which].at); /* 64 of at most 368 bytes always fit */
        memset(blocks[which].at, (int)which, blocks[which].size);
    }
    ck_assert_uint_le(pool.used, sizeof memory);
}
END_TEST

START_TEST(a_pool_that_is_used_up_says_so) {
    static uint8_t memory[160];
    struct saga_pool pool;
    saga_pool_init(&pool, memory, sizeof memory);
    void *first = saga_pool_take(&pool, 100);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(saga_pool_take(&pool, 100));
    ck_assert_ptr_null(saga_pool_take(&pool, 0));
    ck_assert_ptr_null(saga_pool_take(&pool, SAGA_POOL_UNIT * SAGA_POOL_UNITS_MAX + 1));
    saga_pool_give(&pool, first, 100);
    ck_assert_ptr_eq(saga_pool_take(&pool, 100), first);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("timers");
    TCase *tests = tcase_create("timers");
    tcase_add_loop_test(tests, timers_agree_with_a_plain_list, 0, 5);
    tcase_add_loop_test(tests, blocks_never_overlap_and_are_used_again, 0, 5);
    tcase_add_test(tests, a_pool_that_is_used_up_says_so);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
