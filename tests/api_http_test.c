/* Bad HTTP, and HTTP from where it should not come. */
#include "api_fixture.h"
#include "check_run.h"
#include "splitmix.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define START "{\"saga\":\"trip\",\"input\":{}}"
#define JSON  "Content-Type: application/json\r\n"

static void set_up(void) {
    stand_open(&(struct stand_options){.listen = "tcp:127.0.0.1:0"});
}

static void set_up_unix(void) {
    stand_open(&(struct stand_options){0});
}

static const char *port(void) {
    return strrchr(saga_api_address(stand_api()), ':') + 1;
}

/* Sends the bytes; the answer to them. */
static struct answer raw(const void *bytes, size_t size) {
    const int fd = dial();
    say(fd, bytes, size);
    struct answer answer = hear(fd);
    ck_assert_int_eq(close(fd), 0);
    return answer;
}

/* The same, of a text in which %HOST stands for the right one. */
static struct answer raw_text(const char *text) {
    char *whole = calloc(1, strlen(text) + 64);
    ck_assert_ptr_nonnull(whole);
    const char *at = strstr(text, "%HOST");
    if (at != NULL) {
        (void)snprintf(whole, strlen(text) + 64, "%.*slocalhost:%s%s", (int)(at - text), text,
                       port(), at + 5);
    } else {
        strcpy(whole, text);
    }
    struct answer answer = raw(whole, strlen(whole));
    free(whole);
    return answer;
}

/* ------------------------------------------------------- from where it may come */

static const struct {
    const char *method;
    const char *path;
    const char *body;
} routes[] = {
    {"POST", "/v1/sagas", START},
    {"GET", "/v1/sagas", ""},
    {"GET", "/v1/sagas/00000000-0000-7000-8000-000000000000", ""},
    {"POST", "/v1/sagas/00000000-0000-7000-8000-000000000000/cancel", ""},
    {"POST", "/v1/sagas/00000000-0000-7000-8000-000000000000/retry", ""},
    {"GET", "/v1/stats", ""},
    {"GET", "/v1/definitions", ""},
    {"GET", "/healthz", ""},
    {"GET", "/readyz", ""},
    {"GET", "/nothing", ""},
};
#define ROUTE_COUNT ((int)(sizeof routes / sizeof routes[0]))

static struct answer to_route(int route, const char *host, const char *headers) {
    char text[1024];
    (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\n%s%s" JSON "Content-Length: %zu\r\n\r\n%s",
                   routes[route].method, routes[route].path, host, headers,
                   strlen(routes[route].body), routes[route].body);
    return raw(text, strlen(text));
}

START_TEST(every_route_wants_its_own_host) {
    static const char *const wrong[] = {"evil.example", "localhost",       "localhost:1",
                                        "127.0.0.1",    "evil.example:%s", "127.0.0.1:%s.evil",
                                        "[::2]:%s",     "127.0.0.2:%s"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char host[96];
        const char *mark = strstr(wrong[i], "%s");
        (void)snprintf(host, sizeof host, "Host: %.*s%s%s\r\n",
                       mark != NULL ? (int)(mark - wrong[i]) : (int)strlen(wrong[i]), wrong[i],
                       mark != NULL ? port() : "", mark != NULL ? mark + 2 : "");
        expect_problem(to_route(_i, host, ""), 421, "misdirected-request", "the Host header must");
    }
    struct answer answer = to_route(_i, "", ""); /* HTTP/1.1 without a Host */
    ck_assert_int_eq(answer.status, 400);
    answer_free(&answer);
}
END_TEST

START_TEST(its_own_names_are_known) {
    static const char *const right[] = {"localhost", "127.0.0.1", "[::1]", "LOCALHOST"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        char host[96];
        (void)snprintf(host, sizeof host, "Host: %s:%s\r\n", right[i], port());
        struct answer answer = to_route(1, host, "");
        ck_assert_int_eq(answer.status, 200);
        answer_free(&answer);
    }
}
END_TEST

