/* The link against a broker that says other things where an answer is awaited, or no end of them:
 * bounded memory, bounded time, and nothing is lost. */
#include "amqp_hostile_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1u << 20)

/* ------------------------------------------------ deliveries while an answer is awaited */

static unsigned rejects_heard;

static void play_deliveries_before_the_answer(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_greet(peer) || !script_until(peer, SCRIPT_BASIC_CONSUME, &heard)) {
        return;
    }
    script_message(peer, 1, "0", "one", "1", 1);
    script_method(peer, 0, SCRIPT_CONNECTION_UNBLOCKED, NULL);
    script_deliver(peer, 2, "0");
    script_header(peer, 3, "two", NULL);
    script_body(peer, "tw", 2);
    script_answer(peer, &heard); /* in the middle of a message */
    script_body(peer, "o", 1);
    script_message(peer, 3, "0", "three", "", 0);
    script_attend(peer);
}

START_TEST(deliveries_before_an_answer_are_kept_in_order) {
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    scripted_broker_start(play_deliveries_before_the_answer, NULL);
    struct saga_amqp_link *link = hostile_open_link();
    ck_assert_msg(saga_amqp_link_consume(link, "q", 0, 10, &fault) == SAGA_OK, "%s", fault.text);
    saga_amqp_link_wait(link, -1, 5000); /* something is at hand: that does not wait */
    ck_assert_int_eq(saga_amqp_link_take(link, &event, &fault), SAGA_OK);
    ck_assert_str_eq(event.message.message_id, "one");
    hostile_expect_event(link, &event, SAGA_AMQP_UNBLOCKED);
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_OK);
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_str_eq(event.message.message_id, "two");
    ck_assert_mem_eq(event.message.body, "two", 3);
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_OK);
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_str_eq(event.message.message_id, "three");
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

#define FLOOD 12

static void play_flood_before_the_answer(struct scripted_peer *peer) {
    struct script_heard heard, answered;
    static uint8_t piece[MIB];
    if (!script_greet(peer) || !script_until(peer, SCRIPT_QUEUE_DECLARE, &answered)) {
        return;
    }
    for (uint64_t tag = 1; tag <= FLOOD; tag++) {
        script_deliver(peer, tag, "0");
        script_header(peer, 64 * sizeof piece, "big", NULL);
        for (unsigned i = 0; i < 64; i++) {
            script_body(peer, piece, sizeof piece);
        }
    }
    script_answer(peer, &answered);
    while (script_read(peer, &heard, -1)) {
        rejects_heard += heard.method == SCRIPT_BASIC_REJECT;
        script_answer(peer, &heard);
    }
}

