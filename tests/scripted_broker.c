#include "scripted_broker.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monotonic.h"

#define FRAME_END       0xce
#define FRAME_EXTRA     8 /* type, channel, size, end */
#define PROTOCOL_HEADER "AMQP\x00\x00\x09\x01"

struct scripted_peer {
    int connection;
    unsigned number;
    bool gone;
    size_t slice;
    size_t cut_after; /* SIZE_MAX: never */
    size_t written;
    unsigned heartbeats;
    uint8_t frame[SCRIPT_FRAME_MAX + FRAME_EXTRA]; /* that was read */
};

static struct {
    void (*play)(struct scripted_peer *peer);
    void *context;
    int listener;
    uint16_t port;
    int stop[2]; /* a pipe: closed by the stop */
    pthread_t thread;
} broker;

void *script_context(const struct scripted_peer *peer) {
    (void)peer;
    return broker.context;
}

unsigned script_connection(const struct scripted_peer *peer) {
    return peer->number;
}

void script_slice(struct scripted_peer *peer, size_t bytes) {
    peer->slice = bytes;
}

void script_cut_after(struct scripted_peer *peer, size_t bytes) {
    peer->cut_after = bytes;
}

size_t script_written(const struct scripted_peer *peer) {
    return peer->written;
}

static void narrow(int descriptor, int which) {
    const int bytes = 16384;
    ck_assert_int_eq(setsockopt(descriptor, SOL_SOCKET, which, &bytes, sizeof bytes), 0);
}

void script_narrow(struct scripted_peer *peer) {
    narrow(peer->connection, SO_RCVBUF);
    narrow(scripted_broker_client(), SO_SNDBUF);
}

size_t script_unread(const struct scripted_peer *peer) {
    int unread = 0;
    ck_assert_int_eq(ioctl(peer->connection, FIONREAD, &unread), 0);
    return (size_t)unread;
}

bool script_is_gone(const struct scripted_peer *peer) {
    return peer->gone;
}

unsigned script_heartbeats(const struct scripted_peer *peer) {
    return peer->heartbeats;
}

/* ------------------------------------------------------------------- writing */

/* False: the time is over, or the stop came. */
static bool ready(int descriptor, short events, int timeout_ms) {
    struct pollfd fds[] = {{.fd = descriptor, .events = events},
                           {.fd = broker.stop[0], .events = POLLIN}};
    const int count = poll(fds, 2, timeout_ms);
    ck_assert(count >= 0 || errno == EINTR);
    return count > 0 && fds[1].revents == 0;
}

void script_write(struct scripted_peer *peer, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    while (size > 0 && !peer->gone) {
        size_t piece = peer->slice != 0 && peer->slice < size ? peer->slice : size;
        if (piece > peer->cut_after - peer->written) {
            piece = peer->cut_after - peer->written;
        }
        if (piece == 0 || !ready(peer->connection, POLLOUT, -1)) {
            peer->gone = true;
            return;
        }
        const ssize_t sent = send(peer->connection, at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            peer->gone = true;
        } else if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
            peer->written += (size_t)sent;
        }
    }
}

void script_put_number(struct script_bytes *to, unsigned width, uint64_t number) {
    ck_assert_uint_le(to->size + width, sizeof to->bytes);
    for (unsigned i = width; i > 0; i--) {
        to->bytes[to->size++] = (uint8_t)(number >> 8 * (i - 1));
    }
}

static void put_text(struct script_bytes *to, unsigned width, const char *text) {
    const size_t size = strlen(text);
    script_put_number(to, width, size);
    ck_assert_uint_le(to->size + size, sizeof to->bytes);
    memcpy(to->bytes + to->size, text, size);
    to->size += size;
}

void script_put_short(struct script_bytes *to, const char *text) {
    put_text(to, 1, text);
}

void script_put_long(struct script_bytes *to, const char *text) {
    put_text(to, 4, text);
}

void script_frame(struct scripted_peer *peer, uint8_t type, uint16_t channel, const void *payload,
                  size_t size) {
    static const uint8_t end = FRAME_END;
    const uint8_t head[] = {type,
                            (uint8_t)(channel >> 8),
                            (uint8_t)channel,
                            (uint8_t)(size >> 24),
                            (uint8_t)(size >> 16),
                            (uint8_t)(size >> 8),
                            (uint8_t)size};
    script_write(peer, head, sizeof head);
    script_write(peer, payload, size);
    script_write(peer, &end, 1);
}

