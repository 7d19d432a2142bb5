/* The link against a broker that breaks the protocol, or has nothing good to say: no crash, bounded
 * memory, bounded time, and a clear text. */
#include "check_run.h"
#include "link.h"
#include "monotonic.h"
#include "scripted_broker.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS     1000
#define BODY_BYTES_MAX (1u << 20)
#define MIB            (1u << 20)

static struct saga_amqp_address address_of(uint16_t port) {
    struct saga_amqp_address address = {
        .host_count = 1, .user = "guest", .password = "guest", .vhost = "/"};
    (void)snprintf(address.hosts[0].name, sizeof address.hosts[0].name, "127.0.0.1");
    address.hosts[0].port = port;
    return address;
}

static enum saga_error try_to_open(struct saga_amqp_link **link, struct saga_fault *fault) {
    const struct saga_amqp_address address = address_of(scripted_broker_port());
    const struct saga_amqp_link_options options = {.address = &address,
                                                   .name = "test",
                                                   .timeout_ms = TIMEOUT_MS,
                                                   .heartbeat_s = 10,
                                                   .body_bytes_max = BODY_BYTES_MAX};
    return saga_amqp_link_open(link, &options, 0, fault);
}

static struct saga_amqp_link *open_link(void) {
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(try_to_open(&link, &fault) == SAGA_OK, "%s", fault.text);
    return link;
}

/* Waits for something; SAGA_ERROR_TIMEOUT: nothing within five seconds. */
static enum saga_error next_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                                  struct saga_fault *fault) {
    const int64_t until_ms = monotonic_ms() + 5000;
    while (monotonic_ms() < until_ms) {
        const enum saga_error error = saga_amqp_link_take(link, event, fault);
        if (error != SAGA_OK || event->type != SAGA_AMQP_NOTHING) {
            return error;
        }
        saga_amqp_link_wait(link, -1, 100);
    }
    return saga_fault_set(fault, SAGA_ERROR_TIMEOUT, "nothing comes");
}

