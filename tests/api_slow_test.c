/* Clients that are slow, silent, or too many. */
#include "api_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define JSON "Content-Type: application/json\r\n"

/* Every time is short. */
static void set_up(void) {
    stand_open(&(struct stand_options){
        .api = {.head_ms = 300, .body_ms = 300, .write_ms = 300, .idle_ms = 300}});
}

/* Sends `first`, then a byte of `drip` now and then, until it is cut. */
static void cut_in_time(const char *first, const char *drip) {
    const int64_t begin_ms = monotonic_ms();
    const int fd = dial();
    say_text(fd, first);
    while (!hung_up(fd, 40)) {
        ck_assert_msg(monotonic_ms() - begin_ms < 10000, "not cut");
        say(fd, drip, 1);
    }
    ck_assert_int_ge(monotonic_ms() - begin_ms, 250);
    ck_assert_int_eq(close(fd), 0);
}

START_TEST(slow_heads_are_cut) {
    cut_in_time("", "G");
    cut_in_time("GET /healthz HTTP/1.1\r\nHost: x\r\nA: ", "a");
}
END_TEST

START_TEST(slow_bodies_are_cut) {
    cut_in_time("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 1000000\r\n\r\n",
                " ");
}
END_TEST

START_TEST(idle_connections_are_cut) {
    const int fd = dial();
    say_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer = hear(fd);
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    ck_assert(hung_up(fd, 10000));
    ck_assert_int_eq(close(fd), 0);
    ck_assert_uint_eq(counter("api", "connections_cut"), 1);
}
END_TEST

/* Asks for more than the sockets hold, and reads none of it. */
START_TEST(slow_readers_are_cut) {
    const int small = 4096;
    const int fd = dial();
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (int i = 0; i < 900; i++) {
        say_text(fd, "GET /v1/stats HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    while (counter("api", "connections_cut") == 0) {
        usleep(20000);
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_wait_is_not_cut) {
    char id[37];
    char text[160];
    start_trip(id);
    (void)snprintf(text, sizeof text, "GET /v1/sagas/%s?wait=1s HTTP/1.1\r\nHost: x\r\n\r\n", id);
    const int fd = dial();
    say_text(fd, text);
    struct answer answer = hear(fd);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer_text(&answer, "status"), "running");
    answer_free(&answer);
    ck_assert_int_eq(close(fd), 0);
    stand_close();
    stand_remove(); /* with its saga */
    set_up();
}
END_TEST

START_TEST(connections_beyond_the_limit_wait_for_a_place) {
    stand_close();
    stand_open(&(struct stand_options){.api = {.connections_max = 4, .head_ms = 500}});
    int idle[12];
    for (size_t i = 0; i < 12; i++) {
        idle[i] = dial();
    }
    struct answer answer = http_get("/healthz"); /* once those before it are cut */
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    for (size_t i = 0; i < 12; i++) {
        ck_assert_int_eq(close(idle[i]), 0);
    }
}
END_TEST

/* The daemon stops between a question and its answer. */
START_TEST(what_the_engine_did_not_answer_is_told_as_such) {
    static const char start[] = "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
                                "Content-Length: 26\r\n\r\n{\"saga\":\"trip\",\"input\":{}}";
    int asked[8];
    stand_halt();
    for (size_t i = 0; i < 8; i++) {
        asked[i] = dial();
        say_text(asked[i], start);
        say_text(asked[i], start); /* and another one behind it, which comes while it stops */
    }
    struct answer answer = http_get("/healthz"); /* by now they have been taken */
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    stand_close();
    for (size_t i = 0; i < 8; i++) {
        expect_problem(hear(asked[i]), 503, "stopping", "is not known");
        ck_assert(hung_up(asked[i], 5000));
        ck_assert_int_eq(close(asked[i]), 0);
    }
    set_up();
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("api_slow");
    TCase *slow = tcase_create("slow");
    tcase_set_timeout(slow, 60);
    tcase_add_checked_fixture(slow, set_up, stand_close_unharmed);
    tcase_add_test(slow, slow_heads_are_cut);
    tcase_add_test(slow, slow_bodies_are_cut);
    tcase_add_test(slow, idle_connections_are_cut);
    tcase_add_test(slow, slow_readers_are_cut);
    tcase_add_test(slow, a_wait_is_not_cut);
    tcase_add_test(slow, what_the_engine_did_not_answer_is_told_as_such);
    tcase_add_test(slow, connections_beyond_the_limit_wait_for_a_place);
    suite_add_tcase(suite, slow);
    return suite;
}

int main(void) {
    return check_run(suite());
}
