/* amqps with a real broker: whose certificate is taken and whose is not, what is said
 * of it, and that nothing waits for ever because it is TLS. */
#include "amqp_scene.h"
#include "broker_node.h"
#include "check_run.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB       (1u << 20)
#define REFUSE_MS 6000 /* a login gives up after SAGA_AMQP_TIMEOUT_MS */

static struct broker_node node = {.tls = "one-way"};
static struct scene scene;
static struct saga_amqp_link_options options;
static struct saga_fault fault;

/* At the TLS port of this host, which the broker's certificate is for or not. */
static void open_scene(void) {
    scene_open(&scene, node.tls_port);
    scene.address.tls = true;
    (void)strcpy(scene.address.hosts[0].name, "localhost");
    options = scene_link_options(&scene);
    options.ca_file = broker_node_tls_file(&node, "ca.pem");
}

static void close_scene(void) {
    scene_close(&scene);
}

static struct saga_amqp_link *expect_connected(void) {
    struct saga_amqp_link *link = NULL;
    ck_assert_msg(saga_amqp_link_open(&link, &options, 0, &fault) == SAGA_OK, "%s", fault.text);
    return link;
}

/* It is refused before anybody loses patience, and these words are in what is said. */
static void expect_refused(const char *const *words) {
    struct saga_amqp_link *link = NULL;
    const int64_t begun_ms = monotonic_ms();
    ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_ERROR_UNREACHABLE);
    ck_assert_int_lt(monotonic_ms() - begun_ms, REFUSE_MS);
    ck_assert_ptr_null(link);
    for (; *words != NULL; words++) {
        ck_assert_msg(strstr(fault.text, *words) != NULL, "'%s' is not in '%s'", *words,
                      fault.text);
    }
    ck_assert_ptr_null(strstr(fault.text, scene.address.password));
    (void)printf("    %s\n", fault.text);
}
#define expect_refused(...) expect_refused((const char *const[]){__VA_ARGS__, NULL})

static void expect_event(struct saga_amqp_link *link, struct saga_amqp_event *event,
                         enum saga_amqp_event_type type) {
    const int64_t until_ms = monotonic_ms() + 20000;
    do {
        saga_amqp_link_wait(link, -1, 100);
        ck_assert_msg(saga_amqp_link_take(link, event, &fault) == SAGA_OK, "%s", fault.text);
    } while (event->type == SAGA_AMQP_NOTHING && monotonic_ms() < until_ms);
    ck_assert_int_eq(event->type, (int)type);
}

/* --------------------------------------------------------------- what is trusted */

static void expect_around(struct saga_amqp_link *link, const uint8_t *body, size_t size) {
    struct saga_amqp_event event;
    const struct saga_amqp_message message = {
        .exchange = "", .routing_key = "t.around", .body = body, .body_size = size};
    ck_assert_int_eq(saga_amqp_link_publish(link, &message, &fault), SAGA_OK);
    expect_event(link, &event, SAGA_AMQP_DELIVERED);
    ck_assert_uint_eq(event.message.body_size, size);
    ck_assert(size == 0 || memcmp(event.message.body, body, size) == 0);
    ck_assert_int_eq(saga_amqp_link_ack(link, event.tag, false, &fault), SAGA_OK);
}

/* By the name and by the address that the certificate has. */
START_TEST(a_broker_that_is_trusted_is_talked_to) {
    static uint8_t body[MIB];
    const struct saga_amqp_queue queue = {.name = "t.around"};
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 31 >> 3);
    }
    (void)strcpy(scene.address.hosts[0].name, _i == 0 ? "localhost" : "127.0.0.1");
    struct saga_amqp_link *link = expect_connected();
    ck_assert_int_eq(saga_amqp_link_queue(link, &queue, &fault), SAGA_OK);
    ck_assert_int_eq(saga_amqp_link_consume(link, "t.around", 0, 10, &fault), SAGA_OK);
    for (size_t size = 0; size <= sizeof body; size = size < 4 ? size + 1 : size * 4) {
        expect_around(link, body, size);
    }
    saga_amqp_link_finish(link, 1000);
}
END_TEST

START_TEST(another_authority_is_not_trusted) {
    options.ca_file = broker_node_tls_file(&node, "stranger.pem");
    expect_refused("localhost:", "certificate", "--amqp-ca-file");
}
END_TEST

