#include "setting.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "size.h"

#define MAP_BYTES_MIN          (UINT64_C(1) << 20)
#define SAGAS_MAX_MAX          10000000
#define RESEND_PER_SECOND      1000000
#define CHECKPOINT_RECORDS_MAX 1000000000

static char *copy(const char *text) {
    char *copied = strdup(text);
    assert(copied != NULL); /* at start-up, for a few bytes */
    return copied;
}

static void replace(char **slot, const char *text) {
    free(*slot);
    *slot = copy(text);
}

/* A whole number of digits only, from 1 to `max`; `*end` is what follows. 0: none. */
static uint64_t parse_number(const char *text, uint64_t max, const char **end) {
    uint64_t number = 0;
    *end = text;
    while (**end >= '0' && **end <= '9') {
        const uint64_t digit = (uint64_t)(**end - '0');
        if (number > (max - digit) / 10) {
            return 0;
        }
        number = number * 10 + digit;
        (*end)++;
    }
    return number;
}

/* Each says what is expected, or NULL where it took the text. */

static const char *set_data_dir(struct saga_config *config, const char *text) {
    replace(&config->data_dir, text);
    return NULL;
}

static const char *set_definitions(struct saga_config *config, const char *text) {
    replace(&config->definitions, text);
    return NULL;
}

static const char *set_listen(struct saga_config *config, const char *text) {
    const bool is_socket = strncmp(text, "unix:", 5) == 0 && text[5] != '\0';
    const bool is_port = strncmp(text, "tcp:", 4) == 0 && strchr(text + 4, ':') != NULL;
    if (!is_socket && !is_port) {
        return "unix:PATH or tcp:HOST:PORT";
    }
    replace(&config->listen, text);
    return NULL;
}

static const char *set_log_format(struct saga_config *config, const char *text) {
    for (int format = 1; format <= SAGA_JOURNAL_FORMAT_COUNT; format++) {
        if (strcmp(text, saga_journal_format_name((enum saga_journal_format)format)) == 0) {
            config->log_format = (enum saga_journal_format)format;
            return NULL;
        }
    }
    return "text, logfmt or json";
}

static const char *set_log_level(struct saga_config *config, const char *text) {
    for (int level = 1; level <= SAGA_JOURNAL_LEVEL_COUNT; level++) {
        if (strcmp(text, saga_journal_level_name((enum saga_journal_level)level)) == 0) {
            config->log_level = (enum saga_journal_level)level;
            return NULL;
        }
    }
    return "error, warning, info or debug";
}

static const char *set_map_size(struct saga_config *config, const char *text) {
    uint64_t bytes;
    if (!saga_size_parse(text, strlen(text), &bytes) || bytes < MAP_BYTES_MIN) {
        return "a number of bytes, or one with K, M, G or T, from 1M to 64T";
    }
    config->map_bytes = bytes;
    return NULL;
}

static const char *set_sagas_max(struct saga_config *config, const char *text) {
    const char *end;
    const uint64_t number = parse_number(text, SAGAS_MAX_MAX, &end);
    if (number == 0 || *end != '\0') {
        return "a whole number from 1 to 10000000";
    }
    config->sagas_max = (uint32_t)number;
    return NULL;
}

static const char *set_resend_per_second(struct saga_config *config, const char *text) {
    const char *end;
    const uint64_t number = parse_number(text, RESEND_PER_SECOND, &end);
    if (number == 0 || *end != '\0') {
        return "a whole number from 1 to 1000000";
    }
    config->resend_per_second = (uint32_t)number;
    return NULL;
}

static const char *set_checkpoint_records(struct saga_config *config, const char *text) {
    const char *end;
    const uint64_t number = parse_number(text, CHECKPOINT_RECORDS_MAX, &end);
    if (number == 0 || *end != '\0') {
        return "a whole number from 1 to 1000000000";
    }
    config->checkpoint_records = number;
    return NULL;
}

static const char *set_retention(struct saga_config *config, const char *text) {
    return saga_retention_parse(text, &config->retention) ? NULL : SAGA_RETENTION_EXPECTED;
}

static const char *set_verify_interval(struct saga_config *config, const char *text) {
    const bool never = strcmp(text, "0") == 0;
    int64_t ms = 0;
    if (!never && (!saga_duration_parse(text, strlen(text), &ms) || ms == 0)) {
        return "0, or a whole number of ms, s, m, h or d, such as 24h";
    }
    config->verify_interval_ms = ms;
    return NULL;
}

/* What is wrong with it is said by saga_setting_set(): never with the text itself. */
static const char *set_amqp(struct saga_config *config, const char *text) {
    replace(&config->amqp, text);
    return NULL;
}

static const char *set_amqp_password_file(struct saga_config *config, const char *text) {
    replace(&config->amqp_password_file, text);
    return NULL;
}

static const char *set_amqp_ca_file(struct saga_config *config, const char *text) {
    replace(&config->amqp_ca_file, text);
    return NULL;
}

static const char *set_amqp_certificate(struct saga_config *config, const char *text) {
    replace(&config->amqp_certificate, text);
    return NULL;
}

static const char *set_amqp_key(struct saga_config *config, const char *text) {
    replace(&config->amqp_key, text);
    return NULL;
}

static const char *set_amqp_persistent(struct saga_config *config, const char *text) {
    config->amqp_persistent = strcmp(text, "yes") == 0;
    return config->amqp_persistent || strcmp(text, "no") == 0 ? NULL : "yes or no";
}

