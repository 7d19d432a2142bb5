/* The publisher with a real broker that is killed, paused, filled, and comes back: each message has
 * one fate, and it is true. */
#include "amqp_scene.h"
#include "broker_node.h"
#include "check_run.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct broker_node node;
static struct scene scene;
static struct saga_amqp_publisher *publisher;

static void open_scene(void) {
    scene_open(&scene, node.port);
}

static void close_scene(void) {
    saga_amqp_publisher_close(publisher, 1000);
    ck_assert_uint_eq(scene.fates_unknown, 0);
    scene_close(&scene);
}

/* The test's queue; scene.context is its name. */
static enum saga_error declare(void *context, struct saga_amqp_link *link,
                               struct saga_fault *fault) {
    struct scene *of = context;
    const struct saga_amqp_queue queue = {.name = of->context};
    scene_lock(of);
    of->prepared++;
    scene_unlock(of);
    return saga_amqp_link_queue(link, &queue, fault);
}

static struct saga_amqp_publisher_options options_of(const char *queue) {
    static char name[64];
    (void)snprintf(name, sizeof name, "%s", queue);
    scene.context = name;
    struct saga_amqp_publisher_options options = scene_publisher_options(&scene);
    options.prepare = declare;
    return options;
}

static void open_publisher(const char *queue) {
    const struct saga_amqp_publisher_options options = options_of(queue);
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
}

static struct saga_amqp_publisher_counts counts_now(void) {
    struct saga_amqp_publisher_counts counts;
    saga_amqp_publisher_count(publisher, &counts);
    return counts;
}

/* How often each of the letters is in the queue, which is emptied. At least so many are expected: a
 * broker that has just been started takes its time to find them. */
static void count_arrived(const char *queue, unsigned *times, size_t count, size_t least) {
    struct saga_amqp_link *link = scene_link(&scene);
    struct saga_amqp_event event;
    struct saga_fault fault = {0};
    memset(times, 0, count * sizeof *times);
    ck_assert_int_eq(saga_amqp_link_consume(link, queue, 0, 0, &fault), SAGA_OK);
    const int64_t until_ms = monotonic_ms() + 30000;
    int64_t quiet_ms = monotonic_ms() + 1000;
    size_t arrived = 0;
    while (monotonic_ms() < quiet_ms || (arrived < least && monotonic_ms() < until_ms)) {
        ck_assert_msg(saga_amqp_link_take(link, &event, &fault) == SAGA_OK, "%s", fault.text);
        if (event.type == SAGA_AMQP_DELIVERED) {
            const size_t number = strtoul(event.message.message_id + 1, NULL, 10);
            ck_assert_uint_lt(number, count);
            times[number]++;
            arrived++;
            ck_assert_int_eq(saga_amqp_link_ack(link, event.tag, false, &fault), SAGA_OK);
            quiet_ms = monotonic_ms() + 3000;
        } else {
            saga_amqp_link_wait(link, -1, 50);
        }
    }
    saga_amqp_link_finish(link, 2000);
}

START_TEST(what_is_handed_over_arrives_once) {
    enum { LETTERS = 20000 };
    static unsigned times[LETTERS];
    open_publisher("p.over");
    struct letter *letters = scene_letters(&scene, LETTERS, "", "p.over");
    for (size_t i = 0; i < LETTERS; i++) {
        letters[i].outgoing.message.persistent = i % 2 == 0;
    }
    scene_put(publisher, letters, LETTERS);
    scene_await_for(&scene, 60, scene.settled == LETTERS);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], LETTERS);
    ck_assert_uint_eq(counts_now().published, LETTERS);
    ck_assert_uint_eq(counts_now().unconfirmed, 0);
    count_arrived("p.over", times, LETTERS, LETTERS);
    for (size_t i = 0; i < LETTERS; i++) {
        ck_assert_uint_eq(times[i], 1);
    }
    free(letters);
}
END_TEST

START_TEST(what_no_queue_takes_is_unroutable) {
    enum { LETTERS = 300 };
    open_publisher("p.route");
    struct letter *letters = scene_letters(&scene, LETTERS, "", "p.route");
    for (size_t i = 0; i < LETTERS; i++) {
        if (i % 3 == 0) {
            letters[i].outgoing.message.routing_key = "p.nobody";
        }
        if (i % 2 == 0) {
            letters[i].outgoing.message.message_id = "the same";
        }
    }
    letters[6].outgoing.message.mandatory = false;
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.settled == LETTERS);
    for (size_t i = 0; i < LETTERS; i++) {
        ck_assert_int_eq(letters[i].fate,
                         i % 3 == 0 && i != 6 ? SAGA_AMQP_UNROUTABLE : SAGA_AMQP_HANDED_OVER);
    }
    free(letters);
}
END_TEST