START_TEST(the_systems_authorities_do_not_know_ours) {
    options.ca_file = NULL;
    expect_refused("localhost:", "certificate", "--amqp-ca-file");
}
END_TEST

START_TEST(a_file_of_authorities_that_is_none) {
    options.ca_file = "/nonexistent/ca.pem";
    expect_refused("/nonexistent/ca.pem: ", "No such file", "--amqp-ca-file");
    options.ca_file = broker_node_tls_file(&node, "ca.key");
    expect_refused("ca.key: ", "--amqp-ca-file");
}
END_TEST

static void show(const char *which) {
    broker_node_certificate(&node, which);
}

START_TEST(a_certificate_for_another_host) {
    show("other-host");
    expect_refused("localhost:", "another host", "subjectAltName");
    (void)strcpy(scene.address.hosts[0].name, "127.0.0.1");
    expect_refused("127.0.0.1:", "another host", "subjectAltName");
    show("good");
    saga_amqp_link_close(expect_connected());
}
END_TEST

START_TEST(a_certificate_that_has_expired) {
    show("expired");
    expect_refused("localhost:", "expired", "needs a new one");
    show("good");
    saga_amqp_link_close(expect_connected());
}
END_TEST

START_TEST(a_certificate_that_a_stranger_has_signed) {
    show("stranger");
    expect_refused("localhost:", "certificate", "--amqp-ca-file");
    options.ca_file = broker_node_tls_file(&node, "stranger.pem");
    saga_amqp_link_close(expect_connected());
    show("good");
}
END_TEST

/* The number of the next descriptor: it grows with each that stays open. */
static int next_descriptor(void) {
    const int next = dup(STDERR_FILENO);
    (void)close(next);
    return next;
}

START_TEST(refusing_leaves_no_descriptor_behind) {
    options.ca_file = broker_node_tls_file(&node, "stranger.pem");
    const int before = next_descriptor();
    for (int i = 0; i < 20; i++) {
        struct saga_amqp_link *link = NULL;
        ck_assert_int_eq(saga_amqp_link_open(&link, &options, 0, &fault), SAGA_ERROR_UNREACHABLE);
    }
    ck_assert_int_eq(next_descriptor(), before);
}
END_TEST

/* --------------------------------------------------------------- the wrong port */

START_TEST(plain_words_at_the_port_for_tls) {
    scene.address.tls = false;
    for (int i = 0; i < 20; i++) { /* what comes first: the end, or words that make no sense */
        expect_refused("localhost:", "amqps://");
    }
}
END_TEST

START_TEST(tls_at_the_port_for_plain_words) {
    scene.address.hosts[0].port = node.port;
    expect_refused("localhost:", "speaks no TLS", "5671");
}
END_TEST

/* A listening socket that nobody serves. */
static int open_hole(uint16_t *port) {
    struct sockaddr_in place = {.sin_family = AF_INET};
    socklen_t size = sizeof place;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(hole, (struct sockaddr *)&place, sizeof place), 0);
    ck_assert_int_eq(listen(hole, 1), 0);
    ck_assert_int_eq(getsockname(hole, (struct sockaddr *)&place, &size), 0);
    *port = ntohs(place.sin_port);
    return hole;
}

START_TEST(nobody_shakes_hands) {
    const int hole = open_hole(&scene.address.hosts[0].port);
    options.timeout_ms = 500;
    const int64_t begun_ms = monotonic_ms();
    expect_refused("localhost:");
    ck_assert_int_lt(monotonic_ms() - begun_ms, 2000);
    (void)close(hole);
}
END_TEST

START_TEST(nobody_listens) {
    scene.address.hosts[0].port = 1;
    expect_refused("localhost:1: ", "nobody listens there");
}
END_TEST

/* ------------------------------------------------------------ our own certificate */

static void show_ours(const char *certificate, const char *key) {
    options.certificate = broker_node_tls_file(&node, certificate);
    options.key = broker_node_tls_file(&node, key);
}

