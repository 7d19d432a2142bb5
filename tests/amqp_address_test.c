/* The broker's URL: what is read, what is refused, and that the password is never told. */
#include "address.h"
#include "check_run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#define SECRET "s3cret"

static struct saga_amqp_address address;
static struct saga_fault fault;
static struct scratch scratch;

static void open_scratch(void) {
    scratch_open(&scratch);
    memset(&address, 0x5a, sizeof address);
    memset(&fault, 0, sizeof fault);
}

static void close_scratch(void) {
    scratch_close(&scratch);
}

static void parse(const char *url) {
    const enum saga_error error = saga_amqp_address_parse(&address, url, &fault);
    ck_assert_msg(error == SAGA_OK, "%s: %s", url, fault.text);
}

static void expect_login(const char *user, const char *password, const char *vhost) {
    ck_assert_str_eq(address.user, user);
    ck_assert_str_eq(address.password, password);
    ck_assert_str_eq(address.vhost, vhost);
}

static void expect_host(size_t number, const char *name, unsigned port) {
    ck_assert_uint_lt(number, address.host_count);
    ck_assert_str_eq(address.hosts[number].name, name);
    ck_assert_uint_eq(address.hosts[number].port, port);
}

/* The URL is INVALID, says so at that character, and the address is as it was. */
static void refuse_at(const char *url, size_t position, const char *part) {
    const struct saga_amqp_address before = address;
    char place[32];
    (void)snprintf(place, sizeof place, "at character %zu:", position);
    const enum saga_error error = saga_amqp_address_parse(&address, url, &fault);
    ck_assert_msg(error == SAGA_ERROR_INVALID, "'%s' is taken", url);
    ck_assert_int_eq(fault.error, error);
    ck_assert_msg(strstr(fault.text, place) != NULL, "'%s': '%s' lacks '%s'", url, fault.text,
                  place);
    ck_assert_msg(strstr(fault.text, part) != NULL, "'%s': '%s' lacks '%s'", url, fault.text, part);
    ck_assert_msg(strstr(fault.text, SECRET) == NULL, "'%s' is told: %s", url, fault.text);
    ck_assert_mem_eq(&address, &before, sizeof before);
}

/* "amqp://" and `count` times `byte` */
static char *long_url(const char *prefix, char byte, size_t count, const char *suffix) {
    const size_t size = strlen(prefix) + count + strlen(suffix) + 1;
    char *url = malloc(size);
    ck_assert_ptr_nonnull(url);
    (void)snprintf(url, size, "%s", prefix);
    memset(url + strlen(prefix), byte, count);
    (void)snprintf(url + strlen(prefix) + count, strlen(suffix) + 1, "%s", suffix);
    return url;
}

/* ---------------------------------------------------------------------- URL */

START_TEST(what_is_missing_is_the_default) {
    parse("amqp://rabbit");
    ck_assert(!address.tls);
    ck_assert_uint_eq(address.host_count, 1);
    expect_host(0, "rabbit", 5672);
    expect_login("guest", "guest", "/");
    parse("amqps://rabbit");
    ck_assert(address.tls);
    expect_host(0, "rabbit", 5671);
    parse("AMQPS://bob@rabbit:1");
    ck_assert(address.tls);
    expect_host(0, "rabbit", 1);
    expect_login("bob", "guest", "/");
}
END_TEST

START_TEST(all_of_it_is_read) {
    parse("amqp://bob:" SECRET "@rabbit-1.example_net:65535/orders");
    expect_login("bob", SECRET, "orders");
    expect_host(0, "rabbit-1.example_net", 65535);
    parse("amqp://bob:a:b,c@10.0.0.1");
    expect_login("bob", "a:b,c", "/");
    expect_host(0, "10.0.0.1", 5672);
}
END_TEST

