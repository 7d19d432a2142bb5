#include "daemon.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api.h"
#include "broker.h"
#include "definitions.h"
#include "demo_services.h"
#include "engine.h"
#include "ids.h"
#include "inbox.h"
#include "local.h"
#include "log.h"
#include "loop.h"
#include "verifier.h"

/* As many definitions as a log may have. */
#define EXCHANGES_MAX 1024
/* That are verified: a disk has much more. */
#define VERIFIED_BYTES_PER_SECOND (16u << 20)

struct saga_daemon {
    const struct saga_config *config;
    const struct saga_journal *journal;
    struct saga_definitions definitions;
    struct saga_log *log;
    struct saga_inbox *inbox;
    struct saga_local *local;
    struct saga_demo_services services;
    struct saga_broker *broker;
    struct saga_engine *engine;
    struct saga_loop *loop;
    struct saga_verifier *verifier; /* NULL: there is none */
    struct saga_api *api;
    const char *exchanges[EXCHANGES_MAX]; /* of the broker; the definitions' own texts */
};

/* ------------------------------------------------------------------ outlet */

/* Without a transport nobody carries commands: they wait. */
static bool send_command(void *context, const struct saga_dispatch *dispatch) {
    const struct saga_daemon *daemon = context;
    return (daemon->local != NULL && saga_local_send(daemon->local, dispatch)) ||
           (daemon->broker != NULL && saga_broker_send(daemon->broker, dispatch));
}

static bool needs_somebody(const char *status) {
    return strcmp(status, "parked") == 0 || strcmp(status, "quarantined") == 0 ||
           strcmp(status, "inconsistent") == 0;
}

static void changed(void *context, const struct saga_id *id, const char *status) {
    const struct saga_daemon *daemon = context;
    const enum saga_journal_level level =
        needs_somebody(status) ? SAGA_JOURNAL_WARNING : SAGA_JOURNAL_DEBUG;
    if (level <= daemon->journal->level) {
        char text[SAGA_ID_TEXT_SIZE];
        const struct saga_journal_field fields[] = {{"saga_id", saga_id_text(id, text)}, {0}};
        saga_journal_write(daemon->journal, level, fields, "saga %s", status);
    }
    if (daemon->api != NULL) { /* not yet, while the engine recovers */
        saga_api_changed(daemon->api, id, status);
    }
}

/* Only of sagas that were started by a message. */
static bool ended(void *context, const struct saga_id *id, const char *status,
                  struct saga_bytes asker) {
    const struct saga_daemon *daemon = context;
    return daemon->broker != NULL && saga_broker_ended(daemon->broker, id, status, asker);
}

static void released(void *context) {
    const struct saga_daemon *daemon = context;
    if (daemon->broker != NULL) {
        saga_broker_push(daemon->broker);
    }
}

static void complain(void *context, const char *participant, const char *text) {
    const struct saga_daemon *daemon = context;
    const struct saga_journal_field fields[] = {{"participant", participant}, {0}};
    saga_journal_write(daemon->journal, SAGA_JOURNAL_WARNING, fields, "%s", text);
}

/* ------------------------------------------------------------------- parts */

static enum saga_error load_definitions(struct saga_daemon *daemon, struct saga_fault *fault) {
    if (daemon->config->definitions != NULL) {
        return saga_definitions_load(&daemon->definitions, daemon->config->definitions, fault);
    }
    return daemon->config->dev ? saga_definitions_builtin(&daemon->definitions, fault) : SAGA_OK;
}

static enum saga_error open_log(struct saga_daemon *daemon, struct saga_fault *fault) {
    const struct saga_log_options options = {
        .data_dir = daemon->config->data_dir,
        .map_bytes_max = daemon->config->map_bytes,
    };
    return saga_log_open(&daemon->log, &options, fault);
}

static enum saga_error open_inbox(struct saga_daemon *daemon, struct saga_fault *fault) {
    return saga_inbox_open(&daemon->inbox, fault);
}

static enum saga_error open_participants(struct saga_daemon *daemon, struct saga_fault *fault) {
    const struct saga_local_options options = {
        .inbox = daemon->inbox,
        .context = daemon,
        .complain = complain,
    };
    if (!daemon->config->dev) {
        return SAGA_OK;
    }
    enum saga_error error = saga_local_open(&daemon->local, &options, fault);
    return error != SAGA_OK
               ? error
               : saga_demo_services_open(&daemon->services, daemon->local, daemon->config->data_dir,
                                         &daemon->config->switches, fault);
}

/* The kernel's source does not fail once it has been seeded, which is before any
 * daemon runs. */
static void random_bytes(void *context, void *bytes, size_t size) {
    (void)context;
    char *at = bytes;
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        assert(got > 0 || errno == EINTR);
        at += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
}

