/* The consumer against a broker that delivers what it should not, says nothing of what it should,
 * or does not read. */
#include "amqp_scene.h"
#include "check_run.h"
#include "scripted_broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct scene scene;
static struct saga_amqp_consumer *consumer;

static void begin(void (*play)(struct scripted_peer *peer), void *context) {
    scripted_broker_start(play, context);
    scene_open(&scene, scripted_broker_port());
}

static void end(void) {
    scripted_broker_stop();
    scene_close(&scene);
}

static struct saga_amqp_consumer_options quick_options(void) {
    struct saga_amqp_consumer_options options = scene_consumer_options(&scene, "q");
    options.link.timeout_ms = 1000;
    options.prefetch = 4;
    return options;
}

static void open_consumer(void) {
    const struct saga_amqp_consumer_options options = quick_options();
    consumer = scene_consumer(&options);
}

static void close_within(int64_t most_ms) {
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_consumer_close(consumer);
    ck_assert_int_lt(monotonic_ms() - begun_ms, most_ms);
}

static struct saga_amqp_consumer_counts counts_now(void) {
    struct saga_amqp_consumer_counts counts;
    saga_amqp_consumer_count(consumer, &counts);
    return counts;
}

/* Until basic.consume has been answered. */
static bool serve(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_greet(peer) || !script_until(peer, SCRIPT_BASIC_CONSUME, &heard)) {
        return false;
    }
    script_answer(peer, &heard);
    return true;
}

/* ----------------------------------------------------- deliveries that must not be */

struct story {
    void (*tell)(struct scripted_peer *peer);
    const char *text;
    unsigned deliveries;
};

static void play_story(struct scripted_peer *peer) {
    const struct story *story = script_context(peer);
    if (serve(peer)) {
        if (script_connection(peer) == 1) {
            story->tell(peer);
        }
        script_attend(peer);
    }
}

static void tell_too_many(struct scripted_peer *peer) {
    for (uint64_t tag = 1; tag <= 5; tag++) {
        script_message(peer, tag, "0", "m", "body", 4);
    }
}

static void tell_repeated_tag(struct scripted_peer *peer) {
    script_message(peer, 1, "0", "m", "body", 4);
    script_message(peer, 2, "0", "m", "body", 4);
    script_message(peer, 2, "0", "m", "body", 4);
}

static void tell_descending_tag(struct scripted_peer *peer) {
    script_message(peer, 7, "0", "m", "body", 4);
    script_message(peer, 3, "0", "m", "body", 4);
}

static void tell_other_consumer(struct scripted_peer *peer) {
    script_message(peer, 1, "1", "m", "body", 4);
}

static void tell_odd_consumer(struct scripted_peer *peer) {
    script_message(peer, 1, "amq.ctag-\xff\xff", "m", "body", 4);
}

static void tell_cancel(struct scripted_peer *peer) {
    struct script_bytes cancel = {0};
    script_message(peer, 1, "0", "m", "body", 4);
    script_put_short(&cancel, "0");
    script_put_number(&cancel, 1, 1);
    script_method(peer, 1, SCRIPT_BASIC_CANCEL, &cancel);
}

static void tell_acknowledgement_timed_out(struct scripted_peer *peer) {
    script_message(peer, 1, "0", "m", "body", 4);
    script_close(peer, 1, 406, "PRECONDITION_FAILED - delivery acknowledgement timed out");
}

static void tell_shutdown(struct scripted_peer *peer) {
    script_deliver(peer, 1, "0");
    script_header(peer, 4, "m", NULL); /* in the middle of a message */
    script_close(peer, 0, 320, "CONNECTION_FORCED - shutdown");
}

static struct story stories[] = {
    {tell_too_many, "a delivery beyond the prefetch", 4},
    {tell_repeated_tag, "with a number that was used", 2},
    {tell_descending_tag, "with a number that was used", 1},
    {tell_other_consumer, "another consumer", 0},
    {tell_odd_consumer, "another consumer", 0},
    {tell_cancel, "the queue is gone", 1},
    {tell_acknowledgement_timed_out, "the broker says 406 PRECONDITION_FAILED", 1},
    {tell_shutdown, "the broker says 320 CONNECTION_FORCED", 0},
};

