/* The link with a real broker: what is declared, what is published, and that the same arrives. */
#include "amqp_scene.h"
#include "broker_node.h"
#include "check_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX (1u << 20)
#define MIB            (1u << 20)

static struct broker_node node;
static struct scene scene;
static struct saga_amqp_link *link_1;
static struct saga_fault fault;

static void open_scene(void) {
    scene_open(&scene, node.port);
    link_1 = scene_link(&scene);
}

static void close_scene(void) {
    saga_amqp_link_close(link_1);
    scene_close(&scene);
}

#define ck_assert_ok(call) ck_assert_msg((call) == SAGA_OK, "%s", fault.text)

static void expect_fault(const char *text) {
    ck_assert_msg(strstr(fault.text, text) != NULL, "'%s' is not in '%s'", text, fault.text);
}

/* A queue of this test, and one for its dead letters. */
static void declare(const char *name) {
    char dead[128];
    (void)snprintf(dead, sizeof dead, "%s.dead", name);
    const struct saga_amqp_queue last = {.name = dead};
    const struct saga_amqp_queue queue = {.name = name, .dead_letter_queue = dead};
    ck_assert_ok(saga_amqp_link_queue(link_1, &last, &fault));
    ck_assert_ok(saga_amqp_link_queue(link_1, &queue, &fault));
}

static void expect_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                         enum saga_amqp_event_type type) {
    const int64_t until_ms = monotonic_ms() + 20000;
    do {
        saga_amqp_link_wait(link, -1, 100);
        ck_assert_ok(saga_amqp_link_take(link, event, &fault));
    } while (event->type == SAGA_AMQP_NOTHING && monotonic_ms() < until_ms);
    ck_assert_int_eq(event->type, (int)type);
}

static void expect_nothing(struct saga_amqp_link *link) {
    struct saga_amqp_event event;
    const int64_t until_ms = monotonic_ms() + 200;
    while (monotonic_ms() < until_ms) {
        saga_amqp_link_wait(link, -1, 20);
        ck_assert_ok(saga_amqp_link_take(link, &event, &fault));
        ck_assert_int_eq(event.type, SAGA_AMQP_NOTHING);
    }
}

static void publish(const char *queue, const void *body, size_t size) {
    const struct saga_amqp_message message = {
        .exchange = "", .routing_key = queue, .body = body, .body_size = size};
    ck_assert_ok(saga_amqp_link_publish(link_1, &message, &fault));
}

/* How many messages are in a queue and with nobody: they are consumed, and left. */
static unsigned waiting_in(const char *queue, unsigned expected) {
    struct saga_amqp_link *link = scene_link(&scene);
    struct saga_amqp_event event;
    unsigned count = 0;
    ck_assert_ok(saga_amqp_link_consume(link, queue, 0, 0, &fault));
    const int64_t until_ms = monotonic_ms() + 10000;
    int64_t quiet_ms = monotonic_ms() + 300;
    while (monotonic_ms() < until_ms && (count < expected || monotonic_ms() < quiet_ms)) {
        saga_amqp_link_wait(link, -1, 20);
        ck_assert_ok(saga_amqp_link_take(link, &event, &fault));
        count += event.type == SAGA_AMQP_DELIVERED;
        quiet_ms = event.type == SAGA_AMQP_DELIVERED ? monotonic_ms() + 300 : quiet_ms;
    }
    saga_amqp_link_finish(link, 1000);
    return count;
}

/* ----------------------------------------------------------------- declarations */

START_TEST(declarations_are_idempotent) {
    const struct saga_amqp_queue quorum = {
        .name = "l.quorum", .quorum = true, .dead_letter_queue = "l.dead", .delivery_limit = 20};
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(saga_amqp_link_exchange(link_1, "l.exchange", &fault));
        declare("l.same");
        ck_assert_ok(saga_amqp_link_queue(link_1, &quorum, &fault));
        ck_assert_ok(saga_amqp_link_bind(link_1, "l.same", "l.exchange", "a.#", &fault));
        ck_assert_ok(saga_amqp_link_find_queue(link_1, "l.same", &fault));
        ck_assert_ok(saga_amqp_link_confirm(link_1, &fault));
    }
}
END_TEST

START_TEST(other_properties_are_refused_with_the_brokers_words) {
    const struct saga_amqp_queue plain = {.name = "l.props"};
    const struct saga_amqp_queue other = {.name = "l.props", .dead_letter_queue = "x"};
    ck_assert_ok(saga_amqp_link_queue(link_1, &plain, &fault));
    ck_assert_int_eq(saga_amqp_link_queue(link_1, &other, &fault), SAGA_ERROR_UNREACHABLE);
    expect_fault("queue l.props: ");
    expect_fault("the broker says 406 PRECONDITION_FAILED - inequivalent arg "
                 "'x-dead-letter-exchange'");
}
END_TEST

