/* The publisher against a broker that lies, refuses, or does not read: each message has one fate,
 * and the right one. */
#include "amqp_scene.h"
#include "check_run.h"
#include "scripted_broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct scene scene;
static struct saga_amqp_publisher *publisher;

static void begin(void (*play)(struct scripted_peer *peer), void *context) {
    scripted_broker_start(play, context);
    scene_open(&scene, scripted_broker_port());
}

static void end(void) {
    scripted_broker_stop();
    ck_assert_uint_eq(scene.fates_unknown, 0);
    scene_close(&scene);
}

static struct saga_amqp_publisher_options quick_options(void) {
    struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    options.link.timeout_ms = 1000;
    return options;
}

static void open_publisher(void) {
    const struct saga_amqp_publisher_options options = quick_options();
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
}

/* Reads until so many messages have come. */
static bool hear(struct scripted_peer *peer, unsigned count) {
    struct script_heard heard;
    while (count > 0) {
        if (!script_until(peer, SCRIPT_BASIC_PUBLISH, &heard)) {
            return false;
        }
        count--;
    }
    bool is_read = true;
    for (int frames = 0; frames < 2 && is_read; frames++) { /* the last one's header and body */
        is_read = script_read(peer, &heard, -1);
    }
    return is_read;
}

#define LETTERS 20

/* -------------------------------------------------------------- confirmations */

static void play_odd_acks(struct scripted_peer *peer) {
    if (!script_greet(peer) || !hear(peer, LETTERS)) {
        return;
    }
    script_settle(peer, SCRIPT_BASIC_ACK, 0, false);
    script_settle(peer, SCRIPT_BASIC_ACK, 0, true);
    script_settle(peer, SCRIPT_BASIC_ACK, UINT64_MAX, true);
    script_settle(peer, SCRIPT_BASIC_NACK, LETTERS + 1, true); /* never published */
    script_settle(peer, SCRIPT_BASIC_ACK, 20, false);
    script_settle(peer, SCRIPT_BASIC_ACK, 3, false);
    script_settle(peer, SCRIPT_BASIC_ACK, 3, false);
    script_settle(peer, SCRIPT_BASIC_NACK, 3, false); /* too late */
    script_settle(peer, SCRIPT_BASIC_ACK, 10, true);
    script_settle(peer, SCRIPT_BASIC_NACK, 10, true);
    script_settle(peer, SCRIPT_BASIC_ACK, 5, true);
    for (uint64_t number = 19; number > 10; number--) {
        script_settle(peer, SCRIPT_BASIC_ACK, number, false);
    }
    script_attend(peer);
}

START_TEST(confirmations_in_any_order) {
    struct saga_amqp_publisher_counts counts;
    begin(play_odd_acks, NULL);
    open_publisher();
    struct letter *letters = scene_letters(&scene, LETTERS, "e", "k");
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.settled == LETTERS);
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert_uint_eq(counts.handed_over, LETTERS);
    ck_assert_uint_eq(counts.published, LETTERS);
    ck_assert_uint_eq(counts.in_doubt + counts.unsent + counts.unroutable, 0);
    ck_assert_uint_eq(counts.connections, 1);
    saga_amqp_publisher_close(publisher, 1000);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], LETTERS);
    free(letters);
    end();
}
END_TEST

static void play_nacks(struct scripted_peer *peer) {
    if (!script_greet(peer) || !hear(peer, LETTERS)) {
        return;
    }
    script_settle(peer, SCRIPT_BASIC_NACK, 2, false);
    script_settle(peer, SCRIPT_BASIC_NACK, 10, true);
    script_settle(peer, SCRIPT_BASIC_ACK, 20, true);
    script_attend(peer);
}

START_TEST(what_is_refused_is_in_doubt) {
    begin(play_nacks, NULL);
    open_publisher();
    struct letter *letters = scene_letters(&scene, LETTERS, "e", "k");
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.settled == LETTERS);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_IN_DOUBT], 10);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 10);
    for (size_t i = 0; i < LETTERS; i++) {
        ck_assert_int_eq(letters[i].fate, i < 10 ? SAGA_AMQP_IN_DOUBT : SAGA_AMQP_HANDED_OVER);
    }
    saga_amqp_publisher_close(publisher, 1000);
    free(letters);
    end();
}
END_TEST

/* ------------------------------------------------------------------- returns */