START_TEST(the_connection_is_made_anew) {
    begin(play_story, &stories[_i]);
    open_consumer();
    scene_await(&scene, scene.ups == 2);
    ck_assert_uint_eq(scene.downs, 1);
    ck_assert_msg(strstr(scene.why, stories[_i].text) != NULL, "%s", scene.why);
    ck_assert_uint_eq(scene.delivery_count, stories[_i].deliveries);
    ck_assert_uint_eq(scene.prepared, 2);
    /* What was delivered on the first connection is nothing on the second one. */
    for (size_t i = 0; i < scene.delivery_count; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    const int64_t until_ms = monotonic_ms() + 5000;
    while (counts_now().void_settlements < stories[_i].deliveries && monotonic_ms() < until_ms) {
        (void)usleep(1000);
    }
    ck_assert_uint_eq(counts_now().void_settlements, stories[_i].deliveries);
    ck_assert_uint_eq(counts_now().acknowledged, 0);
    ck_assert_uint_eq(counts_now().connections, 2);
    close_within(2000);
    end();
}
END_TEST

/* ------------------------------------------------------------------ settlements */

struct heard_settlements {
    unsigned single, multiple, rejected, requeued;
    uint64_t last_tag;
};

static void play_four_and_listen(struct scripted_peer *peer) {
    struct heard_settlements *settlements = script_context(peer);
    struct script_heard heard;
    if (!serve(peer)) {
        return;
    }
    for (uint64_t tag = 1; tag <= 4; tag++) {
        script_message(peer, tag, "0", "m", "body", 4);
    }
    while (script_read(peer, &heard, -1)) {
        if (heard.method == SCRIPT_BASIC_ACK) {
            settlements->single += heard.payload[8] == 0;
            settlements->multiple += heard.payload[8] == 1;
            settlements->last_tag = heard.payload[7];
        } else if (heard.method == SCRIPT_BASIC_REJECT) {
            settlements->rejected += heard.payload[8] == 0;
            settlements->requeued += heard.payload[8] == 1;
        }
        script_answer(peer, &heard);
    }
}

START_TEST(each_delivery_is_settled_once_whatever_is_asked_for) {
    struct heard_settlements settlements = {0};
    begin(play_four_and_listen, &settlements);
    open_consumer();
    scene_await(&scene, scene.delivery_count == 4);
    ck_assert_uint_ge(scene.gathered, 1);
    struct saga_amqp_ticket tickets[4];
    for (size_t i = 0; i < 4; i++) {
        tickets[i] = scene.deliveries[i].ticket;
    }
    saga_amqp_consumer_settle(consumer, tickets[3], SAGA_AMQP_REQUEUE);
    saga_amqp_consumer_settle(consumer, tickets[3], SAGA_AMQP_ACK); /* too late */
    saga_amqp_consumer_settle(consumer, tickets[2], SAGA_AMQP_REJECT);
    saga_amqp_consumer_settle(consumer, tickets[0], SAGA_AMQP_ACK);
    saga_amqp_consumer_settle(consumer, tickets[1], SAGA_AMQP_ACK);
    saga_amqp_consumer_settle(consumer, tickets[0], SAGA_AMQP_ACK);
    tickets[0].tag = 99; /* never delivered */
    saga_amqp_consumer_settle(consumer, tickets[0], SAGA_AMQP_ACK);
    tickets[0].tag = 0;
    saga_amqp_consumer_settle(consumer, tickets[0], SAGA_AMQP_ACK);
    close_within(2000);
    end();
    /* All in one look, or in several. */
    const unsigned frames = settlements.single + settlements.multiple;
    ck_assert_uint_ge(frames, 1);
    ck_assert_uint_le(frames, 2);
    ck_assert_uint_eq(settlements.last_tag, 2);
    ck_assert_uint_eq(settlements.rejected, 1);
    ck_assert_uint_eq(settlements.requeued, 1);
}
END_TEST

static unsigned acks_after_cancel;

static void play_more_after_the_cancel(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!serve(peer)) {
        return;
    }
    script_message(peer, 1, "0", "before", "body", 4);
    (void)script_until(peer, SCRIPT_BASIC_CANCEL, &heard);
    uint8_t tag[2];
    memcpy(tag, heard.payload, sizeof tag);
    script_message(peer, 2, "0", "after", "body", 4);
    script_message(peer, 3, "0", "after", "body", 4);
    heard.payload = tag;
    script_answer(peer, &heard);
    script_message(peer, 4, "0", "after", "body", 4);
    while (script_read(peer, &heard, -1)) {
        if (heard.method == SCRIPT_BASIC_ACK) {
            acks_after_cancel++;
            ck_assert_uint_eq(heard.payload[7], 1);
        }
        ck_assert_uint_ne(heard.method, SCRIPT_BASIC_REJECT);
        script_answer(peer, &heard);
    }
}