START_TEST(words_are_decoded) {
    parse("amqp://b%6Fb%20%c3%b6:p%40%2f%3A%25%3f%23@h/a%2Fb%40");
    expect_login("bob \xc3\xb6", "p@/:%?#", "a/b@");
    parse("amqp://b+b:p+p@h/v+v");
    expect_login("b+b", "p+p", "v+v");
}
END_TEST

START_TEST(an_empty_password_is_one) {
    parse("amqp://bob:@h");
    expect_login("bob", "", "/");
}
END_TEST

START_TEST(every_spelling_of_the_vhost_slash_is_it) {
    static const char *const urls[] = {"amqp://h", "amqp://h/", "amqp://h//", "amqp://h/%2f",
                                       "amqp://h/%2F"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        parse(urls[i]);
        ck_assert_str_eq(address.vhost, "/");
    }
    parse("amqp://h/a/b");
    ck_assert_str_eq(address.vhost, "a/b");
    parse("amqp://h//a");
    ck_assert_str_eq(address.vhost, "/a");
}
END_TEST

START_TEST(several_hosts_are_read_in_order) {
    parse("amqps://bob:x@a,b:7,[::1],[2001:db8::2]:9,10.0.0.1:11/v");
    ck_assert_uint_eq(address.host_count, 5);
    expect_host(0, "a", 5671);
    expect_host(1, "b", 7);
    expect_host(2, "::1", 5671);
    expect_host(3, "2001:db8::2", 9);
    expect_host(4, "10.0.0.1", 11);
    ck_assert_str_eq(address.vhost, "v");
}
END_TEST

START_TEST(sixteen_hosts_are_the_limit) {
    char url[128] = "amqp://a";
    for (size_t i = 1; i < SAGA_AMQP_HOSTS_MAX; i++) {
        strcat(url, ",a");
    }
    parse(url);
    ck_assert_uint_eq(address.host_count, SAGA_AMQP_HOSTS_MAX);
    strcat(url, ",b");
    refuse_at(url, 40, "more than 16 hosts");
}
END_TEST