/* --------------------------------------------------------------------- killed */

struct stream {
    struct letter *letters;
    size_t count;
    size_t refused; /* they stay ours: not to be counted */
    bool *is_put;
    int64_t longest_ms;
};

static void *put_steadily(void *context) {
    struct stream *stream = context;
    for (size_t i = 0; i < stream->count; i++) {
        const int64_t begun_ms = monotonic_ms();
        stream->is_put[i] = saga_amqp_publisher_put(publisher, &stream->letters[i].outgoing);
        const int64_t took_ms = monotonic_ms() - begun_ms;
        stream->longest_ms = took_ms > stream->longest_ms ? took_ms : stream->longest_ms;
        stream->refused += !stream->is_put[i];
        if (i % 50 == 0) {
            (void)usleep(1000);
        }
    }
    return NULL;
}

static void expect_true_fates(const struct stream *stream, const unsigned *times) {
    for (size_t i = 0; i < stream->count; i++) {
        const unsigned fate = stream->letters[i].fate;
        if (!stream->is_put[i] || fate == SAGA_AMQP_UNSENT) {
            ck_assert_msg(times[i] == 0, "letter %zu was not sent, and arrived", i);
        } else if (fate == SAGA_AMQP_HANDED_OVER) {
            ck_assert_msg(times[i] == 1, "letter %zu: %u times", i, times[i]);
        } else {
            ck_assert_int_eq(fate, SAGA_AMQP_IN_DOUBT);
            ck_assert_uint_le(times[i], 1);
        }
    }
}

START_TEST(a_kill_in_mid_flight) {
    enum { LETTERS = 60000 };
    static unsigned times[LETTERS];
    static bool is_put[LETTERS];
    char queue[32];
    pthread_t thread;
    (void)snprintf(queue, sizeof queue, "p.kill.%d", _i);
    open_publisher(queue);
    /* Or the broker may forget the queue, that it has just confirmed. */
    (void)broker_node_ctl(&node, (const char *const[]){"eval", "ok = mnesia:sync_log().", NULL});
    struct letter *letters = scene_letters(&scene, LETTERS, "", queue);
    static char body[2000];
    for (size_t i = 0; i < LETTERS; i++) {
        letters[i].outgoing.message.persistent = true;
        letters[i].outgoing.message.body = body;
        letters[i].outgoing.message.body_size = 50 + i % 1900;
    }
    struct stream stream = {.letters = letters, .count = LETTERS, .is_put = is_put};
    ck_assert_int_eq(pthread_create(&thread, NULL, put_steadily, &stream), 0);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] > 1000u * (unsigned)(_i + 1));
    if (_i > 0) { /* with a whole window on its way, which nobody confirms */
        broker_node_pause(&node);
        scene_await(&scene, counts_now().unconfirmed > 0);
    }
    broker_node_kill(&node);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    scene_await(&scene, scene.settled == LETTERS - stream.refused);
    ck_assert_uint_eq(counts_now().unconfirmed, 0);
    ck_assert(!saga_amqp_publisher_put(publisher, &letters[0].outgoing)); /* it is down */
    ck_assert(_i == 0 || scene.fates[SAGA_AMQP_IN_DOUBT] > 0);
    broker_node_start(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    ck_assert_uint_eq(scene.prepared, 2);
    count_arrived(queue, times, LETTERS, scene.fates[SAGA_AMQP_HANDED_OVER]);
    expect_true_fates(&stream, times);
    (void)printf("killed: %u handed over, %u in doubt, %u unsent, %zu refused; the longest put "
                 "took %lld ms\n",
                 scene.fates[SAGA_AMQP_HANDED_OVER], scene.fates[SAGA_AMQP_IN_DOUBT],
                 scene.fates[SAGA_AMQP_UNSENT], stream.refused, (long long)stream.longest_ms);
    free(letters);
}
END_TEST

START_TEST(a_restart_in_good_order) {
    open_publisher("p.restart");
    broker_node_stop(&node);
    scene_await(&scene, scene.downs >= 1);
    ck_assert(!counts_now().up);
    broker_node_start(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    struct letter *letters = scene_letters(&scene, 1, "", "p.restart");
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] == 1);
    free(letters);
}
END_TEST

/* ----------------------------------------------------------------- blocked, paused */