static const struct {
    const char *flag;
    const char *variable;
    const char *key;
    const char *argument;
    const char *doc;
    const char *(*set)(struct saga_config *config, const char *text);
} settings[SAGA_SETTING_COUNT + 1] = {
    [SAGA_SETTING_DATA_DIR] = {"data-dir", "SAGAD_DATA_DIR", "data_dir", "DIR",
                               "Where the log, its lock and the socket are kept", set_data_dir},
    [SAGA_SETTING_DEFINITIONS] = {"definitions", "SAGAD_DEFINITIONS", "definitions", "DIR",
                                  "Load every *.yaml in DIR", set_definitions},
    [SAGA_SETTING_LISTEN] = {"listen", "SAGAD_LISTEN", "listen", "unix:PATH | tcp:HOST:PORT",
                             "Where the API listens (default: sagad.sock in the data directory)",
                             set_listen},
    [SAGA_SETTING_LOG_FORMAT] = {"log-format", "SAGAD_LOG_FORMAT", "log_format",
                                 "text | logfmt | json", "How log lines look (default: text)",
                                 set_log_format},
    [SAGA_SETTING_LOG_LEVEL] = {"log-level", "SAGAD_LOG_LEVEL", "log_level",
                                "error | warning | info | debug",
                                "Which log lines are written (default: info; dev: debug, which "
                                "shows each saga)",
                                set_log_level},
    [SAGA_SETTING_MAP_SIZE] = {"map-size", "SAGAD_MAP_SIZE", "map_size", "SIZE",
                               "The most that the log may ever take (default: 16G)", set_map_size},
    [SAGA_SETTING_SAGAS_MAX] = {"sagas-max", "SAGAD_SAGAS_MAX", "sagas_max", "NUMBER",
                                "How many sagas may be open at a time (default: 1000000)",
                                set_sagas_max},
    [SAGA_SETTING_RESEND_PER_SECOND] = {"resend-per-second", "SAGAD_RESEND_PER_SECOND",
                                        "resend_per_second", "NUMBER",
                                        "How many commands are sent again a second after a restart "
                                        "(default: 20000)",
                                        set_resend_per_second},
    [SAGA_SETTING_CHECKPOINT_RECORDS] =
        {"checkpoint-records", "SAGAD_CHECKPOINT_RECORDS", "checkpoint_records", "NUMBER",
         "A checkpoint after so many records, or 10 for each open "
         "saga if that is more, but 2000000 at the most (default: 1000000)",
         set_checkpoint_records},
    [SAGA_SETTING_RETENTION] = {"retention", "SAGAD_RETENTION", "retention", "NAME=DURATION,...",
                                "How long ended sagas are known, by outcome, and start keys; and "
                                "the size of the log from which on they go earlier (default: "
                                "completed=7d,compensated=30d,start_keys=30d)",
                                set_retention},
    [SAGA_SETTING_VERIFY_INTERVAL] = {"verify-interval", "SAGAD_VERIFY_INTERVAL", "verify_interval",
                                      "DURATION",
                                      "Verify the whole log in the background so often; 0: never "
                                      "(default: 24h)",
                                      set_verify_interval},
    [SAGA_SETTING_AMQP] = {"amqp", "AMQP_URL", "amqp", "URL",
                           "The broker behind which participants are: "
                           "amqp[s]://USER:PASSWORD@HOST:PORT,HOST:PORT/VHOST",
                           set_amqp},
    [SAGA_SETTING_AMQP_PASSWORD_FILE] = {"amqp-password-file", "SAGAD_AMQP_PASSWORD_FILE",
                                         "amqp_password_file", "FILE",
                                         "Read the broker's password from FILE's first line",
                                         set_amqp_password_file},
    [SAGA_SETTING_AMQP_CA_FILE] = {"amqp-ca-file", "SAGAD_AMQP_CA_FILE", "amqp_ca_file", "FILE",
                                   "amqps: the certificates to trust (default: the system's)",
                                   set_amqp_ca_file},
    [SAGA_SETTING_AMQP_CERTIFICATE] = {"amqp-certificate", "SAGAD_AMQP_CERTIFICATE",
                                       "amqp_certificate", "FILE",
                                       "amqps: our own certificate; with --amqp-key",
                                       set_amqp_certificate},
    [SAGA_SETTING_AMQP_KEY] = {"amqp-key", "SAGAD_AMQP_KEY", "amqp_key", "FILE",
                               "amqps: the key of our certificate", set_amqp_key},
    [SAGA_SETTING_AMQP_PERSISTENT] = {"amqp-persistent", "SAGAD_AMQP_PERSISTENT", "amqp_persistent",
                                      "yes | no",
                                      "Whether the broker keeps commands on disk, too (default: "
                                      "no: the log sends them again)",
                                      set_amqp_persistent},
};

const char *saga_setting_flag(enum saga_setting setting) {
    return settings[setting].flag;
}

const char *saga_setting_variable(enum saga_setting setting) {
    return settings[setting].variable;
}

const char *saga_setting_key(enum saga_setting setting) {
    return settings[setting].key;
}

enum saga_setting saga_setting_of_key(const char *key) {
    for (int setting = 1; setting <= SAGA_SETTING_COUNT; setting++) {
        if (strcmp(settings[setting].key, key) == 0) {
            return (enum saga_setting)setting;
        }
    }
    return (enum saga_setting)0;
}

const char *saga_setting_argument(enum saga_setting setting) {
    return settings[setting].argument;
}

const char *saga_setting_doc(enum saga_setting setting) {
    return settings[setting].doc;
}

enum saga_error saga_setting_set(struct saga_config *config, enum saga_setting setting,
                                 const char *text, const char *source, enum saga_error wrong,
                                 struct saga_fault *fault) {
    const char *expected =
        text[0] == '\0' ? settings[setting].argument : settings[setting].set(config, text);
    if (expected != NULL) {
        return saga_fault_set(fault, wrong, "%s: '%.200s' is not what is expected: %s", source,
                              text, expected);
    }
    return SAGA_OK;
}
