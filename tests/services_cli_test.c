/* The command lines of parking, booking and billing: what they print, and how they end. */
#include "billing.h"
#include "booking.h"
#include "check_run.h"
#include "parking.h"
#include "participant_fixture.h"
#include "scripted_server.h"
#include "service.h"

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT "5a4f0c1e-0000-7000-8000-000000000001"
#define SAGA "0190a8f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

static const char *database;
static char out[8192];
static char err[8192];

static void open_files(void) {
    (void)unsetenv("DATABASE_URL");
    (void)unsetenv("SAGAD_SERVER");
    database = fixture_file();
}

static void read_back(int file, char *text, size_t size) {
    ssize_t got = pread(file, text, size - 1, 0);
    ck_assert_int_ge((int)got, 0);
    text[got] = '\0';
    (void)close(file);
}

static int temporary(void) {
    char path[] = "/tmp/saga-cli-XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(unlink(path), 0);
    return file;
}

/* Runs a program of ours; what it printed is in `out` and `err`. Returns its exit
 * status. The arguments end with NULL. */
static int run(const char *program, ...) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", SAGA_BIN_DIR, program);
    char *arguments[16] = {path};
    va_list list;
    va_start(list, program);
    for (size_t i = 1; (arguments[i] = va_arg(list, char *)) != NULL; i++) {
        ck_assert_uint_lt(i, 15);
    }
    va_end(list);
    int outputs[] = {temporary(), temporary()};
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(outputs[0], STDOUT_FILENO);
        (void)dup2(outputs[1], STDERR_FILENO);
        (void)execv(path, arguments);
        _exit(127);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    read_back(outputs[0], out, sizeof out);
    read_back(outputs[1], err, sizeof err);
    ck_assert_msg(WIFEXITED(status), "%s ended with status %d: %s", program, status, err);
    return WEXITSTATUS(status);
}

static void expect_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

#define RUN(...) run(__VA_ARGS__, (char *)NULL)

/* ----------------------------------------------------------------- parking */

START_TEST(a_slot_is_created_listed_and_shown) {
    ck_assert_int_eq(RUN("parking", "create_parking_slot", "--name=Slot 1", "--db", database), 0);
    ck_assert_uint_eq(
        strlen(out),
        strlen("{\"uuid\": \"" SLOT "\", \"name\": \"Slot 1\", \"status\": \"available\"}\n"));
    char first[8192], uuid[37];
    (void)strcpy(first, out);
    ck_assert_int_eq(sscanf(out, "{\"uuid\": \"%36[^\"]\", \"name\": \"Slot 1\"", uuid), 1);
    ck_assert_int_eq(RUN("parking", "--db", database, "create_parking_slot", "--name", "Slot 2"),
                     0);

    char url[256];
    (void)snprintf(url, sizeof url, "sqlite:///%s", database); /* absolute: four slashes */
    (void)setenv("DATABASE_URL", url, 1);
    ck_assert_int_eq(RUN("parking", "parking_slot_list"), 0);
    ck_assert_msg(strncmp(out, first, strlen(first)) == 0, "%s", out);
    expect_in(out, "\"name\": \"Slot 2\", \"status\": \"available\"}\n");

    ck_assert_int_eq(RUN("parking", "parking_slot_details", uuid), 0);
    ck_assert_str_eq(out, first);
    ck_assert_int_eq(RUN("parking", "parking_slot_details", uuid + 24), 0);
    ck_assert_str_eq(out, first);
    ck_assert_int_eq(RUN("parking", "parking_slot_details", "-"), 3);
    expect_in(err, "several have it");
    ck_assert_int_eq(RUN("parking", "parking_slot_details", "nope"), 3);
    ck_assert_str_eq(out, "");
    expect_in(err, "parking: no slot has this id");
}
END_TEST

