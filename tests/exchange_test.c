/* One exchange, step by step: what no race with an engine brings about on demand. */
#include "check_run.h"
#include "exchange.h"

#include <check.h>
#include <string.h>

#define PATH "/v1/sagas/0190065e-7d3a-7c41-9b1f-3c2a5e6f7081"

static struct saga_exchange_world world;
static struct saga_exchange exchange;
static struct saga_fault fault;

static void set_up(void) {
    memset(&world, 0, sizeof world);
    memset(&exchange, 0, sizeof exchange);
    world.waiting_max = 2;
    ck_assert_int_eq(saga_waiters_open(&world.waiters, &fault), SAGA_OK);
    exchange.world = &world;
}

static void tear_down(void) {
    saga_exchange_fini(&exchange);
    ck_assert_uint_eq(world.stats.waiting, 0);
    saga_waiters_close(world.waiters); /* and nobody is left in it */
}

/* GET of a saga with this wait, at 1,000 ms, up to its first question. */
static void look(const char *wait) {
    exchange.head = (struct saga_head){.uri = PATH, .path = PATH, .method = "GET", .host = "x"};
    if (wait != NULL) {
        saga_head_add_query(&exchange.head, "wait", wait);
    }
    ck_assert_int_eq(saga_exchange_begin(&exchange, 1000), SAGA_NEED_BODY);
    ck_assert_int_eq(saga_exchange_run(&exchange, 1000), SAGA_NEED_ENGINE);
    ck_assert_int_eq(exchange.request.type, SAGA_REQUEST_FIND);
}

static enum saga_need answer_status(const char *status, int64_t now_ms) {
    exchange.request.result = SAGA_RESULT_OK;
    exchange.listing.status = status;
    return saga_exchange_answered(&exchange, now_ms);
}

static enum saga_need answer_gone(void) {
    exchange.request.result = SAGA_RESULT_NO_SAGA;
    return saga_exchange_answered(&exchange, 1500);
}

/* As the engine's thread does it; what the API's thread makes of it. */
static bool woken(void) {
    saga_waiters_wake(world.waiters, &exchange.request.id);
    const struct saga_waiter *waiter = saga_waiters_take(world.waiters);
    ck_assert(waiter == NULL || waiter->context == &exchange);
    return waiter != NULL;
}

START_TEST(it_waits_asks_again_and_ends) {
    look("10s");
    ck_assert_int_eq(answer_status("running", 1001), SAGA_NEED_CHANGE);
    ck_assert_int_eq(exchange.wait_until_ms, 11000);
    ck_assert(woken());
    ck_assert_int_eq(saga_exchange_wake(&exchange, 2000), SAGA_NEED_ENGINE);
    /* parked, and retried before it could look: it waits on */
    ck_assert_int_eq(answer_status("running", 2001), SAGA_NEED_CHANGE);
    ck_assert_int_eq(exchange.wait_until_ms, 11000);
    ck_assert(woken());
    ck_assert_int_eq(saga_exchange_wake(&exchange, 3000), SAGA_NEED_ENGINE);
    ck_assert_int_eq(answer_gone(), SAGA_NEED_NOTHING);
    ck_assert_uint_eq(exchange.response.status, 404);
}
END_TEST

/* The saga ends while the answer to an earlier look is on its way. */
START_TEST(a_change_while_it_asks_is_not_missed) {
    look("10s");
    ck_assert(woken()); /* it is among the waiters before it asks */
    ck_assert_int_eq(saga_exchange_wake(&exchange, 1001), SAGA_NEED_CHANGE);
    ck_assert_int_eq(answer_status("running", 1002), SAGA_NEED_ENGINE);
    ck_assert_int_eq(answer_gone(), SAGA_NEED_NOTHING);
}
END_TEST

START_TEST(without_a_wait_it_is_no_waiter) {
    look(NULL);
    ck_assert(!woken());
    ck_assert_int_eq(answer_gone(), SAGA_NEED_NOTHING);
}
END_TEST

