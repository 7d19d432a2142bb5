/* Several hosts in the URL: the broker to which the daemon and a service are connected
 * is killed, and both go over to the other one, which has never heard of anything. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker_fixture.h"
#include "check_run.h"
#include "monotonic.h"

#define SAGAS   40
#define OVER_MS 60000

/* The first is fixture_node. */
static struct broker_node second;
static struct daemon_process service;
static char ids[SAGAS][API_ID_SIZE];
static unsigned count;

static void tear_down(void) {
    if (service.pid != 0) {
        daemon_signal(&service, SIGCONT);
        daemon_kill(&service);
    }
    fixture_close_daemon();
}

static const char *both(void) {
    static char url[128];
    (void)snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%u,127.0.0.1:%u/",
                   fixture_node.port, second.port);
    return url;
}

static void start_service(void) {
    char program[512], database[640];
    (void)snprintf(program, sizeof program, "%s/parking", SAGA_BIN_DIR);
    (void)snprintf(database, sizeof database, "%s/parking.db", fixture_data_dir());
    const char *const words[] = {program, "serve",  "--db", database, "--amqp",
                                 both(),  "--http", "0",    NULL};
    daemon_start(&service, words, NULL, fixture_path("service"));
}

static void park(unsigned more) {
    char name[16];
    for (; more > 0; more--) {
        (void)snprintf(name, sizeof name, "s%u", count);
        fixture_park(name, name, ids[count++]);
    }
}

/* They wait at the broker, which the service does not listen to. */
static void park_unanswered(unsigned more) {
    const int64_t before = fixture_count("broker.commands.handed_over");
    daemon_signal(&service, SIGSTOP);
    park(more);
    fixture_await_count("broker.commands.handed_over", before + more);
    ck_assert_int_eq(fixture_count("sagas.open"), more);
}

/* Each with one effect of each step, and no attempt that was given up. */
static void expect_all_completed(void) {
    char like[API_ID_SIZE + 1];
    for (unsigned i = 0; i < count; i++) {
        fixture_expect(ids[i], "completed");
        (void)snprintf(like, sizeof like, "%s%%", ids[i]);
        ck_assert_str_eq(fixture_look("parking",
                                      "SELECT count(*) || ' ' || count(DISTINCT command_id) FROM "
                                      "effects WHERE command_id LIKE ?1",
                                      like),
                         "2 2");
    }
    ck_assert_int_eq(fixture_count("records.ATTEMPT_EXPIRED"), 0);
    ck_assert_int_eq(fixture_count("sagas.open"), 0);
}

/* What the daemon declares, is there. */
static void expect_topology(struct broker_node *node) {
    const char *queues = broker_node_ctl(
        node, (const char *const[]){"list_queues", "-q", "--no-table-headers", "name", NULL});
    ck_assert_msg(strstr(queues, fixture_reply_queue()) != NULL, "%s", queues);
    ck_assert_ptr_nonnull(strstr(queues, "saga.start\n"));
    ck_assert_ptr_nonnull(strstr(queues, "parking\n"));
    const char *bindings =
        broker_node_ctl(node, (const char *const[]){"list_bindings", "-q", "--no-table-headers",
                                                    "source_name", "routing_key", NULL});
    char reply[192];
    (void)snprintf(reply, sizeof reply, PARK_EXCHANGE "\t%s\n", fixture_reply_queue());
    ck_assert_msg(strstr(bindings, reply) != NULL, "%s", bindings);
}

/* From `node` to `other`, which is started now; with sagas on their way. Whoever is there first
 * finds the other one's queue missing, and what was sent before is sent again after its timeout. */
static void go_over(struct broker_node *node, struct broker_node *other, unsigned sagas) {
    const int64_t commands = fixture_count("broker.commands.connections");
    const int64_t replies = fixture_count("broker.replies.connections");
    broker_node_start(other);
    park_unanswered(sagas);
    const int64_t killed_ms = monotonic_ms();
    broker_node_kill(node);
    park(sagas);
    daemon_signal(&service, SIGCONT);
    fixture_await_count("broker.commands.connections", commands + 1);
    fixture_await_count("broker.replies.connections", replies + 1);
    (void)fixture_await_connected(true, OVER_MS);
    const int64_t over_ms = monotonic_ms() - killed_ms;
    expect_all_completed();
    expect_topology(other);
    (void)printf("over after %lld ms, %u sagas ended after %lld ms\n", (long long)over_ms,
                 2 * sagas, (long long)(monotonic_ms() - killed_ms));
}

START_TEST(a_host_that_dies_is_left_for_the_other) {
    char slot[16];
    fixture_begin(0, "timeout: 15s, retry: {attempts: 5, initial: 200ms, max: 2s, factor: 2}");
    start_service();
    fixture_start_at(SAGAD, both());
    (void)fixture_await_connected(true, OVER_MS); /* the second host is not there */
    fixture_await_messages("parking", 0);         /* nor is the service elsewhere */
    for (unsigned i = 0; i < SAGAS; i++) {
        (void)snprintf(slot, sizeof slot, "s%u", i);
        fixture_create_slot(slot);
    }
    park(5);
    expect_all_completed();
    go_over(&fixture_node, &second, 10);
    go_over(&second, &fixture_node, 5); /* and back */
    fixture_stop();
    ck_assert_int_eq(daemon_stop(&service), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("broker hosts");
    TCase *tests = tcase_create("hosts");
    tcase_add_checked_fixture(tests, fixture_open_daemon, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_host_that_dies_is_left_for_the_other);
    suite_add_tcase(suite, tests);
    fixture_open_node(0);
    broker_node_open(&second);
    broker_node_stop(&second);
    const int status = check_run(suite);
    broker_node_close(&second);
    fixture_close_node();
    return status;
}
