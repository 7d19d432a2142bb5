/*
 * rabbitmq-c, as the files of the link see it: its headers have this one home, so
 * that a version which names them otherwise changes nothing else.
 *
 * Private to the link.
 */
#ifndef SAGA_AMQP_RABBITMQ_H
#define SAGA_AMQP_RABBITMQ_H

#if __has_include(<rabbitmq-c/amqp.h>) /* since 0.12 */
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

/* Borrowed; NULL is the empty text. */
static inline amqp_bytes_t saga_amqp_bytes(const char *text) {
    return amqp_cstring_bytes(text == NULL ? "" : text);
}

#endif
