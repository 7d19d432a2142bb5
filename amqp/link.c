#include "link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "rabbitmq.h"
#include "tls.h"

#define CHANNEL     1
#define CHANNEL_MAX 8
#define FRAME_MAX   131072 /* RabbitMQ's default */
/* What a peer may leave unacknowledged by TCP before the kernel gives it up. */
#define USER_TIMEOUT_MS 15000
/* So many frames are looked at by one call: one that goes on as long as something comes would never
 * be over. (A body of 64 MiB has about as many.) */
#define FRAMES_MAX 512
/* So many events may come before an answer: as many as a consumer has deliveries, and some. */
#define KEPT_MAX 8192

/* An event that came while an answer was awaited. */
struct kept {
    struct kept *next;
    struct saga_amqp_content content;
};

struct saga_amqp_link {
    amqp_connection_state_t connection;
    /* A descriptor of our own: the library closes its one when it likes, and then the number may be
     * somebody else's. */
    int fd;
    uint32_t timeout_ms;
    size_t body_bytes_max;
    int heartbeat_ms;
    struct saga_amqp_tls tls;
    struct saga_amqp_content content;
    struct saga_amqp_content shown; /* was given to the caller */
    struct kept *first_kept, *last_kept;
    unsigned kept_count;
    uint16_t channel_closed_for; /* the broker's reason; 0: it has not closed it */
    uint64_t oversized;
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------- errors */

static bool is_end(int status) {
    return status == AMQP_STATUS_CONNECTION_CLOSED || status == AMQP_STATUS_SOCKET_ERROR;
}

static bool is_about_tls(int status) {
    return status == AMQP_STATUS_SSL_ERROR || status == AMQP_STATUS_SSL_CONNECTION_FAILED ||
           status == AMQP_STATUS_SSL_PEER_VERIFY_FAILED;
}

/* `tls`: of a connection that is being made; NULL: of one that stands. */
static enum saga_error lost_with(struct saga_fault *fault, const char *what, int status,
                                 const struct saga_amqp_tls *tls) {
    char text[512];
    const bool may_be_tls = is_about_tls(status) || (tls != NULL && tls->asked && is_end(status));
    const char *why = may_be_tls ? saga_amqp_tls_explain(tls, text, sizeof text) : NULL;
    if (why != NULL) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "%s: %s", what, why);
    }
    why = amqp_error_string2(status);
    if (status == AMQP_STATUS_SOCKET_ERROR && errno == EINPROGRESS) {
        why = "nobody listens there, or there is no way to it"; /* the library keeps which */
    } else if ((status == AMQP_STATUS_SOCKET_ERROR || is_about_tls(status)) && errno != 0) {
        why = strerror(errno);
    }
    return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "%s: %s", what, why);
}

static enum saga_error lost(struct saga_fault *fault, const char *what, int status) {
    return lost_with(fault, what, status, NULL);
}

/* The peer's words end up on terminals and in JSON: what is not plain is left out. */
static enum saga_error closed(struct saga_fault *fault, const char *what, uint16_t code,
                              amqp_bytes_t text) {
    char plain[SAGA_AMQP_SHORT_BYTES_MAX + 1];
    size_t size = 0;
    for (; size < text.len && size < sizeof plain - 1; size++) {
        const char byte = ((const char *)text.bytes)[size];
        plain[size] = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    plain[size] = '\0';
    return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "%s: the broker says %u %s", what, code,
                          plain);
}

/* What the login came to: the only call of the library that waits for an answer. */
static enum saga_error answered(struct saga_fault *fault, const char *what,
                                const struct saga_amqp_tls *tls, amqp_rpc_reply_t reply) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return SAGA_OK;
    }
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        struct saga_fault inner = {0};
        const bool is_plain =
            tls->host == NULL &&
            (is_end(reply.library_error) || reply.library_error == AMQP_STATUS_BAD_AMQP_DATA);
        const enum saga_error error = lost_with(&inner, what, reply.library_error, tls);
        return saga_fault_set(fault, error, "%s%s", inner.text,
                              is_plain ? " (a port for TLS wants amqps://)" : "");
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
        if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
            const amqp_channel_close_t *close = reply.reply.decoded;
            return closed(fault, what, close->reply_code, close->reply_text);
        }
        if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
            const amqp_connection_close_t *close = reply.reply.decoded;
            return closed(fault, what, close->reply_code, close->reply_text);
        }
    }
    return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "%s: the broker's answer makes no sense",
                          what);
}