static void give_back(struct scripted_peer *peer, const char *routing_key, const char *id) {
    script_return(peer, routing_key);
    script_header(peer, 2, id, NULL);
    script_body(peer, "??", 2);
}

static void play_returns(struct scripted_peer *peer) {
    if (!script_greet(peer) || !hear(peer, 8)) {
        return;
    }
    give_back(peer, "k", "m1");
    script_settle(peer, SCRIPT_BASIC_ACK, 2, false);
    give_back(peer, "k", "m1");     /* once more */
    give_back(peer, "k", "nobody"); /* none of ours */
    give_back(peer, "other", "m2"); /* another message of that id */
    script_settle(peer, SCRIPT_BASIC_ACK, 3, false);
    give_back(peer, "k", "m3"); /* and no confirmation */
    give_back(peer, "k", "m4");
    script_settle(peer, SCRIPT_BASIC_NACK, 5, false);
    script_settle(peer, SCRIPT_BASIC_ACK, 1, false);
    give_back(peer, "k", "m0"); /* after it */
    give_back(peer, "k", NULL);
    script_settle(peer, SCRIPT_BASIC_ACK, 8, false);
    script_close(peer, 1, 541, "INTERNAL_ERROR");
    script_attend(peer);
}

START_TEST(what_comes_back_is_unroutable_once_it_is_confirmed) {
    static const uint8_t fates[8] = {
        SAGA_AMQP_HANDED_OVER, SAGA_AMQP_UNROUTABLE, SAGA_AMQP_HANDED_OVER, SAGA_AMQP_IN_DOUBT,
        SAGA_AMQP_IN_DOUBT,    SAGA_AMQP_IN_DOUBT,   SAGA_AMQP_IN_DOUBT,    SAGA_AMQP_UNROUTABLE};
    begin(play_returns, NULL);
    open_publisher();
    struct letter *letters = scene_letters(&scene, 8, "e", "k");
    letters[7].outgoing.message.message_id = NULL;
    scene_put(publisher, letters, 8);
    scene_await(&scene, scene.settled == 8);
    saga_amqp_publisher_close(publisher, 0);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_msg(letters[i].fate == fates[i], "letter %zu: fate %u", i, letters[i].fate);
    }
    free(letters);
    end();
}
END_TEST

static void play_returns_of_one_id(struct scripted_peer *peer) {
    if (!script_greet(peer) || !hear(peer, 4)) {
        return;
    }
    give_back(peer, "b", "same");
    script_settle(peer, SCRIPT_BASIC_ACK, 2, false);
    give_back(peer, "b", "same");
    script_settle(peer, SCRIPT_BASIC_ACK, 4, true);
    script_attend(peer);
}

START_TEST(of_several_with_one_id_those_of_the_queue_that_is_missing_come_back) {
    begin(play_returns_of_one_id, NULL);
    open_publisher();
    struct letter *letters = scene_letters(&scene, 4, "e", "a");
    for (size_t i = 0; i < 4; i++) {
        letters[i].outgoing.message.message_id = "same";
        letters[i].outgoing.message.routing_key = i % 2 == 0 ? "a" : "b";
    }
    scene_put(publisher, letters, 4);
    scene_await(&scene, scene.settled == 4);
    saga_amqp_publisher_close(publisher, 0);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(letters[i].fate,
                         i % 2 == 0 ? SAGA_AMQP_HANDED_OVER : SAGA_AMQP_UNROUTABLE);
    }
    free(letters);
    end();
}
END_TEST

/* -------------------------------------------------------------------- the end */

struct farewell {
    uint16_t channel, code;
    const char *text;
};

static void play_farewell(struct scripted_peer *peer) {
    const struct farewell *farewell = script_context(peer);
    if (script_connection(peer) > 1) {
        script_greet(peer);
        script_attend(peer);
    } else if (script_greet(peer) && hear(peer, LETTERS)) {
        script_settle(peer, SCRIPT_BASIC_ACK, 5, true);
        script_close(peer, farewell->channel, farewell->code, farewell->text);
        script_attend(peer);
    }
}

static struct farewell farewells[] = {
    {0, 320, "CONNECTION_FORCED"},   {0, 501, "FRAME_ERROR"}, {0, 541, "INTERNAL_ERROR"},
    {1, 404, "NOT_FOUND"},           {1, 405, "LOCKED"},      {1, 406, "PRECONDITION_FAILED"},
    {1, 541, "INTERNAL_ERROR here"},
};

