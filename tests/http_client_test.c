/* The client of the HTTP API: addresses, what is sent, and how each failure is told. */
#include "check_run.h"
#include "http_client.h"
#include "scripted_server.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct saga_http_client *open_client(const char *server) {
    struct saga_http_client *client;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_http_client_open(&client, server, &fault) == SAGA_OK, "%s", fault.text);
    return client;
}

static const struct saga_http_request get = {
    .method = "GET", .path = "/v1/sagas?limit=1", .timeout_ms = 5000};

static void expect_answer(const char *server, const struct saga_http_request *request, int status,
                          const char *body) {
    struct saga_http_client *client = open_client(server);
    struct saga_http_response response;
    struct saga_fault fault = {0};
    enum saga_error error = saga_http_client_send(client, request, &response, &fault);
    ck_assert_msg(error == SAGA_OK, "%s", fault.text);
    ck_assert_int_eq(response.status, status);
    ck_assert_str_eq(response.body, body);
    ck_assert_uint_eq(response.body_size, strlen(body));
    saga_http_response_free(&response);
    saga_http_client_close(client);
}

static void expect_error(const char *server, const struct saga_http_request *request,
                         enum saga_error expected, const char *text) {
    struct saga_http_client *client = open_client(server);
    struct saga_http_response response;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_http_client_send(client, request, &response, &fault), expected);
    ck_assert_msg(strstr(fault.text, text) != NULL, "%s", fault.text);
    ck_assert_ptr_null(response.body);
    saga_http_client_close(client);
}

START_TEST(addresses_are_checked) {
    static const char *const wrong[] = {
        "",
        "unix:",
        "localhost:8080",
        "https://localhost:8080",
        "http://",
        "http://user@localhost",
        "http://localhost/v1",
        "http://localhost?x",
        "http://localhost#x",
        "ftp://localhost",
        "http://local host",
        "http://localhost:99999",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct saga_http_client *client;
        struct saga_fault fault = {0};
        ck_assert_msg(saga_http_client_open(&client, wrong[i], &fault) == SAGA_ERROR_USAGE,
                      "'%s' was taken", wrong[i]);
        ck_assert_ptr_null(client);
        ck_assert_ptr_nonnull(strstr(fault.text, "expected unix:PATH or http://HOST:PORT"));
    }
    saga_http_client_close(open_client("http://localhost:8080/"));
    saga_http_client_close(open_client("http://[::1]:8080"));
    saga_http_client_close(open_client("unix:sagad.sock"));
}
END_TEST

START_TEST(a_get_over_tcp) {
    static const struct scripted_answer answers[] = {{"200 OK", "{\"sagas\": []}"}};
    scripted_server_start(NULL, answers, 1);
    expect_answer(scripted_server_address(), &get, 200, "{\"sagas\": []}");
    scripted_server_stop();
    const char *request = scripted_server_request(0);
    ck_assert(strncmp(request, "GET /v1/sagas?limit=1 HTTP/1.1\r\n", 32) == 0);
    ck_assert_ptr_nonnull(strstr(request, "\r\nHost: 127.0.0.1:"));
    ck_assert_ptr_null(strstr(request, "Content-Type"));
    ck_assert_ptr_null(strstr(request, "Idempotency-Key"));
}
END_TEST