/* The engine's time goes on from the log's last record if the wall clock is behind
 * it: nothing breaks, but times are wrong until the clocks meet. */
#define CLOCK_BEHIND_MS_MAX 60000

static void say_clock(const struct saga_daemon *daemon, const struct saga_recovery_report *report) {
    const int64_t behind_ms = report->last_ms - saga_loop_now().wall_ms;
    if (behind_ms > CLOCK_BEHIND_MS_MAX) {
        saga_journal_write(daemon->journal, SAGA_JOURNAL_WARNING, NULL,
                           "this machine's clock is %" PRId64 " s behind the log's last record; "
                           "set it right: until then the log's times are ahead",
                           behind_ms / 1000);
    }
}

static void say_recovered(const struct saga_daemon *daemon,
                          const struct saga_recovery_report *report) {
    char open[24], quarantined[24], records[24];
    (void)snprintf(open, sizeof open, "%" PRIu64, report->open);
    (void)snprintf(quarantined, sizeof quarantined, "%" PRIu64, report->quarantined);
    (void)snprintf(records, sizeof records, "%" PRIu64, report->records);
    const struct saga_journal_field fields[] = {
        {"records", records}, {"open", open}, {"quarantined", quarantined}, {0}};
    saga_journal_write(daemon->journal, SAGA_JOURNAL_INFO, fields, "recovered from log %s",
                       saga_log_identity(daemon->log));
    char retention[SAGA_RETENTION_BYTES];
    saga_retention_format(&daemon->config->retention, retention);
    saga_journal_write(daemon->journal, SAGA_JOURNAL_INFO, NULL, "retention: %s", retention);
    if (report->quarantined > 0) {
        saga_journal_write(daemon->journal, SAGA_JOURNAL_WARNING, NULL,
                           "%" PRIu64 " sagas are quarantined, the first: %s", report->quarantined,
                           report->first_quarantined);
    }
}

static bool has_broker(const struct saga_daemon *daemon) {
    return !daemon->config->dev && daemon->config->amqp != NULL;
}

static enum saga_error open_engine(struct saga_daemon *daemon, struct saga_fault *fault) {
    struct saga_engine_config config;
    struct saga_recovery_report report;
    char guard[PATH_MAX];
    const struct saga_outlet outlet = {
        .context = daemon,
        .send = send_command,
        .changed = changed,
        .ended = has_broker(daemon) ? ended : NULL,
        .released = released,
    };
    const int length = snprintf(guard, sizeof guard, "%s/recovery.guard", daemon->config->data_dir);
    if (length < 0 || (size_t)length >= sizeof guard) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the path of the data directory is longer than the system takes: use "
                              "a shorter one");
    }
    saga_engine_config_default(&config);
    config.limits.sagas_max = daemon->config->sagas_max;
    config.limits.resend_per_second = daemon->config->resend_per_second;
    config.checkpoints.records = daemon->config->checkpoint_records;
    config.retention = daemon->config->retention;
    config.random = random_bytes;
    config.guard_path = guard;
    random_bytes(NULL, &config.hash_seed, sizeof config.hash_seed);
    enum saga_error error = saga_engine_open(&daemon->engine, daemon->log, &config, &outlet,
                                             saga_loop_now(), &report, fault);
    if (error == SAGA_OK) {
        say_recovered(daemon, &report);
        say_clock(daemon, &report);
    }
    return error;
}

static enum saga_error define(struct saga_daemon *daemon, struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < daemon->definitions.count && error == SAGA_OK; i++) {
        struct saga_definition *definition = daemon->definitions.items[i];
        daemon->definitions.items[i] = NULL;
        error = saga_engine_define(daemon->engine, definition, saga_loop_now(), fault);
    }
    return error;
}

static void broker_says(void *context, bool alarming, const char *text) {
    const struct saga_daemon *daemon = context;
    saga_journal_write(daemon->journal, alarming ? SAGA_JOURNAL_WARNING : SAGA_JOURNAL_INFO, NULL,
                       "%s", text);
}

/* Where the sagas of this log publish their commands; a new definition may have another exchange
 * than an old one, which sagas still run by. */
static size_t find_exchanges(const struct saga_daemon *daemon, const char **exchanges) {
    const struct saga_definition *definition;
    size_t count = 0;
    for (uint32_t i = 0; (definition = saga_engine_definition_at(daemon->engine, i)) != NULL &&
                         count < EXCHANGES_MAX;
         i++) {
        bool is_new = definition->exchange != NULL;
        for (size_t j = 0; j < count && is_new; j++) {
            is_new = strcmp(exchanges[j], definition->exchange) != 0;
        }
        if (is_new) {
            exchanges[count++] = definition->exchange;
        }
    }
    return count;
}