START_TEST(lengths_have_limits) {
    static const struct {
        const char *prefix, *suffix;
        char byte;
        size_t position;
        const char *part;
    } cases[] = {
        {"amqp://", "", 'h', 8, "name of more than 255"},
        {"amqp://", ":" SECRET "@h", 'u', 8 + 255, "more than 255"},
        {"amqp://u:", "@h/v", 'p', 10 + 255, "more than 255"},
        {"amqp://u:" SECRET "@h/", "", 'v', 19 + 255, "more than 255"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *url = long_url(cases[i].prefix, cases[i].byte, 255, cases[i].suffix);
        parse(url);
        free(url);
        url = long_url(cases[i].prefix, cases[i].byte, 256, cases[i].suffix);
        refuse_at(url, cases[i].position, cases[i].part);
        free(url);
    }
    /* What counts is the decoded length. */
    char *url = long_url("amqp://u:%41", 'p', 254, "@h");
    parse(url);
    ck_assert_uint_eq(strlen(address.password), 255);
    free(url);
}
END_TEST

static const struct {
    const char *url;
    size_t position;
    const char *part;
} bad_urls[] = {
    {"", 1, "does not begin"},
    {"amqp", 1, "does not begin"},
    {"amqp:/u:" SECRET "@h", 1, "does not begin"},
    {"http://u:" SECRET "@h", 1, "does not begin"},
    {"u:" SECRET "@h", 1, "does not begin"},
    {" amqp://h", 1, "does not begin"},
    {"amqp://", 8, "host is missing"},
    {"amqp:///v", 8, "host is missing"},
    {"amqp://u:" SECRET "@", 17, "host is missing"},
    {"amqp://u:" SECRET "@/v", 17, "host is missing"},
    {"amqp://a,,b", 10, "host is missing"},
    {"amqp://a,", 10, "host is missing"},
    {"amqp://:5672", 8, "host is missing"},
    {"amqp://@h", 8, "no user"},
    {"amqp://:" SECRET "@h", 8, "no user"},
    /* Ports, and passwords that are taken for ports where the host was forgotten. */
    {"amqp://h:", 10, "port"},
    {"amqp://h:/", 10, "port"},
    {"amqp://h:0", 10, "port"},
    {"amqp://h:65536", 10, "port"},
    {"amqp://h:18446744073709551617", 10, "port"},
    {"amqp://h:-1", 10, "port"},
    {"amqp://h:+1", 10, "port"},
    {"amqp://h:5672x", 10, "port"},
    {"amqp://u:" SECRET, 10, "port"},
    {"amqp://u:" SECRET "/v", 10, "port"},
    {"amqp://::1", 8, "host is missing"},
    {"amqp://fe80::1", 13, "brackets"},
    /* IPv6 */
    {"amqp://[::1", 8, "IPv6"},
    {"amqp://[]", 8, "host is missing"},
    {"amqp://[a]", 8, "IPv6"},
    {"amqp://[10.0.0.1]", 8, "IPv6"},
    {"amqp://[::1]5672", 13, "after ']'"},
    {"amqp://[::1]:", 14, "port"},
    /* Characters that are not written as they are. */
    {"amqp://u:" SECRET "/x@h", 16, "%2f"},
    {"amqp://u:" SECRET "?x@h", 16, "%3f"},
    {"amqp://u:" SECRET "#x@h", 16, "%23"},
    {"amqp://u:x@" SECRET "@h", 18, "%40"},
    {"amqp://h/v@w", 9, "%40"},
    {"amqp://h%41", 9, "host's name"},
    {"amqp://h/v?heartbeat=10", 11, "no parameters"},
    {"amqp://h?heartbeat=10", 9, "host's name"},
    {"amqp://h/v#w", 11, "no parameters"},
    {"amqp://h/v w", 11, "blank"},
    {"amqp://u:" SECRET " @h", 16, "blank"},
    {"amqp://u:" SECRET "\n@h", 16, "control"},
    {"amqp://h\x7f", 9, "control"},
    {"amqp://\xc3\xb6", 8, "host's name"},
    {"amqp://u:" SECRET "%00@h", 16, "control"},
    {"amqp://u%0a:" SECRET "@h", 9, "control"},
    {"amqp://h/v%7f", 11, "control"},
    {"amqp://u:" SECRET "%@h", 16, "%25"},
    {"amqp://u:" SECRET "%4@h", 16, "%25"},
    {"amqp://u:" SECRET "%4g@h", 16, "%25"},
    {"amqp://h/%", 10, "%25"},
    {"amqp://h/%4", 10, "%25"},
};
#define BAD_URLS_COUNT ((int)(sizeof bad_urls / sizeof bad_urls[0]))

START_TEST(a_bad_url_is_refused_at_its_place) {
    refuse_at(bad_urls[_i].url, bad_urls[_i].position, bad_urls[_i].part);
}
END_TEST

/* --------------------------------------------------------------------- text */

START_TEST(the_text_has_no_password) {
    char text[SAGA_AMQP_ADDRESS_TEXT_MAX];
    parse("amqp://guest:" SECRET "@127.0.0.1,b");
    saga_amqp_address_text(&address, text, sizeof text);
    ck_assert_str_eq(text, "amqp://guest@127.0.0.1:5672,b:5672/");
    parse("amqps://b%c3%b6b%20%40:" SECRET "@[::1]:7/a%2fb");
    saga_amqp_address_text(&address, text, sizeof text);
    ck_assert_str_eq(text, "amqps://b%c3%b6b%20%40@[::1]:7/a%2fb");
}
END_TEST

START_TEST(the_text_can_be_parsed_again) {
    static const char *const urls[] = {
        "amqp://h",
        "amqps://b%40%3a%2f:x@a,[::1]:1,c:2/%2fv%23%3f%25%20",
        "amqp://u@h//",
        "amqp://u@h/~.-_",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char text[SAGA_AMQP_ADDRESS_TEXT_MAX];
        parse(urls[i]);
        const struct saga_amqp_address first = address;
        saga_amqp_address_text(&address, text, sizeof text);
        parse(text);
        (void)snprintf(address.password, sizeof address.password, "%s", first.password);
        expect_login(first.user, first.password, first.vhost);
        ck_assert_int_eq(address.tls, first.tls);
        ck_assert_uint_eq(address.host_count, first.host_count);
        for (size_t host = 0; host < first.host_count; host++) {
            expect_host(host, first.hosts[host].name, first.hosts[host].port);
        }
    }
}
END_TEST

START_TEST(the_text_is_cut_where_there_is_no_room) {
    char text[16];
    parse("amqp://guest@rabbit");
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        saga_amqp_address_text(&address, text, size);
        ck_assert_uint_eq(strlen(text), size - 1);
        ck_assert_int_eq(strncmp(text, "amqp://guest@rabbit", size - 1), 0);
        ck_assert(size == sizeof text || text[size] == '#');
    }
}
END_TEST

