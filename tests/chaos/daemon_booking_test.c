/* Bookings through the real daemon: the defects of an earlier implementation of the
 * pattern, which this one must not have, and what a daemon owes to who started a saga. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check_run.h"
#include "daemon_fixture.h"

#define SLOT    "SELECT status FROM parking_slots WHERE uuid = ?1"
#define HOLDER  "SELECT held_by FROM parking_slots WHERE uuid = ?1"
#define BOOKING "SELECT status FROM bookings WHERE uuid = ?1"
#define BILLS   "SELECT count(*) FROM billing_requests WHERE reference_no LIKE '%:' || ?1"
#define BILL    "SELECT status FROM billing_requests WHERE reference_no LIKE '%:' || ?1"
#define UNBLOCKED                                                                                  \
    "SELECT count(*) FROM effects WHERE what = 'PARKING_UNBLOCKED' AND command_id LIKE ?1 || '%'"
#define RESERVED                                                                                   \
    "SELECT count(*) FROM effects WHERE command_id LIKE ?1 || '%' AND command_id LIKE "            \
    "'%/reserve/%'"

static const char *reference(const char *slot, const char *id) {
    static char text[128];
    (void)snprintf(text, sizeof text, "%s:%s", slot, id);
    return text;
}

START_TEST(a_refused_booking_frees_no_other_customers_slot) {
    char first[API_ID_SIZE], second[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), "--delay=booking.approve=600000", NULL);
    fixture_create_slot("a");
    struct api_session *session = fixture_session();
    fixture_book(session, "first", "a", 10000, first);
    fixture_await_step(session, first, "approve", "running"); /* it holds the slot, and waits */
    fixture_book(session, "second", "a", 10000, second);
    fixture_expect_end(session, second, "compensated");
    ck_assert_str_eq(fixture_look("parking", SLOT, "a"), "blocked");
    ck_assert_str_eq(fixture_look("parking", HOLDER, "a"), reference("a", first));
    ck_assert_str_eq(fixture_look("parking", UNBLOCKED, second), "0");
    ck_assert_str_eq(fixture_look("booking", BOOKING, second), "rejected");
    ck_assert_str_eq(fixture_look("billing", BILLS, second), "0");
    api_session_close(session);
    fixture_stop();

    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL); /* nobody is slow any more */
    session = fixture_session();
    fixture_expect_end(session, first, "completed");
    ck_assert_str_eq(fixture_look("parking", SLOT, "a"), "reserved");
    ck_assert_str_eq(fixture_look("parking", HOLDER, "a"), reference("a", first));
    ck_assert_str_eq(fixture_look("booking", BOOKING, first), "paid");
    ck_assert_str_eq(fixture_look("billing", BILL, first), "paid");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(an_unknown_slot_is_a_rejected_booking_and_no_hang) {
    char id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "nowhere", 10000, id);
    fixture_expect_end(session, id, "compensated");
    ck_assert_str_eq(fixture_look("booking", BOOKING, id), "rejected");
    ck_assert_str_eq(fixture_look("billing", BILLS, id), "0");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(a_declined_payment_never_goes_on_to_reserve) {
    char id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), "--limit=9999", NULL);
    fixture_create_slot("a");
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "a", 10000, id);
    fixture_expect_end(session, id, "compensated");
    ck_assert_str_eq(fixture_look("parking", RESERVED, id), "0");
    ck_assert_str_eq(fixture_look("parking", SLOT, "a"), "available");
    ck_assert_str_eq(fixture_look("parking", UNBLOCKED, id), "1");
    ck_assert_str_eq(fixture_look("booking", BOOKING, id), "rejected");
    ck_assert_str_eq(fixture_look("billing", BILLS, id), "0");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(a_failed_reservation_gives_everything_back) {
    char id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), "--fail=parking.reserve", NULL);
    fixture_create_slot("a");
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "a", 10000, id);
    fixture_expect_end(session, id, "compensated");
    ck_assert_str_eq(fixture_look("billing", BILL, id), "refunded");
    ck_assert_str_eq(fixture_look("parking", SLOT, "a"), "available");
    ck_assert_str_eq(fixture_look("booking", BOOKING, id), "rejected");
    api_session_close(session);
    fixture_stop();
}
END_TEST

/* Sends the request, of whose answer no byte will be read. */
static int ask(const char *request) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/sagad.sock", fixture_data_dir());
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

