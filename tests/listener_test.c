/* Where the API listens: socket files, their owners and modes, and loopback. */
#include "check_run.h"
#include "listener.h"
#include "scratch.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct scratch scratch;
static struct saga_fault fault;

static void set_up(void) {
    scratch_open(&scratch);
}

static void tear_down(void) {
    scratch_close(&scratch);
}

static const char *in_scratch(const char *name) {
    static char listen[SCRATCH_PATH_MAX + 512];
    (void)snprintf(listen, sizeof listen, "unix:%s/%s", scratch.path, name);
    return listen;
}

static void expect_failure(const char *listen, enum saga_error error, const char *why) {
    struct saga_listener listener;
    ck_assert_msg(saga_listener_open(&listener, listen, &fault) == error, "%s: %s", listen,
                  fault.text);
    ck_assert_msg(strstr(fault.text, why) != NULL, "'%s' does not say '%s'", fault.text, why);
    ck_assert_int_eq(listener.fd, -1);
}

static struct saga_listener opened(const char *listen) {
    struct saga_listener listener;
    ck_assert_msg(saga_listener_open(&listener, listen, &fault) == SAGA_OK, "%s", fault.text);
    return listener;
}

/* True if somebody listens at the file, which may be far down. */
static bool answers(const char *directory, const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(chdir(directory), 0);
    strcpy(address.sun_path, name);
    const bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(close(fd), 0);
    return connected;
}