START_TEST(large_messages_before_an_answer_take_no_memory) {
    const struct saga_amqp_address address =
        (scripted_broker_start(play_flood_before_the_answer, NULL),
         hostile_address(scripted_broker_port()));
    const struct saga_amqp_link_options options = {.address = &address,
                                                   .name = "test",
                                                   .timeout_ms = 20000,
                                                   .heartbeat_s = 10,
                                                   .body_bytes_max = HOSTILE_BODY_BYTES_MAX};
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_OK);
    const long before_kib = hostile_resident_kib();
    ck_assert_msg(saga_amqp_link_find_queue(link, "q", &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_lt(hostile_resident_kib() - before_kib, 64L * 1024);
    ck_assert_uint_eq(saga_amqp_link_oversized(link), FLOOD);
    saga_amqp_link_finish(link, 2000);
    scripted_broker_stop();
    ck_assert_uint_eq(rejects_heard, FLOOD);
}
END_TEST

/* ------------------------------------------------------------------ no end of it */

static void tell_no_end_of_pieces(struct scripted_peer *peer) {
    struct script_bytes pieces = {0};
    script_deliver(peer, 1, "0");
    script_header(peer, 4, "m", NULL);
    while (pieces.size + 8 <= 65536) {
        script_put_number(&pieces, 8, UINT64_C(0x03000100000000ce));
    }
    for (unsigned i = 0; i < 5000; i++) { /* 300 MiB of empty pieces; the test ends it before */
        script_write(peer, pieces.bytes, pieces.size);
    }
}

START_TEST(a_call_is_over_although_frames_come_without_end) {
    struct hostile_story story = {tell_no_end_of_pieces, ""};
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    scripted_broker_start(hostile_play_story, &story);
    struct saga_amqp_link *link = hostile_open_link();
    saga_amqp_link_wait(link, -1, 1000);
    for (unsigned i = 0; i < 10; i++) {
        const int64_t begun_ms = monotonic_ms();
        ck_assert_int_eq(saga_amqp_link_take(link, &event, &fault), SAGA_OK);
        ck_assert_int_eq(event.type, SAGA_AMQP_NOTHING);
        ck_assert_int_lt(monotonic_ms() - begun_ms, 500);
        saga_amqp_link_wait(link, -1, 1000);
    }
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

static void tell_no_end_of_heartbeats(struct scripted_peer *peer) {
    struct script_bytes beats = {0};
    while (beats.size + 8 <= 65536) {
        script_put_number(&beats, 8, UINT64_C(0x08000000000000ce));
    }
    for (unsigned i = 0; i < 100000; i++) {
        script_write(peer, beats.bytes, beats.size);
    }
}

static void *cut_soon(void *link) {
    (void)usleep(300000); /* the other thread is to be in the middle of a call */
    saga_amqp_link_cut(link);
    return NULL;
}

START_TEST(a_cut_ends_a_call_that_the_library_does_not) {
    struct hostile_story story = {tell_no_end_of_heartbeats, ""};
    pthread_t thread;
    scripted_broker_start(hostile_play_story, &story);
    struct saga_amqp_link *link = hostile_open_link();
    ck_assert_int_eq(pthread_create(&thread, NULL, cut_soon, link), 0);
    const int64_t begun_ms = monotonic_ms();
    hostile_expect_lost(link, "the connection is lost");
    ck_assert_int_lt(monotonic_ms() - begun_ms, 3000);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

/* ------------------------------------------------------------------- the farewell */

static void play_reads_no_more(struct scripted_peer *peer) {
    if (script_greet(peer)) {
        int *go_on = script_context(peer);
        uint8_t byte;
        ck_assert_int_eq(read(*go_on, &byte, 1), 0);
    }
}

START_TEST(a_farewell_to_a_broker_that_does_not_read) {
    static const char nothing[65536];
    int go_on[2];
    ck_assert_int_eq(pipe(go_on), 0);
    scripted_broker_start(play_reads_no_more, &go_on[0]);
    struct saga_amqp_link *link = hostile_open_link();
    const int descriptor = scripted_broker_client();
    while (send(descriptor, nothing, sizeof nothing, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_link_finish(link, 500);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 1500);
    (void)close(go_on[1]);
    scripted_broker_stop();
    (void)close(go_on[0]);
}
END_TEST

static void play_pours_on(struct scripted_peer *peer) {
    static uint8_t body[MIB];
    if (script_greet(peer)) {
        for (uint64_t tag = 1; tag <= 2000; tag++) { /* and hears no farewell */
            script_message(peer, tag, "0", "m", body, sizeof body);
        }
    }
}

START_TEST(a_farewell_while_deliveries_pour_in_takes_no_memory) {
    scripted_broker_start(play_pours_on, NULL);
    struct saga_amqp_link *link = hostile_open_link();
    const long before_kib = hostile_resident_kib();
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_link_finish(link, 700);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 1700);
    ck_assert_int_lt(hostile_resident_kib() - before_kib, 64L * 1024);
    scripted_broker_stop();
}
END_TEST
int main(void) {
    Suite *suite = suite_create("amqp_hostile_answer");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, deliveries_before_an_answer_are_kept_in_order);
    tcase_add_test(tcase, large_messages_before_an_answer_take_no_memory);
    tcase_add_test(tcase, a_call_is_over_although_frames_come_without_end);
    tcase_add_test(tcase, a_cut_ends_a_call_that_the_library_does_not);
    tcase_add_test(tcase, a_farewell_to_a_broker_that_does_not_read);
    tcase_add_test(tcase, a_farewell_while_deliveries_pour_in_takes_no_memory);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