/* The id of the only saga there is, once there is one. */
static void await_only_saga(struct api_session *session, char id[API_ID_SIZE]) {
    const struct timespec pause = {.tv_nsec = 10000000};
    for (unsigned i = 0; i < 3000; i++) {
        json_t *list = api_session_get(session, "/v1/sagas");
        const json_t *saga = json_array_get(json_object_get(list, "sagas"), 0);
        (void)snprintf(id, API_ID_SIZE, "%s", api_text(saga, "id"));
        json_decref(list);
        if (id[0] != '\0') {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
    ck_abort_msg("the saga was never started");
}

START_TEST(a_saga_whose_client_has_gone_ends_all_the_same) {
    static const char body[] =
        "{\"saga\": \"booking\", \"input\": {\"parking_slot_uuid\": \"a\", \"total\": 10000}}";
    char request[512], id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(), "--delay=booking.approve=200", NULL);
    fixture_create_slot("a");
    struct api_session *session = fixture_session();
    (void)snprintf(
        request, sizeof request,
        "POST /v1/sagas HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Idempotency-Key: gone\r\nContent-Length: %zu\r\n\r\n%s",
        sizeof body - 1, body);
    const int starter = ask(request);
    await_only_saga(session, id);
    ck_assert_int_eq(close(starter), 0);
    (void)snprintf(request, sizeof request,
                   "GET /v1/sagas/%s?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n", id);
    ck_assert_int_eq(close(ask(request)), 0); /* who waits may leave as well */
    fixture_expect_end(session, id, "completed");
    ck_assert_str_eq(fixture_look("booking", BOOKING, id), "paid");
    ck_assert_str_eq(fixture_look("parking", SLOT, "a"), "reserved");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(sigterm_ends_it_in_time_and_loses_nothing) {
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    char id[3][API_ID_SIZE];
    for (unsigned i = 0; i < 3; i++) {
        char slot[8], key[8];
        (void)snprintf(slot, sizeof slot, "s%u", i);
        (void)snprintf(key, sizeof key, "k%u", i);
        fixture_start("dev", "--data-dir", fixture_data_dir(), "--delay=parking.reserve=600000",
                      NULL);
        fixture_create_slot(slot);
        struct api_session *session = fixture_session();
        fixture_book(session, key, slot, 10000, id[i]);
        fixture_await_step(session, id[i], "reserve", "running");
        api_session_close(session);
        daemon_signal(&fixture_daemon, signals[i]);
        ck_assert(daemon_await_end(&fixture_daemon, 10000));
        ck_assert_int_eq(fixture_daemon.status, 0);
    }
    fixture_expect_said("SIGTERM: stopping");
    fixture_expect_said("SIGINT: stopping");
    fixture_expect_said("SIGHUP: stopping");
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    struct api_session *session = fixture_session();
    for (unsigned i = 0; i < 3; i++) {
        fixture_expect_end(session, id[i], "completed");
    }
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(without_a_transport_commands_wait) {
    char id[API_ID_SIZE];
    fixture_make_data_dir();
    fixture_start("--data-dir", fixture_data_dir(), "--definitions", SAGA_EXAMPLES, NULL);
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "a", 10000, id);
    fixture_await_step(session, id, "create", "running");
    api_session_close(session);
    fixture_kill();

    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL); /* now there are participants */
    fixture_create_slot("b");
    session = fixture_session();
    fixture_expect_end(session, id, "compensated"); /* there is no slot "a" */
    ck_assert_str_eq(fixture_look("booking", BOOKING, id), "rejected");
    api_session_close(session);
    fixture_stop();
}
END_TEST

START_TEST(a_participant_that_dies_after_its_commit_acts_once) {
    char id[API_ID_SIZE];
    fixture_start("dev", "--data-dir", fixture_data_dir(),
                  "--crash=billing.authorize_payment=after-commit", NULL);
    fixture_create_slot("a");
    struct api_session *session = fixture_session();
    fixture_book(session, "k", "a", 10000, id);
    ck_assert(daemon_await_end(&fixture_daemon, 30000)); /* one process: all of it dies */
    ck_assert_int_eq(fixture_daemon.status, SIGKILL);
    fixture_start("dev", "--data-dir", fixture_data_dir(), NULL);
    fixture_expect_end(session, id, "completed");
    ck_assert_str_eq(fixture_look("billing", BILLS, id), "1");
    ck_assert_str_eq(fixture_look("billing", BILL, id), "paid");
    api_session_close(session);
    fixture_stop();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("daemon_booking");
    TCase *tests = tcase_create("daemon_booking");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, fixture_open_daemon, fixture_close_daemon);
    tcase_add_test(tests, a_refused_booking_frees_no_other_customers_slot);
    tcase_add_test(tests, an_unknown_slot_is_a_rejected_booking_and_no_hang);
    tcase_add_test(tests, a_declined_payment_never_goes_on_to_reserve);
    tcase_add_test(tests, a_failed_reservation_gives_everything_back);
    tcase_add_test(tests, a_saga_whose_client_has_gone_ends_all_the_same);
    tcase_add_test(tests, sigterm_ends_it_in_time_and_loses_nothing);
    tcase_add_test(tests, without_a_transport_commands_wait);
    tcase_add_test(tests, a_participant_that_dies_after_its_commit_acts_once);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
