#include "amqp_cutter.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monotonic.h"

#define CONNECTIONS_MAX 64
#define CHUNK           16384
#define BEGINNING       2048 /* of what the client says: its name is there */
#define HEAD_SIZE       7    /* type, channel, size; the frame ends with one byte more */
#define GREETING_SIZE   8
#define LAST_WORDS_MS   2000

/* One direction of a connection. */
struct stream {
    uint64_t bytes;  /* have gone by */
    uint64_t border; /* the end of the frame that goes by; valid once its head is known */
    uint8_t head[HEAD_SIZE];
    uint32_t head_size;
    uint32_t frames; /* as a whole */
    bool greets;     /* the eight bytes are still to come */
    bool ended;
};

struct connection {
    int fds[2]; /* the client, the broker; -1: the place is free */
    struct stream streams[2];
    char beginning[BEGINNING];
    size_t beginning_size;
    bool is_target;
    int64_t dying_ms; /* cut or ended: closed by then; 0: it lives */
};

struct amqp_cutter {
    pthread_t thread;
    uint16_t port, broker_port;
    int listener, wake_fd;

    pthread_mutex_t mutex; /* for all of these */
    bool closing, frozen, armed;
    struct cut cut;
    struct cutter_progress progress;
    struct connection connections[CONNECTIONS_MAX];
};

static void lock(struct amqp_cutter *cutter) {
    (void)pthread_mutex_lock(&cutter->mutex);
}

static void unlock(struct amqp_cutter *cutter) {
    (void)pthread_mutex_unlock(&cutter->mutex);
}

static void wake(struct amqp_cutter *cutter) {
    const uint64_t one = 1;
    ck_assert_int_eq(write(cutter->wake_fd, &one, sizeof one), (ssize_t)sizeof one);
}

/* ------------------------------------------------------------------- frames */

/* Follows the frames through `size` bytes that begin where the stream is. */
static void follow(struct stream *stream, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        stream->bytes++;
        if (stream->greets) {
            if (stream->bytes == GREETING_SIZE) {
                stream->greets = false;
                stream->frames++;
            }
            continue;
        }
        if (stream->head_size < HEAD_SIZE) {
            stream->head[stream->head_size++] = bytes[i];
            if (stream->head_size == HEAD_SIZE) {
                const uint32_t payload = (uint32_t)stream->head[3] << 24 |
                                         (uint32_t)stream->head[4] << 16 |
                                         (uint32_t)stream->head[5] << 8 | stream->head[6];
                stream->border = stream->bytes + payload + 1;
            }
        } else if (stream->bytes == stream->border) {
            stream->head_size = 0;
            stream->frames++;
        }
    }
}

/* True if the stream is to end here. */
static bool is_there(const struct stream *stream, const struct cut *cut) {
    struct stream ahead = *stream;
    if (cut->byte != 0) {
        return stream->bytes == cut->byte;
    }
    if (cut->delta == 0) {
        return stream->frames == cut->frame && stream->head_size == 0;
    }
    if (cut->delta > 0) {
        return stream->frames == cut->frame && stream->head_size == (uint32_t)cut->delta;
    }
    /* Before a frame's end: known once its head is. */
    if (ahead.greets) {
        return cut->frame == 1 && stream->bytes + (uint64_t)-cut->delta == GREETING_SIZE;
    }
    return ahead.frames + 1 == cut->frame && ahead.head_size == HEAD_SIZE &&
           stream->bytes + (uint64_t)-cut->delta == stream->border;
}

/* ---------------------------------------------------------------- connections */

static void end_streams(struct connection *connection) {
    if (connection->dying_ms == 0) {
        connection->dying_ms = monotonic_ms() + LAST_WORDS_MS;
        (void)shutdown(connection->fds[0], SHUT_WR);
        (void)shutdown(connection->fds[1], SHUT_WR);
    }
}

static void forget(struct connection *connection) {
    (void)close(connection->fds[0]);
    (void)close(connection->fds[1]);
    *connection = (struct connection){.fds = {-1, -1}};
}

static int dial(uint16_t port) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void take_connection(struct amqp_cutter *cutter) {
    const int client = accept4(cutter->listener, NULL, NULL, SOCK_CLOEXEC);
    const int broker = client < 0 ? -1 : dial(cutter->broker_port);
    if (broker < 0) {
        if (client >= 0) {
            (void)close(client);
        }
        return;
    }
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &cutter->connections[i];
        if (connection->fds[0] < 0) {
            *connection = (struct connection){.fds = {client, broker}, .is_target = cutter->armed};
            connection->streams[0].greets = true;
            cutter->progress.taken = cutter->progress.taken || cutter->armed;
            cutter->armed = false;
            return;
        }
    }
    (void)close(client);
    (void)close(broker);
}