static enum saga_error call(struct saga_amqp_link *link, amqp_method_number_t method, void *request,
                            const char *what, const char *name, struct saga_fault *fault);

/* --------------------------------------------------------------- connecting */

static struct timeval duration(uint32_t ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static enum saga_error make_socket(struct saga_amqp_link *link,
                                   const struct saga_amqp_link_options *options, size_t host,
                                   amqp_socket_t **socket, struct saga_fault *fault) {
    if (options->address->tls) {
        link->tls = (struct saga_amqp_tls){.host = options->address->hosts[host].name,
                                           .ca_file = options->ca_file,
                                           .certificate = options->certificate,
                                           .key = options->key};
        return saga_amqp_tls_socket(&link->tls, link->connection, socket, fault);
    }
    *socket = amqp_tcp_socket_new(link->connection);
    return *socket != NULL
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "no memory for a socket");
}

/* By default rabbitmq-c does not tell the broker that it understands these, and then a deleted
 * queue or an alarm goes unnoticed. */
static enum saga_error login(struct saga_amqp_link *link,
                             const struct saga_amqp_link_options *options, const char *where,
                             struct saga_fault *fault) {
    static const char *const names[] = {"connection.blocked", "consumer_cancel_notify",
                                        "basic.nack", "publisher_confirms"};
    amqp_table_entry_t capabilities[sizeof names / sizeof names[0]];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        capabilities[i].key = amqp_cstring_bytes(names[i]);
        capabilities[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        capabilities[i].value.value.boolean = true;
    }
    amqp_table_entry_t entries[2] = {
        {.key = amqp_cstring_bytes("capabilities"), .value = {.kind = AMQP_FIELD_KIND_TABLE}},
        {.key = amqp_cstring_bytes("connection_name"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
    };
    entries[0].value.value.table.num_entries = sizeof names / sizeof names[0];
    entries[0].value.value.table.entries = capabilities;
    entries[1].value.value.bytes = saga_amqp_bytes(options->name);
    const amqp_table_t properties = {.num_entries = 2, .entries = entries};
    return answered(fault, where, &link->tls,
                    amqp_login_with_properties(link->connection, options->address->vhost,
                                               CHANNEL_MAX, FRAME_MAX, (int)options->heartbeat_s,
                                               &properties, AMQP_SASL_METHOD_PLAIN,
                                               options->address->user, options->address->password));
}

static enum saga_error connect_to(struct saga_amqp_link *link,
                                  const struct saga_amqp_link_options *options, size_t host,
                                  struct saga_fault *fault) {
    const struct saga_amqp_host *peer = &options->address->hosts[host];
    const struct timeval patience = duration(options->timeout_ms);
    const unsigned user_timeout_ms = USER_TIMEOUT_MS;
    char where[SAGA_AMQP_HOST_BYTES_MAX + 16];
    (void)snprintf(where, sizeof where, "%s:%u", peer->name, peer->port);
    amqp_socket_t *socket;
    enum saga_error error = make_socket(link, options, host, &socket, fault);
    if (error != SAGA_OK) {
        return error;
    }
    errno = 0;
    const int status = amqp_socket_open_noblock(socket, peer->name, peer->port, &patience);
    if (status != AMQP_STATUS_OK) {
        return lost_with(fault, where, status, &link->tls);
    }
    link->fd = fcntl(amqp_get_sockfd(link->connection), F_DUPFD_CLOEXEC, 0);
    if (link->fd < 0 ||
        setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                   sizeof user_timeout_ms) != 0 ||
        amqp_set_handshake_timeout(link->connection, &patience) != AMQP_STATUS_OK) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "%s: no descriptor, or timeouts cannot be set", where);
    }
    error = login(link, options, where, fault);
    if (error != SAGA_OK) {
        return error;
    }
    link->heartbeat_ms = amqp_get_heartbeat(link->connection) * 1000; /* the broker's, if shorter */
    amqp_channel_open_t request = {.out_of_band = amqp_empty_bytes};
    return call(link, AMQP_CHANNEL_OPEN_METHOD, &request, where, "(channel)", fault);
}