START_TEST(a_certificate_of_ours_that_cannot_be_used) {
    show_ours("ca.srl", "client.key");
    expect_refused("ca.srl: our certificate", "--amqp-certificate");
    show_ours("client.pem", "ca.srl");
    expect_refused("ca.srl: the key", "--amqp-key");
    show_ours("client.pem", "good.key");
    expect_refused("good.key: the key", "key values mismatch", "client.pem");
}
END_TEST

/* Nobody is there to be asked for it. Standard input stays silent, and the test would. */
START_TEST(a_key_with_a_passphrase_is_refused_and_nobody_asked) {
    char command[2048];
    int silence[2];
    (void)snprintf(
        command, sizeof command, "openssl pkey -in %s -aes128 -passout pass:secret -out %s",
        broker_node_tls_file(&node, "client.key"), broker_node_tls_file(&node, "locked.key"));
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(pipe(silence), 0);
    ck_assert_int_eq(dup2(silence[0], STDIN_FILENO), STDIN_FILENO);
    (void)setsid(); /* no terminal */
    show_ours("client.pem", "locked.key");
    expect_refused("locked.key: the key", "without a passphrase");
}
END_TEST

/* The broker does not ask for it, and does not mind. */
START_TEST(a_certificate_that_nobody_asked_for) {
    show_ours("client.pem", "client.key");
    saga_amqp_link_close(expect_connected());
}
END_TEST

START_TEST(a_broker_that_takes_nobody_without_a_certificate) {
    node.tls = "mutual";
    broker_node_kill(&node);
    broker_node_start(&node);
    for (int i = 0; i < 20; i++) { /* what comes first: the reproach, or the end */
        expect_refused("localhost:", "--amqp-certificate and --amqp-key");
    }
    show_ours("stranger-client.pem", "stranger-client.key");
    for (int i = 0; i < 20; i++) {
        expect_refused("localhost:", "stranger-client.pem", "the broker trusts");
    }
    show_ours("client.pem", "client.key");
    struct saga_amqp_link *link = expect_connected();
    ck_assert_int_eq(saga_amqp_link_exchange(link, "t.exchange", &fault), SAGA_OK);
    saga_amqp_link_finish(link, 1000);
}
END_TEST

/* ------------------------------------------------------- a broker that is lost, or silent */

static struct saga_amqp_publisher *open_publisher(void) {
    struct saga_amqp_publisher_options publishing = scene_publisher_options(&scene);
    publishing.link = options;
    publishing.stuck_ms = 2000;
    struct saga_amqp_publisher *publisher = scene_publisher(&publishing);
    scene_await(&scene, scene.up);
    return publisher;
}

static void declare(const char *name) {
    const struct saga_amqp_queue queue = {.name = name};
    struct saga_amqp_link *link = expect_connected();
    ck_assert_int_eq(saga_amqp_link_queue(link, &queue, &fault), SAGA_OK);
    saga_amqp_link_finish(link, 1000);
}

/* The broker is killed as messages go to it: no signal ends us, each has its fate, and the way
 * back is as without TLS. */
START_TEST(a_broker_that_is_killed) {
    enum { LETTERS = 20000 };
    declare("t.kill");
    struct saga_amqp_publisher *publisher = open_publisher();
    struct letter *letters = scene_letters(&scene, LETTERS, "", "t.kill");
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.fates[SAGA_AMQP_HANDED_OVER] > 500);
    broker_node_kill(&node);
    scene_await(&scene, scene.settled == LETTERS);
    broker_node_start(&node);
    scene_await_for(&scene, 60, scene.ups == 2);
    saga_amqp_publisher_close(publisher, 1000);
    ck_assert_uint_eq(scene.fates_unknown, 0);
    (void)printf("killed: %u handed over, %u in doubt, %u unsent; '%s'\n",
                 scene.fates[SAGA_AMQP_HANDED_OVER], scene.fates[SAGA_AMQP_IN_DOUBT],
                 scene.fates[SAGA_AMQP_UNSENT], scene.why);
    free(letters);
}
END_TEST

