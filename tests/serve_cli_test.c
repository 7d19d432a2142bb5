/* `serve` as a command: what it refuses, what it says without a broker, /health,
 * and how it ends. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "participant_fixture.h"
#include "service_process.h"

#define NO_BROKER "amqp://somebody:secret@127.0.0.1:1/"

static const char *database;
static struct service_process service;

static void begin(void) {
    (void)unsetenv("RABBITMQ_BROKER_URL");
    (void)unsetenv("DATABASE_URL");
    database = fixture_file();
}

static void end(void) {
    fixture_file_remove();
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket that is bound to a port of its own. */
static int take_port(int *port) {
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* The whole answer to a request. */
static const char *ask(int port, const char *request) {
    static char answer[4096];
    const struct sockaddr_in address = loopback(port);
    size_t size = 0;
    ssize_t got;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while ((got = read(fd, answer + size, sizeof answer - 1 - size)) > 0) {
        size += (size_t)got;
    }
    ck_assert_int_eq(got, 0);
    answer[size] = '\0';
    (void)close(fd);
    return answer;
}

static void expect_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

/* Runs `parking serve` with these options as well; it ends by itself. */
static int run(const char *option, const char *value) {
    service_process_start(&service, (const char *const[]){"parking", "serve", "--db", database,
                                                          "--http", "0", option, value, NULL});
    const int status = service_process_end(&service, 0, 30000);
    ck_assert_msg(WIFEXITED(status), "%s", service.said);
    return WEXITSTATUS(status);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

START_TEST(without_a_broker_it_says_so_once_and_keeps_trying) {
    static const struct {
        const char *program, *health;
    } all[] = {{"parking", "{\"message\": \"Parking server is running\"}"},
               {"booking", "{\"message\": \"Booking server is running\"}"},
               {"billing", "{\"message\": \"Billing server is running\"}"}};
    int port, broker_port;
    char number[16], url[64], said[96];
    begin();
    const int broker = take_port(&broker_port);
    ck_assert_int_eq(listen(broker, 16), 0);
    (void)close(take_port(&port));
    (void)snprintf(number, sizeof number, "%d", port);
    (void)snprintf(url, sizeof url, "amqp://somebody:secret@127.0.0.1:%d", broker_port);
    (void)snprintf(said, sizeof said, ": no broker at amqp://somebody@127.0.0.1:%d/", broker_port);
    service_process_start(&service,
                          (const char *const[]){all[_i].program, "serve", "--db", database,
                                                "--amqp", url, "--http", number, NULL});
    for (int i = 0; i < 6; i++) { /* each of its two connections is tried again */
        const int tried = accept(broker, NULL, NULL);
        ck_assert_int_ge(tried, 0);
        (void)close(tried);
    }
    service_process_await(&service, said);
    const char *answer = ask(port, GET("/health"));
    expect_in(answer, "HTTP/1.1 200 ");
    expect_in(answer, "Content-Type: application/json\r\n");
    expect_in(answer, all[_i].health);
    expect_in(ask(port, GET("/")), "HTTP/1.1 404 ");
    expect_in(ask(port, "DELETE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 405 ");
    expect_in(ask(port, "POST /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        "Content-Length: 3\r\n\r\nabc"),
              "HTTP/1.1 405 ");
    const int status = service_process_end(&service, _i == 0 ? SIGINT : SIGTERM, 10000);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", service.said);
    ck_assert_uint_eq(service_process_count(&service, "no broker at"), 1);
    ck_assert_ptr_null(strstr(service.said, "secret"));
    (void)close(broker);
    end();
}
END_TEST

START_TEST(a_port_that_is_taken_is_an_error) {
    int port;
    char number[16];
    begin();
    const int taken = take_port(&port);
    ck_assert_int_eq(listen(taken, 1), 0);
    (void)snprintf(number, sizeof number, "%d", port);
    (void)setenv("RABBITMQ_BROKER_URL", NO_BROKER, 1);
    ck_assert_int_eq(run("--http", number), 1);
    expect_in(service.said, "cannot listen on 127.0.0.1 port ");
    expect_in(service.said, "Address already in use");
    (void)close(taken);
    end();
}
END_TEST

static const struct {
    const char *option, *value, *said;
} wrong[] = {
    {"--amqp", "", "where is the broker?"},
    {"--amqp", "http://localhost/", "--amqp: "},
    {"--amqp", "amqp://localhost:99999/", "--amqp: "},
    {"--amqp-password-file", "/nowhere/password", "--amqp-password-file: "},
    {"--amqp-certificate", "c.pem", "belong together"},
    {"--exchange", "", "--exchange ''"},
    {"--exchange", "a b", "--exchange 'a b'"},
    {"--queue-type", "lazy", "expected classic or quorum"},
    {"--prefetch", "0", "--prefetch '0'"},
    {"--prefetch", "65536", "--prefetch '65536'"},
    {"--prefetch", "many", "--prefetch 'many'"},
    {"--http", "-1", "--http '-1'"},
    {"--http", "8000x", "--http '8000x'"},
    {"--fail", "booking.create", "no service here has such a command"},
    {"--delay", "parking.block", "--delay 'parking.block'"},
    {"--nonsense", "1", "unrecognized option"},
};

START_TEST(what_is_wrong_with_the_command_line_is_said) {
    begin();
    (void)setenv("RABBITMQ_BROKER_URL", NO_BROKER, 1);
    ck_assert_int_eq(run(wrong[_i].option, wrong[_i].value), 2);
    expect_in(service.said, wrong[_i].said);
    ck_assert_ptr_null(strstr(service.said, "secret"));
    ck_assert_int_ne(access(database, F_OK), 0); /* nothing was begun */
    end();
}
END_TEST

START_TEST(a_wrong_url_in_the_environment_is_named) {
    begin();
    (void)setenv("RABBITMQ_BROKER_URL", "amqp://somebody:secret@:5672", 1);
    ck_assert_int_eq(run("--prefetch", "1"), 2);
    expect_in(service.said, "RABBITMQ_BROKER_URL: ");
    ck_assert_ptr_null(strstr(service.said, "secret"));
    (void)unsetenv("RABBITMQ_BROKER_URL");
    ck_assert_int_eq(run("--prefetch", "1"), 2);
    expect_in(service.said, "where is the broker?");
    end();
}
END_TEST

START_TEST(an_address_of_health_is_checked) {
    begin();
    (void)setenv("RABBITMQ_BROKER_URL", NO_BROKER, 1);
    service_process_start(&service, (const char *const[]){"parking", "serve", "--db", database,
                                                          "--http-host", "localhost", NULL});
    const int status = service_process_end(&service, 0, 30000);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    expect_in(service.said, "expected an address in digits");
    end();
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

int main(void) {
    Suite *suite = suite_create("serve_cli");
    TCase *tests = tcase_create("serve");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, without_a_broker_it_says_so_once_and_keeps_trying, 0, 3);
    tcase_add_test(tests, a_port_that_is_taken_is_an_error);
    tcase_add_loop_test(tests, what_is_wrong_with_the_command_line_is_said, 0, COUNT(wrong));
    tcase_add_test(tests, a_wrong_url_in_the_environment_is_named);
    tcase_add_test(tests, an_address_of_health_is_checked);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
