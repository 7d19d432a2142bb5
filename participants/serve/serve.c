#include "serve.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "desk.h"
#include "health.h"

#define EXCHANGE     "BOOKING_TX_EVENT_STORE"
#define HTTP_ADDRESS "127.0.0.1"
/* Less than the 10 s after which whoever stops services loses patience. */
#define DRAIN_S 9

enum {
    AMQP,
    PASSWORD_FILE,
    CA_FILE,
    CERTIFICATE,
    KEY,
    EXCHANGE_NAME,
    QUEUE_TYPE,
    PREFETCH,
    HTTP,
    HTTP_HOST,
};

const struct argp_option saga_serve_options[] = {
    {"amqp", SAGA_VERB_VALUE + AMQP, "URL", 0,
     "The broker: amqp[s]://[USER[:PASSWORD]@]HOST[:PORT][,HOST...][/VHOST] (default: "
     "RABBITMQ_BROKER_URL)",
     0},
    {"amqp-password-file", SAGA_VERB_VALUE + PASSWORD_FILE, "FILE", 0,
     "The first line of FILE is the password, instead of one in the URL", 0},
    {"amqp-ca-file", SAGA_VERB_VALUE + CA_FILE, "FILE", 0,
     "amqps: the certificates to trust (default: the system's)", 0},
    {"amqp-certificate", SAGA_VERB_VALUE + CERTIFICATE, "FILE", 0,
     "amqps: the certificate to show, with --amqp-key (default: none)", 0},
    {"amqp-key", SAGA_VERB_VALUE + KEY, "FILE", 0, "amqps: the key of that certificate", 0},
    {"exchange", SAGA_VERB_VALUE + EXCHANGE_NAME, "NAME", 0,
     "The exchange that carries the commands (default: " EXCHANGE ")", 0},
    {"queue-type", SAGA_VERB_VALUE + QUEUE_TYPE, "classic|quorum", 0,
     "What a queue is that is not there yet; quorum is for clusters (default: classic)", 0},
    {"prefetch", SAGA_VERB_VALUE + PREFETCH, "NUMBER", 0,
     "Hold at most so many commands at a time, of at most 1 MiB each (default: 512)", 0},
    {"http", SAGA_VERB_VALUE + HTTP, "PORT", 0,
     "Answer GET /health on this port; 0: do not (default: 8000 parking, 8001 booking, 8002 "
     "billing)",
     0},
    {"http-host", SAGA_VERB_VALUE + HTTP_HOST, "ADDRESS", 0,
     "The address of that port (default: " HTTP_ADDRESS ")", 0},
    {0},
};

/* ------------------------------------------------------------------ settings */

struct settings {
    struct saga_amqp_address address;
    const char *http_host;
    uint16_t http_port;
    uint16_t prefetch; /* 0: the default */
    bool quorum;
};

static enum saga_error read_number(const char *option, const char *text, uint16_t least,
                                   uint16_t *number, struct saga_fault *fault) {
    if (text == NULL) {
        return SAGA_OK; /* it keeps its default */
    }
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
        value > UINT16_MAX) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE, "--%s '%s': expected a number from %u to %u",
                              option, text, least, UINT16_MAX);
    }
    *number = (uint16_t)value;
    return SAGA_OK;
}

static enum saga_error read_queue_type(const char *text, bool *quorum, struct saga_fault *fault) {
    *quorum = text != NULL && strcmp(text, "quorum") == 0;
    return text == NULL || *quorum || strcmp(text, "classic") == 0
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_USAGE,
                                "--queue-type '%s': expected classic or quorum", text);
}

/* What is wrong with the broker's address is wrong with the command line. */
static enum saga_error as_usage(enum saga_error error, const char *what, struct saga_fault *fault) {
    if (error == SAGA_OK) {
        return SAGA_OK;
    }
    const struct saga_fault inner = *fault;
    return saga_fault_set(fault, SAGA_ERROR_USAGE, "%s: %s", what, inner.text);
}

static enum saga_error read_address(const char *const *values, struct saga_amqp_address *address,
                                    struct saga_fault *fault) {
    const char *variable = getenv("RABBITMQ_BROKER_URL");
    const char *url = values[AMQP] != NULL ? values[AMQP] : variable;
    const char *what = values[AMQP] != NULL ? "--amqp" : "RABBITMQ_BROKER_URL";
    if (url == NULL || url[0] == '\0') {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "where is the broker? give --amqp amqp://HOST, or set "
                              "RABBITMQ_BROKER_URL");
    }
    enum saga_error error = as_usage(saga_amqp_address_parse(address, url, fault), what, fault);
    if (error == SAGA_OK && values[PASSWORD_FILE] != NULL) {
        error = as_usage(saga_amqp_address_read_password(address, values[PASSWORD_FILE], fault),
                         "--amqp-password-file", fault);
    }
    return error;
}

static enum saga_error check_names(const char *const *values, struct saga_fault *fault) {
    const char *exchange = values[EXCHANGE_NAME];
    if (exchange != NULL && !saga_wire_name_check(exchange, SAGA_WIRE_NAME_BYTES_MAX)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--exchange '%s': expected 1 to %d characters of A-Z a-z 0-9 . _ : -",
                              exchange, SAGA_WIRE_NAME_BYTES_MAX);
    }
    if ((values[CERTIFICATE] == NULL) != (values[KEY] == NULL)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--amqp-certificate and --amqp-key belong together");
    }
    return SAGA_OK;
}

