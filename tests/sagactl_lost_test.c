/* A daemon that does not answer, or answers nonsense, as sagactl sees it. */
#include "check_run.h"
#include "scratch.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID "0190065e-7d3a-7c41-9b1f-3c2a5e6f7081"

static struct scratch scratch;
static int listening;
static pid_t program;
static int output[2];

static void set_up(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    scratch_open(&scratch);
    strcpy(address.sun_path, scratch_file(&scratch, "sock"));
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listening, 0);
    ck_assert_int_eq(bind(listening, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listening, 8), 0);
}

static void tear_down(void) {
    ck_assert_int_eq(close(listening), 0);
    scratch_close(&scratch);
}

/* Runs sagactl with these arguments, and both of its outputs in a pipe. */
static void run(const char *const *arguments) {
    const char *argv[16] = {"sagactl", "--server", NULL};
    char server[SCRATCH_PATH_MAX + 32];
    (void)snprintf(server, sizeof server, "unix:%s", scratch_file(&scratch, "sock"));
    argv[2] = server;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        argv[3 + i] = arguments[i];
    }
    ck_assert_int_eq(pipe(output), 0);
    program = fork();
    ck_assert_int_ge(program, 0);
    if (program == 0) {
        (void)dup2(output[1], STDOUT_FILENO);
        (void)dup2(output[1], STDERR_FILENO);
        (void)close(output[0]);
        (void)close(output[1]);
        (void)execv(SAGACTL, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    ck_assert_int_eq(close(output[1]), 0);
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

/* Its exit status, and what it said. */
static int ended(char *said, size_t size) {
    int status;
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && (got = read(output[0], said + used, size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    said[used] = '\0';
    ck_assert_int_eq(close(output[0]), 0);
    ck_assert_int_eq(waitpid(program, &status, 0), program);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The next request, up to the end of a small body. */
static int hear(char *request, size_t size) {
    const int fd = accept(listening, NULL, NULL);
    size_t used = 0;
    const char *length;
    ck_assert_int_ge(fd, 0);
    memset(request, 0, size);
    for (;;) {
        const ssize_t got = recv(fd, request + used, size - 1 - used, 0);
        ck_assert_int_gt(got, 0);
        used += (size_t)got;
        const char *end = strstr(request, "\r\n\r\n");
        length = strstr(request, "Content-Length: ");
        if (end != NULL && (length == NULL || strlen(end + 4) >= (size_t)atol(length + 16))) {
            return fd;
        }
    }
}

static void answer(int fd, const char *status, const char *body) {
    char text[1024];
    const int size =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 status, strlen(body), body);
    ck_assert_int_eq(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
    ck_assert_int_eq(close(fd), 0);
}

static void key_of(const char *request, char key[128]) {
    const char *header = strstr(request, "Idempotency-Key: ");
    ck_assert_ptr_nonnull(header);
    ck_assert_int_eq(sscanf(header, "Idempotency-Key: %127[^\r]", key), 1);
}

START_TEST(a_start_without_an_answer_is_repeated_with_its_key) {
    char request[4096];
    char said[4096];
    char key[128];
    RUN("start", "trip", "--input", "{\"b\":1}");
    for (int i = 0; i < 2; i++) { /* heard, and not answered */
        char again[128];
        const int fd = hear(request, sizeof request);
        key_of(request, i == 0 ? key : again);
        ck_assert(i == 0 || strcmp(key, again) == 0);
        if (i == 1) { /* half an answer is none */
            (void)send(fd, "HTTP/1.1 201 Crea", 17, MSG_NOSIGNAL);
        }
        ck_assert_int_eq(close(fd), 0);
    }
    const int fd = hear(request, sizeof request);
    char again[128];
    key_of(request, again);
    ck_assert_str_eq(again, key);
    ck_assert_int_eq(strncmp(key, "sagactl-", 8), 0);
    ck_assert_ptr_nonnull(strstr(request, "{\"saga\":\"trip\",\"input\":{\"b\":1}}"));
    answer(fd, "200 OK", "{\"id\":\"" ID "\",\"saga\":\"trip\",\"status\":\"running\"}");
    ck_assert_int_eq(ended(said, sizeof said), 0);
    ck_assert_str_eq(said, ID "\n");
}
END_TEST

START_TEST(the_given_key_is_used) {
    char request[4096];
    char said[4096];
    char key[128];
    RUN("start", "trip", "--input", "{}", "--key", "my key");
    const int fd = hear(request, sizeof request);
    key_of(request, key);
    ck_assert_str_eq(key, "my key");
    answer(fd, "409 Conflict", "{\"detail\":\"used before\"}");
    ck_assert_int_eq(ended(said, sizeof said), 1);
    ck_assert_str_eq(said, "sagactl: used before\n");
}
END_TEST

START_TEST(a_start_that_is_refused_is_not_repeated) {
    char request[4096];
    char said[4096];
    RUN("start", "trip", "--input", "{}");
    answer(hear(request, sizeof request), "503 Service Unavailable",
           "{\"detail\":\"the daemon is stopping\"}");
    ck_assert_int_eq(ended(said, sizeof said), 4);
    ck_assert_str_eq(said, "sagactl: the daemon is stopping\n");
}
END_TEST

/* Nobody answers within --timeout: whoever reads the text can go on safely. */
START_TEST(a_start_that_stays_unknown_tells_the_key) {
    char request[4096];
    char said[4096];
    char key[128];
    char advice[192];
    RUN("start", "trip", "--input", "{}", "--wait", "--timeout", "700ms");
    for (bool first = true;; first = false) {
        struct pollfd fds = {.fd = listening, .events = POLLIN};
        if (poll(&fds, 1, first ? -1 : 3000) == 0) {
            break;
        }
        const int fd = hear(request, sizeof request);
        key_of(request, key);
        ck_assert_int_eq(close(fd), 0);
    }
    ck_assert_int_eq(ended(said, sizeof said), 4);
    (void)snprintf(advice, sizeof advice, "run the same again with --key '%s'", key);
    ck_assert_msg(strstr(said, advice) != NULL, "%s", said);
}
END_TEST

START_TEST(a_wait_is_asked_again) {
    char request[4096];
    char said[4096];
    RUN("start", "trip", "--input", "{}", "--wait");
    answer(hear(request, sizeof request), "201 Created", "{\"id\":\"" ID "\"}");
    ck_assert_int_eq(close(hear(request, sizeof request)), 0); /* killed */
    ck_assert_ptr_nonnull(strstr(request, "GET /v1/sagas/" ID "?wait=60000ms"));
    answer(hear(request, sizeof request), "503 Service Unavailable", "{\"detail\":\"stopping\"}");
    answer(hear(request, sizeof request), "200 OK", "{\"id\":\"" ID "\",\"status\":\"running\"}");
    answer(hear(request, sizeof request), "200 OK",
           "{\"id\":\"" ID "\",\"status\":\"inconsistent\",\"saga\":null,\"version\":null}");
    ck_assert_int_eq(ended(said, sizeof said), 6);
    ck_assert_ptr_nonnull(strstr(said, "inconsistent"));
    ck_assert_ptr_nonnull(strstr(said, "saga     ?\n"));
}
END_TEST

START_TEST(a_wait_for_what_is_gone_ends) {
    char request[4096];
    char said[4096];
    RUN("start", "trip", "--input", "{}", "--wait");
    answer(hear(request, sizeof request), "201 Created", "{\"id\":\"" ID "\"}");
    answer(hear(request, sizeof request), "404 Not Found", "{\"detail\":\"another log\"}");
    ck_assert_int_eq(ended(said, sizeof said), 3);
    ck_assert_str_eq(said, "sagactl: another log\n");
}
END_TEST

START_TEST(nonsense_is_told_as_such) {
    static const char *const nonsense[] = {"<html>", "", "[1]", "{\"a\":1"};
    char request[4096];
    char said[4096];
    for (size_t i = 0; i < 4; i++) {
        RUN("get", ID);
        answer(hear(request, sizeof request), "200 OK", nonsense[i]);
        ck_assert_int_eq(ended(said, sizeof said), 1);
        ck_assert_ptr_nonnull(strstr(said, "not sagad's; is this its address?"));
    }
    RUN("list");
    answer(hear(request, sizeof request), "200 OK", "{}");
    ck_assert_int_eq(ended(said, sizeof said), 1);
    RUN("get", ID);
    answer(hear(request, sizeof request), "500 Internal Server Error", "{\"x\":1}");
    ck_assert_int_eq(ended(said, sizeof said), 1);
    ck_assert_ptr_nonnull(strstr(said, "refused, without a reason"));
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("sagactl_lost");
    TCase *lost = tcase_create("lost");
    tcase_set_timeout(lost, 60);
    tcase_add_checked_fixture(lost, set_up, tear_down);
    tcase_add_test(lost, a_start_without_an_answer_is_repeated_with_its_key);
    tcase_add_test(lost, the_given_key_is_used);
    tcase_add_test(lost, a_start_that_is_refused_is_not_repeated);
    tcase_add_test(lost, a_start_that_stays_unknown_tells_the_key);
    tcase_add_test(lost, a_wait_is_asked_again);
    tcase_add_test(lost, a_wait_for_what_is_gone_ends);
    tcase_add_test(lost, nonsense_is_told_as_such);
    suite_add_tcase(suite, lost);
    return suite;
}

int main(void) {
    return check_run(suite());
}
