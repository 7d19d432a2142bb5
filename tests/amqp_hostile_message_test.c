/* The link against a broker whose messages break the protocol, or are odd, or end in the middle: no
 * crash, bounded memory, bounded time, and a clear text. */
#include "amqp_hostile_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- after the login */

static void tell_enormous(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, UINT64_C(1) << 62, "m", NULL);
}

static void tell_more_than_announced(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 3, "m", NULL);
    script_body(peer, "four", 4);
}

static void tell_more_after_the_end(struct scripted_peer *peer) {
    script_message(peer, 1, "0", "m", "body", 4);
    script_body(peer, "!", 1);
}

static void tell_body_of_an_empty_message(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 0, "m", NULL);
    script_body(peer, "x", 1);
}

static void tell_message_in_a_message(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 10, "m", NULL);
    script_body(peer, "half", 4);
    script_deliver(peer, 2, "0");
}

static void tell_return_in_a_message(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_return(peer, "k");
}

static void tell_header_alone(struct scripted_peer *peer) {
    script_header(peer, 1, "m", NULL);
}

static void tell_header_twice(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 5, "m", NULL);
    script_header(peer, 5, "m", NULL);
}

static void tell_header_of_another_class(struct scripted_peer *peer) {
    static const uint8_t header[14] = {0, 10};
    script_deliver(peer, 1, "0");
    script_frame(peer, SCRIPT_FRAME_HEADER, 1, header, sizeof header);
}

static void tell_short_header(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_frame(peer, SCRIPT_FRAME_HEADER, 1, "\x00\x3c\x00", 3);
}

static void tell_body_alone(struct scripted_peer *peer) {
    script_body(peer, "body", 4);
}

static void tell_body_without_header(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_body(peer, "body", 4);
}

static void tell_other_channel(struct scripted_peer *peer) {
    struct script_bytes settle = {0};
    script_put_number(&settle, 8, 1);
    script_put_number(&settle, 1, 1);
    script_method(peer, 7, SCRIPT_BASIC_ACK, &settle);
}

static void tell_body_on_other_channel(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 4, "m", NULL);
    script_frame(peer, SCRIPT_FRAME_BODY, 65535, "body", 4);
}

static void tell_delivery_on_channel_0(struct scripted_peer *peer) {
    static const uint8_t deliver[] = {0, 60, 0, 60, 1, '0', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    script_frame(peer, SCRIPT_FRAME_METHOD, 0, deliver, sizeof deliver);
}

static void tell_bad_end(struct scripted_peer *peer) {
    script_write(peer, "\x03\x00\x01\x00\x00\x00\x01x\xcf", 9);
}

static void tell_huge_frame(struct scripted_peer *peer) {
    script_write(peer, "\x03\x00\x01\x00\x02\x00\x00", 7); /* 8 bytes more than was agreed */
}

static void tell_unknown_method(struct scripted_peer *peer) {
    script_method(peer, 1, SCRIPT_METHOD(60, 999), NULL);
}

static void tell_empty_method(struct scripted_peer *peer) {
    script_frame(peer, SCRIPT_FRAME_METHOD, 1, "\x00", 1);
}

static void tell_cut_off_method(struct scripted_peer *peer) {
    script_frame(peer, SCRIPT_FRAME_METHOD, 1,
                 "\x00\x3c\x00\x3c\xff"
                 "abc",
                 8);
}

static void tell_bad_table(struct scripted_peer *peer) {
    struct script_bytes headers = {0};
    script_put_short(&headers, "x");
    script_put_number(&headers, 1, 'S');
    script_put_number(&headers, 4, 0xfffffff0); /* a text that is longer than the frame */
    script_deliver(peer, 1, "0");
    script_header(peer, 0, "m", &headers);
}

static void tell_cancel(struct scripted_peer *peer) {
    struct script_bytes cancel = {0};
    script_put_short(&cancel, "0");
    script_put_number(&cancel, 1, 1);
    script_method(peer, 1, SCRIPT_BASIC_CANCEL, &cancel);
}

static void tell_end(struct scripted_peer *peer) {
    script_cut_after(peer, script_written(peer));
    script_write(peer, "x", 1);
}

#define TELL_CLOSE(channel, code, words)                                                           \
    static void tell_close_##channel##_##code(struct scripted_peer *peer) {                        \
        script_close(peer, channel, code, words);                                                  \
    }