START_TEST(an_alarm_stops_publishing_and_nothing_else) {
    enum { LETTERS = 200 };
    struct saga_amqp_consumer_counts consumed;
    open_publisher("p.alarm");
    struct letter *letters = scene_letters(&scene, LETTERS, "", "p.alarm");
    scene_put(publisher, letters, 100);
    scene_await(&scene, scene.settled == 100);
    const struct saga_amqp_consumer_options options = scene_consumer_options(&scene, "p.alarm");
    struct saga_amqp_consumer *consumer = scene_consumer(&options);
    scene_await(&scene, scene.delivery_count == 100);
    const unsigned downs = scene.downs;
    broker_node_alarm(&node, true);
    scene_put(publisher, letters + 100, 1); /* the broker says it to who publishes */
    scene_await(&scene, scene.downs == downs + 1);
    ck_assert_msg(strstr(scene.why, "alarm") != NULL, "%s", scene.why);
    ck_assert(!saga_amqp_publisher_put(publisher, &letters[101].outgoing));
    ck_assert(counts_now().blocked);
    for (size_t i = 0; i < 100; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    const int64_t until_ms = monotonic_ms() + 5000;
    do {
        (void)usleep(10000);
        saga_amqp_consumer_count(consumer, &consumed);
    } while (consumed.acknowledged < 100 && monotonic_ms() < until_ms);
    const char *listed = broker_node_ctl(
        &node, (const char *const[]){"--silent", "list_queues", "name", "messages", NULL});
    ck_assert_msg(strstr(listed, "p.alarm\t0\n") != NULL, "%s", listed);
    broker_node_alarm(&node, false);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] == 101);
    scene_await(&scene, scene.up);
    scene_put(publisher, letters + 101, LETTERS - 101);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] == LETTERS);
    ck_assert_uint_eq(counts_now().connections, 1);
    saga_amqp_consumer_close(consumer);
    free(letters);
}
END_TEST

START_TEST(a_close_during_an_alarm) {
    open_publisher("p.close");
    struct letter *letters = scene_letters(&scene, 1, "", "p.close");
    broker_node_alarm(&node, true);
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.downs == 1);
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_publisher_close(publisher, 500);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 4000);
    publisher = NULL;
    broker_node_alarm(&node, false);
    ck_assert_int_eq(letters[0].fate, SAGA_AMQP_IN_DOUBT);
    free(letters);
}
END_TEST

START_TEST(a_pause_is_noticed_and_survived) {
    enum { LETTERS = 100000 };
    static bool is_put[LETTERS];
    static char body[20000];
    pthread_t thread;
    struct saga_amqp_publisher_options options = options_of("p.pause");
    options.link.heartbeat_s = 2;
    options.link.timeout_ms = 1000;
    options.stuck_ms = 3000;
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.up);
    struct letter *letters = scene_letters(&scene, LETTERS, "", "p.pause");
    for (size_t i = 0; i < LETTERS; i++) {
        letters[i].outgoing.message.body = body;
        letters[i].outgoing.message.body_size = _i == 0 ? 10 : sizeof body; /* stuck, or not */
    }
    scene_put(publisher, letters, 1);
    scene_await(&scene, scene.settled == 1);
    broker_node_pause(&node);
    const int64_t paused_ms = monotonic_ms();
    struct stream stream = {.letters = letters + 1, .count = LETTERS - 1, .is_put = is_put};
    ck_assert_int_eq(pthread_create(&thread, NULL, put_steadily, &stream), 0);
    scene_await(&scene, scene.downs == 1);
    ck_assert_int_lt(monotonic_ms() - paused_ms, 8000);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_lt(stream.longest_ms, 200);
    scene_await(&scene, scene.settled == LETTERS - stream.refused);
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], 1);
    scene_await(&scene, scene.downs >= 2); /* and cannot connect: another reason */
    broker_node_resume(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    (void)printf("paused: %u in doubt, %u unsent; stuck %lu\n", scene.fates[SAGA_AMQP_IN_DOUBT],
                 scene.fates[SAGA_AMQP_UNSENT], (unsigned long)counts_now().stuck);
    free(letters);
}
END_TEST

/* --------------------------------------------------------------------- not there */

static void expect_told_once(const char *why) {
    const struct saga_amqp_publisher_options options = options_of("p.none");
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.downs == 1);
    ck_assert_msg(strstr(scene.why, why) != NULL, "%s", scene.why);
    struct letter *letters = scene_letters(&scene, 1, "", "p.none");
    ck_assert(!saga_amqp_publisher_put(publisher, &letters[0].outgoing));
    (void)usleep(
        2000000); /* nothing that could be awaited: it tries some times, and says nothing */
    ck_assert_uint_eq(scene.downs, 1);
    ck_assert_uint_eq(counts_now().connections, 0);
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_publisher_close(publisher, 1000);
    publisher = NULL;
    ck_assert_int_lt(monotonic_ms() - begun_ms, 3000);
    free(letters);
}