START_TEST(usage_errors_say_what_is_missing_and_end_with_2) {
    ck_assert_int_eq(RUN("parking"), 2);
    expect_in(err, "which verb?");
    ck_assert_int_eq(RUN("parking", "fly"), 2);
    expect_in(err, "there is no verb 'fly'");
    ck_assert_int_eq(RUN("parking", "serve"), 2);
    ck_assert_int_eq(RUN("parking", "parking_slot_list"), 2);
    expect_in(err, "--db FILE");
    ck_assert_int_eq(RUN("parking", "--db", database, "create_parking_slot"), 2);
    expect_in(err, "--name is missing");
    ck_assert_int_eq(RUN("parking", "--db", database, "parking_slot_details"), 2);
    expect_in(err, "UUID is missing");
    ck_assert_int_eq(RUN("parking", "--db", database, "parking_slot_list", "more"), 2);
    expect_in(err, "one argument too many");
    ck_assert_int_eq(RUN("parking", "--nonsense", "parking_slot_list"), 2);
    (void)setenv("DATABASE_URL", "postgres://localhost/parking", 1);
    ck_assert_int_eq(RUN("parking", "parking_slot_list"), 2);
    expect_in(err, "expected sqlite:///FILE");
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(each_program_explains_itself) {
    static const char *const programs[] = {"parking", "booking", "billing"};
    static const char *const verbs[][3] = {
        {"create_parking_slot", "parking_slot_list", "parking_slot_details"},
        {"create_booking_request", "booking_list", "booking_details_by_parking_ref_no"},
        {"billing_request_list", "billing_request_details_by_reference_no", NULL},
    };
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(RUN(programs[i], "--help"), 0);
        char help[sizeof out];
        (void)strcpy(help, out);
        for (size_t v = 0; v < 3 && verbs[i][v] != NULL; v++) {
            expect_in(help, verbs[i][v]);
            ck_assert_int_eq(RUN(programs[i], verbs[i][v], "--help"), 0);
            expect_in(out, "Usage: ");
            expect_in(out, verbs[i][v]);
        }
        ck_assert_int_eq(RUN(programs[i], "--version"), 0);
        expect_in(out, "(sagad) ");
    }
}
END_TEST

START_TEST(a_list_makes_no_database_and_takes_no_others) {
    ck_assert_int_eq(RUN("parking", "--db", database, "parking_slot_list"), 3);
    expect_in(err, "no such database");
    ck_assert_int_ne(access(database, F_OK), 0);
    ck_assert_int_eq(RUN("parking", "--db", database, "create_parking_slot", "--name", "Slot 1"),
                     0);
    ck_assert_int_eq(RUN("booking", "--db", database, "booking_list"), 1);
    expect_in(err, "the database of 'parking', not of 'booking'");
}
END_TEST

/* -------------------------------------------------------- booking and billing */

static void fill(const struct saga_service *service, const char *name,
                 const char *const bodies[2]) {
    struct saga_participant *participant = fixture_open(service, database, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct saga_wire_command command = fixture_command(name, "action", "step");
        command.saga = fixture_saga(i);
        fixture_identify(&command);
        struct saga_wire_reply reply =
            fixture_deliver(participant, fixture_with_body(command, bodies[i]));
        ck_assert_int_eq(reply.outcome, SAGA_WIRE_DONE);
    }
    saga_participant_close(participant);
}

START_TEST(bookings_are_listed_and_shown) {
    static const char *const bodies[] = {"{\"parking_slot_uuid\": \"slot-0\"}",
                                         "{\"parking_slot_uuid\": \"slot-1\"}"};
    fill(saga_booking_service(), "booking.create", bodies);
    ck_assert_int_eq(RUN("booking", "--db", database, "booking_list"), 0);
    char expected[512], reference[128];
    (void)snprintf(reference, sizeof reference, "slot-1:%s", fixture_saga(1));
    (void)snprintf(expected, sizeof expected,
                   "{\"id\": 1, \"status\": \"pending\", \"parking_slot_ref_no\": \"slot-0:%s\"}\n"
                   "{\"id\": 2, \"status\": \"pending\", \"parking_slot_ref_no\": \"%s\"}\n",
                   fixture_saga(0), reference);
    ck_assert_str_eq(out, expected);
    ck_assert_int_eq(
        RUN("booking", "--db", database, "booking_details_by_parking_ref_no", reference), 0);
    ck_assert_str_eq(out, strchr(expected, '\n') + 1);
    ck_assert_int_eq(RUN("booking", "--db", database, "booking_details_by_parking_ref_no", "x:y"),
                     3);
    expect_in(err, "no booking has the reference x:y");
}
END_TEST

START_TEST(bills_are_listed_with_two_decimals) {
    static const char *const bodies[] = {"{\"parking_slot_ref_no\": \"slot:0\"}",
                                         "{\"total\": 10001, \"parking_slot_ref_no\": \"slot:1\"}"};
    fill(saga_billing_service(), "billing.authorize_payment", bodies);
    ck_assert_int_eq(RUN("billing", "--db", database, "billing_request_list"), 0);
    ck_assert_str_eq(out,
                     "{\"id\": 1, \"total\": \"100.00\", \"status\": \"paid\", \"reference_no\": "
                     "\"slot:0\"}\n"
                     "{\"id\": 2, \"total\": \"100.01\", \"status\": \"paid\", \"reference_no\": "
                     "\"slot:1\"}\n");
    ck_assert_int_eq(
        RUN("billing", "--db", database, "billing_request_details_by_reference_no", "slot:1"), 0);
    expect_in(out, "{\"id\": 2, \"total\": \"100.01\"");
    ck_assert_int_eq(
        RUN("billing", "--db", database, "billing_request_details_by_reference_no", "slot:9"), 3);
}
END_TEST