START_TEST(an_exchange_of_another_kind_is_refused) {
    /* RabbitMQ has this one, and it is no topic. */
    ck_assert_int_eq(saga_amqp_link_exchange(link_1, "amq.direct", &fault), SAGA_ERROR_UNREACHABLE);
    expect_fault("exchange amq.direct: ");
    expect_fault("406 PRECONDITION_FAILED - inequivalent arg 'type'");
}
END_TEST

START_TEST(what_is_not_there_is_said) {
    ck_assert_int_eq(saga_amqp_link_find_queue(link_1, "l.nowhere", &fault), SAGA_ERROR_NOT_FOUND);
    expect_fault("queue l.nowhere: there is none");
}
END_TEST

START_TEST(binding_to_what_is_not_there) {
    declare("l.binding");
    ck_assert_int_eq(saga_amqp_link_bind(link_1, "l.binding", "l.no-exchange", "k", &fault),
                     SAGA_ERROR_UNREACHABLE);
    expect_fault("404 NOT_FOUND - no exchange 'l.no-exchange'");
}
END_TEST

START_TEST(consuming_from_what_is_not_there) {
    ck_assert_int_eq(saga_amqp_link_consume(link_1, "l.no-queue", 0, 1, &fault),
                     SAGA_ERROR_UNREACHABLE);
    expect_fault("404 NOT_FOUND - no queue 'l.no-queue'");
}
END_TEST

static void expect_refused(const char *text) {
    const struct saga_amqp_link_options options = scene_link_options(&scene);
    struct saga_amqp_link *link = NULL;
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_ptr_null(link);
    expect_fault("127.0.0.1:");
    expect_fault(text);
    ck_assert_ptr_null(strstr(fault.text, scene.address.password));
}

START_TEST(a_wrong_password) {
    (void)strcpy(scene.address.password, "not the password");
    expect_refused("the broker says 403 ACCESS_REFUSED - Login was refused");
}
END_TEST

START_TEST(a_vhost_that_is_not_there) {
    (void)strcpy(scene.address.password, "guest");
    (void)strcpy(scene.address.vhost, "elsewhere");
    const struct saga_amqp_link_options options = scene_link_options(&scene);
    struct saga_amqp_link *link = NULL;
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_ERROR_UNREACHABLE);
    expect_fault("530 NOT_ALLOWED");
    expect_fault("elsewhere");
}
END_TEST

START_TEST(nobody_listens) {
    scene.address.hosts[0].port = 1;
    const struct saga_amqp_link_options options = scene_link_options(&scene);
    struct saga_amqp_link *link = NULL;
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_ERROR_UNREACHABLE);
    expect_fault("127.0.0.1:1: ");
    expect_fault("nobody listens there");
}
END_TEST

/* --------------------------------------------------------------- what goes around */

START_TEST(all_of_a_message_arrives) {
    struct saga_amqp_event event;
    int64_t number;
    ck_assert_ok(saga_amqp_link_exchange(link_1, "l.exchange", &fault));
    declare("l.around");
    ck_assert_ok(saga_amqp_link_bind(link_1, "l.around", "l.exchange", "around.#", &fault));
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.around", 3, 10, &fault));
    struct saga_amqp_message sent = {.exchange = "l.exchange",
                                     .routing_key = "around.and.around",
                                     .message_id = "id",
                                     .correlation_id = "correlation",
                                     .reply_to = "replies",
                                     .type = "type",
                                     .content_type = "application/json",
                                     .app_id = "app/1.0",
                                     .persistent = true,
                                     .timestamp_s = 1700000000,
                                     .body = "b\0dy",
                                     .body_size = 4};
    saga_amqp_message_add_text(&sent, "text", "gr\xc3\xbc\xc3\x9f Gott");
    saga_amqp_message_add_text(&sent, "empty", "");
    saga_amqp_message_add_text(&sent, "digits", "-42");
    saga_amqp_message_add_number(&sent, "least", INT64_MIN);
    saga_amqp_message_add_number(&sent, "most", INT64_MAX);
    saga_amqp_message_add_number(&sent, "zero", 0);
    ck_assert_ok(saga_amqp_link_publish(link_1, &sent, &fault));
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    const struct saga_amqp_message *got = &event.message;
    ck_assert_uint_eq(event.queue, 3);
    ck_assert_uint_eq(event.tag, 1);
    ck_assert(!event.redelivered);
    ck_assert_str_eq(got->exchange, sent.exchange);
    ck_assert_str_eq(got->routing_key, sent.routing_key);
    ck_assert_str_eq(got->message_id, sent.message_id);
    ck_assert_str_eq(got->correlation_id, sent.correlation_id);
    ck_assert_str_eq(got->reply_to, sent.reply_to);
    ck_assert_str_eq(got->type, sent.type);
    ck_assert_str_eq(got->content_type, sent.content_type);
    ck_assert_str_eq(got->app_id, sent.app_id);
    ck_assert(got->persistent);
    ck_assert_uint_eq(got->timestamp_s, sent.timestamp_s);
    ck_assert_uint_eq(got->body_size, 4);
    ck_assert_mem_eq(got->body, "b\0dy", 4);
    ck_assert_uint_eq(got->header_count, 6);
    ck_assert_str_eq(saga_amqp_message_text(got, "text"), "gr\xc3\xbc\xc3\x9f Gott");
    ck_assert_str_eq(saga_amqp_message_text(got, "empty"), "");
    ck_assert(saga_amqp_message_number(got, "digits", &number) && number == -42);
    ck_assert(saga_amqp_message_number(got, "least", &number) && number == INT64_MIN);
    ck_assert(saga_amqp_message_number(got, "most", &number) && number == INT64_MAX);
    ck_assert(saga_amqp_message_number(got, "zero", &number) && number == 0);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, false, &fault));
}
END_TEST

