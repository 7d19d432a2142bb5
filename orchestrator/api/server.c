#include "server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Of a connection, for what has been read of it and not yet understood: so a
 * head has at most as many, less a little. */
#define CONNECTION_BYTES (16u << 10)
/* So many requests are taken from one connection. */
#define REQUESTS_MAX 1000
/* How long who still waits may take to hear that the daemon stops. */
#define FAREWELL_MS 1000

/* One connection. */
struct peer {
    struct peer *next;
    struct peer *previous;
    struct saga_server *server;
    int fd;
    int64_t deadline_ms; /* of what it is at; INT64_MAX: none */
    unsigned requests;
    struct slot *slot; /* its request; NULL: none */
    bool watched;      /* for its going away while it waits */
    char name[24];     /* "unix:1000", or empty */
};

/* One request, and where its connection stands. */
struct slot {
    struct saga_exchange exchange; /* its context is the slot */
    struct peer *peer;
    struct MHD_Connection *connection;
    enum saga_need need; /* 0: nothing has been looked at */
    bool suspended;
    char *uri;
};

struct saga_server {
    struct saga_exchange_world *world;
    struct saga_server_limits limits;
    struct saga_inbox *engine;  /* to the engine's thread */
    struct saga_inbox *answers; /* from there to this one */
    struct MHD_Daemon *daemon;
    struct peer *peers;
    int64_t next_check_ms; /* no deadline is before this */
    int epoll_fd;
    int stop_fd; /* an eventfd: written once, to stop */
    bool running;
    bool dismissing; /* what comes now is not for the engine any more */
    pthread_t thread;
};

static int64_t now_ms(void) {
    struct timespec now;
    const int error = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(error == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------- deadlines */

static void set_deadline(struct peer *peer, int64_t deadline_ms) {
    peer->deadline_ms = deadline_ms;
    if (deadline_ms < peer->server->next_check_ms) {
        peer->server->next_check_ms = deadline_ms;
    }
}

/* libmicrohttpd finds the connection broken, and closes it. */
static void cut(struct peer *peer) {
    peer->server->world->stats.connections_cut++;
    peer->deadline_ms = INT64_MAX;
    (void)shutdown(peer->fd, SHUT_RDWR);
}

/* While a request waits, nobody reads from its connection, and nobody would see
 * it end. The end of what a client sends is no end of its interest on a unix
 * socket; over TCP the two cannot be told apart. */
static void watch(struct peer *peer, bool watched) {
    struct epoll_event event = {
        .events = peer->server->world->listener.tcp ? EPOLLRDHUP : 0,
        .data.ptr = peer,
    };
    if (peer->watched != watched) {
        peer->watched = watched;
        const int error = epoll_ctl(peer->server->epoll_fd, watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
                                    peer->fd, &event);
        if (error != 0 && watched) {
            peer->watched = false; /* it waits until its time is over, at the latest */
        }
    }
}

/* ------------------------------------------------------------------- advancing */

static void answered(struct saga_request *request) {
    const struct saga_exchange *exchange = request->context;
    const struct slot *slot = exchange->context;
    request->next = NULL;
    saga_inbox_put(slot->peer->server->answers, request);
}

static void resume(struct slot *slot) {
    assert(slot->suspended);
    slot->suspended = false;
    MHD_resume_connection(slot->connection);
}

/* Does what the exchange of a suspended connection needs next. */
static void advance(struct slot *slot, enum saga_need need) {
    struct peer *peer = slot->peer;
    struct saga_request *request = &slot->exchange.request;
    slot->need = need;
    watch(peer, need == SAGA_NEED_CHANGE);
    switch (need) {
    case SAGA_NEED_ENGINE:
        set_deadline(peer, INT64_MAX);
        request->next = NULL;
        request->answered = answered;
        saga_inbox_put(peer->server->engine, request); /* it is the engine's now */
        break;
    case SAGA_NEED_CHANGE:
        set_deadline(peer, slot->exchange.wait_until_ms);
        break;
    case SAGA_NEED_NOTHING:
        resume(slot);
        break;
    case SAGA_NEED_BODY:
        assert(false);
        break;
    }
}

static void wake(struct slot *slot) {
    const enum saga_need need = saga_exchange_wake(&slot->exchange, now_ms());
    if (need != SAGA_NEED_CHANGE) {
        advance(slot, need);
    }
}

static void check_deadlines(struct saga_server *server, int64_t at_ms) {
    if (at_ms < server->next_check_ms) {
        return;
    }
    server->next_check_ms = INT64_MAX;
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (peer->deadline_ms <= at_ms) {
            if (peer->slot != NULL && peer->slot->need == SAGA_NEED_CHANGE) {
                wake(peer->slot);
            } else {
                cut(peer);
            }
        }
        set_deadline(peer, peer->deadline_ms);
    }
}

/* ------------------------------------------------------------ libmicrohttpd's calls */

static void *begin_request(void *context, const char *uri, struct MHD_Connection *connection) {
    struct saga_server *server = context;
    struct slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL) {
        return NULL;
    }
    slot->uri = strdup(uri);
    if (slot->uri == NULL) {
        free(slot);
        return NULL;
    }
    slot->connection = connection;
    slot->exchange.world = server->world;
    slot->exchange.context = slot;
    return slot;
}