START_TEST(the_longest_address_has_room) {
    char text[SAGA_AMQP_ADDRESS_TEXT_MAX];
    memset(&address, 0, sizeof address);
    address.tls = true;
    address.host_count = SAGA_AMQP_HOSTS_MAX;
    for (size_t i = 0; i < SAGA_AMQP_HOSTS_MAX; i++) {
        memset(address.hosts[i].name, ':', SAGA_AMQP_HOST_BYTES_MAX);
        address.hosts[i].port = UINT16_MAX;
    }
    memset(address.user, '@', SAGA_AMQP_WORD_BYTES_MAX);
    memset(address.vhost, 0xff, SAGA_AMQP_WORD_BYTES_MAX);
    saga_amqp_address_text(&address, text, sizeof text);
    ck_assert_str_eq(text + strlen(text) - 9, "%ff%ff%ff");
    ck_assert_uint_gt(strlen(text), SAGA_AMQP_ADDRESS_TEXT_MAX - 32);
}
END_TEST

/* ------------------------------------------------------------ password file */

static enum saga_error read_password_of(const void *bytes, size_t size) {
    const char *path = scratch_file(&scratch, "password");
    file_write(path, bytes, size);
    return saga_amqp_address_read_password(&address, path, &fault);
}

static void expect_password(const char *bytes, const char *password) {
    const enum saga_error error = read_password_of(bytes, strlen(bytes));
    ck_assert_msg(error == SAGA_OK, "%s", fault.text);
    ck_assert_str_eq(address.password, password);
}

START_TEST(the_first_line_is_the_password) {
    parse("amqp://bob:old@h/v");
    expect_password(SECRET, SECRET);
    expect_password(SECRET "\n", SECRET);
    expect_password(SECRET "\r\n", SECRET);
    expect_password(SECRET "\r", SECRET);
    expect_password(SECRET "\n\nmore\n", SECRET);
    expect_password(" %41@/: \xc3\xb6 \n", " %41@/: \xc3\xb6 ");
    expect_login("bob", " %41@/: \xc3\xb6 ", "v");
}
END_TEST

START_TEST(the_longest_password_is_read) {
    static const char *const ends[] = {"", "\n", "\r\n", "\r", "\nmore"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *bytes = long_url("", 'p', 255, ends[i]);
        ck_assert_int_eq(read_password_of(bytes, strlen(bytes)), SAGA_OK);
        ck_assert_uint_eq(strlen(address.password), 255);
        free(bytes);
    }
}
END_TEST

/* The error, a word of its fault that names what is wrong, and nothing of the password. */
static void refuse_password(enum saga_error error, enum saga_error expected, const char *part) {
    ck_assert_int_eq(error, expected);
    ck_assert_int_eq(fault.error, expected);
    ck_assert_msg(strstr(fault.text, part) != NULL, "'%s' lacks '%s'", fault.text, part);
    ck_assert_ptr_nonnull(strstr(fault.text, scratch.path));
    ck_assert_ptr_null(strstr(fault.text, SECRET));
    ck_assert_str_eq(address.password, "old");
}