START_TEST(a_bare_message_arrives) {
    struct saga_amqp_event event;
    declare("l.bare");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.bare", 0, 10, &fault));
    publish("l.bare", NULL, 0);
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_uint_eq(event.message.body_size, 0);
    ck_assert_str_eq(event.message.exchange, "");
    ck_assert_ptr_null(event.message.message_id);
    ck_assert_ptr_null(event.message.reply_to);
    ck_assert(!event.message.persistent);
    ck_assert_uint_eq(event.message.header_count, 0);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, false, &fault));
}
END_TEST

START_TEST(texts_of_the_greatest_length) {
    static char text[SAGA_AMQP_SHORT_BYTES_MAX + 2], header[60000];
    struct saga_amqp_event event;
    memset(text, 'x', SAGA_AMQP_SHORT_BYTES_MAX);
    memset(header, 'h', sizeof header - 1);
    declare("l.long");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.long", 0, 10, &fault));
    struct saga_amqp_message message = {.exchange = "",
                                        .routing_key = "l.long",
                                        .message_id = text,
                                        .correlation_id = text,
                                        .reply_to = text,
                                        .type = text,
                                        .content_type = text,
                                        .app_id = text};
    saga_amqp_message_add_text(&message, text, header);
    ck_assert_ok(saga_amqp_link_publish(link_1, &message, &fault));
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_str_eq(event.message.app_id, text);
    ck_assert_str_eq(saga_amqp_message_text(&event.message, text), header);
    text[SAGA_AMQP_SHORT_BYTES_MAX] = 'x'; /* one more */
    message.header_count = 0;
    ck_assert_int_eq(saga_amqp_link_publish(link_1, &message, &fault), SAGA_ERROR_INVALID);
    publish("l.long", "goes on", 7);
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, true, &fault));
}
END_TEST

/* ------------------------------------------------------------------------ sizes */

static long resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%ld %ld", &pages, &resident), 2);
    (void)fclose(statm);
    return resident * 4;
}

START_TEST(bodies_of_the_limit_and_beyond) {
    static uint8_t body[64 * MIB];
    struct saga_amqp_event event;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 31 >> 3);
    }
    declare("l.size");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.size", 0, 10, &fault));
    publish("l.size", body, BODY_BYTES_MAX + 1);
    publish("l.size", body, sizeof body);
    publish("l.size", body, BODY_BYTES_MAX);
    const long before_kib = resident_kib();
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_int_lt(resident_kib() - before_kib, 16L * 1024);
    ck_assert_uint_eq(event.message.body_size, BODY_BYTES_MAX);
    ck_assert_mem_eq(event.message.body, body, BODY_BYTES_MAX);
    ck_assert_uint_eq(event.tag, 3);
    ck_assert_uint_eq(saga_amqp_link_oversized(link_1), 2);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, false, &fault));
    ck_assert_uint_eq(waiting_in("l.size.dead", 0), 0); /* they are too large for anybody of ours */
    const char *listed = broker_node_ctl(
        &node, (const char *const[]){"--silent", "list_queues", "name", "messages", NULL});
    ck_assert_ptr_nonnull(strstr(listed, "l.size\t0\n"));
}
END_TEST