void script_method(struct scripted_peer *peer, uint16_t channel, uint32_t method,
                   const struct script_bytes *arguments) {
    struct script_bytes *whole = calloc(1, sizeof *whole);
    ck_assert_ptr_nonnull(whole);
    script_put_number(whole, 4, method);
    if (arguments != NULL) {
        ck_assert_uint_le(arguments->size, sizeof whole->bytes - 4);
        memcpy(whole->bytes + 4, arguments->bytes, arguments->size);
        whole->size += arguments->size;
    }
    script_frame(peer, SCRIPT_FRAME_METHOD, channel, whole->bytes, whole->size);
    free(whole);
}

void script_close(struct scripted_peer *peer, uint16_t channel, uint16_t code, const char *text) {
    struct script_bytes close = {0};
    script_put_number(&close, 2, code);
    script_put_short(&close, text);
    script_put_number(&close, 4, 0); /* which method is to blame */
    script_method(peer, channel, channel == 0 ? SCRIPT_CONNECTION_CLOSE : SCRIPT_CHANNEL_CLOSE,
                  &close);
}

void script_settle(struct scripted_peer *peer, uint32_t method, uint64_t number, bool multiple) {
    struct script_bytes settle = {0};
    script_put_number(&settle, 8, number);
    script_put_number(&settle, 1, multiple);
    script_method(peer, 1, method, &settle);
}

void script_deliver(struct scripted_peer *peer, uint64_t tag, const char *consumer) {
    struct script_bytes deliver = {0};
    script_put_short(&deliver, consumer);
    script_put_number(&deliver, 8, tag);
    script_put_number(&deliver, 1, 0);
    script_put_short(&deliver, "e");
    script_put_short(&deliver, "k");
    script_method(peer, 1, SCRIPT_BASIC_DELIVER, &deliver);
}

void script_return(struct scripted_peer *peer, const char *routing_key) {
    struct script_bytes returned = {0};
    script_put_number(&returned, 2, 312);
    script_put_short(&returned, "NO_ROUTE");
    script_put_short(&returned, "e");
    script_put_short(&returned, routing_key);
    script_method(peer, 1, SCRIPT_BASIC_RETURN, &returned);
}

void script_header(struct scripted_peer *peer, uint64_t body_size, const char *message_id,
                   const struct script_bytes *headers) {
    struct script_bytes *header = calloc(1, sizeof *header);
    ck_assert_ptr_nonnull(header);
    script_put_number(header, 2, 60);
    script_put_number(header, 2, 0);
    script_put_number(header, 8, body_size);
    script_put_number(header, 2,
                      (headers != NULL ? 1u << 13 : 0) | (message_id != NULL ? 1u << 7 : 0));
    if (headers != NULL) {
        script_put_number(header, 4, headers->size);
        ck_assert_uint_le(header->size + headers->size, sizeof header->bytes);
        memcpy(header->bytes + header->size, headers->bytes, headers->size);
        header->size += headers->size;
    }
    if (message_id != NULL) {
        script_put_short(header, message_id);
    }
    script_frame(peer, SCRIPT_FRAME_HEADER, 1, header->bytes, header->size);
    free(header);
}

void script_body(struct scripted_peer *peer, const void *body, size_t size) {
    const uint8_t *at = body;
    while (size > 0) {
        const size_t piece =
            size < SCRIPT_FRAME_MAX - FRAME_EXTRA ? size : SCRIPT_FRAME_MAX - FRAME_EXTRA;
        script_frame(peer, SCRIPT_FRAME_BODY, 1, at, piece);
        at += piece;
        size -= piece;
    }
}

void script_message(struct scripted_peer *peer, uint64_t tag, const char *consumer,
                    const char *message_id, const void *body, size_t size) {
    script_deliver(peer, tag, consumer);
    script_header(peer, size, message_id, NULL);
    script_body(peer, body, size);
}

/* ------------------------------------------------------------------- reading */