/* --------------------------------------------------- create_booking_request */

#define CREATED                                                                                    \
    { "201 Created", "{\"id\": \"" SAGA "\"}" }
#define SAGA_IS(status)                                                                            \
    {                                                                                              \
        "200 OK", "{\"id\": \"" SAGA "\", \"status\": \"" status "\", \"data\": "                  \
                  "{\"parking_slot_ref_no\": \"" SLOT ":" SAGA "\"}}"                              \
    }
#define REQUEST(...)                                                                               \
    RUN("booking", "create_booking_request", SLOT, "--server", scripted_server_address(),          \
        __VA_ARGS__)

static void start(const struct scripted_answer *answers, size_t count) {
    scripted_server_start(NULL, answers, count);
}

START_TEST(a_request_starts_the_saga_and_waits_for_its_end) {
    static const struct scripted_answer answers[] = {CREATED, SAGA_IS("running"),
                                                     SAGA_IS("completed")};
    start(answers, 3);
    (void)setenv("SAGAD_SERVER", scripted_server_address(), 1);
    ck_assert_int_eq(
        RUN("booking", "create_booking_request", SLOT, "--total", "12345", "--key", "k-1"), 0);
    scripted_server_stop();
    ck_assert_str_eq(out, "Booking request workflow done.\n"
                          "{\"saga\": \"" SAGA "\", \"status\": \"completed\", "
                          "\"parking_slot_ref_no\": \"" SLOT ":" SAGA "\"}\n");
    ck_assert_uint_eq(scripted_server_request_count(), 3);
    const char *post = scripted_server_request(0);
    expect_in(post, "POST /v1/sagas HTTP/1.1\r\n");
    expect_in(post, "\r\nIdempotency-Key: k-1\r\n");
    expect_in(post, "{\"saga\":\"booking\",\"input\":{\"parking_slot_uuid\":\"" SLOT
                    "\",\"total\":12345}}");
    expect_in(scripted_server_request(1), "GET /v1/sagas/" SAGA "?wait=30000ms HTTP/1.1\r\n");
}
END_TEST

START_TEST(each_end_has_its_exit_status) {
    static const struct {
        struct scripted_answer answer;
        int exit_status;
        const char *line;
    } ends[] = {
        {SAGA_IS("completed"), 0, "Booking request workflow done.\n"},
        {SAGA_IS("completed_manually"), 0, "Booking request workflow done.\n"},
        {SAGA_IS("compensated"), 5, "Booking request workflow done.\n"},
        {SAGA_IS("compensated_manually"), 5, "Booking request workflow done.\n"},
        {SAGA_IS("inconsistent"), 6, "Booking request workflow done.\n"},
        {SAGA_IS("parked"), 6, "Booking request workflow needs an operator.\n"},
        {SAGA_IS("quarantined"), 6, "Booking request workflow needs an operator.\n"},
    };
    const struct scripted_answer answers[] = {CREATED, ends[_i].answer};
    start(answers, 2);
    ck_assert_int_eq(REQUEST("--timeout=20s"), ends[_i].exit_status);
    scripted_server_stop();
    ck_assert_msg(strncmp(out, ends[_i].line, strlen(ends[_i].line)) == 0, "%s", out);
}
END_TEST

/* An answer that is lost: the same key again, so that one saga is started. */
START_TEST(a_start_without_an_answer_is_sent_again_with_its_key) {
    static const struct scripted_answer answers[] = {
        {SCRIPT_HANG_UP, NULL},
        {"503 Service Unavailable", "{\"title\": \"outcome unknown\"}"},
        {"200 OK", "{\"id\": \"" SAGA "\"}"},
        SAGA_IS("completed")};
    start(answers, 4);
    ck_assert_int_eq(REQUEST("--timeout=20s"), 0);
    scripted_server_stop();
    char keys[3][64];
    for (size_t i = 0; i < 3; i++) {
        const char *key = strstr(scripted_server_request(i), "\r\nIdempotency-Key: ");
        ck_assert_ptr_nonnull(key);
        ck_assert_int_eq(sscanf(key, " Idempotency-Key: %63s", keys[i]), 1);
        ck_assert_uint_eq(strlen(keys[i]), 36);
        ck_assert_str_eq(keys[i], keys[0]);
    }
}
END_TEST