static void expect_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                         enum saga_amqp_event_type type) {
    struct saga_fault fault = {0};
    ck_assert_msg(next_event(link, event, &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(event->type, (int)type);
}

static void expect_text(const struct saga_fault *fault, const char *text) {
    ck_assert_msg(strstr(fault->text, text) != NULL, "'%s' is not in '%s'", text, fault->text);
    for (const char *at = fault->text; *at != '\0'; at++) {
        ck_assert_msg((unsigned char)*at >= ' ', "control bytes in '%s'", fault->text);
    }
}

static void expect_lost(struct saga_amqp_link *link, const char *text) {
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    enum saga_error error;
    while ((error = next_event(link, &event, &fault)) == SAGA_OK) {
    }
    ck_assert_msg(error == SAGA_ERROR_UNREACHABLE, "%s", fault.text);
    expect_text(&fault, text);
}

static void expect_refused(void (*play)(struct scripted_peer *peer), const char *text) {
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    scripted_broker_start(play, NULL);
    const int64_t begun_ms = monotonic_ms();
    ck_assert_int_eq(try_to_open(&link, &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 2 * TIMEOUT_MS + 1000);
    ck_assert_ptr_null(link);
    expect_text(&fault, text);
    ck_assert_msg(strncmp(fault.text, "127.0.0.1:", 10) == 0, "'%s' names no host", fault.text);
    scripted_broker_stop();
}

static long resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%ld %ld", &pages, &resident), 2);
    (void)fclose(statm);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* --------------------------------------------------------------- no login */

static void play_silence(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_attend(peer);
}

static void play_hang_up(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
}

static void play_http(struct scripted_peer *peer) {
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    (void)script_read_protocol(peer);
    script_write(peer, answer, sizeof answer - 1);
    script_attend(peer);
}

static void play_other_protocol(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_write(peer, "AMQP\x00\x00\x09\x01", 8);
    script_attend(peer);
}

static void play_other_version(struct scripted_peer *peer) {
    struct script_bytes start = {0};
    (void)script_read_protocol(peer);
    script_put_number(&start, 2, 0x0008);
    script_put_number(&start, 4, 0);
    script_put_long(&start, "PLAIN");
    script_put_long(&start, "en_US");
    script_method(peer, 0, SCRIPT_CONNECTION_START, &start);
    script_attend(peer);
}

static void play_other_login(struct scripted_peer *peer) {
    struct script_bytes start = {0};
    (void)script_read_protocol(peer);
    script_put_number(&start, 2, 0x0009);
    script_put_number(&start, 4, 0);
    script_put_long(&start, "EXTERNAL");
    script_put_long(&start, "en_US");
    script_method(peer, 0, SCRIPT_CONNECTION_START, &start);
    script_attend(peer);
}

static void play_no_words(struct scripted_peer *peer) {
    struct script_bytes start = {0};
    (void)script_read_protocol(peer);
    script_put_number(&start, 2, 0x0009);
    script_method(peer, 0, SCRIPT_CONNECTION_START, &start); /* the rest is missing */
    script_attend(peer);
}

static void play_refusal(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_say_start(peer);
    (void)script_until(peer, SCRIPT_CONNECTION_START_OK, NULL);
    script_close(peer, 0, 403, "ACCESS_REFUSED - Login was refused");
    script_attend(peer);
}

static void play_silence_after_start(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_say_start(peer);
    script_attend(peer);
}

static void play_silence_after_tune(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_say_start(peer);
    (void)script_until(peer, SCRIPT_CONNECTION_START_OK, NULL);
    script_say_tune(peer, SCRIPT_FRAME_MAX, 10);
    script_attend(peer);
}

static void play_no_vhost(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_say_start(peer);
    (void)script_until(peer, SCRIPT_CONNECTION_START_OK, NULL);
    script_say_tune(peer, SCRIPT_FRAME_MAX, 10);
    (void)script_until(peer, SCRIPT_CONNECTION_OPEN, NULL);
    script_close(peer, 0, 530, "NOT_ALLOWED - vhost x\n\x1b[31mnot found");
    script_attend(peer);
}

static void play_no_channel(struct scripted_peer *peer) {
    if (script_login(peer, SCRIPT_FRAME_MAX, 10)) {
        (void)script_until(peer, SCRIPT_CHANNEL_OPEN, NULL);
        script_close(peer, 1, 504, "CHANNEL_ERROR - no more of them");
        script_attend(peer);
    }
}

static void play_shutdown_instead_of_a_channel(struct scripted_peer *peer) {
    if (script_login(peer, SCRIPT_FRAME_MAX, 10)) {
        (void)script_until(peer, SCRIPT_CHANNEL_OPEN, NULL);
        script_close(peer, 0, 320, "CONNECTION_FORCED - shutdown");
        script_attend(peer);
    }
}

static void play_silence_after_login(struct scripted_peer *peer) {
    if (script_login(peer, SCRIPT_FRAME_MAX, 10)) {
        (void)script_until(peer, SCRIPT_CHANNEL_OPEN, NULL);
        while (script_read(peer, &(struct script_heard){0}, -1)) {
        }
    }
}

static void play_huge_frame(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_write(peer, "\x01\x00\x00\x7f\xff\xff\xf0\x00", 8);
    script_attend(peer);
}

static void play_bad_frame_end(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_write(peer, "\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xff", 12);
    script_attend(peer);
}

static void play_unknown_method(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_method(peer, 0, SCRIPT_METHOD(99, 99), NULL);
    script_attend(peer);
}

static void play_method_out_of_turn(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_close(peer, 0, 541, "INTERNAL_ERROR");
    script_attend(peer);
}

static const struct refusal {
    void (*play)(struct scripted_peer *peer);
    const char *text;
} refusals[] = {
    {play_silence, "timed out"},
    {play_hang_up, "connection closed"},
    {play_http, "invalid AMQP data"},
    {play_other_protocol, "unexpected method"},
    {play_other_version, "incompatible AMQP version"},
    {play_other_login, "unsupported sasl method"},
    {play_no_words, "invalid AMQP data"},
    {play_refusal, "the broker says 403 ACCESS_REFUSED - Login was refused"},
    {play_silence_after_start, "timed out"},
    {play_silence_after_tune, "timed out"},
    {play_no_vhost, "the broker says 530 NOT_ALLOWED - vhost x"},
    {play_no_channel, "the broker says 504 CHANNEL_ERROR"},
    {play_shutdown_instead_of_a_channel, "the broker says 320 CONNECTION_FORCED"},
    {play_silence_after_login, "timed out"},
    {play_huge_frame, "invalid AMQP data"},
    {play_bad_frame_end, "invalid AMQP data"},
    {play_unknown_method, "unknown AMQP method"},
    {play_method_out_of_turn, "unexpected method"},
};
#define REFUSALS ((int)(sizeof refusals / sizeof refusals[0]))

START_TEST(a_login_that_fails_says_why) {
    expect_refused(refusals[_i].play, refusals[_i].text);
}
END_TEST

/* ------------------------------------------------------------- after the login */

struct story {
    void (*tell)(struct scripted_peer *peer);
    const char *text;
};

static void play_story(struct scripted_peer *peer) {
    const struct story *story = script_context(peer);
    if (script_greet(peer)) {
        story->tell(peer);
        script_attend(peer);
    }
}

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

static const struct story stories[] = {
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
    const long before_kib = resident_kib();
    struct story story = stories[_i];
    scripted_broker_start(play_story, &story);
    struct saga_amqp_link *link = open_link();
    expect_lost(link, story.text);
    saga_amqp_link_close(link);
    scripted_broker_stop();
    ck_assert_int_lt(resident_kib() - before_kib, 64L * 1024);
}
END_TEST

/* The same, where an answer is awaited. */
static void play_story_instead_of_an_answer(struct scripted_peer *peer) {
    const struct story *story = script_context(peer);
    if (script_greet(peer) && script_until(peer, SCRIPT_QUEUE_BIND, NULL)) {
        story->tell(peer);
        while (script_read(peer, &(struct script_heard){0}, -1)) {
        }
    }
}

START_TEST(what_breaks_the_protocol_is_no_answer) {
    struct story story = stories[_i];
    struct saga_fault fault = {0};
    scripted_broker_start(play_story_instead_of_an_answer, &story);
    struct saga_amqp_link *link = open_link();
    const int64_t begun_ms = monotonic_ms();
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_int_lt(monotonic_ms() - begun_ms, TIMEOUT_MS + 1000);
    expect_text(&fault, "queue q");
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

static const struct story oddities[] = {{tell_unknown_frames, ""},
                                        {tell_empty_pieces, ""},
                                        {tell_ten_deep, ""},
                                        {tell_as_deep_as_can_be, ""}};
#define ODDITIES ((int)(sizeof oddities / sizeof oddities[0]))

static void *take_body_of_four(void *unused) {
    struct saga_amqp_link *link = open_link();
    struct saga_amqp_event event;
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
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
    struct story story = oddities[_i];
    pthread_t thread;
    scripted_broker_start(play_story, &story);
    /* On a thread, as the publisher's and the consumer's links are. */
    ck_assert_int_eq(pthread_create(&thread, NULL, take_body_of_four, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    scripted_broker_stop();
}
END_TEST

static void put_header(struct script_bytes *headers, const char *name, char kind, unsigned width,
                       uint64_t number) {
    script_put_short(headers, name);
    script_put_number(headers, 1, (uint64_t)kind);
    script_put_number(headers, width, number);
}

static void tell_numbers(struct scripted_peer *peer) {
    struct script_bytes headers = {0};
    put_header(&headers, "t", 't', 1, 1);
    put_header(&headers, "b", 'b', 1, 0x80);
    put_header(&headers, "B", 'B', 1, 0xff);
    put_header(&headers, "s", 's', 2, 0x8000);
    put_header(&headers, "u", 'u', 2, 0xffff);
    put_header(&headers, "I", 'I', 4, 0x80000000);
    put_header(&headers, "i", 'i', 4, 0xffffffff);
    put_header(&headers, "l", 'l', 8, UINT64_C(1) << 63);
    put_header(&headers, "L", 'L', 8, INT64_MAX);
    put_header(&headers, "beyond", 'L', 8, UINT64_C(1) << 63);
    put_header(&headers, "double", 'd', 8, 0);
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
    struct story story = {tell_numbers, ""};
    struct saga_amqp_event event;
    int64_t number;
    scripted_broker_start(play_story, &story);
    struct saga_amqp_link *link = open_link();
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
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
        put_header(&headers, "header", 'l', 8, i);
    }
    script_deliver(peer, 1, "0");
    script_header(peer, 0, "m", &headers);
}

START_TEST(headers_beyond_the_limit_are_left_out) {
    struct story story = {tell_many_headers, ""};
    struct saga_amqp_event event;
    scripted_broker_start(play_story, &story);
    struct saga_amqp_link *link = open_link();
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
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
    put_header(&headers, "attempt", 'l', 8, 1);
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
    struct saga_amqp_link *link = open_link();
    struct saga_amqp_event event;
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_mem_eq(event.message.body, "body", 4);
    expect_number(&event.message, "attempt", 1);
    expect_lost(link, "320");
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
    enum saga_error error = try_to_open(&link, &fault);
    if (error == SAGA_OK) {
        reached = REACHED_LOGIN;
        error = next_event(link, &event, &fault);
    }
    if (error == SAGA_OK) {
        ck_assert_mem_eq(event.message.body, "body", 4);
        reached = REACHED_MESSAGE;
        error = next_event(link, &event, &fault);
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

/* -------------------------------------------------------------- what is negotiated */

static unsigned heartbeats_heard;

static void play_short_heartbeat(struct scripted_peer *peer) {
    struct script_heard heard;
    if (script_login(peer, SCRIPT_FRAME_MAX, 1) &&
        script_until(peer, SCRIPT_CHANNEL_OPEN, &heard)) {
        script_answer(peer, &heard);
        while (script_read(peer, &heard, -1)) { /* and says nothing any more */
        }
        heartbeats_heard = script_heartbeats(peer);
    }
}

START_TEST(a_shorter_heartbeat_of_the_broker_is_kept) {
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    scripted_broker_start(play_short_heartbeat, NULL);
    struct saga_amqp_link *link = open_link();
    const int64_t begun_ms = monotonic_ms();
    while (saga_amqp_link_take(link, &event, &fault) == SAGA_OK) {
        saga_amqp_link_wait(link, -1, -1);
    }
    expect_text(&fault, "heartbeat timeout");
    ck_assert_int_lt(monotonic_ms() - begun_ms, 4000); /* ours would be 10 s */
    saga_amqp_link_close(link);
    scripted_broker_stop();
    ck_assert_uint_ge(heartbeats_heard, 1);
}
END_TEST

static unsigned published_heard;

static void play_small_frames(struct scripted_peer *peer) {
    struct script_heard heard;
    (void)(script_login(peer, 4096, 10) && script_until(peer, SCRIPT_CHANNEL_OPEN, &heard));
    script_answer(peer, &heard);
    while (script_until(peer, SCRIPT_BASIC_PUBLISH, &heard)) {
        published_heard++;
    }
}

START_TEST(what_no_frame_can_hold_is_not_begun) {
    static char text[5000];
    struct saga_fault fault = {0};
    struct saga_amqp_message message = {.exchange = "e", .routing_key = "k", .message_id = "m"};
    memset(text, 'x', sizeof text - 1);
    saga_amqp_message_add_text(&message, "header", text);
    scripted_broker_start(play_small_frames, NULL);
    struct saga_amqp_link *link = open_link();
    for (size_t size = 0; size < sizeof text; size++) { /* each length around a frame's */
        message.headers[0].text = text + sizeof text - 1 - size;
        const enum saga_error error = saga_amqp_link_publish(link, &message, &fault);
        ck_assert_msg(error == SAGA_OK || error == SAGA_ERROR_INVALID, "%zu: %s", size, fault.text);
        ck_assert(error == SAGA_OK || size > 3000);
        ck_assert(error == SAGA_ERROR_INVALID || size < 4096);
    }
    expect_text(&fault, "cannot be published");
    message.headers[0].text = "short";
    ck_assert_int_eq(saga_amqp_link_publish(link, &message, &fault), SAGA_OK);
    saga_amqp_link_finish(link, 2000);
    scripted_broker_stop();
    ck_assert_uint_gt(published_heard, 3000);
}
END_TEST

#define SLOW_COUNT 100
#define SLOW_BYTES (256u << 10)

static void play_beats_and_does_not_read(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_login(peer, SCRIPT_FRAME_MAX, 1) ||
        !script_until(peer, SCRIPT_CHANNEL_OPEN, &heard)) {
        return;
    }
    script_answer(peer, &heard);
    for (unsigned i = 0; i < 30; i++) { /* three times as long as a silence may be */
        script_frame(peer, SCRIPT_FRAME_HEARTBEAT, 0, NULL, 0);
        (void)usleep(200000);
    }
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        (void)script_until(peer, SCRIPT_BASIC_PUBLISH, NULL);
    }
    script_settle(peer, SCRIPT_BASIC_ACK, SLOW_COUNT, true);
    script_attend(peer);
}

/* In the middle of a publish the library keeps the heartbeats for later. */
START_TEST(heartbeats_during_a_publish_are_nothing) {
    static uint8_t body[SLOW_BYTES];
    const struct saga_amqp_message message = {
        .exchange = "e", .routing_key = "k", .body = body, .body_size = sizeof body};
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    scripted_broker_start(play_beats_and_does_not_read, NULL);
    struct saga_amqp_link *link = open_link();
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        ck_assert_msg(saga_amqp_link_publish(link, &message, &fault) == SAGA_OK, "%s", fault.text);
    }
    expect_event(link, &event, SAGA_AMQP_CONFIRMED);
    ck_assert_uint_eq(event.tag, SLOW_COUNT);
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

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
    struct saga_amqp_link *link = open_link();
    ck_assert_msg(saga_amqp_link_consume(link, "q", 0, 10, &fault) == SAGA_OK, "%s", fault.text);
    saga_amqp_link_wait(link, -1, 5000); /* something is at hand: that does not wait */
    ck_assert_int_eq(saga_amqp_link_take(link, &event, &fault), SAGA_OK);
    ck_assert_str_eq(event.message.message_id, "one");
    expect_event(link, &event, SAGA_AMQP_UNBLOCKED);
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_OK);
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_str_eq(event.message.message_id, "two");
    ck_assert_mem_eq(event.message.body, "two", 3);
    ck_assert_int_eq(saga_amqp_link_bind(link, "q", "e", "k", &fault), SAGA_OK);
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
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
         address_of(scripted_broker_port()));
    const struct saga_amqp_link_options options = {.address = &address,
                                                   .name = "test",
                                                   .timeout_ms = 20000,
                                                   .heartbeat_s = 10,
                                                   .body_bytes_max = BODY_BYTES_MAX};
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_OK);
    const long before_kib = resident_kib();
    ck_assert_msg(saga_amqp_link_find_queue(link, "q", &fault) == SAGA_OK, "%s", fault.text);
    ck_assert_int_lt(resident_kib() - before_kib, 64L * 1024);
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
    struct story story = {tell_no_end_of_pieces, ""};
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    scripted_broker_start(play_story, &story);
    struct saga_amqp_link *link = open_link();
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
    struct story story = {tell_no_end_of_heartbeats, ""};
    pthread_t thread;
    scripted_broker_start(play_story, &story);
    struct saga_amqp_link *link = open_link();
    ck_assert_int_eq(pthread_create(&thread, NULL, cut_soon, link), 0);
    const int64_t begun_ms = monotonic_ms();
    expect_lost(link, "the connection is lost");
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
    struct saga_amqp_link *link = open_link();
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
    struct saga_amqp_link *link = open_link();
    const long before_kib = resident_kib();
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_link_finish(link, 700);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 1700);
    ck_assert_int_lt(resident_kib() - before_kib, 64L * 1024);
    scripted_broker_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_hostile_link");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_login_that_fails_says_why, 0, REFUSALS);
    tcase_add_loop_test(tcase, what_breaks_the_protocol_ends_the_link, 0, STORIES);
    tcase_add_loop_test(tcase, what_breaks_the_protocol_is_no_answer, 0, STORIES);
    tcase_add_loop_test(tcase, what_is_odd_is_taken_all_the_same, 0, ODDITIES);
    tcase_add_test(tcase, numbers_of_every_width);
    tcase_add_test(tcase, headers_beyond_the_limit_are_left_out);
    tcase_add_test(tcase, one_byte_at_a_time);
    tcase_add_test(tcase, cut_after_every_byte);
    tcase_add_test(tcase, a_shorter_heartbeat_of_the_broker_is_kept);
    tcase_add_test(tcase, what_no_frame_can_hold_is_not_begun);
    tcase_add_test(tcase, heartbeats_during_a_publish_are_nothing);
    tcase_add_test(tcase, deliveries_before_an_answer_are_kept_in_order);
    tcase_add_test(tcase, large_messages_before_an_answer_take_no_memory);
    tcase_add_test(tcase, a_call_is_over_although_frames_come_without_end);
    tcase_add_test(tcase, a_cut_ends_a_call_that_the_library_does_not);
    tcase_add_test(tcase, a_farewell_to_a_broker_that_does_not_read);
    tcase_add_test(tcase, a_farewell_while_deliveries_pour_in_takes_no_memory);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
