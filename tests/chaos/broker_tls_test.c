/* A booking over amqps: the daemon and the three services, each of which shows its
 * certificate to a broker that takes nobody without one. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "broker_fixture.h"
#include "check_run.h"
#include "monotonic.h"
#include "service_process.h"

#define STOP_MS 15000

static const char *const names[] = {"parking", "booking", "billing"};
static struct service_process services[3];

static void start_service(size_t i, const char *url) {
    char database[640];
    (void)snprintf(database, sizeof database, "%s/%s.db", fixture_data_dir(), names[i]);
    service_process_start(
        &services[i], (const char *const[]){
                          names[i], "serve", "--db", database, "--http", "0", "--amqp", url,
                          "--amqp-ca-file", broker_node_tls_file(&fixture_node, "ca.pem"),
                          "--amqp-certificate", broker_node_tls_file(&fixture_node, "client.pem"),
                          "--amqp-key", broker_node_tls_file(&fixture_node, "client.key"), NULL});
    service_process_await(&services[i], "carrying out the commands");
}

static void start_daemon(const char *url) {
    fixture_start("--data-dir", fixture_data_dir(), "--definitions", SAGA_EXAMPLES, "--amqp", url,
                  "--amqp-ca-file", broker_node_tls_file(&fixture_node, "ca.pem"),
                  "--amqp-certificate", broker_node_tls_file(&fixture_node, "client.pem"),
                  "--amqp-key", broker_node_tls_file(&fixture_node, "client.key"), NULL);
    (void)fixture_await_connected(true, 20000);
}

static void expect_look(const char *service, const char *sql, const char *argument,
                        const char *expected) {
    ck_assert_str_eq(fixture_look(service, sql, argument), expected);
}

START_TEST(a_booking_over_amqps) {
    char id[API_ID_SIZE], declined[API_ID_SIZE];
    fixture_make_data_dir();
    for (size_t i = 0; i < 3; i++) {
        start_service(i, fixture_node.tls_url);
    }
    start_daemon(fixture_node.tls_url);
    fixture_create_slot("slot-1");
    struct api_session *session = fixture_session();
    fixture_book(session, "ann", "slot-1", 10000, id);
    fixture_expect_end(session, id, "completed");
    expect_look("booking", "SELECT status FROM bookings WHERE uuid = ?1", id, "paid");
    expect_look("parking", "SELECT status FROM parking_slots WHERE uuid = ?1", "slot-1",
                "reserved");
    expect_look("billing", "SELECT status FROM billing_requests WHERE reference_no LIKE ?1",
                "slot-1:%", "paid");
    fixture_book(session, "bob", "slot-1", 10000, declined); /* it is taken */
    fixture_expect_end(session, declined, "compensated");
    const char *listed = broker_node_ctl(
        &fixture_node, (const char *const[]){"list_connections", "-q", "--no-table-headers", "ssl",
                                             "peer_cert_subject", NULL});
    ck_assert_ptr_nonnull(strstr(listed, "true\tCN=client\n"));
    ck_assert_msg(strstr(listed, "false") == NULL, "%s", listed);
    api_session_close(session);
    fixture_stop();
    for (size_t i = 0; i < 3; i++) {
        const int status = service_process_end(&services[i], SIGTERM, STOP_MS);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", services[i].said);
    }
}
END_TEST

/* What is wrong is said where an operator looks, and the daemon lives on. */
START_TEST(a_broker_that_is_not_trusted) {
    fixture_make_data_dir();
    fixture_start("--data-dir", fixture_data_dir(), "--definitions", SAGA_EXAMPLES, "--amqp",
                  fixture_node.tls_url, "--amqp-ca-file",
                  broker_node_tls_file(&fixture_node, "stranger.pem"), NULL);
    const int64_t until_ms = monotonic_ms() + 20000;
    while (strstr(fixture_reason(), "--amqp-ca-file") == NULL) {
        ck_assert_msg(monotonic_ms() < until_ms, "%s", fixture_reason());
    }
    fixture_expect_said("--amqp-ca-file");
    fixture_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("broker tls");
    TCase *tests = tcase_create("tls");
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_set_timeout(tests, 180);
    tcase_add_test(tests, a_booking_over_amqps);
    tcase_add_test(tests, a_broker_that_is_not_trusted);
    suite_add_tcase(suite, tests);
    fixture_node.tls = "mutual";
    fixture_open_node(0);
    const int status = check_run(suite);
    fixture_close_node();
    return status;
}
