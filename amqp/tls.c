#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------- reasons */

/* The words of an OpenSSL error. */
static const char *words_of(unsigned long error) {
    const char *words =
        ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    return words == NULL ? "no reason is given" : words;
}

/* The first of the errors is what went wrong; the others say where. */
static const char *first_words(void) {
    return words_of(ERR_peek_error());
}

/* What to do about a certificate that we refuse. */
static const char *advice(int refused) {
    switch (refused) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "nobody whom we trust has signed it: --amqp-ca-file has to name the certificate of "
               "the authority that has";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "it is for another host: connect by a name that it has, or give the broker one with "
               "this name (subjectAltName)";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the broker, or the authority that has signed it, needs a new one";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "it is too new, or the clock of this machine is behind";
    default:
        return "the broker needs another one";
    }
}

/* What the broker, or whoever answers in its place, has said. */
static const char *reproach(const struct saga_amqp_tls *tls, unsigned long error) {
    const bool shown = tls == NULL || tls->certificate != NULL;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_WRONG_VERSION_NUMBER:
        return "what answers there speaks no TLS: amqps:// goes to another port than amqp://, by "
               "default 5671";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the broker speaks no TLS 1.2 or later";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the broker has hung up";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return shown ? NULL
                     : "the broker takes nobody without a certificate: give ours, by "
                       "--amqp-certificate and --amqp-key";
    default:
        return NULL;
    }
}

/* The broker has complained of what it was shown. */
static bool is_about_ours(unsigned long error) {
    switch (ERR_GET_REASON(error)) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

/* With TLS 1.3 a broker looks at our certificate when the handshake is over for us. What it says
 * then is often lost, since by then it has hung up on our first words. */
static const char *suspicion(const struct saga_amqp_tls *tls, char *text, size_t size) {
    if (tls->certificate == NULL) {
        return "the broker has hung up, after it had asked for a certificate: give ours, by "
               "--amqp-certificate and --amqp-key";
    }
    (void)snprintf(text, size,
                   "the broker has hung up, after it had asked for our certificate, %s: it has to "
                   "be valid, and signed by an authority that the broker trusts",
                   tls->certificate);
    return text;
}

const char *saga_amqp_tls_explain(const struct saga_amqp_tls *tls, char *text, size_t size) {
    const unsigned long error = ERR_peek_last_error();
    const bool hung_up = error == 0 || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (tls != NULL && tls->refused != X509_V_OK) {
        (void)snprintf(text, size, "the certificate that it shows for %s is refused (%s): %s",
                       tls->host, X509_verify_cert_error_string(tls->refused),
                       advice(tls->refused));
        return text;
    }
    if (hung_up && tls != NULL && tls->asked) {
        return suspicion(tls, text, size);
    }
    if (error == 0) {
        return NULL;
    }
    const char *known = ERR_GET_LIB(error) == ERR_LIB_SSL ? reproach(tls, error) : NULL;
    if (known != NULL) {
        return known;
    }
    if (tls != NULL && tls->certificate != NULL && is_about_ours(error)) {
        (void)snprintf(text, size,
                       "the broker refuses our certificate, %s (%s): it has to be valid, and "
                       "signed by an authority that the broker trusts",
                       tls->certificate, words_of(error));
    } else {
        (void)snprintf(text, size, "TLS fails: %s", words_of(error));
    }
    return text;
}

/* --------------------------------------------------------------------- socket */

/* Called by OpenSSL for each certificate of the chain: notes why one is refused. */
static int note_refused(int accepted, X509_STORE_CTX *store) {
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!accepted && ssl != NULL) {
        struct saga_amqp_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
        tls->refused = X509_STORE_CTX_get_error(store);
    }
    return accepted;
}

/* Called by OpenSSL when our certificate is asked for, whether or not we have one. */
static int note_asked(SSL *ssl, void *context) {
    struct saga_amqp_tls *tls = context;
    (void)ssl;
    tls->asked = true;
    return 1;
}

/* OpenSSL's own asks the terminal. */
static int know_no_passphrase(char *text, int size, int writing, void *context) {
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static enum saga_error trust(const struct saga_amqp_tls *tls, SSL_CTX *context,
                             struct saga_fault *fault) {
    const int loaded = tls->ca_file != NULL
                           ? SSL_CTX_load_verify_locations(context, tls->ca_file, NULL)
                           : SSL_CTX_set_default_verify_paths(context);
    return loaded == 1 ? SAGA_OK
                       : saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                                        "%s: the certificates to trust cannot be read (%s): "
                                        "--amqp-ca-file has to name a file of them, in PEM",
                                        tls->ca_file != NULL ? tls->ca_file : "the system's",
                                        first_words());
}

static enum saga_error show_ours(const struct saga_amqp_tls *tls, SSL_CTX *context,
                                 struct saga_fault *fault) {
    if (tls->certificate == NULL) {
        return SAGA_OK;
    }
    if (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "%s: our certificate cannot be read (%s): --amqp-certificate has to "
                              "name one, in PEM",
                              tls->certificate, first_words());
    }
    SSL_CTX_set_default_passwd_cb(context, know_no_passphrase);
    if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) != 1) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "%s: the key of our certificate cannot be read (%s): --amqp-key has "
                              "to name that of %s, in PEM, without a passphrase",
                              tls->key, first_words(), tls->certificate);
    }
    return SAGA_OK;
}

/* The certificate has to be for this name, or for this address. */
static bool expect_host(const char *host, SSL_CTX *context) {
    X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_ip_asc(wanted, host) == 1 ||
           X509_VERIFY_PARAM_set1_host(wanted, host, 0) == 1;
}

enum saga_error saga_amqp_tls_socket(struct saga_amqp_tls *tls, amqp_connection_state_t connection,
                                     amqp_socket_t **socket, struct saga_fault *fault) {
    *socket = amqp_ssl_socket_new(connection);
    SSL_CTX *context = *socket == NULL ? NULL : amqp_ssl_socket_get_context(*socket);
    ERR_clear_error();
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        !expect_host(tls->host, context)) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "%s: no memory for TLS", tls->host);
    }
    tls->refused = X509_V_OK;
    tls->asked = false;
    (void)SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_refused);
    SSL_CTX_set_cert_cb(context, note_asked, tls);
    amqp_ssl_socket_set_verify_hostname(*socket, false);
    const enum saga_error error = trust(tls, context, fault);
    return error == SAGA_OK ? show_ours(tls, context, fault) : error;
}