START_TEST(oversized_ones_are_dead_letters) {
    static uint8_t body[BODY_BYTES_MAX + 1];
    struct saga_amqp_event event;
    declare("l.over");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.over", 0, 10, &fault));
    for (int i = 0; i < 5; i++) {
        publish("l.over", body, sizeof body);
    }
    publish("l.over", "small", 5);
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_uint_eq(event.message.body_size, 5);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, false, &fault));
    saga_amqp_link_finish(link_1, 1000);
    link_1 = scene_link(&scene);
    const char *listed = broker_node_ctl(
        &node, (const char *const[]){"--silent", "list_queues", "name", "messages", NULL});
    ck_assert_msg(strstr(listed, "l.over.dead\t5\n") != NULL, "%s", listed);
    ck_assert_msg(strstr(listed, "l.over\t0\n") != NULL, "%s", listed);
}
END_TEST

/* What is large and on its way does not stand in the way of an answer. */
START_TEST(an_answer_after_large_deliveries) {
    static uint8_t body[32 * MIB];
    declare("l.large");
    declare("l.second");
    for (int i = 0; i < 8; i++) {
        publish("l.large", body, sizeof body);
    }
    struct saga_amqp_link *link = scene_link(&scene);
    const long before_kib = resident_kib();
    ck_assert_ok(saga_amqp_link_consume(link, "l.large", 0, 512, &fault));
    ck_assert_ok(saga_amqp_link_consume(link, "l.second", 1, 512, &fault));
    ck_assert_ok(saga_amqp_link_find_queue(link, "l.large", &fault));
    while (saga_amqp_link_oversized(link) < 8) {
        struct saga_amqp_event event;
        ck_assert_ok(saga_amqp_link_take(link, &event, &fault));
        ck_assert_int_eq(event.type, SAGA_AMQP_NOTHING);
        saga_amqp_link_wait(link, -1, 100);
    }
    ck_assert_int_lt(resident_kib() - before_kib, 16L * 1024);
    saga_amqp_link_finish(link, 1000);
}
END_TEST

/* ------------------------------------------------------------------- settlements */

static void take_tags(struct saga_amqp_link *link, uint64_t *tags, size_t count) {
    struct saga_amqp_event event;
    for (size_t i = 0; i < count; i++) {
        expect_event(link, &event, SAGA_AMQP_DELIVERED);
        tags[i] = event.tag;
    }
}

START_TEST(the_prefetch_and_acknowledgements) {
    uint64_t tags[10];
    declare("l.prefetch");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.prefetch", 0, 3, &fault));
    for (int i = 0; i < 10; i++) {
        publish("l.prefetch", "x", 1);
    }
    take_tags(link_1, tags, 3);
    expect_nothing(link_1);
    ck_assert_ok(saga_amqp_link_ack(link_1, tags[1], false, &fault));
    take_tags(link_1, tags + 3, 1);
    expect_nothing(link_1);
    ck_assert_ok(saga_amqp_link_ack(link_1, tags[3], true, &fault)); /* all three */
    take_tags(link_1, tags + 4, 3);
    expect_nothing(link_1);
    ck_assert_ok(saga_amqp_link_ack(link_1, tags[4], false, &fault));
    saga_amqp_link_finish(link_1, 1000);
    link_1 = scene_link(&scene);
    ck_assert_uint_eq(waiting_in("l.prefetch", 5), 5);
}
END_TEST

START_TEST(rejected_to_the_dead_letters_or_delivered_again) {
    struct saga_amqp_event event;
    declare("l.reject");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.reject", 0, 1, &fault));
    publish("l.reject", "again", 5);
    publish("l.reject", "dead", 4);
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_ok(saga_amqp_link_reject(link_1, event.tag, true, &fault));
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_mem_eq(event.message.body, "again", 5);
    ck_assert(event.redelivered);
    ck_assert_ok(saga_amqp_link_ack(link_1, event.tag, false, &fault));
    expect_event(link_1, &event, SAGA_AMQP_DELIVERED);
    ck_assert_ok(saga_amqp_link_reject(link_1, event.tag, false, &fault));
    struct saga_amqp_link *dead = scene_link(&scene);
    ck_assert_ok(saga_amqp_link_consume(dead, "l.reject.dead", 0, 1, &fault));
    expect_event(dead, &event, SAGA_AMQP_DELIVERED);
    ck_assert_mem_eq(event.message.body, "dead", 4);
    ck_assert_ok(saga_amqp_link_ack(dead, event.tag, false, &fault));
    saga_amqp_link_finish(dead, 1000);
}
END_TEST