START_TEST(a_wrong_password) {
    (void)strcpy(scene.address.password, "wrong");
    expect_told_once("403 ACCESS_REFUSED");
}
END_TEST

START_TEST(a_vhost_that_is_not_there) {
    (void)strcpy(scene.address.vhost, "elsewhere");
    expect_told_once("530 NOT_ALLOWED");
}
END_TEST

START_TEST(nobody_listens) {
    scene.address.hosts[0].port = 1;
    expect_told_once("127.0.0.1:1: nobody listens there");
}
END_TEST

START_TEST(a_declaration_that_is_refused) {
    struct saga_amqp_link *link = scene_link(&scene);
    struct saga_fault fault = {0};
    const struct saga_amqp_queue other = {.name = "p.other", .dead_letter_queue = "x"};
    ck_assert_int_eq(saga_amqp_link_queue(link, &other, &fault), SAGA_OK);
    saga_amqp_link_close(link);
    const struct saga_amqp_publisher_options options = options_of("p.other");
    publisher = scene_publisher(&options);
    scene_await(&scene, scene.downs == 1);
    ck_assert_msg(strstr(scene.why, "queue p.other: ") != NULL &&
                      strstr(scene.why, "406 PRECONDITION_FAILED") != NULL,
                  "%s", scene.why);
    scene_await(&scene, scene.prepared >= 3); /* it goes on trying, */
    ck_assert_uint_eq(scene.downs, 1);        /* and has said why */
    ck_assert_uint_eq(scene.ups, 0);
}
END_TEST

/* A listening socket that nobody serves: the kernel takes the connection, and that is all. */
START_TEST(a_close_while_nobody_answers) {
    struct sockaddr_in place = {.sin_family = AF_INET};
    socklen_t size = sizeof place;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(hole, (struct sockaddr *)&place, sizeof place), 0);
    ck_assert_int_eq(listen(hole, 1), 0);
    ck_assert_int_eq(getsockname(hole, (struct sockaddr *)&place, &size), 0);
    scene.address.hosts[0].port = ntohs(place.sin_port);
    const struct saga_amqp_publisher_options options = options_of("p.hole");
    publisher = scene_publisher(&options);
    const struct saga_amqp_consumer_options other = scene_consumer_options(&scene, "p.hole");
    struct saga_amqp_consumer *consumer = scene_consumer(&other);
    (void)usleep(300000); /* both are in the middle of it */
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_publisher_close(publisher, 1000);
    publisher = NULL;
    ck_assert_int_lt(monotonic_ms() - begun_ms, 9000);
    saga_amqp_consumer_close(consumer);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 9000);
    (void)close(hole);
}
END_TEST

START_TEST(a_close_waits_for_what_is_on_its_way) {
    enum { LETTERS = 5000 };
    open_publisher("p.drain");
    struct letter *letters = scene_letters(&scene, LETTERS, "", "p.drain");
    for (size_t i = 0; i < LETTERS; i++) {
        letters[i].outgoing.message.persistent = true;
    }
    scene_put(publisher, letters, LETTERS);
    saga_amqp_publisher_close(publisher, 20000);
    publisher = NULL;
    ck_assert_uint_eq(scene.fates[SAGA_AMQP_HANDED_OVER], LETTERS);
    free(letters);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_publisher");
    TCase *tcase = tcase_create("publisher");
    tcase_add_checked_fixture(tcase, open_scene, close_scene);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_is_handed_over_arrives_once);
    tcase_add_test(tcase, what_no_queue_takes_is_unroutable);
    tcase_add_loop_test(tcase, a_kill_in_mid_flight, 0, 3);
    tcase_add_test(tcase, a_restart_in_good_order);
    tcase_add_test(tcase, an_alarm_stops_publishing_and_nothing_else);
    tcase_add_test(tcase, a_close_during_an_alarm);
    tcase_add_loop_test(tcase, a_pause_is_noticed_and_survived, 0, 2);
    tcase_add_test(tcase, a_wrong_password);
    tcase_add_test(tcase, a_vhost_that_is_not_there);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, a_declaration_that_is_refused);
    tcase_add_test(tcase, a_close_while_nobody_answers);
    tcase_add_test(tcase, a_close_waits_for_what_is_on_its_way);
    suite_add_tcase(suite, tcase);
    broker_node_open(&node);
    const int status = check_run(suite);
    broker_node_close(&node);
    return status;
}