static bool read_bytes(struct scripted_peer *peer, uint8_t *to, size_t size, int timeout_ms) {
    const int64_t until_ms = monotonic_ms() + timeout_ms;
    while (size > 0 && !peer->gone) {
        int left_ms = -1;
        if (timeout_ms >= 0) {
            left_ms = (int)(until_ms - monotonic_ms());
            left_ms = left_ms < 0 ? 0 : left_ms;
        }
        if (!ready(peer->connection, POLLIN, left_ms)) {
            return false;
        }
        const ssize_t got = recv(peer->connection, to, size, 0);
        if (got <= 0) {
            peer->gone = true;
        } else {
            to += got;
            size -= (size_t)got;
        }
    }
    return !peer->gone;
}

static uint64_t number_at(const uint8_t *bytes, unsigned width) {
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static bool read_frame(struct scripted_peer *peer, struct script_heard *heard, int timeout_ms) {
    uint8_t *frame = peer->frame;
    if (!read_bytes(peer, frame, 7, timeout_ms)) {
        return false;
    }
    heard->type = frame[0];
    heard->channel = (uint16_t)number_at(frame + 1, 2);
    heard->size = (size_t)number_at(frame + 3, 4);
    ck_assert_uint_le(heard->size, SCRIPT_FRAME_MAX);
    if (!read_bytes(peer, frame, heard->size + 1, -1)) {
        return false;
    }
    ck_assert_uint_eq(frame[heard->size], FRAME_END);
    heard->payload = frame;
    heard->method = 0;
    if (heard->type == SCRIPT_FRAME_METHOD) {
        heard->method = (uint32_t)number_at(frame, 4);
        heard->payload += 4;
        heard->size -= 4;
    }
    return true;
}

bool script_read(struct scripted_peer *peer, struct script_heard *heard, int timeout_ms) {
    while (read_frame(peer, heard, timeout_ms)) {
        if (heard->type != SCRIPT_FRAME_HEARTBEAT) {
            return true;
        }
        peer->heartbeats++;
    }
    return false;
}

/* basic.consume and basic.cancel name the consumer after some other things. */
static void answer_consumer(struct scripted_peer *peer, const struct script_heard *heard) {
    struct script_bytes answer = {0};
    const uint8_t *tag = heard->payload;
    if (heard->method == SCRIPT_BASIC_CONSUME) {
        tag += 2;          /* a number that is reserved */
        tag += 1 + (*tag); /* the queue */
    }
    memcpy(answer.bytes, tag, 1 + (size_t)*tag);
    answer.size = 1 + (size_t)*tag;
    script_method(peer, heard->channel, heard->method + 1, &answer);
}

void script_answer(struct scripted_peer *peer, const struct script_heard *heard) {
    struct script_bytes answer = {0};
    switch (heard->method) {
    case SCRIPT_CHANNEL_OPEN:
        script_put_number(&answer, 4, 0);
        break;
    case SCRIPT_QUEUE_DECLARE:
        script_put_short(&answer, "q");
        script_put_number(&answer, 8, 0); /* messages, consumers */
        break;
    case SCRIPT_CONNECTION_CLOSE:
    case SCRIPT_EXCHANGE_DECLARE:
    case SCRIPT_QUEUE_BIND:
    case SCRIPT_BASIC_QOS:
    case SCRIPT_CONFIRM_SELECT:
        break;
    case SCRIPT_BASIC_CONSUME:
    case SCRIPT_BASIC_CANCEL:
        answer_consumer(peer, heard);
        return;
    default:
        return;
    }
    script_method(peer, heard->channel, heard->method + 1, &answer);
    peer->gone = peer->gone || heard->method == SCRIPT_CONNECTION_CLOSE;
}

bool script_until(struct scripted_peer *peer, uint32_t method, struct script_heard *heard) {
    struct script_heard unheard = {0};
    heard = heard == NULL ? &unheard : heard;
    while (script_read(peer, heard, -1)) {
        if (heard->method == method) {
            return true;
        }
        script_answer(peer, heard);
    }
    return false;
}

void script_attend(struct scripted_peer *peer) {
    (void)script_until(peer, UINT32_MAX, NULL);
}

/* --------------------------------------------------------------- the greeting */

bool script_read_protocol(struct scripted_peer *peer) {
    uint8_t header[8];
    return read_bytes(peer, header, sizeof header, -1) &&
           memcmp(header, PROTOCOL_HEADER, sizeof header) == 0;
}

void script_say_start(struct scripted_peer *peer) {
    struct script_bytes start = {0};
    script_put_number(&start, 2, 0x0009); /* the version */
    script_put_number(&start, 4, 0);      /* properties: none */
    script_put_long(&start, "PLAIN AMQPLAIN");
    script_put_long(&start, "en_US");
    script_method(peer, 0, SCRIPT_CONNECTION_START, &start);
}

void script_say_tune(struct scripted_peer *peer, uint32_t frame_max, uint16_t heartbeat_s) {
    struct script_bytes tune = {0};
    script_put_number(&tune, 2, 2047);
    script_put_number(&tune, 4, frame_max);
    script_put_number(&tune, 2, heartbeat_s);
    script_method(peer, 0, SCRIPT_CONNECTION_TUNE, &tune);
}

bool script_login(struct scripted_peer *peer, uint32_t frame_max, uint16_t heartbeat_s) {
    struct script_bytes nothing = {0};
    if (!script_read_protocol(peer)) {
        return false;
    }
    script_say_start(peer);
    if (!script_until(peer, SCRIPT_CONNECTION_START_OK, NULL)) {
        return false;
    }
    script_say_tune(peer, frame_max, heartbeat_s);
    if (!script_until(peer, SCRIPT_CONNECTION_OPEN, NULL)) {
        return false;
    }
    script_put_short(&nothing, "");
    script_method(peer, 0, SCRIPT_CONNECTION_OPEN_OK, &nothing);
    return !peer->gone;
}

bool script_greet(struct scripted_peer *peer) {
    struct script_heard heard;
    if (!script_login(peer, SCRIPT_FRAME_MAX, 60) ||
        !script_until(peer, SCRIPT_CHANNEL_OPEN, &heard)) {
        return false;
    }
    script_answer(peer, &heard);
    return !peer->gone;
}

/* ----------------------------------------------------------------- the thread */

static void *serve(void *unused) {
    struct scripted_peer *peer = calloc(1, sizeof *peer);
    ck_assert_ptr_nonnull(peer);
    for (unsigned number = 1; ready(broker.listener, POLLIN, -1); number++) {
        const int one = 1;
        *peer = (struct scripted_peer){.number = number, .cut_after = SIZE_MAX};
        peer->connection = accept4(broker.listener, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(peer->connection, 0);
        ck_assert_int_eq(setsockopt(peer->connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one),
                         0);
        broker.play(peer);
        (void)close(peer->connection);
    }
    free(peer);
    return unused;
}

void scripted_broker_start(void (*play)(struct scripted_peer *peer), void *context) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    broker.play = play;
    broker.context = context;
    broker.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(broker.listener, 0);
    ck_assert_int_eq(bind(broker.listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(broker.listener, 64), 0);
    ck_assert_int_eq(getsockname(broker.listener, (struct sockaddr *)&address, &size), 0);
    broker.port = ntohs(address.sin_port);
    ck_assert_int_eq(pipe(broker.stop), 0);
    ck_assert_int_eq(pthread_create(&broker.thread, NULL, serve, NULL), 0);
}

uint16_t scripted_broker_port(void) {
    return broker.port;
}

int scripted_broker_client(void) {
    DIR *descriptors = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(descriptors);
    int found = -1;
    for (struct dirent *entry; found < 0 && (entry = readdir(descriptors)) != NULL;) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof peer;
        const int descriptor = (int)strtol(entry->d_name, NULL, 10);
        if (getpeername(descriptor, (struct sockaddr *)&peer, &size) == 0 &&
            peer.sin_family == AF_INET && ntohs(peer.sin_port) == broker.port) {
            found = descriptor;
        }
    }
    (void)closedir(descriptors);
    ck_assert_int_ge(found, 0);
    return found;
}

void scripted_broker_stop(void) {
    (void)close(broker.stop[1]);
    ck_assert_int_eq(pthread_join(broker.thread, NULL), 0);
    (void)close(broker.stop[0]);
    (void)close(broker.listener);
}