static void end_request(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode how) {
    struct slot *slot = *request;
    (void)context;
    (void)connection;
    (void)how;
    if (slot == NULL) {
        return;
    }
    if (slot->peer != NULL) {
        slot->peer->slot = NULL;
        set_deadline(slot->peer, now_ms() + slot->peer->server->limits.idle_ms);
    }
    saga_exchange_fini(&slot->exchange);
    free(slot->uri);
    free(slot);
    *request = NULL;
}

static void name_peer(struct peer *peer) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (!peer->server->world->listener.tcp &&
        getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        (void)snprintf(peer->name, sizeof peer->name, "unix:%u", credentials.uid);
    }
}

static void open_peer(struct saga_server *server, struct MHD_Connection *connection,
                      void **context) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct peer *peer = calloc(1, sizeof *peer);
    *context = peer;
    if (peer == NULL) {
        return; /* its requests are refused */
    }
    peer->server = server;
    peer->fd = info->connect_fd;
    peer->next = server->peers;
    if (server->peers != NULL) {
        server->peers->previous = peer;
    }
    server->peers = peer;
    name_peer(peer);
    set_deadline(peer, now_ms() + server->limits.head_ms);
    server->world->stats.connections++;
    server->world->stats.connections_open++;
}

static void close_peer(struct saga_server *server, struct peer *peer) {
    assert(peer->slot == NULL && !peer->watched);
    *(peer->previous != NULL ? &peer->previous->next : &server->peers) = peer->next;
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    server->world->stats.connections_open--;
    server->next_check_ms = 0; /* libmicrohttpd takes note of the free place in its next turn */
    free(peer);
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode what) {
    struct saga_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        open_peer(server, connection, socket_context);
    } else if (*socket_context != NULL) {
        close_peer(server, *socket_context);
        *socket_context = NULL;
    }
}

static enum MHD_Result add_header(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value) {
    (void)kind;
    saga_head_add_header(context, name, value);
    return MHD_YES;
}

static enum MHD_Result add_query(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
    (void)kind;
    saga_head_add_query(context, name, value);
    return MHD_YES;
}

static bool add_headers(struct MHD_Response *http, const struct saga_response *response,
                        bool close) {
    const char *const headers[][2] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, response->type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {MHD_HTTP_HEADER_ALLOW, response->allow},
        {MHD_HTTP_HEADER_LOCATION, *response->location != '\0' ? response->location : NULL},
        {MHD_HTTP_HEADER_RETRY_AFTER, response->status == 503 ? "1" : NULL},
        {MHD_HTTP_HEADER_CONNECTION, close ? "close" : NULL},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (headers[i][1] != NULL &&
            MHD_add_response_header(http, headers[i][0], headers[i][1]) != MHD_YES) {
            return false;
        }
    }
    return true;
}

/* Hands the answer over; its body is libmicrohttpd's from then on. */
static enum MHD_Result respond(struct slot *slot) {
    assert(slot->need == SAGA_NEED_NOTHING);
    struct saga_response *response = &slot->exchange.response;
    struct peer *peer = slot->peer;
    if (response->body == NULL) {
        return MHD_NO; /* no memory: the connection is cut */
    }
    struct MHD_Response *http =
        MHD_create_response_from_buffer(response->body_size, response->body, MHD_RESPMEM_MUST_FREE);
    if (http == NULL) {
        return MHD_NO;
    }
    response->body = NULL;
    const bool close = response->close || ++peer->requests >= REQUESTS_MAX;
    enum MHD_Result result = MHD_NO;
    if (add_headers(http, response, close)) {
        result = MHD_queue_response(slot->connection, response->status, http);
    }
    MHD_destroy_response(http);
    peer->server->world->stats.responses[response->status / 100 % 6]++;
    set_deadline(peer, now_ms() + peer->server->limits.write_ms);
    return result;
}

