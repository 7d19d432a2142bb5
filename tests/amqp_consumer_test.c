/* The consumer with a real broker: each delivery is settled once, whoever settles it in what order,
 * and comes again where it was not. */
#include "amqp_scene.h"
#include "broker_node.h"
#include "check_run.h"
#include "splitmix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct broker_node node;
static struct scene scene;
static struct saga_amqp_consumer *consumer;

static void open_scene(void) {
    scene_open(&scene, node.port);
}

static void close_scene(void) {
    saga_amqp_consumer_close(consumer);
    scene_close(&scene);
}

/* scene.context is the queue's name. */
static enum saga_error declare(void *context, struct saga_amqp_link *link,
                               struct saga_fault *fault) {
    struct scene *of = context;
    char dead[80];
    (void)snprintf(dead, sizeof dead, "%s.dead", (const char *)of->context);
    const struct saga_amqp_queue last = {.name = dead};
    const struct saga_amqp_queue queue = {.name = of->context, .dead_letter_queue = dead};
    scene_lock(of);
    of->prepared++;
    scene_unlock(of);
    const enum saga_error error = saga_amqp_link_queue(link, &last, fault);
    return error != SAGA_OK ? error : saga_amqp_link_queue(link, &queue, fault);
}

static struct saga_amqp_consumer_options options_of(const char *queue) {
    static char name[64];
    (void)snprintf(name, sizeof name, "%s", queue);
    scene.context = name;
    struct saga_amqp_consumer_options options = scene_consumer_options(&scene, name);
    options.prepare = declare;
    return options;
}

static void open_consumer(const char *queue) {
    const struct saga_amqp_consumer_options options = options_of(queue);
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
}

static struct saga_amqp_consumer_counts counts_now(void) {
    struct saga_amqp_consumer_counts counts;
    saga_amqp_consumer_count(consumer, &counts);
    return counts;
}

static void publish(const char *queue, size_t count, size_t body_size) {
    static uint8_t body[2u << 20];
    struct saga_amqp_link *link = scene_link(&scene);
    struct saga_fault fault = {0};
    char id[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "m%zu", i);
        const struct saga_amqp_message message = {.exchange = "",
                                                  .routing_key = queue,
                                                  .message_id = id,
                                                  .persistent = true,
                                                  .body = body,
                                                  .body_size = body_size};
        ck_assert_msg(saga_amqp_link_publish(link, &message, &fault) == SAGA_OK, "%s", fault.text);
    }
    saga_amqp_link_finish(link, 60000);
}

/* As rabbitmqctl lists them; with those that are with consumers. */
static void expect_messages(const char *queue, unsigned count) {
    char line[128];
    (void)snprintf(line, sizeof line, "%s\t%u\n", queue, count);
    const char *listed = broker_node_ctl(
        &node, (const char *const[]){"--silent", "list_queues", "name", "messages", NULL});
    ck_assert_msg(strstr(listed, line) != NULL, "no '%s' in\n%s", line, listed);
}

/* -------------------------------------------------------------- many settlements */

#define SETTLERS 4

/* Deliveries that nobody has settled yet: they are taken out in random order. */
struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct pooled {
        struct saga_amqp_ticket ticket;
        uint32_t number;
        bool redelivered;
    } items[SAGA_AMQP_PREFETCH + 1];
    size_t count;
    bool over;
    bool mixed;          /* also rejects, and puts back; else only acknowledges */
    uint8_t *deliveries; /* by number */
    uint64_t done;       /* acknowledged or rejected */
};

static struct pool pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void pool_delivery(void *context, size_t queue, const struct saga_amqp_message *message,
                          struct saga_amqp_ticket ticket) {
    (void)context;
    (void)queue;
    const uint32_t number = (uint32_t)strtoul(message->message_id + 1, NULL, 10);
    (void)pthread_mutex_lock(&pool.mutex);
    ck_assert_uint_lt(pool.count, SAGA_AMQP_PREFETCH);
    pool.items[pool.count++] = (struct pooled){ticket, number, pool.deliveries[number] > 0};
    pool.deliveries[number]++;
    (void)pthread_cond_signal(&pool.changed);
    (void)pthread_mutex_unlock(&pool.mutex);
}