START_TEST(a_socket_file_is_made_and_removed) {
    struct stat status;
    (void)umask(0); /* whatever it is, the mode is the same */
    struct saga_listener listener = opened(in_scratch("a.sock"));
    ck_assert(!listener.tcp);
    ck_assert_str_eq(listener.address, in_scratch("a.sock"));
    ck_assert_int_eq(stat(scratch_file(&scratch, "a.sock"), &status), 0);
    ck_assert(S_ISSOCK(status.st_mode));
    ck_assert_uint_eq(status.st_mode & 07777, 0660);
    ck_assert(answers(scratch.path, "a.sock"));
    saga_listener_close(&listener);
    ck_assert(!file_exists(scratch_file(&scratch, "a.sock")));
    (void)umask(0777);
    listener = opened(in_scratch("a.sock"));
    ck_assert_int_eq(stat(scratch_file(&scratch, "a.sock"), &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0660);
    saga_listener_close(&listener);
}
END_TEST

START_TEST(a_relative_path_is_told_in_full) {
    char expected[SCRATCH_PATH_MAX + 16];
    ck_assert_int_eq(chdir(scratch.path), 0);
    struct saga_listener listener = opened("unix:a.sock");
    (void)snprintf(expected, sizeof expected, "unix:%s/a.sock", scratch.path);
    ck_assert_str_eq(listener.address, expected);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert(answers(scratch.path, "a.sock"));
    saga_listener_close(&listener);
    ck_assert(!file_exists(scratch_file(&scratch, "a.sock")));
}
END_TEST

static int leave_a_socket(void *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    return bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0
               ? 0
               : 1;
}

START_TEST(the_file_of_a_dead_daemon_is_replaced) {
    char path[SCRATCH_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/a.sock", scratch.path);
    ck_assert_int_eq(child_run(leave_a_socket, path), 0);
    ck_assert(file_exists(path));
    ck_assert(!answers(scratch.path, "a.sock"));
    struct saga_listener listener = opened(in_scratch("a.sock"));
    ck_assert(answers(scratch.path, "a.sock"));
    saga_listener_close(&listener);
}
END_TEST

START_TEST(the_file_of_a_living_daemon_is_left_alone) {
    struct saga_listener listener = opened(in_scratch("a.sock"));
    expect_failure(in_scratch("a.sock"), SAGA_ERROR_FAILED, "somebody listens there");
    ck_assert(answers(scratch.path, "a.sock"));
    saga_listener_close(&listener);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone) {
    size_t size;
    file_write(scratch_file(&scratch, "a.sock"), "precious", 8);
    expect_failure(in_scratch("a.sock"), SAGA_ERROR_FAILED, "is no socket");
    free(file_read(scratch_file(&scratch, "a.sock"), &size));
    ck_assert_uint_eq(size, 8);
    ck_assert_int_eq(symlink("a.sock", scratch_file(&scratch, "link")), 0);
    expect_failure(in_scratch("link"), SAGA_ERROR_FAILED, "is no socket");
    ck_assert(file_exists(scratch_file(&scratch, "a.sock")));
}
END_TEST

START_TEST(a_file_that_is_not_ours_any_more_is_left_alone) {
    struct saga_listener first = opened(in_scratch("a.sock"));
    ck_assert_int_eq(unlink(scratch_file(&scratch, "a.sock")), 0);
    struct saga_listener second = opened(in_scratch("a.sock"));
    saga_listener_close(&first);
    ck_assert(answers(scratch.path, "a.sock"));
    saga_listener_close(&second);
}
END_TEST

/* A socket's address has 107 characters; a directory's name may have more. */
START_TEST(a_long_directory_will_do) {
    char directory[SCRATCH_PATH_MAX + 256];
    char listen[sizeof directory + 32];
    char name[101];
    memset(name, 'd', 100);
    name[100] = '\0';
    (void)snprintf(directory, sizeof directory, "%s/%s", scratch.path, name);
    ck_assert_int_eq(mkdir(directory, 0750), 0);
    strcat(directory, "/");
    strcat(directory, name);
    ck_assert_int_eq(mkdir(directory, 0750), 0);
    (void)snprintf(listen, sizeof listen, "unix:%s/sagad.sock", directory);
    struct saga_listener listener = opened(listen);
    ck_assert_str_eq(listener.address, listen);
    ck_assert(answers(directory, "sagad.sock"));
    expect_failure(listen, SAGA_ERROR_FAILED, "somebody listens there");
    saga_listener_close(&listener);
    (void)snprintf(listen, sizeof listen, "%s/sagad.sock", directory);
    ck_assert(!file_exists(listen));
    ck_assert_int_eq(rmdir(directory), 0);
    *strrchr(directory, '/') = '\0';
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(paths_that_make_no_sense_are_refused) {
    expect_failure(in_scratch("missing/a.sock"), SAGA_ERROR_FAILED, "its directory");
    expect_failure(in_scratch(""), SAGA_ERROR_USAGE, "needs a name");
    expect_failure(in_scratch(".."), SAGA_ERROR_USAGE, "needs a name");
    expect_failure("unix:", SAGA_ERROR_USAGE, "needs a name");
    expect_failure(in_scratch("a23456789b23456789c23456789d23456789e23456789f23456789g23456789xyz"),
                   SAGA_ERROR_USAGE, "at most 64 characters");
    expect_failure("", SAGA_ERROR_USAGE, "expected unix:PATH or tcp:HOST:PORT");
    expect_failure("/run/sagad.sock", SAGA_ERROR_USAGE, "expected unix:PATH");
    expect_failure("http://localhost:80", SAGA_ERROR_USAGE, "expected unix:PATH");
}
END_TEST

START_TEST(tcp_takes_a_free_port_and_tells_it) {
    static const char *const hosts[] = {"127.0.0.1", "localhost", "127.8.9.1"};
    for (size_t i = 0; i < 3; i++) {
        char listen[64];
        char address[64];
        (void)snprintf(listen, sizeof listen, "tcp:%s:0", hosts[i]);
        struct saga_listener listener = opened(listen);
        ck_assert(listener.tcp);
        ck_assert_uint_gt(listener.port, 0);
        (void)snprintf(address, sizeof address, "http://%s:%u", i == 1 ? "127.0.0.1" : hosts[i],
                       listener.port);
        ck_assert_str_eq(listener.address, address);
        /* the port is taken now */
        (void)snprintf(listen, sizeof listen, "tcp:%s:%u", hosts[i], listener.port);
        expect_failure(listen, SAGA_ERROR_FAILED, "in use");
        ck_assert(saga_listener_is_named(&listener, address + 7));
        saga_listener_close(&listener);
    }
}
END_TEST

START_TEST(tcp_on_ipv6) {
    struct saga_listener listener;
    const enum saga_error error = saga_listener_open(&listener, "tcp:[::1]:0", &fault);
    if (error == SAGA_OK) {
        ck_assert_int_eq(strncmp(listener.address, "http://[::1]:", 13), 0);
        ck_assert(saga_listener_is_named(&listener, listener.address + 7));
        saga_listener_close(&listener);
    } else { /* a machine without it */
        ck_assert_ptr_nonnull(strstr(fault.text, "bind"));
    }
}
END_TEST

START_TEST(tcp_is_for_loopback) {
    static const char *const far[] = {
        "tcp:0.0.0.0:80",   "tcp:192.168.1.1:80", "tcp:[::]:80",
        "tcp:8.8.8.8:80",   "tcp:example.com:80", "tcp:128.0.0.1:80",
        "tcp:[fe80::1]:80", "tcp:127.1:80",       "tcp:[::ffff:127.0.0.1]:80"};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        expect_failure(far[i], SAGA_ERROR_USAGE, "only loopback addresses are allowed");
    }
    static const char *const broken[] = {"tcp:",
                                         "tcp:127.0.0.1",
                                         "tcp:127.0.0.1:",
                                         "tcp::80",
                                         "tcp:127.0.0.1:x",
                                         "tcp:127.0.0.1:65536",
                                         "tcp:127.0.0.1:-1",
                                         "tcp:::1:80",
                                         "tcp:[127.0.0.1]:80",
                                         "tcp:127.0.0.1:999999"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        expect_failure(broken[i], SAGA_ERROR_USAGE, "expected tcp:HOST:PORT");
    }
}
END_TEST

START_TEST(a_name_is_known_with_its_port_only) {
    const struct saga_listener tcp = {.tcp = true, .port = 8090, .host = "127.0.0.5"};
    ck_assert(saga_listener_is_named(&tcp, "localhost:8090"));
    ck_assert(saga_listener_is_named(&tcp, "127.0.0.1:8090"));
    ck_assert(saga_listener_is_named(&tcp, "[::1]:8090"));
    ck_assert(saga_listener_is_named(&tcp, "127.0.0.5:8090"));
    ck_assert(!saga_listener_is_named(&tcp, "localhost"));
    ck_assert(!saga_listener_is_named(&tcp, "localhost:80"));
    ck_assert(!saga_listener_is_named(&tcp, "localhost:8090:"));
    ck_assert(!saga_listener_is_named(&tcp, "localhost.:8090"));
    ck_assert(!saga_listener_is_named(&tcp, ""));
    const struct saga_listener web = {.tcp = true, .port = 80, .host = "127.0.0.1"};
    ck_assert(saga_listener_is_named(&web, "localhost")); /* which clients do not say */
    ck_assert(saga_listener_is_named(&web, "localhost:80"));
    const struct saga_listener file = {.tcp = false};
    ck_assert(saga_listener_is_named(&file, "anything"));
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("listener");
    TCase *listener = tcase_create("listener");
    tcase_add_checked_fixture(listener, set_up, tear_down);
    tcase_add_test(listener, a_socket_file_is_made_and_removed);
    tcase_add_test(listener, a_relative_path_is_told_in_full);
    tcase_add_test(listener, the_file_of_a_dead_daemon_is_replaced);
    tcase_add_test(listener, the_file_of_a_living_daemon_is_left_alone);
    tcase_add_test(listener, what_is_no_socket_is_left_alone);
    tcase_add_test(listener, a_file_that_is_not_ours_any_more_is_left_alone);
    tcase_add_test(listener, a_long_directory_will_do);
    tcase_add_test(listener, paths_that_make_no_sense_are_refused);
    tcase_add_test(listener, tcp_takes_a_free_port_and_tells_it);
    tcase_add_test(listener, tcp_on_ipv6);
    tcase_add_test(listener, tcp_is_for_loopback);
    tcase_add_test(listener, a_name_is_known_with_its_port_only);
    suite_add_tcase(suite, listener);
    return suite;
}

int main(void) {
    return check_run(suite());
}