START_TEST(a_post_over_a_unix_socket) {
    static const struct scripted_answer answers[] = {{"201 Created", "{\"id\": \"x\"}"}};
    char directory[] = "/tmp/saga-client-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(directory));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/s", directory);
    scripted_server_start(path, answers, 1);
    const char *body = "{\"saga\": \"booking\"}";
    struct saga_http_request post = {.method = "POST",
                                     .path = "/v1/sagas",
                                     .idempotency_key = "key-1",
                                     .body = body,
                                     .body_size = strlen(body),
                                     .timeout_ms = 5000};
    expect_answer(scripted_server_address(), &post, 201, "{\"id\": \"x\"}");
    scripted_server_stop();
    const char *request = scripted_server_request(0);
    ck_assert(strncmp(request, "POST /v1/sagas HTTP/1.1\r\n", 25) == 0);
    ck_assert_ptr_nonnull(strstr(request, "\r\nHost: localhost\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nIdempotency-Key: key-1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(request, "Expect"));
    ck_assert_ptr_nonnull(strstr(request, "\r\n\r\n{\"saga\": \"booking\"}"));
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(a_post_without_a_body_is_an_empty_one) {
    static const struct scripted_answer answers[] = {{"202 Accepted", ""}};
    scripted_server_start(NULL, answers, 1);
    struct saga_http_request post = {
        .method = "POST", .path = "/v1/sagas/x/cancel", .timeout_ms = 5000};
    expect_answer(scripted_server_address(), &post, 202, "");
    scripted_server_stop();
    ck_assert_ptr_nonnull(strstr(scripted_server_request(0), "\r\nContent-Length: 0\r\n"));
}
END_TEST

START_TEST(a_socket_in_a_directory_with_a_long_name_is_reached) {
    static const struct scripted_answer answers[] = {{"200 OK", "{}"}};
    char directory[] = "/tmp/saga-client-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(directory));
    char deep[512], path[600], before[64];
    int size = snprintf(deep, sizeof deep, "%s/%0200d", directory, 0);
    ck_assert_int_lt(size, (int)sizeof deep);
    ck_assert_int_eq(mkdir(deep, 0700), 0);
    /* The server binds where the name is short, and the socket is moved. */
    (void)snprintf(before, sizeof before, "%s/s", directory);
    (void)snprintf(path, sizeof path, "%s/sagad.sock", deep);
    scripted_server_start(before, answers, 1);
    ck_assert_int_eq(rename(before, path), 0);
    char server[700];
    (void)snprintf(server, sizeof server, "unix:%s", path);
    expect_answer(server, &get, 200, "{}");
    scripted_server_stop();
    ck_assert_int_eq(unlink(path), 0);
    expect_error(server, &get, SAGA_ERROR_UNREACHABLE, "not reached");
    ck_assert_int_eq(rmdir(deep), 0);
    expect_error(server, &get, SAGA_ERROR_UNREACHABLE, "No such file");
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(an_error_status_is_an_answer) {
    static const struct scripted_answer answers[] = {{"404 Not Found", "{\"title\": \"unknown\"}"}};
    scripted_server_start(NULL, answers, 1);
    expect_answer(scripted_server_address(), &get, 404, "{\"title\": \"unknown\"}");
    scripted_server_stop();
}
END_TEST

START_TEST(a_daemon_that_is_not_there_is_unreachable) {
    static const struct scripted_answer answers[] = {{"200 OK", "{}"}};
    scripted_server_start(NULL, answers, 1);
    char address[128];
    (void)snprintf(address, sizeof address, "%s", scripted_server_address());
    scripted_server_stop(); /* so that its port is free */
    expect_error(address, &get, SAGA_ERROR_UNREACHABLE, address);
    expect_error("unix:/tmp/no/such/sagad.sock", &get, SAGA_ERROR_UNREACHABLE, "No such file");
}
END_TEST

START_TEST(silence_ends_with_the_time) {
    static const struct scripted_answer answers[] = {{SCRIPT_SILENCE, NULL}};
    scripted_server_start(NULL, answers, 1);
    struct saga_http_request request = get;
    request.timeout_ms = 100;
    expect_error(scripted_server_address(), &request, SAGA_ERROR_TIMEOUT, "no answer in time");
    scripted_server_stop();
}
END_TEST

/* libcurl repeats a POST by itself when a kept-alive connection dies; ours are used
 * once, so the caller alone decides on a repetition. */
START_TEST(a_broken_connection_is_told_and_the_request_is_sent_once) {
    static const struct scripted_answer answers[] = {{"200 OK", "{}"}, {SCRIPT_HANG_UP, NULL}};
    scripted_server_start(NULL, answers, 2);
    struct saga_http_client *client = open_client(scripted_server_address());
    struct saga_http_request post = {
        .method = "POST", .path = "/v1/sagas", .body = "{}", .body_size = 2, .timeout_ms = 5000};
    struct saga_http_response response;
    struct saga_fault fault = {0};
    ck_assert_int_eq(saga_http_client_send(client, &post, &response, &fault), SAGA_OK);
    saga_http_response_free(&response);
    ck_assert_int_eq(saga_http_client_send(client, &post, &response, &fault), SAGA_ERROR_FAILED);
    ck_assert_msg(strstr(fault.text, "the connection broke") != NULL, "%s", fault.text);
    saga_http_client_close(client);
    scripted_server_stop();
    ck_assert_uint_eq(scripted_server_request_count(), 2);
}
END_TEST

START_TEST(a_large_answer_is_taken_whole) {
    size_t size = 3u << 20;
    char *body = malloc(size + 1);
    ck_assert_ptr_nonnull(body);
    memset(body, 'x', size);
    body[size] = '\0';
    const struct scripted_answer answers[] = {{"200 OK", body}};
    scripted_server_start(NULL, answers, 1);
    expect_answer(scripted_server_address(), &get, 200, body);
    scripted_server_stop();
    free(body);
}
END_TEST

START_TEST(a_key_that_breaks_the_head_is_refused) {
    struct saga_http_request request = get;
    request.idempotency_key = "a\r\nHost: evil";
    expect_error("http://127.0.0.1:1", &request, SAGA_ERROR_FAILED, "cannot be made");
}
END_TEST

START_TEST(a_path_is_escaped) {
    char *path = saga_http_path("/v1/sagas/", "a/b ?#", "?wait=1s");
    ck_assert_str_eq(path, "/v1/sagas/a%2Fb%20%3F%23?wait=1s");
    free(path);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http_client");
    TCase *tests = tcase_create("http_client");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, addresses_are_checked);
    tcase_add_test(tests, a_get_over_tcp);
    tcase_add_test(tests, a_post_over_a_unix_socket);
    tcase_add_test(tests, a_post_without_a_body_is_an_empty_one);
    tcase_add_test(tests, a_socket_in_a_directory_with_a_long_name_is_reached);
    tcase_add_test(tests, an_error_status_is_an_answer);
    tcase_add_test(tests, a_daemon_that_is_not_there_is_unreachable);
    tcase_add_test(tests, silence_ends_with_the_time);
    tcase_add_test(tests, a_broken_connection_is_told_and_the_request_is_sent_once);
    tcase_add_test(tests, a_large_answer_is_taken_whole);
    tcase_add_test(tests, a_key_that_breaks_the_head_is_refused);
    tcase_add_test(tests, a_path_is_escaped);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