START_TEST(each_way_to_close_leaves_the_unconfirmed_in_doubt) {
    char words[64];
    begin(play_farewell, &farewells[_i]);
    struct saga_amqp_publisher_options options = quick_options();
    options.window = LETTERS; /* so that some wait */
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
    struct letter *letters = scene_letters(&scene, LETTERS, "e", "k");
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.settled == LETTERS);
    scene_await(&scene, scene.ups == 2); /* connected again */
    (void)snprintf(words, sizeof words, "the broker says %u %s", farewells[_i].code,
                   farewells[_i].text);
    ck_assert_msg(strstr(scene.why, words) != NULL, "%s", scene.why);
    ck_assert_uint_eq(scene.downs, 1);
    ck_assert_uint_eq(scene.prepared, 2);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 5);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_IN_DOUBT], LETTERS - 5);
    saga_amqp_publisher_close(publisher, 1000);
    free(letters);
    end();
}
END_TEST

/* The connection ends after so many bytes of what the broker says. */
static void play_cut(struct scripted_peer *peer) {
    const size_t *cut_after = script_context(peer);
    const bool greeted = script_greet(peer);
    if (script_connection(peer) == 1) {
        script_cut_after(peer, script_written(peer) + *cut_after);
    }
    if (greeted && hear(peer, LETTERS)) {
        give_back(peer, "k", "m0");
        script_settle(peer, SCRIPT_BASIC_ACK, 1, false);
        script_settle(peer, SCRIPT_BASIC_ACK, LETTERS, true);
        script_attend(peer);
    }
}

START_TEST(cut_after_every_byte) {
    enum { ALL = 170 };
    unsigned connected = 0, doubts = 0;
    for (size_t cut_after = 0; cut_after < ALL; cut_after++) {
        begin(play_cut, &cut_after);
        open_publisher();
        struct letter *letters = scene_letters(&scene, LETTERS, "e", "k");
        scene_put(publisher, letters, LETTERS);
        scene_await(&scene, scene.settled == LETTERS);
        saga_amqp_publisher_close(publisher, 1000);
        const unsigned *fates = scene.fates;
        ck_assert_uint_eq(fates[SAGA_AMQP_UNSENT], 0);
        ck_assert(letters[0].fate == SAGA_AMQP_UNROUTABLE || letters[0].fate == SAGA_AMQP_IN_DOUBT);
        ck_assert(fates[SAGA_AMQP_IN_DOUBT] == 0 || fates[SAGA_AMQP_IN_DOUBT] >= LETTERS - 1);
        connected += scene.downs == 1; /* only the close */
        doubts += fates[SAGA_AMQP_IN_DOUBT] > 0;
        free(letters);
        end();
    }
    ck_assert_uint_gt(doubts, 50); /* cut in the middle of what was said of them */
    ck_assert_uint_gt(connected, 20);
}
END_TEST

/* ------------------------------------------------------------------ the alarm */

static void play_alarm(struct scripted_peer *peer) {
    struct script_bytes reason = {0};
    int *over = script_context(peer);
    uint8_t byte;
    script_put_short(&reason, "low on memory");
    if (!script_greet(peer) || !hear(peer, 1)) {
        return;
    }
    script_method(peer, 0, SCRIPT_CONNECTION_BLOCKED, &reason);
    ck_assert_int_eq(read(*over, &byte, 1), 1);
    script_method(peer, 0, SCRIPT_CONNECTION_UNBLOCKED, NULL);
    script_settle(peer, SCRIPT_BASIC_ACK, 1, false);
    (void)hear(peer, 1);
    script_settle(peer, SCRIPT_BASIC_ACK, 2, false);
    script_attend(peer);
}

START_TEST(an_alarm_stops_what_is_put) {
    int over[2];
    struct saga_amqp_publisher_counts counts;
    ck_assert_int_eq(pipe(over), 0);
    begin(play_alarm, &over[0]);
    open_publisher();
    struct letter *letters = scene_letters(&scene, 2, "e", "k");
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.downs == 1);
    ck_assert_msg(strstr(scene.why, "alarm") != NULL, "%s", scene.why);
    ck_assert(!saga_amqp_publisher_put(publisher, &letters[1].outgoing));
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert(counts.blocked && !counts.up);
    ck_assert_uint_eq(scene.settled, 0); /* the first one may still arrive */
    ck_assert_int_eq(write(over[1], "!", 1), 1);
    scene_await(&scene, scene.ups == 2);
    scene_put(publisher, letters + 1, 1);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] == 2);
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert(!counts.blocked && counts.up);
    ck_assert_uint_eq(counts.connections, 1);
    saga_amqp_publisher_close(publisher, 1000);
    free(letters);
    end();
}
END_TEST