START_TEST(when_its_time_is_over_it_looks_once_more) {
    look("500ms");
    ck_assert_int_eq(answer_status("running", 1001), SAGA_NEED_CHANGE);
    ck_assert_int_eq(saga_exchange_wake(&exchange, 1500), SAGA_NEED_ENGINE);
    ck_assert_uint_eq(world.stats.waiting, 0); /* and waits no more */
    ck_assert(!woken());
    ck_assert_int_eq(answer_gone(), SAGA_NEED_NOTHING);
}
END_TEST

START_TEST(who_is_stopped_waits_no_more) {
    look("10s");
    ck_assert_int_eq(answer_status("running", 1001), SAGA_NEED_CHANGE);
    saga_waiters_wake(world.waiters, &exchange.request.id); /* woken, and not yet taken */
    saga_exchange_stop(&exchange);
    ck_assert_ptr_null(saga_waiters_take(world.waiters));
    ck_assert_uint_eq(exchange.response.status, 503);
    ck_assert(exchange.response.close);
}
END_TEST

/* The connection breaks: whatever its state, nothing of it is left behind. */
START_TEST(it_can_end_at_any_moment) {
    for (int moment = 0; moment < 4; moment++) {
        look("10s");
        if (moment > 0) {
            ck_assert_int_eq(answer_status("running", 1001), SAGA_NEED_CHANGE);
        }
        if (moment > 1) {
            saga_waiters_wake(world.waiters, &exchange.request.id);
        }
        if (moment > 2) {
            ck_assert_ptr_nonnull(saga_waiters_take(world.waiters));
        }
        saga_exchange_fini(&exchange);
        ck_assert_ptr_null(saga_waiters_take(world.waiters));
        ck_assert_uint_eq(world.stats.waiting, 0);
        memset(&exchange, 0, sizeof exchange);
        exchange.world = &world;
    }
}
END_TEST

START_TEST(a_bodys_parts_are_joined_and_limited) {
    static char part[1000];
    exchange.head = (struct saga_head){.uri = "/v1/sagas",
                                       .path = "/v1/sagas",
                                       .method = "POST",
                                       .host = "x",
                                       .content_type = "application/json",
                                       .chunked = true};
    ck_assert_int_eq(saga_exchange_begin(&exchange, 1000), SAGA_NEED_BODY);
    memset(part, ' ', sizeof part);
    for (size_t size = 0; size + sizeof part <= SAGA_BODY_BYTES_MAX; size += sizeof part) {
        ck_assert(saga_exchange_add(&exchange, part, sizeof part));
        ck_assert_uint_eq(exchange.response.status, 0);
    }
    ck_assert(saga_exchange_add(&exchange, part, sizeof part));
    ck_assert_uint_eq(exchange.response.status, 413);
    size_t more = 0;
    while (saga_exchange_add(&exchange, part, sizeof part)) {
        ck_assert_uint_lt(more += sizeof part, 4u << 20);
    }
    ck_assert_uint_gt(more, 2u << 20);
    ck_assert_int_eq(saga_exchange_run(&exchange, 1000), SAGA_NEED_NOTHING);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("exchange");
    TCase *exchanges = tcase_create("exchange");
    tcase_add_checked_fixture(exchanges, set_up, tear_down);
    tcase_add_test(exchanges, it_waits_asks_again_and_ends);
    tcase_add_test(exchanges, a_change_while_it_asks_is_not_missed);
    tcase_add_test(exchanges, without_a_wait_it_is_no_waiter);
    tcase_add_test(exchanges, when_its_time_is_over_it_looks_once_more);
    tcase_add_test(exchanges, who_is_stopped_waits_no_more);
    tcase_add_test(exchanges, it_can_end_at_any_moment);
    tcase_add_test(exchanges, a_bodys_parts_are_joined_and_limited);
    suite_add_tcase(suite, exchanges);
    return suite;
}

int main(void) {
    return check_run(suite());
}