static enum MHD_Result take_head(struct slot *slot, struct peer *peer, const char *path,
                                 const char *method) {
    struct saga_server *server = peer->server;
    struct saga_head *head = &slot->exchange.head;
    slot->peer = peer;
    peer->slot = slot;
    set_deadline(peer, now_ms() + server->limits.body_ms);
    slot->exchange.peer = *peer->name != '\0' ? peer->name : NULL;
    head->uri = slot->uri;
    head->path = path;
    head->method = method;
    (void)MHD_get_connection_values(slot->connection, MHD_HEADER_KIND, add_header, head);
    (void)MHD_get_connection_values(slot->connection, MHD_GET_ARGUMENT_KIND, add_query, head);
    slot->need = saga_exchange_begin(&slot->exchange, now_ms());
    return slot->need == SAGA_NEED_NOTHING ? respond(slot) : MHD_YES;
}

/* The request is there, whole. */
static enum MHD_Result take_body(struct slot *slot) {
    slot->need = SAGA_NEED_NOTHING;
    if (slot->peer->server->dismissing) {
        saga_exchange_stop(&slot->exchange);
    } else {
        slot->need = saga_exchange_run(&slot->exchange, now_ms());
    }
    if (slot->need == SAGA_NEED_NOTHING) {
        return respond(slot);
    }
    slot->suspended = true;
    MHD_suspend_connection(slot->connection);
    advance(slot, slot->need);
    return MHD_YES;
}

/* Called when the head is there, for each part of the body, at its end, and
 * after a resume. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *bytes,
                              size_t *size, void **request) {
    struct slot *slot = *request;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    (void)context;
    (void)version;
    if (slot == NULL || info->socket_context == NULL) {
        return MHD_NO; /* there was no memory for them */
    }
    if (slot->need == 0) {
        return take_head(slot, info->socket_context, path, method);
    }
    if (*size > 0) {
        const bool added = saga_exchange_add(&slot->exchange, bytes, *size);
        *size = 0;
        return added ? MHD_YES : MHD_NO;
    }
    return slot->need == SAGA_NEED_BODY ? take_body(slot) : respond(slot);
}

/* -------------------------------------------------------------------- the loop */

static void take_answers(struct saga_server *server) {
    struct saga_request *next;
    for (struct saga_request *request = saga_inbox_take(server->answers); request != NULL;
         request = next) {
        struct saga_exchange *exchange = request->context;
        next = request->next;
        advance(exchange->context, saga_exchange_answered(exchange, now_ms()));
    }
}

static void take_woken(struct saga_server *server) {
    for (struct saga_waiter *waiter = saga_waiters_take(server->world->waiters); waiter != NULL;
         waiter = saga_waiters_take(server->world->waiters)) {
        struct saga_exchange *exchange = waiter->context;
        wake(exchange->context);
    }
}

/* Somebody who waited has gone away. */
static void let_go(struct peer *peer) {
    if (peer->watched) { /* not if it was answered in this very turn */
        peer->server->world->stats.connections_cut++;
        saga_exchange_stop(&peer->slot->exchange);
        advance(peer->slot, SAGA_NEED_NOTHING);
    }
}

static int timeout_ms(const struct saga_server *server, int64_t at_ms) {
    MHD_UNSIGNED_LONG_LONG theirs;
    int64_t wait_ms =
        server->next_check_ms == INT64_MAX ? INT64_MAX : server->next_check_ms - at_ms;
    if (MHD_get_timeout(server->daemon, &theirs) == MHD_YES && (int64_t)theirs < wait_ms) {
        wait_ms = (int64_t)theirs;
    }
    if (wait_ms > 60000) { /* nothing is that urgent, and an int has its limits */
        return 60000;
    }
    return wait_ms < 0 ? 0 : (int)wait_ms;
}

static void turn(struct saga_server *server) {
    struct epoll_event events[64];
    const int count = epoll_wait(server->epoll_fd, events, 64, timeout_ms(server, now_ms()));
    assert(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL) {
            let_go(events[i].data.ptr);
        }
    }
    take_answers(server);
    take_woken(server);
    check_deadlines(server, now_ms());
    const enum MHD_Result ran = MHD_run(server->daemon);
    assert(ran == MHD_YES);
}

