/*
 * The cutter: a proxy between a program and its broker that reads the borders of
 * AMQP frames as they go by, and cuts a connection at one of them, or beside it.
 *
 * Hides the sockets, the thread, and how frames are told apart (a frame's head
 * says its size; before the first one the client sends eight bytes).
 *
 * What was passed on until the cut arrives: the stream ends there.
 *
 * Failures end the test (Check).
 *
 * Threads: one opens it, asks, and closes it.
 */
#ifndef AMQP_CUTTER_H
#define AMQP_CUTTER_H

#include <stdbool.h>
#include <stdint.h>

struct amqp_cutter;

enum cut_direction {
    CUT_TO_BROKER = 1,
    CUT_FROM_BROKER,
};

struct cut {
    enum cut_direction direction;
    uint32_t frame; /* at this frame's end, from 1 (the client's first eight bytes are one) */
    int delta;      /* so many bytes after it, or (negative) before */
    uint64_t byte;  /* not 0: after this byte of the stream, and no frame counts */
};

/* Listens on a port of its own at 127.0.0.1, and connects to that of the broker. */
struct amqp_cutter *cutter_open(uint16_t broker_port);
void cutter_close(struct amqp_cutter *cutter);
uint16_t cutter_port(const struct amqp_cutter *cutter);

/* Ends the connections that have this text in their first frames (a connection's name; NULL: all),
 * and will cut the next one that comes. */
void cutter_arm(struct amqp_cutter *cutter, const char *name, const struct cut *cut);

/* How far the connection that was to be cut has come. */
struct cutter_progress {
    bool taken; /* it has come */
    bool cut;
    uint32_t frames; /* in the cut's direction, those that have gone by as a whole */
    uint64_t bytes;
};
struct cutter_progress cutter_look(struct amqp_cutter *cutter);

/* Nothing is passed on, and nothing is read, until it is let go. Connections are accepted. */
void cutter_freeze(struct amqp_cutter *cutter, bool frozen);

#endif