static enum saga_error open_broker(struct saga_daemon *daemon, struct saga_fault *fault) {
    const struct saga_config *config = daemon->config;
    if (!has_broker(daemon)) {
        return SAGA_OK;
    }
    struct saga_broker_options options = {
        .address = &config->amqp_address,
        .ca_file = config->amqp_ca_file,
        .certificate = config->amqp_certificate,
        .key = config->amqp_key,
        .log_id = saga_log_identity(daemon->log),
        .exchanges = daemon->exchanges,
        .exchange_count = find_exchanges(daemon, daemon->exchanges),
        .persistent = config->amqp_persistent,
        .inbox = daemon->inbox,
        .context = daemon,
        .say = broker_says,
    };
    random_bytes(NULL, &options.seed, sizeof options.seed);
    return saga_broker_open(&daemon->broker, &options, fault);
}

static enum saga_error start_loop(struct saga_daemon *daemon, struct saga_fault *fault) {
    const struct saga_loop_options options = {
        .engine = daemon->engine,
        .log = daemon->log,
        .inbox = daemon->inbox,
        .journal = daemon->journal,
    };
    return saga_loop_start(&daemon->loop, &options, fault);
}

static enum saga_error start_verifier(struct saga_daemon *daemon, struct saga_fault *fault) {
    const struct saga_verifier_options options = {
        .log = daemon->log,
        .journal = daemon->journal,
        .interval_ms = daemon->config->verify_interval_ms,
        .bytes_per_second = VERIFIED_BYTES_PER_SECOND,
    };
    return options.interval_ms == 0 ? SAGA_OK
                                    : saga_verifier_start(&daemon->verifier, &options, fault);
}

static json_t *verified_stats(const struct saga_daemon *daemon) {
    struct saga_verifier_state state = {0};
    if (daemon->verifier != NULL) {
        saga_verifier_look(daemon->verifier, &state);
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "runs", (json_int_t)state.runs,
                     "finished_at_ms", (json_int_t)state.finished_ms, "records",
                     (json_int_t)state.records, "rows", (json_int_t)state.rows, "damages",
                     (json_int_t)state.damages, "damages_all", (json_int_t)state.damages_all);
}

/* {"parking": {...}, ...} */
static json_t *participant_stats(const struct saga_daemon *daemon) {
    struct saga_local_counts counts[SAGA_LOCAL_PARTICIPANTS_MAX];
    const size_t count = saga_local_count(daemon->local, counts);
    json_t *participants = json_object();
    for (size_t i = 0; i < count; i++) {
        const struct saga_participant_counts *one = &counts[i].participant;
        /* clang-format off */
        json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
            "waiting", (json_int_t)counts[i].waiting, "commands", (json_int_t)one->commands,
            "batches", (json_int_t)one->batches, "ran", (json_int_t)one->ran,
            "replayed", (json_int_t)one->replayed, "buried", (json_int_t)one->buried,
            "retried", (json_int_t)one->retried, "failed", (json_int_t)one->failed,
            "malformed", (json_int_t)one->malformed, "foreign", (json_int_t)one->foreign,
            "conflicts", (json_int_t)one->conflicts, "expired", (json_int_t)one->expired,
            "damaged", (json_int_t)one->damaged);
        /* clang-format on */
        if (json_object_set_new(participants, counts[i].name, json) != 0) {
            json_decref(participants);
            return NULL;
        }
    }
    return participants;
}

static json_t *broker_stats(const struct saga_daemon *daemon) {
    struct saga_broker_state state;
    saga_broker_look(daemon->broker, &state);
    const struct saga_amqp_publisher_counts *out = &state.publisher;
    const struct saga_amqp_consumer_counts *in = &state.consumer;
    /* clang-format off */
    json_t *commands = json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "connected", out->up, "blocked", out->blocked, "waiting", (json_int_t)out->waiting,
        "unconfirmed", (json_int_t)out->unconfirmed, "published", (json_int_t)out->published,
        "handed_over", (json_int_t)out->handed_over, "unroutable", (json_int_t)out->unroutable,
        "unsent", (json_int_t)out->unsent, "in_doubt", (json_int_t)out->in_doubt,
        "refused", (json_int_t)out->refused, "connections", (json_int_t)out->connections,
        "stuck", (json_int_t)out->stuck);
    json_t *replies = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "connected", in->up, "delivered", (json_int_t)in->delivered,
        "acknowledged", (json_int_t)in->acknowledged, "dead_lettered", (json_int_t)in->rejected,
        "requeued", (json_int_t)in->requeued, "oversized", (json_int_t)in->oversized,
        "malformed", (json_int_t)state.malformed, "refused", (json_int_t)state.refused,
        "connections", (json_int_t)in->connections);
    /* clang-format on */
    return json_pack("{s:b, s:o, s:o, s:I}", "connected", state.up, "commands", commands, "replies",
                     replies, "starts_held_up", (json_int_t)state.starts_held_up);
}