static enum saga_amqp_settlement decide(const struct pooled *item) {
    if (!pool.mixed) {
        return SAGA_AMQP_ACK;
    }
    if (item->number % 3 == 0 && !item->redelivered) {
        return SAGA_AMQP_REQUEUE;
    }
    return item->number % 5 == 0 ? SAGA_AMQP_REJECT : SAGA_AMQP_ACK;
}

static void *settle_randomly(void *seed) {
    struct splitmix random = {(uint64_t)(uintptr_t)seed};
    (void)pthread_mutex_lock(&pool.mutex);
    for (;;) {
        while (pool.count == 0 && !pool.over) {
            (void)pthread_cond_wait(&pool.changed, &pool.mutex);
        }
        if (pool.count == 0) {
            break;
        }
        const size_t at = (size_t)splitmix_below(&random, pool.count);
        const struct pooled item = pool.items[at];
        pool.items[at] = pool.items[--pool.count];
        const enum saga_amqp_settlement how = decide(&item);
        pool.done += how != SAGA_AMQP_REQUEUE;
        (void)pthread_mutex_unlock(&pool.mutex);
        saga_amqp_consumer_settle(consumer, item.ticket, how);
        (void)pthread_mutex_lock(&pool.mutex);
    }
    (void)pthread_mutex_unlock(&pool.mutex);
    return NULL;
}

static void settle_all(const char *queue, size_t count) {
    pthread_t settlers[SETTLERS];
    struct saga_amqp_consumer_options options = options_of(queue);
    pool.deliveries = calloc(count, 1);
    ck_assert_ptr_nonnull(pool.deliveries);
    options.delivered = pool_delivery;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    for (uintptr_t i = 0; i < SETTLERS; i++) {
        ck_assert_int_eq(pthread_create(&settlers[i], NULL, settle_randomly, (void *)(i + 1)), 0);
    }
    publish(queue, count, 20);
    const int64_t until_ms = monotonic_ms() + 90000;
    uint64_t done = 0;
    while (done < count && monotonic_ms() < until_ms) {
        (void)usleep(10000);
        (void)pthread_mutex_lock(&pool.mutex);
        done = pool.done;
        (void)pthread_mutex_unlock(&pool.mutex);
    }
    ck_assert_uint_eq(done, count);
    (void)pthread_mutex_lock(&pool.mutex);
    pool.over = true;
    (void)pthread_cond_broadcast(&pool.changed);
    (void)pthread_mutex_unlock(&pool.mutex);
    for (size_t i = 0; i < SETTLERS; i++) {
        ck_assert_int_eq(pthread_join(settlers[i], NULL), 0);
    }
    ck_assert_uint_eq(scene.downs, 0);  /* a settlement too many would close the channel */
    saga_amqp_consumer_close(consumer); /* carries out the last ones */
    consumer = NULL;
    ck_assert_str_eq(scene.why, "closed");
    ck_assert_uint_eq(scene.ups, 1);
}

START_TEST(a_hundred_thousand_are_acknowledged_once_in_random_order) {
    enum { COUNT = 100000 };
    settle_all("c.many", COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(pool.deliveries[i], 1);
    }
    expect_messages("c.many", 0);
    expect_messages("c.many.dead", 0);
    free(pool.deliveries);
}
END_TEST

START_TEST(each_kind_of_settlement_at_random) {
    enum { COUNT = 30000 };
    pool.mixed = true;
    settle_all("c.mixed", COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(pool.deliveries[i], i % 3 == 0 ? 2 : 1);
    }
    expect_messages("c.mixed", 0);
    expect_messages("c.mixed.dead", COUNT / 5);
    free(pool.deliveries);
}
END_TEST

/* -------------------------------------------------------------------- the end */