static void close_within(uint32_t drain_ms, int64_t most_ms) {
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_publisher_close(publisher, drain_ms);
    ck_assert_int_lt(monotonic_ms() - begun_ms, most_ms);
}

START_TEST(a_close_during_an_alarm) {
    int over[2];
    ck_assert_int_eq(pipe(over), 0);
    begin(play_alarm, &over[0]);
    open_publisher();
    struct letter *letters = scene_letters(&scene, 1, "e", "k");
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.downs == 1);
    close_within(300, 2500);
    ck_assert_int_eq(letters[0].fate, SAGA_AMQP_IN_DOUBT);
    ck_assert_int_eq(write(over[1], "!", 1), 1);
    free(letters);
    end();
}
END_TEST

/* ---------------------------------------------------------------- the window */

static unsigned heard_publishes;

static void play_no_confirmation(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_greet(peer)) {
        return;
    }
    while (script_read(peer, &heard, 500)) {
        heard_publishes += heard.method == SCRIPT_BASIC_PUBLISH;
        script_answer(peer, &heard);
    }
    script_settle(peer, SCRIPT_BASIC_ACK, 32, true);
    while (script_read(peer, &heard, 500)) {
        heard_publishes += heard.method == SCRIPT_BASIC_PUBLISH;
    }
}

START_TEST(no_more_than_the_window_is_under_way) {
    struct saga_amqp_publisher_counts counts;
    begin(play_no_confirmation, NULL);
    struct saga_amqp_publisher_options options = quick_options();
    options.window = 32;
    options.queue_max = 50;
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
    struct letter *letters = scene_letters(&scene, 200, "e", "k");
    size_t taken = 0;
    while (taken < 200 && saga_amqp_publisher_put(publisher, &letters[taken].outgoing)) {
        taken++;
    }
    ck_assert_uint_lt(taken, 200);
    ck_assert_uint_ge(taken, 50);
    scene_await(&scene, scene.settled == 32);
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert_uint_le(counts.unconfirmed, 32);
    ck_assert_uint_le(counts.waiting, 50);
    scene_await(&scene, scene.settled == taken); /* the script is over */
    saga_amqp_publisher_close(publisher, 0);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 32);
    const size_t second = taken - 32 < 32 ? taken - 32 : 32;
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_IN_DOUBT], second);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_UNSENT], taken - 32 - second);
    ck_assert_uint_eq(heard_publishes, 32 + second);
    free(letters);
    end();
}
END_TEST

START_TEST(what_cannot_be_published_is_unsent_and_harms_nobody) {
    char long_id[400];
    memset(long_id, 'x', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    begin(play_nacks, NULL); /* refuses ten, takes ten */
    open_publisher();
    struct letter *letters = scene_letters(&scene, LETTERS + 2, "e", "k");
    letters[0].outgoing.message.message_id = long_id;
    letters[11].outgoing.message.correlation_id = long_id;
    scene_put(publisher, letters, LETTERS + 2);
    scene_await(&scene, scene.settled == LETTERS + 2);
    struct saga_amqp_publisher_counts counts;
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert_uint_eq(counts.connections, 1);
    ck_assert_uint_eq(counts.published, LETTERS);
    ck_assert_int_eq(letters[0].fate, SAGA_AMQP_UNSENT);
    ck_assert_int_eq(letters[11].fate, SAGA_AMQP_UNSENT);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_UNSENT], 2);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 10);
    saga_amqp_publisher_close(publisher, 0);
    free(letters);
    end();
}
END_TEST

/* ---------------------------------------------------- a broker that does not read */

#define BIG_BYTES (256u << 10)
#define BIG_COUNT 128 /* more than two sockets hold */

static struct letter *big_letters(void) {
    static uint8_t body[BIG_BYTES];
    struct letter *letters = scene_letters(&scene, BIG_COUNT, "e", "k");
    for (size_t i = 0; i < BIG_COUNT; i++) {
        letters[i].outgoing.message.body = body;
        letters[i].outgoing.message.body_size = sizeof body;
    }
    return letters;
}