static bool stopping(const struct saga_server *server) {
    uint64_t count;
    return read(server->stop_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

static bool busy(const struct saga_server *server) {
    for (const struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (peer->slot != NULL) {
            return true;
        }
    }
    return false;
}

/* Nobody stays suspended, for libmicrohttpd cannot close a suspended one. */
static void dismiss(struct saga_server *server) {
    const int64_t until_ms = now_ms() + FAREWELL_MS;
    const MHD_socket listening = MHD_quiesce_daemon(server->daemon);
    assert(listening == server->world->listener.fd); /* ours again */
    server->dismissing = true;
    take_answers(server);
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (peer->slot != NULL && peer->slot->suspended) {
            saga_exchange_stop(&peer->slot->exchange);
            advance(peer->slot, SAGA_NEED_NOTHING);
        }
    }
    while (busy(server) && now_ms() < until_ms) {
        server->next_check_ms = server->next_check_ms < until_ms ? server->next_check_ms : until_ms;
        turn(server);
    }
}

static void *run(void *context) {
    struct saga_server *server = context;
    while (!stopping(server)) {
        turn(server);
    }
    dismiss(server);
    MHD_stop_daemon(server->daemon);
    return NULL;
}

/* -------------------------------------------------------------- opening, closing */

static enum saga_error failed(struct saga_fault *fault, const char *what, int error) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "cannot open the API: %s: %s", what,
                          strerror(error));
}

/* No polling thread of libmicrohttpd's own: one loop sees everything. */
static enum saga_error start_daemon(struct saga_server *server, struct saga_fault *fault) {
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, server,
        MHD_OPTION_LISTEN_SOCKET, server->world->listener.fd, MHD_OPTION_CONNECTION_LIMIT,
        server->limits.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
        begin_request, server, MHD_OPTION_NOTIFY_COMPLETED, end_request, server,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, server, MHD_OPTION_END);
    return server->daemon != NULL ? SAGA_OK : failed(fault, "libmicrohttpd", errno);
}

static enum saga_error start_polling(struct saga_server *server, struct saga_fault *fault) {
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    const int fds[] = {info->epoll_fd, server->stop_fd, saga_inbox_fd(server->answers),
                       saga_waiters_fd(server->world->waiters)};
    struct epoll_event event = {.events = EPOLLIN}; /* no pointer: no peer */
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fds[i], &event) != 0) {
            return failed(fault, "epoll", errno);
        }
    }
    return SAGA_OK;
}

/* Signals are for the other threads. */
static enum saga_error start_thread(struct saga_server *server, struct saga_fault *fault) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&server->thread, NULL, run, server);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return failed(fault, "thread", error);
    }
    server->running = true;
    (void)pthread_setname_np(server->thread, "api");
    return SAGA_OK;
}

static enum saga_error open_parts(struct saga_server *server, struct saga_fault *fault) {
    enum saga_error error = saga_inbox_open(&server->answers, fault);
    if (error != SAGA_OK) {
        return error;
    }
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->stop_fd < 0) {
        return failed(fault, "epoll", errno);
    }
    error = start_daemon(server, fault);
    if (error == SAGA_OK) {
        error = start_polling(server, fault);
    }
    if (error == SAGA_OK) {
        error = start_thread(server, fault);
    }
    return error;
}

enum saga_error saga_server_open(struct saga_server **server, struct saga_exchange_world *world,
                                 struct saga_inbox *engine, const struct saga_server_limits *limits,
                                 struct saga_fault *fault) {
    struct saga_server *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return failed(fault, "memory", ENOMEM);
    }
    opened->world = world;
    opened->engine = engine;
    opened->limits = *limits;
    opened->epoll_fd = -1;
    opened->stop_fd = -1;
    opened->next_check_ms = INT64_MAX;
    const enum saga_error error = open_parts(opened, fault);
    if (error != SAGA_OK) {
        saga_server_close(opened);
        return error;
    }
    *server = opened;
    return SAGA_OK;
}

static void stop(struct saga_server *server) {
    const uint64_t one = 1;
    if (server->running) {
        const ssize_t written = write(server->stop_fd, &one, sizeof one);
        assert(written == (ssize_t)sizeof one);
        const int error = pthread_join(server->thread, NULL);
        assert(error == 0);
    } else if (server->daemon != NULL) {
        (void)MHD_quiesce_daemon(server->daemon);
        MHD_stop_daemon(server->daemon);
    }
}

static void close_fd(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

void saga_server_close(struct saga_server *server) {
    if (server == NULL) {
        return;
    }
    stop(server);
    saga_inbox_close(server->answers);
    close_fd(server->epoll_fd);
    close_fd(server->stop_fd);
    free(server);
}
