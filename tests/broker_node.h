/*
 * A private RabbitMQ node for one test program, and what can happen to it.
 *
 * Hides scripts/broker and its directory. A node takes seconds to start, so a
 * program opens one, before its tests are forked (in main(), or in an unchecked
 * fixture), and all of its tests use it, each with queues of its own.
 *
 * Promises: each call returns when what it does has happened. The node is killed
 * with the process that opened it, however that ends. What fails ends the calling
 * process with a message and EXIT_FAILURE, which Check takes for a failure of the
 * test.
 *
 * Threads: one, or with a lock.
 */
#ifndef BROKER_NODE_H
#define BROKER_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_node {
    char path[512]; /* its directory */
    char url[128];  /* "amqp://guest:guest@127.0.0.1:24310", the same after a restart */
    uint16_t port;
    char owner[16];    /* the process that opened it */
    const char *tls;   /* "one-way", "mutual": it takes TLS from its next start on; NULL: not */
    char tls_url[128]; /* "amqps://guest:guest@localhost:24319", likewise */
    uint16_t tls_port;
};

/* Starts one in a new directory, with TLS if `tls` says so; all else in *node is the fixture's. */
void broker_node_open(struct broker_node *node);
/* Kills it, and removes the directory. */
void broker_node_close(struct broker_node *node);

/* Starts it again after stop or kill, with what was durable, unless it was wiped. A kill can lose
 * what was declared in the seconds before it, though the broker had said yes: it writes that
 * later. */
void broker_node_start(struct broker_node *node);
void broker_node_stop(struct broker_node *node); /* in good order */
void broker_node_kill(struct broker_node *node); /* SIGKILL */

/* SIGSTOP and SIGCONT. */
void broker_node_pause(struct broker_node *node);
void broker_node_resume(struct broker_node *node);

/* The memory alarm. While it is on, a connection is blocked by its next publish, which may itself
 * still be taken. */
void broker_node_alarm(struct broker_node *node, bool on);

/* What it shows by TLS from now on: "good", as at each start, "expired", "other-host" or
 * "stranger".
 */
void broker_node_certificate(struct broker_node *node, const char *which);
/* A file of those that scripts/broker makes: "ca.pem". Lives for a few calls. */
const char *broker_node_tls_file(const struct broker_node *node, const char *name);

/* All of its state is gone when it is started again. It must not run. */
void broker_node_wipe(struct broker_node *node);

/* Runs rabbitmqctl with the words, of which the last is NULL, and returns what it
 * prints: memory of the fixture's, until the next call. About a second. */
const char *broker_node_ctl(struct broker_node *node, const char *const *words);

#endif