START_TEST(a_bad_password_file_is_refused) {
    parse("amqp://bob:old@h");
    refuse_password(read_password_of("", 0), SAGA_ERROR_INVALID, "is empty");
    refuse_password(read_password_of("\n" SECRET, 7), SAGA_ERROR_INVALID, "is empty");
    refuse_password(read_password_of("\r\n", 2), SAGA_ERROR_INVALID, "is empty");
    refuse_password(read_password_of(SECRET "\0\n", 8), SAGA_ERROR_INVALID, "control");
    refuse_password(read_password_of(SECRET "\tx\n", 9), SAGA_ERROR_INVALID, "control");
    refuse_password(read_password_of(SECRET "\r\r\n", 9), SAGA_ERROR_INVALID, "control");
    static const char *const ends[] = {"", "\n", "\r\n", SECRET};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *bytes = long_url(SECRET, 'p', 250, ends[i]);
        refuse_password(read_password_of(bytes, strlen(bytes)), SAGA_ERROR_INVALID,
                        "more than 255 bytes");
        free(bytes);
    }
    refuse_password(
        saga_amqp_address_read_password(&address, scratch_file(&scratch, "absent"), &fault),
        SAGA_ERROR_NOT_FOUND, "No such file");
    refuse_password(saga_amqp_address_read_password(&address, scratch.path, &fault),
                    SAGA_ERROR_FAILED, "Is a directory");
}
END_TEST

static int write_slowly(void *path) {
    FILE *fifo = fopen(path, "w");
    return fifo == NULL || fputs("s3", fifo) < 0 || fflush(fifo) != 0 ||
           fputs("cret\n", fifo) < 0 || fclose(fifo) != 0;
}

START_TEST(a_pipe_is_read_to_its_newline) {
    char path[SCRATCH_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/fifo", scratch.path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    const pid_t child = child_start(write_slowly, path);
    ck_assert_int_eq(saga_amqp_address_read_password(&address, path, &fault), SAGA_OK);
    ck_assert_str_eq(address.password, SECRET);
    ck_assert_int_eq(child_wait(child), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("amqp address");
    TCase *url = tcase_create("url");
    tcase_add_checked_fixture(url, open_scratch, close_scratch);
    tcase_add_test(url, what_is_missing_is_the_default);
    tcase_add_test(url, all_of_it_is_read);
    tcase_add_test(url, words_are_decoded);
    tcase_add_test(url, an_empty_password_is_one);
    tcase_add_test(url, every_spelling_of_the_vhost_slash_is_it);
    tcase_add_test(url, several_hosts_are_read_in_order);
    tcase_add_test(url, sixteen_hosts_are_the_limit);
    tcase_add_test(url, lengths_have_limits);
    tcase_add_loop_test(url, a_bad_url_is_refused_at_its_place, 0, BAD_URLS_COUNT);
    suite_add_tcase(suite, url);
    TCase *text = tcase_create("text");
    tcase_add_checked_fixture(text, open_scratch, close_scratch);
    tcase_add_test(text, the_text_has_no_password);
    tcase_add_test(text, the_text_can_be_parsed_again);
    tcase_add_test(text, the_text_is_cut_where_there_is_no_room);
    tcase_add_test(text, the_longest_address_has_room);
    suite_add_tcase(suite, text);
    TCase *password = tcase_create("password file");
    tcase_add_checked_fixture(password, open_scratch, close_scratch);
    tcase_add_test(password, the_first_line_is_the_password);
    tcase_add_test(password, the_longest_password_is_read);
    tcase_add_test(password, a_bad_password_file_is_refused);
    tcase_add_test(password, a_pipe_is_read_to_its_newline);
    suite_add_tcase(suite, password);
    return check_run(suite);
}