static void play_reads_no_more(struct scripted_peer *peer) {
    if (script_connection(peer) == 1) {
        int *go_on = script_context(peer);
        uint8_t byte;
        script_greet(peer);
        (void)script_until(peer, SCRIPT_BASIC_PUBLISH, NULL);
        ck_assert_int_ge(read(*go_on, &byte, 1), 0);
    } else {
        script_greet(peer);
        script_attend(peer);
    }
}

START_TEST(a_publish_that_is_stuck_is_cut) {
    int go_on[2];
    struct saga_amqp_publisher_counts counts;
    ck_assert_int_eq(pipe(go_on), 0);
    begin(play_reads_no_more, &go_on[0]);
    struct saga_amqp_publisher_options options = quick_options();
    options.stuck_ms = 1000;
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
    struct letter *letters = big_letters();
    const int64_t begun_ms = monotonic_ms();
    scene_put(publisher, letters, BIG_COUNT);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 200);
    scene_await(&scene, scene.settled == BIG_COUNT);
    const int64_t cut_ms = monotonic_ms() - begun_ms;
    ck_assert_int_gt(cut_ms, 900);
    ck_assert_int_lt(cut_ms, 4000);
    scene_await(&scene, scene.downs == 1);
    ck_assert_msg(strstr(scene.why, "does not read") != NULL, "%s", scene.why);
    ck_assert_uint_gt(scene.fates[SAGA_AMQP_UNSENT], 0);
    ck_assert_uint_gt(scene.fates[SAGA_AMQP_IN_DOUBT], 0);
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert_uint_eq(counts.stuck, 1);
    ck_assert_uint_eq(counts.published, scene.fates[SAGA_AMQP_IN_DOUBT]);
    ck_assert_int_eq(write(go_on[1], "!", 1), 1);
    scene_await(&scene, scene.ups == 2);
    saga_amqp_publisher_close(publisher, 0);
    free(letters);
    end();
}
END_TEST

START_TEST(a_close_while_a_publish_is_stuck) {
    int go_on[2];
    ck_assert_int_eq(pipe(go_on), 0);
    begin(play_reads_no_more, &go_on[0]);
    open_publisher();
    struct letter *letters = big_letters();
    scene_put(publisher, letters, BIG_COUNT);
    close_within(300, 3000);
    ck_assert_uint_eq(scene.settled, BIG_COUNT);
    ck_assert_int_eq(write(go_on[1], "!", 1), 1);
    free(letters);
    end();
}
END_TEST

/* Reads slowly, but reads. */
static void play_slow(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_greet(peer)) {
        return;
    }
    for (unsigned count = 0; count < BIG_COUNT;) {
        if (!script_until(peer, SCRIPT_BASIC_PUBLISH, &heard)) {
            return;
        }
        (void)usleep(50000); /* a way that takes 5 MB a second */
        script_settle(peer, SCRIPT_BASIC_ACK, ++count, false);
    }
    script_attend(peer);
}

START_TEST(a_slow_way_is_not_a_stuck_one) {
    struct saga_amqp_publisher_counts counts;
    begin(play_slow, NULL);
    struct saga_amqp_publisher_options options = quick_options();
    options.stuck_ms = 1500;
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
    struct letter *letters = big_letters();
    scene_put(publisher, letters, BIG_COUNT);
    scene_await_for(&scene, 40, scene.settled == BIG_COUNT);
    saga_amqp_publisher_count(publisher, &counts);
    ck_assert_uint_eq(counts.stuck, 0);
    ck_assert_uint_eq(counts.handed_over, BIG_COUNT);
    saga_amqp_publisher_close(publisher, 0);
    free(letters);
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
    const struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    publisher = scene_publisher(&options);
    (void)usleep(200000); /* it is in the middle of that */
    struct letter *letters = scene_letters(&scene, 1, "e", "k");
    ck_assert(!saga_amqp_publisher_put(publisher, &letters[0].outgoing));
    close_within(1000, 9000);
    free(letters);
    end();
}
END_TEST

static void pour(struct scripted_peer *peer, uint64_t frame) {
    struct script_bytes frames = {0};
    while (frames.size + 8 <= 65536) {
        script_put_number(&frames, 8, frame);
    }
    for (unsigned i = 0; i < 1000000; i++) { /* as long as it is read */
        script_write(peer, frames.bytes, frames.size);
    }
}

static void play_heartbeats_without_end(struct scripted_peer *peer) {
    struct script_heard heard;
    (void)(script_greet(peer) && script_until(peer, SCRIPT_CONFIRM_SELECT, &heard));
    script_answer(peer, &heard);
    pour(peer, UINT64_C(0x08000000000000ce));
}