START_TEST(a_settlement_of_nothing_is_told_by_the_broker) {
    struct saga_amqp_event event;
    declare("l.settle");
    ck_assert_ok(saga_amqp_link_ack(link_1, 7, false, &fault));
    const int64_t until_ms = monotonic_ms() + 5000;
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK && monotonic_ms() < until_ms) {
        saga_amqp_link_wait(link_1, -1, 100);
        error = saga_amqp_link_take(link_1, &event, &fault);
    }
    ck_assert_int_eq(error, SAGA_ERROR_UNREACHABLE);
    expect_fault("406 PRECONDITION_FAILED - unknown delivery tag 7");
}
END_TEST

START_TEST(returned_before_confirmed) {
    struct saga_amqp_event event;
    const struct saga_amqp_message message = {.exchange = "l.exchange",
                                              .routing_key = "nobody",
                                              .message_id = "lost",
                                              .mandatory = true,
                                              .body = "b",
                                              .body_size = 1};
    ck_assert_ok(saga_amqp_link_exchange(link_1, "l.exchange", &fault));
    ck_assert_ok(saga_amqp_link_confirm(link_1, &fault));
    ck_assert_ok(saga_amqp_link_publish(link_1, &message, &fault));
    expect_event(link_1, &event, SAGA_AMQP_RETURNED);
    ck_assert_str_eq(event.message.message_id, "lost");
    ck_assert_str_eq(event.message.exchange, "l.exchange");
    ck_assert_str_eq(event.message.routing_key, "nobody");
    expect_event(link_1, &event, SAGA_AMQP_CONFIRMED);
    ck_assert_uint_eq(event.tag, 1);
}
END_TEST

START_TEST(a_cancelled_consumer_gets_nothing_and_may_settle) {
    uint64_t tag;
    declare("l.cancel");
    ck_assert_ok(saga_amqp_link_consume(link_1, "l.cancel", 0, 10, &fault));
    publish("l.cancel", "one", 3);
    take_tags(link_1, &tag, 1);
    ck_assert_ok(saga_amqp_link_cancel(link_1, 0, &fault));
    publish("l.cancel", "two", 3);
    expect_nothing(link_1);
    ck_assert_ok(saga_amqp_link_ack(link_1, tag, false, &fault));
    saga_amqp_link_finish(link_1, 1000);
    link_1 = scene_link(&scene);
    ck_assert_uint_eq(waiting_in("l.cancel", 1), 1);
}
END_TEST

START_TEST(what_was_written_before_the_farewell_arrives) {
    enum { MESSAGES = 5000 };
    static uint8_t body[1000];
    declare("l.farewell");
    for (int i = 0; i < MESSAGES; i++) {
        publish("l.farewell", body, sizeof body);
    }
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_link_finish(link_1, 10000);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 9000); /* the broker ends it, not the time */
    link_1 = scene_link(&scene);
    ck_assert_uint_eq(waiting_in("l.farewell", MESSAGES), MESSAGES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_link");
    TCase *tcase = tcase_create("link");
    tcase_add_checked_fixture(tcase, open_scene, close_scene);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, declarations_are_idempotent);
    tcase_add_test(tcase, other_properties_are_refused_with_the_brokers_words);
    tcase_add_test(tcase, an_exchange_of_another_kind_is_refused);
    tcase_add_test(tcase, what_is_not_there_is_said);
    tcase_add_test(tcase, binding_to_what_is_not_there);
    tcase_add_test(tcase, consuming_from_what_is_not_there);
    tcase_add_test(tcase, a_wrong_password);
    tcase_add_test(tcase, a_vhost_that_is_not_there);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, all_of_a_message_arrives);
    tcase_add_test(tcase, a_bare_message_arrives);
    tcase_add_test(tcase, texts_of_the_greatest_length);
    tcase_add_test(tcase, bodies_of_the_limit_and_beyond);
    tcase_add_test(tcase, oversized_ones_are_dead_letters);
    tcase_add_test(tcase, an_answer_after_large_deliveries);
    tcase_add_test(tcase, the_prefetch_and_acknowledgements);
    tcase_add_test(tcase, rejected_to_the_dead_letters_or_delivered_again);
    tcase_add_test(tcase, a_settlement_of_nothing_is_told_by_the_broker);
    tcase_add_test(tcase, returned_before_confirmed);
    tcase_add_test(tcase, a_cancelled_consumer_gets_nothing_and_may_settle);
    tcase_add_test(tcase, what_was_written_before_the_farewell_arrives);
    suite_add_tcase(suite, tcase);
    broker_node_open(&node);
    const int status = check_run(suite);
    broker_node_close(&node);
    return status;
}