static bool send_all(int fd, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

static void note_progress(struct amqp_cutter *cutter, const struct connection *connection,
                          bool has_cut) {
    if (connection->is_target) {
        const struct stream *stream = &connection->streams[cutter->cut.direction - 1];
        cutter->progress.frames = stream->frames;
        cutter->progress.bytes = stream->bytes;
        cutter->progress.cut = cutter->progress.cut || has_cut;
    }
}

/* Passes on what came on side `from`, up to the cut. */
static void pass(struct amqp_cutter *cutter, struct connection *connection, int from) {
    uint8_t bytes[CHUNK];
    struct stream *stream = &connection->streams[from];
    const ssize_t got = recv(connection->fds[from], bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        stream->ended = true;
        end_streams(connection);
        return;
    }
    if (connection->dying_ms != 0) {
        return; /* nobody hears it */
    }
    if (from == 0 && connection->beginning_size < BEGINNING) {
        const size_t room = BEGINNING - connection->beginning_size;
        const size_t size = (size_t)got < room ? (size_t)got : room;
        memcpy(connection->beginning + connection->beginning_size, bytes, size);
        connection->beginning_size += size;
    }
    const bool may_cut = connection->is_target && (int)cutter->cut.direction == from + 1;
    bool has_cut = false;
    size_t passed = 0;
    while (passed < (size_t)got && !has_cut) {
        const size_t step = may_cut ? 1 : (size_t)got;
        follow(stream, bytes + passed, step);
        passed += step;
        has_cut = may_cut && is_there(stream, &cutter->cut);
    }
    const bool arrived = send_all(connection->fds[1 - from], bytes, passed);
    note_progress(cutter, connection, has_cut);
    if (has_cut || !arrived) {
        end_streams(connection);
    }
}

/* ------------------------------------------------------------------- thread */

static nfds_t list_fds(struct amqp_cutter *cutter, struct pollfd *fds) {
    nfds_t count = 2;
    fds[0] = (struct pollfd){.fd = cutter->wake_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = cutter->listener, .events = POLLIN};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *connection = &cutter->connections[i];
        for (int side = 0; side < 2; side++) {
            const bool mute = cutter->frozen || connection->streams[side].ended;
            fds[count++] =
                (struct pollfd){.fd = mute ? -1 : connection->fds[side], .events = POLLIN};
        }
    }
    return count;
}

static void bury(struct amqp_cutter *cutter) {
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &cutter->connections[i];
        if (connection->fds[0] >= 0 && connection->dying_ms != 0 &&
            ((connection->streams[0].ended && connection->streams[1].ended) ||
             monotonic_ms() >= connection->dying_ms)) {
            forget(connection);
        }
    }
}

static void *cut_for_ever(void *context) {
    struct amqp_cutter *cutter = context;
    struct pollfd fds[2 + 2 * CONNECTIONS_MAX];
    lock(cutter);
    while (!cutter->closing) {
        const nfds_t count = list_fds(cutter, fds);
        unlock(cutter);
        (void)poll(fds, count, 100);
        lock(cutter);
        if (fds[0].revents != 0) {
            uint64_t wakes;
            const ssize_t got = read(cutter->wake_fd, &wakes, sizeof wakes);
            (void)got;
        }
        if (fds[1].revents != 0) {
            take_connection(cutter);
        }
        for (nfds_t i = 2; i < count && !cutter->frozen; i++) {
            struct connection *connection = &cutter->connections[(i - 2) / 2];
            const int side = (int)(i % 2);
            /* The place may be another one's by now. */
            if (fds[i].revents != 0 && fds[i].fd >= 0 && connection->fds[side] == fds[i].fd) {
                pass(cutter, connection, side);
            }
        }
        bury(cutter);
    }
    unlock(cutter);
    return NULL;
}

/* ------------------------------------------------------------- open and close */

static int listen_anywhere(uint16_t *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

struct amqp_cutter *cutter_open(uint16_t broker_port) {
    struct amqp_cutter *cutter = calloc(1, sizeof *cutter);
    ck_assert_ptr_nonnull(cutter);
    cutter->broker_port = broker_port;
    cutter->listener = listen_anywhere(&cutter->port);
    cutter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(cutter->wake_fd, 0);
    (void)pthread_mutex_init(&cutter->mutex, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        cutter->connections[i].fds[0] = cutter->connections[i].fds[1] = -1;
    }
    ck_assert_int_eq(pthread_create(&cutter->thread, NULL, cut_for_ever, cutter), 0);
    return cutter;
}

void cutter_close(struct amqp_cutter *cutter) {
    lock(cutter);
    cutter->closing = true;
    unlock(cutter);
    wake(cutter);
    (void)pthread_join(cutter->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (cutter->connections[i].fds[0] >= 0) {
            forget(&cutter->connections[i]);
        }
    }
    (void)close(cutter->listener);
    (void)close(cutter->wake_fd);
    (void)pthread_mutex_destroy(&cutter->mutex);
    free(cutter);
}

uint16_t cutter_port(const struct amqp_cutter *cutter) {
    return cutter->port;
}

void cutter_arm(struct amqp_cutter *cutter, const char *name, const struct cut *cut) {
    lock(cutter);
    cutter->cut = *cut;
    cutter->progress = (struct cutter_progress){0};
    cutter->armed = true;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &cutter->connections[i];
        connection->is_target = false;
        if (connection->fds[0] >= 0 &&
            (name == NULL || memmem(connection->beginning, connection->beginning_size, name,
                                    strlen(name)) != NULL)) {
            end_streams(connection);
        }
    }
    unlock(cutter);
    wake(cutter);
}

struct cutter_progress cutter_look(struct amqp_cutter *cutter) {
    lock(cutter);
    const struct cutter_progress progress = cutter->progress;
    unlock(cutter);
    return progress;
}

void cutter_freeze(struct amqp_cutter *cutter, bool frozen) {
    lock(cutter);
    cutter->frozen = frozen;
    unlock(cutter);
    wake(cutter);
}