enum saga_error saga_amqp_link_open(struct saga_amqp_link **link,
                                    const struct saga_amqp_link_options *options, size_t host,
                                    struct saga_fault *fault) {
    struct saga_fault unheard = {0};
    fault = fault == NULL ? &unheard : fault;
    assert(host < options->address->host_count && options->timeout_ms > 0 &&
           options->heartbeat_s > 0 && options->body_bytes_max > 0);
    struct saga_amqp_link *opened = calloc(1, sizeof *opened);
    amqp_connection_state_t connection = amqp_new_connection();
    if (opened == NULL || connection == NULL) {
        free(opened);
        if (connection != NULL) {
            (void)amqp_destroy_connection(connection);
        }
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "no memory for a connection");
    }
    opened->connection = connection;
    opened->fd = -1;
    opened->timeout_ms = options->timeout_ms;
    opened->body_bytes_max = options->body_bytes_max;
    enum saga_error error = connect_to(opened, options, host, fault);
    if (error != SAGA_OK) {
        saga_amqp_link_close(opened);
        return error;
    }
    *link = opened;
    return SAGA_OK;
}

/* The one that came first is taken out; false: there is none. */
static bool kept_take(struct saga_amqp_link *link, struct saga_amqp_content *content) {
    struct kept *first = link->first_kept;
    if (first == NULL) {
        return false;
    }
    link->first_kept = first->next;
    link->last_kept = first->next == NULL ? NULL : link->last_kept;
    link->kept_count--;
    *content = first->content;
    free(first);
    return true;
}

void saga_amqp_link_close(struct saga_amqp_link *link) {
    if (link == NULL) {
        return;
    }
    do {
        saga_amqp_content_clear(&link->shown);
    } while (kept_take(link, &link->shown));
    saga_amqp_content_clear(&link->content);
    /* No connection.close: the broker may not read. It sees the end of the stream. */
    (void)amqp_destroy_connection(link->connection);
    if (link->fd >= 0) {
        (void)close(link->fd);
    }
    free(link);
}

/* A socket that is closed while something unread is in it drops what was written last, and a broker
 * that sees the end of the stream drops what it has not looked at. So its answer is awaited, and
 * what comes before it thrown away without a look at it. */
void saga_amqp_link_farewell(struct saga_amqp_link *link, uint32_t timeout_ms) {
    const int64_t until_ms = now_ms() + timeout_ms;
    amqp_connection_close_t farewell = {.reply_code = AMQP_REPLY_SUCCESS,
                                        .reply_text = saga_amqp_bytes("goodbye")};
    struct pollfd peer = {.fd = link->fd, .events = POLLOUT};
    /* Where there is no room for it, the broker does not read: sending would wait for ever. */
    bool goes_on = poll(&peer, 1, (int)timeout_ms) == 1 && (peer.revents & POLLOUT) != 0 &&
                   amqp_send_method(link->connection, 0, AMQP_CONNECTION_CLOSE_METHOD, &farewell) ==
                       AMQP_STATUS_OK;
    while (goes_on) {
        amqp_frame_t frame;
        const int64_t left_ms = until_ms - now_ms();
        const struct timeval patience = duration(left_ms > 0 ? (uint32_t)left_ms : 0);
        goes_on =
            left_ms > 0 &&
            amqp_simple_wait_frame_noblock(link->connection, &frame, &patience) == AMQP_STATUS_OK &&
            (frame.frame_type != AMQP_FRAME_METHOD ||
             frame.payload.method.id != AMQP_CONNECTION_CLOSE_OK_METHOD);
        amqp_maybe_release_buffers(link->connection);
    }
}

void saga_amqp_link_finish(struct saga_amqp_link *link, uint32_t timeout_ms) {
    saga_amqp_link_farewell(link, timeout_ms);
    saga_amqp_link_close(link);
}

/* A shutdown alone lets go on reading what still comes, and that may be without end. */
void saga_amqp_link_cut(struct saga_amqp_link *link) {
    static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)shutdown(link->fd, SHUT_RDWR);
    (void)connect(link->fd, &nobody, sizeof nobody);
}

/* ----------------------------------------------------------------- topology */

