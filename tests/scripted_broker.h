/*
 * A broker that plays a script: AMQP 0-9-1 frames read and written by hand, so that
 * it can say what no broker says. For tests of the client.
 *
 * Hides the listening socket, the thread, and the small talk of the protocol (the
 * login, declarations) with which a script is not concerned.
 *
 * One connection after the other is played by `play`, on the broker's thread; when
 * that returns, the connection is closed. A peer that has gone (or a stop) makes
 * reading return false and writing do nothing: a script need not look.
 *
 * Threads: start and stop belong to one; what is about a peer belongs to the script.
 */
#ifndef SCRIPTED_BROKER_H
#define SCRIPTED_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Methods, as class and number. */
#define SCRIPT_METHOD(class_id, number) ((uint32_t)(class_id) << 16 | (uint32_t)(number))
enum {
    SCRIPT_CONNECTION_START = SCRIPT_METHOD(10, 10),
    SCRIPT_CONNECTION_START_OK = SCRIPT_METHOD(10, 11),
    SCRIPT_CONNECTION_TUNE = SCRIPT_METHOD(10, 30),
    SCRIPT_CONNECTION_TUNE_OK = SCRIPT_METHOD(10, 31),
    SCRIPT_CONNECTION_OPEN = SCRIPT_METHOD(10, 40),
    SCRIPT_CONNECTION_OPEN_OK = SCRIPT_METHOD(10, 41),
    SCRIPT_CONNECTION_CLOSE = SCRIPT_METHOD(10, 50),
    SCRIPT_CONNECTION_CLOSE_OK = SCRIPT_METHOD(10, 51),
    SCRIPT_CONNECTION_BLOCKED = SCRIPT_METHOD(10, 60),
    SCRIPT_CONNECTION_UNBLOCKED = SCRIPT_METHOD(10, 61),
    SCRIPT_CHANNEL_OPEN = SCRIPT_METHOD(20, 10),
    SCRIPT_CHANNEL_OPEN_OK = SCRIPT_METHOD(20, 11),
    SCRIPT_CHANNEL_CLOSE = SCRIPT_METHOD(20, 40),
    SCRIPT_EXCHANGE_DECLARE = SCRIPT_METHOD(40, 10),
    SCRIPT_EXCHANGE_DECLARE_OK = SCRIPT_METHOD(40, 11),
    SCRIPT_QUEUE_DECLARE = SCRIPT_METHOD(50, 10),
    SCRIPT_QUEUE_DECLARE_OK = SCRIPT_METHOD(50, 11),
    SCRIPT_QUEUE_BIND = SCRIPT_METHOD(50, 20),
    SCRIPT_QUEUE_BIND_OK = SCRIPT_METHOD(50, 21),
    SCRIPT_BASIC_QOS = SCRIPT_METHOD(60, 10),
    SCRIPT_BASIC_QOS_OK = SCRIPT_METHOD(60, 11),
    SCRIPT_BASIC_CONSUME = SCRIPT_METHOD(60, 20),
    SCRIPT_BASIC_CONSUME_OK = SCRIPT_METHOD(60, 21),
    SCRIPT_BASIC_CANCEL = SCRIPT_METHOD(60, 30),
    SCRIPT_BASIC_CANCEL_OK = SCRIPT_METHOD(60, 31),
    SCRIPT_BASIC_PUBLISH = SCRIPT_METHOD(60, 40),
    SCRIPT_BASIC_RETURN = SCRIPT_METHOD(60, 50),
    SCRIPT_BASIC_DELIVER = SCRIPT_METHOD(60, 60),
    SCRIPT_BASIC_ACK = SCRIPT_METHOD(60, 80),
    SCRIPT_BASIC_REJECT = SCRIPT_METHOD(60, 90),
    SCRIPT_BASIC_NACK = SCRIPT_METHOD(60, 120),
    SCRIPT_CONFIRM_SELECT = SCRIPT_METHOD(85, 10),
    SCRIPT_CONFIRM_SELECT_OK = SCRIPT_METHOD(85, 11),
};

enum {
    SCRIPT_FRAME_METHOD = 1,
    SCRIPT_FRAME_HEADER = 2,
    SCRIPT_FRAME_BODY = 3,
    SCRIPT_FRAME_HEARTBEAT = 8
};
#define SCRIPT_FRAME_MAX 131072