TELL_CLOSE(0, 320, "CONNECTION_FORCED - Closed via management plugin")
TELL_CLOSE(0, 501, "FRAME_ERROR")
TELL_CLOSE(0, 541, "INTERNAL_ERROR\r\nleader changed")
TELL_CLOSE(1, 404, "NOT_FOUND - no exchange 'x' in vhost '/'")
TELL_CLOSE(1, 405, "RESOURCE_LOCKED")
TELL_CLOSE(1, 406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out")
TELL_CLOSE(1, 541, "INTERNAL_ERROR")
TELL_CLOSE(1, 0, "")

static const struct hostile_story stories[] = {
    {tell_enormous, "claims 4611686018427387904 bytes"},
    {tell_more_than_announced, "more of a body than was announced"},
    {tell_more_after_the_end, "more of a body than was announced"},
    {tell_body_of_an_empty_message, "more of a body than was announced"},
    {tell_message_in_a_message, "a message inside a message"},
    {tell_return_in_a_message, "a message inside a message"},
    {tell_header_alone, "a header without a message"},
    {tell_header_twice, "a header without a message"},
    {tell_header_of_another_class, "breaks the protocol"},
    {tell_short_header, "invalid AMQP data"},
    {tell_body_alone, "more of a body than was announced"},
    {tell_body_without_header, "more of a body than was announced"},
    {tell_other_channel, "channel"},
    {tell_body_on_other_channel, "channel"},
    {tell_delivery_on_channel_0, "channel"},
    {tell_bad_end, "invalid AMQP data"},
    {tell_huge_frame, "invalid AMQP data"},
    {tell_unknown_method, "unknown AMQP method"},
    {tell_empty_method, "invalid AMQP data"},
    {tell_cut_off_method, "invalid AMQP data"},
    {tell_bad_table, "invalid AMQP data"},
    {tell_cancel, "the queue is gone"},
    {tell_end, "connection closed"},
    {tell_close_0_320, "the connection is closed: the broker says 320 CONNECTION_FORCED"},
    {tell_close_0_501, "the broker says 501 FRAME_ERROR"},
    {tell_close_0_541, "the broker says 541 INTERNAL_ERROR"},
    {tell_close_1_404, "the channel is closed: the broker says 404 NOT_FOUND"},
    {tell_close_1_405, "the broker says 405 RESOURCE_LOCKED"},
    {tell_close_1_406, "the broker says 406 PRECONDITION_FAILED"},
    {tell_close_1_541, "the broker says 541 INTERNAL_ERROR"},
    {tell_close_1_0, "the broker says 0"},
};
#define STORIES ((int)(sizeof stories / sizeof stories[0]))

START_TEST(what_breaks_the_protocol_ends_the_link) {
    const long before_kib = hostile_resident_kib();
    struct hostile_story story = stories[_i];
    scripted_broker_start(hostile_play_story, &story);
    struct saga_amqp_link *link = hostile_open_link();
    hostile_expect_lost(link, story.text);
    saga_amqp_link_close(link);
    scripted_broker_stop();
    ck_assert_int_lt(hostile_resident_kib() - before_kib, 64L * 1024);
}
END_TEST

/* The same, where an answer is awaited. */
static void play_story_instead_of_an_answer(struct scripted_peer *peer) {
    const struct hostile_story *story = script_context(peer);
    if (script_greet(peer) && script_until(peer, SCRIPT_QUEUE_BIND, NULL)) {
        story->tell(peer);
        while (script_read(peer, &(struct script_heard){0}, -1)) {
        }
    }
}

START_TEST(what_breaks_the_protocol_is_no_answer) {
    struct hostile_story story = stories[_i];
    struct saga_fault fault = {0};
    scripted_broker_start(play_story_instead_of_an_answer, &story);
    struct saga_amqp_link *link = hostile_open_link();
    const int64_t begun_ms = monotonic_ms();
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_int_lt(monotonic_ms() - begun_ms, HOSTILE_TIMEOUT_MS + 1000);
    hostile_expect_text(&fault, "queue q");
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

/* ------------------------------------------------------- what is odd, but taken */

static void tell_unknown_frames(struct scripted_peer *peer) {
    script_frame(peer, 99, 1, "what?", 5);
    script_frame(peer, SCRIPT_FRAME_HEARTBEAT, 0, NULL, 0);
    script_message(peer, 5, "0", "m", "body", 4);
}

static void tell_empty_pieces(struct scripted_peer *peer) {
    script_deliver(peer, 5, "0");
    script_header(peer, 4, "m", NULL);
    script_frame(peer, SCRIPT_FRAME_BODY, 1, NULL, 0);
    script_frame(peer, SCRIPT_FRAME_BODY, 1, "bo", 2);
    script_frame(peer, SCRIPT_FRAME_BODY, 1, NULL, 0);
    script_frame(peer, SCRIPT_FRAME_BODY, 1, "dy", 2);
}

/* Lists in lists, as many as go in. */
static size_t nest(struct script_bytes *headers, size_t depth) {
    const size_t bytes_max = SCRIPT_FRAME_MAX - 64;
    size_t most = (bytes_max - headers->size - 16) / 5;
    most = depth < most ? depth : most;
    script_put_short(headers, "deep");
    for (size_t i = 0; i < most; i++) {
        script_put_number(headers, 1, 'A');
        script_put_number(headers, 4, (most - i - 1) * 5);
    }
    return most;
}

static void tell_deep(struct scripted_peer *peer, size_t depth) {
    struct script_bytes *headers = calloc(1, sizeof *headers);
    ck_assert_ptr_nonnull(headers);
    ck_assert_uint_ge(nest(headers, depth), depth < 20000 ? depth : 20000);
    script_deliver(peer, 5, "0");
    script_header(peer, 4, "m", headers);
    script_body(peer, "body", 4);
    free(headers);
}

static void tell_ten_deep(struct scripted_peer *peer) {
    tell_deep(peer, 10);
}

/* Anybody who may publish can send this through an honest broker. */
static void tell_as_deep_as_can_be(struct scripted_peer *peer) {
    tell_deep(peer, SIZE_MAX);
}

static const struct hostile_story oddities[] = {{tell_unknown_frames, ""},
                                                {tell_empty_pieces, ""},
                                                {tell_ten_deep, ""},
                                                {tell_as_deep_as_can_be, ""}};
#define ODDITIES ((int)(sizeof oddities / sizeof oddities[0]))

static void *take_body_of_four(void *unused) {
    struct saga_amqp_link *link = hostile_open_link();
    struct saga_amqp_event event;
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_uint_eq(event.tag, 5);
    ck_assert_uint_eq(event.message.body_size, 4);
    ck_assert_mem_eq(event.message.body, "body", 4);
    ck_assert_str_eq(event.message.message_id, "m");
    ck_assert_str_eq(event.message.exchange, "e");
    ck_assert_str_eq(event.message.routing_key, "k");
    ck_assert_uint_eq(event.message.header_count, 0);
    saga_amqp_link_close(link);
    return unused;
}

START_TEST(what_is_odd_is_taken_all_the_same) {
    struct hostile_story story = oddities[_i];
    pthread_t thread;
    scripted_broker_start(hostile_play_story, &story);
    /* On a thread, as the publisher's and the consumer's links are. */
    ck_assert_int_eq(pthread_create(&thread, NULL, take_body_of_four, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    scripted_broker_stop();
}
END_TEST

static void tell_numbers(struct scripted_peer *peer) {
    struct script_bytes headers = {0};
    hostile_put_header(&headers, "t", 't', 1, 1);
    hostile_put_header(&headers, "b", 'b', 1, 0x80);
    hostile_put_header(&headers, "B", 'B', 1, 0xff);
    hostile_put_header(&headers, "s", 's', 2, 0x8000);
    hostile_put_header(&headers, "u", 'u', 2, 0xffff);
    hostile_put_header(&headers, "I", 'I', 4, 0x80000000);
    hostile_put_header(&headers, "i", 'i', 4, 0xffffffff);
    hostile_put_header(&headers, "l", 'l', 8, UINT64_C(1) << 63);
    hostile_put_header(&headers, "L", 'L', 8, INT64_MAX);
    hostile_put_header(&headers, "beyond", 'L', 8, UINT64_C(1) << 63);
    hostile_put_header(&headers, "double", 'd', 8, 0);
    script_put_short(&headers, "void");
    script_put_number(&headers, 1, 'V');
    script_put_short(&headers, "bytes");
    script_put_number(&headers, 1, 'x');
    script_put_long(&headers, "text");
    script_put_short(&headers, "empty");
    script_put_number(&headers, 1, 'S');
    script_put_long(&headers, "");
    script_deliver(peer, 1, "0");
    script_header(peer, 0, NULL, &headers);
}

static void expect_number(const struct saga_amqp_message *message, const char *name,
                          int64_t expected) {
    int64_t number = 0;
    ck_assert_msg(saga_amqp_message_number(message, name, &number), "%s is none", name);
    ck_assert_int_eq(number, expected);
}

START_TEST(numbers_of_every_width) {
    struct hostile_story story = {tell_numbers, ""};
    struct saga_amqp_event event;
    int64_t number;
    scripted_broker_start(hostile_play_story, &story);
    struct saga_amqp_link *link = hostile_open_link();
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    const struct saga_amqp_message *message = &event.message;
    expect_number(message, "t", 1);
    expect_number(message, "b", INT8_MIN);
    expect_number(message, "B", UINT8_MAX);
    expect_number(message, "s", INT16_MIN);
    expect_number(message, "u", UINT16_MAX);
    expect_number(message, "I", INT32_MIN);
    expect_number(message, "i", UINT32_MAX);
    expect_number(message, "l", INT64_MIN);
    expect_number(message, "L", INT64_MAX);
    ck_assert(!saga_amqp_message_number(message, "beyond", &number));
    ck_assert(!saga_amqp_message_number(message, "double", &number));
    ck_assert(!saga_amqp_message_number(message, "void", &number));
    ck_assert_str_eq(saga_amqp_message_text(message, "bytes"), "text");
    ck_assert_str_eq(saga_amqp_message_text(message, "empty"), "");
    ck_assert_ptr_null(message->message_id);
    ck_assert_uint_eq(message->body_size, 0);
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

static void tell_many_headers(struct scripted_peer *peer) {
    struct script_bytes headers = {0};
    for (unsigned i = 0; i < 5000; i++) {
        hostile_put_header(&headers, "header", 'l', 8, i);
    }
    script_deliver(peer, 1, "0");
    script_header(peer, 0, "m", &headers);
}

START_TEST(headers_beyond_the_limit_are_left_out) {
    struct hostile_story story = {tell_many_headers, ""};
    struct saga_amqp_event event;
    scripted_broker_start(hostile_play_story, &story);
    struct saga_amqp_link *link = hostile_open_link();
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_uint_eq(event.message.header_count, SAGA_AMQP_HEADERS_MAX);
    ck_assert_str_eq(event.message.message_id, "m");
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

/* ------------------------------------------------------------- bytes one by one */

/* What is said in a whole conversation: the login, a message, and a farewell. */
static void play_conversation(struct scripted_peer *peer) {
    const size_t *cut_after = script_context(peer);
    struct script_bytes headers = {0};
    if (*cut_after == SIZE_MAX) {
        script_slice(peer, 1);
    } else {
        script_cut_after(peer, *cut_after);
    }
    hostile_put_header(&headers, "attempt", 'l', 8, 1);
    if (script_greet(peer)) {
        script_deliver(peer, 5, "0");
        script_header(peer, 4, "m", &headers);
        script_body(peer, "body", 4);
        script_close(peer, 0, 320, "CONNECTION_FORCED");
        script_attend(peer);
    }
}

START_TEST(one_byte_at_a_time) {
    size_t cut_after = SIZE_MAX;
    scripted_broker_start(play_conversation, &cut_after);
    struct saga_amqp_link *link = hostile_open_link();
    struct saga_amqp_event event;
    hostile_expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_mem_eq(event.message.body, "body", 4);
    expect_number(&event.message, "attempt", 1);
    hostile_expect_lost(link, "320");
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

/* How far a conversation came that was cut. */
enum reached { REACHED_NOTHING, REACHED_LOGIN, REACHED_MESSAGE, REACHED_FAREWELL };

static enum reached converse(void) {
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    struct saga_amqp_event event;
    enum reached reached = REACHED_NOTHING;
    enum saga_error error = hostile_try_to_open(&link, &fault);
    if (error == SAGA_OK) {
        reached = REACHED_LOGIN;
        error = hostile_next_event(link, &event, &fault);
    }
    if (error == SAGA_OK) {
        ck_assert_mem_eq(event.message.body, "body", 4);
        reached = REACHED_MESSAGE;
        error = hostile_next_event(link, &event, &fault);
    }
    ck_assert_int_eq(error, SAGA_ERROR_UNREACHABLE);
    ck_assert_str_ne(fault.text, "");
    saga_amqp_link_close(link);
    return strstr(fault.text, "says 320") != NULL ? REACHED_FAREWELL : reached;
}

START_TEST(cut_after_every_byte) {
    unsigned count[REACHED_FAREWELL + 1] = {0};
    size_t cut_after = 0;
    enum reached reached = REACHED_NOTHING;
    while (reached != REACHED_FAREWELL) {
        scripted_broker_start(play_conversation, &cut_after);
        const enum reached now = converse();
        scripted_broker_stop();
        ck_assert_int_ge(now, reached); /* more bytes never lead less far */
        reached = now;
        count[reached]++;
        cut_after++;
    }
    /* start, tune, open-ok, channel open-ok; the message's three frames; the close's frame */
    ck_assert_uint_gt(count[REACHED_NOTHING], 80);
    ck_assert_uint_gt(count[REACHED_LOGIN], 70);
    ck_assert_uint_gt(count[REACHED_MESSAGE], 30);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_hostile_message");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, what_breaks_the_protocol_ends_the_link, 0, STORIES);
    tcase_add_loop_test(tcase, what_breaks_the_protocol_is_no_answer, 0, STORIES);
    tcase_add_loop_test(tcase, what_is_odd_is_taken_all_the_same, 0, ODDITIES);
    tcase_add_test(tcase, numbers_of_every_width);
    tcase_add_test(tcase, headers_beyond_the_limit_are_left_out);
    tcase_add_test(tcase, one_byte_at_a_time);
    tcase_add_test(tcase, cut_after_every_byte);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
