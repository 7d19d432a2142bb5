/*
 * Where the broker is, and who we are there.
 *
 * Hides the spelling of a broker's URL:
 *
 *     amqp[s]://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/VHOST]
 *
 * with percent-encoding in user, password and vhost, and IPv6 hosts in brackets.
 * What is missing is RabbitMQ's default: guest, guest, 5672 (amqps: 5671), vhost
 * "/". Nothing after the last slash is "/" as well, since no broker has a vhost
 * without a name. A password that is there and empty is empty. Several hosts are
 * nodes of one cluster.
 *
 * Threads: never changes after it has been parsed.
 */
#ifndef SAGA_AMQP_ADDRESS_H
#define SAGA_AMQP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define SAGA_AMQP_HOSTS_MAX      16
#define SAGA_AMQP_HOST_BYTES_MAX 255
#define SAGA_AMQP_WORD_BYTES_MAX 255 /* user, password, vhost; decoded */
/* An address as text: the scheme, each host with brackets and port, two words encoded. */
#define SAGA_AMQP_ADDRESS_TEXT_MAX                                                                 \
    (16 + SAGA_AMQP_HOSTS_MAX * (SAGA_AMQP_HOST_BYTES_MAX + 9) + 6 * SAGA_AMQP_WORD_BYTES_MAX)

struct saga_amqp_host {
    char name[SAGA_AMQP_HOST_BYTES_MAX + 1];
    uint16_t port;
};

struct saga_amqp_address {
    bool tls;
    size_t host_count;
    struct saga_amqp_host hosts[SAGA_AMQP_HOSTS_MAX];
    char user[SAGA_AMQP_WORD_BYTES_MAX + 1];
    char password[SAGA_AMQP_WORD_BYTES_MAX + 1];
    char vhost[SAGA_AMQP_WORD_BYTES_MAX + 1];
};

/* Reads a URL. On an error the address is left alone. INVALID: what is wrong with the URL and at
 * which character, without quoting any of it: a piece could be the password. */
SAGA_CHECKED enum saga_error saga_amqp_address_parse(struct saga_amqp_address *address,
                                                     const char *url, struct saga_fault *fault);

/* Takes the password from a file: its first line, as it is, without the line's end.
 * On an error the address is left alone. NOT_FOUND, INVALID (empty, too long, or with
 * control characters), FAILED (it cannot be read). */
SAGA_CHECKED enum saga_error saga_amqp_address_read_password(struct saga_amqp_address *address,
                                                             const char *path,
                                                             struct saga_fault *fault);

/* Writes the address for people and logs, in printable ASCII, without the password:
 * "amqp://guest@127.0.0.1:5672,b:5672/". It can be parsed again. Cut where `size`, at
 * least 1, is too small; SAGA_AMQP_ADDRESS_TEXT_MAX holds any. */
void saga_amqp_address_text(const struct saga_amqp_address *address, char *text, size_t size);

#endif
