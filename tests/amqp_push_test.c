/* What is put or settled later leaves when it is pushed, all of it at once. */
#include "amqp_scene.h"
#include "check_run.h"
#include "scripted_broker.h"

#include <stdlib.h>

static struct scene scene;

/* Confirms what it hears, in two portions of one and three. */
static void play_confirms(struct scripted_peer *peer) {
    struct script_heard heard;
    bool alive = script_greet(peer);
    for (unsigned number = 1; alive && number <= 4; number++) {
        alive = script_until(peer, SCRIPT_BASIC_PUBLISH, &heard) && script_read(peer, &heard, -1) &&
                script_read(peer, &heard, -1);
        if (alive && (number == 1 || number == 4)) {
            script_settle(peer, SCRIPT_BASIC_ACK, number, true);
        }
    }
    script_attend(peer);
}

START_TEST(what_is_put_later_leaves_when_it_is_pushed) {
    scripted_broker_start(play_confirms, NULL);
    scene_open(&scene, scripted_broker_port());
    const struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    struct saga_amqp_publisher *publisher = scene_publisher(&options);
    struct letter *letters = scene_letters(&scene, 4, "e", "k");
    scene_await(&scene, scene.up);
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.settled == 1); /* from here on the thread waits */
    for (size_t i = 1; i < 4; i++) {
        ck_assert(saga_amqp_publisher_put_later(publisher, &letters[i].outgoing));
    }
    saga_amqp_publisher_push(publisher);
    scene_await_for(&scene, 3,
                    scene.fates[SAGA_AMQP_HANDED_OVER] == 4); /* heartbeats wake it after 5 s */
    saga_amqp_publisher_push(publisher);                      /* of nothing */
    saga_amqp_publisher_close(publisher, 1000);
    free(letters);
    scripted_broker_stop();
    scene_close(&scene);
}
END_TEST

START_TEST(what_was_put_later_and_not_pushed_has_a_fate_too) {
    scripted_broker_start(play_confirms, NULL);
    scene_open(&scene, scripted_broker_port());
    const struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    struct saga_amqp_publisher *publisher = scene_publisher(&options);
    struct letter *letters = scene_letters(&scene, 4, "e", "k");
    scene_await(&scene, scene.up);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(saga_amqp_publisher_put_later(publisher, &letters[i].outgoing));
    }
    saga_amqp_publisher_close(publisher, 5000);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 4);
    free(letters);
    scripted_broker_stop();
    scene_close(&scene);
}
END_TEST

/* What the consumer acknowledged first; written by the broker's thread before it ends. */
static uint64_t acknowledged;
static bool up_to;

static void play_deliveries(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_greet(peer) || !script_until(peer, SCRIPT_BASIC_CONSUME, &heard)) {
        return;
    }
    script_answer(peer, &heard);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        script_message(peer, tag, "0", "x", "body", 4);
    }
    if (script_until(peer, SCRIPT_BASIC_ACK, &heard)) {
        for (size_t i = 0; i < 8; i++) {
            acknowledged = acknowledged << 8 | heard.payload[i];
        }
        up_to = heard.payload[8] != 0;
        script_message(peer, 4, "0", "x", "heard", 5);
    }
    script_attend(peer);
}

START_TEST(what_is_settled_later_is_one_acknowledgement) {
    scripted_broker_start(play_deliveries, NULL);
    scene_open(&scene, scripted_broker_port());
    const struct saga_amqp_consumer_options options = scene_consumer_options(&scene, "q");
    struct saga_amqp_consumer *consumer = scene_consumer(&options);
    scene_await(&scene, scene.delivery_count == 3);
    scene_lock(&scene);
    struct saga_amqp_ticket tickets[3];
    for (size_t i = 0; i < 3; i++) {
        tickets[i] = scene.deliveries[i].ticket;
    }
    scene_unlock(&scene);
    for (size_t i = 0; i < 3; i++) {
        saga_amqp_consumer_settle_later(consumer, tickets[2 - i], SAGA_AMQP_ACK);
    }
    saga_amqp_consumer_push(consumer);
    scene_await_for(&scene, 3, scene.delivery_count == 4);
    saga_amqp_consumer_push(consumer); /* of nothing */
    saga_amqp_consumer_stop(consumer);
    saga_amqp_consumer_close(consumer);
    scripted_broker_stop();
    ck_assert_uint_eq(acknowledged, 3);
    ck_assert(up_to);
    scene_close(&scene);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_push");
    TCase *tcase = tcase_create("later");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_put_later_leaves_when_it_is_pushed);
    tcase_add_test(tcase, what_was_put_later_and_not_pushed_has_a_fate_too);
    tcase_add_test(tcase, what_is_settled_later_is_one_acknowledgement);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