static json_t *more_stats(void *context) {
    const struct saga_daemon *daemon = context;
    json_t *verified = verified_stats(daemon);
    return daemon->broker != NULL
               ? json_pack("{s:o, s:o}", "verified", verified, "broker", broker_stats(daemon))
           : daemon->local != NULL ? json_pack("{s:o, s:o}", "verified", verified, "participants",
                                               participant_stats(daemon))
                                   : json_pack("{s:o}", "verified", verified);
}

/* Starts are taken without a broker; who looks for readiness is told that there is none. */
static json_t *more_ready(void *context) {
    const struct saga_daemon *daemon = context;
    struct saga_broker_state state;
    if (daemon->broker == NULL) {
        return json_object();
    }
    saga_broker_look(daemon->broker, &state);
    return json_pack("{s:{s:b, s:s*}}", "broker", "connected", state.up, "reason",
                     state.up ? NULL : state.why);
}

static enum saga_error open_api(struct saga_daemon *daemon, struct saga_fault *fault) {
    struct saga_api_definition definitions[SAGA_DEFINITIONS_MAX];
    char socket[PATH_MAX + 16];
    (void)snprintf(socket, sizeof socket, "unix:%s/sagad.sock", daemon->config->data_dir);
    for (size_t i = 0; i < daemon->definitions.count; i++) {
        const struct saga_definition *definition = daemon->definitions.items[i];
        definitions[i] = (struct saga_api_definition){
            .name = definition->name, .version = definition->version, .hash = definition->hash};
    }
    const struct saga_api_options options = {
        .listen = daemon->config->listen != NULL ? daemon->config->listen : socket,
        .inbox = daemon->inbox,
        .log = daemon->log,
        .engine = daemon->engine,
        .definitions = definitions,
        .definition_count = daemon->definitions.count,
        .more_stats = more_stats,
        .more_ready = more_ready,
        .more_context = daemon,
    };
    return saga_api_open(&daemon->api, &options, fault);
}

/* ------------------------------------------------------------- open, close */

static enum saga_error open_parts(struct saga_daemon *daemon, struct saga_fault *fault) {
    static enum saga_error (*const parts[])(struct saga_daemon *, struct saga_fault *) = {
        load_definitions,  /* what is wrong with them is said before anything is touched */
        open_log,          /* the data directory is ours */
        open_inbox,        /* where the other threads put what they want of the engine */
        open_participants, /* of sagad dev */
        open_engine,       /* recovers */
        open_api,          /* listens */
        define,            /* what new sagas are started by */
        open_broker,       /* declares where their commands go */
        start_loop,        /* from here on things happen */
        start_verifier,    /* and what happened long ago is looked at */
    };
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && error == SAGA_OK; i++) {
        error = parts[i](daemon, fault);
    }
    return error;
}

enum saga_error saga_daemon_open(struct saga_daemon **daemon, const struct saga_config *config,
                                 const struct saga_journal *journal, struct saga_fault *fault) {
    struct saga_daemon *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the daemon");
    }
    opened->config = config;
    opened->journal = journal;
    enum saga_error error = open_parts(opened, fault);
    if (error != SAGA_OK) {
        saga_daemon_close(opened);
        return error;
    }
    saga_api_ready(opened->api, true);
    saga_journal_write(journal, SAGA_JOURNAL_INFO, NULL, "sagad %s is ready at %s", SAGA_VERSION,
                       saga_daemon_address(opened));
    *daemon = opened;
    return SAGA_OK;
}

const char *saga_daemon_address(const struct saga_daemon *daemon) {
    return saga_api_address(daemon->api);
}

void saga_daemon_close(struct saga_daemon *daemon) {
    if (daemon->loop != NULL) {
        saga_api_ready(daemon->api, false);
        saga_loop_drain(daemon->loop);
    }
    if (daemon->local != NULL) {
        saga_local_stop(daemon->local); /* its last answers are in the inbox */
    }
    if (daemon->broker != NULL) {
        saga_broker_stop(daemon->broker); /* likewise */
    }
    if (daemon->loop != NULL) {
        saga_loop_stop(daemon->loop); /* they are in the log */
    }
    if (daemon->api != NULL) {
        saga_api_close(daemon->api);
    }
    saga_verifier_stop(daemon->verifier); /* nobody asks how it is getting on any more */
    saga_broker_close(daemon->broker);    /* acknowledges them */
    saga_local_close(daemon->local);
    saga_demo_services_close(&daemon->services);
    saga_engine_close(daemon->engine);
    saga_inbox_close(daemon->inbox);
    if (daemon->log != NULL) {
        saga_log_close(daemon->log);
    }
    saga_definitions_free(&daemon->definitions);
    free(daemon);
}