START_TEST(what_comes_after_the_stop_is_not_delivered_and_not_settled) {
    begin(play_more_after_the_cancel, NULL);
    open_consumer();
    scene_await(&scene, scene.delivery_count == 1);
    saga_amqp_consumer_stop(consumer);
    (void)usleep(100000); /* nothing that could be awaited: nothing is to come */
    saga_amqp_consumer_settle(consumer, scene.deliveries[0].ticket, SAGA_AMQP_ACK);
    close_within(2000);
    ck_assert_uint_eq(scene.delivery_count, 1);
    end();
    ck_assert_uint_eq(acks_after_cancel, 1);
}
END_TEST

/* --------------------------------------------------------------- the passive look */

static void play_queue_that_vanishes(struct scripted_peer *peer) {
    if (!serve(peer)) {
        return;
    }
    if (script_connection(peer) == 1) { /* and no word of basic.cancel */
        (void)script_until(peer, SCRIPT_QUEUE_DECLARE, NULL);
        script_close(peer, 1, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    }
    script_attend(peer);
}

START_TEST(a_queue_that_vanishes_silently_is_noticed_by_looking) {
    begin(play_queue_that_vanishes, NULL);
    struct saga_amqp_consumer_options options = quick_options();
    options.passive_ms = 300;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    const int64_t begun_ms = monotonic_ms();
    scene_await(&scene, scene.ups == 2);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 1500);
    ck_assert_msg(strstr(scene.why, "queue q: there is none") != NULL, "%s", scene.why);
    ck_assert_uint_eq(scene.prepared, 2);
    close_within(2000);
    end();
}
END_TEST

static void play_no_answer_to_the_look(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!serve(peer)) {
        return;
    }
    if (script_connection(peer) == 1) {
        while (script_read(peer, &heard, -1)) { /* no answer */
        }
    }
    script_attend(peer);
}

START_TEST(a_look_that_is_not_answered_ends_the_connection) {
    begin(play_no_answer_to_the_look, NULL);
    struct saga_amqp_consumer_options options = quick_options();
    options.passive_ms = 300;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.ups == 2);
    ck_assert_msg(strstr(scene.why, "queue q: no answer: request timed out") != NULL, "%s",
                  scene.why);
    close_within(2000);
    end();
}
END_TEST

/* ------------------------------------------------------------- tables in tables */

static void tell_depth(struct scripted_peer *peer) {
    struct script_bytes *headers = calloc(1, sizeof *headers);
    ck_assert_ptr_nonnull(headers);
    const size_t depth = 21000; /* what a frame holds */
    for (size_t i = 0; i < depth; i++) {
        script_put_short(headers, "");
        script_put_number(headers, 1, 'F');
        script_put_number(headers, 4, (depth - i - 1) * 6);
    }
    script_deliver(peer, 1, "0");
    script_header(peer, 4, "m", headers);
    script_body(peer, "body", 4);
    free(headers);
}

START_TEST(tables_in_tables_do_not_overflow_the_stack) {
    struct story story = {tell_depth, "", 1};
    pthread_attr_t attributes;
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, 1u << 20), 0);
    begin(play_story, &story);
    /* As where the limit of the system is lower than usual. */
    ck_assert_int_eq(pthread_setattr_default_np(&attributes), 0);
    open_consumer();
    scene_await(&scene, scene.delivery_count == 1);
    ck_assert_str_eq(scene.deliveries[0].message_id, "m");
    close_within(2000);
    end();
}
END_TEST

/* ------------------------------------------------------------ closing, whatever is */

static void play_silence(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_attend(peer);
}

START_TEST(a_close_while_the_login_is_not_answered) {
    begin(play_silence, NULL);
    const struct saga_amqp_consumer_options options = scene_consumer_options(&scene, "q");
    consumer = scene_consumer(&options);
    (void)usleep(200000); /* it is in the middle of that */
    close_within(9000);
    end();
}
END_TEST

/* Deliveries of empty messages, written by hand: there have to be many. */
#define MANY 2000
static const uint8_t empty_delivery[] = {
    1,   0,    1, 0, 0, 0, 19, 0, 60, 0, 60, 1, '0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'e', 1,
    'k', 0xce, 2, 0, 1, 0, 0,  0, 14, 0, 60, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xce};