START_TEST(a_stop_gives_back_what_comes_later) {
    enum { COUNT = 1000 };
    struct saga_amqp_consumer_options options = options_of("c.stop");
    options.prefetch = 100;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    publish("c.stop", COUNT, 20);
    scene_await(&scene, scene.delivery_count == 100);
    saga_amqp_consumer_stop(consumer);
    for (size_t i = 0; i < 60; i++) { /* makes room for more, which are not to be delivered */
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    const int64_t until_ms = monotonic_ms() + 5000;
    while (counts_now().acknowledged < 60 && monotonic_ms() < until_ms) {
        (void)usleep(10000);
    }
    ck_assert_uint_eq(counts_now().acknowledged, 60);
    const size_t delivered = scene.delivery_count; /* at most until the broker had heard of it */
    ck_assert_uint_le(delivered, 160);
    for (size_t i = 60; i < 100; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_REJECT);
    }
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_consumer_close(consumer); /* at once: they are carried out all the same */
    consumer = NULL;
    ck_assert_int_lt(monotonic_ms() - begun_ms, 2000);
    ck_assert_uint_eq(scene.delivery_count, delivered);
    expect_messages("c.stop", COUNT - 100);
    expect_messages("c.stop.dead", 40);
}
END_TEST

START_TEST(a_close_while_messages_stream_in) {
    enum { COUNT = 20000 };
    open_consumer("c.stream");
    publish("c.stream", COUNT, 1000);
    scene_await(&scene, scene.delivery_count >= SAGA_AMQP_PREFETCH);
    for (size_t i = 0; i < SAGA_AMQP_PREFETCH; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_consumer_close(consumer);
    consumer = NULL;
    ck_assert_int_lt(monotonic_ms() - begun_ms, 2000);
    expect_messages("c.stream", COUNT - SAGA_AMQP_PREFETCH);
}
END_TEST

/* ------------------------------------------------------------- what happens to it */

START_TEST(a_queue_that_is_deleted_is_declared_again) {
    open_consumer("c.delete");
    publish("c.delete", 3, 20);
    scene_await(&scene, scene.delivery_count == 3);
    const int64_t begun_ms = monotonic_ms();
    (void)broker_node_ctl(&node,
                          (const char *const[]){"--silent", "delete_queue", "c.delete", NULL});
    scene_await(&scene, scene.ups == 2);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 5000); /* rabbitmqctl takes most of it */
    ck_assert_msg(strstr(scene.why, "the queue is gone") != NULL, "%s", scene.why);
    ck_assert_uint_eq(scene.prepared, 2);
    for (size_t i = 0; i < 3; i++) { /* of the connection before */
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    publish("c.delete", 1, 20);
    scene_await(&scene, scene.delivery_count == 4);
    ck_assert_uint_eq(counts_now().void_settlements, 3);
    saga_amqp_consumer_settle(consumer, scene.deliveries[3].ticket, SAGA_AMQP_ACK);
}
END_TEST

START_TEST(after_a_kill_what_was_not_settled_comes_again) {
    enum { COUNT = 500 };
    open_consumer("c.kill");
    publish("c.kill", COUNT, 20);
    scene_await(&scene, scene.delivery_count == COUNT);
    for (size_t i = 0; i < 200; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    const int64_t until_ms = monotonic_ms() + 5000;
    while (counts_now().acknowledged < 200 && monotonic_ms() < until_ms) {
        (void)usleep(1000);
    }
    expect_messages("c.kill", COUNT - 200); /* the broker has heard of it */
    (void)usleep(500000);                   /* and written it: nobody says when */
    broker_node_kill(&node);
    scene_await(&scene, scene.downs >= 1);
    for (size_t i = 200; i < 300; i++) { /* while there is no connection */
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    broker_node_start(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    ck_assert_uint_eq(scene.prepared, 2);
    scene_await(&scene, scene.delivery_count == COUNT + 300);
    for (size_t i = 300; i < COUNT; i++) { /* while there is another */
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_REJECT);
    }
    for (size_t i = COUNT; i < COUNT + 300; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    saga_amqp_consumer_close(consumer);
    consumer = NULL;
    ck_assert_uint_eq(scene.ups, 2);
    expect_messages("c.kill", 0);
    expect_messages("c.kill.dead", 0);
}
END_TEST

START_TEST(a_pause_is_noticed_and_survived) {
    struct saga_amqp_consumer_options options = options_of("c.pause");
    options.link.heartbeat_s = 2;
    options.link.timeout_ms = 1000;
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    publish("c.pause", 10, 20);
    scene_await(&scene, scene.delivery_count == 10);
    broker_node_pause(&node);
    const int64_t paused_ms = monotonic_ms();
    scene_await(&scene, scene.downs == 1);
    ck_assert_int_lt(monotonic_ms() - paused_ms, 7000);
    ck_assert_msg(strstr(scene.why, "heartbeat timeout") != NULL, "%s", scene.why);
    broker_node_resume(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    scene_await(&scene, scene.delivery_count == 20); /* all of them again */
    for (size_t i = 10; i < 20; i++) {
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    saga_amqp_consumer_close(consumer);
    consumer = NULL;
    expect_messages("c.pause", 0);
}
END_TEST

START_TEST(oversized_ones_are_counted_and_pass) {
    open_consumer("c.size");
    publish("c.size", 20, (1u << 20) + 1);
    publish("c.size", 1, 1u << 20);
    scene_await(&scene, scene.delivery_count == 1);
    ck_assert_uint_eq(scene.deliveries[0].body_size, 1u << 20);
    saga_amqp_consumer_settle(consumer, scene.deliveries[0].ticket, SAGA_AMQP_ACK);
    const int64_t until_ms = monotonic_ms() + 5000;
    while (counts_now().oversized < 20 && monotonic_ms() < until_ms) {
        (void)usleep(1000);
    }
    ck_assert_uint_eq(counts_now().oversized, 20);
    saga_amqp_consumer_close(consumer);
    consumer = NULL;
    expect_messages("c.size", 0);
    expect_messages("c.size.dead", 20);
}
END_TEST

START_TEST(two_queues_are_told_apart) {
    struct saga_amqp_link *link = scene_link(&scene);
    struct saga_fault fault = {0};
    const struct saga_amqp_queue second = {.name = "c.second"};
    ck_assert_int_eq(saga_amqp_link_queue(link, &second, &fault), SAGA_OK);
    saga_amqp_link_close(link);
    struct saga_amqp_consumer_options options = options_of("c.first");
    options.queues[1] = "c.second";
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.up);
    publish("c.second", 3, 20);
    scene_await(&scene, scene.delivery_count == 3);
    publish("c.first", 2, 20);
    scene_await(&scene, scene.delivery_count == 5);
    ck_assert_uint_ge(scene.gathered, 2);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(scene.deliveries[i].queue, i < 3);
        saga_amqp_consumer_settle(consumer, scene.deliveries[i].ticket, SAGA_AMQP_ACK);
    }
    saga_amqp_consumer_close(consumer);
    consumer = NULL;
    expect_messages("c.first", 0);
    expect_messages("c.second", 0);
}
END_TEST

START_TEST(a_wrong_password_is_told_once) {
    (void)strcpy(scene.address.password, "wrong");
    const struct saga_amqp_consumer_options options = options_of("c.none");
    consumer = scene_consumer(&options);
    scene_await(&scene, scene.downs == 1);
    ck_assert_msg(strstr(scene.why, "403 ACCESS_REFUSED") != NULL, "%s", scene.why);
    (void)usleep(
        1500000); /* nothing that could be awaited: it tries some times, and says nothing */
    ck_assert_uint_eq(scene.downs, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_consumer");
    TCase *tcase = tcase_create("consumer");
    tcase_add_checked_fixture(tcase, open_scene, close_scene);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_hundred_thousand_are_acknowledged_once_in_random_order);
    tcase_add_test(tcase, each_kind_of_settlement_at_random);
    tcase_add_test(tcase, a_stop_gives_back_what_comes_later);
    tcase_add_test(tcase, a_close_while_messages_stream_in);
    tcase_add_test(tcase, a_queue_that_is_deleted_is_declared_again);
    tcase_add_test(tcase, after_a_kill_what_was_not_settled_comes_again);
    tcase_add_test(tcase, a_pause_is_noticed_and_survived);
    tcase_add_test(tcase, oversized_ones_are_counted_and_pass);
    tcase_add_test(tcase, two_queues_are_told_apart);
    tcase_add_test(tcase, a_wrong_password_is_told_once);
    suite_add_tcase(suite, tcase);
    broker_node_open(&node);
    const int status = check_run(suite);
    broker_node_close(&node);
    return status;
}