START_TEST(a_close_while_heartbeats_come_without_end) {
    begin(play_heartbeats_without_end, NULL);
    open_publisher();
    close_within(500, 4000);
    end();
}
END_TEST

static void play_confirmations_without_end(struct scripted_peer *peer) {
    struct script_heard heard;
    (void)(script_greet(peer) && script_until(peer, SCRIPT_CONFIRM_SELECT, &heard));
    script_answer(peer, &heard);
    for (unsigned i = 0; i < 100000000 && !script_is_gone(peer); i++) {
        script_settle(peer, SCRIPT_BASIC_ACK, 1, false);
    }
}

START_TEST(a_close_while_confirmations_come_without_end) {
    begin(play_confirmations_without_end, NULL);
    open_publisher();
    close_within(500, 4000);
    end();
}
END_TEST

static void play_refusal(struct scripted_peer *peer) {
    (void)script_read_protocol(peer);
    script_say_start(peer);
    (void)script_until(peer, SCRIPT_CONNECTION_START_OK, NULL);
    script_close(peer, 0, 403, "ACCESS_REFUSED - Login was refused");
    script_attend(peer);
    if (script_connection(peer) == 5) {
        int *told = script_context(peer);
        ck_assert_int_eq(write(*told, "!", 1), 1);
    }
}

START_TEST(the_same_reason_is_told_once) {
    int told[2];
    char byte;
    ck_assert_int_eq(pipe(told), 0);
    begin(play_refusal, &told[1]);
    const struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    publisher = scene_publisher(&options);
    ck_assert_int_eq(read(told[0], &byte, 1), 1); /* the fifth try was refused */
    ck_assert_uint_eq(scene.downs, 1);
    ck_assert_msg(strstr(scene.why, "403 ACCESS_REFUSED - Login was refused") != NULL, "%s",
                  scene.why);
    close_within(0, 2000);
    end();
}
END_TEST

/* Who publishes gets deliveries; who asked for nothing gets answers. */
static void play_gossip(struct scripted_peer *peer) {
    struct script_bytes nothing = {0};
    if (!script_greet(peer) || !hear(peer, 1)) {
        return;
    }
    script_message(peer, 1, "0", "x", "body", 4);
    script_put_number(&nothing, 4, 0);
    script_method(peer, 1, SCRIPT_CHANNEL_OPEN_OK, &nothing);
    script_method(peer, 1, SCRIPT_QUEUE_BIND_OK, NULL);
    script_settle(peer, SCRIPT_BASIC_ACK, 1, false);
    script_attend(peer);
}

START_TEST(gossip_is_passed_over) {
    begin(play_gossip, NULL);
    open_publisher();
    struct letter *letters = scene_letters(&scene, 1, "e", "k");
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] == 1);
    saga_amqp_publisher_close(publisher, 0);
    free(letters);
    end();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_hostile_publisher");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, confirmations_in_any_order);
    tcase_add_test(tcase, what_is_refused_is_in_doubt);
    tcase_add_test(tcase, what_comes_back_is_unroutable_once_it_is_confirmed);
    tcase_add_test(tcase, of_several_with_one_id_those_of_the_queue_that_is_missing_come_back);
    tcase_add_loop_test(tcase, each_way_to_close_leaves_the_unconfirmed_in_doubt, 0,
                        (int)(sizeof farewells / sizeof farewells[0]));
    tcase_add_test(tcase, cut_after_every_byte);
    tcase_add_test(tcase, an_alarm_stops_what_is_put);
    tcase_add_test(tcase, a_close_during_an_alarm);
    tcase_add_test(tcase, no_more_than_the_window_is_under_way);
    tcase_add_test(tcase, what_cannot_be_published_is_unsent_and_harms_nobody);
    tcase_add_test(tcase, a_publish_that_is_stuck_is_cut);
    tcase_add_test(tcase, a_close_while_a_publish_is_stuck);
    tcase_add_test(tcase, a_slow_way_is_not_a_stuck_one);
    tcase_add_test(tcase, a_close_while_the_login_is_not_answered);
    tcase_add_test(tcase, a_close_while_heartbeats_come_without_end);
    tcase_add_test(tcase, a_close_while_confirmations_come_without_end);
    tcase_add_test(tcase, the_same_reason_is_told_once);
    tcase_add_test(tcase, gossip_is_passed_over);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