struct scripted_peer;

/* One script at a time; `context` is what script_context() gives. */
void scripted_broker_start(void (*play)(struct scripted_peer *peer), void *context);
uint16_t scripted_broker_port(void);
/* The descriptor of this process that is connected to it, whoever opened it. */
int scripted_broker_client(void);
/* Ends the connection that is being played, and waits for the thread. */
void scripted_broker_stop(void);

/* ------------------------------------------------------------ how bytes leave */

void *script_context(const struct scripted_peer *peer);
/* 1 for the first connection. */
unsigned script_connection(const struct scripted_peer *peer);

/* At most so many bytes with each write; 0: as many as there are. */
void script_slice(struct scripted_peer *peer, size_t bytes);
/* The connection ends when so many bytes have left. */
void script_cut_after(struct scripted_peer *peer, size_t bytes);
size_t script_written(const struct scripted_peer *peer);
/* From now on little is taken by a socket that nobody reads. */
void script_narrow(struct scripted_peer *peer);
/* How many bytes have come that were not read. */
size_t script_unread(const struct scripted_peer *peer);
/* For a script without end: nobody reads it any more. */
bool script_is_gone(const struct scripted_peer *peer);

/* ------------------------------------------------------------- what is written */

/* Bytes that are gathered: a frame's payload. One too many is a failure. */
struct script_bytes {
    size_t size;
    uint8_t bytes[SCRIPT_FRAME_MAX];
};
void script_put_number(struct script_bytes *to, unsigned width, uint64_t number);
void script_put_short(struct script_bytes *to, const char *text);
void script_put_long(struct script_bytes *to, const char *text);

void script_write(struct scripted_peer *peer, const void *bytes, size_t size);
void script_frame(struct scripted_peer *peer, uint8_t type, uint16_t channel, const void *payload,
                  size_t size);
void script_method(struct scripted_peer *peer, uint16_t channel, uint32_t method,
                   const struct script_bytes *arguments);
/* connection.close (channel 0) or channel.close. */
void script_close(struct scripted_peer *peer, uint16_t channel, uint16_t code, const char *text);
/* basic.ack or basic.nack. */
void script_settle(struct scripted_peer *peer, uint32_t method, uint64_t number, bool multiple);
/* A delivery's first frame; from consumer `consumer`, exchange "e", with routing key "k". */
void script_deliver(struct scripted_peer *peer, uint64_t tag, const char *consumer);
void script_return(struct scripted_peer *peer, const char *routing_key);
/* The second one: message id (NULL: none), and a table of headers (NULL: none). */
void script_header(struct scripted_peer *peer, uint64_t body_size, const char *message_id,
                   const struct script_bytes *headers);
void script_body(struct scripted_peer *peer, const void *body, size_t size);
/* All three. */
void script_message(struct scripted_peer *peer, uint64_t tag, const char *consumer,
                    const char *message_id, const void *body, size_t size);

/* ---------------------------------------------------------------- what is read */

struct script_heard {
    uint8_t type;
    uint16_t channel;
    uint32_t method; /* of a method's frame; else 0 */
    size_t size;
    const uint8_t *payload; /* after the method; until the next one is read */
};

/* The next frame that is no heartbeat, within the time (-1: any). */
bool script_read(struct scripted_peer *peer, struct script_heard *heard, int timeout_ms);
/* Says the usual answer to a method that has one; nothing to what has none. */
void script_answer(struct scripted_peer *peer, const struct script_heard *heard);
/* Reads and answers until this method comes, and leaves that one to the script. */
bool script_until(struct scripted_peer *peer, uint32_t method, struct script_heard *heard);
/* Reads and answers until the client goes. */
void script_attend(struct scripted_peer *peer);

/* The protocol's header and the login, until connection.open-ok. */
bool script_login(struct scripted_peer *peer, uint32_t frame_max, uint16_t heartbeat_s);
/* Likewise, and the channel. */
bool script_greet(struct scripted_peer *peer);
bool script_read_protocol(struct scripted_peer *peer);
void script_say_start(struct scripted_peer *peer);
void script_say_tune(struct scripted_peer *peer, uint32_t frame_max, uint16_t heartbeat_s);

unsigned script_heartbeats(const struct scripted_peer *peer);

#endif
