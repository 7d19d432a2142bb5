/*
 * TLS: what the link asks of the broker's certificate, and why it was refused, or we
 * were.
 *
 * Hides OpenSSL, whose headers have their one home in tls.c. rabbitmq-c would look at
 * the certificate after the handshake, when ours has been shown; it knows no IP
 * addresses, asks the terminal for a key's passphrase, and says of everything that
 * went wrong that it was SSL. So it is OpenSSL that looks, during the handshake.
 *
 * Promises:
 *  1. Whoever has no certificate for this host, valid, and signed by an authority that
 *     is trusted, sees neither our certificate nor the login.
 *  2. Nobody is asked anything: a key with a passphrase is an error.
 *
 * Private to the link. Threads: as the link's.
 */
#ifndef SAGA_AMQP_TLS_H
#define SAGA_AMQP_TLS_H

#include <stdbool.h>

#include "error.h"
#include "rabbitmq.h"

/* Stays where it is for as long as the connection; the texts until it is made. */
struct saga_amqp_tls {
    const char *host;
    const char *ca_file;     /* NULL: the system's */
    const char *certificate; /* NULL: we have none */
    const char *key;
    bool asked;  /* the broker has asked for our certificate */
    int refused; /* why we refused the broker's certificate, in OpenSSL's number; 0: we did not */
};

/* Gives the connection a socket that speaks TLS 1.2 or later with this host; the connection owns
 * it. Errors: UNREACHABLE: what a file should have, and has not, is in the
 * fault. */
SAGA_CHECKED enum saga_error saga_amqp_tls_socket(struct saga_amqp_tls *tls,
                                                  amqp_connection_state_t connection,
                                                  amqp_socket_t **socket, struct saga_fault *fault);

/* After a call of the library has failed on this thread, before the next one: what was wrong, and
 * what to do about it, as far as it was TLS; NULL: nothing is known. `tls`: of a connection that
 * was being made; NULL: of one that stood. The text is `text` or static. */
const char *saga_amqp_tls_explain(const struct saga_amqp_tls *tls, char *text, size_t size);

#endif
