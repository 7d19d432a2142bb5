/* The inbox: order, wake-ups, and several threads that put at once. */
#include "check_run.h"
#include "inbox.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

static struct saga_inbox *opened(void) {
    struct saga_inbox *inbox = NULL;
    struct saga_fault fault;
    ck_assert_int_eq(saga_inbox_open(&inbox, &fault), SAGA_OK);
    return inbox;
}

static bool readable(const struct saga_inbox *inbox, int timeout_ms) {
    struct pollfd poll_fd = {.fd = saga_inbox_fd(inbox), .events = POLLIN};
    const int ready = poll(&poll_fd, 1, timeout_ms);
    ck_assert_int_ge(ready, 0);
    return ready == 1;
}

START_TEST(it_is_readable_while_it_is_not_empty) {
    struct saga_inbox *inbox = opened();
    struct saga_request one = {0};
    struct saga_request two = {0};
    ck_assert(!readable(inbox, 0));
    ck_assert_ptr_null(saga_inbox_take(inbox));
    saga_inbox_put(inbox, &one);
    ck_assert(readable(inbox, 0));
    ck_assert(readable(inbox, 0)); /* looking is not taking */
    saga_inbox_put(inbox, &two);
    ck_assert(readable(inbox, 0));
    ck_assert_ptr_eq(saga_inbox_take(inbox), &one);
    ck_assert(!readable(inbox, 0)); /* one wake-up for both */
    ck_assert_ptr_null(saga_inbox_take(inbox));
    one.next = NULL;
    saga_inbox_put(inbox, &one);
    ck_assert(readable(inbox, 0));
    ck_assert_ptr_eq(saga_inbox_take(inbox), &one);
    saga_inbox_close(inbox);
}
END_TEST

START_TEST(requests_come_in_the_order_of_putting) {
    struct saga_inbox *inbox = opened();
    struct saga_request requests[6] = {0};
    saga_inbox_put(inbox, &requests[0]);
    requests[1].next = &requests[2]; /* a list of them */
    requests[2].next = &requests[3];
    saga_inbox_put(inbox, &requests[1]);
    saga_inbox_put(inbox, &requests[4]);
    struct saga_request *request = saga_inbox_take(inbox);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_ptr_eq(request, &requests[i]);
        request = request->next;
    }
    ck_assert_ptr_null(request);
    saga_inbox_put(inbox, &requests[5]);
    ck_assert_ptr_eq(saga_inbox_take(inbox), &requests[5]);
    ck_assert_ptr_null(requests[5].next);
    saga_inbox_close(inbox);
}
END_TEST

START_TEST(what_was_not_taken_stays_its_askers) {
    struct saga_inbox *inbox = opened();
    struct saga_request *request = calloc(1, sizeof *request);
    ck_assert_ptr_nonnull(request);
    saga_inbox_put(inbox, request);
    saga_inbox_close(inbox);
    free(request);
    saga_inbox_close(NULL);
}
END_TEST

/* ------------------------------------------------------------ many threads */

enum { PRODUCERS = 4, REQUESTS = 20000 };

struct producer {
    struct saga_inbox *inbox;
    struct saga_request *requests; /* REQUESTS of them; `limit` numbers them */
    pthread_t thread;
};

static void *produce(void *context) {
    struct producer *producer = context;
    for (size_t i = 0; i < REQUESTS; i++) {
        producer->requests[i].context = producer;
        producer->requests[i].limit = i;
        if (i % 3 == 1 && i + 1 < REQUESTS) { /* now and then two at once */
            producer->requests[i + 1].context = producer;
            producer->requests[i + 1].limit = i + 1;
            producer->requests[i].next = &producer->requests[i + 1];
            saga_inbox_put(producer->inbox, &producer->requests[i]);
            i++;
        } else {
            saga_inbox_put(producer->inbox, &producer->requests[i]);
        }
    }
    return NULL;
}

/* Nothing is lost, nothing comes twice, each producer's stay in order, and no
 * wake-up is missed (the consumer sleeps for ever if one is). */
START_TEST(many_threads_may_put) {
    struct saga_inbox *inbox = opened();
    struct producer producers[PRODUCERS];
    uint64_t next[PRODUCERS] = {0};
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i].inbox = inbox;
        producers[i].requests = calloc(REQUESTS, sizeof *producers[i].requests);
        ck_assert_ptr_nonnull(producers[i].requests);
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (size_t taken = 0; taken < (size_t)PRODUCERS * REQUESTS;) {
        ck_assert(readable(inbox, -1));
        struct saga_request *request = saga_inbox_take(inbox);
        ck_assert_ptr_nonnull(request);
        while (request != NULL) {
            struct saga_request *following = request->next;
            const size_t from = (size_t)((struct producer *)request->context - producers);
            ck_assert_uint_eq(request->limit, next[from]);
            next[from]++;
            taken++;
            request = following;
        }
    }
    ck_assert(!readable(inbox, 0));
    for (size_t i = 0; i < PRODUCERS; i++) {
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
        ck_assert_uint_eq(next[i], REQUESTS);
        free(producers[i].requests);
    }
    saga_inbox_close(inbox);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("inbox");
    TCase *inbox = tcase_create("inbox");
    tcase_set_timeout(inbox, 60);
    tcase_add_test(inbox, it_is_readable_while_it_is_not_empty);
    tcase_add_test(inbox, requests_come_in_the_order_of_putting);
    tcase_add_test(inbox, what_was_not_taken_stays_its_askers);
    tcase_add_test(inbox, many_threads_may_put);
    suite_add_tcase(suite, inbox);
    return suite;
}

int main(void) {
    return check_run(suite());
}