enum saga_error saga_amqp_link_exchange(struct saga_amqp_link *link, const char *name,
                                        struct saga_fault *fault) {
    amqp_exchange_declare_t request = {
        .exchange = saga_amqp_bytes(name), .type = saga_amqp_bytes("topic"), .durable = true};
    return call(link, AMQP_EXCHANGE_DECLARE_METHOD, &request, "exchange", name, fault);
}

static void add_text(amqp_table_entry_t *entries, int *count, const char *key, const char *text) {
    entries[*count].key = saga_amqp_bytes(key);
    entries[*count].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[(*count)++].value.value.bytes = saga_amqp_bytes(text);
}

enum saga_error saga_amqp_link_queue(struct saga_amqp_link *link,
                                     const struct saga_amqp_queue *queue,
                                     struct saga_fault *fault) {
    amqp_table_entry_t entries[4];
    int count = 0;
    if (queue->quorum) {
        add_text(entries, &count, "x-queue-type", "quorum");
    }
    if (queue->dead_letter_queue != NULL) {
        add_text(entries, &count, "x-dead-letter-exchange", "");
        add_text(entries, &count, "x-dead-letter-routing-key", queue->dead_letter_queue);
    }
    if (queue->quorum && queue->delivery_limit > 0) {
        entries[count].key = saga_amqp_bytes("x-delivery-limit");
        entries[count].value.kind = AMQP_FIELD_KIND_I32;
        entries[count++].value.value.i32 = (int32_t)queue->delivery_limit;
    }
    amqp_queue_declare_t request = {.queue = saga_amqp_bytes(queue->name),
                                    .durable = true,
                                    .arguments = {.num_entries = count, .entries = entries}};
    return call(link, AMQP_QUEUE_DECLARE_METHOD, &request, "queue", queue->name, fault);
}

enum saga_error saga_amqp_link_find_queue(struct saga_amqp_link *link, const char *name,
                                          struct saga_fault *fault) {
    amqp_queue_declare_t request = {
        .queue = saga_amqp_bytes(name), .passive = true, .durable = true};
    const enum saga_error error =
        call(link, AMQP_QUEUE_DECLARE_METHOD, &request, "queue", name, fault);
    return error != SAGA_OK && link->channel_closed_for == AMQP_NOT_FOUND
               ? saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "queue %s: there is none", name)
               : error;
}

enum saga_error saga_amqp_link_bind(struct saga_amqp_link *link, const char *queue,
                                    const char *exchange, const char *routing_key,
                                    struct saga_fault *fault) {
    amqp_queue_bind_t request = {.queue = saga_amqp_bytes(queue),
                                 .exchange = saga_amqp_bytes(exchange),
                                 .routing_key = saga_amqp_bytes(routing_key)};
    return call(link, AMQP_QUEUE_BIND_METHOD, &request, "binding of queue", queue, fault);
}

/* --------------------------------------------------------------- publishing */

enum saga_error saga_amqp_link_confirm(struct saga_amqp_link *link, struct saga_fault *fault) {
    amqp_confirm_select_t request = {.nowait = false};
    return call(link, AMQP_CONFIRM_SELECT_METHOD, &request, "confirms of", "publishing", fault);
}

enum saga_error saga_amqp_link_publish(struct saga_amqp_link *link,
                                       const struct saga_amqp_message *message,
                                       struct saga_fault *fault) {
    if (!saga_amqp_properties_fit(message, amqp_get_frame_max(link->connection))) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "a property over %d bytes, or headers over %u or over a frame of the "
                              "broker (%d), cannot be published",
                              SAGA_AMQP_SHORT_BYTES_MAX, SAGA_AMQP_HEADER_BYTES_MAX,
                              amqp_get_frame_max(link->connection));
    }
    amqp_table_entry_t entries[SAGA_AMQP_HEADERS_MAX];
    amqp_basic_properties_t properties;
    saga_amqp_properties_make(message, entries, &properties);
    /* The library takes a pointer to what it does not change. */
    const amqp_bytes_t body = {.len = message->body_size,
                               .bytes = (void *)(uintptr_t)message->body};
    errno = 0;
    const int status = amqp_basic_publish(
        link->connection, CHANNEL, saga_amqp_bytes(message->exchange),
        saga_amqp_bytes(message->routing_key), message->mandatory, false, &properties, body);
    return status == AMQP_STATUS_OK ? SAGA_OK : lost(fault, "publishing", status);
}