/* The daemon is killed while the customer waits. */
START_TEST(a_daemon_that_goes_away_is_waited_for) {
    static const struct scripted_answer answers[] = {
        CREATED, {SCRIPT_HANG_UP, NULL}, {SCRIPT_HANG_UP, NULL}, SAGA_IS("compensated")};
    start(answers, 4);
    ck_assert_int_eq(REQUEST("--timeout=20s"), 5);
    scripted_server_stop();
    ck_assert_uint_eq(scripted_server_request_count(), 4);
}
END_TEST

START_TEST(a_saga_that_does_not_end_in_time_is_named) {
    static const struct scripted_answer answers[] = {CREATED, SAGA_IS("running")};
    start(answers, 2);
    ck_assert_int_eq(REQUEST("--timeout=300ms"), 124);
    scripted_server_stop();
    expect_in(err, "saga " SAGA " has not ended in time, it is running");
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(a_daemon_that_is_not_there_ends_with_4) {
    ck_assert_int_eq(
        RUN("booking", "create_booking_request", SLOT, "--server", "unix:/tmp/no/such/sagad.sock"),
        4);
    expect_in(err, "is sagad running");
}
END_TEST

START_TEST(what_the_daemon_refuses_is_shown) {
    static const struct {
        struct scripted_answer answer;
        int exit_status;
        const char *text;
    } refusals[] = {
        {{"404 Not Found", "{\"title\": \"t\", \"detail\": \"no saga 'booking'\"}"},
         3,
         "answered 404: no saga 'booking'"},
        {{"409 Conflict", "{\"title\": \"key used\"}"}, 1, "answered 409: key used"},
        {{"400 Bad Request", "{}"}, 1, "answered 400: without saying why"},
        {{"500 Oops", "no json"}, 1, "answered 500: without saying why"},
        {{"200 OK", "{}"}, 1, "has no id"},
    };
    start(&refusals[_i].answer, 1);
    ck_assert_int_eq(REQUEST("--timeout=20s"), refusals[_i].exit_status);
    scripted_server_stop();
    expect_in(err, refusals[_i].text);
    ck_assert_uint_eq(scripted_server_request_count(), 1);
}
END_TEST

START_TEST(a_requests_options_are_checked) {
    ck_assert_int_eq(RUN("booking", "create_booking_request", SLOT), 2);
    expect_in(err, "SAGAD_SERVER");
    ck_assert_int_eq(RUN("booking", "create_booking_request", SLOT, "--server", "localhost:80"), 2);
    expect_in(err, "expected unix:PATH or http://HOST:PORT");
    static const char *const wrong[] = {"--total=0",    "--total=1.5",  "--total=x",
                                        "--timeout=5",  "--timeout=0s", "--timeout=25h",
                                        "--timeout=-1s"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(RUN("booking", "create_booking_request", SLOT, "--server",
                             "http://127.0.0.1:1", wrong[i]),
                         2);
        expect_in(err, "expected a ");
    }
}
END_TEST

static void remove_files(void) {
    fixture_file_remove();
}

int main(void) {
    Suite *suite = suite_create("services_cli");
    TCase *tests = tcase_create("services_cli");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, open_files, remove_files);
    tcase_add_test(tests, a_slot_is_created_listed_and_shown);
    tcase_add_test(tests, usage_errors_say_what_is_missing_and_end_with_2);
    tcase_add_test(tests, each_program_explains_itself);
    tcase_add_test(tests, a_list_makes_no_database_and_takes_no_others);
    tcase_add_test(tests, bookings_are_listed_and_shown);
    tcase_add_test(tests, bills_are_listed_with_two_decimals);
    tcase_add_test(tests, a_request_starts_the_saga_and_waits_for_its_end);
    tcase_add_loop_test(tests, each_end_has_its_exit_status, 0, 7);
    tcase_add_test(tests, a_start_without_an_answer_is_sent_again_with_its_key);
    tcase_add_test(tests, a_daemon_that_goes_away_is_waited_for);
    tcase_add_test(tests, a_saga_that_does_not_end_in_time_is_named);
    tcase_add_test(tests, a_daemon_that_is_not_there_ends_with_4);
    tcase_add_loop_test(tests, what_the_daemon_refuses_is_shown, 0, 5);
    tcase_add_test(tests, a_requests_options_are_checked);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