START_TEST(every_route_refuses_other_sites) {
    static const char *const wrong[] = {
        "Origin: https://evil.example\r\n", "Origin: null\r\n",
        "Origin: http://localhost:1\r\n",   "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",    "Origin: file://\r\n"};
    char host[64];
    (void)snprintf(host, sizeof host, "Host: localhost:%s\r\n", port());
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_problem(to_route(_i, host, wrong[i]), 403, "foreign-origin", "another site");
    }
    char same[64];
    (void)snprintf(same, sizeof same, "Origin: http://127.0.0.1:%s\r\n", port());
    struct answer answer = to_route(7, host, same);
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    answer = to_route(7, host, "Sec-Fetch-Site: none\r\n");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
}
END_TEST

START_TEST(a_post_is_json_or_nothing) {
    static const char *const wrong[] = {"Content-Type: text/plain\r\n",
                                        "Content-Type: application/x-www-form-urlencoded\r\n",
                                        "Content-Type: multipart/form-data; boundary=x\r\n",
                                        "Content-Type: application/jsonx\r\n",
                                        "Content-Type: application\r\n",
                                        "Content-Type: \r\n",
                                        ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_problem(http("POST", "/v1/sagas", wrong[i], START), 415, "media-type",
                       "Content-Type: application/json");
        expect_problem(
            http("POST", "/v1/sagas/00000000-0000-7000-8000-000000000000/cancel", wrong[i], ""),
            415, "media-type", "Content-Type: application/json");
    }
    struct answer answer =
        http("POST", "/v1/sagas", "content-type: Application/JSON ; charset=utf-8\r\n", "{}");
    ck_assert_int_eq(answer.status, 400); /* read, and found wanting */
    answer_free(&answer);
}
END_TEST

START_TEST(on_a_unix_socket_any_host_will_do) {
    struct answer answer = raw_text("GET /healthz HTTP/1.1\r\nHost: whatever\r\n\r\n");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    expect_problem(raw_text("GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n\r\n"), 403,
                   "foreign-origin", "another site");
}
END_TEST

/* --------------------------------------------------------------------- routing */

START_TEST(what_is_not_there_is_404) {
    static const char *const wrong[] = {"/",
                                        "/v1",
                                        "/v1/",
                                        "/v1/saga",
                                        "/v1/sagas/",
                                        "/v1/sagas//cancel",
                                        "/v2/sagas",
                                        "/v1/sagas/x/y",
                                        "/v1/sagas/00000000-0000-7000-8000-000000000000/",
                                        "/healthz/",
                                        "/V1/sagas",
                                        "//v1/sagas",
                                        "/v1/../v1/sagas",
                                        "*"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_problem(http_get(wrong[i]), 404, "unknown-resource", "there is nothing here");
    }
}
END_TEST

START_TEST(other_methods_are_405_and_the_right_ones_are_told) {
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "OPTIONS", "BREW"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct answer answer = http(methods[i], "/v1/sagas", "", "");
        ck_assert_str_eq(answer_header(&answer, "Allow"), "GET, HEAD, POST");
        expect_problem(answer, 405, "method-not-allowed", methods[i]);
        answer = http(methods[i], "/v1/stats", "", "");
        ck_assert_str_eq(answer_header(&answer, "Allow"), "GET, HEAD");
        expect_problem(answer, 405, "method-not-allowed", methods[i]);
    }
    struct answer answer =
        http("GET", "/v1/sagas/00000000-0000-7000-8000-000000000000/cancel", "", "");
    ck_assert_str_eq(answer_header(&answer, "Allow"), "POST");
    expect_problem(answer, 405, "method-not-allowed", "takes POST, not GET");
}
END_TEST