static enum saga_error read_settings(const struct saga_verb_input *input,
                                     const struct saga_served *served, struct settings *settings,
                                     struct saga_fault *fault) {
    const char *const *values = input->values;
    *settings = (struct settings){
        .http_host = values[HTTP_HOST] != NULL ? values[HTTP_HOST] : HTTP_ADDRESS,
        .http_port = served->http_port,
    };
    enum saga_error error = check_names(values, fault);
    error = error != SAGA_OK ? error : read_address(values, &settings->address, fault);
    error = error != SAGA_OK
                ? error
                : read_number("prefetch", values[PREFETCH], 1, &settings->prefetch, fault);
    error = error != SAGA_OK ? error
                             : read_number("http", values[HTTP], 0, &settings->http_port, fault);
    error =
        error != SAGA_OK ? error : read_queue_type(values[QUEUE_TYPE], &settings->quorum, fault);
    return error != SAGA_OK
               ? error
               : saga_participant_switches_check(&input->switches, &served->service, 1, fault);
}

/* ------------------------------------------------------------------- signals */

static sigset_t endings(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    return set;
}

/* Every thread that is started later has them blocked, too. */
static void block_signals(void) {
    const sigset_t set = endings();
    const int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert(error == 0);
    (void)signal(SIGPIPE, SIG_IGN);
}

static const char *await_signal(void) {
    const sigset_t set = endings();
    int number = 0;
    const int error = sigwait(&set, &number);
    assert(error == 0); /* the set is valid */
    return number == SIGTERM ? "SIGTERM" : "SIGINT";
}

/* What was not acknowledged is delivered again, so nothing is lost by it. Only calls
 * that are allowed in a signal handler. */
static void end_now(int number) {
    static const char text[] = "draining took too long: the broker delivers the rest again\n";
    (void)number;
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written; /* nobody is left to tell */
    _exit(0);
}

static void limit_drain(void) {
    (void)signal(SIGALRM, end_now);
    (void)alarm(DRAIN_S);
}

/* ----------------------------------------------------------------------- run */

static void tell(void *context, const char *text) {
    (void)fprintf(stderr, "%s: %s\n", (const char *)context, text);
}

/* The desk waits, command by command, where --delay says so. */
static void pause_elsewhere(void *context, int64_t delay_ms) {
    (void)context;
    (void)delay_ms;
}

static enum saga_error run_desk(struct saga_participant *participant,
                                const struct saga_desk_options *options, struct saga_fault *fault) {
    struct saga_desk *desk;
    enum saga_error error = saga_desk_open(&desk, participant, options, fault);
    if (error == SAGA_OK) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s: finishing what is at hand", await_signal());
        options->tell(options->context, text);
        limit_drain();
        saga_desk_close(desk);
    }
    return error;
}

static enum saga_error run(const struct saga_verb_input *input, const struct saga_served *served,
                           const struct settings *settings, struct saga_participant *participant,
                           struct saga_fault *fault) {
    char dead_letters[SAGA_WIRE_NAME_BYTES_MAX + 8];
    struct saga_desk_options options = {
        .address = &settings->address,
        .ca_file = input->values[CA_FILE],
        .certificate = input->values[CERTIFICATE],
        .key = input->values[KEY],
        .topology = {.exchange = input->values[EXCHANGE_NAME] != NULL ? input->values[EXCHANGE_NAME]
                                                                      : EXCHANGE,
                     .queue = saga_participant_name(participant),
                     .dead_letter_queue = dead_letters,
                     .quorum = settings->quorum},
        .prefetch = settings->prefetch,
        .switches = &input->switches,
        .context = (void *)(uintptr_t)input->program,
        .tell = tell,
    };
    memcpy(options.topology.bindings, served->bindings, sizeof served->bindings);
    (void)snprintf(dead_letters, sizeof dead_letters, "%s.dead", options.topology.queue);
    struct saga_health *health = NULL;
    enum saga_error error = SAGA_OK;
    if (settings->http_port != 0) {
        error = saga_health_open(&health, settings->http_host, settings->http_port, served->title,
                                 fault);
    }
    error = error != SAGA_OK ? error : run_desk(participant, &options, fault);
    saga_health_close(health);
    return error;
}

enum saga_error saga_serve(struct saga_verb_input *input, const struct saga_served *served,
                           struct saga_fault *fault) {
    struct settings settings;
    enum saga_error error = read_settings(input, served, &settings, fault);
    if (error != SAGA_OK) {
        return error;
    }
    const struct saga_participant_options options = {
        .switches = input->switches,
        .pause = pause_elsewhere,
    };
    struct saga_participant *participant;
    block_signals();
    error = saga_participant_open(&participant, served->service, input->database, &options, fault);
    if (error == SAGA_OK) {
        error = run(input, served, &settings, participant, fault);
        saga_participant_close(participant);
    }
    return error;
}