/* The publisher is stuck in a write, and cut; later it is closed while nobody answers. */
START_TEST(a_broker_that_is_paused_and_a_publisher) {
    enum { LETTERS = 3000 };
    static char body[20000];
    declare("t.pause");
    options.heartbeat_s = 2;
    options.timeout_ms = 1000;
    struct saga_amqp_publisher *publisher = open_publisher();
    struct letter *letters = scene_letters(&scene, LETTERS, "", "t.pause");
    for (size_t i = 0; i < LETTERS; i++) {
        letters[i].outgoing.message.body = body;
        letters[i].outgoing.message.body_size = sizeof body;
    }
    broker_node_pause(&node);
    scene_put(publisher, letters, LETTERS);
    scene_await(&scene, scene.settled == LETTERS);
    (void)printf("paused: '%s'\n", scene.why);
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_publisher_close(publisher, 500);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 6000);
    broker_node_resume(&node);
    free(letters);
}
END_TEST

/* The consumer waits for an answer, and loses patience: it is cut as it reads. */
START_TEST(a_broker_that_is_paused_and_a_consumer) {
    declare("t.consume");
    struct saga_amqp_consumer_options consuming = scene_consumer_options(&scene, "t.consume");
    consuming.link = options;
    consuming.link.timeout_ms = 20000; /* the answer's */
    consuming.link.heartbeat_s = 60;
    consuming.passive_ms = 100;
    struct saga_amqp_consumer *consumer = scene_consumer(&consuming);
    scene_await(&scene, scene.up);
    broker_node_pause(&node);
    (void)usleep(500000); /* by then it has asked whether the queue is there */
    const int64_t begun_ms = monotonic_ms();
    saga_amqp_consumer_close(consumer);
    ck_assert_int_lt(monotonic_ms() - begun_ms, 8000);
    broker_node_resume(&node);
}
END_TEST

/* Whoever reads from it, or writes to it, is told at once that it is over. */
START_TEST(a_link_that_was_cut) {
    struct saga_amqp_event event;
    const struct saga_amqp_message message = {.exchange = "", .routing_key = "t.cut"};
    struct saga_amqp_link *link = expect_connected();
    saga_amqp_link_cut(link);
    ck_assert_int_eq(saga_amqp_link_take(link, &event, &fault), SAGA_ERROR_UNREACHABLE);
    saga_amqp_link_close(link);
    link = expect_connected();
    saga_amqp_link_cut(link);
    ck_assert_int_eq(saga_amqp_link_publish(link, &message, &fault), SAGA_ERROR_UNREACHABLE);
    saga_amqp_link_close(link);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp_tls");
    TCase *tcase = tcase_create("tls");
    tcase_add_checked_fixture(tcase, open_scene, close_scene);
    tcase_set_timeout(tcase, 90);
    tcase_add_loop_test(tcase, a_broker_that_is_trusted_is_talked_to, 0, 2);
    tcase_add_test(tcase, another_authority_is_not_trusted);
    tcase_add_test(tcase, the_systems_authorities_do_not_know_ours);
    tcase_add_test(tcase, a_file_of_authorities_that_is_none);
    tcase_add_test(tcase, refusing_leaves_no_descriptor_behind);
    tcase_add_test(tcase, plain_words_at_the_port_for_tls);
    tcase_add_test(tcase, tls_at_the_port_for_plain_words);
    tcase_add_test(tcase, nobody_shakes_hands);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, a_certificate_of_ours_that_cannot_be_used);
    tcase_add_test(tcase, a_key_with_a_passphrase_is_refused_and_nobody_asked);
    tcase_add_test(tcase, a_certificate_that_nobody_asked_for);
    tcase_add_test(tcase, a_certificate_for_another_host);
    tcase_add_test(tcase, a_certificate_that_has_expired);
    tcase_add_test(tcase, a_certificate_that_a_stranger_has_signed);
    /* The last: from then on it is another kind of broker. */
    tcase_add_test(tcase, a_broker_that_takes_nobody_without_a_certificate);
    TCase *lost = tcase_create("lost");
    tcase_add_checked_fixture(lost, open_scene, close_scene);
    tcase_set_timeout(lost, 90);
    tcase_add_test(lost, a_link_that_was_cut);
    tcase_add_test(lost, a_broker_that_is_paused_and_a_publisher);
    tcase_add_test(lost, a_broker_that_is_paused_and_a_consumer);
    tcase_add_test(lost, a_broker_that_is_killed);
    suite_add_tcase(suite, lost);
    suite_add_tcase(suite, tcase);
    broker_node_open(&node);
    const int status = check_run(suite);
    broker_node_close(&node);
    return status;
}