/* The library writes each frame by itself, and the kernel would send, and wake the broker, for
 * each message. */
void saga_amqp_link_cork(struct saga_amqp_link *link, bool corked) {
    const int value = corked;
    /* Refused: then every message leaves by itself. */
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

/* ---------------------------------------------------------------- consuming */

enum saga_error saga_amqp_link_consume(struct saga_amqp_link *link, const char *queue,
                                       uint16_t number, uint16_t prefetch,
                                       struct saga_fault *fault) {
    char tag[8];
    (void)snprintf(tag, sizeof tag, "%u", number);
    amqp_basic_qos_t limit = {.prefetch_count = prefetch};
    amqp_basic_consume_t request = {.queue = saga_amqp_bytes(queue),
                                    .consumer_tag = saga_amqp_bytes(tag)};
    const enum saga_error error =
        call(link, AMQP_BASIC_QOS_METHOD, &limit, "prefetch of queue", queue, fault);
    return error != SAGA_OK ? error
                            : call(link, AMQP_BASIC_CONSUME_METHOD, &request,
                                   "consuming from queue", queue, fault);
}

enum saga_error saga_amqp_link_cancel(struct saga_amqp_link *link, uint16_t number,
                                      struct saga_fault *fault) {
    char tag[8];
    (void)snprintf(tag, sizeof tag, "%u", number);
    amqp_basic_cancel_t request = {.consumer_tag = saga_amqp_bytes(tag)};
    return call(link, AMQP_BASIC_CANCEL_METHOD, &request, "end of consuming from queue number", tag,
                fault);
}

enum saga_error saga_amqp_link_ack(struct saga_amqp_link *link, uint64_t tag, bool up_to,
                                   struct saga_fault *fault) {
    errno = 0;
    const int status = amqp_basic_ack(link->connection, CHANNEL, tag, up_to);
    return status == AMQP_STATUS_OK ? SAGA_OK : lost(fault, "acknowledging", status);
}

enum saga_error saga_amqp_link_reject(struct saga_amqp_link *link, uint64_t tag, bool requeue,
                                      struct saga_fault *fault) {
    errno = 0;
    const int status = amqp_basic_reject(link->connection, CHANNEL, tag, requeue);
    return status == AMQP_STATUS_OK ? SAGA_OK : lost(fault, "rejecting", status);
}

/* ------------------------------------------------------------------- messages */

static enum saga_error begin_delivery(struct saga_amqp_link *link,
                                      const amqp_basic_deliver_t *deliver,
                                      struct saga_fault *fault) {
    enum saga_error error = saga_amqp_content_begin(&link->content, SAGA_AMQP_DELIVERED,
                                                    deliver->exchange, deliver->routing_key, fault);
    unsigned queue = 0; /* the consumer's tag is our number, in digits */
    for (size_t i = 0; i < deliver->consumer_tag.len && queue < 10000; i++) {
        queue = queue * 10 + (unsigned)(((const char *)deliver->consumer_tag.bytes)[i] - '0');
    }
    link->content.event.queue = (uint16_t)queue;
    link->content.event.tag = deliver->delivery_tag;
    link->content.event.redelivered = deliver->redelivered;
    return error;
}

/* Gives the message to the caller, or away with it. */
static enum saga_error end_content(struct saga_amqp_link *link, struct saga_amqp_content *complete,
                                   struct saga_fault *fault) {
    struct saga_amqp_content *content = &link->content;
    if (!content->oversized) {
        content->event.message.body = content->body;
        content->event.message.body_size = content->expected;
        *complete = *content;
        *content = (struct saga_amqp_content){0};
        return SAGA_OK;
    }
    const bool delivered = content->event.type == SAGA_AMQP_DELIVERED;
    const uint64_t tag = content->event.tag;
    saga_amqp_content_clear(content);
    link->oversized += delivered;
    return delivered ? saga_amqp_link_reject(link, tag, false, fault) : SAGA_OK;
}

/* ------------------------------------------------------------------- events */

static enum saga_error take_method(struct saga_amqp_link *link, const amqp_method_t *method,
                                   struct saga_amqp_event *event, struct saga_fault *fault) {
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        return begin_delivery(link, method->decoded, fault);
    case AMQP_BASIC_RETURN_METHOD: {
        const amqp_basic_return_t *returned = method->decoded;
        return saga_amqp_content_begin(&link->content, SAGA_AMQP_RETURNED, returned->exchange,
                                       returned->routing_key, fault);
    }
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        event->type = SAGA_AMQP_CONFIRMED;
        event->tag = ack->delivery_tag;
        event->up_to = ack->multiple;
        return SAGA_OK;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method->decoded;
        event->type = SAGA_AMQP_REFUSED;
        event->tag = nack->delivery_tag;
        event->up_to = nack->multiple;
        return SAGA_OK;
    }
    case AMQP_CONNECTION_BLOCKED_METHOD:
        event->type = SAGA_AMQP_BLOCKED;
        return SAGA_OK;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        event->type = SAGA_AMQP_UNBLOCKED;
        return SAGA_OK;
    case AMQP_BASIC_CANCEL_METHOD:
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "the broker has ended our consuming: the queue is gone");
    case AMQP_CHANNEL_CLOSE_METHOD: {
        const amqp_channel_close_t *close = method->decoded;
        link->channel_closed_for = close->reply_code;
        return closed(fault, "the channel is closed", close->reply_code, close->reply_text);
    }
    case AMQP_CONNECTION_CLOSE_METHOD: {
        const amqp_connection_close_t *close = method->decoded;
        amqp_connection_close_ok_t answer = {0};
        (void)amqp_send_method(link->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer);
        return closed(fault, "the connection is closed", close->reply_code, close->reply_text);
    }
    default:
        return SAGA_OK; /* an answer to something that was given up */
    }
}