START_TEST(head_is_get_without_the_body) {
    char text[128];
    char byte;
    const int fd = dial();
    (void)snprintf(text, sizeof text,
                   "HEAD /v1/definitions HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n"
                   "\r\n",
                   port());
    say_text(fd, text);
    char head[1024] = "";
    size_t size = 0;
    while (size < sizeof head - 1 && recv(fd, &byte, 1, 0) == 1) {
        head[size++] = byte;
    }
    ck_assert_int_eq(strncmp(head, "HTTP/1.1 200 ", 13), 0);
    ck_assert_ptr_nonnull(strstr(head, "Content-Length: "));
    ck_assert_str_eq(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(answers_are_not_to_be_kept_or_guessed_at) {
    struct answer answer = http_get("/healthz");
    ck_assert_str_eq(answer_header(&answer, "Cache-Control"), "no-store");
    ck_assert_str_eq(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
    ck_assert_ptr_null(answer_header(&answer, "Access-Control-Allow-Origin"));
    answer_free(&answer);
}
END_TEST

/* ------------------------------------------------------------------- malformed */

/* Refused, by us or by libmicrohttpd, and the connection ends: nothing that
 * follows on it is taken for a request. */
static void refused_and_closed(const char *text, size_t size, int least, int most) {
    static const char next[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    const int fd = dial();
    say(fd, text, size);
    say(fd, next, sizeof next - 1);
    struct answer answer = hear(fd);
    ck_assert_msg(answer.status == 0 || (answer.status >= least && answer.status <= most),
                  "%d %s: %s", answer.status, answer.body, text);
    answer_free(&answer);
    ck_assert_msg(hung_up(fd, 5000), "the connection goes on after: %s", text);
    ck_assert_int_eq(close(fd), 0);
}
#define BROKEN(text) refused_and_closed(text, sizeof(text) - 1, 400, 505)

START_TEST(two_ways_to_tell_the_length_are_none) {
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Content-Length: 26\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" START "\r\n0\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n1a\r\n" START "\r\n0\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Content-Length: 26\r\nContent-Length: 5\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Content-Length: 26\r\nContent-Length: 26\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" START
           "\r\n0\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\nHost: y\r\n" JSON
           "Content-Length: 26\r\n\r\n" START);
}
END_TEST

START_TEST(lengths_that_are_none_are_refused) {
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: -1\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 0x1a\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 26, 26\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Content-Length: 99999999999999999999999999\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: \r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length:\r\n 26\r\n\r\n" START);
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Transfer-Encoding: chunked\r\n\r\nzz\r\n" START "\r\n0\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" START "\r\n0\r\n\r\n");
    BROKEN("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
           "Transfer-Encoding: chunked\r\n\r\n-1\r\n" START "\r\n0\r\n\r\n");
}
END_TEST

START_TEST(a_huge_length_is_refused_before_a_byte_of_it) {
    static const char *const lengths[] = {"1048577", "99999999999", "9223372036854775807"};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: %s\r\n\r\n",
                       lengths[i]);
        expect_problem(raw(text, strlen(text)), 413, "too-large", "at most 1048576 bytes");
    }
    expect_problem(raw_text("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
                            "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"),
                   413, "too-large", "at most 1048576 bytes");
}
END_TEST

START_TEST(who_asks_first_is_told_to_go_on) {
    const int fd = dial();
    say_text(fd, "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
                 "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    struct answer answer = hear(fd);
    ck_assert_int_eq(answer.status, 100);
    answer_free(&answer);
    say_text(fd, "{}");
    expect_problem(hear(fd), 400, "invalid-request", "'saga' must be a text");
    ck_assert_int_eq(close(fd), 0);
    /* who is refused anyway is told at once */
    expect_problem(raw_text("POST /v1/nothing HTTP/1.1\r\nHost: x\r\n" JSON
                            "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                   404, "unknown-resource", "nothing here");
}
END_TEST

/* Chunks without end: 413 while it can still be told, then the connection is cut. */
START_TEST(a_bomb_of_chunks_is_cut) {
    static char chunk[65536 + 16];
    const int fd = dial();
    say_text(fd,
             "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n");
    const int head = snprintf(chunk, sizeof chunk, "10000\r\n");
    memset(chunk + head, '[', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    size_t sent = 0;
    while (sent < (64u << 20) && !hung_up(fd, 0)) {
        say(fd, chunk, (size_t)head + 65536 + 2);
        sent += 65536;
    }
    ck_assert_uint_lt(sent, 16u << 20); /* some are in the sockets' buffers */
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(chunks_over_the_limit_are_413) {
    static char chunk[65536 + 16];
    const int fd = dial();
    say_text(fd,
             "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n");
    const int head = snprintf(chunk, sizeof chunk, "10000\r\n");
    memset(chunk + head, ' ', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    for (int i = 0; i < 20; i++) {
        say(fd, chunk, (size_t)head + 65536 + 2);
    }
    say_text(fd, "0\r\n\r\n");
    expect_problem(hear(fd), 413, "too-large", "at most 1048576 bytes");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_body_in_chunks_is_taken) {
    expect_problem(raw_text("POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
                            "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n"),
                   400, "invalid-request", "'saga' must be a text");
}
END_TEST

START_TEST(a_get_has_no_body) {
    expect_problem(raw_text("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"), 400,
                   "malformed-request", "GET has no body");
    struct answer answer =
        raw_text("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
}
END_TEST

START_TEST(broken_heads_are_refused) {
    BROKEN("GET\r\n\r\n");
    BROKEN("GET /healthz\r\n\r\n"); /* HTTP/0.9 */
    BROKEN("GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n");
    BROKEN("GET /healthz FTP/1.1\r\nHost: x\r\n\r\n");
    BROKEN("GET /healthz HTTP/1.1\r\nHost x\r\n\r\n");
    BROKEN("GET /heal\0thz HTTP/1.1\r\nHost: x\r\n\r\n");
    BROKEN("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}");
    BROKEN("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"); /* TLS */
    BROKEN("GET /health\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n");
    BROKEN("GET /healthz%00 HTTP/1.1\r\nHost: x\r\n\r\n");
    BROKEN("GET /v1/sagas?saga=%00 HTTP/1.1\r\nHost: x\r\n\r\n");
}
END_TEST

START_TEST(long_heads_are_refused) {
    static char text[80000];
    char *at = text + sprintf(text, "GET /healthz?");
    memset(at, 'a', 3000);
    strcpy(at + 3000, " HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer = raw(text, strlen(text));
    expect_problem(answer, 414, "uri-too-long", "at most 2048 bytes");
    memset(at, 'a', 40000);
    strcpy(at + 40000, " HTTP/1.1\r\nHost: x\r\n\r\n");
    refused_and_closed(text, strlen(text), 400, 431);
    at = text + sprintf(text, "GET /healthz HTTP/1.1\r\nHost: x\r\nA: ");
    memset(at, 'a', 40000);
    strcpy(at + 40000, "\r\n\r\n");
    refused_and_closed(text, strlen(text), 400, 431);
    at = text + sprintf(text, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 5000; i++) {
        at += sprintf(at, "A%d: b\r\n", i);
    }
    strcpy(at, "\r\n");
    refused_and_closed(text, strlen(text), 400, 431);
}
END_TEST

START_TEST(bytes_that_are_not_utf8_harm_nobody) {
    expect_problem(http_get("/v1/sagas?status=%ff%fe"), 400, "invalid-request",
                   "there is no status");
    expect_problem(http_get("/%ff"), 404, "unknown-resource", "nothing here");
    expect_problem(http_get("/v1/stats?%ff=1"), 400, "invalid-request", "there may be: nothing");
    expect_problem(http("P\xff", "/v1/sagas", "", ""), 405, "method-not-allowed", "takes");
    struct answer answer = http_get("/v1/sagas?saga=%ff");
    ck_assert_int_eq(answer.status, 200);
    answer_free(&answer);
    expect_problem(http_post("/v1/sagas", "", "{\"saga\":\"\xc0\xaf\",\"input\":{}}"), 400,
                   "invalid-request", "unable to decode");
    /* cut in the middle of a character where a text is cut */
    expect_problem(
        http_post("/v1/sagas", "",
                  "{\"saga\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                  "xxx\xc3\xa9\",\"input\":{}}"),
        404, "unknown-definition", "there is no saga");
}
END_TEST

START_TEST(requests_in_a_row_are_answered_in_a_row) {
    const int fd = dial();
    say_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                 "GET /v1/sagas HTTP/1.1\r\nHost: x\r\n\r\n"
                 "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 2\r\n\r\n{}"
                 "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    const int expected[] = {200, 200, 400, 200};
    for (size_t i = 0; i < 4; i++) {
        struct answer answer = hear(fd);
        ck_assert_int_eq(answer.status, expected[i]);
        answer_free(&answer);
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_connection_has_its_last_request) {
    const int fd = dial();
    int count = 0;
    for (bool open = true; open; count++) {
        say_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        struct answer answer = hear(fd);
        ck_assert_int_eq(answer.status, 200);
        const char *connection = answer_header(&answer, "Connection");
        open = connection == NULL || strcasecmp(connection, "close") != 0;
        answer_free(&answer);
        ck_assert_int_lt(count, 2000);
    }
    ck_assert_int_eq(count, 1000);
    ck_assert(hung_up(fd, 5000));
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Requests with a few bytes changed, cut, doubled. Whatever comes back, nothing
 * is started by accident that a parser cannot have understood as a start, and the
 * daemon lives. */
START_TEST(mangled_requests_harm_nobody) {
    static const char *const good[] = {
        "GET /v1/sagas?limit=3&status=running HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
        "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 22\r\n\r\n"
        "{\"saga\":\"x\",\"input\":{}}",
        "POST /v1/sagas HTTP/1.1\r\nHost: x\r\n" JSON
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
        "GET /v1/sagas/00000000-0000-7000-8000-000000000000?wait=1s HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    struct splitmix random = {(uint64_t)_i + 1};
    for (int i = 0; i < 150; i++) {
        char text[1024];
        size_t size = strlen(good[splitmix_below(&random, 4)]);
        strcpy(text, good[splitmix_below(&random, 4)]);
        size = strlen(text);
        for (uint64_t n = splitmix_below(&random, 6); n > 0; n--) {
            const size_t at = splitmix_below(&random, size);
            switch (splitmix_below(&random, 3)) {
            case 0:
                text[at] = (char)splitmix_next(&random);
                break;
            case 1:
                memmove(text + at, text + at + 1, size - at - 1);
                size--;
                break;
            default:
                memmove(text + at + 1, text + at, size - at);
                size++;
            }
        }
        const int fd = dial();
        say(fd, text, size);
        struct pollfd fds = {.fd = fd, .events = POLLIN};
        if (poll(&fds, 1, 20) == 1) { /* else it waits for more */
            struct answer answer = hear(fd);
            ck_assert_int_lt(answer.status, 506);
            ck_assert_int_ne(answer.status, 500);
            answer_free(&answer);
        }
        ck_assert_int_eq(close(fd), 0);
    }
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("api_http");
    TCase *tcp = tcase_create("tcp");
    tcase_set_timeout(tcp, 60);
    tcase_add_checked_fixture(tcp, set_up, stand_close_unharmed);
    tcase_add_loop_test(tcp, every_route_wants_its_own_host, 0, ROUTE_COUNT);
    tcase_add_test(tcp, its_own_names_are_known);
    tcase_add_loop_test(tcp, every_route_refuses_other_sites, 0, ROUTE_COUNT);
    tcase_add_test(tcp, a_post_is_json_or_nothing);
    tcase_add_test(tcp, what_is_not_there_is_404);
    tcase_add_test(tcp, other_methods_are_405_and_the_right_ones_are_told);
    tcase_add_test(tcp, head_is_get_without_the_body);
    tcase_add_test(tcp, answers_are_not_to_be_kept_or_guessed_at);
    suite_add_tcase(suite, tcp);
    TCase *broken = tcase_create("broken");
    tcase_set_timeout(broken, 60);
    tcase_add_checked_fixture(broken, set_up_unix, stand_close_unharmed);
    tcase_add_test(broken, on_a_unix_socket_any_host_will_do);
    tcase_add_test(broken, two_ways_to_tell_the_length_are_none);
    tcase_add_test(broken, lengths_that_are_none_are_refused);
    tcase_add_test(broken, a_huge_length_is_refused_before_a_byte_of_it);
    tcase_add_test(broken, who_asks_first_is_told_to_go_on);
    tcase_add_test(broken, a_bomb_of_chunks_is_cut);
    tcase_add_test(broken, chunks_over_the_limit_are_413);
    tcase_add_test(broken, a_body_in_chunks_is_taken);
    tcase_add_test(broken, a_get_has_no_body);
    tcase_add_test(broken, broken_heads_are_refused);
    tcase_add_test(broken, long_heads_are_refused);
    tcase_add_test(broken, bytes_that_are_not_utf8_harm_nobody);
    tcase_add_test(broken, requests_in_a_row_are_answered_in_a_row);
    tcase_add_test(broken, a_connection_has_its_last_request);
    tcase_add_loop_test(broken, mangled_requests_harm_nobody, 0, 8);
    suite_add_tcase(suite, broken);
    return suite;
}

int main(void) {
    return check_run(suite());
}
