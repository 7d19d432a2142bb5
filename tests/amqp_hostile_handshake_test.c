/* The link against a broker that fails the handshake, or agrees to odd things in it: a clear text
 * in bounded time, and what was negotiated is kept to. */
#include "amqp_hostile_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#include <string.h>
#include <unistd.h>

static void expect_refused(void (*play)(struct scripted_peer *peer), const char *text) {
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    scripted_broker_start(play, NULL);
    const int64_t begun_ms = monotonic_ms();
    ck_assert_int_eq(hostile_try_to_open(&link, &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 2 * HOSTILE_TIMEOUT_MS + 1000);
    ck_assert_ptr_null(link);
    hostile_expect_text(&fault, text);
    ck_assert_msg(strncmp(fault.text, "127.0.0.1:", 10) == 0, "'%s' names no host", fault.text);
    scripted_broker_stop();
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
    struct saga_amqp_link *link = hostile_open_link();
    const int64_t begun_ms = monotonic_ms();
    while (saga_amqp_link_take(link, &event, &fault) == SAGA_OK) {
        saga_amqp_link_wait(link, -1, -1);
    }
    hostile_expect_text(&fault, "heartbeat timeout");
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
    struct saga_amqp_link *link = hostile_open_link();
    for (size_t size = 0; size < sizeof text; size++) { /* each length around a frame's */
        message.headers[0].text = text + sizeof text - 1 - size;
        const enum saga_error error = saga_amqp_link_publish(link, &message, &fault);
        ck_assert_msg(error == SAGA_OK || error == SAGA_ERROR_INVALID, "%zu: %s", size, fault.text);
        ck_assert(error == SAGA_OK || size > 3000);
        ck_assert(error == SAGA_ERROR_INVALID || size < 4096);
    }
    hostile_expect_text(&fault, "cannot be published");
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
    struct saga_amqp_link *link = hostile_open_link();
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        ck_assert_msg(saga_amqp_link_publish(link, &message, &fault) == SAGA_OK, "%s", fault.text);
    }
    hostile_expect_event(link, &event, SAGA_AMQP_CONFIRMED);
    ck_assert_uint_eq(event.tag, SLOW_COUNT);
    saga_amqp_link_close(link);
    scripted_broker_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_hostile_handshake");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_login_that_fails_says_why, 0, REFUSALS);
    tcase_add_test(tcase, a_shorter_heartbeat_of_the_broker_is_kept);
    tcase_add_test(tcase, what_no_frame_can_hold_is_not_begun);
    tcase_add_test(tcase, heartbeats_during_a_publish_are_nothing);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