/* Frames on channels that nobody opened: the library would keep memory for each of them. */
static bool is_of_our_channel(const amqp_frame_t *frame) {
    const bool of_connection = frame->frame_type == AMQP_FRAME_METHOD &&
                               frame->payload.method.id >> 16 == AMQP_CONNECTION_CLASS;
    return frame->channel == (of_connection ? 0 : CHANNEL);
}

/* What a frame says goes into what is put together, or is an event, or (a message's last frame)
 * both: `complete` is the caller's to clear then. */
static enum saga_error take_frame(struct saga_amqp_link *link, const amqp_frame_t *frame,
                                  struct saga_amqp_content *complete, struct saga_fault *fault) {
    struct saga_amqp_content *content = &link->content;
    enum saga_error error = SAGA_OK;
    if (frame->frame_type == AMQP_FRAME_HEARTBEAT) {
        return SAGA_OK; /* the library keeps those that come in the middle of a publish */
    }
    if (!is_of_our_channel(frame)) {
        return saga_amqp_nonsense(fault, "a frame on a channel that was not opened for it");
    }
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        error = take_method(link, &frame->payload.method, &complete->event, fault);
        break;
    case AMQP_FRAME_HEADER:
        error = saga_amqp_content_header(content, frame, link->body_bytes_max, fault);
        break;
    case AMQP_FRAME_BODY:
        error = saga_amqp_content_body(content, frame->payload.body_fragment, fault);
        break;
    default:
        break;
    }
    if (error == SAGA_OK && saga_amqp_content_is_complete(content)) {
        error = end_content(link, complete, fault);
    }
    return error;
}

static enum saga_error keep_event(struct saga_amqp_link *link,
                                  const struct saga_amqp_content *content,
                                  struct saga_fault *fault) {
    struct kept *kept = link->kept_count < KEPT_MAX ? malloc(sizeof *kept) : NULL;
    if (kept == NULL) {
        struct saga_amqp_content dropped = *content;
        saga_amqp_content_clear(&dropped);
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "no memory for what comes before the answer (%u so far)",
                              link->kept_count);
    }
    *kept = (struct kept){.content = *content};
    *(link->last_kept == NULL ? &link->first_kept : &link->last_kept->next) = kept;
    link->last_kept = kept;
    link->kept_count++;
    return SAGA_OK;
}

static bool is_answer(const amqp_frame_t *frame, amqp_method_number_t answer) {
    return frame->frame_type == AMQP_FRAME_METHOD && frame->channel == CHANNEL &&
           frame->payload.method.id == answer;
}

