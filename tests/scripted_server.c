#include "scripted_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUESTS_MAX      64
#define REQUEST_BYTES_MAX 65536

static struct {
    const struct scripted_answer *answers;
    size_t count;
    int listener;
    int stop[2]; /* a pipe: closed by the stop */
    pthread_t thread;
    char address[256];
    char *requests[REQUESTS_MAX];
    size_t request_count;
    pthread_mutex_t mutex;
} server = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* False: the stop came first. */
static int readable(int descriptor) {
    struct pollfd ready[] = {{.fd = descriptor, .events = POLLIN},
                             {.fd = server.stop[0], .events = POLLIN}};
    while (poll(ready, 2, -1) < 0) {
        ck_assert_int_eq(errno, EINTR);
    }
    return ready[1].revents == 0;
}

/* The length of the whole request, once its head is there; else more than any. */
static size_t whole_size(const char *text) {
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return REQUEST_BYTES_MAX;
    }
    const char *length = strcasestr(text, "\r\nContent-Length:");
    size_t body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return (size_t)(end + 4 - text) + body;
}

/* Reads one request; NULL: the stop, or the client went away. */
static char *read_request(int connection) {
    char *text = calloc(1, REQUEST_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(text);
    size_t size = 0;
    while (size < whole_size(text)) {
        ssize_t got =
            readable(connection) ? read(connection, text + size, REQUEST_BYTES_MAX - size) : 0;
        if (got <= 0) {
            free(text);
            return NULL;
        }
        size += (size_t)got;
    }
    return text;
}

static void answer(int connection, const struct scripted_answer *with) {
    if (strcmp(with->status, SCRIPT_HANG_UP) == 0) {
        return;
    }
    if (strcmp(with->status, SCRIPT_SILENCE) == 0) {
        char byte;
        while (readable(connection) && read(connection, &byte, 1) > 0) {
            /* what else the client sends, until it goes away or the stop comes */
        }
        return;
    }
    char head[256];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: "
                        "%zu\r\nConnection: close\r\n\r\n",
                        with->status, strlen(with->body));
    (void)send(connection, head, (size_t)size, MSG_NOSIGNAL);
    size_t left = strlen(with->body);
    const char *bytes = with->body;
    while (left > 0) {
        ssize_t sent = send(connection, bytes, left, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        left -= (size_t)sent;
    }
}

static void *serve(void *context) {
    (void)context;
    while (readable(server.listener)) {
        int connection = accept(server.listener, NULL, NULL);
        ck_assert_int_ge(connection, 0);
        char *request = read_request(connection);
        if (request != NULL) {
            (void)pthread_mutex_lock(&server.mutex);
            ck_assert_uint_lt(server.request_count, REQUESTS_MAX);
            size_t index =
                server.request_count < server.count ? server.request_count : server.count - 1;
            server.requests[server.request_count++] = request;
            (void)pthread_mutex_unlock(&server.mutex);
            answer(connection, &server.answers[index]);
        }
        (void)close(connection);
    }
    return NULL;
}

static int listen_at(const char *path) {
    int listener = socket(path != NULL ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    if (path != NULL) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        ck_assert_uint_lt(strlen(path), sizeof local.sun_path);
        (void)strcpy(local.sun_path, path);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&local, sizeof local), 0);
        (void)snprintf(server.address, sizeof server.address, "unix:%s", path);
    } else {
        struct sockaddr_in loopback = {.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof loopback;
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&loopback, size), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&loopback, &size), 0);
        (void)snprintf(server.address, sizeof server.address, "http://127.0.0.1:%d",
                       ntohs(loopback.sin_port));
    }
    ck_assert_int_eq(listen(listener, 16), 0);
    return listener;
}

void scripted_server_start(const char *path, const struct scripted_answer *answers, size_t count) {
    server.answers = answers;
    server.count = count;
    server.request_count = 0;
    server.listener = listen_at(path);
    ck_assert_int_eq(pipe2(server.stop, O_CLOEXEC), 0);
    ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

const char *scripted_server_address(void) {
    return server.address;
}

void scripted_server_stop(void) {
    (void)close(server.stop[1]);
    ck_assert_int_eq(pthread_join(server.thread, NULL), 0);
    (void)close(server.stop[0]);
    (void)close(server.listener);
    if (strncmp(server.address, "unix:", 5) == 0) {
        (void)unlink(server.address + 5);
    }
}

size_t scripted_server_request_count(void) {
    (void)pthread_mutex_lock(&server.mutex);
    size_t count = server.request_count;
    (void)pthread_mutex_unlock(&server.mutex);
    return count;
}

const char *scripted_server_request(size_t index) {
    (void)pthread_mutex_lock(&server.mutex);
    ck_assert_uint_lt(index, server.request_count);
    const char *request = server.requests[index];
    (void)pthread_mutex_unlock(&server.mutex);
    return request;
}