#define TAG_AT       13
#define REJECT_BYTES 21

static void play_deliveries_without_listening(struct scripted_peer *peer) {
    static uint8_t deliveries[MANY][sizeof empty_delivery];
    uint64_t tag = 0;
    if (!serve(peer)) {
        return;
    }
    script_narrow(peer);
    while (!script_is_gone(peer)) {
        for (size_t i = 0; i < MANY; i++) {
            memcpy(deliveries[i], empty_delivery, sizeof empty_delivery);
            tag++;
            for (unsigned byte = 0; byte < 8; byte++) {
                deliveries[i][TAG_AT + byte] = (uint8_t)(tag >> 8 * (7 - byte));
            }
        }
        const size_t unread = script_unread(peer);
        script_write(peer, deliveries, sizeof deliveries);
        /* It settles them, and there is room for more; until no more goes into the sockets. */
        for (int i = 0; i < 300 && script_unread(peer) < unread + MANY * REJECT_BYTES; i++) {
            (void)usleep(1000);
        }
    }
}

static void acknowledge(void *context, size_t queue, const struct saga_amqp_message *message,
                        struct saga_amqp_ticket ticket) {
    (void)context;
    (void)queue;
    (void)message;
    saga_amqp_consumer_settle(consumer, ticket, SAGA_AMQP_REJECT);
}

/* How many deliveries there have been; until no more come. */
static uint64_t until_it_is_stuck(void) {
    uint64_t before, now = 0;
    do {
        before = now;
        (void)usleep(1500000);
        now = counts_now().delivered;
    } while (now != before);
    return now;
}

START_TEST(a_close_while_an_acknowledgement_is_stuck) {
    begin(play_deliveries_without_listening, NULL);
    struct saga_amqp_consumer_options options = quick_options();
    options.prefetch = UINT16_MAX;
    options.passive_ms = 600000;
    options.delivered = acknowledge;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    ck_assert_uint_gt(until_it_is_stuck(), 1000);
    close_within(9000);
    end();
}
END_TEST

static void play_heartbeats_without_end(struct scripted_peer *peer) {
    struct script_bytes beats = {0};
    while (beats.size + 8 <= 65536) {
        script_put_number(&beats, 8, UINT64_C(0x08000000000000ce));
    }
    if (serve(peer)) {
        while (!script_is_gone(peer)) {
            script_write(peer, beats.bytes, beats.size);
        }
    }
}

START_TEST(a_close_while_heartbeats_come_without_end) {
    begin(play_heartbeats_without_end, NULL);
    open_consumer();
    scene_await(&scene, scene.up);
    close_within(4000);
    end();
}
END_TEST

static void play_huge_messages_without_end(struct scripted_peer *peer) {
    static uint8_t body[8u << 20];
    uint64_t tag = 0;
    if (serve(peer)) {
        while (!script_is_gone(peer)) {
            script_message(peer, ++tag, "0", "big", body, sizeof body);
        }
    }
}

START_TEST(a_close_while_huge_messages_come_without_end) {
    begin(play_huge_messages_without_end, NULL);
    open_consumer();
    scene_await(&scene, scene.up);
    const int64_t until_ms = monotonic_ms() + 10000;
    while (counts_now().oversized < 3 && monotonic_ms() < until_ms) {
        (void)usleep(1000);
    }
    ck_assert_uint_ge(counts_now().oversized, 3); /* counted while they come */
    close_within(4000);
    ck_assert_uint_eq(scene.delivery_count, 0);
    end();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_hostile_consumer");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, the_connection_is_made_anew, 0,
                        (int)(sizeof stories / sizeof stories[0]));
    tcase_add_test(tcase, each_delivery_is_settled_once_whatever_is_asked_for);
    tcase_add_test(tcase, what_comes_after_the_stop_is_not_delivered_and_not_settled);
    tcase_add_test(tcase, a_queue_that_vanishes_silently_is_noticed_by_looking);
    tcase_add_test(tcase, a_look_that_is_not_answered_ends_the_connection);
    tcase_add_test(tcase, tables_in_tables_do_not_overflow_the_stack);
    tcase_add_test(tcase, a_close_while_the_login_is_not_answered);
    tcase_add_test(tcase, a_close_while_an_acknowledgement_is_stuck);
    tcase_add_test(tcase, a_close_while_heartbeats_come_without_end);
    tcase_add_test(tcase, a_close_while_huge_messages_come_without_end);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