/* One frame of those that come before the answer, or the answer. */
static enum saga_error await_answer(struct saga_amqp_link *link, amqp_method_number_t answer,
                                    int64_t until_ms, bool *answered, struct saga_fault *fault) {
    struct saga_amqp_content complete = {.event.type = SAGA_AMQP_NOTHING};
    amqp_frame_t frame;
    const int64_t left_ms = until_ms - now_ms();
    errno = 0;
    const struct timeval patience = duration(left_ms > 0 ? (uint32_t)left_ms : 0);
    const int status = left_ms > 0
                           ? amqp_simple_wait_frame_noblock(link->connection, &frame, &patience)
                           : AMQP_STATUS_TIMEOUT;
    if (status != AMQP_STATUS_OK) {
        return lost(fault, "no answer", status);
    }
    *answered = is_answer(&frame, answer);
    enum saga_error error = *answered ? SAGA_OK : take_frame(link, &frame, &complete, fault);
    amqp_maybe_release_buffers(link->connection);
    if (error == SAGA_OK && complete.event.type != SAGA_AMQP_NOTHING) {
        error = keep_event(link, &complete, fault);
    }
    return error;
}

/* Asks the broker, and waits for its answer: the method with the next number. The library would do
 * that, too, but give memory to all that comes before, whatever its size. */
static enum saga_error call(struct saga_amqp_link *link, amqp_method_number_t method, void *request,
                            const char *what, const char *name, struct saga_fault *fault) {
    struct saga_fault reason = {0};
    bool answered = false;
    const int64_t until_ms = now_ms() + link->timeout_ms;
    errno = 0;
    const int status = amqp_send_method(link->connection, CHANNEL, method, request);
    enum saga_error error =
        status == AMQP_STATUS_OK ? SAGA_OK : lost(&reason, "no question", status);
    while (error == SAGA_OK && !answered) {
        error = await_answer(link, method + 1, until_ms, &answered, &reason);
    }
    return error == SAGA_OK ? SAGA_OK
                            : saga_fault_set(fault, error, "%s %s: %s", what, name, reason.text);
}

/* Something was kept, or is to be read; or there is nothing. */
static enum saga_error take_next(struct saga_amqp_link *link, struct saga_amqp_content *complete,
                                 struct saga_fault *fault) {
    const struct timeval at_once = {0};
    for (unsigned frames = 0; frames < FRAMES_MAX; frames++) {
        amqp_frame_t frame;
        errno = 0;
        const int status = amqp_simple_wait_frame_noblock(link->connection, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT) {
            return SAGA_OK;
        }
        if (status != AMQP_STATUS_OK) {
            return lost(fault, "the connection is lost", status);
        }
        const enum saga_error error = take_frame(link, &frame, complete, fault);
        /* What a frame says has been copied; a body that is only read past must not pile up. */
        amqp_maybe_release_buffers(link->connection);
        if (error != SAGA_OK || complete->event.type != SAGA_AMQP_NOTHING) {
            return error;
        }
    }
    return SAGA_OK; /* more is at hand, and the next call about it */
}

enum saga_error saga_amqp_link_take(struct saga_amqp_link *link, struct saga_amqp_event *event,
                                    struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    saga_amqp_content_clear(&link->shown);
    link->shown.event.type = SAGA_AMQP_NOTHING;
    if (!kept_take(link, &link->shown)) {
        error = take_next(link, &link->shown, fault);
    }
    *event = link->shown.event;
    return error;
}

void saga_amqp_link_wait(struct saga_amqp_link *link, int wake_fd, int timeout_ms) {
    /* Frames may be in the library, and events here, while the socket is silent. */
    if (link->first_kept != NULL || amqp_frames_enqueued(link->connection) ||
        amqp_data_in_buffer(link->connection)) {
        return;
    }
    struct pollfd fds[2] = {{.fd = link->fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    const int often_ms = link->heartbeat_ms / 2; /* reading is what sends the heartbeats */
    (void)poll(fds, wake_fd >= 0 ? 2 : 1,
               timeout_ms < 0 || timeout_ms > often_ms ? often_ms : timeout_ms);
}

uint64_t saga_amqp_link_oversized(const struct saga_amqp_link *link) {
    return link->oversized;
}
